/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * p11_life MODULE SCENE: how a program may begin and end with the module, on a real pcscd with an elliptic-curve card.
 * The PIN is put together where it is used and wiped, so that whatever of it is found in memory is the module's.
 */
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <p11-kit/pkcs11.h>

static const char *module;
static void *so;
static CK_FUNCTION_LIST *p11;
static CK_SESSION_HANDLE h;
static CK_OBJECT_HANDLE key;
static int signatures = 20; /* of a child */

#define FAIL(...)                                                                                                      \
	do {                                                                                                           \
		printf("line %d: ", __LINE__);                                                                         \
		printf(__VA_ARGS__);                                                                                   \
		printf("\n");                                                                                          \
		fflush(stdout);                                                                                        \
		_exit(1);                                                                                              \
	} while (0)
#define WANT(expr, value)                                                                                              \
	do {                                                                                                           \
		CK_RV got_ = (expr), want_ = (value);                                                                  \
		if (got_ != want_)                                                                                     \
			FAIL("%s is 0x%lx, not 0x%lx", #expr, got_, want_);                                            \
	} while (0)

static void
nap(int ms)
{
	nanosleep(&(struct timespec){ ms / 1000, (long)(ms % 1000) * 1000000 }, NULL);
}

static void
load(void)
{
	CK_RV (*get)(CK_FUNCTION_LIST **);

	so = dlopen(module, RTLD_NOW);
	if (so == NULL || (*(void **)&get = dlsym(so, "C_GetFunctionList")) == NULL || get(&p11) != CKR_OK)
		FAIL("%s", dlerror());
}

static CK_RV
login(CK_USER_TYPE user)
{
	volatile CK_UTF8CHAR pin[6];
	CK_RV rv;

	for (int i = 0; i < 6; i++)
		pin[i] = (CK_UTF8CHAR)('1' + i);
	rv = p11->C_Login(h, user, (CK_UTF8CHAR *)(uintptr_t)pin, 6);
	for (int i = 0; i < 6; i++)
		pin[i] = 0;
	return rv;
}

static CK_RV
sign_with(CK_SESSION_HANDLE s)
{
	CK_MECHANISM m = { CKM_ECDSA, NULL, 0 };
	CK_BYTE digest[32] = { 1 }, sig[64];
	CK_ULONG n = sizeof sig;
	CK_RV rv = p11->C_SignInit(s, &m, key);

	return rv != CKR_OK ? rv : p11->C_Sign(s, digest, sizeof digest, sig, &n);
}

static void
find_key(void)
{
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_BYTE id = 1;
	CK_ATTRIBUTE t[] = { { CKA_CLASS, &class, sizeof class }, { CKA_ID, &id, 1 } };
	CK_ULONG n = 0;

	WANT(p11->C_FindObjectsInit(h, t, 2), CKR_OK);
	WANT(p11->C_FindObjects(h, &key, 1, &n), CKR_OK);
	WANT(p11->C_FindObjectsFinal(h), CKR_OK);
	WANT(n, 1);
}

static void
begin(void *args)
{
	WANT(p11->C_Initialize(args), CKR_OK);
	WANT(p11->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &h), CKR_OK);
	WANT(login(CKU_USER), CKR_OK);
	find_key();
	WANT(sign_with(h), CKR_OK);
}

static void *
signer(void *arg)
{
	CK_SESSION_HANDLE s;
	CK_RV rv = CKR_OK;

	(void)arg;
	if (p11->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &s) != CKR_OK)
		return arg;
	for (int i = 0; i < 1000000 && rv == CKR_OK; i++)
		rv = sign_with(s);
	return arg;
}

static void *
waiter(void *arg)
{
	CK_SLOT_ID slot;

	p11->C_WaitForSlotEvent(0, &slot, NULL);
	return arg;
}

/* The child's exit status, at most so many seconds later. */
static void
want_exit(pid_t pid, int seconds)
{
	int status = 0;

	for (int i = 0; i < seconds * 100; i++) {
		if (waitpid(pid, &status, WNOHANG) == pid) {
			if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
				FAIL("the child ended with status 0x%x", status);
			return;
		}
		nap(10);
	}
	kill(pid, SIGKILL);
	FAIL("the child hangs");
}

/* --- C_Initialize --- */

static _Atomic int made, held, locks;

static CK_RV
app_create(void **m)
{
	pthread_mutex_t *p = malloc(sizeof *p);

	pthread_mutex_init(p, NULL);
	*m = p;
	made++;
	return CKR_OK;
}
static CK_RV
app_destroy(void *m)
{
	free(m);
	made--;
	return CKR_OK;
}
static CK_RV
app_lock(void *m)
{
	pthread_mutex_lock(m);
	held++;
	locks++;
	return CKR_OK;
}
static CK_RV
app_unlock(void *m)
{
	held--;
	pthread_mutex_unlock(m);
	return CKR_OK;
}

#define FNS app_create, app_destroy, app_lock, app_unlock

static void *
twenty(void *arg)
{
	CK_SESSION_HANDLE s;

	WANT(p11->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &s), CKR_OK);
	for (int i = 0; i < 20; i++)
		WANT(sign_with(s), CKR_OK);
	return arg;
}

