/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A public key object of another module as libcrypto's (PKCS#11 2.40 mechanisms, 2.1.2 and 2.3.3): for keys that the
 * uri names and that have no certificate.
 */
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>

#include "hw/tlv.h"
#include "pkcs11/remote.h"

#define NUMBER_MAX 1024

static EVP_PKEY *
key_make(OSSL_LIB_CTX *lib, const char *type, OSSL_PARAM_BLD *bld)
{
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(lib, type, NULL);
	EVP_PKEY *key = NULL;

	if (params == NULL || ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		ERR_clear_error();
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_free(params);
	return key;
}

static bool
rsa_params(const struct remote *r, CK_OBJECT_HANDLE o, OSSL_PARAM_BLD *bld, BIGNUM **n, BIGNUM **e)
{
	WBUF_AUTO modulus;
	WBUF_AUTO exponent;

	wbuf_init(&modulus, NUMBER_MAX);
	wbuf_init(&exponent, NUMBER_MAX);
	return p11mod_attr(r->f, r->session, o, CKA_MODULUS, &modulus) == CKR_OK &&
	    p11mod_attr(r->f, r->session, o, CKA_PUBLIC_EXPONENT, &exponent) == CKR_OK && !modulus.bad &&
	    !exponent.bad && (*n = BN_bin2bn(modulus.p, (int)modulus.n, NULL)) != NULL &&
	    (*e = BN_bin2bn(exponent.p, (int)exponent.n, NULL)) != NULL &&
	    OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, *n) == 1 &&
	    OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, *e) == 1;
}

/* The curve by its object identifier, the point in a DER OCTET STRING. */
static bool
ec_params(const struct remote *r, CK_OBJECT_HANDLE o, OSSL_PARAM_BLD *bld, struct wbuf *point)
{
	static const uint8_t p256[] = { 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07 };
	static const uint8_t p384[] = { 0x06, 0x05, 0x2B, 0x81, 0x04, 0x00, 0x22 };
	struct span der, q;
	WBUF_AUTO curve;
	bool is_256, is_384;

	wbuf_init(&curve, 64);
	if (p11mod_attr(r->f, r->session, o, CKA_EC_PARAMS, &curve) != CKR_OK ||
	    p11mod_attr(r->f, r->session, o, CKA_EC_POINT, point) != CKR_OK || point->bad)
		return false;
	is_256 = span_eq(wbuf_view(&curve), span_of(p256, sizeof p256));
	is_384 = span_eq(wbuf_view(&curve), span_of(p384, sizeof p384));
	der = wbuf_view(point);
	return (is_256 || is_384) && tlv_get(&der, 0x04, &q) == E_OK &&
	    OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, is_256 ? "P-256" : "P-384", 0) == 1 &&
	    OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, q.p, q.n) == 1;
}

EVP_PKEY *
remote_pub(const struct remote *r, OSSL_LIB_CTX *lib, CK_OBJECT_HANDLE o)
{
	CK_ULONG type = p11mod_ulong(r->f, r->session, o, CKA_KEY_TYPE, CKK_VENDOR_DEFINED);
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	BIGNUM *n = NULL, *e = NULL;
	EVP_PKEY *key = NULL;
	WBUF_AUTO point;

	wbuf_init(&point, NUMBER_MAX);
	if (bld != NULL && type == CKK_RSA && rsa_params(r, o, bld, &n, &e))
		key = key_make(lib, "RSA", bld);
	if (bld != NULL && type == CKK_EC && ec_params(r, o, bld, &point))
		key = key_make(lib, "EC", bld);
	OSSL_PARAM_BLD_free(bld);
	BN_free(n);
	BN_free(e);
	return key;
}
