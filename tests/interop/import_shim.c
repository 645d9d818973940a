/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A PKCS#11 module that refuses private keys: IMPORT_SHIM_MODULE's, but that C_CreateObject of a private key (when
 * IMPORT_SHIM_REFUSE has "create") and C_UnwrapKey ("unwrap") are not supported. With IMPORT_SHIM_KILL=N the process is
 * killed before the Nth call that writes, with IMPORT_SHIM_FAIL=N that call fails.
 */
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <p11-kit/pkcs11.h>

static CK_FUNCTION_LIST *real, shim;

static int
refuses(const char *what)
{
	const char *all = getenv("IMPORT_SHIM_REFUSE");

	return all != NULL && strstr(all, what) != NULL;
}

static int
is_now(const char *variable, int call)
{
	const char *n = getenv(variable);

	return n != NULL && atoi(n) == call;
}

/* Before a call that writes. */
static CK_RV
disturb(void)
{
	static int calls;

	calls++;
	if (is_now("IMPORT_SHIM_KILL", calls))
		raise(SIGKILL);
	return is_now("IMPORT_SHIM_FAIL", calls) ? CKR_DEVICE_ERROR : CKR_OK;
}

static CK_RV
create(CK_SESSION_HANDLE s, CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *o)
{
	CK_RV rv;

	for (CK_ULONG i = 0; i < n && refuses("create"); i++)
		if (t[i].type == CKA_CLASS && *(CK_OBJECT_CLASS *)t[i].pValue == CKO_PRIVATE_KEY)
			return CKR_FUNCTION_NOT_SUPPORTED;
	if ((rv = disturb()) != CKR_OK)
		return rv;
	return real->C_CreateObject(s, t, n, o);
}

static CK_RV
unwrap(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE k, unsigned char *w, CK_ULONG wn, CK_ATTRIBUTE *t,
    CK_ULONG n, CK_OBJECT_HANDLE *o)
{
	CK_RV rv;

	if (refuses("unwrap"))
		return CKR_FUNCTION_NOT_SUPPORTED;
	if ((rv = disturb()) != CKR_OK)
		return rv;
	return real->C_UnwrapKey(s, m, k, w, wn, t, n, o);
}

__attribute__((visibility("default"))) CK_RV
C_GetFunctionList(CK_FUNCTION_LIST **list)
{
	CK_RV (*get)(CK_FUNCTION_LIST **);
	void *dl = dlopen(getenv("IMPORT_SHIM_MODULE"), RTLD_NOW | RTLD_LOCAL);

	if (dl == NULL)
		return CKR_GENERAL_ERROR;
	*(void **)&get = dlsym(dl, "C_GetFunctionList");
	if (get == NULL || get(&real) != CKR_OK)
		return CKR_GENERAL_ERROR;
	shim = *real;
	shim.C_CreateObject = create;
	shim.C_UnwrapKey = unwrap;
	*list = &shim;
	return CKR_OK;
}
