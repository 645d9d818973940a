/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Cards and readers that come and go: error codes, slots that stay, sessions that live on or end, slot events.
 */
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/p11_card.h"

static CK_RV
sign(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE key)
{
	CK_MECHANISM m = { CKM_ECDSA, NULL, 0 };
	CK_BYTE digest[32] = { 1 }, sig[64];
	CK_ULONG n = sizeof sig;
	CK_RV rv = C_SignInit(h, &m, key);

	return rv != CKR_OK ? rv : C_Sign(h, digest, sizeof digest, sig, &n);
}

static CK_SESSION_HANDLE
ready(CK_OBJECT_HANDLE *key)
{
	CK_SESSION_HANDLE h;

	p11_start("p256");
	h = p11_session(0);
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
	assert_int_not_equal(*key = p11_find(h, CKO_PRIVATE_KEY, 1), 0);
	assert_rv_ok(sign(h, *key));
	return h;
}

static bool
present(void)
{
	CK_SLOT_INFO info;

	assert_rv_ok(C_GetSlotInfo(0, &info));
	return (info.flags & CKF_TOKEN_PRESENT) != 0;
}

static void
pulled_while_signing(void **state)
{
	CK_OBJECT_HANDLE key;
	CK_SESSION_HANDLE h, none;
	CK_SESSION_INFO si;
	CK_TOKEN_INFO ti;
	CK_ULONG n = 0;

	(void)state;
	h = ready(&key);
	vreaders_plan(p11_readers(), 0, 1, VREADERS_REMOVE);
	assert_rv(sign(h, key), CKR_DEVICE_REMOVED);
	assert_false(present());
	assert_rv(C_GetTokenInfo(0, &ti), CKR_TOKEN_NOT_PRESENT);
	assert_rv(C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &none), CKR_TOKEN_NOT_PRESENT);
	assert_rv(C_FindObjectsInit(h, NULL, 0), CKR_DEVICE_REMOVED);
	assert_rv_ok(C_GetSessionInfo(h, &si)); /* libp11 takes an error for a lost session */
	assert_int_equal(si.state, CKS_RO_PUBLIC_SESSION);
	assert_rv_ok(C_GetSlotList(CK_TRUE, NULL, &n));
	assert_int_equal(n, 0);
	assert_rv_ok(C_GetSlotList(CK_FALSE, NULL, &n));
	assert_int_equal(n, 2); /* the reader's, and that of a derived application */
}

/* Pulled between C_SignInit and C_Sign: the error ended the operation. */
static void
pulled_within_an_operation(void **state)
{
	CK_MECHANISM m = { CKM_ECDSA, NULL, 0 };
	CK_BYTE digest[32] = { 1 }, sig[64];
	CK_ULONG n = sizeof sig;
	CK_OBJECT_HANDLE key;
	CK_SESSION_HANDLE h;

	(void)state;
	h = ready(&key);
	assert_rv_ok(C_SignInit(h, &m, key));
	vreaders_remove(p11_readers(), 0);
	assert_false(present());
	assert_rv(C_Sign(h, digest, sizeof digest, sig, &n), CKR_DEVICE_REMOVED);
	vreaders_insert(p11_readers(), 0, NULL);
	assert_true(present());
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
	assert_rv(C_Sign(h, digest, sizeof digest, sig, &n), CKR_OPERATION_NOT_INITIALIZED);
	assert_rv_ok(sign(h, key));
}

static void
put_back_with_a_new_session(void **state)
{
	CK_OBJECT_HANDLE key;
	CK_SESSION_HANDLE h;

	(void)state;
	h = ready(&key);
	vreaders_remove(p11_readers(), 0);
	assert_rv(sign(h, key), CKR_DEVICE_REMOVED);
	vreaders_insert(p11_readers(), 0, NULL);
	assert_true(present());
	h = p11_session(0);
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
	assert_rv_ok(sign(h, p11_find(h, CKO_PRIVATE_KEY, 1)));
}

/* The old session goes on after the next login, on the same card only. */
static void
put_back_in_the_old_session(void **state)
{
	CK_OBJECT_HANDLE key;
	CK_SESSION_HANDLE h;

	(void)state;
	h = ready(&key);
	vreaders_remove(p11_readers(), 0);
	assert_rv(sign(h, key), CKR_DEVICE_REMOVED);
	vreaders_insert(p11_readers(), 0, NULL);
	assert_rv(sign(h, key), CKR_USER_NOT_LOGGED_IN);
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
	assert_rv_ok(sign(h, key));
}

static void
another_card_ends_the_sessions(void **state)
{
	CK_OBJECT_HANDLE key;
	CK_SESSION_HANDLE h, fresh;
	CK_SLOT_INFO info;

	(void)state;
	h = ready(&key);
	p11_swap(p11_card("p384", 0, false));
	p11_apdus();
	assert_rv(sign(h, key), CKR_DEVICE_REMOVED);
	assert_rv(sign(h, key), CKR_SESSION_HANDLE_INVALID);
	assert_rv_ok(C_GetSlotInfo(0, &info));
	fresh = p11_session(0);
	assert_int_equal(vcard_stats(p11_inserted())->per_ins[0x20], 0); /* the PIN never went to the other card */
	assert_int_equal(vcard_stats(p11_inserted())->per_ins[0x87], 0);
	assert_rv_ok(p11_login(fresh, CKU_USER, PIN));
	assert_int_not_equal(p11_find(fresh, CKO_PRIVATE_KEY, 1), 0);
	assert_rv(C_CloseSession(h), CKR_SESSION_HANDLE_INVALID);
}

