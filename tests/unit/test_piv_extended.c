/* SPDX-License-Identifier: BSD-2-Clause */
/* Extended length at the card edge: used when the ATR says so, never when the reader cannot, given up for good and
 * without harm when it turns out to be no good. */
#include "hw/atr.h"
#include "tests/lib/piv_bench.h"

#define HEX(l) span_of(l, sizeof(l) - 1)

static void
test_atr(void **state)
{
	static const struct {
		struct span atr;
		bool extended;
	} rows[] = {
#define ROW(l) { (const uint8_t *)(l), sizeof(l) - 1 }
		/* YubiKey 5, Yubikey 4, J3A, a Gemalto card with a status indicator, nothing, half an ATR */
		{ ROW("\x3B\xFD\x13\x00\x00\x81\x31\xFE\x15\x80\x73\xC0\x21\xC0\x57\x59\x75\x62\x69\x4B\x65\x79\x40"),
		    true },
		{ ROW("\x3B\xF8\x13\x00\x00\x81\x31\xFE\x15\x59\x75\x62\x69\x6B\x65\x79\x34\xD4"), false },
		{ ROW("\x3B\x80\x80\x01\x01"), false },
		{ ROW("\x3B\x88\x80\x01\x00\x73\xC8\x40\x40\x00\x90\x00\x00"), true },
		{ ROW("\x3B\x88\x80\x01\x00\x73\xC8\x40\x80\x00\x90\x00\x00"), false },
		/* the object is cut off; of two bytes; behind another one; in a proprietary format */
		{ ROW("\x3B\x84\x80\x01\x80\x73\xC8\x40\x00"), false },
		{ ROW("\x3B\x84\x80\x01\x80\x72\xC8\x40\x00"), false },
		{ ROW("\x3B\x88\x80\x01\x80\x65\x64\x70\x69\x76\x31\x73\x00"), false },
		{ ROW("\x3B\x87\x80\x01\x80\x31\x80\x73\xC8\x40\x40\x00"), true },
		{ ROW("\x3B\x84\x80\x01\x00\x73\xC8\x40\x40\x00"), false },
		{ ROW("\x3B"), false },
		{ ROW("\x3B\xFF\x13"), false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (atr_extended(rows[i].atr) != rows[i].extended)
			fail_msg("row %zu", i);
}

static void
test_reader_properties(void **state)
{
	uint32_t v;

	(void)state;
	assert_true(reader_feature(HEX("\x06\x04\x42\x33\x00\x06\x12\x04\x42\x33\x00\x12"), 0x12, &v));
	assert_int_equal(v, 0x42330012);
	assert_false(reader_feature(HEX("\x06\x04\x42\x33\x00\x06"), 0x12, &v));
	assert_false(reader_feature(HEX("\x12\x04\x42\x33\x00"), 0x12, &v));
	assert_true(reader_property(HEX("\x01\x02\x00\x00\x0A\x04\x00\x00\x01\x00"), 10, &v));
	assert_int_equal(v, 65536);
	assert_true(reader_property(HEX("\x0A\x04\x00\x00\x00\x00"), 10, &v));
	assert_int_equal(v, 0);
	assert_false(reader_property(HEX("\x0A\x05\x00\x00\x00\x00\x00"), 10, &v));
	assert_false(reader_property(SPAN_NONE, 10, &v));
}

/* --- on a card --- */

static struct vcard_spec rsa_card = { .alg = "rsa2048", .extended = true };

/* A card of which the reader says max, and on whose extended commands it may fail. */
static struct bench
bench_behind(const struct vcard_spec *spec, size_t max, bool chokes)
{
	struct bench b = bench_new(spec);

	piv_close(&b.piv);
	vreaders_extended(b.v, 0, max, chokes);
	assert_ok(piv_open(&b.r, "Reader", &b.piv));
	login(&b);
	spent(&b);
	return b;
}

static unsigned
read_cert(struct bench *b)
{
	WBUF_AUTO der;

	wbuf_init(&der, PIV_OBJ_MAX);
	assert_ok(piv_cert_get(b->piv, PIV_KEY_9A, &der));
	assert_true(der.n > 512);
	return spent(b);
}

static void
test_used_at_once(void **state)
{
	struct bench b = bench_behind(&rsa_card, 0, false);

	(void)state;
	assert_int_equal(read_cert(&b), 1);
	assert_ok(sign(&b, PIV_KEY_9A, SPAN_NONE));
	assert_int_equal(spent(&b), 1);
	assert_ok(sign(&b, PIV_KEY_9C, PIN));
	assert_int_equal(spent(&b), 2);
	bench_free(&b);
}

/* Half of what an RSA-2048 operation needs; and no extended form at all. */
static void
test_limited_reader(void **state)
{
	static const struct {
		size_t max;
		unsigned sign;
	} rows[] = { { 256, 3 }, { 65536, 1 }, { 512, 1 }, { 260, 3 } };

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct bench b = bench_behind(&rsa_card, rows[i].max, false);

		assert_true(read_cert(&b) <= 6);
		assert_ok(sign(&b, PIV_KEY_9A, SPAN_NONE));
		assert_int_equal(spent(&b), rows[i].sign);
		bench_free(&b);
	}
}

static bool
is_extended(struct span cmd)
{
	return cmd.n >= 7 && cmd.p[4] == 0;
}

struct refusal {
	uint16_t sw;
	unsigned seen;
	struct vcard *card;
};

/* A card whose ATR promises too much. Real ones lose the PIN that was meant for this command. */
static bool
refuse(void *arg, struct span cmd, struct wbuf *rsp)
{
	struct refusal *r = arg;
	uint8_t answer[64];

	if (!is_extended(cmd))
		return false;
	r->seen++;
	vcard_transmit(r->card, (const uint8_t *)"\x00\xCB\x00\x00", 4, answer, sizeof answer);
	wbuf_be16(rsp, r->sw);
	return true;
}

static void
test_refusing_card(void **state)
{
	static const uint16_t refusals[] = { 0x6700, 0x6D00, 0x6E00, 0x6883 };

	(void)state;
	for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
		struct bench b = bench_behind(&rsa_card, 0, false);
		struct refusal r = { refusals[i], 0, b.card };
		enum piv_alg alg;
		EVP_PKEY *key = card_key(&b, PIV_KEY_9C, &alg);

		vreaders_answer_set(b.v, 0, refuse, &r);
		assert_ok(sign_with(&b, PIV_KEY_9C, alg, key, PIN));
		assert_int_equal(r.seen, 1);
		spent(&b);
		assert_ok(sign_with(&b, PIV_KEY_9C, alg, key, PIN));
		assert_int_equal(spent(&b), 4);
		assert_true(read_cert(&b) > 1);
		assert_int_equal(r.seen, 1); /* for good */
		EVP_PKEY_free(key);
		bench_free(&b);
	}
}

