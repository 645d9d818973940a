/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What PKCS#11 3.0 added (5.4 interfaces; 5.6 C_LoginUser, C_SessionCancel; 5.9 to 5.16 message functions;
 * profiles 3.0, 3: CKO_PROFILE).
 */
#include <string.h>

#include "tests/p11/conform.h"

#define NAME ((CK_UTF8CHAR_PTR)name)
static char name[] = "PKCS 11";

static void
need_interfaces(void)
{
	if (T.interface == NULL || T.interface_list == NULL)
		rule_na("the module has no interfaces");
}

static void
need_3(void)
{
	if (T.f3 == NULL)
		rule_na("the module has no 3.0 interface");
}

static CK_ULONG
interfaces(CK_INTERFACE list[16])
{
	CK_ULONG n = 0;

	need_interfaces();
	OK(T.interface_list(NULL, &n));
	HOLDS(n > 0 && n <= 16);
	OK(T.interface_list(list, &n));
	return n;
}

static void
list(void)
{
	CK_INTERFACE all[16];
	CK_ULONG n = interfaces(all), standard = 0;

	for (CK_ULONG i = 0; i < n; i++) {
		HOLDS(all[i].pInterfaceName != NULL && all[i].pFunctionList != NULL);
		HOLDS((all[i].flags & ~CKF_INTERFACE_FORK_SAFE) == 0);
		standard += strcmp((char *)all[i].pInterfaceName, name) == 0;
	}
	HOLDS(standard > 0);
}

static void
list_lengths(void)
{
	CK_INTERFACE all[16];
	CK_ULONG n = interfaces(all), cap = n - 1;

	WANT(T.interface_list(all, &cap), CKR_BUFFER_TOO_SMALL);
	HOLDS(cap == n);
	cap = 16;
	OK(T.interface_list(all, &cap));
	HOLDS(cap == n);
}

static void
list_null(void)
{
	CK_INTERFACE all[16];

	need_interfaces();
	WANT(T.interface_list(NULL, NULL), CKR_ARGUMENTS_BAD);
	WANT(T.interface_list(all, NULL), CKR_ARGUMENTS_BAD);
}

static CK_INTERFACE *
get(CK_UTF8CHAR_PTR which, CK_VERSION *v, CK_FLAGS flags)
{
	CK_INTERFACE *i = NULL;

	need_interfaces();
	OK(T.interface(which, v, &i, flags));
	HOLDS(i != NULL && i->pFunctionList != NULL && i->pInterfaceName != NULL);
	return i;
}

static void
default_one(void)
{
	CK_INTERFACE *i = get(NULL, NULL, 0);

	HOLDS(strcmp((char *)i->pInterfaceName, name) == 0);
	HOLDS(get(NAME, NULL, 0)->pFunctionList == i->pFunctionList);
}

static void
by_version(void)
{
	CK_VERSION v3 = { 3, 0 }, v2 = { 2, 40 }, *own;

	own = get(NAME, &v3, 0)->pFunctionList;
	HOLDS(own->major == 3 && own->minor == 0);
	own = get(NAME, &v2, 0)->pFunctionList;
	HOLDS(own->major == 2 && own->minor == 40);
	HOLDS((void *)own == (void *)F); /* the one of C_GetFunctionList */
}

static void
refused(void)
{
	CK_VERSION odd = { 9, 9 };
	CK_UTF8CHAR other[] = "Vendor NSS Module Interface";
	CK_INTERFACE *i = NULL;

	need_interfaces();
	WANT(T.interface(other, NULL, &i, 0), CKR_FUNCTION_FAILED);
	WANT(T.interface(NAME, &odd, &i, 0), CKR_FUNCTION_FAILED);
	WANT(T.interface(NAME, NULL, &i, 1UL << 20), CKR_FUNCTION_FAILED);
	WANT(T.interface(NAME, NULL, NULL, 0), CKR_ARGUMENTS_BAD);
}

/* Asked for one that is safe to use after fork, only such a one is given. */
static void
fork_safe(void)
{
	CK_INTERFACE *i = NULL;
	CK_RV rv;

	need_interfaces();
	rv = T.interface(NAME, NULL, &i, CKF_INTERFACE_FORK_SAFE);
	WANT(rv, CKR_OK, CKR_FUNCTION_FAILED);
	HOLDS(rv != CKR_OK || (i->flags & CKF_INTERFACE_FORK_SAFE) != 0);
}

static void
info_version(void)
{
	CK_INFO i;

	need_3();
	OK(T.f3->C_Initialize(NULL));
	OK(T.f3->C_GetInfo(&i));
	HOLDS(i.cryptokiVersion.major == 3 && i.cryptokiVersion.minor == 0);
	OK(F->C_GetInfo(&i)); /* one module behind both */
	OK(T.f3->C_Finalize(NULL));
	WANT(F->C_GetInfo(&i), CKR_CRYPTOKI_NOT_INITIALIZED);
}

