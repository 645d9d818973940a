/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A token's private key as an EVP_PKEY, by libp11, so that TLS, CMS and certificate requests of libcrypto work with it.
 * The login is done over our own session before (Cryptoki's login state belongs to the token, not to a session). Keys
 * with CKA_ALWAYS_AUTHENTICATE ask once per use: libp11 calls the UI method below, which gets the PIN where
 * token_login() gets it. PKCS11_open_session() is never called: it closes all sessions of the slot, ours too.
 *
 * libp11 0.4.12 and later. Newer ones differ inside, not in these calls.
 */
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ui.h>

#include "derive/token_int.h"

/* The prompt is the key's label alone; what a person reads is the prompter's business. */
static char *
ui_prompt(UI *ui, const char *desc, const char *name)
{
	(void)ui;
	(void)desc;
	return OPENSSL_strdup(name != NULL ? name : "");
}

static int
ui_read(UI *ui, UI_STRING *s)
{
	struct token *t = UI_get0_user_data(ui);
	SECRET_AUTO pin = NULL;
	const char *label = UI_get0_output_string(s);
	int rc;

	if (UI_get_string_type(s) != UIT_PROMPT)
		return 1;
	if (t == NULL || login_key_pin(t, label, &pin) != E_OK || pin == NULL)
		return 0;
	rc = UI_set_result_ex(ui, s, (const char *)pin->v, (int)pin->n);
	return rc < 0 ? 0 : 1;
}

static int
ui_nothing(UI *ui)
{
	(void)ui;
	return 1;
}

static int
ui_write(UI *ui, UI_STRING *s)
{
	(void)ui;
	(void)s;
	return 1;
}

static enum err
pkey_ui(struct token *t)
{
	if (t->ui == NULL)
		t->ui = UI_create_method("dpiv");
	if (t->ui == NULL || UI_method_set_opener(t->ui, ui_nothing) != 0 ||
	    UI_method_set_writer(t->ui, ui_write) != 0 || UI_method_set_reader(t->ui, ui_read) != 0 ||
	    UI_method_set_closer(t->ui, ui_nothing) != 0 || UI_method_set_prompt_constructor(t->ui, ui_prompt) != 0 ||
	    PKCS11_set_ui_method(t->p11->ctx, t->ui, t) != 0)
		return err_set(E_NOMEM, "out of memory");
	return E_OK;
}

/* --- libp11's first session --------------------------------------------------------------------------------------- */

#define SESSION_SECONDS 10

static void *
session_open(void *slot)
{
	unsigned char any[1];

	(void)PKCS11_generate_random(slot, any, sizeof any); /* opens one; what else comes of it does not matter */
	ERR_clear_error();
	return NULL;
}

/*
 * libp11 0.4.12 waits for ever for a session that cannot be opened. So it opens its first one, which it then keeps, in
 * a thread of its own: when that does not come back, it is left behind, with libp11's view of the token.
 */
static bool
session_opens(PKCS11_SLOT *slot)
{
	struct timespec until;
	pthread_t thread;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += SESSION_SECONDS;
	if (pthread_create(&thread, NULL, session_open, slot) != 0)
		return false;
	if (pthread_timedjoin_np(thread, NULL, &until) == 0)
		return true;
	pthread_detach(thread);
	return false;
}

/* libp11's own view of the token, made once. */
static enum err
pkey_context(struct token *t)
{
	struct token_p11 *p = calloc(1, sizeof *p);
	PKCS11_SLOT *slot = NULL;

	if (p == NULL || (p->ctx = PKCS11_CTX_new()) == NULL) {
		free(p);
		return err_set(E_NOMEM, "out of memory");
	}
	if (PKCS11_CTX_load(p->ctx, t->m->path) != 0) {
		PKCS11_CTX_free(p->ctx);
		free(p);
		return err_crypto(E_IO, "libp11 cannot load %s", t->m->path);
	}
	p->next = t->m->p11;
	t->m->p11 = p;
	t->p11 = p;
	if (PKCS11_enumerate_slots(p->ctx, &p->slots, &p->n) != 0)
		return token_failed(t, E_IO, "cannot list the slots");
	for (unsigned int i = 0; i < p->n; i++)
		if (PKCS11_get_slotid_from_slot(&p->slots[i]) == t->slot)
			slot = &p->slots[i];
	if (slot != NULL && slot->token != NULL && !session_opens(slot)) {
		t->m->p11 = p->next;
		t->p11 = NULL;
		return err_set(E_IO, "token '%s' does not open a second session", t->label);
	}
	t->p11_token = slot != NULL ? slot->token : NULL;
	return t->p11_token != NULL ? pkey_ui(t) : err_set(E_CARDGONE, "token '%s' is no longer there", t->label);
}

void
pkey_forget(struct token *t)
{
	if (t->p11 != NULL)
		(void)PKCS11_set_ui_method(t->p11->ctx, NULL, NULL);
	t->p11 = NULL; /* the module has it */
	t->p11_token = NULL;
}

enum err
token_pkey(struct token *t, const uint8_t *id, size_t id_len, EVP_PKEY **out)
{
	PKCS11_KEY *keys = NULL;
	unsigned int n = 0;
	enum err e = token_login(t);

	*out = NULL;
	if (e == E_OK && !token_present(t))
		e = err_set(E_CARDGONE, "token '%s' was removed or replaced", t->label);
	if (e == E_OK && t->p11_token == NULL)
		e = pkey_context(t);
	if (e != E_OK)
		return e;
	if (PKCS11_enumerate_keys(t->p11_token, &keys, &n) != 0)
		return token_failed(t, E_IO, "cannot list the keys");
	/* the last one: libp11 keeps what it has seen, and a PIV token makes a new key under an old one's id */
	for (unsigned int i = n; i > 0 && *out == NULL; i--)
		if (span_eq(span_of(keys[i - 1].id, keys[i - 1].id_len), span_of(id, id_len)))
			*out = PKCS11_get_private_key(&keys[i - 1]);
	ERR_clear_error();
	if (*out == NULL)
		return err_set(E_NOTFOUND, "token '%s' has no usable private key with this identifier", t->label);
	return E_OK;
}

/* The newest CKR in libcrypto's queue, if any. */
static CK_RV
failed_rv(void)
{
	CK_RV rv = CKR_OK;
	unsigned long code;

	while ((code = ERR_get_error()) != 0)
		if (ERR_GET_LIB(code) == ERR_get_CKR_code())
			rv = (CK_RV)ERR_GET_REASON(code);
	return rv;
}

enum err
token_failed(struct token *t, enum err e, const char *what)
{
	unsigned long code = ERR_peek_last_error();
	char reason[128];
	CK_RV rv;

	ERR_error_string_n(code, reason, sizeof reason);
	rv = failed_rv();
	if (rv == CKR_PIN_INCORRECT)
		t->pin_refused = true;
	if (rv != CKR_OK)
		return rv_set(t, rv, what);
	if (!token_present(t))
		return err_set(E_CARDGONE, "token '%s': %s: it was removed or replaced", t->label, what);
	if (code == 0)
		return err_set(e, "token '%s': %s", t->label, what);
	return err_set(e, "token '%s': %s: %s", t->label, what, reason);
}
