/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PINs typed on the reader: what programs see of a pad, the login, the PIN-always key, changes of PIN and PUK, what the
 * reader says by itself, and how the waiting ends.
 */
#include <stdio.h>
#include <unistd.h>

#include "pkcs11/ask.h"
#include "tests/lib/p11_card.h"

static struct vreaders_pad pad;

static void
types(const char *one, const char *two, const char *three)
{
	pad = (struct vreaders_pad){ .typed = { one, two, three } };
	vreaders_pad_set(p11_readers(), 0, &pad);
}

static CK_SESSION_HANDLE
start(CK_FLAGS flags)
{
	p11_start("p256");
	types(PIN, NULL, NULL);
	return p11_session(flags);
}

static unsigned
uses(void)
{
	return vreaders_pad_uses(p11_readers(), 0);
}

static unsigned
tries(CK_BYTE ref)
{
	return (unsigned)vcard_tries(p11_inserted(), ref);
}

static CK_RV
pad_login_as(CK_SESSION_HANDLE h, CK_USER_TYPE user)
{
	return C_Login(h, user, NULL, 0);
}

static CK_RV
sign_init(CK_SESSION_HANDLE h, CK_BYTE id)
{
	CK_MECHANISM m = { CKM_ECDSA, NULL, 0 };

	return C_SignInit(h, &m, p11_find(h, CKO_PRIVATE_KEY, id));
}

static CK_RV
sign_end(CK_SESSION_HANDLE h)
{
	CK_BYTE digest[32] = { 9 }, sig[64];
	CK_ULONG n = sizeof sig;

	return C_Sign(h, digest, sizeof digest, sig, &n);
}

/* --- the flag --- */

static void
programs_see_the_pad(void **state)
{
	CK_SESSION_HANDLE h;

	(void)state;
	p11_start("p256");
	h = p11_session(0);
	assert_false(p11_token_flags() & CKF_PROTECTED_AUTHENTICATION_PATH);
	assert_rv(pad_login_as(h, CKU_USER), CKR_ARGUMENTS_BAD);
	types(PIN, NULL, NULL);
	assert_true(p11_token_flags() & CKF_PROTECTED_AUTHENTICATION_PATH);
	assert_rv(C_Login(h, CKU_USER, NULL, 6), CKR_ARGUMENTS_BAD);
	assert_rv(p11_login(h, CKU_USER, ""), CKR_PIN_INCORRECT); /* empty is not NULL */
	assert_int_equal(uses(), 0);
	assert_rv_ok(p11_login(h, CKU_USER, PIN)); /* a PIN that is given is taken */
	assert_int_equal(uses(), 0);
}

static void
the_pad_can_be_switched_off(void **state)
{
	char path[] = "/tmp/dpiv-test-conf.XXXXXX";
	CK_SESSION_HANDLE h;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0 && write(fd, "[module]\npin_pad = no\n", 22) == 22);
	close(fd);
	setenv("DPIV_CONF", path, 1);
	h = start(0);
	unlink(path);
	unsetenv("DPIV_CONF");
	assert_false(p11_token_flags() & CKF_PROTECTED_AUTHENTICATION_PATH);
	assert_rv(pad_login_as(h, CKU_USER), CKR_ARGUMENTS_BAD);
}

/* --- login --- */

static void
the_pin_is_typed(void **state)
{
	CK_SESSION_HANDLE h;

	(void)state;
	h = start(0);
	assert_rv_ok(pad_login_as(h, CKU_USER));
	assert_int_equal(uses(), 1);
	assert_true(vcard_verified(p11_inserted(), 0x80));
	assert_rv(pad_login_as(h, CKU_USER), CKR_USER_ALREADY_LOGGED_IN);
	assert_rv_ok(sign_init(h, 1));
	assert_rv_ok(sign_end(h));
	/* none is kept: another program's reset ends the login */
	vreaders_reset(p11_readers(), 0);
	assert_rv_ok(sign_init(h, 1));
	assert_rv(sign_end(h), CKR_USER_NOT_LOGGED_IN);
	assert_rv_ok(pad_login_as(h, CKU_USER));
	assert_rv_ok(sign_init(h, 1));
	assert_rv_ok(sign_end(h));
	assert_int_equal(uses(), 2);
}

