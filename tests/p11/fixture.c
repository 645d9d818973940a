/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What rules start from: sessions, logins, objects and keys. What a token does not have makes the rule not applicable;
 * what it has and fails at makes it fail.
 */
#include <string.h>

#include "tests/p11/conform.h"

CK_BBOOL yes = CK_TRUE, no = CK_FALSE;

void
stop(void)
{
	OK(F->C_Finalize(NULL));
}

CK_SESSION_HANDLE
open_session(CK_FLAGS more)
{
	CK_SESSION_HANDLE h = CK_INVALID_HANDLE;

	OK(F->C_OpenSession(T.slot, CKF_SERIAL_SESSION | more, NULL, NULL, &h));
	HOLDS(h != CK_INVALID_HANDLE);
	return h;
}

CK_SESSION_HANDLE
ro(void)
{
	start();
	return open_session(0);
}

CK_SESSION_HANDLE
rw(void)
{
	start();
	return open_session(CKF_RW_SESSION);
}

CK_RV
pin_login(CK_SESSION_HANDLE h, CK_USER_TYPE user, const char *pin)
{
	CK_UTF8CHAR copy[128];
	size_t n = strlen(pin);

	HOLDS(n <= sizeof copy);
	memcpy(copy, pin, n);
	return F->C_Login(h, user, copy, n);
}

void
login(CK_SESSION_HANDLE h)
{
	if ((token_flags() & CKF_LOGIN_REQUIRED) == 0)
		rule_na("the token has no login");
	if (T.pin == NULL)
		rule_na("no PIN was given");
	OK(pin_login(h, CKU_USER, T.pin));
}

void
so_login(CK_SESSION_HANDLE h)
{
	if (T.so_pin == NULL)
		rule_na("no security officer's PIN was given");
	OK(pin_login(h, CKU_SO, T.so_pin));
}

CK_STATE
state_of(CK_SESSION_HANDLE h)
{
	CK_SESSION_INFO info;

	OK(F->C_GetSessionInfo(h, &info));
	return info.state;
}

CK_FLAGS
token_flags(void)
{
	CK_TOKEN_INFO info;

	OK(F->C_GetTokenInfo(T.slot, &info));
	return info.flags;
}

/* --- mechanisms --- */

bool
mech_can(CK_MECHANISM_TYPE type, CK_FLAGS flags)
{
	CK_MECHANISM_INFO info;

	return F->C_GetMechanismInfo(T.slot, type, &info) == CKR_OK && (info.flags & flags) == flags;
}

void
need_mech(CK_MECHANISM_TYPE type, CK_FLAGS flags)
{
	if (!mech_can(type, flags))
		rule_na("the token does not have mechanism 0x%lx for this", type);
}

/* --- objects --- */

CK_OBJECT_HANDLE
find_one(CK_SESSION_HANDLE h, CK_ATTRIBUTE *t, CK_ULONG n)
{
	CK_OBJECT_HANDLE o = CK_INVALID_HANDLE;
	CK_ULONG got = 0;

	OK(F->C_FindObjectsInit(h, t, n));
	OK(F->C_FindObjects(h, &o, 1, &got));
	OK(F->C_FindObjectsFinal(h));
	return got == 1 ? o : CK_INVALID_HANDLE;
}

CK_ULONG
count(CK_SESSION_HANDLE h, CK_ATTRIBUTE *t, CK_ULONG n)
{
	CK_OBJECT_HANDLE list[16];
	CK_ULONG got, all = 0;

	OK(F->C_FindObjectsInit(h, t, n));
	do {
		got = N_OF(list) + 1;
		OK(F->C_FindObjects(h, list, N_OF(list), &got));
		HOLDS(got <= N_OF(list));
		all += got;
	} while (got > 0);
	OK(F->C_FindObjectsFinal(h));
	return all;
}

CK_ULONG
number(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE type)
{
	CK_ULONG v = 0;
	CK_ATTRIBUTE a = ATTR(type, v);

	OK(F->C_GetAttributeValue(h, o, &a, 1));
	HOLDS(a.ulValueLen == sizeof v);
	return v;
}

