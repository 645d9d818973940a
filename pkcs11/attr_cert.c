/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Attribute values out of a loaded certificate, in the encodings of PKCS#11 2.40: names, serial number and public key
 * info as DER, RSA integers as big-endian bytes, the EC point as DER OCTET STRING of its uncompressed form.
 */
#include <time.h>

#include <openssl/core_names.h>
#include <openssl/err.h>

#include "hw/tlv.h"
#include "pkcs11/attr.h"

/* What an i2d_ function made, into out. */
static CK_RV
put_der(struct wbuf *out, unsigned char *der, int n)
{
	if (n <= 0 || der == NULL) {
		ERR_clear_error();
		return CKR_FUNCTION_FAILED;
	}
	wbuf_put(out, der, (size_t)n);
	OPENSSL_free(der);
	return CKR_OK;
}

CK_RV
attr_cert_value(const struct p11_token *t, const struct p11_object *o, struct wbuf *out)
{
	(void)t;
	wbuf_span(out, wbuf_view(&o->cred->der));
	return CKR_OK;
}

CK_RV
attr_cert_issuer(const struct p11_token *t, const struct p11_object *o, struct wbuf *out)
{
	unsigned char *der = NULL;
	int n = i2d_X509_NAME(X509_get_issuer_name(o->cred->x509), &der);

	(void)t;
	return put_der(out, der, n);
}

CK_RV
attr_cert_subject(const struct p11_token *t, const struct p11_object *o, struct wbuf *out)
{
	unsigned char *der = NULL;
	int n;

	(void)t;
	if (o->cred->x509 == NULL) { /* a new key */
		wbuf_span(out, wbuf_view(&o->cred->subject));
		return CKR_OK;
	}
	n = i2d_X509_NAME(X509_get_subject_name(o->cred->x509), &der);
	return put_der(out, der, n);
}

CK_RV
attr_cert_serial(const struct p11_token *t, const struct p11_object *o, struct wbuf *out)
{
	unsigned char *der = NULL;
	int n = i2d_ASN1_INTEGER(X509_get0_serialNumber(o->cred->x509), &der);

	(void)t;
	return put_der(out, der, n);
}

CK_RV
attr_cert_spki(const struct p11_token *t, const struct p11_object *o, struct wbuf *out)
{
	unsigned char *der = NULL;
	int n = o->cred->x509 != NULL ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(o->cred->x509), &der)
				      : i2d_PUBKEY(o->cred->pkey, &der);

	(void)t;
	return put_der(out, der, n);
}

static CK_RV
put_date(struct wbuf *out, const ASN1_TIME *when)
{
	char text[9];
	struct tm tm;

	if (when == NULL || ASN1_TIME_to_tm(when, &tm) != 1 || strftime(text, sizeof text, "%Y%m%d", &tm) != 8) {
		ERR_clear_error();
		return CKR_OK; /* an empty date: unknown */
	}
	wbuf_put(out, text, 8);
	return CKR_OK;
}

CK_RV
attr_cert_start(const struct p11_token *t, const struct p11_object *o, struct wbuf *out)
{
	(void)t;
	return put_date(out, X509_get0_notBefore(o->cred->x509));
}

CK_RV
attr_cert_end(const struct p11_token *t, const struct p11_object *o, struct wbuf *out)
{
	(void)t;
	return put_date(out, X509_get0_notAfter(o->cred->x509));
}

/* The first three bytes of the SHA-1 of the certificate (PKCS#11 2.40, 4.6.2). */
CK_RV
attr_cert_check(const struct p11_token *t, const struct p11_object *o, struct wbuf *out)
{
	struct span der = wbuf_view(&o->cred->der);
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	EVP_MD *sha1 = EVP_MD_fetch(t->lib, "SHA1", NULL);
	int ok = sha1 != NULL && EVP_Digest(der.p, der.n, md, &n, sha1, NULL) == 1 && n >= 3;

	EVP_MD_free(sha1);
	if (!ok) {
		ERR_clear_error();
		return CKR_FUNCTION_FAILED;
	}
	wbuf_put(out, md, 3);
	return CKR_OK;
}

/* --- keys --- */

static CK_RV
put_number(struct wbuf *out, const EVP_PKEY *key, const char *name)
{
	BIGNUM *n = NULL;
	int len;

	if (EVP_PKEY_get_bn_param(key, name, &n) != 1) {
		ERR_clear_error();
		return CKR_FUNCTION_FAILED;
	}
	len = BN_num_bytes(n);
	if (len > 0) {
		uint8_t *room = wbuf_room(out, (size_t)len);

		if (room != NULL)
			BN_bn2bin(n, room);
	}
	BN_free(n);
	return CKR_OK;
}

CK_RV
attr_key_modulus(const struct p11_token *t, const struct p11_object *o, struct wbuf *out)
{
	(void)t;
	if (!piv_alg_is_rsa(o->cred->alg))
		return CKR_ATTRIBUTE_TYPE_INVALID;
	return put_number(out, o->cred->pkey, OSSL_PKEY_PARAM_RSA_N);
}

CK_RV
attr_key_exponent(const struct p11_token *t, const struct p11_object *o, struct wbuf *out)
{
	(void)t;
	if (!piv_alg_is_rsa(o->cred->alg))
		return CKR_ATTRIBUTE_TYPE_INVALID;
	return put_number(out, o->cred->pkey, OSSL_PKEY_PARAM_RSA_E);
}

CK_RV
attr_key_bits(const struct p11_token *t, const struct p11_object *o, struct wbuf *out)
{
	CK_ULONG bits;

	(void)t;
	if (!piv_alg_is_rsa(o->cred->alg))
		return CKR_ATTRIBUTE_TYPE_INVALID;
	bits = (CK_ULONG)EVP_PKEY_get_bits(o->cred->pkey);
	wbuf_put(out, &bits, sizeof bits);
	return CKR_OK;
}

CK_RV
attr_key_curve(const struct p11_token *t, const struct p11_object *o, struct wbuf *out)
{
	struct span params = curve_params(o->cred->alg);

	(void)t;
	if (params.n == 0)
		return CKR_ATTRIBUTE_TYPE_INVALID;
	wbuf_span(out, params);
	return CKR_OK;
}

/* PKCS#11 3.0, 2.3.3 and 2.3.5: the bytes of RFC 8032 and RFC 7748. */
static CK_RV
put_raw_point(const struct p11_cred *c, struct wbuf *out)
{
	unsigned char point[64];
	size_t n = sizeof point;

	if (EVP_PKEY_get_raw_public_key(c->pkey, point, &n) != 1) {
		ERR_clear_error();
		return CKR_FUNCTION_FAILED;
	}
	tlv_put(out, 0x04, point, n);
	return CKR_OK;
}

CK_RV
attr_key_point(const struct p11_token *t, const struct p11_object *o, struct wbuf *out)
{
	unsigned char point[2 * 66 + 1];
	size_t n = 0, len = piv_alg_len(o->cred->alg);

	(void)t;
	if (piv_alg_is_rsa(o->cred->alg))
		return CKR_ATTRIBUTE_TYPE_INVALID;
	if (!piv_alg_is_ec(o->cred->alg))
		return put_raw_point(o->cred, out);
	if (EVP_PKEY_get_octet_string_param(o->cred->pkey, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point, &n) != 1 ||
	    n != 2 * len + 1) {
		ERR_clear_error();
		return CKR_FUNCTION_FAILED;
	}
	tlv_put(out, 0x04, point, n);
	return CKR_OK;
}
