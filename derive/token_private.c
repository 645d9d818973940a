/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A private key from outside as an object of a token, by C_CreateObject; where the token refuses that, by C_UnwrapKey
 * under an AES key of the session, made for this one use (PKCS #11 v2.40 base 4.9, 5.13; mechanisms 2.14). Its parts
 * are kept in secrets while the template names them. It is for decrypting only: neither CKA_SIGN nor, for EC,
 * CKA_DECRYPT.
 */
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/rand.h>

#include "derive/keypack.h"
#include "derive/token_int.h"

#define PARTS_MAX 8192
#define KEK_BYTES 32

#define AES_KEY_WRAP_PAD 0x210AUL /* CKM_AES_KEY_WRAP_PAD: RFC 5649 in PKCS #11 2.40 as tokens implement it */
#define AES_KEY_WRAP_KWP 0x210BUL /* PKCS #11 3.0 */

/* A template, and what its values point to. */
struct object {
	struct tmpl t;
	CK_OBJECT_CLASS cls;
	CK_KEY_TYPE type;
	struct secret *parts; /* numbers that the template points to */
	uint8_t curve[64], point[160];
};

static bool
is_ec(EVP_PKEY *key)
{
	return EVP_PKEY_get_base_id(key) == EVP_PKEY_EC;
}

static enum err
object_begin(struct object *obj, CK_OBJECT_CLASS cls, const struct private_key *k)
{
	memset(obj, 0, sizeof *obj);
	if (!is_ec(k->key) && EVP_PKEY_get_base_id(k->key) != EVP_PKEY_RSA)
		return err_set(E_UNSUP, "only RSA and elliptic-curve keys can be brought to a token");
	if ((obj->parts = secret_new(PARTS_MAX)) == NULL)
		return err_set(E_NOMEM, "out of memory");
	obj->cls = cls;
	obj->type = is_ec(k->key) ? CKK_EC : CKK_RSA;
	tmpl_add(&obj->t, CKA_CLASS, &obj->cls, sizeof obj->cls);
	tmpl_add(&obj->t, CKA_KEY_TYPE, &obj->type, sizeof obj->type);
	tmpl_bool(&obj->t, CKA_TOKEN, !k->fleeting);
	tmpl_add(&obj->t, CKA_LABEL, k->label, strlen(k->label));
	tmpl_add(&obj->t, CKA_ID, k->id, k->id_len);
	return E_OK;
}

static void
object_use(struct object *obj)
{
	tmpl_bool(&obj->t, CKA_PRIVATE, true);
	tmpl_bool(&obj->t, CKA_SENSITIVE, true);
	tmpl_bool(&obj->t, CKA_EXTRACTABLE, false);
	tmpl_bool(&obj->t, CKA_SIGN, false);
	if (obj->type == CKK_EC) {
		tmpl_bool(&obj->t, CKA_DERIVE, true);
		return;
	}
	tmpl_bool(&obj->t, CKA_DECRYPT, true);
	tmpl_bool(&obj->t, CKA_UNWRAP, true);
}

/* --- the parts of a key ------------------------------------------------------------------------------------------- */

/* width 0: as long as it is */
static enum err
add_number(struct object *obj, EVP_PKEY *key, const char *name, CK_ATTRIBUTE_TYPE type, size_t width)
{
	BIGNUM *n = NULL;
	size_t len, at = obj->parts->n;
	enum err e = E_OK;

	if (EVP_PKEY_get_bn_param(key, name, &n) != 1)
		return err_crypto(E_UNSUP, "the key has no %s", name);
	len = width > 0 ? width : (size_t)BN_num_bytes(n);
	if (len > obj->parts->cap - at || BN_bn2binpad(n, obj->parts->v + at, (int)len) < 0)
		e = err_set(E_UNSUP, "the key is too large for a token");
	BN_clear_free(n);
	if (e != E_OK)
		return e;
	obj->parts->n += len;
	tmpl_add(&obj->t, type, obj->parts->v + at, len);
	return E_OK;
}

static enum err
add_curve(struct object *obj, EVP_PKEY *key)
{
	char name[64];
	ASN1_OBJECT *o = NULL;
	unsigned char *p = obj->curve;
	int n = -1;

	if (EVP_PKEY_get_group_name(key, name, sizeof name, NULL) == 1)
		o = OBJ_txt2obj(name, 0);
	if (o != NULL && i2d_ASN1_OBJECT(o, NULL) <= (int)sizeof obj->curve)
		n = i2d_ASN1_OBJECT(o, &p);
	ASN1_OBJECT_free(o);
	ERR_clear_error();
	if (n <= 0)
		return err_set(E_UNSUP, "the curve of the key has no name");
	tmpl_add(&obj->t, CKA_EC_PARAMS, obj->curve, (size_t)n);
	return E_OK;
}

static enum err
add_private_parts(struct object *obj, EVP_PKEY *key)
{
	static const struct {
		const char *name;
		CK_ATTRIBUTE_TYPE type;
	} rsa[] = { { OSSL_PKEY_PARAM_RSA_N, CKA_MODULUS }, { OSSL_PKEY_PARAM_RSA_E, CKA_PUBLIC_EXPONENT },
		{ OSSL_PKEY_PARAM_RSA_D, CKA_PRIVATE_EXPONENT }, { OSSL_PKEY_PARAM_RSA_FACTOR1, CKA_PRIME_1 },
		{ OSSL_PKEY_PARAM_RSA_FACTOR2, CKA_PRIME_2 }, { OSSL_PKEY_PARAM_RSA_EXPONENT1, CKA_EXPONENT_1 },
		{ OSSL_PKEY_PARAM_RSA_EXPONENT2, CKA_EXPONENT_2 },
		{ OSSL_PKEY_PARAM_RSA_COEFFICIENT1, CKA_COEFFICIENT } };
	enum err e = E_OK;

	if (obj->type == CKK_EC) {
		e = add_curve(obj, key);
		return e != E_OK ? e
				 : add_number(obj, key, OSSL_PKEY_PARAM_PRIV_KEY, CKA_VALUE,
				       ((size_t)EVP_PKEY_get_bits(key) + 7) / 8);
	}
	for (size_t i = 0; e == E_OK && i < sizeof rsa / sizeof rsa[0]; i++)
		e = add_number(obj, key, rsa[i].name, rsa[i].type, 0);
	return e;
}

/* CKA_EC_POINT is an OCTET STRING around the point. */
static enum err
add_point(struct object *obj, EVP_PKEY *key)
{
	uint8_t raw[150];
	size_t n = 0, at = 2;

	if (EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, raw, sizeof raw, &n) != 1)
		return err_crypto(E_UNSUP, "the key has no public point");
	obj->point[0] = 0x04;
	obj->point[1] = (uint8_t)n;
	if (n > 127) {
		obj->point[1] = 0x81;
		obj->point[2] = (uint8_t)n;
		at = 3;
	}
	memcpy(obj->point + at, raw, n);
	tmpl_add(&obj->t, CKA_EC_POINT, obj->point, at + n);
	return E_OK;
}

