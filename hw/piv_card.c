/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One card: its connection, its transactions, and getting its state back when somebody else took it.
 *
 * Other programs share the card. Between two transactions of ours any of them may reset it, select another
 * application or log us out; nothing is asked beforehand, since asking would cost one command in every transaction.
 * Instead a failure is looked at when it happens (piv_run):
 *
 *	- the reader says "reset": select again, compare the card's identity, verify the kept PIN, repeat once;
 *	- the card refuses, and nothing of ours has succeeded in this transaction: read the CHUID's first block, which
 *	  disturbs nothing. The same card's CHUID: the refusal is true. Anything else: as after a reset;
 *	- the application is current but says "not logged in", and a PIN is kept: verify it, repeat once.
 *
 * Within a transaction, after a command of ours has succeeded (card->proven), nobody can have intervened, so that a
 * refusal is believed at once. A PIN is sent again only when it was accepted before and never refused since.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "hw/piv_int.h"
#include "hw/trace.h"

#define RECOVERY_TRIES 2 /* a reset may also fall into the recovery */

enum err
piv_send(struct piv_card *card, const struct apdu *a, struct wbuf *out)
{
	enum err e = apdu_send(&card->link, a, out, &card->sw);

	/* GET DATA counts only once its answer is understood: other applications answer it, too. */
	if (e == E_OK && card->sw == SW_OK && a->ins != INS_GET)
		card->proven = true;
	return e;
}

/* --- identity --- */

static bool
same_bytes(bool has_a, const uint8_t *a, bool has_b, const uint8_t *b, size_t n)
{
	return has_a == has_b && (!has_a || memcmp(a, b, n) == 0);
}

static bool
same_atr(const struct piv_card *card)
{
	struct span atr = card->link.ops->atr(card->link.conn);

	return span_eq(atr, span_of(card->id.atr, card->id.atr_len));
}

static bool
same_ids(const struct piv_id *a, const struct piv_id *b)
{
	return same_bytes(a->has_guid, a->guid, b->has_guid, b->guid, sizeof a->guid) &&
	    same_bytes(a->has_fascn, a->fascn, b->has_fascn, b->fascn, sizeof a->fascn);
}

static bool
has_identity(const struct piv_card *card)
{
	return card->id.has_guid || card->id.has_fascn;
}

/* No CHUID that identifies the card, as opposed to no answer at all. */
static bool
no_chuid(const struct piv_card *card, enum err e)
{
	return card->sw != 0 && (e == E_NOTFOUND || e == E_PROTO || card->sw != SW_OK);
}

static enum err
other_card(struct piv_card *card)
{
	card->gone = true;
	secret_free(&card->pin);
	return err_set(E_CARDGONE, "%s: another card is in the reader now", card->name);
}

/* --- recovery --- */

static enum err
select_same(struct piv_card *card)
{
	struct piv_id now = { 0 };
	enum err e;

	if (!same_atr(card))
		return other_card(card);
	if (card->guest) {
		bool same;

		e = piv_second_same(card, &same);
		return e == E_OK && !same ? other_card(card) : e;
	}
	if ((e = piv_select(card)) == E_NOTPIV)
		return err_set(E_CARDGONE, "%s: the card no longer answers as a PIV card", card->name);
	if (e != E_OK)
		return e;
	e = piv_identify(card, &now);
	if (e != E_OK && !no_chuid(card, e))
		return e;
	if (!same_ids(&card->id, &now))
		return other_card(card);
	return E_OK;
}

/* The kept PIN again. Only trouble with the card is a failure: a refused PIN is forgotten, and whoever needs it hears
 * that nobody is logged in. */
static enum err
verify_kept(struct piv_card *card)
{
	int left;
	enum err e;

	if (card->pin == NULL)
		return E_OK;
	e = piv_verify(card, card->pin_ref, card->pin, &left);
	if (e == E_OK) {
		card->fresh = true;
		return E_OK;
	}
	if (e == E_CARDGONE || e == E_IO || e == E_PROTO)
		return e;
	log_warn("pin", "card=\"%s\" event=kept-pin-refused", card->name);
	return E_OK;
}

