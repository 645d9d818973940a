/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One prompt a signature: a PIN that was just entered by C_Login is one for the operation of a PIN-always key that asks
 * for it, and for nothing else. And what becomes of PINs that are not the card's any more.
 */
#include <unistd.h>

#include "pkcs11/p11.h"
#include "tests/lib/p11_card.h"

static int64_t now_ms = 1000000;

static int64_t
test_clock(void)
{
	return now_ms;
}

static unsigned long
verifies(void)
{
	return vcard_stats(p11_inserted())->per_ins[0x20];
}

static unsigned
tries(void)
{
	return (unsigned)vcard_tries(p11_inserted(), 0x80);
}

static CK_RV
sign_init(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE key)
{
	CK_MECHANISM m = { CKM_ECDSA, NULL, 0 };

	return C_SignInit(h, &m, key);
}

static CK_RV
sign_end(CK_SESSION_HANDLE h)
{
	CK_BYTE digest[32] = { 9 }, sig[64];
	CK_ULONG n = sizeof sig;

	return C_Sign(h, digest, sizeof digest, sig, &n);
}

static CK_OBJECT_HANDLE
find_9c(CK_SESSION_HANDLE h)
{
	CK_OBJECT_HANDLE key = p11_find(h, CKO_PRIVATE_KEY, 2);

	assert_int_not_equal(key, 0);
	return key;
}

/* Logged in, 9C's private key found. */
static CK_OBJECT_HANDLE
start_9c(CK_SESSION_HANDLE *h)
{
	p11_clock_override(test_clock);
	p11_start("p256");
	*h = p11_session(0);
	assert_rv_ok(p11_login(*h, CKU_USER, PIN));
	return find_9c(*h);
}

static int
teardown(void **state)
{
	p11_clock_override(NULL);
	unsetenv("DPIV_CONF");
	return p11_teardown(state);
}

static bool
always(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE key)
{
	return p11_bool(h, key, CKA_ALWAYS_AUTHENTICATE);
}

/* --- NSS, OpenSSH, pkcs11-tool --- */

static void
the_login_is_for_one_signature(void **state)
{
	CK_SESSION_HANDLE h, fresh;
	CK_OBJECT_HANDLE key;
	unsigned long before;

	(void)state;
	key = start_9c(&h);
	assert_true(always(h, key)); /* no operation, no promise */
	fresh = p11_session(0);
	assert_rv_ok(sign_init(fresh, key));
	before = verifies();
	assert_false(always(fresh, key));
	assert_false(always(fresh, key)); /* asked twice, told the same */
	assert_rv_ok(sign_end(fresh));
	assert_int_equal(verifies(), before + 1); /* with the operation */
	/* the second one wants its own */
	assert_rv_ok(sign_init(fresh, key));
	assert_true(always(fresh, key));
	assert_rv(sign_end(fresh), CKR_USER_NOT_LOGGED_IN);
	assert_rv_ok(p11_login(fresh, CKU_CONTEXT_SPECIFIC, PIN));
	assert_rv_ok(sign_end(fresh));
}

/* NSS signs in a session of its own, and asks in another. With two signatures under way nobody knows whose it is. */
static void
nss_asks_in_another_session(void **state)
{
	CK_SESSION_HANDLE h, one, two;
	CK_OBJECT_HANDLE key;

	(void)state;
	key = start_9c(&h);
	one = p11_session(0);
	two = p11_session(0);
	assert_rv_ok(sign_init(one, key));
	assert_rv_ok(sign_init(two, key));
	assert_true(always(h, key));
	assert_rv_ok(C_CloseSession(two));
	assert_false(always(h, key));
	assert_rv_ok(sign_end(one));
	assert_rv_ok(sign_init(one, key));
	assert_true(always(h, key));
	assert_rv(sign_end(one), CKR_USER_NOT_LOGGED_IN);
}

static void
who_does_not_ask_gets_nothing(void **state)
{
	CK_SESSION_HANDLE h;
	CK_OBJECT_HANDLE key;

	(void)state;
	key = start_9c(&h);
	assert_true(always(h, key));
	assert_rv_ok(sign_init(h, key));
	assert_rv(sign_end(h), CKR_USER_NOT_LOGGED_IN);
}

