/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Wrapping and unwrapping of private keys: CMS (RFC 5652) as RFC 7030, 4.4.2 puts it together, AES-256-CBC, RSA key
 * transport or ephemeral-static ECDH with the hash of the curve's strength (RFC 5753, 7.1.1). Recipients are named by
 * key identifier: a key pair that lives for minutes has no certificate. libcrypto wants one all the same, so one is
 * made up here; nothing but its key and key identifier is ever seen.
 *
 * Lenient towards other servers where nothing is at stake: SignedData within the envelope with or without a ContentInfo
 * around it (openssl's command line can only do the former), a key package or a PrivateKeyInfo.
 * Plain bytes are in libcrypto's secure heap, where the process has one, and wiped in either case.
 */
#include <string.h>

#include <openssl/cms.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "derive/der.h"
#include "derive/keypack.h"
#include "derive/keywrap.h"

#define KEY_PACKAGE "2.16.840.1.101.2.1.2.78.5" /* id-ct-KP-aKeyPackage */

enum err
keywrap_id(EVP_PKEY *pub, uint8_t id[KEYWRAP_ID])
{
	X509_PUBKEY *spki = NULL;
	const unsigned char *bits = NULL;
	int n = 0;
	bool ok = X509_PUBKEY_set(&spki, pub) == 1 && X509_PUBKEY_get0_param(NULL, &bits, &n, NULL, spki) == 1 &&
	    EVP_Digest(bits, (size_t)n, id, NULL, EVP_sha1(), NULL) == 1;

	X509_PUBKEY_free(spki);
	return ok ? E_OK : err_crypto(E_CRYPTO, "the identifier of a public key cannot be made");
}

/* --- sealing ------------------------------------------------------------------------------------------------------ */

/* libcrypto's idea of a recipient. */
static X509 *
recipient_cert(EVP_PKEY *to)
{
	EVP_PKEY *throwaway = EVP_EC_gen("P-256");
	ASN1_OCTET_STRING *ski = ASN1_OCTET_STRING_new();
	X509 *x = X509_new();
	uint8_t id[KEYWRAP_ID];
	bool ok = throwaway != NULL && ski != NULL && x != NULL && keywrap_id(to, id) == E_OK &&
	    ASN1_OCTET_STRING_set(ski, id, sizeof id) == 1 && X509_set_version(x, X509_VERSION_3) == 1 &&
	    X509_gmtime_adj(X509_getm_notBefore(x), 0) != NULL && X509_gmtime_adj(X509_getm_notAfter(x), 60) != NULL &&
	    X509_set_pubkey(x, to) == 1 &&
	    X509_add1_ext_i2d(x, NID_subject_key_identifier, ski, 0, X509V3_ADD_DEFAULT) == 1 &&
	    X509_sign(x, throwaway, EVP_sha256()) > 0;

	EVP_PKEY_free(throwaway);
	ASN1_OCTET_STRING_free(ski);
	if (ok)
		return x;
	X509_free(x);
	return NULL;
}

static bool
recipient_add(CMS_ContentInfo *cms, EVP_PKEY *to)
{
	X509 *x = recipient_cert(to);
	CMS_RecipientInfo *ri = x != NULL ? CMS_add1_recipient_cert(cms, x, CMS_USE_KEYID | CMS_KEY_PARAM) : NULL;
	bool ok = ri != NULL;

	if (ok && EVP_PKEY_get_base_id(to) == EVP_PKEY_EC)
		ok = EVP_PKEY_CTX_set_ecdh_kdf_md(CMS_RecipientInfo_get0_pkey_ctx(ri),
			 EVP_PKEY_get_bits(to) > 256 ? EVP_sha384() : EVP_sha256()) == 1;
	X509_free(x);
	return ok;
}

/* The plain content that a message of libcrypto's holds. */
static void
content_wipe(CMS_ContentInfo *cms)
{
	ASN1_OCTET_STRING **s = cms != NULL ? CMS_get0_content(cms) : NULL;

	if (s != NULL && *s != NULL && (*s)->data != NULL)
		OPENSSL_cleanse((*s)->data, (size_t)(*s)->length);
	ERR_clear_error();
}

/* What RFC 5652 wants as contents of type id-signedData: the SignedData alone. */
static bool
signed_strip(struct span info, struct span *out)
{
	struct span seq, oid, explicit;

	*out = SPAN_NONE;
	if (!der_take(&info, V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL, &seq) ||
	    !der_take(&seq, V_ASN1_OBJECT, V_ASN1_UNIVERSAL, &oid) ||
	    !der_take(&seq, 0, V_ASN1_CONTEXT_SPECIFIC, &explicit))
		return false;
	*out = explicit;
	return true;
}

static enum err
sign(const struct secret *package, X509 *signer, EVP_PKEY *signer_key, struct secret **out)
{
	const unsigned flags = CMS_BINARY | CMS_PARTIAL | CMS_NOSMIMECAP;
	BIO *data = BIO_new_mem_buf(package->v, (int)package->n);
	ASN1_OBJECT *type = OBJ_txt2obj(KEY_PACKAGE, 1);
	CMS_ContentInfo *cms = CMS_sign(signer, signer_key, NULL, NULL, flags);
	unsigned char *p;
	int n = -1;

	*out = NULL;
	if (data != NULL && type != NULL && cms != NULL && CMS_set1_eContentType(cms, type) == 1 &&
	    CMS_final(cms, data, NULL, flags) == 1)
		n = i2d_CMS_ContentInfo(cms, NULL);
	if (n > 0 && (*out = secret_new((size_t)n)) != NULL) {
		p = (*out)->v;
		(*out)->n = (size_t)i2d_CMS_ContentInfo(cms, &p);
	}
	content_wipe(cms);
	CMS_ContentInfo_free(cms);
	ASN1_OBJECT_free(type);
	BIO_free(data);
	return *out != NULL ? E_OK : err_crypto(E_CRYPTO, "the new key cannot be signed for its way");
}

static enum err
envelope(struct span content, const char *type_oid, EVP_PKEY *to, struct wbuf *out)
{
	const unsigned flags = CMS_BINARY | CMS_PARTIAL;
	BIO *data = BIO_new_mem_buf(content.p, (int)content.n);
	ASN1_OBJECT *type = OBJ_txt2obj(type_oid, 0);
	CMS_ContentInfo *cms = CMS_encrypt(NULL, NULL, EVP_aes_256_cbc(), flags);
	unsigned char *p;
	int n = -1;
	bool ok = data != NULL && type != NULL && cms != NULL && recipient_add(cms, to) &&
	    CMS_set1_eContentType(cms, type) == 1 && CMS_final(cms, data, NULL, flags) == 1;

	if (ok)
		n = i2d_CMS_ContentInfo(cms, NULL);
	p = n > 0 ? wbuf_room(out, (size_t)n) : NULL;
	ok = p != NULL && i2d_CMS_ContentInfo(cms, &p) == n;
	CMS_ContentInfo_free(cms);
	ASN1_OBJECT_free(type);
	BIO_free(data);
	return ok ? E_OK : err_crypto(E_CRYPTO, "the new key cannot be encrypted for its way");
}

enum err
keywrap_seal(EVP_PKEY *key, X509 *signer, EVP_PKEY *signer_key, EVP_PKEY *to, struct wbuf *out)
{
	SECRET_AUTO package = NULL;
	SECRET_AUTO message = NULL;
	struct span content;
	enum err e = keypack_write(key, &package);

	if (e != E_OK)
		return e;
	if (signer == NULL)
		return envelope(secret_view(package), KEY_PACKAGE, to, out);
	if ((e = sign(package, signer, signer_key, &message)) != E_OK)
		return e;
	if (!signed_strip(secret_view(message), &content))
		return err_set(E_INTERNAL, "a signed message has an unexpected form");
	return envelope(content, "pkcs7-signedData", to, out);
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

static CMS_ContentInfo *
read_message(struct span der, int nid)
{
	const unsigned char *p = der.p;
	CMS_ContentInfo *cms = der.n > 0 && der.n <= KEYWRAP_MAX ? d2i_CMS_ContentInfo(NULL, &p, (long)der.n) : NULL;

	if (cms != NULL && p == der.p + der.n && OBJ_obj2nid(CMS_get0_type(cms)) == nid)
		return cms;
	content_wipe(nid == NID_pkcs7_signed ? cms : NULL);
	CMS_ContentInfo_free(cms);
	ERR_clear_error();
	return NULL;
}

static enum err
decrypt(struct span der, EVP_PKEY *with, struct secret **out)
{
	CMS_ContentInfo *cms = read_message(der, NID_pkcs7_enveloped);
	BIO *to = BIO_new(BIO_s_secmem());
	char *p = NULL;
	long n = 0;
	enum err e = E_OK;

	*out = NULL;
	if (cms == NULL)
		e = err_set(E_PROTO, "what the issuer sent as an encrypted key is not EnvelopedData");
	else if (to == NULL)
		e = err_set(E_NOMEM, "out of memory");
	else if (CMS_decrypt_set1_pkey(cms, with, NULL) != 1 || CMS_decrypt(cms, NULL, NULL, NULL, to, CMS_BINARY) != 1)
		e = err_set(
		    E_CRYPTO, "the key that the issuer sent cannot be decrypted"); /* the queue: token_failed() */
	if (e == E_OK && ((n = BIO_get_mem_data(to, &p)) <= 0 || (*out = secret_copy(p, (size_t)n)) == NULL))
		e = err_set(E_PROTO, "there is nothing in the key that the issuer sent");
	if (to != NULL && (n = BIO_get_mem_data(to, &p)) > 0)
		OPENSSL_cleanse(p, (size_t)n);
	BIO_free(to);
	CMS_ContentInfo_free(cms);
	return e;
}

/* SignedData with or without its ContentInfo. */
static enum err
signed_read(const struct secret *plain, CMS_ContentInfo **out)
{
	static const uint8_t oid[] = { 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x07, 0x02 };
	SECRET_AUTO info = NULL;
	uint8_t head[16];
	unsigned char *p = head;
	int inner = ASN1_object_size(1, (int)plain->n, 0);

	if ((*out = read_message(secret_view(plain), NID_pkcs7_signed)) != NULL)
		return E_OK;
	if (plain->n > KEYWRAP_MAX || inner < 0 || (info = secret_new(plain->n + sizeof head + sizeof oid + 8)) == NULL)
		return err_set(E_NOMEM, "out of memory");
	ASN1_put_object(&p, 1, inner + (int)sizeof oid, V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL);
	(void)secret_put(info, head, (size_t)(p - head));
	(void)secret_put(info, oid, sizeof oid);
	p = head;
	ASN1_put_object(&p, 1, (int)plain->n, 0, V_ASN1_CONTEXT_SPECIFIC);
	(void)secret_put(info, head, (size_t)(p - head));
	(void)secret_put(info, plain->v, plain->n);
	*out = read_message(secret_view(info), NID_pkcs7_signed);
	return *out != NULL ? E_OK : err_set(E_POLICY, "the key that the issuer sent is not signed");
}

static X509_STORE *
trust_store(const struct keywrap_trust *trust)
{
	X509_STORE *store = X509_STORE_new();
	bool ok = store != NULL && X509_STORE_set_purpose(store, X509_PURPOSE_ANY) == 1;

	for (int i = 0; ok && i < sk_X509_num(trust->anchors); i++)
		ok = X509_STORE_add_cert(store, sk_X509_value(trust->anchors, i)) == 1;
	if (ok)
		return store;
	X509_STORE_free(store);
	return NULL;
}

static enum err
verify(CMS_ContentInfo *cms, const struct keywrap_trust *trust)
{
	X509_STORE *store = trust_store(trust);
	enum err e = E_OK;

	if (store == NULL)
		e = err_crypto(E_NOMEM, "cannot check who has made the key");
	for (int i = 0; e == E_OK && i < sk_X509_num(trust->others); i++)
		if (CMS_add1_cert(cms, sk_X509_value(trust->others, i)) != 1)
			ERR_clear_error(); /* it is in the message already */
	if (e == E_OK && CMS_verify(cms, NULL, store, NULL, NULL, CMS_BINARY) != 1)
		e = err_crypto(
		    E_POLICY, "the key that was sent is not signed by somebody whom the issuer's root vouches for");
	X509_STORE_free(store);
	return e;
}

enum err
keywrap_open(struct span der, EVP_PKEY *with, const struct keywrap_trust *trust, EVP_PKEY **out)
{
	SECRET_AUTO plain = NULL;
	CMS_ContentInfo *cms = NULL;
	ASN1_OCTET_STRING **content;
	enum err e = decrypt(der, with, &plain);

	*out = NULL;
	if (e != E_OK)
		return e;
	if (trust == NULL && keypack_read(secret_view(plain), out) == E_OK)
		return E_OK;
	if ((e = signed_read(plain, &cms)) != E_OK)
		return e;
	if (trust != NULL)
		e = verify(cms, trust);
	content = CMS_get0_content(cms);
	if (e == E_OK && (content == NULL || *content == NULL))
		e = err_set(E_PROTO, "there is no key in what the issuer sent");
	if (e == E_OK)
		e = keypack_read(span_of(ASN1_STRING_get0_data(*content), (size_t)ASN1_STRING_length(*content)), out);
	content_wipe(cms);
	CMS_ContentInfo_free(cms);
	return e;
}
