/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * C_Initialize, C_Finalize, and what lies between (PKCS#11 2.40, 5.4 and 6.6.1).
 *
 * One module object a process. It is found at the entrance, and every call counts itself in and out, so that
 * C_Finalize, which closes the entrance, can wait for calls in other threads instead of pulling the ground from under
 * them; a call that waits for slot events is woken. All else is bounded by the card.
 *
 * Fork: the pid is compared, nothing is registered with the host. In a child every call says
 * CKR_CRYPTOKI_NOT_INITIALIZED until the child's own C_Initialize, which drops what it inherited without a word to the
 * reader; the secrets in it were wiped by the kernel. What a thread of the parent had locked when it forked may be
 * half-changed and is left alone.
 *
 * OpenSSL's library context is the one of hw/: not the host's, and kept as long as the process lives, since making one
 * costs more than the rest of C_Initialize.
 */
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "hw/crypto.h"
#include "hw/replay.h"
#include "pkcs11/ask.h"
#include "pkcs11/p11.h"
#include "pkcs11/remote.h"

static pthread_mutex_t boot = PTHREAD_MUTEX_INITIALIZER;
static _Atomic pid_t owner; /* process that initialised, 0 none */
static struct p11_module *current;
static _Atomic(struct p11_module *) entrance; /* current, as long as calls may come in */
static _Atomic unsigned inflight;	      /* calls inside the module */
static struct readers injected;

void
p11_readers_override(const struct readers *readers)
{
	injected = readers != NULL ? *readers : (struct readers){ NULL, NULL };
}

/* DPIV_REPLAY: a trace instead of readers, for as long as the process lives; one that cannot be read is no reader at
 * all, not the real ones. */
static enum err
replay_begin(void)
{
	const char *path = secure_getenv("DPIV_REPLAY");

	if (path == NULL || injected.ops != NULL)
		return E_OK;
	return replay_open(path, &injected);
}

enum err
p11_readers_open(struct readers *out)
{
	enum err e;

	if ((e = replay_begin()) != E_OK)
		return e;
	if (injected.ops == NULL)
		return pcsc_open(out);
	*out = injected;
	return E_OK;
}

void
p11_readers_close(struct readers *r)
{
	if (r->ops != NULL && r->ops != injected.ops)
		pcsc_close(r);
	*r = (struct readers){ NULL, NULL };
}

CK_RV
module_enter(struct p11_module **out)
{
	CK_RV rv = CKR_CRYPTOKI_NOT_INITIALIZED;

	*out = NULL;
	if (atomic_load(&owner) != getpid())
		return rv;
	/* First counted, then looked: C_Finalize closes the entrance, then looks at the count. */
	atomic_fetch_add(&inflight, 1);
	if ((*out = atomic_load(&entrance)) != NULL)
		return CKR_OK;
	atomic_fetch_sub(&inflight, 1);
	return rv;
}

CK_RV
module_leave(struct p11_module *m, CK_RV rv)
{
	if (m == NULL)
		return rv;
	atomic_fetch_sub(&inflight, 1);
	return rv;
}

bool
module_closing(struct p11_module *m)
{
	return atomic_load(&entrance) != m;
}

uint64_t
handle_new(struct p11_module *m)
{
	uint64_t h;

	mutex_lock(&m->table);
	h = m->next_handle++;
	mutex_unlock(&m->table);
	return h;
}

static void
module_free(struct p11_module *m)
{
	for (size_t i = 0; i < m->n_slots; i++)
		slot_free(m->slot[i]);
	for (size_t i = 0; i < m->n_remote; i++)
		slot_free(m->remote[i]);
	if (m->lister_open)
		p11_readers_close(&m->lister);
	if (m->waiter_open)
		p11_readers_close(&m->waiter);
	conf_free(&m->conf);
	mutex_destroy(&m->table);
	mutex_destroy(&m->listing);
	free(m);
}

/* In the child: the parent's module. */
static void
module_forget(struct p11_module *m)
{
	for (size_t i = 0; m != NULL && i < m->n_slots; i++) {
		struct p11_slot *slot = m->slot[i];

		if (!mutex_was_free(&slot->lock))
			continue;
		token_forget(slot->token);
		if (slot->readers_open && slot->readers.ops != injected.ops)
			pcsc_forget(&slot->readers);
	}
	for (size_t i = 0; m != NULL && i < m->n_remote; i++)
		remote_forget(m->remote[i]->remote);
	if (m != NULL && m->lister_open && m->lister.ops != injected.ops)
		pcsc_forget(&m->lister);
	if (m != NULL && m->waiter_open && m->waiter.ops != injected.ops)
		pcsc_forget(&m->waiter);
}

static void
child_reset(void)
{
	pid_t before = atomic_load(&owner);
	pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;
	struct p11_module *m = current;

	if (before == 0 || before == getpid() || !atomic_compare_exchange_strong(&owner, &before, 0))
		return;
	boot = fresh;
	current = NULL;
	atomic_store(&entrance, NULL);
	atomic_store(&inflight, 0);
	module_forget(m);
}

static CK_RV
args_check(const CK_C_INITIALIZE_ARGS *a)
{
	int given;

	if (a == NULL)
		return CKR_OK;
	given =
	    (a->CreateMutex != NULL) + (a->DestroyMutex != NULL) + (a->LockMutex != NULL) + (a->UnlockMutex != NULL);
	return a->pReserved != NULL || (given != 0 && given != 4) ? CKR_ARGUMENTS_BAD : CKR_OK;
}

static CK_RV
module_new(struct p11_module **out)
{
	struct p11_module *m = calloc(1, sizeof *m);

	if (m == NULL)
		return CKR_HOST_MEMORY;
	if (mutex_init(&m->table) != E_OK) {
		free(m);
		return CKR_CANT_LOCK;
	}
	if (mutex_init(&m->listing) != E_OK) {
		mutex_destroy(&m->table);
		free(m);
		return CKR_CANT_LOCK;
	}
	if ((m->lib = hw_crypto()) == NULL) {
		module_free(m);
		return CKR_HOST_MEMORY;
	}
	m->next_handle = 1;
	/* A mistake in the user's file must not take the keys away from every program: defaults, which are the strict
	 * choice, and a line in the log. */
	if (conf_load(&m->conf) != E_OK)
		log_error("config", "module=pkcs11 error=\"%s\"", err_msg());
	remotes_make(m);
	*out = m;
	return CKR_OK;
}

CK_RV
p11_initialize(void *args)
{
	CK_RV rv;

	child_reset();
	if ((rv = args_check(args)) != CKR_OK)
		return rv;
	pthread_mutex_lock(&boot);
	if (current != NULL) {
		rv = CKR_CRYPTOKI_ALREADY_INITIALIZED;
	} else {
		mutex_use(args);
		if ((rv = module_new(&current)) == CKR_OK) {
			atomic_store(&entrance, current);
			atomic_store(&owner, getpid());
		}
	}
	pthread_mutex_unlock(&boot);
	log_debug("p11", "call=C_Initialize rv=0x%lx", rv);
	return rv;
}

/* Wait for the calls that are inside; wake the one that waits for events, again and again, since it may be just about
 * to wait, and those that wait for the user. */
static void
module_drain(struct p11_module *m)
{
	const struct timespec pause = { .tv_nsec = 2 * 1000 * 1000 };
	bool cancel;
	size_t n;

	while (atomic_load(&inflight) > 0) {
		mutex_lock(&m->table);
		cancel = m->waiting && m->waiter_open;
		n = m->n_slots;
		mutex_unlock(&m->table);
		if (cancel)
			m->waiter.ops->cancel(m->waiter.ctx);
		for (size_t i = 0; i < n; i++) /* slots stay where they are */
			ask_interrupt(m->slot[i], 0);
		nanosleep(&pause, NULL);
	}
}

CK_RV
p11_finalize(void *reserved)
{
	struct p11_module *m;

	if (atomic_load(&owner) != getpid())
		return CKR_CRYPTOKI_NOT_INITIALIZED;
	if (reserved != NULL)
		return CKR_ARGUMENTS_BAD;
	pthread_mutex_lock(&boot);
	if ((m = current) == NULL || module_closing(m)) {
		pthread_mutex_unlock(&boot);
		return CKR_CRYPTOKI_NOT_INITIALIZED;
	}
	atomic_store(&entrance, NULL);
	pthread_mutex_unlock(&boot);
	module_drain(m);
	/* OpenSSL may be gone already when a program's exit handlers call this: then its objects are left alone. */
	if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) == 1)
		module_free(m);
	pthread_mutex_lock(&boot);
	current = NULL;
	atomic_store(&owner, 0);
	pthread_mutex_unlock(&boot);
	log_debug("p11", "call=C_Finalize rv=0x0");
	return CKR_OK;
}