static void
a_question_for_the_length_promises_nothing(void **state)
{
	CK_ATTRIBUTE a = { CKA_ALWAYS_AUTHENTICATE, NULL, 0 };
	CK_SESSION_HANDLE h;
	CK_OBJECT_HANDLE key;

	(void)state;
	key = start_9c(&h);
	assert_rv_ok(sign_init(h, key));
	assert_rv_ok(C_GetAttributeValue(h, key, &a, 1));
	assert_int_equal(a.ulValueLen, 1);
	assert_rv(sign_end(h), CKR_USER_NOT_LOGGED_IN);
}

static void
a_promise_is_for_its_operation_only(void **state)
{
	CK_SESSION_HANDLE h, other;
	CK_OBJECT_HANDLE key;

	(void)state;
	key = start_9c(&h);
	other = p11_session(0);
	assert_rv_ok(sign_init(h, key));
	assert_rv_ok(sign_init(other, key));
	assert_false(always(h, key));
	assert_true(always(other, key));
	assert_rv(sign_end(other), CKR_USER_NOT_LOGGED_IN);
	assert_rv_ok(C_CloseSession(h)); /* and dies with it */
	assert_true(always(other, key));
	assert_rv(sign_end(other), CKR_USER_NOT_LOGGED_IN);
}

static void
after_ten_seconds_it_is_stale(void **state)
{
	CK_SESSION_HANDLE h;
	CK_OBJECT_HANDLE key;

	(void)state;
	key = start_9c(&h);
	now_ms += 10000;
	assert_rv_ok(sign_init(h, key));
	now_ms += 1;
	assert_true(always(h, key));
	assert_rv(sign_end(h), CKR_USER_NOT_LOGGED_IN);
	assert_rv_ok(p11_login(h, CKU_CONTEXT_SPECIFIC, PIN));
	assert_rv_ok(sign_end(h));
}

/* It was entered for the authentication key, so it is spent. */
static void
another_keys_use_spends_it(void **state)
{
	CK_SESSION_HANDLE h;
	CK_OBJECT_HANDLE key;

	(void)state;
	key = start_9c(&h);
	assert_rv_ok(sign_init(h, p11_find(h, CKO_PRIVATE_KEY, 4))); /* 9E needs no PIN, and does not */
	assert_rv_ok(sign_end(h));
	assert_rv_ok(sign_init(h, key));
	assert_false(always(h, key));
	assert_rv_ok(C_Logout(h));
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
	assert_rv_ok(sign_init(h, p11_find(h, CKO_PRIVATE_KEY, 1)));
	assert_rv_ok(sign_end(h));
	assert_rv_ok(sign_init(h, key = find_9c(h)));
	assert_true(always(h, key));
}

static void
a_context_login_takes_its_place(void **state)
{
	CK_SESSION_HANDLE h;
	CK_OBJECT_HANDLE key;

	(void)state;
	key = start_9c(&h);
	assert_rv_ok(sign_init(h, key));
	assert_false(always(h, key));
	assert_rv(p11_login(h, CKU_CONTEXT_SPECIFIC, PIN_BAD), CKR_PIN_INCORRECT);
	assert_rv(sign_end(h), CKR_USER_NOT_LOGGED_IN); /* refused: nothing is left of the promise */
	assert_rv_ok(p11_login(h, CKU_CONTEXT_SPECIFIC, PIN));
	assert_rv_ok(sign_end(h));
	assert_int_equal(tries(), 3);
}

static void
without_a_kept_pin_there_is_no_promise(void **state)
{
	char path[] = "/tmp/dpiv-test-conf.XXXXXX";
	CK_SESSION_HANDLE h;
	CK_OBJECT_HANDLE key;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_true(write(fd, "[module]\nkeep_pin = no\n", 23) == 23);
	close(fd);
	setenv("DPIV_CONF", path, 1);
	key = start_9c(&h);
	unlink(path);
	assert_rv_ok(sign_init(h, key));
	assert_true(always(h, key));
	assert_rv(sign_end(h), CKR_USER_NOT_LOGGED_IN);
}

