/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which application, and which card: SELECT (SP 800-73-5 part 2, 3.1.1) and the card's identity from its CHUID.
 *
 * A derived PIV application is the same data model under another AID, so both AIDs are rows of one table, tried in
 * order. AIDs are sent without their version (the last two bytes), as the standard suggests. Seen in the field and
 * accepted: the property template inside a second 61, an AID reduced to its PIX, a SELECT that answers without data.
 */
#include <string.h>

#include "hw/piv_int.h"

#define AID_N 9 /* without the version */

static const struct {
	const char *aid; /* AID_N bytes */
	bool derived;
} applications[] = {
	{ "\xA0\x00\x00\x03\x08\x00\x00\x10\x00", false },
	{ "\xA0\x00\x00\x03\x08\x00\x00\x20\x00", true },
};

/* Is this an application property template? The AID in it, with its version, when it is the one that was selected. */
static bool
template_aid(struct span answer, struct piv_id *id)
{
	struct span apt, inner, aid;

	if (tlv_get(&answer, 0x61, &apt) != E_OK)
		return false;
	if (tlv_find(apt, 0x61, &inner) == E_OK)
		apt = inner;
	if (tlv_find(apt, 0x4F, &aid) != E_OK || aid.n < 4 || aid.n > sizeof id->aid)
		return false;
	if (span_starts(aid, id->aid, AID_N)) {
		memcpy(id->aid, aid.p, aid.n);
		id->aid_len = aid.n;
	}
	return true;
}

static enum err
select_row(struct piv_card *card, size_t i, struct piv_id *id)
{
	struct apdu a = {
		.ins = INS_SELECT, .p1 = 0x04, .data = span_of(applications[i].aid, AID_N), .le = true, .brief = true
	};
	WBUF_AUTO out;
	enum err e;

	wbuf_init(&out, 4096);
	if ((e = piv_send(card, &a, &out)) != E_OK)
		return e;
	if (card->sw != SW_OK)
		return err_set(E_NOTPIV, "%s: no PIV application on this card (status %04X)", card->name, card->sw);
	memcpy(id->aid, applications[i].aid, AID_N);
	id->aid_len = AID_N;
	id->derived = applications[i].derived;
	if (template_aid(wbuf_view(&out), id))
		return E_OK;
	/* Selected, they say: believe it only when PIV data answers. */
	e = piv_identify(card, &(struct piv_id){ 0 });
	return e == E_NOTFOUND || e == E_PROTO ? err_set(E_NOTPIV, "%s: not a PIV card", card->name) : e;
}

enum err
piv_select_one(struct piv_card *card, bool derived, struct piv_id *id)
{
	return select_row(card, derived ? 1 : 0, id);
}

enum err
piv_select(struct piv_card *card)
{
	struct piv_id id = card->id;
	enum err e = E_NOTPIV;
	size_t i;

	for (i = 0; i < sizeof applications / sizeof applications[0]; i++) {
		if (card->aid_sure && applications[i].derived != card->id.derived)
			continue;
		e = select_row(card, i, &id);
		if (e == E_OK) {
			card->id = id;
			card->aid_sure = true;
			card->proven = true;
			return E_OK;
		}
		if (e != E_NOTPIV)
			return e;
	}
	return e;
}

void
piv_application_is(struct piv_card *card, struct span aid)
{
	size_t i;

	for (i = 0; i < sizeof applications / sizeof applications[0]; i++)
		if (!card->aid_sure && span_starts(aid, applications[i].aid, AID_N) && aid.n <= sizeof card->id.aid) {
			memcpy(card->id.aid, aid.p, aid.n);
			card->id.aid_len = aid.n;
			card->id.derived = applications[i].derived;
			card->aid_sure = true;
		}
}

/* GET DATA of one object, the answer as it is. */
static enum err
ask(struct piv_card *card, uint32_t tag, size_t first, struct wbuf *out)
{
	struct apdu a = { .ins = INS_GET, .p1 = 0x3F, .p2 = 0xFF, .le = true, .first = first, .brief = true };
	WBUF_AUTO list;

	wbuf_init(&list, 16);
	piv_tag_list(&list, tag);
	a.data = wbuf_view(&list);
	return piv_send(card, &a, out);
}

enum err
piv_identify(struct piv_card *card, struct piv_id *id)
{
	struct piv_chuid chuid;
	WBUF_AUTO out;
	enum err e;

	wbuf_init(&out, 4096);
	id->has_guid = id->has_fascn = false;
	if ((e = ask(card, PIV_OBJ_CHUID, CHUID_FIRST, &out)) != E_OK)
		return e;
	if (card->sw != SW_OK)
		return piv_refused(card, "CHUID");
	if ((e = piv_chuid_prefix(wbuf_view(&out), &chuid)) != E_OK)
		return e;
	id->has_guid = chuid.has_guid;
	id->has_fascn = chuid.has_fascn;
	memcpy(id->guid, chuid.guid, sizeof id->guid);
	memcpy(id->fascn, chuid.fascn, sizeof id->fascn);
	card->proven = true;
	return E_OK;
}

enum err
piv_discover(struct piv_card *card, bool *ours)
{
	struct piv_discovery d;
	struct span contents;
	WBUF_AUTO out;
	enum err e;

	*ours = false;
	wbuf_init(&out, 1024);
	if ((e = ask(card, PIV_OBJ_DISCOVERY, 0, &out)) != E_OK)
		return e;
	*ours = card->sw == SW_OK && piv_object_parse(PIV_OBJ_DISCOVERY, wbuf_view(&out), &contents) == E_OK &&
	    piv_discovery_parse(contents, &d) == E_OK && d.aid_len >= AID_N && card->id.aid_len >= AID_N &&
	    memcmp(d.aid, card->id.aid, AID_N) == 0;
	card->proven = *ours;
	return E_OK;
}
