/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A PKCS#11 module that is another one ($P11_SHIM), except that when the file $P11_SHIM_KILL exists, C_Login does not
 * come back: the process is killed in it; and that C_SignInit and C_Sign take $P11_SHIM_MS
 * milliseconds longer each.
 */
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <p11-kit/pkcs11.h>

static CK_FUNCTION_LIST list, *real;

static CK_RV
shim_login(CK_SESSION_HANDLE h, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin, CK_ULONG n)
{
	const char *path = getenv("P11_SHIM_KILL");

	if (path != NULL && access(path, F_OK) == 0)
		kill(getpid(), SIGKILL);
	return real->C_Login(h, user, pin, n);
}

static void
be_slow(void)
{
	const char *ms = getenv("P11_SHIM_MS");
	const struct timespec pause = { .tv_nsec = (ms != NULL ? atol(ms) : 0) * 1000 * 1000 };

	nanosleep(&pause, NULL);
}

static CK_RV
shim_sign_init(CK_SESSION_HANDLE h, CK_MECHANISM_PTR m, CK_OBJECT_HANDLE key)
{
	be_slow();
	return real->C_SignInit(h, m, key);
}

static CK_RV
shim_sign(CK_SESSION_HANDLE h, CK_BYTE_PTR in, CK_ULONG n, CK_BYTE_PTR out, CK_ULONG_PTR len)
{
	be_slow();
	return real->C_Sign(h, in, n, out, len);
}

__attribute__((visibility("default"))) CK_RV
C_GetFunctionList(CK_FUNCTION_LIST **out)
{
	const char *path = getenv("P11_SHIM");
	void *so = path != NULL ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
	CK_RV (*get)(CK_FUNCTION_LIST **);

	if (so == NULL || (*(void **)&get = dlsym(so, "C_GetFunctionList")) == NULL || get(&real) != CKR_OK)
		return CKR_GENERAL_ERROR;
	list = *real;
	list.C_Login = shim_login;
	list.C_SignInit = shim_sign_init;
	list.C_Sign = shim_sign;
	*out = &list;
	return CKR_OK;
}
