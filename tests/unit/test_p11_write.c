/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing on the card: the security officer's logins, new keys, certificates, data objects, emptying them, PIN by PUK.
 */
#include <openssl/ec.h>

#include "tests/lib/p11_card.h"

#define ADMIN	  P11_ADMIN
#define ADMIN_BAD "01020304050607080102030405060708010203040506070A"
#define PUK	  "12345678"

static CK_OBJECT_CLASS class_cert = CKO_CERTIFICATE, class_data = CKO_DATA;
static CK_BBOOL yes = CK_TRUE;
static CK_BYTE p256[] = { 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07 };

static CK_RV
init_pin(CK_SESSION_HANDLE h, const char *pin)
{
	return C_InitPIN(h, (CK_UTF8CHAR *)(uintptr_t)pin, strlen(pin));
}

static CK_RV
set_pin(CK_SESSION_HANDLE h, const char *old, const char *pin)
{
	return C_SetPIN(h, (CK_UTF8CHAR *)(uintptr_t)old, strlen(old), (CK_UTF8CHAR *)(uintptr_t)pin, strlen(pin));
}

static CK_STATE
state_of(CK_SESSION_HANDLE h)
{
	CK_SESSION_INFO info;

	assert_rv_ok(C_GetSessionInfo(h, &info));
	return info.state;
}

/* --- logins --- */

static void
so_login_rules(void **state)
{
	CK_BYTE raw[] = { 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8 };
	CK_SESSION_HANDLE h, ro;

	(void)state;
	p11_start("p256");
	h = p11_session(CKF_RW_SESSION);
	assert_rv(p11_login(h, CKU_SO, ADMIN_BAD), CKR_PIN_INCORRECT);
	assert_rv(p11_login(h, CKU_SO, "0102"), CKR_PIN_INCORRECT);
	assert_rv(p11_login(h, CKU_SO, "a sentence of no use"), CKR_PIN_INCORRECT);
	assert_int_equal(state_of(h), CKS_RW_PUBLIC_SESSION);
	assert_rv_ok(p11_login(h, CKU_SO, ADMIN));
	assert_int_equal(state_of(h), CKS_RW_SO_FUNCTIONS);
	assert_rv(p11_login(h, CKU_SO, ADMIN), CKR_USER_ALREADY_LOGGED_IN);
	assert_rv(p11_login(h, CKU_USER, PIN), CKR_USER_ANOTHER_ALREADY_LOGGED_IN);
	assert_rv(C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &ro), CKR_SESSION_READ_WRITE_SO_EXISTS);
	assert_rv_ok(C_Logout(h));
	assert_int_equal(state_of(h), CKS_RW_PUBLIC_SESSION);
	assert_rv(C_Logout(h), CKR_USER_NOT_LOGGED_IN);
	assert_rv_ok(C_Login(h, CKU_SO, raw, sizeof raw));
	assert_rv_ok(C_Logout(h));
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
	assert_rv(p11_login(h, CKU_SO, ADMIN), CKR_USER_ANOTHER_ALREADY_LOGGED_IN);
}

static void
pin_by_puk(void **state)
{
	CK_SESSION_HANDLE h;

	(void)state;
	p11_start("p256");
	h = p11_session(CKF_RW_SESSION);
	for (int i = 0; i < 3; i++) {
		(void)p11_token_flags(); /* the last try is only sent when it was shown */
		(void)p11_login(h, CKU_USER, PIN_BAD);
	}
	assert_true(p11_token_flags() & CKF_USER_PIN_LOCKED);
	assert_rv(init_pin(h, "11223344"), CKR_USER_NOT_LOGGED_IN);
	assert_rv_ok(p11_login(h, CKU_SO, "87654321"));
	assert_rv(init_pin(h, "11"), CKR_PIN_LEN_RANGE);
	assert_rv(init_pin(h, "11223344"), CKR_PIN_INCORRECT);
	p11_apdus();
	assert_rv(init_pin(h, "11223344"), CKR_USER_NOT_LOGGED_IN); /* the wrong one is not sent again */
	assert_apdus(0);
	assert_rv_ok(p11_login(h, CKU_SO, PUK));
	assert_rv_ok(init_pin(h, "11223344"));
	assert_rv_ok(set_pin(h, PUK, "11111111"));
	assert_rv_ok(init_pin(h, "22334455"));
	assert_rv_ok(C_Logout(h));
	assert_false(p11_token_flags() & CKF_USER_PIN_LOCKED);
	assert_rv_ok(p11_login(h, CKU_USER, "22334455"));
}

