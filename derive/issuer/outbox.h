/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_OUTBOX_H
#define DPIV_ISSUER_OUTBOX_H

#include "derive/issuer/ledger.h"

/*
 * Notices that have to be sent (SP 800-157r1, 2.2: the cardholder is promptly notified at an address of the account).
 * A notice is written in the transaction of the event that it tells of, so that neither is without the other; it is
 * sent later, at least once.
 */
enum err outbox_add(struct db *db, const struct ledger_event *ev, time_t now) MUST_CHECK;
/* One for each certificate that ends within so many days, was not replaced and not told of. */
enum err outbox_expiring(struct db *db, long days, time_t now) MUST_CHECK;

/* Is there anything to send? */
bool outbox_due(struct db *db, time_t now);

struct outbox_mail {
	int64_t id, created;
	char to[256], name[512]; /* of the account, now */
	char kind[16], serial[48], detail[700];
	int64_t not_after; /* of the certificate, 0: none is spoken of */
};
/* The oldest that is due; E_NOTFOUND. Notices of more than a week ago are given up, and that is an event. */
enum err outbox_next(struct db *db, time_t now, struct outbox_mail *out) MUST_CHECK;
enum err outbox_sent(struct db *db, const struct outbox_mail *m, time_t now) MUST_CHECK;
/* Again later: in a minute, two, four ..., six hours. */
enum err outbox_failed(struct db *db, const struct outbox_mail *m, const char *why, time_t now) MUST_CHECK;

#endif
