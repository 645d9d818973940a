/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_SERVER_WATCH_H
#define DPIV_ISSUER_SERVER_WATCH_H

#include "derive/issuer/metrics.h"
#include "derive/issuer/server_door.h"

/* The third door: metrics, on a local socket. */
struct watch {
	struct issuer *issuer;
	const struct door *doors[2]; /* that are watched */
	struct door door;
	struct metrics metrics;
};

/* doors were set. Opens it where [metrics] socket says, or not at all. Nobody waits for its connections at the end. */
enum err watch_open(struct watch *w, struct event_base *base, struct issuer *i) MUST_CHECK;
/* The time, to be given to watch_count() when the request is answered. */
double watch_now(void);
void watch_count(struct watch *w, const char *path, int status, double since);

#endif
