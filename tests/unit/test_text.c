/* SPDX-License-Identifier: BSD-2-Clause */
/* base/text: hex, UUIDs, base64 (compared with libcrypto's), and foreign text that cannot fool a terminal. */
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "base/text.h"
#include "tests/lib/test.h"

static void
hex_both_ways(void **state)
{
	WBUF_AUTO w = { .max = 100 };
	char out[16];

	(void)state;
	assert_true(text_unhex("00 7f Ff", &w));
	assert_bytes(wbuf_view(&w), "\x00\x7F\xFF");
	assert_string_equal(text_hex(wbuf_view(&w), out, sizeof out), "007FFF");
	assert_string_equal(text_hex(wbuf_view(&w), out, 5), "007F");
	assert_string_equal(text_hex(wbuf_view(&w), out, 1), "");
	assert_false(text_unhex("0", &w));
	assert_false(text_unhex("0 0", &w));
	assert_false(text_unhex("zz", &w));
}

static void
uuid_is_written_in_groups(void **state)
{
	char out[TEXT_UUID_MAX];

	(void)state;
	assert_string_equal(
	    text_uuid((const uint8_t *)"\x01\x23\x45\x67\x89\xAB\xCD\xEF\x01\x23\x45\x67\x89\xAB\xCD\xEF", out),
	    "01234567-89ab-cdef-0123-456789abcdef");
}

static void
base64_agrees_with_libcrypto(void **state)
{
	uint8_t data[200];
	char want[300];

	(void)state;
	for (size_t n = 0; n < sizeof data; n++) {
		WBUF_AUTO text = { .max = 1000 };
		WBUF_AUTO back = { .max = 1000 };

		assert_int_equal(RAND_bytes(data, sizeof data), 1);
		EVP_EncodeBlock((unsigned char *)want, data, (int)n);
		text_base64(span_of(data, n), 0, &text);
		assert_int_equal(text.n, strlen(want));
		assert_true(n == 0 || memcmp(text.p, want, text.n) == 0);
		wbuf_clear(&text);
		text_base64(span_of(data, n), 64, &text);
		assert_true(text_unbase64(wbuf_view(&text), &back));
		assert_true(span_eq(wbuf_view(&back), span_of(data, n)));
	}
}

static void
base64_refuses_what_is_not(void **state)
{
	static const char *const bad[] = { "A", "AB", "ABC", "AB=C", "ABCD=", "====", "AB==AB==", "A===", "AB-_",
		"AB==\x01", "AB=", "AR==", "ABD=" };
	static const char *const good[] = { "", "AQ==", "A\r\nQ = =\n", "AQI=", "AQID" };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		WBUF_AUTO w = { .max = 100 };

		if (text_unbase64(span_str(bad[i]), &w))
			fail_msg("accepted: %s", bad[i]);
	}
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		WBUF_AUTO w = { .max = 100 };

		if (!text_unbase64(span_str(good[i]), &w))
			fail_msg("refused: %s", good[i]);
	}
}

static void
foreign_text_is_made_safe(void **state)
{
	static const struct {
		const char *in, *out;
	} row[] = {
		{ "plain text", "plain text" }, { "J\xC3\xBCrgen", "J\xC3\xBCrgen" }, { "\x1b[31mred\n", "?[31mred?" },
		{ "bad\xFF\xC0\x80utf", "bad???utf" }, { "cut\xE2\x82", "cut??" }, { "\xE2\x82\xAC", "\xE2\x82\xAC" },
		{ "a\xE2\x80\xAE"
		  "b",
		    "a?b" }, /* right-to-left override */
		{ "\xC2\x9B"
		  "31m",
		    "??31m" },			/* C1 control sequence introducer */
		{ "\xED\xA0\x80", "???" },	/* surrogate */
		{ "\xF4\x90\x80\x80", "????" }, /* above U+10FFFF */
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < sizeof row / sizeof row[0]; i++)
		assert_string_equal(text_safe(span_str(row[i].in), out, sizeof out), row[i].out);
	assert_string_equal(text_safe(span_str("abcdef"), out, 4), "abc");
	assert_string_equal(text_safe(span_str("ab\xC3\xBC"), out, 4), "ab");
}

static void
times(void **state)
{
	char out[TEXT_UTC_MAX];

	(void)state;
	assert_string_equal(text_utc(0, out), "1970-01-01T00:00:00Z");
	assert_string_equal(text_utc(1800000000, out), "2027-01-15T08:00:00Z");
	assert_string_equal(text_utc((time_t)INT64_MAX, out), "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hex_both_ways),
		cmocka_unit_test(times),
		cmocka_unit_test(uuid_is_written_in_groups),
		cmocka_unit_test(base64_agrees_with_libcrypto),
		cmocka_unit_test(base64_refuses_what_is_not),
		cmocka_unit_test(foreign_text_is_made_safe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
