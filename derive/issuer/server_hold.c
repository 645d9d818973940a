/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests that wait (server_hold.h). Whether there is something to say is looked for in the ledger, twenty times a
 * second and only while somebody waits, because what it is was written by another process. A client that goes away
 * takes its connection with it and leaves the request, which evhttp then frees with the answer that nobody gets.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <event2/event.h>
#include <event2/http.h>

#include "derive/issuer/server_hold.h"
#include "derive/issuer/upstream.h"

#define LOOK 50000 /* microseconds */

struct held {
	struct evhttp_request *req;
	char ask[UPSTREAM_HELD];
	int64_t until; /* milliseconds of the monotonic clock */
	struct held *next;
};

static int64_t
monotonic(void)
{
	struct timespec ts;

	return clock_gettime(CLOCK_MONOTONIC, &ts) == 0 ? (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000 : 0;
}

static void
let_go(struct hold *h, struct held *one)
{
	struct evhttp_request *req = one->req;

	free(one);
	if (evhttp_request_get_connection(req) == NULL)
		evhttp_send_error(req, 503, NULL); /* frees it */
	else
		h->again(req, h->owner);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct hold *h = arg;
	struct held *list = h->first, *next;
	const int64_t now = monotonic();

	(void)fd;
	(void)what;
	h->first = NULL;
	for (; list != NULL; list = next) {
		next = list->next;
		if (now < list->until && evhttp_request_get_connection(list->req) != NULL &&
		    upstream_busy(h->issuer, list->ask, time(NULL))) {
			list->next = h->first;
			h->first = list;
		} else {
			let_go(h, list);
		}
	}
	if (h->first == NULL)
		(void)event_del(h->tick);
}

static bool
tick_on(struct hold *h)
{
	const struct timeval look = { .tv_usec = LOOK };

	if (h->tick == NULL)
		h->tick = event_new(h->base, -1, EV_PERSIST, on_tick, h);
	return h->tick != NULL && event_add(h->tick, &look) == 0;
}

bool
hold_take(struct hold *h, struct evhttp_request *req, const char *ask)
{
	struct held *one;

	if (h->issuer->config.up.hold <= 0 || (one = calloc(1, sizeof *one)) == NULL)
		return false;
	if (h->first == NULL && !tick_on(h)) {
		free(one);
		return false;
	}
	one->req = req;
	(void)snprintf(one->ask, sizeof one->ask, "%s", ask);
	one->until = monotonic() + 1000 * h->issuer->config.up.hold;
	one->next = h->first;
	h->first = one;
	return true;
}

void
hold_end(struct hold *h)
{
	struct held *one;

	while ((one = h->first) != NULL) {
		h->first = one->next;
		if (evhttp_request_get_connection(one->req) == NULL)
			evhttp_send_error(one->req, 503, NULL);
		free(one);
	}
	if (h->tick != NULL)
		event_free(h->tick);
	h->tick = NULL;
}
