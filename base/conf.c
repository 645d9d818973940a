/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Configuration: see conf.h. NCONF parses; this file knows the keys and checks that nothing else is there, since a
 * misspelt key that is ignored in silence is a setting that the administrator believes in.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/conf.h>
#include <openssl/err.h>

#include "base/conf.h"
#include "base/conf_text.h"
#include "base/file.h"

#define CONF_MAX (256 * 1024)

struct conf_file {
	CONF *conf; /* NULL: there is none */
	char *path;
	struct wbuf text;
};

struct conf {
	const struct conf_key *table;
	size_t keys;
	struct conf_file file[CONF_LAYERS];
	char **names; /* "kind NAME" of every named section, as in the files */
	size_t n_names;
};

static const struct conf_key dpiv_table[] = {
	{ "module", "keep_pin", 'b', "yes",
	    "hold the PIN while logged in, to verify again when another program reset the card" },
	{ "module", "cache", 'b', "yes",
	    "remember public objects of cards in $XDG_CACHE_HOME/dpiv, to read less of a card that is known" },
	{ "module", "last_try", 'b', "no", "send a PIN although it is the last try and the program was not shown so" },
	{ "module", "management_key_file", 'p', NULL,
	    "a file with the management key in hexadecimal digits, with which a user who is logged in may write" },
	{ "module", "content_signer", 'p', NULL,
	    "a PEM file with the key and certificate that sign the Security Object when something on the card was "
	    "written" },
	{ "module", "attestations", 'b', "no", "list the card's attestation certificates with its others" },
	{ "module", "derived_aid", 'b', "yes",
	    "look for a derived PIV application (SP 800-157) where there is no PIV application" },
	{ "module", "derived_slot", 's', "ask",
	    "slot of a derived PIV application beside a PIV application: ask (look when a program asks about the "
	    "slot), "
	    "always (look whenever slots are listed), no" },
	{ "module", "pin_pad", 'b', "yes", "let the PIN be typed on a reader that has keys for it" },
	{ "module", "history_dir", 'p', NULL,
	    "directory with key history files, each named by its SHA-256; default: dpiv/history in XDG_DATA_HOME" },
	{ "module", "pin_helper", 'p', NULL,
	    "program that asks for a PIN which the calling program did not give: a pinentry or an askpass" },
	{ "module", "pin_helper_protocol", 's', NULL, "pinentry or askpass; by the program's name when it is not set" },
	{ "module", "pin_helper_timeout", 'n', "60", "seconds that pin_helper may take" },
	{ "derive", "issuer", 's', NULL, "name of the issuer section that is used when none is given" },
	{ "derive", "to", 's', NULL, "URI of the target token that is used when none is given" },
	{ "derive", "roles", 'l', "auth", "roles to derive when none are given: auth, sign, encrypt" },
	{ "derive", "renew_days", 'n', "28", "days before its expiry from which dpiv renews a credential" },
	{ "derive", "assurance", 's', "aal2", "aal2 or aal3: what a key must be able to carry to be derived" },
	{ "assurance *", "manufacturer", 's', NULL,
	    "pattern of the manufacturer of a validated model, as PKCS#11 tells it" },
	{ "assurance *", "model", 's', NULL, "pattern of its model" },
	{ "assurance *", "firmware", 's', NULL, "pattern of its firmware version; default: any" },
	{ "assurance *", "serial", 's', NULL, "pattern of its serial number; default: any" },
	{ "assurance *", "attestation_roots", 'p', NULL,
	    "PEM file with its maker's certificates: the token must attest the key" },
	{ "check", "crls", 'p', NULL, "file with CRLs (PEM or DER) that dpiv check looks at before it asks anybody" },
	{ "check", "cafile", 'p', NULL,
	    "PEM file with trust anchors of the PIV card's certificate, beside those of the issuer" },
	{ "policy", "issuers", 'l', NULL, "names of the [issuer] sections of this file that may be used" },
	{ "policy", "own_issuers", 'b', "no", "beside issuers, those that a user names" },
	{ "policy", "protocols", 'l', NULL, "how issuers may be spoken with: est, cmp, scep" },
	{ "policy", "roles", 'l', NULL, "roles that may be derived" },
	{ "policy", "required_roles", 'l', NULL, "roles that everybody has to have" },
	{ "policy", "default_roles", 'l', NULL, "roles that are derived when none are named" },
	{ "policy", "sign", 'l', NULL, "where a signing key may come from: derived, scep" },
	{ "policy", "encrypt", 'l', NULL, "where an encryption key may come from: derived, scep, pkcs12" },
	{ "policy", "one_certificate", 'b', NULL,
	    "for signature and encryption one certificate (yes) or separate ones (no); default: as the issuer has it" },
	{ "policy", "targets", 'l', NULL, "tokens that may get credentials: piv, or URIs with * in them" },
	{ "policy", "algorithms", 'l', NULL, "kinds of new keys: RSA-2048, RSA-3072, P-256, P-384" },
	{ "policy", "min_assurance", 's', NULL, "least assurance of the token: aal2 or aal3" },
	{ "policy", "renew_days", 'n', NULL, "days before its expiry from which a credential is renewed, at least" },
	{ "policy", "renew_to", 's', NULL, "name of the [issuer] section to which renewals go" },
	{ "policy", "trust_roots", 'l', NULL, "PEM files with roots that dpiv setup installs for programs" },
	{ "policy", "notices", 'b', "yes", "tell the person what happens to credentials" },
	{ "policy *", "groups", 'l', NULL, "Unix groups whose members the section is for" },
	{ "issuer *", "url", 's', NULL, "address of the issuer; EST: https, up to and without /.well-known/est" },
	{ "issuer *", "protocol", 's', "est", "est, cmp or scep" },
	{ "issuer *", "secret", 'p', NULL, "file with the shared secret (CMP) or the challenge (SCEP)" },
	{ "issuer *", "reference", 's', NULL, "CMP: the name of the shared secret at the issuer" },
	{ "issuer *", "signer", 'p', NULL, "CMP: PEM file with the certificate that signs the issuer's answers" },
	{ "issuer *", "request", 's', NULL, "CMP: ir, cr or p10cr; default: ir with a secret, else cr" },
	{ "issuer *", "fingerprint", 's', NULL, "SCEP: SHA-256 of the CA certificate, in hex" },
	{ "issuer *", "weak_algorithms", 'b', "no", "SCEP: SHA-1 and Triple DES where the issuer has nothing better" },
	{ "issuer *", "cafile", 'p', NULL, "PEM file with the trust anchors for its TLS and its certificates" },
	{ "issuer *", "label", 's', NULL, "EST label of a role: auth=LABEL,sign=LABEL,encrypt=LABEL" },
	{ "issuer *", "encrypt", 's', "generate",
	    "where the key of an encryption credential comes from: generate (on the token), serverkeygen (the issuer "
	    "makes it and keeps it in escrow) or recover (the escrowed key that you have)" },
	{ "issuer *", "one_certificate", 's', NULL,
	    "OID of the policy under which the issuer has one certificate for both signature and encryption; not one "
	    "of the Federal PKI" },
	{ "issuer *", "tls", 's', "1.2+", "1.2 (only), 1.3 (only) or 1.2+" },
	{ "issuer *", "test_policies", 'b', "no", "accept the FPKI test policy identifiers as well" },
	{ "token *", "uri", 's', NULL, "RFC 7512 URI of a token that dpiv searches for keys" },
	{ "token *", "slot", 'b', "yes", "give it a slot of dpiv-pkcs11.so, when the uri has a module-path" },
	{ "token *", "pin_min", 'n', "6", "least length of a new PIN" },
	{ "token *", "pin_tries", 'n', "10", "consecutive wrong PINs after which no PIN is tried any more" },
	{ "token *", "pin_counter", 's', "auto",
	    "who counts them: dpiv, token, or auto: dpiv where the token is software" },
	{ "mail", "cafile", 'p', NULL, "PEM file with the trust anchors for signatures on mail" },
	{ "mail", "certs", 'p', NULL, "directory with certificates of correspondents (PEM or DER)" },
	{ "notices", "desktop", 'b', "yes", "show on the desktop what happens to derived credentials" },
};

