/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Private keys behind another module. Its C_SignInit or C_DecryptInit runs with ours: with the same mechanism when it
 * has that (native), else with the one that software can build upon: raw RSA for PSS, OAEP and the rest, PKCS#1 without
 * the hash, ECDSA of a digest. So a context-specific login in between reaches the operation that it is for.
 *
 * PKCS#1 v1.5 decryption is done over raw RSA where the token allows it, natively only where it does not: then the
 * padding is removed here, where no failure can be told from another (decrypt.c).
 *
 * The native signature is the straight way: the caller's buffers go to the other module as they are, and no lock but
 * the session's own is held meanwhile.
 */
#include <string.h>

#include "base/log.h"
#include "hw/tlv.h"
#include "pkcs11/remote.h"

#define BLOCK_MAX 1024 /* a result of RSA or ECDSA */

/* Cryptoki's prototypes take mutable input. */
static CK_BYTE *mutable(const uint8_t *p)
{
	union {
		const uint8_t *c;
		CK_BYTE *m;
	} cast = { p };

	return cast.m;
}

/* --- C_SignInit, C_DecryptInit --- */

static CK_RV
call_init(struct p11_session *s, struct p11_op *op, CK_MECHANISM *m)
{
	const CK_FUNCTION_LIST *f = s->slot->remote->f;
	CK_OBJECT_HANDLE key = op->cred->remote->key;
	CK_RV rv;

	remote_go(s);
	rv = op->kind == OP_SIGN ? f->C_SignInit(s->remote.handle, m, key) : f->C_DecryptInit(s->remote.handle, m, key);
	remote_come_back(s);
	return rv;
}

static CK_RV
begin(struct p11_session *s, struct p11_op *op, CK_MECHANISM *m)
{
	CK_RV rv;

	if ((rv = remote_session_open(s)) != CKR_OK)
		return rv;
	rv = call_init(s, op, m);
	if (rv == CKR_OPERATION_ACTIVE && !s->op[OP_SIGN].active && !s->op[OP_DECRYPT].active) {
		s->remote.spoiled = true;
		if ((rv = remote_session_open(s)) != CKR_OK)
			return rv;
		rv = call_init(s, op, m);
	}
	if (rv != CKR_OK)
		return rv;
	op->link = &s->remote;
	return CKR_OK;
}

/* The mechanism under which this one can be done; 0: none. */
static CK_MECHANISM_TYPE
base_of(const struct remote *r, const struct p11_op *op)
{
	CK_FLAGS use = op->kind == OP_SIGN ? CKF_SIGN : CKF_DECRYPT;
	bool pkcs = op->mech->scheme == SCHEME_RSA_PKCS && op->kind == OP_SIGN;

	if (op->mech->scheme == SCHEME_ECDSA)
		return CKM_ECDSA;
	if (pkcs && remote_mech_native(r, CKM_RSA_PKCS, use))
		return CKM_RSA_PKCS;
	return remote_mech_native(r, CKM_RSA_X_509, use) ? CKM_RSA_X_509 : 0;
}

static CK_RV
begin_native(struct p11_session *s, struct p11_op *op, CK_MECHANISM *m)
{
	CK_MECHANISM bare = { op->mech->type, NULL, 0 };
	CK_RV rv = begin(s, op, op->mech->param == PARAM_NONE ? &bare : m);

	op->native = rv == CKR_OK;
	return rv;
}

static CK_RV
begin_base(struct p11_session *s, struct p11_op *op)
{
	CK_MECHANISM bare = { base_of(s->slot->remote, op), NULL, 0 };

	if (bare.mechanism == 0)
		return CKR_MECHANISM_INVALID;
	op->token_pads = bare.mechanism == CKM_RSA_PKCS;
	return begin(s, op, &bare);
}

/* Would another way of doing it help? */
static bool
is_refusal(CK_RV rv)
{
	return rv == CKR_MECHANISM_INVALID || rv == CKR_MECHANISM_PARAM_INVALID || rv == CKR_ARGUMENTS_BAD ||
	    rv == CKR_KEY_FUNCTION_NOT_PERMITTED || rv == CKR_FUNCTION_NOT_SUPPORTED ||
	    rv == CKR_KEY_TYPE_INCONSISTENT || rv == CKR_FUNCTION_FAILED || rv == CKR_GENERAL_ERROR;
}

