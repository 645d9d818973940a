/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * C_CopyObject (PKCS#11 2.40, 5.7): a copy has what the original has but for what the template says, and the template
 * may say only what C_SetAttributeValue may, and the four of its own: CKA_TOKEN, CKA_PRIVATE, CKA_MODIFIABLE,
 * CKA_DESTROYABLE.
 */
#include <string.h>

#include "tests/p11/conform.h"

static CK_ATTRIBUTE nothing;
#define NONE &nothing /* a template without rows */

static CK_OBJECT_HANDLE
copy(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE o, CK_ATTRIBUTE *t, CK_ULONG n)
{
	CK_OBJECT_HANDLE c = CK_INVALID_HANDLE;
	CK_RV rv = F->C_CopyObject(h, o, t, n, &c);

	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		rule_na("the module does not have it");
	WANT(rv, CKR_OK);
	HOLDS(c != CK_INVALID_HANDLE && c != o);
	return c;
}

static bool
is(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE type, const char *text)
{
	CK_BYTE buf[64];
	CK_ATTRIBUTE a = { type, buf, sizeof buf };

	OK(F->C_GetAttributeValue(h, o, &a, 1));
	return a.ulValueLen == strlen(text) && memcmp(buf, text, a.ulValueLen) == 0;
}

static void
same(void)
{
	CK_SESSION_HANDLE h = rw();
	CK_OBJECT_HANDLE o = data_new(h), c = copy(h, o, NONE, 0);

	HOLDS(number(h, c, CKA_CLASS) == CKO_DATA && !flag(h, c, CKA_TOKEN) && !flag(h, c, CKA_PRIVATE));
	HOLDS(is(h, c, CKA_LABEL, "conform label") && is(h, c, CKA_APPLICATION, "conform"));
	HOLDS(is(h, c, CKA_VALUE, "\xDE\xAD\xBE\xEF"));
}

static void
in_read_only(void)
{
	CK_SESSION_HANDLE h = ro();

	copy(h, data_new(h), NONE, 0);
}

static void
independent(void)
{
	CK_SESSION_HANDLE h = rw();
	CK_OBJECT_HANDLE o = data_new(h), c = copy(h, o, NONE, 0);
	CK_ATTRIBUTE t = ATTR_TEXT(CKA_LABEL, "new name");

	OK(F->C_SetAttributeValue(h, o, &t, 1));
	HOLDS(is(h, o, CKA_LABEL, "new name") && is(h, c, CKA_LABEL, "conform label"));
	OK(F->C_DestroyObject(h, o));
	HOLDS(is(h, c, CKA_LABEL, "conform label"));
}

static void
with_changes(void)
{
	CK_SESSION_HANDLE h = rw();
	CK_ATTRIBUTE t = ATTR_TEXT(CKA_LABEL, "other label");
	CK_OBJECT_HANDLE o = data_new(h), c = copy(h, o, &t, 1);

	HOLDS(is(h, c, CKA_LABEL, "other label") && is(h, o, CKA_LABEL, "conform label"));
}

/* As with C_SetAttributeValue: as the token likes, but so it is then. */
static void
with_value(void)
{
	CK_SESSION_HANDLE h = rw();
	CK_ATTRIBUTE t = ATTR_TEXT(CKA_VALUE, "other");
	CK_OBJECT_HANDLE o = data_new(h), c = CK_INVALID_HANDLE;
	CK_RV rv;

	copy(h, o, NONE, 0);
	rv = F->C_CopyObject(h, o, &t, 1, &c);
	WANT(rv, CKR_OK, CKR_ATTRIBUTE_READ_ONLY);
	HOLDS(rv != CKR_OK || is(h, c, CKA_VALUE, "other"));
	HOLDS(is(h, o, CKA_VALUE, "\xDE\xAD\xBE\xEF"));
}

static void
found(void)
{
	CK_SESSION_HANDLE h = rw();
	CK_OBJECT_HANDLE o = data_new(h);
	CK_ATTRIBUTE t = ATTR_TEXT(CKA_APPLICATION, "conform");

	copy(h, o, NONE, 0);
	copy(h, o, NONE, 0);
	HOLDS(count(h, &t, 1) == 3);
}

static void
fixed(void)
{
	CK_SESSION_HANDLE h = rw();
	CK_OBJECT_CLASS class = CKO_PUBLIC_KEY;
	CK_ATTRIBUTE t = ATTR(CKA_CLASS, class);
	CK_OBJECT_HANDLE o = data_new(h), c;

	copy(h, o, NONE, 0);
	WANT(F->C_CopyObject(h, o, &t, 1, &c), CKR_ATTRIBUTE_READ_ONLY, CKR_TEMPLATE_INCONSISTENT);
}

static void
arguments(void)
{
	CK_SESSION_HANDLE h = rw();
	CK_OBJECT_HANDLE o = data_new(h), c;

	copy(h, o, NONE, 0);
	WANT(F->C_CopyObject(h, o, NONE, 0, NULL), CKR_ARGUMENTS_BAD);
	WANT(F->C_CopyObject(h, o, NULL, 1, &c), CKR_ARGUMENTS_BAD);
	WANT(F->C_CopyObject(h, BAD_OBJECT, NONE, 0, &c), CKR_OBJECT_HANDLE_INVALID);
}

static void
not_copyable(void)
{
	CK_SESSION_HANDLE h = rw();
	CK_ATTRIBUTE t = ATTR(CKA_COPYABLE, no);
	CK_OBJECT_HANDLE o = data_with(h, &t, 1), c;

	copy(h, data_new(h), NONE, 0);
	WANT(F->C_CopyObject(h, o, NONE, 0, &c), CKR_ACTION_PROHIBITED);
}

static void
to_private(void)
{
	CK_SESSION_HANDLE h = rw();
	CK_ATTRIBUTE t = ATTR(CKA_PRIVATE, yes);
	CK_OBJECT_HANDLE o = data_new(h), c;

	copy(h, o, NONE, 0);
	WANT(F->C_CopyObject(h, o, &t, 1, &c), CKR_USER_NOT_LOGGED_IN);
	login(h);
	HOLDS(flag(h, copy(h, o, &t, 1), CKA_PRIVATE));
}

static void
to_token_in_read_only(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_ATTRIBUTE t = ATTR(CKA_TOKEN, yes);
	CK_OBJECT_HANDLE o = data_new(h), c;

	copy(h, o, NONE, 0);
	WANT(F->C_CopyObject(h, o, &t, 1, &c), CKR_SESSION_READ_ONLY, CKR_TOKEN_WRITE_PROTECTED);
}

/* A copy may be more secret, never less. */
static void
sensitive(void)
{
	CK_SESSION_HANDLE h = rw();
	CK_ATTRIBUTE hidden = ATTR(CKA_SENSITIVE, yes), open = ATTR(CKA_SENSITIVE, no);
	CK_OBJECT_HANDLE o = secret_key(h, CKK_AES, &hidden, 1), c;

	copy(h, o, NONE, 0);
	WANT(F->C_CopyObject(h, o, &open, 1, &c), CKR_ATTRIBUTE_READ_ONLY, CKR_TEMPLATE_INCONSISTENT);
	o = copy(h, secret_key(h, CKK_AES, &open, 1), &hidden, 1);
	HOLDS(flag(h, o, CKA_SENSITIVE));
}

static void
key_works(void)
{
	CK_SESSION_HANDLE h = rw();
	CK_OBJECT_HANDLE o = aes_key(h), c = copy(h, o, NONE, 0);
	CK_MECHANISM m = MECH(CKM_AES_ECB);
	CK_BYTE in[16] = { 1, 2, 3 }, a[16], b[16];
	CK_ULONG n = sizeof a, k = sizeof b;

	need_mech(CKM_AES_ECB, CKF_ENCRYPT | CKF_DECRYPT);
	OK(F->C_EncryptInit(h, &m, o));
	OK(F->C_Encrypt(h, in, sizeof in, a, &n));
	OK(F->C_DecryptInit(h, &m, c));
	OK(F->C_Decrypt(h, a, n, b, &k));
	HOLDS(k == sizeof in && memcmp(in, b, k) == 0);
}

static const struct rule table[] = {
	{ "C_CopyObject.same", same },
	{ "C_CopyObject.read_only_session", in_read_only },
	{ "C_CopyObject.independent", independent },
	{ "C_CopyObject.with_changes", with_changes },
	{ "C_CopyObject.with_value", with_value },
	{ "C_CopyObject.found", found },
	{ "C_CopyObject.fixed", fixed },
	{ "C_CopyObject.arguments", arguments },
	{ "C_CopyObject.not_copyable", not_copyable },
	{ "C_CopyObject.to_private", to_private },
	{ "C_CopyObject.to_token_in_read_only", to_token_in_read_only },
	{ "C_CopyObject.sensitive", sensitive },
	{ "C_CopyObject.key_works", key_works },
};
RULES(rules_copy, table);
