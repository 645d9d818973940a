/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Slots and tokens (PKCS#11 2.40, 5.5; 3.2 CK_SLOT_INFO, CK_TOKEN_INFO).
 */
#include <ctype.h>
#include <string.h>

#include "tests/p11/conform.h"

#define LIST_MAX 64

static CK_ULONG
slots(CK_BBOOL present, CK_SLOT_ID list[LIST_MAX])
{
	CK_ULONG n = 0;

	OK(F->C_GetSlotList(present, NULL, &n));
	HOLDS(n <= LIST_MAX);
	n = LIST_MAX;
	OK(F->C_GetSlotList(present, list, &n));
	return n;
}

static void
list_counts(void)
{
	CK_SLOT_ID all[LIST_MAX], with[LIST_MAX];
	CK_ULONG n, m;

	start();
	n = slots(CK_FALSE, all);
	m = slots(CK_TRUE, with);
	HOLDS(m >= 1 && m <= n);
	for (CK_ULONG i = 0; i < m; i++) {
		CK_ULONG k = 0;

		while (k < n && all[k] != with[i])
			k++;
		HOLDS(k < n);
	}
}

static void
list_unique(void)
{
	CK_SLOT_ID all[LIST_MAX];
	CK_ULONG n;

	start();
	n = slots(CK_FALSE, all);
	for (CK_ULONG i = 0; i < n; i++)
		for (CK_ULONG k = 0; k < i; k++)
			HOLDS(all[i] != all[k]);
}

static void
list_stable(void)
{
	CK_SLOT_ID a[LIST_MAX], b[LIST_MAX];
	CK_ULONG n;

	start();
	n = slots(CK_FALSE, a);
	HOLDS(slots(CK_FALSE, b) == n && memcmp(a, b, n * sizeof a[0]) == 0);
}

/* The ids are written only when all fit; the number wanted comes back. */
static void
list_small(void)
{
	CK_SLOT_ID list[LIST_MAX];
	CK_ULONG n = 0, cap = 0;

	start();
	OK(F->C_GetSlotList(CK_FALSE, NULL, &n));
	WANT(F->C_GetSlotList(CK_FALSE, list, &cap), CKR_BUFFER_TOO_SMALL);
	HOLDS(cap == n);
}

static void
list_large(void)
{
	CK_SLOT_ID list[LIST_MAX];
	CK_ULONG n = 0, cap = LIST_MAX;

	start();
	OK(F->C_GetSlotList(CK_FALSE, NULL, &n));
	OK(F->C_GetSlotList(CK_FALSE, list, &cap));
	HOLDS(cap == n);
}

static void
list_null(void)
{
	CK_SLOT_ID list[LIST_MAX];

	start();
	WANT(F->C_GetSlotList(CK_FALSE, NULL, NULL), CKR_ARGUMENTS_BAD);
	WANT(F->C_GetSlotList(CK_TRUE, list, NULL), CKR_ARGUMENTS_BAD);
}

/* A program with room enough need not ask for the number first. */
static void
list_first_call(void)
{
	CK_SLOT_ID list[LIST_MAX];
	CK_ULONG n = LIST_MAX;

	OK(F->C_Initialize(NULL));
	OK(F->C_GetSlotList(CK_FALSE, list, &n));
	HOLDS(n >= 1);
}

static bool
padded(const CK_UTF8CHAR *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (text[i] < ' ' || text[i] == 0x7F)
			return false;
	return true;
}

#define PADDED(field) HOLDS(padded(field, sizeof(field)))

static void
slot_fields(void)
{
	CK_SLOT_ID all[LIST_MAX];
	CK_SLOT_INFO i;
	CK_ULONG n;

	start();
	n = slots(CK_FALSE, all);
	for (CK_ULONG k = 0; k < n; k++) {
		memset(&i, 0, sizeof i);
		OK(F->C_GetSlotInfo(all[k], &i));
		PADDED(i.slotDescription);
		PADDED(i.manufacturerID);
		HOLDS((i.flags & ~(CKF_TOKEN_PRESENT | CKF_REMOVABLE_DEVICE | CKF_HW_SLOT)) == 0);
	}
}

/* A slot that says that it has a token has one, and is in the list of those; CKF_TOKEN_PRESENT is always set where the
 * device cannot be removed. */
static void
slot_present(void)
{
	CK_SLOT_ID all[LIST_MAX];
	CK_SLOT_INFO i;
	CK_TOKEN_INFO t;
	CK_ULONG n;

	start();
	n = slots(CK_FALSE, all);
	for (CK_ULONG k = 0; k < n; k++) {
		OK(F->C_GetSlotInfo(all[k], &i));
		if ((i.flags & CKF_TOKEN_PRESENT) != 0)
			WANT(F->C_GetTokenInfo(all[k], &t), CKR_OK, CKR_TOKEN_NOT_RECOGNIZED);
		else
			WANT(F->C_GetTokenInfo(all[k], &t), CKR_TOKEN_NOT_PRESENT);
		HOLDS((i.flags & (CKF_TOKEN_PRESENT | CKF_REMOVABLE_DEVICE)) != 0);
	}
}

static void
slot_empty(void)
{
	CK_SLOT_ID all[LIST_MAX];
	CK_SLOT_INFO i;
	CK_SESSION_HANDLE h;
	CK_ULONG n, seen = 0, c = 0;

	start();
	n = slots(CK_FALSE, all);
	for (CK_ULONG k = 0; k < n; k++) {
		OK(F->C_GetSlotInfo(all[k], &i));
		if ((i.flags & CKF_TOKEN_PRESENT) != 0)
			continue;
		seen++;
		WANT(F->C_GetMechanismList(all[k], NULL, &c), CKR_TOKEN_NOT_PRESENT);
		WANT(F->C_OpenSession(all[k], CKF_SERIAL_SESSION, NULL, NULL, &h), CKR_TOKEN_NOT_PRESENT);
	}
	if (seen == 0)
		rule_na("no slot is empty");
}

static void
slot_null(void)
{
	start();
	WANT(F->C_GetSlotInfo(T.slot, NULL), CKR_ARGUMENTS_BAD);
}

/* --- tokens --- */

static void
token_fields(void)
{
	CK_TOKEN_INFO i;

	start();
	memset(&i, 0, sizeof i);
	OK(F->C_GetTokenInfo(T.slot, &i));
	PADDED(i.label);
	PADDED(i.manufacturerID);
	PADDED(i.model);
	PADDED(i.serialNumber);
	HOLDS(i.label[0] != ' '); /* a token that is initialised has a name */
}

static void
token_flags_known(void)
{
	CK_FLAGS all = CKF_RNG | CKF_WRITE_PROTECTED | CKF_LOGIN_REQUIRED | CKF_USER_PIN_INITIALIZED |
	    CKF_RESTORE_KEY_NOT_NEEDED | CKF_CLOCK_ON_TOKEN | CKF_PROTECTED_AUTHENTICATION_PATH |
	    CKF_DUAL_CRYPTO_OPERATIONS | CKF_TOKEN_INITIALIZED | CKF_SECONDARY_AUTHENTICATION | CKF_USER_PIN_COUNT_LOW |
	    CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_LOCKED | CKF_USER_PIN_TO_BE_CHANGED | CKF_SO_PIN_COUNT_LOW |
	    CKF_SO_PIN_FINAL_TRY | CKF_SO_PIN_LOCKED | CKF_SO_PIN_TO_BE_CHANGED;

	start();
	HOLDS((token_flags() & ~all) == 0);
	HOLDS((token_flags() & CKF_TOKEN_INITIALIZED) != 0);
}

/* YYYYMMDDhhmmss00 when there is a clock, blanks otherwise. */
static void
token_clock(void)
{
	CK_TOKEN_INFO i;

	start();
	OK(F->C_GetTokenInfo(T.slot, &i));
	for (size_t k = 0; k < sizeof i.utcTime && (i.flags & CKF_CLOCK_ON_TOKEN) != 0; k++)
		HOLDS(isdigit(i.utcTime[k]));
	PADDED(i.utcTime);
}

static void
token_lengths(void)
{
	CK_TOKEN_INFO i;

	start();
	OK(F->C_GetTokenInfo(T.slot, &i));
	HOLDS(i.ulMinPinLen <= i.ulMaxPinLen);
	HOLDS(T.pin == NULL || (strlen(T.pin) >= i.ulMinPinLen && strlen(T.pin) <= i.ulMaxPinLen));
}

static CK_TOKEN_INFO
token(void)
{
	CK_TOKEN_INFO i;

	OK(F->C_GetTokenInfo(T.slot, &i));
	return i;
}

/* Counts may be unavailable; when they are not, they are right. */
static void
token_sessions(void)
{
	CK_SESSION_HANDLE h, g;
	CK_TOKEN_INFO i;

	start();
	i = token();
	if (i.ulSessionCount == CK_UNAVAILABLE_INFORMATION || i.ulRwSessionCount == CK_UNAVAILABLE_INFORMATION)
		rule_na("the token does not count sessions");
	HOLDS(i.ulSessionCount == 0 && i.ulRwSessionCount == 0);
	h = open_session(0);
	g = open_session(CKF_RW_SESSION);
	i = token();
	HOLDS(i.ulSessionCount == 2 && i.ulRwSessionCount == 1);
	OK(F->C_CloseSession(g));
	i = token();
	HOLDS(i.ulSessionCount == 1 && i.ulRwSessionCount == 0);
	OK(F->C_CloseSession(h));
	i = token();
	HOLDS(i.ulSessionCount == 0);
}

static void
token_null(void)
{
	start();
	WANT(F->C_GetTokenInfo(T.slot, NULL), CKR_ARGUMENTS_BAD);
}

/* --- events --- */

static void
event_none(void)
{
	CK_SLOT_ID s = 77;
	CK_RV rv;

	start();
	while ((rv = F->C_WaitForSlotEvent(CKF_DONT_BLOCK, &s, NULL)) == CKR_OK)
		;
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		rule_na("the module does not have it");
	WANT(rv, CKR_NO_EVENT);
	WANT(F->C_WaitForSlotEvent(CKF_DONT_BLOCK, &s, NULL), CKR_NO_EVENT);
}

/* Every slot's flag is cleared by C_Initialize: a token that is there from the start is no event. */
static void
event_cleared(void)
{
	CK_SLOT_ID s;
	CK_RV rv;

	start();
	rv = F->C_WaitForSlotEvent(CKF_DONT_BLOCK, &s, NULL);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		rule_na("the module does not have it");
	WANT(rv, CKR_NO_EVENT);
}

static void
event_arguments(void)
{
	CK_SLOT_ID s;
	CK_RV rv;

	start();
	rv = F->C_WaitForSlotEvent(CKF_DONT_BLOCK, NULL, NULL);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		rule_na("the module does not have it");
	WANT(rv, CKR_ARGUMENTS_BAD, CKR_NO_EVENT);
	WANT(F->C_WaitForSlotEvent(CKF_DONT_BLOCK, &s, &s), CKR_ARGUMENTS_BAD, CKR_NO_EVENT);
}

static const struct rule table[] = {
	{ "C_GetSlotList.present_is_a_subset", list_counts },
	{ "C_GetSlotList.unique", list_unique },
	{ "C_GetSlotList.stable", list_stable },
	{ "C_GetSlotList.too_small", list_small },
	{ "C_GetSlotList.too_large", list_large },
	{ "C_GetSlotList.null_count", list_null },
	{ "C_GetSlotList.one_call", list_first_call },
	{ "C_GetSlotInfo.fields", slot_fields },
	{ "C_GetSlotInfo.token_present", slot_present },
	{ "C_GetSlotInfo.empty_slot", slot_empty },
	{ "C_GetSlotInfo.null", slot_null },
	{ "C_GetTokenInfo.fields", token_fields },
	{ "C_GetTokenInfo.flags", token_flags_known },
	{ "C_GetTokenInfo.clock", token_clock },
	{ "C_GetTokenInfo.pin_lengths", token_lengths },
	{ "C_GetTokenInfo.session_counts", token_sessions },
	{ "C_GetTokenInfo.null", token_null },
	{ "C_WaitForSlotEvent.no_event", event_none },
	{ "C_WaitForSlotEvent.cleared_at_start", event_cleared },
	{ "C_WaitForSlotEvent.arguments", event_arguments },
};
RULES(rules_slot, table);
