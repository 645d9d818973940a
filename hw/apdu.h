/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_HW_APDU_H
#define DPIV_HW_APDU_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "hw/reader.h"

/*
 * Commands and answers, ISO/IEC 7816-4 and SP 800-73-5 part 2, 2.4 and 3: one struct apdu is one command as its
 * specification describes it, however many APDUs it takes on the wire (command chaining, GET RESPONSE, wrong Le).
 */
#define APDU_CHUNK 255 /* data bytes of one short command */

/* What commands travel over. The caller holds the transaction. */
struct apdu_link {
	const struct reader_ops *ops;
	void *conn;
	const char *name; /* of the reader, for sentences */
	bool extended;	  /* the card takes extended length; off unless somebody knows that it does */
	bool reset;	  /* set, never cleared, when the card was reset under our feet */
};

struct apdu {
	uint8_t cla, ins, p1, p2;
	struct span data;
	bool le;      /* an answer with data is expected: ask for as much as there is */
	size_t first; /* stop fetching as soon as so many bytes are in hand; 0: fetch everything */
};

/*
 * Send it and gather the answer's data behind what out already holds; the whole answer is bounded by out->max. out may
 * be NULL when no data is wanted. E_OK: the card answered, *sw is its last word, 9000 also when the rest was left
 * unfetched; when a part of a chain is refused, that refusal. E_CARDGONE, E_IO, E_PROTO (malformed, or more than
 * out->max): no answer, *sw is 0. After E_IO with link->reset the command was not executed.
 */
enum err apdu_send(struct apdu_link *link, const struct apdu *a, struct wbuf *out, uint16_t *sw) MUST_CHECK;

#define SW_OK 0x9000

#endif
