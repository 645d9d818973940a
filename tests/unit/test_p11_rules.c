/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rules of PKCS#11 that conformance suites check, each under its name: initialisation, argument order, text fields,
 * operation state, error codes, flags.
 */
#include <ctype.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pkcs11/mech.h"
#include "tests/lib/p11_card.h"

static CK_FUNCTION_LIST *
list(void)
{
	CK_FUNCTION_LIST *f = NULL;

	assert_rv_ok(C_GetFunctionList(&f));
	return f;
}

/* Every function of both lists, with zeros for arguments: C_Initialize aside, none may work or crash. */
typedef CK_RV any_call(CK_ULONG, CK_ULONG, CK_ULONG, CK_ULONG, CK_ULONG, CK_ULONG, CK_ULONG, CK_ULONG, CK_ULONG);

static void
all_say_not_initialized(void)
{
	CK_INTERFACE *i = NULL;
	CK_FUNCTION_LIST_3_0 *f;
	any_call **call;

	assert_rv_ok(C_GetInterface(NULL, NULL, &i, 0));
	f = i->pFunctionList;
	assert_int_equal(f->version.major, 3);
	call = (any_call **)(uintptr_t)&f->C_Initialize;
	for (size_t k = 1; k < 92; k++) {
		if (k == 3 || k == 68 || k == 69) /* C_GetFunctionList, C_GetInterfaceList, C_GetInterface */
			continue;
		if (call[k](0, 0, 0, 0, 0, 0, 0, 0, 0) != CKR_CRYPTOKI_NOT_INITIALIZED)
			fail_msg("function %zu", k);
	}
}

static void
before_initialize_and_after_finalize(void **state)
{
	(void)state;
	all_say_not_initialized();
	p11_start("p256");
	assert_rv_ok(C_Finalize(NULL));
	all_say_not_initialized();
	assert_rv_ok(C_Initialize(NULL));
}

static CK_RV
create_mutex(void **m)
{
	*m = malloc(sizeof(pthread_mutex_t));
	pthread_mutex_init(*m, NULL);
	return CKR_OK;
}

static CK_RV
destroy_mutex(void *m)
{
	pthread_mutex_destroy(m);
	free(m);
	return CKR_OK;
}

static unsigned locks;

static CK_RV
lock_mutex(void *m)
{
	pthread_mutex_lock(m);
	locks++;
	return CKR_OK;
}

static CK_RV
unlock_mutex(void *m)
{
	pthread_mutex_unlock(m);
	return CKR_OK;
}

static void
initialize_arguments(void **state)
{
	CK_C_INITIALIZE_ARGS a = { 0 };
	CK_ULONG n;

	(void)state;
	p11_start("p256");
	assert_rv(C_Initialize(NULL), CKR_CRYPTOKI_ALREADY_INITIALIZED);
	assert_rv(C_Finalize(&a), CKR_ARGUMENTS_BAD);
	assert_rv_ok(C_Finalize(NULL));
	a.pReserved = &a;
	assert_rv(C_Initialize(&a), CKR_ARGUMENTS_BAD);
	a.pReserved = NULL;
	a.CreateMutex = create_mutex;
	assert_rv(C_Initialize(&a), CKR_ARGUMENTS_BAD);
	/* callbacks alone: they must be used; with CKF_OS_LOCKING_OK: either */
	a.DestroyMutex = destroy_mutex;
	a.LockMutex = lock_mutex;
	a.UnlockMutex = unlock_mutex;
	locks = 0;
	assert_rv_ok(C_Initialize(&a));
	assert_rv_ok(C_GetSlotList(CK_TRUE, NULL, &n));
	assert_true(locks > 0);
	assert_rv_ok(C_Finalize(NULL));
	a.flags = CKF_OS_LOCKING_OK | CKF_LIBRARY_CANT_CREATE_OS_THREADS; /* what NSS gives */
	assert_rv_ok(C_Initialize(&a));
	assert_rv_ok(C_Finalize(NULL));
	a = (CK_C_INITIALIZE_ARGS){ .flags = CKF_LIBRARY_CANT_CREATE_OS_THREADS };
	assert_rv_ok(C_Initialize(&a));
}

