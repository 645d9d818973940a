/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Login, logout and PINs (PKCS#11 2.40, 5.5 C_InitPIN, C_SetPIN; 5.6 C_Login, C_Logout). Wrong PINs are entered only
 * when that was allowed, and a right one follows.
 */
#include <string.h>

#include "tests/p11/conform.h"

#define WRONG "99887766"

static void
need_wrong(void)
{
	if (!T.wrong_pins)
		rule_na("wrong PINs are not to be entered (--wrong-pins)");
	if (T.pin == NULL)
		rule_na("no PIN was given");
}

static void
user(void)
{
	CK_SESSION_HANDLE h = ro();

	login(h);
	OK(F->C_Logout(h));
	login(h);
}

static void
user_twice(void)
{
	CK_SESSION_HANDLE h = ro(), g = open_session(0);

	login(h);
	WANT(pin_login(h, CKU_USER, T.pin), CKR_USER_ALREADY_LOGGED_IN);
	WANT(pin_login(g, CKU_USER, T.pin), CKR_USER_ALREADY_LOGGED_IN);
}

static void
wrong(void)
{
	CK_SESSION_HANDLE h = ro();

	need_wrong();
	WANT(pin_login(h, CKU_USER, WRONG), CKR_PIN_INCORRECT);
	HOLDS(state_of(h) == CKS_RO_PUBLIC_SESSION);
	login(h);
}

/* A wrong PIN shows in the flags, and a good one clears them. */
static void
wrong_flags(void)
{
	CK_FLAGS user = CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_LOCKED;
	CK_SESSION_HANDLE h = ro();

	need_wrong();
	HOLDS((token_flags() & user) == 0);
	WANT(pin_login(h, CKU_USER, WRONG), CKR_PIN_INCORRECT);
	HOLDS((token_flags() & CKF_USER_PIN_COUNT_LOW) != 0 && (token_flags() & CKF_USER_PIN_LOCKED) == 0);
	login(h);
	HOLDS((token_flags() & user) == 0);
}

static void
short_pin(void)
{
	CK_SESSION_HANDLE h = ro();

	need_wrong();
	WANT(pin_login(h, CKU_USER, "1"), CKR_PIN_INCORRECT, CKR_PIN_LEN_RANGE);
	WANT(pin_login(h, CKU_USER, "1234567890123456789012345678901234567890"), CKR_PIN_INCORRECT, CKR_PIN_LEN_RANGE);
	login(h);
}

static void
empty_pin(void)
{
	CK_SESSION_HANDLE h = ro();

	need_wrong();
	WANT(pin_login(h, CKU_USER, ""), CKR_PIN_INCORRECT, CKR_PIN_LEN_RANGE, CKR_ARGUMENTS_BAD);
	HOLDS(state_of(h) == CKS_RO_PUBLIC_SESSION);
}

/* NULL means the token's own PIN pad. */
static void
null_pin(void)
{
	CK_SESSION_HANDLE h = ro();

	if ((token_flags() & CKF_PROTECTED_AUTHENTICATION_PATH) != 0)
		rule_na("the token has a protected authentication path");
	WANT(F->C_Login(h, CKU_USER, NULL, 0), CKR_ARGUMENTS_BAD, CKR_PIN_INCORRECT);
	WANT(F->C_Login(h, CKU_USER, NULL, 6), CKR_ARGUMENTS_BAD, CKR_PIN_INCORRECT);
	HOLDS(state_of(h) == CKS_RO_PUBLIC_SESSION);
}

static void
bad_type(void)
{
	CK_SESSION_HANDLE h = rw();
	CK_UTF8CHAR pin[] = "123456";

	WANT(F->C_Login(h, 77, pin, 6), CKR_USER_TYPE_INVALID);
}

static void
context_idle(void)
{
	CK_SESSION_HANDLE h = rw();

	login(h);
	WANT(pin_login(h, CKU_CONTEXT_SPECIFIC, T.pin), CKR_OPERATION_NOT_INITIALIZED);
	HOLDS(state_of(h) == CKS_RW_USER_FUNCTIONS);
}

static void
so_with_ro(void)
{
	CK_SESSION_HANDLE h = ro(), g = open_session(CKF_RW_SESSION);

	if (T.so_pin == NULL)
		rule_na("no security officer's PIN was given");
	WANT(pin_login(h, CKU_SO, T.so_pin), CKR_SESSION_READ_ONLY_EXISTS, CKR_SESSION_READ_ONLY);
	WANT(pin_login(g, CKU_SO, T.so_pin), CKR_SESSION_READ_ONLY_EXISTS);
}

static void
so_after_user(void)
{
	CK_SESSION_HANDLE h = rw();

	login(h);
	if (T.so_pin == NULL)
		rule_na("no security officer's PIN was given");
	WANT(pin_login(h, CKU_SO, T.so_pin), CKR_USER_ANOTHER_ALREADY_LOGGED_IN);
}

static void
user_after_so(void)
{
	CK_SESSION_HANDLE h = rw();

	so_login(h);
	HOLDS(T.pin != NULL);
	WANT(pin_login(h, CKU_USER, T.pin), CKR_USER_ANOTHER_ALREADY_LOGGED_IN);
}

static void
so_twice(void)
{
	CK_SESSION_HANDLE h = rw();

	so_login(h);
	WANT(pin_login(h, CKU_SO, T.so_pin), CKR_USER_ALREADY_LOGGED_IN);
}

/* The security officer does not see the user's private objects. */
static void
so_sees_no_private(void)
{
	CK_SESSION_HANDLE h = rw();
	CK_ATTRIBUTE t = ATTR(CKA_PRIVATE, yes);

	so_login(h);
	HOLDS(count(h, &t, 1) == 0);
}

/* --- logout --- */

static void
logout_idle(void)
{
	CK_SESSION_HANDLE h = ro();

	WANT(F->C_Logout(h), CKR_USER_NOT_LOGGED_IN);
}

static void
logout_twice(void)
{
	CK_SESSION_HANDLE h = ro();

	login(h);
	OK(F->C_Logout(h));
	WANT(F->C_Logout(h), CKR_USER_NOT_LOGGED_IN);
}

/* Handles to private objects become invalid, also when the user logs in again; session objects that are private die. */
static void
logout_private(void)
{
	CK_SESSION_HANDLE h = rw();
	CK_ATTRIBUTE t[] = { ATTR(CKA_PRIVATE, yes), ATTR(CKA_TOKEN, no) };
	CK_OBJECT_HANDLE o, mine;
	CK_BBOOL v;
	CK_ATTRIBUTE a = ATTR(CKA_TOKEN, v);

	login(h);
	mine = data_with(h, t, 1);
	o = find_one(h, t, 1);
	HOLDS(o != CK_INVALID_HANDLE && count(h, t, 2) == 1);
	OK(F->C_Logout(h));
	WANT(F->C_GetAttributeValue(h, o, &a, 1), CKR_OBJECT_HANDLE_INVALID);
	WANT(F->C_GetAttributeValue(h, mine, &a, 1), CKR_OBJECT_HANDLE_INVALID);
	login(h);
	WANT(F->C_GetAttributeValue(h, mine, &a, 1), CKR_OBJECT_HANDLE_INVALID);
	HOLDS(count(h, t, 2) == 0);
}

static void
logout_keeps_public(void)
{
	CK_SESSION_HANDLE h = rw();
	CK_OBJECT_HANDLE o = data_new(h);

	login(h);
	OK(F->C_Logout(h));
	HOLDS(number(h, o, CKA_CLASS) == CKO_DATA);
}

/* A signature that was begun does not outlive the login. */
static void
logout_ends_signature(void)
{
	struct keypair k = sign_key();
	CK_MECHANISM m = MECH(k.plain);
	CK_BYTE in[32] = { 1 }, out[1024];
	CK_ULONG n = sizeof out;

	OK(F->C_SignInit(k.h, &m, k.priv));
	OK(F->C_Logout(k.h));
	WANT(F->C_Sign(k.h, in, sizeof in, out, &n), CKR_OPERATION_NOT_INITIALIZED, CKR_USER_NOT_LOGGED_IN,
	    CKR_KEY_HANDLE_INVALID);
}

/* --- C_SetPIN, C_InitPIN --- */

static void
set_pin_ro(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_UTF8CHAR pin[] = "123456";

	WANT(F->C_SetPIN(h, pin, 6, pin, 6), CKR_SESSION_READ_ONLY);
}

static CK_RV
set_pin(CK_SESSION_HANDLE h, const char *from, const char *to)
{
	CK_UTF8CHAR a[128], b[128];

	HOLDS(strlen(from) < sizeof a && strlen(to) < sizeof b);
	strcpy((char *)a, from);
	strcpy((char *)b, to);
	return F->C_SetPIN(h, a, strlen(from), b, strlen(to));
}

static void
set_pin_change(void)
{
	CK_SESSION_HANDLE h = rw();

	need_wrong();
	OK(set_pin(h, T.pin, "87654321")); /* in a public session */
	WANT(pin_login(h, CKU_USER, T.pin), CKR_PIN_INCORRECT);
	OK(pin_login(h, CKU_USER, "87654321"));
	OK(set_pin(h, "87654321", T.pin)); /* and in the user's */
	HOLDS(state_of(h) == CKS_RW_USER_FUNCTIONS);
}

static void
set_pin_wrong(void)
{
	CK_SESSION_HANDLE h = rw();

	need_wrong();
	WANT(set_pin(h, WRONG, "87654321"), CKR_PIN_INCORRECT);
	login(h);
}

static void
set_pin_length(void)
{
	CK_SESSION_HANDLE h = rw();
	CK_TOKEN_INFO i;
	char longer[128];

	need_wrong();
	OK(F->C_GetTokenInfo(T.slot, &i));
	WANT(set_pin(h, T.pin, "1"), CKR_PIN_LEN_RANGE);
	if (i.ulMaxPinLen + 2 <= sizeof longer) {
		memset(longer, '1', i.ulMaxPinLen + 1);
		longer[i.ulMaxPinLen + 1] = '\0';
		WANT(set_pin(h, T.pin, longer), CKR_PIN_LEN_RANGE);
	}
	login(h);
}

static void
set_pin_null(void)
{
	CK_SESSION_HANDLE h = rw();
	CK_UTF8CHAR pin[] = "123456";

	if ((token_flags() & CKF_PROTECTED_AUTHENTICATION_PATH) != 0)
		rule_na("the token has a protected authentication path");
	WANT(F->C_SetPIN(h, NULL, 6, pin, 6), CKR_ARGUMENTS_BAD, CKR_PIN_INCORRECT);
	WANT(F->C_SetPIN(h, pin, 6, NULL, 6), CKR_ARGUMENTS_BAD, CKR_PIN_INCORRECT);
}

static void
init_pin_public(void)
{
	CK_SESSION_HANDLE h = rw();
	CK_UTF8CHAR pin[] = "123456";

	WANT(F->C_InitPIN(h, pin, 6), CKR_USER_NOT_LOGGED_IN);
}

static void
init_pin_user(void)
{
	CK_SESSION_HANDLE h = rw();
	CK_UTF8CHAR pin[] = "123456";

	login(h);
	WANT(F->C_InitPIN(h, pin, 6), CKR_USER_NOT_LOGGED_IN);
}

static void
init_pin_ro(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_UTF8CHAR pin[] = "123456";

	WANT(F->C_InitPIN(h, pin, 6), CKR_USER_NOT_LOGGED_IN, CKR_SESSION_READ_ONLY);
}

/* A token is not initialised anew while a session is open. */
static void
init_token_session(void)
{
	CK_UTF8CHAR pin[] = "00000000", label[32];
	CK_RV rv;

	ro();
	memset(label, ' ', sizeof label);
	if (!T.wrong_pins)
		rule_na("wrong PINs are not to be entered (--wrong-pins)");
	rv = F->C_InitToken(T.slot, pin, 8, label);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		rule_na("the module does not have it");
	WANT(rv, CKR_SESSION_EXISTS);
}

static const struct rule table[] = {
	{ "C_Login.user", user },
	{ "C_Login.user_twice", user_twice },
	{ "C_Login.wrong_pin", wrong },
	{ "C_Login.wrong_pin_flags", wrong_flags },
	{ "C_Login.pin_length", short_pin },
	{ "C_Login.empty_pin", empty_pin },
	{ "C_Login.null_pin", null_pin },
	{ "C_Login.user_type", bad_type },
	{ "C_Login.context_without_operation", context_idle },
	{ "C_Login.so_while_read_only", so_with_ro },
	{ "C_Login.so_after_user", so_after_user },
	{ "C_Login.so_twice", so_twice },
	{ "C_Login.user_after_so", user_after_so },
	{ "C_Login.so_sees_no_private", so_sees_no_private },
	{ "C_Logout.public", logout_idle },
	{ "C_Logout.twice", logout_twice },
	{ "C_Logout.private_handles", logout_private },
	{ "C_Logout.keeps_public_objects", logout_keeps_public },
	{ "C_Logout.ends_signature", logout_ends_signature },
	{ "C_SetPIN.read_only", set_pin_ro },
	{ "C_SetPIN.change", set_pin_change },
	{ "C_SetPIN.wrong_pin", set_pin_wrong },
	{ "C_SetPIN.length", set_pin_length },
	{ "C_SetPIN.null", set_pin_null },
	{ "C_InitPIN.public", init_pin_public },
	{ "C_InitPIN.user", init_pin_user },
	{ "C_InitPIN.read_only", init_pin_ro },
	{ "C_InitToken.session_exists", init_token_session },
};
RULES(rules_login, table);