static enum err
restore(struct piv_card *card)
{
	enum err e = E_IO;
	int i;

	for (i = 0; i < RECOVERY_TRIES; i++) {
		card->link.reset = false;
		card->stale = true;
		card->proven = card->fresh = false;
		if ((e = select_same(card)) == E_OK && (e = verify_kept(card)) == E_OK) {
			card->stale = false;
			log_info("card", "card=\"%s\" event=recovered", card->name);
			return E_OK;
		}
		if (!card->link.reset)
			break;
	}
	return e;
}

/* Is our application current, on our card? Asked without disturbing anything. */
static enum err
is_current(struct piv_card *card, bool *current)
{
	struct piv_id now = { 0 };
	enum err e;

	*current = false;
	if (!has_identity(card))
		return piv_discover(card, current);
	e = piv_identify(card, &now);
	if (e != E_OK && !no_chuid(card, e))
		return e;
	*current = e == E_OK && same_ids(&card->id, &now);
	return E_OK;
}

/* The reader failed on an extended command: a new transaction, and all of the step again in short form. */
static enum err
repeat_short(struct piv_card *card, piv_step *step, void *arg)
{
	bool reset = false;
	enum err e;

	card->link.unheard = false;
	card->link.ops->end(card->link.conn, false);
	if ((e = card->link.ops->begin(card->link.conn, &reset)) != E_OK || (e = restore(card)) != E_OK)
		return e;
	card->sw = 0;
	card->link.reset = false;
	return step(card, arg);
}

enum err
piv_confirm(struct piv_card *card)
{
	bool current = true;
	enum err e;

	if (card->proven)
		return E_OK;
	e = is_current(card, &current);
	if (card->link.reset || (e == E_OK && !current))
		e = restore(card);
	if (e == E_OK)
		card->proven = true;
	return e;
}

/*
 * A step failed with e and status word sw: restore what can be restored. *again: the step may be repeated. E_OK
 * without it: the failure stands.
 */
static enum err
recover(struct piv_card *card, enum err failure, bool kept, bool *again)
{
	uint16_t sw = card->sw;
	bool current = true;
	enum err e;

	*again = false;
	if (card->link.reset) {
		*again = (e = restore(card)) == E_OK;
		return e;
	}
	if ((sw == 0 || sw == SW_OK) && failure != E_PROTO && failure != E_NOTFOUND)
		return E_OK; /* not the card's refusal */
	if (!card->proven) {
		if ((e = is_current(card, &current)) != E_OK && !card->link.reset)
			return e;
		if (!current || card->link.reset) {
			*again = (e = restore(card)) == E_OK;
			return e;
		}
		card->proven = true;
	}
	if (sw == SW_NOT_LOGGED_IN && kept && card->pin != NULL && !card->fresh) {
		e = verify_kept(card);
		*again = card->fresh;
		return e;
	}
	return E_OK;
}

/* The answer to a PIN. Even when another application gave it, the PIN is not sent a second time without being asked. */
static bool
is_verdict(enum err failure)
{
	return failure == E_PIN || failure == E_PINLOCKED || failure == E_PINLEN;
}

enum err
piv_run(struct piv_card *card, piv_step *step, void *arg, bool kept)
{
	char sentence[512];
	bool again;
	enum err e, failure;

	if ((e = piv_begin(card)) != E_OK)
		return e;
	card->sw = 0;
	card->link.reset = false;
	e = step(card, arg);
	if (e == E_IO && card->link.unheard)
		e = repeat_short(card, step, arg);
	if (e != E_OK && e != E_NOMEM && e != E_ARG) {
		snprintf(sentence, sizeof sentence, "%s", err_msg());
		failure = e;
		e = recover(card, failure, kept, &again);
		if (again && is_verdict(failure)) {
			e = err_set(E_BUSY, "%s: another program had selected something else on the card; try again",
			    card->name);
		} else if (again) {
			card->sw = 0;
			e = step(card, arg);
		} else if (e == E_OK) {
			e = err_set(failure, "%s", sentence);
		}
	}
	piv_end(card);
	return e;
}

