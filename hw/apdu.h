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
	const char *name;	  /* of the reader, for sentences */
	const char *reader;	  /* for the trace; NULL */
	const struct apdu *whole; /* that is being sent, for the trace */
	bool extended;		  /* the card takes extended length; off unless somebody knows that it does */
	size_t max_data; /* with it: data bytes that the reader lets through in one command or answer; 0: 65536 */
	bool unheard;	 /* set, and extended cleared, when the reader failed on an extended command */
	bool reset;	 /* set, never cleared, when the card was reset under our feet */
};

struct apdu {
	uint8_t cla, ins, p1, p2;
	struct span data;
	bool le;      /* an answer with data is expected: ask for as much as there is */
	bool brief;   /* the answer fits a short one */
	bool probe;   /* not to be repeated in short form */
	size_t first; /* stop fetching as soon as so many bytes are in hand; 0: fetch everything */
};

/*
 * Send it and gather the answer's data behind what out already holds; the whole answer is bounded by out->max. out may
 * be NULL when no data is wanted. E_OK: the card answered, *sw is its last word, 9000 also when the rest was left
 * unfetched; when a part of a chain is refused, that refusal. E_CARDGONE, E_IO, E_PROTO (malformed, or more than
 * out->max): no answer, *sw is 0. After E_IO with link->reset the command was not executed.
 *
 * With link->extended a long command, or one whose answer may be long, goes out as one extended APDU. A card that
 * refuses it (6700, 6883, 6D00, 6E00), and answers the same in short form, has not the extended form: link->extended
 * is cleared for good. A reader that fails on it clears it, too, and sets link->unheard: the caller starts a new
 * transaction and repeats.
 */
enum err apdu_send(struct apdu_link *link, const struct apdu *a, struct wbuf *out, uint16_t *sw) MUST_CHECK;

#define SW_OK 0x9000

#endif
