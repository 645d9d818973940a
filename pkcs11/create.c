/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Making session objects: secret keys (derived, unwrapped, generated, given) and data (PKCS#11 2.40, 4.5, 4.10, 5.7).
 * One table says which attributes a caller may give and in which form; the rest is the module's to say.
 */
#include <stdio.h>
#include <string.h>

#include "pkcs11/p11.h"

enum form { BYTES, BOOL, ULONG, READ_ONLY };
enum { SECRET = 1, DATA = 2 };

static const struct given_row {
	CK_ATTRIBUTE_TYPE type;
	enum form form;
	unsigned kinds;
} given[] = {
	{ CKA_CLASS, ULONG, SECRET | DATA },
	{ CKA_TOKEN, BOOL, SECRET | DATA },
	{ CKA_PRIVATE, BOOL, SECRET | DATA },
	{ CKA_MODIFIABLE, BOOL, SECRET | DATA },
	{ CKA_COPYABLE, BOOL, SECRET | DATA },
	{ CKA_DESTROYABLE, BOOL, SECRET | DATA },
	{ CKA_LABEL, BYTES, SECRET | DATA },
	{ CKA_VALUE, BYTES, SECRET | DATA },
	{ CKA_APPLICATION, BYTES, DATA },
	{ CKA_OBJECT_ID, BYTES, DATA },
	{ CKA_KEY_TYPE, ULONG, SECRET },
	{ CKA_ID, BYTES, SECRET },
	{ CKA_START_DATE, BYTES, SECRET },
	{ CKA_END_DATE, BYTES, SECRET },
	{ CKA_DERIVE, BOOL, SECRET },
	{ CKA_SENSITIVE, BOOL, SECRET },
	{ CKA_EXTRACTABLE, BOOL, SECRET },
	{ CKA_ENCRYPT, BOOL, SECRET },
	{ CKA_DECRYPT, BOOL, SECRET },
	{ CKA_SIGN, BOOL, SECRET },
	{ CKA_VERIFY, BOOL, SECRET },
	{ CKA_WRAP, BOOL, SECRET },
	{ CKA_UNWRAP, BOOL, SECRET },
	{ CKA_VALUE_LEN, ULONG, SECRET },
	{ CKA_TRUSTED, BOOL, SECRET },
	{ CKA_WRAP_WITH_TRUSTED, BOOL, SECRET },
	{ CKA_ALLOWED_MECHANISMS, BYTES, SECRET },
	{ CKA_CHECK_VALUE, BYTES, SECRET },
	{ CKA_LOCAL, READ_ONLY, SECRET },
	{ CKA_KEY_GEN_MECHANISM, READ_ONLY, SECRET },
	{ CKA_ALWAYS_SENSITIVE, READ_ONLY, SECRET },
	{ CKA_NEVER_EXTRACTABLE, READ_ONLY, SECRET },
	{ CKA_UNIQUE_ID, READ_ONLY, SECRET | DATA },
};

static const struct given_row *
given_find(CK_ATTRIBUTE_TYPE type)
{
	for (size_t i = 0; i < sizeof given / sizeof given[0]; i++)
		if (given[i].type == type)
			return &given[i];
	return NULL;
}

/* May these attributes be given for an object of this kind? */
static CK_RV
given_check(const CK_ATTRIBUTE *t, CK_ULONG n, unsigned kind)
{
	static const size_t length[] = { [BOOL] = sizeof(CK_BBOOL), [ULONG] = sizeof(CK_ULONG) };

	for (CK_ULONG i = 0; i < n; i++) {
		const struct given_row *row = given_find(t[i].type);

		if (row == NULL)
			return CKR_ATTRIBUTE_TYPE_INVALID;
		if (row->form == READ_ONLY)
			return CKR_ATTRIBUTE_READ_ONLY;
		if ((row->kinds & kind) == 0)
			return CKR_TEMPLATE_INCONSISTENT;
		if (row->form != BYTES && t[i].ulValueLen != length[row->form])
			return CKR_ATTRIBUTE_VALUE_INVALID;
	}
	return CKR_OK;
}

/* Where may it live? Nothing is written on the card here. */
static CK_RV
place_check(struct p11_session *s, const CK_ATTRIBUTE *t, CK_ULONG n)
{
	if (template_bool(t, n, CKA_TOKEN, false))
		return (s->flags & CKF_RW_SESSION) == 0 ? CKR_SESSION_READ_ONLY : CKR_TOKEN_WRITE_PROTECTED;
	if (template_bool(t, n, CKA_PRIVATE, false) && !s->slot->token->user)
		return CKR_USER_NOT_LOGGED_IN;
	return CKR_OK;
}

CK_RV
secret_key_length(const CK_ATTRIBUTE *t, CK_ULONG n, size_t natural, size_t *length)
{
	CK_ULONG class = CKO_SECRET_KEY, type = CKK_GENERIC_SECRET, len = natural;
	CK_RV rv;

	if ((rv = given_check(t, n, SECRET)) != CKR_OK)
		return rv;
	template_ulong(t, n, CKA_CLASS, &class);
	template_ulong(t, n, CKA_KEY_TYPE, &type);
	template_ulong(t, n, CKA_VALUE_LEN, &len);
	if (class != CKO_SECRET_KEY || (type != CKK_GENERIC_SECRET && type != CKK_AES) || len == 0 ||
	    len > P11_VALUE_MAX)
		return CKR_TEMPLATE_INCONSISTENT;
	if (type == CKK_AES && len != 16 && len != 24 && len != 32)
		return CKR_TEMPLATE_INCONSISTENT;
	*length = len;
	return CKR_OK;
}

/* --- the object --- */

static struct p11_object *
stored_new(struct p11_session *s, const CK_ATTRIBUTE *t, CK_ULONG n)
{
	struct p11_object *o = object_new(s->slot, KIND_STORED);
	struct attr_store *st;
	char unique[40];
	bool ok = true;

	if (o == NULL)
		return NULL;
	st = &o->store;
	o->owner = s->handle;
	snprintf(unique, sizeof unique, "session-%lu", o->handle);
	ok = store_set_bool(st, CKA_TOKEN, false) && store_set_bool(st, CKA_PRIVATE, false) &&
	    store_set_bool(st, CKA_MODIFIABLE, true) && store_set_bool(st, CKA_COPYABLE, true) &&
	    store_set_bool(st, CKA_DESTROYABLE, true) && store_set(st, CKA_LABEL, "", 0) &&
	    store_set(st, CKA_UNIQUE_ID, unique, strlen(unique));
	for (CK_ULONG i = 0; i < n && ok; i++)
		if (t[i].type != CKA_VALUE)
			ok = store_set(st, t[i].type, t[i].pValue, t[i].ulValueLen);
	if (ok)
		return o;
	object_discard(s->slot->token, o);
	return NULL;
}

/* What a secret key has when the template does not say. Usable for what it is made for: programs give none of these
 * flags (or CKA_WRAP only) and then unwrap and decrypt. */
static bool
secret_defaults(struct attr_store *st, CK_KEY_TYPE type, bool local)
{
	static const struct {
		CK_ATTRIBUTE_TYPE type;
		bool initial;
	} flags[] = { { CKA_SENSITIVE, false }, { CKA_EXTRACTABLE, true }, { CKA_ENCRYPT, true }, { CKA_DECRYPT, true },
		{ CKA_WRAP, true }, { CKA_UNWRAP, true }, { CKA_SIGN, false }, { CKA_VERIFY, false },
		{ CKA_DERIVE, false }, { CKA_TRUSTED, false }, { CKA_WRAP_WITH_TRUSTED, false } };
	bool ok = store_set_ulong(st, CKA_CLASS, CKO_SECRET_KEY) && store_set_ulong(st, CKA_KEY_TYPE, type) &&
	    store_set_bool(st, CKA_LOCAL, local) &&
	    store_set_ulong(st, CKA_KEY_GEN_MECHANISM,
		!local		      ? CK_UNAVAILABLE_INFORMATION
		    : type == CKK_AES ? CKM_AES_KEY_GEN
				      : CKM_GENERIC_SECRET_KEY_GEN);

	for (size_t i = 0; i < sizeof flags / sizeof flags[0] && ok; i++)
		if (store_find(st, flags[i].type) == NULL)
			ok = store_set_bool(st, flags[i].type, flags[i].initial);
	ok = ok && (store_find(st, CKA_ID) != NULL || store_set(st, CKA_ID, "", 0)) &&
	    (store_find(st, CKA_START_DATE) != NULL || store_set(st, CKA_START_DATE, "", 0)) &&
	    (store_find(st, CKA_END_DATE) != NULL || store_set(st, CKA_END_DATE, "", 0));
	return ok && store_set_bool(st, CKA_ALWAYS_SENSITIVE, local && store_bool(st, CKA_SENSITIVE)) &&
	    store_set_bool(st, CKA_NEVER_EXTRACTABLE, local && !store_bool(st, CKA_EXTRACTABLE));
}

CK_RV
secret_key_new_typed(struct p11_session *s, CK_KEY_TYPE type, bool local, const CK_ATTRIBUTE *t, CK_ULONG n,
    struct span value, CK_OBJECT_HANDLE *out)
{
	struct p11_object *o;
	CK_RV rv;

	if ((rv = place_check(s, t, n)) != CKR_OK)
		return rv;
	if ((o = stored_new(s, t, n)) == NULL)
		return CKR_HOST_MEMORY;
	if (!secret_defaults(&o->store, type, local) || !store_set_ulong(&o->store, CKA_VALUE_LEN, value.n) ||
	    (o->value = secret_copy(value.p, value.n)) == NULL) {
		object_discard(s->slot->token, o);
		return CKR_HOST_MEMORY;
	}
	*out = o->handle;
	return CKR_OK;
}

CK_RV
secret_key_new(struct p11_session *s, const CK_ATTRIBUTE *t, CK_ULONG n, struct span value, CK_OBJECT_HANDLE *out)
{
	CK_ULONG type = CKK_GENERIC_SECRET;

	template_ulong(t, n, CKA_KEY_TYPE, &type);
	return secret_key_new_typed(s, type, false, t, n, value, out);
}

/* --- C_CreateObject --- */

/* On the card: by whoever has the management key; any other finds it write protected. */
static CK_RV
create_on_card(struct p11_session *s, CK_ULONG class, const CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *out)
{
	CK_RV rv = write_check(s);
	struct private_key key;

	if (rv != CKR_OK)
		return rv == CKR_SESSION_READ_ONLY ? rv : CKR_TOKEN_WRITE_PROTECTED;
	if (class == CKO_CERTIFICATE)
		return write_certificate(s, t, n, out);
	if (class == CKO_PRIVATE_KEY && (rv = private_of_template(t, n, &key)) == CKR_OK)
		return import_private(s, &key, t, n, out);
	if (class == CKO_PRIVATE_KEY)
		return rv;
	if (class == CKO_PUBLIC_KEY)
		return import_public(s, t, n, out);
	return class == CKO_DATA ? write_data(s, t, n, out) : CKR_TEMPLATE_INCONSISTENT;
}

static CK_RV
create_secret(struct p11_session *s, const CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *out)
{
	const CK_ATTRIBUTE *value = template_find(t, n, CKA_VALUE);
	size_t length;
	CK_RV rv;

	if ((rv = given_check(t, n, SECRET)) != CKR_OK)
		return rv;
	if (value == NULL || template_find(t, n, CKA_KEY_TYPE) == NULL)
		return CKR_TEMPLATE_INCOMPLETE;
	if ((rv = secret_key_length(t, n, value->ulValueLen, &length)) != CKR_OK)
		return rv;
	if (length != value->ulValueLen)
		return CKR_TEMPLATE_INCONSISTENT;
	return secret_key_new(s, t, n, span_of(value->pValue, value->ulValueLen), out);
}

static CK_RV
create_data(struct p11_session *s, const CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *out)
{
	static const CK_ATTRIBUTE_TYPE bytes[] = { CKA_APPLICATION, CKA_OBJECT_ID, CKA_VALUE };
	struct p11_object *o;
	bool ok = true;
	CK_RV rv;

	if ((rv = given_check(t, n, DATA)) != CKR_OK || (rv = place_check(s, t, n)) != CKR_OK)
		return rv;
	if ((o = stored_new(s, t, n)) == NULL)
		return CKR_HOST_MEMORY;
	for (size_t i = 0; i < sizeof bytes / sizeof bytes[0] && ok; i++) {
		const CK_ATTRIBUTE *a = template_find(t, n, bytes[i]);

		ok = store_set(&o->store, bytes[i], a != NULL ? a->pValue : "", a != NULL ? a->ulValueLen : 0);
	}
	if (!ok) {
		object_discard(s->slot->token, o);
		return CKR_HOST_MEMORY;
	}
	*out = o->handle;
	return CKR_OK;
}

CK_RV
object_create(struct p11_session *s, CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *out)
{
	CK_ULONG class;
	CK_RV rv;

	if (!template_ok(t, n) || t == NULL || out == NULL)
		return CKR_ARGUMENTS_BAD;
	if (template_find(t, n, CKA_CLASS) == NULL)
		return CKR_TEMPLATE_INCOMPLETE;
	if (!template_ulong(t, n, CKA_CLASS, &class))
		return CKR_ATTRIBUTE_VALUE_INVALID;
	if (template_bool(t, n, CKA_TOKEN, false))
		return create_on_card(s, class, t, n, out);
	if (class == CKO_SECRET_KEY)
		return create_secret(s, t, n, out);
	if (class == CKO_DATA)
		return create_data(s, t, n, out);
	if ((rv = place_check(s, t, n)) != CKR_OK)
		return rv;
	return class == CKO_CERTIFICATE || class == CKO_PUBLIC_KEY || class == CKO_PRIVATE_KEY
	    ? CKR_TEMPLATE_INCONSISTENT
	    : CKR_ATTRIBUTE_VALUE_INVALID;
}
