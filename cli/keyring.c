/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * All tokens of a person as one ring of keys. A token is opened once, however many ways name it; its certificates are
 * copied, because a later login makes the token list them anew. An `id` or `object` in a URI narrows its token down to
 * the keys that it fits.
 */
#include <stdlib.h>
#include <string.h>
#include <openssl/x509v3.h>
#include <p11-kit/uri.h>

#include "base/conf.h"
#include "base/file.h"
#include "base/log.h"
#include "cli/certs.h"
#include "cli/cli.h"
#include "cli/keyring.h"
#include "derive/store.h"

struct keyring {
	struct token **tokens;
	size_t n_tokens;
	struct keyring_key *keys;
	size_t n_keys;
	STACK_OF(X509) * certs;
	char names[512];
	struct secret *pin; /* that the person has just typed, for pin_token; see ring_ask() */
	char pin_token[64];
};

/*
 * One action, one question: a key that wants its PIN for each use gets the PIN that was typed for the login a moment
 * ago, once. The next use, and any answer after a refusal, is up to the person again.
 */
static enum err
ring_ask(void *arg, const struct token_prompt *q, struct secret **pin)
{
	struct keyring *r = arg;
	enum err e;

	if (q->key != NULL && !q->again && r->pin != NULL && strcmp(r->pin_token, q->token) == 0) {
		*pin = r->pin;
		r->pin = NULL;
		return E_OK;
	}
	secret_free(&r->pin);
	e = cli_ask(NULL, q, pin);
	if (e == E_OK && q->key == NULL && *pin != NULL) {
		r->pin = secret_copy((*pin)->v, (*pin)->n);
		snprintf(r->pin_token, sizeof r->pin_token, "%s", q->token);
	}
	return e;
}

/* --- which keys of a token a URI means -----------------------------------------------------------------------------
 */

static bool
attribute_fits(P11KitUri *uri, CK_ATTRIBUTE_TYPE type, struct span value)
{
	CK_ATTRIBUTE *a = p11_kit_uri_get_attribute(uri, type);

	return a == NULL || span_eq(span_of(a->pValue, a->ulValueLen), value);
}

static bool
uri_fits(const char *text, const struct token_key *k)
{
	P11KitUri *uri = p11_kit_uri_new();
	bool fits = uri != NULL && p11_kit_uri_parse(text, P11_KIT_URI_FOR_ANY, uri) == P11_KIT_URI_OK &&
	    attribute_fits(uri, CKA_ID, span_of(k->id, k->id_len)) &&
	    attribute_fits(uri, CKA_LABEL, span_str(k->label));

	if (uri != NULL)
		p11_kit_uri_free(uri);
	return fits;
}

/* --- adding tokens -------------------------------------------------------------------------------------------------
 */

static enum err
key_add(struct keyring *r, struct token *t, const struct token_key *k)
{
	struct keyring_key *grown = realloc(r->keys, (r->n_keys + 1) * sizeof *grown);

	if (grown == NULL)
		return err_set(E_NOMEM, "no memory for the list of keys");
	r->keys = grown;
	grown[r->n_keys] = (struct keyring_key){ t, *k };
	if (X509_up_ref(k->cert) != 1)
		return err_set(E_NOMEM, "no memory for the list of keys");
	r->n_keys++;
	if (X509_up_ref(k->cert) == 1 && sk_X509_push(r->certs, k->cert) <= 0)
		X509_free(k->cert);
	return E_OK;
}

static void
name_add(struct keyring *r, const char *name)
{
	size_t n = strlen(r->names);

	snprintf(r->names + n, sizeof r->names - n, "%s%s", n > 0 ? ", " : "", name);
}

/* One token can be reached by its own module and by a slot of dpiv's: once is enough. */
static bool
same_token(const struct token *a, const struct token *b)
{
	return strcmp(token_uri(a), token_uri(b)) == 0 ||
	    (token_serial_number(a)[0] != '\0' && strcmp(token_serial_number(a), token_serial_number(b)) == 0 &&
		strcmp(token_label(a), token_label(b)) == 0);
}

/* Takes over t, or closes it. */
static enum err
token_add(struct keyring *r, struct token *t, const char *uri)
{
	const struct token_key *keys;
	struct token **grown;
	size_t n;
	enum err e;

	for (size_t i = 0; i < r->n_tokens; i++) {
		if (same_token(r->tokens[i], t)) {
			token_close(&t);
			return E_OK;
		}
	}
	grown = realloc(r->tokens, (r->n_tokens + 1) * sizeof *grown);
	if (grown == NULL) {
		token_close(&t);
		return err_set(E_NOMEM, "no memory for the list of tokens");
	}
	r->tokens = grown;
	r->tokens[r->n_tokens++] = t;
	name_add(r, token_label(t));
	e = token_keys(t, &keys, &n);
	for (size_t i = 0; e == E_OK && i < n; i++) {
		if (keys[i].cert != NULL && (uri == NULL || uri_fits(uri, &keys[i])))
			e = key_add(r, t, &keys[i]);
	}
	return e;
}

static enum err
uri_add(struct keyring *r, const char *uri)
{
	struct token *t = NULL;
	enum err e = token_open(uri, ring_ask, r, &t);

	return e == E_OK ? token_add(r, t, uri) : e;
}

/* A token that nobody asked for by name: what is wrong with it must not stand in the way of the others. */
static void
uri_try(struct keyring *r, const char *uri)
{
	enum err e = uri_add(r, uri);

	if (e != E_OK)
		log_info("keyring.skip", "uri=%.*s error=%s", (int)strcspn(uri, "?"), uri, err_name(e));
}

