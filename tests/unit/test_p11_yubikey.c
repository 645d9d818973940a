/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A card with YubiKey's extensions: keys everywhere and of every algorithm, policies, keys from outside, deleting, a
 * new management key, attestation; and a card without them, which says so.
 */
#include <openssl/core_names.h>
#include <openssl/ec.h>

#include "pkcs11/p11.h"
#include "tests/lib/p11_card.h"
#include "tests/vcard/model.h"

#define ADMIN	   P11_ADMIN
#define ADMIN_NEW  "A1A2A3A4A5A6A7A8B1B2B3B4B5B6B7B8C1C2C3C4C5C6C7C8"
#define ADMIN_AES  "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F"
#define ADMIN_WEAK "0101010101010101B1B2B3B4B5B6B7B8C1C2C3C4C5C6C7C8"

static CK_OBJECT_CLASS class_cert = CKO_CERTIFICATE, class_priv = CKO_PRIVATE_KEY, class_pub = CKO_PUBLIC_KEY;
static CK_BBOOL yes = CK_TRUE;
static CK_BYTE p256[] = { 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07 };
static CK_BYTE ed25519[] = { 0x06, 0x03, 0x2B, 0x65, 0x70 }, x25519[] = { 0x06, 0x03, 0x2B, 0x65, 0x6E };

static void
become_user(CK_SESSION_HANDLE h)
{
	assert_rv_ok(C_Logout(h));
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
}

/* --- keys of every kind, everywhere --- */

struct making {
	CK_MECHANISM_TYPE type;
	CK_BYTE *curve;
	CK_ULONG curve_n, bits;
	CK_ATTRIBUTE extra[3];
	CK_ULONG n_extra;
};

static CK_RV
make_key(CK_SESSION_HANDLE h, CK_BYTE id, const struct making *k, CK_OBJECT_HANDLE *pub, CK_OBJECT_HANDLE *priv)
{
	CK_MECHANISM m = { k->type, NULL, 0 };
	CK_ULONG bits = k->bits;
	CK_ATTRIBUTE a[] = { { CKA_ID, &id, 1 }, { CKA_EC_PARAMS, k->curve, k->curve_n } };
	CK_ATTRIBUTE b[5] = { { CKA_TOKEN, &yes, 1 }, { CKA_ID, &id, 1 } };

	if (bits != 0)
		a[1] = (CK_ATTRIBUTE){ CKA_MODULUS_BITS, &bits, sizeof bits };
	memcpy(b + 2, k->extra, k->n_extra * sizeof b[0]);
	return C_GenerateKeyPair(h, &m, a, 2, b, 2 + k->n_extra, pub, priv);
}

static void
keys_everywhere(void **state)
{
	static const CK_BYTE ids[] = { 1, 2, 3, 4, 5, 14, 24 };
	const struct making k = { .type = CKM_EC_KEY_PAIR_GEN, .curve = p256, .curve_n = sizeof p256 };
	CK_OBJECT_HANDLE pub, priv;
	CK_SESSION_HANDLE h;

	(void)state;
	h = p11_start_so("yubikey-p256");
	for (size_t i = 0; i < sizeof ids; i++) {
		assert_rv_ok(make_key(h, ids[i], &k, &pub, &priv));
		assert_int_equal(p11_find(h, CKO_PUBLIC_KEY, ids[i]), pub);
		assert_int_equal(p11_find(h, CKO_CERTIFICATE, ids[i]), 0);
	}
}

static void
rsa_of_all_lengths(void **state)
{
	struct making k = { .type = CKM_RSA_PKCS_KEY_PAIR_GEN, .bits = 1024 };
	CK_OBJECT_HANDLE pub, priv;
	CK_SESSION_HANDLE h;

	(void)state;
	h = p11_start_so("yubikey-p256");
	assert_rv_ok(make_key(h, 6, &k, &pub, &priv));
	assert_int_equal(p11_ulong(h, pub, CKA_MODULUS_BITS), 1024);
	k.bits = 3072;
	assert_rv_ok(make_key(h, 6, &k, &pub, &priv));
	assert_int_equal(p11_ulong(h, pub, CKA_MODULUS_BITS), 3072);
	k.bits = 1536;
	assert_rv(make_key(h, 6, &k, &pub, &priv), CKR_ATTRIBUTE_VALUE_INVALID);
}

