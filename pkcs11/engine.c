/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The OpenSSL engine "dpiv": keys and certificates named by RFC 7512 URIs, in a PKCS#11 module reached through libp11.
 * This file is what OpenSSL sees: binding, control commands, loaders, errors. It is the only one that includes
 * <openssl/engine.h>; where OpenSSL has no engines (4.0 and later, or a build without them) it is empty.
 *
 * Nothing is registered as a default of the host program. A key works because its RSA or EC_KEY carries libp11's
 * methods. EVP_PKEY_set1_engine() makes each key hold the engine, so that neither this library nor the token goes away
 * before the last key does, whatever the program frees first. That call wants the engine to have a method for the key's
 * type: key_method() answers with libcrypto's own, and names no type when asked which it would like to replace.
 */

#define OPENSSL_SUPPRESS_DEPRECATED /* the engine interface itself, since 3.0 */
#include "pkcs11/engine.h"

#ifndef OPENSSL_NO_ENGINE

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <openssl/engine.h>
#include <openssl/err.h>

enum { CMD_MODULE_PATH = ENGINE_CMD_BASE, CMD_PIN, CMD_VERBOSE, CMD_QUIET, CMD_LOAD_CERT_CTRL, CMD_UI, CMD_UI_DATA };

static const ENGINE_CMD_DEFN commands[] = {
	{ CMD_MODULE_PATH, "MODULE_PATH", "PKCS#11 module to use (default: dpiv-pkcs11.so)", ENGINE_CMD_FLAG_STRING },
	{ CMD_PIN, "PIN", "PIN for every token; prefer pin-source=file:... in the URI", ENGINE_CMD_FLAG_STRING },
	{ CMD_VERBOSE, "VERBOSE", "Say on standard error which tokens and objects are used", ENGINE_CMD_FLAG_NO_INPUT },
	{ CMD_QUIET, "QUIET", "Say nothing", ENGINE_CMD_FLAG_NO_INPUT },
	{ CMD_LOAD_CERT_CTRL, "LOAD_CERT_CTRL", "Get the certificate named by a URI", ENGINE_CMD_FLAG_INTERNAL },
	{ CMD_UI, "SET_USER_INTERFACE", "UI_METHOD that asks for PINs", ENGINE_CMD_FLAG_INTERNAL },
	{ CMD_UI_DATA, "SET_CALLBACK_DATA", "Data for that UI_METHOD", ENGINE_CMD_FLAG_INTERNAL }, { 0, NULL, NULL, 0 }
};

/* OpenSSL's reason codes are enum err + 1 (zero means "no reason"). */
static ERR_STRING_DATA reasons[E_COUNT + 1];
static int error_lib;
static int eng_index = -1;

static void
errors_load(void)
{
	static ERR_STRING_DATA name[] = { { 0, "dpiv engine" }, { 0, NULL } };

	if (error_lib != 0)
		return;
	error_lib = ERR_get_next_error_library();
	for (int i = 0; i < E_COUNT; i++) {
		reasons[i].error = ERR_PACK(0, 0, i + 1);
		reasons[i].string = err_text((enum err)i);
	}
	ERR_load_strings(error_lib, reasons);
	name[0].error = ERR_PACK(error_lib, 0, 0);
	ERR_load_strings(0, name);
}

static int
fail(enum err e)
{
	ERR_raise_data(error_lib, (int)e + 1, "%s", err_msg());
	return 0;
}

void
eng_say(const struct eng *e, const char *fmt, ...)
{
	char line[512] = "dpiv engine: ";
	size_t n = strlen(line);
	va_list ap;

	if (!e->verbose)
		return;
	va_start(ap, fmt);
	vsnprintf(line + n, sizeof line - n - 1, fmt, ap);
	va_end(ap);
	n = strlen(line);
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, n) < 0)
		return;
}

static struct eng *
eng_of(ENGINE *engine)
{
	return ENGINE_get_ex_data(engine, eng_index);
}

/* --- loaders ---------------------------------------------------------------------------------------------------- */

static EVP_PKEY *
load_private(ENGINE *engine, const char *uri, UI_METHOD *method, void *data)
{
	struct eng *e = eng_of(engine);
	struct eng_ui ui = { method != NULL ? method : e->ui.method, method != NULL ? data : e->ui.data };
	EVP_PKEY *key = NULL;
	enum err rc = eng_load_private(e, uri, ui, &key);

	if (rc != E_OK) {
		fail(rc);
		return NULL;
	}
	if (EVP_PKEY_set1_engine(key, engine) != 1) {
		EVP_PKEY_free(key);
		return NULL;
	}
	return key;
}

static EVP_PKEY *
load_public(ENGINE *engine, const char *uri, UI_METHOD *method, void *data)
{
	EVP_PKEY *key = NULL;
	enum err rc = eng_load_public(eng_of(engine), uri, &key);

	(void)method;
	(void)data;
	if (rc != E_OK)
		fail(rc);
	return key;
}