static void
interfaces(void **state)
{
	CK_VERSION v240 = { 2, 40 }, v30 = { 3, 0 }, v31 = { 3, 1 };
	CK_UTF8CHAR name[] = "PKCS 11", vendor[] = "Vendor NSS Module Interface";
	CK_INTERFACE *i, all[4];
	CK_ULONG n = 0;
	CK_INFO info;

	(void)state;
	assert_rv_ok(C_GetInterfaceList(NULL, &n));
	assert_int_equal(n, 2);
	n = 1;
	assert_rv(C_GetInterfaceList(all, &n), CKR_BUFFER_TOO_SMALL);
	n = 4;
	assert_rv_ok(C_GetInterfaceList(all, &n));
	assert_rv_ok(C_GetInterface(name, &v240, &i, 0));
	assert_ptr_equal(i->pFunctionList, list());
	assert_rv_ok(C_GetInterface(name, &v30, &i, 0));
	assert_rv(C_GetInterface(name, &v31, &i, 0), CKR_FUNCTION_FAILED);
	assert_rv(C_GetInterface(name, NULL, &i, CKF_INTERFACE_FORK_SAFE), CKR_FUNCTION_FAILED);
	assert_rv(C_GetInterface(vendor, NULL, &i, 0), CKR_FUNCTION_FAILED);
	assert_rv(C_GetInterface(name, NULL, NULL, 0), CKR_ARGUMENTS_BAD);
	assert_rv(C_GetInterfaceList(NULL, NULL), CKR_ARGUMENTS_BAD);
	assert_rv(C_GetFunctionList(NULL), CKR_ARGUMENTS_BAD);
	p11_start("p256");
	assert_rv_ok(list()->C_GetInfo(&info));
	assert_int_equal(info.cryptokiVersion.major, 2);
	assert_rv_ok(C_GetInterface(NULL, NULL, &i, 0));
	assert_rv_ok(((CK_FUNCTION_LIST_3_0 *)i->pFunctionList)->C_GetInfo(&info));
	assert_int_equal(info.cryptokiVersion.major, 3);
}

static void
padded(const unsigned char *field, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_true(isprint(field[i]));
	assert_int_not_equal(field[0], ' ');
}

static void
text_fields_are_blank_padded(void **state)
{
	CK_INFO info;
	CK_SLOT_INFO slot;
	CK_TOKEN_INFO token;

	(void)state;
	p11_start("p256");
	memset(&slot, 0, sizeof slot);
	memset(&token, 0, sizeof token);
	assert_rv_ok(C_GetInfo(&info));
	padded(info.manufacturerID, sizeof info.manufacturerID);
	padded(info.libraryDescription, sizeof info.libraryDescription);
	assert_rv_ok(C_GetSlotInfo(0, &slot));
	padded(slot.slotDescription, sizeof slot.slotDescription);
	padded(slot.manufacturerID, sizeof slot.manufacturerID);
	assert_rv_ok(C_GetTokenInfo(0, &token));
	padded(token.label, sizeof token.label);
	padded(token.manufacturerID, sizeof token.manufacturerID);
	padded(token.model, sizeof token.model);
	padded(token.serialNumber, sizeof token.serialNumber);
	assert_int_equal(token.ulMinPinLen, 6);
	assert_int_equal(token.ulMaxPinLen, 8);
	assert_int_equal(
	    token.flags & (CKF_TOKEN_INITIALIZED | CKF_LOGIN_REQUIRED | CKF_USER_PIN_INITIALIZED | CKF_RNG),
	    CKF_TOKEN_INITIALIZED | CKF_LOGIN_REQUIRED | CKF_USER_PIN_INITIALIZED | CKF_RNG);
}

static void
parallel_functions(void **state)
{
	CK_SESSION_HANDLE h;

	(void)state;
	p11_start("p256");
	h = p11_session(0);
	assert_rv(list()->C_GetFunctionStatus(h), CKR_FUNCTION_NOT_PARALLEL);
	assert_rv(list()->C_CancelFunction(h), CKR_FUNCTION_NOT_PARALLEL);
	assert_rv(list()->C_CancelFunction(h + 100), CKR_SESSION_HANDLE_INVALID);
	assert_rv(C_OpenSession(0, 0, NULL, NULL, &h), CKR_SESSION_PARALLEL_NOT_SUPPORTED);
}