/* What the card refuses in both forms says nothing about the form. */
static void
test_true_refusal(void **state)
{
	struct bench b = bench_behind(&rsa_card, 0, false);
	WBUF_AUTO out;

	(void)state;
	wbuf_init(&out, PIV_OBJ_MAX);
	assert_true(vcard_fault_add(b.card, "ins CB 1 sw 6D00", NULL));
	assert_true(vcard_fault_add(b.card, "ins CB 2 sw 6D00", NULL));
	assert_err(piv_object_get(b.piv, PIV_OBJ_CCC, &out), E_UNSUP);
	spent(&b);
	assert_int_equal(read_cert(&b), 1);
	bench_free(&b);
}

static void
test_choking_reader(void **state)
{
	struct bench b = bench_behind(&rsa_card, 0, true);
	enum piv_alg alg;
	EVP_PKEY *key;

	(void)state;
	key = card_key(&b, PIV_KEY_9C, &alg); /* fails, a new transaction, the PIN again, in short form */
	assert_ok(sign_with(&b, PIV_KEY_9C, alg, key, PIN));
	assert_int_equal(spent(&b), 4);
	EVP_PKEY_free(key);
	piv_close(&b.piv);
	assert_ok(piv_open(&b.r, "Reader", &b.piv));
	login(&b);
	key = card_key(&b, PIV_KEY_9A, &alg);
	piv_close(&b.piv); /* and in the middle of a signature, inside a transaction */
	assert_ok(piv_open(&b.r, "Reader", &b.piv));
	login(&b);
	assert_ok(piv_begin(b.piv));
	assert_ok(sign_with(&b, PIV_KEY_9A, alg, key, SPAN_NONE));
	spent(&b);
	assert_ok(sign_with(&b, PIV_KEY_9A, alg, key, SPAN_NONE));
	assert_int_equal(spent(&b), 3);
	piv_end(b.piv);
	assert_int_equal(vcard_tries(b.card, 0x80), 3);
	EVP_PKEY_free(key);
	bench_free(&b);
}

