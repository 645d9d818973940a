/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * C_WaitForSlotEvent (PKCS#11 2.40, 5.5): a bit a slot, set by every insertion and removal, cleared when it was told.
 * Holds no lock while it waits, and waits on a PC/SC connection of its own, which C_Finalize cancels. One call at a
 * time: the standard leaves a second one undefined, here it fails.
 */
#include <time.h>

#include "base/log.h"
#include "pkcs11/p11.h"

/* The next slot with news; also marks them as told. */
static bool
event_take(struct p11_module *m, CK_SLOT_ID *slot)
{
	bool found = false;

	mutex_lock(&m->table);
	for (size_t i = 0; i < m->n_slots && !found; i++) {
		uint32_t now = atomic_load(&m->slot[i]->event);

		if (now == m->slot[i]->reported)
			continue;
		m->slot[i]->reported = now;
		*slot = m->slot[i]->id;
		found = true;
	}
	mutex_unlock(&m->table);
	return found;
}

/* One connection for the waiting, and nobody else on it. */
static CK_RV
event_begin(struct p11_module *m)
{
	struct readers waiter;
	CK_RV rv = CKR_OK;
	bool open;

	mutex_lock(&m->table);
	open = m->waiter_open;
	if (m->waiting)
		rv = CKR_FUNCTION_FAILED;
	else
		m->waiting = true;
	mutex_unlock(&m->table);
	if (rv != CKR_OK || open)
		return rv;
	rv = p11_rv(p11_readers_open(&waiter));
	mutex_lock(&m->table);
	if (rv == CKR_OK) {
		m->waiter = waiter;
		m->waiter_open = true;
	} else {
		m->waiting = false;
	}
	mutex_unlock(&m->table);
	return rv;
}

static void
event_end(struct p11_module *m)
{
	mutex_lock(&m->table);
	m->waiting = false;
	mutex_unlock(&m->table);
}

/* Until something changes; without a PC/SC service, until it may be worth asking again. */
static void
event_sleep(struct p11_module *m)
{
	const struct timespec pause = { .tv_nsec = 300 * 1000 * 1000 };
	struct reader_list known;
	enum err e;

	mutex_lock(&m->listing);
	known = m->known;
	mutex_unlock(&m->listing);
	e = m->waiter.ops->wait(m->waiter.ctx, &known, -1);
	if (e != E_OK && e != E_BUSY && e != E_CANCELED)
		nanosleep(&pause, NULL);
	if (slots_refresh(m, true) != E_OK)
		log_info("slots", "error=\"%s\"", err_msg());
}

static CK_RV
event_block(struct p11_module *m, CK_SLOT_ID *slot)
{
	CK_RV rv;

	if ((rv = event_begin(m)) != CKR_OK)
		return rv;
	while (!event_take(m, slot)) {
		if (module_closing(m)) {
			rv = CKR_CRYPTOKI_NOT_INITIALIZED;
			break;
		}
		event_sleep(m);
	}
	event_end(m);
	return rv;
}

CK_RV
event_wait(struct p11_module *m, CK_FLAGS flags, CK_SLOT_ID *slot, void *reserved)
{
	bool listed;

	if (slot == NULL || reserved != NULL)
		return CKR_ARGUMENTS_BAD;
	mutex_lock(&m->table);
	listed = m->listed;
	mutex_unlock(&m->table);
	/* The first look is what later ones are compared with. */
	if ((!listed || (flags & CKF_DONT_BLOCK) != 0) && slots_refresh(m, true) != E_OK)
		log_info("slots", "error=\"%s\"", err_msg());
	if ((flags & CKF_DONT_BLOCK) != 0)
		return event_take(m, slot) ? CKR_OK : CKR_NO_EVENT;
	return event_block(m, slot);
}
