/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a URI names on a token: a private key, a public key or a certificate. `id` and `object` must both fit when both
 * are given. A key may also be named by the label of its certificate, since that is the name which most programs show.
 * A URI that fits several objects is refused with their names: signing with the wrong key helps nobody.
 */

#include "pkcs11/engine.h"

#ifndef OPENSSL_NO_ENGINE

#include <stdio.h>
#include <string.h>
#include <p11-kit/pkcs11.h>

#include "base/bytes.h"
#include "base/text.h"

struct want {
	struct span id, label; /* p NULL: any */
};

static struct span
uri_attribute(P11KitUri *uri, CK_ATTRIBUTE_TYPE type)
{
	CK_ATTRIBUTE *a = p11_kit_uri_get_attribute(uri, type);

	return a == NULL ? SPAN_NONE : span_of(a->pValue, a->ulValueLen);
}

static enum err
uri_parse(const char *text, CK_OBJECT_CLASS cls, P11KitUri **out, struct want *w)
{
	P11KitUri *uri = p11_kit_uri_new();
	CK_ATTRIBUTE *a;
	int rc;

	if (uri == NULL)
		return err_set(E_NOMEM, "no memory for a URI");
	if (text == NULL || (rc = p11_kit_uri_parse(text, P11_KIT_URI_FOR_ANY, uri)) != P11_KIT_URI_OK) {
		p11_kit_uri_free(uri);
		return err_set(E_ARG, "not a PKCS#11 URI (RFC 7512), for example pkcs11:token=NAME;id=%%01");
	}
	a = p11_kit_uri_get_attribute(uri, CKA_CLASS);
	if (a != NULL && cls != CKO_PUBLIC_KEY && memcmp(a->pValue, &cls, sizeof cls) != 0 && cls == CKO_PRIVATE_KEY) {
		p11_kit_uri_free(uri);
		return err_set(E_ARG, "a private key is wanted, but the URI says another type; leave type= out");
	}
	w->id = uri_attribute(uri, CKA_ID);
	w->label = uri_attribute(uri, CKA_LABEL);
	*out = uri;
	return E_OK;
}

static bool
fits(const struct want *w, const unsigned char *id, size_t id_len, const char *label)
{
	return (w->id.p == NULL || span_eq(w->id, span_of(id, id_len))) &&
	    (w->label.p == NULL || span_eq(w->label, span_str(label == NULL ? "" : label)));
}

static enum err
several(const struct eng_token *t, const char *what, const char *a, const char *b)
{
	return err_set(E_ARG, "the URI fits several %s on token %s (\"%s\", \"%s\"): add id= or object=", what,
	    t->slot->token->label, a == NULL ? "" : a, b == NULL ? "" : b);
}

static enum err
cert_find(struct eng_token *t, const struct want *w, PKCS11_CERT **out)
{
	PKCS11_CERT *certs = NULL;
	unsigned int n = 0;

	*out = NULL;
	if (PKCS11_enumerate_certs(t->slot->token, &certs, &n) != 0)
		return err_crypto(E_IO, "token %s: its certificates cannot be listed", t->slot->token->label);
	for (unsigned int i = 0; i < n; i++) {
		if (certs[i].x509 == NULL || !fits(w, certs[i].id, certs[i].id_len, certs[i].label))
			continue;
		if (*out != NULL)
			return several(t, "certificates", (*out)->label, certs[i].label);
		*out = &certs[i];
	}
	return E_OK;
}

static enum err
key_scan(struct eng_token *t, PKCS11_KEY *keys, unsigned int n, const struct want *w, PKCS11_KEY **out)
{
	*out = NULL;
	for (unsigned int i = 0; i < n; i++) {
		if (!fits(w, keys[i].id, keys[i].id_len, keys[i].label))
			continue;
		if (*out != NULL)
			return several(t, "keys", (*out)->label, keys[i].label);
		*out = &keys[i];
	}
	return E_OK;
}

/* By its own attributes, else by the label of a certificate that has the same CKA_ID. */
static enum err
key_find(struct eng_token *t, PKCS11_KEY *keys, unsigned int n, const struct want *w, PKCS11_KEY **out)
{
	struct want by_id = { w->id, SPAN_NONE };
	PKCS11_CERT *cert = NULL;
	enum err rc = key_scan(t, keys, n, w, out);

	if (rc != E_OK || *out != NULL)
		return rc;
	if (w->label.p != NULL && (rc = cert_find(t, w, &cert)) == E_OK && cert != NULL) {
		by_id.id = span_of(cert->id, cert->id_len);
		rc = key_scan(t, keys, n, &by_id, out);
	}
	if (rc == E_OK && *out == NULL)
		rc = err_set(E_NOTFOUND, "token %s has no such key (%u %s there)", t->slot->token->label, n,
		    n == 1 ? "is" : "are");
	return rc;
}