static void
management_key_sets_no_pin(void **state)
{
	CK_SESSION_HANDLE h;

	(void)state;
	h = p11_start_so("p256");
	assert_rv(init_pin(h, "11223344"), CKR_FUNCTION_NOT_SUPPORTED);
	assert_rv(set_pin(h, PIN, "11223344"), CKR_PIN_INCORRECT);
}

static void
puk_writes_nothing(void **state)
{
	CK_SESSION_HANDLE h;

	(void)state;
	p11_start("p256");
	h = p11_session(CKF_RW_SESSION);
	assert_rv_ok(p11_login(h, CKU_SO, PUK));
	assert_rv(C_DestroyObject(h, p11_find(h, CKO_CERTIFICATE, 1)), CKR_ACTION_PROHIBITED);
}

/* --- keys --- */

static CK_RV
generate(CK_SESSION_HANDLE h, CK_BYTE id, CK_OBJECT_HANDLE *pub, CK_OBJECT_HANDLE *priv)
{
	CK_MECHANISM m = { CKM_EC_KEY_PAIR_GEN, NULL, 0 };
	CK_ATTRIBUTE a[] = { { CKA_EC_PARAMS, p256, sizeof p256 }, { CKA_ID, &id, 1 } };
	CK_ATTRIBUTE b[] = { { CKA_TOKEN, &yes, 1 }, { CKA_ID, &id, 1 } };

	return C_GenerateKeyPair(h, &m, a, 2, b, 2, pub, priv);
}

/* A self-signed certificate over this key; what signs it does not matter here. */
static int
certificate_for(EVP_PKEY *key, CK_BYTE **der)
{
	EVP_PKEY *signer = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	X509_NAME *name = X509_NAME_new();
	int n;

	*der = NULL;
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"New", -1, -1, 0);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 7);
	X509_set_version(x, 2);
	X509_set_subject_name(x, name);
	X509_set_issuer_name(x, name);
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 86400);
	X509_set_pubkey(x, key);
	assert_true(X509_sign(x, signer, EVP_sha256()) > 0);
	n = i2d_X509(x, der);
	X509_free(x);
	X509_NAME_free(name);
	EVP_PKEY_free(signer);
	assert_true(n > 0);
	return n;
}

static CK_RV
put_certificate(CK_SESSION_HANDLE h, CK_BYTE id, EVP_PKEY *key, CK_OBJECT_HANDLE *o)
{
	CK_BYTE *der;
	CK_ULONG n = (CK_ULONG)certificate_for(key, &der);
	CK_ATTRIBUTE t[] = { { CKA_CLASS, &class_cert, sizeof class_cert }, { CKA_TOKEN, &yes, 1 }, { CKA_ID, &id, 1 },
		{ CKA_VALUE, der, n } };
	CK_RV rv = C_CreateObject(h, t, 4, o);

	if (rv == CKR_OK) {
		CK_BYTE back[2048];
		CK_ATTRIBUTE v = { CKA_VALUE, back, sizeof back };

		assert_rv_ok(C_GetAttributeValue(h, *o, &v, 1));
		assert_int_equal(v.ulValueLen, n);
		assert_memory_equal(back, der, n);
	}
	OPENSSL_free(der);
	return rv;
}

