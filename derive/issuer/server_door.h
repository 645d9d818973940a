/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_SERVER_DOOR_H
#define DPIV_ISSUER_SERVER_DOOR_H

#include <stdbool.h>
#include <openssl/ssl.h>

#include "base/err.h"

struct conn;
struct evconnlistener;
struct event_base;
struct evhttp;
struct evhttp_bound_socket;
struct evhttp_request;
struct lingerer;

/* A listener and its connections. Each door has a limit of its own: at it the door pauses and the kernel queues. */
struct door {
	/* the owner's, set before door_open() and read at each connection */
	const char *name; /* for the service manager: listen_open() */
	struct event_base *base;
	SSL_CTX *tls; /* NULL: plain http */
	long max_connections;
	long timeout; /* seconds that a stranger may be silent */
	void (*request)(struct evhttp_request *req, void *owner);
	void (*ended)(void *owner); /* a connection is gone; door_connections() says how many are left */
	void *owner;
	/* the door's */
	struct evhttp *http;
	struct evconnlistener *listener;
	struct evhttp_bound_socket *bound; /* the listener, that belongs to http */
	struct conn *conns;
	struct lingerer *lingering;
	long connections;
	bool shut; /* by door_shut() */
};

/* Takes connections when the loop runs. url: SCHEME://HOST:PORT with the port that it is, or the path. */
enum err door_open(struct door *d, const char *address, long body_max, char *url, size_t cap) MUST_CHECK;
/* Accepts no more; what is open goes on. */
void door_shut(struct door *d);
/* Hangs up on whoever has asked, has the answer, and asks nothing more. */
void door_rest(struct door *d);
/* Ends everything. ended() is called for each connection, some of them when the loop runs once more. */
void door_close(struct door *d);
/* The answer to this request is made. */
void door_answered(struct door *d, struct evhttp_request *req);
/* The client of this request may be silent, and stay, for so many seconds from now. */
void door_patient(struct door *d, struct evhttp_request *req, long seconds);

#endif