static void
bad_handles_come_first(void **state)
{
	CK_SESSION_HANDLE h;

	(void)state;
	p11_start("p256");
	h = p11_session(0);
	assert_rv(C_Sign(h + 1, NULL, 5, NULL, NULL), CKR_SESSION_HANDLE_INVALID);
	assert_rv(C_FindObjectsInit(0, NULL, 5), CKR_SESSION_HANDLE_INVALID);
	assert_rv(C_GetAttributeValue(h + 1, 1, NULL, 1), CKR_SESSION_HANDLE_INVALID);
	assert_rv(C_GenerateRandom(~0UL, NULL, 5), CKR_SESSION_HANDLE_INVALID);
	assert_rv(C_GetSlotInfo(99, NULL), CKR_SLOT_ID_INVALID);
	assert_rv(C_GetTokenInfo(99, NULL), CKR_SLOT_ID_INVALID);
	assert_rv(C_GetMechanismList(99, NULL, NULL), CKR_SLOT_ID_INVALID);
	assert_rv(C_GetMechanismInfo(99, 0, NULL), CKR_SLOT_ID_INVALID);
	assert_rv(C_OpenSession(99, 0, NULL, NULL, NULL), CKR_SLOT_ID_INVALID);
	assert_rv(C_CloseAllSessions(99), CKR_SLOT_ID_INVALID);
	assert_rv_ok(C_CloseSession(h));
	assert_rv(C_CloseSession(h), CKR_SESSION_HANDLE_INVALID);
}

/* With a live session, a zero for everything else: none of the 92 crashes. */
static void
null_arguments_never_crash(void **state)
{
	CK_INTERFACE *i = NULL;
	any_call **call;
	CK_SESSION_HANDLE h;
	CK_ULONG first;

	(void)state;
	p11_start("p256");
	h = p11_session(0);
	assert_rv_ok(C_GetInterface(NULL, NULL, &i, 0));
	call = (any_call **)(uintptr_t) & ((CK_FUNCTION_LIST_3_0 *)i->pFunctionList)->C_Initialize;
	for (size_t k = 2; k < 92; k++) {
		if (k == 67) /* C_WaitForSlotEvent would wait */
			continue;
		/* the first argument is a session except up to C_InitToken, of C_OpenSession and of the interface calls
		 */
		first = k <= 9 || k == 12 || k == 14 || k == 68 || k == 69 ? 0 : h;
		call[k](first, 0, 0, 0, 0, 0, 0, 0, 0);
		if (k == 13 || k == 14) /* that closed it */
			h = p11_session(0);
	}
	h = p11_session(0);
	assert_rv(C_GetAttributeValue(h, p11_find(h, CKO_CERTIFICATE, 1), NULL, 1), CKR_ARGUMENTS_BAD);
	assert_rv(C_FindObjectsInit(h, NULL, 1), CKR_ARGUMENTS_BAD);
	assert_rv(C_DigestInit(h, NULL), CKR_ARGUMENTS_BAD);
	assert_rv(C_GetSlotList(CK_TRUE, NULL, NULL), CKR_ARGUMENTS_BAD);
}

static void
any_error_ends_the_operation(void **state)
{
	CK_MECHANISM m = { CKM_SHA256, NULL, 0 };
	CK_BYTE in[10] = { 0 }, out[32];
	CK_ULONG n = sizeof out;
	CK_SESSION_HANDLE h;

	(void)state;
	p11_start("p256");
	h = p11_session(0);
	assert_rv_ok(C_DigestInit(h, &m));
	assert_rv(C_Digest(h, NULL, 10, out, &n), CKR_ARGUMENTS_BAD);
	assert_rv_ok(C_DigestInit(h, &m));
	assert_rv(C_Digest(h, in, 10, out, NULL), CKR_ARGUMENTS_BAD);
	assert_rv_ok(C_DigestInit(h, &m));
	assert_rv(C_DigestInit(h, &m), CKR_OPERATION_ACTIVE);
	assert_rv_ok(C_DigestInit(h, NULL)); /* 3.0: cancel */
	assert_rv(C_DigestUpdate(h, in, 1), CKR_OPERATION_NOT_INITIALIZED);
}

