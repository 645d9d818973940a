/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PIN and PUK: VERIFY, CHANGE REFERENCE DATA, RESET RETRY COUNTER (SP 800-73-5 part 2, 3.2.1 to 3.2.3; formats in
 * 2.4.3).
 *
 * A value of the wrong form is turned away here: a card may count it as a try. Every value that is sent is padded in a
 * struct secret. The PIN that was verified may be kept to verify again after somebody else's reset; as soon as the card
 * refuses it, it is wiped, and nothing in this room sends it again.
 */
#include <string.h>

#include "hw/piv_int.h"

#define PIN_MIN 6

/* --- format --- */

static bool
is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static bool
is_letter(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Digits; on a derived application also letters (SP 800-157r1, 2.4.3 by way of the activation secret); a YubiKey takes
 * what is typed. */
static bool
has_form(const struct piv_card *card, uint8_t ref, struct span pin)
{
	size_t i;

	if (pin.n < PIN_MIN || pin.n > PIN_FIELD)
		return false;
	for (i = 0; i < pin.n; i++) {
		uint8_t c = pin.p[i];

		if (card->any_pin || ref == PIV_PUK ? c == 0xFF : !is_digit(c) && !(card->id.derived && is_letter(c)))
			return false;
	}
	return true;
}

static bool
all_digits(struct span pin)
{
	size_t i;

	for (i = 0; i < pin.n && is_digit(pin.p[i]); i++)
		;
	return i == pin.n;
}

/* YubiKey's GET VERSION: an instruction that no other PIV card knows. */
static enum err
version_step(struct piv_card *card, void *arg)
{
	struct apdu a = { .ins = INS_VERSION, .le = true };
	WBUF_AUTO answer;
	enum err e;

	(void)arg;
	wbuf_init(&answer, 256);
	if ((e = piv_send(card, &a, &answer)) != E_OK)
		return e;
	card->any_pin = card->sw == SW_OK && answer.n == 3;
	return E_OK;
}

/* More than digits: what does the card in the reader take? A PIN that it cannot have never reaches it. */
static enum err
other_form(struct piv_card *card, struct span pin)
{
	uint8_t primary;
	enum err e;

	if (pin.n < PIN_MIN || pin.n > PIN_FIELD)
		return E_OK;
	/* Letters belong to a derived application only: if which one is current was guessed, ask the card. */
	if (!card->aid_sure && (e = piv_pin_primary(card, &primary)) != E_OK)
		return e;
	return card->any_pin ? E_OK : piv_run(card, version_step, NULL, false);
}

static const char *
ref_name(uint8_t ref)
{
	return ref == PIV_PUK ? "PUK" : ref == PIV_PIN_GLOBAL ? "global PIN" : "PIN";
}

static enum err
bad_form(const struct piv_card *card, uint8_t ref)
{
	if (ref == PIV_PUK)
		return err_set(E_PINLEN, "%s: a PUK has 6 to 8 characters; nothing was sent to the card", card->name);
	return err_set(E_PINLEN, "%s: a %s has 6 to 8 digits%s; nothing was sent to the card", card->name,
	    ref_name(ref), card->id.derived ? " or letters" : "");
}

enum err
piv_pin_field(struct piv_card *card, uint8_t ref, struct span pin, struct secret **out)
{
	enum err e;

	*out = NULL;
	if (ref != PIV_PUK && !all_digits(pin) && (e = other_form(card, pin)) != E_OK)
		return e;
	if (!has_form(card, ref, pin))
		return bad_form(card, ref);
	if ((*out = secret_new(PIN_FIELD)) == NULL)
		return err_set(E_NOMEM, "no memory for a PIN");
	memset((*out)->v, 0xFF, PIN_FIELD);
	memcpy((*out)->v, pin.p, pin.n);
	(*out)->n = PIN_FIELD;
	return E_OK;
}

/* --- verdicts --- */

static void
forget_kept(struct piv_card *card)
{
	secret_free(&card->pin);
	card->fresh = false;
}

enum err
piv_pin_verdict(struct piv_card *card, uint8_t ref, int *left)
{
	const char *name = ref_name(ref);

	*left = -1;
	if (card->sw == SW_OK)
		return E_OK;
	if (card->sw == SW_BLOCKED) {
		*left = 0;
		return err_set(E_PINLOCKED, "%s: the %s is blocked%s", card->name, name,
		    ref == PIV_PUK ? "" : "; unblock it with the PUK or at the issuer");
	}
	if (piv_sw_is_wrong_pin(card->sw)) {
		*left = piv_sw_tries(card->sw);
		if (*left < 0)
			return err_set(E_PIN, "%s: wrong %s", card->name, name);
		return err_set(E_PIN, "%s: wrong %s, %d %s left%s", card->name, name, *left,
		    *left == 1 ? "try" : "tries", *left == 0 ? ": it is blocked now" : "");
	}
	if (card->sw == 0x6A80)
		return err_set(E_PINLEN, "%s: the card does not accept this %s (status 6A80)", card->name, name);
	if (card->sw == SW_NO_REFERENCE || card->sw == SW_NOT_FOUND)
		return err_set(E_UNSUP, "%s: the card has no %s (status %04X)", card->name, name, card->sw);
	return piv_refused(card, name);
}

/* --- VERIFY --- */

enum err
piv_verify(struct piv_card *card, uint8_t ref, const struct secret *field, int *left)
{
	struct apdu a = { .ins = INS_VERIFY, .p2 = ref, .data = secret_view(field) };
	enum err e;

	*left = -1;
	if ((e = piv_send(card, &a, NULL)) != E_OK)
		return e;
	if ((e = piv_pin_verdict(card, ref, left)) == E_OK) {
		card->user_ref = ref;
		return E_OK;
	}
	/* A verdict on the PIN, not "what is VERIFY?" from another application. field may be the kept PIN itself. */
	if (card->pin_ref == ref &&
	    (e == E_PINLOCKED || ((e == E_PIN || e == E_PINLEN) && secret_eq(card->pin, field))))
		forget_kept(card);
	return e;
}

struct pin_io {
	uint8_t ins, ref;	    /* ref: for VERIFY and CHANGE, P2; the PUK for RESET RETRY COUNTER */
	const struct secret *field; /* data */
	int left;
};

static enum err
verify_step(struct piv_card *card, void *arg)
{
	struct pin_io *io = arg;

	return piv_verify(card, io->ref, io->field, &io->left);
}

enum err
piv_pin_verify(struct piv_card *card, uint8_t ref, struct span pin, bool keep, int *left)
{
	struct pin_io io = { .ref = ref, .left = -1 };
	SECRET_AUTO field = NULL;
	enum err e;

	*left = -1;
	if ((e = piv_pin_field(card, ref, pin, &field)) != E_OK)
		return e;
	io.field = field;
	card->stay = card->stay || !keep;
	e = piv_run(card, verify_step, &io, false);
	card->stay = card->stay && (keep || e == E_OK);
	*left = io.left;
	if (e == E_OK && keep) {
		secret_free(&card->pin);
		card->pin = field;
		card->pin_ref = ref;
		card->fresh = card->depth > 0;
		field = NULL;
	}
	return e;
}

bool
piv_pin_is_kept(const struct piv_card *card, struct span pin)
{
	SECRET_AUTO field = NULL;

	if (card->pin == NULL || pin.n == 0 || pin.n > PIN_FIELD || (field = secret_new(PIN_FIELD)) == NULL)
		return false;
	memset(field->v, 0xFF, PIN_FIELD);
	memcpy(field->v, pin.p, pin.n);
	field->n = PIN_FIELD;
	return secret_eq(card->pin, field);
}

static enum err
tries_step(struct piv_card *card, void *arg)
{
	struct pin_io *io = arg;
	struct apdu a = { .ins = INS_VERIFY, .p2 = io->ref };
	enum err e;

	if ((e = piv_send(card, &a, NULL)) != E_OK)
		return e;
	io->left = piv_sw_tries(card->sw);
	if (card->sw == SW_OK || card->sw == SW_BLOCKED || piv_sw_is_wrong_pin(card->sw))
		return E_OK;
	return piv_pin_verdict(card, io->ref, &io->left);
}

enum err
piv_pin_tries(struct piv_card *card, uint8_t ref, int *left)
{
	struct pin_io io = { .ref = ref, .left = -1 };
	enum err e = piv_run(card, tries_step, &io, false);

	*left = io.left;
	return e;
}

/* --- CHANGE REFERENCE DATA, RESET RETRY COUNTER --- */

static enum err
change_step(struct piv_card *card, void *arg)
{
	struct pin_io *io = arg;
	struct apdu a = {
		.ins = io->ins, .p2 = io->ins == INS_UNBLOCK ? PIV_PIN_APP : io->ref, .data = secret_view(io->field)
	};
	enum err e;

	if ((e = piv_send(card, &a, NULL)) != E_OK)
		return e;
	return piv_pin_verdict(card, io->ref, &io->left);
}

/* Two fields in one secret: the old PIN or the PUK, then the new value. */
static enum err
two_fields(
    struct piv_card *card, uint8_t ref, struct span old, uint8_t new_ref, struct span new_pin, struct secret **out)
{
	SECRET_AUTO a = NULL;
	SECRET_AUTO b = NULL;
	enum err e;

	*out = NULL;
	if ((e = piv_pin_field(card, ref, old, &a)) != E_OK || (e = piv_pin_field(card, new_ref, new_pin, &b)) != E_OK)
		return e;
	if ((*out = secret_new(2 * PIN_FIELD)) == NULL)
		return err_set(E_NOMEM, "no memory for a PIN");
	memcpy((*out)->v, a->v, PIN_FIELD);
	memcpy((*out)->v + PIN_FIELD, b->v, PIN_FIELD);
	(*out)->n = 2 * PIN_FIELD;
	return E_OK;
}

enum err
piv_pin_change(struct piv_card *card, uint8_t ref, struct span old, struct span new_pin, int *left)
{
	struct pin_io io = { .ins = INS_CHANGE, .ref = ref, .left = -1 };
	SECRET_AUTO fields = NULL;
	SECRET_AUTO kept = NULL;
	enum err e;

	*left = -1;
	if ((e = two_fields(card, ref, old, ref, new_pin, &fields)) != E_OK)
		return e;
	io.field = fields;
	e = piv_run(card, change_step, &io, false);
	*left = io.left;
	if (card->pin_ref != ref || card->pin == NULL)
		return e;
	/* The kept PIN follows a change, and does not survive a refusal. */
	if (e == E_OK && piv_pin_field(card, ref, new_pin, &kept) == E_OK) {
		secret_free(&card->pin);
		card->pin = kept;
		kept = NULL;
	} else if (e == E_PINLOCKED || (e == E_PIN && piv_pin_is_kept(card, old))) {
		forget_kept(card);
	}
	return e;
}

enum err
piv_pin_unblock(struct piv_card *card, struct span puk, struct span new_pin, int *left)
{
	struct pin_io io = { .ins = INS_UNBLOCK, .ref = PIV_PUK, .left = -1 };
	SECRET_AUTO fields = NULL;
	enum err e;

	*left = -1;
	if ((e = two_fields(card, PIV_PUK, puk, PIV_PIN_APP, new_pin, &fields)) != E_OK)
		return e;
	io.field = fields;
	e = piv_run(card, change_step, &io, false);
	*left = io.left;
	if (e == E_OK && card->pin_ref == PIV_PIN_APP)
		forget_kept(card); /* the PIN is another one now, and not verified */
	return e;
}

/* --- logging out --- */

static enum err
logout_step(struct piv_card *card, void *arg)
{
	struct apdu a = { .ins = INS_VERIFY, .p1 = 0xFF, .p2 = card->user_ref };
	enum err e;

	(void)arg;
	if ((e = piv_send(card, &a, NULL)) != E_OK)
		return e;
	if (card->sw != SW_OK)
		card->reset_at_end = true; /* before SP 800-73-4 there was no other way */
	return E_OK;
}

void
piv_logout(struct piv_card *card)
{
	forget_kept(card);
	card->stay = false;
	if (card->gone || piv_begin(card) != E_OK)
		return; /* whoever was logged in, is not any more, or the card is out */
	if (piv_run(card, logout_step, NULL, false) != E_OK)
		card->reset_at_end = true;
	else
		piv_extended_probe(card);
	piv_end(card);
}