/* --- transactions --- */

/* As any first command of a transaction: the card may be reset under it. */
static enum err
enter_guest(struct piv_card *card)
{
	enum err e;

	card->link.reset = false;
	e = piv_second_enter(card);
	return e != E_OK && card->link.reset ? restore(card) : e;
}

enum err
piv_begin(struct piv_card *card)
{
	bool reset = false;
	enum err e;

	if (card->gone)
		return err_set(E_CARDGONE, "%s: the card was replaced by another one", card->name);
	if (card->depth > 0) {
		card->depth++;
		return E_OK;
	}
	if ((e = card->link.ops->begin(card->link.conn, &reset)) != E_OK)
		return e;
	card->depth = 1;
	card->proven = card->fresh = false;
	if (reset)
		card->stale = true;
	if (card->stale)
		e = restore(card);
	else if (card->guest)
		e = enter_guest(card);
	if (e != E_OK) {
		piv_end(card);
		return e;
	}
	if (card->extended_known)
		piv_extended_use(card, true);
	card->extended_known = false;
	return E_OK;
}

void
piv_end(struct piv_card *card)
{
	bool reset = card->reset_at_end;

	if (card->depth == 0 || --card->depth > 0)
		return;
	if (card->guest)
		piv_second_leave(card);
	card->link.ops->end(card->link.conn, reset);
	card->reset_at_end = false;
	if (reset) /* our own reset is reported to everybody but us */
		card->stale = true;
	piv_cache_settle(card);
}

/* --- open and close --- */

/* An answering CHUID means that a PIV application is current; otherwise select one, and ask again. */
static enum err
find_application(struct piv_card *card)
{
	static const uint8_t piv[] = { 0xA0, 0x00, 0x00, 0x03, 0x08, 0x00, 0x00, 0x10, 0x00 };
	enum err e = piv_identify(card, &card->id);

	if (e == E_OK) {
		memcpy(card->id.aid, piv, sizeof piv);
		card->id.aid_len = sizeof piv;
		return E_OK;
	}
	if (!no_chuid(card, e) && e != E_PROTO)
		return e;
	if ((e = piv_select(card)) != E_OK)
		return e;
	e = piv_identify(card, &card->id);
	return e != E_OK && no_chuid(card, e) ? E_OK : e;
}

static enum err
open_application(struct piv_card *card)
{
	struct span atr;
	bool reset = false;
	enum err e;
	int i;

	if ((e = card->link.ops->begin(card->link.conn, &reset)) != E_OK)
		return e == E_CARDGONE ? err_set(E_NOCARD, "%s: no card in the reader", card->reader) : e;
	card->depth = 1;
	for (i = 0; i < RECOVERY_TRIES; i++) {
		card->link.reset = false;
		e = card->guest ? piv_second_find(card) : find_application(card);
		if (e == E_OK || !card->link.reset)
			break;
	}
	atr = card->link.ops->atr(card->link.conn);
	card->id.atr_len = atr.n < sizeof card->id.atr ? atr.n : sizeof card->id.atr;
	memcpy(card->id.atr, atr.p, card->id.atr_len);
	trace_atr(card->reader, atr);
	if (e == E_OK)
		piv_extended_use(card, false);
	card->stay = card->guest; /* the PIV application is selected already, or was never left */
	piv_end(card);
	card->stay = false;
	return e;
}

