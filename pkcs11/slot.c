/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Slots (PKCS#11 2.40, 5.5). A slot is a reader, under an id that it keeps for the module's lifetime: a reader that
 * leaves keeps its slot, empty, and a reader of the same name that comes (back) gets it. New slots appear only in
 * C_GetSlotList with a NULL list, as the standard wants.
 *
 * Every reader has a second slot, for a derived PIV application beside the PIV application of one card. Cards that have
 * both are rare, and to look for it costs a command, so that it is looked for only when somebody asks about that slot
 * (C_GetSlotInfo, C_GetTokenInfo, C_OpenSession); until then C_GetSlotList takes it for empty. With derived_slot =
 * always, C_GetSlotList looks by itself.
 *
 * Listing is I/O with the PC/SC service over a connection of its own, so that it never waits for a card: libpcsclite
 * serialises all that goes over one connection. For the same reason each slot has its own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "pkcs11/p11.h"
#include "pkcs11/remote.h"

struct p11_slot *
slot_make(struct p11_module *m, CK_SLOT_ID id)
{
	struct p11_slot *slot = calloc(1, sizeof *slot);

	if (slot == NULL || mutex_init(&slot->lock) != E_OK) {
		free(slot);
		return NULL;
	}
	slot->module = m;
	slot->id = id;
	return slot;
}

static const char *
second_wanted(const struct p11_module *m)
{
	const char *v = conf_str(m->conf, "module", "derived_slot");

	return v != NULL && conf_bool(m->conf, "module", "derived_aid") ? v : "no";
}

static CK_SLOT_ID
reader_count(const struct p11_module *m)
{
	CK_SLOT_ID n = 0;

	for (size_t i = 0; i < m->n_slots; i++)
		n += !m->slot[i]->second;
	return n;
}

static void
slot_new(struct p11_module *m, const struct reader_state *r, CK_SLOT_ID id)
{
	struct p11_slot *slot;

	if (m->n_slots == P11_SLOTS_MAX || (slot = slot_make(m, id)) == NULL)
		return;
	slot->second = id >= P11_SECOND_ID;
	mutex_make_fair(&slot->lock);
	memcpy(slot->reader, r->name, sizeof slot->reader);
	slot->reader[sizeof slot->reader - 1] = '\0';
	/* The bits of C_WaitForSlotEvent start cleared: a card that is there from the start is no event, one in a
	 * reader that comes later is. */
	slot->present = r->present;
	slot->event = 1;
	slot->seen = r->event;
	slot->reported = m->listed && !slot->second ? 0 : 1;
	m->slot[m->n_slots++] = slot;
	log_debug("slot", "id=%lu reader=\"%s\" present=%d", slot->id, slot->reader, r->present);
}

static void
reader_new(struct p11_module *m, const struct reader_state *r)
{
	CK_SLOT_ID id = reader_count(m);

	slot_new(m, r, id);
	if (strcmp(second_wanted(m), "no") != 0)
		slot_new(m, r, P11_SECOND_ID + id);
}

void
slot_free(struct p11_slot *slot)
{
	slot_sessions_close(slot);
	token_free(&slot->token);
	if (slot->readers_open)
		p11_readers_close(&slot->readers);
	remote_free(&slot->remote);
	mutex_destroy(&slot->lock);
	free(slot);
}

static const struct reader_state *
reader_named(const struct reader_list *list, const char *name)
{
	for (size_t i = 0; i < list->n && i < READER_MAX; i++)
		if (strncmp(list->r[i].name, name, READER_NAME_MAX - 1) == 0)
			return &list->r[i];
	return NULL;
}

static bool
slot_named(const struct p11_module *m, const char *name)
{
	for (size_t i = 0; i < m->n_slots; i++)
		if (strncmp(m->slot[i]->reader, name, READER_NAME_MAX - 1) == 0)
			return true;
	return false;
}

static void
slot_update(struct p11_slot *slot, const struct reader_state *r)
{
	bool present = r != NULL && r->present;
	uint32_t seen = r != NULL ? r->event : 0;

	if (present == slot->present && seen == slot->seen)
		return;
	slot->seen = seen;
	atomic_store(&slot->present, present);
	if (slot->second && !atomic_exchange(&slot->known, false))
		slot->reported++; /* nobody was told that it is there */
	atomic_fetch_add(&slot->event, 1);
}

void
slot_known(struct p11_slot *slot, bool there)
{
	if (atomic_exchange(&slot->known, there) == there)
		return;
	mutex_lock(&slot->module->table);
	slot->reported--; /* that is news */
	mutex_unlock(&slot->module->table);
}

bool
slot_shown(const struct p11_slot *slot)
{
	return atomic_load(&slot->present) && (!slot->second || atomic_load(&slot->known));
}

/* Look for it: CKR_OK there, or not; trouble with the card is no answer. */
static void
second_ask(CK_SLOT_ID id)
{
	struct p11_slot *slot;

	if (slot_enter(__func__, id, &slot) != CKR_OK)
		return;
	(void)slot_leave(slot, token_attach(slot));
}

/* C_GetSlotList, when it is to look by itself. */
static void
seconds_ask(struct p11_module *m)
{
	CK_SLOT_ID ids[P11_SLOTS_MAX];
	size_t n = 0;

	mutex_lock(&m->table);
	for (size_t i = 0; i < m->n_slots; i++)
		if (m->slot[i]->second && atomic_load(&m->slot[i]->present))
			ids[n++] = m->slot[i]->id;
	mutex_unlock(&m->table);
	for (size_t i = 0; i < n; i++)
		second_ask(ids[i]);
}

enum err
slots_refresh(struct p11_module *m, bool grow)
{
	struct reader_list list = { .n = 0 };
	enum err e = E_OK;

	mutex_lock(&m->listing);
	if (!m->lister_open && (e = p11_readers_open(&m->lister)) == E_OK)
		m->lister_open = true;
	if (e == E_OK)
		e = m->lister.ops->list(m->lister.ctx, &list);
	if (e != E_OK) /* no service, no readers; not the caller's mistake */
		list.n = 0;
	m->known = list;
	mutex_lock(&m->table);
	for (size_t i = 0; i < m->n_slots; i++)
		slot_update(m->slot[i], reader_named(&list, m->slot[i]->reader));
	for (size_t i = 0; (grow || !m->listed) && i < list.n && i < READER_MAX; i++)
		if (!slot_named(m, list.r[i].name))
			reader_new(m, &list.r[i]);
	m->listed = true;
	mutex_unlock(&m->table);
	mutex_unlock(&m->listing);
	return e;
}

struct p11_slot *
slot_find(struct p11_module *m, CK_SLOT_ID id)
{
	struct p11_slot *slot = NULL;
	bool listed;

	if (id >= P11_REMOTE_ID)
		return id - P11_REMOTE_ID < m->n_remote ? m->remote[id - P11_REMOTE_ID] : NULL;
	mutex_lock(&m->table);
	listed = m->listed;
	mutex_unlock(&m->table);
	if (!listed && slots_refresh(m, true) != E_OK)
		log_info("slots", "error=\"%s\"", err_msg());
	mutex_lock(&m->table);
	for (size_t i = 0; i < m->n_slots && slot == NULL; i++)
		if (m->slot[i]->id == id)
			slot = m->slot[i];
	mutex_unlock(&m->table);
	return slot;
}

CK_RV
slot_enter(const char *where, CK_SLOT_ID id, struct p11_slot **out)
{
	struct p11_module *m;
	struct p11_slot *slot;
	CK_RV rv;

	*out = NULL;
	if ((rv = module_enter(&m)) != CKR_OK)
		return rv;
	if ((slot = slot_find(m, id)) == NULL)
		return module_leave(m, CKR_SLOT_ID_INVALID);
	mutex_lock(&slot->lock);
	slot->where = where;
	*out = slot;
	return CKR_OK;
}

CK_RV
slot_leave(struct p11_slot *slot, CK_RV rv)
{
	struct p11_module *m;

	if (slot == NULL)
		return rv;
	m = slot->module;
	log_debug("p11", "call=%s slot=%lu rv=0x%lx", slot->where, slot->id, rv);
	mutex_unlock(&slot->lock);
	return module_leave(m, rv);
}

static void
slot_count(struct p11_slot *slot, CK_BBOOL present, CK_SLOT_ID *list, CK_ULONG cap, CK_ULONG *count)
{
	if (present && !slot_shown(slot))
		return;
	if (list != NULL && *count < cap)
		list[*count] = slot->id;
	(*count)++;
}

CK_RV
slot_list(struct p11_module *m, CK_BBOOL present, CK_SLOT_ID *list, CK_ULONG *n)
{
	CK_ULONG count = 0;
	bool listed;

	if (n == NULL)
		return CKR_ARGUMENTS_BAD;
	mutex_lock(&m->table);
	listed = m->listed;
	mutex_unlock(&m->table);
	if ((list == NULL || !listed) && slots_refresh(m, true) != E_OK)
		log_info("slots", "error=\"%s\"", err_msg());
	if (present && strcmp(second_wanted(m), "always") == 0)
		seconds_ask(m);
	for (size_t i = 0; present && i < m->n_remote; i++)
		remote_peek(m->remote[i]);
	mutex_lock(&m->table);
	for (size_t i = 0; i < m->n_slots; i++)
		if (!m->slot[i]->second)
			slot_count(m->slot[i], present, list, *n, &count);
	for (size_t i = 0; i < m->n_slots; i++)
		if (m->slot[i]->second)
			slot_count(m->slot[i], present, list, *n, &count);
	mutex_unlock(&m->table);
	for (size_t i = 0; i < m->n_remote; i++)
		slot_count(m->remote[i], present, list, *n, &count);
	if (list != NULL && count > *n) {
		*n = count;
		return CKR_BUFFER_TOO_SMALL;
	}
	*n = count;
	return CKR_OK;
}

CK_RV
slot_info(struct p11_module *m, CK_SLOT_ID id, CK_SLOT_INFO *info)
{
	struct p11_slot *slot = slot_find(m, id);
	char text[READER_NAME_MAX + 16];

	if (slot == NULL)
		return CKR_SLOT_ID_INVALID;
	if (info == NULL)
		return CKR_ARGUMENTS_BAD;
	if (slot->remote != NULL)
		remote_peek(slot);
	else if (slots_refresh(m, false) != E_OK)
		log_info("slots", "error=\"%s\"", err_msg());
	if (slot->second && atomic_load(&slot->present))
		second_ask(id);
	memset(info, 0, sizeof *info);
	snprintf(text, sizeof text, "%s%s", slot->second ? "Derived PIV in " : "", slot->reader);
	text_pad(info->slotDescription, sizeof info->slotDescription, text);
	text_pad(info->manufacturerID, sizeof info->manufacturerID, "dpiv");
	info->flags = CKF_REMOVABLE_DEVICE | (slot_shown(slot) ? CKF_TOKEN_PRESENT : 0);
	if (slot->remote == NULL || atomic_load(&slot->remote->hardware))
		info->flags |= CKF_HW_SLOT;
	return CKR_OK;
}
