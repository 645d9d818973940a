/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * C_SetAttributeValue and C_CopyObject (PKCS#11 2.40, 5.7). Session objects change in what the standard lets change,
 * and become more secret, never less. Of the card's objects a certificate and a data object take another value, with
 * the management key, certificates and keys another label, for as long as this process has the token; another CKA_ID
 * moves a private key, where the card can (move.c); every other attribute is what the card has, and may only be set to
 * what it is. A copy is always a session object: the card has no second place for the same thing.
 */
#include <stdio.h>
#include <string.h>

#include "pkcs11/p11.h"

enum latch { FREE, ON_ONLY, OFF_ONLY };
enum { SECRET = 1, DATA = 2, CERT = 4, ALL = 7 };

/* What may be set; a latch, once in its place, stays. */
static const struct settable {
	CK_ATTRIBUTE_TYPE type;
	bool boolean;
	enum latch latch;
	unsigned kinds;
} settable[] = {
	{ CKA_LABEL, false, FREE, ALL },
	{ CKA_ID, false, FREE, SECRET | CERT },
	{ CKA_START_DATE, false, FREE, SECRET },
	{ CKA_END_DATE, false, FREE, SECRET },
	{ CKA_APPLICATION, false, FREE, DATA },
	{ CKA_OBJECT_ID, false, FREE, DATA },
	{ CKA_VALUE, false, FREE, DATA },
	{ CKA_ENCRYPT, true, FREE, SECRET },
	{ CKA_DECRYPT, true, FREE, SECRET },
	{ CKA_SIGN, true, FREE, SECRET },
	{ CKA_VERIFY, true, FREE, SECRET },
	{ CKA_WRAP, true, FREE, SECRET },
	{ CKA_UNWRAP, true, FREE, SECRET },
	{ CKA_DERIVE, true, FREE, SECRET },
	{ CKA_SENSITIVE, true, ON_ONLY, SECRET },
	{ CKA_WRAP_WITH_TRUSTED, true, ON_ONLY, SECRET },
	{ CKA_EXTRACTABLE, true, OFF_ONLY, SECRET },
};

/* What may be set besides, on a copy. */
static const struct settable of_copy[] = {
	{ CKA_TOKEN, true, FREE, ALL },
	{ CKA_PRIVATE, true, ON_ONLY, ALL },
	{ CKA_MODIFIABLE, true, FREE, ALL },
	{ CKA_DESTROYABLE, true, FREE, ALL },
	{ CKA_COPYABLE, true, OFF_ONLY, ALL },
};

static unsigned
kind_of(const struct p11_object *o)
{
	if (o->kind == KIND_CERT)
		return CERT;
	if (o->kind == KIND_DATA)
		return DATA;
	switch (store_ulong(&o->store, CKA_CLASS)) {
	case CKO_SECRET_KEY: return SECRET;
	case CKO_CERTIFICATE: return CERT;
	default: return DATA;
	}
}

static const struct settable *
row_of(const struct settable *rows, size_t n, CK_ATTRIBUTE_TYPE type, unsigned kind)
{
	for (size_t i = 0; i < n; i++)
		if (rows[i].type == type && (rows[i].kinds & kind) != 0)
			return &rows[i];
	return NULL;
}

static CK_RV
row_check(const struct p11_token *t, const struct p11_object *o, const CK_ATTRIBUTE *a, bool copy)
{
	const struct settable *row = row_of(settable, sizeof settable / sizeof settable[0], a->type, kind_of(o));
	WBUF_AUTO present = { 0 };
	CK_BBOOL set;

	if (row == NULL && copy)
		row = row_of(of_copy, sizeof of_copy / sizeof of_copy[0], a->type, kind_of(o));
	wbuf_init(&present, P11_VALUE_MAX);
	if (row == NULL && attr_get(t, o, a->type, &present) == CKR_ATTRIBUTE_TYPE_INVALID)
		return CKR_ATTRIBUTE_TYPE_INVALID;
	if (row == NULL)
		return CKR_ATTRIBUTE_READ_ONLY;
	if (!row->boolean)
		return CKR_OK;
	if (a->ulValueLen != sizeof set)
		return CKR_ATTRIBUTE_VALUE_INVALID;
	memcpy(&set, a->pValue, sizeof set);
	if (row->latch == FREE || attr_matches(t, o, a))
		return CKR_OK;
	return (set != CK_FALSE) == (row->latch == ON_ONLY) ? CKR_OK : CKR_ATTRIBUTE_READ_ONLY;
}

static CK_RV
template_check(const struct p11_token *t, const struct p11_object *o, const CK_ATTRIBUTE *tmpl, CK_ULONG n, bool copy)
{
	CK_RV rv = CKR_OK;

	for (CK_ULONG i = 0; i < n && rv == CKR_OK; i++)
		rv = row_check(t, o, &tmpl[i], copy);
	return rv;
}

static bool
apply(struct p11_object *o, const CK_ATTRIBUTE *tmpl, CK_ULONG n)
{
	for (CK_ULONG i = 0; i < n; i++)
		if (!store_set(&o->store, tmpl[i].type, tmpl[i].pValue, tmpl[i].ulValueLen))
			return false;
	return true;
}

/* --- C_SetAttributeValue --- */

/* All must be what the card has, but for a value. */
static CK_RV
card_check(const struct p11_token *t, const struct p11_object *o, const CK_ATTRIBUTE *tmpl, CK_ULONG n)
{
	bool valued = o->kind == KIND_CERT || o->kind == KIND_DATA;

	for (CK_ULONG i = 0; i < n; i++) {
		WBUF_AUTO present = { 0 };

		wbuf_init(&present, P11_VALUE_MAX);
		if ((valued && tmpl[i].type == CKA_VALUE && tmpl[i].ulValueLen > 0) || attr_matches(t, o, &tmpl[i]))
			continue;
		if (o->cred != NULL && o->cred->x509 == NULL && tmpl[i].type == CKA_SUBJECT)
			continue;
		if (o->cred != NULL && tmpl[i].type == CKA_LABEL && tmpl[i].ulValueLen < P11_NICKNAME)
			continue;
		if (o->kind == KIND_PRIVATE && tmpl[i].type == CKA_ID)
			continue;
		return attr_get(t, o, tmpl[i].type, &present) == CKR_ATTRIBUTE_TYPE_INVALID ? CKR_ATTRIBUTE_TYPE_INVALID
											    : CKR_ATTRIBUTE_READ_ONLY;
	}
	return CKR_OK;
}

/* A card has no room for a name, but programs that bring a key and a certificate look for them under theirs. */
static void
nickname(struct p11_object *o, const CK_ATTRIBUTE *label)
{
	char *name = o->kind == KIND_CERT ? o->cred->nickname : o->cred->key_nickname;

	if (label == NULL)
		return;
	memset(name, 0, P11_NICKNAME);
	if (label->ulValueLen > 0)
		memcpy(name, label->pValue, label->ulValueLen);
}

/* Of a key without a certificate; afterwards the certificate says. */
static bool
subject(struct p11_cred *c, const CK_ATTRIBUTE *name)
{
	if (name == NULL || c->x509 != NULL)
		return true;
	wbuf_free(&c->subject);
	wbuf_init(&c->subject, P11_VALUE_MAX);
	wbuf_put(&c->subject, name->pValue, name->ulValueLen);
	return !c->subject.bad;
}

static CK_RV
set_on_card(struct p11_session *s, struct p11_object *o, const CK_ATTRIBUTE *tmpl, CK_ULONG n)
{
	const CK_ATTRIBUTE *value = template_find(tmpl, n, CKA_VALUE);
	const CK_ATTRIBUTE *id = template_find(tmpl, n, CKA_ID);
	CK_RV rv;

	if (write_check(s) != CKR_OK || (o->kind == KIND_CERT && is_attestation(o->cred)))
		return CKR_ACTION_PROHIBITED;
	if ((rv = card_check(s->slot->token, o, tmpl, n)) != CKR_OK)
		return rv;
	if (o->cred != NULL)
		nickname(o, template_find(tmpl, n, CKA_LABEL));
	if (o->cred != NULL && !subject(o->cred, template_find(tmpl, n, CKA_SUBJECT)))
		return CKR_HOST_MEMORY;
	if (o->kind == KIND_PRIVATE && id != NULL && !attr_matches(s->slot->token, o, id))
		return move_key(s, o, id);
	if (value == NULL)
		return CKR_OK;
	return write_value(s, o, span_of(value->pValue, value->ulValueLen));
}

CK_RV
object_set(struct p11_session *s, CK_OBJECT_HANDLE h, CK_ATTRIBUTE *tmpl, CK_ULONG n)
{
	struct p11_object *o = object_find(s, h);
	CK_RV rv;

	if (o == NULL)
		return CKR_OBJECT_HANDLE_INVALID;
	if (!template_ok(tmpl, n) || n == 0)
		return CKR_ARGUMENTS_BAD;
	if (o->kind != KIND_STORED && (s->flags & CKF_RW_SESSION) == 0)
		return CKR_SESSION_READ_ONLY;
	if (o->kind != KIND_STORED)
		return set_on_card(s, o, tmpl, n);
	if (!store_bool(&o->store, CKA_MODIFIABLE))
		return CKR_ACTION_PROHIBITED;
	if ((rv = template_check(s->slot->token, o, tmpl, n, false)) != CKR_OK)
		return rv;
	return apply(o, tmpl, n) ? CKR_OK : CKR_HOST_MEMORY;
}

/* --- C_CopyObject --- */

static bool
copyable(const struct p11_object *o)
{
	if (o->kind == KIND_STORED)
		return store_bool(&o->store, CKA_COPYABLE);
	return o->kind == KIND_CERT || o->kind == KIND_DATA;
}

/* What a certificate or a data object of the card is, as a session object. */
static bool
copy_card(const struct p11_token *t, const struct p11_object *o, struct attr_store *to)
{
	static const CK_ATTRIBUTE_TYPE types[] = { CKA_CLASS, CKA_PRIVATE, CKA_LABEL, CKA_ID, CKA_VALUE,
		CKA_APPLICATION, CKA_OBJECT_ID, CKA_CERTIFICATE_TYPE, CKA_CERTIFICATE_CATEGORY, CKA_TRUSTED,
		CKA_SUBJECT, CKA_ISSUER, CKA_SERIAL_NUMBER, CKA_START_DATE, CKA_END_DATE, CKA_CHECK_VALUE,
		CKA_PUBLIC_KEY_INFO, CKA_URL };

	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
		WBUF_AUTO value = { 0 };

		wbuf_init(&value, P11_VALUE_MAX);
		if (attr_get(t, o, types[i], &value) == CKR_OK && !store_set(to, types[i], value.p, value.n))
			return false;
	}
	return store_set_bool(to, CKA_MODIFIABLE, true) && store_set_bool(to, CKA_COPYABLE, true) &&
	    store_set_bool(to, CKA_DESTROYABLE, true);
}

