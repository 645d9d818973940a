/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Private keys from outside into the card: C_CreateObject and C_UnwrapKey with CKA_TOKEN, as programs bring a PKCS#12
 * file (pk12util: key, public key and certificate, all with the SHA-1 of the public value as CKA_ID). SP 800-73 has no
 * command for it; cards that take keys do it with one of their own (hw/piv_vendor.c), others say so.
 *
 * CKA_ID with one byte names the place. Any other one has the first retired place that has neither a certificate nor,
 * where the card tells, a key, unless the card has this very key already; the object then says which in its CKA_ID, and
 * in this process the given one finds it, too. The key comes first, its certificate next, Key History last, so that
 * what an interruption leaves behind is at worst a key that nothing names.
 */
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/param_build.h>

#include "base/log.h"
#include "hw/crypto.h"
#include "hw/tlv.h"
#include "pkcs11/p11.h"

/* --- where --- */

/* Neither certificate nor, as far as the card tells, a key. */
static enum err
is_free(struct p11_slot *slot, struct p11_cred *c, bool *free_place)
{
	struct piv_metadata m;
	WBUF_AUTO answer = { 0 };
	enum err e;

	*free_place = false;
	if ((e = cred_load(slot, c)) != E_OK || c->state != CRED_ABSENT)
		return e;
	wbuf_init(&answer, PIV_METADATA_MAX);
	e = piv_metadata_get(slot->token->card, c->row->ref, &answer, &m);
	*free_place = e == E_NOTFOUND || e == E_UNSUP;
	return e == E_PROTO || *free_place ? E_OK : e;
}

/* present: what an earlier call was cut short after, this very key, waits there for its certificate. */
static CK_RV
first_free(struct p11_slot *slot, EVP_PKEY *pkey, struct p11_cred **out, bool *present)
{
	bool found = false;
	enum err e = E_OK;

	for (size_t i = PIV_FIRST_KEYS; i < P11_CREDS && e == E_OK && !found; i++) {
		*out = &slot->token->cred[i];
		e = is_free(slot, *out, &found);
		if (e == E_OK && !found && (*out)->state == CRED_ABSENT)
			e = key_without_certificate(slot, *out);
		*present = e == E_OK && !found && (*out)->pkey != NULL && EVP_PKEY_eq((*out)->pkey, pkey) == 1;
		found = found || *present;
	}
	if (e != E_OK)
		return token_result(slot, e);
	if (found)
		return CKR_OK;
	log_warn("import", "slot=%lu text=\"all twenty retired places are taken\"", slot->id);
	return CKR_DEVICE_MEMORY;
}

/* The same key, wherever it is: it need not come in twice. */
static CK_RV
already_in(struct p11_slot *slot, EVP_PKEY *pkey, struct p11_cred **out)
{
	enum err e = E_OK;

	*out = NULL;
	for (size_t i = 0; i < P11_CREDS && e == E_OK && *out == NULL; i++) {
		struct p11_cred *c = &slot->token->cred[i];

		e = cred_load(slot, c);
		if (e == E_OK && c->pkey != NULL && EVP_PKEY_eq(c->pkey, pkey) == 1)
			*out = c;
	}
	return token_result(slot, e);
}

static CK_RV
place_for(
    struct p11_slot *slot, const CK_ATTRIBUTE *t, CK_ULONG n, EVP_PKEY *pkey, struct p11_cred **out, bool *present)
{
	const CK_ATTRIBUTE *id = template_find(t, n, CKA_ID);
	CK_RV rv;

	*present = false;
	if (id != NULL && id->ulValueLen == 1)
		return cred_of_template(slot->token, t, n, out);
	if (id != NULL && id->ulValueLen > sizeof(*out)->alias)
		return CKR_ATTRIBUTE_VALUE_INVALID;
	if ((rv = already_in(slot, pkey, out)) != CKR_OK)
		return rv;
	*present = *out != NULL;
	return *present ? CKR_OK : first_free(slot, pkey, out, present);
}

/* --- the public half --- */

