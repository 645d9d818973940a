/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Attributes of the card's objects: one table, type by kind of object (PKCS#11 2.40, 4.2 to 4.9). A row is a constant
 * or a getter; rows marked S are known before the certificate is read, so that a search can rule an object out for
 * nothing. Getters that turn a certificate into bytes are in attr_cert.c.
 *
 * LOCAL and its kin: FIPS 201 has the keys 9A, 9C and 9E generated on the card, and lets key management keys come from
 * outside (escrow), so that is what is claimed of a key that was not made in this process.
 */
#include <stdio.h>
#include <string.h>

#include "pkcs11/attr.h"
#include "pkcs11/p11.h"
#include "pkcs11/remote.h"

#define CERT KIND_CERT
#define PUB  KIND_PUBLIC
#define PRIV KIND_PRIVATE
#define PROF KIND_PROFILE
#define DATA KIND_DATA
#define KEYS (PUB | PRIV)
#define CRED (CERT | PUB | PRIV)
#define ALL  (CRED | PROF | DATA)
#define S    true
#define L    false /* only once the certificate is loaded */

static CK_RV
put_ulong(struct wbuf *out, CK_ULONG v)
{
	wbuf_put(out, &v, sizeof v);
	return CKR_OK;
}

static CK_RV
put_bool(struct wbuf *out, bool v)
{
	wbuf_u8(out, v ? CK_TRUE : CK_FALSE);
	return CKR_OK;
}

static CK_RV
get_class(const struct p11_token *t, const struct p11_object *o, struct wbuf *out)
{
	(void)t;
	switch (o->kind) {
	case KIND_CERT: return put_ulong(out, CKO_CERTIFICATE);
	case KIND_PUBLIC: return put_ulong(out, CKO_PUBLIC_KEY);
	case KIND_PRIVATE: return put_ulong(out, CKO_PRIVATE_KEY);
	case KIND_DATA: return put_ulong(out, CKO_DATA);
	default: return put_ulong(out, CKO_PROFILE);
	}
}

static CK_RV
get_id(const struct p11_token *t, const struct p11_object *o, struct wbuf *out)
{
	(void)t;
	if (o->cred->remote != NULL)
		wbuf_put(out, o->cred->remote->id, o->cred->remote->id_len);
	else
		wbuf_u8(out, (uint8_t)o->cred->number);
	return CKR_OK;
}

static CK_RV
get_label(const struct p11_token *t, const struct p11_object *o, struct wbuf *out)
{
	char label[64];

	(void)t;
	if (o->kind == KIND_PROFILE)
		return CKR_OK; /* empty */
	if (o->kind == KIND_DATA) {
		wbuf_span(out, span_str(o->data->row->label));
		return CKR_OK;
	}
	wbuf_span(out, span_str(cred_label(o->cred, o->kind, label)));
	return CKR_OK;
}

static CK_RV
get_unique(const struct p11_token *t, const struct p11_object *o, struct wbuf *out)
{
	char serial[TOKEN_SERIAL + 1], text[256];

	if (t->remote != NULL)
		snprintf(serial, sizeof serial, "%.16s", t->remote->info.serialNumber);
	else
		token_serial(&t->id, serial);
	if (o->kind == KIND_PROFILE)
		snprintf(text, sizeof text, "%s-profile-%lu", serial, o->profile);
	else if (o->kind == KIND_DATA)
		snprintf(text, sizeof text, "%s-data-%X", serial, (unsigned)o->data->row->tag);
	else
		snprintf(text, sizeof text, "%s-%s-%s", serial, o->cred->row->name,
		    is_attestation(o->cred)	 ? "attestation"
			: o->kind == KIND_CERT	 ? "certificate"
			: o->kind == KIND_PUBLIC ? "public"
						 : "private");
	wbuf_span(out, span_str(text));
	return CKR_OK;
}

static CK_RV
get_object_id(const struct p11_token *t, const struct p11_object *o, struct wbuf *out)
{
	(void)t;
	data_put_oid(o->data, out);
	return CKR_OK;
}

/* It was read before: object_get(), find_data(). */
static CK_RV
get_data_value(const struct p11_token *t, const struct p11_object *o, struct wbuf *out)
{
	(void)t;
	wbuf_span(out, wbuf_view(&o->data->value));
	return CKR_OK;
}

