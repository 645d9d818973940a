/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whose turn it is, where several programs use one card.
 *
 * SCardBeginTransaction() waits without limit while another program holds the card, asking every 100 ms. So we first
 * ask, with a limit, whether the card is free, by a call that the service refuses to all but the holder; and a process
 * that works without pause leaves a gap now and then, for others would find no moment between two of its transactions.
 */
#include <reader.h> /* PC/SC's attribute names */

#include "hw/pcsc_int.h"

#define CONFIRM_MS     1    /* asking whether it is really free */
#define NEIGHBOUR_MS   3000 /* so long another program counts as busy with the card */
#define PAUSE_MS       20   /* so long between two transactions: others had their chance */
#define SHORT_GAP_EACH 400  /* for those who ask every PCSC_POLL_MS, as we do */
#define SHORT_GAP_MS   12
#define LONG_GAP_EACH  3000 /* for those who leave it to SCardBeginTransaction() */
#define LONG_GAP_MS    110

void
pcsc_turn_init(struct pcsc_turn *t)
{
	*t = (struct pcsc_turn){ .neighbour = -NEIGHBOUR_MS - 1 };
}

void
pcsc_turn_end(struct pcsc_turn *t)
{
	t->ended = pcsc_now();
}

/* Others find no moment between two transactions of a process that never pauses: leave one. */
void
pcsc_turn_gap(struct pcsc_turn *t)
{
	int64_t now = pcsc_now();

	if (now - t->ended >= PAUSE_MS) {
		t->short_gap = t->long_gap = now;
	} else if (now - t->long_gap >= LONG_GAP_EACH) {
		pcsc_nap(LONG_GAP_MS);
		t->short_gap = t->long_gap = pcsc_now();
	} else if (now - t->short_gap >= SHORT_GAP_EACH) {
		pcsc_nap(SHORT_GAP_MS);
		t->short_gap = pcsc_now();
	}
}

/*
 * Wait until nobody else holds the card. The service answers this question to the holder, or when there is none; what
 * the answer is, does not matter. Where others were seen lately the card must be free twice in a row: a busy neighbour
 * is between two transactions for microseconds, and whoever then asks for the card in vain waits for 100 ms.
 */
LONG
pcsc_turn_free(struct pcsc_conn *c, int64_t end)
{
	int64_t start = pcsc_now();
	bool free_once =
	    start - c->turn.neighbour > NEIGHBOUR_MS || start - c->turn.ended < PCSC_POLL_MS; /* or in our own run */
	uint8_t atr[ATR_MAX];
	DWORD n;
	LONG rv;

	for (;;) {
		n = sizeof atr;
		rv = SCardGetAttrib(c->card, SCARD_ATTR_ATR_STRING, atr, &n);
		if (pcsc_meaning(rv) != PCSC_HELD && free_once)
			return SCARD_S_SUCCESS;
		free_once = pcsc_meaning(rv) != PCSC_HELD;
		if (!free_once) {
			c->turn.neighbour = pcsc_now();
			if (c->turn.neighbour >= end)
				return rv;
		}
		pcsc_nap(free_once ? CONFIRM_MS : PCSC_POLL_MS);
	}
}
