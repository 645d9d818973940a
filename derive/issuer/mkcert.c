/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Making certificates, step by step: RFC 5280 section 4.1, with the field rules of the Common Policy certificate
 * profiles (positive serial of at most 20 octets, UTCTime through 2049, names in PrintableString or UTF8String only,
 * digest by the signing key as in SP 800-78-5 table 2).
 */
#include <openssl/conf.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "derive/issuer/mkcert.h"

enum err
mkcert_serial(uint8_t out[MKCERT_SERIAL])
{
	if (RAND_bytes(out, MKCERT_SERIAL) != 1)
		return err_crypto(E_CRYPTO, "no random numbers");
	/* positive, and always 16 octets long */
	out[0] = (uint8_t)((out[0] & 0x7f) | 0x40);
	return E_OK;
}

static bool
set_serial(X509 *x, const uint8_t serial[MKCERT_SERIAL])
{
	BIGNUM *bn = BN_bin2bn(serial, MKCERT_SERIAL, NULL);
	bool ok = bn && BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(x)) != NULL;

	BN_free(bn);
	return ok;
}

enum err
mkcert_new(const uint8_t serial[MKCERT_SERIAL], const X509_NAME *subject, X509 *issuer, EVP_PKEY *key, time_t from,
    time_t to, X509 **out)
{
	X509 *x = X509_new();
	const X509_NAME *by = issuer ? X509_get_subject_name(issuer) : subject;

	*out = NULL;
	if (x == NULL || !X509_set_version(x, 2) || !set_serial(x, serial) || !X509_set_subject_name(x, subject) ||
	    !X509_set_issuer_name(x, by) || !X509_set_pubkey(x, key) || !ASN1_TIME_set(X509_getm_notBefore(x), from) ||
	    !ASN1_TIME_set(X509_getm_notAfter(x), to)) {
		X509_free(x);
		return err_crypto(E_CRYPTO, "cannot make a certificate");
	}
	*out = x;
	return E_OK;
}

/* libcrypto's parser of certificatePolicies wants a configuration to look sections up in. */
static CONF *
empty_conf(void)
{
	CONF *conf = NCONF_new(NULL);
	BIO *bio = BIO_new_mem_buf("[none]\n", -1);
	long line;

	if (conf == NULL || bio == NULL || NCONF_load_bio(conf, bio, &line) != 1) {
		NCONF_free(conf);
		conf = NULL;
	}
	BIO_free(bio);
	return conf;
}

enum err
mkcert_ext(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *ext;
	CONF *none = empty_conf();
	X509V3_CTX ctx;
	int ok;

	if (none == NULL)
		return err_set(E_NOMEM, "out of memory");
	X509V3_set_ctx(&ctx, issuer ? issuer : cert, cert, NULL, NULL, 0);
	X509V3_set_nconf(&ctx, none);
	ext = X509V3_EXT_nconf_nid(none, &ctx, nid, value);
	NCONF_free(none);
	if (ext == NULL)
		return err_crypto(E_CRYPTO, "cannot make extension %s = %s", OBJ_nid2sn(nid), value);
	ok = X509_add_ext(cert, ext, -1);
	X509_EXTENSION_free(ext);
	return ok ? E_OK : err_crypto(E_CRYPTO, "cannot add extension %s", OBJ_nid2sn(nid));
}

const EVP_MD *
mkcert_digest(const EVP_PKEY *key)
{
	/* P-384 with SHA-384; RSA and P-256 with SHA-256 */
	return EVP_PKEY_get_base_id(key) == EVP_PKEY_EC && EVP_PKEY_get_bits(key) > 256 ? EVP_sha384() : EVP_sha256();
}

enum err
mkcert_sign(X509 *cert, EVP_PKEY *key)
{
	if (X509_sign(cert, key, mkcert_digest(key)) <= 0)
		return err_crypto(E_CRYPTO, "cannot sign the certificate");
	return E_OK;
}

enum err
mkcert_name(const struct mkcert_rdn *rows, X509_NAME **out)
{
	X509_NAME *name = X509_NAME_new();

	*out = NULL;
	for (; name && rows->nid; rows++) {
		int type = rows->nid == NID_countryName ? V_ASN1_PRINTABLESTRING : V_ASN1_UTF8STRING;

		if (!X509_NAME_add_entry_by_NID(name, rows->nid, type == V_ASN1_PRINTABLESTRING ? type : MBSTRING_UTF8,
			(const unsigned char *)rows->text, -1, -1, 0)) {
			X509_NAME_free(name);
			return err_crypto(E_ARG, "%s cannot be part of a name", rows->text);
		}
	}
	if (name == NULL)
		return err_set(E_NOMEM, "out of memory");
	*out = name;
	return E_OK;
}