static void
too_small_keeps_the_operation(void **state)
{
	CK_MECHANISM m = { CKM_SHA256, NULL, 0 };
	CK_BYTE in[3] = "abc", out[32];
	CK_ULONG n = 31;
	CK_SESSION_HANDLE h;

	(void)state;
	p11_start("p256");
	h = p11_session(0);
	assert_rv_ok(C_DigestInit(h, &m));
	assert_rv(C_Digest(h, in, 3, out, &n), CKR_BUFFER_TOO_SMALL);
	assert_int_equal(n, 32);
	assert_rv_ok(C_Digest(h, in, 3, NULL, &n));
	assert_rv_ok(C_Digest(h, in, 3, out, &n));
	assert_int_equal(out[0], 0xba);
	assert_int_equal(out[31], 0xad);
	assert_rv_ok(C_DigestInit(h, &m));
	assert_rv_ok(C_DigestUpdate(h, in, 3));
	n = 3;
	assert_rv(C_DigestFinal(h, out, &n), CKR_BUFFER_TOO_SMALL);
	assert_rv_ok(C_DigestFinal(h, out, &n));
	assert_int_equal(out[0], 0xba);
}

static void
one_shot_after_update(void **state)
{
	CK_MECHANISM m = { CKM_SHA256, NULL, 0 };
	CK_BYTE in[3] = "abc", out[32];
	CK_ULONG n = 32;
	CK_SESSION_HANDLE h;

	(void)state;
	p11_start("p256");
	h = p11_session(0);
	assert_rv_ok(C_DigestInit(h, &m));
	assert_rv_ok(C_DigestUpdate(h, in, 3));
	assert_rv(C_Digest(h, in, 3, out, &n), CKR_OPERATION_ACTIVE);
	n = sizeof out;
	assert_rv_ok(C_DigestFinal(h, out, &n)); /* of the parts, which that call was none of */
	assert_int_equal(out[0], 0xba);
	assert_int_equal(out[31], 0xad);
}

static void
key_and_mechanism_errors(void **state)
{
	CK_RSA_PKCS_PSS_PARAMS pss = { CKM_SHA256, CKG_MGF1_SHA256, 32 };
	CK_MECHANISM rsa = { CKM_RSA_PKCS, NULL, 0 }, ec = { CKM_ECDSA, NULL, 0 }, digest = { CKM_SHA256, NULL, 0 },
		     with_pss = { CKM_RSA_PKCS_PSS, &pss, sizeof pss }, unknown = { 0x80001234UL, NULL, 0 };
	CK_SESSION_HANDLE h;
	CK_OBJECT_HANDLE key, kmk;

	(void)state;
	p11_start("rsa2048");
	h = p11_session(0);
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
	key = p11_find(h, CKO_PRIVATE_KEY, 1);
	kmk = p11_find(h, CKO_PRIVATE_KEY, 3);
	assert_rv(C_SignInit(h, &rsa, 987654), CKR_KEY_HANDLE_INVALID);
	assert_rv(C_SignInit(h, &rsa, p11_find(h, CKO_CERTIFICATE, 1)), CKR_KEY_HANDLE_INVALID);
	assert_rv(C_SignInit(h, &ec, key), CKR_KEY_TYPE_INCONSISTENT);
	assert_rv(C_SignInit(h, &rsa, p11_find(h, CKO_PUBLIC_KEY, 1)), CKR_KEY_FUNCTION_NOT_PERMITTED);
	assert_rv(C_SignInit(h, &rsa, kmk), CKR_KEY_FUNCTION_NOT_PERMITTED);
	assert_rv(C_DecryptInit(h, &rsa, key), CKR_KEY_FUNCTION_NOT_PERMITTED);
	assert_rv(C_SignInit(h, &unknown, key), CKR_MECHANISM_INVALID);
	assert_rv(C_SignInit(h, &digest, key), CKR_MECHANISM_INVALID);
	assert_rv(C_DecryptInit(h, &with_pss, kmk), CKR_MECHANISM_INVALID);
	with_pss.ulParameterLen = 3;
	assert_rv(C_SignInit(h, &with_pss, key), CKR_MECHANISM_PARAM_INVALID);
	with_pss.pParameter = NULL;
	assert_rv(C_SignInit(h, &with_pss, key), CKR_MECHANISM_PARAM_INVALID);
	with_pss = (CK_MECHANISM){ CKM_RSA_PKCS_PSS, &pss, sizeof pss };
	pss.sLen = 223; /* one more than fits */
	assert_rv(C_SignInit(h, &with_pss, key), CKR_MECHANISM_PARAM_INVALID);
	pss.sLen = 222;
	assert_rv_ok(C_SignInit(h, &with_pss, key));
	assert_rv_ok(C_SignInit(h, NULL, 0));
	pss.hashAlg = CKM_MD5;
	assert_rv(C_SignInit(h, &with_pss, key), CKR_MECHANISM_PARAM_INVALID);
	with_pss.mechanism = CKM_SHA384_RSA_PKCS_PSS; /* another hash than the mechanism's */
	pss.hashAlg = CKM_SHA256;
	assert_rv(C_SignInit(h, &with_pss, key), CKR_MECHANISM_PARAM_INVALID);
}

