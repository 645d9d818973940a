/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decryption: the raw operation on the card, the padding removed by hw/pad.c (libcrypto's constant-time checks), or
 * AES with a session key (PKCS#11 2.40, 5.9). No answer and no line of the log depends on how PKCS#1 v1.5 padding was
 * wrong: there is implicit rejection, keyed by a random secret that the token keeps as long as it is here.
 */
#include <openssl/rand.h>

#include "hw/pad.h"
#include "pkcs11/p11.h"
#include "pkcs11/remote.h"

#define REJECTION_KEY 32

static CK_RV
rejection_key(struct p11_session *s)
{
	struct p11_token *t = s->slot->token;

	if (t->rejection != NULL)
		return CKR_OK;
	if ((t->rejection = secret_new(REJECTION_KEY)) == NULL)
		return CKR_HOST_MEMORY;
	t->rejection->n = REJECTION_KEY;
	if (RAND_priv_bytes_ex(t->lib, t->rejection->v, REJECTION_KEY, 0) != 1) {
		secret_free(&t->rejection);
		return CKR_FUNCTION_FAILED;
	}
	return CKR_OK;
}

static CK_RV
unpad(struct p11_session *s, struct p11_op *op, struct span em, struct wbuf *out)
{
	const struct mech_params *p = &op->params;
	enum err e;

	switch (op->mech->scheme) {
	case SCHEME_RSA_PKCS:
		e = pad_pkcs1_unpad(em, secret_view(s->slot->token->rejection), wbuf_view(&op->data), out);
		break;
	case SCHEME_RSA_OAEP: e = pad_oaep_unpad(em, p->hash->name, p->mgf->name, wbuf_view(&p->label), out); break;
	default: wbuf_span(out, em); return CKR_OK;
	}
	return e == E_CRYPTO ? CKR_ENCRYPTED_DATA_INVALID : p11_rv(e);
}

static CK_RV
decrypt_rsa(struct p11_session *s, struct p11_op *op, struct wbuf *out)
{
	struct span in = wbuf_view(&op->data);
	WBUF_AUTO em;
	CK_RV rv;

	wbuf_init(&em, 1024);
	if (in.n != piv_alg_len(op->cred->alg))
		return CKR_ENCRYPTED_DATA_LEN_RANGE;
	if (op->native)
		return remote_final(s, op, out);
	if ((rv = rejection_key(s)) != CKR_OK || (rv = op_card(s, op, PIV_OP_DECRYPT, in, &em)) != CKR_OK)
		return rv;
	return unpad(s, op, wbuf_view(&em), out);
}

CK_RV
decrypt_final(struct p11_session *s, struct p11_op *op, struct wbuf *out)
{
	if (op->cipher != NULL)
		return cipher_final(op, out);
	if (op->key != NULL)
		return cipher_unwrap(
		    s->slot->module, secret_view(op->key), wbuf_view(&op->params.label), wbuf_view(&op->data), out);
	return decrypt_rsa(s, op, out);
}
