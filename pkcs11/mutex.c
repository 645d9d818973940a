/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Locks: see mutex.h. PKCS#11 2.40, 5.4 (C_Initialize): with callbacks and without CKF_OS_LOCKING_OK the application's
 * locks must be used; in every other case this is a pthread mutex. An application lock that fails cannot be reported
 * from where it is taken; the system's lock beneath it, which is taken as well, still keeps the data consistent.
 *
 * A fair one is a ticket lock: whoever comes takes a number, and waits until it is served. Waiters are woken all at
 * once; there are as many as the program has threads in one slot, and the card takes a thousand times longer.
 */
#include <string.h>

#include "pkcs11/mutex.h"

static CK_C_INITIALIZE_ARGS app;

void
mutex_use(const CK_C_INITIALIZE_ARGS *args)
{
	memset(&app, 0, sizeof app);
	if (args != NULL && args->CreateMutex != NULL && (args->flags & CKF_OS_LOCKING_OK) == 0)
		app = *args;
}

enum err
mutex_init(struct p11_mutex *m)
{
	m->app = NULL;
	if (pthread_mutex_init(&m->os, NULL) != 0)
		return err_set(E_NOMEM, "no memory for a lock");
	pthread_cond_init(&m->next, NULL);
	m->taken = m->served = 0;
	m->fair = false;
	if (app.CreateMutex != NULL && app.CreateMutex(&m->app) != CKR_OK) {
		pthread_cond_destroy(&m->next);
		pthread_mutex_destroy(&m->os);
		return err_set(E_NOMEM, "the application made no lock");
	}
	m->plain = m->app == NULL;
	return E_OK;
}

void
mutex_make_fair(struct p11_mutex *m)
{
	m->fair = true;
	m->plain = false;
}

void
mutex_destroy(struct p11_mutex *m)
{
	if (app.DestroyMutex != NULL && m->app != NULL)
		app.DestroyMutex(m->app);
	pthread_cond_destroy(&m->next);
	pthread_mutex_destroy(&m->os);
}

void
mutex_lock_slow(struct p11_mutex *m)
{
	uint64_t ticket;

	if (app.LockMutex != NULL && m->app != NULL)
		app.LockMutex(m->app);
	pthread_mutex_lock(&m->os);
	if (!m->fair)
		return;
	ticket = m->taken++;
	while (m->served != ticket)
		pthread_cond_wait(&m->next, &m->os);
	pthread_mutex_unlock(&m->os);
}

static void
next_served(struct p11_mutex *m)
{
	bool wanted;

	pthread_mutex_lock(&m->os);
	wanted = ++m->served != m->taken;
	pthread_mutex_unlock(&m->os);
	if (wanted)
		pthread_cond_broadcast(&m->next);
}

void
mutex_unlock_slow(struct p11_mutex *m)
{
	if (m->fair)
		next_served(m);
	else
		pthread_mutex_unlock(&m->os);
	if (app.UnlockMutex != NULL && m->app != NULL)
		app.UnlockMutex(m->app);
}

bool
mutex_try(struct p11_mutex *m)
{
	bool free;

	if (m->app != NULL) {
		mutex_lock(m);
		return true;
	}
	if (!m->fair)
		return pthread_mutex_trylock(&m->os) == 0;
	pthread_mutex_lock(&m->os);
	free = m->taken == m->served;
	m->taken += free;
	pthread_mutex_unlock(&m->os);
	return free;
}

bool
mutex_was_free(struct p11_mutex *m)
{
	return m->app == NULL && pthread_mutex_trylock(&m->os) == 0 && m->taken == m->served;
}
