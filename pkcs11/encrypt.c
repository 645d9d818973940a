/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Encryption: to the certificate's RSA key in software, or with a session AES key (PKCS#11 2.40, 5.8).
 */
#include <openssl/err.h>
#include <openssl/rsa.h>

#include "pkcs11/p11.h"

static bool
set_oaep(struct p11_module *m, EVP_PKEY_CTX *ctx, const struct p11_op *op)
{
	EVP_MD *md = EVP_MD_fetch(m->lib, op->params.hash->name, NULL);
	EVP_MD *mgf = EVP_MD_fetch(m->lib, op->params.mgf->name, NULL);
	struct span label = wbuf_view(&op->params.label);
	void *copy = label.n > 0 ? OPENSSL_memdup(label.p, label.n) : NULL;
	bool ok = md != NULL && mgf != NULL && (label.n == 0 || copy != NULL) &&
	    EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1 &&
	    EVP_PKEY_CTX_set_rsa_oaep_md(ctx, md) == 1 && EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, mgf) == 1;

	if (ok && copy != NULL && (ok = EVP_PKEY_CTX_set0_rsa_oaep_label(ctx, copy, (int)label.n) == 1))
		copy = NULL;
	OPENSSL_free(copy);
	EVP_MD_free(md);
	EVP_MD_free(mgf);
	return ok;
}

static bool
set_padding(struct p11_module *m, EVP_PKEY_CTX *ctx, const struct p11_op *op)
{
	if (op->mech->scheme == SCHEME_RSA_OAEP)
		return set_oaep(m, ctx, op);
	return EVP_PKEY_CTX_set_rsa_padding(
		   ctx, op->mech->scheme == SCHEME_RSA_RAW ? RSA_NO_PADDING : RSA_PKCS1_PADDING) == 1;
}

static CK_RV
encrypt_rsa(struct p11_session *s, struct p11_op *op, struct wbuf *out)
{
	size_t k = piv_alg_len(op->cred->alg), n = k;
	struct span in = wbuf_view(&op->data);
	EVP_PKEY_CTX *ctx = NULL;
	uint8_t *room;
	CK_RV rv = CKR_FUNCTION_FAILED;
	WBUF_AUTO block;

	wbuf_init(&block, k);
	if (in.n > k || (op->mech->scheme == SCHEME_RSA_PKCS && in.n + 11 > k) ||
	    (op->mech->scheme == SCHEME_RSA_OAEP && in.n + 2 * op->params.hash->len + 2 > k))
		return CKR_DATA_LEN_RANGE;
	if (op->mech->scheme == SCHEME_RSA_RAW) {
		wbuf_fill(&block, 0, k - in.n);
		wbuf_span(&block, in);
		in = wbuf_view(&block);
	}
	if ((room = wbuf_room(out, k)) == NULL)
		return CKR_HOST_MEMORY;
	ctx = EVP_PKEY_CTX_new_from_pkey(s->slot->module->lib, op->cred->pkey, NULL);
	if (ctx != NULL && EVP_PKEY_encrypt_init(ctx) == 1 && set_padding(s->slot->module, ctx, op))
		rv = EVP_PKEY_encrypt(ctx, room, &n, in.p, in.n) == 1 && n == k ? CKR_OK : CKR_DATA_INVALID;
	EVP_PKEY_CTX_free(ctx);
	return rv;
}

CK_RV
encrypt_final(struct p11_session *s, struct p11_op *op, struct wbuf *out)
{
	if (op->cipher != NULL)
		return cipher_final(op, out);
	if (op->key != NULL)
		return cipher_wrap(
		    s->slot->module, secret_view(op->key), wbuf_view(&op->params.label), wbuf_view(&op->data), out);
	return encrypt_rsa(s, op, out);
}
