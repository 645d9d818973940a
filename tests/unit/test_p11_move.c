/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Keys that change their place, with their certificates and Key History; keys without a certificate: told by a program,
 * or found on a card that tells of its keys; and what a card without such commands says.
 */
#include "pkcs11/p11.h"
#include "tests/lib/p11_card.h"
#include "tests/vcard/model.h"

static CK_BBOOL yes = CK_TRUE;
static CK_BYTE p256[] = { 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07 };

static CK_OBJECT_HANDLE
make_key(CK_SESSION_HANDLE h, CK_BYTE id)
{
	CK_MECHANISM m = { CKM_EC_KEY_PAIR_GEN, NULL, 0 };
	CK_ATTRIBUTE a[] = { { CKA_ID, &id, 1 }, { CKA_EC_PARAMS, p256, sizeof p256 } };
	CK_ATTRIBUTE b[] = { { CKA_TOKEN, &yes, 1 }, { CKA_ID, &id, 1 } };
	CK_OBJECT_HANDLE pub, priv;

	assert_rv_ok(C_GenerateKeyPair(h, &m, a, 2, b, 2, &pub, &priv));
	return priv;
}

static CK_RV
move(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE o, CK_BYTE to)
{
	CK_ATTRIBUTE a = { CKA_ID, &to, 1 };

	return C_SetAttributeValue(h, o, &a, 1);
}

static CK_BYTE
id_of(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE o)
{
	CK_BYTE id = 0;
	CK_ATTRIBUTE a = { CKA_ID, &id, 1 };

	assert_rv_ok(C_GetAttributeValue(h, o, &a, 1));
	return id;
}

static bool
has_key(uint8_t ref)
{
	return vc_key_find(p11_inserted(), ref)->pkey != NULL;
}

/* How many certificates Key History has; -1: there is no such object. */
static int
history(CK_SESSION_HANDLE h)
{
	CK_OBJECT_CLASS class = CKO_DATA;
	char label[] = "Key History Object";
	CK_BYTE value[64];
	CK_ATTRIBUTE t[] = { { CKA_CLASS, &class, sizeof class }, { CKA_LABEL, label, sizeof label - 1 } };
	CK_ATTRIBUTE v = { CKA_VALUE, value, sizeof value };
	CK_OBJECT_HANDLE o;
	CK_ULONG n = 0;

	assert_rv_ok(C_FindObjectsInit(h, t, 2));
	assert_rv_ok(C_FindObjects(h, &o, 1, &n));
	assert_rv_ok(C_FindObjectsFinal(h));
	if (n == 0)
		return -1;
	assert_rv_ok(C_GetAttributeValue(h, o, &v, 1));
	assert_memory_equal(value, "\xC1\x01", 2);
	return value[2];
}

/* A certificate goes and leaves its key behind. */
static void
lose_certificate(CK_SESSION_HANDLE h, CK_BYTE id)
{
	assert_rv_ok(C_DestroyObject(h, p11_find(h, CKO_CERTIFICATE, id)));
}

static void
new_key_is_moved(void **state)
{
	CK_SESSION_HANDLE h = p11_start_so("yubikey-p256");
	CK_OBJECT_HANDLE o = make_key(h, 0x18);

	(void)state;
	assert_true(p11_bool(h, o, CKA_DPIV_MOVABLE));
	assert_rv(move(h, o, 1), CKR_ATTRIBUTE_VALUE_INVALID);
	lose_certificate(h, 1); /* there is a key still */
	assert_rv(move(h, o, 1), CKR_ATTRIBUTE_VALUE_INVALID);
	assert_rv(move(h, o, 0x19), CKR_ATTRIBUTE_VALUE_INVALID);
	assert_int_equal(id_of(h, o), 0x18);
	assert_int_not_equal(p11_find(h, CKO_PUBLIC_KEY, 1), 0); /* which finds the key */
	assert_rv_ok(C_DestroyObject(h, p11_find(h, CKO_PRIVATE_KEY, 1)));
	assert_rv_ok(move(h, o, 1));
	assert_int_equal(id_of(h, o), 1);
	assert_int_equal(p11_find(h, CKO_PRIVATE_KEY, 1), o);
	assert_int_equal(p11_find(h, CKO_PRIVATE_KEY, 0x18), 0);
	assert_true(has_key(0x9A) && !has_key(0x95));
	assert_true(p11_bool(h, o, CKA_LOCAL));
}

