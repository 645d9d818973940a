/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Envelopes: EnvelopedData (RFC 5652, 6) with AES-CBC, AuthEnvelopedData (RFC 5083, 5084) with AES-GCM. Recipients are
 * named by issuer and serial number. Decryption keeps the whole plaintext back until CMS_decrypt() is content with it:
 * nothing of a GCM message whose tag is wrong is ever shown, and a failed RSA unwrap looks like a failed content
 * decryption (RFC 3218), since libcrypto goes on with a random key.
 */
#include <string.h>
#include <openssl/err.h>

#include "base/text.h"
#include "cli/certs.h"
#include "cli/smime.h"

static const EVP_CIPHER *
cipher_of(enum smime_cipher c)
{
	return c == SMIME_AES256_GCM ? EVP_aes_256_gcm()
	    : c == SMIME_AES128_CBC  ? EVP_aes_128_cbc()
				     : EVP_aes_256_cbc();
}

static enum err
recipient_add(CMS_ContentInfo *cms, X509 *cert)
{
	EVP_PKEY *key = X509_get0_pubkey(cert);
	CMS_RecipientInfo *ri = CMS_add1_recipient_cert(cms, cert, CMS_KEY_PARAM);
	const EVP_MD *md = EVP_sha256();
	char name[128];

	if (ri != NULL && EVP_PKEY_get_base_id(key) != EVP_PKEY_EC)
		return E_OK;
	if (ri != NULL && EVP_PKEY_get_bits(key) > 256)
		md = EVP_sha384();
	if (ri != NULL && EVP_PKEY_CTX_set_ecdh_kdf_md(CMS_RecipientInfo_get0_pkey_ctx(ri), md) == 1)
		return E_OK;
	return err_crypto(E_CRYPTO, "cannot encrypt to the certificate of %s", certs_name(cert, name, sizeof name));
}

enum err
smime_encrypt(STACK_OF(X509) * to, enum smime_cipher cipher, struct span content, struct wbuf *der)
{
	unsigned int flags = CMS_BINARY | CMS_PARTIAL;
	BIO *data = BIO_new_mem_buf(content.n > 0 ? (const void *)content.p : "", (int)content.n);
	CMS_ContentInfo *cms = CMS_encrypt(NULL, NULL, cipher_of(cipher), flags);
	enum err e = E_OK;

	if (cms == NULL || data == NULL)
		e = err_crypto(E_NOMEM, "no memory to encrypt a message");
	for (int i = 0; e == E_OK && i < sk_X509_num(to); i++)
		e = recipient_add(cms, sk_X509_value(to, i));
	if (e == E_OK && CMS_final(cms, data, NULL, flags) != 1)
		e = err_crypto(E_CRYPTO, "the message cannot be encrypted");
	if (e == E_OK)
		e = smime_der(cms, der);
	CMS_ContentInfo_free(cms);
	BIO_free(data);
	return e;
}

int
smime_recipients(CMS_ContentInfo *cms)
{
	STACK_OF(CMS_RecipientInfo) *all = CMS_get0_RecipientInfos(cms);

	return all == NULL ? 0 : sk_CMS_RecipientInfo_num(all);
}

static CMS_RecipientInfo *
recipient(CMS_ContentInfo *cms, int i)
{
	return sk_CMS_RecipientInfo_value(CMS_get0_RecipientInfos(cms), i);
}

static STACK_OF(CMS_RecipientEncryptedKey) * agree_keys(CMS_RecipientInfo *ri)
{
	return CMS_RecipientInfo_type(ri) == CMS_RECIPINFO_AGREE ? CMS_RecipientInfo_kari_get0_reks(ri) : NULL;
}

bool
smime_recipient_is(CMS_ContentInfo *cms, int i, X509 *cert)
{
	CMS_RecipientInfo *ri = recipient(cms, i);
	STACK_OF(CMS_RecipientEncryptedKey) *reks = agree_keys(ri);

	if (CMS_RecipientInfo_type(ri) == CMS_RECIPINFO_TRANS)
		return CMS_RecipientInfo_ktri_cert_cmp(ri, cert) == 0;
	for (int k = 0; k < sk_CMS_RecipientEncryptedKey_num(reks); k++) {
		if (CMS_RecipientEncryptedKey_cert_cmp(sk_CMS_RecipientEncryptedKey_value(reks, k), cert) == 0)
			return true;
	}
	return false;
}

static void
id_name(const ASN1_OCTET_STRING *keyid, X509_NAME *issuer, const ASN1_INTEGER *serial, char *out, size_t cap)
{
	char name[160], hex[64];

	if (keyid != NULL) {
		text_hex(span_of(ASN1_STRING_get0_data(keyid), (size_t)ASN1_STRING_length(keyid)), hex, sizeof hex);
		snprintf(out, cap, "key identifier %s", hex);
	} else if (issuer != NULL && serial != NULL) {
		text_hex(span_of(ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial)), hex, sizeof hex);
		snprintf(out, cap, "serial %s of %s", hex, name_text(issuer, name, sizeof name));
	} else
		snprintf(out, cap, "a recipient that is not named by a certificate");
}

void
smime_recipient_name(CMS_ContentInfo *cms, int i, char *out, size_t cap)
{
	CMS_RecipientInfo *ri = recipient(cms, i);
	STACK_OF(CMS_RecipientEncryptedKey) *reks = agree_keys(ri);
	ASN1_OCTET_STRING *keyid = NULL;
	X509_NAME *issuer = NULL;
	ASN1_INTEGER *serial = NULL;

	if (CMS_RecipientInfo_type(ri) == CMS_RECIPINFO_TRANS)
		(void)CMS_RecipientInfo_ktri_get0_signer_id(ri, &keyid, &issuer, &serial);
	else if (sk_CMS_RecipientEncryptedKey_num(reks) > 0)
		(void)CMS_RecipientEncryptedKey_get0_id(
		    sk_CMS_RecipientEncryptedKey_value(reks, 0), &keyid, NULL, NULL, &issuer, &serial);
	id_name(keyid, issuer, serial, out, cap);
}

enum err
smime_decrypt(CMS_ContentInfo *cms, EVP_PKEY *key, X509 *cert, struct wbuf *content)
{
	BIO *to = BIO_new(BIO_s_mem());
	char *p;
	long n;
	enum err e = E_OK;

	if (to == NULL)
		return err_set(E_NOMEM, "no memory to decrypt a message");
	if (CMS_decrypt(cms, key, cert, NULL, to, CMS_BINARY) != 1) {
		ERR_clear_error(); /* the reason is nobody's business */
		e = err_set(E_CRYPTO, "the message cannot be decrypted: it is damaged, or was not made for this key");
	}
	n = BIO_get_mem_data(to, &p);
	if (e == E_OK)
		wbuf_put(content, p, n > 0 ? (size_t)n : 0);
	if (n > 0)
		OPENSSL_cleanse(p, (size_t)n);
	BIO_free(to);
	if (e == E_OK && content->bad)
		e = err_set(E_PROTO, "the message is larger than %zu bytes", content->max);
	return e;
}
