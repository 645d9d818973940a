/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * AES with session keys: ECB, CBC with and without PKCS#7 padding, key wrap (RFC 3394). This is what programs do with a
 * key that came out of ECDH: NSS opens elliptic-curve mail by unwrapping with it and decrypting CBC here.
 */
#include <stdio.h>

#include <openssl/err.h>

#include "pkcs11/p11.h"

#define BLOCK 16

static EVP_CIPHER *
cipher_fetch(struct p11_module *m, const char *mode, size_t key)
{
	char name[24];

	snprintf(name, sizeof name, "AES-%zu-%s", key * 8, mode);
	return EVP_CIPHER_fetch(m->lib, name, NULL);
}

CK_RV
cipher_start(struct p11_module *m, struct p11_op *op)
{
	struct span key = secret_view(op->key);
	EVP_CIPHER *c = cipher_fetch(m, op->mech->scheme == SCHEME_AES_ECB ? "ECB" : "CBC", key.n);
	const uint8_t *iv = op->mech->param == PARAM_IV16 ? op->params.label.p : NULL;
	bool ok;

	ok = c != NULL && (op->cipher = EVP_CIPHER_CTX_new()) != NULL &&
	    EVP_CipherInit_ex2(op->cipher, c, key.p, iv, op->kind == OP_ENCRYPT, NULL) == 1 &&
	    EVP_CIPHER_CTX_set_padding(op->cipher, op->mech->scheme == SCHEME_AES_CBC_PAD) == 1;
	EVP_CIPHER_free(c);
	ERR_clear_error();
	return ok ? CKR_OK : CKR_KEY_SIZE_RANGE;
}

static bool
is_padded(const struct p11_op *op)
{
	return op->mech->scheme == SCHEME_AES_CBC_PAD;
}

/* libcrypto keeps the last whole block back when it may hold the padding. */
static size_t
update_bound(const struct p11_op *op, size_t total)
{
	if (is_padded(op) && op->kind == OP_DECRYPT)
		return total == 0 ? 0 : (total - 1) / BLOCK * BLOCK;
	return total / BLOCK * BLOCK;
}

/* RFC 3394 over all that was collected. */
static size_t
wrap_bound(const struct p11_op *op, size_t total)
{
	if (op->kind == OP_ENCRYPT)
		return total + 8;
	return total < 8 ? 0 : total - 8;
}

size_t
cipher_bound(const struct p11_op *op, enum op_phase phase, size_t n)
{
	size_t total = op->pending + n;

	if (op->mech->scheme == SCHEME_AES_WRAP)
		return phase == OP_UPDATE ? 0 : wrap_bound(op, op->data.n + n);
	if (phase == OP_UPDATE)
		return update_bound(op, total);
	if (phase == OP_FINAL)
		return !is_padded(op) ? 0 : op->kind == OP_ENCRYPT ? BLOCK : BLOCK - 1;
	if (!is_padded(op))
		return total;
	return op->kind == OP_ENCRYPT ? (total / BLOCK + 1) * BLOCK : total;
}

CK_RV
cipher_update(struct p11_op *op, struct span in, struct wbuf *out)
{
	size_t start = out->n;
	uint8_t *room;
	int n = 0;

	if (in.n == 0)
		return CKR_OK;
	if (in.n > P11_INPUT_MAX || (room = wbuf_room(out, in.n + BLOCK)) == NULL)
		return CKR_HOST_MEMORY;
	if (EVP_CipherUpdate(op->cipher, room, &n, in.p, (int)in.n) != 1)
		return CKR_FUNCTION_FAILED;
	wbuf_cut(out, start + (size_t)n);
	op->pending = op->pending + in.n - (size_t)n;
	return CKR_OK;
}

CK_RV
cipher_final(struct p11_op *op, struct wbuf *out)
{
	bool decrypt = op->kind == OP_DECRYPT;
	size_t start = out->n;
	uint8_t *room;
	int n = 0;

	if (op->pending % BLOCK != 0 && (decrypt || !is_padded(op)))
		return decrypt ? CKR_ENCRYPTED_DATA_LEN_RANGE : CKR_DATA_LEN_RANGE;
	if ((room = wbuf_room(out, 2 * BLOCK)) == NULL)
		return CKR_HOST_MEMORY;
	if (EVP_CipherFinal_ex(op->cipher, room, &n) != 1)
		return decrypt ? CKR_ENCRYPTED_DATA_INVALID : CKR_FUNCTION_FAILED;
	wbuf_cut(out, start + (size_t)n);
	return CKR_OK;
}

