/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PKCS #11 modules by path: loaded and initialised once, shared by every open token of the module, finalised with the
 * last one. The module may have been initialised by libp11 or by another part of the program before
 * (CKR_CRYPTOKI_ALREADY_INITIALIZED): then it is used, and finalising is left to whoever began.
 *
 * dpiv's own module is the dpiv-pkcs11.so beside the running program when there is one (a build tree), else the
 * installed one. No environment variable decides which code gets the PIN.
 */
#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "derive/token_int.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct token_module *modules;

#define OWN_NAME "dpiv-pkcs11.so"

/* The path of dpiv's own module into path[PATH_MAX]. */
static void
module_own_path(char *path)
{
	char exe[PATH_MAX];
	char *slash;
	ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);

	if (n > 0) {
		exe[n] = '\0';
		slash = strrchr(exe, '/');
		if (slash != NULL)
			*slash = '\0';
		if (snprintf(path, PATH_MAX, "%s/%s", exe, OWN_NAME) < PATH_MAX && access(path, R_OK) == 0)
			return;
	}
	snprintf(path, PATH_MAX, "%s", DPIV_MODULE);
}

/* A module path as given, resolved: two spellings of one file must not be initialised and finalised twice. */
static enum err
module_path(const char *given, char *path, char *real, bool *own)
{
	char mine[PATH_MAX], mine_real[PATH_MAX];

	module_own_path(mine);
	if (given == NULL)
		given = mine;
	if (given[0] != '/')
		return err_set(E_ARG, "module-path must be an absolute path, not '%.200s'", given);
	if (snprintf(path, PATH_MAX, "%s", given) >= PATH_MAX || realpath(given, real) == NULL)
		return err_set(E_NOTFOUND, "there is no PKCS#11 module %.300s; check the path%s", given,
		    given == mine ? ", or install dpiv" : "");
	*own = realpath(mine, mine_real) != NULL && strcmp(mine_real, real) == 0;
	return E_OK;
}

static enum err
module_load(struct token_module *m)
{
	/* POSIX's way to take a function from dlsym() in ISO C */
	union {
		void *p;
		CK_C_GetFunctionList fn;
	} get;

	/* stays mapped: openCryptoki 3.8 crashes when it is loaded a second time */
	m->dl = dlopen(m->path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (m->dl == NULL)
		return err_set(E_NOTFOUND, "cannot load the PKCS#11 module: %s", dlerror());
	get.p = dlsym(m->dl, "C_GetFunctionList");
	if (get.p == NULL || get.fn(&m->f) != CKR_OK || m->f == NULL)
		return err_set(E_ARG, "%s is not a PKCS#11 module", m->path);
	return E_OK;
}

static enum err
module_init(struct token_module *m)
{
	CK_C_INITIALIZE_ARGS args = { .flags = CKF_OS_LOCKING_OK };
	CK_RV rv = m->f->C_Initialize(&args);
	char buf[24];

	if (rv != CKR_OK && rv != CKR_CRYPTOKI_ALREADY_INITIALIZED)
		return err_set(rv_err(rv) == E_OK ? E_IO : rv_err(rv), "the PKCS#11 module %s does not start: %s",
		    m->path, rv_name(rv, buf));
	m->initialized = rv == CKR_OK;
	return E_OK;
}

/* libp11 first: its clean-up calls into the module. */
static void
module_free(struct token_module *m)
{
	struct token_p11 *p;

	while ((p = m->p11) != NULL) {
		m->p11 = p->next;
		PKCS11_release_all_slots(p->ctx, p->slots, p->n);
		PKCS11_CTX_unload(p->ctx);
		PKCS11_CTX_free(p->ctx);
		free(p);
	}
	if (m->initialized)
		(void)m->f->C_Finalize(NULL);
	if (m->dl != NULL)
		dlclose(m->dl);
	free(m->path);
	free(m->real);
	free(m);
}

static enum err
module_new(const char *path, const char *real, bool own, struct token_module **out)
{
	struct token_module *m = calloc(1, sizeof *m);
	enum err e;

	if (m == NULL || (m->path = strdup(path)) == NULL || (m->real = strdup(real)) == NULL) {
		if (m != NULL)
			module_free(m);
		return err_set(E_NOMEM, "out of memory");
	}
	m->own = own;
	e = module_load(m);
	if (e == E_OK)
		e = module_init(m);
	if (e != E_OK) {
		module_free(m);
		return e;
	}
	m->next = modules;
	modules = m;
	*out = m;
	return E_OK;
}

enum err
module_open(const char *given, struct token_module **out)
{
	char path[PATH_MAX], real[PATH_MAX];
	bool own = false;
	enum err e = module_path(given, path, real, &own);

	*out = NULL;
	if (e != E_OK)
		return e;
	pthread_mutex_lock(&lock);
	for (struct token_module *m = modules; m != NULL && *out == NULL; m = m->next)
		if (strcmp(m->real, real) == 0)
			*out = m;
	if (*out == NULL)
		e = module_new(path, real, own, out);
	if (e == E_OK)
		(*out)->refs++;
	pthread_mutex_unlock(&lock);
	return e;
}

void
module_close(struct token_module **mp)
{
	struct token_module *m = *mp, **at = &modules;

	*mp = NULL;
	if (m == NULL)
		return;
	pthread_mutex_lock(&lock);
	if (--m->refs == 0) {
		while (*at != m)
			at = &(*at)->next;
		*at = m->next;
		module_free(m);
	}
	pthread_mutex_unlock(&lock);
}
