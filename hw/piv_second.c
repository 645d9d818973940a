/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A derived PIV application (SP 800-157r1, appendix B) beside the PIV application of the same card.
 *
 * One card has one selected application, and both answer the same commands with the same key references: a signature
 * with 9A in the wrong one succeeds. Other programs know the PIV application alone. So this one is a guest: it is
 * selected when a transaction begins and the PIV application again when it ends, so that nobody else ever finds the
 * card in it, and the two neither see each other's logins nor each other's PINs. What a guest is logged in as does not
 * outlive the transaction (SP 800-73-5 part 2, 3.1.1: another application is selected, its security status is gone);
 * the kept PIN is verified again by the usual recovery. Only where that cannot be, with a PIN that is not kept or with
 * the management key, does it stay selected until the logout (card->stay).
 *
 * The card is known by the CHUIDs of both: the derived application may have none.
 */
#include <string.h>

#include "base/log.h"
#include "hw/piv_int.h"

static bool
same_ids(const struct piv_id *a, const struct piv_id *b)
{
	return a->has_guid == b->has_guid && memcmp(a->guid, b->guid, sizeof a->guid) == 0 &&
	    a->has_fascn == b->has_fascn && memcmp(a->fascn, b->fascn, sizeof a->fascn) == 0;
}

/* CHUID of the application that is selected; none is an answer too. */
static enum err
who(struct piv_card *card, struct piv_id *id)
{
	enum err e;

	memset(id, 0, sizeof *id);
	card->sw = 0;
	e = piv_identify(card, id);
	if (e == E_OK || (card->sw != 0 && (e == E_NOTFOUND || e == E_PROTO || card->sw != SW_OK)))
		return E_OK;
	return e;
}

/* SELECT of the PIV application, and its CHUID. */
static enum err
host_who(struct piv_card *card, struct piv_id *host)
{
	struct piv_id aid = { 0 };
	enum err e;

	if ((e = piv_select_one(card, false, &aid)) != E_OK)
		return e;
	return who(card, host);
}

enum err
piv_second_find(struct piv_card *card)
{
	enum err e;

	if ((e = piv_select_one(card, true, &card->id)) != E_OK || (e = who(card, &card->own)) != E_OK ||
	    (e = host_who(card, &card->host)) != E_OK)
		return e;
	card->aid_sure = true;
	card->id.has_guid = card->own.has_guid || card->host.has_guid;
	memcpy(card->id.guid, card->own.has_guid ? card->own.guid : card->host.guid, sizeof card->id.guid);
	card->id.has_fascn = card->own.has_fascn;
	memcpy(card->id.fascn, card->own.fascn, sizeof card->id.fascn);
	return E_OK;
}

enum err
piv_second_enter(struct piv_card *card)
{
	struct piv_id aid = { 0 };
	enum err e = piv_select_one(card, true, &aid);

	card->proven = e == E_OK;
	return e == E_NOTPIV ? err_set(E_CARDGONE, "%s: the derived PIV application is gone", card->name) : e;
}

void
piv_second_leave(struct piv_card *card)
{
	struct piv_id aid = { 0 };

	if (card->stay || card->reset_at_end || card->gone)
		return;
	if (piv_select_one(card, false, &aid) != E_OK)
		log_info("card", "card=\"%s\" event=not-left error=\"%s\"", card->name, err_msg());
}

enum err
piv_second_same(struct piv_card *card, bool *same)
{
	struct piv_id host, own;
	enum err e;

	*same = false;
	e = host_who(card, &host);
	if (e == E_NOTPIV)
		return E_OK;
	if (e == E_OK && (e = piv_second_enter(card)) == E_OK && (e = who(card, &own)) == E_OK)
		*same = same_ids(&host, &card->host) && same_ids(&own, &card->own);
	return e;
}
