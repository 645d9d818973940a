/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PINs: what reaches the card, what token flags say, the last-try guard, change of PIN, logout.
 */
#include "tests/lib/p11_card.h"

#define PIN_FLAGS (CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_LOCKED)

static unsigned
tries(void)
{
	return (unsigned)vcard_tries(p11_inserted(), 0x80);
}

static unsigned long
verifies(void)
{
	return vcard_stats(p11_inserted())->per_ins[0x20];
}

static void
malformed_pins_never_reach_the_card(void **state)
{
	static const char *const bad[] = { "", "1", "12345", "123456789", "12345678901234567890", "12 456", "1234\n6" };
	CK_SESSION_HANDLE h;

	(void)state;
	p11_start("p256");
	h = p11_session(0);
	p11_apdus();
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_rv(p11_login(h, CKU_USER, bad[i]), CKR_PIN_INCORRECT);
	assert_rv(C_Login(h, CKU_USER, NULL, 0), CKR_ARGUMENTS_BAD);
	assert_rv(C_Login(h, CKU_USER, NULL, 6), CKR_ARGUMENTS_BAD);
	assert_apdus(0);
	/* Letters may be right on a derived application: the card edge looks at the application, not at the PIN. */
	assert_rv(p11_login(h, CKU_USER, "12345a"), CKR_PIN_INCORRECT);
	assert_int_equal(tries(), 3);
	assert_true(verifies() <= 1); /* the empty one, for the tries */
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
}

static void
login_states(void **state)
{
	CK_SESSION_HANDLE h, rw;
	CK_SESSION_INFO info;

	(void)state;
	p11_start("p256");
	h = p11_session(0);
	rw = p11_session(CKF_RW_SESSION);
	assert_rv(C_Logout(h), CKR_USER_NOT_LOGGED_IN);
	assert_rv(p11_login(h, 99, PIN), CKR_USER_TYPE_INVALID);
	assert_rv(p11_login(h, CKU_SO, PIN), CKR_SESSION_READ_ONLY_EXISTS);
	assert_rv_ok(C_GetSessionInfo(h, &info));
	assert_int_equal(info.state, CKS_RO_PUBLIC_SESSION);
	assert_int_equal(info.flags, CKF_SERIAL_SESSION);
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
	assert_rv(p11_login(rw, CKU_USER, PIN), CKR_USER_ALREADY_LOGGED_IN);
	assert_rv_ok(C_GetSessionInfo(h, &info));
	assert_int_equal(info.state, CKS_RO_USER_FUNCTIONS);
	assert_rv_ok(C_GetSessionInfo(rw, &info));
	assert_int_equal(info.state, CKS_RW_USER_FUNCTIONS);
	assert_true(vcard_verified(p11_inserted(), 0x80));
	assert_rv_ok(C_Logout(rw));
	assert_false(vcard_verified(p11_inserted(), 0x80));
	assert_rv_ok(C_GetSessionInfo(h, &info));
	assert_int_equal(info.state, CKS_RO_PUBLIC_SESSION);
}

static void
token_flags_follow_the_tries(void **state)
{
	CK_SESSION_HANDLE h;

	(void)state;
	p11_start("p256");
	h = p11_session(0);
	assert_int_equal(p11_token_flags() & PIN_FLAGS, 0);
	assert_rv(p11_login(h, CKU_USER, PIN_BAD), CKR_PIN_INCORRECT);
	assert_int_equal(p11_token_flags() & PIN_FLAGS, CKF_USER_PIN_COUNT_LOW);
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
	assert_int_equal(p11_token_flags() & PIN_FLAGS, 0);
	assert_rv_ok(C_Logout(h));
	assert_int_equal(p11_token_flags() & PIN_FLAGS, 0);
	assert_rv(p11_login(h, CKU_USER, PIN_BAD), CKR_PIN_INCORRECT);
	assert_rv(p11_login(h, CKU_USER, PIN_BAD), CKR_PIN_INCORRECT);
	assert_int_equal(p11_token_flags() & PIN_FLAGS, CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY);
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
	assert_int_equal(p11_token_flags() & PIN_FLAGS, 0);
	assert_int_equal(tries(), 3);
}