static void
edwards_key_signs(void **state)
{
	const struct making k = { .type = CKM_EC_EDWARDS_KEY_PAIR_GEN, .curve = ed25519, .curve_n = sizeof ed25519 };
	struct p11_eddsa_params params = { CK_FALSE, 0, NULL };
	CK_MECHANISM m = { CKM_EDDSA, NULL, 0 };
	CK_BYTE sig[64], text[] = "a message, not a digest", point[40];
	CK_ATTRIBUTE a = { CKA_EC_POINT, point, sizeof point };
	CK_OBJECT_HANDLE pub, priv;
	CK_SESSION_HANDLE h;
	EVP_PKEY *key;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	CK_ULONG n = sizeof sig;

	(void)state;
	h = p11_start_so("yubikey-p256");
	assert_rv_ok(make_key(h, 1, &k, &pub, &priv));
	key = p11_key_of(h, pub);
	assert_true(EVP_PKEY_is_a(key, "ED25519"));
	assert_int_equal(p11_ulong(h, priv, CKA_KEY_TYPE), CKK_EC_EDWARDS);
	assert_rv_ok(C_GetAttributeValue(h, pub, &a, 1));
	assert_int_equal(a.ulValueLen, 34);
	assert_memory_equal(point, "\x04\x20", 2);
	become_user(h);
	priv = p11_find(h, CKO_PRIVATE_KEY, 1);
	assert_true(p11_bool(h, priv, CKA_SIGN));
	assert_rv_ok(C_SignInit(h, &m, priv));
	assert_rv_ok(C_Sign(h, text, sizeof text, NULL, &n));
	assert_int_equal(n, 64);
	assert_rv_ok(C_Sign(h, text, sizeof text, sig, &n));
	assert_int_equal(EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key), 1);
	assert_int_equal(EVP_DigestVerify(ctx, sig, n, text, sizeof text), 1);
	assert_rv_ok(C_VerifyInit(h, &m, pub));
	assert_rv_ok(C_Verify(h, text, sizeof text, sig, n));
	sig[5] ^= 1;
	assert_rv_ok(C_VerifyInit(h, &m, pub));
	assert_rv(C_Verify(h, text, sizeof text, sig, n), CKR_SIGNATURE_INVALID);
	m = (CK_MECHANISM){ CKM_EDDSA, &params, sizeof params };
	assert_rv_ok(C_SignInit(h, &m, priv));
	assert_rv_ok(C_SignUpdate(h, text, 4));
	assert_rv_ok(C_SignUpdate(h, text + 4, sizeof text - 4));
	assert_rv_ok(C_SignFinal(h, sig, &n));
	assert_int_equal(EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key), 1);
	assert_int_equal(EVP_DigestVerify(ctx, sig, n, text, sizeof text), 1);
	params.phFlag = CK_TRUE;
	assert_rv(C_SignInit(h, &m, priv), CKR_MECHANISM_PARAM_INVALID);
	m.mechanism = CKM_ECDSA;
	m.ulParameterLen = 0;
	assert_rv(C_SignInit(h, &m, priv), CKR_KEY_TYPE_INCONSISTENT);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
}

static void
montgomery_key_agrees(void **state)
{
	const struct making k = { .type = CKM_EC_MONTGOMERY_KEY_PAIR_GEN, .curve = x25519, .curve_n = sizeof x25519 };
	CK_ECDH1_DERIVE_PARAMS p = { CKD_NULL, 0, NULL, 32, NULL };
	CK_MECHANISM m = { CKM_ECDH1_DERIVE, &p, sizeof p };
	unsigned char ours[32], zero[32] = { 0 }, z[32];
	CK_BYTE got[32];
	CK_ATTRIBUTE v = { CKA_VALUE, got, sizeof got };
	EVP_PKEY *eph = EVP_PKEY_Q_keygen(NULL, NULL, "X25519"), *key;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(eph, NULL);
	CK_OBJECT_HANDLE pub, priv, secret;
	CK_SESSION_HANDLE h;
	size_t n = sizeof ours;

	(void)state;
	h = p11_start_so("yubikey-p256");
	assert_rv_ok(make_key(h, 3, &k, &pub, &priv));
	key = p11_key_of(h, pub);
	become_user(h);
	priv = p11_find(h, CKO_PRIVATE_KEY, 3);
	assert_true(p11_bool(h, priv, CKA_DERIVE));
	assert_false(p11_bool(h, priv, CKA_SIGN));
	assert_int_equal(EVP_PKEY_get_raw_public_key(eph, ours, &n), 1);
	p.pPublicData = ours;
	assert_rv_ok(C_DeriveKey(h, &m, priv, NULL, 0, &secret));
	assert_rv_ok(C_GetAttributeValue(h, secret, &v, 1));
	assert_int_equal(v.ulValueLen, 32);
	assert_int_equal(EVP_PKEY_derive_init(ctx), 1);
	assert_int_equal(EVP_PKEY_derive_set_peer(ctx, key), 1);
	n = sizeof z;
	assert_int_equal(EVP_PKEY_derive(ctx, z, &n), 1);
	assert_memory_equal(z, got, 32);
	p.pPublicData = zero;
	assert_rv(C_DeriveKey(h, &m, priv, NULL, 0, &secret), CKR_DEVICE_ERROR);
	p.ulPublicDataLen = 31;
	assert_rv(C_DeriveKey(h, &m, priv, NULL, 0, &secret), CKR_MECHANISM_PARAM_INVALID);
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(eph);
	EVP_PKEY_free(key);
}