/* --- pkcs11-helper: gnupg-pkcs11-scd, OpenVPN --- */

/* Its template, read in two calls; what it was told. */
static bool
helper_asks(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE key)
{
	static const CK_ATTRIBUTE_TYPE types[] = { CKA_SIGN, CKA_SIGN_RECOVER, CKA_DECRYPT, CKA_UNWRAP,
		CKA_ALWAYS_AUTHENTICATE, CKA_LABEL };
	CK_BYTE value[6][64];
	CK_ATTRIBUTE t[6];

	for (int i = 0; i < 6; i++)
		t[i] = (CK_ATTRIBUTE){ types[i], NULL, 0 };
	assert_rv_ok(C_GetAttributeValue(h, key, t, 6));
	for (int i = 0; i < 6; i++)
		t[i].pValue = value[i];
	assert_rv_ok(C_GetAttributeValue(h, key, t, 6));
	return value[4][0] != CK_FALSE;
}

static void
pkcs11_helper_is_promised_the_next_signature(void **state)
{
	CK_SESSION_HANDLE h, other;
	CK_OBJECT_HANDLE key;

	(void)state;
	key = start_9c(&h);
	other = p11_session(0);
	assert_false(helper_asks(h, key));
	assert_rv_ok(sign_init(other, key)); /* somebody else's is not meant */
	assert_rv(sign_end(other), CKR_USER_NOT_LOGGED_IN);
	assert_rv_ok(sign_init(h, key));
	assert_rv_ok(sign_end(h));
	/* asked again for the second one: the truth */
	assert_true(helper_asks(h, key));
	assert_rv_ok(sign_init(h, key));
	assert_rv(sign_end(h), CKR_USER_NOT_LOGGED_IN);
}

/* OpenVPN asks once; its later signatures fail, it logs in anew and is served. */
static void
a_told_program_may_log_in_again(void **state)
{
	CK_SESSION_HANDLE h;
	CK_OBJECT_HANDLE key;

	(void)state;
	key = start_9c(&h);
	assert_false(helper_asks(h, key));
	assert_rv_ok(sign_init(h, key));
	assert_rv_ok(sign_end(h));
	assert_rv_ok(sign_init(h, key));
	assert_rv(sign_end(h), CKR_USER_NOT_LOGGED_IN);
	assert_rv_ok(C_Logout(h));
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
	assert_rv_ok(sign_init(h, find_9c(h)));
	assert_rv_ok(sign_end(h));
}

static void
its_promise_ages_too(void **state)
{
	CK_SESSION_HANDLE h;
	CK_OBJECT_HANDLE key;

	(void)state;
	key = start_9c(&h);
	assert_false(helper_asks(h, key));
	now_ms += 10001;
	assert_rv_ok(sign_init(h, key));
	assert_rv(sign_end(h), CKR_USER_NOT_LOGGED_IN);
}

/* --- PINs that others changed or used up --- */

/* VERIFY or CHANGE REFERENCE DATA by another program. */
static void
other_program(CK_BYTE ins, const char *pin, const char *new_pin)
{
	uint8_t cmd[5 + 16] = { 0, ins, 0, 0x80, new_pin != NULL ? 16 : 8 }, rsp[300];

	memset(cmd + 5, 0xFF, 16);
	memcpy(cmd + 5, pin, strlen(pin));
	if (new_pin != NULL)
		memcpy(cmd + 13, new_pin, strlen(new_pin));
	vcard_transmit(p11_inserted(), cmd, (size_t)5 + cmd[4], rsp, sizeof rsp);
}

