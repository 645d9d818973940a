/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rules that hold for every function (PKCS#11 2.40, 5.1; 3.0, 5.1), asked of each in turn:
 *
 *	before_initialize, after_finalize	CKR_CRYPTOKI_NOT_INITIALIZED, whatever else is wrong
 *	bad_session, bad_slot			a handle or slot that does not exist is found before anything else
 *	closed_session				the same of a session that was
 *	null_arguments				NULL for every pointer: an error or a harmless answer, never a crash
 */
#include <stdio.h>
#include <string.h>

#include "tests/p11/conform.h"

struct args {
	CK_SESSION_HANDLE h;
	CK_SLOT_ID slot;
	bool null;
};

static struct scratch {
	CK_INFO info;
	CK_SLOT_INFO slot_info;
	CK_TOKEN_INFO token_info;
	CK_MECHANISM_INFO mech_info;
	CK_SESSION_INFO session_info;
	CK_SLOT_ID slot;
	CK_ULONG len;
	CK_OBJECT_HANDLE o, o2;
	CK_SESSION_HANDLE h;
	CK_MECHANISM mech;
	CK_MECHANISM_TYPE type;
	CK_ATTRIBUTE t[1];
	CK_BYTE in[16], out[512];
} S;

#define P(x) (a->null ? NULL : (x))
#define CALL(name, ...)                                                                                                \
	static CK_RV call_##name(const struct args *a)                                                                 \
	{                                                                                                              \
		(void)a;                                                                                               \
		return F->name(__VA_ARGS__);                                                                           \
	}
#define CALL3(name, ...)                                                                                               \
	static CK_RV call_##name(const struct args *a)                                                                 \
	{                                                                                                              \
		if (T.f3 == NULL)                                                                                      \
			rule_na("the module has no 3.0 interface");                                                    \
		return T.f3->name(__VA_ARGS__);                                                                        \
	}
#define IN    P(S.in), sizeof S.in
#define OUT   P(S.out), P(&S.len)
#define TMPL  P(S.t), 1
#define MEC   P(&S.mech)
#define PARAM P(S.in), sizeof S.in

CALL(C_Finalize, P(NULL))
CALL(C_GetInfo, P(&S.info))
CALL(C_GetSlotList, CK_FALSE, NULL, P(&S.len))
CALL(C_GetSlotInfo, a->slot, P(&S.slot_info))
CALL(C_GetTokenInfo, a->slot, P(&S.token_info))
CALL(C_WaitForSlotEvent, CKF_DONT_BLOCK, P(&S.slot), NULL)
CALL(C_GetMechanismList, a->slot, NULL, P(&S.len))
CALL(C_GetMechanismInfo, a->slot, CKM_SHA256, P(&S.mech_info))
CALL(C_InitToken, a->slot, NULL, 6, NULL)
CALL(C_InitPIN, a->h, P(S.in), 6)
CALL(C_SetPIN, a->h, P(S.in), 3, P(S.in), 6)
CALL(C_OpenSession, a->slot, CKF_SERIAL_SESSION, NULL, NULL, P(&S.h))
CALL(C_CloseSession, a->h)
CALL(C_CloseAllSessions, a->slot)
CALL(C_GetSessionInfo, a->h, P(&S.session_info))
CALL(C_GetOperationState, a->h, OUT)
CALL(C_SetOperationState, a->h, IN, 0, 0)
CALL(C_Login, a->h, CKU_USER, P(S.in), 3)
CALL(C_Logout, a->h)
CALL(C_CreateObject, a->h, TMPL, P(&S.o))
CALL(C_CopyObject, a->h, BAD_OBJECT, TMPL, P(&S.o))
CALL(C_DestroyObject, a->h, BAD_OBJECT)
CALL(C_GetObjectSize, a->h, BAD_OBJECT, P(&S.len))
CALL(C_GetAttributeValue, a->h, BAD_OBJECT, TMPL)
CALL(C_SetAttributeValue, a->h, BAD_OBJECT, TMPL)
CALL(C_FindObjectsInit, a->h, TMPL)
CALL(C_FindObjects, a->h, P(&S.o), 1, P(&S.len))
CALL(C_FindObjectsFinal, a->h)
CALL(C_EncryptInit, a->h, MEC, BAD_OBJECT)
CALL(C_Encrypt, a->h, IN, OUT)
CALL(C_EncryptUpdate, a->h, IN, OUT)
CALL(C_EncryptFinal, a->h, OUT)
CALL(C_DecryptInit, a->h, MEC, BAD_OBJECT)
CALL(C_Decrypt, a->h, IN, OUT)
CALL(C_DecryptUpdate, a->h, IN, OUT)
CALL(C_DecryptFinal, a->h, OUT)
CALL(C_DigestInit, a->h, MEC)
CALL(C_Digest, a->h, IN, OUT)
CALL(C_DigestUpdate, a->h, IN)
CALL(C_DigestKey, a->h, BAD_OBJECT)
CALL(C_DigestFinal, a->h, OUT)
CALL(C_SignInit, a->h, MEC, BAD_OBJECT)
CALL(C_Sign, a->h, IN, OUT)
CALL(C_SignUpdate, a->h, IN)
CALL(C_SignFinal, a->h, OUT)
CALL(C_SignRecoverInit, a->h, MEC, BAD_OBJECT)
CALL(C_SignRecover, a->h, IN, OUT)
CALL(C_VerifyInit, a->h, MEC, BAD_OBJECT)
CALL(C_Verify, a->h, IN, IN)
CALL(C_VerifyUpdate, a->h, IN)
CALL(C_VerifyFinal, a->h, IN)
CALL(C_VerifyRecoverInit, a->h, MEC, BAD_OBJECT)
CALL(C_VerifyRecover, a->h, IN, OUT)
CALL(C_DigestEncryptUpdate, a->h, IN, OUT)
CALL(C_DecryptDigestUpdate, a->h, IN, OUT)
CALL(C_SignEncryptUpdate, a->h, IN, OUT)
CALL(C_DecryptVerifyUpdate, a->h, IN, OUT)
CALL(C_GenerateKey, a->h, MEC, TMPL, P(&S.o))
CALL(C_GenerateKeyPair, a->h, MEC, TMPL, TMPL, P(&S.o), P(&S.o2))
CALL(C_WrapKey, a->h, MEC, BAD_OBJECT, BAD_OBJECT, OUT)
CALL(C_UnwrapKey, a->h, MEC, BAD_OBJECT, IN, TMPL, P(&S.o))
CALL(C_DeriveKey, a->h, MEC, BAD_OBJECT, TMPL, P(&S.o))
CALL(C_SeedRandom, a->h, IN)
CALL(C_GenerateRandom, a->h, P(S.out), 16)
CALL(C_GetFunctionStatus, a->h)
CALL(C_CancelFunction, a->h)
CALL3(C_LoginUser, a->h, CKU_USER, P(S.in), 3, P(S.in), 3)
CALL3(C_SessionCancel, a->h, CKF_DIGEST)
CALL3(C_MessageEncryptInit, a->h, MEC, BAD_OBJECT)
CALL3(C_EncryptMessage, a->h, PARAM, IN, IN, OUT)
CALL3(C_EncryptMessageBegin, a->h, PARAM, IN)
CALL3(C_EncryptMessageNext, a->h, PARAM, IN, OUT, 0)
CALL3(C_MessageEncryptFinal, a->h)
CALL3(C_MessageDecryptInit, a->h, MEC, BAD_OBJECT)
CALL3(C_DecryptMessage, a->h, PARAM, IN, IN, OUT)
CALL3(C_DecryptMessageBegin, a->h, PARAM, IN)
CALL3(C_DecryptMessageNext, a->h, PARAM, IN, OUT, 0)
CALL3(C_MessageDecryptFinal, a->h)
CALL3(C_MessageSignInit, a->h, MEC, BAD_OBJECT)
CALL3(C_SignMessage, a->h, PARAM, IN, OUT)
CALL3(C_SignMessageBegin, a->h, PARAM)
CALL3(C_SignMessageNext, a->h, PARAM, IN, OUT)
CALL3(C_MessageSignFinal, a->h)
CALL3(C_MessageVerifyInit, a->h, MEC, BAD_OBJECT)
CALL3(C_VerifyMessage, a->h, PARAM, IN, IN)
CALL3(C_VerifyMessageBegin, a->h, PARAM)
CALL3(C_VerifyMessageNext, a->h, PARAM, IN, IN)
CALL3(C_MessageVerifyFinal, a->h)

enum { NOTHING, SLOT, SESSION };

static const struct call {
	const char *name;
	CK_RV (*run)(const struct args *);
	int takes;
} calls[] = {
#define ROW(name, takes)                                                                                               \
	{                                                                                                              \
#name, call_##name, takes                                                                              \
	}
	ROW(C_Finalize, NOTHING),
	ROW(C_GetInfo, NOTHING),
	ROW(C_GetSlotList, NOTHING),
	ROW(C_WaitForSlotEvent, NOTHING),
	ROW(C_GetSlotInfo, SLOT),
	ROW(C_GetTokenInfo, SLOT),
	ROW(C_GetMechanismList, SLOT),
	ROW(C_GetMechanismInfo, SLOT),
	ROW(C_InitToken, SLOT),
	ROW(C_OpenSession, SLOT),
	ROW(C_CloseAllSessions, SLOT),
	ROW(C_InitPIN, SESSION),
	ROW(C_SetPIN, SESSION),
	ROW(C_CloseSession, SESSION),
	ROW(C_GetSessionInfo, SESSION),
	ROW(C_GetOperationState, SESSION),
	ROW(C_SetOperationState, SESSION),
	ROW(C_Login, SESSION),
	ROW(C_Logout, SESSION),
	ROW(C_CreateObject, SESSION),
	ROW(C_CopyObject, SESSION),
	ROW(C_DestroyObject, SESSION),
	ROW(C_GetObjectSize, SESSION),
	ROW(C_GetAttributeValue, SESSION),
	ROW(C_SetAttributeValue, SESSION),
	ROW(C_FindObjectsInit, SESSION),
	ROW(C_FindObjects, SESSION),
	ROW(C_FindObjectsFinal, SESSION),
	ROW(C_EncryptInit, SESSION),
	ROW(C_Encrypt, SESSION),
	ROW(C_EncryptUpdate, SESSION),
	ROW(C_EncryptFinal, SESSION),
	ROW(C_DecryptInit, SESSION),
	ROW(C_Decrypt, SESSION),
	ROW(C_DecryptUpdate, SESSION),
	ROW(C_DecryptFinal, SESSION),
	ROW(C_DigestInit, SESSION),
	ROW(C_Digest, SESSION),
	ROW(C_DigestUpdate, SESSION),
	ROW(C_DigestKey, SESSION),
	ROW(C_DigestFinal, SESSION),
	ROW(C_SignInit, SESSION),
	ROW(C_Sign, SESSION),
	ROW(C_SignUpdate, SESSION),
	ROW(C_SignFinal, SESSION),
	ROW(C_SignRecoverInit, SESSION),
	ROW(C_SignRecover, SESSION),
	ROW(C_VerifyInit, SESSION),
	ROW(C_Verify, SESSION),
	ROW(C_VerifyUpdate, SESSION),
	ROW(C_VerifyFinal, SESSION),
	ROW(C_VerifyRecoverInit, SESSION),
	ROW(C_VerifyRecover, SESSION),
	ROW(C_DigestEncryptUpdate, SESSION),
	ROW(C_DecryptDigestUpdate, SESSION),
	ROW(C_SignEncryptUpdate, SESSION),
	ROW(C_DecryptVerifyUpdate, SESSION),
	ROW(C_GenerateKey, SESSION),
	ROW(C_GenerateKeyPair, SESSION),
	ROW(C_WrapKey, SESSION),
	ROW(C_UnwrapKey, SESSION),
	ROW(C_DeriveKey, SESSION),
	ROW(C_SeedRandom, SESSION),
	ROW(C_GenerateRandom, SESSION),
	ROW(C_GetFunctionStatus, SESSION),
	ROW(C_CancelFunction, SESSION),
	ROW(C_LoginUser, SESSION),
	ROW(C_SessionCancel, SESSION),
	ROW(C_MessageEncryptInit, SESSION),
	ROW(C_EncryptMessage, SESSION),
	ROW(C_EncryptMessageBegin, SESSION),
	ROW(C_EncryptMessageNext, SESSION),
	ROW(C_MessageEncryptFinal, SESSION),
	ROW(C_MessageDecryptInit, SESSION),
	ROW(C_DecryptMessage, SESSION),
	ROW(C_DecryptMessageBegin, SESSION),
	ROW(C_DecryptMessageNext, SESSION),
	ROW(C_MessageDecryptFinal, SESSION),
	ROW(C_MessageSignInit, SESSION),
	ROW(C_SignMessage, SESSION),
	ROW(C_SignMessageBegin, SESSION),
	ROW(C_SignMessageNext, SESSION),
	ROW(C_MessageSignFinal, SESSION),
	ROW(C_MessageVerifyInit, SESSION),
	ROW(C_VerifyMessage, SESSION),
	ROW(C_VerifyMessageBegin, SESSION),
	ROW(C_VerifyMessageNext, SESSION),
	ROW(C_MessageVerifyFinal, SESSION),
};

/* --- the questions --- */

static void
before_initialize(const struct call *c)
{
	WANT(c->run(&(struct args){ 1, 0, false }), CKR_CRYPTOKI_NOT_INITIALIZED);
}

static void
after_finalize(const struct call *c)
{
	CK_SESSION_HANDLE h = ro();

	stop();
	WANT(c->run(&(struct args){ h, T.slot, false }), CKR_CRYPTOKI_NOT_INITIALIZED);
}

/* The two legacy functions may say only what they always say. */
static void
invalid_session(const struct call *c, CK_SESSION_HANDLE h)
{
	CK_RV rv = c->run(&(struct args){ h, T.slot, false });

	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		rule_na("the module does not have it");
	if (strcmp(c->name, "C_GetFunctionStatus") == 0 || strcmp(c->name, "C_CancelFunction") == 0)
		WANT(rv, CKR_SESSION_HANDLE_INVALID, CKR_FUNCTION_NOT_PARALLEL);
	else
		WANT(rv, CKR_SESSION_HANDLE_INVALID);
}

static void
bad_session(const struct call *c)
{
	OK(F->C_Initialize(NULL));
	invalid_session(c, BAD_SESSION);
}

static void
zero_session(const struct call *c)
{
	OK(F->C_Initialize(NULL));
	invalid_session(c, CK_INVALID_HANDLE);
}

static void
closed_session(const struct call *c)
{
	CK_SESSION_HANDLE h = ro();

	OK(F->C_CloseSession(h));
	invalid_session(c, h);
}

static void
bad_slot(const struct call *c)
{
	CK_RV rv;

	OK(F->C_Initialize(NULL));
	rv = c->run(&(struct args){ 1, BAD_SLOT, false });
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		rule_na("the module does not have it");
	WANT(rv, CKR_SLOT_ID_INVALID);
}

static void
null_arguments(const struct call *c)
{
	CK_SESSION_HANDLE h = ro();

	c->run(&(struct args){ h, T.slot, true });
	if (strcmp(c->name, "C_Finalize") != 0)
		stop();
}

static const struct question {
	const char *name;
	int takes;
	void (*run)(const struct call *);
} questions[] = { { "before_initialize", NOTHING, before_initialize }, { "after_finalize", NOTHING, after_finalize },
	{ "bad_session", SESSION, bad_session }, { "zero_session", SESSION, zero_session },
	{ "closed_session", SESSION, closed_session }, { "bad_slot", SLOT, bad_slot },
	{ "null_arguments", NOTHING, null_arguments } };

/* The i-th pair of a question and a function that it can be asked of. */
static bool
pair_at(size_t i, const struct question **q, const struct call **c)
{
	for (size_t k = 0; k < N_OF(questions); k++)
		for (size_t n = 0; n < N_OF(calls); n++) {
			if (questions[k].takes != NOTHING && questions[k].takes != calls[n].takes)
				continue;
			if (i-- > 0)
				continue;
			*q = &questions[k];
			*c = &calls[n];
			return true;
		}
	return false;
}

size_t
calls_count(void)
{
	const struct question *q;
	const struct call *c;
	size_t n = 0;

	while (pair_at(n, &q, &c))
		n++;
	return n;
}

const char *
calls_name(size_t i)
{
	static char name[96];
	const struct question *q;
	const struct call *c;

	if (!pair_at(i, &q, &c))
		return "";
	snprintf(name, sizeof name, "%s.%s", c->name, q->name);
	return name;
}

void
calls_run(size_t i)
{
	static CK_OBJECT_CLASS class = CKO_DATA;
	const struct question *q;
	const struct call *c;

	if (!pair_at(i, &q, &c))
		return;
	S.mech.mechanism = CKM_SHA256;
	S.t[0] = (CK_ATTRIBUTE)ATTR(CKA_CLASS, class);
	S.len = sizeof S.out;
	q->run(c);
}