/* What the card cannot make is refused, and nothing is lost by it. */
static void
plain_card_says_no(void **state)
{
	struct making k = { .type = CKM_EC_EDWARDS_KEY_PAIR_GEN, .curve = ed25519, .curve_n = sizeof ed25519 };
	CK_ULONG never = PIV_PIN_NEVER;
	CK_OBJECT_HANDLE pub, priv;
	CK_SESSION_HANDLE h;

	(void)state;
	h = p11_start_so("p256");
	assert_rv(make_key(h, 1, &k, &pub, &priv), CKR_CURVE_NOT_SUPPORTED);
	assert_int_not_equal(p11_find(h, CKO_CERTIFICATE, 1), 0); /* put back */
	k = (struct making){ .type = CKM_EC_KEY_PAIR_GEN, .curve = p256, .curve_n = sizeof p256 };
	assert_rv(make_key(h, 5, &k, &pub, &priv), CKR_ATTRIBUTE_VALUE_INVALID);
	k.extra[0] = (CK_ATTRIBUTE){ CKA_DPIV_PIN_POLICY, &never, sizeof never };
	k.n_extra = 1;
	assert_rv(make_key(h, 1, &k, &pub, &priv), CKR_TEMPLATE_INCONSISTENT);
	assert_rv(C_DestroyObject(h, p11_find(h, CKO_PUBLIC_KEY, 1)), CKR_ACTION_PROHIBITED);
	assert_int_not_equal(p11_find(h, CKO_CERTIFICATE, 1), 0);
}

/* --- policies --- */

static void
policies_are_kept_and_told(void **state)
{
	struct making k = { .type = CKM_EC_KEY_PAIR_GEN, .curve = p256, .curve_n = sizeof p256, .n_extra = 2 };
	CK_ULONG always = PIV_PIN_ALWAYS, never = PIV_PIN_NEVER, touch = PIV_TOUCH_CACHED, bad = 9;
	CK_OBJECT_HANDLE pub, priv;
	CK_SESSION_HANDLE h;

	(void)state;
	h = p11_start_so("yubikey-p256");
	k.extra[0] = (CK_ATTRIBUTE){ CKA_DPIV_PIN_POLICY, &bad, sizeof bad };
	k.extra[1] = (CK_ATTRIBUTE){ CKA_YUBICO_TOUCH_POLICY, &touch, sizeof touch };
	assert_rv(make_key(h, 1, &k, &pub, &priv), CKR_ATTRIBUTE_VALUE_INVALID);
	k.extra[0].pValue = &always;
	assert_rv_ok(make_key(h, 1, &k, &pub, &priv));
	assert_int_equal(p11_ulong(h, priv, CKA_DPIV_PIN_POLICY), PIV_PIN_ALWAYS);
	assert_int_equal(p11_ulong(h, priv, CKA_YUBICO_PIN_POLICY), PIV_PIN_ALWAYS);
	assert_int_equal(p11_ulong(h, priv, CKA_DPIV_TOUCH_POLICY), PIV_TOUCH_CACHED);
	assert_true(p11_bool(h, priv, CKA_ALWAYS_AUTHENTICATE));
	assert_true(p11_bool(h, priv, CKA_LOCAL));
	k.extra[0].pValue = &never;
	assert_rv_ok(make_key(h, 3, &k, &pub, &priv));
	assert_false(p11_bool(h, priv, CKA_ALWAYS_AUTHENTICATE));
	assert_false(p11_bool(h, priv, CKA_PRIVATE));
}

/* 9A wants its PIN each time, and says so; 9C does not. */
static void
rules_follow_the_policies(void **state)
{
	struct making k = { .type = CKM_EC_KEY_PAIR_GEN, .curve = p256, .curve_n = sizeof p256, .n_extra = 1 };
	CK_ULONG once = PIV_PIN_ONCE;
	CK_MECHANISM m = { CKM_ECDSA, NULL, 0 };
	CK_BYTE digest[32] = { 1 }, sig[64];
	CK_ULONG n = sizeof sig;
	CK_OBJECT_HANDLE pub, priv, nine_c;
	CK_SESSION_HANDLE h;

	(void)state;
	h = p11_start_so("yubikey-p256");
	k.extra[0] = (CK_ATTRIBUTE){ CKA_ALWAYS_AUTHENTICATE, &yes, 1 };
	assert_rv_ok(make_key(h, 1, &k, &pub, &priv));
	k.extra[0] = (CK_ATTRIBUTE){ CKA_DPIV_PIN_POLICY, &once, sizeof once };
	assert_rv_ok(make_key(h, 2, &k, &pub, &nine_c));
	become_user(h);
	priv = p11_find(h, CKO_PRIVATE_KEY, 1);
	nine_c = p11_find(h, CKO_PRIVATE_KEY, 2);
	assert_true(p11_bool(h, priv, CKA_ALWAYS_AUTHENTICATE));
	assert_false(p11_bool(h, nine_c, CKA_ALWAYS_AUTHENTICATE));
	assert_rv_ok(C_SignInit(h, &m, priv));
	assert_rv(C_Sign(h, digest, sizeof digest, sig, &n), CKR_USER_NOT_LOGGED_IN);
	assert_rv_ok(p11_login(h, CKU_CONTEXT_SPECIFIC, PIN));
	assert_rv_ok(C_Sign(h, digest, sizeof digest, sig, &n));
	assert_rv_ok(C_SignInit(h, &m, nine_c));
	assert_rv_ok(C_Sign(h, digest, sizeof digest, sig, &n));
}

