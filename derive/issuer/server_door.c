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
 *
 * At the end who has asked is answered, and who is between two questions is hung up on (door_rest): from the moment
 * that an answer is made until bytes come again a connection is not busy. One that has not asked yet counts as busy.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>

#include "derive/issuer/listen.h"
#include "derive/issuer/note.h"
#include "derive/issuer/server_door.h"
#include "derive/issuer/server_linger.h"

#define HEADERS_MAX   16384
#define PLAIN_LOOK    250000 /* microseconds */
#define STRANGER_LIFE 2	     /* times the configured timeout */

struct conn {
	struct door *door;
	struct bufferevent *bev;
	struct event *life;
	struct event *look; /* plain connections only */
	struct evbuffer_cb_entry *bytes;
	bool busy; /* a request is on its way, or its answer is not yet made */
	struct conn *next, **back;
};

static int conn_slot = -1;

static void
conn_link(struct conn *c, struct door *d)
{
	c->door = d;
	c->busy = true; /* whoever comes has something to ask */
	c->next = d->conns;
	c->back = &d->conns;
	if (c->next)
		c->next->back = &c->next;
	d->conns = c;
	d->connections++;
}

static void
conn_unlink(struct conn *c)
{
	*c->back = c->next;
	if (c->next)
		c->next->back = c->back;
	c->door->connections--;
}

static void
conn_end(struct conn *c)
{
	struct door *d = c->door;

	if (c->life)
		event_free(c->life);
	if (c->look)
		event_free(c->look);
	conn_unlink(c);
	free(c);
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

/* evhttp then cleans up by itself. */
static void
conn_hang_up(struct conn *c)
{
	if (bufferevent_getfd(c->bev) >= 0)
		shutdown(bufferevent_getfd(c->bev), SHUT_RDWR);
}

static void
conn_expired(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	conn_hang_up(arg);
}

static void
on_bytes(struct evbuffer *in, const struct evbuffer_cb_info *info, void *arg)
{
	struct conn *c = arg;

	(void)in;
	if (info->n_added > 0)
		c->busy = true;
}

static void
conn_live(struct conn *c, long seconds)
{
	struct timeval tv = { .tv_sec = seconds };

	if (c->life)
		evtimer_add(c->life, &tv);
}

/* A handshake that failed: evhttp closes the connection at once, and the client is to read why. */
static void
on_alert(const SSL *ssl, int where, int value)
{
	void (*ours)(const SSL *, int, int) = SSL_CTX_get_info_callback(SSL_get_SSL_CTX(ssl));
	struct conn *c = SSL_get_ex_data(ssl, conn_slot);

	if (ours)
		ours(ssl, where, value);
	if ((where & SSL_CB_WRITE_ALERT) == SSL_CB_WRITE_ALERT && value >> 8 == SSL3_AL_FATAL && c != NULL)
		linger_start(&c->door->lingering, c->door->base, SSL_get_fd(ssl));
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
	SSL_set_info_callback(ssl, on_alert);
	conn_link(c, d);
	return ssl;
}

static void
conn_start(struct conn *c, struct bufferevent *bev)
{
	struct door *d = c->door;

	c->bev = bev;
	c->life = evtimer_new(d->base, conn_expired, c);
	c->bytes = evbuffer_add_cb(bufferevent_get_input(bev), on_bytes, c);
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

	if (c->bytes)
		evbuffer_remove_cb_entry(bufferevent_get_input(bev), c->bytes);
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
	conn_link(c, d);
	conn_start(c, bev);
	return bev;
}

static enum err
listen_at(struct door *d, const char *address)
{
	int fd;
	enum err e;

	if ((e = listen_open(d->name, address, &fd)) != E_OK)
		return e;
	d->listener = evconnlistener_new(d->base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, -1, fd);
	if (d->listener == NULL) {
		close(fd);
		return err_set(E_NOMEM, "cannot start the server");
	}
	d->bound = evhttp_bind_listener(d->http, d->listener);
	return d->bound ? E_OK : err_set(E_NOMEM, "cannot start the server");
}

enum err
door_open(struct door *d, const char *address, long body_max, char *url, size_t cap)
{
	char where[120];
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
	if ((e = listen_at(d, address)) != E_OK ||
	    (e = listen_name(evconnlistener_get_fd(d->listener), where, sizeof where)) != E_OK)
		return e;
	(void)snprintf(url, cap, "%s%s", where[0] == '/' ? "" : d->tls ? "https://" : "http://", where);
	return E_OK;
}

void
door_shut(struct door *d)
{
	d->shut = true;
	if (d->bound)
		evhttp_del_accept_socket(d->http, d->bound); /* frees the listener */
	else if (d->listener)
		evconnlistener_free(d->listener);
	d->bound = NULL;
	d->listener = NULL;
}

void
door_rest(struct door *d)
{
	for (struct conn *c = d->conns; c != NULL; c = c->next)
		if (!c->busy && evbuffer_get_length(bufferevent_get_output(c->bev)) == 0)
			conn_hang_up(c);
}

void
door_close(struct door *d)
{
	door_shut(d);
	if (d->http)
		evhttp_free(d->http); /* frees connections */
	d->http = NULL;
	for (struct conn *c = d->conns, *next; c != NULL; c = next) {
		next = c->next;
		if (c->look)
			plain_end(c);
	}
	linger_end(&d->lingering);
}

static struct conn *
conn_of(struct door *d, struct evhttp_request *req)
{
	struct evhttp_connection *evcon = evhttp_request_get_connection(req);
	struct bufferevent *bev = evcon ? evhttp_connection_get_bufferevent(evcon) : NULL;
	struct conn *c;

	if (d->tls)
		return bev ? SSL_get_ex_data(bufferevent_openssl_get_ssl(bev), conn_slot) : NULL;
	for (c = d->conns; c != NULL && c->bev != bev; c = c->next)
		;
	return c;
}

void
door_answered(struct door *d, struct evhttp_request *req)
{
	struct conn *c = conn_of(d, req);

	if (c)
		c->busy = false;
}

void
door_patient(struct door *d, struct evhttp_request *req, long seconds)
{
	struct conn *c = conn_of(d, req);

	evhttp_connection_set_timeout(evhttp_request_get_connection(req), (int)seconds);
	if (c)
		conn_live(c, seconds);
}