/* The table of mechanisms and functions (PKCS#11 2.40, table 1). */
static void
mechanism_flags_say_what_is(void **state)
{
	static const CK_FLAGS other =
	    CKF_DIGEST | CKF_GENERATE | CKF_GENERATE_KEY_PAIR | CKF_WRAP | CKF_UNWRAP | CKF_DERIVE;
	CK_MECHANISM_TYPE types[100];
	CK_MECHANISM_INFO info;
	CK_ULONG n = 0;
	bool pss = false;

	(void)state;
	p11_start("p256");
	assert_rv_ok(C_GetMechanismList(0, NULL, &n));
	n--;
	assert_rv(C_GetMechanismList(0, types, &n), CKR_BUFFER_TOO_SMALL);
	assert_rv_ok(C_GetMechanismList(0, types, &n));
	for (CK_ULONG i = 0; i < n; i++) {
		assert_rv_ok(C_GetMechanismInfo(0, types[i], &info));
		assert_true(info.ulMinKeySize <= info.ulMaxKeySize);
		pss |= types[i] == CKM_RSA_PKCS_PSS;
		if (mech_find(types[i])->key == CKK_RSA)
			assert_int_equal(
			    info.flags & other, types[i] == CKM_RSA_PKCS_KEY_PAIR_GEN ? CKF_GENERATE_KEY_PAIR : 0);
		if (mech_find(types[i])->scheme == SCHEME_ECDH)
			assert_int_equal(info.flags & (CKF_SIGN | CKF_DECRYPT | CKF_DERIVE), CKF_DERIVE);
		if (mech_find(types[i])->scheme == SCHEME_DIGEST)
			assert_int_equal(info.flags, CKF_DIGEST);
	}
	assert_true(pss); /* TLS 1.3, whatever keys there are */
	assert_rv_ok(C_GetMechanismInfo(0, CKM_RSA_PKCS, &info));
	assert_int_equal(info.flags & (CKF_SIGN | CKF_DECRYPT | CKF_UNWRAP), CKF_SIGN | CKF_DECRYPT);
	assert_rv(C_GetMechanismInfo(0, 0x80001234UL, &info), CKR_MECHANISM_INVALID);
}

static void
digests_and_random_need_no_login(void **state)
{
	CK_MECHANISM m = { CKM_SHA512, NULL, 0 };
	CK_BYTE a[64], b[64];
	CK_ULONG n = 64;
	CK_SESSION_HANDLE h;

	(void)state;
	p11_start("p256");
	h = p11_session(0);
	p11_apdus();
	assert_rv_ok(C_DigestInit(h, &m));
	assert_rv_ok(C_Digest(h, a, 0, b, &n));
	assert_int_equal(b[0], 0xcf);
	assert_rv_ok(C_GenerateRandom(h, a, sizeof a));
	assert_rv_ok(C_SeedRandom(h, a, sizeof a));
	assert_rv_ok(C_GenerateRandom(h, b, sizeof b));
	assert_memory_not_equal(a, b, sizeof a);
	assert_apdus(0);
}

