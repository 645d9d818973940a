/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The whole card edge over a reader whose answers are the input: one control byte an exchange (what happens), then a
 * length (FF: 256) and the answer. Every call is made, in an order that the input chooses. Besides memory errors this
 * looks for results of the wrong length, for results beside an error, for a transaction that is left open, and for a
 * card that keeps the host busy for ever.
 */
#include <stdlib.h>
#include <string.h>

#include "hw/piv_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define EXCHANGES_MAX 3000

struct tape {
	struct span in;
	unsigned exchanges;
	int depth;
};

static enum err
op_list(void *ctx, struct reader_list *out)
{
	struct tape *t = ctx;
	uint8_t b;

	memset(out, 0, sizeof *out);
	out->n = 1;
	strcpy(out->r[0].name, "Reader");
	out->r[0].present = true;
	out->r[0].event = span_u8(&t->in, &b) && b >= 0xE0;
	return E_OK;
}

static enum err
op_connect(void *ctx, const char *name, void **conn)
{
	(void)name;
	*conn = ctx;
	return E_OK;
}

static void
op_disconnect(void *conn)
{
	struct tape *t = conn;

	if (t->depth != 0)
		abort();
}

static enum err
op_begin(void *conn, bool *reset)
{
	struct tape *t = conn;
	uint8_t b = 0;

	if (!span_u8(&t->in, &b))
		b = 0;
	*reset = b >= 0xC0;
	if (b == 0xBF)
		return err_set(E_CARDGONE, "gone");
	t->depth++;
	return E_OK;
}

static void
op_end(void *conn, bool reset_card)
{
	struct tape *t = conn;

	(void)reset_card;
	t->depth--;
}

static enum err
op_transmit(void *conn, struct span cmd, struct wbuf *rsp, bool *reset)
{
	struct tape *t = conn;
	struct span answer;
	uint8_t what, n;
	size_t len;

	*reset = false;
	if (t->depth != 1 || cmd.n < 4 || ++t->exchanges > EXCHANGES_MAX)
		abort();
	if (!span_u8(&t->in, &what))
		return err_set(E_CARDGONE, "gone");
	if (what == 0xFF) {
		*reset = true;
		return err_set(E_IO, "reset");
	}
	if (what == 0xFE)
		return err_set(E_IO, "trouble");
	if (!span_u8(&t->in, &n))
		return err_set(E_CARDGONE, "gone");
	len = n == 0xFF ? 256 : n;
	if (!span_take(&t->in, len < t->in.n ? len : t->in.n, &answer))
		return err_set(E_CARDGONE, "gone");
	wbuf_span(rsp, answer);
	if (what < 0xC0) { /* mostly something with a good status word, else nothing gets far */
		wbuf_u8(rsp, what & 1 ? 0x61 : 0x90);
		wbuf_u8(rsp, what & 1 ? what : 0x00);
	}
	return E_OK;
}

static struct span
op_atr(void *conn)
{
	(void)conn;
	return span_of("\x3B\x00", 2);
}

static const struct reader_ops ops = { .list = op_list,
	.connect = op_connect,
	.disconnect = op_disconnect,
	.begin = op_begin,
	.end = op_end,
	.transmit = op_transmit,
	.atr = op_atr };

static void
use(struct piv_card *card, uint8_t ref, enum piv_alg alg, enum piv_op op, struct span in, struct span pin)
{
	size_t want = alg == PIV_ALG_ED25519 || (piv_alg_is_ec(alg) && op == PIV_OP_SIGN) ? 2 * piv_alg_len(alg)
											  : piv_alg_len(alg);
	WBUF_AUTO out;
	int left;
	enum err e;

	wbuf_init(&out, 1024);
	e = piv_key_use(card, ref, alg, op, in, pin, &left, &out);
	if (e == E_OK ? out.n != want : out.n != 0)
		abort();
}

static void
call(struct piv_card *card, uint8_t what)
{
	static const uint8_t block[256] = { 0, 1 };
	static const uint8_t point[65] = { 0x04, 0x6B, 0x17, 0xD1, 0xF2, 0xE1, 0x2C, 0x42, 0x47, 0xF8, 0xBC, 0xE6, 0xE5,
		0x63, 0xA4, 0x40, 0xF2, 0x77, 0x03, 0x7D, 0x81, 0x2D, 0xEB, 0x33, 0xA0, 0xF4, 0xA1, 0x39, 0x45, 0xD8,
		0x98, 0xC2, 0x96, 0x4F, 0xE3, 0x42, 0xE2, 0xFE, 0x1A, 0x7F, 0x9B, 0x8E, 0xE7, 0xEB, 0x4A, 0x7C, 0x0F,
		0x9E, 0x16, 0x2B, 0xCE, 0x33, 0x57, 0x6B, 0x31, 0x5E, 0xCE, 0xCB, 0xB6, 0x40, 0x68, 0x37, 0xBF, 0x51,
		0xF5 }; /* P-256's generator */
	struct span pin = span_str("123456"), key = span_of("0123456789abcdef01234567", 24);
	WBUF_AUTO out;
	uint8_t ref;
	int left;
	enum err e = E_OK;

	wbuf_init(&out, PIV_OBJ_MAX);
	switch (what % 16) {
	case 0: use(card, PIV_KEY_9A, PIV_ALG_RSA2048, PIV_OP_SIGN, span_of(block, 256), SPAN_NONE); break;
	case 1: use(card, PIV_KEY_9C, PIV_ALG_P256, PIV_OP_SIGN, span_of(block, 32), pin); break;
	case 2: use(card, PIV_KEY_9D, PIV_ALG_P256, PIV_OP_DERIVE, span_of(point, 65), SPAN_NONE); break;
	case 3: use(card, PIV_KEY_9A, PIV_ALG_P384, PIV_OP_SIGN, span_of(block, 48), SPAN_NONE); break;
	case 4: e = piv_cert_get(card, PIV_KEY_9A, &out); break;
	case 5: e = piv_object_get(card, PIV_OBJ_HISTORY, &out); break;
	case 6: e = piv_pin_primary(card, &ref); break;
	case 7: e = piv_pin_tries(card, PIV_PIN_APP, &left); break;
	case 8: e = piv_pin_verify(card, PIV_PIN_APP, pin, true, &left); break;
	case 9: e = piv_admin_auth(card, PIV_ALG_NONE, key); break;
	case 10: e = piv_key_generate(card, PIV_KEY_9A, PIV_ALG_P256, (struct piv_policy){ 0, 0 }, &out); break;
	case 11: e = piv_key_generate(card, PIV_KEY_9A, PIV_ALG_RSA2048, (struct piv_policy){ 0, 0 }, &out); break;
	case 12: e = piv_cert_put(card, PIV_KEY_9A, span_of("\x30\x02\x05\x00", 4)); break;
	case 13: e = piv_pin_change(card, PIV_PIN_APP, pin, span_str("654321"), &left); break;
	case 14: piv_logout(card); break;
	case 15: e = piv_present(card); break;
	}
	if (e != E_OK && out.n != 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tape t = { .in = span_of(data, size) };
	struct readers r = { &ops, &t };
	struct piv_card *card;
	bool together;
	uint8_t what;
	int i;

	if (!span_u8(&t.in, &what) || piv_open(&r, "Reader", &card) != E_OK)
		return 0;
	together = (what & 1) && piv_begin(card) == E_OK;
	for (i = 0; i < 24 && span_u8(&t.in, &what); i++)
		call(card, what);
	if (together)
		piv_end(card);
	piv_close(&card);
	return t.depth == 0 ? 0 : (abort(), 0);
}