/* --- cards that take it but answer in their own way: in pieces, or at most so much at once --- */

struct pieces {
	struct vcard *card;
	size_t max;
	bool wrong_le; /* 6Cxx instead of a piece */
	unsigned extended;
};

static bool
in_pieces(void *arg, struct span cmd, struct wbuf *rsp)
{
	struct pieces *p = arg;
	WBUF_AUTO shorter;
	uint8_t answer[300];
	struct span v = SPAN_NONE, head = SPAN_NONE;
	size_t n;

	wbuf_init(&shorter, 64);
	if (!is_extended(cmd) || cmd.n != 14) /* GET DATA with extended Lc and Le */
		return false;
	p->extended++;
	if (p->wrong_le && cmd.p[12] == 0 && cmd.p[13] == 0) {
		wbuf_be16(rsp, (uint16_t)(0x6C00 | (p->max & 0xFF)));
		return true;
	}
	assert_true(span_take(&cmd, 4, &head) && span_skip(&cmd, 3) && span_take(&cmd, 5, &v));
	wbuf_span(&shorter, head);
	wbuf_u8(&shorter, 5);
	wbuf_span(&shorter, v);
	wbuf_u8(&shorter, (uint8_t)p->max);
	n = vcard_transmit(p->card, shorter.p, shorter.n, answer, sizeof answer);
	wbuf_put(rsp, answer, n);
	return true;
}

static void
test_answers_in_pieces(void **state)
{
	static const struct {
		size_t max;
		bool wrong_le;
	} rows[] = { { 256, false }, { 128, false }, { 256, true }, { 200, true } };

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct bench b = bench_behind(&rsa_card, 0, false);
		struct pieces p = { b.card, rows[i].max, rows[i].wrong_le, 0 };

		vreaders_answer_set(b.v, 0, in_pieces, &p);
		assert_true(read_cert(&b) > 2);
		assert_true(p.extended > 0);
		assert_ok(sign(&b, PIV_KEY_9A, SPAN_NONE));
		assert_int_equal(spent(&b), 1);
		bench_free(&b);
	}
}

/* A card that cuts its answer at 256 bytes and says 9000. */
static bool
cut(void *arg, struct span cmd, struct wbuf *rsp)
{
	struct pieces p = { arg, 256, false, 0 };

	if (!in_pieces(&p, cmd, rsp))
		return false;
	wbuf_cut(rsp, rsp->n - 2);
	wbuf_be16(rsp, 0x9000);
	return true;
}

static void
test_cut_answers(void **state)
{
	struct bench b = bench_behind(&rsa_card, 0, false);

	(void)state;
	vreaders_answer_set(b.v, 0, cut, b.card);
	assert_true(read_cert(&b) > 4);
	assert_true(read_cert(&b) > 3);
	bench_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_atr),
		cmocka_unit_test(test_reader_properties),
		cmocka_unit_test(test_used_at_once),
		cmocka_unit_test(test_limited_reader),
		cmocka_unit_test(test_refusing_card),
		cmocka_unit_test(test_true_refusal),
		cmocka_unit_test(test_choking_reader),
		cmocka_unit_test(test_answers_in_pieces),
		cmocka_unit_test(test_cut_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
