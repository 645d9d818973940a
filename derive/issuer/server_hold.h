/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_SERVER_HOLD_H
#define DPIV_ISSUER_SERVER_HOLD_H

#include <stdbool.h>

#include "derive/issuer/issuer.h"

struct event;
struct event_base;
struct evhttp_request;
struct held;

/* Requests whose answers another CA is being asked for: each waits here without holding up the loop, and is handled
 * once more when there is something to say, or when its time is over. */
struct hold {
	/* the owner's */
	struct event_base *base;
	struct issuer *issuer;
	void (*again)(struct evhttp_request *req, void *owner); /* its connection is there */
	void *owner;
	/* the hold's */
	struct event *tick;
	struct held *first;
};

/* false: it cannot be held, and is answered now. ask: upstream_busy()'s. */
bool hold_take(struct hold *h, struct evhttp_request *req, const char *ask);
/* Before the connections are ended. */
void hold_end(struct hold *h);

#endif