static void
finding(void **state)
{
	CK_SESSION_HANDLE h;
	CK_OBJECT_HANDLE o[4];
	CK_ULONG n;

	(void)state;
	p11_start("p256");
	h = p11_session(0);
	assert_rv(C_FindObjects(h, o, 4, &n), CKR_OPERATION_NOT_INITIALIZED);
	assert_rv(C_FindObjectsFinal(h), CKR_OPERATION_NOT_INITIALIZED);
	assert_rv_ok(C_FindObjectsInit(h, NULL, 0));
	assert_rv(C_FindObjectsInit(h, NULL, 0), CKR_OPERATION_ACTIVE);
	assert_rv_ok(C_FindObjects(h, o, 3, &n));
	assert_int_equal(n, 3);
	assert_rv_ok(C_FindObjects(h, o, 4, &n));
	assert_int_equal(n, 4);
	assert_rv_ok(C_FindObjectsFinal(h));
}

static void
public_session_objects(void **state)
{
	CK_OBJECT_CLASS data = CKO_DATA, secret = CKO_SECRET_KEY;
	CK_BBOOL yes = CK_TRUE;
	CK_BYTE value[5] = "value";
	CK_UTF8CHAR label[] = "mine";
	CK_ATTRIBUTE t[] = { { CKA_CLASS, &data, sizeof data }, { CKA_VALUE, value, 5 }, { CKA_LABEL, label, 4 },
		{ CKA_PRIVATE, &yes, 1 } };
	CK_ATTRIBUTE token[] = { { CKA_CLASS, &data, sizeof data }, { CKA_TOKEN, &yes, 1 } };
	CK_SESSION_HANDLE h, other, rw;
	CK_OBJECT_HANDLE o;

	(void)state;
	p11_start("p256");
	h = p11_session(0);
	other = p11_session(0);
	rw = p11_session(CKF_RW_SESSION);
	assert_rv_ok(C_CreateObject(h, t, 3, &o));
	assert_int_equal(p11_count(other, t + 2, 1), 1);
	assert_rv(C_CreateObject(h, t, 4, &o), CKR_USER_NOT_LOGGED_IN);
	assert_rv(C_CreateObject(h, token, 2, &o), CKR_SESSION_READ_ONLY);
	assert_rv(C_CreateObject(rw, token, 2, &o), CKR_TOKEN_WRITE_PROTECTED);
	assert_rv(C_CreateObject(h, t + 1, 1, &o), CKR_TEMPLATE_INCOMPLETE);
	t[0].pValue = &secret;
	assert_rv(C_CreateObject(h, t, 3, &o), CKR_TEMPLATE_INCOMPLETE); /* no key type */
	assert_rv_ok(C_CloseSession(h));				 /* takes its objects along */
	assert_int_equal(p11_count(other, t + 2, 1), 0);
}

static void
token_objects_are_read_only(void **state)
{
	CK_BYTE id = 9;
	CK_ATTRIBUTE t = { CKA_ID, &id, 1 };
	CK_SESSION_HANDLE h, rw;
	CK_OBJECT_HANDLE o;

	(void)state;
	p11_start("p256");
	h = p11_session(0);
	rw = p11_session(CKF_RW_SESSION);
	o = p11_find(h, CKO_CERTIFICATE, 1);
	assert_rv(C_DestroyObject(h, o), CKR_SESSION_READ_ONLY);
	assert_rv(C_DestroyObject(rw, o), CKR_ACTION_PROHIBITED);
	assert_rv(C_DestroyObject(rw, 99999), CKR_OBJECT_HANDLE_INVALID);
	assert_rv(C_SetAttributeValue(h, o, &t, 1), CKR_SESSION_READ_ONLY);
	assert_rv(C_SetAttributeValue(rw, o, &t, 1), CKR_ACTION_PROHIBITED);
}

