/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which algorithm identifier a public key needs: SP 800-73-5 part 1, appendix C. The key is parsed by libcrypto; sizes
 * and curves that the card edge has no identifier for are PIV_ALG_NONE.
 */
#include <limits.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/x509.h>

#include "hw/crypto.h"
#include "hw/piv_int.h"

static const enum piv_alg known[] = { PIV_ALG_RSA2048, PIV_ALG_P256, PIV_ALG_P384, PIV_ALG_RSA3072, PIV_ALG_RSA1024,
	PIV_ALG_RSA4096, PIV_ALG_ED25519, PIV_ALG_X25519 };

/* The curve of an EC key, the type of an Edwards key, and the modulus length of an RSA key. */
static void
describe(EVP_PKEY *key, int *nid, size_t *rsa_len)
{
	char group[64];

	*rsa_len = 0;
	*nid = EVP_PKEY_get_base_id(key);
	if (*nid == EVP_PKEY_RSA) {
		int bits = EVP_PKEY_get_bits(key);

		*rsa_len = bits > 0 && bits % 8 == 0 ? (size_t)bits / 8 : SIZE_MAX;
	} else if (*nid == EVP_PKEY_EC) {
		*nid = NID_undef;
		if (EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group, NULL) == 1)
			*nid = OBJ_sn2nid(group);
	}
}

static enum piv_alg
alg_of_key(EVP_PKEY *key)
{
	size_t i, rsa_len;
	int nid;

	if (key == NULL)
		return PIV_ALG_NONE;
	describe(key, &nid, &rsa_len);
	for (i = 0; i < sizeof known / sizeof known[0]; i++)
		if (piv_alg_nid(known[i]) == nid && (rsa_len == 0 || piv_alg_len(known[i]) == rsa_len))
			return known[i];
	return PIV_ALG_NONE;
}

enum piv_alg
piv_alg_of_spki(struct span spki_der)
{
	const unsigned char *p = spki_der.p;
	EVP_PKEY *key = NULL;
	enum piv_alg alg;

	if (hw_crypto() == NULL || spki_der.n == 0 || spki_der.n > LONG_MAX)
		return PIV_ALG_NONE;
	ERR_set_mark();
	key = d2i_PUBKEY_ex(NULL, &p, (long)spki_der.n, hw_crypto(), NULL);
	alg = alg_of_key(key);
	EVP_PKEY_free(key);
	ERR_pop_to_mark();
	return alg;
}

enum piv_alg
piv_alg_of_cert(struct span cert_der)
{
	const unsigned char *p = cert_der.p;
	enum piv_alg alg = PIV_ALG_NONE;
	X509 *x;

	if (hw_crypto() == NULL || cert_der.n == 0 || cert_der.n > LONG_MAX)
		return PIV_ALG_NONE;
	ERR_set_mark();
	x = X509_new_ex(hw_crypto(), NULL);
	if (x != NULL && d2i_X509(&x, &p, (long)cert_der.n) != NULL)
		alg = alg_of_key(X509_get0_pubkey(x));
	X509_free(x); /* NULL when d2i_X509() failed: it frees then */
	ERR_pop_to_mark();
	return alg;
}
