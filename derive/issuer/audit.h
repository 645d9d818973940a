/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_AUDIT_H
#define DPIV_ISSUER_AUDIT_H

#include <time.h>

#include "derive/db.h"
#include "derive/issuer/ledger.h"

/*
 * The chain of events. Each row of the table has the SHA-256 over the hash of the row before it and its own fields; the
 * newest one's number and hash, the head, are kept beside the table. A row that was changed, removed or put in, and a
 * table whose end was cut off, show. Who can write to the file can also calculate the chain anew: against that a head
 * is kept elsewhere (a journal, paper), and the chain is held against it.
 */
#define AUDIT_HASH 32
struct audit_head {
	int64_t id; /* 0: no event yet */
	uint8_t hash[AUDIT_HASH];
};
#define AUDIT_HEAD_MAX 96

/* Appends an event; inside the caller's transaction, or in one of its own. */
enum err audit_add(struct db *db, const struct ledger_event *ev, time_t now) MUST_CHECK;
/* The head as it was noted with the newest event. */
enum err audit_head(struct db *db, struct audit_head *out) MUST_CHECK;
/* Walks the chain. E_OK: whole, and out is its head. E_STORE: the sentence names the event where it breaks. kept: a
 * head that was noted before, which must still be on the chain; or NULL. */
enum err audit_verify(struct db *db, const struct audit_head *kept, struct audit_head *out) MUST_CHECK;
/* "NUMBER:HEX" and back; false when text is none. */
char *audit_head_text(const struct audit_head *h, char out[AUDIT_HEAD_MAX]);
bool audit_head_read(const char *text, struct audit_head *out);

#endif
