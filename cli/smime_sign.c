/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Making a SignedData (RFC 5652, 5; RFC 8551, 2.5): one signer; signed attributes contentType, messageDigest,
 * signingTime, SMIMECapabilities and, when the person has an encryption certificate, SMIMEEncryptionKeyPreference. The
 * certificates go along, the root does not. One private-key operation, so one PIN for a key that wants it each time.
 */
#include <openssl/err.h>

#include "cli/mail.h"
#include "cli/smime.h"

const EVP_MD *
smime_digest(EVP_PKEY *key, const char **micalg)
{
	/* by size: EVP_PKEY_get_group_name() is of no use with a key that lives in a token */
	bool p384 = EVP_PKEY_get_base_id(key) == EVP_PKEY_EC && EVP_PKEY_get_bits(key) > 256;

	if (micalg != NULL)
		*micalg = p384 ? "sha-384" : "sha-256";
	return p384 ? EVP_sha384() : EVP_sha256();
}

/* SMIMEEncryptionKeyPreference ::= CHOICE { issuerAndSerialNumber [0] IssuerAndSerialNumber, ... }, tags implicit. */
static enum err
preference_der(X509 *cert, struct wbuf *out)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
	unsigned char *issuer = NULL, *number = NULL, *p;
	int n = i2d_X509_NAME(X509_get_issuer_name(cert), &issuer), k = i2d_ASN1_INTEGER(serial, &number);
	enum err e = E_NOMEM;

	if (n > 0 && k > 0 && n + k < 0x10000 &&
	    (p = wbuf_room(out, (size_t)ASN1_object_size(1, n + k, 0) - (size_t)(n + k))) != NULL) {
		ASN1_put_object(&p, 1, n + k, 0, V_ASN1_CONTEXT_SPECIFIC);
		wbuf_put(out, issuer, (size_t)n);
		wbuf_put(out, number, (size_t)k);
		e = out->bad ? E_NOMEM : E_OK;
	}
	OPENSSL_free(issuer);
	OPENSSL_free(number);
	return e == E_OK ? E_OK : err_set(e, "the encryption certificate cannot be named in the signature");
}

static enum err
attributes_add(CMS_SignerInfo *si, X509 *encrypt)
{
	STACK_OF(X509_ALGOR) *caps = smime_caps_own();
	WBUF_AUTO preference;
	enum err e = E_OK;
	int ok = caps != NULL && CMS_add_smimecap(si, caps) == 1;

	wbuf_init(&preference, 0x10000);
	sk_X509_ALGOR_pop_free(caps, X509_ALGOR_free);
	/* libcrypto writes a value of type SEQUENCE as the bytes that it was given, the [0] in front included */
	if (ok && encrypt != NULL && (e = preference_der(encrypt, &preference)) == E_OK)
		ok = CMS_signed_add1_attr_by_NID(
		    si, NID_id_smime_aa_encrypKeyPref, V_ASN1_SEQUENCE, preference.p, (int)preference.n);
	if (e != E_OK)
		return e;
	return ok ? E_OK : err_crypto(E_CRYPTO, "the signed attributes cannot be made");
}

static enum err
certificates_add(CMS_ContentInfo *cms, const struct smime_sign *s)
{
	for (int i = 0; i < sk_X509_num(s->chain); i++) {
		if (CMS_add1_cert(cms, sk_X509_value(s->chain, i)) != 1)
			ERR_clear_error(); /* twice the same */
	}
	if (s->encrypt != NULL && X509_cmp(s->encrypt, s->cert) != 0 && CMS_add1_cert(cms, s->encrypt) != 1)
		ERR_clear_error();
	return E_OK;
}

enum err
smime_der(CMS_ContentInfo *cms, struct wbuf *der)
{
	unsigned char *p;
	int n = i2d_CMS_ContentInfo(cms, NULL);

	if (n <= 0 || (p = wbuf_room(der, (size_t)n)) == NULL)
		return err_crypto(E_PROTO, "the message is larger than %zu bytes", der->max);
	return i2d_CMS_ContentInfo(cms, &p) == n ? E_OK : err_crypto(E_CRYPTO, "the message cannot be written");
}

enum err
smime_sign(const struct smime_sign *s, struct span content, struct wbuf *der)
{
	unsigned int flags = CMS_BINARY | CMS_PARTIAL | (s->opaque ? 0 : CMS_DETACHED);
	BIO *data = BIO_new_mem_buf(content.n > 0 ? (const void *)content.p : "", (int)content.n);
	CMS_ContentInfo *cms = CMS_sign(NULL, NULL, NULL, NULL, flags);
	CMS_SignerInfo *si = NULL;
	enum err e = E_CRYPTO;

	if (cms == NULL || data == NULL) {
		e = err_crypto(E_NOMEM, "no memory for a signature");
		goto out;
	}
	si = CMS_add1_signer(cms, s->cert, s->key, smime_digest(s->key, NULL), flags | CMS_NOSMIMECAP);
	if (si == NULL) {
		e = err_crypto(E_CRYPTO, "key and certificate cannot make a signature");
		goto out;
	}
	if ((e = attributes_add(si, s->encrypt)) != E_OK || (e = certificates_add(cms, s)) != E_OK)
		goto out;
	if (CMS_final(cms, data, NULL, flags) != 1) {
		e = err_crypto(E_CRYPTO, "the token did not sign");
		goto out;
	}
	e = smime_der(cms, der);
out:
	CMS_ContentInfo_free(cms);
	BIO_free(data);
	return e;
}
