/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The doors: listeners and connections (server_door.h), with evhttp over bufferevents.
 *
 * Every connection has a struct conn, because evhttp tells nobody about connections that never bring a request. It
 * counts connections and holds the timer of the connection's whole life: evhttp's own timeouts restart with each byte,
 * so a client that drips would stay for ever. The timer shuts the socket down and evhttp then cleans up by itself.
 *
 * Under TLS it lives and dies with the SSL object (ex_data). evhttp falls back to a plain-text socket when the
 * bufferevent callback returns NULL, so it never does, and the handler refuses whatever is not TLS.
 *
 * Nothing tells of the end of a plain connection without a request either, so its struct conn holds a reference to the
 * bufferevent, and looks four times a second whether evhttp has let go of it: then its callbacks are gone.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>

#include "derive/issuer/note.h"
#include "derive/issuer/server_door.h"

#define HEADERS_MAX   16384
#define PLAIN_LOOK    250000 /* microseconds */
#define BACKLOG	      128
#define STRANGER_LIFE 2 /* times the configured timeout */

struct conn {
	struct door *door;
	struct bufferevent *bev;
	struct event *life;
	struct event *look; /* plain connections only */
	struct conn *next;
};

static int conn_slot = -1;

static void
conn_end(struct conn *c)
{
	struct door *d = c->door;

	if (c->life)
		event_free(c->life);
	if (c->look)
		event_free(c->look);
	free(c);
	d->connections--;
	if (!d->shut && d->connections < d->max_connections)
		evconnlistener_enable(d->listener);
	d->ended(d->owner);
}

/* SSL_free() calls this, whoever closed the connection and why. */
static void
conn_free(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx, long argl, void *argp)
{
	(void)parent;
	(void)ad;
	(void)idx;
	(void)argl;
	(void)argp;
	if (ptr != NULL)
		conn_end(ptr);
}

static void
conn_expired(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;

	(void)fd;
	(void)what;
	if (bufferevent_getfd(c->bev) >= 0)
		shutdown(bufferevent_getfd(c->bev), SHUT_RDWR);
}

static void
conn_live(struct conn *c, long seconds)
{
	struct timeval tv = { .tv_sec = seconds };

	if (c->life)
		evtimer_add(c->life, &tv);
}

/* NULL only when memory is short. */
static SSL *
conn_new(struct door *d)
{
	struct conn *c = calloc(1, sizeof *c);
	SSL *ssl = SSL_new(d->tls);

	if (c == NULL || ssl == NULL || !SSL_set_ex_data(ssl, conn_slot, c)) {
		free(c);
		SSL_free(ssl);
		return NULL;
	}
	c->door = d;
	d->connections++;
	return ssl;
}

static void
conn_start(struct conn *c, struct bufferevent *bev)
{
	struct door *d = c->door;

	c->bev = bev;
	c->life = evtimer_new(d->base, conn_expired, c);
	conn_live(c, STRANGER_LIFE * d->timeout);
	if (d->connections >= d->max_connections) {
		note("full", "connections=%ld", d->connections);
		evconnlistener_disable(d->listener);
	}
}

static struct bufferevent *
on_connection(struct event_base *base, void *arg)
{
	struct door *d = arg;
	SSL *ssl = conn_new(d);
	struct bufferevent *bev = NULL;

	if (ssl) /* frees ssl when it fails */
		bev = bufferevent_openssl_socket_new(base, -1, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
	if (bev == NULL) {
		note("connection-lost", "out of memory");
		return bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE); /* refused by the handler */
	}
	conn_start(SSL_get_ex_data(ssl, conn_slot), bev);
	return bev;
}

static void
plain_end(struct conn *c)
{
	struct bufferevent *bev = c->bev;
	struct conn **at = &c->door->plain;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	conn_end(c);
	bufferevent_decref(bev);
}

static void
on_plain_look(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;
	bufferevent_event_cb on_event;

	(void)fd;
	(void)what;
	bufferevent_getcb(c->bev, NULL, NULL, &on_event, NULL);
	if (on_event == NULL)
		plain_end(c);
}

static struct bufferevent *
on_plain_connection(struct event_base *base, void *arg)
{
	const struct timeval look = { .tv_usec = PLAIN_LOOK };
	struct bufferevent *bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
	struct conn *c = calloc(1, sizeof *c);
	struct door *d = arg;

	if (c)
		c->look = event_new(base, -1, EV_PERSIST, on_plain_look, c);
	if (bev == NULL || c == NULL || c->look == NULL || event_add(c->look, &look) != 0) {
		note("connection-lost", "out of memory");
		if (c && c->look)
			event_free(c->look);
		free(c);
		return bev;
	}
	bufferevent_incref(bev);
	c->door = d;
	c->next = d->plain;
	d->plain = c;
	d->connections++;
	conn_start(c, bev);
	return bev;
}

