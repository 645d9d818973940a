/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing on the card, as security officer with the management key: certificates and data objects (PUT DATA, SP
 * 800-73-5 part 2, 3.3.2). CKA_ID chooses the key that a certificate belongs to; CKA_OBJECT_ID, or CKA_APPLICATION or
 * CKA_LABEL, the data object. What was written is read back and compared, and what the module knew of it is forgotten.
 * C_DestroyObject empties; keys cannot be destroyed on a PIV card.
 */
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
	return s->slot->token->so == SO_ADMIN ? CKR_OK : CKR_USER_NOT_LOGGED_IN;
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
	slot_ops_end(slot, c);
	objects_drop(slot->token, of_cred, c);
	cred_clear(c);
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

CK_RV
write_certificate(struct p11_session *s, const CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *out)
{
	const CK_ATTRIBUTE *value = template_find(t, n, CKA_VALUE);
	CK_ULONG type = CKC_X_509;
	struct p11_object *o;
	struct p11_cred *c;
	struct span der;
	enum err e;
	CK_RV rv;

	if (value == NULL)
		return CKR_TEMPLATE_INCOMPLETE;
	template_ulong(t, n, CKA_CERTIFICATE_TYPE, &type);
	if (type != CKC_X_509 || template_bool(t, n, CKA_PRIVATE, false))
		return CKR_TEMPLATE_INCONSISTENT;
	der = span_of(value->pValue, value->ulValueLen);
	if ((rv = cred_of_template(s->slot->token, t, n, &c)) != CKR_OK ||
	    (rv = certificate_check(s->slot, c, der)) != CKR_OK)
		return rv;
	if ((e = piv_cert_put(s->slot->token->card, c->row->ref, der)) != E_OK)
		return token_result(s->slot, e);
	cred_changed(s->slot, c);
	if ((e = cred_load(s->slot, c)) != E_OK)
		return token_result(s->slot, e);
	if (!cred_has(c, KIND_CERT))
		return CKR_DEVICE_ERROR;
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
		d->state = DATA_THERE;
		return CKR_OK;
	}
	if ((e = data_load(slot, d)) != E_OK)
		return token_result(slot, e);
	if (d->state == DATA_READ && span_eq(wbuf_view(&d->value), value))
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

CK_RV
write_data(struct p11_session *s, const CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *out)
{
	const CK_ATTRIBUTE *value = template_find(t, n, CKA_VALUE);
	struct p11_token *token = s->slot->token;
	struct p11_data *d = data_of_template(token, t, n);
	struct p11_object *o;
	enum err e;
	CK_RV rv;

	if (value == NULL || value->ulValueLen == 0)
		return CKR_TEMPLATE_INCOMPLETE;
	if (d == NULL) /* the card has room for its own objects only */
		return CKR_TEMPLATE_INCONSISTENT;
	e = piv_object_put(token->card, d->row->tag, span_of(value->pValue, value->ulValueLen));
	if (e != E_OK)
		return token_result(s->slot, e);
	data_clear(d, DATA_UNKNOWN);
	data_changed(token, d);
	if ((rv = data_compare(s->slot, d, span_of(value->pValue, value->ulValueLen))) != CKR_OK)
		return rv;
	if ((o = object_of_data(s->slot, d)) == NULL)
		return CKR_HOST_MEMORY;
	*out = o->handle;
	return CKR_OK;
}

/* --- C_DestroyObject --- */

static CK_RV
empty_certificate(struct p11_session *s, struct p11_cred *c)
{
	enum err e = piv_cert_put(s->slot->token->card, c->row->ref, SPAN_NONE);

	if (e != E_OK)
		return token_result(s->slot, e);
	cred_changed(s->slot, c);
	e = cred_load(s->slot, c);
	return e == E_OK && c->state != CRED_ABSENT ? CKR_DEVICE_ERROR : token_result(s->slot, e);
}

static CK_RV
empty_data(struct p11_session *s, struct p11_data *d)
{
	enum err e = piv_object_put(s->slot->token->card, d->row->tag, SPAN_NONE);

	if (e != E_OK)
		return token_result(s->slot, e);
	objects_drop(s->slot->token, of_data, d);
	data_clear(d, DATA_UNKNOWN);
	data_changed(s->slot->token, d);
	if (d->row->pin)
		return CKR_OK;
	e = data_load(s->slot, d);
	return e == E_OK && d->state != DATA_ABSENT ? CKR_DEVICE_ERROR : token_result(s->slot, e);
}

CK_RV
write_destroy(struct p11_session *s, struct p11_object *o)
{
	CK_RV rv = write_check(s);

	if (rv == CKR_SESSION_READ_ONLY)
		return rv;
	if (rv != CKR_OK || (o->kind != KIND_CERT && o->kind != KIND_DATA))
		return CKR_ACTION_PROHIBITED;
	return o->kind == KIND_CERT ? empty_certificate(s, o->cred) : empty_data(s, o->data);
}
