/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads: signing, opening and closing, searching, listing and C_Finalize at once, under ThreadSanitizer as well.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "tests/lib/p11_card.h"

#define THREADS 4
#define ROUNDS	60

static CK_OBJECT_HANDLE key;
static _Atomic unsigned good, bad;
static _Atomic bool stop;

static void
count(CK_RV rv)
{
	if (rv == CKR_OK)
		good++;
	else
		bad++;
}

static CK_RV
one_signature(CK_SESSION_HANDLE h)
{
	CK_MECHANISM m = { CKM_ECDSA, NULL, 0 };
	CK_BYTE digest[32] = { 1 }, sig[64];
	CK_ULONG n = sizeof sig;
	CK_RV rv = C_SignInit(h, &m, key);

	return rv != CKR_OK ? rv : C_Sign(h, digest, sizeof digest, sig, &n);
}

static void *
signer(void *arg)
{
	CK_SESSION_HANDLE h;

	(void)arg;
	for (int i = 0; i < ROUNDS; i++) {
		if (C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &h) != CKR_OK) {
			bad++;
			continue;
		}
		count(one_signature(h));
		count(C_CloseSession(h));
	}
	return NULL;
}

static void *
lister(void *arg)
{
	CK_SLOT_INFO info;
	CK_ULONG n;

	(void)arg;
	while (!stop) {
		count(C_GetSlotList(CK_TRUE, NULL, &n));
		count(C_GetSlotInfo(0, &info));
	}
	return NULL;
}

static void
signing_while_listing(void **state)
{
	pthread_t t[THREADS], l;
	CK_SESSION_HANDLE h;

	(void)state;
	p11_start("p256");
	h = p11_session(0);
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
	key = p11_find(h, CKO_PRIVATE_KEY, 1);
	good = bad = 0;
	stop = false;
	pthread_create(&l, NULL, lister, NULL);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&t[i], NULL, signer, NULL);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	stop = true;
	pthread_join(l, NULL);
	assert_int_equal(bad, 0);
	assert_true(good >= 2 * THREADS * ROUNDS);
}

/* Closing what another thread uses: it finishes, or hears that the session is gone. */
static CK_SESSION_HANDLE shared;

static void *
user_of_shared(void *arg)
{
	CK_RV rv;

	(void)arg;
	for (int i = 0; i < ROUNDS * 4; i++) {
		rv = one_signature(shared);
		if (rv != CKR_OK && rv != CKR_SESSION_HANDLE_INVALID && rv != CKR_OPERATION_ACTIVE &&
		    rv != CKR_OPERATION_NOT_INITIALIZED)
			bad++;
	}
	return NULL;
}

static void
closing_under_use(void **state)
{
	pthread_t t[2];
	CK_SESSION_HANDLE h;

	(void)state;
	p11_start("p256");
	h = p11_session(0);
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
	key = p11_find(h, CKO_PRIVATE_KEY, 1);
	good = bad = 0;
	shared = p11_session(0);
	for (int i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, user_of_shared, NULL);
	nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	assert_rv_ok(C_CloseSession(shared));
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(bad, 0);
	assert_rv_ok(one_signature(h));
}

static void *
until_the_end(void *arg)
{
	CK_SESSION_HANDLE h;
	CK_RV rv = CKR_OK;

	(void)arg;
	while (rv == CKR_OK) {
		if ((rv = C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &h)) != CKR_OK)
			break;
		if ((rv = one_signature(h)) == CKR_OK)
			rv = C_CloseSession(h);
	}
	if (rv != CKR_CRYPTOKI_NOT_INITIALIZED)
		bad++;
	return NULL;
}

static void
finalize_under_use(void **state)
{
	pthread_t t[2];
	CK_SESSION_HANDLE h;

	(void)state;
	p11_start("p256");
	h = p11_session(0);
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
	key = p11_find(h, CKO_PRIVATE_KEY, 1);
	bad = 0;
	for (int i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, until_the_end, NULL);
	nanosleep(&(struct timespec){ .tv_nsec = 30000000 }, NULL);
	assert_rv_ok(C_Finalize(NULL));
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(bad, 0);
	assert_rv_ok(C_Initialize(NULL));
}

/* A slow operation on one slot holds up neither another slot nor the list. */
static _Atomic bool slow_now;

static void
slow(void *arg, struct vcard *card, const uint8_t *cmd, size_t n)
{
	(void)arg;
	(void)card;
	if (n > 1 && cmd[1] == 0x87) {
		slow_now = true;
		nanosleep(&(struct timespec){ .tv_nsec = 400000000 }, NULL);
		slow_now = false;
	}
}

static void *
slow_signer(void *arg)
{
	count(one_signature(*(CK_SESSION_HANDLE *)arg));
	return NULL;
}

static void
a_slow_card_does_not_hold_up_the_list(void **state)
{
	struct timespec a, b;
	CK_SESSION_HANDLE h;
	pthread_t t;
	long ms;

	(void)state;
	p11_start("p256");
	h = p11_session(0);
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
	key = p11_find(h, CKO_PRIVATE_KEY, 1);
	good = bad = 0;
	vcard_hook_set(p11_inserted(), slow, NULL);
	pthread_create(&t, NULL, slow_signer, &h);
	while (!slow_now)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	clock_gettime(CLOCK_MONOTONIC, &a);
	assert_rv_ok(C_GetSlotList(CK_TRUE, (CK_SLOT_ID[8]){ 0 }, &(CK_ULONG){ 8 }));
	clock_gettime(CLOCK_MONOTONIC, &b);
	ms = (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000;
	pthread_join(t, NULL);
	assert_int_equal(bad, 0);
	assert_true(ms < 200);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(signing_while_listing, p11_teardown),
		cmocka_unit_test_teardown(closing_under_use, p11_teardown),
		cmocka_unit_test_teardown(finalize_under_use, p11_teardown),
		cmocka_unit_test_teardown(a_slow_card_does_not_hold_up_the_list, p11_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
