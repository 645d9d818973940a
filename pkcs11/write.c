/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing on the card, as security officer with the management key: certificates and data objects (PUT DATA, SP
 * 800-73-5 part 2, 3.3.2). CKA_ID chooses the key that a certificate belongs to; CKA_OBJECT_ID, or CKA_APPLICATION or
 * CKA_LABEL, the data object. What was written is read back and compared, and what the module knew of it is forgotten.
 * C_DestroyObject empties; keys cannot be destroyed on a PIV card.
 */
#include <string.h>

#include <openssl/err.h>

#include "base/log.h"
#include "pkcs11/p11.h"

CK_RV
write_check(struct p11_session *s)
{
	if ((s->flags & CKF_RW_SESSION) == 0)
		return CKR_SESSION_READ_ONLY;
	if (s->slot->remote != NULL)
		return CKR_TOKEN_WRITE_PROTECTED;
	if (s->slot->token->so == SO_ADMIN)
		return CKR_OK;
	return s->slot->token->user ? admin_of_user(s) : CKR_USER_NOT_LOGGED_IN;
}

CK_RV
write_begin(struct p11_slot *slot)
{
	return token_result(slot, piv_begin(slot->token->card));
}

/* The card may have gone in between, and its transactions with it. */
void
write_end(struct p11_slot *slot)
{
	if (slot->token->card != NULL)
		piv_end(slot->token->card);
}

CK_RV
cred_of_template(struct p11_token *t, const CK_ATTRIBUTE *tmpl, CK_ULONG n, struct p11_cred **out)
{
	const CK_ATTRIBUTE *id = template_find(tmpl, n, CKA_ID);
	const uint8_t *number;

	if (id == NULL || id->ulValueLen == 0)
		return CKR_TEMPLATE_INCOMPLETE;
	number = id->pValue;
	if (id->ulValueLen != 1 || *number == 0 || *number > P11_CREDS)
		return CKR_ATTRIBUTE_VALUE_INVALID;
	*out = &t->cred[*number - 1];
	return CKR_OK;
}

/* Operations with this key, and objects of it, that a change makes meaningless. */
static bool
of_cred(const struct p11_object *o, const void *arg)
{
	return o->cred == arg;
}

void
cred_changed(struct p11_slot *slot, struct p11_cred *c)
{
	struct p11_cred *attest = c->number <= P11_CREDS ? &slot->token->attest[c->number] : NULL;

	slot_ops_end(slot, c);
	objects_drop(slot->token, of_cred, c);
	cred_clear(c);
	if (attest != NULL) {
		objects_drop(slot->token, of_cred, attest);
		cred_clear(attest);
	}
}

/* --- certificates --- */

/* One whole certificate; when the key was just made, one of this key. */
static CK_RV
certificate_check(struct p11_slot *slot, const struct p11_cred *c, struct span der)
{
	const unsigned char *p = der.p;
	X509 *x = X509_new_ex(slot->module->lib, NULL);
	CK_RV rv = CKR_OK;

	if (x == NULL || der.n == 0 || d2i_X509(&x, &p, (long)der.n) == NULL || p != der.p + der.n)
		rv = CKR_ATTRIBUTE_VALUE_INVALID;
	else if (c->state == CRED_KEY && EVP_PKEY_eq(c->pkey, X509_get0_pubkey(x)) != 1)
		rv = CKR_TEMPLATE_INCONSISTENT;
	X509_free(x);
	ERR_clear_error();
	return rv;
}

/* Without a place in CKA_ID: beside the key that it is of, when that was just made or brought here. */
static CK_RV
certificate_place(struct p11_slot *slot, const CK_ATTRIBUTE *t, CK_ULONG n, struct span der, struct p11_cred **out)
{
	const CK_ATTRIBUTE *id = template_find(t, n, CKA_ID);
	CK_RV rv = cred_of_template(slot->token, t, n, out);

	if (rv == CKR_OK || (id != NULL && id->ulValueLen == 1))
		return rv;
	for (size_t i = 0; i < P11_CREDS; i++) {
		*out = &slot->token->cred[i];
		if ((*out)->state == CRED_KEY && certificate_check(slot, *out, der) == CKR_OK)
			return CKR_OK;
	}
	return rv;
}