static void
a_refused_pin_is_forgotten_everywhere(void **state)
{
	CK_SESSION_HANDLE h, other;
	CK_OBJECT_HANDLE key;

	(void)state;
	key = start_9c(&h);
	other = p11_session(0);
	assert_rv_ok(sign_init(h, key));
	assert_rv_ok(sign_init(other, key));
	assert_rv_ok(p11_login(h, CKU_CONTEXT_SPECIFIC, PIN));
	assert_rv_ok(p11_login(other, CKU_CONTEXT_SPECIFIC, PIN));
	other_program(0x24, PIN, "876543");
	assert_rv(sign_end(h), CKR_PIN_INCORRECT); /* it was good a moment ago */
	assert_int_equal(tries(), 2);
	assert_rv_ok(p11_login(h, CKU_USER, "876543"));
	assert_rv(sign_end(other), CKR_USER_NOT_LOGGED_IN); /* it is not sent a second time */
	assert_int_equal(tries(), 3);
}

static void
our_change_of_pin_forgets_it_too(void **state)
{
	CK_UTF8CHAR old[] = PIN, new_pin[] = "876543";
	CK_SESSION_HANDLE h, rw;
	CK_OBJECT_HANDLE key;

	(void)state;
	key = start_9c(&h);
	rw = p11_session(CKF_RW_SESSION);
	assert_rv_ok(sign_init(h, key));
	assert_rv_ok(p11_login(h, CKU_CONTEXT_SPECIFIC, PIN));
	assert_rv_ok(C_SetPIN(rw, old, 6, new_pin, 6));
	assert_rv(sign_end(h), CKR_USER_NOT_LOGGED_IN);
	assert_int_equal(tries(), 3);
}

/* What C_GetTokenInfo said half a minute ago does not count when others have used up tries since. */
static void
the_last_try_is_guarded_against_others(void **state)
{
	CK_SESSION_HANDLE h;

	(void)state;
	p11_clock_override(test_clock);
	p11_start("p256");
	h = p11_session(0);
	assert_int_equal(p11_token_flags() & CKF_USER_PIN_COUNT_LOW, 0);
	other_program(0x20, PIN_BAD, NULL);
	other_program(0x20, PIN_BAD, NULL);
	now_ms += 30000;
	assert_rv(p11_login(h, CKU_USER, PIN_BAD), CKR_FUNCTION_REJECTED);
	assert_int_equal(tries(), 1);
	assert_true(p11_token_flags() & CKF_USER_PIN_FINAL_TRY);
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
	assert_int_equal(p11_token_flags() & (CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_COUNT_LOW), 0);
}

/* SP 800-73-5 has digits only; a YubiKey takes what is typed, and says that it is one. */
static void
letters_only_where_the_card_takes_them(void **state)
{
	struct vcard_spec spec = { .alg = "p256", .yubikey = true };
	char why[VCARD_WHY];
	CK_SESSION_HANDLE h;

	(void)state;
	p11_start("p256");
	h = p11_session(0);
	assert_rv(p11_login(h, CKU_USER, "abc!23"), CKR_PIN_INCORRECT);
	assert_int_equal(tries(), 3);
	p11_stop();
	p11_start_with(vcard_make(&spec, why));
	h = p11_session(0);
	assert_rv(p11_login(h, CKU_USER, "abc!23"), CKR_PIN_INCORRECT);
	assert_int_equal(tries(), 2); /* it was sent: a wrong one, as any */
	other_program(0x24, PIN, "abc!23");
	assert_rv_ok(p11_login(h, CKU_USER, "abc!23"));
	assert_rv_ok(sign_init(h, p11_find(h, CKO_PRIVATE_KEY, 1)));
	assert_rv_ok(sign_end(h));
}

/* --- 3.0 --- */

static CK_FUNCTION_LIST_3_0 *
list_3_0(void)
{
	CK_VERSION v = { 3, 0 };
	CK_INTERFACE *i = NULL;

	assert_rv_ok(C_GetInterface(NULL, &v, &i, 0));
	return i->pFunctionList;
}