static void
sign_with(CK_SESSION_HANDLE h, CK_BYTE id, EVP_PKEY *key)
{
	CK_MECHANISM m = { CKM_ECDSA, NULL, 0 };
	CK_BYTE digest[32] = { 1, 2, 3 }, sig[64];
	CK_ULONG n = sizeof sig;
	ECDSA_SIG *s = ECDSA_SIG_new();
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	unsigned char *der = NULL;
	int len;

	assert_rv_ok(C_SignInit(h, &m, p11_find(h, CKO_PRIVATE_KEY, id)));
	assert_rv_ok(C_Sign(h, digest, sizeof digest, sig, &n));
	assert_int_equal(ECDSA_SIG_set0(s, BN_bin2bn(sig, 32, NULL), BN_bin2bn(sig + 32, 32, NULL)), 1);
	len = i2d_ECDSA_SIG(s, &der);
	assert_int_equal(EVP_PKEY_verify_init(ctx), 1);
	assert_int_equal(EVP_PKEY_verify(ctx, der, (size_t)len, digest, sizeof digest), 1);
	OPENSSL_free(der);
	ECDSA_SIG_free(s);
	EVP_PKEY_CTX_free(ctx);
}

static void
new_key_and_its_certificate(void **state)
{
	CK_SESSION_HANDLE h;
	CK_OBJECT_HANDLE pub, priv, cert;
	EVP_PKEY *key, *former;

	(void)state;
	h = p11_start_so("p256");
	former = p11_pubkey(h, 1);
	assert_rv_ok(generate(h, 1, &pub, &priv));
	key = p11_key_of(h, pub);
	assert_int_not_equal(EVP_PKEY_eq(key, former), 1);
	assert_int_equal(p11_find(h, CKO_CERTIFICATE, 1), 0); /* the former key's */
	assert_int_equal(p11_find(h, CKO_PUBLIC_KEY, 1), pub);
	assert_rv_ok(C_Logout(h));
	assert_rv_ok(p11_login(h, CKU_USER, PIN)); /* signs, for a request, without a certificate */
	sign_with(h, 1, key);
	assert_rv_ok(C_Logout(h));
	assert_rv_ok(p11_login(h, CKU_SO, ADMIN));
	assert_rv(put_certificate(h, 1, former, &cert), CKR_TEMPLATE_INCONSISTENT);
	assert_rv_ok(put_certificate(h, 1, key, &cert));
	assert_int_equal(p11_find(h, CKO_CERTIFICATE, 1), cert);
	assert_rv_ok(C_Finalize(NULL)); /* what a new process sees */
	assert_rv_ok(C_Initialize(NULL));
	h = p11_session(0);
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
	sign_with(h, 1, key);
	EVP_PKEY_free(key);
	EVP_PKEY_free(former);
}

static void
key_generation_rules(void **state)
{
	CK_MECHANISM m = { CKM_EC_KEY_PAIR_GEN, NULL, 0 }, sign = { CKM_ECDSA, NULL, 0 };
	CK_BYTE curve[] = { 0x06, 0x05, 0x2B, 0x81, 0x04, 0x00, 0x0A }, id = 1;
	CK_ATTRIBUTE a[] = { { CKA_EC_PARAMS, curve, sizeof curve }, { CKA_ID, &id, 1 } };
	CK_OBJECT_HANDLE pub = 0, priv = 0;
	CK_SESSION_HANDLE h, ro;

	(void)state;
	p11_start("p256");
	ro = p11_session(0);
	assert_rv(generate(ro, 1, &pub, &priv), CKR_SESSION_READ_ONLY);
	assert_rv_ok(C_CloseSession(ro));
	h = p11_session(CKF_RW_SESSION);
	assert_rv(generate(h, 1, &pub, &priv), CKR_USER_NOT_LOGGED_IN);
	assert_rv_ok(p11_login(h, CKU_SO, ADMIN));
	assert_rv(generate(h, 5, &pub, &priv), CKR_ATTRIBUTE_VALUE_INVALID);
	assert_rv(generate(h, 77, &pub, &priv), CKR_ATTRIBUTE_VALUE_INVALID);
	assert_rv(C_GenerateKeyPair(h, &m, a, 2, NULL, 0, &pub, &priv), CKR_CURVE_NOT_SUPPORTED);
	assert_rv(C_GenerateKeyPair(h, &m, a + 1, 1, NULL, 0, &pub, &priv), CKR_TEMPLATE_INCOMPLETE);
	a[0].pValue = p256;
	a[0].ulValueLen = sizeof p256;
	assert_rv(C_GenerateKeyPair(h, &m, a, 1, NULL, 0, &pub, &priv), CKR_TEMPLATE_INCOMPLETE); /* where? */
	assert_rv(C_GenerateKeyPair(h, &sign, a, 2, NULL, 0, &pub, &priv), CKR_MECHANISM_INVALID);
	assert_rv(C_GenerateKeyPair(h, &m, a, 2, NULL, 0, NULL, &priv), CKR_ARGUMENTS_BAD);
	assert_int_not_equal(p11_find(h, CKO_CERTIFICATE, 1), 0); /* nothing of that touched it */
}