/* Somebody else had selected another application: nobody types for that one. */
static void
the_right_application_listens(void **state)
{
	CK_SESSION_HANDLE h;

	(void)state;
	h = start(0);
	vreaders_foreign(p11_readers(), 0);
	assert_rv_ok(pad_login_as(h, CKU_USER));
	assert_int_equal(uses(), 1);
	assert_rv_ok(sign_init(h, 1));
	assert_rv_ok(sign_end(h));
}

static void
wrong_pins_and_the_last_try(void **state)
{
	CK_SESSION_HANDLE h;

	(void)state;
	h = start(0);
	types(PIN_BAD, NULL, NULL);
	assert_rv(pad_login_as(h, CKU_USER), CKR_PIN_INCORRECT);
	assert_rv(pad_login_as(h, CKU_USER), CKR_PIN_INCORRECT);
	assert_int_equal(tries(0x80), 1);
	assert_rv(pad_login_as(h, CKU_USER), CKR_FUNCTION_REJECTED);
	assert_int_equal(uses(), 2);
	assert_true(p11_token_flags() & CKF_USER_PIN_FINAL_TRY);
	types(PIN, NULL, NULL);
	assert_rv_ok(pad_login_as(h, CKU_USER));
	assert_int_equal(p11_token_flags() & (CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_COUNT_LOW), 0);
}

static void
a_wrong_one_blocks_at_last(void **state)
{
	CK_SESSION_HANDLE h;

	(void)state;
	h = start(0);
	types(PIN_BAD, NULL, NULL);
	assert_rv(pad_login_as(h, CKU_USER), CKR_PIN_INCORRECT);
	assert_rv(pad_login_as(h, CKU_USER), CKR_PIN_INCORRECT);
	(void)p11_token_flags();
	assert_rv(pad_login_as(h, CKU_USER), CKR_PIN_LOCKED);
	assert_rv(pad_login_as(h, CKU_USER), CKR_PIN_LOCKED);
	assert_int_equal(uses(), 3);
}

/* PC/SC part 10: answers of the reader, which cost nothing. */
static void
what_the_reader_says_by_itself(void **state)
{
	CK_SESSION_HANDLE h;

	(void)state;
	h = start(0);
	pad.sw = 0x6400; /* nobody typed */
	assert_rv(pad_login_as(h, CKU_USER), CKR_FUNCTION_CANCELED);
	pad.sw = 0x6401; /* the cancel key */
	assert_rv(pad_login_as(h, CKU_USER), CKR_FUNCTION_CANCELED);
	pad.sw = 0x6403; /* too short */
	assert_rv(pad_login_as(h, CKU_USER), CKR_PIN_INCORRECT);
	pad.sw = 0x6B80; /* it does not understand us */
	assert_rv(pad_login_as(h, CKU_USER), CKR_DEVICE_ERROR);
	assert_int_equal(uses(), 4); /* nobody was asked twice */
	assert_int_equal(tries(0x80), 3);
	types("12345", NULL, NULL);
	assert_rv(pad_login_as(h, CKU_USER), CKR_PIN_INCORRECT);
	assert_int_equal(tries(0x80), 3);
	types(PIN, NULL, NULL);
	assert_rv_ok(pad_login_as(h, CKU_USER));
}

/* --- PIN-always --- */

static void
a_pin_always_key_is_typed_for_at_c_sign(void **state)
{
	CK_SESSION_HANDLE h;
	CK_OBJECT_HANDLE key;

	(void)state;
	h = start(0);
	assert_rv_ok(pad_login_as(h, CKU_USER));
	assert_rv_ok(sign_init(h, 2));
	key = p11_find(h, CKO_PRIVATE_KEY, 2);
	assert_true(p11_bool(h, key, CKA_ALWAYS_AUTHENTICATE));
	assert_rv(sign_end(h), CKR_USER_NOT_LOGGED_IN);
	assert_rv_ok(pad_login_as(h, CKU_CONTEXT_SPECIFIC));
	assert_int_equal(uses(), 1);
	/* whatever comes in between */
	vreaders_foreign(p11_readers(), 0);
	vreaders_reset(p11_readers(), 0);
	assert_rv_ok(sign_end(h));
	assert_int_equal(uses(), 2);
	/* once */
	assert_rv_ok(sign_init(h, 2));
	assert_rv(sign_end(h), CKR_USER_NOT_LOGGED_IN);
}

