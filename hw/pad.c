/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Adding RSA padding in the host, RFC 8017: EMSA-PKCS1-v1_5 (9.2), EMSA-PSS (9.1.1), none (4.1). It formats public
 * data: nothing here needs constant time. Removing padding is another matter and another file, unpad.c.
 *
 * PSS with parameters of one's own (mask digest, salt length) over an already made digest has no call in libcrypto that
 * is not tied to an RSA key object, hence the few lines here, checked against EVP_PKEY_verify() in the tests.
 */
#include <string.h>

#include <openssl/bn.h>
#include <openssl/rand.h>

#include "hw/crypto.h"
#include "hw/pad.h"

#define MODULUS_MAX 1024 /* bytes */
#define OVERHEAD    11	 /* 00 01 FF*8 00 */
#define SALT_MAX    512

/* --- adding --- */

enum err
pad_pkcs1(struct span data, size_t len, struct wbuf *out)
{
	if (len < OVERHEAD || data.n > len - OVERHEAD)
		return err_set(E_ARG, "%zu bytes are too long to be signed with a key of %zu bytes", data.n, len);
	wbuf_u8(out, 0x00);
	wbuf_u8(out, 0x01);
	wbuf_fill(out, 0xFF, len - 3 - data.n);
	wbuf_u8(out, 0x00);
	wbuf_span(out, data);
	return out->bad ? err_set(E_NOMEM, "out of memory") : E_OK;
}

/* RFC 8017, 9.2, note 1, cut in two: all but SHA-1 differ in one byte of the object identifier. */
static const struct {
	const char *name;
	size_t len;
	uint8_t oid; /* last byte below 2.16.840.1.101.3.4.2; 0: SHA-1 */
} digests[] = {
	{ "SHA1", 20, 0 },
	{ "SHA256", 32, 1 },
	{ "SHA384", 48, 2 },
	{ "SHA512", 64, 3 },
	{ "SHA224", 28, 4 },
	{ "SHA3-224", 28, 7 },
	{ "SHA3-256", 32, 8 },
	{ "SHA3-384", 48, 9 },
	{ "SHA3-512", 64, 10 },
};

enum err
pad_digest_info(const char *name, struct span digest, struct wbuf *out)
{
	static const uint8_t sha1[] = { 0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2B, 0x0E, 0x03, 0x02, 0x1A, 0x05, 0x00,
		0x04 };
	static const uint8_t nist[] = { 0x30, 0x0D, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02 };
	size_t i, n = sizeof digests / sizeof digests[0];

	for (i = 0; i < n && strcmp(digests[i].name, name) != 0; i++)
		;
	if (i == n)
		return err_set(E_UNSUP, "no PKCS#1 signature is defined for digest %s", name);
	if (digest.n != digests[i].len)
		return err_set(E_ARG, "%s digest of %zu bytes", name, digest.n);
	if (digests[i].oid == 0) {
		wbuf_put(out, sha1, sizeof sha1);
	} else {
		wbuf_u8(out, 0x30);
		wbuf_u8(out, (uint8_t)(0x11 + digest.n));
		wbuf_put(out, nist, sizeof nist);
		wbuf_u8(out, digests[i].oid);
		wbuf_put(out, "\x05\x00\x04", 3);
	}
	wbuf_u8(out, (uint8_t)digest.n);
	wbuf_span(out, digest);
	return out->bad ? err_set(E_NOMEM, "out of memory") : E_OK;
}

enum err
pad_pkcs1_digest(const char *name, struct span digest, size_t len, struct wbuf *out)
{
	WBUF_AUTO info;
	enum err e;

	wbuf_init(&info, 128);
	if ((e = pad_digest_info(name, digest, &info)) != E_OK)
		return e;
	return pad_pkcs1(wbuf_view(&info), len, out);
}

enum err
pad_raw(struct span in, struct span mod, struct wbuf *out)
{
	BIGNUM *a = NULL, *n = NULL;
	bool below = false;

	if (in.n <= mod.n && mod.n <= MODULUS_MAX) {
		a = BN_bin2bn(in.p, (int)in.n, NULL);
		n = BN_bin2bn(mod.p, (int)mod.n, NULL);
		below = a != NULL && n != NULL && BN_cmp(a, n) < 0;
		BN_clear_free(a);
		BN_free(n);
	}
	if (!below)
		return err_set(E_ARG, "the input is not smaller than the key's modulus");
	wbuf_fill(out, 0, mod.n - in.n);
	wbuf_span(out, in);
	return out->bad ? err_set(E_NOMEM, "out of memory") : E_OK;
}

/* --- PSS --- */

