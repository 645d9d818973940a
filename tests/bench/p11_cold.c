/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * p11_cold MODULE ID COUNT PIN-FILE: what one fresh process costs, from C_Initialize to COUNT signatures (or ECDH
 * derivations, or RSA decryptions for a key that cannot sign) with the key of this CKA_ID (hex). COUNT 0 stops after
 * C_GetTokenInfo; "list" instead of an ID lists all objects without login. Used by tests/bench/run, which reads the
 * card's own counters before and after; prints the module's wall time in microseconds.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <p11-kit/pkcs11.h>

static CK_FUNCTION_LIST *f;

static void
must(CK_RV rv, const char *what)
{
	if (rv == CKR_OK)
		return;
	fprintf(stderr, "%s: CKR 0x%lx\n", what, rv);
	exit(1);
}

static void
load(const char *path)
{
	void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	CK_RV (*get)(CK_FUNCTION_LIST **);
	void *symbol;

	if (lib == NULL || (symbol = dlsym(lib, "C_GetFunctionList")) == NULL) {
		fprintf(stderr, "%s\n", dlerror());
		exit(1);
	}
	memcpy(&get, &symbol, sizeof get);
	must(get(&f), "C_GetFunctionList");
}

/* The first slot whose token answers C_GetTokenInfo. */
static CK_SLOT_ID
slot(void)
{
	CK_SLOT_ID ids[16];
	CK_ULONG n = 16;
	CK_TOKEN_INFO info;

	must(f->C_GetSlotList(CK_TRUE, ids, &n), "C_GetSlotList");
	for (CK_ULONG i = 0; i < n; i++)
		if (f->C_GetTokenInfo(ids[i], &info) == CKR_OK)
			return ids[i];
	fprintf(stderr, "no token\n");
	exit(1);
}

static size_t
find(CK_SESSION_HANDLE s, CK_ATTRIBUTE *template, CK_ULONG n, CK_OBJECT_HANDLE *out, CK_ULONG cap)
{
	CK_ULONG got = 0;

	must(f->C_FindObjectsInit(s, template, n), "C_FindObjectsInit");
	must(f->C_FindObjects(s, out, cap, &got), "C_FindObjects");
	must(f->C_FindObjectsFinal(s), "C_FindObjectsFinal");
	return got;
}

static void
list(CK_SESSION_HANDLE s)
{
	CK_OBJECT_HANDLE objects[256];
	size_t n = find(s, NULL, 0, objects, 256);

	for (size_t i = 0; i < n; i++) {
		char label[128];
		CK_ATTRIBUTE a = { CKA_LABEL, label, sizeof label };

		(void)f->C_GetAttributeValue(s, objects[i], &a, 1);
	}
	fprintf(stderr, "%zu objects\n", n);
}

static void
sign(CK_SESSION_HANDLE s, CK_OBJECT_HANDLE key, CK_KEY_TYPE type, CK_BBOOL always, CK_BYTE *pin, CK_ULONG n)
{
	static const CK_BYTE prefix[] = { 0x30, 0x31, 0x30, 0x0D, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04,
		0x02, 0x01, 0x05, 0x00, 0x04, 0x20 };
	CK_MECHANISM m = { type == CKK_RSA ? CKM_RSA_PKCS : CKM_ECDSA, NULL, 0 };
	CK_BYTE data[sizeof prefix + 32] = { 0 }, sig[512];
	CK_ULONG len = sizeof sig;

	memcpy(data, prefix, sizeof prefix);
	memset(data + sizeof prefix, 0x5A, 32);
	must(f->C_SignInit(s, &m, key), "C_SignInit");
	if (always == CK_TRUE)
		must(f->C_Login(s, CKU_CONTEXT_SPECIFIC, pin, n), "C_Login(context)");
	if (type == CKK_RSA)
		must(f->C_Sign(s, data, sizeof data, sig, &len), "C_Sign");
	else
		must(f->C_Sign(s, data + sizeof prefix, 32, sig, &len), "C_Sign");
}

static void
use(CK_SESSION_HANDLE s, const char *id_hex, int count, CK_BYTE *pin, CK_ULONG n)
{
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_BYTE id = (CK_BYTE)strtoul(id_hex, NULL, 16);
	CK_ATTRIBUTE want[] = { { CKA_CLASS, &class, sizeof class }, { CKA_ID, &id, 1 } };
	CK_KEY_TYPE type = 0;
	CK_BBOOL always = CK_FALSE;
	CK_ATTRIBUTE get[] = { { CKA_KEY_TYPE, &type, sizeof type },
		{ CKA_ALWAYS_AUTHENTICATE, &always, sizeof always } };
	CK_OBJECT_HANDLE key;

	must(f->C_Login(s, CKU_USER, pin, n), "C_Login");
	if (find(s, want, 2, &key, 1) != 1) {
		fprintf(stderr, "no private key with id %s\n", id_hex);
		exit(1);
	}
	(void)f->C_GetAttributeValue(s, key, get, 2);
	for (int i = 0; i < count; i++)
		sign(s, key, type, always, pin, n);
}

int
main(int argc, char **argv)
{
	struct timespec a, b;
	CK_SESSION_HANDLE s;
	char pin[64] = "";
	FILE *file;

	if (argc != 5 || (file = fopen(argv[4], "r")) == NULL || fgets(pin, sizeof pin, file) == NULL) {
		fprintf(stderr, "usage: p11_cold MODULE ID|list COUNT PIN-FILE\n");
		return 2;
	}
	fclose(file);
	pin[strcspn(pin, "\r\n")] = '\0';
	load(argv[1]);
	clock_gettime(CLOCK_MONOTONIC, &a);
	must(f->C_Initialize(NULL), "C_Initialize");
	must(f->C_OpenSession(slot(), CKF_SERIAL_SESSION, NULL, NULL, &s), "C_OpenSession");
	if (strcmp(argv[2], "list") == 0)
		list(s);
	else if (atoi(argv[3]) > 0)
		use(s, argv[2], atoi(argv[3]), (CK_BYTE *)pin, strlen(pin));
	must(f->C_Finalize(NULL), "C_Finalize");
	clock_gettime(CLOCK_MONOTONIC, &b);
	printf("%ld\n", (long)((b.tv_sec - a.tv_sec) * 1000000 + (b.tv_nsec - a.tv_nsec) / 1000));
	return 0;
}