static EVP_PKEY *
rsa_public(OSSL_LIB_CTX *lib, const struct private_key *key)
{
	OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
	BIGNUM *n = BN_bin2bn(key->modulus.p, (int)key->modulus.n, NULL);
	BIGNUM *e = BN_bin2bn(key->exponent.p, (int)key->exponent.n, NULL);
	EVP_PKEY *pkey = NULL;

	if (b != NULL && n != NULL && e != NULL && OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
	    OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_E, e) == 1)
		pkey = crypto_public_key(lib, "RSA", b);
	OSSL_PARAM_BLD_free(b);
	BN_free(n);
	BN_free(e);
	return pkey;
}

static EVP_PKEY *
ec_of_point(OSSL_LIB_CTX *lib, int nid, const void *point, size_t n)
{
	OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
	EVP_PKEY *pkey = NULL;

	if (b != NULL && OSSL_PARAM_BLD_push_utf8_string(b, OSSL_PKEY_PARAM_GROUP_NAME, OBJ_nid2sn(nid), 0) == 1 &&
	    OSSL_PARAM_BLD_push_octet_string(b, OSSL_PKEY_PARAM_PUB_KEY, point, n) == 1)
		pkey = crypto_public_key(lib, "EC", b);
	OSSL_PARAM_BLD_free(b);
	return pkey;
}

/* CKA_EC_POINT: an OCTET STRING around the point. */
static EVP_PKEY *
point_public(OSSL_LIB_CTX *lib, enum piv_alg alg, struct span der)
{
	struct span point;

	if (tlv_get(&der, 0x04, &point) != E_OK || der.n != 0 || point.n != 1 + 2 * piv_alg_len(alg))
		return NULL;
	return ec_of_point(lib, alg == PIV_ALG_P256 ? NID_X9_62_prime256v1 : NID_secp384r1, point.p, point.n);
}

/* The scalar times the generator. */
static EVP_PKEY *
ec_public(OSSL_LIB_CTX *lib, enum piv_alg alg, struct span scalar)
{
	int nid = alg == PIV_ALG_P256 ? NID_X9_62_prime256v1 : NID_secp384r1;
	EC_GROUP *g = EC_GROUP_new_by_curve_name_ex(lib, NULL, nid);
	EC_POINT *q = g != NULL ? EC_POINT_new(g) : NULL;
	BIGNUM *d = scalar.n <= 64 ? BN_bin2bn(scalar.p, (int)scalar.n, BN_secure_new()) : NULL;
	unsigned char point[1 + 2 * 48];
	size_t n = 0;

	if (q != NULL && d != NULL && EC_POINT_mul(g, q, d, NULL, NULL, NULL) == 1)
		n = EC_POINT_point2oct(g, q, POINT_CONVERSION_UNCOMPRESSED, point, sizeof point, NULL);
	BN_clear_free(d);
	EC_POINT_free(q);
	EC_GROUP_free(g);
	return n > 1 ? ec_of_point(lib, nid, point, n) : NULL;
}

static EVP_PKEY *
public_of(OSSL_LIB_CTX *lib, const struct private_key *key)
{
	struct span raw = key->secret.part[0];
	EVP_PKEY *pkey;

	if (piv_alg_is_rsa(key->secret.alg))
		pkey = rsa_public(lib, key);
	else if (piv_alg_is_ec(key->secret.alg))
		pkey = ec_public(lib, key->secret.alg, raw);
	else
		pkey = EVP_PKEY_new_raw_private_key_ex(
		    lib, key->secret.alg == PIV_ALG_ED25519 ? "ED25519" : "X25519", NULL, raw.p, raw.n);
	ERR_clear_error();
	return pkey;
}

/* The card says which key it has now; one whose numbers did not belong together is not the one that was meant. */
static enum err
card_agrees(struct p11_slot *slot, const struct p11_cred *c, EVP_PKEY *pkey)
{
	struct piv_metadata m;
	WBUF_AUTO answer = { 0 };
	WBUF_AUTO spki = { 0 };
	unsigned char *der = NULL;
	int n;
	enum err e;

	wbuf_init(&answer, PIV_METADATA_MAX);
	wbuf_init(&spki, 2048);
	e = piv_metadata_get(slot->token->card, c->row->ref, &answer, &m);
	if (e == E_UNSUP || (e == E_OK && m.public_key.n == 0))
		return E_OK;
	if (e != E_OK || (e = piv_metadata_spki(&m, &spki)) != E_OK)
		return e;
	n = i2d_PUBKEY(pkey, &der);
	if (n <= 0 || !span_eq(span_of(der, (size_t)n), wbuf_view(&spki)))
		e = err_set(E_ARG, "%s: the private key's numbers do not belong together", c->row->name);
	OPENSSL_free(der);
	return e;
}