struct pss {
	EVP_MD *md, *mgf;
	size_t hash, salt, bits, len; /* len: of EM */
	struct span digest;
	uint8_t salt_bytes[SALT_MAX];
};

/* H = Hash(00*8 || digest || salt) */
static bool
pss_hash(const struct pss *p, uint8_t *h)
{
	static const uint8_t zeros[8];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool good;

	good = ctx != NULL && EVP_DigestInit_ex2(ctx, p->md, NULL) == 1 &&
	    EVP_DigestUpdate(ctx, zeros, sizeof zeros) == 1 && EVP_DigestUpdate(ctx, p->digest.p, p->digest.n) == 1 &&
	    EVP_DigestUpdate(ctx, p->salt_bytes, p->salt) == 1 && EVP_DigestFinal_ex(ctx, h, NULL) == 1;
	EVP_MD_CTX_free(ctx);
	return good;
}

/* MGF1, RFC 8017, B.2.1 */
static bool
mgf1(const EVP_MD *md, const uint8_t *seed, size_t seed_n, uint8_t *out, size_t n)
{
	uint8_t in[EVP_MAX_MD_SIZE + 4], block[EVP_MAX_MD_SIZE];
	size_t done, part, size = (size_t)EVP_MD_get_size(md);
	uint32_t i;

	memcpy(in, seed, seed_n);
	for (i = 0, done = 0; done < n; i++, done += part) {
		in[seed_n] = (uint8_t)(i >> 24);
		in[seed_n + 1] = (uint8_t)(i >> 16);
		in[seed_n + 2] = (uint8_t)(i >> 8);
		in[seed_n + 3] = (uint8_t)i;
		if (EVP_Digest(in, seed_n + 4, block, NULL, md, NULL) != 1)
			return false;
		part = n - done < size ? n - done : size;
		memcpy(out + done, block, part);
	}
	return true;
}

static enum err
pss_encode(const struct pss *p, struct wbuf *out)
{
	uint8_t h[EVP_MAX_MD_SIZE], mask[MODULUS_MAX];
	size_t db = p->len - p->hash - 1, ps = db - p->salt - 1, i, start;

	if (!pss_hash(p, h) || !mgf1(p->mgf, h, p->hash, mask, db))
		return err_crypto(E_CRYPTO, "PSS padding");
	if (p->bits % 8 == 0) /* EM is one byte shorter than the modulus */
		wbuf_u8(out, 0);
	start = out->n;
	/* DB = 00* || 01 || salt, masked; the bits that EM does not have are cleared */
	for (i = 0; i < db; i++) {
		uint8_t b = i < ps ? 0 : i == ps ? 1 : p->salt_bytes[i - ps - 1];

		wbuf_u8(out, b ^ mask[i]);
	}
	if (!out->bad && p->bits % 8 != 0)
		out->p[start] &= (uint8_t)(0xFF >> (8 - p->bits % 8));
	wbuf_put(out, h, p->hash);
	wbuf_u8(out, 0xBC);
	return out->bad ? err_set(E_NOMEM, "out of memory") : E_OK;
}

static enum err
pss_checked(struct pss *p, struct wbuf *out)
{
	if (p->md == NULL || p->mgf == NULL)
		return err_crypto(E_UNSUP, "PSS padding: unknown digest");
	p->hash = (size_t)EVP_MD_get_size(p->md);
	if (p->digest.n != p->hash)
		return err_set(E_ARG, "PSS padding: digest of %zu bytes", p->digest.n);
	if (p->len > MODULUS_MAX || p->salt > SALT_MAX || p->len < p->hash + p->salt + 2)
		return err_set(E_ARG, "PSS padding: the salt of %zu bytes does not fit the key", p->salt);
	if (RAND_bytes_ex(hw_crypto(), p->salt_bytes, p->salt, 0) != 1)
		return err_crypto(E_CRYPTO, "PSS padding: no random numbers");
	return pss_encode(p, out);
}

enum err
pad_pss(const char *name, const char *mgf, size_t salt_len, struct span digest, size_t bits, struct wbuf *out)
{
	struct pss p = { .salt = salt_len, .digest = digest };
	enum err e;

	if (hw_crypto() == NULL || bits < 16)
		return err_set(E_ARG, "PSS padding: key of %zu bits", bits);
	p.bits = bits - 1;
	p.len = (p.bits + 7) / 8;
	p.md = EVP_MD_fetch(hw_crypto(), name, NULL);
	p.mgf = EVP_MD_fetch(hw_crypto(), mgf != NULL ? mgf : name, NULL);
	e = pss_checked(&p, out);
	EVP_MD_free(p.md);
	EVP_MD_free(p.mgf);
	return e;
}
