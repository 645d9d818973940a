/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sessions (PKCS#11 2.40, 5.6), and the way in and out of every call that has one.
 *
 * Enter: find the handle and pin it under the table lock, let that go, take the slot's lock, look at `closed` again.
 * So a close in another thread never frees what a call uses, and a call that waited behind the close finds out. Leave:
 * unlock, unpin, free when it was the last.
 */
#include <stdlib.h>

#include "base/log.h"
#include "pkcs11/ask.h"
#include "pkcs11/p11.h"
#include "pkcs11/remote.h"

static void
session_free(struct p11_session *s)
{
	find_end(&s->find);
	for (int k = 0; k < OP_KINDS; k++)
		op_end(&s->op[k]);
	if (s->slot->remote != NULL) {
		remote_session_close(s);
		mutex_destroy(&s->own);
	}
	free(s);
}

static struct p11_session *
session_pin(struct p11_module *m, CK_SESSION_HANDLE h)
{
	struct p11_session *s;

	mutex_lock(&m->table);
	for (s = m->bucket[h % P11_BUCKETS]; s != NULL && s->handle != h; s = s->next)
		;
	if (s != NULL)
		atomic_fetch_add(&s->refs, 1);
	mutex_unlock(&m->table);
	return s;
}

static void
session_unpin(struct p11_session *s)
{
	if (atomic_fetch_sub(&s->refs, 1) == 1)
		session_free(s);
}

static CK_RV
session_exit(struct p11_session *s, CK_RV rv)
{
	struct p11_slot *slot = s->slot;
	struct p11_module *m = slot->module;

	mutex_unlock(&slot->lock);
	if (slot->remote != NULL)
		mutex_unlock(&s->own);
	session_unpin(s);
	return module_leave(m, rv);
}

/* The card is out: any error ends an operation (PKCS#11 2.40, 5.2), and this one comes before op.c sees the call. */
static void
session_ops_lost(struct p11_session *s)
{
	for (int k = 0; k < OP_KINDS; k++)
		if (s->op[k].cred != NULL)
			op_end(&s->op[k]);
}

CK_RV
p11_enter(const char *where, CK_SESSION_HANDLE h, enum p11_need need, struct p11_session **out)
{
	struct p11_module *m;
	struct p11_session *s;
	CK_RV rv;

	*out = NULL;
	if ((rv = module_enter(&m)) != CKR_OK)
		return rv;
	if ((s = session_pin(m, h)) == NULL)
		return module_leave(m, CKR_SESSION_HANDLE_INVALID);
	if (s->slot->remote != NULL)
		mutex_lock(&s->own);
	mutex_lock(&s->slot->lock);
	s->slot->where = where;
	if (s->closed)
		rv = CKR_SESSION_HANDLE_INVALID;
	else if (need == NEED_TOKEN && (rv = token_check(s->slot)) != CKR_OK)
		session_ops_lost(s);
	if (rv != CKR_OK)
		return session_exit(s, rv);
	*out = s;
	return CKR_OK;
}

CK_RV
p11_leave(struct p11_session *s, CK_RV rv)
{
	if (s == NULL)
		return rv;
	log_debug("p11", "call=%s session=%lu rv=0x%lx", s->slot->where, s->handle, rv);
	return session_exit(s, rv);
}

void
session_interrupt(CK_SESSION_HANDLE h)
{
	struct p11_module *m;
	struct p11_session *s;

	if (module_enter(&m) != CKR_OK)
		return;
	if ((s = session_pin(m, h)) != NULL) {
		ask_interrupt(s->slot, h);
		session_unpin(s);
	}
	(void)module_leave(m, CKR_OK);
}

void
slot_interrupt(CK_SLOT_ID id)
{
	struct p11_module *m;
	struct p11_slot *slot;

	if (module_enter(&m) != CKR_OK)
		return;
	if ((slot = slot_find(m, id)) != NULL)
		ask_interrupt(slot, 0);
	(void)module_leave(m, CKR_OK);
}

CK_RV
session_open(struct p11_slot *slot, CK_FLAGS flags, CK_SESSION_HANDLE *out)
{
	struct p11_module *m = slot->module;
	struct p11_session *s, **head;
	CK_RV rv;

	if (out == NULL)
		return CKR_ARGUMENTS_BAD;
	if ((flags & CKF_SERIAL_SESSION) == 0)
		return CKR_SESSION_PARALLEL_NOT_SUPPORTED;
	if ((rv = token_attach(slot)) != CKR_OK)
		return rv;
	if (slot->token->so != SO_NONE && (flags & CKF_RW_SESSION) == 0)
		return CKR_SESSION_READ_WRITE_SO_EXISTS;
	if ((s = calloc(1, sizeof *s)) == NULL)
		return CKR_HOST_MEMORY;
	s->slot = slot;
	s->flags = flags;
	s->refs = 1;
	if (slot->remote != NULL && mutex_init(&s->own) != E_OK) {
		free(s);
		return CKR_HOST_MEMORY;
	}
	mutex_lock(&m->table);
	s->handle = m->next_handle++;
	head = &m->bucket[s->handle % P11_BUCKETS];
	s->next = *head;
	*head = s;
	slot->sessions++;
	if ((flags & CKF_RW_SESSION) != 0)
		slot->rw_sessions++;
	*out = s->handle;
	mutex_unlock(&m->table);
	return CKR_OK;
}

/* Out of the table; table lock held. Says whether nobody is inside it any more. */
static bool
session_unlink(struct p11_session **at)
{
	struct p11_session *s = *at;

	*at = s->next;
	s->closed = true;
	s->slot->sessions--;
	if ((s->flags & CKF_RW_SESSION) != 0)
		s->slot->rw_sessions--;
	return atomic_fetch_sub(&s->refs, 1) == 1;
}

/* Closing the last session logs out (PKCS#11 2.40, 5.6, C_CloseSession). */
static void
last_session_logout(struct p11_slot *slot)
{
	unsigned left;

	mutex_lock(&slot->module->table);
	left = slot->sessions;
	mutex_unlock(&slot->module->table);
	if (left == 0 && slot->token != NULL)
		token_logout(slot->token, true);
}

CK_RV
session_close(struct p11_session *s)
{
	struct p11_slot *slot = s->slot;
	struct p11_session **at;

	mutex_lock(&slot->module->table);
	for (at = &slot->module->bucket[s->handle % P11_BUCKETS]; *at != NULL && *at != s; at = &(*at)->next)
		;
	if (*at != NULL)
		session_unlink(at);
	mutex_unlock(&slot->module->table);
	if (slot->token != NULL)
		objects_drop_session(slot->token, s->handle);
	last_session_logout(slot);
	return CKR_OK;
}

void
slot_sessions_close(struct p11_slot *slot)
{
	struct p11_session *done = NULL, *s, **at;

	mutex_lock(&slot->module->table);
	for (size_t b = 0; b < P11_BUCKETS; b++)
		for (at = &slot->module->bucket[b]; (s = *at) != NULL;) {
			if (s->slot != slot) {
				at = &s->next;
			} else if (session_unlink(at)) {
				s->next = done;
				done = s;
			}
		}
	mutex_unlock(&slot->module->table);
	while ((s = done) != NULL) {
		done = s->next;
		session_free(s);
	}
	if (slot->token != NULL) {
		objects_drop_session(slot->token, CK_INVALID_HANDLE);
		token_logout(slot->token, true);
	}
}

void
slot_ops_end(struct p11_slot *slot, const struct p11_cred *c)
{
	struct p11_module *m = slot->module;

	mutex_lock(&m->table);
	for (size_t b = 0; b < P11_BUCKETS; b++)
		for (struct p11_session *s = m->bucket[b]; s != NULL; s = s->next)
			for (int k = 0; s->slot == slot && k < OP_KINDS; k++)
				if (s->op[k].cred == c)
					op_end(&s->op[k]);
	mutex_unlock(&m->table);
}

struct p11_op *
slot_op_signing(struct p11_slot *slot, const struct p11_cred *c)
{
	struct p11_module *m = slot->module;
	struct p11_op *found = NULL;
	unsigned n = 0;

	mutex_lock(&m->table);
	for (size_t b = 0; b < P11_BUCKETS; b++)
		for (struct p11_session *s = m->bucket[b]; s != NULL; s = s->next)
			if (s->slot == slot && s->op[OP_SIGN].active && s->op[OP_SIGN].cred == c) {
				found = &s->op[OP_SIGN];
				n++;
			}
	mutex_unlock(&m->table);
	return n == 1 ? found : NULL;
}

void
slot_pins_end(struct p11_slot *slot)
{
	struct p11_module *m = slot->module;

	mutex_lock(&m->table);
	for (size_t b = 0; b < P11_BUCKETS; b++)
		for (struct p11_session *s = m->bucket[b]; s != NULL; s = s->next)
			for (int k = 0; s->slot == slot && k < OP_KINDS; k++) {
				secret_free(&s->op[k].pin);
				s->op[k].context_login = s->op[k].promised = s->op[k].pad = false;
			}
	mutex_unlock(&m->table);
}

bool
slot_has_ro_session(struct p11_slot *slot)
{
	bool ro;

	mutex_lock(&slot->module->table);
	ro = slot->sessions > slot->rw_sessions;
	mutex_unlock(&slot->module->table);
	return ro;
}

CK_RV
session_info(struct p11_session *s, CK_SESSION_INFO *info)
{
	bool rw = (s->flags & CKF_RW_SESSION) != 0;

	if (info == NULL)
		return CKR_ARGUMENTS_BAD;
	info->slotID = s->slot->id;
	info->flags = s->flags & (CKF_RW_SESSION | CKF_SERIAL_SESSION);
	info->ulDeviceError = 0;
	if (s->slot->token->so != SO_NONE)
		info->state = CKS_RW_SO_FUNCTIONS;
	else if (s->slot->token->user)
		info->state = rw ? CKS_RW_USER_FUNCTIONS : CKS_RO_USER_FUNCTIONS;
	else
		info->state = rw ? CKS_RW_PUBLIC_SESSION : CKS_RO_PUBLIC_SESSION;
	return CKR_OK;
}

/* PKCS#11 2.40, 5.6, C_GetOperationState: there is nothing to save, or it cannot be. */
CK_RV
session_state(struct p11_session *s, const CK_ULONG *n)
{
	if (n == NULL)
		return CKR_ARGUMENTS_BAD;
	for (int k = 0; k < OP_KINDS; k++)
		if (s->op[k].active)
			return CKR_STATE_UNSAVEABLE;
	return s->find.active ? CKR_STATE_UNSAVEABLE : CKR_OPERATION_NOT_INITIALIZED;
}

CK_RV
session_cancel(struct p11_session *s, CK_FLAGS flags)
{
	static const CK_FLAGS by_kind[OP_KINDS] = {
		[OP_DIGEST] = CKF_DIGEST,
		[OP_SIGN] = CKF_SIGN,
		[OP_VERIFY] = CKF_VERIFY,
		[OP_ENCRYPT] = CKF_ENCRYPT,
		[OP_DECRYPT] = CKF_DECRYPT,
	};

	for (int k = 0; k < OP_KINDS; k++)
		if ((flags & by_kind[k]) != 0)
			op_end(&s->op[k]);
	if ((flags & CKF_FIND_OBJECTS) != 0)
		find_end(&s->find);
	return CKR_OK;
}
