/* SPDX-License-Identifier: BSD-2-Clause */
/* base/bytes: a reader that never goes outside, a builder that never grows past its cap and stays bad once it is. */
#include "tests/lib/test.h"

static void
span_getters_advance_or_change_nothing(void **state)
{
	struct span s = span_of("\x01\x02\x03\x04\x05\x06\x07", 7), rest, got;
	uint8_t u8;
	uint16_t u16;
	uint32_t u32;

	(void)state;
	assert_true(span_u8(&s, &u8) && u8 == 1);
	assert_true(span_be16(&s, &u16) && u16 == 0x0203);
	assert_true(span_be32(&s, &u32) && u32 == 0x04050607);
	assert_int_equal(s.n, 0);
	assert_false(span_u8(&s, &u8));
	assert_int_equal(u8, 0);

	s = span_of("abc", 3);
	rest = s;
	u32 = 7;
	assert_false(span_be32(&s, &u32));
	assert_int_equal(u32, 0);
	assert_false(span_take(&s, 4, &got));
	assert_ptr_equal(got.p, NULL);
	assert_false(span_take(&s, SIZE_MAX, &got));
	assert_false(span_skip(&s, SIZE_MAX));
	assert_ptr_equal(s.p, rest.p);
	assert_int_equal(s.n, 3);
	assert_true(span_take(&s, 3, &got));
	assert_bytes(got, "abc");
}

static void
span_line_takes_lines(void **state)
{
	static const char *const want[] = { "one", "", "two\r", "three" };
	struct span in = span_str("one\n\ntwo\r\nthree"), line;

	(void)state;
	for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
		assert_true(span_line(&in, &line));
		assert_true(span_eq(line, span_str(want[i])));
	}
	assert_false(span_line(&in, &line));
	assert_int_equal(line.n, 0);
	in = span_str("\n");
	assert_true(span_line(&in, &line));
	assert_int_equal(line.n, 0);
	assert_false(span_line(&in, &line));
}

static void
span_sub_stays_inside(void **state)
{
	struct span s = span_of("abcdef", 6), got;

	(void)state;
	assert_true(span_sub(s, 2, 3, &got));
	assert_bytes(got, "cde");
	assert_true(span_sub(s, 6, 0, &got));
	assert_false(span_sub(s, 7, 0, &got));
	assert_false(span_sub(s, 4, 3, &got));
	assert_false(span_sub(s, SIZE_MAX, 2, &got));
	assert_false(span_sub(s, 2, SIZE_MAX, &got));
}

static void
span_compares(void **state)
{
	(void)state;
	assert_true(span_eq(span_str("ab"), span_of("ab", 2)));
	assert_false(span_eq(span_str("ab"), span_str("abc")));
	assert_true(span_eq(SPAN_NONE, span_str("")));
	assert_true(span_starts(span_str("abc"), "ab", 2));
	assert_false(span_starts(span_str("a"), "ab", 2));
	assert_int_equal(span_of(NULL, 5).n, 0);
}

static void
wbuf_builds(void **state)
{
	WBUF_AUTO w = { .max = 1000 };

	(void)state;
	wbuf_u8(&w, 1);
	wbuf_be16(&w, 0x0203);
	wbuf_be32(&w, 0x04050607);
	wbuf_put(&w, "x", 1);
	wbuf_fill(&w, 0xFF, 2);
	wbuf_insert(&w, 1, "--", 2);
	assert_bytes(wbuf_view(&w), "\x01--\x02\x03\x04\x05\x06\x07x\xFF\xFF");
	wbuf_cut(&w, 3);
	assert_bytes(wbuf_view(&w), "\x01--");
	wbuf_insert(&w, 3, "end", 3);
	assert_bytes(wbuf_view(&w), "\x01--end");
}

static void
wbuf_stops_at_its_cap_and_stays_bad(void **state)
{
	WBUF_AUTO w = { .max = 100 };

	(void)state;
	wbuf_fill(&w, 'a', 100);
	assert_false(w.bad);
	wbuf_u8(&w, 'b');
	assert_true(w.bad);
	assert_int_equal(wbuf_view(&w).n, 0);
	wbuf_put(&w, "", 0);
	assert_true(w.bad);
	wbuf_clear(&w);
	assert_false(w.bad);
	wbuf_put(&w, "ok", 2);
	assert_bytes(wbuf_view(&w), "ok");
	assert_null(wbuf_room(&w, SIZE_MAX));
	assert_true(w.bad);
}

static void
wbuf_insert_past_the_end_is_bad(void **state)
{
	WBUF_AUTO w = { .max = 100 };

	(void)state;
	wbuf_put(&w, "ab", 2);
	wbuf_insert(&w, 3, "c", 1);
	assert_true(w.bad);
}

static void
wbuf_cut_wipes(void **state)
{
	WBUF_AUTO w = { .max = 100 };

	(void)state;
	wbuf_put(&w, "secret", 6);
	wbuf_cut(&w, 1);
	assert_memory_equal(w.p, "s\0\0\0\0\0", 6);
	wbuf_clear(&w);
	assert_memory_equal(w.p, "\0", 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(span_getters_advance_or_change_nothing),
		cmocka_unit_test(span_sub_stays_inside),
		cmocka_unit_test(span_line_takes_lines),
		cmocka_unit_test(span_compares),
		cmocka_unit_test(wbuf_builds),
		cmocka_unit_test(wbuf_stops_at_its_cap_and_stays_bad),
		cmocka_unit_test(wbuf_insert_past_the_end_is_bad),
		cmocka_unit_test(wbuf_cut_wipes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
