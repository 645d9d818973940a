/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The module's face (PKCS#11 2.40, 5.4 and 5.5; 3.0, 5.4): the function lists and interfaces, the entry points that
 * have no session, and what is not supported. Entry points with a session are in calls.c.
 *
 * C_GetFunctionList gives a 2.40 list, as every program expects of it; C_GetInterface gives the 3.0 list first. Each
 * list has its own C_GetInfo, which tells the version of that list. Neither is fork safe in the sense of 3.0, which
 * would promise a working copy of sessions in the child. What is not supported still says CKR_CRYPTOKI_NOT_INITIALIZED
 * and CKR_SESSION_HANDLE_INVALID when those are due.
 */
#include <stdlib.h>
#include <string.h>

#include "pkcs11/p11.h"

#define EXPORT __attribute__((visibility("default")))
#define ANY    __attribute__((unused))

/* --- general --- */

CK_RV
C_Initialize(CK_VOID_PTR args)
{
	return p11_initialize(args);
}

CK_RV
C_Finalize(CK_VOID_PTR reserved)
{
	return p11_finalize(reserved);
}

static CK_RV
module_info(CK_INFO_PTR info, CK_VERSION version)
{
	if (info == NULL)
		return CKR_ARGUMENTS_BAD;
	memset(info, 0, sizeof *info);
	info->cryptokiVersion = version;
	text_pad(info->manufacturerID, sizeof info->manufacturerID, "dpiv");
	text_pad(info->libraryDescription, sizeof info->libraryDescription, "dpiv PIV module");
	info->libraryVersion.major = (CK_BYTE)atoi(DPIV_VERSION);
	info->libraryVersion.minor =
	    (CK_BYTE)(strchr(DPIV_VERSION, '.') != NULL ? atoi(strchr(DPIV_VERSION, '.') + 1) : 0);
	return CKR_OK;
}

CK_RV
C_GetInfo(CK_INFO_PTR info)
{
	struct p11_module *m;
	CK_RV rv = module_enter(&m);

	return module_leave(m, rv != CKR_OK ? rv : module_info(info, (CK_VERSION){ 2, 40 }));
}

static CK_RV
info_3_0(CK_INFO_PTR info)
{
	struct p11_module *m;
	CK_RV rv = module_enter(&m);

	return module_leave(m, rv != CKR_OK ? rv : module_info(info, (CK_VERSION){ 3, 0 }));
}

/* --- slots and tokens --- */

CK_RV
C_GetSlotList(CK_BBOOL present, CK_SLOT_ID_PTR list, CK_ULONG_PTR n)
{
	struct p11_module *m;
	CK_RV rv = module_enter(&m);

	return module_leave(m, rv != CKR_OK ? rv : slot_list(m, present, list, n));
}

CK_RV
C_GetSlotInfo(CK_SLOT_ID id, CK_SLOT_INFO_PTR info)
{
	struct p11_module *m;
	CK_RV rv = module_enter(&m);

	return module_leave(m, rv != CKR_OK ? rv : slot_info(m, id, info));
}

CK_RV
C_WaitForSlotEvent(CK_FLAGS flags, CK_SLOT_ID_PTR slot, CK_VOID_PTR reserved)
{
	struct p11_module *m;
	CK_RV rv = module_enter(&m);

	return module_leave(m, rv != CKR_OK ? rv : event_wait(m, flags, slot, reserved));
}

CK_RV
C_GetTokenInfo(CK_SLOT_ID id, CK_TOKEN_INFO_PTR info)
{
	struct p11_slot *slot;
	CK_RV rv = slot_enter(__func__, id, &slot);

	return slot_leave(slot, rv != CKR_OK ? rv : token_info(slot, info));
}

CK_RV
C_GetMechanismList(CK_SLOT_ID id, CK_MECHANISM_TYPE_PTR list, CK_ULONG_PTR n)
{
	struct p11_slot *slot;
	CK_RV rv = slot_enter(__func__, id, &slot);

	if (rv == CKR_OK && n != NULL)
		rv = token_attach(slot);
	return slot_leave(slot, rv != CKR_OK ? rv : mech_list(slot->token, list, n));
}

CK_RV
C_GetMechanismInfo(CK_SLOT_ID id, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO_PTR info)
{
	struct p11_slot *slot;
	CK_RV rv = slot_enter(__func__, id, &slot);

	if (rv == CKR_OK && info != NULL)
		rv = token_attach(slot);
	return slot_leave(slot, rv != CKR_OK ? rv : mech_info(slot->token, type, info));
}

