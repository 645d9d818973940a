/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * C_GenerateKeyPair: a new key in 9A, 9C, 9D or 9E, as security officer with the management key (GENERATE ASYMMETRIC
 * KEY PAIR, SP 800-73-5 part 2, 3.3.1). CKA_ID chooses which, in either template.
 *
 * A PIV card cannot be asked for a public key: programs learn it from the certificate. So the new key's objects are
 * there, without a certificate, for as long as this process has the token, and the certificate of the former key is
 * emptied, because every program would take the new key for the old one.
 */
#include "base/log.h"
#include "pkcs11/p11.h"

#define MADE_HERE 4 /* 9A 9C 9D 9E */

static CK_RV
rsa_alg(const CK_ATTRIBUTE *t, CK_ULONG n, enum piv_alg *out)
{
	static const uint8_t f4[] = { 1, 0, 1 };
	const CK_ATTRIBUTE *e = template_find(t, n, CKA_PUBLIC_EXPONENT);
	CK_ULONG bits;

	if (!template_ulong(t, n, CKA_MODULUS_BITS, &bits))
		return CKR_TEMPLATE_INCOMPLETE;
	if (e != NULL && !span_eq(span_of(e->pValue, e->ulValueLen), span_of(f4, sizeof f4)))
		return CKR_ATTRIBUTE_VALUE_INVALID;
	switch (bits) {
	case 2048: *out = PIV_ALG_RSA2048; return CKR_OK;
	case 3072: *out = PIV_ALG_RSA3072; return CKR_OK;
	case 4096: *out = PIV_ALG_RSA4096; return CKR_OK;
	default: return CKR_ATTRIBUTE_VALUE_INVALID;
	}
}

static CK_RV
ec_alg(const CK_ATTRIBUTE *t, CK_ULONG n, enum piv_alg *out)
{
	static const uint8_t p256[] = { 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07 };
	static const uint8_t p384[] = { 0x06, 0x05, 0x2B, 0x81, 0x04, 0x00, 0x22 };
	const CK_ATTRIBUTE *curve = template_find(t, n, CKA_EC_PARAMS);
	struct span given;

	if (curve == NULL)
		return CKR_TEMPLATE_INCOMPLETE;
	given = span_of(curve->pValue, curve->ulValueLen);
	if (span_eq(given, span_of(p256, sizeof p256)))
		*out = PIV_ALG_P256;
	else if (span_eq(given, span_of(p384, sizeof p384)))
		*out = PIV_ALG_P384;
	else
		return CKR_CURVE_NOT_SUPPORTED;
	return CKR_OK;
}

struct templates {
	const CK_ATTRIBUTE *pub, *priv;
	CK_ULONG pub_n, priv_n;
};

static CK_RV
alg_of(const CK_MECHANISM *m, const struct templates *t, enum piv_alg *out)
{
	if (m->mechanism != CKM_RSA_PKCS_KEY_PAIR_GEN && m->mechanism != CKM_EC_KEY_PAIR_GEN)
		return CKR_MECHANISM_INVALID;
	if (m->ulParameterLen != 0)
		return CKR_MECHANISM_PARAM_INVALID;
	return m->mechanism == CKM_EC_KEY_PAIR_GEN ? ec_alg(t->pub, t->pub_n, out) : rsa_alg(t->pub, t->pub_n, out);
}

static CK_RV
place_of(struct p11_token *token, const struct templates *t, struct p11_cred **out)
{
	struct p11_cred *other = NULL;
	CK_RV rv;

	if (!template_bool(t->priv, t->priv_n, CKA_TOKEN, true) ||
	    template_bool(t->priv, t->priv_n, CKA_EXTRACTABLE, false))
		return CKR_TEMPLATE_INCONSISTENT;
	rv = cred_of_template(token, t->priv, t->priv_n, out);
	if (rv == CKR_TEMPLATE_INCOMPLETE)
		rv = cred_of_template(token, t->pub, t->pub_n, out);
	else if (rv == CKR_OK && cred_of_template(token, t->pub, t->pub_n, &other) == CKR_OK && other != *out)
		rv = CKR_TEMPLATE_INCONSISTENT;
	if (rv == CKR_OK && (*out)->number > MADE_HERE)
		rv = CKR_ATTRIBUTE_VALUE_INVALID;
	return rv;
}

static CK_RV
generate(struct p11_slot *slot, struct p11_cred *c, enum piv_alg alg)
{
	struct piv_card *card = slot->token->card;
	bool had;
	WBUF_AUTO spki;
	enum err e;

	wbuf_init(&spki, 2048);
	if ((e = cred_load(slot, c)) != E_OK)
		return token_result(slot, e);
	had = c->state == CRED_THERE;
	if ((e = piv_key_generate(card, c->row->ref, alg, &spki)) != E_OK)
		return token_result(slot, e);
	cred_changed(slot, c);
	if (had && piv_cert_put(card, c->row->ref, SPAN_NONE) != E_OK)
		log_warn("key", "key=%s text=\"the former key's certificate is still there\" error=\"%s\"",
		    c->row->name, err_msg());
	log_info("key", "slot=%lu made=%s", slot->id, c->row->name);
	return token_result(slot, cred_made(slot, c, alg, wbuf_view(&spki)));
}

CK_RV
generate_key_pair(struct p11_session *s, CK_MECHANISM *m, CK_ATTRIBUTE *pub, CK_ULONG pub_n, CK_ATTRIBUTE *priv,
    CK_ULONG priv_n, CK_OBJECT_HANDLE *out_pub, CK_OBJECT_HANDLE *out_priv)
{
	const struct templates t = { pub, priv, pub_n, priv_n };
	struct p11_object *a, *b;
	struct p11_cred *c;
	enum piv_alg alg;
	CK_RV rv;

	if (m == NULL || out_pub == NULL || out_priv == NULL || !template_ok(pub, pub_n) || !template_ok(priv, priv_n))
		return CKR_ARGUMENTS_BAD;
	if ((rv = alg_of(m, &t, &alg)) != CKR_OK || (rv = place_of(s->slot->token, &t, &c)) != CKR_OK ||
	    (rv = write_check(s)) != CKR_OK || (rv = generate(s->slot, c, alg)) != CKR_OK)
		return rv;
	a = object_of_cred(s->slot, c, KIND_PUBLIC);
	b = object_of_cred(s->slot, c, KIND_PRIVATE);
	if (a == NULL || b == NULL)
		return CKR_HOST_MEMORY;
	*out_pub = a->handle;
	*out_priv = b->handle;
	return CKR_OK;
}