static void
scene_initialize(void)
{
	struct {
		CK_C_INITIALIZE_ARGS a;
		CK_RV rv;
		int app; /* the application's locks are used */
	} rows[] = {
		{ { 0 }, CKR_OK, 0 },
		{ { .flags = CKF_OS_LOCKING_OK }, CKR_OK, 0 },
		{ { .flags = CKF_LIBRARY_CANT_CREATE_OS_THREADS }, CKR_OK, 0 },
		{ { .flags = CKF_LIBRARY_CANT_CREATE_OS_THREADS | CKF_OS_LOCKING_OK }, CKR_OK, 0 },
		{ { FNS, 0, NULL }, CKR_OK, 1 },
		{ { FNS, CKF_OS_LOCKING_OK, NULL }, CKR_OK, 0 },
		{ { FNS, CKF_LIBRARY_CANT_CREATE_OS_THREADS, NULL }, CKR_OK, 1 },
		{ { FNS, CKF_LIBRARY_CANT_CREATE_OS_THREADS | CKF_OS_LOCKING_OK, NULL }, CKR_OK, 0 },
		{ { .CreateMutex = app_create }, CKR_ARGUMENTS_BAD, 0 },
		{ { app_create, app_destroy, app_lock, NULL, 0, NULL }, CKR_ARGUMENTS_BAD, 0 },
		{ { NULL, app_destroy, app_lock, app_unlock, CKF_OS_LOCKING_OK, NULL }, CKR_ARGUMENTS_BAD, 0 },
		{ { .pReserved = &made }, CKR_ARGUMENTS_BAD, 0 },
	};
	pthread_t t[2];

	load();
	WANT(p11->C_Initialize(NULL), CKR_OK);
	WANT(p11->C_Initialize(NULL), CKR_CRYPTOKI_ALREADY_INITIALIZED);
	WANT(p11->C_Finalize(NULL), CKR_OK);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		locks = 0;
		if (rows[i].rv != CKR_OK) {
			WANT(p11->C_Initialize(&rows[i].a), rows[i].rv);
			WANT(p11->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
			continue;
		}
		begin(&rows[i].a);
		for (int k = 0; k < 2; k++)
			pthread_create(&t[k], NULL, twenty, NULL);
		for (int k = 0; k < 2; k++)
			pthread_join(t[k], NULL);
		WANT(p11->C_Finalize(NULL), CKR_OK);
		WANT(locks > 0, (CK_RV)rows[i].app);
		WANT(made, 0);
		WANT(held, 0);
	}
}

/* --- fork --- */

/* Is the kept PIN, padded as VERIFY wants it, anywhere in this process's writable memory? */
static int
pin_in_memory(void)
{
	char line[512];
	unsigned long from, to;
	int found = 0;
	FILE *maps = fopen("/proc/self/maps", "re"), *mem = fopen("/proc/self/mem", "re");

	if (maps == NULL || mem == NULL)
		FAIL("no /proc");
	while (fgets(line, sizeof line, maps) != NULL) {
		char w;
		unsigned char *p;
		size_t n;

		if (sscanf(line, "%lx-%lx %*c%c", &from, &to, &w) != 3 || w != 'w' || to - from > 64ul << 20)
			continue;
		p = malloc(to - from);
		fseek(mem, (long)from, SEEK_SET);
		n = p != NULL ? fread(p, 1, to - from, mem) : 0;
		for (size_t i = 0; i + 8 <= n; i++)
			found += p[i] == '1' && p[i + 1] == '2' && p[i + 2] == '3' && p[i + 3] == '4' &&
			    p[i + 4] == '5' && p[i + 5] == '6' && p[i + 6] == 0xFF && p[i + 7] == 0xFF;
		if (p != NULL)
			memset(p, 0, n);
		free(p);
	}
	fclose(maps);
	fclose(mem);
	return found;
}

static void
child_of_fork(void)
{
	CK_SESSION_INFO si;
	CK_ULONG n = 0;

	if (pin_in_memory() != 0)
		FAIL("the parent's PIN is in the child's memory");
	WANT(p11->C_GetSessionInfo(h, &si), CKR_CRYPTOKI_NOT_INITIALIZED);
	WANT(p11->C_GetSlotList(CK_TRUE, NULL, &n), CKR_CRYPTOKI_NOT_INITIALIZED);
	WANT(sign_with(h), CKR_CRYPTOKI_NOT_INITIALIZED);
	WANT(p11->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
	WANT(p11->C_Initialize(NULL), CKR_OK);
	WANT(p11->C_GetSessionInfo(h, &si), CKR_SESSION_HANDLE_INVALID);
	WANT(p11->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &h), CKR_OK);
	WANT(sign_with(h) != CKR_OK, 1); /* the parent's login is not the child's */
	WANT(login(CKU_USER), CKR_OK);
	find_key();
	for (int i = 0; i < signatures; i++)
		WANT(sign_with(h), CKR_OK);
	WANT(p11->C_Finalize(NULL), CKR_OK);
	_exit(0);
}