static void
the_last_try_is_guarded(void **state)
{
	CK_SESSION_HANDLE h;

	(void)state;
	p11_start("p256");
	h = p11_session(0);
	(void)p11_token_flags();
	assert_rv(p11_login(h, CKU_USER, PIN_BAD), CKR_PIN_INCORRECT);
	assert_rv(p11_login(h, CKU_USER, PIN_BAD), CKR_PIN_INCORRECT);
	/* one left, and nobody was told: not even the right PIN goes */
	assert_rv(p11_login(h, CKU_USER, PIN_BAD), CKR_FUNCTION_REJECTED);
	assert_rv(p11_login(h, CKU_USER, PIN), CKR_FUNCTION_REJECTED);
	assert_int_equal(tries(), 1);
	assert_true(p11_token_flags() & CKF_USER_PIN_FINAL_TRY);
	assert_rv(p11_login(h, CKU_USER, PIN_BAD), CKR_PIN_LOCKED);
	assert_int_equal(tries(), 0);
	assert_true(p11_token_flags() & CKF_USER_PIN_LOCKED);
	p11_apdus();
	assert_rv(p11_login(h, CKU_USER, PIN), CKR_PIN_LOCKED);
	assert_apdus(0);
}

static void
the_guard_asks_the_card_when_it_does_not_know(void **state)
{
	struct vcard *card = p11_card("p256", 0, false);
	static const uint8_t wrong[] = { 0, 0x20, 0, 0x80, 8, '9', '9', '9', '9', '9', '9', 0xFF, 0xFF };
	uint8_t rsp[300];
	CK_SESSION_HANDLE h;

	(void)state;
	vcard_transmit(card, wrong, sizeof wrong, rsp, sizeof rsp); /* somebody else's mistakes */
	vcard_transmit(card, wrong, sizeof wrong, rsp, sizeof rsp);
	assert_int_equal(vcard_tries(card, 0x80), 1);
	p11_start_with(card);
	h = p11_session(0);
	assert_rv(p11_login(h, CKU_USER, PIN_BAD), CKR_FUNCTION_REJECTED);
	assert_int_equal(vcard_tries(card, 0x80), 1);
	assert_true(p11_token_flags() & CKF_USER_PIN_FINAL_TRY);
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
}

static void
a_refused_pin_is_not_sent_again(void **state)
{
	CK_MECHANISM m = { CKM_ECDSA, NULL, 0 };
	CK_BYTE digest[32] = { 1 }, sig[64];
	CK_ULONG n = sizeof sig;
	CK_SESSION_HANDLE h;
	unsigned long before;
	CK_OBJECT_HANDLE key;

	(void)state;
	p11_start("p256");
	h = p11_session(0);
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
	key = p11_find(h, CKO_PRIVATE_KEY, 1);
	assert_rv_ok(C_Logout(h));
	assert_rv(p11_login(h, CKU_USER, PIN_BAD), CKR_PIN_INCORRECT);
	before = verifies();
	vreaders_reset(p11_readers(), 0);
	assert_rv(C_SignInit(h, &m, key), CKR_KEY_HANDLE_INVALID);
	assert_rv(C_Sign(h, digest, sizeof digest, sig, &n), CKR_OPERATION_NOT_INITIALIZED);
	assert_int_not_equal(p11_find(h, CKO_CERTIFICATE, 2), 0);
	assert_int_equal(verifies(), before);
}

static void
private_keys_only_after_login(void **state)
{
	CK_SESSION_HANDLE h;
	CK_OBJECT_HANDLE key;
	CK_ATTRIBUTE a = { CKA_LABEL, NULL, 0 };

	(void)state;
	p11_start("p256");
	h = p11_session(0);
	for (CK_BYTE id = 1; id <= 4; id++) {
		assert_int_not_equal(p11_find(h, CKO_CERTIFICATE, id), 0);
		assert_int_not_equal(p11_find(h, CKO_PUBLIC_KEY, id), 0);
		if (id < 4)
			assert_int_equal(p11_find(h, CKO_PRIVATE_KEY, id), 0);
	}
	key = p11_find(h, CKO_PRIVATE_KEY, 4); /* 9E needs no PIN */
	assert_int_not_equal(key, 0);
	assert_false(p11_bool(h, key, CKA_PRIVATE));
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
	assert_int_not_equal(key = p11_find(h, CKO_PRIVATE_KEY, 1), 0);
	assert_true(p11_bool(h, key, CKA_PRIVATE));
	assert_rv_ok(C_Logout(h));
	assert_rv(C_GetAttributeValue(h, key, &a, 1), CKR_OBJECT_HANDLE_INVALID);
	assert_int_equal(p11_find(h, CKO_PRIVATE_KEY, 1), 0);
}