/* A policy that nobody asked about: the card refuses once, and the PIN that is kept helps. */
static void
unasked_policy_costs_no_failure(void **state)
{
	struct making k = { .type = CKM_EC_KEY_PAIR_GEN, .curve = p256, .curve_n = sizeof p256, .n_extra = 1 };
	CK_ULONG always = PIV_PIN_ALWAYS;
	CK_MECHANISM m = { CKM_ECDSA, NULL, 0 };
	CK_BYTE digest[32] = { 1 }, sig[64];
	CK_ULONG n = sizeof sig;
	CK_OBJECT_HANDLE pub, priv;
	CK_SESSION_HANDLE h;

	(void)state;
	h = p11_start_so("yubikey-p256");
	k.extra[0] = (CK_ATTRIBUTE){ CKA_YUBICO_PIN_POLICY, &always, sizeof always };
	assert_rv_ok(make_key(h, 1, &k, &pub, &priv));
	become_user(h);
	priv = p11_find(h, CKO_PRIVATE_KEY, 1);
	for (int i = 0; i < 2; i++) {
		assert_rv_ok(C_SignInit(h, &m, priv));
		assert_rv_ok(C_Sign(h, digest, sizeof digest, sig, &n));
	}
}

static void
plain_card_has_no_policies(void **state)
{
	CK_ULONG v = 0;
	CK_ATTRIBUTE a = { CKA_DPIV_PIN_POLICY, &v, sizeof v };
	CK_OBJECT_HANDLE key;
	CK_SESSION_HANDLE h;

	(void)state;
	p11_start("p256");
	h = p11_session(0);
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
	key = p11_find(h, CKO_PRIVATE_KEY, 1);
	p11_apdus();
	assert_false(p11_bool(h, key, CKA_ALWAYS_AUTHENTICATE));
	assert_true(p11_bool(h, key, CKA_PRIVATE));
	assert_apdus(0);
	assert_rv(C_GetAttributeValue(h, key, &a, 1), CKR_ATTRIBUTE_TYPE_INVALID);
	assert_int_not_equal(p11_apdus(), 0);
	assert_rv(C_GetAttributeValue(h, key, &a, 1), CKR_ATTRIBUTE_TYPE_INVALID);
	assert_apdus(0); /* asked once */
}

/* --- keys from outside --- */

static CK_RV
bring_p256(CK_SESSION_HANDLE h, EVP_PKEY *key, CK_BYTE *id, CK_ULONG id_n, CK_OBJECT_HANDLE *out)
{
	CK_KEY_TYPE type = CKK_EC;
	BIGNUM *d = NULL;
	CK_BYTE scalar[32];
	CK_ATTRIBUTE t[] = { { CKA_CLASS, &class_priv, sizeof class_priv }, { CKA_TOKEN, &yes, 1 },
		{ CKA_KEY_TYPE, &type, sizeof type }, { CKA_EC_PARAMS, p256, sizeof p256 }, { CKA_VALUE, scalar, 32 },
		{ CKA_ID, id, id_n } };

	assert_int_equal(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &d), 1);
	assert_int_equal(BN_bn2binpad(d, scalar, 32), 32);
	BN_clear_free(d);
	return C_CreateObject(h, t, 6, out);
}

static CK_RV
put_certificate(CK_SESSION_HANDLE h, CK_BYTE *id, CK_ULONG id_n, EVP_PKEY *key, CK_OBJECT_HANDLE *o)
{
	X509 *x = X509_new();
	X509_NAME *name = X509_NAME_new();
	unsigned char *der = NULL;
	CK_ATTRIBUTE t[] = { { CKA_CLASS, &class_cert, sizeof class_cert }, { CKA_TOKEN, &yes, 1 },
		{ CKA_ID, id, id_n }, { CKA_VALUE, NULL, 0 } };
	CK_RV rv;

	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"Old", -1, -1, 0);
	X509_set_version(x, 2);
	X509_set_subject_name(x, name);
	X509_set_issuer_name(x, name);
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 86400);
	X509_set_pubkey(x, key);
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	t[3].ulValueLen = (CK_ULONG)i2d_X509(x, &der);
	t[3].pValue = der;
	rv = C_CreateObject(h, t, 4, o);
	OPENSSL_free(der);
	X509_NAME_free(name);
	X509_free(x);
	return rv;
}

static void
check_history(CK_SESSION_HANDLE h, CK_BYTE on, CK_BYTE off)
{
	CK_OBJECT_CLASS data = CKO_DATA;
	CK_BYTE value[200];
	CK_ATTRIBUTE t[] = { { CKA_CLASS, &data, sizeof data },
		{ CKA_LABEL, (void *)(uintptr_t) "Key History Object", 18 } };
	CK_ATTRIBUTE v = { CKA_VALUE, value, sizeof value };
	CK_OBJECT_HANDLE o;
	CK_ULONG n = 0;

	assert_rv_ok(C_FindObjectsInit(h, t, 2));
	assert_rv_ok(C_FindObjects(h, &o, 1, &n));
	assert_rv_ok(C_FindObjectsFinal(h));
	assert_int_equal(n, 1);
	assert_rv_ok(C_GetAttributeValue(h, o, &v, 1));
	assert_memory_equal(value, "\xC1\x01", 2);
	assert_int_equal(value[2], on);
	assert_memory_equal(value + 3, "\xC2\x01", 2);
	assert_int_equal(value[5], off);
}