static void
certificate_follows(void **state)
{
	CK_SESSION_HANDLE h = p11_start_so("yubikey-p256");
	EVP_PKEY *was = p11_pubkey(h, 4), *now;
	int before = history(h);

	(void)state;
	assert_rv_ok(move(h, p11_find(h, CKO_PRIVATE_KEY, 4), 8));
	assert_int_equal(p11_find(h, CKO_CERTIFICATE, 4), 0);
	now = p11_pubkey(h, 8);
	assert_int_equal(EVP_PKEY_eq(was, now), 1);
	assert_true(has_key(0x85) && !has_key(0x9E));
	assert_int_equal(history(h), (before < 0 ? 0 : before) + 1);
	EVP_PKEY_free(was);
	EVP_PKEY_free(now);
}

/* After the certificate was written, and after the key was moved: the same call finishes. */
static void
cut_off_move_goes_on(void **state)
{
	for (int moved = 0; moved < 2; moved++) {
		CK_SESSION_HANDLE h = p11_start_so("yubikey-p256");
		CK_OBJECT_CLASS class = CKO_CERTIFICATE;
		CK_BYTE id = 8, der[4096];
		CK_ATTRIBUTE v = { CKA_VALUE, der, sizeof der };
		CK_ATTRIBUTE t[] = { { CKA_CLASS, &class, sizeof class }, { CKA_TOKEN, &yes, 1 }, { CKA_ID, &id, 1 },
			{ CKA_VALUE, der, 0 } };
		struct vc_key *from, *to;
		CK_OBJECT_HANDLE o;

		(void)state;
		assert_rv_ok(C_GetAttributeValue(h, p11_find(h, CKO_CERTIFICATE, 4), &v, 1));
		t[3].ulValueLen = v.ulValueLen;
		assert_rv_ok(C_CreateObject(h, t, 4, &o));
		from = vc_key_find(p11_inserted(), 0x9E);
		to = vc_key_find(p11_inserted(), 0x85);
		if (moved == 1) {
			*to = *from;
			*from = (struct vc_key){ .pkey = NULL };
		}
		assert_rv_ok(move(h, p11_find(h, CKO_PRIVATE_KEY, 4), 8));
		assert_int_equal(p11_find(h, CKO_CERTIFICATE, 4), 0);
		assert_int_not_equal(p11_find(h, CKO_CERTIFICATE, 8), 0);
		assert_true(has_key(0x85) && !has_key(0x9E));
		p11_stop();
	}
}

static void
other_cards_say_so(void **state)
{
	CK_SESSION_HANDLE h = p11_start_so("p256");
	CK_OBJECT_HANDLE o = p11_find(h, CKO_PRIVATE_KEY, 4);

	(void)state;
	assert_false(p11_bool(h, o, CKA_DPIV_MOVABLE));
	assert_rv(move(h, o, 8), CKR_FUNCTION_NOT_SUPPORTED);
	assert_int_equal(id_of(h, o), 4);
	assert_int_not_equal(p11_find(h, CKO_CERTIFICATE, 4), 0);
}

static void
key_without_certificate_is_found(void **state)
{
	CK_SESSION_HANDLE h = p11_start_so("yubikey-p256"), ro;
	EVP_PKEY *was = p11_pubkey(h, 3), *now;
	CK_OBJECT_HANDLE o;

	(void)state;
	lose_certificate(h, 3);
	o = p11_find(h, CKO_PUBLIC_KEY, 3);
	assert_int_not_equal(o, 0);
	now = p11_key_of(h, o);
	assert_int_equal(EVP_PKEY_eq(was, now), 1);
	assert_int_not_equal(p11_find(h, CKO_PRIVATE_KEY, 3), 0);
	EVP_PKEY_free(was);
	EVP_PKEY_free(now);
	p11_stop();
	h = p11_start_so("yubikey-p256");
	lose_certificate(h, 3);
	assert_rv_ok(C_Logout(h));
	ro = p11_session(0);
	assert_int_equal(p11_find(ro, CKO_PUBLIC_KEY, 3), 0); /* one that only reads is not made to wait for it */
}