static void
noticed_by_slot_info(void **state)
{
	CK_OBJECT_HANDLE key;
	CK_SESSION_HANDLE h;

	(void)state;
	h = ready(&key);
	vreaders_remove(p11_readers(), 0);
	assert_false(present());
	p11_apdus();
	assert_rv(C_FindObjectsInit(h, NULL, 0), CKR_DEVICE_REMOVED);
	assert_apdus(0);
}

static void
slots_keep_their_ids(void **state)
{
	struct vcard *b = p11_card("p384", 0, false);
	CK_SLOT_ID slots[4];
	CK_SLOT_INFO info;
	CK_ULONG n = 0;
	size_t at;

	(void)state;
	p11_start("p256");
	assert_rv_ok(C_GetSlotList(CK_FALSE, NULL, &n));
	at = vreaders_add(p11_readers(), "Reader B", b);
	n = 4;
	assert_rv_ok(C_GetSlotList(CK_FALSE, slots, &n)); /* the set changes with a NULL list only */
	assert_int_equal(n, 2);
	assert_rv_ok(C_GetSlotList(CK_FALSE, NULL, &n));
	assert_int_equal(n, 4);
	vreaders_unplug(p11_readers(), 0);
	assert_rv_ok(C_GetSlotList(CK_TRUE, NULL, &n));
	n = 4;
	assert_rv_ok(C_GetSlotList(CK_TRUE, slots, &n));
	assert_int_equal(n, 1);
	assert_int_equal(slots[0], 1);
	assert_rv_ok(C_GetSlotInfo(1, &info));
	assert_memory_equal(info.slotDescription, "Reader B   ", 11);
	assert_rv_ok(C_GetSlotInfo(0, &info));
	assert_int_equal(info.flags & CKF_TOKEN_PRESENT, 0);
	vreaders_unplug(p11_readers(), at);
	p11_stop();
	vcard_free(b);
}

static void
events_without_blocking(void **state)
{
	CK_SLOT_ID slot = 99;

	(void)state;
	p11_start("p256");
	/* the card that is there from the start is no event */
	assert_rv(C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, NULL), CKR_NO_EVENT);
	vreaders_remove(p11_readers(), 0);
	assert_rv_ok(C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, NULL));
	assert_int_equal(slot, 0);
	assert_rv(C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, NULL), CKR_NO_EVENT);
	vreaders_insert(p11_readers(), 0, NULL);
	assert_rv_ok(C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, NULL));
	assert_rv(C_WaitForSlotEvent(CKF_DONT_BLOCK, NULL, NULL), CKR_ARGUMENTS_BAD);
	assert_rv(C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, &slot), CKR_ARGUMENTS_BAD);
}

static void
nap(unsigned ms)
{
	struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };

	nanosleep(&t, NULL);
}

static void *
waiter(void *arg)
{
	CK_SLOT_ID slot = 99;
	CK_RV *rv = arg;

	*rv = C_WaitForSlotEvent(0, &slot, NULL);
	return NULL;
}

static void
events_with_blocking(void **state)
{
	pthread_t thread;
	CK_RV rv = 1;

	(void)state;
	p11_start("p256");
	assert_true(present());
	assert_int_equal(pthread_create(&thread, NULL, waiter, &rv), 0);
	nap(50);
	vreaders_remove(p11_readers(), 0);
	pthread_join(thread, NULL);
	assert_rv_ok(rv);
}

static void
finalize_ends_the_wait(void **state)
{
	pthread_t thread;
	CK_RV rv = 1;

	(void)state;
	p11_start("p256");
	assert_true(present());
	assert_int_equal(pthread_create(&thread, NULL, waiter, &rv), 0);
	nap(50);
	assert_rv_ok(C_Finalize(NULL));
	pthread_join(thread, NULL);
	assert_rv(rv, CKR_CRYPTOKI_NOT_INITIALIZED);
	assert_rv_ok(C_Initialize(NULL));
}

static bool
not_piv(void *arg, struct span cmd, struct wbuf *rsp)
{
	(void)arg;
	(void)cmd;
	wbuf_be16(rsp, 0x6D00);
	return true;
}

static void
a_card_that_is_not_piv_is_asked_once(void **state)
{
	CK_TOKEN_INFO info;

	(void)state;
	p11_start("p256");
	vreaders_answer_set(p11_readers(), 0, not_piv, NULL);
	assert_rv(C_GetTokenInfo(0, &info), CKR_TOKEN_NOT_RECOGNIZED);
	p11_apdus();
	assert_rv(C_GetTokenInfo(0, &info), CKR_TOKEN_NOT_RECOGNIZED);
	assert_apdus(0);
	vreaders_answer_set(p11_readers(), 0, NULL, NULL);
	vreaders_remove(p11_readers(), 0);
	assert_rv(C_GetTokenInfo(0, &info), CKR_TOKEN_NOT_PRESENT);
	vreaders_insert(p11_readers(), 0, NULL);
	assert_rv_ok(C_GetTokenInfo(0, &info));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(pulled_while_signing, p11_teardown),
		cmocka_unit_test_teardown(pulled_within_an_operation, p11_teardown),
		cmocka_unit_test_teardown(put_back_with_a_new_session, p11_teardown),
		cmocka_unit_test_teardown(put_back_in_the_old_session, p11_teardown),
		cmocka_unit_test_teardown(another_card_ends_the_sessions, p11_teardown),
		cmocka_unit_test_teardown(noticed_by_slot_info, p11_teardown),
		cmocka_unit_test_teardown(slots_keep_their_ids, p11_teardown),
		cmocka_unit_test_teardown(events_without_blocking, p11_teardown),
		cmocka_unit_test_teardown(events_with_blocking, p11_teardown),
		cmocka_unit_test_teardown(finalize_ends_the_wait, p11_teardown),
		cmocka_unit_test_teardown(a_card_that_is_not_piv_is_asked_once, p11_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
