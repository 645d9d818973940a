/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands on the wire, against a scripted reader: what is sent byte for byte, and what hostile answers lead to. */
#include <stdio.h>
#include <unistd.h>

#include "tests/lib/test.h"

#include "hw/apdu.h"

#define S(literal) span_of(literal, sizeof(literal) - 1)

/* Expected command (NULL: any) and answer, in turn; the last row is repeated when endless. */
struct step {
	struct span cmd, rsp;
};

struct script {
	const struct step *steps;
	size_t n, at;
	bool endless, reset_at_first;
	enum err fail;
};

static enum err
play(void *conn, struct span cmd, struct wbuf *rsp, bool *reset)
{
	struct script *s = conn;
	const struct step *step;

	*reset = false;
	if (s->fail != E_OK)
		return s->fail;
	if (s->reset_at_first) {
		*reset = true;
		return E_IO;
	}
	assert_true(s->at < s->n || s->endless);
	step = &s->steps[s->at < s->n ? s->at : s->n - 1];
	s->at++;
	if (step->cmd.p != NULL) {
		assert_int_equal(cmd.n, step->cmd.n);
		assert_memory_equal(cmd.p, step->cmd.p, cmd.n);
	}
	wbuf_span(rsp, step->rsp);
	return E_OK;
}

static const struct reader_ops ops = { .transmit = play };

static struct apdu_link
link_to(struct script *s)
{
	return (struct apdu_link){ .ops = &ops, .conn = s, .name = "Reader" };
}

static void
test_forms(void **state)
{
	static const struct {
		struct apdu a;
		struct span wire;
	} rows[] = {
#define B(l) { (const uint8_t *)(l), sizeof(l) - 1 }
		{ { .ins = 0x20, .p2 = 0x80 }, B("\x00\x20\x00\x80") },
		{ { .ins = 0xC0, .le = true }, B("\x00\xC0\x00\x00\x00") },
		{ { .ins = 0x20, .p2 = 0x80, .data = B("12345678") },
		    B("\x00\x20\x00\x80\x08"
		      "12345678") },
		{ { .ins = 0xCB, .p1 = 0x3F, .p2 = 0xFF, .data = B("\x5C\x01\x7E"), .le = true },
		    B("\x00\xCB\x3F\xFF\x03\x5C\x01\x7E\x00") },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct step step = { rows[i].wire, S("\x90\x00") };
		struct script s = { .steps = &step, .n = 1 };
		struct apdu_link l = link_to(&s);
		uint16_t sw;

		assert_ok(apdu_send(&l, &rows[i].a, NULL, &sw));
		assert_int_equal(sw, 0x9000);
		assert_int_equal(s.at, 1);
	}
}

/* SP 800-73-5 part 2, 3: pieces of 255, CLA 10 on all but the last, Le on the last alone. */
static void
test_chaining(void **state)
{
	uint8_t data[600], one[5 + 255], two[5 + 255], three[5 + 90 + 1];
	struct step steps[] = { { { one, sizeof one }, S("\x90\x00") }, { { two, sizeof two }, S("\x90\x00") },
		{ { three, sizeof three }, S("\xAA\x90\x00") } };
	struct script s = { .steps = steps, .n = 3 };
	struct apdu_link l = link_to(&s);
	struct apdu a = { .ins = 0x87, .p1 = 7, .p2 = 0x9A, .data = span_of(data, sizeof data), .le = true };
	WBUF_AUTO out;
	uint16_t sw;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof data; i++)
		data[i] = (uint8_t)i;
	memcpy(one, "\x10\x87\x07\x9A\xFF", 5);
	memcpy(one + 5, data, 255);
	memcpy(two, "\x10\x87\x07\x9A\xFF", 5);
	memcpy(two + 5, data + 255, 255);
	memcpy(three, "\x00\x87\x07\x9A\x5A", 5);
	memcpy(three + 5, data + 510, 90);
	three[95] = 0;
	wbuf_init(&out, 100);
	assert_ok(apdu_send(&l, &a, &out, &sw));
	assert_int_equal(s.at, 3);
	assert_bytes(wbuf_view(&out), "\xAA");
}

static void
test_chain_refused(void **state)
{
	uint8_t data[600] = { 0 };
	struct step steps[] = { { SPAN_NONE, S("\x69\x82") } };
	struct script s = { .steps = steps, .n = 1 };
	struct apdu_link l = link_to(&s);
	struct apdu a = { .ins = 0x87, .data = span_of(data, sizeof data), .le = true };
	uint16_t sw;

	(void)state;
	assert_ok(apdu_send(&l, &a, NULL, &sw));
	assert_int_equal(sw, 0x6982);
	assert_int_equal(s.at, 1); /* nothing more was sent */
}

