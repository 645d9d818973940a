/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * GENERATE ASYMMETRIC KEY PAIR: SP 800-73-5 part 2, 3.3.1. The standard has it for 9A, 9C, 9D and 9E; some cards also
 * make retired keys, and take a PIN and a touch policy (AA, AB) in the same template. Which ones the card takes is the
 * card's to say.
 */
#include "hw/piv_int.h"

struct generate_io {
	uint8_t ref;
	enum piv_alg alg;
	struct piv_policy policy;
	struct wbuf *spki;
};

static enum err
generate_step(struct piv_card *card, void *arg)
{
	struct generate_io *io = arg;
	/* Never worth a second try: that makes another key. */
	struct apdu a = { .ins = INS_GENERATE, .p2 = io->ref, .le = true, .brief = true };
	struct span answer, body;
	WBUF_AUTO w;
	WBUF_AUTO out;
	size_t m;
	enum err e;

	wbuf_init(&w, 64);
	wbuf_init(&out, 2048);
	m = tlv_open(&w, 0xAC);
	tlv_put_u8(&w, 0x80, (uint8_t)io->alg);
	piv_policy_put(io->policy, &w);
	tlv_close(&w, m);
	a.data = wbuf_view(&w);
	if ((e = piv_send(card, &a, &out)) != E_OK)
		return e;
	if (card->sw == SW_NOT_LOGGED_IN)
		return err_set(E_AUTH, "%s: making a key needs the management key", card->name);
	if (card->sw != SW_OK)
		return piv_refused(card, "making a key");
	answer = wbuf_view(&out);
	if (tlv_get(&answer, 0x7F49, &body) != E_OK)
		return err_set(E_PROTO, "%s: the card's new public key is malformed", card->name);
	return (e = piv_public_spki(io->alg, body, io->spki)) == E_OK ? E_OK : err_up(e, "%s", card->name);
}

enum err
piv_key_generate(struct piv_card *card, uint8_t ref, enum piv_alg alg, struct piv_policy policy, struct wbuf *spki)
{
	struct generate_io io = { ref, alg, policy, spki };

	if (piv_key_find(ref) == NULL && ref != PIV_KEY_F9)
		return err_set(E_ARG, "%s: no key reference %02X", card->name, ref);
	if (piv_alg_len(alg) == 0)
		return err_set(E_ARG, "%s: no key can be made of algorithm %02X", card->name, (unsigned)alg);
	piv_policy_note(card, ref, 0);
	piv_cache_forget_key(card, ref);
	return piv_run(card, generate_step, &io, false);
}
