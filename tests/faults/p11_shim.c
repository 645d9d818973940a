/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A PKCS#11 module between the program under test and a real one, for tests that break things at a chosen call. Built
 * by the test itself. The environment says what to do:
 *
 *	P11_SHIM_MODULE=PATH   the real module
 *	P11_SHIM_LOG=FILE      one line for each counted call
 *	P11_SHIM_REFUSE=1      no private keys by C_CreateObject
 *	P11_SHIM_ALL=1         calls that only look are counted as well
 *	P11_SHIM_RULE=WHAT     kill-before:N   SIGKILL before the N-th counted call
 *	                       kill-after:N    SIGKILL after it
 *	                       fail:NAME:RV    calls of NAME return RV (hex) and are not made
 *	                       lose:NAME:RV    calls of NAME are made and RV is returned all the same
 *	                       protected       the token says that it is write-protected
 *	                       no-login        the token says that it needs no login
 *	                       extractable     the template's CKA_EXTRACTABLE and CKA_SENSITIVE are turned round
 *	                       final-try, locked   the token says so of its PIN
 *	                       full            there is no room for a private key from outside that is to stay
 *	                       gone:N          from the N-th counted call on the token is not there
 *	                       error:N         the N-th counted call fails (CKR_DEVICE_ERROR) and is not made
 */
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <p11-kit/pkcs11.h>

static CK_FUNCTION_LIST *real, list;
static unsigned long calls;

static int
rule_is(const char *name)
{
	const char *rule = getenv("P11_SHIM_RULE");

	return rule != NULL && strcmp(rule, name) == 0;
}

/* "kind:N"; 0 when the rule is another. */
static unsigned long
rule_number(const char *kind)
{
	const char *rule = getenv("P11_SHIM_RULE");
	size_t n = strlen(kind);

	return rule != NULL && strncmp(rule, kind, n) == 0 && rule[n] == ':' ? strtoul(rule + n + 1, NULL, 10) : 0;
}

/* "kind:NAME:RV" for this call. */
static int
rule_call(const char *kind, const char *name, CK_RV *rv)
{
	char want[128];
	const char *rule = getenv("P11_SHIM_RULE");
	int n = snprintf(want, sizeof want, "%s:%s:", kind, name);

	if (rule == NULL || strncmp(rule, want, (size_t)n) != 0)
		return 0;
	*rv = strtoul(rule + n, NULL, 16);
	return 1;
}

static int
before(const char *name, CK_RV *rv)
{
	const char *path = getenv("P11_SHIM_LOG");
	FILE *f = path != NULL ? fopen(path, "a") : NULL;

	calls++;
	if (f != NULL) {
		fprintf(f, "%lu %s\n", calls, name);
		fclose(f);
	}
	if (rule_number("kill-before") == calls)
		kill(getpid(), SIGKILL);
	if (rule_number("gone") != 0 && calls >= rule_number("gone")) {
		*rv = CKR_DEVICE_REMOVED;
		return 1;
	}
	if (rule_number("error") == calls) {
		*rv = CKR_DEVICE_ERROR;
		return 1;
	}
	return rule_call("fail", name, rv);
}

static CK_RV
after(const char *name, CK_RV rv)
{
	if (rule_number("kill-after") == calls)
		kill(getpid(), SIGKILL);
	(void)rule_call("lose", name, &rv);
	return rv;
}

