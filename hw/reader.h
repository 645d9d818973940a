/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_HW_READER_H
#define DPIV_HW_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

/*
 * Readers behind an operations table: PC/SC (hw/pcsc*.c, which alone include winscard.h), or, in tests, fuzzers
 * and trace replay, a card in the same process. Nothing above this line knows which.
 */
#define READER_NAME_MAX 128
#define READER_MAX	16
#define ATR_MAX		33

/* PC/SC part 10, 2.3 */
#define READER_FEATURES 32
#define FEATURE_VERIFY	0x06 /* VERIFY_PIN_DIRECT */
#define FEATURE_MODIFY	0x07 /* MODIFY_PIN_DIRECT */

struct reader_state {
	char name[READER_NAME_MAX];
	bool present;	/* a card is in it */
	uint32_t event; /* changes with every insertion and removal; compare, do not interpret */
};

struct reader_list {
	size_t n;
	struct reader_state r[READER_MAX];
};

struct reader_ops {
	/* The readers now, present flags filled, without touching a card. No reader at all is E_OK with n == 0; no
	 * service is E_NOREADER. */
	enum err (*list)(void *ctx, struct reader_list *out);
	/* Wait until the list or a state differs from *known, at most timeout_ms (-1: for ever). E_OK changed, E_BUSY
	 * timed out, E_CANCELED after cancel(). */
	enum err (*wait)(void *ctx, const struct reader_list *known, int timeout_ms);
	/* End a running wait() from another thread. */
	void (*cancel)(void *ctx);
	/* Connect, shared, any protocol. */
	enum err (*connect)(void *ctx, const char *name, void **conn);
	void (*disconnect)(void *conn); /* leaves the card as it is */
	/* Start a transaction. *reset tells that the card lost its state since the last one (somebody reset it or
	 * pulled it and put it back): the application must be selected and the PIN verified again. Bounded wait:
	 * E_BUSY when another program does not let go in time, E_CARDGONE when the card is out. */
	enum err (*begin)(void *conn, bool *reset);
	void (*end)(void *conn, bool reset_card);
	/* One command, one response (data and status word, 2 to 65538 bytes, at most rsp->max), appended to the empty
	 * rsp, inside a transaction. E_CARDGONE, E_IO. *reset is set, with E_IO, when the card was reset under our
	 * feet: the command was not executed, the connection is good again and the transaction goes on. */
	enum err (*transmit)(void *conn, struct span cmd, struct wbuf *rsp, bool *reset);
	/* The ATR of the connected card; the one of the newest begin(). */
	struct span (*atr)(void *conn);
	/* As disconnect(), in a forked child: free memory, do not talk to anybody. May be NULL. */
	void (*forget)(void *conn);
	/* Data bytes that one command or answer can have in the extended form (ISO/IEC 7816-3, 12.1) on this
	 * connection; 256: only short APDUs pass. Asks the reader, inside a transaction. NULL: 65536. */
	size_t (*max_data)(void *conn);
	/* What the reader can do by itself (PC/SC part 10): bit n for feature n. NULL: nothing. */
	uint32_t (*features)(void *conn);
	/* One of these, inside a transaction; its answer is appended to rsp. Errors and *reset as transmit(). */
	enum err (*control)(void *conn, unsigned feature, struct span in, struct wbuf *rsp, bool *reset);
	/* From another thread: end a running control(), as far as the reader lets. May be NULL. */
	void (*interrupt)(void *conn);
	/* The work is done: begin() is to wait for other programs a moment (0.2 s) at most from now on. May be NULL. */
	void (*hurry)(void *conn);
};

struct readers {
	const struct reader_ops *ops;
	void *ctx;
};

/* The PC/SC service's readers. Connects lazily, survives a restart of the service. Not for use across fork(): the
 * child opens its own. One of these per thread that may block in wait(). */
enum err pcsc_open(struct readers *out) MUST_CHECK;
void pcsc_close(struct readers *r);
/* In a forked child: forget the parent's without talking to the service. */
void pcsc_forget(struct readers *r);

#endif
