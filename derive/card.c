/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finding the PIV card and its PIV Authentication certificate. The certificate is known by its policy
 * (id-fpki-common-authentication); where a card's has another, CKA_ID 01 (9A) with clientAuth is taken and the issuer
 * judges it. A derived credential never vouches for another one (SP 800-157r1, 2.2.3), so certificates with a derived
 * policy are passed over, and named when there is nothing else.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/objects.h>
#include <openssl/x509v3.h>

#include "base/text.h"
#include "derive/card.h"
#include "derive/cert.h"

#define ID_9A	  0x01
#define CHAIN_MAX 8
#define CHUID_MAX 4096

static bool
key_is_9a(const struct token_key *k)
{
	return k->id_len == 1 && k->id[0] == ID_9A;
}

static bool
cert_is_derived(X509 *cert)
{
	return cert_has_policy(cert, role_info(ROLE_AUTH)->policies, NULL) ||
	    cert_has_policy(cert, role_info(ROLE_AUTH)->test_policies, NULL);
}

/* How well the key fits; 0: not at all. */
static int
key_rank(const struct token *t, const struct token_key *k)
{
	if (k->cert == NULL || !token_key_named(t, k) || cert_is_derived(k->cert))
		return 0;
	if (cert_is_piv_auth(k->cert))
		return key_is_9a(k) ? 3 : 2;
	return key_is_9a(k) && cert_has_eku(k->cert, NID_client_auth) ? 1 : 0;
}

static enum err
card_key(struct token *t, struct card *out)
{
	const struct token_key *keys, *best = NULL;
	bool derived = false;
	size_t n;
	enum err e = token_keys(t, &keys, &n);

	for (size_t i = 0; e == E_OK && i < n; i++) {
		derived = derived || (keys[i].cert != NULL && cert_is_derived(keys[i].cert));
		if (key_rank(t, &keys[i]) > (best != NULL ? key_rank(t, best) : 0))
			best = &keys[i];
	}
	if (e != E_OK)
		return e;
	if (best == NULL && derived)
		return err_set(E_POLICY,
		    "token '%s' holds a derived credential, and only a PIV card can vouch for a new one",
		    token_label(t));
	if (best == NULL)
		return err_set(E_NOTFOUND, "token '%s' has no PIV Authentication certificate (9A)", token_label(t));
	memcpy(out->id, best->id, best->id_len);
	out->id_len = best->id_len;
	X509_up_ref(best->cert);
	out->cert = best->cert;
	return E_OK;
}

static enum err
card_try(const char *uri, token_ask_fn *ask, void *arg, struct card *out)
{
	enum err e;

	memset(out, 0, sizeof *out);
	e = token_open(uri, ask, arg, &out->token);
	if (e == E_OK)
		e = card_key(out->token, out);
	if (e != E_OK)
		card_close(out);
	return e;
}

/* The only one of these that is a PIV card. */
static enum err
card_only(char **uris, size_t n, token_ask_fn *ask, void *arg, struct card *out)
{
	enum err e = E_NOTFOUND;
	size_t found = 0;

	for (size_t i = 0; i < n; i++) {
		struct card one;
		enum err why = card_try(uris[i], ask, arg, &one);

		if (why != E_OK) {
			e = why;
			continue;
		}
		if (found++ == 0)
			*out = one;
		else
			card_close(&one);
	}
	if (found == 1)
		return E_OK;
	card_close(out);
	return found == 0
	    ? e
	    : err_set(E_ARG, "there are %zu PIV cards; choose one with --from (dpiv status lists them)", found);
}

enum err
card_open(const char *from, token_ask_fn *ask, void *arg, struct card *out)
{
	char **uris;
	size_t n;
	enum err e;

	memset(out, 0, sizeof *out);
	if (from != NULL)
		return card_try(from, ask, arg, out);
	e = token_list(NULL, &uris, &n);
	if (e != E_OK)
		return e;
	e = n > 0 ? card_only(uris, n, ask, arg, out) : token_absent(NULL);
	for (size_t i = 0; i < n; i++)
		free(uris[i]);
	free(uris);
	return e;
}

enum err
card_chuid_header(struct card *c, struct wbuf *out)
{
	WBUF_AUTO value;
	enum err e;

	wbuf_init(&value, CHUID_MAX);
	wbuf_init(out, 2 * CHUID_MAX);
	e = token_chuid(c->token, &value);
	if (e == E_OK && value.n > 0) {
		wbuf_span(out, span_str("DPIV-CHUID: "));
		text_base64(wbuf_view(&value), 0, out);
	}
	wbuf_u8(out, '\0');
	return e == E_OK && out->bad ? err_set(E_PROTO, "the card's CHUID is too large") : e;
}

void
card_close(struct card *c)
{
	X509_free(c->cert);
	token_close(&c->token);
	memset(c, 0, sizeof *c);
}

static X509 *
pool_issuer(X509 *cert, STACK_OF(X509) * pool)
{
	for (int i = 0; i < sk_X509_num(pool); i++)
		if (X509_check_issued(sk_X509_value(pool, i), cert) == X509_V_OK)
			return sk_X509_value(pool, i);
	return NULL;
}

enum err
card_chain(X509 *cert, STACK_OF(X509) * pool, STACK_OF(X509) * *out)
{
	STACK_OF(X509) *chain = sk_X509_new_null();
	X509 *at = cert;

	*out = NULL;
	for (int i = 0; chain != NULL && i < CHAIN_MAX; i++) {
		at = pool_issuer(at, pool);
		if (at == NULL || X509_check_issued(at, at) == X509_V_OK)
			break;
		if (X509_up_ref(at) != 1 || sk_X509_push(chain, at) <= 0) {
			sk_X509_pop_free(chain, X509_free);
			chain = NULL;
		}
	}
	*out = chain;
	return chain != NULL ? E_OK : err_set(E_NOMEM, "out of memory");
}