/* --- in --- */

static CK_RV
import_refused(struct p11_slot *slot, enum piv_alg alg, enum err e)
{
	CK_RV rv = token_result(slot, e);

	if (slot->token->card == NULL || (e != E_UNSUP && e != E_SW && e != E_ARG))
		return rv;
	if (piv_has(slot->token->card, PIV_EXT_IMPORT) == PIV_HAS_NOT)
		return CKR_FUNCTION_NOT_SUPPORTED;
	return piv_alg_is_rsa(alg) || e == E_ARG ? CKR_ATTRIBUTE_VALUE_INVALID : CKR_CURVE_NOT_SUPPORTED;
}

/* Replace the key in a place; a certificate of another key does not stay beside it. */
static CK_RV
key_in(
    struct p11_slot *slot, struct p11_cred *c, const struct private_key *key, struct piv_policy policy, EVP_PKEY *pkey)
{
	struct piv_card *card = slot->token->card;
	bool stale;
	enum err e;

	if ((e = cred_load(slot, c)) != E_OK)
		return token_result(slot, e);
	stale = c->state == CRED_THERE && (c->pkey == NULL || EVP_PKEY_eq(c->pkey, pkey) != 1);
	if ((e = piv_key_import(card, c->row->ref, &key->secret, policy)) != E_OK)
		return import_refused(slot, key->secret.alg, e);
	if (stale && (e = piv_cert_put(card, c->row->ref, SPAN_NONE)) != E_OK) {
		cred_changed(slot, c);
		return token_result(slot, e);
	}
	if (stale || c->state != CRED_THERE)
		cred_changed(slot, c);
	c->meta_known = false;
	if ((e = card_agrees(slot, c, pkey)) == E_ARG) {
		token_result(slot, e);
		return CKR_TEMPLATE_INCONSISTENT;
	}
	if (e != E_OK)
		return token_result(slot, e);
	log_info("key", "slot=%lu imported=%s", slot->id, c->row->name);
	return stale ? history_follow(slot, c) : CKR_OK;
}

static enum err
remember(struct p11_slot *slot, struct p11_cred *c, enum piv_alg alg, EVP_PKEY *pkey, const CK_ATTRIBUTE *id)
{
	unsigned char *der = NULL;
	int n;
	enum err e = E_OK;

	if (c->state != CRED_THERE) {
		n = i2d_PUBKEY(pkey, &der);
		e = n > 0 ? cred_made(slot, c, alg, span_of(der, (size_t)n)) : err_crypto(E_CRYPTO, "public key");
		OPENSSL_free(der);
	}
	if (e == E_OK && id != NULL && id->ulValueLen > 1) {
		memcpy(c->alias, id->pValue, id->ulValueLen);
		c->alias_n = id->ulValueLen;
	}
	return e;
}

CK_RV
import_private(
    struct p11_session *s, const struct private_key *key, const CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *out)
{
	struct piv_policy policy;
	struct p11_object *o;
	struct p11_cred *c = NULL;
	EVP_PKEY *pkey;
	bool present;
	CK_RV rv;

	if (template_bool(t, n, CKA_EXTRACTABLE, false))
		return CKR_TEMPLATE_INCONSISTENT;
	if ((rv = write_check(s)) != CKR_OK)
		return rv;
	if ((pkey = public_of(s->slot->module->lib, key)) == NULL)
		return CKR_ATTRIBUTE_VALUE_INVALID;
	if ((rv = write_begin(s->slot)) == CKR_OK) {
		if ((rv = place_for(s->slot, t, n, pkey, &c, &present)) == CKR_OK && !present &&
		    (rv = policy_of_template(t, n, c, &policy)) == CKR_OK &&
		    (rv = policy_possible(s->slot, policy)) == CKR_OK)
			rv = key_in(s->slot, c, key, policy, pkey);
		write_end(s->slot);
	}
	if (rv == CKR_OK)
		rv = token_result(s->slot, remember(s->slot, c, key->secret.alg, pkey, template_find(t, n, CKA_ID)));
	EVP_PKEY_free(pkey);
	if (rv != CKR_OK)
		return rv;
	if ((o = object_of_cred(s->slot, c, KIND_PRIVATE)) == NULL)
		return CKR_HOST_MEMORY;
	*out = o->handle;
	return CKR_OK;
}