static void
add_configured(struct keyring *r, const struct conf *conf)
{
	const char *name;

	for (size_t i = 0; (name = conf_named(conf, "token", i)) != NULL; i++) {
		char section[128];
		const char *uri;

		snprintf(section, sizeof section, "token %s", name);
		if ((uri = conf_str(conf, section, "uri")) != NULL)
			uri_try(r, uri);
	}
}

/* Tokens that hold derived credentials. Looking must not make a state store where there is none. */
static void
add_stored(struct keyring *r)
{
	struct store *store = NULL;
	struct credential c = { 0 };

	if (store_open_existing(&store) != E_OK)
		return;
	for (size_t i = 0; store_cred_get(store, i, &c) == E_OK; i++) {
		if (c.active)
			uri_try(r, c.token_uri);
		credential_clear(&c);
	}
	store_close(&store);
}

static void
add_own_module(struct keyring *r)
{
	char **uris = NULL;
	size_t n = 0;

	if (token_list(NULL, &uris, &n) != E_OK)
		return;
	for (size_t i = 0; i < n; i++) {
		uri_try(r, uris[i]);
		free(uris[i]);
	}
	free(uris);
}

static enum err
add_all(struct keyring *r)
{
	struct conf *conf = NULL;
	enum err e = conf_load(&conf);

	if (e != E_OK)
		return e;
	add_configured(r, conf);
	conf_free(&conf);
	add_stored(r);
	add_own_module(r);
	err_clear();
	return E_OK;
}

enum err
keyring_open(const char *const *uris, size_t n, struct keyring **out)
{
	struct keyring *r = calloc(1, sizeof *r);
	enum err e = E_OK;

	*out = NULL;
	if (r == NULL || (r->certs = sk_X509_new_null()) == NULL) {
		free(r);
		return err_set(E_NOMEM, "no memory for the list of keys");
	}
	for (size_t i = 0; e == E_OK && i < n; i++)
		e = uri_add(r, uris[i]);
	if (e == E_OK && n == 0)
		e = add_all(r);
	if (e == E_OK)
		*out = r;
	else
		keyring_close(&r);
	return e;
}

void
keyring_close(struct keyring **k)
{
	struct keyring *r = *k;

	if (r == NULL)
		return;
	for (size_t i = 0; i < r->n_keys; i++)
		X509_free(r->keys[i].key.cert);
	for (size_t i = 0; i < r->n_tokens; i++)
		token_close(&r->tokens[i]);
	sk_X509_pop_free(r->certs, X509_free);
	secret_free(&r->pin);
	free(r->keys);
	free(r->tokens);
	free(r);
	*k = NULL;
}

const char *
keyring_names(const struct keyring *r)
{
	return r->names[0] != '\0' ? r->names : "no token";
}

const struct keyring_key *
keyring_at(const struct keyring *r, size_t i)
{
	return i < r->n_keys ? &r->keys[i] : NULL;
}

STACK_OF(X509) * keyring_certs(const struct keyring *r)
{
	return r->certs;
}

/* --- choosing ------------------------------------------------------------------------------------------------------
 */

/* Higher is better; a certificate for this address above all, then one for mail at all, then signature over
 * authentication certificates. */
static int
signer_score(X509 *cert, const char *address)
{
	char addresses[64];
	int score = 1;

	if (address != NULL && certs_has_address(cert, address))
		score += 4;
	if (certs_addresses(cert, addresses, sizeof addresses)[0] != '\0')
		score += 2;
	if ((X509_get_key_usage(cert) & KU_NON_REPUDIATION) != 0)
		score += 1;
	return score;
}

enum err
keyring_signer(const struct keyring *r, const char *address, const struct keyring_key **out)
{
	int best = 0;
	enum err worst = E_NOTFOUND, e;

	*out = NULL;
	err_clear();
	for (size_t i = 0; i < r->n_keys; i++) {
		X509 *cert = r->keys[i].key.cert;
		int score;

		if (!certs_may(cert, CERT_SIGN))
			continue;
		if ((e = certs_usable(cert, CERT_SIGN)) != E_OK) {
			worst = e;
			continue;
		}
		score = signer_score(cert, address);
		if (score > best) {
			best = score;
			*out = &r->keys[i];
		}
	}
	if (*out != NULL)
		return E_OK;
	if (r->n_keys == 1 && (e = certs_usable(r->keys[0].key.cert, CERT_SIGN)) != E_OK)
		return e;	/* the one that was asked for */
	if (worst == E_EXPIRED) /* the sentence names it */
		return err_up(E_EXPIRED, "no certificate to sign with");
	return err_set(E_NOTFOUND, "no certificate to sign mail with on any token (looked at: %s)", keyring_names(r));
}

static bool
same_person(X509 *a, X509 *b)
{
	STACK_OF(OPENSSL_STRING) *all = X509_get1_email(a);
	bool same = false;

	for (int i = 0; i < sk_OPENSSL_STRING_num(all) && !same; i++)
		same = certs_has_address(b, sk_OPENSSL_STRING_value(all, i));
	X509_email_free(all);
	return same;
}

X509 *
keyring_encrypt_cert(const struct keyring *r, const struct keyring_key *signer)
{
	for (size_t i = 0; i < r->n_keys; i++) {
		X509 *cert = r->keys[i].key.cert;

		if (r->keys[i].token == signer->token && certs_usable(cert, CERT_ENCRYPT) == E_OK &&
		    same_person(cert, signer->key.cert))
			return cert;
	}
	return NULL;
}

enum err
keyring_pkey(const struct keyring_key *k, EVP_PKEY **out)
{
	return token_pkey(k->token, k->key.id, k->key.id_len, out);
}