const struct conf_key *
conf_table(size_t *n)
{
	*n = sizeof dpiv_table / sizeof dpiv_table[0];
	return dpiv_table;
}

/* Does the row's section ("module", "issuer *") cover this section ("issuer agency")? */
static bool
section_matches(const char *row, const char *section)
{
	size_t n = strlen(row);

	if (n < 2 || row[n - 1] != '*')
		return strcmp(row, section) == 0;
	return strncmp(row, section, n - 1) == 0 && section[n - 1] != '\0';
}

/* Where there is [kind] and [kind NAME], the second has the keys of the first as well. */
static bool
section_inherits(const char *row, const char *section)
{
	size_t n = strlen(row);

	return strncmp(row, section, n) == 0 && section[n] == ' ';
}

static const struct conf_key *
key_find(const struct conf *c, const char *section, const char *key)
{
	for (size_t i = 0; i < c->keys; i++) {
		const struct conf_key *row = &c->table[i];

		if ((section_matches(row->section, section) || section_inherits(row->section, section)) &&
		    strcmp(row->key, key) == 0)
			return row;
	}
	return NULL;
}

static bool
section_known(const struct conf *c, const char *section)
{
	for (size_t i = 0; i < c->keys; i++)
		if (section_matches(c->table[i].section, section))
			return true;
	return false;
}