#define CALL(name, params, args)                                                                                       \
	static CK_RV shim_##name params                                                                                \
	{                                                                                                              \
		CK_RV rv = CKR_OK;                                                                                     \
		return before(#name, &rv) ? rv : after(#name, real->name args);                                        \
	}

CALL(C_OpenSession, (CK_SLOT_ID s, CK_FLAGS f, void *a, CK_NOTIFY n, CK_SESSION_HANDLE *h), (s, f, a, n, h))
CALL(C_Login, (CK_SESSION_HANDLE h, CK_USER_TYPE u, unsigned char *p, CK_ULONG n), (h, u, p, n))
CALL(C_DestroyObject, (CK_SESSION_HANDLE h, CK_OBJECT_HANDLE o), (h, o))
CALL(C_SignInit, (CK_SESSION_HANDLE h, CK_MECHANISM *m, CK_OBJECT_HANDLE o), (h, m, o))
CALL(C_Sign, (CK_SESSION_HANDLE h, unsigned char *d, CK_ULONG n, unsigned char *s, CK_ULONG *sn), (h, d, n, s, sn))
CALL(C_FindObjectsInit, (CK_SESSION_HANDLE h, CK_ATTRIBUTE *a, CK_ULONG n), (h, a, n))

CALL(C_UnwrapKey,
    (CK_SESSION_HANDLE h, CK_MECHANISM *m, CK_OBJECT_HANDLE k, unsigned char *w, CK_ULONG wn, CK_ATTRIBUTE *a,
	CK_ULONG n, CK_OBJECT_HANDLE *o),
    (h, m, k, w, wn, a, n, o))

/* Calls that only look. */
#define LOOK(name, params, args)                                                                                       \
	static CK_RV look_##name params                                                                                \
	{                                                                                                              \
		CK_RV rv = CKR_OK;                                                                                     \
		if (getenv("P11_SHIM_ALL") == NULL)                                                                    \
			return real->name args;                                                                        \
		return before(#name, &rv) ? rv : after(#name, real->name args);                                        \
	}

LOOK(C_GetSlotList, (unsigned char p, CK_SLOT_ID *s, CK_ULONG *n), (p, s, n))
LOOK(C_GetMechanismInfo, (CK_SLOT_ID s, CK_MECHANISM_TYPE t, CK_MECHANISM_INFO *i), (s, t, i))
LOOK(C_CloseSession, (CK_SESSION_HANDLE h), (h))
LOOK(C_CloseAllSessions, (CK_SLOT_ID s), (s))
LOOK(C_Logout, (CK_SESSION_HANDLE h), (h))
LOOK(C_FindObjects, (CK_SESSION_HANDLE h, CK_OBJECT_HANDLE *o, CK_ULONG n, CK_ULONG *found), (h, o, n, found))
LOOK(C_FindObjectsFinal, (CK_SESSION_HANDLE h), (h))
LOOK(C_GetAttributeValue, (CK_SESSION_HANDLE h, CK_OBJECT_HANDLE o, CK_ATTRIBUTE *a, CK_ULONG n), (h, o, a, n))

static int
has(const CK_ATTRIBUTE *a, CK_ULONG n, CK_ATTRIBUTE_TYPE type, const void *value, CK_ULONG len)
{
	for (CK_ULONG i = 0; i < n; i++)
		if (a[i].type == type && a[i].ulValueLen == len && memcmp(a[i].pValue, value, len) == 0)
			return 1;
	return 0;
}

static CK_RV
shim_C_CreateObject(CK_SESSION_HANDLE h, CK_ATTRIBUTE *a, CK_ULONG n, CK_OBJECT_HANDLE *o)
{
	static const CK_OBJECT_CLASS private_key = CKO_PRIVATE_KEY;
	static const CK_BBOOL yes = CK_TRUE;
	CK_RV rv = CKR_OK;

	if (getenv("P11_SHIM_REFUSE") != NULL && has(a, n, CKA_CLASS, &private_key, sizeof private_key))
		return CKR_FUNCTION_NOT_SUPPORTED;
	if (before("C_CreateObject", &rv))
		return rv;
	if (rule_is("full") && has(a, n, CKA_CLASS, &private_key, sizeof private_key) &&
	    has(a, n, CKA_TOKEN, &yes, sizeof yes))
		return CKR_DEVICE_MEMORY;
	return after("C_CreateObject", real->C_CreateObject(h, a, n, o));
}

static void
turn_round(CK_ATTRIBUTE *a, CK_ULONG n)
{
	static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;

	for (CK_ULONG i = 0; i < n; i++) {
		if (a[i].type == CKA_EXTRACTABLE)
			a[i].pValue = &yes;
		if (a[i].type == CKA_SENSITIVE)
			a[i].pValue = &no;
	}
}

static CK_RV
shim_C_GenerateKeyPair(CK_SESSION_HANDLE h, CK_MECHANISM *m, CK_ATTRIBUTE *p, CK_ULONG pn, CK_ATTRIBUTE *s, CK_ULONG sn,
    CK_OBJECT_HANDLE *po, CK_OBJECT_HANDLE *so)
{
	CK_RV rv = CKR_OK;

	if (before("C_GenerateKeyPair", &rv))
		return rv;
	if (rule_is("extractable"))
		turn_round(s, sn);
	return after("C_GenerateKeyPair", real->C_GenerateKeyPair(h, m, p, pn, s, sn, po, so));
}

static CK_RV
shim_C_GetTokenInfo(CK_SLOT_ID slot, CK_TOKEN_INFO *ti)
{
	CK_RV rv;

	if (rule_number("gone") != 0 && calls >= rule_number("gone"))
		return CKR_TOKEN_NOT_PRESENT;
	rv = real->C_GetTokenInfo(slot, ti);
	if (rv != CKR_OK)
		return rv;
	if (rule_is("protected"))
		ti->flags |= CKF_WRITE_PROTECTED;
	if (rule_is("no-login"))
		ti->flags &= ~CKF_LOGIN_REQUIRED;
	if (rule_is("final-try"))
		ti->flags |= CKF_USER_PIN_FINAL_TRY;
	if (rule_is("locked"))
		ti->flags |= CKF_USER_PIN_LOCKED;
	return CKR_OK;
}

CK_RV
C_GetFunctionList(CK_FUNCTION_LIST **out)
{
	union {
		void *p;
		CK_C_GetFunctionList fn;
	} get;
	void *dl = dlopen(getenv("P11_SHIM_MODULE"), RTLD_NOW | RTLD_LOCAL);

	get.p = dl != NULL ? dlsym(dl, "C_GetFunctionList") : NULL;
	if (get.p == NULL || get.fn(&real) != CKR_OK)
		return CKR_GENERAL_ERROR;
	list = *real;
	list.C_GetFunctionList = C_GetFunctionList;
	list.C_GetTokenInfo = shim_C_GetTokenInfo;
	list.C_OpenSession = shim_C_OpenSession;
	list.C_Login = shim_C_Login;
	list.C_CreateObject = shim_C_CreateObject;
	list.C_DestroyObject = shim_C_DestroyObject;
	list.C_SignInit = shim_C_SignInit;
	list.C_Sign = shim_C_Sign;
	list.C_FindObjectsInit = shim_C_FindObjectsInit;
	list.C_GenerateKeyPair = shim_C_GenerateKeyPair;
	list.C_UnwrapKey = shim_C_UnwrapKey;
	list.C_GetSlotList = look_C_GetSlotList;
	list.C_GetMechanismInfo = look_C_GetMechanismInfo;
	list.C_CloseSession = look_C_CloseSession;
	list.C_CloseAllSessions = look_C_CloseAllSessions;
	list.C_Logout = look_C_Logout;
	list.C_FindObjects = look_C_FindObjects;
	list.C_FindObjectsFinal = look_C_FindObjectsFinal;
	list.C_GetAttributeValue = look_C_GetAttributeValue;
	*out = &list;
	return CKR_OK;
}
