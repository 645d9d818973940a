/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The judgement on an old key: see history_judge.h. The chain is checked without dates (an issuer of ten years ago has
 * expired, too) and without revocation: what matters is that the certificate was the person's.
 */
#include <string.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/conf.h"
#include "cli/certs.h"
#include "cli/history_judge.h"

enum err
judge_open(struct judge *j, const char *to)
{
	struct conf *conf = NULL;
	enum err e = conf_load(&conf);

	if (e == E_OK && (j->cafile != NULL || conf_str(conf, "mail", "cafile") != NULL))
		e = trust_open(j->cafile, &j->store);
	if (e == E_OK && j->store != NULL)
		X509_STORE_set_flags(j->store, X509_V_FLAG_NO_CHECK_TIME);
	if (e == E_OK)
		e = keyring_open(NULL, 0, &j->rings[0]);
	if (e == E_OK)
		e = keyring_open(&to, 1, &j->rings[1]);
	conf_free(&conf);
	return e;
}

void
judge_close(struct judge *j)
{
	addresses_free(&j->allowed);
	keyring_close(&j->rings[0]);
	keyring_close(&j->rings[1]);
	X509_STORE_free(j->store);
	j->store = NULL;
}

static enum err
judge_usage(X509 *cert, const char *name)
{
	EVP_PKEY *key = X509_get0_pubkey(cert);
	bool ec = key != NULL && EVP_PKEY_get_base_id(key) == EVP_PKEY_EC;
	uint32_t need = ec ? KU_KEY_AGREEMENT : KU_KEY_ENCIPHERMENT;

	if ((X509_get_extension_flags(cert) & EXFLAG_CA) != 0)
		return err_set(E_POLICY, "%s is a certification authority, no person", name);
	if ((X509_get_key_usage(cert) & need) == 0)
		return err_set(E_POLICY, "the certificate of %s is not meant for decrypting (no %s)", name,
		    ec ? "keyAgreement" : "keyEncipherment");
	return E_OK;
}

/* A CRL says nothing about an old key, and old ones are not there. */
static enum err
judge_chain(struct judge *j, X509 *cert, STACK_OF(X509) * others, const char *name)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	enum err e = E_OK;

	if (ctx == NULL || X509_STORE_CTX_init(ctx, j->store, cert, others) != 1)
		e = err_set(E_NOMEM, "no memory to check a certificate");
	if (e == E_OK) {
		X509_VERIFY_PARAM_clear_flags(
		    X509_STORE_CTX_get0_param(ctx), X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
		X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_NO_CHECK_TIME);
	}
	if (e == E_OK && X509_verify_cert(ctx) != 1)
		e = err_set(E_POLICY, "the certificate of %s does not lead to a trust anchor: %s", name,
		    X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)));
	X509_STORE_CTX_free(ctx);
	ERR_clear_error();
	return e;
}

static bool
in_common(X509 *cert, X509 *mine)
{
	STACK_OF(OPENSSL_STRING) *all = X509_get1_email(mine);
	bool found = false;

	for (int i = 0; i < sk_OPENSSL_STRING_num(all) && !found; i++)
		found = certs_has_address(cert, sk_OPENSSL_STRING_value(all, i));
	X509_email_free(all);
	return found;
}

/* Has a certificate of this ring an address in common with cert? own: the first addresses that are there. */
static bool
ring_knows(const struct keyring *ring, X509 *cert, char *own, size_t cap)
{
	const struct keyring_key *k;

	for (size_t i = 0; (k = keyring_at(ring, i)) != NULL; i++) {
		if (in_common(cert, k->key.cert))
			return true;
		if (own[0] == '\0')
			certs_addresses(k->key.cert, own, cap);
	}
	return false;
}

static enum err
judge_address(struct judge *j, X509 *cert, const char *name)
{
	char addresses[512], own[512] = "";

	for (size_t i = 0; i < j->allowed.n; i++) {
		if (certs_has_address(cert, j->allowed.v[i]))
			return E_OK;
	}
	if (ring_knows(j->rings[0], cert, own, sizeof own) || ring_knows(j->rings[1], cert, own, sizeof own))
		return E_OK;
	if (own[0] == '\0' && j->allowed.n == 0)
		return E_OK; /* nothing says who the person is */
	certs_addresses(cert, addresses, sizeof addresses);
	return err_set(E_POLICY,
	    "the certificate of %s is for %s, which none of your certificates has%s%s%s; if it is yours, add "
	    "--address",
	    name, addresses[0] != '\0' ? addresses : "no address", own[0] != '\0' ? " (they have " : "", own,
	    own[0] != '\0' ? ")" : "");
}

enum err
judge_key(struct judge *j, EVP_PKEY *key, X509 *cert, STACK_OF(X509) * others)
{
	char name[128];
	enum err e;

	if (cert == NULL)
		return err_set(
		    E_POLICY, "there is a private key (%d bits) without its certificate in it", EVP_PKEY_get_bits(key));
	certs_name(cert, name, sizeof name);
	if ((e = judge_usage(cert, name)) != E_OK || (e = judge_address(j, cert, name)) != E_OK)
		return e;
	return j->store != NULL ? judge_chain(j, cert, others, name) : E_OK;
}