/* libevent's parser does not know port 0, "any free one". */
static bool
parse_address(const char *address, struct sockaddr_storage *ss, int *len)
{
	size_t n = strlen(address);
	bool any = n > 2 && strcmp(&address[n - 2], ":0") == 0;
	char text[80];

	if (n + 1 >= sizeof text)
		return false;
	(void)snprintf(text, sizeof text, "%.*s%s", (int)(any ? n - 1 : n), address, any ? "1" : "");
	if (evutil_parse_sockaddr_port(text, (struct sockaddr *)ss, len) != 0)
		return false;
	if (ss->ss_family == AF_INET6)
		return any ? (((struct sockaddr_in6 *)ss)->sin6_port = 0, true)
			   : ((struct sockaddr_in6 *)ss)->sin6_port != 0;
	return any ? (((struct sockaddr_in *)ss)->sin_port = 0, true) : ((struct sockaddr_in *)ss)->sin_port != 0;
}

/* What is accepted inherits it (Linux). An answer is two records, and the second would wait 40 ms for the first's ACK.
 */
static void
no_delay(evutil_socket_t listener)
{
	int one = 1;

	(void)setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static enum err
listen_on(struct door *d, const char *address, char *url, size_t cap)
{
	struct sockaddr_storage ss;
	struct sockaddr *sa = (struct sockaddr *)&ss;
	int len = sizeof ss;
	char host[INET6_ADDRSTRLEN] = "";
	socklen_t got = sizeof ss;
	bool v6;

	memset(&ss, 0, sizeof ss);
	if (!parse_address(address, &ss, &len))
		return err_set(E_CONF, "%s: not a numeric address and port, like 127.0.0.1:8443", address);
	d->listener = evconnlistener_new_bind(
	    d->base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE, BACKLOG, sa, len);
	if (d->listener == NULL)
		return err_set(E_NET, "cannot listen on %s: %s", address, strerror(errno));
	no_delay(evconnlistener_get_fd(d->listener));
	if (getsockname(evconnlistener_get_fd(d->listener), sa, &got) != 0)
		return err_set(E_NET, "cannot listen on %s: %s", address, strerror(errno));
	v6 = ss.ss_family == AF_INET6;
	evutil_inet_ntop(ss.ss_family,
	    v6 ? (void *)&((struct sockaddr_in6 *)sa)->sin6_addr : (void *)&((struct sockaddr_in *)sa)->sin_addr, host,
	    sizeof host);
	(void)snprintf(url, cap, v6 ? "%s://[%s]:%u" : "%s://%s:%u", d->tls ? "https" : "http", host,
	    (unsigned)ntohs(v6 ? ((struct sockaddr_in6 *)sa)->sin6_port : ((struct sockaddr_in *)sa)->sin_port));
	return E_OK;
}

enum err
door_open(struct door *d, const char *address, long body_max, char *url, size_t cap)
{
	enum err e;

	if (conn_slot < 0)
		conn_slot = SSL_get_ex_new_index(0, NULL, NULL, NULL, conn_free);
	if (conn_slot < 0 || (d->http = evhttp_new(d->base)) == NULL)
		return err_set(E_NOMEM, "cannot start the server");
	evhttp_set_max_headers_size(d->http, HEADERS_MAX);
	evhttp_set_max_body_size(d->http, body_max);
	evhttp_set_timeout(d->http, (int)d->timeout);
	evhttp_set_allowed_methods(d->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST);
	evhttp_set_bevcb(d->http, d->tls ? on_connection : on_plain_connection, d);
	evhttp_set_gencb(d->http, d->request, d->owner);
	if ((e = listen_on(d, address, url, cap)) != E_OK)
		return e;
	d->bound = evhttp_bind_listener(d->http, d->listener) != NULL;
	return d->bound ? E_OK : err_set(E_NOMEM, "cannot start the server");
}

void
door_shut(struct door *d)
{
	d->shut = true;
	if (d->listener)
		evconnlistener_disable(d->listener);
}

void
door_close(struct door *d)
{
	door_shut(d);
	if (d->listener && !d->bound)
		evconnlistener_free(d->listener);
	if (d->http)
		evhttp_free(d->http); /* frees connections, and the listener that it was bound to */
	d->listener = NULL;
	d->http = NULL;
	while (d->plain)
		plain_end(d->plain);
}

void
door_patient(struct evhttp_request *req, SSL *ssl, long seconds)
{
	evhttp_connection_set_timeout(evhttp_request_get_connection(req), (int)seconds);
	conn_live(SSL_get_ex_data(ssl, conn_slot), seconds);
}
