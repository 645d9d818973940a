/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fault script of the virtual card: what each rule does, when it fires, and what is not a rule.
 */
#include <stdio.h>
#include <unistd.h>

#include "tests/lib/card_script.h"
#include "tests/lib/test.h"

#define GET_DISCOVERY "00CB3FFF03 5C017E 00"
#define DISCOVERY     "7E124F0BA0000003080000100001005F2F024000"
#define GET_PRINTED   "00CB3FFF05 5C035FC109 00"

static void
rule(struct vcard *vc, const char *text)
{
	char why[VCARD_WHY] = "";

	if (!vcard_fault_add(vc, text, why))
		fail_msg("%s", why);
}

static void
test_actions(void **state)
{
	static const struct {
		const char *rule;
		struct step steps[5];
	} rows[] = {
		{ "ins CB sw 6F00", { { GET_DISCOVERY, "6F00" }, { GET_DISCOVERY, DISCOVERY "9000" } } },
		{ "ins CB 2 sw 6581",
		    { { GET_DISCOVERY, "*9000" }, { GET_DISCOVERY, "6581" }, { GET_DISCOVERY, "*9000" } } },
		{ "at 2 sw 6FFF", { { VERIFY_EMPTY, "63C3" }, { GET_DISCOVERY, "6FFF" }, { VERIFY_EMPTY, "63C3" } } },
		{ "every sw 6E00", { { VERIFY_EMPTY, "6E00" }, { GET_DISCOVERY, "6E00" } } },
		{ "every ins 20 sw 6983",
		    { { VERIFY_EMPTY, "6983" }, { GET_DISCOVERY, "*9000" }, { VERIFY_EMPTY, "6983" } } },
		{ "ins 20 sw 6F00", { { VERIFY_BAD, "6F00" }, { VERIFY_EMPTY, "63C3" } } },	 /* had no effect */
		{ "ins 20 lose-sw 6F00", { { VERIFY_BAD, "6F00" }, { VERIFY_EMPTY, "63C2" } } }, /* had its effect */
		{ "ins CB short 1", { { GET_DISCOVERY, "7E" }, { GET_DISCOVERY, "*9000" } } },
		{ "ins CB short 0", { { GET_DISCOVERY, "" } } },
		{ "ins CB truncate 16", { { GET_DISCOVERY, "7E124F0B9000" } } },
		{ "ins CB truncate 99", { { GET_DISCOVERY, "9000" } } },
		{ "ins CB garbage 3", { { GET_DISCOVERY, "5AA3EC" } } },
		{ "ins CB reply 53039000", { { GET_DISCOVERY, "53039000" } } },
		{ "at 2 reset", { { VERIFY_OK, "9000" }, { GET_PRINTED, "6982" } } },
		{ "at 2 select",
		    { { VERIFY_OK, "9000" }, { VERIFY_EMPTY, "6D00" }, { SELECT_PIV, "*9000" },
			{ VERIFY_EMPTY, "63C3" } } },
		{ "at 2 apdu 0020FF80", { { VERIFY_OK, "9000" }, { VERIFY_EMPTY, "63C3" } } },
		{ "at 1 remove", { { VERIFY_BAD, "" }, { "insert", "" }, { VERIFY_EMPTY, "63C3" } } },
		{ "at 1 remove-after", { { VERIFY_BAD, "" }, { "insert", "" }, { VERIFY_EMPTY, "63C2" } } },
		{ "", { { VERIFY_EMPTY, "63C3" } } },
		{ "# only a comment", { { VERIFY_EMPTY, "63C3" } } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct vcard *vc = card_fixture("");

		rule(vc, rows[i].rule);
		card_play(vc, rows[i].steps);
		assert_int_equal(vcard_fault_pending(vc), 0);
		vcard_free(vc);
	}
}

static void
test_refused(void **state)
{
	static const char *const rows[] = { "sw 6F00", "at sw 6F00", "at 0 sw 6F00", "at 1", "at 1 sw", "at 1 sw 6F",
		"at 1 sw 6F00 x", "ins sw 6F00", "ins 1FF sw 6F00", "ins 20 explode", "every at 1 sw 6F00",
		"at 1 short", "at 1 short -1", "at 1 reply 0", "at 1 reset now", "at 1 remove soon", "at one sw 6F00" };
	struct vcard *vc = card_fixture("");
	char why[VCARD_WHY];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		if (vcard_fault_add(vc, rows[i], why))
			fail_msg("taken for a rule: %s", rows[i]);
		assert_non_null(strstr(why, rows[i]));
	}
	vcard_free(vc);
}

