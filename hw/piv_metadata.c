/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a card tells of its keys: GET METADATA (F7; YubiKey since firmware 5.3, and other makers), after Yubico's
 * published command reference. TLVs: 01 algorithm, 02 PIN and touch policy, 03 origin, 04 public key. A card without
 * the command is asked once. And when a key wants its PIN: as metadata said, else as SP 800-73-5 part 1, table 4 has
 * it.
 */
#include "hw/piv_int.h"

#define TAG_ALGORITHM  0x01
#define TAG_POLICY     0x02
#define TAG_ORIGIN     0x03
#define TAG_PUBLIC     0x04
#define TAG_PIN_RULE   0xAA
#define TAG_TOUCH_RULE 0xAB

enum piv_has
piv_has(const struct piv_card *card, enum piv_extension what)
{
	return card->has[what];
}

/* --- policies --- */

void
piv_policy_put(struct piv_policy policy, struct wbuf *w)
{
	if (policy.pin != PIV_PIN_DEFAULT)
		tlv_put_u8(w, TAG_PIN_RULE, policy.pin);
	if (policy.touch != PIV_TOUCH_DEFAULT)
		tlv_put_u8(w, TAG_TOUCH_RULE, policy.touch);
}

void
piv_policy_note(struct piv_card *card, uint8_t ref, uint8_t pin_policy)
{
	for (size_t i = 0; i < PIV_KEY_ROWS; i++)
		if (piv_key_row(i)->ref == ref)
			card->pin_policy[i] = pin_policy;
}

bool
piv_policy_always(const struct piv_card *card, const struct piv_key_info *key)
{
	for (size_t i = 0; i < PIV_KEY_ROWS; i++)
		if (piv_key_row(i) == key && card->pin_policy[i] != PIV_PIN_DEFAULT)
			return card->pin_policy[i] == PIV_PIN_ALWAYS || card->pin_policy[i] == PIV_PIN_MATCH;
	return key->pin_always;
}

/* --- metadata --- */

/* An element of this length, when it is there. */
static enum err
element(struct span answer, uint32_t tag, size_t n, struct span *out)
{
	enum err e = tlv_find(answer, tag, out);

	if (e == E_NOTFOUND)
		return E_OK;
	if (e != E_OK || (n != 0 && out->n != n))
		return err_set(E_PROTO, "metadata: malformed");
	return E_OK;
}

enum err
piv_metadata_parse(struct span answer, struct piv_metadata *out)
{
	struct piv_metadata m = { .alg = PIV_ALG_NONE };
	struct span alg = SPAN_NONE, policy = SPAN_NONE, origin = SPAN_NONE;
	enum err e;

	*out = m;
	if (answer.n == 0)
		return err_set(E_PROTO, "metadata: empty");
	if ((e = element(answer, TAG_ALGORITHM, 1, &alg)) != E_OK ||
	    (e = element(answer, TAG_POLICY, 2, &policy)) != E_OK ||
	    (e = element(answer, TAG_ORIGIN, 1, &origin)) != E_OK ||
	    (e = element(answer, TAG_PUBLIC, 0, &m.public_key)) != E_OK)
		return e;
	if (alg.n > 0)
		m.alg = (enum piv_alg)alg.p[0];
	if (policy.n > 0) {
		m.policy.pin = policy.p[0];
		m.policy.touch = policy.p[1];
	}
	if (origin.n > 0)
		m.origin = origin.p[0];
	*out = m;
	return E_OK;
}

struct metadata_io {
	uint8_t ref;
	bool unknown;
	struct wbuf *answer;
};

static enum err
metadata_step(struct piv_card *card, void *arg)
{
	struct metadata_io *io = arg;
	struct apdu a = { .ins = INS_METADATA, .p2 = io->ref, .le = true, .brief = true };
	enum err e;

	wbuf_clear(io->answer);
	if ((e = piv_send(card, &a, io->answer)) != E_OK)
		return e;
	io->unknown = card->sw == 0x6D00;
	return card->sw == SW_OK ? E_OK : piv_refused(card, "metadata");
}

enum err
piv_metadata_get(struct piv_card *card, uint8_t ref, struct wbuf *answer, struct piv_metadata *out)
{
	struct metadata_io io = { ref, false, answer };
	enum err e;

	*out = (struct piv_metadata){ .alg = PIV_ALG_NONE };
	if (card->has[PIV_EXT_METADATA] == PIV_HAS_NOT)
		return err_set(E_UNSUP, "%s: the card tells nothing of its keys", card->name);
	e = piv_run(card, metadata_step, &io, false);
	if (e == E_UNSUP && io.unknown)
		card->has[PIV_EXT_METADATA] = PIV_HAS_NOT;
	if (e == E_NOTFOUND)
		card->has[PIV_EXT_METADATA] = PIV_HAS;
	if (e != E_OK || (e = piv_metadata_parse(wbuf_view(answer), out)) != E_OK)
		return e;
	card->has[PIV_EXT_METADATA] = PIV_HAS;
	piv_policy_note(card, ref, out->policy.pin);
	return E_OK;
}

enum err
piv_metadata_spki(const struct piv_metadata *m, struct wbuf *spki)
{
	return piv_public_spki(m->alg, m->public_key, spki);
}
