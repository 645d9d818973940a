/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whose certificate is it that requests are encrypted for and answers are believed from? GetCACert is not protected
 * (RFC 8894, 4.2.1: compare a fingerprint). A CA's certificate is believed when its fingerprint is the configured one
 * or when it leads to a trust anchor. Any other certificate below that CA may be a colleague's: it is an RA's only when
 * it says so by an extended key usage (cmcRA, RFC 6402; Microsoft's enrolment agent), when it is the fingerprint's, or
 * when it came over TLS from the server that was meant. What is not believed is dropped.
 */
#include <string.h>
#include <strings.h>

#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/x509v3.h>

#include "base/text.h"
#include "derive/cert.h"
#include "derive/scep_ca.h"

#define ENROLMENT_AGENT "1.3.6.1.4.1.311.20.2.1"

/* Blanks and colons between the digits are usual. */
static bool
ca_fingerprint(X509 *x, const char *want)
{
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned int n = 0;
	char have[2 * EVP_MAX_MD_SIZE + 1];
	size_t at = 0;

	if (want == NULL || X509_digest(x, EVP_sha256(), md, &n) != 1)
		return false;
	text_hex(span_of(md, n), have, sizeof have);
	for (; *want != '\0'; want++) {
		if (*want == ':' || *want == ' ')
			continue;
		if (have[at] == '\0' || strncasecmp(&have[at], want, 1) != 0)
			return false;
		at++;
	}
	return have[at] == '\0';
}

/* Does it lead to an anchor or to the certificate of the fingerprint? */
static bool
ca_path(const struct scep_trust *t, X509 *x)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	bool ok = store != NULL && ctx != NULL;

	for (int i = 0; ok && t->fingerprint == NULL && i < sk_X509_num(t->anchors); i++)
		ok = X509_STORE_add_cert(store, sk_X509_value(t->anchors, i)) == 1;
	for (int i = 0; ok && i < sk_X509_num(t->certs); i++)
		if (ca_fingerprint(sk_X509_value(t->certs, i), t->fingerprint))
			ok = X509_STORE_add_cert(store, sk_X509_value(t->certs, i)) == 1;
	if (ok && t->fingerprint == NULL && t->anchors == NULL)
		ok = X509_STORE_set_default_paths(store) == 1;
	ok = ok && X509_STORE_CTX_init(ctx, store, x, t->certs) == 1 &&
	    X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(ctx), X509_V_FLAG_PARTIAL_CHAIN) == 1 &&
	    X509_verify_cert(ctx) == 1;
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	ERR_clear_error();
	return ok;
}

static bool
ca_believed(const struct scep_trust *t, X509 *x)
{
	if (ca_fingerprint(x, t->fingerprint))
		return true;
	if (!ca_path(t, x))
		return false;
	return X509_check_ca(x) == 1 || t->by_tls || cert_has_eku(x, NID_cmcRA) || cert_has_eku_oid(x, ENROLMENT_AGENT);
}

enum err
scep_ca_trust(const struct scep_trust *t)
{
	bool good[64] = { false };
	int n = sk_X509_num(t->certs);

	if (n > (int)(sizeof good / sizeof good[0]))
		return err_set(E_PROTO, "%s shows too many certificates", t->server);
	for (int i = 0; i < n; i++)
		good[i] = ca_believed(t, sk_X509_value(t->certs, i));
	for (int i = n - 1; i >= 0; i--)
		if (!good[i])
			X509_free(sk_X509_delete(t->certs, i));
	if (sk_X509_num(t->certs) == 0)
		return err_set(E_POLICY,
		    "%s shows a CA certificate that is not trusted: ask the issuer for its SHA-256 fingerprint and put "
		    "it "
		    "into dpiv.conf (fingerprint), or for its certificate and use --cafile",
		    t->server);
	if (scep_ca_recipient(t->certs) == NULL)
		return err_set(E_UNSUP,
		    "%s has no RSA key to which requests could be encrypted; SCEP cannot be used with it", t->server);
	return E_OK;
}

static bool
ca_takes(X509 *x)
{
	EVP_PKEY *k = X509_get0_pubkey(x);
	uint32_t usage = X509_get_key_usage(x);

	return k != NULL && EVP_PKEY_get_base_id(k) == EVP_PKEY_RSA && EVP_PKEY_get_bits(k) >= 2048 &&
	    (usage & KU_KEY_ENCIPHERMENT) != 0;
}

/* An RA where there is one; then a CA whose key usage allows it; then, since servers are careless about that, any CA.
 */
X509 *
scep_ca_recipient(STACK_OF(X509) * certs)
{
	X509 *ca = NULL, *any = NULL;

	for (int i = 0; i < sk_X509_num(certs); i++) {
		X509 *x = sk_X509_value(certs, i);
		EVP_PKEY *k = X509_get0_pubkey(x);

		if (ca_takes(x) && X509_check_ca(x) == 0)
			return x;
		if (ca == NULL && ca_takes(x))
			ca = x;
		if (any == NULL && k != NULL && EVP_PKEY_get_base_id(k) == EVP_PKEY_RSA && X509_check_ca(x) == 1 &&
		    EVP_PKEY_get_bits(k) >= 2048)
			any = x;
	}
	return ca != NULL ? ca : any;
}

/* The CA of the recipient: the recipient itself, or who has certified the RA. */
X509 *
scep_ca_issuer(STACK_OF(X509) * certs)
{
	X509 *recipient = scep_ca_recipient(certs);

	if (X509_check_ca(recipient) == 1)
		return recipient;
	for (int i = 0; i < sk_X509_num(certs); i++)
		if (X509_check_issued(sk_X509_value(certs, i), recipient) == X509_V_OK)
			return sk_X509_value(certs, i);
	return recipient;
}
