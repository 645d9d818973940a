/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * C_DeriveKey: ECDH on the card, then nothing (CKD_NULL) or the X9.63 KDF in software (PKCS#11 2.40, 2.3.19; SEC 1,
 * 3.6.1; RFC 5753 for mail), into a session secret key. No other PIV module has the KDF; without it NSS and OpenSSL's
 * provider cannot open elliptic-curve mail.
 *
 * Lengths: a KDF gives what is asked for; of the bare X coordinate a shorter key keeps the last bytes (PKCS#11 2.40,
 * 2.3.19: "truncated from the leading end"). The curves here have cofactor 1, so cofactor ECDH is the same thing.
 */
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/kdf.h>

#include "hw/tlv.h"
#include "pkcs11/p11.h"

/* The peer's point: as it is, or in a DER OCTET STRING. The length tells, since both may begin with 04. */
static struct span
peer_point(const struct mech_params *p, size_t length)
{
	struct span all = wbuf_view(&p->point), inner;
	struct span der = all;

	if (all.n != length && tlv_get(&der, 0x04, &inner) == E_OK && der.n == 0)
		return inner;
	return all;
}

static CK_RV
x963(struct p11_module *m, const struct mech_params *p, struct span z, size_t n, struct wbuf *out)
{
	EVP_KDF *kdf = EVP_KDF_fetch(m->lib, "X963KDF", NULL);
	EVP_KDF_CTX *ctx = kdf != NULL ? EVP_KDF_CTX_new(kdf) : NULL;
	WBUF_AUTO key, info, name;
	OSSL_PARAM params[4];
	uint8_t *room = wbuf_room(out, n);
	int ok;

	wbuf_init(&key, 128);
	wbuf_init(&info, P11_VALUE_MAX);
	wbuf_init(&name, 16);
	wbuf_span(&key, z);
	wbuf_span(&info, wbuf_view(&p->label));
	wbuf_put(&name, p->kdf->name, strlen(p->kdf->name) + 1);
	params[0] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)name.p, 0);
	params[1] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, key.p, key.n);
	params[2] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info.p, info.n);
	params[3] = OSSL_PARAM_construct_end();
	if (info.n == 0)
		params[2] = params[3];
	ok = ctx != NULL && room != NULL && !key.bad && !info.bad && !name.bad &&
	    EVP_KDF_derive(ctx, room, n, params) == 1;
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	ERR_clear_error();
	return ok ? CKR_OK : CKR_FUNCTION_FAILED;
}

static CK_RV
derive_cred(struct p11_op *op, struct p11_object *o, size_t *field)
{
	if (o->kind == KIND_STORED || !cred_agrees(o->cred))
		return CKR_KEY_TYPE_INCONSISTENT;
	if (o->kind != KIND_PRIVATE || !cred_decrypts(o->cred))
		return CKR_KEY_FUNCTION_NOT_PERMITTED;
	op->cred = o->cred;
	*field = piv_alg_len(o->cred->alg);
	return CKR_OK;
}

/* RFC 7748, 6.1: a point of small order makes the secret all zero; it is none. */
static bool
is_zero(struct span z)
{
	uint8_t any = 0, b;

	while (span_u8(&z, &b))
		any |= b;
	return any == 0;
}

static CK_RV
derive_value(struct p11_session *s, struct p11_op *op, size_t field, size_t n, struct wbuf *value)
{
	size_t length = op->cred->alg == PIV_ALG_X25519 ? field : 2 * field + 1;
	struct span z, point = peer_point(&op->params, length);
	WBUF_AUTO shared;
	CK_RV rv;

	wbuf_init(&shared, 128);
	if (point.n != length)
		return CKR_MECHANISM_PARAM_INVALID;
	if ((rv = op_card(s, op, PIV_OP_DERIVE, point, &shared)) != CKR_OK)
		return rv == CKR_ARGUMENTS_BAD ? CKR_MECHANISM_PARAM_INVALID : rv; /* not on the curve */
	z = wbuf_view(&shared);
	if (is_zero(z))
		return CKR_MECHANISM_PARAM_INVALID;
	if (op->params.kdf != NULL)
		return x963(s->slot->module, &op->params, z, n, value);
	if (n > z.n || !span_skip(&z, z.n - n))
		return CKR_TEMPLATE_INCONSISTENT;
	wbuf_span(value, z);
	return CKR_OK;
}

static CK_RV
derive_with(struct p11_session *s, struct p11_op *op, CK_MECHANISM *m, CK_OBJECT_HANDLE base, CK_ATTRIBUTE *tmpl,
    CK_ULONG n, CK_OBJECT_HANDLE *out)
{
	struct p11_object *o;
	size_t field, length;
	WBUF_AUTO value;
	CK_RV rv;

	wbuf_init(&value, P11_VALUE_MAX);
	if ((rv = key_find(s, base, &o)) != CKR_OK || (rv = derive_cred(op, o, &field)) != CKR_OK ||
	    (rv = mech_params_read(op->mech, m, &op->params)) != CKR_OK)
		return rv;
	if ((rv = secret_key_length(tmpl, n, op->params.kdf != NULL ? op->params.kdf->len : field, &length)) != CKR_OK)
		return rv;
	if (op->params.kdf == NULL && length > field)
		return CKR_TEMPLATE_INCONSISTENT;
	if ((rv = derive_value(s, op, field, length, &value)) != CKR_OK)
		return rv;
	if (value.bad)
		return CKR_HOST_MEMORY;
	return secret_key_new(s, tmpl, n, wbuf_view(&value), out);
}

CK_RV
derive_key(struct p11_session *s, CK_MECHANISM *m, CK_OBJECT_HANDLE base, CK_ATTRIBUTE *tmpl, CK_ULONG n,
    CK_OBJECT_HANDLE *out)
{
	struct p11_op op = { .kind = OP_DECRYPT };
	CK_RV rv;

	if (m == NULL || out == NULL || !template_ok(tmpl, n))
		return CKR_ARGUMENTS_BAD;
	op.mech = mech_find(m->mechanism);
	if (op.mech == NULL || (op.mech->flags & CKF_DERIVE) == 0)
		return CKR_MECHANISM_INVALID;
	rv = derive_with(s, &op, m, base, tmpl, n, out);
	op_end(&op);
	return rv;
}
