/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The private-key and management-key primitives of the virtual card, by libcrypto's EVP: raw RSA, ECDSA over a
 * given digest, ECDH's X coordinate, one block of 3DES or AES (SP 800-78-5 table 9). Errors stay in here: OpenSSL's
 * queue is emptied, since the host's program may share it in process.
 */
#include <openssl/err.h>
#include <openssl/rsa.h>

#include "tests/vcard/model.h"

bool
vc_rsa_raw(EVP_PKEY *key, struct vc_in block, struct vc_out *out)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	size_t n = (size_t)EVP_PKEY_get_size(key);
	uint8_t *to = block.n == n ? vc_out_room(out, n) : NULL;
	bool ok = ctx && to && EVP_PKEY_decrypt_init(ctx) > 0 &&
	    EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) > 0 &&
	    EVP_PKEY_decrypt(ctx, to, &n, block.p, block.n) > 0 && n == block.n;

	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}

bool
vc_ecdsa(EVP_PKEY *key, struct vc_in digest, struct vc_out *out)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	size_t start = out->n, n = (size_t)EVP_PKEY_get_size(key);
	uint8_t *to = vc_out_room(out, n);
	bool ok = ctx && to && EVP_PKEY_sign_init(ctx) > 0 && EVP_PKEY_sign(ctx, to, &n, digest.p, digest.n) > 0;

	if (ok)
		out->n = start + n;
	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}

/* YubiKey: a whole message, RFC 8032 without prehashing. */
bool
vc_eddsa(EVP_PKEY *key, struct vc_in message, struct vc_out *out)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t n = 64;
	uint8_t *to = vc_out_room(out, n);
	bool ok = ctx && to && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) > 0 &&
	    EVP_DigestSign(ctx, to, &n, message.p, message.n) > 0;

	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}

/* SP 800-73-5 Part 2, A.5: only points on the curve, uncompressed; X25519's are 32 bytes. */
bool
vc_ecdh(EVP_PKEY *key, struct vc_in point, struct vc_out *out)
{
	EVP_PKEY *peer = EVP_PKEY_new();
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	bool x25519 = EVP_PKEY_is_a(key, "X25519");
	size_t n = x25519 ? 32 : (size_t)(EVP_PKEY_get_bits(key) + 7) / 8;
	bool shape = x25519 ? point.n == n : point.n == 2 * n + 1 && point.p[0] == 0x04;
	uint8_t *to = shape ? vc_out_room(out, n) : NULL;
	bool ok = peer && ctx && to && EVP_PKEY_copy_parameters(peer, key) > 0 &&
	    EVP_PKEY_set1_encoded_public_key(peer, point.p, point.n) > 0 && EVP_PKEY_derive_init(ctx) > 0 &&
	    EVP_PKEY_derive_set_peer(ctx, peer) > 0 && EVP_PKEY_derive(ctx, to, &n) > 0;

	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(peer);
	ERR_clear_error();
	return ok;
}

static const struct {
	uint8_t id;
	size_t block, key;
	const EVP_CIPHER *(*cipher)(void);
} sym[] = {
	{ ALG_3DES, 8, 24, EVP_des_ede3_ecb },
	{ ALG_3DES_OLD, 8, 24, EVP_des_ede3_ecb },
	{ ALG_AES128, 16, 16, EVP_aes_128_ecb },
	{ ALG_AES192, 16, 24, EVP_aes_192_ecb },
	{ ALG_AES256, 16, 32, EVP_aes_256_ecb },
};

size_t
vc_sym_block(uint8_t alg)
{
	for (size_t i = 0; i < sizeof sym / sizeof *sym; i++)
		if (sym[i].id == alg)
			return sym[i].block;
	return 0;
}

size_t
vc_sym_key(uint8_t alg)
{
	for (size_t i = 0; i < sizeof sym / sizeof *sym; i++)
		if (sym[i].id == alg)
			return sym[i].key;
	return 0;
}

bool
vc_sym_encrypt(uint8_t alg, const uint8_t *key, const uint8_t *in, uint8_t *out)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n = 0, block = (int)vc_sym_block(alg);
	bool ok = false;

	for (size_t i = 0; ctx && i < sizeof sym / sizeof *sym; i++)
		if (sym[i].id == alg)
			ok = EVP_EncryptInit_ex(ctx, sym[i].cipher(), NULL, key, NULL) > 0 &&
			    EVP_CIPHER_CTX_set_padding(ctx, 0) > 0 && EVP_EncryptUpdate(ctx, out, &n, in, block) > 0 &&
			    n == block;
	EVP_CIPHER_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}
