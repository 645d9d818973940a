/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loading other PKCS#11 modules: see p11mod.h. One list of what is loaded, under one lock that is held while a foreign
 * module starts; whoever meets it held for long goes without, so that one module that hangs holds up one thread.
 *
 * Fork (PKCS#11 2.40, 2.5.2: a child calls C_Initialize again). A module that does not notice the fork answers that it
 * is initialised already, with the parent's sessions and logins in it: when it was ours, it is finalised and
 * initialised, so that no login of the parent is found in the child.
 */
#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "hw/p11mod.h"

#define WAIT_SECONDS 2

struct p11mod {
	char real[PATH_MAX];
	const CK_FUNCTION_LIST *f;
	unsigned refs;
	bool ours; /* we initialised it */
	pid_t pid; /* in this process */
	struct p11mod *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic pid_t lock_pid;
static struct p11mod *modules;

/* --- which file --- */

/* p11-kit's proxy leads back to every registered module, this one included (on Debian it is a name of p11-kit's
 * library); so does another copy of this one, which reads the same configuration. */
static bool
leads_back(const char *real)
{
	static const char *const names[] = { "dpiv-pkcs11.so", "p11-kit-proxy.so", "libp11-kit.so" };
	const char *slash = strrchr(real, '/'), *name = slash != NULL ? slash + 1 : real;

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strncmp(name, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

static bool
is_ourselves(const char *real)
{
	struct stat a, b;
	Dl_info here;

	return dladdr(&modules, &here) != 0 && here.dli_fname != NULL && stat(real, &a) == 0 &&
	    stat(here.dli_fname, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static enum err
path_resolve(const char *path, char real[PATH_MAX])
{
	char full[PATH_MAX];
	int n;

	if (path[0] == '/')
		n = snprintf(full, sizeof full, "%s", path);
	else if (strchr(path, '/') == NULL)
		n = snprintf(full, sizeof full, "%s/%s", P11_MODULE_DIR, path);
	else
		return err_set(E_ARG, "the module path %.200s is neither absolute nor a plain name", path);
	if (n < 0 || n >= PATH_MAX || realpath(full, real) == NULL)
		return err_set(E_NOTFOUND, "there is no PKCS#11 module %.300s", full);
	if (leads_back(real) || is_ourselves(real))
		return err_set(E_POLICY, "%.300s cannot be a token of this module: it would lead back to it", full);
	return E_OK;
}

/* --- loading --- */

/* The calls that are made of it without looking again. */
static bool
is_complete(const CK_FUNCTION_LIST *f)
{
	return f->version.major >= 2 && f->C_Initialize != NULL && f->C_Finalize != NULL && f->C_GetInfo != NULL &&
	    f->C_GetSlotList != NULL && f->C_GetSlotInfo != NULL && f->C_GetTokenInfo != NULL &&
	    f->C_GetMechanismList != NULL && f->C_GetMechanismInfo != NULL && f->C_OpenSession != NULL &&
	    f->C_CloseSession != NULL && f->C_Login != NULL && f->C_Logout != NULL && f->C_SetPIN != NULL &&
	    f->C_InitPIN != NULL && f->C_DestroyObject != NULL && f->C_GetAttributeValue != NULL &&
	    f->C_FindObjectsInit != NULL && f->C_FindObjects != NULL && f->C_FindObjectsFinal != NULL &&
	    f->C_SignInit != NULL && f->C_Sign != NULL && f->C_SignUpdate != NULL && f->C_SignFinal != NULL &&
	    f->C_DecryptInit != NULL && f->C_Decrypt != NULL && f->C_DeriveKey != NULL && f->C_GenerateRandom != NULL;
}

static enum err
module_load(struct p11mod *m)
{
	/* POSIX's way to take a function from dlsym() in ISO C */
	union {
		void *p;
		CK_C_GetFunctionList fn;
	} get;
	CK_FUNCTION_LIST *f = NULL;
	void *dl = dlopen(m->real, RTLD_NOW | RTLD_LOCAL);

	if (dl == NULL)
		return err_set(E_NOTFOUND, "cannot load the PKCS#11 module: %s", dlerror());
	get.p = dlsym(dl, "C_GetFunctionList");
	if (get.p == NULL || get.fn(&f) != CKR_OK || f == NULL || !is_complete(f)) {
		dlclose(dl);
		return err_set(E_ARG, "%.300s is not a whole PKCS#11 module", m->real);
	}
	m->f = f;
	return E_OK;
}

static enum err
module_start(struct p11mod *m)
{
	CK_C_INITIALIZE_ARGS args = { .flags = CKF_OS_LOCKING_OK };
	bool inherited = m->ours && m->pid != getpid();
	CK_RV rv = m->f->C_Initialize(&args);

	if (rv == CKR_CRYPTOKI_ALREADY_INITIALIZED && inherited && m->f->C_Finalize(NULL) == CKR_OK)
		rv = m->f->C_Initialize(&args);
	if (rv != CKR_OK && rv != CKR_CRYPTOKI_ALREADY_INITIALIZED)
		return err_set(E_IO, "the PKCS#11 module %.300s does not start: 0x%lx", m->real, rv);
	m->ours = rv == CKR_OK;
	m->pid = getpid();
	log_info("module", "loaded=\"%s\" initialised-here=%d", m->real, m->ours);
	return E_OK;
}

/* One row a file; it stays when the module is closed, since the module stays mapped. */
static enum err
module_row(const char *real, struct p11mod **out)
{
	enum err e;

	for (*out = modules; *out != NULL; *out = (*out)->next)
		if (strcmp((*out)->real, real) == 0)
			return E_OK;
	if ((*out = calloc(1, sizeof **out)) == NULL)
		return err_set(E_NOMEM, "out of memory");
	memcpy((*out)->real, real, strlen(real) + 1);
	if ((e = module_load(*out)) != E_OK) {
		free(*out);
		*out = NULL;
		return e;
	}
	(*out)->next = modules;
	modules = *out;
	return E_OK;
}

/* --- the lock --- */

/* What a thread of the parent held when it forked is nobody's in the child. */
static void
lock_fork(void)
{
	pid_t before = atomic_load(&lock_pid), now = getpid();
	pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;

	if (before == now || !atomic_compare_exchange_strong(&lock_pid, &before, now) || before == 0)
		return;
	lock = fresh;
	for (struct p11mod *m = modules; m != NULL; m = m->next)
		m->refs = 0;
}

static enum err
lock_take(void)
{
	const struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 };

	lock_fork();
	for (int i = 0; i < WAIT_SECONDS * 100; i++) {
		if (pthread_mutex_trylock(&lock) == 0)
			return E_OK;
		nanosleep(&pause, NULL);
	}
	return err_set(E_BUSY, "a PKCS#11 module has been starting for %d seconds", WAIT_SECONDS);
}

/* --- open and close --- */

enum err
p11mod_open(const char *path, struct p11mod **out)
{
	char real[PATH_MAX];
	struct p11mod *m;
	enum err e;

	*out = NULL;
	if ((e = path_resolve(path, real)) != E_OK || (e = lock_take()) != E_OK)
		return e;
	e = module_row(real, &m);
	if (e == E_OK && m->refs == 0)
		e = module_start(m);
	if (e == E_OK) {
		m->refs++;
		*out = m;
	}
	pthread_mutex_unlock(&lock);
	return e;
}

void
p11mod_close(struct p11mod **mp)
{
	struct p11mod *m = *mp;

	*mp = NULL;
	if (m == NULL || lock_take() != E_OK)
		return;
	if (m->refs > 0 && --m->refs == 0 && m->ours && m->pid == getpid()) {
		(void)m->f->C_Finalize(NULL);
		m->ours = false;
	}
	pthread_mutex_unlock(&lock);
}

void
p11mod_forget(struct p11mod **m)
{
	lock_fork();
	*m = NULL;
}

const CK_FUNCTION_LIST *
p11mod_calls(const struct p11mod *m)
{
	return m->f;
}