static CK_RV
get_profile(const struct p11_token *t, const struct p11_object *o, struct wbuf *out)
{
	(void)t;
	return put_ulong(out, o->profile);
}

/* As C_GetTokenInfo or C_Login found them last. */
static CK_RV
get_tries(const struct p11_token *t, const struct p11_object *o, struct wbuf *out)
{
	(void)o;
	return put_ulong(out, t->tries_known && t->tries >= 0 ? (CK_ULONG)t->tries : CK_UNAVAILABLE_INFORMATION);
}

static CK_RV
get_private(const struct p11_token *t, const struct p11_object *o, struct wbuf *out)
{
	(void)t;
	return put_bool(out, object_is_private(o));
}

static CK_RV
get_always(const struct p11_token *t, const struct p11_object *o, struct wbuf *out)
{
	(void)t;
	return put_bool(out, cred_pin_always(o->cred));
}

static CK_RV
get_changeable(const struct p11_token *t, const struct p11_object *o, struct wbuf *out)
{
	(void)t;
	return put_bool(out, o->kind != KIND_CERT || !is_attestation(o->cred));
}

/* Where the card is known to have a command for it. */
static CK_RV
get_destroyable(const struct p11_token *t, const struct p11_object *o, struct wbuf *out)
{
	(void)o;
	return put_bool(out, t->card != NULL && piv_has(t->card, PIV_EXT_MOVE) == PIV_HAS);
}

/* object_get() has asked the card before. */
static CK_RV
get_movable(const struct p11_token *t, const struct p11_object *o, struct wbuf *out)
{
	return get_destroyable(t, o, out); /* one command does both */
}

static CK_RV
get_policy(const struct p11_cred *c, uint8_t policy, struct wbuf *out)
{
	return c->meta_known ? put_ulong(out, policy) : CKR_ATTRIBUTE_TYPE_INVALID;
}

static CK_RV
get_pin_policy(const struct p11_token *t, const struct p11_object *o, struct wbuf *out)
{
	(void)t;
	return get_policy(o->cred, o->cred->policy.pin, out);
}

static CK_RV
get_touch_policy(const struct p11_token *t, const struct p11_object *o, struct wbuf *out)
{
	(void)t;
	return get_policy(o->cred, o->cred->policy.touch, out);
}

static CK_RV
get_local(const struct p11_token *t, const struct p11_object *o, struct wbuf *out)
{
	(void)t;
	if (o->cred->remote != NULL)
		return put_bool(out, o->cred->remote->local);
	if (o->cred->meta_known)
		return put_bool(out, o->cred->origin == 1);
	return put_bool(out, o->cred->made || !o->cred->row->decrypt);
}

static CK_RV
get_sensitive(const struct p11_token *t, const struct p11_object *o, struct wbuf *out)
{
	(void)t;
	return put_bool(out, o->cred->remote == NULL || o->cred->remote->sensitive);
}

static CK_RV
get_extractable(const struct p11_token *t, const struct p11_object *o, struct wbuf *out)
{
	(void)t;
	return put_bool(out, o->cred->remote != NULL && o->cred->remote->extractable);
}

static CK_RV
get_always_sensitive(const struct p11_token *t, const struct p11_object *o, struct wbuf *out)
{
	return o->cred->remote != NULL ? put_bool(out, o->cred->remote->always_sensitive) : get_local(t, o, out);
}

static CK_RV
get_never_extractable(const struct p11_token *t, const struct p11_object *o, struct wbuf *out)
{
	return o->cred->remote != NULL ? put_bool(out, o->cred->remote->never_extractable) : get_local(t, o, out);
}

static CK_RV
get_key_type(const struct p11_token *t, const struct p11_object *o, struct wbuf *out)
{
	(void)t;
	return put_ulong(out, cred_key_type(o->cred));
}

static CK_RV
get_sign(const struct p11_token *t, const struct p11_object *o, struct wbuf *out)
{
	(void)t;
	return put_bool(out, cred_signs(o->cred));
}

static CK_RV
get_decrypt(const struct p11_token *t, const struct p11_object *o, struct wbuf *out)
{
	(void)t;
	return put_bool(out, o->cred->row->decrypt && piv_alg_is_rsa(o->cred->alg));
}

