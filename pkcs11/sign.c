/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Signatures: hash and pad here, the raw operation on the card (PKCS#11 2.40, 5.11; RFC 8017). What cannot be signed is
 * refused before the card, and the PIN, is touched.
 */
#include <openssl/core_names.h>
#include <openssl/err.h>

#include "hw/pad.h"
#include "pkcs11/p11.h"
#include "pkcs11/remote.h"

static enum err
pad_raw_with(const struct p11_op *op, struct span tbs, struct wbuf *block)
{
	BIGNUM *n = NULL;
	WBUF_AUTO mod;
	uint8_t *room;
	int len;

	wbuf_init(&mod, 1024);
	if (EVP_PKEY_get_bn_param(op->cred->pkey, OSSL_PKEY_PARAM_RSA_N, &n) != 1)
		return err_crypto(E_CRYPTO, "the certificate's key has no modulus");
	len = BN_num_bytes(n);
	if (len > 0 && (room = wbuf_room(&mod, (size_t)len)) != NULL)
		BN_bn2bin(n, room);
	BN_free(n);
	return pad_raw(tbs, wbuf_view(&mod), block);
}

static enum err
pad_by_scheme(const struct p11_op *op, struct span tbs, struct wbuf *block)
{
	size_t k = piv_alg_len(op->cred->alg);
	const struct mech_params *p = &op->params;

	switch (op->mech->scheme) {
	case SCHEME_RSA_PKCS:
		if (op->token_pads && op->mech->hash != NULL)
			return pad_digest_info(op->mech->hash, tbs, block);
		if (op->token_pads) {
			wbuf_span(block, tbs);
			return E_OK;
		}
		if (op->mech->hash != NULL)
			return pad_pkcs1_digest(op->mech->hash, tbs, k, block);
		return pad_pkcs1(tbs, k, block);
	case SCHEME_RSA_PSS:
		return pad_pss(
		    p->hash->name, p->mgf->name, p->salt, tbs, (size_t)EVP_PKEY_get_bits(op->cred->pkey), block);
	default: return pad_raw_with(op, tbs, block);
	}
}

bool
sign_length_ok(const struct p11_op *op, size_t n)
{
	size_t k = piv_alg_len(op->cred->alg);

	switch (op->mech->scheme) {
	case SCHEME_RSA_PKCS: return n + 11 <= k;
	case SCHEME_RSA_PSS: return n == op->params.hash->len;
	case SCHEME_ECDSA: return n > 0;
	case SCHEME_EDDSA: return n <= PIV_EDDSA_MAX;
	default: return n <= k;
	}
}

static CK_RV
sign_tbs(struct p11_session *s, struct p11_op *op, struct span tbs, struct wbuf *out)
{
	WBUF_AUTO block;
	enum err e;

	wbuf_init(&block, 1024);
	if (!sign_length_ok(op, tbs.n))
		return CKR_DATA_LEN_RANGE;
	if (op->mech->scheme == SCHEME_ECDSA || op->mech->scheme == SCHEME_EDDSA)
		return op_card(s, op, PIV_OP_SIGN, tbs, out);
	if ((e = pad_by_scheme(op, tbs, &block)) != E_OK)
		return e == E_ARG ? CKR_DATA_INVALID : p11_rv(e);
	return op_card(s, op, PIV_OP_SIGN, wbuf_view(&block), out);
}

CK_RV
sign_final(struct p11_session *s, struct p11_op *op, struct wbuf *out)
{
	WBUF_AUTO digest;
	CK_RV rv;

	wbuf_init(&digest, EVP_MAX_MD_SIZE);
	if (op->native)
		return remote_final(s, op, out);
	if (op->md == NULL)
		return sign_tbs(s, op, wbuf_view(&op->data), out);
	if ((rv = op_digest(op, &digest)) != CKR_OK)
		return rv;
	return sign_tbs(s, op, wbuf_view(&digest), out);
}