static CK_RV
tell(CK_SESSION_HANDLE h, CK_BYTE id, EVP_PKEY *key)
{
	CK_OBJECT_CLASS class = CKO_PUBLIC_KEY;
	CK_KEY_TYPE type = CKK_EC;
	CK_BYTE point[2 + 65] = { 0x04, 65 };
	size_t n = 0;
	CK_ATTRIBUTE t[] = { { CKA_CLASS, &class, sizeof class }, { CKA_KEY_TYPE, &type, sizeof type },
		{ CKA_TOKEN, &yes, 1 }, { CKA_ID, &id, 1 }, { CKA_EC_PARAMS, p256, sizeof p256 },
		{ CKA_EC_POINT, point, sizeof point } };
	CK_OBJECT_HANDLE o;

	assert_int_equal(EVP_PKEY_get_octet_string_param(key, "pub", point + 2, 65, &n), 1);
	return C_CreateObject(h, t, 6, &o);
}

static void
key_is_told(void **state)
{
	CK_SESSION_HANDLE h = p11_start_so("p256");
	EVP_PKEY *key = p11_pubkey(h, 1), *other = EVP_EC_gen("P-256");
	CK_MECHANISM m = { CKM_ECDSA, NULL, 0 };
	CK_BYTE digest[32] = { 1 }, sig[64];
	CK_ULONG n = sizeof sig;

	(void)state;
	assert_rv(tell(h, 1, other), CKR_TEMPLATE_INCONSISTENT);
	lose_certificate(h, 1);
	assert_int_equal(p11_find(h, CKO_PUBLIC_KEY, 1), 0);
	assert_rv(tell(h, 0x19, key), CKR_TEMPLATE_INCONSISTENT);
	assert_rv_ok(tell(h, 1, key));
	assert_rv_ok(tell(h, 1, key));
	assert_rv(tell(h, 1, other), CKR_TEMPLATE_INCONSISTENT);
	assert_int_not_equal(p11_find(h, CKO_PUBLIC_KEY, 1), 0);
	assert_rv_ok(C_Logout(h));
	assert_rv(tell(h, 1, key), CKR_TOKEN_WRITE_PROTECTED);
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
	assert_rv_ok(C_SignInit(h, &m, p11_find(h, CKO_PRIVATE_KEY, 1)));
	assert_rv_ok(C_Sign(h, digest, sizeof digest, sig, &n));
	assert_int_equal(n, 64);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
}

/* A new encryption key signs its own request, and nothing else after that. */
static void
new_encryption_key_signs(void **state)
{
	CK_MECHANISM gen = { CKM_RSA_PKCS_KEY_PAIR_GEN, NULL, 0 }, m = { CKM_SHA256_RSA_PKCS, NULL, 0 };
	CK_ULONG bits = 2048, n = 256;
	CK_BYTE id = 3, sig[256];
	CK_ATTRIBUTE a[] = { { CKA_ID, &id, 1 }, { CKA_MODULUS_BITS, &bits, sizeof bits } };
	CK_ATTRIBUTE b[] = { { CKA_TOKEN, &yes, 1 }, { CKA_ID, &id, 1 } };
	CK_SESSION_HANDLE h = p11_start_so("p256");
	CK_OBJECT_HANDLE pub, priv;

	(void)state;
	assert_rv_ok(C_GenerateKeyPair(h, &gen, a, 2, b, 2, &pub, &priv));
	assert_true(p11_bool(h, priv, CKA_SIGN));
	assert_true(p11_bool(h, priv, CKA_LOCAL));
	assert_rv_ok(C_Logout(h));
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
	priv = p11_find(h, CKO_PRIVATE_KEY, 3);
	assert_rv_ok(C_SignInit(h, &m, priv));
	assert_rv_ok(C_Sign(h, id ? &id : NULL, 1, sig, &n));
	assert_int_equal(n, 256);
	p11_stop();
	p11_start("p256");
	h = p11_session(CKF_RW_SESSION);
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
	assert_false(p11_bool(h, p11_find(h, CKO_PRIVATE_KEY, 3), CKA_SIGN));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(new_key_is_moved, p11_teardown),
		cmocka_unit_test_teardown(certificate_follows, p11_teardown),
		cmocka_unit_test_teardown(cut_off_move_goes_on, p11_teardown),
		cmocka_unit_test_teardown(other_cards_say_so, p11_teardown),
		cmocka_unit_test_teardown(key_without_certificate_is_found, p11_teardown),
		cmocka_unit_test_teardown(key_is_told, p11_teardown),
		cmocka_unit_test_teardown(new_encryption_key_signs, p11_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
