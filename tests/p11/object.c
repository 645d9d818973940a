/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Making, sizing and destroying objects (PKCS#11 2.40, 5.7; 4.1 on templates, 4.2 and 4.4 on the common attributes), by
 * session data objects, which every token can have: a public one in a read-only session too (2.20, table 6).
 */
#include <string.h>

#include "tests/p11/conform.h"

static CK_OBJECT_CLASS data_class = CKO_DATA, key_class = CKO_PUBLIC_KEY, odd_class = 0x1234;

static void
create_ro(void)
{
	data_new(ro());
}

static void
create_rw(void)
{
	data_new(rw());
}

static void
create_user(void)
{
	CK_SESSION_HANDLE h = ro();

	login(h);
	data_new(h);
}

static void
create_handles_differ(void)
{
	CK_SESSION_HANDLE h = ro();

	HOLDS(data_new(h) != data_new(h));
}

static CK_RV
try(CK_SESSION_HANDLE h, CK_ATTRIBUTE *t, CK_ULONG n)
{
	CK_OBJECT_HANDLE o = CK_INVALID_HANDLE;
	CK_RV rv = F->C_CreateObject(h, t, n, &o);

	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		rule_na("the token makes no objects");
	return rv;
}

static void
create_arguments(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_ATTRIBUTE t[] = { ATTR(CKA_CLASS, data_class), ATTR_TEXT(CKA_VALUE, "x") };
	CK_OBJECT_HANDLE o;

	data_new(h);
	WANT(F->C_CreateObject(h, t, 2, NULL), CKR_ARGUMENTS_BAD);
	WANT(F->C_CreateObject(h, NULL, 2, &o), CKR_ARGUMENTS_BAD, CKR_TEMPLATE_INCOMPLETE);
}

static void
create_incomplete(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_ATTRIBUTE t[] = { ATTR_TEXT(CKA_VALUE, "x"), ATTR(CKA_TOKEN, no) };

	WANT(try(h, t, 0), CKR_TEMPLATE_INCOMPLETE, CKR_ARGUMENTS_BAD);
	WANT(try(h, t, 2), CKR_TEMPLATE_INCOMPLETE);
}

static void
create_unknown_class(void)
{
	CK_SESSION_HANDLE h = rw();
	CK_ATTRIBUTE t[] = { ATTR(CKA_CLASS, odd_class), ATTR(CKA_TOKEN, no), ATTR(CKA_PRIVATE, no) };

	WANT(try(h, t, 3), CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCONSISTENT, CKR_TEMPLATE_INCOMPLETE);
}

static void
create_unknown_attribute(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_ATTRIBUTE t[] = { ATTR(CKA_CLASS, data_class), ATTR(CKA_PRIVATE, no), ATTR_TEXT(999, "x") };

	WANT(try(h, t, 3), CKR_ATTRIBUTE_TYPE_INVALID);
}

/* A boolean of four bytes, a class of one. */
static void
create_bad_length(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_ULONG wide = 0;
	CK_ATTRIBUTE a[] = { ATTR(CKA_CLASS, data_class), ATTR(CKA_PRIVATE, no), ATTR(CKA_MODIFIABLE, wide) };
	CK_ATTRIBUTE b[] = { { CKA_CLASS, &data_class, 1 }, ATTR(CKA_PRIVATE, no) };

	WANT(try(h, a, 3), CKR_ATTRIBUTE_VALUE_INVALID);
	WANT(try(h, b, 2), CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCOMPLETE);
}

/* The length that C_GetAttributeValue leaves behind when it fails. */
static void
create_unavailable_length(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_ATTRIBUTE t[] = { ATTR(CKA_CLASS, data_class), ATTR(CKA_PRIVATE, no),
		{ CKA_LABEL, NULL, CK_UNAVAILABLE_INFORMATION } };

	WANT(try(h, t, 3), CKR_ARGUMENTS_BAD, CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCONSISTENT);
}

static void
create_token_in_ro(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_ATTRIBUTE t[] = { ATTR(CKA_CLASS, data_class), ATTR(CKA_TOKEN, yes), ATTR(CKA_PRIVATE, no),
		ATTR_TEXT(CKA_VALUE, "x") };

	WANT(try(h, t, 4), CKR_SESSION_READ_ONLY, CKR_TOKEN_WRITE_PROTECTED);
}

static void
create_private_in_public(void)
{
	CK_SESSION_HANDLE h = rw();
	CK_ATTRIBUTE t[] = { ATTR(CKA_CLASS, data_class), ATTR(CKA_TOKEN, no), ATTR(CKA_PRIVATE, yes),
		ATTR_TEXT(CKA_VALUE, "x") };

	WANT(try(h, t, 4), CKR_USER_NOT_LOGGED_IN);
}

/* What only the token sets: 4.4 (CKA_UNIQUE_ID of 3.0), 4.10 (CKA_LOCAL). */
static void
create_read_only_attribute(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_ATTRIBUTE a = ATTR(CKA_LOCAL, yes);
	CK_OBJECT_CLASS class = CKO_SECRET_KEY;
	CK_KEY_TYPE type = CKK_GENERIC_SECRET;
	CK_ATTRIBUTE t[] = { ATTR(CKA_CLASS, class), ATTR(CKA_KEY_TYPE, type), ATTR(CKA_PRIVATE, no),
		ATTR_TEXT(CKA_VALUE, "0123456789abcdef"), a };

	secret_key(h, CKK_GENERIC_SECRET, NULL, 0);
	WANT(try(h, t, 5), CKR_ATTRIBUTE_READ_ONLY, CKR_ATTRIBUTE_TYPE_INVALID, CKR_TEMPLATE_INCONSISTENT);
}

static void
create_key_incomplete(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_OBJECT_CLASS class = CKO_SECRET_KEY;
	CK_KEY_TYPE type = CKK_AES;
	CK_ATTRIBUTE t[] = { ATTR(CKA_CLASS, class), ATTR(CKA_PRIVATE, no), ATTR_TEXT(CKA_VALUE, "0123456789abcdef"),
		ATTR(CKA_KEY_TYPE, type) };

	secret_key(h, CKK_AES, NULL, 0);
	WANT(try(h, t, 3), CKR_TEMPLATE_INCOMPLETE); /* no type */
	t[2] = t[3];
	WANT(try(h, t, 3), CKR_TEMPLATE_INCOMPLETE); /* no value */
}

static void
create_key_size(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_OBJECT_CLASS class = CKO_SECRET_KEY;
	CK_KEY_TYPE type = CKK_AES;
	CK_ATTRIBUTE t[] = { ATTR(CKA_CLASS, class), ATTR(CKA_PRIVATE, no), ATTR_TEXT(CKA_VALUE, "17 bytes long is."),
		ATTR(CKA_KEY_TYPE, type) };

	secret_key(h, CKK_AES, NULL, 0);
	WANT(try(h, t, 4), CKR_ATTRIBUTE_VALUE_INVALID, CKR_KEY_SIZE_RANGE, CKR_TEMPLATE_INCONSISTENT);
}

/* --- what a new object has --- */

static void
new_defaults(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_ATTRIBUTE t[] = { ATTR(CKA_CLASS, data_class), ATTR(CKA_PRIVATE, no), ATTR_TEXT(CKA_VALUE, "x") };
	CK_OBJECT_HANDLE o = CK_INVALID_HANDLE;
	CK_ATTRIBUTE label = { CKA_LABEL, NULL, 0 };

	data_new(h);
	OK(F->C_CreateObject(h, t, 3, &o));
	HOLDS(!flag(h, o, CKA_TOKEN) && flag(h, o, CKA_MODIFIABLE));
	OK(F->C_GetAttributeValue(h, o, &label, 1));
	HOLDS(label.ulValueLen == 0);
}

/* 2.40, 4.4: both are TRUE unless said otherwise. */
static void
new_copyable(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_OBJECT_HANDLE o = data_new(h);

	HOLDS(flag(h, o, CKA_COPYABLE) && flag(h, o, CKA_DESTROYABLE));
}

/* --- the life of session objects --- */

static void
session_object_shared(void)
{
	CK_SESSION_HANDLE h = ro(), g = open_session(0);
	CK_OBJECT_HANDLE o = data_new(h);

	HOLDS(number(g, o, CKA_CLASS) == CKO_DATA); /* all sessions of the application see it */
}

static void
session_object_dies(void)
{
	CK_SESSION_HANDLE h = ro(), g = open_session(0);
	CK_OBJECT_HANDLE o = data_new(h), kept = data_new(g);
	CK_OBJECT_CLASS class;
	CK_ATTRIBUTE a = ATTR(CKA_CLASS, class);

	OK(F->C_CloseSession(h));
	WANT(F->C_GetAttributeValue(g, o, &a, 1), CKR_OBJECT_HANDLE_INVALID);
	HOLDS(number(g, kept, CKA_CLASS) == CKO_DATA);
}

static void
session_object_dies_with_all(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_ATTRIBUTE t = ATTR_TEXT(CKA_LABEL, "conform label");

	data_new(h);
	OK(F->C_CloseAllSessions(T.slot));
	HOLDS(count(open_session(0), &t, 1) == 0);
}

/* --- C_DestroyObject --- */

static void
destroy(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_OBJECT_HANDLE o = data_new(h);
	CK_ATTRIBUTE t = ATTR_TEXT(CKA_LABEL, "conform label");

	OK(F->C_DestroyObject(h, o));
	WANT(F->C_DestroyObject(h, o), CKR_OBJECT_HANDLE_INVALID);
	HOLDS(count(h, &t, 1) == 0);
}

static void
destroy_unknown(void)
{
	CK_SESSION_HANDLE h = ro();

	WANT(F->C_DestroyObject(h, BAD_OBJECT), CKR_OBJECT_HANDLE_INVALID);
	WANT(F->C_DestroyObject(h, CK_INVALID_HANDLE), CKR_OBJECT_HANDLE_INVALID);
}

static void
destroy_never(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_ATTRIBUTE t = ATTR(CKA_DESTROYABLE, no);
	CK_OBJECT_HANDLE o = data_with(h, &t, 1);

	WANT(F->C_DestroyObject(h, o), CKR_ACTION_PROHIBITED);
	HOLDS(number(h, o, CKA_CLASS) == CKO_DATA);
}

/* By another session's object handle: the object is the application's. */
static void
destroy_elsewhere(void)
{
	CK_SESSION_HANDLE h = ro(), g = open_session(0);
	CK_OBJECT_HANDLE o = data_new(h);

	OK(F->C_DestroyObject(g, o));
	WANT(F->C_DestroyObject(h, o), CKR_OBJECT_HANDLE_INVALID);
}

/* Token objects are out of a read-only session's reach. */
static void
destroy_token_in_ro(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_ATTRIBUTE t = ATTR(CKA_TOKEN, yes);
	CK_OBJECT_HANDLE list[64];
	CK_ULONG n = 0, seen = 0;

	login(h);
	OK(F->C_FindObjectsInit(h, &t, 1));
	OK(F->C_FindObjects(h, list, N_OF(list), &n));
	OK(F->C_FindObjectsFinal(h));
	for (CK_ULONG i = 0; i < n; i++, seen++)
		WANT(F->C_DestroyObject(h, list[i]), CKR_SESSION_READ_ONLY, CKR_TOKEN_WRITE_PROTECTED,
		    CKR_ACTION_PROHIBITED);
	if (seen == 0)
		rule_na("the token has no objects");
	HOLDS(count(h, &t, 1) >= n);
}

/* --- C_GetObjectSize --- */

static void
size(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_OBJECT_HANDLE o = data_new(h);
	CK_ULONG n = 0;

	OK(F->C_GetObjectSize(h, o, &n));
	HOLDS(n > 0);
	WANT(F->C_GetObjectSize(h, o, NULL), CKR_ARGUMENTS_BAD);
	WANT(F->C_GetObjectSize(h, BAD_OBJECT, &n), CKR_OBJECT_HANDLE_INVALID);
}

/* --- C_SetAttributeValue --- */

static CK_RV
set(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE o, CK_ATTRIBUTE a)
{
	return F->C_SetAttributeValue(h, o, &a, 1);
}

static void
set_label(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_OBJECT_HANDLE o = data_new(h);
	CK_ATTRIBUTE t = ATTR_TEXT(CKA_LABEL, "new name");

	OK(set(h, o, t));
	HOLDS(find_one(h, &t, 1) == o);
	t = (CK_ATTRIBUTE)ATTR_TEXT(CKA_LABEL, "conform label");
	HOLDS(count(h, &t, 1) == 0);
}

static void
set_value(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_OBJECT_HANDLE o = data_new(h);
	CK_BYTE buf[16];
	CK_ATTRIBUTE a = { CKA_VALUE, buf, sizeof buf };

	CK_RV rv = set(h, o, (CK_ATTRIBUTE)ATTR_TEXT(CKA_VALUE, "changed"));

	WANT(rv, CKR_OK, CKR_ATTRIBUTE_READ_ONLY); /* as the token likes, but so it is then */
	OK(F->C_GetAttributeValue(h, o, &a, 1));
	HOLDS(rv == CKR_OK ? a.ulValueLen == 7 && memcmp(buf, "changed", 7) == 0 : a.ulValueLen == 4);
}

static void
set_fixed(void)
{
	CK_SESSION_HANDLE h = rw();
	CK_OBJECT_HANDLE o = data_new(h);

	WANT(set(h, o, (CK_ATTRIBUTE)ATTR(CKA_CLASS, key_class)), CKR_ATTRIBUTE_READ_ONLY);
	WANT(set(h, o, (CK_ATTRIBUTE)ATTR(CKA_TOKEN, yes)), CKR_ATTRIBUTE_READ_ONLY);
	HOLDS(number(h, o, CKA_CLASS) == CKO_DATA);
}

static void
set_unknown(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_OBJECT_HANDLE o = data_new(h);

	WANT(set(h, o, (CK_ATTRIBUTE)ATTR_TEXT(999, "x")), CKR_ATTRIBUTE_TYPE_INVALID, CKR_ATTRIBUTE_READ_ONLY);
}

static void
set_not_modifiable(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_ATTRIBUTE t = ATTR(CKA_MODIFIABLE, no);
	CK_OBJECT_HANDLE o = data_with(h, &t, 1);

	WANT(set(h, o, (CK_ATTRIBUTE)ATTR_TEXT(CKA_LABEL, "new name")), CKR_ACTION_PROHIBITED, CKR_ATTRIBUTE_READ_ONLY);
}

static void
set_all_or_nothing(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_OBJECT_HANDLE o = data_new(h);
	CK_ATTRIBUTE t[] = { ATTR_TEXT(CKA_LABEL, "new name"), ATTR(CKA_CLASS, key_class) };

	WANT(F->C_SetAttributeValue(h, o, t, 2), CKR_ATTRIBUTE_READ_ONLY);
	HOLDS(count(h, t, 1) == 0);
}

static void
set_arguments(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_OBJECT_HANDLE o = data_new(h);
	CK_ATTRIBUTE t = ATTR_TEXT(CKA_LABEL, "new name");

	WANT(F->C_SetAttributeValue(h, BAD_OBJECT, &t, 1), CKR_OBJECT_HANDLE_INVALID);
	WANT(F->C_SetAttributeValue(h, o, NULL, 1), CKR_ARGUMENTS_BAD, CKR_TEMPLATE_INCONSISTENT);
}

/* Once TRUE it stays so: sensitive, and not extractable (4.8, 4.10). */
static void
set_sensitive(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_ATTRIBUTE open[] = { ATTR(CKA_SENSITIVE, no), ATTR(CKA_EXTRACTABLE, yes) };
	CK_OBJECT_HANDLE o = secret_key(h, CKK_AES, open, 2);
	CK_BYTE buf[32];
	CK_ATTRIBUTE v = { CKA_VALUE, buf, sizeof buf };

	OK(F->C_GetAttributeValue(h, o, &v, 1));
	HOLDS(v.ulValueLen == 16);
	OK(set(h, o, (CK_ATTRIBUTE)ATTR(CKA_SENSITIVE, yes)));
	HOLDS(flag(h, o, CKA_SENSITIVE));
	WANT(F->C_GetAttributeValue(h, o, &v, 1), CKR_ATTRIBUTE_SENSITIVE);
	HOLDS(v.ulValueLen == CK_UNAVAILABLE_INFORMATION);
	WANT(set(h, o, (CK_ATTRIBUTE)ATTR(CKA_SENSITIVE, no)), CKR_ATTRIBUTE_READ_ONLY);
	HOLDS(flag(h, o, CKA_SENSITIVE));
}

static void
set_extractable(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_ATTRIBUTE open[] = { ATTR(CKA_SENSITIVE, no), ATTR(CKA_EXTRACTABLE, yes) };
	CK_OBJECT_HANDLE o = secret_key(h, CKK_AES, open, 2);

	OK(set(h, o, (CK_ATTRIBUTE)ATTR(CKA_EXTRACTABLE, no)));
	WANT(set(h, o, (CK_ATTRIBUTE)ATTR(CKA_EXTRACTABLE, yes)), CKR_ATTRIBUTE_READ_ONLY);
	HOLDS(!flag(h, o, CKA_EXTRACTABLE));
}

/* The value of a key that is there is not written over. */
static void
set_key_value(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_OBJECT_HANDLE o = secret_key(h, CKK_AES, NULL, 0);

	WANT(set(h, o, (CK_ATTRIBUTE)ATTR_TEXT(CKA_VALUE, "0123456789abcdef")), CKR_ATTRIBUTE_READ_ONLY);
}

static const struct rule table[] = {
	{ "C_CreateObject.data_read_only_session", create_ro },
	{ "C_CreateObject.data_read_write_session", create_rw },
	{ "C_CreateObject.data_user_session", create_user },
	{ "C_CreateObject.handles_differ", create_handles_differ },
	{ "C_CreateObject.arguments", create_arguments },
	{ "C_CreateObject.incomplete", create_incomplete },
	{ "C_CreateObject.unknown_class", create_unknown_class },
	{ "C_CreateObject.unknown_attribute", create_unknown_attribute },
	{ "C_CreateObject.bad_length", create_bad_length },
	{ "C_CreateObject.unavailable_length", create_unavailable_length },
	{ "C_CreateObject.token_in_read_only", create_token_in_ro },
	{ "C_CreateObject.private_in_public", create_private_in_public },
	{ "C_CreateObject.read_only_attribute", create_read_only_attribute },
	{ "C_CreateObject.key_incomplete", create_key_incomplete },
	{ "C_CreateObject.key_size", create_key_size },
	{ "C_CreateObject.defaults", new_defaults },
	{ "C_CreateObject.copyable_and_destroyable", new_copyable },
	{ "C_CreateObject.seen_by_all_sessions", session_object_shared },
	{ "C_CreateObject.dies_with_session", session_object_dies },
	{ "C_CreateObject.dies_with_all_sessions", session_object_dies_with_all },
	{ "C_DestroyObject.gone", destroy },
	{ "C_DestroyObject.unknown", destroy_unknown },
	{ "C_DestroyObject.not_destroyable", destroy_never },
	{ "C_DestroyObject.by_another_session", destroy_elsewhere },
	{ "C_DestroyObject.token_in_read_only", destroy_token_in_ro },
	{ "C_GetObjectSize.answers", size },
	{ "C_SetAttributeValue.label", set_label },
	{ "C_SetAttributeValue.value_of_data", set_value },
	{ "C_SetAttributeValue.fixed", set_fixed },
	{ "C_SetAttributeValue.unknown", set_unknown },
	{ "C_SetAttributeValue.not_modifiable", set_not_modifiable },
	{ "C_SetAttributeValue.all_or_nothing", set_all_or_nothing },
	{ "C_SetAttributeValue.arguments", set_arguments },
	{ "C_SetAttributeValue.sensitive_latches", set_sensitive },
	{ "C_SetAttributeValue.extractable_latches", set_extractable },
	{ "C_SetAttributeValue.value_of_key", set_key_value },
};
RULES(rules_object, table);
