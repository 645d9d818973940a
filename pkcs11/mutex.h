/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_PKCS11_MUTEX_H
#define DPIV_PKCS11_MUTEX_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "pkcs11/cryptoki3.h"

/*
 * A lock of the operating system, or the application's own when C_Initialize insists on that (PKCS#11 2.40, 5.4:
 * callbacks without CKF_OS_LOCKING_OK). Locks are always taken, also after C_Initialize(NULL): programs that promised
 * a single thread call from several all the same. Threads get a fair one in the order in which they came: one that
 * signs in a loop lets go of its card only for a moment, in which those that sleep would never be awake. The others are
 * held for moments only, and order would cost more than it gives.
 */
struct p11_mutex {
	pthread_mutex_t os; /* of a fair one: guards the two numbers, and is never held for long */
	bool fair;
	bool plain; /* neither fair nor the application's: pthread_mutex_lock() is all */
	pthread_cond_t next;
	uint64_t taken, served;
	void *app;
};

/* From the next mutex_init() on; all NULL: the system's. Called only while there are no locks. */
void mutex_use(const CK_C_INITIALIZE_ARGS *args);
enum err mutex_init(struct p11_mutex *m) MUST_CHECK;
void mutex_make_fair(struct p11_mutex *m); /* before it is first taken */
void mutex_destroy(struct p11_mutex *m);
void mutex_lock_slow(struct p11_mutex *m);
void mutex_unlock_slow(struct p11_mutex *m);
/* In a forked child: was it free when the parent forked? (False for an application's lock: it cannot tell.) */
bool mutex_was_free(struct p11_mutex *m);
/* Take it when it is free; an application's lock is waited for (it has no such call). */
bool mutex_try(struct p11_mutex *m);

/* Inline: in a slot whose token is another module's, every call takes three of these and little else. */
static inline void
mutex_lock(struct p11_mutex *m)
{
	if (m->plain)
		pthread_mutex_lock(&m->os);
	else
		mutex_lock_slow(m);
}

static inline void
mutex_unlock(struct p11_mutex *m)
{
	if (m->plain)
		pthread_mutex_unlock(&m->os);
	else
		mutex_unlock_slow(m);
}

#endif
