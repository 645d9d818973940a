/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The CA's private key. In production it is a PKCS#11 key named by an RFC 7512 URI and never leaves its token; a key
 * file is accepted only by a demo agency. The URI names the key by id and/or object; with neither, the token's only key
 * is meant. That the key is the right one is proven against the CA certificate before anything is signed with it.
 */
#include <stdlib.h>
#include <string.h>
#include <openssl/rand.h>
#include <p11-kit/uri.h>

#include "derive/issuer/cakey.h"
#include "derive/issuer/x509io.h"
#include "derive/token.h"

struct cakey {
	struct token *token; /* NULL for a file */
	EVP_PKEY *pkey;
};

struct wanted {
	uint8_t id[64];
	size_t id_len;
	char label[64];
};

bool
cakey_is_uri(const char *where)
{
	return strncmp(where, "pkcs11:", 7) == 0;
}

static void
take_attribute(P11KitUri *uri, CK_ATTRIBUTE_TYPE type, void *out, size_t cap, size_t *n)
{
	CK_ATTRIBUTE_PTR a = p11_kit_uri_get_attribute(uri, type);

	*n = 0;
	if (a && a->pValue && a->ulValueLen <= cap) {
		memcpy(out, a->pValue, a->ulValueLen);
		*n = a->ulValueLen;
	}
}

static enum err
parse(const char *where, struct wanted *w)
{
	P11KitUri *uri = p11_kit_uri_new();
	enum err e = E_OK;
	size_t n;

	memset(w, 0, sizeof *w);
	if (uri == NULL)
		return err_set(E_NOMEM, "out of memory");
	if (p11_kit_uri_parse(where, P11_KIT_URI_FOR_ANY, uri) != P11_KIT_URI_OK) {
		e = err_set(E_ARG, "the PKCS#11 URI is malformed");
	} else {
		take_attribute(uri, CKA_ID, w->id, sizeof w->id, &w->id_len);
		take_attribute(uri, CKA_LABEL, w->label, sizeof w->label - 1, &n);
	}
	p11_kit_uri_free(uri);
	return e;
}

static bool
fits(const struct token_key *k, const struct wanted *w)
{
	if (w->id_len > 0 && (k->id_len != w->id_len || memcmp(k->id, w->id, w->id_len) != 0))
		return false;
	return w->label[0] == '\0' || strcmp(k->label, w->label) == 0;
}

/* The CKA_ID of the wanted key goes into w. */
static enum err
choose(struct token *t, struct wanted *w)
{
	const struct token_key *keys;
	size_t n, hits = 0, hit = 0;
	enum err e;

	if ((e = token_keys(t, &keys, &n)) != E_OK)
		return e;
	for (size_t i = 0; i < n; i++)
		if (keys[i].has_private && fits(&keys[i], w)) {
			hit = i;
			hits++;
		}
	if (hits == 0)
		return err_set(E_NOTFOUND, "%s: no private key as the URI names it", token_label(t));
	if (hits > 1)
		return err_set(E_ARG, "%s: several private keys fit; add id= or object= to the URI", token_label(t));
	memcpy(w->id, keys[hit].id, keys[hit].id_len);
	w->id_len = keys[hit].id_len;
	return E_OK;
}

static enum err
generate(struct token *t, struct wanted *w)
{
	EVP_PKEY *pub = NULL;
	enum err e;

	if (w->id_len == 0) {
		if (RAND_bytes(w->id, 16) != 1)
			return err_crypto(E_CRYPTO, "no random numbers");
		w->id_len = 16;
	}
	e = token_generate(
	    t, TOKEN_RSA3072, TOKEN_USE_SIGN, w->label[0] ? w->label : "dpiv issuing CA", w->id, w->id_len, &pub);
	EVP_PKEY_free(pub);
	return e;
}

static enum err
from_token(const char *where, bool may_generate, struct cakey *k)
{
	struct wanted w;
	enum err e;

	if ((e = parse(where, &w)) != E_OK || (e = token_open(where, NULL, NULL, &k->token)) != E_OK ||
	    (e = token_login(k->token)) != E_OK)
		return e;
	e = choose(k->token, &w);
	if (e == E_NOTFOUND && may_generate)
		e = generate(k->token, &w);
	return e != E_OK ? e : token_pkey(k->token, w.id, w.id_len, &k->pkey);
}

static enum err
open_key(const char *where, bool files, bool may_generate, EVP_PKEY *expect, struct cakey *k)
{
	enum err e;

	if (cakey_is_uri(where))
		e = from_token(where, may_generate, k);
	else if (!files)
		e = err_set(E_POLICY, "%s: it must be a pkcs11: URI; key files are for demo agencies only", where);
	else
		e = x509io_read_key(where, &k->pkey);
	if (e == E_OK && expect && EVP_PKEY_eq(k->pkey, expect) != 1)
		e = err_crypto(E_CONF, "it does not belong to its certificate");
	return e;
}

enum err
cakey_open(const char *where, bool files, bool may_generate, EVP_PKEY *expect, struct cakey **out)
{
	return cakey_open_as("CA key", where, files, may_generate, expect, out);
}

enum err
cakey_open_as(const char *what, const char *where, bool files, bool may_generate, EVP_PKEY *expect, struct cakey **out)
{
	struct cakey *k = calloc(1, sizeof *k);
	enum err e;

	*out = NULL;
	if (k == NULL)
		return err_set(E_NOMEM, "out of memory");
	if ((e = open_key(where, files, may_generate, expect, k)) != E_OK) {
		cakey_close(&k);
		return err_up(e, "%s", what);
	}
	*out = k;
	return E_OK;
}

EVP_PKEY *
cakey_pkey(const struct cakey *k)
{
	return k->pkey;
}

void
cakey_close(struct cakey **k)
{
	if (*k == NULL)
		return;
	EVP_PKEY_free((*k)->pkey);
	token_close(&(*k)->token);
	free(*k);
	*k = NULL;
}
