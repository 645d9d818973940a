/* SPDX-License-Identifier: BSD-2-Clause */
/* BER-TLV: what is read, what is refused, what is written; by tables of bytes. */
#include "tests/lib/test.h"

#include "hw/tlv.h"

#define S(literal) span_of(literal, sizeof(literal) - 1)

static void
test_next(void **state)
{
	static const struct {
		const char *in;
		size_t n;
		enum err e;
		uint32_t tag;
		size_t len, left;
	} rows[] = {
#define IN(l) l, sizeof(l) - 1
		{ IN("\x53\x00"), E_OK, 0x53, 0, 0 },
		{ IN("\x53\x02\x01\x02\x03"), E_OK, 0x53, 2, 1 },
		{ IN("\x7F\x49\x01\xAA"), E_OK, 0x7F49, 1, 0 },
		{ IN("\x5F\xC1\x05\x01\xAA"), E_OK, 0x5FC105, 1, 0 },
		{ IN("\x53\x81\x01\xAA"), E_OK, 0x53, 1, 0 },
		{ IN("\x53\x82\x00\x01\xAA"), E_OK, 0x53, 1, 0 }, /* excess bytes in the length */
		{ IN("\x53\x83\x00\x00\x01\xAA"), E_OK, 0x53, 1, 0 },
		{ IN("\x53\x84\x00\x00\x00\x01\xAA"), E_OK, 0x53, 1, 0 },
		{ IN("\x00\x00\x53\x01\xAA"), E_OK, 0x53, 1, 0 }, /* filler */
		{ IN(""), E_NOTFOUND, 0, 0, 0 },
		{ IN("\x00\x00\x00"), E_NOTFOUND, 0, 0, 3 },
		{ IN("\x53"), E_PROTO, 0, 0, 1 },
		{ IN("\x7F"), E_PROTO, 0, 0, 1 },
		{ IN("\x5F\xC1\x85\x05\x01\xAA"), E_PROTO, 0, 0, 6 }, /* four bytes of tag */
		{ IN("\x53\x80\xAA\x00\x00"), E_PROTO, 0, 0, 5 },     /* indefinite */
		{ IN("\x53\x85\x00\x00\x00\x00\x01\xAA"), E_PROTO, 0, 0, 8 },
		{ IN("\x53\x82\x01"), E_PROTO, 0, 0, 3 },
		{ IN("\x53\x02\xAA"), E_PROTO, 0, 0, 3 }, /* says two, has one */
		{ IN("\x53\x84\xFF\xFF\xFF\xFF\xAA"), E_PROTO, 0, 0, 7 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct span in = span_of(rows[i].in, rows[i].n), val = S("garbage");
		uint32_t tag = 0xDEAD;

		assert_err(tlv_next(&in, &tag, &val), rows[i].e);
		assert_int_equal(tag, rows[i].tag);
		assert_int_equal(val.n, rows[i].len);
		assert_int_equal(in.n, rows[i].left);
	}
}

static void
test_get_find_end(void **state)
{
	struct span in = S("\x01\x01\xAA\x02\x01\xBB\x00"), val;

	(void)state;
	assert_err(tlv_get(&in, 0x02, &val), E_PROTO);
	assert_int_equal(in.n, 7);
	assert_int_equal(val.n, 0);
	assert_ok(tlv_find(in, 0x02, &val));
	assert_bytes(val, "\xBB");
	assert_err(tlv_find(in, 0x03, &val), E_NOTFOUND);
	assert_int_equal(val.n, 0);
	assert_ok(tlv_get(&in, 0x01, &val));
	assert_err(tlv_end(&in), E_PROTO);
	assert_ok(tlv_get(&in, 0x02, &val));
	assert_ok(tlv_end(&in)); /* the filler does not count */
	assert_err(tlv_get(&in, 0x02, &val), E_PROTO);
}

/* Every way of cutting a good element short is refused. */
static void
test_truncated(void **state)
{
	static const char whole[] = "\x7F\x49\x82\x00\x05\x81\x03\x01\x02\x03";
	size_t n;

	(void)state;
	for (n = 1; n < sizeof whole - 1; n++) {
		struct span in = span_of(whole, n), val;

		assert_err(tlv_get(&in, 0x7F49, &val), E_PROTO);
		assert_int_equal(in.n, n);
	}
}

static void
test_head(void **state)
{
	struct span in = S("\x53\x82\x0B\x64\x30\x19");
	uint32_t tag;
	size_t len;

	(void)state;
	assert_ok(tlv_head(&in, &tag, &len));
	assert_int_equal(tag, 0x53);
	assert_int_equal(len, 0x0B64);
	assert_int_equal(in.n, 2);
}

static void
test_build(void **state)
{
	WBUF_AUTO w;
	size_t outer, inner;

	(void)state;
	wbuf_init(&w, 256);
	outer = tlv_open(&w, 0x7C);
	tlv_put(&w, 0x82, NULL, 0);
	inner = tlv_open(&w, 0x7F49);
	tlv_put_u8(&w, 0x5FC105, 7);
	tlv_close(&w, inner);
	tlv_close(&w, outer);
	assert_bytes(wbuf_view(&w), "\x7C\x0A\x82\x00\x7F\x49\x05\x5F\xC1\x05\x01\x07");
}

/* Lengths around every change of form, written and read back. */
static void
test_lengths(void **state)
{
	static const size_t sizes[] = { 0, 1, 127, 128, 255, 256, 65535, 65536, 70000 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		WBUF_AUTO w;
		struct span in, val;
		size_t m;

		wbuf_init(&w, 80000);
		m = tlv_open(&w, 0x53);
		wbuf_fill(&w, 0xAB, sizes[i]);
		tlv_close(&w, m);
		assert_false(w.bad);
		in = wbuf_view(&w);
		assert_ok(tlv_get(&in, 0x53, &val));
		assert_int_equal(val.n, sizes[i]);
		assert_ok(tlv_end(&in));
	}
}

static void
test_build_cap(void **state)
{
	WBUF_AUTO w;
	size_t m;

	(void)state;
	wbuf_init(&w, 8);
	m = tlv_open(&w, 0x53);
	wbuf_fill(&w, 0, 7);
	tlv_close(&w, m); /* no room for the length */
	assert_true(w.bad);
	assert_int_equal(wbuf_view(&w).n, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_next),
		cmocka_unit_test(test_get_find_end),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_head),
		cmocka_unit_test(test_build),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_build_cap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
