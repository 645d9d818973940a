/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * C_GenerateKeyPair: a new key in any place that the card makes keys in, with the management key (GENERATE ASYMMETRIC
 * KEY PAIR, SP 800-73-5 part 2, 3.3.1: 9A, 9C, 9D, 9E; some cards also make retired keys, RSA of other lengths, Ed25519
 * and X25519). CKA_ID chooses the place, in either template. What the card can do is found out by asking it to.
 *
 * A PIV card cannot be asked for a public key: programs learn it from the certificate. So the new key's objects are
 * there, without a certificate, for as long as this process has the token, and the certificate of the former key has to
 * go, because every program would take the new key for the old one. It goes first, and comes back when no key was made:
 * whatever interrupts this, no certificate is left beside a key that is not its own.
 */
#include "base/log.h"
#include "pkcs11/p11.h"

struct templates {
	const CK_ATTRIBUTE *pub, *priv;
	CK_ULONG pub_n, priv_n;
};

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
	*out = modulus_alg(bits);
	return *out != PIV_ALG_NONE ? CKR_OK : CKR_ATTRIBUTE_VALUE_INVALID;
}

static CK_RV
ec_alg(CK_KEY_TYPE type, const CK_ATTRIBUTE *t, CK_ULONG n, enum piv_alg *out)
{
	const CK_ATTRIBUTE *curve = template_find(t, n, CKA_EC_PARAMS);

	if (curve == NULL)
		return CKR_TEMPLATE_INCOMPLETE;
	*out = curve_alg(type, span_of(curve->pValue, curve->ulValueLen));
	return *out != PIV_ALG_NONE ? CKR_OK : CKR_CURVE_NOT_SUPPORTED;
}

static CK_RV
alg_of(const CK_MECHANISM *m, const struct templates *t, enum piv_alg *out)
{
	const struct mech *mech = mech_find(m->mechanism);

	if (mech == NULL || mech->scheme != SCHEME_KEY_PAIR_GEN)
		return CKR_MECHANISM_INVALID;
	if (m->ulParameterLen != 0)
		return CKR_MECHANISM_PARAM_INVALID;
	return mech->key == CKK_RSA ? rsa_alg(t->pub, t->pub_n, out) : ec_alg(mech->key, t->pub, t->pub_n, out);
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
	return rv;
}

/* --- on the card --- */

/* What a refusal means: the card has no such place, or cannot make such a key. */
static CK_RV
generate_refused(struct p11_slot *slot, const struct p11_cred *c, enum piv_alg alg, enum err e)
{
	CK_RV rv = token_result(slot, e);

	if (e != E_UNSUP && e != E_SW)
		return rv;
	if (c->number > PIV_FIRST_KEYS || piv_alg_is_rsa(alg))
		return CKR_ATTRIBUTE_VALUE_INVALID;
	return CKR_CURVE_NOT_SUPPORTED;
}

static CK_RV
generate(struct p11_slot *slot, struct p11_cred *c, enum piv_alg alg, struct piv_policy policy)
{
	struct piv_card *card = slot->token->card;
	WBUF_AUTO former = { 0 };
	WBUF_AUTO spki = { 0 };
	enum err e;
	CK_RV rv;

	wbuf_init(&former, PIV_OBJ_MAX);
	wbuf_init(&spki, 2048);
	if ((e = cred_load(slot, c)) != E_OK)
		return token_result(slot, e);
	if (c->state == CRED_THERE)
		wbuf_span(&former, wbuf_view(&c->der));
	if (former.n > 0 && (e = piv_cert_put(card, c->row->ref, SPAN_NONE)) != E_OK)
		return token_result(slot, e);
	if ((e = piv_key_generate(card, c->row->ref, alg, policy, &spki)) != E_OK) {
		rv = generate_refused(slot, c, alg, e);
		if (former.n > 0 && slot->token->card != NULL &&
		    piv_cert_put(card, c->row->ref, wbuf_view(&former)) != E_OK) {
			log_warn("key", "key=%s text=\"its certificate could not be put back\" error=\"%s\"",
			    c->row->name, err_msg());
			cred_changed(slot, c); /* it is not there any more, as far as is known */
		}
		return rv;
	}
	cred_changed(slot, c);
	log_info("key", "slot=%lu made=%s", slot->id, c->row->name);
	if ((rv = token_result(slot, cred_made(slot, c, alg, wbuf_view(&spki)))) != CKR_OK)
		return rv;
	c->made = true;
	return former.n > 0 ? history_follow(slot, c) : CKR_OK;
}

CK_RV
generate_key_pair(struct p11_session *s, CK_MECHANISM *m, CK_ATTRIBUTE *pub, CK_ULONG pub_n, CK_ATTRIBUTE *priv,
    CK_ULONG priv_n, CK_OBJECT_HANDLE *out_pub, CK_OBJECT_HANDLE *out_priv)
{
	const struct templates t = { pub, priv, pub_n, priv_n };
	struct piv_policy policy;
	struct p11_object *a, *b;
	struct p11_cred *c;
	enum piv_alg alg;
	CK_RV rv;

	if (m == NULL || out_pub == NULL || out_priv == NULL || !template_ok(pub, pub_n) || !template_ok(priv, priv_n))
		return CKR_ARGUMENTS_BAD;
	if ((rv = alg_of(m, &t, &alg)) != CKR_OK || (rv = place_of(s->slot->token, &t, &c)) != CKR_OK ||
	    (rv = policy_of_template(priv, priv_n, c, &policy)) != CKR_OK || (rv = write_check(s)) != CKR_OK ||
	    (rv = policy_possible(s->slot, policy)) != CKR_OK || (rv = write_begin(s->slot)) != CKR_OK)
		return rv;
	rv = generate(s->slot, c, alg, policy);
	write_end(s->slot);
	if (rv != CKR_OK)
		return rv;
	a = object_of_cred(s->slot, c, KIND_PUBLIC);
	b = object_of_cred(s->slot, c, KIND_PRIVATE);
	if (a == NULL || b == NULL)
		return CKR_HOST_MEMORY;
	*out_pub = a->handle;
	*out_priv = b->handle;
	return CKR_OK;
}
