/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Public keys as a card tells them (SP 800-73-5 part 2, table 11: 81 modulus and 82 exponent, or 86 point; YubiKey: 86
 * the 32 bytes of an Ed25519 or X25519 key): the answer to GENERATE ASYMMETRIC KEY PAIR and what metadata hold. Bounded
 * here by the algorithm's lengths and checked by libcrypto, which also makes the SubjectPublicKeyInfo.
 */
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>

#include "hw/crypto.h"
#include "hw/piv_int.h"

static bool
rsa_params(OSSL_PARAM_BLD *b, enum piv_alg alg, struct span key, BIGNUM **n, BIGNUM **e)
{
	struct span mod, exp;

	if (tlv_find(key, 0x81, &mod) != E_OK || tlv_find(key, 0x82, &exp) != E_OK || exp.n > 32 || mod.n > 1024)
		return false;
	*n = BN_bin2bn(mod.p, (int)mod.n, NULL);
	*e = BN_bin2bn(exp.p, (int)exp.n, NULL);
	return *n != NULL && *e != NULL && (size_t)BN_num_bits(*n) == 8 * piv_alg_len(alg) && BN_is_odd(*n) &&
	    BN_is_odd(*e) && !BN_is_one(*e) && OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_N, *n) == 1 &&
	    OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_E, *e) == 1;
}

static bool
ec_params(OSSL_PARAM_BLD *b, enum piv_alg alg, struct span key)
{
	struct span point;

	return tlv_find(key, 0x86, &point) == E_OK && point.n == 1 + 2 * piv_alg_len(alg) && point.p[0] == 0x04 &&
	    OSSL_PARAM_BLD_push_utf8_string(b, OSSL_PKEY_PARAM_GROUP_NAME, OBJ_nid2sn(piv_alg_nid(alg)), 0) == 1 &&
	    OSSL_PARAM_BLD_push_octet_string(b, OSSL_PKEY_PARAM_PUB_KEY, point.p, point.n) == 1;
}

/* The contents of 7F49 as a key; NULL when they are none of this algorithm. */
static EVP_PKEY *
public_key(enum piv_alg alg, struct span body)
{
	OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
	BIGNUM *n = NULL, *e = NULL;
	EVP_PKEY *key = NULL;
	struct span raw;

	if (b == NULL)
		return NULL;
	if (piv_alg_is_rsa(alg) && rsa_params(b, alg, body, &n, &e))
		key = crypto_public_key(hw_crypto(), "RSA", b);
	else if (piv_alg_is_ec(alg) && ec_params(b, alg, body))
		key = crypto_public_key(hw_crypto(), "EC", b);
	else if (!piv_alg_is_rsa(alg) && !piv_alg_is_ec(alg) && tlv_find(body, 0x86, &raw) == E_OK)
		key = EVP_PKEY_new_raw_public_key_ex(hw_crypto(), OBJ_nid2sn(piv_alg_nid(alg)), NULL, raw.p, raw.n);
	OSSL_PARAM_BLD_free(b);
	BN_free(n);
	BN_free(e);
	return key;
}

enum err
piv_public_spki(enum piv_alg alg, struct span body, struct wbuf *spki)
{
	unsigned char *der = NULL;
	EVP_PKEY *key;
	int n;

	if (hw_crypto() == NULL)
		return err_set(E_NOMEM, "out of memory");
	key = public_key(alg, body);
	n = key != NULL ? i2d_PUBKEY(key, &der) : -1;
	EVP_PKEY_free(key);
	if (n <= 0)
		return err_crypto(E_PROTO, "the card's public key is malformed");
	wbuf_put(spki, der, (size_t)n);
	OPENSSL_free(der);
	return spki->bad ? err_set(E_NOMEM, "out of memory") : E_OK;
}