CK_RV
C_InitToken(CK_SLOT_ID id, ANY CK_UTF8CHAR_PTR pin, ANY CK_ULONG n, ANY CK_UTF8CHAR_PTR label)
{
	struct p11_slot *slot;
	CK_RV rv = slot_enter(__func__, id, &slot);

	return slot_leave(slot, rv != CKR_OK ? rv : CKR_FUNCTION_NOT_SUPPORTED);
}

/* --- sessions --- */

CK_RV
C_OpenSession(
    CK_SLOT_ID id, CK_FLAGS flags, ANY CK_VOID_PTR application, ANY CK_NOTIFY notify, CK_SESSION_HANDLE_PTR out)
{
	struct p11_slot *slot;
	CK_RV rv = slot_enter(__func__, id, &slot);

	return slot_leave(slot, rv != CKR_OK ? rv : session_open(slot, flags, out));
}

CK_RV
C_CloseSession(CK_SESSION_HANDLE h)
{
	struct p11_session *s;
	CK_RV rv;

	session_interrupt(h);
	rv = p11_enter(__func__, h, NEED_SESSION, &s);
	return p11_leave(s, rv != CKR_OK ? rv : session_close(s));
}

CK_RV
C_CloseAllSessions(CK_SLOT_ID id)
{
	struct p11_slot *slot;
	CK_RV rv;

	slot_interrupt(id);
	rv = slot_enter(__func__, id, &slot);
	if (rv == CKR_OK)
		slot_sessions_close(slot);
	return slot_leave(slot, rv);
}

static CK_RV
session_cancel_call(CK_SESSION_HANDLE h, CK_FLAGS flags)
{
	struct p11_session *s;
	CK_RV rv;

	session_interrupt(h);
	rv = p11_enter("C_SessionCancel", h, NEED_SESSION, &s);
	return p11_leave(s, rv != CKR_OK ? rv : session_cancel(s, flags));
}

/* There are no user names on a PIV card. */
static CK_RV
login_user_call(
    CK_SESSION_HANDLE h, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin, CK_ULONG n, ANY CK_UTF8CHAR_PTR name, CK_ULONG name_n)
{
	struct p11_session *s;
	CK_RV rv = p11_enter("C_LoginUser", h, NEED_TOKEN, &s);

	if (rv == CKR_OK && name_n != 0)
		rv = CKR_ARGUMENTS_BAD;
	return p11_leave(s, rv != CKR_OK ? rv : login(s, user, pin, n));
}

/* --- what there is not --- */

/* Whatever a session asks for that the module does not do. */
static CK_RV
refuse(const char *where, CK_SESSION_HANDLE h, CK_RV answer)
{
	struct p11_session *s;
	CK_RV rv = p11_enter(where, h, NEED_SESSION, &s);

	return p11_leave(s, rv != CKR_OK ? rv : answer);
}