static enum err
check_section(const struct conf *c, const char *path, struct span text, CONF *file, const char *section)
{
	STACK_OF(CONF_VALUE) *values = NCONF_get_section(file, section);

	if (strcmp(section, "default") == 0 && sk_CONF_VALUE_num(values) <= 0)
		return E_OK;
	if (!section_known(c, section))
		return err_set(E_CONF, "%s:%zu: unknown section [%s]", path, conf_line(text, section, NULL), section);
	for (int i = 0; i < sk_CONF_VALUE_num(values); i++) {
		const CONF_VALUE *v = sk_CONF_VALUE_value(values, i);
		const struct conf_key *row = key_find(c, section, v->name);
		const char *complaint;

		if (row == NULL)
			return err_set(E_CONF, "%s:%zu: unknown key \"%s\" in [%s]", path,
			    conf_line(text, section, v->name), v->name, section);
		if ((complaint = conf_value_wrong(row->type, v->value)) != NULL)
			return err_set(E_CONF, "%s:%zu: %s %s: %s", path, conf_line(text, section, v->name), v->name,
			    complaint, row->help);
	}
	return E_OK;
}

static enum err
name_add(struct conf *c, const char *section)
{
	char **more;

	if (strchr(section, ' ') == NULL)
		return E_OK;
	for (size_t i = 0; i < c->n_names; i++)
		if (strcmp(c->names[i], section) == 0)
			return E_OK;
	if ((more = realloc(c->names, (c->n_names + 1) * sizeof *more)) == NULL)
		return err_set(E_NOMEM, "out of memory");
	c->names = more;
	if ((c->names[c->n_names] = strdup(section)) == NULL)
		return err_set(E_NOMEM, "out of memory");
	c->n_names++;
	return E_OK;
}

/* The section whose head comes next in the file after this line; NULL: none. NCONF forgets their order. */
static const char *
section_after(STACK_OF(OPENSSL_CSTRING) * sections, struct span text, size_t *line)
{
	const char *next = NULL;
	size_t best = 0;

	for (int i = 0; i < sk_OPENSSL_CSTRING_num(sections); i++) {
		size_t at = conf_line(text, sk_OPENSSL_CSTRING_value(sections, i), NULL);

		if (at > *line && (next == NULL || at < best)) {
			next = sk_OPENSSL_CSTRING_value(sections, i);
			best = at;
		}
	}
	*line = best;
	return next;
}

static enum err
check_file(struct conf *c, const char *path, struct span text, CONF *file)
{
	STACK_OF(OPENSSL_CSTRING) *sections = NCONF_get_section_names(file);
	const char *section;
	size_t line = 0;
	enum err e = E_OK;

	for (int i = 0; e == E_OK && i < sk_OPENSSL_CSTRING_num(sections); i++)
		e = check_section(c, path, text, file, sk_OPENSSL_CSTRING_value(sections, i));
	while (e == E_OK && (section = section_after(sections, text, &line)) != NULL)
		e = name_add(c, section);
	/* heads that are not on a line of their own as written (NCONF takes escapes) */
	for (int i = 0; e == E_OK && i < sk_OPENSSL_CSTRING_num(sections); i++)
		e = name_add(c, sk_OPENSSL_CSTRING_value(sections, i));
	sk_OPENSSL_CSTRING_free(sections);
	return e;
}

