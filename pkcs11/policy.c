/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a key of the card may be used for, and when it wants its PIN. By the key table (SP 800-73-5 part 1, table 4),
 * unless the card told otherwise: cards that make and take keys with a PIN and a touch policy say which in their
 * metadata (hw/piv_metadata.c).
 *
 * Metadata cost a command a key, and most cards have none. They are asked for when a program names a policy attribute;
 * for attributes that programs read of every key (ALWAYS_AUTHENTICATE, PRIVATE, LOCAL ...) only on a card that is known
 * to have them, from any earlier answer. So a signature on another card never waits for them; and where a key with
 * another rule than its place has was not asked about, the card's refusal makes the card edge verify the PIN again.
 */
#include "base/log.h"
#include "pkcs11/p11.h"

/* --- uses --- */

CK_KEY_TYPE
cred_key_type(const struct p11_cred *c)
{
	if (piv_alg_is_rsa(c->alg))
		return CKK_RSA;
	if (c->alg == PIV_ALG_ED25519)
		return CKK_EC_EDWARDS;
	return c->alg == PIV_ALG_X25519 ? CKK_EC_MONTGOMERY : CKK_EC;
}

/* Curves of one purpose have it wherever they are. A key without a certificate has to sign its own request (RFC 2986),
 * wherever it is; whether it can is the card's to say (SP 800-73-5 part 2, appendix A: RSA in any place). */
bool
cred_signs(const struct p11_cred *c)
{
	return c->alg == PIV_ALG_ED25519 || ((c->row->sign || c->state == CRED_KEY) && c->alg != PIV_ALG_X25519);
}

bool
cred_decrypts(const struct p11_cred *c)
{
	return c->alg == PIV_ALG_X25519 || (c->row->decrypt && c->alg != PIV_ALG_ED25519);
}

bool
cred_agrees(const struct p11_cred *c)
{
	return piv_alg_is_ec(c->alg) || c->alg == PIV_ALG_X25519;
}

/* --- PIN --- */

bool
cred_needs_pin(const struct p11_cred *c)
{
	return c->meta_known && c->policy.pin != PIV_PIN_DEFAULT ? c->policy.pin != PIV_PIN_NEVER : c->row->pin;
}

bool
cred_pin_always(const struct p11_cred *c)
{
	if (c->meta_known && c->policy.pin != PIV_PIN_DEFAULT)
		return c->policy.pin == PIV_PIN_ALWAYS || c->policy.pin == PIV_PIN_MATCH;
	return c->row->pin_always;
}

/* --- metadata --- */

static const struct {
	CK_ATTRIBUTE_TYPE type;
	bool by_name; /* nobody asks for it by habit */
} from_metadata[] = {
	{ CKA_DPIV_PIN_POLICY, true },
	{ CKA_DPIV_TOUCH_POLICY, true },
	{ CKA_YUBICO_PIN_POLICY, true },
	{ CKA_YUBICO_TOUCH_POLICY, true },
	{ CKA_ALWAYS_AUTHENTICATE, false },
	{ CKA_PRIVATE, false },
	{ CKA_LOCAL, false },
	{ CKA_ALWAYS_SENSITIVE, false },
	{ CKA_NEVER_EXTRACTABLE, false },
};

static enum err
metadata_load(struct p11_slot *slot, struct p11_cred *c)
{
	struct piv_metadata m;
	WBUF_AUTO answer = { 0 };
	enum err e;

	wbuf_init(&answer, PIV_METADATA_MAX);
	e = piv_metadata_get(slot->token->card, c->row->ref, &answer, &m);
	if (e == E_CARDGONE || e == E_NOCARD || e == E_IO || e == E_BUSY || e == E_NOMEM)
		return e;
	if (e == E_PROTO)
		log_warn("metadata", "key=%s error=\"%s\"", c->row->name, err_msg());
	if (e == E_OK) {
		c->meta_known = true;
		c->policy = m.policy;
		c->origin = m.origin;
	}
	return E_OK;
}

enum err
policy_ready(struct p11_slot *slot, struct p11_cred *c, const CK_ATTRIBUTE *t, CK_ULONG n)
{
	struct piv_card *card = slot->token->card;
	enum piv_has has;

	if (c->meta_known || card == NULL || (has = piv_has(card, PIV_EXT_METADATA)) == PIV_HAS_NOT)
		return E_OK;
	for (size_t i = 0; i < sizeof from_metadata / sizeof from_metadata[0]; i++)
		if ((has == PIV_HAS || from_metadata[i].by_name) && template_find(t, n, from_metadata[i].type) != NULL)
			return metadata_load(slot, c);
	return E_OK;
}

/* --- templates --- */

static CK_RV
read_policy(const CK_ATTRIBUTE *t, CK_ULONG n, CK_ATTRIBUTE_TYPE type, CK_ULONG max, uint8_t *out)
{
	CK_ULONG v;

	if (template_find(t, n, type) == NULL)
		return CKR_OK;
	if (!template_ulong(t, n, type, &v) || v > max)
		return CKR_ATTRIBUTE_VALUE_INVALID;
	*out = (uint8_t)v;
	return CKR_OK;
}

CK_RV
policy_of_template(const CK_ATTRIBUTE *t, CK_ULONG n, const struct p11_cred *c, struct piv_policy *out)
{
	CK_RV rv;

	*out = (struct piv_policy){ PIV_PIN_DEFAULT, PIV_TOUCH_DEFAULT };
	if (template_bool(t, n, CKA_ALWAYS_AUTHENTICATE, false) && !c->row->pin_always)
		out->pin = PIV_PIN_ALWAYS;
	if ((rv = read_policy(t, n, CKA_YUBICO_PIN_POLICY, PIV_PIN_MATCH, &out->pin)) != CKR_OK ||
	    (rv = read_policy(t, n, CKA_DPIV_PIN_POLICY, PIV_PIN_MATCH, &out->pin)) != CKR_OK ||
	    (rv = read_policy(t, n, CKA_YUBICO_TOUCH_POLICY, PIV_TOUCH_CACHED, &out->touch)) != CKR_OK)
		return rv;
	return read_policy(t, n, CKA_DPIV_TOUCH_POLICY, PIV_TOUCH_CACHED, &out->touch);
}

/* A card that ignores what it does not know would make a key with another rule than was asked for, and nobody could
 * tell. */
CK_RV
policy_possible(struct p11_slot *slot, struct piv_policy policy)
{
	struct piv_card *card = slot->token->card;
	struct piv_metadata m;
	WBUF_AUTO answer = { 0 };
	enum err e;

	if (policy.pin == PIV_PIN_DEFAULT && policy.touch == PIV_TOUCH_DEFAULT)
		return CKR_OK;
	wbuf_init(&answer, PIV_METADATA_MAX);
	if (piv_has(card, PIV_EXT_METADATA) == PIV_UNKNOWN &&
	    (e = piv_metadata_get(card, PIV_KEY_9B, &answer, &m)) != E_OK && e != E_UNSUP && e != E_NOTFOUND)
		return token_result(slot, e);
	if (piv_has(card, PIV_EXT_METADATA) == PIV_HAS)
		return CKR_OK;
	log_warn("policy", "slot=%lu text=\"the card has no PIN and touch policies for its keys\"", slot->id);
	return CKR_TEMPLATE_INCONSISTENT;
}
