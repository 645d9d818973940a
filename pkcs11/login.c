/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PINs (PKCS#11 2.40, 5.6; SP 800-73-5 part 2, 3.2.1 and 2.4.3).
 *
 * A PIN goes to the card only if it can be one, only if the card has tries left, and on the last try only if the
 * caller was told so since the last refusal: CKF_USER_PIN_FINAL_TRY in C_GetTokenInfo is where a program learns it, and
 * a program that never looks must not block its user's card. One that was refused is never sent again from here.
 *
 * PIN-always keys: C_Login(CKU_CONTEXT_SPECIFIC) leaves the PIN in the operation, and the operation's own VERIFY goes
 * in one transaction with it, whatever the caller, or another program, does in between. The PIN that the login verified
 * and kept needs no second proof; any other is verified here first, so that a wrong one shows where the caller expects.
 */
#include <string.h>

#include "base/log.h"
#include "pkcs11/p11.h"
#include "pkcs11/remote.h"

#define PIN_MIN 6
#define PIN_MAX 8

#define TRIES_MS 1000 /* so long nobody else is expected to have used up tries */

/* Six to eight printable characters. That they are digits, except where a derived application allows letters (SP
 * 800-73-5 part 2, 2.4.3; SP 800-157r1, B.1), is checked by the card edge, which knows the application. */
static bool
pin_well_formed(struct span pin)
{
	for (size_t i = 0; i < pin.n; i++)
		if (pin.p[i] <= ' ' || pin.p[i] > '~')
			return false;
	return pin.n >= PIN_MIN && pin.n <= PIN_MAX;
}

/* Others may have used up tries since the card was asked. */
CK_RV
login_guard(struct p11_slot *slot)
{
	struct p11_token *t = slot->token;
	enum err e;

	if (t->tries > 0 && p11_now_ms() - t->tries_at > TRIES_MS)
		t->tries_known = false;
	if ((e = token_tries(t)) != E_OK)
		return token_result(slot, e);
	if (t->tries == 0)
		return CKR_PIN_LOCKED;
	if (t->tries == 1 && !t->final_shown && !conf_bool(slot->module->conf, "module", "last_try")) {
		log_warn("last-try",
		    "slot=%lu text=\"one PIN try left; not sent, because the program was not shown so\"", slot->id);
		return CKR_FUNCTION_REJECTED;
	}
	return CKR_OK;
}

CK_RV
login_outcome(struct p11_slot *slot, enum err e, int left)
{
	struct p11_token *t = slot->token;

	if (e == E_OK) {
		t->tries = -1;
		t->tries_known = true;
		t->refused = t->final_shown = false;
		return CKR_OK;
	}
	if (e == E_PINLEN) /* it never left: CKR_PIN_LEN_RANGE is none of C_Login's answers */
		return CKR_PIN_INCORRECT;
	if (e != E_PIN && e != E_PINLOCKED)
		return token_result(slot, e);
	token_logout(t, false); /* a refused VERIFY ends the card's security status */
	slot_pins_end(slot);
	t->refused = true;
	t->final_shown = false;
	t->tries = e == E_PINLOCKED ? 0 : left;
	t->tries_known = t->tries >= 0;
	t->tries_at = p11_now_ms();
	log_info("pin", "slot=%lu refused tries=%d", slot->id, t->tries);
	return t->tries == 0 ? CKR_PIN_LOCKED : CKR_PIN_INCORRECT;
}

static CK_RV
pin_verify(struct p11_slot *slot, struct span pin)
{
	bool keep = conf_bool(slot->module->conf, "module", "keep_pin");
	uint8_t ref;
	int left = -1;
	enum err e;
	CK_RV rv;

	if ((rv = login_guard(slot)) != CKR_OK)
		return rv;
	if ((e = piv_pin_primary(slot->token->card, &ref)) != E_OK)
		return token_result(slot, e);
	e = piv_pin_verify(slot->token->card, ref, pin, keep, &left);
	return login_outcome(slot, e, left);
}

CK_RV
login_user(struct p11_session *s, struct span pin)
{
	CK_RV rv;

	if (s->slot->token->user)
		return CKR_USER_ALREADY_LOGGED_IN;
	if (s->slot->remote != NULL)
		return remote_login(s, CKU_USER, pin.p, pin.n);
	if (!pin_well_formed(pin))
		return CKR_PIN_INCORRECT;
	if ((rv = pin_verify(s->slot, pin)) != CKR_OK)
		return rv;
	s->slot->token->user = true;
	fresh_set(s->slot, pin);
	return CKR_OK;
}

struct p11_op *
login_waiting(struct p11_session *s)
{
	if (s->op[OP_SIGN].active && s->op[OP_SIGN].always_auth)
		return &s->op[OP_SIGN];
	if (s->op[OP_DECRYPT].active && s->op[OP_DECRYPT].always_auth)
		return &s->op[OP_DECRYPT];
	return NULL;
}

CK_RV
login_context(struct p11_session *s, struct span pin)
{
	struct p11_token *t = s->slot->token;
	struct p11_op *op = login_waiting(s);
	CK_RV rv;

	if (s->slot->remote != NULL)
		return remote_login(s, CKU_CONTEXT_SPECIFIC, pin.p, pin.n);
	if (op == NULL)
		return CKR_OPERATION_NOT_INITIALIZED;
	if (op->context_login && !op->promised)
		return CKR_USER_ALREADY_LOGGED_IN;
	if (!pin_well_formed(pin))
		return CKR_PIN_INCORRECT;
	if (!piv_pin_is_kept(t->card, pin) && (rv = pin_verify(s->slot, pin)) != CKR_OK)
		return rv;
	t->user = true; /* it may have ended with a wrong PIN just before */
	secret_free(&op->pin);
	if ((op->pin = secret_copy(pin.p, pin.n)) == NULL)
		return CKR_HOST_MEMORY;
	op->context_login = true;
	op->promised = op->pad = false;
	return CKR_OK;
}

CK_RV
login(struct p11_session *s, CK_USER_TYPE user, const CK_BYTE *pin, CK_ULONG n)
{
	if (user == CKU_SO && slot_has_ro_session(s->slot))
		return CKR_SESSION_READ_ONLY_EXISTS;
	if (user != CKU_SO && user != CKU_USER && user != CKU_CONTEXT_SPECIFIC)
		return CKR_USER_TYPE_INVALID;
	if (user == CKU_USER && s->slot->token->user)
		return CKR_USER_ALREADY_LOGGED_IN;
	if (user == CKU_USER && s->slot->token->so != SO_NONE)
		return CKR_USER_ANOTHER_ALREADY_LOGGED_IN;
	if (s->slot->remote != NULL) /* which may take it from a keypad */
		return remote_login(s, user, pin, n);
	if (pin == NULL && n == 0 && pad_usable(s->slot, user == CKU_SO ? PIV_PAD_MODIFY : PIV_PAD_VERIFY))
		return pad_login(s, user);
	if (pin == NULL) /* only with a protected authentication path */
		return CKR_ARGUMENTS_BAD;
	if (user == CKU_SO)
		return login_so(s, span_of(pin, n));
	return user == CKU_USER ? login_user(s, span_of(pin, n)) : login_context(s, span_of(pin, n));
}

/* C_Logout ends what was private: handles, session objects, operations. */
CK_RV
logout(struct p11_session *s)
{
	struct p11_token *t = s->slot->token;

	if (!t->user && t->so == SO_NONE)
		return CKR_USER_NOT_LOGGED_IN;
	token_logout(t, true);
	slot_pins_end(s->slot);
	objects_drop_private(t);
	op_end(&s->op[OP_SIGN]);
	op_end(&s->op[OP_DECRYPT]);
	return CKR_OK;
}

CK_RV
pin_new_check(struct span pin)
{
	if (pin.n < PIN_MIN || pin.n > PIN_MAX)
		return CKR_PIN_LEN_RANGE;
	return pin_well_formed(pin) ? CKR_OK : CKR_PIN_INVALID;
}

CK_RV
login_set_pin(struct p11_session *s, const CK_BYTE *old, CK_ULONG old_n, const CK_BYTE *pin, CK_ULONG n)
{
	struct p11_token *t = s->slot->token;
	uint8_t ref;
	int left = -1;
	enum err e;
	CK_RV rv;

	if ((s->flags & CKF_RW_SESSION) == 0)
		return CKR_SESSION_READ_ONLY;
	if (old == NULL && pin == NULL && old_n == 0 && n == 0 && pad_usable(s->slot, PIV_PAD_MODIFY))
		return pad_set_pin(s);
	if (old == NULL || pin == NULL)
		return CKR_ARGUMENTS_BAD;
	if (s->slot->remote != NULL)
		return remote_set_pin(s, span_of(old, old_n), span_of(pin, n));
	if (t->so != SO_NONE)
		return login_set_puk(s, span_of(old, old_n), span_of(pin, n));
	if ((rv = pin_new_check(span_of(pin, n))) != CKR_OK)
		return rv;
	if (!pin_well_formed(span_of(old, old_n)))
		return CKR_PIN_INCORRECT;
	if ((rv = login_guard(s->slot)) != CKR_OK)
		return rv;
	if ((e = piv_pin_primary(t->card, &ref)) != E_OK)
		return token_result(s->slot, e);
	fresh_end(t);
	slot_pins_end(s->slot); /* they would be wrong ones */
	e = piv_pin_change(t->card, ref, span_of(old, old_n), span_of(pin, n), &left);
	return login_outcome(s->slot, e, left);
}
