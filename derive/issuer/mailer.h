/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_MAILER_H
#define DPIV_ISSUER_MAILER_H

#include <sys/types.h>

#include "derive/issuer/issuer.h"

/* The server's side of the notices: a round in a process of its own when something is due, and once a day for what
 * expires. All zero at first. */
struct mailer {
	pid_t round; /* 0: none is running */
	time_t last;
};
void mailer_tick(struct mailer *m, const struct issuer *i, time_t now);

#endif