static CK_RV
certificate_put(struct p11_slot *slot, struct p11_cred *c, struct span der)
{
	uint8_t alias[sizeof c->alias];
	char nickname[sizeof c->nickname];
	size_t alias_n = c->alias_n;
	bool made = c->made;
	enum err e;

	memcpy(alias, c->alias, sizeof alias);
	memcpy(nickname, c->nickname, sizeof nickname);
	if ((e = piv_cert_put(slot->token->card, c->row->ref, der)) != E_OK)
		return token_result(slot, e);
	cred_changed(slot, c);
	if ((e = cred_load(slot, c)) != E_OK)
		return token_result(slot, e);
	if (!cred_has(c, KIND_CERT))
		return CKR_DEVICE_ERROR;
	memcpy(c->alias, alias, sizeof alias);
	memcpy(c->nickname, nickname, sizeof nickname);
	c->alias_n = alias_n;
	c->made = made;
	return history_follow(slot, c);
}

CK_RV
write_certificate(struct p11_session *s, const CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *out)
{
	const CK_ATTRIBUTE *value = template_find(t, n, CKA_VALUE);
	CK_ULONG type = CKC_X_509;
	struct p11_object *o;
	struct p11_cred *c;
	struct span der;
	CK_RV rv;

	if (value == NULL)
		return CKR_TEMPLATE_INCOMPLETE;
	template_ulong(t, n, CKA_CERTIFICATE_TYPE, &type);
	if (type != CKC_X_509 || template_bool(t, n, CKA_PRIVATE, false))
		return CKR_TEMPLATE_INCONSISTENT;
	der = span_of(value->pValue, value->ulValueLen);
	if ((rv = certificate_place(s->slot, t, n, der, &c)) != CKR_OK ||
	    (rv = certificate_check(s->slot, c, der)) != CKR_OK || (rv = write_begin(s->slot)) != CKR_OK)
		return rv;
	rv = certificate_put(s->slot, c, der);
	write_end(s->slot);
	if (rv != CKR_OK)
		return rv;
	if ((o = object_of_cred(s->slot, c, KIND_CERT)) == NULL)
		return CKR_HOST_MEMORY;
	log_info("written", "slot=%lu certificate=%s", s->slot->id, c->row->name);
	*out = o->handle;
	return CKR_OK;
}

/* --- data objects --- */

static bool
of_data(const struct p11_object *o, const void *arg)
{
	return o->data == arg;
}

/* What the card now has. One that needs the user's PIN cannot be read by the security officer. */
static CK_RV
data_compare(struct p11_slot *slot, struct p11_data *d, struct span value)
{
	enum err e;

	if (d->row->pin) {
		d->state = value.n > 0 ? DATA_THERE : DATA_UNKNOWN;
		return CKR_OK;
	}
	if ((e = data_load(slot, d)) != E_OK)
		return token_result(slot, e);
	if (value.n == 0 ? d->state == DATA_ABSENT : d->state == DATA_READ && span_eq(wbuf_view(&d->value), value))
		return CKR_OK;
	log_warn(
	    "written", "slot=%lu object=\"%s\" text=\"the card did not keep it as written\"", slot->id, d->row->label);
	return CKR_DEVICE_ERROR;
}

/* Others depend on what two of them say. */
static void
data_changed(struct p11_token *t, const struct p11_data *d)
{
	if (d->row->tag == PIV_OBJ_CHUID)
		t->id = *piv_id(t->card);
	if (d->row->tag == PIV_OBJ_HISTORY) {
		t->history_read = t->retired_probe = t->retired_told = false;
		t->retired = 0;
	}
}

/* Discovery as the card has it already: a YubiKey makes its own and takes none. */
static bool
data_is(struct p11_slot *slot, struct p11_data *d, struct span value)
{
	return d->row->tag == PIV_OBJ_DISCOVERY && value.n > 0 && data_load(slot, d) == E_OK && d->state == DATA_READ &&
	    span_eq(wbuf_view(&d->value), value);
}

CK_RV
data_put(struct p11_slot *slot, struct p11_data *d, struct span given)
{
	struct span value = given;
	WBUF_AUTO sealed = { 0 };
	enum err e;
	CK_RV rv;

	wbuf_init(&sealed, PIV_OBJ_MAX);
	if (d->row->tag == PIV_OBJ_CHUID && given.n > 0) {
		if ((rv = chuid_sealed(slot, given, &sealed)) != CKR_OK)
			return rv;
		value = wbuf_view(&sealed);
	}
	if (data_is(slot, d, value))
		return secobj_follow(slot, d, value);
	if ((e = piv_object_put(slot->token->card, d->row->tag, value)) != E_OK)
		return token_result(slot, e);
	if (value.n == 0)
		objects_drop(slot->token, of_data, d);
	data_clear(d, DATA_UNKNOWN);
	data_changed(slot->token, d);
	log_info("written", "slot=%lu object=\"%s\"", slot->id, d->row->label);
	if ((rv = data_compare(slot, d, value)) != CKR_OK)
		return rv;
	return secobj_follow(slot, d, value);
}

