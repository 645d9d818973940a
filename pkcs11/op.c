/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operations: Init, then one call or Update... Final (PKCS#11 2.40, 5.2 and 5.8 to 5.13). What all of them share is
 * here, once:
 *
 *	- a NULL buffer asks for the length, a short one gets CKR_BUFFER_TOO_SMALL; both from the key's size alone,
 *	  without the card, and the operation stays
 *	- every other failure ends the operation, so that the next Init works; so does success, except of Update
 *	- the one-call form after an Update is CKR_OPERATION_ACTIVE
 *	- a PIN-always key without its context login is CKR_USER_NOT_LOGGED_IN, and the operation waits for it
 */
#include <string.h>

#include <openssl/err.h>

#include "pkcs11/ask.h"
#include "pkcs11/remote.h"

/* What tells the kinds apart. */
struct op_row {
	CK_FLAGS flag;	       /* that the mechanism must have */
	enum p11_kind kind;    /* of the key */
	CK_ATTRIBUTE_TYPE use; /* that a session key must have */
};

static const struct op_row rows[OP_KINDS] = {
	[OP_DIGEST] = { CKF_DIGEST, 0, 0 },
	[OP_SIGN] = { CKF_SIGN, KIND_PRIVATE, CKA_SIGN },
	[OP_VERIFY] = { CKF_VERIFY, KIND_PUBLIC, CKA_VERIFY },
	[OP_ENCRYPT] = { CKF_ENCRYPT, KIND_PUBLIC, CKA_ENCRYPT },
	[OP_DECRYPT] = { CKF_DECRYPT, KIND_PRIVATE, CKA_DECRYPT },
};

void
op_end(struct p11_op *op)
{
	if (op->link != NULL)
		op->link->spoiled = true; /* there is no call that ends an operation */
	secret_free(&op->key);
	secret_free(&op->pin);
	EVP_MD_CTX_free(op->md);
	EVP_CIPHER_CTX_free(op->cipher);
	wbuf_free(&op->data);
	mech_params_free(&op->params);
	*op = (struct p11_op){ .active = false };
}

/* --- C_...Init --- */

static CK_RV
object_of_handle(struct p11_session *s, CK_OBJECT_HANDLE h, struct p11_object **out)
{
	if ((*out = object_find(s, h)) == NULL)
		return CKR_KEY_HANDLE_INVALID;
	return ((*out)->kind & (KIND_CERT | KIND_PROFILE | KIND_DATA)) != 0 ? CKR_KEY_HANDLE_INVALID : CKR_OK;
}

/* A key for an operation: present, visible. */
CK_RV
key_find(struct p11_session *s, CK_OBJECT_HANDLE h, struct p11_object **out)
{
	struct p11_token *t = s->slot->token;

	if ((*out = object_find(s, h)) != NULL)
		return object_of_handle(s, h, out);
	/* A handle from before the login ended (another program's reset, a PIN refused) is still a key: say what helps.
	 */
	for (size_t i = 0; i < t->n_obj; i++)
		if (t->obj[i]->handle == h)
			return ask_for_login(s) == CKR_OK ? object_of_handle(s, h, out) : CKR_USER_NOT_LOGGED_IN;
	return CKR_KEY_HANDLE_INVALID;
}

static CK_RV
op_cred(struct p11_op *op, struct p11_object *o)
{
	bool signs = op->kind == OP_SIGN || op->kind == OP_VERIFY;

	if (op->mech->key != cred_key_type(o->cred))
		return CKR_KEY_TYPE_INCONSISTENT;
	if (o->kind != rows[op->kind].kind || !(signs ? cred_signs(o->cred) : cred_decrypts(o->cred)))
		return CKR_KEY_FUNCTION_NOT_PERMITTED;
	op->cred = o->cred;
	op->always_auth = o->kind == KIND_PRIVATE && cred_pin_always(o->cred);
	return CKR_OK;
}

static CK_RV
op_secret(struct p11_op *op, struct p11_object *o)
{
	struct span value = secret_view(o->value);

	if (o->value == NULL)
		return CKR_KEY_HANDLE_INVALID;
	if (store_ulong(&o->store, CKA_KEY_TYPE) != op->mech->key)
		return CKR_KEY_TYPE_INCONSISTENT;
	if (!store_bool(&o->store, rows[op->kind].use))
		return CKR_KEY_FUNCTION_NOT_PERMITTED;
	op->key = secret_copy(value.p, value.n);
	return op->key != NULL ? CKR_OK : CKR_HOST_MEMORY;
}

static CK_RV
op_key(struct p11_session *s, struct p11_op *op, CK_OBJECT_HANDLE h)
{
	struct p11_object *o;
	CK_RV rv;

	if (op->kind == OP_DIGEST)
		return CKR_OK;
	if ((rv = key_find(s, h, &o)) != CKR_OK)
		return rv;
	return o->kind == KIND_STORED ? op_secret(op, o) : op_cred(op, o);
}

/* Does the padding fit the key (RFC 8017: 9.1.1 step 3, 7.1.1 step 1)? */
static bool
params_fit(const struct p11_op *op)
{
	size_t k = op->cred != NULL ? piv_alg_len(op->cred->alg) : 0;

	if (op->mech->scheme == SCHEME_RSA_PSS)
		return op->params.hash->len + op->params.salt + 2 <= k;
	if (op->mech->scheme == SCHEME_RSA_OAEP)
		return 2 * op->params.hash->len + 2 <= k;
	return true;
}

CK_RV
op_start_hash(struct p11_module *m, struct p11_op *op, const char *name)
{
	EVP_MD *md = EVP_MD_fetch(m->lib, name, NULL);
	bool ok = md != NULL && (op->md = EVP_MD_CTX_new()) != NULL && EVP_DigestInit_ex2(op->md, md, NULL) == 1;

	EVP_MD_free(md);
	ERR_clear_error();
	return ok ? CKR_OK : CKR_FUNCTION_FAILED;
}

static CK_RV
op_start(struct p11_session *s, struct p11_op *op, CK_MECHANISM *m, CK_OBJECT_HANDLE key)
{
	CK_RV rv;

	if ((rv = op_key(s, op, key)) != CKR_OK || (rv = mech_params_read(op->mech, m, &op->params)) != CKR_OK)
		return rv;
	if (!params_fit(op))
		return CKR_MECHANISM_PARAM_INVALID;
	wbuf_init(&op->data, P11_INPUT_MAX);
	if (s->slot->remote != NULL && (op->kind == OP_SIGN || op->kind == OP_DECRYPT) && op->cred != NULL &&
	    (rv = remote_start(s, op, m)) != CKR_OK)
		return rv;
	if (op->mech->hash != NULL && !op->native)
		return op_start_hash(s->slot->module, op, op->mech->hash);
	return op->key != NULL && op->mech->scheme != SCHEME_AES_WRAP ? cipher_start(s->slot->module, op) : CKR_OK;
}

CK_RV
op_init(struct p11_session *s, enum op_kind kind, CK_MECHANISM *m, CK_OBJECT_HANDLE key)
{
	struct p11_op *op = &s->op[kind];
	CK_RV rv;

	if (m == NULL) { /* PKCS#11 3.0, 5.10.1: cancel */
		rv = op->active ? CKR_OK : CKR_ARGUMENTS_BAD;
		op_end(op);
		return rv;
	}
	if (op->active)
		return CKR_OPERATION_ACTIVE;
	op->kind = kind;
	if ((op->mech = mech_find(m->mechanism)) == NULL || (op->mech->flags & rows[kind].flag) == 0)
		rv = CKR_MECHANISM_INVALID;
	else
		rv = op_start(s, op, m, key);
	if (rv != CKR_OK) {
		op_end(op);
		return rv;
	}
	op->active = true;
	if (kind == OP_SIGN)
		fresh_redeem(s, op);
	return CKR_OK;
}

/* --- input --- */

CK_RV
op_collect(struct p11_op *op, struct span in)
{
	if (op->md != NULL)
		return EVP_DigestUpdate(op->md, in.p, in.n) == 1 ? CKR_OK : CKR_FUNCTION_FAILED;
	wbuf_span(&op->data, in);
	return op->data.bad ? CKR_DATA_LEN_RANGE : CKR_OK;
}

CK_RV
op_digest(struct p11_op *op, struct wbuf *out)
{
	uint8_t md[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	if (EVP_DigestFinal_ex(op->md, md, &n) != 1)
		return CKR_FUNCTION_FAILED;
	wbuf_put(out, md, n);
	OPENSSL_cleanse(md, sizeof md);
	return CKR_OK;
}

static CK_RV
op_update(struct p11_session *s, struct p11_op *op, struct span in, struct wbuf *out)
{
	if (op->native && op->mech->hash != NULL)
		return remote_update(s, op, in);
	return op->cipher != NULL ? cipher_update(op, in, out) : op_collect(op, in);
}

static CK_RV
op_final(struct p11_session *s, struct p11_op *op, struct wbuf *out)
{
	switch (op->kind) {
	case OP_DIGEST: return op_digest(op, out);
	case OP_SIGN: return sign_final(s, op, out);
	case OP_ENCRYPT: return encrypt_final(s, op, out);
	case OP_DECRYPT: return decrypt_final(s, op, out);
	default: return CKR_GENERAL_ERROR;
	}
}

/* --- lengths --- */

/* The most that an RSA decryption may yield. */
static size_t
rsa_plain_max(const struct p11_op *op, size_t k)
{
	if (op->mech->scheme == SCHEME_RSA_PKCS)
		return k - 11;
	return op->mech->scheme == SCHEME_RSA_OAEP ? k - 2 * op->params.hash->len - 2 : k;
}

/* What this call may write at most. */
static size_t
op_bound(const struct p11_op *op, enum op_phase phase, size_t n)
{
	size_t k = op->cred != NULL ? piv_alg_len(op->cred->alg) : 0;

	if (op->key != NULL)
		return cipher_bound(op, phase, n);
	if (phase == OP_UPDATE)
		return 0;
	if (op->kind == OP_DIGEST)
		return mech_hash_by_name(op->mech->hash)->len;
	if (op->kind == OP_SIGN)
		return piv_alg_is_rsa(op->cred->alg) ? k : 2 * k;
	return op->kind == OP_DECRYPT ? rsa_plain_max(op, k) : k;
}

/* --- the calls --- */

/* Arguments and order; CKR_OK to go on. */
static CK_RV
op_check(const struct p11_op *op, enum op_phase phase, const CK_BYTE *in, CK_ULONG n, const CK_ULONG *len)
{
	bool writes = phase != OP_UPDATE || op->kind == OP_ENCRYPT || op->kind == OP_DECRYPT;

	if ((in == NULL && n != 0) || (writes && len == NULL))
		return CKR_ARGUMENTS_BAD;
	/* What the one-call form told the length of is that form's to finish. Of signatures some programs ask the
	 * length this way and go on in parts. */
	if (op->one && op->kind != OP_SIGN && phase != OP_ONE)
		return CKR_OPERATION_ACTIVE;
	return phase == OP_ONE && op->updated ? CKR_OPERATION_ACTIVE : CKR_OK;
}

static CK_RV
op_work(struct p11_session *s, struct p11_op *op, enum op_phase phase, struct span in, CK_BYTE *out, CK_ULONG *len)
{
	WBUF_AUTO result;
	CK_RV rv = CKR_OK;

	wbuf_init(&result, P11_INPUT_MAX + 64);
	if (phase != OP_FINAL)
		rv = op_update(s, op, in, &result);
	if (rv == CKR_OK && phase != OP_UPDATE)
		rv = op_final(s, op, &result);
	if (rv == CKR_OK && result.bad)
		rv = CKR_HOST_MEMORY;
	if (rv != CKR_OK || len == NULL)
		return rv;
	if (result.n > *len) /* not by op_bound() */
		return CKR_GENERAL_ERROR;
	if (result.n > 0)
		memcpy(out, result.p, result.n);
	*len = result.n;
	return CKR_OK;
}

CK_RV
op_run(struct p11_session *s, enum op_kind kind, enum op_phase phase, const CK_BYTE *in, CK_ULONG n, CK_BYTE *out,
    CK_ULONG *len)
{
	struct p11_op *op = &s->op[kind];
	size_t bound;
	CK_RV rv;

	if (!op->active)
		return CKR_OPERATION_NOT_INITIALIZED;
	if ((rv = op_check(op, phase, in, n, len)) != CKR_OK) {
		/* C_Digest amid parts is no call of that operation, say conformance suites: the parts go on. */
		if (rv != CKR_OPERATION_ACTIVE || kind != OP_DIGEST || phase != OP_ONE)
			op_end(op);
		return rv;
	}
	bound = op_bound(op, phase, n);
	if (len != NULL && (out == NULL || *len < bound) && (out == NULL ? phase != OP_UPDATE || bound > 0 : true)) {
		rv = out == NULL ? CKR_OK : CKR_BUFFER_TOO_SMALL;
		*len = bound;
		op->one = op->one || phase == OP_ONE;
		return rv;
	}
	if (phase != OP_UPDATE && op->always_auth && !op->context_login && (rv = ask_for_operation(s, op)) != CKR_OK) {
		if (rv != CKR_USER_NOT_LOGGED_IN) /* which waits for C_Login */
			op_end(op);
		return rv;
	}
	if (op->native && kind == OP_SIGN && phase == OP_ONE) {
		rv = remote_sign(s, op, in, n, out, len);
	} else {
		rv = op_work(s, op, phase, span_of(in, n), out, len);
		ERR_clear_error();
	}
	op->updated = true;
	if (rv != CKR_OK || phase != OP_UPDATE)
		op_end(op);
	return rv;
}

CK_RV
op_verify(struct p11_session *s, enum op_phase phase, const CK_BYTE *in, CK_ULONG n, const CK_BYTE *sig, CK_ULONG len)
{
	struct p11_op *op = &s->op[OP_VERIFY];
	CK_RV rv = CKR_OK;

	if (!op->active)
		return CKR_OPERATION_NOT_INITIALIZED;
	if ((in == NULL && n != 0) || (phase != OP_UPDATE && sig == NULL))
		rv = CKR_ARGUMENTS_BAD;
	else if (phase == OP_ONE && op->updated)
		rv = CKR_OPERATION_ACTIVE;
	if (rv == CKR_OK && phase != OP_FINAL)
		rv = op_collect(op, span_of(in, n));
	if (rv == CKR_OK && phase != OP_UPDATE)
		rv = verify_final(s, op, span_of(sig, len));
	ERR_clear_error();
	op->updated = true;
	if (rv != CKR_OK || phase != OP_UPDATE)
		op_end(op);
	return rv;
}

/* --- the card --- */

CK_RV
op_card(struct p11_session *s, struct p11_op *op, enum piv_op what, struct span in, struct wbuf *out)
{
	struct p11_token *t = s->slot->token;
	struct p11_cred *c = op->cred;
	int left = -1;
	enum err e;
	CK_RV rv;

	if (cred_needs_pin(c) && !t->user && (rv = ask_for_login(s)) != CKR_OK)
		return rv;
	if (s->slot->remote != NULL)
		return remote_key_use(s, op, what, in, out);
	if (c->meta_known)
		piv_policy_note(t->card, c->row->ref, c->policy.pin);
	if (cred_needs_pin(c))
		fresh_end(t); /* this is the use that it was worth */
	if (op->pad) {
		pad_begin(s);
		e = piv_key_use_pad(t->card, c->row->ref, c->alg, what, in, &left, out);
		pad_end(s);
	} else {
		e = piv_key_use(t->card, c->row->ref, c->alg, what, in, secret_view(op->pin), &left, out);
	}
	if (e == E_PIN || e == E_PINLOCKED)
		return login_outcome(s->slot, e, left);
	if (e == E_STORE) /* the certificate that the objects were made of was none of this card's */
		cred_changed(s->slot, c);
	return token_result(s->slot, e);
}
