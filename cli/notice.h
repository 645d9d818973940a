/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_CLI_NOTICE_H
#define DPIV_CLI_NOTICE_H

#include <time.h>

#include "derive/policy.h"
#include "derive/store.h"

/*
 * What a person is told on the desktop, each once for a credential, when [notices] and the policy have it so. It never
 * fails the verb. A notice may be read on a locked screen by anybody: it has the role and the date, no name, no
 * address, no number.
 */
enum notice {
	NOTICE_BOUND,	     /* derived from the card */
	NOTICE_RENEWED,	     /* a new one has taken its place */
	NOTICE_EXPIRING,     /* it is time to renew it */
	NOTICE_RENEW_PERSON, /* the same, and it cannot be renewed without the person */
	NOTICE_EXPIRED,
	NOTICE_REVOKED,
	NOTICE_CARD, /* the certificate of its PIV card is revoked or has expired */
	NOTICE_COUNT
};

struct notices {
	const struct conf *conf;
	const struct policy *policy; /* NULL: what conf_load() finds */
	struct store *store;	     /* NULL: the default one */
};

/* serial: of the credential's certificate. until: its end. */
void notice_tell(const struct notices *n, enum notice what, enum role role, const char *serial, time_t until);

#endif
