/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A PIV application and a derived one on one card: two slots, with keys, PINs and logins of their own, whoever of them
 * the card has selected.
 */
#include <pthread.h>
#include <stdio.h>

#include "tests/lib/p11_card.h"

#define SECOND	   0x800
#define SECOND_PIN "abc123" /* letters: no PIV PIN */

static char *both_json;

/* A fresh card with both; the derived application's PIN is another one. */
static struct vcard *
both(void)
{
	struct vcard_spec spec = { .alg = "p256", .with_derived = true };
	char why[VCARD_WHY], *pin;
	struct vcard *card;

	if (both_json == NULL) {
		if ((card = vcard_make(&spec, why)) == NULL)
			fail_msg("vcard_make: %s", why);
		both_json = vcard_to_json(card);
		vcard_free(card);
		assert_non_null(pin = strstr(strstr(both_json, "\"second\""), "\"123456\""));
		memcpy(pin + 1, SECOND_PIN, 6);
	}
	if ((card = vcard_from_json(both_json, why)) == NULL)
		fail_msg("vcard_from_json: %s", why);
	return card;
}

static CK_SESSION_HANDLE
session_on(CK_SLOT_ID slot)
{
	CK_SESSION_HANDLE h = 0;

	assert_rv_ok(C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &h));
	return h;
}

static CK_RV
sign(CK_SESSION_HANDLE h, CK_BYTE id, CK_BYTE sig[64])
{
	CK_MECHANISM m = { CKM_ECDSA, NULL, 0 };
	CK_BYTE digest[32] = { 9 };
	CK_ULONG n = 64;
	CK_RV rv = C_SignInit(h, &m, p11_find(h, CKO_PRIVATE_KEY, id));

	return rv == CKR_OK ? C_Sign(h, digest, sizeof digest, sig, &n) : rv;
}

/* The signature is by the key of this session's own certificate. */
static void
assert_signs(CK_SESSION_HANDLE h)
{
	CK_MECHANISM m = { CKM_ECDSA, NULL, 0 };
	CK_BYTE digest[32] = { 9 }, sig[64];

	assert_rv_ok(sign(h, 1, sig));
	assert_rv_ok(C_VerifyInit(h, &m, p11_find(h, CKO_PUBLIC_KEY, 1)));
	assert_rv_ok(C_Verify(h, digest, sizeof digest, sig, sizeof sig));
}

static bool
present(CK_SLOT_ID slot)
{
	CK_SLOT_INFO info;

	assert_rv_ok(C_GetSlotInfo(slot, &info));
	return (info.flags & CKF_TOKEN_PRESENT) != 0;
}

static CK_ULONG
tokens(void)
{
	CK_ULONG n = 0;

	assert_rv_ok(C_GetSlotList(CK_TRUE, NULL, &n));
	return n;
}

static void
two_slots_two_tokens(void **state)
{
	CK_TOKEN_INFO a, b;
	CK_SESSION_HANDLE h, k;
	EVP_PKEY *x, *y;

	(void)state;
	p11_start_with(both());
	assert_int_equal(tokens(), 1); /* nobody has asked */
	assert_true(present(0));
	assert_apdus(0);
	assert_true(present(SECOND));
	assert_int_equal(tokens(), 2);
	assert_rv_ok(C_GetTokenInfo(0, &a));
	assert_rv_ok(C_GetTokenInfo(SECOND, &b));
	assert_memory_equal(a.label, "PIV 0032-", 9);
	assert_memory_equal(b.label, "Derived PIV ", 12);
	assert_memory_equal(b.model, "Derived PIV ", 12);
	h = session_on(0);
	k = session_on(SECOND);
	x = p11_pubkey(h, 1);
	y = p11_pubkey(k, 1);
	assert_int_equal(EVP_PKEY_eq(x, y), 0);
	EVP_PKEY_free(x);
	EVP_PKEY_free(y);
}

static void
a_card_without_one_costs_one_command(void **state)
{
	CK_TOKEN_INFO info;

	(void)state;
	p11_start("p256");
	assert_false(present(SECOND));
	assert_apdus(1);
	assert_false(present(SECOND));
	assert_rv(C_GetTokenInfo(SECOND, &info), CKR_TOKEN_NOT_PRESENT);
	assert_apdus(0);
	assert_int_equal(tokens(), 1);
}

static void
looking_does_not_log_out(void **state)
{
	CK_BYTE sig[64];
	CK_SESSION_HANDLE h;

	(void)state;
	p11_start("p256");
	h = session_on(0);
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
	assert_false(present(SECOND));
	assert_true(vcard_verified(p11_inserted(), 0x80));
	assert_rv_ok(sign(h, 1, sig));
}