/* A key with the CKA_ID of its other life takes the first free retired place, and its certificate follows it there. */
static void
old_key_comes_in(void **state)
{
	CK_BYTE sha1[20] = { 9, 8, 7 }, place = 0;
	CK_ATTRIBUTE a = { CKA_ID, &place, 1 },
		     find[] = { { CKA_CLASS, &class_priv, sizeof class_priv }, { CKA_ID, sha1, 20 } };
	CK_OBJECT_HANDLE priv, cert;
	CK_SESSION_HANDLE h;
	EVP_PKEY *key = EVP_EC_gen("P-256"), *seen;

	(void)state;
	p11_start_with(p11_card("yubikey-p256", 2, false));
	h = p11_session(CKF_RW_SESSION);
	assert_rv_ok(p11_login(h, CKU_SO, ADMIN));
	check_history(h, 2, 0);
	assert_rv_ok(bring_p256(h, key, sha1, sizeof sha1, &priv));
	assert_rv_ok(C_GetAttributeValue(h, priv, &a, 1));
	assert_int_equal(place, 7); /* 84: 82 and 83 are taken */
	assert_false(p11_bool(h, priv, CKA_LOCAL));
	check_history(h, 2, 0);
	assert_rv_ok(put_certificate(h, sha1, sizeof sha1, key, &cert));
	check_history(h, 3, 0);
	assert_int_equal(p11_find(h, CKO_CERTIFICATE, 7), cert);
	become_user(h);
	assert_int_equal(p11_count(h, find, 2), 1);
	assert_rv_ok(C_Finalize(NULL));
	assert_rv_ok(C_Initialize(NULL));
	h = p11_session(CKF_RW_SESSION);
	seen = p11_pubkey(h, 7);
	assert_int_equal(EVP_PKEY_eq(seen, key), 1);
	assert_rv_ok(p11_login(h, CKU_SO, ADMIN));
	assert_rv_ok(C_DestroyObject(h, p11_find(h, CKO_CERTIFICATE, 7)));
	check_history(h, 2, 0);
	EVP_PKEY_free(seen);
	EVP_PKEY_free(key);
}

static void
import_rules(void **state)
{
	CK_KEY_TYPE type = CKK_EC, rsa = CKK_RSA;
	CK_BYTE id = 5, zero[32] = { 0 };
	CK_ATTRIBUTE t[] = { { CKA_CLASS, &class_priv, sizeof class_priv }, { CKA_TOKEN, &yes, 1 },
		{ CKA_KEY_TYPE, &type, sizeof type }, { CKA_ID, &id, 1 }, { CKA_EC_PARAMS, p256, sizeof p256 },
		{ CKA_VALUE, zero, 32 }, { CKA_EXTRACTABLE, &yes, 1 } };
	EVP_PKEY *key = EVP_EC_gen("P-256");
	CK_OBJECT_HANDLE o;
	CK_SESSION_HANDLE h;

	(void)state;
	p11_start("yubikey-p256");
	h = p11_session(CKF_RW_SESSION);
	assert_rv(bring_p256(h, key, &id, 1, &o), CKR_TOKEN_WRITE_PROTECTED);
	assert_rv_ok(p11_login(h, CKU_SO, ADMIN));
	assert_rv(C_CreateObject(h, t, 7, &o), CKR_TEMPLATE_INCONSISTENT);
	assert_rv(C_CreateObject(h, t, 6, &o), CKR_ATTRIBUTE_VALUE_INVALID);
	assert_rv(C_CreateObject(h, t, 5, &o), CKR_TEMPLATE_INCOMPLETE);
	t[2].pValue = &rsa;
	assert_rv(C_CreateObject(h, t, 6, &o), CKR_TEMPLATE_INCOMPLETE);
	t[1].type = CKA_PRIVATE;
	assert_rv(C_CreateObject(h, t, 6, &o), CKR_USER_NOT_LOGGED_IN);
	id = 77;
	assert_rv(bring_p256(h, key, &id, 1, &o), CKR_ATTRIBUTE_VALUE_INVALID);
	id = 0;
	assert_rv(bring_p256(h, key, &id, 1, &o), CKR_ATTRIBUTE_VALUE_INVALID);
	p11_stop();
	h = p11_start_so("p256"); /* takes no keys */
	id = 5;
	assert_rv(bring_p256(h, key, &id, 1, &o), CKR_FUNCTION_NOT_SUPPORTED);
	p11_apdus();
	assert_rv(bring_p256(h, key, &id, 1, &o), CKR_FUNCTION_NOT_SUPPORTED);
	assert_apdus(0);
	EVP_PKEY_free(key);
}

