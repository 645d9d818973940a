/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Verification, in software with the certificate's key (PKCS#11 2.40, 5.13). ECDSA signatures are r and s of fixed
 * length in Cryptoki and a DER sequence in libcrypto.
 */
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#include "pkcs11/p11.h"

/* Padding and hash of the mechanism, for verification. */
static bool
set_scheme(struct p11_module *m, EVP_PKEY_CTX *ctx, const struct p11_op *op)
{
	const char *hash = op->mech->scheme == SCHEME_RSA_PSS ? op->params.hash->name : op->mech->hash;
	EVP_MD *md = hash != NULL ? EVP_MD_fetch(m->lib, hash, NULL) : NULL, *mgf = NULL;
	bool ok = hash == NULL || md != NULL;

	if (op->mech->scheme == SCHEME_RSA_PKCS)
		ok = ok && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1;
	if (op->mech->scheme == SCHEME_RSA_RAW)
		ok = ok && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) == 1;
	if (op->mech->scheme == SCHEME_RSA_PSS)
		ok = ok && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
		    EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, (int)op->params.salt) == 1;
	if (md != NULL)
		ok = ok && EVP_PKEY_CTX_set_signature_md(ctx, md) == 1;
	if (op->mech->scheme == SCHEME_RSA_PSS)
		ok = ok && (mgf = EVP_MD_fetch(m->lib, op->params.mgf->name, NULL)) != NULL &&
		    EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, mgf) == 1;
	EVP_MD_free(md);
	EVP_MD_free(mgf);
	return ok;
}

/* r || s as ECDSA-Sig-Value. */
static bool
ecdsa_der(struct span sig, struct wbuf *out)
{
	ECDSA_SIG *es = ECDSA_SIG_new();
	struct span r, s;
	BIGNUM *br = NULL, *bs = NULL;
	unsigned char *der = NULL;
	int n;
	bool ok;

	ok = es != NULL && span_sub(sig, 0, sig.n / 2, &r) && span_sub(sig, sig.n / 2, sig.n / 2, &s) &&
	    (br = BN_bin2bn(r.p, (int)r.n, NULL)) != NULL && (bs = BN_bin2bn(s.p, (int)s.n, NULL)) != NULL &&
	    ECDSA_SIG_set0(es, br, bs) == 1;
	if (!ok) {
		BN_free(br);
		BN_free(bs);
	} else if ((n = i2d_ECDSA_SIG(es, &der)) > 0) {
		wbuf_put(out, der, (size_t)n);
	}
	OPENSSL_free(der);
	ECDSA_SIG_free(es);
	return ok && out->n > 0;
}

static CK_RV
verify_with(struct p11_session *s, struct p11_op *op, struct span tbs, struct span sig)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(s->slot->module->lib, op->cred->pkey, NULL);
	CK_RV rv = CKR_FUNCTION_FAILED;

	if (ctx != NULL && EVP_PKEY_verify_init(ctx) == 1 && set_scheme(s->slot->module, ctx, op))
		rv = EVP_PKEY_verify(ctx, sig.p, sig.n, tbs.p, tbs.n) == 1 ? CKR_OK : CKR_SIGNATURE_INVALID;
	EVP_PKEY_CTX_free(ctx);
	return rv;
}

static CK_RV
verify_ecdsa(struct p11_session *s, struct p11_op *op, struct span tbs, struct span sig)
{
	WBUF_AUTO der;

	wbuf_init(&der, 256);
	if (tbs.n == 0)
		return CKR_DATA_LEN_RANGE;
	if (!ecdsa_der(sig, &der))
		return CKR_SIGNATURE_INVALID;
	return verify_with(s, op, tbs, wbuf_view(&der));
}

static CK_RV
verify_rsa(struct p11_session *s, struct p11_op *op, struct span tbs, struct span sig)
{
	size_t k = piv_alg_len(op->cred->alg);
	WBUF_AUTO block;

	wbuf_init(&block, k);
	if (op->mech->scheme == SCHEME_RSA_PKCS && tbs.n + 11 > k)
		return CKR_DATA_LEN_RANGE;
	if (op->mech->scheme == SCHEME_RSA_PSS && tbs.n != op->params.hash->len)
		return CKR_DATA_LEN_RANGE;
	if (op->mech->scheme != SCHEME_RSA_RAW)
		return verify_with(s, op, tbs, sig);
	if (tbs.n > k)
		return CKR_DATA_LEN_RANGE;
	wbuf_fill(&block, 0, k - tbs.n);
	wbuf_span(&block, tbs);
	return verify_with(s, op, wbuf_view(&block), sig);
}

static CK_RV
verify_eddsa(struct p11_session *s, struct p11_op *op, struct span message, struct span sig)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	CK_RV rv = CKR_FUNCTION_FAILED;

	if (ctx != NULL &&
	    EVP_DigestVerifyInit_ex(ctx, NULL, NULL, s->slot->module->lib, NULL, op->cred->pkey, NULL) == 1)
		rv = EVP_DigestVerify(ctx, sig.p, sig.n, message.p, message.n) == 1 ? CKR_OK : CKR_SIGNATURE_INVALID;
	EVP_MD_CTX_free(ctx);
	return rv;
}

CK_RV
verify_final(struct p11_session *s, struct p11_op *op, struct span sig)
{
	size_t k = piv_alg_len(op->cred->alg);
	bool rsa = piv_alg_is_rsa(op->cred->alg);
	struct span tbs = wbuf_view(&op->data);
	WBUF_AUTO digest;
	CK_RV rv;

	wbuf_init(&digest, EVP_MAX_MD_SIZE);
	if (sig.n != (rsa ? k : 2 * k))
		return CKR_SIGNATURE_LEN_RANGE;
	if (op->mech->scheme == SCHEME_EDDSA)
		return verify_eddsa(s, op, tbs, sig);
	if (op->md != NULL) {
		if ((rv = op_digest(op, &digest)) != CKR_OK)
			return rv;
		tbs = wbuf_view(&digest);
	}
	return rsa ? verify_rsa(s, op, tbs, sig) : verify_ecdsa(s, op, tbs, sig);
}
