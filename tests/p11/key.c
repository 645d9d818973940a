/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Keys: generation, wrapping, derivation (PKCS#11 2.40, 5.14).
 */
#include <string.h>

#include "tests/p11/conform.h"

#ifndef CKR_PUBLIC_KEY_INVALID
#define CKR_PUBLIC_KEY_INVALID 0x1B9UL
#endif

static CK_ULONG aes_bytes = 16;
static CK_OBJECT_CLASS secret_class = CKO_SECRET_KEY;
static CK_KEY_TYPE aes_type = CKK_AES;

static void
generate(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_ATTRIBUTE t[] = { ATTR(CKA_VALUE_LEN, aes_bytes), ATTR(CKA_PRIVATE, no), ATTR(CKA_ENCRYPT, yes) };
	CK_MECHANISM m = MECH(CKM_AES_KEY_GEN);
	CK_OBJECT_HANDLE o;

	need_mech(CKM_AES_KEY_GEN, CKF_GENERATE);
	OK(F->C_GenerateKey(h, &m, t, 3, &o));
	HOLDS(number(h, o, CKA_CLASS) == CKO_SECRET_KEY && number(h, o, CKA_KEY_TYPE) == CKK_AES);
	HOLDS(number(h, o, CKA_VALUE_LEN) == 16 && flag(h, o, CKA_LOCAL) && !flag(h, o, CKA_TOKEN));
	HOLDS(number(h, o, CKA_KEY_GEN_MECHANISM) == CKM_AES_KEY_GEN && flag(h, o, CKA_ENCRYPT));
	OK(F->C_DestroyObject(h, o));
}

static void
generate_facts(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_ATTRIBUTE t[] = { ATTR(CKA_VALUE_LEN, aes_bytes), ATTR(CKA_PRIVATE, no), ATTR(CKA_SENSITIVE, yes),
		ATTR(CKA_EXTRACTABLE, no) };
	CK_MECHANISM m = MECH(CKM_AES_KEY_GEN);
	CK_OBJECT_HANDLE o;

	need_mech(CKM_AES_KEY_GEN, CKF_GENERATE);
	OK(F->C_GenerateKey(h, &m, t, 4, &o));
	HOLDS(flag(h, o, CKA_ALWAYS_SENSITIVE) && flag(h, o, CKA_NEVER_EXTRACTABLE));
}

static void
generate_arguments(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_ATTRIBUTE t[] = { ATTR(CKA_VALUE_LEN, aes_bytes), ATTR(CKA_PRIVATE, no) };
	CK_MECHANISM m = MECH(CKM_AES_KEY_GEN), bad = MECH(BAD_MECH);
	CK_OBJECT_HANDLE o;

	need_mech(CKM_AES_KEY_GEN, CKF_GENERATE);
	WANT(F->C_GenerateKey(h, NULL, t, 2, &o), CKR_ARGUMENTS_BAD, CKR_MECHANISM_INVALID);
	WANT(F->C_GenerateKey(h, &m, NULL, 2, &o), CKR_ARGUMENTS_BAD);
	WANT(F->C_GenerateKey(h, &m, t, 2, NULL), CKR_ARGUMENTS_BAD);
	WANT(F->C_GenerateKey(h, &bad, t, 2, &o), CKR_MECHANISM_INVALID);
	m.mechanism = CKM_SHA256;
	WANT(F->C_GenerateKey(h, &m, t, 2, &o), CKR_MECHANISM_INVALID);
}

static void
generate_template(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_ULONG odd = 17;
	CK_ATTRIBUTE t[] = { ATTR(CKA_PRIVATE, no), ATTR(CKA_VALUE_LEN, odd) };
	CK_MECHANISM m = MECH(CKM_AES_KEY_GEN);
	CK_OBJECT_HANDLE o;

	need_mech(CKM_AES_KEY_GEN, CKF_GENERATE);
	WANT(F->C_GenerateKey(h, &m, t, 1, &o), CKR_TEMPLATE_INCOMPLETE);
	WANT(F->C_GenerateKey(h, &m, t, 2, &o), CKR_KEY_SIZE_RANGE, CKR_ATTRIBUTE_VALUE_INVALID,
	    CKR_TEMPLATE_INCONSISTENT);
}

static void
generate_private(void)
{
	CK_SESSION_HANDLE h = rw();
	CK_ATTRIBUTE t[] = { ATTR(CKA_VALUE_LEN, aes_bytes), ATTR(CKA_PRIVATE, yes) };
	CK_MECHANISM m = MECH(CKM_AES_KEY_GEN);
	CK_OBJECT_HANDLE o;

	need_mech(CKM_AES_KEY_GEN, CKF_GENERATE);
	WANT(F->C_GenerateKey(h, &m, t, 2, &o), CKR_USER_NOT_LOGGED_IN);
	login(h);
	OK(F->C_GenerateKey(h, &m, t, 2, &o));
}

static void
generate_token_in_read_only(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_ATTRIBUTE t[] = { ATTR(CKA_VALUE_LEN, aes_bytes), ATTR(CKA_PRIVATE, no), ATTR(CKA_TOKEN, yes) };
	CK_MECHANISM m = MECH(CKM_AES_KEY_GEN);
	CK_OBJECT_HANDLE o;

	need_mech(CKM_AES_KEY_GEN, CKF_GENERATE);
	WANT(F->C_GenerateKey(h, &m, t, 3, &o), CKR_SESSION_READ_ONLY, CKR_TOKEN_WRITE_PROTECTED);
}

/* --- key pairs: only what is refused, since a success would cost a card its key --- */

static void
pair_arguments(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_ULONG bits = 2048;
	CK_BYTE e[] = { 1, 0, 1 };
	CK_ATTRIBUTE pub[] = { ATTR(CKA_MODULUS_BITS, bits), ATTR(CKA_PUBLIC_EXPONENT, e) },
		     priv[] = { ATTR(CKA_SIGN, yes) };
	CK_MECHANISM m = MECH(CKM_RSA_PKCS_KEY_PAIR_GEN), bad = MECH(BAD_MECH);
	CK_OBJECT_HANDLE a, b;

	need_mech(CKM_RSA_PKCS_KEY_PAIR_GEN, CKF_GENERATE_KEY_PAIR);
	WANT(F->C_GenerateKeyPair(h, NULL, pub, 2, priv, 1, &a, &b), CKR_ARGUMENTS_BAD, CKR_MECHANISM_INVALID);
	WANT(F->C_GenerateKeyPair(h, &m, NULL, 2, priv, 1, &a, &b), CKR_ARGUMENTS_BAD);
	WANT(F->C_GenerateKeyPair(h, &m, pub, 2, NULL, 1, &a, &b), CKR_ARGUMENTS_BAD);
	WANT(F->C_GenerateKeyPair(h, &m, pub, 2, priv, 1, NULL, &b), CKR_ARGUMENTS_BAD);
	WANT(F->C_GenerateKeyPair(h, &m, pub, 2, priv, 1, &a, NULL), CKR_ARGUMENTS_BAD);
	WANT(F->C_GenerateKeyPair(h, &bad, pub, 2, priv, 1, &a, &b), CKR_MECHANISM_INVALID);
}

static void
pair_in_read_only(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_ULONG bits = 2048;
	CK_BYTE id[] = { 1 };
	CK_ATTRIBUTE pub[] = { ATTR(CKA_MODULUS_BITS, bits), ATTR(CKA_TOKEN, yes), ATTR(CKA_ID, id) };
	CK_ATTRIBUTE priv[] = { ATTR(CKA_TOKEN, yes), ATTR(CKA_ID, id) };
	CK_MECHANISM m = MECH(CKM_RSA_PKCS_KEY_PAIR_GEN);
	CK_OBJECT_HANDLE a, b;

	need_mech(CKM_RSA_PKCS_KEY_PAIR_GEN, CKF_GENERATE_KEY_PAIR);
	login(h);
	WANT(F->C_GenerateKeyPair(h, &m, pub, 3, priv, 2, &a, &b), CKR_SESSION_READ_ONLY, CKR_TOKEN_WRITE_PROTECTED);
}

/* --- wrapping --- */

/* RFC 3394, 4.1's key and data. */
static CK_BYTE kek[16] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
static CK_BYTE data[16] = { 0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee,
	0xff };
static CK_BYTE wrapped[24] = { 0x1f, 0xa6, 0x8b, 0x0a, 0x81, 0x12, 0xb4, 0x47, 0xae, 0xf3, 0x4b, 0xd8, 0xfb, 0x5a, 0x7b,
	0x82, 0x9d, 0x3e, 0x86, 0x23, 0x71, 0xd2, 0xcf, 0xe5 };
static CK_MECHANISM wrap = { CKM_AES_KEY_WRAP, NULL, 0 };

static CK_OBJECT_HANDLE
aes_of(CK_SESSION_HANDLE h, CK_BYTE *value, CK_BBOOL *use)
{
	CK_ATTRIBUTE t[] = { ATTR(CKA_CLASS, secret_class), ATTR(CKA_KEY_TYPE, aes_type), ATTR(CKA_PRIVATE, no),
		{ CKA_VALUE, value, 16 }, { CKA_WRAP, use, 1 }, { CKA_UNWRAP, use, 1 }, ATTR(CKA_EXTRACTABLE, yes),
		ATTR(CKA_SENSITIVE, no) };
	CK_OBJECT_HANDLE o = CK_INVALID_HANDLE;
	CK_RV rv = F->C_CreateObject(h, t, N_OF(t), &o);

	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		rule_na("the token makes no session keys");
	WANT(rv, CKR_OK);
	return o;
}

static CK_ATTRIBUTE unwrapped[] = { ATTR(CKA_CLASS, secret_class), ATTR(CKA_KEY_TYPE, aes_type), ATTR(CKA_PRIVATE, no),
	ATTR(CKA_SENSITIVE, no), ATTR(CKA_EXTRACTABLE, yes) };

static void
wrap_key(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_BYTE out[64];
	CK_ULONG n = 0;
	CK_RV rv;
	CK_OBJECT_HANDLE with, key;

	need_mech(CKM_AES_KEY_WRAP, CKF_WRAP);
	with = aes_of(h, kek, &yes);
	key = aes_of(h, data, &yes);
	rv = F->C_WrapKey(h, &wrap, with, key, NULL, &n);
	WANT(rv, CKR_OK);
	HOLDS(n >= sizeof wrapped);
	n = sizeof wrapped - 1;
	WANT(F->C_WrapKey(h, &wrap, with, key, out, &n), CKR_BUFFER_TOO_SMALL);
	n = sizeof out;
	OK(F->C_WrapKey(h, &wrap, with, key, out, &n));
	HOLDS(n == sizeof wrapped && memcmp(out, wrapped, n) == 0);
}

static void
wrap_refused(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_ATTRIBUTE t = ATTR(CKA_EXTRACTABLE, no);
	CK_OBJECT_HANDLE with, key, stuck;
	CK_BYTE out[64];
	CK_ULONG n = sizeof out;

	need_mech(CKM_AES_KEY_WRAP, CKF_WRAP);
	with = aes_of(h, kek, &yes);
	key = aes_of(h, data, &no);
	stuck = secret_key(h, CKK_AES, &t, 1);
	WANT(F->C_WrapKey(h, &wrap, with, stuck, out, &n), CKR_KEY_UNEXTRACTABLE);
	WANT(F->C_WrapKey(h, &wrap, key, with, out, &n), CKR_KEY_FUNCTION_NOT_PERMITTED);
	WANT(F->C_WrapKey(h, &wrap, BAD_OBJECT, key, out, &n), CKR_WRAPPING_KEY_HANDLE_INVALID);
	WANT(F->C_WrapKey(h, &wrap, with, BAD_OBJECT, out, &n), CKR_KEY_HANDLE_INVALID);
	WANT(F->C_WrapKey(h, NULL, with, key, out, &n), CKR_ARGUMENTS_BAD, CKR_MECHANISM_INVALID);
	WANT(F->C_WrapKey(h, &wrap, with, key, out, NULL), CKR_ARGUMENTS_BAD);
}

static void
unwrap_key(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_BYTE out[32];
	CK_ATTRIBUTE v = { CKA_VALUE, out, sizeof out };
	CK_OBJECT_HANDLE o;

	need_mech(CKM_AES_KEY_WRAP, CKF_UNWRAP);
	OK(F->C_UnwrapKey(h, &wrap, aes_of(h, kek, &yes), wrapped, sizeof wrapped, unwrapped, N_OF(unwrapped), &o));
	OK(F->C_GetAttributeValue(h, o, &v, 1));
	HOLDS(v.ulValueLen == 16 && memcmp(out, data, 16) == 0);
	HOLDS(!flag(h, o, CKA_LOCAL) && !flag(h, o, CKA_ALWAYS_SENSITIVE) && !flag(h, o, CKA_NEVER_EXTRACTABLE));
}

static void
unwrap_refused(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_OBJECT_HANDLE with, other, o;
	CK_ULONG n = sizeof wrapped, t = N_OF(unwrapped);

	need_mech(CKM_AES_KEY_WRAP, CKF_UNWRAP);
	with = aes_of(h, kek, &yes);
	other = aes_of(h, kek, &no);
	WANT(F->C_UnwrapKey(h, &wrap, BAD_OBJECT, wrapped, n, unwrapped, t, &o), CKR_UNWRAPPING_KEY_HANDLE_INVALID);
	WANT(F->C_UnwrapKey(h, &wrap, other, wrapped, n, unwrapped, t, &o), CKR_KEY_FUNCTION_NOT_PERMITTED);
	WANT(F->C_UnwrapKey(h, NULL, with, wrapped, n, unwrapped, t, &o), CKR_ARGUMENTS_BAD, CKR_MECHANISM_INVALID);
	WANT(F->C_UnwrapKey(h, &wrap, with, NULL, n, unwrapped, t, &o), CKR_ARGUMENTS_BAD);
	WANT(F->C_UnwrapKey(h, &wrap, with, wrapped, n, NULL, t, &o), CKR_ARGUMENTS_BAD);
	WANT(F->C_UnwrapKey(h, &wrap, with, wrapped, n, unwrapped, t, NULL), CKR_ARGUMENTS_BAD);
	WANT(F->C_UnwrapKey(h, &wrap, with, wrapped, n - 1, unwrapped, t, &o), CKR_WRAPPED_KEY_LEN_RANGE,
	    CKR_WRAPPED_KEY_INVALID);
	wrapped[0] ^= 1;
	WANT(F->C_UnwrapKey(h, &wrap, with, wrapped, n, unwrapped, t, &o), CKR_WRAPPED_KEY_INVALID);
}

/* --- derivation --- */

/* Another point of P-256: its generator (FIPS 186-4, D.1.2.3). */
static CK_BYTE point[65] = { 0x04, 0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4,
	0x40, 0xf2, 0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96,
	0x4f, 0xe3, 0x42, 0xe2, 0xfe, 0x1a, 0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce,
	0x33, 0x57, 0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5 };
static CK_KEY_TYPE generic = CKK_GENERIC_SECRET;
static CK_ULONG z_bytes = 32;
static CK_ATTRIBUTE derived[] = { ATTR(CKA_CLASS, secret_class), ATTR(CKA_KEY_TYPE, generic),
	ATTR(CKA_VALUE_LEN, z_bytes), ATTR(CKA_SENSITIVE, no), ATTR(CKA_EXTRACTABLE, yes), ATTR(CKA_PRIVATE, no) };

static struct keypair
p256(void)
{
	struct keypair k = derive_key();

	if (k.size != 64)
		rule_na("the key is not on P-256");
	return k;
}

/* The generator times the private key is the public key: its X coordinate is what comes out. */
static void
derive(void)
{
	struct keypair k = p256();
	CK_ECDH1_DERIVE_PARAMS p = { CKD_NULL, 0, NULL, sizeof point, point };
	CK_MECHANISM m = { CKM_ECDH1_DERIVE, &p, sizeof p };
	CK_BYTE z[64], pub[128];
	CK_ATTRIBUTE v = { CKA_VALUE, z, sizeof z }, q = { CKA_EC_POINT, pub, sizeof pub };
	CK_OBJECT_HANDLE o;

	OK(F->C_DeriveKey(k.h, &m, k.priv, derived, N_OF(derived), &o));
	HOLDS(number(k.h, o, CKA_CLASS) == CKO_SECRET_KEY && !flag(k.h, o, CKA_TOKEN) && !flag(k.h, o, CKA_LOCAL));
	OK(F->C_GetAttributeValue(k.h, o, &v, 1));
	HOLDS(v.ulValueLen == 32);
	if (k.pub != CK_INVALID_HANDLE) {
		OK(F->C_GetAttributeValue(k.h, k.pub, &q, 1));
		HOLDS(q.ulValueLen == 67 && memcmp(z, pub + 3, 32) == 0);
	}
}

static void
derive_refused(void)
{
	struct keypair k = p256();
	CK_ECDH1_DERIVE_PARAMS p = { CKD_NULL, 0, NULL, sizeof point, point },
			       bad = { 0x7777, 0, NULL, sizeof point, point }, none = { CKD_NULL, 0, NULL, 0, NULL };
	CK_MECHANISM m = { CKM_ECDH1_DERIVE, &p, sizeof p };
	CK_OBJECT_HANDLE o;
	CK_ULONG t = N_OF(derived);

	WANT(F->C_DeriveKey(k.h, &m, BAD_OBJECT, derived, t, &o), CKR_KEY_HANDLE_INVALID);
	WANT(F->C_DeriveKey(k.h, NULL, k.priv, derived, t, &o), CKR_ARGUMENTS_BAD, CKR_MECHANISM_INVALID);
	WANT(F->C_DeriveKey(k.h, &m, k.priv, NULL, t, &o), CKR_ARGUMENTS_BAD);
	WANT(F->C_DeriveKey(k.h, &m, k.priv, derived, t, NULL), CKR_ARGUMENTS_BAD);
	m = (CK_MECHANISM){ CKM_ECDH1_DERIVE, NULL, 0 };
	WANT(F->C_DeriveKey(k.h, &m, k.priv, derived, t, &o), CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD);
	m = (CK_MECHANISM){ CKM_ECDH1_DERIVE, &p, 4 };
	WANT(F->C_DeriveKey(k.h, &m, k.priv, derived, t, &o), CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD);
	m = (CK_MECHANISM){ CKM_ECDH1_DERIVE, &bad, sizeof bad };
	WANT(F->C_DeriveKey(k.h, &m, k.priv, derived, t, &o), CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD);
	m = (CK_MECHANISM){ CKM_ECDH1_DERIVE, &none, sizeof none };
	WANT(F->C_DeriveKey(k.h, &m, k.priv, derived, t, &o), CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD);
	m = (CK_MECHANISM)MECH(BAD_MECH);
	WANT(F->C_DeriveKey(k.h, &m, k.priv, derived, t, &o), CKR_MECHANISM_INVALID);
}

static void
derive_off_curve(void)
{
	struct keypair k = p256();
	CK_ECDH1_DERIVE_PARAMS p = { CKD_NULL, 0, NULL, sizeof point, point };
	CK_MECHANISM m = { CKM_ECDH1_DERIVE, &p, sizeof p };
	CK_OBJECT_HANDLE o;

	point[64] ^= 1;
	WANT(F->C_DeriveKey(k.h, &m, k.priv, derived, N_OF(derived), &o), CKR_MECHANISM_PARAM_INVALID,
	    CKR_ARGUMENTS_BAD, CKR_PUBLIC_KEY_INVALID, CKR_DOMAIN_PARAMS_INVALID, CKR_FUNCTION_FAILED);
}

static void
derive_too_long(void)
{
	struct keypair k = p256();
	CK_ECDH1_DERIVE_PARAMS p = { CKD_NULL, 0, NULL, sizeof point, point };
	CK_MECHANISM m = { CKM_ECDH1_DERIVE, &p, sizeof p };
	CK_OBJECT_HANDLE o;

	z_bytes = 33; /* there are 32 */
	WANT(F->C_DeriveKey(k.h, &m, k.priv, derived, N_OF(derived), &o), CKR_TEMPLATE_INCONSISTENT,
	    CKR_ATTRIBUTE_VALUE_INVALID, CKR_KEY_SIZE_RANGE);
}

static const struct rule table[] = {
	{ "C_GenerateKey.aes", generate },
	{ "C_GenerateKey.sensitive", generate_facts },
	{ "C_GenerateKey.arguments", generate_arguments },
	{ "C_GenerateKey.template", generate_template },
	{ "C_GenerateKey.private_in_public", generate_private },
	{ "C_GenerateKey.token_in_read_only", generate_token_in_read_only },
	{ "C_GenerateKeyPair.arguments", pair_arguments },
	{ "C_GenerateKeyPair.read_only", pair_in_read_only },
	{ "C_WrapKey.aes_key_wrap", wrap_key },
	{ "C_WrapKey.refused", wrap_refused },
	{ "C_UnwrapKey.aes_key_wrap", unwrap_key },
	{ "C_UnwrapKey.refused", unwrap_refused },
	{ "C_DeriveKey.ecdh", derive },
	{ "C_DeriveKey.refused", derive_refused },
	{ "C_DeriveKey.not_on_the_curve", derive_off_curve },
	{ "C_DeriveKey.too_long", derive_too_long },
};
RULES(rules_key, table);