/* RSA with its five numbers; and a modulus that is not their product. */
static void
rsa_comes_in(void **state)
{
	static const char *const names[] = { OSSL_PKEY_PARAM_RSA_N, OSSL_PKEY_PARAM_RSA_E, OSSL_PKEY_PARAM_RSA_FACTOR1,
		OSSL_PKEY_PARAM_RSA_FACTOR2, OSSL_PKEY_PARAM_RSA_EXPONENT1, OSSL_PKEY_PARAM_RSA_EXPONENT2,
		OSSL_PKEY_PARAM_RSA_COEFFICIENT1 };
	static const CK_ATTRIBUTE_TYPE types[] = { CKA_MODULUS, CKA_PUBLIC_EXPONENT, CKA_PRIME_1, CKA_PRIME_2,
		CKA_EXPONENT_1, CKA_EXPONENT_2, CKA_COEFFICIENT };
	CK_KEY_TYPE type = CKK_RSA;
	CK_BYTE id = 3, value[7][256], plain[] = "old mail", cipher[256], back[256];
	CK_ATTRIBUTE t[11] = { { CKA_CLASS, &class_priv, sizeof class_priv }, { CKA_TOKEN, &yes, 1 },
		{ CKA_KEY_TYPE, &type, sizeof type }, { CKA_ID, &id, 1 } };
	CK_MECHANISM m = { CKM_RSA_PKCS, NULL, 0 };
	EVP_PKEY *key = EVP_RSA_gen(2048);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	CK_OBJECT_HANDLE priv, pub, cert;
	CK_SESSION_HANDLE h;
	CK_ULONG n = sizeof back;
	size_t clen = sizeof cipher;

	(void)state;
	h = p11_start_so("yubikey-p256");
	for (size_t i = 0; i < 7; i++) {
		BIGNUM *bn = NULL;

		assert_int_equal(EVP_PKEY_get_bn_param(key, names[i], &bn), 1);
		t[4 + i] = (CK_ATTRIBUTE){ types[i], value[i], (CK_ULONG)BN_bn2bin(bn, value[i]) };
		BN_clear_free(bn);
	}
	assert_rv_ok(C_CreateObject(h, t, 11, &priv));
	assert_int_equal(p11_find(h, CKO_CERTIFICATE, 3), 0); /* the former key's */
	t[0].pValue = &class_pub;
	assert_rv_ok(C_CreateObject(h, t, 6, &pub));
	assert_int_equal(p11_find(h, CKO_PUBLIC_KEY, 3), pub);
	assert_rv_ok(put_certificate(h, NULL, 0, key, &cert)); /* no CKA_ID: to its key */
	assert_int_equal(p11_find(h, CKO_CERTIFICATE, 3), cert);
	value[0][9] ^= 4;
	assert_rv(C_CreateObject(h, t, 6, &pub), CKR_TEMPLATE_INCONSISTENT);
	t[0].pValue = &class_priv;
	id = 9;
	assert_rv(C_CreateObject(h, t, 11, &priv), CKR_TEMPLATE_INCONSISTENT);
	become_user(h);
	assert_int_equal(EVP_PKEY_encrypt_init(ctx), 1);
	assert_int_equal(EVP_PKEY_encrypt(ctx, cipher, &clen, plain, sizeof plain), 1);
	assert_rv_ok(C_DecryptInit(h, &m, p11_find(h, CKO_PRIVATE_KEY, 3)));
	assert_rv_ok(C_Decrypt(h, cipher, clen, back, &n));
	assert_int_equal(n, sizeof plain);
	assert_memory_equal(back, plain, n);
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(key);
}

/* Wrapped PKCS#8, as pk12util brings it. */
static void
wrapped_key_comes_in(void **state)
{
	CK_KEY_TYPE aes = CKK_AES, type = CKK_EC;
	CK_OBJECT_CLASS secret = CKO_SECRET_KEY;
	CK_BYTE kek[16] = { 1, 2, 3 }, iv[16] = { 7 }, id[20] = { 5 }, wrapped[512], place = 0;
	CK_ATTRIBUTE k[] = { { CKA_CLASS, &secret, sizeof secret }, { CKA_KEY_TYPE, &aes, sizeof aes },
		{ CKA_VALUE, kek, sizeof kek } };
	CK_ATTRIBUTE t[] = { { CKA_CLASS, &class_priv, sizeof class_priv }, { CKA_TOKEN, &yes, 1 },
		{ CKA_KEY_TYPE, &type, sizeof type }, { CKA_ID, id, sizeof id } };
	CK_ATTRIBUTE a = { CKA_ID, &place, 1 };
	CK_MECHANISM m = { CKM_AES_CBC_PAD, iv, sizeof iv };
	EVP_PKEY *key = EVP_EC_gen("P-256");
	PKCS8_PRIV_KEY_INFO *p8 = EVP_PKEY2PKCS8(key);
	unsigned char *der = NULL;
	int len = i2d_PKCS8_PRIV_KEY_INFO(p8, &der);
	CK_OBJECT_HANDLE with, priv;
	CK_SESSION_HANDLE h;
	CK_ULONG n = sizeof wrapped;

	(void)state;
	h = p11_start_so("yubikey-p256");
	assert_rv_ok(C_CreateObject(h, k, 3, &with));
	assert_rv_ok(C_EncryptInit(h, &m, with));
	assert_rv_ok(C_Encrypt(h, der, (CK_ULONG)len, wrapped, &n));
	assert_rv_ok(C_UnwrapKey(h, &m, with, wrapped, n, t, 4, &priv));
	assert_rv_ok(C_GetAttributeValue(h, priv, &a, 1));
	assert_int_equal(place, 5);
	assert_rv(C_UnwrapKey(h, &m, with, wrapped, n - 16, t, 4, &priv), CKR_WRAPPED_KEY_INVALID);
	assert_rv(C_UnwrapKey(h, &m, with, wrapped, n - 1, t, 4, &priv), CKR_WRAPPED_KEY_LEN_RANGE);
	t[1].type = CKA_PRIVATE;
	assert_rv(C_UnwrapKey(h, &m, with, wrapped, n, t, 4, &priv), CKR_TEMPLATE_INCONSISTENT);
	OPENSSL_free(der);
	PKCS8_PRIV_KEY_INFO_free(p8);
	EVP_PKEY_free(key);
}