static void
test_get_response(void **state)
{
	static const struct step steps[] = {
		{ B("\x00\xCB\x3F\xFF\x00"), B("ab\x61\x00") },
		{ B("\x00\xC0\x00\x00\x00"), B("cd\x61\x02") },
		{ B("\x00\xC0\x00\x00\x02"), B("ef\x90\x00") },
	};
	struct script s = { .steps = steps, .n = 3 };
	struct apdu_link l = link_to(&s);
	struct apdu a = { .ins = 0xCB, .p1 = 0x3F, .p2 = 0xFF, .le = true };
	WBUF_AUTO out;
	uint16_t sw;

	(void)state;
	wbuf_init(&out, 100);
	wbuf_u8(&out, 'x'); /* what was there stays */
	assert_ok(apdu_send(&l, &a, &out, &sw));
	assert_int_equal(sw, 0x9000);
	assert_bytes(wbuf_view(&out), "xabcdef");

	/* enough in hand: the rest is left */
	s.at = 0;
	a.first = 4;
	wbuf_clear(&out);
	assert_ok(apdu_send(&l, &a, &out, &sw));
	assert_int_equal(sw, 0x9000);
	assert_int_equal(s.at, 2);
	assert_bytes(wbuf_view(&out), "abcd");
}

/* T=0: the first answer is 61xx without data. */
static void
test_first_needs_data(void **state)
{
	static const struct step steps[] = { { B("\x00\xCB\x3F\xFF\x00"), B("\x61\x03") },
		{ B("\x00\xC0\x00\x00\x03"), B("abc\x61\x09") } };
	struct script s = { .steps = steps, .n = 2 };
	struct apdu_link l = link_to(&s);
	struct apdu a = { .ins = 0xCB, .p1 = 0x3F, .p2 = 0xFF, .le = true, .first = 2 };
	WBUF_AUTO out;
	uint16_t sw;

	(void)state;
	wbuf_init(&out, 100);
	assert_ok(apdu_send(&l, &a, &out, &sw));
	assert_bytes(wbuf_view(&out), "abc");
}

static void
test_wrong_le(void **state)
{
	static const struct step steps[] = { { B("\x00\xCB\x3F\xFF\x00"), B("\x6C\x02") },
		{ B("\x00\xCB\x3F\xFF\x02"), B("ok\x90\x00") } };
	static const struct step again[] = { { SPAN_NONE, B("\x6C\x02") } };
	struct script s = { .steps = steps, .n = 2 }, stubborn = { .steps = again, .n = 1, .endless = true };
	struct apdu_link l = link_to(&s);
	struct apdu a = { .ins = 0xCB, .p1 = 0x3F, .p2 = 0xFF, .le = true };
	WBUF_AUTO out;
	uint16_t sw;

	(void)state;
	wbuf_init(&out, 100);
	assert_ok(apdu_send(&l, &a, &out, &sw));
	assert_bytes(wbuf_view(&out), "ok");
	l = link_to(&stubborn);
	assert_ok(apdu_send(&l, &a, &out, &sw));
	assert_int_equal(sw, 0x6C02);
	assert_int_equal(stubborn.at, 2); /* repeated once, not for ever */
}

/* CVE-2025-49010: a card that goes on and on. */
static void
test_endless(void **state)
{
	static const struct step data[] = { { SPAN_NONE, B("0123456789abcdef\x61\x10") } };
	static const struct step empty[] = { { SPAN_NONE, B("\x61\x10") } };
	struct script much = { .steps = data, .n = 1, .endless = true },
		      nothing = { .steps = empty, .n = 1, .endless = true };
	struct apdu_link l = link_to(&much);
	struct apdu a = { .ins = 0xCB, .le = true };
	WBUF_AUTO out;
	uint16_t sw;

	(void)state;
	wbuf_init(&out, 1000);
	assert_err(apdu_send(&l, &a, &out, &sw), E_PROTO);
	assert_true(much.at < 100);
	wbuf_clear(&out);
	l = link_to(&nothing);
	assert_err(apdu_send(&l, &a, &out, &sw), E_PROTO);
	assert_true(nothing.at < 10);
	l = link_to(&much);
	much.at = 0;
	assert_err(apdu_send(&l, &a, NULL, &sw), E_PROTO); /* unwanted data is bounded, too */
	assert_true(much.at < 1000);
}

static void
test_short_answers(void **state)
{
	static const struct step none[] = { { SPAN_NONE, B("") } }, one[] = { { SPAN_NONE, B("\x90") } };
	struct script a = { .steps = none, .n = 1 }, b = { .steps = one, .n = 1 };
	struct apdu_link l = link_to(&a);
	struct apdu cmd = { .ins = 0x20 };
	uint16_t sw = 1;

	(void)state;
	assert_err(apdu_send(&l, &cmd, NULL, &sw), E_PROTO);
	assert_int_equal(sw, 0);
	l = link_to(&b);
	assert_err(apdu_send(&l, &cmd, NULL, &sw), E_PROTO);
}

