/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The first result of a key whose certificate was remembered, not read: is it of the certificate's public key? RSA
 * results, signatures and decryptions alike, are raised to the public exponent; an ECDSA signature is verified. Nothing
 * can be told from the result of a key agreement (or by libcrypto of an EdDSA signature as it is used here): there
 * the rest of the certificate is read before the first use.
 *
 * On a mismatch the certificate is read from the card. If it is the remembered one, the card has a certificate that is
 * not its key's, as it would have without a cache; then the log says so and the result stands. Otherwise what was
 * remembered was wrong: E_STORE, and the caller looks at the card anew.
 */
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "base/log.h"
#include "hw/crypto.h"
#include "hw/piv_int.h"

static EVP_PKEY *
public_key(const struct piv_card *card, const struct piv_key_info *key)
{
	OSSL_LIB_CTX *lib = hw_crypto();
	X509 *x = lib != NULL ? X509_new_ex(lib, NULL) : NULL;
	const unsigned char *p;
	EVP_PKEY *pkey = NULL;
	WBUF_AUTO der;

	wbuf_init(&der, PIV_OBJ_MAX);
	if (x != NULL && piv_cert_parse(piv_cache_cert(card, key), &der) == E_OK) {
		p = der.p;
		if (d2i_X509(&x, &p, (long)der.n) != NULL)
			pkey = X509_get_pubkey(x);
	}
	X509_free(x);
	return pkey;
}

static bool
fits_rsa(EVP_PKEY_CTX *ctx, struct span in, struct span result)
{
	uint8_t block[512];
	size_t n = sizeof block;
	bool same;

	same = EVP_PKEY_encrypt_init(ctx) == 1 && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) == 1 &&
	    EVP_PKEY_encrypt(ctx, block, &n, result.p, result.n) == 1 && n == in.n &&
	    CRYPTO_memcmp(block, in.p, n) == 0;
	OPENSSL_cleanse(block, sizeof block);
	return same;
}

static bool
fits_ecdsa(EVP_PKEY_CTX *ctx, struct span digest, struct span rs)
{
	ECDSA_SIG *sig = ECDSA_SIG_new();
	struct span r = SPAN_NONE, s = rs;
	unsigned char *der = NULL;
	BIGNUM *br, *bs;
	int n = -1;
	bool good;

	if (sig != NULL && span_take(&s, rs.n / 2, &r)) {
		br = BN_bin2bn(r.p, (int)r.n, NULL);
		bs = BN_bin2bn(s.p, (int)s.n, NULL);
		if (br == NULL || bs == NULL || ECDSA_SIG_set0(sig, br, bs) != 1) {
			BN_free(br);
			BN_free(bs);
		} else {
			n = i2d_ECDSA_SIG(sig, &der);
		}
	}
	good = n > 0 && EVP_PKEY_verify_init(ctx) == 1 && EVP_PKEY_verify(ctx, der, (size_t)n, digest.p, digest.n) == 1;
	OPENSSL_free(der);
	ECDSA_SIG_free(sig);
	return good;
}

static bool
fits(const struct piv_card *card, const struct piv_key_info *key, enum piv_alg alg, struct span in, struct span result)
{
	EVP_PKEY *pkey;
	EVP_PKEY_CTX *ctx;
	bool good;

	ERR_set_mark();
	pkey = public_key(card, key);
	ctx = pkey != NULL ? EVP_PKEY_CTX_new_from_pkey(hw_crypto(), pkey, NULL) : NULL;
	good = ctx != NULL && (piv_alg_is_rsa(alg) ? fits_rsa(ctx, in, result) : fits_ecdsa(ctx, in, result));
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(pkey);
	ERR_pop_to_mark();
	return good;
}

/* Read it again, all of it. E_STORE when it is another one than was remembered. */
static enum err
compare(struct piv_card *card, const struct piv_key_info *key)
{
	WBUF_AUTO now;
	WBUF_AUTO der;
	bool same;
	enum err e;

	wbuf_init(&now, PIV_OBJ_MAX);
	wbuf_init(&der, PIV_OBJ_MAX);
	e = piv_object_get(card, key->cert_tag, &now);
	if (e != E_OK && e != E_NOTFOUND)
		return e;
	same = span_eq(wbuf_view(&now), piv_cache_cert(card, key));
	if (same) {
		piv_cache_proven(card, key);
		return E_OK;
	}
	piv_cache_forget(card, key->cert_tag);
	if (e == E_OK && piv_cert_parse(wbuf_view(&now), &der) == E_OK)
		piv_cache_keep(card, key->cert_tag, wbuf_view(&now));
	log_warn("cache",
	    "card=\"%s\" key=%s event=wrong text=\"the remembered certificate is not the card's; dropped\"", card->name,
	    key->name);
	return err_set(E_STORE,
	    "%s: the certificate of %s that was remembered is not the card's; it was read anew, try "
	    "again",
	    card->name, key->name);
}

static bool
is_provable(enum piv_alg alg, enum piv_op op)
{
	return piv_alg_is_rsa(alg) || (piv_alg_is_ec(alg) && op == PIV_OP_SIGN);
}

enum err
piv_proof_before(struct piv_card *card, const struct piv_key_info *key, enum piv_alg alg, enum piv_op op)
{
	if (!piv_cache_is_unproven(card, key) || is_provable(alg, op))
		return E_OK;
	return compare(card, key);
}

enum err
piv_proof_after(
    struct piv_card *card, const struct piv_key_info *key, enum piv_alg alg, struct span in, struct span result)
{
	enum err e;

	if (!piv_cache_is_unproven(card, key))
		return E_OK;
	if (fits(card, key, alg, in, result)) {
		piv_cache_proven(card, key);
		return E_OK;
	}
	if ((e = compare(card, key)) == E_OK)
		log_warn("certificate", "card=\"%s\" key=%s text=\"the card's certificate is not that of its key\"",
		    card->name, key->name);
	return e;
}
