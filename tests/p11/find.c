/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Searching (PKCS#11 2.40, 5.7: C_FindObjectsInit, C_FindObjects, C_FindObjectsFinal).
 */
#include <string.h>

#include "tests/p11/conform.h"

static void
active(void)
{
	CK_SESSION_HANDLE h = ro();

	OK(F->C_FindObjectsInit(h, NULL, 0));
	WANT(F->C_FindObjectsInit(h, NULL, 0), CKR_OPERATION_ACTIVE);
	OK(F->C_FindObjectsFinal(h));
	OK(F->C_FindObjectsInit(h, NULL, 0));
}

static void
not_initialized(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_OBJECT_HANDLE o;
	CK_ULONG n;

	WANT(F->C_FindObjects(h, &o, 1, &n), CKR_OPERATION_NOT_INITIALIZED);
	WANT(F->C_FindObjectsFinal(h), CKR_OPERATION_NOT_INITIALIZED);
}

static void
final_twice(void)
{
	CK_SESSION_HANDLE h = ro();

	OK(F->C_FindObjectsInit(h, NULL, 0));
	OK(F->C_FindObjectsFinal(h)); /* with results unread */
	WANT(F->C_FindObjectsFinal(h), CKR_OPERATION_NOT_INITIALIZED);
}

static void
init_arguments(void)
{
	CK_SESSION_HANDLE h = ro();

	WANT(F->C_FindObjectsInit(h, NULL, 1), CKR_ARGUMENTS_BAD);
	OK(F->C_FindObjectsInit(h, NULL, 0)); /* it left nothing behind */
}

static void
arguments(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_OBJECT_HANDLE o;
	CK_ULONG n;

	OK(F->C_FindObjectsInit(h, NULL, 0));
	WANT(F->C_FindObjects(h, &o, 1, NULL), CKR_ARGUMENTS_BAD);
	WANT(F->C_FindObjects(h, NULL, 1, &n), CKR_ARGUMENTS_BAD, CKR_OPERATION_NOT_INITIALIZED);
}

/* The same objects, one at a time or all at once. */
static void
strides(void)
{
	static const CK_ULONG step[] = { 1, 3, 1024 };
	CK_SESSION_HANDLE h = ro();
	static CK_OBJECT_HANDLE seen[3][1024];
	CK_ULONG n[3] = { 0, 0, 0 }, got;

	data_new(h);
	for (size_t i = 0; i < N_OF(step); i++) {
		OK(F->C_FindObjectsInit(h, NULL, 0));
		do {
			CK_ULONG room = 1024 - n[i];

			OK(F->C_FindObjects(h, seen[i] + n[i], step[i] < room ? step[i] : room, &got));
			HOLDS(got <= step[i]);
			n[i] += got;
		} while (got > 0);
		OK(F->C_FindObjectsFinal(h));
	}
	HOLDS(n[0] > 0 && n[0] == n[1] && n[1] == n[2]);
	for (CK_ULONG i = 0; i < n[0]; i++) {
		CK_ULONG k = 0;

		while (k < n[0] && seen[0][i] != seen[2][k])
			k++;
		HOLDS(k < n[0]);
	}
}

static void
end_repeats(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_ATTRIBUTE t = ATTR_TEXT(CKA_LABEL, "there is no such object");
	CK_OBJECT_HANDLE o;
	CK_ULONG n = 9;

	OK(F->C_FindObjectsInit(h, &t, 1));
	for (int i = 0; i < 3; i++) {
		n = 9;
		OK(F->C_FindObjects(h, &o, 1, &n));
		HOLDS(n == 0);
	}
	OK(F->C_FindObjectsFinal(h));
}

static void
unique(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_OBJECT_HANDLE list[512];
	CK_ULONG n = 0;

	OK(F->C_FindObjectsInit(h, NULL, 0));
	OK(F->C_FindObjects(h, list, N_OF(list), &n));
	for (CK_ULONG i = 0; i < n; i++) {
		HOLDS(list[i] != CK_INVALID_HANDLE);
		for (CK_ULONG k = 0; k < i; k++)
			HOLDS(list[i] != list[k]);
	}
}

static void
stable_handles(void)
{
	CK_SESSION_HANDLE h = ro(), g = open_session(0);
	CK_ATTRIBUTE t = ATTR(CKA_TOKEN, yes);

	HOLDS(find_one(h, &t, 1) == find_one(h, &t, 1));
	HOLDS(find_one(h, &t, 1) == find_one(g, &t, 1));
}

/* --- matching --- */

static void
by_all(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_OBJECT_HANDLE o = data_new(h);
	CK_OBJECT_CLASS class = CKO_DATA;
	CK_ATTRIBUTE t[] = { ATTR(CKA_CLASS, class), ATTR_TEXT(CKA_LABEL, "conform label"),
		ATTR_TEXT(CKA_APPLICATION, "conform"), ATTR_TEXT(CKA_VALUE, "\xDE\xAD\xBE\xEF"), ATTR(CKA_TOKEN, no) };

	HOLDS(count(h, t, 5) == 1 && find_one(h, t, 5) == o);
	class = CKO_CERTIFICATE;
	HOLDS(count(h, t, 5) == 0);
}

static void
exactly(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_ATTRIBUTE prefix = ATTR_TEXT(CKA_LABEL, "conform"), longer = ATTR_TEXT(CKA_LABEL, "conform label "),
		     other = ATTR_TEXT(CKA_LABEL, "Conform label"), empty = { CKA_LABEL, NULL, 0 };
	CK_OBJECT_HANDLE o = data_new(h);

	HOLDS(count(h, &prefix, 1) == 0 && count(h, &longer, 1) == 0 && count(h, &other, 1) == 0);
	HOLDS(find_one(h, &empty, 1) != o);
}

/* An attribute that the object does not have matches nothing. */
static void
unknown_attribute(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_ATTRIBUTE t = ATTR_TEXT(CKA_VENDOR_DEFINED | 0x12345, "x");

	data_new(h);
	HOLDS(count(h, &t, 1) == 0);
}

static void
unknown_class(void)
{
	CK_SESSION_HANDLE h = ro();
	static const CK_OBJECT_CLASS odd[] = { 0x7F7F7F7F, CKO_VENDOR_DEFINED | 0x4E534353 /* NSS trust */,
		CKO_HW_FEATURE, CKO_DOMAIN_PARAMETERS };

	for (size_t i = 0; i < N_OF(odd); i++) {
		CK_OBJECT_CLASS class = odd[i];
		CK_ATTRIBUTE t = ATTR(CKA_CLASS, class);

		count(h, &t, 1); /* few modules have any: that it is answered is the rule */
	}
}

static void
private_hidden(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_ATTRIBUTE t = ATTR(CKA_PRIVATE, yes);

	if ((token_flags() & CKF_LOGIN_REQUIRED) == 0)
		rule_na("the token has no login");
	HOLDS(count(h, &t, 1) == 0);
}

/* Everything that is seen without login says that it is not private. */
static void
public_only(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_OBJECT_HANDLE list[512];
	CK_ULONG n = 0;

	OK(F->C_FindObjectsInit(h, NULL, 0));
	OK(F->C_FindObjects(h, list, N_OF(list), &n));
	OK(F->C_FindObjectsFinal(h));
	for (CK_ULONG i = 0; i < n; i++)
		HOLDS(!flag(h, list[i], CKA_PRIVATE));
}

static void
private_after_login(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_ATTRIBUTE t = ATTR(CKA_PRIVATE, yes);

	login(h);
	if (count(h, &t, 1) == 0)
		rule_na("the token has no private object");
	OK(F->C_Logout(h));
	HOLDS(count(h, &t, 1) == 0);
}

static void
session_only(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_ATTRIBUTE t = ATTR(CKA_TOKEN, no);

	HOLDS(count(h, &t, 1) == 0);
	data_new(h);
	HOLDS(count(h, &t, 1) == 1);
}

/* A search does not see what is made after it began. */
static void
snapshot(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_ATTRIBUTE t = ATTR_TEXT(CKA_LABEL, "conform label");
	CK_OBJECT_HANDLE o;
	CK_ULONG n = 9;

	OK(F->C_FindObjectsInit(h, &t, 1));
	data_new(h);
	OK(F->C_FindObjects(h, &o, 1, &n));
	HOLDS(n <= 1);
	OK(F->C_FindObjectsFinal(h));
	HOLDS(count(h, &t, 1) == 1);
}

/* Searches of two sessions do not mix, and other calls go on meanwhile. */
static void
two_sessions(void)
{
	CK_SESSION_HANDLE h = ro(), g = open_session(0);
	CK_OBJECT_HANDLE a, b;
	CK_ULONG n = 0, m = 0;

	data_new(h);
	OK(F->C_FindObjectsInit(h, NULL, 0));
	OK(F->C_FindObjectsInit(g, NULL, 0));
	OK(F->C_FindObjects(h, &a, 1, &n));
	OK(F->C_FindObjects(g, &b, 1, &m));
	HOLDS(n == 1 && m == 1 && a == b);
	number(h, a, CKA_CLASS);
	OK(F->C_FindObjectsFinal(g));
	OK(F->C_FindObjects(h, &a, 1, &n));
	OK(F->C_FindObjectsFinal(h));
}

static const struct rule table[] = {
	{ "C_FindObjectsInit.active", active },
	{ "C_FindObjectsInit.arguments", init_arguments },
	{ "C_FindObjects.not_initialized", not_initialized },
	{ "C_FindObjects.arguments", arguments },
	{ "C_FindObjects.strides", strides },
	{ "C_FindObjects.end_repeats", end_repeats },
	{ "C_FindObjects.unique", unique },
	{ "C_FindObjects.stable_handles", stable_handles },
	{ "C_FindObjects.all_attributes", by_all },
	{ "C_FindObjects.exact_match", exactly },
	{ "C_FindObjects.unknown_attribute", unknown_attribute },
	{ "C_FindObjects.unknown_class", unknown_class },
	{ "C_FindObjects.private_hidden", private_hidden },
	{ "C_FindObjects.public_only", public_only },
	{ "C_FindObjects.private_after_login", private_after_login },
	{ "C_FindObjects.session_objects", session_only },
	{ "C_FindObjects.while_objects_are_made", snapshot },
	{ "C_FindObjects.two_sessions", two_sessions },
	{ "C_FindObjectsFinal.twice", final_twice },
};
RULES(rules_find, table);