CK_RV
write_data(struct p11_session *s, const CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *out)
{
	const CK_ATTRIBUTE *value = template_find(t, n, CKA_VALUE);
	struct p11_token *token = s->slot->token;
	struct p11_data *d = data_of_template(token, t, n);
	struct p11_object *o;
	CK_RV rv;

	if (value == NULL || value->ulValueLen == 0)
		return CKR_TEMPLATE_INCOMPLETE;
	if (d == NULL) /* the card has room for its own objects only */
		return CKR_TEMPLATE_INCONSISTENT;
	if ((rv = data_put(s->slot, d, span_of(value->pValue, value->ulValueLen))) != CKR_OK)
		return rv;
	if ((o = object_of_data(s->slot, d)) == NULL)
		return CKR_HOST_MEMORY;
	*out = o->handle;
	return CKR_OK;
}

/* --- C_SetAttributeValue --- */

static CK_RV
replace(struct p11_session *s, struct p11_object *o, struct span value)
{
	CK_OBJECT_HANDLE h = o->handle;
	struct p11_cred *c = o->cred;
	CK_RV rv;

	if (o->kind == KIND_DATA)
		return data_put(s->slot, o->data, value);
	if ((rv = certificate_check(s->slot, c, value)) != CKR_OK ||
	    (rv = certificate_put(s->slot, c, value)) != CKR_OK)
		return rv;
	if ((o = object_of_cred(s->slot, c, KIND_CERT)) == NULL)
		return CKR_HOST_MEMORY;
	o->handle = h; /* the same object to its users */
	return CKR_OK;
}

CK_RV
write_value(struct p11_session *s, struct p11_object *o, struct span value)
{
	CK_RV rv = write_begin(s->slot);

	if (rv != CKR_OK)
		return rv;
	rv = replace(s, o, value);
	write_end(s->slot);
	return rv;
}

/* --- C_DestroyObject --- */

static CK_RV
empty_certificate(struct p11_session *s, struct p11_cred *c)
{
	enum err e = piv_cert_put(s->slot->token->card, c->row->ref, SPAN_NONE);

	if (e != E_OK)
		return token_result(s->slot, e);
	cred_changed(s->slot, c);
	if ((e = cred_load(s->slot, c)) != E_OK)
		return token_result(s->slot, e);
	return c->state == CRED_ABSENT ? history_follow(s->slot, c) : CKR_DEVICE_ERROR;
}

/* The key is a card's command of its own; its certificate would be one of no key. */
static CK_RV
delete_key(struct p11_session *s, struct p11_cred *c)
{
	enum err e = piv_key_delete(s->slot->token->card, c->row->ref);
	bool certified = c->state == CRED_THERE;

	if (e == E_UNSUP)
		log_info("key", "slot=%lu error=\"%s\"", s->slot->id, err_msg());
	if (e == E_NOTFOUND && certified) /* an earlier call was cut short here */
		e = E_OK;
	if (e != E_OK)
		return e == E_UNSUP ? CKR_ACTION_PROHIBITED : token_result(s->slot, e);
	log_info("key", "slot=%lu deleted=%s", s->slot->id, c->row->name);
	if (certified)
		return empty_certificate(s, c);
	cred_changed(s->slot, c);
	return CKR_OK;
}

static CK_RV
destroy(struct p11_session *s, struct p11_object *o)
{
	switch (o->kind) {
	case KIND_CERT: return is_attestation(o->cred) ? CKR_ACTION_PROHIBITED : empty_certificate(s, o->cred);
	case KIND_PRIVATE: return delete_key(s, o->cred);
	case KIND_DATA: return data_put(s->slot, o->data, SPAN_NONE);
	default: return CKR_ACTION_PROHIBITED; /* a public key is there while its certificate or private key is */
	}
}

CK_RV
write_destroy(struct p11_session *s, struct p11_object *o)
{
	CK_RV rv = write_check(s);

	if (rv == CKR_SESSION_READ_ONLY)
		return rv;
	if (rv != CKR_OK)
		return CKR_ACTION_PROHIBITED;
	if ((rv = write_begin(s->slot)) != CKR_OK)
		return rv;
	rv = destroy(s, o);
	write_end(s->slot);
	return rv;
}
