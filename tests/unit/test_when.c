/* SPDX-License-Identifier: BSD-2-Clause */
/* Times in words: rounded to what people say, both directions, and nothing but times is touched. */
#include "cli/when.h"
#include "tests/lib/test.h"

#define NOW 1795521600 /* 2026-11-24T12:00:00Z */

static void
test_far(void **state)
{
	static const struct {
		const char *iso, *says;
	} all[] = {
		{ "2029-11-23T12:00:00Z", "23 Nov 2029 (in 3 years)" },
		{ "2027-11-24T12:00:00Z", "24 Nov 2027 (in 12 months)" },
		{ "2026-12-06T12:00:00Z", "6 Dec 2026 (in 12 days)" },
		{ "2026-11-26T00:00:00Z", "26 Nov 2026 (in 36 hours)" },
		{ "2026-11-24T11:00:00Z", "24 Nov 2026 (60 minutes ago)" },
		{ "2026-11-24T11:59:30Z", "24 Nov 2026 (just now)" },
		{ "2024-11-24T12:00:00Z", "24 Nov 2024 (24 months ago)" },
		{ "soon", "soon" },
		{ "2026-11-24T11:00:00Zx", "2026-11-24T11:00:00Zx" },
		{ "", "" },
	};
	char out[WHEN_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
		assert_string_equal(when_text(all[i].iso, NOW, out), all[i].says);
}

static void
test_valid(void **state)
{
	char out[WHEN_MAX];

	(void)state;
	assert_string_equal(when_valid("2026-12-06T12:00:00Z", NOW, out), "until 6 Dec 2026, in 12 days");
	assert_string_equal(when_valid("2026-11-12T12:00:00Z", NOW, out), "expired 12 Nov 2026, 12 days ago");
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_far), cmocka_unit_test(test_valid) };

	setenv("TZ", "UTC", 1);
	return cmocka_run_group_tests_name("when", tests, NULL, NULL);
}