static void
rsa_key(void **state)
{
	CK_MECHANISM m = { CKM_RSA_PKCS_KEY_PAIR_GEN, NULL, 0 };
	CK_BYTE id = 4, f4[] = { 1, 0, 1 }, three[] = { 3 }, modulus[512];
	CK_ULONG bits = 2048, few = 1024;
	CK_ATTRIBUTE a[] = { { CKA_ID, &id, 1 }, { CKA_MODULUS_BITS, &bits, sizeof bits },
		{ CKA_PUBLIC_EXPONENT, f4, sizeof f4 } };
	CK_ATTRIBUTE got = { CKA_MODULUS, modulus, sizeof modulus };
	CK_OBJECT_HANDLE pub, priv;
	CK_SESSION_HANDLE h;

	(void)state;
	h = p11_start_so("p256");
	a[1].pValue = &few;
	assert_rv(C_GenerateKeyPair(h, &m, a, 3, NULL, 0, &pub, &priv), CKR_ATTRIBUTE_VALUE_INVALID);
	a[1].pValue = &bits;
	a[2].pValue = three;
	a[2].ulValueLen = sizeof three;
	assert_rv(C_GenerateKeyPair(h, &m, a, 3, NULL, 0, &pub, &priv), CKR_ATTRIBUTE_VALUE_INVALID);
	a[2].pValue = f4;
	a[2].ulValueLen = sizeof f4;
	assert_rv_ok(C_GenerateKeyPair(h, &m, a, 3, NULL, 0, &pub, &priv));
	assert_int_equal(p11_ulong(h, priv, CKA_KEY_TYPE), CKK_RSA); /* where there was an elliptic curve before */
	assert_int_equal(p11_ulong(h, pub, CKA_MODULUS_BITS), 2048);
	assert_rv_ok(C_GetAttributeValue(h, priv, &got, 1));
	assert_int_equal(got.ulValueLen, 256);
}

/* The key goes while an operation with it is under way in another session. */
static void
operations_end_with_their_key(void **state)
{
	CK_MECHANISM m = { CKM_ECDSA, NULL, 0 };
	CK_BYTE digest[32] = { 1 }, sig[64];
	CK_SESSION_HANDLE h, other;
	CK_OBJECT_HANDLE cert, pub;

	(void)state;
	h = p11_start_so("p256");
	other = p11_session(CKF_RW_SESSION);
	assert_int_not_equal(pub = p11_find(other, CKO_PUBLIC_KEY, 1), 0);
	assert_rv_ok(C_VerifyInit(other, &m, pub));
	cert = p11_find(h, CKO_CERTIFICATE, 1);
	assert_rv_ok(C_DestroyObject(h, cert));
	assert_rv(C_Verify(other, digest, sizeof digest, sig, sizeof sig), CKR_OPERATION_NOT_INITIALIZED);
	assert_rv(C_VerifyInit(other, &m, pub), CKR_KEY_HANDLE_INVALID);
	assert_rv(C_DestroyObject(h, cert), CKR_OBJECT_HANDLE_INVALID);
	assert_int_equal(p11_find(h, CKO_CERTIFICATE, 1), 0);
}

/* --- certificates and data --- */