static enum err
private_find(struct eng *e, struct eng_token *t, const struct want *w, EVP_PKEY **out)
{
	PKCS11_KEY *keys = NULL, *key = NULL;
	unsigned int n = 0;
	enum err rc;

	if (PKCS11_enumerate_keys(t->slot->token, &keys, &n) != 0)
		return err_crypto(E_IO, "token %s: its keys cannot be listed", t->slot->token->label);
	if ((rc = key_find(t, keys, n, w, &key)) != E_OK)
		return rc;
	*out = PKCS11_get_private_key(key);
	if (*out == NULL)
		return err_crypto(E_UNSUP, "token %s: key \"%s\" cannot be used", t->slot->token->label, key->label);
	eng_say(e, "key \"%s\" on token %s", key->label, t->slot->token->label);
	return E_OK;
}

enum err
eng_load_private(struct eng *e, const char *text, struct eng_ui ui, EVP_PKEY **out)
{
	P11KitUri *uri = NULL;
	struct eng_token *t;
	struct want w;
	enum err rc;

	*out = NULL;
	pthread_mutex_lock(&e->lock);
	if ((rc = uri_parse(text, CKO_PRIVATE_KEY, &uri, &w)) == E_OK && (rc = eng_token_get(e, uri, &t)) == E_OK &&
	    (rc = eng_login(e, t, uri, ui)) == E_OK)
		rc = private_find(e, t, &w, out);
	p11_kit_uri_free(uri);
	pthread_mutex_unlock(&e->lock);
	return rc;
}

static enum err
public_find(struct eng_token *t, const struct want *w, EVP_PKEY **out)
{
	PKCS11_KEY *keys = NULL, *key = NULL;
	PKCS11_CERT *cert = NULL;
	unsigned int n = 0;
	enum err rc = cert_find(t, w, &cert);

	if (rc == E_OK && cert == NULL && PKCS11_enumerate_public_keys(t->slot->token, &keys, &n) == 0)
		rc = key_find(t, keys, n, w, &key);
	if (rc != E_OK)
		return rc;
	if (cert == NULL && key == NULL)
		return err_set(E_NOTFOUND, "token %s has no such public key", t->slot->token->label);
	*out = cert != NULL ? X509_get_pubkey(cert->x509) : PKCS11_get_public_key(key);
	return *out != NULL ? E_OK : err_crypto(E_UNSUP, "token %s: unusable public key", t->slot->token->label);
}

enum err
eng_load_public(struct eng *e, const char *text, EVP_PKEY **out)
{
	P11KitUri *uri = NULL;
	struct eng_token *t;
	struct want w;
	enum err rc;

	*out = NULL;
	pthread_mutex_lock(&e->lock);
	if ((rc = uri_parse(text, CKO_PUBLIC_KEY, &uri, &w)) == E_OK && (rc = eng_token_get(e, uri, &t)) == E_OK)
		rc = public_find(t, &w, out);
	p11_kit_uri_free(uri);
	pthread_mutex_unlock(&e->lock);
	return rc;
}

/* Certificates are public; only one that hides until login is worth a PIN, and only a PIN that is at hand. */
static enum err
cert_get(struct eng *e, P11KitUri *uri, const struct want *w, struct eng_ui ui, X509 **out)
{
	struct eng_token *t;
	PKCS11_CERT *cert = NULL;
	enum err rc = eng_token_get(e, uri, &t);

	if (rc == E_OK)
		rc = cert_find(t, w, &cert);
	if (rc == E_OK && cert == NULL && eng_pin_known(e, uri) && (rc = eng_login(e, t, uri, ui)) == E_OK)
		rc = cert_find(t, w, &cert);
	if (rc != E_OK)
		return rc;
	if (cert == NULL)
		return err_set(E_NOTFOUND, "token %s has no such certificate", t->slot->token->label);
	*out = X509_dup(cert->x509);
	return *out != NULL ? E_OK : err_crypto(E_NOMEM, "no memory for a certificate");
}

enum err
eng_load_cert(struct eng *e, const char *text, struct eng_ui ui, X509 **out)
{
	P11KitUri *uri = NULL;
	struct want w;
	enum err rc;

	*out = NULL;
	pthread_mutex_lock(&e->lock);
	if ((rc = uri_parse(text, CKO_CERTIFICATE, &uri, &w)) == E_OK)
		rc = cert_get(e, uri, &w, ui, out);
	p11_kit_uri_free(uri);
	pthread_mutex_unlock(&e->lock);
	return rc;
}

#endif
