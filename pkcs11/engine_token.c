/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The engine's tokens: which module, which slot. A token is opened when a URI first names it and stays open, with its
 * login, until the engine is destroyed; a URI that names an open one by other words finds the same. Slots are compared
 * by p11-kit's matching (RFC 7512, section 2.3), never by position.
 */

#include "pkcs11/engine.h"

#ifndef OPENSSL_NO_ENGINE

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct eng *
eng_new(void)
{
	struct eng *e = calloc(1, sizeof *e);

	if (e == NULL)
		return NULL;
	e->context_ui = eng_context_ui();
	if (e->context_ui == NULL || pthread_mutex_init(&e->lock, NULL) != 0) {
		UI_destroy_method(e->context_ui);
		free(e);
		return NULL;
	}
	return e;
}

void
eng_free(struct eng *e)
{
	struct eng_token *t, *next;

	if (e == NULL)
		return;
	for (t = e->tokens; t != NULL; t = next) {
		next = t->next;
		eng_token_free(t);
	}
	secret_free(&e->pin);
	UI_destroy_method(e->context_ui);
	pthread_mutex_destroy(&e->lock);
	free(e->module);
	free(e);
}

void
eng_forget_pins(struct eng *e)
{
	secret_free(&e->pin);
	for (struct eng_token *t = e->tokens; t != NULL; t = t->next)
		secret_free(&t->pin);
}

enum err
eng_module_set(struct eng *e, const char *path)
{
	char *copy = NULL;

	if (path != NULL && (copy = strdup(path)) == NULL)
		return err_set(E_NOMEM, "no memory for a module path");
	pthread_mutex_lock(&e->lock);
	free(e->module);
	e->module = copy;
	pthread_mutex_unlock(&e->lock);
	return E_OK;
}

void
eng_token_free(struct eng_token *t)
{
	if (t == NULL)
		return;
	if (t->slots != NULL)
		PKCS11_release_all_slots(t->p11, t->slots, t->n);
	if (t->loaded)
		PKCS11_CTX_unload(t->p11);
	if (t->p11 != NULL)
		PKCS11_CTX_free(t->p11);
	secret_free(&t->pin);
	free(t->module);
	free(t);
}

/* dpiv-pkcs11.so in the directory of this library (a build tree), else where it is installed. */
static void
module_default(char *out, size_t cap)
{
	Dl_info self;
	const char *slash;

	if (dladdr(&module_default, &self) != 0 && self.dli_fname != NULL &&
	    (slash = strrchr(self.dli_fname, '/')) != NULL) {
		int n = snprintf(out, cap, "%.*s/dpiv-pkcs11.so", (int)(slash - self.dli_fname), self.dli_fname);

		if (n > 0 && (size_t)n < cap && access(out, R_OK) == 0)
			return;
	}
	snprintf(out, cap, "%s", DPIV_MODULE);
}

static void
pad(CK_UTF8CHAR *field, size_t cap, const char *text)
{
	size_t n = text == NULL ? 0 : strnlen(text, cap);

	memset(field, ' ', cap);
	if (n > 0)
		memcpy(field, text, n);
}

static bool
slot_matches(PKCS11_SLOT *slot, P11KitUri *uri)
{
	CK_SLOT_ID id = p11_kit_uri_get_slot_id(uri);
	CK_TOKEN_INFO token = { 0 };
	CK_SLOT_INFO info = { 0 };

	if (slot->token == NULL || !slot->token->initialized || p11_kit_uri_any_unrecognized(uri))
		return false;
	pad(token.label, sizeof token.label, slot->token->label);
	pad(token.manufacturerID, sizeof token.manufacturerID, slot->token->manufacturer);
	pad(token.model, sizeof token.model, slot->token->model);
	pad(token.serialNumber, sizeof token.serialNumber, slot->token->serialnr);
	pad(info.slotDescription, sizeof info.slotDescription, slot->description);
	pad(info.manufacturerID, sizeof info.manufacturerID, slot->manufacturer);
	return p11_kit_uri_match_token_info(uri, &token) && p11_kit_uri_match_slot_info(uri, &info) &&
	    (id == (CK_SLOT_ID)-1 || id == PKCS11_get_slotid_from_slot(slot));
}

/* The labels of what is there, for the message that says what is not. */
static void
slots_named(const struct eng_token *t, char *out, size_t cap)
{
	size_t n = 0;

	snprintf(out, cap, "none");
	for (unsigned int i = 0; i < t->n && n < cap; i++) {
		const PKCS11_TOKEN *token = t->slots[i].token;

		if (token != NULL && token->initialized)
			n += (size_t)snprintf(out + n, cap - n, "%s%s", n == 0 ? "" : ", ", token->label);
	}
}

static enum err
slot_choose(struct eng_token *t, P11KitUri *uri)
{
	char names[256];

	for (unsigned int i = 0; i < t->n; i++) {
		if (!slot_matches(&t->slots[i], uri))
			continue;
		if (t->slot != NULL)
			return err_set(E_ARG, "the URI fits more than one token (%s and %s); add token= or serial=",
			    t->slot->token->label, t->slots[i].token->label);
		t->slot = &t->slots[i];
	}
	if (t->slot != NULL)
		return E_OK;
	slots_named(t, names, sizeof names);
	return err_set(E_NOTFOUND, "no token fits the URI; %s has: %s", t->module, names);
}

static enum err
token_open_slots(struct eng *e, struct eng_token *t, P11KitUri *uri)
{
	if (access(t->module, R_OK) != 0)
		return err_set(E_NOTFOUND,
		    "PKCS#11 module %s is not there; name one by module-path= in the URI or by the "
		    "engine command MODULE_PATH",
		    t->module);
	if ((t->p11 = PKCS11_CTX_new()) == NULL)
		return err_set(E_NOMEM, "no memory for libp11");
	if (PKCS11_CTX_load(t->p11, t->module) != 0)
		return err_crypto(E_IO, "PKCS#11 module %s cannot be loaded", t->module);
	t->loaded = true;
	if (PKCS11_enumerate_slots(t->p11, &t->slots, &t->n) != 0)
		return err_crypto(E_IO, "PKCS#11 module %s does not tell its slots", t->module);
	PKCS11_set_ui_method(t->p11, e->context_ui, t);
	return slot_choose(t, uri);
}

static struct eng_token *
token_known(struct eng *e, const char *module, P11KitUri *uri)
{
	for (struct eng_token *t = e->tokens; t != NULL; t = t->next)
		if (strcmp(t->module, module) == 0 && slot_matches(t->slot, uri))
			return t;
	return NULL;
}

enum err
eng_token_get(struct eng *e, P11KitUri *uri, struct eng_token **out)
{
	char fallback[4096];
	const char *module = p11_kit_uri_get_module_path(uri);
	struct eng_token *t;
	enum err rc;

	*out = NULL;
	module_default(fallback, sizeof fallback);
	if (module == NULL)
		module = e->module != NULL ? e->module : fallback;
	if ((*out = token_known(e, module, uri)) != NULL)
		return E_OK;
	if ((t = calloc(1, sizeof *t)) == NULL || (t->module = strdup(module)) == NULL) {
		free(t);
		return err_set(E_NOMEM, "no memory for a token");
	}
	if ((rc = token_open_slots(e, t, uri)) != E_OK) {
		eng_token_free(t);
		return rc;
	}
	t->next = e->tokens;
	e->tokens = *out = t;
	eng_say(e, "token %s of module %s", t->slot->token->label, module);
	return E_OK;
}

#endif
