/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A public key object as libcrypto's EVP_PKEY: CKA_MODULUS and CKA_PUBLIC_EXPONENT, or CKA_EC_PARAMS (an OID) and
 * CKA_EC_POINT (an OCTET STRING around the point; some tokens leave the wrapping away). What comes out was checked by
 * libcrypto (EVP_PKEY_public_check), since the token is not trusted to compute well.
 */
#include <string.h>

#include <openssl/asn1.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/objects.h>
#include <openssl/param_build.h>

#include "derive/token_int.h"

#define NUMBER_MAX 4096

static enum err
pub_build(const char *type, OSSL_PARAM *params, EVP_PKEY **out)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL), *check = NULL;
	bool ok;

	ok = ctx != NULL && params != NULL && EVP_PKEY_fromdata_init(ctx) == 1 &&
	    EVP_PKEY_fromdata(ctx, out, EVP_PKEY_PUBLIC_KEY, params) == 1 &&
	    (check = EVP_PKEY_CTX_new_from_pkey(NULL, *out, NULL)) != NULL && EVP_PKEY_public_check(check) == 1;
	EVP_PKEY_CTX_free(check);
	EVP_PKEY_CTX_free(ctx);
	if (ok)
		return E_OK;
	EVP_PKEY_free(*out);
	*out = NULL;
	return err_crypto(E_CRYPTO, "the token made a public key that is not valid");
}

static enum err
pub_rsa(struct token *t, CK_OBJECT_HANDLE o, EVP_PKEY **out)
{
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	OSSL_PARAM *params = NULL;
	BIGNUM *n = NULL, *x = NULL;
	WBUF_AUTO mod;
	WBUF_AUTO exp;
	enum err e;

	wbuf_init(&mod, NUMBER_MAX);
	wbuf_init(&exp, NUMBER_MAX);
	e = raw_get(t, o, CKA_MODULUS, &mod);
	if (e == E_OK)
		e = raw_get(t, o, CKA_PUBLIC_EXPONENT, &exp);
	if (e == E_OK) {
		n = BN_bin2bn(mod.p, (int)mod.n, NULL);
		x = BN_bin2bn(exp.p, (int)exp.n, NULL);
		if (bld != NULL && n != NULL && x != NULL &&
		    OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
		    OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, x) == 1)
			params = OSSL_PARAM_BLD_to_param(bld);
		e = pub_build("RSA", params, out);
	}
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(bld);
	BN_free(n);
	BN_free(x);
	return e;
}

/* The point itself, in or out of its OCTET STRING. */
static struct span
pub_point(struct span v, ASN1_OCTET_STRING **hold)
{
	const unsigned char *p = v.p;

	*hold = v.n > 0 && v.p[0] == 0x04 ? d2i_ASN1_OCTET_STRING(NULL, &p, (long)v.n) : NULL;
	if (*hold != NULL && p == v.p + v.n)
		return span_of(ASN1_STRING_get0_data(*hold), (size_t)ASN1_STRING_length(*hold));
	return v;
}

static enum err
pub_ec(struct token *t, CK_OBJECT_HANDLE o, EVP_PKEY **out)
{
	OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	OSSL_PARAM *params = NULL;
	ASN1_OCTET_STRING *hold = NULL;
	ASN1_OBJECT *oid = NULL;
	struct span pt;
	const unsigned char *p;
	const char *curve = NULL;
	WBUF_AUTO par;
	WBUF_AUTO point;
	enum err e;

	wbuf_init(&par, NUMBER_MAX);
	wbuf_init(&point, NUMBER_MAX);
	e = raw_get(t, o, CKA_EC_PARAMS, &par);
	if (e == E_OK)
		e = raw_get(t, o, CKA_EC_POINT, &point);
	if (e == E_OK) {
		p = par.p;
		oid = d2i_ASN1_OBJECT(NULL, &p, (long)par.n);
		curve = oid != NULL ? OBJ_nid2sn(OBJ_obj2nid(oid)) : NULL;
		pt = pub_point(wbuf_view(&point), &hold);
		if (bld != NULL && curve != NULL &&
		    OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, curve, 0) == 1 &&
		    OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, pt.p, pt.n) == 1)
			params = OSSL_PARAM_BLD_to_param(bld);
		e = pub_build("EC", params, out);
	}
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(bld);
	ASN1_OCTET_STRING_free(hold);
	ASN1_OBJECT_free(oid);
	return e;
}

enum err
pub_read(struct token *t, CK_OBJECT_HANDLE o, EVP_PKEY **out)
{
	CK_KEY_TYPE kt = CK_UNAVAILABLE_INFORMATION;
	CK_ATTRIBUTE a = { CKA_KEY_TYPE, &kt, sizeof kt };
	CK_RV rv = t->m->f->C_GetAttributeValue(t->session, o, &a, 1);

	*out = NULL;
	if (rv != CKR_OK)
		return rv_set(t, rv, "cannot read a public key");
	if (kt == CKK_RSA)
		return pub_rsa(t, o, out);
	if (kt == CKK_EC)
		return pub_ec(t, o, out);
	return err_set(E_UNSUP, "token '%s': a key of type 0x%lX", t->label, kt);
}
