/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tokens: see token.h. Opening finds the one token that the URI names; nothing is sent to it but the questions of
 * C_GetSlotInfo and C_GetTokenInfo. A session is opened with the first use, the login done with the first private use.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "derive/token_int.h"

struct search {
	struct token *t;
	unsigned found;
	char there[512]; /* what the module has, for the message */
};

static void
search_note(struct search *s, const CK_TOKEN_INFO *ti)
{
	char label[33];
	size_t n = strlen(s->there);

	find_text(ti->label, sizeof ti->label, label, sizeof label);
	snprintf(s->there + n, sizeof s->there - n, "%s'%s'", n > 0 ? ", " : "", label);
}

static bool
search_one(void *arg, CK_SLOT_ID slot, const CK_SLOT_INFO *si, const CK_TOKEN_INFO *ti)
{
	struct search *s = arg;

	if (!ref_matches(&s->t->ref, s->t->m, slot, si, ti)) {
		if (s->found == 0)
			search_note(s, ti);
		return true;
	}
	if (s->found++ == 0) {
		s->there[0] = '\0';
		s->t->slot = slot;
		s->t->info = *ti;
	}
	search_note(s, ti);
	return true;
}

static enum err
search_token(struct token *t, const char *safe)
{
	struct search s = { .t = t };
	enum err e = find_tokens(t->m, search_one, &s);

	if (e == E_OK && s.found == 0 && t->m->own) {
		s = (struct search){ .t = t };
		e = find_all_tokens(t->m, search_one, &s);
	}
	if (e != E_OK)
		return e;
	if (s.found == 1)
		return E_OK;
	if (s.found > 1)
		return err_set(
		    E_ARG, "'%s' names %u tokens (%s); say which with token= or serial=", safe, s.found, s.there);
	if (s.there[0] == '\0' && t->m->own)
		return token_absent(NULL);
	if (s.there[0] == '\0')
		return err_set(E_NOTFOUND,
		    "there is no token '%s': the module %s has none; is the card or token plugged in?", safe,
		    t->m->path);
	return err_set(E_NOTFOUND, "there is no token '%s'; present: %s", safe, s.there);
}

enum err
token_open(const char *uri, token_ask_fn *ask, void *arg, struct token **out)
{
	struct token *t = calloc(1, sizeof *t);
	char safe[128];
	enum err e;

	*out = NULL;
	if (t == NULL)
		return err_set(E_NOMEM, "out of memory");
	t->ask = ask;
	t->arg = arg;
	t->session = CK_INVALID_HANDLE;
	text_safe(span_of(uri, strcspn(uri, "?")), safe, sizeof safe);
	e = ref_parse(uri, &t->ref);
	if (e == E_OK)
		e = module_open(t->ref.module_path, &t->m);
	if (e == E_OK)
		e = search_token(t, safe);
	if (e == E_OK) {
		find_text(t->info.label, sizeof t->info.label, t->label, sizeof t->label);
		find_text(t->info.serialNumber, sizeof t->info.serialNumber, t->serial, sizeof t->serial);
		find_text(
		    t->info.manufacturerID, sizeof t->info.manufacturerID, t->manufacturer, sizeof t->manufacturer);
		find_text(t->info.model, sizeof t->info.model, t->model, sizeof t->model);
		e = ref_format(t->m, &t->info, &t->uri);
	}
	if (e != E_OK) {
		token_close(&t);
		return e;
	}
	*out = t;
	return E_OK;
}

void
token_close(struct token **tp)
{
	struct token *t = *tp;

	*tp = NULL;
	if (t == NULL)
		return;
	keys_free(t);
	if (t->m != NULL)
		raw_close(t);
	if (t->p11 != NULL)
		(void)PKCS11_set_ui_method(t->p11->ctx, NULL, NULL);
	module_close(&t->m);
	if (t->ui != NULL)
		UI_destroy_method(t->ui);
	ref_free(&t->ref);
	free(t->uri);
	free(t);
}

const char *
token_label(const struct token *t)
{
	return t->label;
}

const char *
token_module(const struct token *t)
{
	return t->m->path;
}

const char *
token_module_real(const struct token *t)
{
	return t->m->real;
}

const char *
token_manufacturer(const struct token *t)
{
	return t->manufacturer;
}

const char *
token_model(const struct token *t)
{
	return t->model;
}

bool
token_is_own(const struct token *t)
{
	return t->m->own;
}

const char *
token_serial_number(const struct token *t)
{
	return t->serial;
}

const char *
token_uri(const struct token *t)
{
	return t->uri;
}

enum err
token_writable(struct token *t)
{
	enum err e = login_refresh(t);

	if (e != E_OK)
		return e;
	if ((t->info.flags & CKF_WRITE_PROTECTED) != 0)
		return err_set(E_READONLY, "token '%s' is write-protected: nothing can be put on it", t->label);
	if ((t->info.flags & CKF_LOGIN_REQUIRED) == 0)
		return err_set(E_POLICY,
		    "token '%s' asks for no PIN, so a key on it would be anybody's; take another token", t->label);
	return raw_session(t, true);
}
