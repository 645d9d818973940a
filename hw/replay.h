/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_HW_REPLAY_H
#define DPIV_HW_REPLAY_H

#include "hw/reader.h"

/*
 * A trace (trace.h) played as readers with cards in them, so that a user's report becomes a test. Commands find their
 * answers in order; what is asked more often, or in another order, gets the same answer again. What was not recorded,
 * or is not shown, is 6F00, and the log says which line of the trace it was; a data object that nobody asked for is
 * 6A82, and one that is not shown is zeros of its length.
 */

/* One command as its specification describes it, whatever it took on the wire. */
struct replay_step {
	size_t line, reader; /* in the trace; among struct replay's readers */
	long pid;
	uint8_t ins, p1, p2;
	size_t lc, answer;     /* lengths */
	struct wbuf data, rsp; /* what is shown of them */
	bool data_hidden, rsp_hidden;
	bool chain; /* more pieces of the command are to come */
	bool whole; /* the answer was fetched to its end */
	bool used;
	uint16_t sw;
};

struct replay {
	size_t n_readers, n, cap;
	char reader[READER_MAX][READER_NAME_MAX];
	uint8_t atr[READER_MAX][ATR_MAX];
	size_t atr_n[READER_MAX];
	struct replay_step *step;
};

/* Lines that are no trace are skipped; a damaged one is E_PROTO with its number, none at all E_NOTFOUND. */
enum err replay_parse(struct span text, struct replay *out) MUST_CHECK;
void replay_clear(struct replay *r);

/* E_NOTFOUND, E_IO the file; E_PROTO. */
enum err replay_open(const char *path, struct readers *out) MUST_CHECK;
void replay_close(struct readers *r); /* every connection must be closed */

#endif
