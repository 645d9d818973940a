/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PINs that are typed on the reader's own keys and never pass through the host (PC/SC part 10, 2.5: FEATURE_VERIFY_PIN_
 * DIRECT, FEATURE_MODIFY_PIN_DIRECT). The host gives the command with room for the PIN, and says how a PIV card wants
 * it: eight bytes of ASCII, left-justified, filled up with FF, six to eight digits (SP 800-73-5 part 2, 2.4.3).
 *
 * The structures' numbers of several bytes are in the host's order, as pcsc-lite's reader.h has it. The reader's own
 * status words (part 10, 2.5.1) are no answers of the card: 6400 nobody typed, 6401 the cancel key, 6402 the new PIN
 * was not repeated, 6403 too short or too long. Before somebody is asked to type, it is made sure that the card listens
 * as a PIV card: nobody wants to type twice.
 */
#include <string.h>

#include "hw/piv_int.h"

#define SECONDS	      30   /* for the first key, and between keys */
#define FORMAT	      0x82 /* positions in bytes, none; left-justified; ASCII */
#define BLOCK	      PIN_FIELD
#define DIGITS	      0x0608 /* six to eight */
#define ON_KEY	      0x02   /* entered when its key is pressed */
#define ENGLISH	      0x0409
#define CONFIRM_NEW   0x01 /* typed twice */
#define CONFIRM_ALL   0x03 /* and the old one before */
#define OWN_TIMEOUT   0x6400
#define OWN_CANCEL    0x6401
#define OWN_DIFFERENT 0x6402
#define OWN_LENGTH    0x6403

static void
put_u16(struct wbuf *w, uint16_t v)
{
	wbuf_put(w, &v, sizeof v);
}

/* bTeoPrologue, ulDataLength, abData: the command with FF where PINs go. */
static void
put_command(struct wbuf *w, uint8_t ins, uint8_t ref, const struct secret *first, size_t fields)
{
	uint32_t n = (uint32_t)(5 + fields * PIN_FIELD);

	wbuf_fill(w, 0, 3);
	wbuf_put(w, &n, sizeof n);
	wbuf_u8(w, 0x00);
	wbuf_u8(w, ins);
	wbuf_u8(w, 0x00);
	wbuf_u8(w, ref);
	wbuf_u8(w, (uint8_t)(fields * PIN_FIELD));
	if (first != NULL)
		wbuf_span(w, secret_view(first));
	wbuf_fill(w, 0xFF, (fields - (first != NULL)) * PIN_FIELD);
}

static void
put_verify(struct wbuf *w, uint8_t ref)
{
	const uint8_t head[] = { SECONDS, SECONDS, FORMAT, BLOCK, 0 };

	wbuf_put(w, head, sizeof head);
	put_u16(w, DIGITS);
	wbuf_u8(w, ON_KEY);
	wbuf_u8(w, 1); /* one message, the first */
	put_u16(w, ENGLISH);
	wbuf_u8(w, 0);
	put_command(w, INS_VERIFY, ref, NULL, 1);
}

/* first: the old PIN or the PUK when it is known and need not be typed. */
static void
put_modify(struct wbuf *w, uint8_t ins, uint8_t ref, const struct secret *first)
{
	const uint8_t head[] = { SECONDS, SECONDS, FORMAT, BLOCK, 0, 0, PIN_FIELD };

	wbuf_put(w, head, sizeof head);
	put_u16(w, DIGITS);
	wbuf_u8(w, first != NULL ? CONFIRM_NEW : CONFIRM_ALL);
	wbuf_u8(w, ON_KEY);
	wbuf_u8(w, first != NULL ? 2 : 3); /* messages */
	put_u16(w, ENGLISH);
	wbuf_u8(w, 0);
	wbuf_u8(w, 1);
	wbuf_u8(w, 2);
	put_command(w, ins, ref, first, 2);
}

/* --- the reader's answer --- */

static enum err
own_answer(struct piv_card *card, uint16_t sw)
{
	card->sw = 0; /* not the card's */
	switch (sw) {
	case OWN_TIMEOUT: return err_set(E_CANCELED, "%s: no PIN was typed in time", card->name);
	case OWN_CANCEL: return err_set(E_CANCELED, "%s: canceled on the reader", card->name);
	case OWN_DIFFERENT: return err_set(E_PINLEN, "%s: the new PIN was not typed twice alike", card->name);
	case OWN_LENGTH: return err_set(E_PINLEN, "%s: a PIN has 6 to 8 digits", card->name);
	default: card->sw = sw; return E_OK;
	}
}

