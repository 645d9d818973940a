/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the module asks of a card, in APDUs. The floor of a cold 9A signature in a program that knows nothing yet, token
 * information included, is CHUID, Discovery, tries, certificate, VERIFY and the operation.
 */
#include "tests/lib/p11_card.h"

/* Chunks of 256 bytes that a certificate takes. */
static unsigned
cert_apdus(CK_SESSION_HANDLE h, CK_BYTE id)
{
	CK_ATTRIBUTE a = { CKA_VALUE, NULL, 0 };

	assert_rv_ok(C_GetAttributeValue(h, p11_find(h, CKO_CERTIFICATE, id), &a, 1));
	/* 53 82 LL LL 70 82 LL LL ... 71 01 00 FE 00 */
	return (unsigned)((a.ulValueLen + 13 + 255) / 256);
}

static CK_SESSION_HANDLE
cold_until_login(void)
{
	CK_SLOT_ID slots[4];
	CK_ULONG n = 0;
	CK_TOKEN_INFO info;
	CK_SESSION_HANDLE h;

	assert_rv_ok(C_GetSlotList(CK_TRUE, NULL, &n));
	assert_int_equal(n, 1);
	assert_rv_ok(C_GetSlotList(CK_TRUE, slots, &n));
	assert_rv_ok(C_GetTokenInfo(slots[0], &info));
	h = p11_session(0);
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
	return h;
}

static void
sign_one(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE key, CK_MECHANISM_TYPE type)
{
	CK_MECHANISM m = { type, NULL, 0 };
	CK_BYTE digest[32] = { 1, 2, 3 }, sig[256];
	CK_ULONG n = sizeof sig;

	assert_rv_ok(C_SignInit(h, &m, key));
	assert_rv_ok(C_Sign(h, digest, sizeof digest, sig, &n));
}

static void
cold(const char *alg, CK_MECHANISM_TYPE type, unsigned operation, unsigned budget)
{
	CK_SESSION_HANDLE h;
	CK_OBJECT_HANDLE key;
	unsigned total, cert;

	p11_start(alg);
	h = cold_until_login();
	assert_int_not_equal(key = p11_find(h, CKO_PRIVATE_KEY, 1), 0);
	sign_one(h, key, type);
	total = p11_apdus();
	cert = cert_apdus(h, 1);
	assert_apdus(0);
	print_message("cold 9A signature, %s: %u APDUs, %u of them for the certificate\n", alg, total, cert);
	assert_int_equal(total, 1 + 1 + 1 + cert + 1 + operation);
	/* The budget is for certificates of 1.14 kB (RSA) and 0.94 kB (P-256); the test card's may be larger. */
	assert_true(total - cert + (operation == 3 ? 5 : 4) <= budget);
	for (int i = 0; i < 3; i++) {
		sign_one(h, key, type);
		assert_apdus(operation);
	}
}

static void
cold_signature_rsa(void **state)
{
	(void)state;
	cold("rsa2048", CKM_RSA_PKCS, 3, 12);
}

static void
cold_signature_p256(void **state)
{
	(void)state;
	cold("p256", CKM_ECDSA, 1, 9);
}

static void
initialising_talks_to_no_card(void **state)
{
	CK_SLOT_INFO info;
	CK_ULONG n = 0;

	(void)state;
	p11_start("p256");
	assert_rv_ok(C_GetSlotList(CK_FALSE, NULL, &n));
	assert_rv_ok(C_GetSlotInfo(0, &info));
	assert_true(info.flags & CKF_TOKEN_PRESENT);
	assert_apdus(0);
}

static void
context_login_costs_one_verify(void **state)
{
	CK_MECHANISM m = { CKM_ECDSA, NULL, 0 };
	CK_BYTE digest[32] = { 7 }, sig[64];
	CK_ULONG n = sizeof sig;
	CK_SESSION_HANDLE h;
	CK_OBJECT_HANDLE key;

	(void)state;
	p11_start("p256");
	h = cold_until_login();
	assert_int_not_equal(key = p11_find(h, CKO_PRIVATE_KEY, 2), 0);
	p11_apdus();
	for (int i = 0; i < 2; i++) {
		n = sizeof sig;
		assert_rv_ok(C_SignInit(h, &m, key));
		assert_rv_ok(p11_login(h, CKU_CONTEXT_SPECIFIC, PIN));
		assert_apdus(0); /* the PIN that is kept: only deposited */
		assert_rv_ok(C_Sign(h, digest, sizeof digest, sig, &n));
		assert_apdus(2); /* VERIFY, GENERAL AUTHENTICATE */
	}
}

static void
searches_read_what_they_need(void **state)
{
	CK_OBJECT_CLASS profile = CKO_PROFILE, trust = 0xCE534353UL, cert = CKO_CERTIFICATE, priv = CKO_PRIVATE_KEY;
	CK_ATTRIBUTE t[] = { { CKA_CLASS, &profile, sizeof profile } };
	CK_SESSION_HANDLE h;
	unsigned one, all;

	(void)state;
	p11_start("p256");
	h = p11_session(0);
	assert_apdus(1);
	assert_int_equal(p11_count(h, t, 1), 4);
	t[0].pValue = &trust;
	assert_int_equal(p11_count(h, t, 1), 0);
	assert_apdus(0);
	assert_int_not_equal(p11_find(h, CKO_CERTIFICATE, 3), 0);
	one = p11_apdus();
	assert_int_equal(one, cert_apdus(h, 3));
	assert_int_not_equal(p11_find(h, CKO_PUBLIC_KEY, 3), 0);
	assert_apdus(0);
	t[0].pValue = &priv; /* without login: only 9E can be it */
	assert_int_equal(p11_count(h, t, 1), 1);
	assert_int_equal(p11_apdus(), cert_apdus(h, 4));
	t[0].pValue = &cert;
	assert_int_equal(p11_count(h, t, 1), 4);
	all = p11_apdus();
	/* 9A, 9C, and all twenty retired ones, beside what Key History says of them */
	assert_int_equal(all, cert_apdus(h, 1) + cert_apdus(h, 2) + 1 + 20);
	assert_int_equal(p11_count(h, t, 1), 4);
	assert_apdus(0);
	print_message("all objects, P-256: %u APDUs\n", 1 + one + all + cert_apdus(h, 4));
}

static void
lengths_and_attributes_cost_nothing(void **state)
{
	CK_BYTE digest[32] = { 1 };
	CK_ULONG n = 0;
	CK_SESSION_HANDLE h;
	CK_OBJECT_HANDLE key;

	(void)state;
	p11_start("rsa2048");
	h = p11_ready(CKM_RSA_PKCS);
	key = p11_find(h, CKO_PRIVATE_KEY, 1);
	p11_apdus();
	assert_rv_ok(C_Sign(h, digest, sizeof digest, NULL, &n));
	assert_int_equal(n, 256);
	assert_false(p11_bool(h, key, CKA_ALWAYS_AUTHENTICATE));
	assert_int_equal(p11_ulong(h, key, CKA_KEY_TYPE), CKK_RSA);
	(void)p11_token_flags();
	(void)p11_token_flags();
	assert_apdus(0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(cold_signature_rsa, p11_teardown),
		cmocka_unit_test_teardown(cold_signature_p256, p11_teardown),
		cmocka_unit_test_teardown(initialising_talks_to_no_card, p11_teardown),
		cmocka_unit_test_teardown(context_login_costs_one_verify, p11_teardown),
		cmocka_unit_test_teardown(searches_read_what_they_need, p11_teardown),
		cmocka_unit_test_teardown(lengths_and_attributes_cost_nothing, p11_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