static void
a_derived_card_is_in_the_readers_slot(void **state)
{
	struct vcard_spec spec = { .alg = "p256", .derived = true };
	char why[VCARD_WHY];
	CK_TOKEN_INFO info;

	(void)state;
	p11_start_with(vcard_make(&spec, why));
	assert_false(present(SECOND));
	assert_rv_ok(C_GetTokenInfo(0, &info));
	assert_memory_equal(info.label, "Derived PIV ", 12);
	assert_false(present(SECOND));
}

static void
alternating(void **state)
{
	CK_SESSION_HANDLE h, k;
	CK_BYTE sig[64];

	(void)state;
	p11_start_with(both());
	h = session_on(0);
	k = session_on(SECOND);
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
	assert_rv(sign(k, 1, sig), CKR_KEY_HANDLE_INVALID); /* that login is not this one's */
	assert_rv_ok(p11_login(k, CKU_USER, SECOND_PIN));
	for (int i = 0; i < 5; i++) {
		assert_signs(h);
		assert_signs(k);
		assert_signs(k);
		if (i == 2)
			vreaders_reset(p11_readers(), 0);
		if (i == 3)
			vreaders_foreign(p11_readers(), 0);
	}
	assert_int_equal(vcard_tries(p11_inserted(), 0x80), 3);
	assert_int_equal(vcard_tries(vcard_second(p11_inserted()), 0x80), 3);
	assert_rv_ok(C_Logout(k));
	assert_signs(h);
	assert_rv(sign(k, 1, sig), CKR_KEY_HANDLE_INVALID);
}

static void
pins_are_separate(void **state)
{
	CK_UTF8CHAR old[] = SECOND_PIN, new_pin[] = "xyz987";
	CK_SESSION_HANDLE h, k;

	(void)state;
	p11_start_with(both());
	h = session_on(0);
	k = session_on(SECOND);
	assert_rv(p11_login(k, CKU_USER, PIN), CKR_PIN_INCORRECT);
	assert_int_equal(vcard_tries(p11_inserted(), 0x80), 3);
	assert_int_equal(vcard_tries(vcard_second(p11_inserted()), 0x80), 2);
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
	assert_rv_ok(C_SetPIN(k, old, 6, new_pin, 6));
	assert_rv_ok(p11_login(k, CKU_USER, "xyz987"));
	assert_signs(h);
	assert_signs(k);
}

static void
other_programs_find_the_piv_application(void **state)
{
	static const uint8_t discovery[] = { 0x00, 0xCB, 0x3F, 0xFF, 0x03, 0x5C, 0x01, 0x7E, 0x00 };
	uint8_t rsp[VCARD_RESPONSE_MAX];
	CK_SESSION_HANDLE k;
	size_t n;

	(void)state;
	p11_start_with(both());
	k = session_on(SECOND);
	assert_rv_ok(p11_login(k, CKU_USER, SECOND_PIN));
	assert_signs(k);
	n = vcard_transmit(p11_inserted(), discovery, sizeof discovery, rsp, sizeof rsp);
	assert_true(n > 17);
	assert_memory_equal(rsp + 4, "\xA0\x00\x00\x03\x08\x00\x00\x10\x00", 9);
	assert_false(vcard_verified(vcard_second(p11_inserted()), 0x80));
}

static void
the_security_officer_stays(void **state)
{
	CK_BYTE id = 1, params[] = { 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07 };
	CK_ATTRIBUTE pub[] = { { CKA_EC_PARAMS, params, sizeof params }, { CKA_ID, &id, 1 } };
	CK_ATTRIBUTE priv[] = { { CKA_ID, &id, 1 } };
	CK_MECHANISM m = { CKM_EC_KEY_PAIR_GEN, NULL, 0 };
	CK_OBJECT_HANDLE a, b;
	CK_SESSION_HANDLE h, k;
	EVP_PKEY *x, *y;

	(void)state;
	p11_start_with(both());
	h = session_on(0);
	x = p11_pubkey(h, 1);
	k = session_on(SECOND);
	assert_rv_ok(p11_login(k, CKU_SO, "010203040506070801020304050607080102030405060708"));
	assert_rv_ok(C_GenerateKeyPair(k, &m, pub, 2, priv, 1, &a, &b));
	assert_rv_ok(C_Logout(k));
	y = p11_pubkey(h, 1);
	assert_int_equal(EVP_PKEY_eq(x, y), 1);
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
	assert_signs(h);
	EVP_PKEY_free(x);
	EVP_PKEY_free(y);
}