/* The public key that a template has, and its algorithm. */
static EVP_PKEY *
public_of_template(OSSL_LIB_CTX *lib, const CK_ATTRIBUTE *t, CK_ULONG n, enum piv_alg *alg)
{
	const CK_ATTRIBUTE *mod = template_find(t, n, CKA_MODULUS), *exp = template_find(t, n, CKA_PUBLIC_EXPONENT);
	const CK_ATTRIBUTE *curve = template_find(t, n, CKA_EC_PARAMS), *point = template_find(t, n, CKA_EC_POINT);
	struct private_key key = { .modulus = SPAN_NONE };
	EVP_PKEY *pkey = NULL;

	*alg = PIV_ALG_NONE;
	if (mod != NULL && exp != NULL) {
		key.modulus = span_of(mod->pValue, mod->ulValueLen);
		key.exponent = span_of(exp->pValue, exp->ulValueLen);
		pkey = key.modulus.n <= 512 && key.exponent.n <= 8 ? rsa_public(lib, &key) : NULL;
		*alg = pkey != NULL ? modulus_alg((CK_ULONG)EVP_PKEY_get_bits(pkey)) : PIV_ALG_NONE;
	} else if (curve != NULL && point != NULL) {
		*alg = curve_alg(CKK_EC, span_of(curve->pValue, curve->ulValueLen));
		if (piv_alg_is_ec(*alg))
			pkey = point_public(lib, *alg, span_of(point->pValue, point->ulValueLen));
	}
	ERR_clear_error();
	return pkey;
}

/*
 * A PIV card cannot be asked for the public key of a place without a certificate; a program that made the key there in
 * an earlier process, and was interrupted, tells it. For this process: nothing is written, and the first signature
 * shows whether it was true.
 */
static CK_RV
public_told(struct p11_slot *slot, const CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *out)
{
	enum piv_alg alg;
	EVP_PKEY *pkey = public_of_template(slot->module->lib, t, n, &alg);
	unsigned char *der = NULL;
	struct p11_object *o;
	struct p11_cred *c;
	int len;
	enum err e;
	CK_RV rv = CKR_TEMPLATE_INCONSISTENT;

	if (pkey != NULL && alg != PIV_ALG_NONE && cred_of_template(slot->token, t, n, &c) == CKR_OK) {
		if ((e = cred_load(slot, c)) == E_OK && c->state == CRED_ABSENT) {
			len = i2d_PUBKEY(pkey, &der);
			e = len > 0 ? cred_made(slot, c, alg, span_of(der, (size_t)len)) : E_CRYPTO;
			OPENSSL_free(der);
		} else if (e == E_OK)
			e = E_ARG; /* another key is known to be there */
		rv = e == E_ARG ? CKR_TEMPLATE_INCONSISTENT : token_result(slot, e);
	}
	EVP_PKEY_free(pkey);
	if (rv != CKR_OK)
		return rv;
	if ((o = object_of_cred(slot, c, KIND_PUBLIC)) == NULL)
		return CKR_HOST_MEMORY;
	*out = o->handle;
	return CKR_OK;
}

/* Programs that bring a key bring its public half, too. The card tells it by the key or the certificate: nothing is
 * written, as long as it is the same. */
CK_RV
import_public(struct p11_session *s, const CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *out)
{
	struct p11_token *token = s->slot->token;

	for (size_t i = 0; i < P11_CREDS; i++) {
		struct p11_object probe = { .kind = KIND_PUBLIC, .cred = &token->cred[i] }, *o;
		bool same = token->cred[i].pkey != NULL;

		for (CK_ULONG a = 0; a < n && same; a++)
			if (t[a].type == CKA_MODULUS || t[a].type == CKA_EC_POINT || t[a].type == CKA_ID)
				same = attr_matches(token, &probe, &t[a]);
		if (!same || (template_find(t, n, CKA_MODULUS) == NULL && template_find(t, n, CKA_EC_POINT) == NULL))
			continue;
		if ((o = object_of_cred(s->slot, &token->cred[i], KIND_PUBLIC)) == NULL)
			return CKR_HOST_MEMORY;
		*out = o->handle;
		return CKR_OK;
	}
	return public_told(s->slot, t, n, out);
}
