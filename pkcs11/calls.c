/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The entry points that have a session: each enters (initialised? session? card? then the slot's lock), does what its
 * file does, and leaves. Nothing else belongs here; the length is that of the list.
 */
#include "pkcs11/p11.h"

/* --- sessions --- */

CK_RV
C_GetSessionInfo(CK_SESSION_HANDLE h, CK_SESSION_INFO_PTR info)
{
	struct p11_session *s;
	CK_RV rv = p11_enter(__func__, h, NEED_SESSION, &s);

	/* A card that is out is no error here: libp11 0.4.12 asks before each use, takes an error for a lost session,
	 * and then waits for ever when no other can be opened. What needs the card says CKR_DEVICE_REMOVED next. */
	if (rv == CKR_OK && token_check(s->slot) == CKR_SESSION_HANDLE_INVALID)
		rv = CKR_SESSION_HANDLE_INVALID;
	return p11_leave(s, rv != CKR_OK ? rv : session_info(s, info));
}

CK_RV
C_GetOperationState(CK_SESSION_HANDLE h, CK_BYTE_PTR out, CK_ULONG_PTR n)
{
	struct p11_session *s;
	CK_RV rv = p11_enter(__func__, h, NEED_SESSION, &s);

	(void)out;
	return p11_leave(s, rv != CKR_OK ? rv : session_state(s, n));
}

CK_RV
C_Login(CK_SESSION_HANDLE h, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin, CK_ULONG n)
{
	struct p11_session *s;
	CK_RV rv = p11_enter(__func__, h, NEED_TOKEN, &s);

	return p11_leave(s, rv != CKR_OK ? rv : login(s, user, pin, n));
}

CK_RV
C_Logout(CK_SESSION_HANDLE h)
{
	struct p11_session *s;
	CK_RV rv = p11_enter(__func__, h, NEED_TOKEN, &s);

	return p11_leave(s, rv != CKR_OK ? rv : logout(s));
}

CK_RV
C_SetPIN(CK_SESSION_HANDLE h, CK_UTF8CHAR_PTR old, CK_ULONG old_n, CK_UTF8CHAR_PTR pin, CK_ULONG n)
{
	struct p11_session *s;
	CK_RV rv = p11_enter(__func__, h, NEED_TOKEN, &s);

	return p11_leave(s, rv != CKR_OK ? rv : login_set_pin(s, old, old_n, pin, n));
}

CK_RV
C_InitPIN(CK_SESSION_HANDLE h, CK_UTF8CHAR_PTR pin, CK_ULONG n)
{
	struct p11_session *s;
	CK_RV rv = p11_enter(__func__, h, NEED_TOKEN, &s);

	return p11_leave(s, rv != CKR_OK ? rv : login_init_pin(s, pin, n));
}

/* --- objects --- */

CK_RV
C_CreateObject(CK_SESSION_HANDLE h, CK_ATTRIBUTE_PTR t, CK_ULONG n, CK_OBJECT_HANDLE_PTR out)
{
	struct p11_session *s;
	CK_RV rv = p11_enter(__func__, h, NEED_TOKEN, &s);

	return p11_leave(s, rv != CKR_OK ? rv : object_create(s, t, n, out));
}

CK_RV
C_CopyObject(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE o, CK_ATTRIBUTE_PTR t, CK_ULONG n, CK_OBJECT_HANDLE_PTR out)
{
	struct p11_session *s;
	CK_RV rv = p11_enter(__func__, h, NEED_TOKEN, &s);

	return p11_leave(s, rv != CKR_OK ? rv : object_copy(s, o, t, n, out));
}

CK_RV
C_DestroyObject(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE o)
{
	struct p11_session *s;
	CK_RV rv = p11_enter(__func__, h, NEED_TOKEN, &s);

	return p11_leave(s, rv != CKR_OK ? rv : object_destroy(s, o));
}

CK_RV
C_GetObjectSize(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE o, CK_ULONG_PTR size)
{
	struct p11_session *s;
	CK_RV rv = p11_enter(__func__, h, NEED_TOKEN, &s);

	return p11_leave(s, rv != CKR_OK ? rv : object_size(s, o, size));
}

CK_RV
C_GetAttributeValue(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE o, CK_ATTRIBUTE_PTR t, CK_ULONG n)
{
	struct p11_session *s;
	CK_RV rv = p11_enter(__func__, h, NEED_TOKEN, &s);

	return p11_leave(s, rv != CKR_OK ? rv : object_get(s, o, t, n));
}

CK_RV
C_SetAttributeValue(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE o, CK_ATTRIBUTE_PTR t, CK_ULONG n)
{
	struct p11_session *s;
	CK_RV rv = p11_enter(__func__, h, NEED_TOKEN, &s);

	return p11_leave(s, rv != CKR_OK ? rv : object_set(s, o, t, n));
}

CK_RV
C_FindObjectsInit(CK_SESSION_HANDLE h, CK_ATTRIBUTE_PTR t, CK_ULONG n)
{
	struct p11_session *s;
	CK_RV rv = p11_enter(__func__, h, NEED_TOKEN, &s);

	return p11_leave(s, rv != CKR_OK ? rv : find_init(s, t, n));
}

CK_RV
C_FindObjects(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE_PTR out, CK_ULONG max, CK_ULONG_PTR n)
{
	struct p11_session *s;
	CK_RV rv = p11_enter(__func__, h, NEED_TOKEN, &s);

	return p11_leave(s, rv != CKR_OK ? rv : find_next(s, out, max, n));
}

CK_RV
C_FindObjectsFinal(CK_SESSION_HANDLE h)
{
	struct p11_session *s;
	CK_RV rv = p11_enter(__func__, h, NEED_TOKEN, &s);

	return p11_leave(s, rv != CKR_OK ? rv : find_final(s));
}

/* --- encryption --- */

CK_RV
C_EncryptInit(CK_SESSION_HANDLE h, CK_MECHANISM_PTR m, CK_OBJECT_HANDLE key)
{
	struct p11_session *s;
	CK_RV rv = p11_enter(__func__, h, NEED_TOKEN, &s);

	return p11_leave(s, rv != CKR_OK ? rv : op_init(s, OP_ENCRYPT, m, key));
}

CK_RV
C_Encrypt(CK_SESSION_HANDLE h, CK_BYTE_PTR in, CK_ULONG n, CK_BYTE_PTR out, CK_ULONG_PTR len)
{
	struct p11_session *s;
	CK_RV rv = p11_enter(__func__, h, NEED_TOKEN, &s);

	return p11_leave(s, rv != CKR_OK ? rv : op_run(s, OP_ENCRYPT, OP_ONE, in, n, out, len));
}

CK_RV
C_EncryptUpdate(CK_SESSION_HANDLE h, CK_BYTE_PTR in, CK_ULONG n, CK_BYTE_PTR out, CK_ULONG_PTR len)
{
	struct p11_session *s;
	CK_RV rv = p11_enter(__func__, h, NEED_TOKEN, &s);

	return p11_leave(s, rv != CKR_OK ? rv : op_run(s, OP_ENCRYPT, OP_UPDATE, in, n, out, len));
}

CK_RV
C_EncryptFinal(CK_SESSION_HANDLE h, CK_BYTE_PTR out, CK_ULONG_PTR len)
{
	struct p11_session *s;
	CK_RV rv = p11_enter(__func__, h, NEED_TOKEN, &s);

	return p11_leave(s, rv != CKR_OK ? rv : op_run(s, OP_ENCRYPT, OP_FINAL, NULL, 0, out, len));
}

/* --- decryption --- */

CK_RV
C_DecryptInit(CK_SESSION_HANDLE h, CK_MECHANISM_PTR m, CK_OBJECT_HANDLE key)
{
	struct p11_session *s;
	CK_RV rv = p11_enter(__func__, h, NEED_TOKEN, &s);

	return p11_leave(s, rv != CKR_OK ? rv : op_init(s, OP_DECRYPT, m, key));
}

CK_RV
C_Decrypt(CK_SESSION_HANDLE h, CK_BYTE_PTR in, CK_ULONG n, CK_BYTE_PTR out, CK_ULONG_PTR len)
{
	struct p11_session *s;
	CK_RV rv = p11_enter(__func__, h, NEED_TOKEN, &s);

	return p11_leave(s, rv != CKR_OK ? rv : op_run(s, OP_DECRYPT, OP_ONE, in, n, out, len));
}

CK_RV
C_DecryptUpdate(CK_SESSION_HANDLE h, CK_BYTE_PTR in, CK_ULONG n, CK_BYTE_PTR out, CK_ULONG_PTR len)
{
	struct p11_session *s;
	CK_RV rv = p11_enter(__func__, h, NEED_TOKEN, &s);

	return p11_leave(s, rv != CKR_OK ? rv : op_run(s, OP_DECRYPT, OP_UPDATE, in, n, out, len));
}

CK_RV
C_DecryptFinal(CK_SESSION_HANDLE h, CK_BYTE_PTR out, CK_ULONG_PTR len)
{
	struct p11_session *s;
	CK_RV rv = p11_enter(__func__, h, NEED_TOKEN, &s);

	return p11_leave(s, rv != CKR_OK ? rv : op_run(s, OP_DECRYPT, OP_FINAL, NULL, 0, out, len));
}

/* --- digests --- */

CK_RV
C_DigestInit(CK_SESSION_HANDLE h, CK_MECHANISM_PTR m)
{
	struct p11_session *s;
	CK_RV rv = p11_enter(__func__, h, NEED_TOKEN, &s);

	return p11_leave(s, rv != CKR_OK ? rv : op_init(s, OP_DIGEST, m, CK_INVALID_HANDLE));
}

CK_RV
C_Digest(CK_SESSION_HANDLE h, CK_BYTE_PTR in, CK_ULONG n, CK_BYTE_PTR out, CK_ULONG_PTR len)
{
	struct p11_session *s;
	CK_RV rv = p11_enter(__func__, h, NEED_TOKEN, &s);

	return p11_leave(s, rv != CKR_OK ? rv : op_run(s, OP_DIGEST, OP_ONE, in, n, out, len));
}

CK_RV
C_DigestUpdate(CK_SESSION_HANDLE h, CK_BYTE_PTR in, CK_ULONG n)
{
	struct p11_session *s;
	CK_RV rv = p11_enter(__func__, h, NEED_TOKEN, &s);

	return p11_leave(s, rv != CKR_OK ? rv : op_run(s, OP_DIGEST, OP_UPDATE, in, n, NULL, NULL));
}

CK_RV
C_DigestKey(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE key)
{
	struct p11_session *s;
	CK_RV rv = p11_enter(__func__, h, NEED_TOKEN, &s);

	return p11_leave(s, rv != CKR_OK ? rv : digest_key(s, key));
}

CK_RV
C_DigestFinal(CK_SESSION_HANDLE h, CK_BYTE_PTR out, CK_ULONG_PTR len)
{
	struct p11_session *s;
	CK_RV rv = p11_enter(__func__, h, NEED_TOKEN, &s);

	return p11_leave(s, rv != CKR_OK ? rv : op_run(s, OP_DIGEST, OP_FINAL, NULL, 0, out, len));
}

/* --- signatures --- */

CK_RV
C_SignInit(CK_SESSION_HANDLE h, CK_MECHANISM_PTR m, CK_OBJECT_HANDLE key)
{
	struct p11_session *s;
	CK_RV rv = p11_enter(__func__, h, NEED_TOKEN, &s);

	return p11_leave(s, rv != CKR_OK ? rv : op_init(s, OP_SIGN, m, key));
}

CK_RV
C_Sign(CK_SESSION_HANDLE h, CK_BYTE_PTR in, CK_ULONG n, CK_BYTE_PTR out, CK_ULONG_PTR len)
{
	struct p11_session *s;
	CK_RV rv = p11_enter(__func__, h, NEED_TOKEN, &s);

	return p11_leave(s, rv != CKR_OK ? rv : op_run(s, OP_SIGN, OP_ONE, in, n, out, len));
}

CK_RV
C_SignUpdate(CK_SESSION_HANDLE h, CK_BYTE_PTR in, CK_ULONG n)
{
	struct p11_session *s;
	CK_RV rv = p11_enter(__func__, h, NEED_TOKEN, &s);

	return p11_leave(s, rv != CKR_OK ? rv : op_run(s, OP_SIGN, OP_UPDATE, in, n, NULL, NULL));
}

CK_RV
C_SignFinal(CK_SESSION_HANDLE h, CK_BYTE_PTR out, CK_ULONG_PTR len)
{
	struct p11_session *s;
	CK_RV rv = p11_enter(__func__, h, NEED_TOKEN, &s);

	return p11_leave(s, rv != CKR_OK ? rv : op_run(s, OP_SIGN, OP_FINAL, NULL, 0, out, len));
}

CK_RV
C_VerifyInit(CK_SESSION_HANDLE h, CK_MECHANISM_PTR m, CK_OBJECT_HANDLE key)
{
	struct p11_session *s;
	CK_RV rv = p11_enter(__func__, h, NEED_TOKEN, &s);

	return p11_leave(s, rv != CKR_OK ? rv : op_init(s, OP_VERIFY, m, key));
}

CK_RV
C_Verify(CK_SESSION_HANDLE h, CK_BYTE_PTR in, CK_ULONG n, CK_BYTE_PTR sig, CK_ULONG len)
{
	struct p11_session *s;
	CK_RV rv = p11_enter(__func__, h, NEED_TOKEN, &s);

	return p11_leave(s, rv != CKR_OK ? rv : op_verify(s, OP_ONE, in, n, sig, len));
}

CK_RV
C_VerifyUpdate(CK_SESSION_HANDLE h, CK_BYTE_PTR in, CK_ULONG n)
{
	struct p11_session *s;
	CK_RV rv = p11_enter(__func__, h, NEED_TOKEN, &s);

	return p11_leave(s, rv != CKR_OK ? rv : op_verify(s, OP_UPDATE, in, n, NULL, 0));
}

CK_RV
C_VerifyFinal(CK_SESSION_HANDLE h, CK_BYTE_PTR sig, CK_ULONG len)
{
	struct p11_session *s;
	CK_RV rv = p11_enter(__func__, h, NEED_TOKEN, &s);

	return p11_leave(s, rv != CKR_OK ? rv : op_verify(s, OP_FINAL, NULL, 0, sig, len));
}

/* --- keys --- */

CK_RV
C_GenerateKey(CK_SESSION_HANDLE h, CK_MECHANISM_PTR m, CK_ATTRIBUTE_PTR t, CK_ULONG n, CK_OBJECT_HANDLE_PTR out)
{
	struct p11_session *s;
	CK_RV rv = p11_enter(__func__, h, NEED_TOKEN, &s);

	return p11_leave(s, rv != CKR_OK ? rv : generate_key(s, m, t, n, out));
}

CK_RV
C_GenerateKeyPair(CK_SESSION_HANDLE h, CK_MECHANISM_PTR m, CK_ATTRIBUTE_PTR pub, CK_ULONG pub_n, CK_ATTRIBUTE_PTR priv,
    CK_ULONG priv_n, CK_OBJECT_HANDLE_PTR out_pub, CK_OBJECT_HANDLE_PTR out_priv)
{
	struct p11_session *s;
	CK_RV rv = p11_enter(__func__, h, NEED_TOKEN, &s);

	return p11_leave(s, rv != CKR_OK ? rv : generate_key_pair(s, m, pub, pub_n, priv, priv_n, out_pub, out_priv));
}

CK_RV
C_UnwrapKey(CK_SESSION_HANDLE h, CK_MECHANISM_PTR m, CK_OBJECT_HANDLE key, CK_BYTE_PTR in, CK_ULONG in_n,
    CK_ATTRIBUTE_PTR t, CK_ULONG n, CK_OBJECT_HANDLE_PTR out)
{
	struct p11_session *s;
	CK_RV rv = p11_enter(__func__, h, NEED_TOKEN, &s);

	return p11_leave(s, rv != CKR_OK ? rv : unwrap_key(s, m, key, in, in_n, t, n, out));
}

CK_RV
C_DeriveKey(CK_SESSION_HANDLE h, CK_MECHANISM_PTR m, CK_OBJECT_HANDLE base, CK_ATTRIBUTE_PTR t, CK_ULONG n,
    CK_OBJECT_HANDLE_PTR out)
{
	struct p11_session *s;
	CK_RV rv = p11_enter(__func__, h, NEED_TOKEN, &s);

	return p11_leave(s, rv != CKR_OK ? rv : derive_key(s, m, base, t, n, out));
}

/* --- random numbers --- */

CK_RV
C_SeedRandom(CK_SESSION_HANDLE h, CK_BYTE_PTR seed, CK_ULONG n)
{
	struct p11_session *s;
	CK_RV rv = p11_enter(__func__, h, NEED_TOKEN, &s);

	return p11_leave(s, rv != CKR_OK ? rv : random_seed(s, seed, n));
}

CK_RV
C_GenerateRandom(CK_SESSION_HANDLE h, CK_BYTE_PTR out, CK_ULONG n)
{
	struct p11_session *s;
	CK_RV rv = p11_enter(__func__, h, NEED_TOKEN, &s);

	return p11_leave(s, rv != CKR_OK ? rv : random_generate(s, out, n));
}
