/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * C_Initialize, C_Finalize, C_GetInfo, C_GetFunctionList (PKCS#11 2.40, 5.4; 3.7 CK_C_INITIALIZE_ARGS), and the child
 * of a fork (6.6.1 of 2.20, 5.4 of 2.40: it has to initialise for itself).
 */
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/p11/conform.h"

/* An application's mutexes. */
static unsigned made, locked;

static CK_RV
mutex_make(CK_VOID_PTR_PTR out)
{
	static pthread_mutex_t pool[256];

	if (made == N_OF(pool))
		return CKR_HOST_MEMORY;
	pthread_mutex_init(&pool[made], NULL);
	*out = &pool[made++];
	return CKR_OK;
}

static CK_RV
mutex_drop(CK_VOID_PTR m)
{
	return pthread_mutex_destroy(m) == 0 ? CKR_OK : CKR_MUTEX_BAD;
}

static CK_RV
mutex_take(CK_VOID_PTR m)
{
	locked++;
	return pthread_mutex_lock(m) == 0 ? CKR_OK : CKR_MUTEX_BAD;
}

static CK_RV
mutex_give(CK_VOID_PTR m)
{
	return pthread_mutex_unlock(m) == 0 ? CKR_OK : CKR_MUTEX_NOT_LOCKED;
}

#define ALL_FOUR mutex_make, mutex_drop, mutex_take, mutex_give

static void
null_args(void)
{
	OK(F->C_Initialize(NULL));
	OK(F->C_Finalize(NULL));
}

static void
twice(void)
{
	OK(F->C_Initialize(NULL));
	WANT(F->C_Initialize(NULL), CKR_CRYPTOKI_ALREADY_INITIALIZED);
	OK(F->C_Finalize(NULL));
}

static void
again(void)
{
	for (int i = 0; i < 5; i++) {
		start();
		open_session(0);
		stop();
	}
}

static void
reserved(void)
{
	CK_C_INITIALIZE_ARGS a = { .pReserved = &a };

	WANT(F->C_Initialize(&a), CKR_ARGUMENTS_BAD);
	OK(F->C_Initialize(NULL));
}

static void
reserved_with_locking(void)
{
	CK_C_INITIALIZE_ARGS a = { .flags = CKF_OS_LOCKING_OK, .pReserved = &a };

	WANT(F->C_Initialize(&a), CKR_ARGUMENTS_BAD);
}

static void
empty_args(void)
{
	CK_C_INITIALIZE_ARGS a = { .flags = 0 };

	OK(F->C_Initialize(&a));
	OK(F->C_Finalize(NULL));
}

static void
no_threads(void)
{
	CK_C_INITIALIZE_ARGS a = { .flags = CKF_LIBRARY_CANT_CREATE_OS_THREADS };

	WANT(F->C_Initialize(&a), CKR_OK, CKR_NEED_TO_CREATE_THREADS);
}

static void
os_locking(void)
{
	CK_C_INITIALIZE_ARGS a = { .flags = CKF_OS_LOCKING_OK };

	WANT(F->C_Initialize(&a), CKR_OK, CKR_CANT_LOCK);
}

static void
both_flags(void)
{
	CK_C_INITIALIZE_ARGS a = { .flags = CKF_OS_LOCKING_OK | CKF_LIBRARY_CANT_CREATE_OS_THREADS };

	WANT(F->C_Initialize(&a), CKR_OK, CKR_CANT_LOCK, CKR_NEED_TO_CREATE_THREADS);
}

/* Some of the four, not all: case 4 of 5.4's list of combinations. */
static void
some_mutexes(void)
{
	for (unsigned mask = 1; mask < 15; mask++) {
		CK_C_INITIALIZE_ARGS a = { ALL_FOUR, .flags = CKF_OS_LOCKING_OK };

		a.CreateMutex = mask & 1 ? a.CreateMutex : NULL;
		a.DestroyMutex = mask & 2 ? a.DestroyMutex : NULL;
		a.LockMutex = mask & 4 ? a.LockMutex : NULL;
		a.UnlockMutex = mask & 8 ? a.UnlockMutex : NULL;
		WANT(F->C_Initialize(&a), CKR_ARGUMENTS_BAD);
	}
	OK(F->C_Initialize(NULL));
}

/* Only the application's own will do: they are used, or it is refused. */
static void
own_mutexes(void)
{
	CK_C_INITIALIZE_ARGS a = { ALL_FOUR, .flags = 0 };
	CK_RV rv = F->C_Initialize(&a);
	CK_ULONG n;

	if (rv == CKR_CANT_LOCK)
		return;
	WANT(rv, CKR_OK);
	OK(F->C_GetSlotList(CK_FALSE, NULL, &n));
	HOLDS(made > 0 && locked > 0);
	OK(F->C_Finalize(NULL));
}

static void
own_mutexes_or_os(void)
{
	CK_C_INITIALIZE_ARGS a = { ALL_FOUR, .flags = CKF_OS_LOCKING_OK };

	WANT(F->C_Initialize(&a), CKR_OK, CKR_CANT_LOCK);
}

static void
finalize_reserved(void)
{
	CK_ULONG n;

	OK(F->C_Initialize(NULL));
	WANT(F->C_Finalize(&n), CKR_ARGUMENTS_BAD);
	OK(F->C_GetSlotList(CK_FALSE, NULL, &n)); /* it did not happen */
}

static void
finalize_twice(void)
{
	OK(F->C_Initialize(NULL));
	OK(F->C_Finalize(NULL));
	WANT(F->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
}

/* It closes all sessions: their handles do not come back to life. */
static void
finalize_sessions(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_SESSION_INFO info;

	stop();
	OK(F->C_Initialize(NULL));
	WANT(F->C_GetSessionInfo(h, &info), CKR_SESSION_HANDLE_INVALID);
}

static void
finalize_login(void)
{
	CK_SESSION_HANDLE h = rw();

	login(h);
	stop();
	h = rw();
	HOLDS(state_of(h) == CKS_RW_PUBLIC_SESSION);
}

static bool
padded(const CK_UTF8CHAR *text, size_t n)
{
	bool blank = false;

	for (size_t i = 0; i < n; i++) {
		if (text[i] < ' ' || (text[i] > '~' && text[i] < 0x80))
			return false;
		blank = text[i] == ' ';
	}
	return blank || n == 0 || text[n - 1] != '\0';
}

static void
info(void)
{
	CK_INFO i;

	memset(&i, 0xA5, sizeof i);
	OK(F->C_Initialize(NULL));
	OK(F->C_GetInfo(&i));
	HOLDS(i.cryptokiVersion.major == 2 || i.cryptokiVersion.major == 3);
	HOLDS(i.flags == 0);
	HOLDS(padded(i.manufacturerID, sizeof i.manufacturerID));
	HOLDS(padded(i.libraryDescription, sizeof i.libraryDescription));
}

static void
info_null(void)
{
	OK(F->C_Initialize(NULL));
	WANT(F->C_GetInfo(NULL), CKR_ARGUMENTS_BAD);
}

static void
function_list(void)
{
	CK_FUNCTION_LIST *list = NULL;

	HOLDS(F->version.major == 2 || F->version.major == 3);
	OK(F->C_GetFunctionList(&list)); /* also before C_Initialize */
	HOLDS(list == F);
}

static void
function_list_null(void)
{
	WANT(F->C_GetFunctionList(NULL), CKR_ARGUMENTS_BAD);
}

/* "For each function in the list there is a pointer": 68 of them, also for what is not supported. */
static void
function_list_full(void)
{
	void *const *p = (void *const *)(const void *)&F->C_Initialize;
	void *const *end = (void *const *)(const void *)&F->C_WaitForSlotEvent;

	for (; p <= end; p++)
		HOLDS(*p != NULL);
}

/* What a child says: its exit status. */
static int
in_child(int (*what)(void))
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(what());
	HOLDS(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int
child_asks(void)
{
	CK_ULONG n;

	return F->C_GetSlotList(CK_FALSE, NULL, &n) == CKR_CRYPTOKI_NOT_INITIALIZED ? 0 : 1;
}

static int
child_starts(void)
{
	CK_SESSION_HANDLE h;
	CK_ULONG n;

	if (F->C_Initialize(NULL) != CKR_OK)
		return 2;
	if (F->C_GetSlotList(CK_TRUE, NULL, &n) != CKR_OK || n == 0)
		return 3;
	if (F->C_OpenSession(T.slot, CKF_SERIAL_SESSION, NULL, NULL, &h) != CKR_OK)
		return 4;
	return F->C_Finalize(NULL) == CKR_OK ? 0 : 5;
}

static void
fork_child_initializes(void)
{
	CK_SESSION_HANDLE h = ro();

	HOLDS(in_child(child_starts) == 0);
	HOLDS(state_of(h) == CKS_RO_PUBLIC_SESSION); /* and the parent is undisturbed */
}

static void
fork_child_uninitialized(void)
{
	ro();
	HOLDS(in_child(child_asks) == 0);
}

static const struct rule table[] = {
	{ "C_Initialize.null_args", null_args },
	{ "C_Initialize.twice", twice },
	{ "C_Initialize.again_after_finalize", again },
	{ "C_Initialize.reserved", reserved },
	{ "C_Initialize.reserved_with_locking", reserved_with_locking },
	{ "C_Initialize.empty_args", empty_args },
	{ "C_Initialize.no_new_threads", no_threads },
	{ "C_Initialize.os_locking", os_locking },
	{ "C_Initialize.os_locking_no_new_threads", both_flags },
	{ "C_Initialize.some_mutexes", some_mutexes },
	{ "C_Initialize.own_mutexes", own_mutexes },
	{ "C_Initialize.own_mutexes_or_os", own_mutexes_or_os },
	{ "C_Initialize.in_child", fork_child_initializes },
	{ "C_Initialize.child_must", fork_child_uninitialized },
	{ "C_Finalize.reserved", finalize_reserved },
	{ "C_Finalize.twice", finalize_twice },
	{ "C_Finalize.closes_sessions", finalize_sessions },
	{ "C_Finalize.logs_out", finalize_login },
	{ "C_GetInfo.fields", info },
	{ "C_GetInfo.null", info_null },
	{ "C_GetFunctionList.same", function_list },
	{ "C_GetFunctionList.null", function_list_null },
	{ "C_GetFunctionList.full", function_list_full },
};
RULES(rules_init, table);
