/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_HW_PCSC_INT_H
#define DPIV_HW_PCSC_INT_H

/*
 * What the hw/pcsc*.c files share, and nobody else includes; they are the only ones that know winscard.h.
 *
 *	pcsc.c		connections, transactions, commands
 *	pcsc_wait.c	the list of readers, and waiting for a change in it
 *	pcsc_turn.c	whose turn it is, where several programs use one card
 *	pcsc_line.c	the line in which dpiv's processes wait
 *	pcsc_holder.c	who else is at it
 *	pcsc_feature.c	what a reader can do: long APDUs, PIN pads
 *	pcsc_err.c	what PC/SC's codes mean; the clock
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <winscard.h>

#include "base/err.h"
#include "hw/reader.h"

#define PCSC_POLL_MS 5 /* asking for a card that is held */

/* What to do about a PC/SC code. */
enum pcsc_meaning { PCSC_FINE, PCSC_RESET, PCSC_REMOVED, PCSC_SERVICE, PCSC_HELD, PCSC_UNPLUGGED, PCSC_TROUBLE };

struct pcsc {
	pthread_mutex_t lock;
	pthread_cond_t done; /* a wait() ended, or cancel() was called */
	SCARDCONTEXT context;
	bool have, waiting, canceled;
};

/* When this connection and its neighbours had the card, and its place in the line of dpiv's processes. Times in ms. */
struct pcsc_turn {
	int64_t ended;	   /* our last transaction */
	int64_t neighbour; /* another program was last seen to hold the card */
	int64_t gap, gap_each;
	int64_t crowd_at; /* when it was found out whether */
	bool crowd;	  /* there are others */
	int line;	  /* where the line stands (a directory), -1 not open */
	bool no_line;	  /* there is none */
	int64_t first;	  /* of this reader's places */
	int64_t place;	  /* ours, 0 none */
	int64_t stuck;	  /* somebody stood in line and did nothing: not waited for until then */
};

struct pcsc_conn {
	SCARDCONTEXT context;
	SCARDHANDLE card;
	bool have, connected; /* context, card */
	bool hurry;	      /* begin() is not to wait long */
	bool broken;	      /* must be connected anew */
	bool held;	      /* the transaction */
	DWORD protocol;
	char name[READER_NAME_MAX];
	uint8_t atr[ATR_MAX];
	size_t atr_len;
	struct pcsc_turn turn;
	bool features_known;		   /* of this connection */
	uint32_t feature[READER_FEATURES]; /* control codes; 0 none */
};

/* --- pcsc_err.c --- */

enum pcsc_meaning pcsc_meaning(LONG rv);
enum err pcsc_failed(const char *reader, LONG rv) MUST_CHECK; /* sets the sentence */
int64_t pcsc_now(void);					      /* ms, monotonic */
void pcsc_nap(int ms);

/* --- pcsc_wait.c: the first three operations of struct reader_ops --- */

enum err pcsc_list(void *ctx, struct reader_list *out);
enum err pcsc_wait(void *ctx, const struct reader_list *known, int timeout_ms);
void pcsc_cancel(void *ctx);
void pcsc_context_drop(struct pcsc *p);

/* --- pcsc_feature.c: the last four --- */

size_t pcsc_max_data(void *conn);
uint32_t pcsc_features(void *conn);
enum err pcsc_control(void *conn, unsigned feature, struct span in, struct wbuf *rsp, bool *reset);
void pcsc_interrupt(void *conn);

/* --- pcsc.c --- */

/* All contexts come from here and go back there, so that pcsc_contexts() is the number of this process's. */
LONG pcsc_context_new(SCARDCONTEXT *context);
void pcsc_context_free(SCARDCONTEXT context);
int pcsc_contexts(void);
/* Back to a usable connection after rv, at the latest at end; *reset when that worked. */
LONG pcsc_conn_mend(struct pcsc_conn *c, LONG rv, int64_t end, bool *reset);

/* --- pcsc_holder.c --- */

/* E_BUSY, naming the programs that may hold the card. */
enum err pcsc_holder(const char *reader) MUST_CHECK;
void pcsc_holder_log(const char *reader);

/* --- pcsc_turn.c --- */

void pcsc_turn_init(struct pcsc_turn *t, const char *reader);
/* Wait in line, then until nobody else holds the card, or until end. */
LONG pcsc_turn_take(struct pcsc_conn *c, int64_t end);
/* After the transaction, or when there is none. */
void pcsc_turn_end(struct pcsc_turn *t);

/* --- pcsc_line.c --- */

/* This reader's line; nothing is opened yet. */
void pcsc_line_init(struct pcsc_turn *t, const char *reader);
void pcsc_line_close(struct pcsc_turn *t);
/* Take a place, the last one; without a line nothing happens. */
void pcsc_line_join(struct pcsc_turn *t);
/* The place of somebody before us, 0 when it is our turn. */
int64_t pcsc_line_ahead(const struct pcsc_turn *t);
void pcsc_line_leave(struct pcsc_turn *t);

#endif