static void
test_pending_and_clear(void **state)
{
	struct vcard *vc = card_fixture("");
	static const struct step steps[] = { { VERIFY_EMPTY, "6F00" }, { NULL, NULL } },
				 after[] = { { VERIFY_EMPTY, "63C3" }, { NULL, NULL } };

	(void)state;
	rule(vc, "ins 20 sw 6F00");
	rule(vc, "ins 87 sw 6F00");
	rule(vc, "every ins 47 sw 6F00");
	assert_int_equal(vcard_fault_pending(vc), 2);
	card_play(vc, steps);
	assert_int_equal(vcard_fault_pending(vc), 1);
	rule(vc, "ins 20 sw 6F00");
	vcard_fault_clear(vc);
	assert_int_equal(vcard_fault_pending(vc), 0);
	card_play(vc, after);
	vcard_free(vc);
}

static void
test_absence(void **state)
{
	struct vcard *vc = card_fixture("");
	static const struct step gone[] = { { VERIFY_EMPTY, "" }, { NULL, NULL } };

	(void)state;
	rule(vc, "at 1 remove 250");
	assert_int_equal(vcard_absence(vc), -1);
	card_play(vc, gone);
	assert_false(vcard_present(vc));
	assert_int_equal(vcard_absence(vc), 250);
	vcard_insert(vc);
	assert_true(vcard_present(vc));
	assert_int_equal(vcard_absence(vc), -1);
	vcard_free(vc);
}

static void
count_sleep(void *arg, unsigned ms)
{
	*(unsigned *)arg += ms;
}

static void
pull(void *arg, struct vcard *vc, const uint8_t *cmd, size_t n)
{
	(void)n;
	if (cmd[1] == *(uint8_t *)arg)
		vcard_remove(vc);
}

static void
test_delay_and_hook(void **state)
{
	struct vcard *vc = card_fixture("");
	unsigned ms = 0;
	uint8_t ins = 0xCB;
	static const struct step steps[] = { { VERIFY_EMPTY, "63C3" }, { GET_DISCOVERY, "" }, { NULL, NULL } };

	(void)state;
	vcard_sleep_set(vc, count_sleep, &ms);
	vcard_hook_set(vc, pull, &ins);
	rule(vc, "ins 20 delay 20000");
	card_play(vc, steps);
	assert_int_equal(ms, 20000);
	assert_false(vcard_present(vc));
	vcard_free(vc);
}

static void
test_file(void **state)
{
	char path[] = "/tmp/test_vcard_fault.XXXXXX", why[VCARD_WHY] = "";
	int fd = mkstemp(path);
	struct vcard *vc = card_fixture("");
	FILE *f = fdopen(fd, "w");

	(void)state;
	fputs("# the second VERIFY\nins 20 2 sw 6F00   # like this\n\nat 3 reset\nat 4 explode\n", f);
	fclose(f);
	assert_false(vcard_fault_load(vc, path, why));
	assert_non_null(strstr(why, ":5: "));
	assert_int_equal(vcard_fault_pending(vc), 2);
	unlink(path);
	assert_false(vcard_fault_load(vc, path, why));
	vcard_free(vc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_actions),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_pending_and_clear),
		cmocka_unit_test(test_absence),
		cmocka_unit_test(test_delay_and_hook),
		cmocka_unit_test(test_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