static bool
copy_stored(const struct p11_object *o, struct p11_object *to)
{
	for (size_t i = 0; i < o->store.n; i++)
		if (!store_set(&to->store, o->store.v[i].type, o->store.v[i].p, o->store.v[i].n))
			return false;
	if (o->value == NULL)
		return true;
	to->value = secret_copy(o->value->v, o->value->n);
	return to->value != NULL;
}

static CK_RV
copy_place(struct p11_session *s, const CK_ATTRIBUTE *tmpl, CK_ULONG n)
{
	if (template_bool(tmpl, n, CKA_TOKEN, false))
		return (s->flags & CKF_RW_SESSION) == 0 ? CKR_SESSION_READ_ONLY : CKR_TOKEN_WRITE_PROTECTED;
	return template_bool(tmpl, n, CKA_PRIVATE, false) && !s->slot->token->user ? CKR_USER_NOT_LOGGED_IN : CKR_OK;
}

CK_RV
object_copy(struct p11_session *s, CK_OBJECT_HANDLE h, CK_ATTRIBUTE *tmpl, CK_ULONG n, CK_OBJECT_HANDLE *out)
{
	struct p11_object *o = object_find(s, h), *made;
	char unique[40];
	CK_RV rv;
	bool ok;

	if (out == NULL || !template_ok(tmpl, n))
		return CKR_ARGUMENTS_BAD;
	if (o == NULL)
		return CKR_OBJECT_HANDLE_INVALID;
	if (!copyable(o))
		return CKR_ACTION_PROHIBITED;
	if ((rv = template_check(s->slot->token, o, tmpl, n, true)) != CKR_OK ||
	    (rv = copy_place(s, tmpl, n)) != CKR_OK || (rv = object_value_ready(s->slot, o)) != CKR_OK)
		return rv;
	if ((made = object_new(s->slot, KIND_STORED)) == NULL)
		return CKR_HOST_MEMORY;
	made->owner = s->handle;
	snprintf(unique, sizeof unique, "session-%lu", made->handle);
	ok = o->kind == KIND_STORED ? copy_stored(o, made) : copy_card(s->slot->token, o, &made->store);
	if (!ok || !store_set(&made->store, CKA_UNIQUE_ID, unique, strlen(unique)) || !apply(made, tmpl, n) ||
	    !store_set_bool(&made->store, CKA_TOKEN, false)) {
		object_discard(s->slot->token, made);
		return CKR_HOST_MEMORY;
	}
	*out = made->handle;
	return CKR_OK;
}
