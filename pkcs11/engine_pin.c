/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The engine's PIN: pin-source or pin-value of the URI, the PIN command, or a question through the program's own UI (so
 * that -passin and a program's dialog work), in this order. An accepted PIN is kept with its token, and serves the
 * context-specific logins (CKA_ALWAYS_AUTHENTICATE, PKCS#11 5.6): the program's UI is no longer reachable
 * when its key is used, and a terminal there may not be. A PIN that the token refused is forgotten at once. With one
 * try left, a PIN out of a file is not tried: somebody has to be asked.
 */

#include "pkcs11/engine.h"

#ifndef OPENSSL_NO_ENGINE

#include <stdio.h>
#include <string.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <p11-kit/pkcs11.h>

#include "base/file.h"

#define PIN_MAX 256

struct secret *
eng_pin_copy(const void *pin, size_t n)
{
	struct secret *s;

	if (n == 0 || n > PIN_MAX || (s = secret_new(n + 1)) == NULL)
		return NULL;
	memcpy(s->v, pin, n);
	s->v[n] = 0;
	s->n = n;
	return s;
}

static const char *
pin_text(const struct secret *pin)
{
	return pin == NULL ? NULL : (const char *)pin->v;
}

/* file:/path, file:///path and, as other consumers take it, a bare path (RFC 7512, section 2.4). */
static enum err
pin_from_source(const char *source, struct secret **out)
{
	SECRET_AUTO line = NULL;
	const char *path = source;
	enum err rc;

	if (strncmp(path, "file://", 7) == 0)
		path += 7;
	else if (strncmp(path, "file:", 5) == 0)
		path += 5;
	else if (path[0] == '|')
		return err_set(E_UNSUP, "pin-source=%s: commands are not run; use file:", source);
	if ((rc = file_read_secret(path, &line)) != E_OK)
		return err_up(rc, "pin-source");
	*out = eng_pin_copy(line->v, line->n);
	return *out != NULL ? E_OK : err_set(E_PINLEN, "pin-source: %s holds no PIN", path);
}

static enum err
pin_find(const struct eng *e, P11KitUri *uri, struct secret **out)
{
	const char *source = p11_kit_uri_get_pin_source(uri), *value = p11_kit_uri_get_pin_value(uri);

	if (source != NULL)
		return pin_from_source(source, out);
	if (value != NULL)
		*out = eng_pin_copy(value, strlen(value));
	else if (e->pin != NULL)
		*out = eng_pin_copy(e->pin->v, e->pin->n);
	else
		return E_OK;
	return *out != NULL ? E_OK : err_set(E_PINLEN, "the PIN given is empty or too long");
}

bool
eng_pin_known(const struct eng *e, P11KitUri *uri)
{
	return p11_kit_uri_get_pin_source(uri) != NULL || p11_kit_uri_get_pin_value(uri) != NULL || e->pin != NULL;
}

static enum err
pin_ask(const PKCS11_TOKEN *token, struct eng_ui with, struct secret **out)
{
	char question[160], answer[PIN_MAX + 1] = "";
	enum err rc = E_CANCELED;
	UI *ui = UI_new_method(with.method);

	if (ui == NULL)
		return err_crypto(E_NOMEM, "no user interface to ask for a PIN");
	if (with.data != NULL)
		UI_add_user_data(ui, with.data);
	snprintf(question, sizeof question, "PIN of token %s%s: ", token->label,
	    token->userPinFinalTry ? " (LAST TRY before it is blocked)" : "");
	if (UI_dup_input_string(ui, question, UI_INPUT_FLAG_DEFAULT_PWD, answer, 1, PIN_MAX) > 0 &&
	    UI_process(ui) == 0 && (*out = eng_pin_copy(answer, strlen(answer))) != NULL)
		rc = E_OK;
	OPENSSL_cleanse(answer, sizeof answer);
	UI_free(ui);
	return rc == E_OK ? E_OK : err_set(rc, "token %s: no PIN given", token->label);
}

/* What C_Login said, out of libp11's queued error. */
static enum err
login_failed(const PKCS11_TOKEN *token)
{
	unsigned long code = ERR_peek_last_error();
	int rv = ERR_GET_LIB(code) == ERR_get_CKR_code() ? ERR_GET_REASON(code) : 0;

	if (rv == CKR_PIN_INCORRECT)
		return err_set(E_PIN, "token %s: wrong PIN; it will not be tried again", token->label);
	if (rv == CKR_PIN_LOCKED)
		return err_set(
		    E_PINLOCKED, "token %s: the PIN is blocked; unblock it with `dpiv pin unblock`", token->label);
	if (rv == CKR_PIN_LEN_RANGE || rv == CKR_PIN_INVALID)
		return err_set(E_PINLEN, "token %s: that cannot be its PIN (length or characters)", token->label);
	return err_crypto(E_AUTH, "token %s: login failed", token->label);
}

static enum err
pin_get(const struct eng *e, const PKCS11_TOKEN *token, P11KitUri *uri, struct eng_ui ui, struct secret **out)
{
	enum err rc;

	if (token->userPinLocked)
		return err_set(
		    E_PINLOCKED, "token %s: the PIN is blocked; unblock it with `dpiv pin unblock`", token->label);
	if (token->secureLogin)
		return E_OK; /* PIN pad: libp11 passes NULL */
	if ((rc = pin_find(e, uri, out)) != E_OK)
		return rc;
	if (*out == NULL)
		return pin_ask(token, ui, out);
	if (token->userPinFinalTry) {
		secret_free(out);
		return err_set(E_PIN,
		    "token %s: one try is left before the PIN is blocked, and a PIN from a file or setting "
		    "is not risked; log in once by hand",
		    token->label);
	}
	return E_OK;
}

enum err
eng_login(struct eng *e, struct eng_token *t, P11KitUri *uri, struct eng_ui ui)
{
	PKCS11_TOKEN *token = t->slot->token;
	SECRET_AUTO pin = NULL;
	int in = 0;
	enum err rc;

	if (!token->loginRequired || (PKCS11_is_logged_in(t->slot, 0, &in) == 0 && in == 1))
		return E_OK;
	if ((rc = pin_get(e, token, uri, ui, &pin)) != E_OK)
		return rc;
	if (PKCS11_login(t->slot, 0, pin_text(pin)) != 0)
		return login_failed(token);
	secret_free(&t->pin);
	t->pin = pin;
	pin = NULL;
	return E_OK;
}

/* libp11 asks here, with the key's label in a prompt, between C_SignInit and C_Sign of a key that wants its PIN. */
static int
context_read(UI *ui, UI_STRING *question)
{
	struct eng_token *t = UI_get0_user_data(ui);

	if (UI_get_string_type(question) != UIT_PROMPT)
		return 1;
	if (t == NULL || t->pin == NULL || t->pin->n == 0) /* n == 0: wiped, in a forked child */
		return 0;
	return UI_set_result(ui, question, pin_text(t->pin)) >= 0;
}

UI_METHOD *
eng_context_ui(void)
{
	UI_METHOD *m = UI_create_method("dpiv");

	if (m != NULL)
		UI_method_set_reader(m, context_read);
	return m;
}

#endif
