/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * p11_robust MODULE SCENE: what may happen to a card on a real pcscd, a scene for each kind of event. Things are done
 * to the card with tests/vcard-ctl and other programs. Any call that takes more than LIMIT seconds is a failure, and
 * the process is ended by an alarm when one hangs.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <p11-kit/pkcs11.h>

#define LIMIT 12.0

static CK_FUNCTION_LIST *p11;
static CK_SESSION_HANDLE h;
static CK_OBJECT_HANDLE key;
static double longest;

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* One call of the module, timed. */
#define CALL(f, ...)                                                                                                   \
	__extension__({                                                                                                \
		double start_ = now();                                                                                 \
		CK_RV rv_ = p11->f(__VA_ARGS__);                                                                       \
		double took_ = now() - start_;                                                                         \
		longest = took_ > longest ? took_ : longest;                                                           \
		rv_;                                                                                                   \
	})

#define WANT(expr, value)                                                                                              \
	do {                                                                                                           \
		CK_RV got_ = (expr), want_ = (value);                                                                  \
		if (got_ != want_) {                                                                                   \
			printf("line %d: %s is 0x%lx, not 0x%lx\n", __LINE__, #expr, got_, want_);                     \
			exit(1);                                                                                       \
		}                                                                                                      \
	} while (0)

static void
run(const char *fmt, ...)
{
	char command[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof command, fmt, ap);
	va_end(ap);
	strcat(command, " >/dev/null 2>&1");
	if (system(command) != 0)
		printf("failed: %s\n", command);
}

static CK_RV
login(const char *pin)
{
	CK_UTF8CHAR copy[32];

	memcpy(copy, pin, strlen(pin));
	return CALL(C_Login, h, CKU_USER, copy, strlen(pin));
}

static CK_RV
find(CK_BYTE id)
{
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_ATTRIBUTE t[] = { { CKA_CLASS, &class, sizeof class }, { CKA_ID, &id, 1 } };
	CK_ULONG n = 0;
	CK_RV rv = CALL(C_FindObjectsInit, h, t, 2);

	key = 0;
	if (rv == CKR_OK && (rv = CALL(C_FindObjects, h, &key, 1, &n)) == CKR_OK)
		rv = CALL(C_FindObjectsFinal, h);
	return rv != CKR_OK || n == 1 ? rv : CKR_KEY_HANDLE_INVALID;
}

static CK_RV
sign(void)
{
	CK_MECHANISM m = { CKM_ECDSA, NULL, 0 };
	CK_BYTE digest[32] = { 1 }, sig[64];
	CK_ULONG n = sizeof sig;
	CK_RV rv = CALL(C_SignInit, h, &m, key);

	return rv != CKR_OK ? rv : CALL(C_Sign, h, digest, sizeof digest, sig, &n);
}

static CK_RV
open_session(void)
{
	return CALL(C_OpenSession, 0, CKF_SERIAL_SESSION, NULL, NULL, &h);
}

static void
ready(void)
{
	CK_ULONG n = 0;

	WANT(p11->C_Initialize(NULL), CKR_OK);
	WANT(p11->C_GetSlotList(CK_TRUE, NULL, &n), CKR_OK);
	WANT(open_session(), CKR_OK);
	WANT(login("123456"), CKR_OK);
	WANT(find(1), CKR_OK);
	WANT(sign(), CKR_OK);
}

static CK_FLAGS
token_flags(void)
{
	CK_TOKEN_INFO info;

	WANT(CALL(C_GetTokenInfo, 0, &info), CKR_OK);
	return info.flags & (CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_LOCKED);
}

/* --- scenes --- */

static void
scene_pulled(void)
{
	CK_SESSION_HANDLE old;
	CK_TOKEN_INFO ti;
	CK_SLOT_INFO si;

	ready();
	run("tests/vcard-ctl remove");
	WANT(sign(), CKR_DEVICE_REMOVED);
	WANT(CALL(C_GetSlotInfo, 0, &si), CKR_OK);
	WANT(si.flags & CKF_TOKEN_PRESENT, 0);
	WANT(CALL(C_GetTokenInfo, 0, &ti), CKR_TOKEN_NOT_PRESENT);
	old = h;
	WANT(open_session(), CKR_TOKEN_NOT_PRESENT);
	h = old;
	run("tests/vcard-ctl insert");
	WANT(CALL(C_GetTokenInfo, 0, &ti), CKR_OK);
	WANT(login("123456"), CKR_OK); /* the old session, with the old key */
	WANT(sign(), CKR_OK);
	WANT(open_session(), CKR_OK);
	WANT(find(1), CKR_OK);
	WANT(sign(), CKR_OK);
}

/* Out and in again while nobody looks. */
static void
scene_replugged(void)
{
	CK_RV rv;

	ready();
	run("tests/vcard-ctl remove; tests/vcard-ctl insert");
	if ((rv = sign()) != CKR_OK) {
		WANT(rv, CKR_USER_NOT_LOGGED_IN);
		WANT(login("123456"), CKR_OK);
	}
	WANT(sign(), CKR_OK);
}

/* No second PIN after what others do. */
static void
scene_others(void)
{
	static const char *const what[] = { "tests/vcard-ctl reset", "tests/vcard-ctl other", "opensc-tool --reset",
		"opensc-tool --list-algorithms", "yubico-piv-tool -a status", "yubico-piv-tool -a verify-pin -P 123456",
		"pkcs11-tool --module opensc-pkcs11.so -l --pin 123456 -O",
		"pkcs11-tool --module libykcs11.so -l --pin 123456 -O" };

	ready();
	for (size_t i = 0; i < sizeof what / sizeof what[0]; i++) {
		if (system(NULL) == 0)
			exit(1);
		run("%s || true", what[i]);
		printf("after %s\n", what[i]);
		WANT(sign(), CKR_OK);
		WANT(find(1), CKR_OK);
	}
}

/* At most one failed call. */
static void
scene_service(void)
{
	CK_RV rv;
	int failed = 0;

	ready();
	run("tests/faults/pcscd_restart");
	for (int i = 0; i < 10; i++) {
		if ((rv = sign()) == CKR_USER_NOT_LOGGED_IN)
			rv = login("123456");
		if (rv != CKR_OK)
			printf("failed with 0x%lx\n", rv);
		failed += rv != CKR_OK;
	}
	printf("%d failed\n", failed);
	WANT(failed > 1, 0);
	WANT(rv, CKR_OK);
}

/* Stopped, noticed, started. */
static void
scene_service_gone(void)
{
	CK_ULONG n = 9;
	CK_RV rv;

	ready();
	run("tests/faults/pcscd_restart stop");
	WANT(sign(), CKR_DEVICE_REMOVED);
	WANT(CALL(C_GetSlotList, CK_TRUE, NULL, &n), CKR_OK);
	WANT(n, 0);
	run("tests/faults/pcscd_restart start");
	if ((rv = sign()) != CKR_OK) {
		WANT(rv, CKR_USER_NOT_LOGGED_IN);
		WANT(login("123456"), CKR_OK);
	}
	WANT(sign(), CKR_OK);
}

static void
scene_pins(void)
{
	ready();
	WANT(CALL(C_Logout, h), CKR_OK);
	WANT(token_flags(), 0);
	WANT(login("12"), CKR_PIN_INCORRECT); /* malformed: no try is used */
	WANT(login("1234567890"), CKR_PIN_INCORRECT);
	WANT(login("12345a"), CKR_PIN_INCORRECT);
	WANT(token_flags(), 0);
	WANT(login("654321"), CKR_PIN_INCORRECT);
	WANT(token_flags(), CKF_USER_PIN_COUNT_LOW);
	WANT(login("123456"), CKR_OK);
	WANT(token_flags(), 0); /* cleared by a good PIN */
	WANT(find(1), CKR_OK);
	WANT(sign(), CKR_OK);
}

static void
scene_locked(void)
{
	ready();
	WANT(CALL(C_Logout, h), CKR_OK);
	WANT(login("654321"), CKR_PIN_INCORRECT);
	WANT(login("654321"), CKR_PIN_INCORRECT);
	WANT(token_flags(), CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY);
	WANT(login("654321"), CKR_PIN_LOCKED);
	WANT(token_flags() & CKF_USER_PIN_LOCKED, CKF_USER_PIN_LOCKED);
	WANT(login("123456"), CKR_PIN_LOCKED);
}

static void *
finalize_soon(void *arg)
{
	nanosleep(&(struct timespec){ .tv_nsec = 300000000 }, NULL);
	p11->C_Finalize(NULL);
	return arg;
}

static void
scene_events(void)
{
	CK_SLOT_ID slot = 77;
	pthread_t t;
	double start;

	ready();
	WANT(CALL(C_WaitForSlotEvent, CKF_DONT_BLOCK, &slot, NULL), CKR_NO_EVENT); /* for a card that was there */
	WANT(slot, 77);
	run("(sleep 0.5; BUILD=${BUILD:-build}; \"$BUILD/dpiv-vcard\" ctl \"$DPIV_VCARD_CTL/0\" remove) &");
	start = now();
	WANT(CALL(C_WaitForSlotEvent, 0, &slot, NULL), CKR_OK);
	WANT(slot, 0);
	printf("noticed %.2f s after it was pulled; pcscd looks every 0.4 s\n", now() - start - 0.5);
	WANT(now() - start < 0.5 + 0.7, 1);
	WANT(CALL(C_WaitForSlotEvent, CKF_DONT_BLOCK, &slot, NULL), CKR_NO_EVENT);
	run("tests/vcard-ctl insert");
	WANT(CALL(C_WaitForSlotEvent, CKF_DONT_BLOCK, &slot, NULL), CKR_OK);
	pthread_create(&t, NULL, finalize_soon, NULL);
	start = now();
	WANT(CALL(C_WaitForSlotEvent, 0, &slot, NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
	WANT(now() - start < 2.5, 1);
	pthread_join(t, NULL);
}

static void
scene_always(void)
{
	CK_UTF8CHAR pin[] = "123456";
	CK_BYTE digest[32] = { 1 }, sig[64];
	CK_ULONG n = sizeof sig;

	ready();
	WANT(find(2), CKR_OK);
	WANT(sign(), CKR_USER_NOT_LOGGED_IN);
	WANT(CALL(C_Login, h, CKU_CONTEXT_SPECIFIC, pin, 6), CKR_OK); /* the operation waited for it */
	WANT(CALL(C_Sign, h, digest, sizeof digest, sig, &n), CKR_OK);
	WANT(find(1), CKR_OK);
	WANT(sign(), CKR_OK);
}

/* Cold login and two signatures; what fails is tried again until the card is back. */
static CK_RV
cold(void)
{
	CK_ULONG n = 1;
	CK_SLOT_ID slot;
	CK_RV rv;

	WANT(CALL(C_Initialize, NULL), CKR_OK);
	for (int tries = 0; tries < 30; tries++) {
		CALL(C_GetSlotList, CK_FALSE, NULL, &n);
		n = 1;
		CALL(C_GetSlotList, CK_FALSE, &slot, &n);
		if ((rv = open_session()) == CKR_OK && (rv = login("123456")) == CKR_OK && (rv = find(1)) == CKR_OK &&
		    (rv = sign()) == CKR_OK)
			rv = sign();
		CALL(C_CloseAllSessions, 0);
		if (rv == CKR_OK)
			break;
		printf("0x%lx ", rv);
		nanosleep(&(struct timespec){ .tv_nsec = 200000000 }, NULL);
	}
	WANT(CALL(C_Finalize, NULL), CKR_OK);
	return rv;
}

static void
scene_torn(void)
{
	char left[64] = "";
	FILE *f;

	for (int n = 1; n < 40; n++) {
		run("tests/vcard-ctl fault 'at %d remove%s 600'", n, n % 2 ? "" : "-after");
		printf("\napdu %d: ", n);
		fflush(stdout);
		WANT(cold(), CKR_OK);
		f = popen("tests/vcard-ctl faults", "r");
		if (f == NULL || fgets(left, sizeof left, f) == NULL)
			exit(1);
		pclose(f);
		run("tests/vcard-ctl fault clear");
		if (strstr(left, "1") != NULL) { /* it did not fire: there is no such APDU */
			printf("\n%d APDUs torn\n", n - 1);
			WANT(n > 5, 1);
			return;
		}
	}
	exit(1);
}

/* Another card comes into the reader between two calls: no signature by its key in the old session. */
static void
scene_swapped(void)
{
	CK_SESSION_INFO si;
	CK_RV rv;

	ready();
	run("tests/faults/card_swap");
	if ((rv = sign()) != CKR_SESSION_HANDLE_INVALID)
		WANT(rv, CKR_DEVICE_REMOVED); /* when it was the card's own answer that showed it */
	WANT(sign(), CKR_SESSION_HANDLE_INVALID);
	WANT(CALL(C_GetSessionInfo, h, &si), CKR_SESSION_HANDLE_INVALID);
	WANT(open_session(), CKR_OK);
	WANT(sign() != CKR_OK, 1);
	WANT(login("123456"), CKR_OK);
	WANT(find(1), CKR_OK);
	WANT(sign(), CKR_OK);
}

static const struct {
	const char *name;
	void (*run)(void);
} scenes[] = {
	{ "pulled", scene_pulled },
	{ "replugged", scene_replugged },
	{ "others", scene_others },
	{ "service", scene_service },
	{ "service-gone", scene_service_gone },
	{ "pins", scene_pins },
	{ "locked", scene_locked },
	{ "events", scene_events },
	{ "always", scene_always },
	{ "torn", scene_torn },
	{ "swapped", scene_swapped },
};

int
main(int argc, char **argv)
{
	void *so = argc == 3 ? dlopen(argv[1], RTLD_NOW) : NULL;
	CK_RV (*get)(CK_FUNCTION_LIST **);

	if (so == NULL || (*(void **)&get = dlsym(so, "C_GetFunctionList")) == NULL || get(&p11) != CKR_OK)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	alarm(110);
	for (size_t i = 0; i < sizeof scenes / sizeof scenes[0]; i++)
		if (strcmp(argv[2], scenes[i].name) == 0) {
			scenes[i].run();
			printf("longest call %.2f s\n", longest);
			return longest > LIMIT;
		}
	return 2;
}
