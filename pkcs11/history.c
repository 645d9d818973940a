/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The Key History object after a certificate of a retired key came or went (SP 800-73-5 part 1, 3.3.3): the number of
 * retired keys with a certificate on the card is counted anew, by looking; the number of those without stays, as far
 * as twenty keys allow, and with it the URL where their certificates are. A card that has neither the object nor such
 * a certificate gets none. Written last: until then the object admits to one certificate too few or too many, which
 * readers, this module among them, survive.
 */
#include "base/log.h"
#include "pkcs11/p11.h"

#define RETIRED (P11_CREDS - PIV_FIRST_KEYS)

/* How many certificates of retired keys there are; *gap: not all of them in the first places. */
static enum err
count(struct p11_slot *slot, unsigned *n, bool *gap)
{
	unsigned last = 0;
	enum err e = E_OK;

	*n = 0;
	for (unsigned i = 0; i < RETIRED && e == E_OK; i++) {
		struct p11_cred *c = &slot->token->cred[PIV_FIRST_KEYS + i];

		e = cred_load(slot, c);
		if (c->state != CRED_THERE)
			continue;
		(*n)++;
		last = i + 1;
	}
	*gap = last != *n;
	return e;
}

/* What the card has now; one that cannot be read is written anew. */
static CK_RV
present(struct p11_slot *slot, struct p11_data *d, struct piv_history *h, bool *there)
{
	enum err e;

	*h = (struct piv_history){ 0 };
	*there = false;
	if ((e = data_load(slot, d)) != E_OK)
		return token_result(slot, e);
	if (d->state != DATA_READ)
		return CKR_OK;
	*there = piv_history_parse(wbuf_view(&d->value), h) == E_OK;
	if (!*there)
		log_warn("history", "slot=%lu error=\"%s\"", slot->id, err_msg());
	return CKR_OK;
}

CK_RV
history_follow(struct p11_slot *slot, const struct p11_cred *c)
{
	struct p11_data *d = data_by_tag(slot->token, PIV_OBJ_HISTORY);
	struct piv_history h;
	WBUF_AUTO contents = { 0 };
	unsigned n;
	bool gap, there;
	enum err e;
	CK_RV rv;

	if (c->number <= PIV_FIRST_KEYS)
		return CKR_OK;
	if ((rv = present(slot, d, &h, &there)) != CKR_OK)
		return rv;
	if ((e = count(slot, &n, &gap)) != E_OK)
		return token_result(slot, e);
	if (gap)
		log_info("history", "slot=%lu text=\"a reader that trusts the number alone misses a certificate\"",
		    slot->id);
	if (there ? h.on_card == n : n == 0)
		return CKR_OK;
	h.on_card = (uint8_t)n;
	if (h.on_card + h.off_card > RETIRED)
		h.off_card = (uint8_t)(RETIRED - h.on_card);
	wbuf_init(&contents, 256);
	piv_history_build(&h, &contents);
	return contents.bad ? CKR_HOST_MEMORY : data_put(slot, d, wbuf_view(&contents));
}