static void
pulled_and_put_back(void **state)
{
	CK_SESSION_HANDLE h, k;

	(void)state;
	p11_start_with(both());
	h = session_on(0);
	k = session_on(SECOND);
	assert_rv_ok(p11_login(k, CKU_USER, SECOND_PIN));
	vreaders_remove(p11_readers(), 0);
	assert_false(present(SECOND));
	assert_rv(C_FindObjectsInit(k, NULL, 0), CKR_DEVICE_REMOVED);
	assert_int_equal(tokens(), 0);
	vreaders_insert(p11_readers(), 0, NULL);
	assert_rv_ok(p11_login(k, CKU_USER, SECOND_PIN));
	assert_signs(k);
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
	assert_signs(h);
	assert_int_equal(tokens(), 2);
}

/* Another card with both: no session of the former one goes on. */
static void
swapped(void **state)
{
	struct vcard_spec spec = { .alg = "p256", .with_derived = true };
	char why[VCARD_WHY];
	CK_SESSION_HANDLE k;
	CK_SESSION_INFO info;

	(void)state;
	p11_start_with(both());
	k = session_on(SECOND);
	p11_swap(vcard_make(&spec, why));
	assert_rv(p11_login(k, CKU_USER, SECOND_PIN), CKR_DEVICE_REMOVED);
	assert_rv(p11_login(k, CKU_USER, SECOND_PIN), CKR_SESSION_HANDLE_INVALID);
	assert_rv(C_GetSessionInfo(k, &info), CKR_SESSION_HANDLE_INVALID);
	assert_int_equal(vcard_tries(vcard_second(p11_inserted()), 0x80), 3);
}

static void
events(void **state)
{
	CK_SLOT_ID slot = 99;

	(void)state;
	p11_start_with(both());
	assert_rv(C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, NULL), CKR_NO_EVENT);
	assert_true(present(SECOND));
	assert_rv_ok(C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, NULL)); /* it turned out to be there */
	assert_int_equal(slot, SECOND);
	vreaders_remove(p11_readers(), 0);
	assert_rv_ok(C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, NULL));
	assert_int_equal(slot, 0);
	assert_rv_ok(C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, NULL));
	assert_int_equal(slot, SECOND);
	vreaders_insert(p11_readers(), 0, NULL);
	assert_rv_ok(C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, NULL));
	assert_int_equal(slot, 0);
	assert_rv(C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, NULL), CKR_NO_EVENT);
}

struct worker {
	CK_SESSION_HANDLE h;
	int failures;
};

static void *
work(void *arg)
{
	struct worker *w = arg;
	CK_MECHANISM m = { CKM_ECDSA, NULL, 0 };
	CK_BYTE digest[32] = { 9 }, sig[64];
	CK_OBJECT_HANDLE priv = p11_find(w->h, CKO_PRIVATE_KEY, 1), pub = p11_find(w->h, CKO_PUBLIC_KEY, 1);

	for (int i = 0; i < 40; i++) {
		CK_ULONG n = sizeof sig;

		if (C_SignInit(w->h, &m, priv) != CKR_OK || C_Sign(w->h, digest, 32, sig, &n) != CKR_OK ||
		    C_VerifyInit(w->h, &m, pub) != CKR_OK || C_Verify(w->h, digest, 32, sig, n) != CKR_OK)
			w->failures++;
	}
	return NULL;
}

static void
threads_on_both(void **state)
{
	struct worker w[4] = { { 0 } };
	pthread_t t[4];

	(void)state;
	p11_start_with(both());
	vreaders_patience(p11_readers(), 5000);
	for (int i = 0; i < 4; i++)
		w[i].h = session_on(i % 2 ? SECOND : 0);
	assert_rv_ok(p11_login(w[0].h, CKU_USER, PIN));
	assert_rv_ok(p11_login(w[1].h, CKU_USER, SECOND_PIN));
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, work, &w[i]), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_join(t[i], NULL), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(w[i].failures, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(two_slots_two_tokens, p11_teardown),
		cmocka_unit_test_teardown(a_card_without_one_costs_one_command, p11_teardown),
		cmocka_unit_test_teardown(looking_does_not_log_out, p11_teardown),
		cmocka_unit_test_teardown(a_derived_card_is_in_the_readers_slot, p11_teardown),
		cmocka_unit_test_teardown(alternating, p11_teardown),
		cmocka_unit_test_teardown(pins_are_separate, p11_teardown),
		cmocka_unit_test_teardown(other_programs_find_the_piv_application, p11_teardown),
		cmocka_unit_test_teardown(the_security_officer_stays, p11_teardown),
		cmocka_unit_test_teardown(pulled_and_put_back, p11_teardown),
		cmocka_unit_test_teardown(swapped, p11_teardown),
		cmocka_unit_test_teardown(events, p11_teardown),
		cmocka_unit_test_teardown(threads_on_both, p11_teardown),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	free(both_json);
	return failed;
}