static void
test_too_long_an_answer(void **state)
{
	static uint8_t big[300];
	struct step step = { SPAN_NONE, { big, sizeof big } };
	struct script s = { .steps = &step, .n = 1 };
	struct apdu_link l = link_to(&s);
	struct apdu a = { .ins = 0xCB, .le = true };
	uint16_t sw;

	(void)state;
	assert_err(apdu_send(&l, &a, NULL, &sw), E_PROTO); /* no short answer has 300 bytes */
}

static void
test_reset_and_removal(void **state)
{
	struct script s = { .reset_at_first = true }, gone = { .fail = E_CARDGONE };
	struct apdu_link l = link_to(&s);
	struct apdu a = { .ins = 0x20 };
	uint16_t sw;

	(void)state;
	assert_err(apdu_send(&l, &a, NULL, &sw), E_IO);
	assert_true(l.reset);
	l = link_to(&gone);
	assert_err(apdu_send(&l, &a, NULL, &sw), E_CARDGONE);
	assert_false(l.reset);
}

static void
test_extended(void **state)
{
	uint8_t data[300] = { 0 }, wire[7 + 300 + 2] = { 0x00, 0x87, 0x07, 0x9A, 0x00, 0x01, 0x2C };
	static uint8_t answer[400 + 2];
	struct step step = { { wire, sizeof wire }, { answer, sizeof answer } };
	struct script s = { .steps = &step, .n = 1 };
	struct apdu_link l = link_to(&s);
	struct apdu a = { .ins = 0x87, .p1 = 7, .p2 = 0x9A, .data = span_of(data, sizeof data), .le = true };
	WBUF_AUTO out;
	uint16_t sw;

	(void)state;
	answer[400] = 0x90;
	l.extended = true;
	wbuf_init(&out, 1000);
	assert_ok(apdu_send(&l, &a, &out, &sw));
	assert_int_equal(out.n, 400);
	assert_int_equal(s.at, 1);
}

/* DPIV_LOG is read once, so before main's first log line: see main. */
static char trace_file[] = "/tmp/dpiv-apdu-trace.XXXXXX";

/* Nothing that is secret, or derived from a secret, is in the trace; what helps to find a fault is. */
static void
test_trace(void **state)
{
	static const uint8_t secret_ins[] = { 0x20, 0x24, 0x2C, 0x87, 0xDB, 0xFF, 0xFE };
	static const struct step steps[] = { { SPAN_NONE, B("\xFE\xED\xBE\xEF\x61\x04") },
		{ SPAN_NONE, B("\xFE\xED\xBE\xEF\x90\x00") } };
	static char text[1 << 20];
	size_t i, n;
	FILE *f;

	(void)state;
	for (i = 0; i < sizeof secret_ins; i++) {
		struct script s = { .steps = steps, .n = 2 };
		struct apdu_link l = link_to(&s);
		struct apdu a = { .ins = secret_ins[i], .data = S("\xDE\xAD\xC0\xDE"), .le = true };
		WBUF_AUTO out;
		uint16_t sw;

		wbuf_init(&out, 100);
		assert_ok(apdu_send(&l, &a, &out, &sw));
	}
	{
		struct script s = { .steps = steps, .n = 2, .at = 1 };
		struct apdu_link l = link_to(&s);
		struct apdu a = { .ins = 0xA4, .data = S("\xA0\x00\x00\x03\x08"), .le = true };
		uint16_t sw;

		assert_ok(apdu_send(&l, &a, NULL, &sw));
	}
	f = fopen(trace_file, "r");
	assert_non_null(f);
	n = fread(text, 1, sizeof text - 1, f);
	fclose(f);
	assert_true(n > 0);
	assert_null(strstr(text, "DEADC0DE"));
	assert_non_null(strstr(text, "ins=87"));
	assert_non_null(strstr(text, "ins=C0"));
	assert_non_null(strstr(text, "A000000308"));
	/* the SELECT's answer is shown; it is the only one */
	assert_non_null(strstr(text, "FEEDBEEF"));
	assert_null(strstr(strstr(text, "FEEDBEEF") + 1, "FEEDBEEF"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_chaining),
		cmocka_unit_test(test_chain_refused),
		cmocka_unit_test(test_get_response),
		cmocka_unit_test(test_first_needs_data),
		cmocka_unit_test(test_wrong_le),
		cmocka_unit_test(test_endless),
		cmocka_unit_test(test_short_answers),
		cmocka_unit_test(test_too_long_an_answer),
		cmocka_unit_test(test_reset_and_removal),
		cmocka_unit_test(test_extended),
		cmocka_unit_test(test_trace),
	};
	char setting[64];
	int fd = mkstemp(trace_file), rv;

	if (fd < 0)
		return 1;
	close(fd);
	snprintf(setting, sizeof setting, "trace:%s", trace_file);
	setenv("DPIV_LOG", setting, 1);
	rv = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(trace_file);
	return rv;
}