static void
a_wrong_pin_shows_at_c_sign(void **state)
{
	CK_SESSION_HANDLE h;

	(void)state;
	h = start(0);
	assert_rv_ok(pad_login_as(h, CKU_USER));
	assert_rv(pad_login_as(h, CKU_CONTEXT_SPECIFIC), CKR_OPERATION_NOT_INITIALIZED);
	assert_rv_ok(sign_init(h, 2));
	assert_rv_ok(pad_login_as(h, CKU_CONTEXT_SPECIFIC));
	types(PIN_BAD, NULL, NULL);
	assert_rv(sign_end(h), CKR_PIN_INCORRECT);
	assert_int_equal(tries(0x80), 2);
	assert_rv(sign_end(h), CKR_OPERATION_NOT_INITIALIZED);
	types(PIN, NULL, NULL);
	assert_rv_ok(pad_login_as(h, CKU_USER)); /* the card had ended it */
	assert_rv_ok(sign_init(h, 2));
	assert_rv_ok(pad_login_as(h, CKU_CONTEXT_SPECIFIC));
	pad.sw = 0x6401;
	assert_rv(sign_end(h), CKR_FUNCTION_CANCELED);
	assert_int_equal(tries(0x80), 3);
}

/* --- new PINs --- */

static void
change_of_pin(void **state)
{
	CK_SESSION_HANDLE h, ro;

	(void)state;
	h = start(CKF_RW_SESSION);
	ro = p11_session(0);
	types(PIN, "87654321", "87654321");
	assert_rv(C_SetPIN(ro, NULL, 0, NULL, 0), CKR_SESSION_READ_ONLY);
	assert_rv_ok(C_SetPIN(h, NULL, 0, NULL, 0));
	assert_rv_ok(p11_login(h, CKU_USER, "87654321"));
	types("87654321", "111111", "222222");
	assert_rv(C_SetPIN(h, NULL, 0, NULL, 0), CKR_PIN_INVALID); /* not typed twice alike */
	types(PIN_BAD, "111111", "111111");
	assert_rv(C_SetPIN(h, NULL, 0, NULL, 0), CKR_PIN_INCORRECT);
	assert_int_equal(tries(0x80), 2);
	pad.sw = 0x6400;
	assert_rv(C_SetPIN(h, NULL, 0, NULL, 0), CKR_FUNCTION_CANCELED);
}

static void
unblocking(void **state)
{
	CK_UTF8CHAR puk[] = "12345678", pin[] = PIN;
	CK_SESSION_HANDLE h;

	(void)state;
	h = start(CKF_RW_SESSION);
	assert_rv(C_InitPIN(h, NULL, 0), CKR_USER_NOT_LOGGED_IN);
	/* PUK and new PIN on the pad */
	assert_rv_ok(pad_login_as(h, CKU_SO));
	assert_rv(pad_login_as(h, CKU_SO), CKR_USER_ALREADY_LOGGED_IN);
	assert_rv(C_InitPIN(h, pin, 6), CKR_ARGUMENTS_BAD);
	types("12345678", "111111", "111111");
	assert_rv_ok(C_InitPIN(h, NULL, 0));
	types("12345678", "87654321", "87654321"); /* another PUK */
	assert_rv_ok(C_SetPIN(h, NULL, 0, NULL, 0));
	assert_rv_ok(C_Logout(h));
	assert_rv_ok(p11_login(h, CKU_USER, "111111"));
	assert_rv_ok(C_Logout(h));
	/* the PUK given, the PIN on the pad */
	assert_rv_ok(C_Login(h, CKU_SO, puk, 8)); /* the old one */
	types("222222", "222222", NULL);
	assert_rv(C_InitPIN(h, NULL, 0), CKR_PIN_INCORRECT);
	assert_rv_ok(p11_login(h, CKU_SO, "87654321"));
	assert_rv_ok(C_InitPIN(h, NULL, 0));
	assert_rv_ok(C_Logout(h));
	assert_rv_ok(p11_login(h, CKU_USER, "222222"));
}

/* --- ending it --- */