/* --- by wrapping -------------------------------------------------------------------------------------------------- */

/* RFC 5649 */
static enum err
wrap(const uint8_t kek[KEK_BYTES], const struct secret *plain, struct wbuf *out)
{
	EVP_CIPHER *aes = EVP_CIPHER_fetch(NULL, "AES-256-WRAP-PAD", NULL);
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	uint8_t *p = wbuf_room(out, plain->n + 16);
	int n = 0, tail = 0;
	bool ok = aes != NULL && c != NULL && p != NULL;

	if (c != NULL)
		EVP_CIPHER_CTX_set_flags(c, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	ok = ok && EVP_EncryptInit_ex2(c, aes, kek, NULL, NULL) == 1 &&
	    EVP_EncryptUpdate(c, p, &n, plain->v, (int)plain->n) == 1 && EVP_EncryptFinal_ex(c, p + n, &tail) == 1;
	EVP_CIPHER_CTX_free(c);
	EVP_CIPHER_free(aes);
	if (!ok)
		return err_crypto(E_CRYPTO, "the key cannot be wrapped");
	wbuf_cut(out, (size_t)(n + tail));
	return E_OK;
}

static CK_RV
kek_put(struct token *t, const uint8_t kek[KEK_BYTES], CK_OBJECT_HANDLE *o)
{
	struct object k = { .cls = CKO_SECRET_KEY, .type = CKK_AES };

	tmpl_add(&k.t, CKA_CLASS, &k.cls, sizeof k.cls);
	tmpl_add(&k.t, CKA_KEY_TYPE, &k.type, sizeof k.type);
	tmpl_bool(&k.t, CKA_TOKEN, false);
	tmpl_bool(&k.t, CKA_SENSITIVE, true);
	tmpl_bool(&k.t, CKA_EXTRACTABLE, false);
	tmpl_bool(&k.t, CKA_UNWRAP, true);
	tmpl_add(&k.t, CKA_VALUE, kek, KEK_BYTES);
	return t->m->f->C_CreateObject(t->session, k.t.a, k.t.n, o);
}

static CK_RV
unwrap(struct token *t, CK_OBJECT_HANDLE kek, struct wbuf *wrapped, struct tmpl *k, CK_OBJECT_HANDLE *o)
{
	static const CK_MECHANISM_TYPE ways[] = { AES_KEY_WRAP_KWP, AES_KEY_WRAP_PAD };
	CK_MECHANISM_INFO info;
	CK_RV rv = CKR_MECHANISM_INVALID;

	for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
		CK_MECHANISM m = { ways[i], NULL, 0 };

		if (t->m->f->C_GetMechanismInfo(t->slot, ways[i], &info) != CKR_OK || (info.flags & CKF_UNWRAP) == 0)
			continue;
		rv = t->m->f->C_UnwrapKey(t->session, &m, kek, wrapped->p, wrapped->n, k->a, k->n, o);
		if (rv == CKR_OK)
			break;
	}
	return rv;
}

