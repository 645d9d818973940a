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
#include "pkcs11/p11.h"
#include "pkcs11/remote.h"

#define ADMIN_MAX 32
#define PUK_MIN	  6
#define PUK_MAX	  8

static bool
is_key_length(size_t n)
{
	return n == 16 || n == 24 || n == 32;
}

static int
hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Hexadecimal digits as bytes; false when there is anything else, or when they are no key. */
static bool
hex_key(struct span pin, uint8_t out[ADMIN_MAX])
{
	if (pin.n % 2 != 0 || !is_key_length(pin.n / 2))
		return false;
	for (size_t i = 0; i < pin.n; i += 2) {
		int high = hex_digit(pin.p[i]), low = hex_digit(pin.p[i + 1]);

		if (high < 0 || low < 0)
			return false;
		out[i / 2] = (uint8_t)(high << 4 | low);
	}
	return true;
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
	uint8_t key[ADMIN_MAX];
	CK_RV rv;

	if (t->so != SO_NONE)
		return CKR_USER_ALREADY_LOGGED_IN;
	if (t->user)
		return CKR_USER_ANOTHER_ALREADY_LOGGED_IN;
	if (pin.n >= PUK_MIN && pin.n <= PUK_MAX)
		return puk_login(t, pin);
	if (hex_key(pin, key))
		rv = admin_login(s->slot, span_of(key, pin.n / 2));
	else
		rv = is_key_length(pin.n) ? admin_login(s->slot, pin) : CKR_PIN_INCORRECT;
	explicit_bzero(key, sizeof key);
	return rv;
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
static CK_RV
puk_outcome(struct p11_slot *slot, enum err e)
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
	if (pin == NULL)
		return CKR_ARGUMENTS_BAD;
	if (t->so == SO_REMOTE)
		return remote_init_pin(s, span_of(pin, n));
	if (t->so == SO_ADMIN) /* a PIV card takes a new PIN for the old one or for the PUK only */
		return CKR_FUNCTION_NOT_SUPPORTED;
	if ((rv = pin_new_check(span_of(pin, n))) != CKR_OK)
		return rv;
	rv = puk_outcome(s->slot, piv_pin_unblock(t->card, secret_view(t->puk), span_of(pin, n), &left));
	if (rv == CKR_OK) {
		slot_pins_end(s->slot);
		t->tries_known = false;
		t->refused = t->final_shown = false;
	}
	return rv;
}

CK_RV
login_set_puk(struct p11_session *s, struct span old, struct span puk)
{
	struct p11_token *t = s->slot->token;
	struct secret *copy;
	int left = -1;
	CK_RV rv;

	if (t->so != SO_PUK)
		return CKR_FUNCTION_NOT_SUPPORTED;
	if (puk.n < PUK_MIN || puk.n > PUK_MAX)
		return CKR_PIN_LEN_RANGE;
	if ((copy = secret_copy(puk.p, puk.n)) == NULL)
		return CKR_HOST_MEMORY;
	rv = puk_outcome(s->slot, piv_pin_change(t->card, PIV_PUK, old, puk, &left));
	if (rv == CKR_OK) {
		secret_free(&t->puk);
		t->puk = copy;
		return CKR_OK;
	}
	secret_free(&copy);
	return rv;
}