struct waiting {
	CK_SESSION_HANDLE h;
	CK_RV rv;
};

static void *
login_in_thread(void *arg)
{
	struct waiting *w = arg;

	w->rv = pad_login_as(w->h, CKU_USER);
	return NULL;
}

static void
wait_for_typing(unsigned n)
{
	for (int i = 0; i < 500 && uses() < n; i++)
		usleep(10000);
	assert_int_equal(uses(), n);
}

static void
ended_by(void (*end)(CK_SESSION_HANDLE h), CK_RV want)
{
	struct waiting w;
	int64_t begin;
	pthread_t thread;

	w.h = start(0);
	pad.delay_ms = 30000;
	assert_int_equal(pthread_create(&thread, NULL, login_in_thread, &w), 0);
	wait_for_typing(1);
	begin = p11_now_ms();
	end(w.h);
	pthread_join(thread, NULL);
	assert_rv(w.rv, want);
	assert_true(p11_now_ms() - begin < 3000);
	assert_int_equal(tries(0x80), 3);
	p11_stop();
}

static void
by_removal(CK_SESSION_HANDLE h)
{
	(void)h;
	vreaders_remove(p11_readers(), 0);
}

static void
the_waiting_can_be_ended(void **state)
{
	(void)state;
	ended_by(p11_end_by_close, CKR_FUNCTION_CANCELED);
	ended_by(p11_end_by_close_all, CKR_FUNCTION_CANCELED);
	ended_by(p11_end_by_cancel, CKR_FUNCTION_CANCELED);
	ended_by(p11_end_by_finalize, CKR_FUNCTION_CANCELED);
	ended_by(by_removal, CKR_DEVICE_REMOVED);
}

static void
other_sessions_do_not_end_it(void **state)
{
	struct vcard *second = p11_card("p256", 0, false);
	CK_SESSION_HANDLE other = 0;
	CK_SLOT_ID slots[4];
	struct waiting w;
	CK_ULONG n = 0;
	int64_t begin;
	pthread_t thread;

	(void)state;
	w.h = start(0);
	vreaders_add(p11_readers(), "Reader B", second);
	assert_rv_ok(C_GetSlotList(CK_TRUE, NULL, &n));
	pad.delay_ms = 3000;
	begin = p11_now_ms();
	assert_int_equal(pthread_create(&thread, NULL, login_in_thread, &w), 0);
	wait_for_typing(1);
	/* the other slot works, and closing there ends nothing here */
	assert_rv_ok(C_GetSlotList(CK_TRUE, slots, &n));
	assert_int_equal(n, 2);
	assert_rv_ok(C_OpenSession(1, CKF_SERIAL_SESSION, NULL, NULL, &other));
	assert_rv_ok(p11_login(other, CKU_USER, PIN));
	assert_rv_ok(sign_init(other, 1));
	assert_rv_ok(sign_end(other));
	assert_rv_ok(C_CloseSession(other));
	assert_true(p11_now_ms() - begin < 2500);
	pthread_join(thread, NULL);
	assert_true(p11_now_ms() - begin >= 3000);
	assert_rv_ok(w.rv);
	p11_stop();
	vcard_free(second);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(programs_see_the_pad, p11_teardown),
		cmocka_unit_test_teardown(the_pad_can_be_switched_off, p11_teardown),
		cmocka_unit_test_teardown(the_pin_is_typed, p11_teardown),
		cmocka_unit_test_teardown(the_right_application_listens, p11_teardown),
		cmocka_unit_test_teardown(wrong_pins_and_the_last_try, p11_teardown),
		cmocka_unit_test_teardown(a_wrong_one_blocks_at_last, p11_teardown),
		cmocka_unit_test_teardown(what_the_reader_says_by_itself, p11_teardown),
		cmocka_unit_test_teardown(a_pin_always_key_is_typed_for_at_c_sign, p11_teardown),
		cmocka_unit_test_teardown(a_wrong_pin_shows_at_c_sign, p11_teardown),
		cmocka_unit_test_teardown(change_of_pin, p11_teardown),
		cmocka_unit_test_teardown(unblocking, p11_teardown),
		cmocka_unit_test_teardown(the_waiting_can_be_ended, p11_teardown),
		cmocka_unit_test_teardown(other_sessions_do_not_end_it, p11_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