static enum err
pad_send(struct piv_card *card, unsigned feature, const struct wbuf *block)
{
	WBUF_AUTO rsp;
	struct span tail;
	uint16_t sw;
	enum err e;

	wbuf_init(&rsp, 264);
	card->sw = 0;
	if (block->bad)
		return err_set(E_NOMEM, "no memory for the PIN pad");
	if ((e = piv_confirm(card)) != E_OK)
		return e;
	e = card->link.ops->control(card->link.conn, feature, wbuf_view(block), &rsp, &card->link.reset);
	if (e != E_OK)
		return e;
	if (rsp.n < 2 || !span_sub(wbuf_view(&rsp), rsp.n - 2, 2, &tail) || !span_be16(&tail, &sw))
		return err_set(E_PROTO, "%s: the PIN pad's answer is malformed", card->name);
	if ((e = own_answer(card, sw)) == E_OK && sw == SW_OK)
		card->proven = true;
	return e;
}

/* --- the card edge's side --- */

unsigned
piv_pad(struct piv_card *card)
{
	const struct reader_ops *ops = card->link.ops;
	uint32_t f = ops->features != NULL && ops->control != NULL ? ops->features(card->link.conn) : 0;

	return ((f >> FEATURE_VERIFY & 1) != 0 ? PIV_PAD_VERIFY : 0) |
	    ((f >> FEATURE_MODIFY & 1) != 0 ? PIV_PAD_MODIFY : 0);
}

void
piv_pad_interrupt(struct piv_card *card)
{
	if (card->link.ops->interrupt != NULL)
		card->link.ops->interrupt(card->link.conn);
}

enum err
piv_verify_pad(struct piv_card *card, uint8_t ref, int *left)
{
	WBUF_AUTO block;
	enum err e;

	*left = -1;
	wbuf_init(&block, 64);
	put_verify(&block, ref);
	if ((e = pad_send(card, FEATURE_VERIFY, &block)) != E_OK)
		return e;
	if ((e = piv_pin_verdict(card, ref, left)) == E_OK)
		card->user_ref = ref;
	/* What was kept may be another PIN, and nobody can tell. */
	if (e == E_OK || e == E_PIN || e == E_PINLOCKED) {
		secret_free(&card->pin);
		card->fresh = false;
	}
	return e;
}

struct pad_io {
	uint8_t ins, ref;
	const struct secret *first;
	int left;
};

static enum err
verify_step(struct piv_card *card, void *arg)
{
	struct pad_io *io = arg;

	return piv_verify_pad(card, io->ref, &io->left);
}

static enum err
modify_step(struct piv_card *card, void *arg)
{
	struct pad_io *io = arg;
	WBUF_AUTO block;
	enum err e;

	wbuf_init(&block, 64);
	put_modify(&block, io->ins, io->ins == INS_UNBLOCK ? PIV_PIN_APP : io->ref, io->first);
	if ((e = pad_send(card, FEATURE_MODIFY, &block)) != E_OK)
		return e;
	return piv_pin_verdict(card, io->ref, &io->left);
}

static enum err
pad_run(struct piv_card *card, piv_step *step, struct pad_io *io, int *left)
{
	enum err e = piv_run(card, step, io, false);

	*left = io->left;
	return e;
}

enum err
piv_pin_verify_pad(struct piv_card *card, uint8_t ref, int *left)
{
	struct pad_io io = { INS_VERIFY, ref, NULL, -1 };

	return pad_run(card, verify_step, &io, left);
}

enum err
piv_pin_change_pad(struct piv_card *card, uint8_t ref, int *left)
{
	struct pad_io io = { INS_CHANGE, ref, NULL, -1 };
	enum err e = pad_run(card, modify_step, &io, left);

	/* The kept PIN is now another one; which, the host does not know. */
	if (ref == card->pin_ref && (e == E_OK || e == E_PIN || e == E_PINLOCKED))
		secret_free(&card->pin);
	return e;
}

enum err
piv_pin_unblock_pad(struct piv_card *card, struct span puk, int *left)
{
	struct pad_io io = { INS_UNBLOCK, PIV_PUK, NULL, -1 };
	SECRET_AUTO field = NULL;
	enum err e;

	*left = -1;
	if (puk.n > 0 && (e = piv_pin_field(card, PIV_PUK, puk, &field)) != E_OK)
		return e;
	io.first = field;
	e = pad_run(card, modify_step, &io, left);
	if (e == E_OK)
		secret_free(&card->pin);
	return e;
}