/* --- key wrap --- */

static CK_RV
wrap(struct p11_module *m, struct span kek, struct span iv, struct span in, bool encrypt, struct wbuf *out)
{
	EVP_CIPHER *c = cipher_fetch(m, "WRAP", kek.n);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t *room = wbuf_room(out, in.n + 8);
	int n = 0;
	bool ok;

	if (ctx != NULL)
		EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	ok = c != NULL && ctx != NULL && room != NULL &&
	    EVP_CipherInit_ex2(ctx, c, kek.p, iv.n == 8 ? iv.p : NULL, encrypt, NULL) == 1 &&
	    EVP_CipherUpdate(ctx, room, &n, in.p, (int)in.n) == 1;
	EVP_CIPHER_CTX_free(ctx);
	EVP_CIPHER_free(c);
	ERR_clear_error();
	wbuf_cut(out, out->n - (in.n + 8) + (ok && n > 0 ? (size_t)n : 0));
	return ok && n > 0 ? CKR_OK : CKR_ENCRYPTED_DATA_INVALID;
}

CK_RV
cipher_unwrap(struct p11_module *m, struct span kek, struct span iv, struct span in, struct wbuf *out)
{
	if (in.n < 24 || in.n % 8 != 0 || in.n > P11_VALUE_MAX)
		return CKR_ENCRYPTED_DATA_LEN_RANGE;
	return wrap(m, kek, iv, in, false, out);
}

/* --- C_UnwrapKey --- */

static bool
open_with(
    EVP_CIPHER_CTX *ctx, const EVP_CIPHER *c, struct span kek, const uint8_t *iv, struct span in, struct secret *out)
{
	int n = 0, last = 0;

	EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	if (EVP_CipherInit_ex2(ctx, c, kek.p, iv, 0, NULL) != 1 ||
	    EVP_CipherUpdate(ctx, out->v, &n, in.p, (int)in.n) != 1 || n < 0 ||
	    EVP_CipherFinal_ex(ctx, out->v + n, &last) != 1 || last < 0)
		return false;
	out->n = (size_t)n + (size_t)last;
	return out->n > 0;
}

CK_RV
cipher_open(
    struct p11_module *m, enum mech_scheme scheme, struct span kek, struct span iv, struct span in, struct secret **out)
{
	bool cbc = scheme == SCHEME_AES_CBC_PAD;
	EVP_CIPHER_CTX *ctx;
	EVP_CIPHER *c;
	bool ok;

	if (in.n < (cbc ? BLOCK : 16) || in.n % (cbc ? BLOCK : 8) != 0 || in.n > P11_VALUE_MAX)
		return CKR_WRAPPED_KEY_LEN_RANGE;
	if ((*out = secret_new(in.n + 2 * BLOCK)) == NULL)
		return CKR_HOST_MEMORY;
	ctx = EVP_CIPHER_CTX_new();
	c = cipher_fetch(m, cbc ? "CBC" : scheme == SCHEME_AES_KWP ? "WRAP-PAD" : "WRAP", kek.n);
	ok = ctx != NULL && c != NULL && open_with(ctx, c, kek, iv.n > 0 ? iv.p : NULL, in, *out);
	EVP_CIPHER_CTX_free(ctx);
	EVP_CIPHER_free(c);
	ERR_clear_error();
	if (ok)
		return CKR_OK;
	secret_free(out);
	return CKR_WRAPPED_KEY_INVALID;
}

CK_RV
cipher_wrap(struct p11_module *m, struct span kek, struct span iv, struct span in, struct wbuf *out)
{
	if (in.n < 16 || in.n % 8 != 0 || in.n > P11_VALUE_MAX)
		return CKR_DATA_LEN_RANGE;
	return wrap(m, kek, iv, in, true, out) == CKR_OK ? CKR_OK : CKR_FUNCTION_FAILED;
}