static void
list_full(void)
{
	void *const *p, *const *end;

	need_3();
	p = (void *const *)(const void *)&T.f3->C_Initialize;
	end = (void *const *)(const void *)&T.f3->C_MessageVerifyFinal;
	for (; p <= end; p++)
		HOLDS(*p != NULL);
}

/* --- C_LoginUser --- */

static void
login_user(void)
{
	CK_SESSION_HANDLE h = rw();
	CK_UTF8CHAR pin[64];
	CK_RV rv;

	need_3();
	if (T.pin == NULL)
		rule_na("no PIN was given");
	memcpy(pin, T.pin, strlen(T.pin) + 1);
	rv = T.f3->C_LoginUser(h, CKU_USER, pin, strlen(T.pin), NULL, 0);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		rule_na("the module does not have it");
	WANT(rv, CKR_OK);
	HOLDS(state_of(h) == CKS_RW_USER_FUNCTIONS);
	WANT(T.f3->C_LoginUser(h, CKU_USER, pin, strlen(T.pin), NULL, 0), CKR_USER_ALREADY_LOGGED_IN);
}

static void
login_user_name(void)
{
	CK_SESSION_HANDLE h = rw();
	CK_UTF8CHAR pin[] = "123456", who[] = "somebody";

	need_3();
	WANT(T.f3->C_LoginUser(h, CKU_USER, pin, 6, who, 8), CKR_ARGUMENTS_BAD, CKR_FUNCTION_NOT_SUPPORTED,
	    CKR_PIN_INCORRECT, CKR_USER_TYPE_INVALID);
	HOLDS(state_of(h) == CKS_RW_PUBLIC_SESSION);
}

/* --- C_SessionCancel --- */

static void
cancel(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_MECHANISM m = MECH(CKM_SHA256);
	CK_BYTE in[3] = { 0 }, out[64];
	CK_ULONG n = sizeof out;

	need_3();
	need_mech(CKM_SHA256, CKF_DIGEST);
	OK(F->C_DigestInit(h, &m));
	OK(F->C_FindObjectsInit(h, NULL, 0));
	OK(T.f3->C_SessionCancel(h, CKF_DIGEST));
	WANT(F->C_Digest(h, in, sizeof in, out, &n), CKR_OPERATION_NOT_INITIALIZED);
	OK(F->C_FindObjectsFinal(h)); /* the other goes on */
	OK(F->C_DigestInit(h, &m));
	OK(F->C_FindObjectsInit(h, NULL, 0));
	OK(T.f3->C_SessionCancel(h, CKF_DIGEST | CKF_FIND_OBJECTS));
	WANT(F->C_FindObjectsFinal(h), CKR_OPERATION_NOT_INITIALIZED);
}

static void
cancel_each(void)
{
	struct keypair k = sign_key();
	CK_MECHANISM m = MECH(k.plain);
	CK_BYTE in[32] = { 0 }, out[1024];
	CK_ULONG n = sizeof out;

	need_3();
	OK(F->C_SignInit(k.h, &m, k.priv));
	OK(T.f3->C_SessionCancel(k.h, CKF_SIGN | CKF_VERIFY | CKF_ENCRYPT | CKF_DECRYPT | CKF_DIGEST));
	WANT(F->C_Sign(k.h, in, sizeof in, out, &n), CKR_OPERATION_NOT_INITIALIZED);
	OK(F->C_SignInit(k.h, &m, k.priv));
}

/* What is not active needs no cancelling: "it is not an error". */
static void
cancel_idle(void)
{
	CK_SESSION_HANDLE h = ro();

	need_3();
	OK(T.f3->C_SessionCancel(h, CKF_DIGEST | CKF_SIGN | CKF_VERIFY | CKF_ENCRYPT | CKF_DECRYPT | CKF_FIND_OBJECTS));
	OK(T.f3->C_SessionCancel(h, 0));
}

/* 3.0, 5.8.1 and on: Init with a NULL mechanism cancels. */
static void
init_null_cancels(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_MECHANISM m = MECH(CKM_SHA256);
	CK_BYTE in[3] = { 0 }, out[64];
	CK_ULONG n = sizeof out;

	need_3();
	need_mech(CKM_SHA256, CKF_DIGEST);
	OK(T.f3->C_DigestInit(h, &m));
	OK(T.f3->C_DigestInit(h, NULL));
	WANT(T.f3->C_Digest(h, in, sizeof in, out, &n), CKR_OPERATION_NOT_INITIALIZED);
}

/* --- message functions --- */