bool
flag(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE type)
{
	CK_BBOOL v = 2;
	CK_ATTRIBUTE a = ATTR(type, v);

	OK(F->C_GetAttributeValue(h, o, &a, 1));
	HOLDS(a.ulValueLen == sizeof v && (v == CK_TRUE || v == CK_FALSE));
	return v == CK_TRUE;
}

/* C_CreateObject: a token may have no room for such objects. */
static CK_OBJECT_HANDLE
create(CK_SESSION_HANDLE h, CK_ATTRIBUTE *t, CK_ULONG n, const char *what)
{
	CK_OBJECT_HANDLE o = CK_INVALID_HANDLE;
	CK_RV rv = F->C_CreateObject(h, t, n, &o);

	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		rule_na("the token makes no %s", what);
	WANT(rv, CKR_OK);
	HOLDS(o != CK_INVALID_HANDLE);
	return o;
}

CK_OBJECT_HANDLE
data_with(CK_SESSION_HANDLE h, const CK_ATTRIBUTE *more, CK_ULONG n)
{
	static CK_BYTE value[] = { 0xDE, 0xAD, 0xBE, 0xEF };
	static CK_OBJECT_CLASS class = CKO_DATA;
	CK_ATTRIBUTE t[16] = { ATTR(CKA_CLASS, class), ATTR(CKA_TOKEN, no), ATTR(CKA_PRIVATE, no),
		ATTR(CKA_VALUE, value), ATTR_TEXT(CKA_APPLICATION, "conform"), ATTR_TEXT(CKA_LABEL, "conform label") };
	CK_ULONG fixed = 6;

	HOLDS(fixed + n <= N_OF(t));
	for (CK_ULONG i = 0; i < n; i++) {
		CK_ULONG at = 0;

		while (at < fixed && t[at].type != more[i].type)
			at++;
		t[at] = more[i];
		fixed += at == fixed;
	}
	return create(h, t, fixed, "data objects");
}

CK_OBJECT_HANDLE
data_new(CK_SESSION_HANDLE h)
{
	return data_with(h, NULL, 0);
}

CK_OBJECT_HANDLE
secret_key(CK_SESSION_HANDLE h, CK_KEY_TYPE type, const CK_ATTRIBUTE *more, CK_ULONG n)
{
	/* FIPS 197, A.1 */
	static CK_BYTE value[] = { 0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6, 0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf,
		0x4f, 0x3c };
	static CK_OBJECT_CLASS class = CKO_SECRET_KEY;
	CK_ATTRIBUTE t[16] = { ATTR(CKA_CLASS, class), ATTR(CKA_KEY_TYPE, type), ATTR(CKA_TOKEN, no),
		ATTR(CKA_PRIVATE, no), ATTR(CKA_VALUE, value) };
	CK_ULONG fixed = 5;

	HOLDS(fixed + n <= N_OF(t));
	if (n > 0)
		memcpy(t + fixed, more, n * sizeof *more);
	return create(h, t, fixed + n, "session keys");
}

CK_OBJECT_HANDLE
aes_key(CK_SESSION_HANDLE h)
{
	const CK_ATTRIBUTE use[] = { ATTR(CKA_ENCRYPT, yes), ATTR(CKA_DECRYPT, yes) };

	return secret_key(h, CKK_AES, use, N_OF(use));
}

/* --- keys --- */

static CK_OBJECT_HANDLE
public_of(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE priv)
{
	CK_OBJECT_CLASS class = CKO_PUBLIC_KEY;
	CK_BYTE id[64];
	CK_ATTRIBUTE t[] = { { CKA_ID, id, sizeof id }, ATTR(CKA_CLASS, class) };

	OK(F->C_GetAttributeValue(h, priv, t, 1));
	return find_one(h, t, 2);
}

