/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whose turn it is, where several programs use one card.
 *
 * Programs that use dpiv stand in line (pcsc_line.c). Whoever stands there and leaves a free card alone, because it was
 * stopped or means harm, is passed, and for a while nobody is waited for.
 *
 * Other programs know of no line. SCardBeginTransaction() waits without limit while another one holds the card, asking
 * every 100 ms. So we first ask, with a limit, whether the card is free, by a call that the service refuses to all but
 * the holder. And whoever works without pause leaves a gap now and then, standing first in line, for others would find
 * no moment between two transactions: only where there are others, more often when it is used, less often when not.
 */
#include <reader.h> /* PC/SC's attribute names */

#include "base/proc.h"
#include "hw/pcsc_int.h"

#define CONFIRM_MS    1	   /* asking whether it is really free */
#define NEIGHBOUR_MS  3000 /* so long another program counts as busy with the card */
#define TELL_MS	      2000 /* then the log says who holds the card */
#define PAUSE_MS      20   /* so long between two transactions: others had their chance */
#define GAP_MS	      110  /* for those who leave it to SCardBeginTransaction() */
#define GAP_EACH_MIN  150
#define GAP_EACH_MAX  3000
#define LINE_POLL_MS  1
#define LINE_LOOK_MS  20   /* is somebody in the line asleep? */
#define LINE_SLEEP_MS 300  /* this long with a free card */
#define LINE_STUCK_MS 5000 /* then the line does not count, for so long */
#define CROWD_MS      2000 /* a look at who else is connected is good for */

void
pcsc_turn_init(struct pcsc_turn *t, const char *reader)
{
	*t = (struct pcsc_turn){ .neighbour = -NEIGHBOUR_MS - 1, .crowd_at = -CROWD_MS, .gap_each = GAP_EACH_MIN };
	pcsc_line_init(t, reader);
}

/* The service answers this question to the holder, or when there is none; what the answer is, does not matter. */
static bool
is_held(struct pcsc_conn *c, LONG *rv)
{
	uint8_t atr[ATR_MAX];
	DWORD n = sizeof atr;

	*rv = SCardGetAttrib(c->card, SCARD_ATTR_ATR_STRING, atr, &n);
	if (pcsc_meaning(*rv) != PCSC_HELD)
		return false;
	c->turn.neighbour = pcsc_now();
	return true;
}

/* Until it is our turn in the line, or end. */
static void
wait_in_line(struct pcsc_conn *c, int64_t end)
{
	int64_t now = pcsc_now(), look = now + LINE_LOOK_MS, busy = now;
	LONG rv;

	if (now < c->turn.stuck)
		return;
	pcsc_line_join(&c->turn);
	while (pcsc_line_ahead(&c->turn) != 0 && now < end) {
		pcsc_nap(LINE_POLL_MS);
		now = pcsc_now();
		if (now < look)
			continue;
		look = now + LINE_LOOK_MS;
		if (is_held(c, &rv))
			busy = now;
		else if (now - busy >= LINE_SLEEP_MS) {
			c->turn.stuck = now + LINE_STUCK_MS;
			return;
		}
	}
}

/* Is anybody else connected to the service, or can that not be told? */
static bool
in_company(struct pcsc_turn *t)
{
	int64_t now = pcsc_now();
	int n;

	if (now - t->crowd_at < CROWD_MS)
		return t->crowd;
	n = proc_connections(proc_pcscd_socket());
	t->crowd_at = now;
	t->crowd = n <= 0 || n > pcsc_contexts();
	return t->crowd;
}

/* Others find no moment between two transactions of a process that never pauses: leave one. */
static void
leave_gap(struct pcsc_conn *c)
{
	struct pcsc_turn *t = &c->turn;
	int64_t now = pcsc_now(), end = now + GAP_MS;
	LONG rv;

	if (now - t->ended >= PAUSE_MS) {
		t->gap = now;
		return;
	}
	if (now - t->gap < t->gap_each || !in_company(t))
		return;
	t->gap_each = t->gap_each * 2 < GAP_EACH_MAX ? t->gap_each * 2 : GAP_EACH_MAX;
	while (pcsc_now() < end) {
		pcsc_nap(PCSC_POLL_MS);
		if (is_held(c, &rv)) {
			t->gap_each = GAP_EACH_MIN;
			break;
		}
	}
	t->gap = pcsc_now();
}

/*
 * Where others were seen lately the card must be free twice in a row: a busy neighbour is between two transactions for
 * microseconds, and whoever then asks for the card in vain waits for 100 ms.
 */
static LONG
wait_free(struct pcsc_conn *c, int64_t end)
{
	int64_t start = pcsc_now(), told = start + TELL_MS;
	bool free_once = start - c->turn.neighbour > NEIGHBOUR_MS || start - c->turn.ended < PCSC_POLL_MS;
	LONG rv;

	for (;;) {
		bool held = is_held(c, &rv);

		if (!held && free_once)
			return SCARD_S_SUCCESS;
		free_once = !held;
		if (held && pcsc_now() >= end)
			return rv;
		if (held && pcsc_now() >= told) {
			pcsc_holder_log(c->name);
			told = end;
		}
		pcsc_nap(free_once ? CONFIRM_MS : PCSC_POLL_MS);
	}
}

LONG
pcsc_turn_take(struct pcsc_conn *c, int64_t end)
{
	wait_in_line(c, end);
	leave_gap(c);
	return wait_free(c, end);
}

void
pcsc_turn_end(struct pcsc_turn *t)
{
	pcsc_line_leave(t);
	t->ended = pcsc_now();
}
