/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sessions (PKCS#11 2.40, 5.6; session states: 2.20, 6.7).
 */
#include <string.h>

#include "tests/p11/conform.h"

static void
parallel(void)
{
	CK_SESSION_HANDLE h;

	start();
	WANT(F->C_OpenSession(T.slot, 0, NULL, NULL, &h), CKR_SESSION_PARALLEL_NOT_SUPPORTED);
	WANT(F->C_OpenSession(T.slot, CKF_RW_SESSION, NULL, NULL, &h), CKR_SESSION_PARALLEL_NOT_SUPPORTED);
}

static void
null_handle(void)
{
	start();
	WANT(F->C_OpenSession(T.slot, CKF_SERIAL_SESSION, NULL, NULL, NULL), CKR_ARGUMENTS_BAD);
}

static CK_RV
notify(CK_SESSION_HANDLE h, CK_NOTIFICATION event, CK_VOID_PTR app)
{
	(void)h;
	(void)event;
	(void)app;
	return CKR_OK;
}

static void
callback(void)
{
	CK_SESSION_HANDLE h;

	start();
	OK(F->C_OpenSession(T.slot, CKF_SERIAL_SESSION, &h, notify, &h));
	OK(F->C_CloseSession(h));
}

static void
handles_differ(void)
{
	CK_SESSION_HANDLE list[8];

	start();
	for (size_t i = 0; i < N_OF(list); i++) {
		list[i] = open_session(i % 2 ? CKF_RW_SESSION : 0);
		for (size_t k = 0; k < i; k++)
			HOLDS(list[i] != list[k]);
	}
}

static void
many(void)
{
	CK_SESSION_HANDLE list[300];

	start();
	for (size_t i = 0; i < N_OF(list); i++) {
		CK_RV rv = F->C_OpenSession(T.slot, CKF_SERIAL_SESSION, NULL, NULL, &list[i]);

		if (rv == CKR_SESSION_COUNT && i > 0)
			break;
		WANT(rv, CKR_OK);
	}
	OK(F->C_CloseAllSessions(T.slot));
	open_session(0);
}

static void
close_twice(void)
{
	CK_SESSION_HANDLE h = ro();

	OK(F->C_CloseSession(h));
	WANT(F->C_CloseSession(h), CKR_SESSION_HANDLE_INVALID);
}

static void
close_all(void)
{
	CK_SESSION_HANDLE a = ro(), b = open_session(CKF_RW_SESSION);
	CK_SESSION_INFO info;

	OK(F->C_CloseAllSessions(T.slot));
	WANT(F->C_GetSessionInfo(a, &info), CKR_SESSION_HANDLE_INVALID);
	WANT(F->C_GetSessionInfo(b, &info), CKR_SESSION_HANDLE_INVALID);
}

static void
close_all_none(void)
{
	start();
	OK(F->C_CloseAllSessions(T.slot));
}

static void
close_all_logs_out(void)
{
	CK_SESSION_HANDLE h = rw();

	login(h);
	OK(F->C_CloseAllSessions(T.slot));
	HOLDS(state_of(open_session(0)) == CKS_RO_PUBLIC_SESSION);
}

static void
close_last_logs_out(void)
{
	CK_SESSION_HANDLE a = rw(), b = open_session(0);

	login(a);
	OK(F->C_CloseSession(a));
	HOLDS(state_of(b) == CKS_RO_USER_FUNCTIONS); /* not the last one */
	OK(F->C_CloseSession(b));
	HOLDS(state_of(open_session(0)) == CKS_RO_PUBLIC_SESSION);
}

/* --- C_GetSessionInfo --- */

static void
info_ro(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_SESSION_INFO i;

	memset(&i, 0xA5, sizeof i);
	OK(F->C_GetSessionInfo(h, &i));
	HOLDS(i.slotID == T.slot && i.state == CKS_RO_PUBLIC_SESSION && i.flags == CKF_SERIAL_SESSION);
	HOLDS(i.ulDeviceError == 0);
}

static void
info_rw(void)
{
	CK_SESSION_HANDLE h = rw();
	CK_SESSION_INFO i;

	OK(F->C_GetSessionInfo(h, &i));
	HOLDS(i.slotID == T.slot && i.state == CKS_RW_PUBLIC_SESSION);
	HOLDS(i.flags == (CKF_SERIAL_SESSION | CKF_RW_SESSION));
}

static void
info_null(void)
{
	CK_SESSION_HANDLE h = ro();

	WANT(F->C_GetSessionInfo(h, NULL), CKR_ARGUMENTS_BAD);
}

/* The login is the token's: every session of the application has it. */
static void
info_states(void)
{
	CK_SESSION_HANDLE a = rw(), b = open_session(0), c;

	login(a);
	HOLDS(state_of(a) == CKS_RW_USER_FUNCTIONS && state_of(b) == CKS_RO_USER_FUNCTIONS);
	c = open_session(0);
	HOLDS(state_of(c) == CKS_RO_USER_FUNCTIONS);
	OK(F->C_Logout(b));
	HOLDS(state_of(a) == CKS_RW_PUBLIC_SESSION && state_of(b) == CKS_RO_PUBLIC_SESSION);
	HOLDS(state_of(c) == CKS_RO_PUBLIC_SESSION);
}

static void
info_so(void)
{
	CK_SESSION_HANDLE a = rw(), b = open_session(CKF_RW_SESSION);

	so_login(a);
	HOLDS(state_of(a) == CKS_RW_SO_FUNCTIONS && state_of(b) == CKS_RW_SO_FUNCTIONS);
	OK(F->C_Logout(a));
	HOLDS(state_of(b) == CKS_RW_PUBLIC_SESSION);
}

static void
so_no_ro(void)
{
	CK_SESSION_HANDLE h = rw(), g;

	so_login(h);
	WANT(F->C_OpenSession(T.slot, CKF_SERIAL_SESSION, NULL, NULL, &g), CKR_SESSION_READ_WRITE_SO_EXISTS);
	open_session(CKF_RW_SESSION);
}

/* --- operations belong to their session --- */

static void
separate_operations(void)
{
	CK_SESSION_HANDLE a = ro(), b = open_session(0);
	CK_MECHANISM m = MECH(CKM_SHA256);
	CK_BYTE out[64], in[3] = { 'a', 'b', 'c' };
	CK_ULONG n = sizeof out;

	need_mech(CKM_SHA256, CKF_DIGEST);
	OK(F->C_DigestInit(a, &m));
	WANT(F->C_Digest(b, in, sizeof in, out, &n), CKR_OPERATION_NOT_INITIALIZED);
	OK(F->C_DigestInit(b, &m));
	OK(F->C_CloseSession(b));
	n = sizeof out;
	OK(F->C_Digest(a, in, sizeof in, out, &n));
}

/* --- C_GetOperationState, C_SetOperationState --- */

static void
state_idle(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_ULONG n = 0;

	WANT(F->C_GetOperationState(h, NULL, &n), CKR_OPERATION_NOT_INITIALIZED, CKR_FUNCTION_NOT_SUPPORTED);
}

static void
state_active(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_MECHANISM m = MECH(CKM_SHA256);
	CK_BYTE out[64], in[3] = { 'a', 'b', 'c' };
	CK_ULONG n = 0, len = sizeof out;

	need_mech(CKM_SHA256, CKF_DIGEST);
	OK(F->C_DigestInit(h, &m));
	WANT(F->C_GetOperationState(h, NULL, &n), CKR_OK, CKR_STATE_UNSAVEABLE, CKR_FUNCTION_NOT_SUPPORTED);
	OK(F->C_Digest(h, in, sizeof in, out, &len)); /* asking does not end it */
}

static void
state_garbage(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_BYTE junk[32] = { 0 };

	WANT(F->C_SetOperationState(h, junk, sizeof junk, 0, 0), CKR_SAVED_STATE_INVALID, CKR_FUNCTION_NOT_SUPPORTED);
	WANT(F->C_SetOperationState(h, NULL, 16, 0, 0), CKR_ARGUMENTS_BAD, CKR_FUNCTION_NOT_SUPPORTED);
}

static const struct rule table[] = {
	{ "C_OpenSession.parallel", parallel },
	{ "C_OpenSession.null_handle", null_handle },
	{ "C_OpenSession.callback", callback },
	{ "C_OpenSession.handles_differ", handles_differ },
	{ "C_OpenSession.many", many },
	{ "C_OpenSession.read_only_while_so", so_no_ro },
	{ "C_CloseSession.twice", close_twice },
	{ "C_CloseSession.last_logs_out", close_last_logs_out },
	{ "C_CloseAllSessions.all", close_all },
	{ "C_CloseAllSessions.none", close_all_none },
	{ "C_CloseAllSessions.logs_out", close_all_logs_out },
	{ "C_GetSessionInfo.read_only", info_ro },
	{ "C_GetSessionInfo.read_write", info_rw },
	{ "C_GetSessionInfo.null", info_null },
	{ "C_GetSessionInfo.user_states", info_states },
	{ "C_GetSessionInfo.so_states", info_so },
	{ "C_GetSessionInfo.operations_are_separate", separate_operations },
	{ "C_GetOperationState.idle", state_idle },
	{ "C_GetOperationState.active", state_active },
	{ "C_SetOperationState.garbage", state_garbage },
};
RULES(rules_session, table);
