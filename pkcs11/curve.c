/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Algorithms of keys as Cryptoki's templates name them: CKA_EC_PARAMS (an object identifier or, for the Edwards and
 * Montgomery curves, their names of PKCS#11 3.0, 2.3.5 and 2.3.6) and modulus lengths. The card edge has the numbers.
 */
#include "pkcs11/p11.h"

#define BYTES(s)                                                                                                       \
	{                                                                                                              \
		(const uint8_t *)(s), sizeof(s) - 1                                                                    \
	}

static const struct {
	CK_KEY_TYPE type;
	enum piv_alg alg;
	struct span params;
} curves[] = {
	{ CKK_EC, PIV_ALG_P256, BYTES("\x06\x08\x2A\x86\x48\xCE\x3D\x03\x01\x07") },
	{ CKK_EC, PIV_ALG_P384, BYTES("\x06\x05\x2B\x81\x04\x00\x22") },
	{ CKK_EC_EDWARDS, PIV_ALG_ED25519, BYTES("\x06\x03\x2B\x65\x70") },
	{ CKK_EC_EDWARDS, PIV_ALG_ED25519,
	    BYTES("\x13\x0C"
		  "edwards25519") },
	{ CKK_EC_EDWARDS, PIV_ALG_ED25519, BYTES("\x06\x09\x2B\x06\x01\x04\x01\xDA\x47\x0F\x01") },
	{ CKK_EC_MONTGOMERY, PIV_ALG_X25519, BYTES("\x06\x03\x2B\x65\x6E") },
	{ CKK_EC_MONTGOMERY, PIV_ALG_X25519,
	    BYTES("\x13\x0A"
		  "curve25519") },
	{ CKK_EC_MONTGOMERY, PIV_ALG_X25519, BYTES("\x06\x0A\x2B\x06\x01\x04\x01\x97\x55\x01\x05\x01") },
};
#define N_CURVES (sizeof curves / sizeof curves[0])

enum piv_alg
curve_alg(CK_KEY_TYPE type, struct span params)
{
	for (size_t i = 0; i < N_CURVES; i++)
		if (curves[i].type == type && span_eq(curves[i].params, params))
			return curves[i].alg;
	return PIV_ALG_NONE;
}

struct span
curve_params(enum piv_alg alg)
{
	for (size_t i = 0; i < N_CURVES; i++)
		if (curves[i].alg == alg)
			return curves[i].params;
	return SPAN_NONE;
}

enum piv_alg
modulus_alg(CK_ULONG bits)
{
	switch (bits) {
	case 1024: return PIV_ALG_RSA1024;
	case 2048: return PIV_ALG_RSA2048;
	case 3072: return PIV_ALG_RSA3072;
	case 4096: return PIV_ALG_RSA4096;
	default: return PIV_ALG_NONE;
	}
}