/* The size of an RSA modulus, or of an ECDSA signature. */
static CK_ULONG
size_of_key(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE priv, CK_KEY_TYPE type)
{
	CK_BYTE params[64];
	CK_ATTRIBUTE a = { CKA_MODULUS, NULL, 0 };

	if (type == CKK_RSA) {
		OK(F->C_GetAttributeValue(h, priv, &a, 1));
		return a.ulValueLen;
	}
	a = (CK_ATTRIBUTE){ CKA_EC_PARAMS, params, sizeof params };
	OK(F->C_GetAttributeValue(h, priv, &a, 1));
	return a.ulValueLen == 10 ? 64 : 96; /* prime256v1's name is 10 bytes; else P-384 */
}

static bool
asks_each_time(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE o)
{
	CK_BBOOL v = CK_FALSE;
	CK_ATTRIBUTE a = ATTR(CKA_ALWAYS_AUTHENTICATE, v);

	return F->C_GetAttributeValue(h, o, &a, 1) == CKR_OK && v == CK_TRUE;
}

/* The first private key of this type with this use. */
static bool
private_with(CK_SESSION_HANDLE h, CK_KEY_TYPE type, CK_ATTRIBUTE_TYPE use, CK_OBJECT_HANDLE *out)
{
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_ATTRIBUTE t[] = { ATTR(CKA_CLASS, class), ATTR(use, yes), ATTR(CKA_KEY_TYPE, type) };
	CK_OBJECT_HANDLE list[32];
	CK_ULONG n = 0;

	OK(F->C_FindObjectsInit(h, t, 3));
	OK(F->C_FindObjects(h, list, N_OF(list), &n));
	OK(F->C_FindObjectsFinal(h));
	for (CK_ULONG i = 0; i < n; i++)
		if (!asks_each_time(h, list[i])) {
			*out = list[i];
			return true;
		}
	return false;
}

static struct keypair
key_for(CK_KEY_TYPE wanted, CK_KEY_TYPE other, CK_ATTRIBUTE_TYPE use)
{
	struct keypair k = { .h = rw() };
	CK_KEY_TYPE type;

	login(k.h);
	if (private_with(k.h, wanted, use, &k.priv))
		type = wanted;
	else if (private_with(k.h, other, use, &k.priv))
		type = other;
	else
		rule_na("the token has no private key for this");
	k.pub = public_of(k.h, k.priv);
	k.plain = type == CKK_RSA ? CKM_RSA_PKCS : CKM_ECDSA;
	k.hashed = type == CKK_RSA ? CKM_SHA256_RSA_PKCS : CKM_ECDSA_SHA256;
	if (!mech_can(k.hashed, CKF_SIGN))
		k.hashed = 0;
	k.size = size_of_key(k.h, k.priv, type);
	return k;
}

struct keypair
sign_key(void)
{
	return T.ec ? key_for(CKK_EC, CKK_RSA, CKA_SIGN) : key_for(CKK_RSA, CKK_EC, CKA_SIGN);
}

struct keypair
hash_sign_key(void)
{
	struct keypair k = sign_key();

	if (k.hashed == 0)
		rule_na("the token has no mechanism that hashes and signs with this key");
	return k;
}

struct keypair
decrypt_key(void)
{
	struct keypair k = key_for(CKK_RSA, CKK_RSA, CKA_DECRYPT);

	need_mech(CKM_RSA_PKCS, CKF_DECRYPT);
	return k;
}

struct keypair
derive_key(void)
{
	struct keypair k = key_for(CKK_EC, CKK_EC, CKA_DERIVE);

	need_mech(CKM_ECDH1_DERIVE, CKF_DERIVE);
	return k;
}

CK_ULONG
make_signature(const struct keypair *k, CK_MECHANISM_TYPE mech, CK_BYTE *sig, CK_ULONG cap)
{
	CK_MECHANISM m = MECH(mech);
	CK_BYTE data[32];
	CK_ULONG n = cap;

	memset(data, 'm', sizeof data);
	OK(F->C_SignInit(k->h, &m, k->priv));
	OK(F->C_Sign(k->h, data, sizeof data, sig, &n));
	HOLDS(n == k->size);
	return n;
}