static void
card_authentication_key_signs_without_login(void **state)
{
	CK_MECHANISM m = { CKM_ECDSA, NULL, 0 };
	CK_BYTE digest[32] = { 1 }, sig[64];
	CK_ULONG n = sizeof sig;
	CK_SESSION_HANDLE h;

	(void)state;
	p11_start("p256");
	h = p11_session(0);
	assert_rv_ok(C_SignInit(h, &m, p11_find(h, CKO_PRIVATE_KEY, 4)));
	assert_rv_ok(C_Sign(h, digest, sizeof digest, sig, &n));
}

static void
closing_the_last_session_logs_out(void **state)
{
	CK_SESSION_HANDLE a, b;

	(void)state;
	p11_start("p256");
	a = p11_session(0);
	b = p11_session(0);
	assert_rv_ok(p11_login(a, CKU_USER, PIN));
	assert_rv_ok(C_CloseSession(a));
	assert_true(vcard_verified(p11_inserted(), 0x80));
	assert_rv_ok(C_CloseSession(b));
	assert_false(vcard_verified(p11_inserted(), 0x80));
	a = p11_session(0);
	assert_int_equal(p11_find(a, CKO_PRIVATE_KEY, 1), 0);
}

static void
another_programs_login_is_not_ridden_on(void **state)
{
	struct vcard *card = p11_card("p256", 0, false);
	static const uint8_t good[] = { 0, 0x20, 0, 0x80, 8, '1', '2', '3', '4', '5', '6', 0xFF, 0xFF };
	uint8_t rsp[300];
	CK_SESSION_HANDLE h;

	(void)state;
	vcard_transmit(card, good, sizeof good, rsp, sizeof rsp);
	assert_true(vcard_verified(card, 0x80));
	p11_start_with(card);
	h = p11_session(0);
	assert_rv(p11_login(h, CKU_USER, ""), CKR_PIN_INCORRECT);
	assert_int_equal(p11_find(h, CKO_PRIVATE_KEY, 1), 0);
	assert_rv(p11_login(h, CKU_USER, PIN_BAD), CKR_PIN_INCORRECT);
}

static CK_RV
set_pin(CK_SESSION_HANDLE h, const char *old, const char *new_pin)
{
	CK_UTF8CHAR a[32], b[32];

	memcpy(a, old, strlen(old));
	memcpy(b, new_pin, strlen(new_pin));
	return C_SetPIN(h, a, strlen(old), b, strlen(new_pin));
}

static void
change_of_pin(void **state)
{
	CK_SESSION_HANDLE ro, h;

	(void)state;
	p11_start("p256");
	ro = p11_session(0);
	assert_rv(set_pin(ro, PIN, "11223344"), CKR_SESSION_READ_ONLY);
	h = p11_session(CKF_RW_SESSION);
	assert_rv(set_pin(h, PIN, "123"), CKR_PIN_LEN_RANGE);
	assert_rv(set_pin(h, PIN, "123456789"), CKR_PIN_LEN_RANGE);
	assert_rv(set_pin(h, PIN, "12 456"), CKR_PIN_INVALID);
	assert_rv(set_pin(h, PIN_BAD, "11223344"), CKR_PIN_INCORRECT);
	assert_int_equal(tries(), 2);
	assert_rv_ok(set_pin(h, PIN, "11223344"));
	assert_rv(p11_login(h, CKU_USER, PIN), CKR_PIN_INCORRECT);
	assert_rv_ok(p11_login(h, CKU_USER, "11223344"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(malformed_pins_never_reach_the_card, p11_teardown),
		cmocka_unit_test_teardown(login_states, p11_teardown),
		cmocka_unit_test_teardown(token_flags_follow_the_tries, p11_teardown),
		cmocka_unit_test_teardown(the_last_try_is_guarded, p11_teardown),
		cmocka_unit_test_teardown(the_guard_asks_the_card_when_it_does_not_know, p11_teardown),
		cmocka_unit_test_teardown(a_refused_pin_is_not_sent_again, p11_teardown),
		cmocka_unit_test_teardown(private_keys_only_after_login, p11_teardown),
		cmocka_unit_test_teardown(card_authentication_key_signs_without_login, p11_teardown),
		cmocka_unit_test_teardown(closing_the_last_session_logs_out, p11_teardown),
		cmocka_unit_test_teardown(another_programs_login_is_not_ridden_on, p11_teardown),
		cmocka_unit_test_teardown(change_of_pin, p11_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