static enum err
put_wrapped(struct token *t, const struct private_key *k, struct tmpl *use, CK_RV refused, CK_OBJECT_HANDLE *o)
{
	CK_OBJECT_HANDLE kek = CK_INVALID_HANDLE;
	SECRET_AUTO secret = secret_new(KEK_BYTES);
	SECRET_AUTO plain = NULL;
	WBUF_AUTO wrapped;
	char a[24], b[24];
	enum err e;
	CK_RV rv;

	wbuf_init(&wrapped, PARTS_MAX * 2);
	if (secret == NULL || RAND_bytes(secret->v, KEK_BYTES) != 1)
		return err_crypto(E_CRYPTO, "no random numbers for a wrapping key");
	if ((e = keypack_pkcs8(k->key, &plain)) != E_OK || (e = wrap(secret->v, plain, &wrapped)) != E_OK)
		return e;
	rv = kek_put(t, secret->v, &kek);
	if (rv == CKR_OK) {
		rv = unwrap(t, kek, &wrapped, use, o);
		(void)t->m->f->C_DestroyObject(t->session, kek);
	}
	if (rv == CKR_OK)
		return E_OK;
	if (rv_err(rv) != E_UNSUP && rv_err(rv) != E_POLICY)
		return rv_set(t, rv, "cannot take the key");
	return err_set(E_UNSUP,
	    "token '%s' takes no private key like this from outside (C_CreateObject: %s; C_UnwrapKey: %s); choose "
	    "another token for it",
	    t->label, rv_name(refused, a), rv_name(rv, b));
}

/* --- the objects -------------------------------------------------------------------------------------------------- */

/* The template without the parts of the key is what C_UnwrapKey wants. */
enum err
private_put(struct token *t, const struct private_key *k, CK_OBJECT_HANDLE *o)
{
	struct object all;
	struct tmpl use;
	CK_RV rv;
	enum err e = object_begin(&all, CKO_PRIVATE_KEY, k);

	*o = CK_INVALID_HANDLE;
	if (e != E_OK)
		return e;
	object_use(&all);
	use = all.t;
	e = add_private_parts(&all, k->key);
	if (e == E_OK) {
		rv = t->m->f->C_CreateObject(t->session, all.t.a, all.t.n, o);
		if (rv != CKR_OK && (rv_err(rv) == E_UNSUP || rv_err(rv) == E_POLICY))
			e = put_wrapped(t, k, &use, rv, o);
		else if (rv != CKR_OK)
			e = rv_set(t, rv, "cannot take the key");
	}
	secret_free(&all.parts);
	return e;
}

enum err
private_put_public(struct token *t, const struct private_key *k, CK_OBJECT_HANDLE *o)
{
	struct object p;
	CK_RV rv;
	enum err e = object_begin(&p, CKO_PUBLIC_KEY, k);

	*o = CK_INVALID_HANDLE;
	if (e != E_OK)
		return e;
	tmpl_bool(&p.t, CKA_PRIVATE, false);
	if (p.type == CKK_EC) {
		if ((e = add_curve(&p, k->key)) == E_OK)
			e = add_point(&p, k->key);
	} else {
		tmpl_bool(&p.t, CKA_ENCRYPT, true);
		if ((e = add_number(&p, k->key, OSSL_PKEY_PARAM_RSA_N, CKA_MODULUS, 0)) == E_OK)
			e = add_number(&p, k->key, OSSL_PKEY_PARAM_RSA_E, CKA_PUBLIC_EXPONENT, 0);
	}
	if (e == E_OK && (rv = t->m->f->C_CreateObject(t->session, p.t.a, p.t.n, o)) != CKR_OK)
		e = rv_set(t, rv, "cannot store the public key");
	secret_free(&p.parts);
	return e;
}