/* A child: not initialised until it initialises by itself; the parent does not notice. */
static void
fork_rules(void **state)
{
	CK_BYTE digest[32] = { 1 }, sig[64];
	CK_ULONG n = sizeof sig;
	CK_SLOT_ID slot;
	CK_SESSION_HANDLE h;
	int status = -1;
	pid_t pid;

	(void)state;
	p11_start("p256");
	h = p11_ready(CKM_ECDSA);
	if ((pid = fork()) == 0) {
		CK_ULONG one = 1;
		bool good = C_Sign(h, digest, sizeof digest, sig, &n) == CKR_CRYPTOKI_NOT_INITIALIZED &&
		    C_Finalize(NULL) == CKR_CRYPTOKI_NOT_INITIALIZED && C_Initialize(NULL) == CKR_OK &&
		    C_Initialize(NULL) == CKR_CRYPTOKI_ALREADY_INITIALIZED &&
		    C_GetSlotList(CK_TRUE, &slot, &one) == CKR_OK && one == 1 &&
		    C_Sign(h, digest, sizeof digest, sig, &n) == CKR_SESSION_HANDLE_INVALID &&
		    C_Finalize(NULL) == CKR_OK;

		_exit(good ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_rv_ok(C_Sign(h, digest, sizeof digest, sig, &n));
}

static void
handles_are_not_reused(void **state)
{
	CK_SESSION_HANDLE last = 0, h;

	(void)state;
	p11_start("p256");
	for (int i = 0; i < 1000; i++) {
		h = p11_session(0);
		assert_true(h > last);
		last = h;
		assert_rv_ok(C_CloseSession(h));
	}
}

static void
session_cancel(void **state)
{
	CK_MECHANISM m = { CKM_SHA256, NULL, 0 };
	CK_INTERFACE *i;
	CK_FUNCTION_LIST_3_0 *f;
	CK_SESSION_HANDLE h;

	(void)state;
	p11_start("p256");
	h = p11_session(0);
	assert_rv_ok(C_GetInterface(NULL, NULL, &i, 0));
	f = i->pFunctionList;
	assert_rv_ok(C_DigestInit(h, &m));
	assert_rv_ok(C_FindObjectsInit(h, NULL, 0));
	assert_rv_ok(f->C_SessionCancel(h, CKF_DIGEST | CKF_FIND_OBJECTS));
	assert_rv_ok(C_DigestInit(h, &m));
	assert_rv_ok(C_FindObjectsInit(h, NULL, 0));
	assert_rv_ok(f->C_LoginUser(h, CKU_USER, (CK_UTF8CHAR *)(uintptr_t)PIN, 6, NULL, 0));
	assert_rv(f->C_MessageSignInit(h, &m, 0), CKR_FUNCTION_NOT_SUPPORTED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(before_initialize_and_after_finalize, p11_teardown),
		cmocka_unit_test_teardown(initialize_arguments, p11_teardown),
		cmocka_unit_test_teardown(interfaces, p11_teardown),
		cmocka_unit_test_teardown(text_fields_are_blank_padded, p11_teardown),
		cmocka_unit_test_teardown(parallel_functions, p11_teardown),
		cmocka_unit_test_teardown(bad_handles_come_first, p11_teardown),
		cmocka_unit_test_teardown(null_arguments_never_crash, p11_teardown),
		cmocka_unit_test_teardown(any_error_ends_the_operation, p11_teardown),
		cmocka_unit_test_teardown(too_small_keeps_the_operation, p11_teardown),
		cmocka_unit_test_teardown(one_shot_after_update, p11_teardown),
		cmocka_unit_test_teardown(key_and_mechanism_errors, p11_teardown),
		cmocka_unit_test_teardown(mechanism_flags_say_what_is, p11_teardown),
		cmocka_unit_test_teardown(digests_and_random_need_no_login, p11_teardown),
		cmocka_unit_test_teardown(finding, p11_teardown),
		cmocka_unit_test_teardown(public_session_objects, p11_teardown),
		cmocka_unit_test_teardown(token_objects_are_read_only, p11_teardown),
		cmocka_unit_test_teardown(fork_rules, p11_teardown),
		cmocka_unit_test_teardown(handles_are_not_reused, p11_teardown),
		cmocka_unit_test_teardown(session_cancel, p11_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