/* The structure of engine_pkcs11, which curl and others know. */
struct load_cert {
	const char *s_slot_cert_id;
	X509 *cert;
};

static int
load_cert(struct eng *e, struct load_cert *c)
{
	enum err rc;

	if (c == NULL || c->cert != NULL)
		return fail(err_set(E_ARG, "LOAD_CERT_CTRL: no structure, or one that is filled already"));
	rc = eng_load_cert(e, c->s_slot_cert_id, e->ui, &c->cert);
	return rc == E_OK ? 1 : fail(rc);
}

/* --- control ---------------------------------------------------------------------------------------------------- */

static int
set_module(struct eng *e, const char *path)
{
	enum err rc = eng_module_set(e, path);

	return rc == E_OK ? 1 : fail(rc);
}

static int
set_pin(struct eng *e, const char *pin)
{
	secret_free(&e->pin);
	if (pin == NULL)
		return 1;
	e->pin = eng_pin_copy(pin, strlen(pin));
	return e->pin != NULL ? 1 : fail(err_set(E_PINLEN, "PIN command: empty PIN, or one of more than 256 bytes"));
}

static int
control(ENGINE *engine, int cmd, long i, void *p, void (*f)(void))
{
	struct eng *e = eng_of(engine);

	(void)i;
	(void)f;
	switch (cmd) {
	case CMD_MODULE_PATH: return set_module(e, p);
	case CMD_PIN: return set_pin(e, p);
	case CMD_LOAD_CERT_CTRL: return load_cert(e, p);
	case ENGINE_CTRL_SET_USER_INTERFACE:
	case CMD_UI: e->ui.method = p; return 1;
	case ENGINE_CTRL_SET_CALLBACK_DATA:
	case CMD_UI_DATA: e->ui.data = p; return 1;
	case CMD_VERBOSE:
	case CMD_QUIET: e->verbose = cmd == CMD_VERBOSE; return 1;
	default: return fail(err_set(E_UNSUP, "unknown engine command %d", cmd));
	}
}

/* --- binding ---------------------------------------------------------------------------------------------------- */

static int
key_method(ENGINE *engine, EVP_PKEY_METHOD **out, const int **nids, int nid)
{
	const EVP_PKEY_METHOD *method;

	(void)engine;
	if (out == NULL) {
		*nids = NULL;
		return 0;
	}
	method = EVP_PKEY_meth_find(nid);
	*out = (EVP_PKEY_METHOD *)(uintptr_t)method;
	return *out != NULL;
}

/* Tokens stay open after the last ENGINE_finish(): the program may well initialise again, and it is cheap to wait. */
static int
nothing(ENGINE *engine)
{
	(void)engine;
	return 1;
}

/*
 * OPENSSL_cleanup() comes here when the process exits, after the destructors of the PKCS#11 module (C++ modules have
 * some) have run: calling into it then crashes. libcrypto refuses to initialise when that is so; the tokens are left to
 * the kernel, and only the PINs are wiped.
 */
static bool
process_exits(void)
{
	return OPENSSL_init_crypto(0, NULL) == 0;
}

static int
destroy(ENGINE *engine)
{
	if (process_exits())
		eng_forget_pins(eng_of(engine));
	else
		eng_free(eng_of(engine));
	ENGINE_set_ex_data(engine, eng_index, NULL);
	ERR_unload_strings(error_lib, reasons);
	return 1;
}

static int
engine_bind(ENGINE *engine, const char *id)
{
	struct eng *e;

	if (id != NULL && strcmp(id, "dpiv") != 0)
		return 0;
	errors_load();
	if (eng_index < 0)
		eng_index = ENGINE_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	if (eng_index < 0 || (e = eng_new()) == NULL)
		return 0;
	if (ENGINE_set_id(engine, "dpiv") && ENGINE_set_name(engine, "dpiv: keys on PIV cards and PKCS#11 tokens") &&
	    ENGINE_set_flags(engine, ENGINE_FLAGS_NO_REGISTER_ALL) && ENGINE_set_init_function(engine, nothing) &&
	    ENGINE_set_finish_function(engine, nothing) && ENGINE_set_destroy_function(engine, destroy) &&
	    ENGINE_set_ctrl_function(engine, control) && ENGINE_set_cmd_defns(engine, commands) &&
	    ENGINE_set_pkey_meths(engine, key_method) && ENGINE_set_load_privkey_function(engine, load_private) &&
	    ENGINE_set_load_pubkey_function(engine, load_public) && ENGINE_set_ex_data(engine, eng_index, e))
		return 1;
	eng_free(e);
	return 0;
}

OPENSSL_EXPORT int bind_engine(ENGINE *engine, const char *id, const dynamic_fns *fns);
OPENSSL_EXPORT unsigned long v_check(unsigned long version);

#pragma GCC visibility push(default)
IMPLEMENT_DYNAMIC_CHECK_FN()
IMPLEMENT_DYNAMIC_BIND_FN(engine_bind)
#pragma GCC visibility pop

#endif
