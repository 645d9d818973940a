/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which credential is meant. What `dpiv status` shows of one is what a person can call it by; a word that fits several
 * picks them all, and who needs one alone is told how to tell them apart. Only credentials in use are picked.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/pick.h"
#include "derive/cert.h"

#define PICK_MAX 1024

static bool
pick_is_serial(const struct credential *c, const char *word)
{
	char serial[64];

	return strcasecmp(word, cert_serial(c->cert, serial, sizeof serial)) == 0;
}

static bool
pick_is(const struct credential *c, const char *word)
{
	char name[128], uuid[TEXT_UUID_MAX];

	cert_uuids(c->cert, uuid);
	return strcmp(word, role_info(c->role)->name) == 0 || strcmp(word, c->token_label) == 0 ||
	    strcmp(word, c->issuer) == 0 || strcasecmp(word, cert_name(c->cert, name, sizeof name)) == 0 ||
	    pick_is_serial(c, word) || (uuid[0] != '\0' && strcasecmp(word, uuid) == 0);
}

/* "auth,laptop": every part has to fit. */
static bool
pick_fits(const struct credential *c, const char *word)
{
	char *parts, *save = NULL;
	bool fits = true;

	if (word == NULL || pick_is(c, word))
		return true;
	parts = strchr(word, ',') != NULL ? strdup(word) : NULL;
	if (parts == NULL)
		return false;
	for (char *part = strtok_r(parts, ",", &save); part != NULL; part = strtok_r(NULL, ",", &save))
		fits = fits && pick_is(c, part);
	free(parts);
	return fits;
}

/* Moves c into the list. */
static enum err
pick_add(struct picked *p, struct credential *c)
{
	struct credential *grown = p->n < PICK_MAX ? realloc(p->c, (p->n + 1) * sizeof *grown) : NULL;

	if (grown == NULL)
		return err_set(E_NOMEM, "too many credentials");
	p->c = grown;
	p->c[p->n++] = *c;
	memset(c, 0, sizeof *c);
	return E_OK;
}

static enum err
pick_all(struct store *s, const char *word, struct picked *out)
{
	enum err e = E_OK;

	for (size_t i = 0; e == E_OK; i++) {
		struct credential c;

		e = store_cred_get(s, i, &c);
		if (e == E_OK && c.active && pick_fits(&c, word))
			e = pick_add(out, &c);
		credential_clear(&c);
	}
	return e == E_NOTFOUND ? E_OK : e;
}

/* "auth 01AB on 'laptop' by https://ca.example, sign 02CD on …" */
static void
pick_list(const struct picked *p, char *out, size_t cap)
{
	char serial[64];
	size_t used = 0;

	out[0] = '\0';
	for (size_t i = 0; i < p->n && used < cap; i++)
		used += (size_t)snprintf(out + used, cap - used, "%s%s %s on '%s' by %s", i > 0 ? ", " : "",
		    role_info(p->c[i].role)->name, cert_serial(p->c[i].cert, serial, sizeof serial),
		    p->c[i].token_label, p->c[i].issuer);
}

static enum err
pick_none(struct store *s, const char *word)
{
	struct picked all = { .n = 0 };
	char list[2048];
	enum err e = pick_all(s, NULL, &all);

	pick_list(&all, list, sizeof list);
	if (e == E_OK && all.n == 0)
		e = err_set(E_NOTFOUND, "there is no derived credential; 'dpiv derive' makes one");
	else if (e == E_OK)
		e = err_set(E_NOTFOUND, "no credential is called '%.80s'; there are: %s", word, list);
	pick_free(&all);
	return e;
}

enum err
pick(struct store *s, const char *word, struct picked *out)
{
	enum err e;

	memset(out, 0, sizeof *out);
	e = pick_all(s, word, out);
	if (e == E_OK && out->n == 0)
		e = pick_none(s, word);
	if (e != E_OK)
		pick_free(out);
	return e;
}

enum err
pick_one(struct store *s, const char *word, struct picked *out)
{
	char list[2048];
	enum err e = pick(s, word, out);

	if (e != E_OK || out->n == 1)
		return e;
	pick_list(out, list, sizeof list);
	pick_free(out);
	return err_set(E_USAGE,
	    "say which credential, by its serial number, or by several of its facts with commas between them: %s",
	    list);
}

enum err
pick_revocable(struct store *s, const char *word, struct picked *out)
{
	enum err e = pick_one(s, word, out);
	char *why = e == E_NOTFOUND && word != NULL ? strdup(err_msg()) : NULL;

	if (why == NULL)
		return e;
	e = E_OK;
	for (size_t i = 0; e == E_OK; i++) {
		struct credential c;

		e = store_cred_get(s, i, &c);
		if (e == E_OK && !c.active && pick_is_serial(&c, word))
			e = pick_add(out, &c);
		credential_clear(&c);
	}
	if (out->n != 1) {
		pick_free(out);
		e = err_set(e == E_NOTFOUND ? E_NOTFOUND : e, "%s", why);
	} else {
		e = E_OK;
	}
	free(why);
	return e;
}

void
pick_free(struct picked *p)
{
	for (size_t i = 0; i < p->n; i++)
		credential_clear(&p->c[i]);
	free(p->c);
	memset(p, 0, sizeof *p);
}

char *
pick_name(const struct credential *c, char *out, size_t cap)
{
	char name[64], serial[64];

	snprintf(out, cap, "the %s credential of %s (serial %s) on '%s'", role_info(c->role)->name,
	    cert_name(c->cert, name, sizeof name), cert_serial(c->cert, serial, sizeof serial), c->token_label);
	return out;
}

/* --- its token ---------------------------------------------------------------------------------------------------- */

static bool
uri_fits(const char *uri, const struct credential *c)
{
	struct token *t = NULL;
	bool fits;

	if (uri == NULL || (strstr(uri, "pin-source=") == NULL && strstr(uri, "pin-value=") == NULL))
		return false;
	fits = token_open(uri, NULL, NULL, &t) == E_OK && strcmp(token_label(t), c->token_label) == 0 &&
	    strcmp(token_serial_number(t), c->token_serial) == 0;
	token_close(&t);
	return fits;
}

void
pick_token(const struct conf *conf, const struct credential *c, const char *given, char *out, size_t cap)
{
	const char *uri = given != NULL ? given : conf_str(conf, "derive", "to"), *name;
	bool found = given != NULL || uri_fits(uri, c);

	for (size_t i = 0; !found && (name = conf_named(conf, "token", i)) != NULL; i++) {
		char section[160];

		snprintf(section, sizeof section, "token %s", name);
		uri = conf_str(conf, section, "uri");
		found = uri_fits(uri, c);
	}
	snprintf(out, cap, "%s", found ? uri : c->token_uri);
}