/* A PIV card has no user names: C_LoginUser without one is C_Login. */
static void
login_user_by_name(void **state)
{
	CK_FUNCTION_LIST_3_0 *f = list_3_0();
	CK_UTF8CHAR pin[] = PIN, name[] = "pat";
	CK_SESSION_HANDLE h;
	CK_OBJECT_HANDLE key;

	(void)state;
	p11_clock_override(test_clock);
	p11_start("p256");
	h = p11_session(0);
	assert_rv(f->C_LoginUser(h, CKU_USER, pin, 6, name, 3), CKR_ARGUMENTS_BAD);
	assert_rv(f->C_LoginUser(h, CKU_USER, NULL, 0, NULL, 0), CKR_ARGUMENTS_BAD);
	assert_rv_ok(f->C_LoginUser(h, CKU_USER, pin, 6, NULL, 0));
	assert_rv(f->C_LoginUser(h, CKU_USER, pin, 6, NULL, 0), CKR_USER_ALREADY_LOGGED_IN);
	key = find_9c(h);
	assert_rv_ok(sign_init(h, key));
	assert_false(always(h, key));
	assert_rv_ok(sign_end(h));
	assert_rv_ok(sign_init(h, key));
	assert_rv_ok(f->C_LoginUser(h, CKU_CONTEXT_SPECIFIC, pin, 6, NULL, 0));
	assert_rv_ok(sign_end(h));
}

/* A cancelled operation takes its PIN with it. */
static void
session_cancel_ends_the_promise(void **state)
{
	CK_FUNCTION_LIST_3_0 *f = list_3_0();
	CK_SESSION_HANDLE h;
	CK_OBJECT_HANDLE key;

	(void)state;
	key = start_9c(&h);
	assert_rv_ok(sign_init(h, key));
	assert_false(always(h, key));
	assert_rv_ok(f->C_SessionCancel(h, CKF_DECRYPT)); /* not this one */
	assert_rv(sign_init(h, key), CKR_OPERATION_ACTIVE);
	assert_rv_ok(f->C_SessionCancel(h, CKF_SIGN));
	assert_rv(sign_end(h), CKR_OPERATION_NOT_INITIALIZED);
	assert_rv_ok(sign_init(h, key));
	assert_true(always(h, key));
	assert_rv_ok(p11_login(h, CKU_CONTEXT_SPECIFIC, PIN));
	assert_rv_ok(f->C_SessionCancel(h, CKF_SIGN));
	assert_rv_ok(sign_init(h, key));
	assert_rv(sign_end(h), CKR_USER_NOT_LOGGED_IN);
	assert_rv_ok(C_SignInit(h, NULL, key));	       /* 3.0: cancelled by a NULL mechanism */
	assert_rv_ok(f->C_SessionCancel(h, CKF_SIGN)); /* nothing to cancel is no error */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(the_login_is_for_one_signature, teardown),
		cmocka_unit_test_teardown(nss_asks_in_another_session, teardown),
		cmocka_unit_test_teardown(who_does_not_ask_gets_nothing, teardown),
		cmocka_unit_test_teardown(a_question_for_the_length_promises_nothing, teardown),
		cmocka_unit_test_teardown(a_promise_is_for_its_operation_only, teardown),
		cmocka_unit_test_teardown(after_ten_seconds_it_is_stale, teardown),
		cmocka_unit_test_teardown(another_keys_use_spends_it, teardown),
		cmocka_unit_test_teardown(a_context_login_takes_its_place, teardown),
		cmocka_unit_test_teardown(without_a_kept_pin_there_is_no_promise, teardown),
		cmocka_unit_test_teardown(pkcs11_helper_is_promised_the_next_signature, teardown),
		cmocka_unit_test_teardown(a_told_program_may_log_in_again, teardown),
		cmocka_unit_test_teardown(its_promise_ages_too, teardown),
		cmocka_unit_test_teardown(a_refused_pin_is_forgotten_everywhere, teardown),
		cmocka_unit_test_teardown(our_change_of_pin_forgets_it_too, teardown),
		cmocka_unit_test_teardown(the_last_try_is_guarded_against_others, teardown),
		cmocka_unit_test_teardown(letters_only_where_the_card_takes_them, teardown),
		cmocka_unit_test_teardown(login_user_by_name, teardown),
		cmocka_unit_test_teardown(session_cancel_ends_the_promise, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