static CK_RV
get_derive(const struct p11_token *t, const struct p11_object *o, struct wbuf *out)
{
	(void)t;
	return put_bool(out, o->kind == KIND_PRIVATE && cred_decrypts(o->cred) && cred_agrees(o->cred));
}

/* What this key can be used for in this module. */
static CK_RV
get_mechanisms(const struct p11_token *t, const struct p11_object *o, struct wbuf *out)
{
	CK_KEY_TYPE type = cred_key_type(o->cred);
	bool priv = o->kind == KIND_PRIVATE;
	CK_FLAGS sign = priv ? CKF_SIGN : CKF_VERIFY, decrypt = priv ? CKF_DECRYPT | CKF_DERIVE : CKF_ENCRYPT, use;
	const struct mech *m;

	use = (cred_signs(o->cred) ? sign : 0) | (cred_decrypts(o->cred) ? decrypt : 0);
	for (size_t i = 0; (m = mech_row(i)) != NULL; i++)
		if ((m->key == type || (type == CKK_EC_MONTGOMERY && m->scheme == SCHEME_ECDH)) &&
		    (mech_flags(t, m) & use) != 0)
			wbuf_put(out, &m->type, sizeof m->type);
	return CKR_OK;
}

enum how { GET, IS_TRUE, IS_FALSE, NUMBER, EMPTY, SENSITIVE };

struct attr_row {
	CK_ATTRIBUTE_TYPE type;
	unsigned kinds;
	bool fixed; /* S: known without the certificate */
	enum how how;
	CK_ULONG number;
	CK_RV (*get)(const struct p11_token *, const struct p11_object *, struct wbuf *);
};

#define ROW_GET(type, kinds, fixed, getter)                                                                            \
	{                                                                                                              \
		type, kinds, fixed, GET, 0, getter                                                                     \
	}
#define ROW_IS(type, kinds, what)                                                                                      \
	{                                                                                                              \
		type, kinds, S, what, 0, NULL                                                                          \
	}
#define ROW_NUMBER(type, kinds, n)                                                                                     \
	{                                                                                                              \
		type, kinds, S, NUMBER, n, NULL                                                                        \
	}