static enum err
file_parse(const char *path, struct span text, CONF **out)
{
	BIO *bio = BIO_new_mem_buf(text.n > 0 ? (const void *)text.p : "", (int)text.n); /* NULL: an empty file */
	CONF *file = NCONF_new(NULL);
	long line = 0;
	enum err e = E_OK;

	if (bio == NULL || file == NULL)
		e = err_set(E_NOMEM, "out of memory");
	else if (text.n > 0 && NCONF_load_bio(file, bio, &line) != 1)
		e = err_crypto(E_CONF, "%s:%ld: not understood", path, line);
	BIO_free(bio);
	if (e != E_OK)
		NCONF_free(file);
	else
		*out = file;
	return e;
}

static void
file_free(struct conf_file *f)
{
	NCONF_free(f->conf);
	free(f->path);
	wbuf_free(&f->text);
	memset(f, 0, sizeof *f);
}

static enum err
conf_add(struct conf *c, enum conf_layer layer, const char *path)
{
	struct conf_file *f = &c->file[layer];
	enum err e;

	wbuf_init(&f->text, CONF_MAX);
	e = file_read(path, &f->text);
	if (e == E_OK && (f->path = strdup(path)) == NULL)
		e = err_set(E_NOMEM, "out of memory");
	if (e == E_OK)
		e = file_parse(path, wbuf_view(&f->text), &f->conf);
	if (e == E_OK)
		e = check_file(c, path, wbuf_view(&f->text), f->conf);
	if (e != E_OK)
		file_free(f);
	return e;
}

static enum err
conf_new(const struct conf_key *table, size_t n, struct conf **out)
{
	if ((*out = calloc(1, sizeof **out)) == NULL)
		return err_set(E_NOMEM, "out of memory");
	(*out)->table = table;
	(*out)->keys = n;
	return E_OK;
}

enum err
conf_load_table(const char *path, const struct conf_key *table, size_t n, struct conf **out)
{
	enum err e;

	if ((e = conf_new(table, n, out)) != E_OK)
		return e;
	if ((e = conf_add(*out, CONF_USER, path)) != E_OK)
		conf_free(out);
	return e;
}

enum err
conf_load_file(const char *path, struct conf **out)
{
	size_t n;
	const struct conf_key *table = conf_table(&n);

	return conf_load_table(path, table, n, out);
}

/* A missing file is not an error, unless it was asked for. */
static enum err
load_both(const char *user, bool asked, const char *system, struct conf **out)
{
	size_t n;
	const struct conf_key *table = conf_table(&n);
	enum err e = conf_new(table, n, out);

	if (e == E_OK && user != NULL && (e = conf_add(*out, CONF_USER, user)) == E_NOTFOUND && !asked)
		e = E_OK;
	if (e == E_OK && system != NULL && (e = conf_add(*out, CONF_SYSTEM, system)) == E_NOTFOUND)
		e = E_OK;
	if (e != E_OK)
		conf_free(out);
	return e;
}

enum err
conf_load_layers(const char *user, const char *system, struct conf **out)
{
	return load_both(user, false, system, out);
}

/* Has the file a section of this kind, [kind] or [kind NAME]? */
static bool
file_has(const struct conf_file *f, const char *kind)
{
	STACK_OF(OPENSSL_CSTRING) *sections = f->conf != NULL ? NCONF_get_section_names(f->conf) : NULL;
	bool has = false;

	for (int i = 0; i < sk_OPENSSL_CSTRING_num(sections); i++) {
		const char *name = sk_OPENSSL_CSTRING_value(sections, i);

		has = has || strcmp(name, kind) == 0 || section_inherits(kind, name);
	}
	sk_OPENSSL_CSTRING_free(sections);
	return has;
}

