/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The security officer (PKCS#11 2.40, 5.6). A PIV card knows two secrets beside the user's PIN, and either may be given
 * as the SO PIN; their lengths tell them apart:
 *
 *	management key (9B)	16, 24 or 32 bytes, or twice as many hexadecimal digits; it is proved to the card at
 *once. With it keys are made, certificates and data objects written and emptied. PUK			six to eight
 *characters. The card has no command that only checks it, so it is kept and goes to the card with C_InitPIN (RESET
 *RETRY COUNTER, SP 800-73-5 part 2, 3.2.3) or C_SetPIN (a new PUK); a wrong one shows there, ends the login and is not
 *sent again.
 *
 * The management key is not kept: when another program resets the card, the login has ended, and says so.
 */
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "pkcs11/p11.h"
#include "pkcs11/remote.h"

#define PUK_MIN 6
#define PUK_MAX 8

static bool
is_key_length(size_t n)
{
	return n == 16 || n == 24 || n == 32;
}

bool
admin_key_hex(struct span text, struct secret *out)
{
	uint8_t byte;

	if (text.n % 2 != 0 || !is_key_length(text.n / 2))
		return false;
	for (size_t i = 0; i < text.n; i += 2) {
		int high = text_hex_digit(text.p[i]), low = text_hex_digit(text.p[i + 1]);

		byte = (uint8_t)(high << 4 | low);
		if (high < 0 || low < 0 || !secret_put(out, &byte, 1))
			return false;
	}
	return true;
}

/* What was typed as a management key: hexadecimal digits, or the bytes themselves; NULL when it cannot be one. */
static struct secret *
admin_key(struct span typed)
{
	struct secret *key = secret_new(ADMIN_KEY_MAX);

	if (key == NULL || admin_key_hex(typed, key))
		return key;
	secret_free(&key);
	return is_key_length(typed.n) ? secret_copy(typed.p, typed.n) : NULL;
}

static CK_RV
admin_login(struct p11_slot *slot, struct span key)
{
	enum err e = piv_admin_auth(slot->token->card, PIV_ALG_NONE, key);

	if (e == E_AUTH) {
		log_info("so", "slot=%lu refused", slot->id);
		return CKR_PIN_INCORRECT;
	}
	if (e == E_OK)
		slot->token->so = SO_ADMIN;
	return token_result(slot, e);
}

static CK_RV
puk_login(struct p11_token *t, struct span pin)
{
	if ((t->puk = secret_copy(pin.p, pin.n)) == NULL)
		return CKR_HOST_MEMORY;
	t->so = SO_PUK;
	return CKR_OK;
}

CK_RV
login_so(struct p11_session *s, struct span pin)
{
	struct p11_token *t = s->slot->token;
	SECRET_AUTO key = NULL;

	if (t->so != SO_NONE)
		return CKR_USER_ALREADY_LOGGED_IN;
	if (t->user)
		return CKR_USER_ANOTHER_ALREADY_LOGGED_IN;
	if (pin.n >= PUK_MIN && pin.n <= PUK_MAX)
		return puk_login(t, pin);
	if ((key = admin_key(pin)) == NULL)
		return CKR_PIN_INCORRECT;
	return admin_login(s->slot, secret_view(key));
}

CK_RV
login_so_pad(struct p11_session *s)
{
	struct p11_token *t = s->slot->token;

	if (t->so != SO_NONE)
		return CKR_USER_ALREADY_LOGGED_IN;
	if (t->user)
		return CKR_USER_ANOTHER_ALREADY_LOGGED_IN;
	t->so = SO_PUK;
	return CKR_OK;
}

void
login_so_end(struct p11_token *t, bool tell_card)
{
	if (t->so == SO_ADMIN && tell_card && t->card != NULL)
		piv_admin_end(t->card);
	secret_free(&t->puk);
	t->so = SO_NONE;
}

/* What the card said to the PUK. */
CK_RV
login_puk_outcome(struct p11_slot *slot, enum err e)
{
	if (e == E_OK)
		return CKR_OK;
	if (e == E_PINLEN)
		return CKR_PIN_LEN_RANGE;
	if (e != E_PIN && e != E_PINLOCKED)
		return token_result(slot, e);
	log_info("puk", "slot=%lu refused", slot->id);
	login_so_end(slot->token, false);
	return e == E_PIN ? CKR_PIN_INCORRECT : CKR_PIN_LOCKED;
}

CK_RV
login_init_pin(struct p11_session *s, const CK_BYTE *pin, CK_ULONG n)
{
	struct p11_token *t = s->slot->token;
	int left = -1;
	CK_RV rv;

	if (t->so == SO_NONE)
		return CKR_USER_NOT_LOGGED_IN;
	if (pin == NULL && (n != 0 || !pad_usable(s->slot, PIV_PAD_MODIFY)))
		return CKR_ARGUMENTS_BAD;
	if (t->so == SO_REMOTE)
		return remote_init_pin(s, span_of(pin, n));
	if (t->so == SO_ADMIN) /* a PIV card takes a new PIN for the old one or for the PUK only */
		return CKR_FUNCTION_NOT_SUPPORTED;
	if (pin != NULL && t->puk == NULL) /* the PUK is to be typed on the reader, and nothing else then */
		return CKR_ARGUMENTS_BAD;
	if (pin != NULL && (rv = pin_new_check(span_of(pin, n))) != CKR_OK)
		return rv;
	if (pin == NULL)
		rv = pad_init_pin(s);
	else
		rv = login_puk_outcome(s->slot, piv_pin_unblock(t->card, secret_view(t->puk), span_of(pin, n), &left));
	if (rv == CKR_OK) {
		slot_pins_end(s->slot);
		t->tries_known = false;
		t->refused = t->final_shown = false;
	}
	return rv;
}

/* As long as the present one: the same cipher. Else AES, of which the length is the cipher. */
static enum err
admin_alg(struct piv_card *card, size_t old_n, size_t n, enum piv_alg *alg)
{
	struct piv_metadata m;
	WBUF_AUTO answer = { 0 };
	enum err e;

	wbuf_init(&answer, PIV_METADATA_MAX);
	e = piv_metadata_get(card, PIV_KEY_9B, &answer, &m);
	if (e != E_OK && e != E_UNSUP && e != E_NOTFOUND)
		return e;
	*alg = n == 16 ? PIV_ALG_AES128 : n == 32 ? PIV_ALG_AES256 : PIV_ALG_AES192;
	if (n == 24 && old_n == n)
		*alg = e == E_OK && m.alg == PIV_ALG_AES192 ? PIV_ALG_AES192 : PIV_ALG_3DES;
	return E_OK;
}

/* A new management key: the old one is proved again. Not where the card keeps it under the PIN, because that copy,
 * which the security officer cannot write, would be of no key. */
static CK_RV
set_admin(struct p11_slot *slot, struct span old, struct span typed)
{
	struct piv_card *card = slot->token->card;
	SECRET_AUTO was = admin_key(old);
	SECRET_AUTO key = admin_key(typed);
	enum piv_alg alg;
	bool protected;
	enum err e;

	if (was == NULL)
		return CKR_PIN_INCORRECT;
	if (key == NULL)
		return CKR_PIN_LEN_RANGE;
	if ((e = piv_admin_auth(card, PIV_ALG_NONE, secret_view(was))) == E_AUTH)
		return CKR_PIN_INCORRECT;
	if (e != E_OK || (e = admin_is_protected(card, &protected)) != E_OK ||
	    (e = admin_alg(card, was->n, key->n, &alg)) != E_OK)
		return token_result(slot, e);
	if (protected) {
		log_warn("so", "slot=%lu text=\"the card keeps its management key under the PIN\"", slot->id);
		return CKR_FUNCTION_REJECTED;
	}
	e = piv_admin_set(card, alg, secret_view(key));
	if (e == E_ARG)
		log_info("so", "slot=%lu error=\"%s\"", slot->id, err_msg());
	return e == E_ARG ? CKR_PIN_INVALID : token_result(slot, e);
}

CK_RV
login_set_puk(struct p11_session *s, struct span old, struct span puk)
{
	struct p11_token *t = s->slot->token;
	struct secret *copy;
	int left = -1;
	CK_RV rv;

	if (t->so == SO_ADMIN)
		return set_admin(s->slot, old, puk);
	if (puk.n < PUK_MIN || puk.n > PUK_MAX)
		return CKR_PIN_LEN_RANGE;
	if ((copy = secret_copy(puk.p, puk.n)) == NULL)
		return CKR_HOST_MEMORY;
	rv = login_puk_outcome(s->slot, piv_pin_change(t->card, PIV_PUK, old, puk, &left));
	if (rv == CKR_OK) {
		secret_free(&t->puk);
		t->puk = copy;
		return CKR_OK;
	}
	secret_free(&copy);
	return rv;
}