static const struct attr_row table[] = {
	ROW_GET(CKA_CLASS, ALL, S, get_class),
	ROW_IS(CKA_TOKEN, ALL, IS_TRUE),
	ROW_GET(CKA_PRIVATE, ALL, S, get_private),
	ROW_IS(CKA_MODIFIABLE, KEYS | PROF, IS_FALSE),
	ROW_GET(CKA_MODIFIABLE, CERT | DATA, S, get_changeable), /* in their values, with the management key */
	ROW_IS(CKA_COPYABLE, KEYS | PROF, IS_FALSE),
	ROW_IS(CKA_COPYABLE, CERT | DATA, IS_TRUE), /* to session objects */
	ROW_IS(CKA_DESTROYABLE, PUB | PROF, IS_FALSE),
	ROW_GET(CKA_DESTROYABLE, CERT | DATA, S, get_changeable),
	ROW_GET(CKA_DESTROYABLE, PRIV, S, get_destroyable),
	ROW_GET(CKA_LABEL, ALL, S, get_label),
	ROW_GET(CKA_UNIQUE_ID, ALL, S, get_unique),
	ROW_GET(CKA_PROFILE_ID, PROF, S, get_profile),
	ROW_GET(CKA_DPIV_PIN_TRIES, PROF, S, get_tries),
	ROW_GET(CKA_ID, CRED, S, get_id),
	ROW_GET(CKA_APPLICATION, DATA, S, get_label),
	ROW_GET(CKA_OBJECT_ID, DATA, S, get_object_id),
	ROW_GET(CKA_VALUE, DATA, L, get_data_value),
	/* certificates */
	ROW_NUMBER(CKA_CERTIFICATE_TYPE, CERT, CKC_X_509),
	ROW_NUMBER(CKA_CERTIFICATE_CATEGORY, CERT, 1 /* token user */),
	ROW_IS(CKA_TRUSTED, CERT | PUB, IS_FALSE),
	ROW_GET(CKA_VALUE, CERT, L, attr_cert_value),
	ROW_GET(CKA_ISSUER, CERT, L, attr_cert_issuer),
	ROW_GET(CKA_SERIAL_NUMBER, CERT, L, attr_cert_serial),
	ROW_GET(CKA_SUBJECT, CRED, L, attr_cert_subject),
	ROW_GET(CKA_START_DATE, CERT, L, attr_cert_start),
	ROW_GET(CKA_END_DATE, CERT, L, attr_cert_end),
	ROW_GET(CKA_CHECK_VALUE, CERT, L, attr_cert_check),
	ROW_GET(CKA_PUBLIC_KEY_INFO, CRED, L, attr_cert_spki),
	ROW_IS(CKA_URL, CERT, EMPTY),
	ROW_IS(CKA_HASH_OF_SUBJECT_PUBLIC_KEY, CERT, EMPTY),
	ROW_IS(CKA_HASH_OF_ISSUER_PUBLIC_KEY, CERT, EMPTY),
	ROW_NUMBER(CKA_JAVA_MIDP_SECURITY_DOMAIN, CERT, 0),
	/* keys */
	ROW_GET(CKA_KEY_TYPE, KEYS, L, get_key_type),
	ROW_IS(CKA_START_DATE, KEYS, EMPTY),
	ROW_IS(CKA_END_DATE, KEYS, EMPTY),
	ROW_GET(CKA_LOCAL, KEYS, S, get_local),
	ROW_NUMBER(CKA_KEY_GEN_MECHANISM, KEYS, CK_UNAVAILABLE_INFORMATION),
	ROW_GET(CKA_ALLOWED_MECHANISMS, KEYS, L, get_mechanisms),
	ROW_GET(CKA_MODULUS, KEYS, L, attr_key_modulus),
	ROW_GET(CKA_PUBLIC_EXPONENT, KEYS, L, attr_key_exponent),
	ROW_GET(CKA_MODULUS_BITS, PUB, L, attr_key_bits),
	ROW_GET(CKA_EC_PARAMS, KEYS, L, attr_key_curve),
	ROW_GET(CKA_EC_POINT, KEYS, L, attr_key_point),
	ROW_GET(CKA_DERIVE, KEYS, L, get_derive),
	/* public keys */
	ROW_GET(CKA_VERIFY, PUB, L, get_sign),
	ROW_IS(CKA_VERIFY_RECOVER, PUB, IS_FALSE),
	ROW_GET(CKA_ENCRYPT, PUB, L, get_decrypt),
	ROW_IS(CKA_WRAP, PUB, IS_FALSE),
	/* private keys */
	ROW_GET(CKA_SIGN, PRIV, L, get_sign),
	ROW_IS(CKA_SIGN_RECOVER, PRIV, IS_FALSE),
	ROW_GET(CKA_DECRYPT, PRIV, L, get_decrypt),
	ROW_IS(CKA_UNWRAP, PRIV, IS_FALSE),
	ROW_GET(CKA_SENSITIVE, PRIV, S, get_sensitive),
	ROW_GET(CKA_EXTRACTABLE, PRIV, S, get_extractable),
	ROW_GET(CKA_ALWAYS_SENSITIVE, PRIV, S, get_always_sensitive),
	ROW_GET(CKA_NEVER_EXTRACTABLE, PRIV, S, get_never_extractable),
	ROW_IS(CKA_WRAP_WITH_TRUSTED, PRIV, IS_FALSE),
	ROW_GET(CKA_ALWAYS_AUTHENTICATE, PRIV, S, get_always),
	ROW_GET(CKA_DPIV_PIN_POLICY, PRIV, S, get_pin_policy),
	ROW_GET(CKA_YUBICO_PIN_POLICY, PRIV, S, get_pin_policy),
	ROW_GET(CKA_DPIV_MOVABLE, PRIV, S, get_movable),
	ROW_GET(CKA_DPIV_TOUCH_POLICY, PRIV, S, get_touch_policy),
	ROW_GET(CKA_YUBICO_TOUCH_POLICY, PRIV, S, get_touch_policy),
	ROW_IS(CKA_PRIVATE_EXPONENT, PRIV, SENSITIVE),
	ROW_IS(CKA_PRIME_1, PRIV, SENSITIVE),
	ROW_IS(CKA_PRIME_2, PRIV, SENSITIVE),
	ROW_IS(CKA_EXPONENT_1, PRIV, SENSITIVE),
	ROW_IS(CKA_EXPONENT_2, PRIV, SENSITIVE),
	ROW_IS(CKA_COEFFICIENT, PRIV, SENSITIVE),
	ROW_IS(CKA_VALUE, PRIV, SENSITIVE),
};