#define REFUSE(name, answer, ...)                                                                                      \
	CK_RV name(CK_SESSION_HANDLE h, ##__VA_ARGS__)                                                                 \
	{                                                                                                              \
		return refuse(#name, h, answer);                                                                       \
	}
#define UNSUPPORTED(name, ...) REFUSE(name, CKR_FUNCTION_NOT_SUPPORTED, ##__VA_ARGS__)

/* Nothing is ever saved here (session_state()), so nothing can be one of ours. */
CK_RV
C_SetOperationState(
    CK_SESSION_HANDLE h, CK_BYTE_PTR state, ANY CK_ULONG n, ANY CK_OBJECT_HANDLE k, ANY CK_OBJECT_HANDLE a)
{
	return refuse(__func__, h, state == NULL ? CKR_ARGUMENTS_BAD : CKR_SAVED_STATE_INVALID);
}

REFUSE(C_GetFunctionStatus, CKR_FUNCTION_NOT_PARALLEL)
REFUSE(C_CancelFunction, CKR_FUNCTION_NOT_PARALLEL)
UNSUPPORTED(C_SignRecoverInit, ANY CK_MECHANISM_PTR m, ANY CK_OBJECT_HANDLE key)
UNSUPPORTED(C_SignRecover, ANY CK_BYTE_PTR in, ANY CK_ULONG n, ANY CK_BYTE_PTR out, ANY CK_ULONG_PTR len)
UNSUPPORTED(C_VerifyRecoverInit, ANY CK_MECHANISM_PTR m, ANY CK_OBJECT_HANDLE key)
UNSUPPORTED(C_VerifyRecover, ANY CK_BYTE_PTR in, ANY CK_ULONG n, ANY CK_BYTE_PTR out, ANY CK_ULONG_PTR len)
UNSUPPORTED(C_DigestEncryptUpdate, ANY CK_BYTE_PTR in, ANY CK_ULONG n, ANY CK_BYTE_PTR out, ANY CK_ULONG_PTR len)
UNSUPPORTED(C_DecryptDigestUpdate, ANY CK_BYTE_PTR in, ANY CK_ULONG n, ANY CK_BYTE_PTR out, ANY CK_ULONG_PTR len)
UNSUPPORTED(C_SignEncryptUpdate, ANY CK_BYTE_PTR in, ANY CK_ULONG n, ANY CK_BYTE_PTR out, ANY CK_ULONG_PTR len)
UNSUPPORTED(C_DecryptVerifyUpdate, ANY CK_BYTE_PTR in, ANY CK_ULONG n, ANY CK_BYTE_PTR out, ANY CK_ULONG_PTR len)
UNSUPPORTED(C_WrapKey, ANY CK_MECHANISM_PTR m, ANY CK_OBJECT_HANDLE with, ANY CK_OBJECT_HANDLE key, ANY CK_BYTE_PTR out,
    ANY CK_ULONG_PTR len)

static UNSUPPORTED(message_init, ANY CK_MECHANISM_PTR m, ANY CK_OBJECT_HANDLE key) static UNSUPPORTED(message_crypt,
    ANY CK_VOID_PTR p, ANY CK_ULONG p_n, ANY CK_BYTE_PTR aad, ANY CK_ULONG aad_n, ANY CK_BYTE_PTR in, ANY CK_ULONG n,
    ANY CK_BYTE_PTR out, ANY CK_ULONG_PTR len) static UNSUPPORTED(message_crypt_begin, ANY CK_VOID_PTR p,
    ANY CK_ULONG p_n, ANY CK_BYTE_PTR aad, ANY CK_ULONG aad_n) static UNSUPPORTED(message_crypt_next, ANY CK_VOID_PTR p,
    ANY CK_ULONG p_n, ANY CK_BYTE_PTR in, ANY CK_ULONG n, ANY CK_BYTE_PTR out, ANY CK_ULONG_PTR len,
    ANY CK_FLAGS flags) static UNSUPPORTED(message_final) static UNSUPPORTED(message_sign, ANY CK_VOID_PTR p,
    ANY CK_ULONG p_n, ANY CK_BYTE_PTR in, ANY CK_ULONG n, ANY CK_BYTE_PTR out,
    ANY CK_ULONG_PTR len) static UNSUPPORTED(message_begin, ANY CK_VOID_PTR p,
    ANY CK_ULONG p_n) static UNSUPPORTED(message_verify, ANY CK_VOID_PTR p, ANY CK_ULONG p_n, ANY CK_BYTE_PTR in,
    ANY CK_ULONG n, ANY CK_BYTE_PTR sig, ANY CK_ULONG len)

    /* --- lists and interfaces; callable before C_Initialize --- */

    static CK_FUNCTION_LIST list_2_40 = { { 2, 40 }, C_Initialize, C_Finalize, C_GetInfo, C_GetFunctionList,
	    C_GetSlotList, C_GetSlotInfo, C_GetTokenInfo, C_GetMechanismList, C_GetMechanismInfo, C_InitToken,
	    C_InitPIN, C_SetPIN, C_OpenSession, C_CloseSession, C_CloseAllSessions, C_GetSessionInfo,
	    C_GetOperationState, C_SetOperationState, C_Login, C_Logout, C_CreateObject, C_CopyObject, C_DestroyObject,
	    C_GetObjectSize, C_GetAttributeValue, C_SetAttributeValue, C_FindObjectsInit, C_FindObjects,
	    C_FindObjectsFinal, C_EncryptInit, C_Encrypt, C_EncryptUpdate, C_EncryptFinal, C_DecryptInit, C_Decrypt,
	    C_DecryptUpdate, C_DecryptFinal, C_DigestInit, C_Digest, C_DigestUpdate, C_DigestKey, C_DigestFinal,
	    C_SignInit, C_Sign, C_SignUpdate, C_SignFinal, C_SignRecoverInit, C_SignRecover, C_VerifyInit, C_Verify,
	    C_VerifyUpdate, C_VerifyFinal, C_VerifyRecoverInit, C_VerifyRecover, C_DigestEncryptUpdate,
	    C_DecryptDigestUpdate, C_SignEncryptUpdate, C_DecryptVerifyUpdate, C_GenerateKey, C_GenerateKeyPair,
	    C_WrapKey, C_UnwrapKey, C_DeriveKey, C_SeedRandom, C_GenerateRandom, C_GetFunctionStatus, C_CancelFunction,
	    C_WaitForSlotEvent };

static CK_FUNCTION_LIST_3_0 list_3_0 = { { 3, 0 }, C_Initialize, C_Finalize, info_3_0, C_GetFunctionList, C_GetSlotList,
	C_GetSlotInfo, C_GetTokenInfo, C_GetMechanismList, C_GetMechanismInfo, C_InitToken, C_InitPIN, C_SetPIN,
	C_OpenSession, C_CloseSession, C_CloseAllSessions, C_GetSessionInfo, C_GetOperationState, C_SetOperationState,
	C_Login, C_Logout, C_CreateObject, C_CopyObject, C_DestroyObject, C_GetObjectSize, C_GetAttributeValue,
	C_SetAttributeValue, C_FindObjectsInit, C_FindObjects, C_FindObjectsFinal, C_EncryptInit, C_Encrypt,
	C_EncryptUpdate, C_EncryptFinal, C_DecryptInit, C_Decrypt, C_DecryptUpdate, C_DecryptFinal, C_DigestInit,
	C_Digest, C_DigestUpdate, C_DigestKey, C_DigestFinal, C_SignInit, C_Sign, C_SignUpdate, C_SignFinal,
	C_SignRecoverInit, C_SignRecover, C_VerifyInit, C_Verify, C_VerifyUpdate, C_VerifyFinal, C_VerifyRecoverInit,
	C_VerifyRecover, C_DigestEncryptUpdate, C_DecryptDigestUpdate, C_SignEncryptUpdate, C_DecryptVerifyUpdate,
	C_GenerateKey, C_GenerateKeyPair, C_WrapKey, C_UnwrapKey, C_DeriveKey, C_SeedRandom, C_GenerateRandom,
	C_GetFunctionStatus, C_CancelFunction, C_WaitForSlotEvent, C_GetInterfaceList, C_GetInterface, login_user_call,
	session_cancel_call, message_init, message_crypt, message_crypt_begin, message_crypt_next, message_final,
	message_init, message_crypt, message_crypt_begin, message_crypt_next, message_final, message_init, message_sign,
	message_begin, message_sign, message_final, message_init, message_verify, message_begin, message_verify,
	message_final };

static CK_UTF8CHAR interface_name[] = "PKCS 11";
static CK_INTERFACE interfaces[] = {
	{ interface_name, &list_3_0, 0 }, /* the first is the default */
	{ interface_name, &list_2_40, 0 },
};
#define N_INTERFACES (sizeof interfaces / sizeof interfaces[0])

EXPORT CK_RV
C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list)
{
	if (list == NULL)
		return CKR_ARGUMENTS_BAD;
	*list = &list_2_40;
	return CKR_OK;
}

EXPORT CK_RV
C_GetInterfaceList(CK_INTERFACE_PTR list, CK_ULONG_PTR n)
{
	CK_ULONG cap;

	if (n == NULL)
		return CKR_ARGUMENTS_BAD;
	cap = *n;
	*n = N_INTERFACES;
	if (list == NULL)
		return CKR_OK;
	if (cap < N_INTERFACES)
		return CKR_BUFFER_TOO_SMALL;
	memcpy(list, interfaces, sizeof interfaces);
	return CKR_OK;
}

/* Both lists begin with their version. */
static bool
has_version(const CK_INTERFACE *i, const CK_VERSION *v)
{
	const CK_VERSION *own = i->pFunctionList;

	return v == NULL || (own->major == v->major && own->minor == v->minor);
}

EXPORT CK_RV
C_GetInterface(CK_UTF8CHAR_PTR name, CK_VERSION_PTR version, CK_INTERFACE_PTR_PTR out, CK_FLAGS flags)
{
	if (out == NULL)
		return CKR_ARGUMENTS_BAD;
	*out = NULL;
	for (size_t i = 0; i < N_INTERFACES; i++) {
		if (name != NULL && strcmp((const char *)name, (const char *)interfaces[i].pInterfaceName) != 0)
			continue;
		if ((interfaces[i].flags & flags) != flags || !has_version(&interfaces[i], version))
			continue;
		*out = &interfaces[i];
		return CKR_OK;
	}
	return CKR_FUNCTION_FAILED;
}