/* Nothing was begun: said so, or that there is no such thing; never CKR_OK. */
static void
message_idle(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_BYTE in[16] = { 0 }, out[64];
	CK_ULONG n = sizeof out;

#define IDLE(call) WANT(call, CKR_OPERATION_NOT_INITIALIZED, CKR_FUNCTION_NOT_SUPPORTED)
	need_3();
	IDLE(T.f3->C_EncryptMessage(h, in, 16, in, 16, in, 16, out, &n));
	IDLE(T.f3->C_EncryptMessageBegin(h, in, 16, in, 16));
	IDLE(T.f3->C_EncryptMessageNext(h, in, 16, in, 16, out, &n, 0));
	IDLE(T.f3->C_MessageEncryptFinal(h));
	IDLE(T.f3->C_DecryptMessage(h, in, 16, in, 16, in, 16, out, &n));
	IDLE(T.f3->C_DecryptMessageBegin(h, in, 16, in, 16));
	IDLE(T.f3->C_DecryptMessageNext(h, in, 16, in, 16, out, &n, 0));
	IDLE(T.f3->C_MessageDecryptFinal(h));
	IDLE(T.f3->C_SignMessage(h, in, 16, in, 16, out, &n));
	IDLE(T.f3->C_SignMessageBegin(h, in, 16));
	IDLE(T.f3->C_SignMessageNext(h, in, 16, in, 16, out, &n));
	IDLE(T.f3->C_MessageSignFinal(h));
	IDLE(T.f3->C_VerifyMessage(h, in, 16, in, 16, in, 16));
	IDLE(T.f3->C_VerifyMessageBegin(h, in, 16));
	IDLE(T.f3->C_VerifyMessageNext(h, in, 16, in, 16, in, 16));
	IDLE(T.f3->C_MessageVerifyFinal(h));
}

/* A mechanism has the message functions only when it says so; and asking changes nothing. */
static void
message_flags(void)
{
	struct keypair k = sign_key();
	CK_MECHANISM m = MECH(k.plain);
	CK_RV rv;

	need_3();
	rv = T.f3->C_MessageSignInit(k.h, &m, k.priv);
	if (mech_can(k.plain, 0x8UL /* CKF_MESSAGE_SIGN */))
		WANT(rv, CKR_OK);
	else
		WANT(rv, CKR_FUNCTION_NOT_SUPPORTED, CKR_MECHANISM_INVALID, CKR_KEY_FUNCTION_NOT_PERMITTED);
	if (rv != CKR_OK)
		OK(F->C_SignInit(k.h, &m, k.priv));
}

/* --- profile objects --- */

static void
profiles(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_OBJECT_CLASS class = CKO_PROFILE;
	CK_ATTRIBUTE t = ATTR(CKA_CLASS, class);
	CK_OBJECT_HANDLE all[16];
	CK_ULONG n = 0;

	need_3();
	OK(F->C_FindObjectsInit(h, &t, 1));
	OK(F->C_FindObjects(h, all, N_OF(all), &n));
	OK(F->C_FindObjectsFinal(h));
	if (n == 0)
		rule_na("the token has no profile objects");
	for (CK_ULONG i = 0; i < n; i++) {
		CK_ULONG id = number(h, all[i], CKA_PROFILE_ID);

		HOLDS(id >= CKP_BASELINE_PROVIDER && id <= CKP_PUBLIC_CERTIFICATES_TOKEN);
		HOLDS(flag(h, all[i], CKA_TOKEN) && !flag(h, all[i], CKA_PRIVATE));
		for (CK_ULONG k = 0; k < i; k++)
			HOLDS(number(h, all[k], CKA_PROFILE_ID) != id);
	}
}

/* Who claims "public certificates token" shows certificates and public keys to everybody. */
static void
public_certificates(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_OBJECT_CLASS class = CKO_PROFILE;
	CK_ULONG id = CKP_PUBLIC_CERTIFICATES_TOKEN;
	CK_ATTRIBUTE t[] = { ATTR(CKA_CLASS, class), ATTR(CKA_PROFILE_ID, id) };
	CK_ULONG certs, keys;

	if (count(h, t, 2) != 1)
		rule_na("the token does not claim it");
	class = CKO_CERTIFICATE;
	certs = count(h, t, 1);
	class = CKO_PUBLIC_KEY;
	keys = count(h, t, 1);
	login(h);
	HOLDS(count(h, t, 1) == keys);
	class = CKO_CERTIFICATE;
	HOLDS(count(h, t, 1) == certs);
}

static const struct rule table[] = {
	{ "C_GetInterfaceList.list", list },
	{ "C_GetInterfaceList.lengths", list_lengths },
	{ "C_GetInterfaceList.null", list_null },
	{ "C_GetInterface.default", default_one },
	{ "C_GetInterface.version", by_version },
	{ "C_GetInterface.refused", refused },
	{ "C_GetInterface.fork_safe", fork_safe },
	{ "C_GetInterface.info_version", info_version },
	{ "C_GetInterface.full", list_full },
	{ "C_LoginUser.user", login_user },
	{ "C_LoginUser.name", login_user_name },
	{ "C_SessionCancel.digest_and_search", cancel },
	{ "C_SessionCancel.signature", cancel_each },
	{ "C_SessionCancel.idle", cancel_idle },
	{ "C_DigestInit.null_cancels", init_null_cancels },
	{ "C_EncryptMessage.idle", message_idle },
	{ "C_MessageSignInit.flags", message_flags },
	{ "CKO_PROFILE.objects", profiles },
	{ "CKO_PROFILE.public_certificates", public_certificates },
};
RULES(rules_v3, table);
