/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PINs: where they come from, when they are sent, when they are not. Rules: a PIN from pin-source is sent once;
 * refused, it is never sent again while the token is open. With one try left nothing is sent that a person did not
 * confirm at that moment. A wrong PIN that a person typed may be asked for again, but the same one is not sent twice. A
 * reader with a PIN pad asks by itself (CKF_PROTECTED_AUTHENTICATION_PATH).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "derive/token_int.h"

#define ROUNDS 3 /* wrong PINs from a person in one login */

enum err
login_refresh(struct token *t)
{
	CK_TOKEN_INFO ti = { 0 };
	CK_RV rv = t->m->f->C_GetTokenInfo(t->slot, &ti);

	if (rv != CKR_OK)
		return rv_set(t, rv, "does not answer");
	t->info = ti;
	return E_OK;
}

bool
token_present(struct token *t)
{
	CK_TOKEN_INFO ti = { 0 };

	return t->m->f->C_GetTokenInfo(t->slot, &ti) == CKR_OK &&
	    memcmp(ti.serialNumber, t->info.serialNumber, sizeof ti.serialNumber) == 0;
}

/* PKCS #11 3.0's profile objects, and the attribute of dpiv's module on them (pkcs11/cryptoki3.h). */
#define PROFILE_CLASS 9UL
#define PIN_TRIES     (CKA_VENDOR_DEFINED | 0x64700001UL)

static int
tries_told(struct token *t)
{
	CK_OBJECT_CLASS cls = PROFILE_CLASS;
	CK_ULONG tries = CK_UNAVAILABLE_INFORMATION;
	CK_ATTRIBUTE tmpl = { CKA_CLASS, &cls, sizeof cls }, a = { PIN_TRIES, &tries, sizeof tries };
	CK_OBJECT_HANDLE *o = NULL;
	size_t n = 0;

	if (raw_find(t, &tmpl, 1, &o, &n) != E_OK || n == 0 ||
	    t->m->f->C_GetAttributeValue(t->session, o[0], &a, 1) != CKR_OK)
		tries = CK_UNAVAILABLE_INFORMATION;
	free(o);
	return tries <= 255 ? (int)tries : -1;
}

/* Tries left, -1 when nobody knows: Cryptoki has flags only, dpiv's module tells the number too. */
int
login_tries(struct token *t)
{
	if ((t->info.flags & CKF_USER_PIN_LOCKED) != 0)
		return 0;
	if ((t->info.flags & CKF_USER_PIN_FINAL_TRY) != 0)
		return 1;
	return t->m->own ? tries_told(t) : -1;
}

static enum err
login_locked(const struct token *t)
{
	return err_set(E_PINLOCKED,
	    "token '%s': the PIN is blocked; unblock it with the PUK, or ask the issuer of the token", t->label);
}

/* Ask the person. again: the last answer was refused. */
static enum err
login_prompt(struct token *t, const char *key, int tries, bool again, struct secret **pin)
{
	struct token_prompt q = {
		.token = t->label, .key = key, .tries = tries, .last_try = tries == 1, .again = again
	};
	enum err e;

	*pin = NULL;
	if (t->ask == NULL)
		return err_set(E_AUTH, "token '%s' wants a PIN%s; add pin-source=file:PATH to its URI", t->label,
		    tries == 1 ? " and has one try left" : "");
	e = t->ask(t->arg, &q, pin);
	if (e == E_OK && *pin == NULL)
		return err_set(E_CANCELED, "no PIN was given for token '%s'", t->label);
	return e;
}

/* The PIN by the rules above; *typed tells whether a person gave it. */
static enum err
login_pin(struct token *t, const char *key, bool again, struct secret **pin, bool *typed)
{
	enum err e = login_refresh(t);
	int tries;

	*pin = NULL;
	if (e != E_OK)
		return e;
	tries = login_tries(t);
	if (tries == 0)
		return login_locked(t);
	*typed = !ref_has_pin(&t->ref) || tries == 1;
	if (*typed)
		return login_prompt(t, key, tries, again, pin);
	if (t->pin_refused)
		return err_set(
		    E_PIN, "token '%s': the PIN from its URI was refused before and is not sent again", t->label);
	return ref_pin(&t->ref, pin);
}

enum err
login_key_pin(struct token *t, const char *key, struct secret **pin)
{
	bool typed;

	return login_pin(t, key, false, pin, &typed);
}

static enum err
login_wrong(struct token *t, bool typed)
{
	int tries;

	if (!typed)
		t->pin_refused = true;
	if (login_refresh(t) != E_OK)
		return err_set(E_PIN, "token '%s': the PIN was refused", t->label);
	tries = login_tries(t);
	if (tries == 0)
		return login_locked(t);
	if (tries > 0)
		return err_set(
		    E_PIN, "token '%s': wrong PIN, %d %s left", t->label, tries, tries == 1 ? "try" : "tries");
	return err_set(E_PIN, "token '%s': wrong PIN", t->label);
}

static enum err
login_send(struct token *t, struct secret *pin)
{
	CK_RV rv = t->m->f->C_Login(t->session, CKU_USER, pin != NULL ? pin->v : NULL, pin != NULL ? pin->n : 0);

	if (rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN) {
		t->logged_in = true;
		return E_OK;
	}
	return rv_set(t, rv, "login");
}

/* A person may be wrong and try again, with something else. */
static enum err
login_rounds(struct token *t)
{
	SECRET_AUTO refused = NULL;
	enum err e = E_OK;
	bool typed = false;

	for (int round = 0; round < ROUNDS; round++) {
		SECRET_AUTO pin = NULL;

		e = login_pin(t, NULL, round > 0, &pin, &typed);
		if (e != E_OK)
			return e;
		if (secret_eq(pin, refused))
			return err_set(E_PIN, "token '%s': this PIN was just refused and was not sent again", t->label);
		e = login_send(t, pin);
		if (e != E_PIN)
			return e;
		e = login_wrong(t, typed);
		if (!typed || e != E_PIN)
			return e;
		secret_free(&refused);
		refused = pin;
		pin = NULL;
	}
	return e;
}

static bool
login_is_done(struct token *t)
{
	CK_SESSION_INFO si;

	return t->m->f->C_GetSessionInfo(t->session, &si) == CKR_OK &&
	    (si.state == CKS_RO_USER_FUNCTIONS || si.state == CKS_RW_USER_FUNCTIONS);
}

enum err
token_login(struct token *t)
{
	enum err e = raw_session(t, false);

	if (e != E_OK)
		return e;
	if ((t->info.flags & CKF_LOGIN_REQUIRED) == 0 || login_is_done(t)) {
		t->logged_in = true;
		return E_OK;
	}
	if ((t->info.flags & CKF_PROTECTED_AUTHENTICATION_PATH) == 0 || ref_has_pin(&t->ref))
		return login_rounds(t);
	e = login_refresh(t);
	if (e == E_OK && (t->info.flags & CKF_USER_PIN_LOCKED) != 0)
		return login_locked(t);
	if (e == E_OK)
		e = login_send(t, NULL);
	return e == E_PIN ? login_wrong(t, true) : e;
}
