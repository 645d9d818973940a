/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a token holds, seen as keys: certificates, joined by CKA_ID with the private keys that are visible, then private
 * keys without a certificate. A private key may be hidden until the login; the list is then read again. Certificates
 * that do not parse are skipped: a bad one must not hide the good ones. A token that fails is not one that has nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "derive/token_int.h"

void
keys_free(struct token *t)
{
	for (size_t i = 0; i < t->n_keys; i++)
		X509_free(t->keys[i].cert);
	free(t->keys);
	t->keys = NULL;
	t->n_keys = 0;
}

static struct token_key *
keys_add(struct token *t)
{
	struct token_key *grown = realloc(t->keys, (t->n_keys + 1) * sizeof *grown);

	if (grown == NULL)
		return NULL;
	t->keys = grown;
	memset(&grown[t->n_keys], 0, sizeof *grown);
	return &grown[t->n_keys++];
}

static void
key_label(struct token *t, CK_OBJECT_HANDLE o, struct token_key *k)
{
	WBUF_AUTO v;

	wbuf_init(&v, 1024);
	if (raw_get(t, o, CKA_LABEL, &v) == E_OK)
		text_safe(wbuf_view(&v), k->label, sizeof k->label);
}

/* E_NOTFOUND when there is none that can be used. */
static enum err
key_id(struct token *t, CK_OBJECT_HANDLE o, struct token_key *k)
{
	WBUF_AUTO v;
	enum err e;

	wbuf_init(&v, sizeof k->id);
	e = raw_get(t, o, CKA_ID, &v);
	if (e != E_OK || v.bad)
		return raw_failed(e) ? e : E_NOTFOUND;
	if (v.n > 0)
		memcpy(k->id, v.p, v.n);
	k->id_len = v.n;
	return E_OK;
}

/* *cert: NULL when it cannot be read as one. */
static enum err
key_cert(struct token *t, CK_OBJECT_HANDLE o, X509 **cert)
{
	WBUF_AUTO v;
	const unsigned char *p;
	enum err e;

	*cert = NULL;
	wbuf_init(&v, 64 * 1024);
	e = raw_get(t, o, CKA_VALUE, &v);
	if (e != E_OK || v.n == 0)
		/* a card's damaged object is the object's fault */
		return raw_failed(e) && (e != E_IO || !t->m->own) ? e : E_OK;
	p = v.p;
	*cert = d2i_X509(NULL, &p, (long)v.n);
	return E_OK;
}

static enum err
keys_read_certs(struct token *t, const CK_OBJECT_HANDLE *o, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		X509 *cert;
		struct token_key *k;
		enum err e = key_cert(t, o[i], &cert);

		if (e != E_OK)
			return e;
		if (cert == NULL) {
			log_warn("token.cert", "token=%s object=%lu unreadable", t->label, o[i]);
			continue;
		}
		k = keys_add(t);
		if (k == NULL) {
			X509_free(cert);
			return err_set(E_NOMEM, "out of memory");
		}
		k->cert = cert;
		if ((e = key_id(t, o[i], k)) != E_OK && e != E_NOTFOUND)
			return e;
		key_label(t, o[i], k);
	}
	return E_OK;
}

/* Marks the certificates of this key; true when there is one. */
static bool
keys_join(struct token *t, const struct token_key *priv)
{
	bool joined = false;

	for (size_t i = 0; i < t->n_keys; i++) {
		struct token_key *k = &t->keys[i];

		if (k->cert == NULL || !span_eq(span_of(k->id, k->id_len), span_of(priv->id, priv->id_len)))
			continue;
		k->has_private = true;
		k->always_auth = priv->always_auth;
		joined = true;
	}
	return joined;
}

static enum err
keys_read_private(struct token *t, const CK_OBJECT_HANDLE *o, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct token_key priv = { .has_private = true }, *k;

		enum err e = key_id(t, o[i], &priv);

		if (e == E_NOTFOUND)
			continue;
		if (e != E_OK)
			return e;
		priv.always_auth = raw_bool(t, o[i], CKA_ALWAYS_AUTHENTICATE);
		if (keys_join(t, &priv))
			continue;
		key_label(t, o[i], &priv);
		k = keys_add(t);
		if (k == NULL)
			return err_set(E_NOMEM, "out of memory");
		*k = priv;
	}
	return E_OK;
}

static enum err
keys_read(struct token *t, CK_OBJECT_CLASS cls, enum err (*fn)(struct token *, const CK_OBJECT_HANDLE *, size_t))
{
	CK_ATTRIBUTE tmpl = { CKA_CLASS, &cls, sizeof cls };
	CK_OBJECT_HANDLE *o = NULL;
	size_t n = 0;
	enum err e = raw_find(t, &tmpl, 1, &o, &n);

	if (e == E_OK)
		e = fn(t, o, n);
	free(o);
	return e;
}

enum err
token_keys(struct token *t, const struct token_key **keys, size_t *n)
{
	enum err e;

	*keys = NULL;
	*n = 0;
	keys_free(t);
	e = keys_read(t, CKO_CERTIFICATE, keys_read_certs);
	if (e == E_OK)
		e = keys_read(t, CKO_PRIVATE_KEY, keys_read_private);
	if (e != E_OK)
		return e;
	*keys = t->keys;
	*n = t->n_keys;
	return E_OK;
}