static void
scene_fork(void)
{
	pid_t pid;

	load();
	begin(NULL);
	WANT(pin_in_memory() > 0, 1); /* so that the search can find it */
	for (int i = 0; i < 5; i++) {
		if ((pid = fork()) == 0)
			child_of_fork();
		for (int k = 0; k < 20; k++)
			WANT(sign_with(h), CKR_OK);
		want_exit(pid, 10);
		WANT(sign_with(h), CKR_OK);
	}
	WANT(p11->C_Finalize(NULL), CKR_OK);
	if ((pid = fork()) == 0) { /* from a parent that is through with it */
		begin(NULL);
		WANT(p11->C_Finalize(NULL), CKR_OK);
		_exit(0);
	}
	want_exit(pid, 10);
}

/*
 * While other threads are inside calls, their locks held. A lock that no module can do anything about is libpcsclite's
 * own, which it holds for an instant in every call and throughout SCardEstablishContext(): hence the pause, and a card
 * that is slow, so that the threads are where they are nearly always, waiting for it.
 */
static void
scene_fork_inside(void)
{
	pthread_t t[3];
	pid_t pid;

	load();
	begin(NULL);
	signatures = 3;
	pthread_create(&t[0], NULL, signer, NULL);
	pthread_create(&t[1], NULL, signer, NULL);
	pthread_create(&t[2], NULL, waiter, NULL);
	nap(300);
	for (int i = 0; i < 30; i++) {
		nap(i % 7);
		if ((pid = fork()) == 0)
			child_of_fork();
		want_exit(pid, 10);
	}
	WANT(sign_with(h), CKR_OK);
	WANT(p11->C_Finalize(NULL), CKR_OK);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
}

/* --- the end --- */

static void
scene_dlclose(void)
{
	for (int i = 0; i < 20; i++) {
		load();
		begin(NULL);
		WANT(p11->C_Finalize(NULL), CKR_OK);
		dlclose(so);
	}
	load();
	WANT(p11->C_Initialize(NULL), CKR_OK); /* idle, and not finalised */
	dlclose(so);
}

static void
finalize_late(void)
{
	p11->C_Finalize(NULL);
}

static void
child_of_exit(int how)
{
	pthread_t t;

	if (how == 3)
		atexit(finalize_late); /* before libcrypto registers its own: called after it */
	load();
	begin(NULL);
	if (how == 1)
		pthread_create(&t, NULL, waiter, NULL);
	if (how == 2)
		pthread_create(&t, NULL, signer, NULL);
	if (how == 4)
		atexit(finalize_late);
	nap(100);
	exit(0);
}

/* Without C_Finalize: idle, with a thread that waits for events, with one that signs; or from an exit handler. */
static void
scene_exit(void)
{
	for (int how = 0; how < 5; how++)
		for (int i = 0; i < 4; i++) {
			pid_t pid = fork();

			if (pid == 0)
				child_of_exit(how);
			want_exit(pid, 10);
		}
}

/* --- sessions --- */

static size_t
resident(void)
{
	unsigned long all = 0, rss = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (f == NULL || fscanf(f, "%lu %lu", &all, &rss) != 2)
		FAIL("no statm");
	fclose(f);
	return rss * (size_t)sysconf(_SC_PAGESIZE);
}

static void
sessions(int n)
{
	CK_SESSION_HANDLE s[4];

	for (int i = 0; i < n; i += 4) {
		for (int k = 0; k < 4; k++)
			WANT(
			    p11->C_OpenSession(0, CKF_SERIAL_SESSION | (k % 2 ? CKF_RW_SESSION : 0), NULL, NULL, &s[k]),
			    CKR_OK);
		if (i % 100 == 0)
			WANT(sign_with(s[1]), CKR_OK);
		for (int k = 0; k < 4; k++)
			WANT(p11->C_CloseSession(s[k]), CKR_OK);
	}
}

static void
scene_sessions(void)
{
	size_t heap, rss, more, now;

	load();
	begin(NULL);
	sessions(1000);
	heap = mallinfo2().uordblks;
	rss = resident();
	sessions(10000);
	more = mallinfo2().uordblks;
	now = resident();
	printf("10000 sessions: heap %+ld, resident %+ld bytes\n", (long)(more - heap), (long)(now - rss));
	WANT(more < heap + 1024, 1);
	WANT(now < rss + 1024 * 1024, 1);
	WANT(p11->C_Finalize(NULL), CKR_OK);
}

static const struct {
	const char *name;
	void (*run)(void);
} scenes[] = {
	{ "initialize", scene_initialize },
	{ "fork", scene_fork },
	{ "fork-inside", scene_fork_inside },
	{ "dlclose", scene_dlclose },
	{ "exit", scene_exit },
	{ "sessions", scene_sessions },
};

int
main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	module = argv[1];
	alarm(100);
	for (size_t i = 0; i < sizeof scenes / sizeof scenes[0]; i++)
		if (strcmp(argv[2], scenes[i].name) == 0) {
			scenes[i].run();
			printf("done\n");
			return 0;
		}
	return 2;
}
