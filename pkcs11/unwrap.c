/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * C_UnwrapKey with a session AES key, and C_GenerateKey. What is unwrapped becomes a session secret key, or, when it is
 * a PKCS#8 private key and the template says so, a key of the card (import.c). It is in locked memory all the way.
 * Cards' RSA keys do not unwrap (mech.c): programs decrypt with them.
 */
#include <openssl/rand.h>

#include "pkcs11/p11.h"

static CK_RV
unwrap_with(struct p11_session *s, const struct mech *mech, struct mech_params *p, struct p11_object *o, struct span in,
    struct secret **value)
{
	if (o->value == NULL || store_ulong(&o->store, CKA_KEY_TYPE) != mech->key)
		return CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT;
	if (!store_bool(&o->store, CKA_UNWRAP))
		return CKR_KEY_FUNCTION_NOT_PERMITTED;
	return cipher_open(s->slot->module, mech->scheme, secret_view(o->value), wbuf_view(&p->label), in, value);
}

/* To the card only: a private key has nowhere else to be. */
static CK_RV
private_key_in(struct p11_session *s, const CK_ATTRIBUTE *tmpl, CK_ULONG n, struct span der, CK_OBJECT_HANDLE *out)
{
	struct private_key key;
	CK_KEY_TYPE type;
	CK_RV rv;

	if (!template_bool(tmpl, n, CKA_TOKEN, false))
		return CKR_TEMPLATE_INCONSISTENT;
	if ((rv = private_of_pkcs8(der, &key)) != CKR_OK)
		return rv;
	if (template_ulong(tmpl, n, CKA_KEY_TYPE, &type) && (type == CKK_RSA) != piv_alg_is_rsa(key.secret.alg))
		return CKR_TEMPLATE_INCONSISTENT;
	rv = import_private(s, &key, tmpl, n, out);
	return rv == CKR_USER_NOT_LOGGED_IN && s->slot->token->user ? CKR_TOKEN_WRITE_PROTECTED : rv;
}

static CK_RV
secret_key_in(struct p11_session *s, const CK_ATTRIBUTE *tmpl, CK_ULONG n, struct span value, CK_OBJECT_HANDLE *out)
{
	size_t length;
	CK_RV rv;

	if ((rv = secret_key_length(tmpl, n, value.n, &length)) != CKR_OK)
		return rv;
	return length == value.n ? secret_key_new(s, tmpl, n, value, out) : CKR_TEMPLATE_INCONSISTENT;
}

CK_RV
unwrap_key(struct p11_session *s, CK_MECHANISM *m, CK_OBJECT_HANDLE key, const CK_BYTE *in, CK_ULONG in_n,
    CK_ATTRIBUTE *tmpl, CK_ULONG n, CK_OBJECT_HANDLE *out)
{
	CK_ULONG class = CKO_SECRET_KEY;
	const struct mech *mech;
	struct mech_params params;
	struct p11_object *o;
	SECRET_AUTO value = NULL;
	CK_RV rv;

	if (m == NULL || in == NULL || out == NULL || !template_ok(tmpl, n))
		return CKR_ARGUMENTS_BAD;
	mech = mech_find(m->mechanism);
	if (mech == NULL || (mech->flags & CKF_UNWRAP) == 0)
		return CKR_MECHANISM_INVALID;
	if ((rv = key_find(s, key, &o)) != CKR_OK)
		return rv == CKR_KEY_HANDLE_INVALID ? CKR_UNWRAPPING_KEY_HANDLE_INVALID : rv;
	if ((rv = mech_params_read(mech, m, &params)) == CKR_OK)
		rv = unwrap_with(s, mech, &params, o, span_of(in, in_n), &value);
	mech_params_free(&params);
	if (rv != CKR_OK)
		return rv;
	template_ulong(tmpl, n, CKA_CLASS, &class);
	if (class == CKO_PRIVATE_KEY)
		return private_key_in(s, tmpl, n, secret_view(value), out);
	return secret_key_in(s, tmpl, n, secret_view(value), out);
}

CK_RV
generate_key(struct p11_session *s, CK_MECHANISM *m, CK_ATTRIBUTE *tmpl, CK_ULONG n, CK_OBJECT_HANDLE *out)
{
	const struct mech *mech;
	CK_ULONG length, type;
	WBUF_AUTO value;
	uint8_t *room;
	size_t checked;
	CK_RV rv;

	wbuf_init(&value, P11_VALUE_MAX);
	if (m == NULL || out == NULL || !template_ok(tmpl, n))
		return CKR_ARGUMENTS_BAD;
	mech = mech_find(m->mechanism);
	if (mech == NULL || (mech->flags & CKF_GENERATE) == 0)
		return CKR_MECHANISM_INVALID;
	if (m->ulParameterLen != 0)
		return CKR_MECHANISM_PARAM_INVALID;
	if (!template_ulong(tmpl, n, CKA_VALUE_LEN, &length))
		return CKR_TEMPLATE_INCOMPLETE;
	if (template_ulong(tmpl, n, CKA_KEY_TYPE, &type) && type != mech->key)
		return CKR_TEMPLATE_INCONSISTENT;
	if (length == 0 || length > P11_VALUE_MAX ||
	    (mech->key == CKK_AES && length != 16 && length != 24 && length != 32))
		return CKR_KEY_SIZE_RANGE;
	if ((rv = secret_key_length(tmpl, n, length, &checked)) != CKR_OK)
		return rv;
	if ((room = wbuf_room(&value, checked)) == NULL)
		return CKR_HOST_MEMORY;
	if (RAND_priv_bytes_ex(s->slot->module->lib, room, checked, 0) != 1)
		return CKR_FUNCTION_FAILED;
	return secret_key_new_typed(s, mech->key, true, tmpl, n, wbuf_view(&value), out);
}