/* The reader's event counter: what piv_present() compares with. */
static enum err
look(const struct piv_card *card, bool *present, uint32_t *event)
{
	struct reader_list list;
	enum err e;
	size_t i;

	*present = false;
	*event = 0;
	if ((e = card->readers.ops->list(card->readers.ctx, &list)) != E_OK)
		return e;
	for (i = 0; i < list.n; i++)
		if (strcmp(list.r[i].name, card->reader) == 0) {
			*present = list.r[i].present;
			*event = list.r[i].event;
		}
	return E_OK;
}

static enum err
card_open(const struct readers *readers, const char *reader, bool guest, struct piv_card **out)
{
	struct piv_card *card;
	bool present;
	enum err e;

	*out = NULL;
	if (strlen(reader) >= READER_NAME_MAX)
		return err_set(E_ARG, "reader name is too long");
	if ((card = calloc(1, sizeof *card)) == NULL)
		return err_set(E_NOMEM, "out of memory");
	card->readers = *readers;
	card->guest = guest;
	snprintf(card->reader, sizeof card->reader, "%s", reader);
	snprintf(card->name, sizeof card->name, "%s", reader);
	card->link.ops = readers->ops;
	card->link.name = card->name;
	card->link.reader = card->reader;
	card->user_ref = card->primary = card->pin_ref = PIV_PIN_APP;
	if ((e = look(card, &present, &card->event)) == E_OK)
		e = readers->ops->connect(readers->ctx, reader, &card->link.conn);
	if (e == E_OK)
		e = open_application(card);
	if (e != E_OK) {
		piv_close(&card);
		return e;
	}
	snprintf(card->name, sizeof card->name, "%s: %s", reader, card->id.derived ? "derived PIV" : "PIV card");
	*out = card;
	return E_OK;
}

enum err
piv_open(const struct readers *readers, const char *reader, struct piv_card **out)
{
	return card_open(readers, reader, false, out);
}

enum err
piv_open_second(const struct readers *readers, const char *reader, struct piv_card **out)
{
	return card_open(readers, reader, true, out);
}

void
piv_close(struct piv_card **card)
{
	struct piv_card *c = *card;

	*card = NULL;
	if (c == NULL)
		return;
	if (c->depth > 0) {
		c->depth = 1;
		piv_end(c);
	}
	if (c->link.conn != NULL && piv_extended_is_open(c)) {
		if (c->link.ops->hurry != NULL)
			c->link.ops->hurry(c->link.conn);
		if (piv_begin(c) == E_OK) {
			piv_extended_probe(c);
			piv_end(c);
		}
	}
	piv_cache_close(c);
	if (c->link.conn != NULL)
		c->link.ops->disconnect(c->link.conn);
	secret_free(&c->pin);
	explicit_bzero(c, sizeof *c);
	free(c);
}

void
piv_forget(struct piv_card **card)
{
	struct piv_card *c = *card;

	*card = NULL;
	if (c == NULL)
		return;
	if (c->link.conn != NULL && c->link.ops->forget != NULL)
		c->link.ops->forget(c->link.conn);
	piv_cache_close(c);
	secret_free(&c->pin);
	free(c);
}

const struct piv_id *
piv_id(const struct piv_card *card)
{
	return &card->id;
}

const char *
piv_name(const struct piv_card *card)
{
	return card->name;
}

enum err
piv_present(struct piv_card *card)
{
	uint32_t event;
	bool present;
	enum err e;

	if (card->gone)
		return err_set(E_CARDGONE, "%s: the card was replaced by another one", card->name);
	if ((e = look(card, &present, &event)) != E_OK)
		return e;
	if (!present)
		return err_set(E_CARDGONE, "%s: the card was removed; put it back and try again", card->name);
	if (event == card->event)
		return E_OK;
	/* Out and in again, perhaps another one: the next transaction finds out. */
	if ((e = piv_begin(card)) != E_OK)
		return e;
	piv_end(card);
	card->event = event;
	return E_OK;
}
