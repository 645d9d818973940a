/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PINs typed on the reader's own keys (PKCS#11 2.40, 5.6: CKF_PROTECTED_AUTHENTICATION_PATH; PC/SC part 10). A NULL PIN
 * means the pad, where there is one and [module] pin_pad has not switched it off; programs see the flag and do not ask.
 * The PIN is never in the host, so none is kept: another program's reset ends the login, and the next one is typed
 * again.
 *
 * PIN-always keys: the context-specific login only says that the pad is to be used; VERIFY is typed, and the operation
 * follows, in one transaction at C_Sign. The guard of the last try is the same as for other PINs.
 *
 * Whoever waits holds the slot's lock and no other. C_CloseSession, C_CloseAllSessions, C_SessionCancel and C_Finalize
 * in other threads end the waiting as far as the reader can (ask.c); the reader's time limit, its cancel key and its
 * plug always do.
 */
#include "base/log.h"
#include "pkcs11/ask.h"

bool
pad_usable(struct p11_slot *slot, unsigned what)
{
	struct p11_token *t = slot->token;

	return conf_bool(slot->module->conf, "module", "pin_pad") && t->card != NULL &&
	    (piv_pad(t->card) & what) == what;
}

void
pad_begin(struct p11_session *s)
{
	ask_begin(s);
	atomic_store(&s->slot->on_pad, true);
}

void
pad_end(struct p11_session *s)
{
	atomic_store(&s->slot->on_pad, false);
	ask_end(s);
}

/* --- C_Login --- */

static CK_RV
pad_login_user(struct p11_session *s)
{
	struct p11_token *t = s->slot->token;
	uint8_t ref;
	int left = -1;
	enum err e;
	CK_RV rv;

	if ((rv = login_guard(s->slot)) != CKR_OK)
		return rv;
	if ((e = piv_pin_primary(t->card, &ref)) != E_OK)
		return token_result(s->slot, e);
	pad_begin(s);
	e = piv_pin_verify_pad(t->card, ref, &left);
	pad_end(s);
	if ((rv = login_outcome(s->slot, e, left)) == CKR_OK)
		t->user = true;
	return rv;
}

/* Nothing is typed yet: it will be at C_Sign. */
static CK_RV
pad_login_context(struct p11_session *s)
{
	struct p11_op *op = login_waiting(s);
	CK_RV rv;

	if (op == NULL)
		return CKR_OPERATION_NOT_INITIALIZED;
	if (op->context_login)
		return CKR_USER_ALREADY_LOGGED_IN;
	if ((rv = login_guard(s->slot)) != CKR_OK)
		return rv;
	op->context_login = op->pad = true;
	return CKR_OK;
}

CK_RV
pad_login(struct p11_session *s, CK_USER_TYPE user)
{
	if (user == CKU_CONTEXT_SPECIFIC)
		return pad_login_context(s);
	return user == CKU_USER ? pad_login_user(s) : login_so_pad(s);
}

/* --- C_SetPIN, C_InitPIN --- */

/* What was typed is no PIN, or was not repeated: no try was spent. */
static CK_RV
typed(CK_RV rv, enum err e)
{
	return e == E_PINLEN ? CKR_PIN_INVALID : rv;
}

CK_RV
pad_set_pin(struct p11_session *s)
{
	struct p11_token *t = s->slot->token;
	bool puk = t->so == SO_PUK;
	uint8_t ref = PIV_PUK;
	int left = -1;
	enum err e;
	CK_RV rv;

	if (t->so == SO_ADMIN)
		return CKR_FUNCTION_NOT_SUPPORTED;
	if (!puk && (rv = login_guard(s->slot)) != CKR_OK)
		return rv;
	if (!puk && (e = piv_pin_primary(t->card, &ref)) != E_OK)
		return token_result(s->slot, e);
	fresh_end(t);
	slot_pins_end(s->slot);
	pad_begin(s);
	e = piv_pin_change_pad(t->card, ref, &left);
	pad_end(s);
	if (puk && e == E_OK)
		secret_free(&t->puk); /* it is another one now: the next is typed, too */
	return typed(puk ? login_puk_outcome(s->slot, e) : login_outcome(s->slot, e, left), e);
}

CK_RV
pad_init_pin(struct p11_session *s)
{
	struct p11_token *t = s->slot->token;
	int left = -1;
	enum err e;

	slot_pins_end(s->slot);
	pad_begin(s);
	e = piv_pin_unblock_pad(t->card, secret_view(t->puk), &left);
	pad_end(s);
	return typed(login_puk_outcome(s->slot, e), e);
}