/* DPIV_CONF: instead of both, but the administrator's file stays when it has a policy. */
static enum err
load_chosen(const char *path, struct conf **out)
{
	enum err e = load_both(path, true, CONF_SYSTEM_PATH, out);

	if (e == E_OK && !file_has(&(*out)->file[CONF_SYSTEM], "policy"))
		file_free(&(*out)->file[CONF_SYSTEM]);
	return e;
}

enum err
conf_user_path(char *out, size_t cap)
{
	const char *only = secure_getenv("DPIV_CONF");
	char dir[3900];
	enum err e = only == NULL ? file_xdg("XDG_CONFIG_HOME", ".config", dir, sizeof dir) : E_OK;

	if (e == E_OK)
		snprintf(out, cap, "%s%s", only != NULL ? only : dir, only != NULL ? "" : "/dpiv.conf");
	return e;
}

enum err
conf_load(struct conf **out)
{
	const char *only = secure_getenv("DPIV_CONF");
	char user[4096];

	if (only != NULL)
		return load_chosen(only, out);
	return conf_load_layers(conf_user_path(user, sizeof user) == E_OK ? user : NULL, CONF_SYSTEM_PATH, out);
}

void
conf_free(struct conf **c)
{
	if (*c == NULL)
		return;
	for (size_t i = 0; i < CONF_LAYERS; i++)
		file_free(&(*c)->file[i]);
	for (size_t i = 0; i < (*c)->n_names; i++)
		free((*c)->names[i]);
	free((*c)->names);
	free(*c);
	*c = NULL;
}

/* NCONF_get_string() falls back to the default section and queues errors; a lookup in the section's own values does
 * neither. */
static const char *
section_value(CONF *file, const char *section, const char *key)
{
	STACK_OF(CONF_VALUE) *values = NCONF_get_section(file, section);

	for (int i = 0; i < sk_CONF_VALUE_num(values); i++) {
		const CONF_VALUE *v = sk_CONF_VALUE_value(values, i);

		if (strcmp(v->name, key) == 0)
			return v->value;
	}
	return NULL;
}

const char *
conf_said(const struct conf *c, enum conf_layer layer, const char *section, const char *key)
{
	return c != NULL && c->file[layer].conf != NULL ? section_value(c->file[layer].conf, section, key) : NULL;
}

bool
conf_has(const struct conf *c, enum conf_layer layer, const char *section)
{
	return c != NULL && c->file[layer].conf != NULL && NCONF_get_section(c->file[layer].conf, section) != NULL;
}

char *
conf_where(const struct conf *c, enum conf_layer layer, const char *section, const char *key, char *out, size_t cap)
{
	const struct conf_file *f = &c->file[layer];
	size_t line = f->conf != NULL ? conf_line(wbuf_view(&f->text), section, key) : 0;

	if (line > 0)
		snprintf(out, cap, "%s:%zu", f->path, line);
	else
		snprintf(out, cap, "%s", f->path != NULL ? f->path : "dpiv.conf");
	return out;
}

const char *
conf_str(const struct conf *c, const char *section, const char *key)
{
	const struct conf defaults = { .table = dpiv_table, .keys = sizeof dpiv_table / sizeof dpiv_table[0] };
	const struct conf_key *row = key_find(c != NULL ? c : &defaults, section, key);

	if (row == NULL)
		return NULL;
	for (size_t i = 0; c != NULL && i < CONF_LAYERS; i++) {
		const char *v = conf_said(c, (enum conf_layer)i, section, key);

		if (v != NULL)
			return v;
	}
	return row->initial;
}

bool
conf_bool(const struct conf *c, const char *section, const char *key)
{
	const char *v = conf_str(c, section, key);

	return v != NULL && conf_value_bool(v) == 1;
}

long
conf_num(const struct conf *c, const char *section, const char *key)
{
	const char *v = conf_str(c, section, key);
	long n;

	return v != NULL && conf_value_number(v, &n) ? n : 0;
}

const char *
conf_named(const struct conf *c, const char *kind, size_t i)
{
	size_t n = strlen(kind);

	for (size_t k = 0; c != NULL && k < c->n_names; k++)
		if (strncmp(c->names[k], kind, n) == 0 && c->names[k][n] == ' ' && i-- == 0)
			return c->names[k] + n + 1;
	return NULL;
}
