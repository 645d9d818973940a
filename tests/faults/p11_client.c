/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * p11_client MODULE ID SECONDS: one session, one login, then signatures (EC) with key ID as fast as they come, for so
 * long. After a failure it logs in again, in the same session. Says what C_Sign returned, each value with how often,
 * the longest call, and whether the last one worked.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <p11-kit/pkcs11.h>

static CK_FUNCTION_LIST *p11;
static CK_UTF8CHAR pin[] = "123456";

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

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
	void *so = dlopen(module, RTLD_NOW);
	CK_RV (*get)(CK_FUNCTION_LIST **);

	if (so == NULL || (*(void **)&get = dlsym(so, "C_GetFunctionList")) == NULL) {
		printf("%s\n", dlerror());
		exit(1);
	}
	must("C_GetFunctionList", get(&p11));
	must("C_Initialize", p11->C_Initialize(NULL));
}

static CK_SESSION_HANDLE
open_session(void)
{
	CK_SLOT_ID slot[8];
	CK_ULONG n = 0;
	CK_SESSION_HANDLE h;

	must("C_GetSlotList", p11->C_GetSlotList(CK_TRUE, NULL, &n));
	n = 8;
	must("C_GetSlotList", p11->C_GetSlotList(CK_TRUE, slot, &n));
	must("C_OpenSession", p11->C_OpenSession(slot[0], CKF_SERIAL_SESSION, NULL, NULL, &h));
	must("C_Login", p11->C_Login(h, CKU_USER, pin, 6));
	return h;
}

static CK_OBJECT_HANDLE
find_key(CK_SESSION_HANDLE h, CK_BYTE id)
{
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_ATTRIBUTE t[] = { { CKA_CLASS, &class, sizeof class }, { CKA_ID, &id, 1 } };
	CK_OBJECT_HANDLE key = 0;
	CK_ULONG n = 0;

	must("C_FindObjectsInit", p11->C_FindObjectsInit(h, t, 2));
	must("C_FindObjects", p11->C_FindObjects(h, &key, 1, &n));
	must("C_FindObjectsFinal", p11->C_FindObjectsFinal(h));
	if (n != 1)
		must("no such key", CKR_KEY_HANDLE_INVALID);
	return key;
}

static CK_RV
sign(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE key, CK_BYTE id)
{
	CK_MECHANISM m = { CKM_ECDSA, NULL, 0 };
	CK_BYTE digest[32] = { 1 }, sig[64];
	CK_ULONG n = sizeof sig;
	CK_RV rv = p11->C_SignInit(h, &m, key);

	if (rv == CKR_OK && id == 2)
		rv = p11->C_Login(h, CKU_CONTEXT_SPECIFIC, pin, 6);
	return rv != CKR_OK ? rv : p11->C_Sign(h, digest, sizeof digest, sig, &n);
}

int
main(int argc, char **argv)
{
	static unsigned count[0x400];
	const struct timespec pause = { .tv_nsec = 200 * 1000 * 1000 };
	CK_BYTE id = (CK_BYTE)atoi(argc > 2 ? argv[2] : "1");
	double end, start, longest = 0;
	CK_SESSION_HANDLE h;
	CK_OBJECT_HANDLE key;
	CK_RV rv = CKR_OK;

	if (argc != 4)
		return 2;
	load(argv[1]);
	h = open_session();
	key = find_key(h, id);
	for (end = now() + atof(argv[3]); (start = now()) < end;) {
		rv = sign(h, key, id);
		longest = now() - start > longest ? now() - start : longest;
		count[rv & 0x3FF]++;
		if (rv != CKR_OK) {
			nanosleep(&pause, NULL);
			p11->C_Login(h, CKU_USER, pin, 6);
		}
	}
	for (unsigned i = 0; i < 0x400; i++)
		if (count[i] != 0)
			printf("rv 0x%x: %u times\n", i, count[i]);
	printf("longest %.1f s\nlast 0x%lx\n", longest, rv);
	p11->C_Finalize(NULL);
	return rv != CKR_OK;
}