/* --- keys go --- */

static void
keys_are_deleted(void **state)
{
	CK_MECHANISM m = { CKM_ECDSA, NULL, 0 };
	CK_OBJECT_HANDLE priv;
	CK_SESSION_HANDLE h;
	CK_BYTE id = 4;
	CK_ATTRIBUTE find[] = { { CKA_ID, &id, 1 } };

	(void)state;
	h = p11_start_so("yubikey-p256");
	priv = p11_find(h, CKO_PRIVATE_KEY, 4);
	assert_rv_ok(C_DestroyObject(h, priv));
	assert_int_equal(p11_count(h, find, 1), 0);
	assert_rv(C_SignInit(h, &m, priv), CKR_KEY_HANDLE_INVALID);
	p11_stop();
	h = p11_start_so("p256");
	assert_rv(C_DestroyObject(h, p11_find(h, CKO_PRIVATE_KEY, 4)), CKR_ACTION_PROHIBITED);
	assert_int_equal(p11_count(h, find, 1), 3);
}

/* --- the management key --- */

static CK_RV
set_pin(CK_SESSION_HANDLE h, const char *old, const char *pin)
{
	return C_SetPIN(h, (CK_UTF8CHAR *)(uintptr_t)old, strlen(old), (CK_UTF8CHAR *)(uintptr_t)pin, strlen(pin));
}

static void
new_management_key(void **state)
{
	CK_SESSION_HANDLE h;

	(void)state;
	h = p11_start_so("yubikey-p256");
	assert_rv(set_pin(h, ADMIN_NEW, ADMIN_AES), CKR_PIN_INCORRECT);
	assert_rv(set_pin(h, ADMIN, ADMIN_WEAK), CKR_PIN_INVALID);
	assert_rv(set_pin(h, ADMIN, "12345678"), CKR_PIN_LEN_RANGE);
	assert_rv_ok(set_pin(h, ADMIN, ADMIN_NEW));
	assert_rv_ok(C_Logout(h));
	assert_rv(p11_login(h, CKU_SO, ADMIN), CKR_PIN_INCORRECT);
	assert_rv_ok(p11_login(h, CKU_SO, ADMIN_NEW));
	assert_rv_ok(set_pin(h, ADMIN_NEW, ADMIN_AES)); /* AES-256 */
	assert_rv_ok(C_Logout(h));
	assert_rv_ok(p11_login(h, CKU_SO, ADMIN_AES));
	p11_stop();
	h = p11_start_so("p256");
	assert_rv(set_pin(h, ADMIN, ADMIN_NEW), CKR_FUNCTION_NOT_SUPPORTED);
}

/* Put an object on the card, past its commands. */
static void
card_object(uint32_t tag, const char *contents, size_t n)
{
	uint8_t object[256] = { 0x53, (uint8_t)n };

	memcpy(object + 2, contents, n);
	assert_true(vc_object_set(p11_inserted(), tag, object, n + 2));
}

/* A user writes where the card holds the management key under the PIN. */
static void
protected_management_key(void **state)
{
	static const char admin_data[] = "\x80\x03\x81\x01\x02";
	static const char printed[] = "\x88\x1A\x89\x18"
				      "\x01\x02\x03\x04\x05\x06\x07\x08\x01\x02\x03\x04\x05\x06\x07\x08"
				      "\x01\x02\x03\x04\x05\x06\x07\x08";
	const struct making k = { .type = CKM_EC_KEY_PAIR_GEN, .curve = p256, .curve_n = sizeof p256 };
	CK_OBJECT_HANDLE pub, priv;
	CK_SESSION_HANDLE h;

	(void)state;
	p11_start("yubikey-p256");
	h = p11_session(CKF_RW_SESSION);
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
	assert_rv(make_key(h, 1, &k, &pub, &priv), CKR_USER_NOT_LOGGED_IN);
	card_object(0x5FFF00, admin_data, sizeof admin_data - 1);
	card_object(0x5FC109, printed, sizeof printed - 1);
	assert_rv_ok(make_key(h, 1, &k, &pub, &priv));
	assert_rv_ok(C_Logout(h));
	assert_rv_ok(p11_login(h, CKU_SO, ADMIN));
	assert_rv(set_pin(h, ADMIN, ADMIN_NEW), CKR_FUNCTION_REJECTED);
}

/* --- attestation --- */

