/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The objects of a token and their handles. Objects of credentials come into being when something finds them; profile
 * objects are there from the start; session objects belong to a session. A handle is never used twice. What is private
 * (PKCS#11 2.40, 4.2) cannot be seen without login, and C_Logout ends the handles of private objects.
 */
#include <stdlib.h>
#include <string.h>

#include "pkcs11/p11.h"
#include "pkcs11/remote.h"

static void
object_free(struct p11_object *o)
{
	store_free(&o->store);
	secret_free(&o->value);
	free(o);
}

struct p11_object *
object_new(struct p11_slot *slot, enum p11_kind kind)
{
	struct p11_token *t = slot->token;
	struct p11_object *o, **grown;
	size_t cap = t->cap_obj == 0 ? 32 : t->cap_obj * 2;

	if (t->n_obj == P11_OBJECTS_MAX)
		return NULL;
	if (t->n_obj == t->cap_obj) {
		if ((grown = reallocarray(t->obj, cap, sizeof(*grown))) == NULL)
			return NULL;
		t->obj = grown;
		t->cap_obj = cap;
	}
	if ((o = calloc(1, sizeof *o)) == NULL)
		return NULL;
	o->kind = kind;
	o->handle = handle_new(slot->module);
	t->obj[t->n_obj++] = o;
	return o;
}

bool
object_is_private(const struct p11_object *o)
{
	if (o->kind == KIND_PRIVATE)
		return cred_needs_pin(o->cred);
	if ((o->kind & (KIND_CERT | KIND_PUBLIC)) != 0)
		return o->cred->remote != NULL && o->cred->remote->hidden;
	if (o->kind == KIND_DATA)
		return o->data->row->pin;
	return o->kind == KIND_STORED && store_bool(&o->store, CKA_PRIVATE);
}

bool
object_is_visible(const struct p11_token *t, const struct p11_object *o)
{
	/* Programs look at the key that they have just made. */
	if (t->so == SO_ADMIN && o->kind == KIND_PRIVATE && o->cred->state == CRED_KEY)
		return true;
	return t->user || !object_is_private(o);
}

struct p11_object *
object_find(struct p11_session *s, CK_OBJECT_HANDLE h)
{
	struct p11_token *t = s->slot->token;

	for (size_t i = t->n_obj; i > 0; i--)
		if (t->obj[i - 1]->handle == h)
			return object_is_visible(t, t->obj[i - 1]) ? t->obj[i - 1] : NULL;
	return NULL;
}

struct p11_object *
object_of_cred(struct p11_slot *slot, struct p11_cred *c, enum p11_kind kind)
{
	struct p11_token *t = slot->token;
	struct p11_object *o;

	for (size_t i = 0; i < t->n_obj; i++)
		if (t->obj[i]->kind == kind && t->obj[i]->cred == c)
			return t->obj[i];
	if ((o = object_new(slot, kind)) != NULL)
		o->cred = c;
	return o;
}

struct p11_object *
object_of_data(struct p11_slot *slot, struct p11_data *d)
{
	struct p11_token *t = slot->token;
	struct p11_object *o;

	for (size_t i = 0; i < t->n_obj; i++)
		if (t->obj[i]->kind == KIND_DATA && t->obj[i]->data == d)
			return t->obj[i];
	if ((o = object_new(slot, KIND_DATA)) != NULL)
		o->data = d;
	return o;
}

/* --- the end of objects --- */

void
objects_drop(struct p11_token *t, bool (*which)(const struct p11_object *, const void *), const void *arg)
{
	size_t kept = 0;

	for (size_t i = 0; i < t->n_obj; i++) {
		if (which(t->obj[i], arg))
			object_free(t->obj[i]);
		else
			t->obj[kept++] = t->obj[i];
	}
	t->n_obj = kept;
}

static bool
of_session(const struct p11_object *o, const void *arg)
{
	const CK_SESSION_HANDLE *owner = arg;

	return o->kind == KIND_STORED && (*owner == CK_INVALID_HANDLE || o->owner == *owner);
}

static bool
is_private(const struct p11_object *o, const void *arg)
{
	(void)arg;
	return object_is_private(o);
}

static bool
is_this(const struct p11_object *o, const void *arg)
{
	return o == arg;
}

static bool
any(const struct p11_object *o, const void *arg)
{
	(void)o;
	(void)arg;
	return true;
}

void
objects_drop_session(struct p11_token *t, CK_SESSION_HANDLE owner)
{
	objects_drop(t, of_session, &owner);
}

void
objects_drop_private(struct p11_token *t)
{
	objects_drop(t, is_private, NULL);
}

void
objects_free(struct p11_token *t)
{
	objects_drop(t, any, NULL);
	free(t->obj);
	t->obj = NULL;
	t->cap_obj = 0;
}

void
object_discard(struct p11_token *t, struct p11_object *o)
{
	objects_drop(t, is_this, o);
}

/* --- C_GetAttributeValue, C_DestroyObject, C_GetObjectSize --- */

static CK_RV
answer(CK_ATTRIBUTE *a, CK_RV rv, struct span value)
{
	if (rv != CKR_OK) {
		a->ulValueLen = CK_UNAVAILABLE_INFORMATION;
		return rv;
	}
	if (a->pValue == NULL) {
		a->ulValueLen = value.n;
		return CKR_OK;
	}
	if (a->ulValueLen < value.n) {
		a->ulValueLen = CK_UNAVAILABLE_INFORMATION;
		return CKR_BUFFER_TOO_SMALL;
	}
	if (value.n > 0)
		memcpy(a->pValue, value.p, value.n);
	a->ulValueLen = value.n;
	return CKR_OK;
}

/* A data object's value is read from the card when it is asked for, and then kept. */
static CK_RV
value_ready(struct p11_slot *slot, struct p11_object *o, const CK_ATTRIBUTE *tmpl, CK_ULONG n)
{
	enum err e;

	if (o->kind == KIND_PRIVATE)
		return token_result(slot, policy_ready(slot, o->cred, tmpl, n));
	if (o->kind != KIND_DATA || template_find(tmpl, n, CKA_VALUE) == NULL)
		return CKR_OK;
	if ((e = data_load(slot, o->data)) != E_OK)
		return token_result(slot, e);
	return o->data->state == DATA_READ ? CKR_OK : CKR_OBJECT_HANDLE_INVALID;
}

/* One attribute; whether a PIN-always key needs another PIN depends on who asks, and when: see fresh.c. */
static CK_RV
value_get(
    struct p11_session *s, struct p11_object *o, const CK_ATTRIBUTE *tmpl, CK_ULONG n, CK_ULONG i, struct wbuf *value)
{
	if (tmpl[i].type == CKA_ALWAYS_AUTHENTICATE && o->kind == KIND_PRIVATE && cred_pin_always(o->cred) &&
	    fresh_promise(s, o->cred, tmpl, n, &tmpl[i])) {
		wbuf_u8(value, CK_FALSE);
		return CKR_OK;
	}
	return attr_get(s->slot->token, o, tmpl[i].type, value);
}

CK_RV
object_value_ready(struct p11_slot *slot, struct p11_object *o)
{
	static const CK_ATTRIBUTE value = { CKA_VALUE, NULL, 0 };

	return value_ready(slot, o, &value, 1);
}

/* All rows are answered; of several complaints the first is told. */
CK_RV
object_get(struct p11_session *s, CK_OBJECT_HANDLE h, CK_ATTRIBUTE *tmpl, CK_ULONG n)
{
	struct p11_object *o = object_find(s, h);
	CK_RV rv, worst = CKR_OK;

	if (o == NULL)
		return CKR_OBJECT_HANDLE_INVALID;
	if (tmpl == NULL || n == 0)
		return CKR_ARGUMENTS_BAD;
	if (o->kind == KIND_PRIVATE && template_find(tmpl, n, CKA_DPIV_MOVABLE) != NULL &&
	    (rv = move_ready(s)) != CKR_OK)
		return rv;
	if ((rv = value_ready(s->slot, o, tmpl, n)) != CKR_OK)
		return rv;
	for (CK_ULONG i = 0; i < n; i++) {
		WBUF_AUTO value;

		wbuf_init(&value, P11_VALUE_MAX);
		rv = value_get(s, o, tmpl, n, i, &value);
		if (rv == CKR_OK && value.bad)
			rv = CKR_HOST_MEMORY;
		rv = answer(&tmpl[i], rv, wbuf_view(&value));
		if (worst == CKR_OK)
			worst = rv;
	}
	return worst;
}

CK_RV
object_destroy(struct p11_session *s, CK_OBJECT_HANDLE h)
{
	struct p11_object *o = object_find(s, h);

	if (o == NULL)
		return CKR_OBJECT_HANDLE_INVALID;
	if (o->kind != KIND_STORED)
		return write_destroy(s, o);
	if (!store_bool(&o->store, CKA_DESTROYABLE))
		return CKR_ACTION_PROHIBITED;
	object_discard(s->slot->token, o);
	return CKR_OK;
}

CK_RV
object_size(struct p11_session *s, CK_OBJECT_HANDLE h, CK_ULONG *size)
{
	if (object_find(s, h) == NULL)
		return CKR_OBJECT_HANDLE_INVALID;
	if (size == NULL)
		return CKR_ARGUMENTS_BAD;
	*size = CK_UNAVAILABLE_INFORMATION;
	return CKR_OK;
}
