/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Removing RSA padding in the host, RFC 8017, 7.1.2 and 7.2.2: where padding oracles live (Bleichenbacher, Manger).
 *
 * The check itself is libcrypto's constant-time one (deprecated there because the key object does it; a card has no key
 * object). What follows a check of PKCS#1 v1.5 runs the same way whether it succeeded or not: both results are
 * computed, one is selected by a mask. This is implicit rejection as in draft-irtf-cfrg-rsa-guidance, 5 and 7.2; the
 * seed is a secret of the caller's, since a card does not reveal its private exponent.
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include <string.h>

#include <openssl/err.h>
#include <openssl/rsa.h>

#include "hw/crypto.h"
#include "hw/pad.h"

#define MODULUS_MAX 1024 /* bytes */
#define OVERHEAD    11	 /* 00 02 eight bytes, 00 */

/* All ones when a < b, else 0; neither above SIZE_MAX / 2. */
static size_t
mask_less(size_t a, size_t b)
{
	return 0 - ((a - b) >> (8 * sizeof(size_t) - 1));
}

static size_t
choose(size_t mask, size_t yes, size_t no)
{
	return (yes & mask) | (no & ~mask);
}

/* PRF of draft-irtf-cfrg-rsa-guidance, 5: HMAC-SHA256 over counter, label and length in bits. */
static bool
prf(const uint8_t key[32], const char *label, uint8_t *out, size_t n)
{
	uint8_t block[32], in[32];
	size_t done, part, len, label_n = strlen(label), bits = 8 * n;
	unsigned i;

	for (i = 0, done = 0; done < n; i++, done += part) {
		in[0] = (uint8_t)(i >> 8);
		in[1] = (uint8_t)i;
		memcpy(in + 2, label, label_n);
		in[2 + label_n] = (uint8_t)(bits >> 8);
		in[3 + label_n] = (uint8_t)bits;
		if (EVP_Q_mac(hw_crypto(), "HMAC", NULL, "SHA256", NULL, key, 32, in, 4 + label_n, block, sizeof block,
			&len) == NULL)
			return false;
		part = n - done < sizeof block ? n - done : sizeof block;
		memcpy(out + done, block, part);
	}
	explicit_bzero(block, sizeof block);
	return true;
}

/* What a wrongly padded block yields: *n bytes at the end of message[len]. */
static bool
synthetic(struct span secret, struct span ciphertext, uint8_t *message, size_t len, size_t *n)
{
	uint8_t key[32], lengths[256];
	size_t limit = len - (OVERHEAD - 1), bits = limit, candidate, got, i;
	bool good;

	*n = 0;
	for (i = 1; i < 8 * sizeof bits; i *= 2)
		bits |= bits >> i;
	good = EVP_Q_mac(hw_crypto(), "HMAC", NULL, "SHA256", NULL, secret.p, secret.n, ciphertext.p, ciphertext.n, key,
		   sizeof key, &got) != NULL &&
	    prf(key, "length", lengths, sizeof lengths) && prf(key, "message", message, len);
	for (i = 0; good && i < sizeof lengths; i += 2) {
		candidate = ((size_t)lengths[i] << 8 | lengths[i + 1]) & bits;
		*n = choose(mask_less(candidate, limit), candidate, *n);
	}
	explicit_bzero(key, sizeof key);
	return good;
}

enum err
pad_pkcs1_unpad(struct span em, struct span secret, struct span ciphertext, struct wbuf *out)
{
	uint8_t real[MODULUS_MAX] = { 0 }, other[MODULUS_MAX], result[MODULUS_MAX];
	size_t other_n, n, mask, i, max = em.n - OVERHEAD;
	int rv;

	if (em.n < 2 * OVERHEAD || em.n > MODULUS_MAX || hw_crypto() == NULL || secret.n < 32)
		return err_set(E_ARG, "a block of %zu bytes cannot be decrypted", em.n);
	if (!synthetic(secret, ciphertext, other, em.n, &other_n))
		return err_crypto(E_CRYPTO, "decryption"); /* memory, not padding */
	ERR_set_mark();
	rv = RSA_padding_check_PKCS1_type_2(real, (int)max, em.p, (int)em.n, (int)em.n);
	ERR_pop_to_mark();
	mask = ~(0 - (size_t)((unsigned)rv >> (8 * sizeof rv - 1))); /* all ones: rv is not negative */
	n = choose(mask, (size_t)(unsigned)rv, other_n);
	for (i = 0; i < max; i++) {
		/* the synthetic message ends where its block ends: byte i of it, without looking at whether i is inside
		 */
		size_t at = (em.n - other_n + i) & choose(mask_less(i, other_n), SIZE_MAX, 0);

		result[i] = (uint8_t)choose(mask, real[i], other[at]);
	}
	wbuf_put(out, result, n);
	explicit_bzero(real, sizeof real);
	explicit_bzero(other, sizeof other);
	explicit_bzero(result, sizeof result);
	return out->bad ? err_set(E_NOMEM, "out of memory") : E_OK;
}

enum err
pad_oaep_unpad(struct span em, const char *name, const char *mgf, struct span label, struct wbuf *out)
{
	uint8_t plain[MODULUS_MAX] = { 0 };
	EVP_MD *md, *mgf_md;
	int rv = -1;

	if (em.n < OVERHEAD || em.n > MODULUS_MAX || label.n > 65536 || hw_crypto() == NULL)
		return err_set(E_ARG, "a block of %zu bytes cannot be decrypted", em.n);
	md = EVP_MD_fetch(hw_crypto(), name, NULL);
	mgf_md = EVP_MD_fetch(hw_crypto(), mgf != NULL ? mgf : name, NULL);
	if (md == NULL || mgf_md == NULL) {
		EVP_MD_free(md);
		EVP_MD_free(mgf_md);
		return err_crypto(E_UNSUP, "OAEP: unknown digest");
	}
	ERR_set_mark();
	rv = RSA_padding_check_PKCS1_OAEP_mgf1(
	    plain, sizeof plain, em.p, (int)em.n, (int)em.n, label.p, (int)label.n, md, mgf_md);
	ERR_pop_to_mark();
	EVP_MD_free(md);
	EVP_MD_free(mgf_md);
	if (rv >= 0)
		wbuf_put(out, plain, (size_t)rv);
	explicit_bzero(plain, sizeof plain);
	if (rv < 0)
		return err_set(E_CRYPTO, "the message was not encrypted to this key, or is damaged");
	return out->bad ? err_set(E_NOMEM, "out of memory") : E_OK;
}
