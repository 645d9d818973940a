/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * p11_sign_loop MODULE TOKEN THREADS COUNT [init|sign|pair]: EC signatures of a digest by the first private key of this
 * token (PIN 123456), COUNT in each thread, each with a session of its own; prints signatures per second. Under
 * callgrind with --collect-atstart=no only the named calls are counted.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <p11-kit/pkcs11.h>
#include <valgrind/callgrind.h>

static CK_FUNCTION_LIST *p11;
static CK_SLOT_ID slot;
static CK_OBJECT_HANDLE key;
static unsigned count;
static bool in_init, in_sign;

static void
must(const char *what, CK_RV rv)
{
	if (rv == CKR_OK)
		return;
	printf("%s: 0x%lx\n", what, rv);
	exit(1);
}

static void
load(const char *module)
{
	CK_C_INITIALIZE_ARGS args = { .flags = CKF_OS_LOCKING_OK };
	void *so = dlopen(module, RTLD_NOW);
	CK_RV (*get)(CK_FUNCTION_LIST **);

	if (so == NULL || (*(void **)&get = dlsym(so, "C_GetFunctionList")) == NULL) {
		printf("%s\n", dlerror());
		exit(1);
	}
	must("C_GetFunctionList", get(&p11));
	must("C_Initialize", p11->C_Initialize(&args));
}

static void
find_token(const char *label)
{
	CK_SLOT_ID ids[32];
	CK_ULONG n = 32;
	CK_TOKEN_INFO info;

	must("C_GetSlotList", p11->C_GetSlotList(CK_TRUE, ids, &n));
	for (CK_ULONG i = 0; i < n; i++) {
		slot = ids[i];
		if (p11->C_GetTokenInfo(slot, &info) == CKR_OK && memcmp(info.label, label, strlen(label)) == 0 &&
		    info.label[strlen(label)] == ' ')
			return;
	}
	printf("no token %s\n", label);
	exit(1);
}

static CK_SESSION_HANDLE
open_session(void)
{
	CK_SESSION_HANDLE h;

	must("C_OpenSession", p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &h));
	return h;
}

/* The authentication key: CKA_ID 01 in tests/lib/softhsm.sh. */
static void
find_key(CK_SESSION_HANDLE h)
{
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_BYTE id = 1;
	CK_ATTRIBUTE t[] = { { CKA_CLASS, &class, sizeof class }, { CKA_ID, &id, 1 } };
	CK_ULONG n = 0;

	must("C_FindObjectsInit", p11->C_FindObjectsInit(h, t, 2));
	must("C_FindObjects", p11->C_FindObjects(h, &key, 1, &n));
	must("C_FindObjectsFinal", p11->C_FindObjectsFinal(h));
	must("private key", n == 1 ? CKR_OK : CKR_KEY_HANDLE_INVALID);
}

static void
count_toggle(bool on)
{
	if (on)
		CALLGRIND_TOGGLE_COLLECT;
}

static void *
sign(void *arg)
{
	CK_MECHANISM m = { CKM_ECDSA, NULL, 0 };
	CK_BYTE digest[32] = { 1 }, sig[512];
	CK_SESSION_HANDLE h = open_session();

	(void)arg;
	for (unsigned i = 0; i < count + 5; i++) { /* the first five are not measured */
		CK_ULONG n = sizeof sig;
		bool measured = i >= 5;

		count_toggle(measured && in_init);
		must("C_SignInit", p11->C_SignInit(h, &m, key));
		count_toggle(measured && in_init);
		count_toggle(measured && in_sign);
		must("C_Sign", p11->C_Sign(h, digest, sizeof digest, sig, &n));
		count_toggle(measured && in_sign);
	}
	return NULL;
}

int
main(int argc, char **argv)
{
	CK_UTF8CHAR pin[] = "123456";
	unsigned threads;
	pthread_t id[16];
	struct timespec a, b;
	CK_SESSION_HANDLE h;

	if (argc < 5 || (threads = (unsigned)atoi(argv[3])) > 16)
		return 2;
	count = (unsigned)atoi(argv[4]);
	in_init = argc > 5 && strcmp(argv[5], "sign") != 0;
	in_sign = argc > 5 && strcmp(argv[5], "init") != 0;
	load(argv[1]);
	find_token(argv[2]);
	h = open_session();
	must("C_Login", p11->C_Login(h, CKU_USER, pin, 6));
	find_key(h);
	clock_gettime(CLOCK_MONOTONIC, &a);
	for (unsigned i = 0; i < threads; i++)
		pthread_create(&id[i], NULL, sign, NULL);
	for (unsigned i = 0; i < threads; i++)
		pthread_join(id[i], NULL);
	clock_gettime(CLOCK_MONOTONIC, &b);
	printf(
	    "%.0f\n", (count + 5) * threads / ((double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9));
	must("C_Finalize", p11->C_Finalize(NULL));
	return 0;
}