static void
certificate_rules(void **state)
{
	CK_BYTE id = 3, junk[] = { 0x30, 0x03, 0x02, 0x01, 0x05 };
	CK_ATTRIBUTE t[] = { { CKA_CLASS, &class_cert, sizeof class_cert }, { CKA_TOKEN, &yes, 1 },
		{ CKA_VALUE, junk, sizeof junk }, { CKA_ID, &id, 1 } };
	CK_SESSION_HANDLE h;
	CK_OBJECT_HANDLE o;
	EVP_PKEY *key;

	(void)state;
	p11_start("p256");
	h = p11_session(CKF_RW_SESSION);
	key = p11_pubkey(h, 3);
	assert_rv(put_certificate(h, 3, key, &o), CKR_TOKEN_WRITE_PROTECTED);
	assert_rv_ok(p11_login(h, CKU_SO, ADMIN));
	assert_rv(C_CreateObject(h, t, 4, &o), CKR_ATTRIBUTE_VALUE_INVALID);
	assert_rv(C_CreateObject(h, t, 3, &o), CKR_TEMPLATE_INCOMPLETE);
	assert_rv_ok(put_certificate(h, 3, key, &o));
	assert_rv_ok(put_certificate(h, 5, key, &o)); /* a retired one */
	assert_int_equal(p11_find(h, CKO_CERTIFICATE, 5), o);
	EVP_PKEY_free(key);
}

/* Another program resets the card, and with it what the management key opened: said, not hidden. */
static void
so_login_ends_with_a_reset(void **state)
{
	CK_SESSION_HANDLE h;
	CK_OBJECT_HANDLE o;
	EVP_PKEY *key;

	(void)state;
	h = p11_start_so("p256");
	key = p11_pubkey(h, 3);
	vcard_reset(p11_inserted());
	assert_rv(put_certificate(h, 3, key, &o), CKR_USER_NOT_LOGGED_IN);
	assert_int_equal(state_of(h), CKS_RW_PUBLIC_SESSION);
	assert_rv_ok(p11_login(h, CKU_SO, ADMIN));
	assert_rv_ok(put_certificate(h, 3, key, &o));
	EVP_PKEY_free(key);
}

static void
logout_ends_it_on_the_card(void **state)
{
	static const uint8_t put[] = { 0x00, 0xDB, 0x3F, 0xFF, 0x07, 0x5C, 0x03, 0x5F, 0xC1, 0x09, 0x53, 0x00 };
	uint8_t rsp[VCARD_RESPONSE_MAX];
	CK_SESSION_HANDLE h;

	(void)state;
	h = p11_start_so("p256");
	assert_rv_ok(C_Logout(h));
	assert_int_equal(vcard_transmit(p11_inserted(), put, sizeof put, rsp, sizeof rsp), 2);
	assert_int_not_equal(rsp[0], 0x90);
}

static CK_RV
put_data(CK_SESSION_HANDLE h, const char *label, const char *value, CK_OBJECT_HANDLE *o)
{
	CK_ATTRIBUTE t[] = { { CKA_CLASS, &class_data, sizeof class_data }, { CKA_TOKEN, &yes, 1 },
		{ CKA_LABEL, (void *)(uintptr_t)label, strlen(label) },
		{ CKA_VALUE, (void *)(uintptr_t)value, strlen(value) } };

	return C_CreateObject(h, t, 4, o);
}