CK_RV
remote_start(struct p11_session *s, struct p11_op *op, CK_MECHANISM *m)
{
	const struct remote *r = s->slot->remote;
	CK_FLAGS use = op->kind == OP_SIGN ? CKF_SIGN : CKF_DECRYPT;
	bool native = (r->have[mech_index(op->mech)] & use) != 0;
	CK_RV rv = CKR_MECHANISM_INVALID;

	if (op->cred->remote->key == CK_INVALID_HANDLE)
		return CKR_USER_NOT_LOGGED_IN;
	if (op->mech->scheme == SCHEME_RSA_PKCS && op->kind == OP_DECRYPT) {
		rv = begin_base(s, op);
		if (is_refusal(rv) && native)
			rv = begin_native(s, op, m);
	} else {
		if (native)
			rv = begin_native(s, op, m);
		if (is_refusal(rv) && base_of(r, op) != op->mech->type)
			rv = begin_base(s, op);
	}
	if (is_refusal(rv))
		log_info("token", "mechanism=0x%lx rv=0x%lx", op->mech->type, rv);
	return remote_rv(s->slot, rv);
}

/* --- the key at work --- */

/* What a key that wants its PIN each time still needs. A PIN that was just entered is worth one use, this one. */
static CK_RV
prove(struct p11_session *s, struct p11_op *op)
{
	CK_RV rv = op->pin != NULL ? remote_login_held(s, op) : CKR_OK;

	if (op->cred->row->pin)
		fresh_end(s->slot->token);
	return rv;
}

/* Done, and the other module's operation with it; after a failure nobody knows. */
static CK_RV
finish(struct p11_session *s, struct p11_op *op, CK_RV rv)
{
	if (rv == CKR_OK)
		op->link = NULL;
	return remote_rv(s->slot, rv == CKR_BUFFER_TOO_SMALL ? CKR_DEVICE_ERROR : rv);
}

CK_RV
remote_sign(struct p11_session *s, struct p11_op *op, const CK_BYTE *in, CK_ULONG n, CK_BYTE *out, CK_ULONG *len)
{
	CK_ULONG room = *len;
	CK_RV rv;

	if (op->mech->hash == NULL && !sign_length_ok(op, n)) /* other modules are not always so exact */
		return CKR_DATA_LEN_RANGE;
	if ((rv = prove(s, op)) != CKR_OK)
		return rv;
	remote_go(s);
	rv = s->slot->remote->f->C_Sign(s->remote.handle, mutable(in), n, out, len);
	remote_come_back(s);
	if (rv == CKR_OK && *len > room)
		rv = CKR_DEVICE_ERROR;
	return finish(s, op, rv);
}

CK_RV
remote_update(struct p11_session *s, struct p11_op *op, struct span in)
{
	CK_RV rv;

	(void)op;
	remote_go(s);
	rv = s->slot->remote->f->C_SignUpdate(s->remote.handle, mutable(in.p), in.n);
	remote_come_back(s);
	return remote_rv(s->slot, rv);
}

/* One call that gives one block, into out. */
static CK_RV
block(struct p11_session *s, struct p11_op *op, struct span in, bool one, struct wbuf *out)
{
	const CK_FUNCTION_LIST *f = s->slot->remote->f;
	CK_BYTE result[BLOCK_MAX];
	CK_ULONG n = sizeof result;
	CK_RV rv;

	if ((rv = prove(s, op)) != CKR_OK)
		return rv;
	remote_go(s);
	if (op->kind == OP_DECRYPT)
		rv = f->C_Decrypt(s->remote.handle, mutable(in.p), in.n, result, &n);
	else if (one)
		rv = f->C_Sign(s->remote.handle, mutable(in.p), in.n, result, &n);
	else
		rv = f->C_SignFinal(s->remote.handle, result, &n);
	remote_come_back(s);
	if (rv == CKR_OK && n > sizeof result)
		rv = CKR_DEVICE_ERROR;
	if (rv == CKR_OK)
		wbuf_put(out, result, n);
	OPENSSL_cleanse(result, sizeof result);
	return finish(s, op, rv);
}

CK_RV
remote_final(struct p11_session *s, struct p11_op *op, struct wbuf *out)
{
	bool fed = op->kind == OP_SIGN && op->mech->hash != NULL;

	if (op->kind == OP_SIGN && !fed && !sign_length_ok(op, op->data.n))
		return CKR_DATA_LEN_RANGE;
	return block(s, op, wbuf_view(&op->data), !fed, out);
}

/* --- key agreement --- */

