/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A new PIN for a token: with the present one (C_SetPIN), or with the PUK where that is blocked (C_InitPIN by the
 * security officer; PKCS #11 v2.40 base, 5.5.8 and 5.5.9). A changed PIN always costs the old one (SP
 * 800-157r1, 3.1.4): nothing is deleted and made anew. What is too easy to guess is refused before the token hears of
 * it (SP 800-63B, 3.2.10: at least six characters; no repetition, no sequence), as is what the format of a PIV PIN
 * excludes (SP 800-73-5 part 2, 2.4.3).
 */
#include <string.h>

#include "derive/token_int.h"

#define PIN_LEAST 6
#define PIV_MOST  8

void
token_pin_facts(struct token *t, struct token_pin_facts *out)
{
	memset(out, 0, sizeof *out);
	out->tries = login_refresh(t) == E_OK ? login_tries(t) : -1;
	out->puk_tries = (t->info.flags & CKF_SO_PIN_LOCKED) != 0 ? 0
	    : (t->info.flags & CKF_SO_PIN_FINAL_TRY) != 0	  ? 1
								  : -1;
	out->pad = (t->info.flags & CKF_PROTECTED_AUTHENTICATION_PATH) != 0;
	out->least = t->info.ulMinPinLen > PIN_LEAST ? (size_t)t->info.ulMinPinLen : PIN_LEAST;
	out->most = t->info.ulMaxPinLen < 256 ? (size_t)t->info.ulMaxPinLen : 255;
	out->digits = t->m->own && out->most <= PIV_MOST;
	out->puk = out->digits ? "PUK" : "security officer's PIN (SO PIN)";
}

/* "111111", "123456", "fedcba" */
static bool
pin_is_easy(struct span pin)
{
	for (int step = -1; step <= 1; step++) {
		bool all = true;

		for (size_t i = 1; i < pin.n; i++)
			all = all && pin.p[i] - pin.p[i - 1] == step;
		if (all)
			return true;
	}
	return false;
}

enum err
token_pin_suits(struct token *t, struct span pin)
{
	struct token_pin_facts f;

	token_pin_facts(t, &f);
	if (pin.n < f.least || pin.n > f.most)
		return err_set(E_PINLEN, "the new PIN must have %zu to %zu characters", f.least, f.most);
	for (size_t i = 0; f.digits && i < pin.n; i++)
		if (pin.p[i] < '0' || pin.p[i] > '9')
			return err_set(E_PINLEN, "the new PIN must have digits only");
	if (pin_is_easy(pin))
		return err_set(E_POLICY, "the new PIN is too easy to guess: one character repeated, or a sequence");
	return E_OK;
}

static enum err
pin_wrong(struct token *t, const char *what)
{
	struct token_pin_facts f;

	token_pin_facts(t, &f);
	if (f.tries == 0)
		return err_set(
		    E_PINLOCKED, "token '%s': the PIN is blocked; 'dpiv pin unblock' needs the %s", t->label, f.puk);
	if (f.tries > 0)
		return err_set(
		    E_PIN, "token '%s': wrong %s, %d %s left", t->label, what, f.tries, f.tries == 1 ? "try" : "tries");
	return err_set(E_PIN, "token '%s': wrong %s", t->label, what);
}

/* Cryptoki's prototypes want mutable bytes. */
static CK_UTF8CHAR_PTR
pin_bytes(struct secret *s, CK_ULONG *n)
{
	*n = s != NULL ? s->n : 0;
	return s != NULL ? s->v : NULL;
}

enum err
token_pin_change(struct token *t, struct secret *old, struct secret *pin)
{
	CK_ULONG old_n, n;
	CK_UTF8CHAR_PTR o = pin_bytes(old, &old_n), p = pin_bytes(pin, &n);
	CK_RV rv;
	enum err e = raw_session(t, true);

	if (e != E_OK)
		return e;
	rv = t->m->f->C_SetPIN(t->session, o, old_n, p, n);
	if (rv == CKR_OK)
		return E_OK;
	e = rv_set(t, rv, "the PIN was not changed");
	return e == E_PIN || e == E_PINLOCKED ? pin_wrong(t, "PIN") : e;
}

/* R/W SO sessions are refused while somebody is logged in as user. */
static enum err
unblock_login(struct token *t, struct secret *puk, const char *what)
{
	CK_ULONG n;
	CK_UTF8CHAR_PTR p = pin_bytes(puk, &n);
	CK_RV rv;

	rv = t->m->f->C_Login(t->session, CKU_SO, p, n);
	if (rv == CKR_OK)
		return E_OK;
	if (rv == CKR_PIN_INCORRECT)
		return err_set(E_PIN, "token '%s': wrong %s", t->label, what);
	return rv_set(t, rv, "the PIN was not unblocked");
}

static enum err
unblock_failed(struct token *t, CK_RV rv, const char *what)
{
	enum err e = rv_set(t, rv, "the PIN was not unblocked");

	if (e == E_PIN)
		return err_set(E_PIN, "token '%s': wrong %s", t->label, what);
	if (e == E_PINLOCKED)
		return err_set(E_PINLOCKED,
		    "token '%s': the %s is blocked too, so the token cannot be used any more: have its credentials "
		    "revoked, and derive anew on another one",
		    t->label, what);
	return e;
}

enum err
token_pin_unblock(struct token *t, struct secret *puk, struct secret *pin)
{
	struct token_pin_facts f;
	CK_ULONG n;
	CK_UTF8CHAR_PTR p = pin_bytes(pin, &n);
	CK_RV rv;
	enum err e = raw_session(t, true);

	token_pin_facts(t, &f);
	if (e == E_OK)
		e = unblock_login(t, puk, f.puk);
	if (e != E_OK)
		return e;
	rv = t->m->f->C_InitPIN(t->session, p, n);
	(void)t->m->f->C_Logout(t->session);
	return rv == CKR_OK ? E_OK : unblock_failed(t, rv, f.puk);
}

enum err
token_uri_pin(struct token *t, struct secret **pin)
{
	*pin = NULL;
	return ref_has_pin(&t->ref) ? ref_pin(&t->ref, pin) : E_OK;
}