static void
data_objects(void **state)
{
	CK_BYTE value[100];
	CK_ATTRIBUTE v = { CKA_VALUE, value, sizeof value };
	CK_SESSION_HANDLE h;
	CK_ATTRIBUTE t[] = { { CKA_CLASS, &class_data, sizeof class_data },
		{ CKA_LABEL, (void *)(uintptr_t) "Printed Information", 19 } };
	CK_OBJECT_HANDLE o;
	CK_ULONG n = 0;

	(void)state;
	h = p11_start_so("p256");
	assert_rv(put_data(h, "Shopping list", "milk", &o), CKR_TEMPLATE_INCONSISTENT);
	assert_rv_ok(put_data(h, "Key History Object", "\xC1\x01\x02\xC2\x01\x01", &o));
	assert_rv_ok(C_GetAttributeValue(h, o, &v, 1));
	assert_int_equal(v.ulValueLen, 6);
	assert_memory_equal(value, "\xC1\x01\x02\xC2\x01\x01", 6);
	assert_rv_ok(put_data(h, "Printed Information", "\x01\x03Pat", &o));
	assert_rv(C_GetAttributeValue(h, o, &v, 1), CKR_OBJECT_HANDLE_INVALID); /* the user's, not the officer's */
	assert_rv_ok(C_Logout(h));
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
	assert_rv_ok(C_FindObjectsInit(h, t, 2));
	assert_rv_ok(C_FindObjects(h, &o, 1, &n));
	assert_int_equal(n, 1);
	assert_rv_ok(C_FindObjectsFinal(h));
	v.ulValueLen = sizeof value;
	assert_rv_ok(C_GetAttributeValue(h, o, &v, 1));
	assert_memory_equal(value, "\x01\x03Pat", 5);
}

static void
emptied_data_is_gone(void **state)
{
	CK_ATTRIBUTE t[] = { { CKA_CLASS, &class_data, sizeof class_data },
		{ CKA_LABEL, (void *)(uintptr_t) "Key History Object", 18 } };
	CK_OBJECT_HANDLE o;
	CK_SESSION_HANDLE h;

	(void)state;
	h = p11_start_so("p256");
	assert_rv_ok(put_data(h, "Key History Object", "\xC1\x01\x02\xC2\x01\x01", &o));
	assert_int_equal(p11_count(h, t, 2), 1);
	assert_rv_ok(C_DestroyObject(h, o));
	assert_int_equal(p11_count(h, t, 2), 0);
	assert_rv(C_DestroyObject(h, o), CKR_OBJECT_HANDLE_INVALID);
	assert_rv(C_DestroyObject(h, p11_find(h, CKO_PUBLIC_KEY, 1)), CKR_ACTION_PROHIBITED);
}

/* Key History admits to two retired certificates, of which there are none; there is another, further up. */
static void
wrong_history_is_not_believed(void **state)
{
	CK_ATTRIBUTE t = { CKA_CLASS, &class_cert, sizeof class_cert };
	CK_SESSION_HANDLE h;
	CK_OBJECT_HANDLE o;
	EVP_PKEY *key;

	(void)state;
	h = p11_start_so("p256");
	key = p11_pubkey(h, 3);
	assert_rv_ok(put_certificate(h, 14, key, &o));
	assert_rv_ok(put_data(h, "Key History Object", "\xC1\x01\x02\xC2\x01\x01", &o));
	assert_rv_ok(C_Finalize(NULL));
	assert_rv_ok(C_Initialize(NULL));
	h = p11_session(0);
	assert_int_equal(p11_count(h, &t, 1), 5);
	EVP_PKEY_free(key);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(so_login_rules, p11_teardown),
		cmocka_unit_test_teardown(pin_by_puk, p11_teardown),
		cmocka_unit_test_teardown(management_key_sets_no_pin, p11_teardown),
		cmocka_unit_test_teardown(puk_writes_nothing, p11_teardown),
		cmocka_unit_test_teardown(new_key_and_its_certificate, p11_teardown),
		cmocka_unit_test_teardown(key_generation_rules, p11_teardown),
		cmocka_unit_test_teardown(rsa_key, p11_teardown),
		cmocka_unit_test_teardown(operations_end_with_their_key, p11_teardown),
		cmocka_unit_test_teardown(certificate_rules, p11_teardown),
		cmocka_unit_test_teardown(so_login_ends_with_a_reset, p11_teardown),
		cmocka_unit_test_teardown(logout_ends_it_on_the_card, p11_teardown),
		cmocka_unit_test_teardown(data_objects, p11_teardown),
		cmocka_unit_test_teardown(emptied_data_is_gone, p11_teardown),
		cmocka_unit_test_teardown(wrong_history_is_not_believed, p11_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