static CK_RV
derive_once(struct p11_session *s, struct p11_op *op, struct span point, size_t field, CK_OBJECT_HANDLE *out)
{
	CK_OBJECT_CLASS class = CKO_SECRET_KEY;
	CK_KEY_TYPE type = CKK_GENERIC_SECRET;
	CK_ULONG length = field;
	CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
	CK_ATTRIBUTE tmpl[] = { { CKA_CLASS, &class, sizeof class }, { CKA_KEY_TYPE, &type, sizeof type },
		{ CKA_VALUE_LEN, &length, sizeof length }, { CKA_TOKEN, &no, sizeof no },
		{ CKA_SENSITIVE, &no, sizeof no }, { CKA_EXTRACTABLE, &yes, sizeof yes } };
	CK_ECDH1_DERIVE_PARAMS params = {
		.kdf = CKD_NULL, .ulPublicDataLen = point.n, .pPublicData = mutable(point.p)
	};
	CK_MECHANISM m = { CKM_ECDH1_DERIVE, &params, sizeof params };
	CK_RV rv;

	remote_go(s);
	rv = s->slot->remote->f->C_DeriveKey(
	    s->remote.handle, &m, op->cred->remote->key, tmpl, sizeof tmpl / sizeof tmpl[0], out);
	remote_come_back(s);
	return rv;
}

/* The X coordinate, out of a session key of that token: for that it has to be extractable there. */
static CK_RV
derive(struct p11_session *s, struct p11_op *op, struct span point, struct wbuf *out)
{
	const CK_FUNCTION_LIST *f = s->slot->remote->f;
	size_t field = piv_alg_len(op->cred->alg), lead;
	CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
	WBUF_AUTO der;
	WBUF_AUTO z;
	CK_RV rv;

	wbuf_init(&der, 256);
	wbuf_init(&z, field);
	if ((rv = remote_session_open(s)) != CKR_OK)
		return rv;
	rv = derive_once(s, op, point, field, &key);
	if (is_refusal(rv)) { /* modules differ: the bare point, or in an OCTET STRING */
		tlv_put(&der, 0x04, point.p, point.n);
		rv = derive_once(s, op, wbuf_view(&der), field, &key);
	}
	if (rv != CKR_OK)
		return is_refusal(rv) ? CKR_MECHANISM_PARAM_INVALID : remote_rv(s->slot, rv);
	rv = p11mod_attr(f, s->remote.handle, key, CKA_VALUE, &z);
	(void)f->C_DestroyObject(s->remote.handle, key);
	if (rv != CKR_OK || z.bad || z.n == 0)
		return rv == CKR_OK ? CKR_DEVICE_ERROR : remote_rv(s->slot, rv);
	lead = field - z.n;
	wbuf_fill(out, 0, lead);
	wbuf_span(out, wbuf_view(&z));
	return CKR_OK;
}

/* As the card edge: raw RSA gives a block of the modulus' length, ECDSA takes no more of the digest than fits the curve
 * (FIPS 186-5, 6.4.1). */
CK_RV
remote_key_use(struct p11_session *s, struct p11_op *op, enum piv_op what, struct span in, struct wbuf *out)
{
	size_t k = piv_alg_len(op->cred->alg);
	WBUF_AUTO result;
	CK_RV rv;

	wbuf_init(&result, BLOCK_MAX);
	if (op->cred->remote->key == CK_INVALID_HANDLE)
		return CKR_USER_NOT_LOGGED_IN;
	if (what == PIV_OP_DERIVE)
		return derive(s, op, in, out);
	if (op->link == NULL)
		return CKR_GENERAL_ERROR;
	if (op->mech->scheme == SCHEME_ECDSA && in.n > k)
		(void)span_sub(in, 0, k, &in);
	if ((rv = block(s, op, in, true, &result)) != CKR_OK)
		return rv;
	if (result.bad || (piv_alg_is_rsa(op->cred->alg) ? result.n > k : result.n != 2 * k))
		return CKR_DEVICE_ERROR;
	if (piv_alg_is_rsa(op->cred->alg))
		wbuf_fill(out, 0, k - result.n);
	wbuf_span(out, wbuf_view(&result));
	return CKR_OK;
}

/* --- random numbers --- */

CK_RV
remote_random(struct p11_session *s, CK_BYTE *out, CK_ULONG n)
{
	CK_RV rv;

	if ((s->slot->remote->info.flags & CKF_RNG) == 0)
		return CKR_RANDOM_NO_RNG;
	if ((rv = remote_session_open(s)) != CKR_OK)
		return rv;
	remote_go(s);
	rv = s->slot->remote->f->C_GenerateRandom(s->remote.handle, out, n);
	remote_come_back(s);
	return rv == CKR_OK ? CKR_OK : remote_rv(s->slot, rv);
}