static const struct attr_row *
row_find(CK_ATTRIBUTE_TYPE type, enum p11_kind kind)
{
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		if (table[i].type == type && (table[i].kinds & kind) != 0)
			return &table[i];
	return NULL;
}

bool
attr_is_static(CK_ATTRIBUTE_TYPE type, enum p11_kind kind)
{
	const struct attr_row *r = row_find(type, kind);

	return r == NULL || r->fixed;
}

static CK_RV
stored_get(const struct p11_object *o, CK_ATTRIBUTE_TYPE type, struct wbuf *out)
{
	const struct attr_value *v;

	if (type == CKA_VALUE && o->value != NULL) {
		if (store_bool(&o->store, CKA_SENSITIVE) || !store_bool(&o->store, CKA_EXTRACTABLE))
			return CKR_ATTRIBUTE_SENSITIVE;
		wbuf_span(out, secret_view(o->value));
		return CKR_OK;
	}
	if ((v = store_find(&o->store, type)) == NULL)
		return CKR_ATTRIBUTE_TYPE_INVALID;
	wbuf_put(out, v->p, v->n);
	return CKR_OK;
}

CK_RV
attr_get(const struct p11_token *t, const struct p11_object *o, CK_ATTRIBUTE_TYPE type, struct wbuf *out)
{
	const struct attr_row *r;

	if (o->kind == KIND_STORED)
		return stored_get(o, type, out);
	if ((r = row_find(type, o->kind)) == NULL)
		return CKR_ATTRIBUTE_TYPE_INVALID;
	switch (r->how) {
	case IS_TRUE: return put_bool(out, true);
	case IS_FALSE: return put_bool(out, false);
	case NUMBER: return put_ulong(out, r->number);
	case EMPTY: return CKR_OK;
	case SENSITIVE: return CKR_ATTRIBUTE_SENSITIVE;
	case GET: break;
	}
	return r->get(t, o, out);
}

bool
attr_matches(const struct p11_token *t, const struct p11_object *o, const CK_ATTRIBUTE *a)
{
	WBUF_AUTO value = { 0 };

	if (o->kind == KIND_DATA && a->type == CKA_OBJECT_ID)
		return data_has_oid(o->data, span_of(a->pValue, a->ulValueLen));
	if (a->type == CKA_ID && o->cred != NULL && o->cred->alias_n > 0 &&
	    span_eq(span_of(o->cred->alias, o->cred->alias_n), span_of(a->pValue, a->ulValueLen)))
		return true;
	wbuf_init(&value, P11_VALUE_MAX);
	if (attr_get(t, o, a->type, &value) != CKR_OK || value.bad)
		return false;
	return span_eq(wbuf_view(&value), span_of(a->pValue, a->ulValueLen));
}

/* --- the caller's templates --- */

bool
template_ok(const CK_ATTRIBUTE *t, CK_ULONG n)
{
	if (t == NULL)
		return n == 0;
	for (CK_ULONG i = 0; i < n; i++)
		if ((t[i].pValue == NULL && t[i].ulValueLen != 0) || t[i].ulValueLen > P11_VALUE_MAX)
			return false;
	return true;
}

const CK_ATTRIBUTE *
template_find(const CK_ATTRIBUTE *t, CK_ULONG n, CK_ATTRIBUTE_TYPE type)
{
	for (CK_ULONG i = 0; i < n; i++)
		if (t[i].type == type)
			return &t[i];
	return NULL;
}

bool
template_ulong(const CK_ATTRIBUTE *t, CK_ULONG n, CK_ATTRIBUTE_TYPE type, CK_ULONG *out)
{
	const CK_ATTRIBUTE *a = template_find(t, n, type);

	if (a == NULL || a->ulValueLen != sizeof *out)
		return false;
	memcpy(out, a->pValue, sizeof *out);
	return true;
}

bool
template_bool(const CK_ATTRIBUTE *t, CK_ULONG n, CK_ATTRIBUTE_TYPE type, bool initial)
{
	const CK_ATTRIBUTE *a = template_find(t, n, type);
	CK_BBOOL b;

	if (a == NULL || a->ulValueLen != sizeof b)
		return initial;
	memcpy(&b, a->pValue, sizeof b);
	return b != CK_FALSE;
}