static void
attestations_are_certificates(void **state)
{
	const struct making k = { .type = CKM_EC_KEY_PAIR_GEN, .curve = p256, .curve_n = sizeof p256 };
	CK_ATTRIBUTE all[] = { { CKA_CLASS, &class_cert, sizeof class_cert } };
	CK_ATTRIBUTE named[] = { { CKA_LABEL, (void *)(uintptr_t) "X.509 Certificate for PIV Attestation 9a", 40 } };
	CK_OBJECT_HANDLE o, pub, priv;
	CK_SESSION_HANDLE h;
	EVP_PKEY *key, *attested;

	(void)state;
	h = p11_start_so("yubikey-p256");
	assert_int_equal(p11_count(h, all, 1), 4); /* a listing asks for none */
	assert_rv_ok(make_key(h, 1, &k, &pub, &priv));
	key = p11_key_of(h, pub);
	assert_int_equal(p11_count(h, named, 1), 1);
	assert_int_not_equal(o = p11_find(h, CKO_CERTIFICATE, 26), 0);
	attested = p11_pubkey(h, 26);
	assert_int_equal(EVP_PKEY_eq(key, attested), 1);
	assert_int_not_equal(p11_find(h, CKO_CERTIFICATE, 25), 0);
	assert_rv(C_DestroyObject(h, o), CKR_ACTION_PROHIBITED);
	assert_int_equal(p11_find(h, CKO_CERTIFICATE, 34), 0); /* no key there */
	assert_rv_ok(make_key(h, 1, &k, &pub, &priv));
	EVP_PKEY_free(attested);
	attested = p11_pubkey(h, 26);
	assert_int_not_equal(EVP_PKEY_eq(key, attested), 1); /* of the new key */
	EVP_PKEY_free(attested);
	EVP_PKEY_free(key);
	p11_stop();
	p11_start("p256");
	h = p11_session(0);
	assert_int_equal(p11_find(h, CKO_CERTIFICATE, 26), 0);
	p11_apdus();
	assert_int_equal(p11_find(h, CKO_CERTIFICATE, 27), 0);
	assert_apdus(0); /* it was asked once */
}

/* --- changes and copies --- */

static void
certificates_change_and_are_copied(void **state)
{
	CK_BYTE der[4096], id = 3, bad[] = { 0x30, 0x00 };
	CK_ATTRIBUTE v = { CKA_VALUE, der, sizeof der }, i = { CKA_ID, &id, 1 }, junk = { CKA_VALUE, bad, sizeof bad };
	CK_ATTRIBUTE label = { CKA_LABEL, (void *)(uintptr_t) "Pat's", 5 };
	CK_ATTRIBUTE find[] = { { CKA_CLASS, &class_cert, sizeof class_cert }, label };
	CK_OBJECT_HANDLE cert, copy;
	CK_SESSION_HANDLE h;

	(void)state;
	h = p11_start_so("yubikey-p256");
	assert_int_not_equal(cert = p11_find(h, CKO_CERTIFICATE, 3), 0);
	assert_rv_ok(C_GetAttributeValue(h, p11_find(h, CKO_CERTIFICATE, 4), &v, 1));
	assert_rv_ok(C_SetAttributeValue(h, cert, &v, 1));
	assert_int_equal(p11_find(h, CKO_CERTIFICATE, 3), cert); /* the same handle */
	assert_rv_ok(C_SetAttributeValue(h, cert, &i, 1));
	id = 4;
	assert_rv(C_SetAttributeValue(h, cert, &i, 1), CKR_ATTRIBUTE_READ_ONLY);
	assert_rv(C_SetAttributeValue(h, cert, &junk, 1), CKR_ATTRIBUTE_VALUE_INVALID);
	assert_rv_ok(C_CopyObject(h, cert, &label, 1, &copy));
	assert_false(p11_bool(h, copy, CKA_TOKEN));
	assert_int_equal(p11_count(h, find, 2), 1);
	assert_rv_ok(C_SetAttributeValue(h, cert, &label, 1));
	assert_int_equal(p11_count(h, find, 2), 2);
	assert_rv(C_CopyObject(h, p11_find(h, CKO_PUBLIC_KEY, 4), NULL, 0, &copy), CKR_ACTION_PROHIBITED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(keys_everywhere, p11_teardown),
		cmocka_unit_test_teardown(rsa_of_all_lengths, p11_teardown),
		cmocka_unit_test_teardown(edwards_key_signs, p11_teardown),
		cmocka_unit_test_teardown(montgomery_key_agrees, p11_teardown),
		cmocka_unit_test_teardown(plain_card_says_no, p11_teardown),
		cmocka_unit_test_teardown(policies_are_kept_and_told, p11_teardown),
		cmocka_unit_test_teardown(rules_follow_the_policies, p11_teardown),
		cmocka_unit_test_teardown(unasked_policy_costs_no_failure, p11_teardown),
		cmocka_unit_test_teardown(plain_card_has_no_policies, p11_teardown),
		cmocka_unit_test_teardown(old_key_comes_in, p11_teardown),
		cmocka_unit_test_teardown(import_rules, p11_teardown),
		cmocka_unit_test_teardown(rsa_comes_in, p11_teardown),
		cmocka_unit_test_teardown(wrapped_key_comes_in, p11_teardown),
		cmocka_unit_test_teardown(keys_are_deleted, p11_teardown),
		cmocka_unit_test_teardown(new_management_key, p11_teardown),
		cmocka_unit_test_teardown(protected_management_key, p11_teardown),
		cmocka_unit_test_teardown(attestations_are_certificates, p11_teardown),
		cmocka_unit_test_teardown(certificates_change_and_are_copied, p11_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
