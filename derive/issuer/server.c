/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The HTTPS listener: evhttp over bufferevent_openssl, one thread. The only file that knows libevent; what a request
 * means is est.c's.
 *
 * Every connection has a struct conn that lives and dies with its SSL object (ex_data), because evhttp tells nobody
 * about connections that never bring a request. It counts connections (at the limit the listener pauses and the kernel
 * queues) and holds the timer of the connection's whole life: evhttp's own timeouts restart with each byte, so a client
 * that drips would stay for ever. The timer shuts the socket down and evhttp then cleans up by itself.
 *
 * evhttp falls back to a plain-text socket when the bufferevent callback returns NULL, so it never does, and the
 * handler refuses whatever is not TLS.
 *
 * The second door is plain http, for what everybody may have (publish.h). Nothing tells of the end of a plain
 * connection without a request either, so its struct conn holds a reference to the bufferevent, and looks four times a
 * second whether evhttp has let go of it: then its callbacks are gone. The doors have a limit each.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <openssl/err.h>

#include "derive/issuer/audit.h"
#include "derive/issuer/binding.h"
#include "derive/issuer/est.h"
#include "derive/issuer/mailer.h"
#include "derive/issuer/note.h"
#include "derive/issuer/publish.h"
#include "derive/issuer/server.h"
#include "derive/issuer/tls.h"

#define HEADERS_MAX   16384
#define MAIL_LOOK     10     /* seconds between looks whether notices are due */
#define CRL_LOOK      300    /* seconds between looks whether a CRL is due */
#define FAREWELL      1	     /* seconds that open connections get at the end */
#define PLAIN_LOOK    250000 /* microseconds */
#define SPARE_FILES   64
#define STRANGER_LIFE 2 /* times the configured timeout */

/* A listener and its connections. */
struct door {
	struct server *s;
	struct evhttp *http;
	struct evconnlistener *listener;
	long connections;
	struct conn *plain; /* the plain ones */
	bool bound;	    /* the listener belongs to http */
};

struct server {
	struct issuer *issuer;
	struct event_base *base;
	struct door tls_door, plain_door;
	struct event *term, *intr, *crl, *mail;
	struct mailer mailer;
	SSL_CTX *tls;
	struct ocsp *ocsp; /* NULL: no responder */
	bool stopping;
};

struct conn {
	struct door *door;
	struct bufferevent *bev;
	struct event *life;
	struct event *look; /* plain connections only */
	struct conn *next;
};

static int conn_slot = -1;

static void
loop_exit(struct server *s, int seconds)
{
	struct timeval tv = { .tv_sec = seconds };

	event_base_loopexit(s->base, &tv);
}

static long
open_connections(const struct server *s)
{
	return s->tls_door.connections + s->plain_door.connections;
}

static void
conn_end(struct conn *c)
{
	struct door *d = c->door;
	struct server *s = d->s;

	if (c->life)
		event_free(c->life);
	if (c->look)
		event_free(c->look);
	free(c);
	d->connections--;
	if (s->stopping && open_connections(s) == 0)
		loop_exit(s, 0);
	else if (!s->stopping && d->connections < s->issuer->config.max_connections && d->listener)
		evconnlistener_enable(d->listener);
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
	SSL *ssl = SSL_new(d->s->tls);

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
	struct server *s = d->s;

	c->bev = bev;
	c->life = evtimer_new(s->base, conn_expired, c);
	conn_live(c, STRANGER_LIFE * s->issuer->config.timeout);
	if (d->connections >= s->issuer->config.max_connections) {
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
		return bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE); /* refused by on_request() */
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

static void
header(struct evhttp_request *req, const char *name, const char *value)
{
	evhttp_add_header(evhttp_request_get_output_headers(req), name, value);
}

static void
send_reply(struct evhttp_request *req, const struct est_reply *r)
{
	struct evbuffer *body = evbuffer_new();
	struct span view = wbuf_view(&r->body);
	char cache[80] = "no-store";

	if (r->max_age > 0)
		(void)snprintf(cache, sizeof cache, "max-age=%ld, public, no-transform, must-revalidate", r->max_age);
	if (body == NULL || (view.n > 0 && evbuffer_add(body, view.p, view.n) != 0)) {
		evhttp_send_error(req, 500, NULL);
	} else {
		header(req, "Content-Type", r->type);
		header(req, "Cache-Control", cache);
		header(req, "X-Content-Type-Options", "nosniff");
		if (r->base64)
			header(req, "Content-Transfer-Encoding", "base64");
		if (r->allow)
			header(req, "Allow", r->allow);
		evhttp_send_reply(req, r->status, NULL, body);
	}
	if (body)
		evbuffer_free(body);
}

static void
handle(struct server *s, struct evhttp_request *req, struct evhttp_connection *evcon, SSL *ssl)
{
	struct evbuffer *in = evhttp_request_get_input_buffer(req);
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req);
	const char *path = uri ? evhttp_uri_get_path(uri) : NULL;
	char binding[BINDING_MAX], *from = NULL;
	struct est_reply reply;
	struct est_request rq = { 0 };
	uint16_t port;

	evhttp_connection_get_peer(evcon, &from, &port);
	if (binding_value(ssl, binding) != E_OK)
		binding[0] = '\0';
	rq.post = evhttp_request_get_command(req) == EVHTTP_REQ_POST;
	rq.path = path ? path : "";
	rq.media_type = evhttp_find_header(evhttp_request_get_input_headers(req), "Content-Type");
	rq.authorization = evhttp_find_header(evhttp_request_get_input_headers(req), "Authorization");
	rq.body = span_of(evbuffer_pullup(in, -1), evbuffer_get_length(in));
	rq.peer = SSL_get1_peer_certificate(ssl);
	rq.peer_chain = SSL_get_peer_cert_chain(ssl);
	rq.binding = binding;
	rq.from = from;
	est_handle(s->issuer, &rq, time(NULL), &reply);
	if (reply.known) { /* may be generating a key on its token before it comes back on this connection */
		evhttp_connection_set_timeout(evcon, (int)s->issuer->config.max_lifetime);
		conn_live(SSL_get_ex_data(ssl, conn_slot), s->issuer->config.max_lifetime);
	}
	send_reply(req, &reply);
	wbuf_free(&reply.body);
	X509_free(rq.peer);
	ERR_clear_error();
}

static void
on_request(struct evhttp_request *req, void *arg)
{
	struct evhttp_connection *evcon = evhttp_request_get_connection(req);
	struct bufferevent *bev = evcon ? evhttp_connection_get_bufferevent(evcon) : NULL;
	SSL *ssl = bev ? bufferevent_openssl_get_ssl(bev) : NULL;

	if (ssl == NULL || !SSL_is_init_finished(ssl)) {
		evhttp_send_error(req, 403, "TLS required");
		return;
	}
	handle(arg, req, evcon, ssl);
}

/* Not decoded: base64 has a slash, too. */
static void
on_plain_request(struct evhttp_request *req, void *arg)
{
	struct server *s = arg;
	struct evbuffer *in = evhttp_request_get_input_buffer(req);
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req);
	const char *path = uri ? evhttp_uri_get_path(uri) : NULL;
	struct evhttp_connection *evcon = evhttp_request_get_connection(req);
	struct publish_request rq = { .path = path ? path : "" };
	struct est_reply reply;
	char *from = NULL;
	uint16_t port;

	if (evcon)
		evhttp_connection_get_peer(evcon, &from, &port);
	rq.from = from;
	rq.post = evhttp_request_get_command(req) == EVHTTP_REQ_POST;
	rq.media_type = evhttp_find_header(evhttp_request_get_input_headers(req), "Content-Type");
	rq.body = span_of(evbuffer_pullup(in, -1), evbuffer_get_length(in));
	publish_handle(s->issuer, s->ocsp, &rq, time(NULL), &reply);
	send_reply(req, &reply);
	wbuf_free(&reply.body);
	ERR_clear_error();
}

static void
on_stop(evutil_socket_t sig, short what, void *arg)
{
	struct server *s = arg;

	(void)what;
	note("stopping", "signal=%d connections=%ld", (int)sig, open_connections(s));
	s->stopping = true;
	evconnlistener_disable(s->tls_door.listener);
	if (s->plain_door.listener)
		evconnlistener_disable(s->plain_door.listener);
	loop_exit(s, open_connections(s) > 0 ? FAREWELL : 0);
}

static void
on_crl_time(evutil_socket_t fd, short what, void *arg)
{
	struct server *s = arg;

	(void)fd;
	(void)what;
	if (issuer_refresh_crls(s->issuer, time(NULL), false) != E_OK)
		note("crl-not-made", "%s", err_msg());
}

static void
on_mail_time(evutil_socket_t fd, short what, void *arg)
{
	struct server *s = arg;

	(void)fd;
	(void)what;
	mailer_tick(&s->mailer, s->issuer, time(NULL));
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

static enum err
listen_on(struct door *d, const char *address, const char *scheme, char *url, size_t cap)
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
	    d->s->base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE, 128, sa, len);
	if (d->listener == NULL)
		return err_set(E_NET, "cannot listen on %s: %s", address, strerror(errno));
	if (getsockname(evconnlistener_get_fd(d->listener), sa, &got) != 0)
		return err_set(E_NET, "cannot listen on %s: %s", address, strerror(errno));
	v6 = ss.ss_family == AF_INET6;
	evutil_inet_ntop(ss.ss_family,
	    v6 ? (void *)&((struct sockaddr_in6 *)sa)->sin6_addr : (void *)&((struct sockaddr_in *)sa)->sin_addr, host,
	    sizeof host);
	(void)snprintf(url, cap, v6 ? "%s://[%s]:%u" : "%s://%s:%u", scheme, host,
	    (unsigned)ntohs(v6 ? ((struct sockaddr_in6 *)sa)->sin6_port : ((struct sockaddr_in *)sa)->sin_port));
	return E_OK;
}

static bool
add_signal(struct server *s, struct event **ev, int sig)
{
	*ev = evsignal_new(s->base, sig, on_stop, s);
	return *ev && evsignal_add(*ev, NULL) == 0;
}

/* Everything but accepting. */
static enum err
door_open(struct door *d, const char *address, const char *scheme, long body_max, char *url, size_t cap)
{
	if ((d->http = evhttp_new(d->s->base)) == NULL)
		return err_set(E_NOMEM, "cannot start the server");
	evhttp_set_max_headers_size(d->http, HEADERS_MAX);
	evhttp_set_max_body_size(d->http, body_max);
	evhttp_set_timeout(d->http, (int)d->s->issuer->config.timeout);
	evhttp_set_allowed_methods(d->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST);
	return listen_on(d, address, scheme, url, cap);
}

static bool
door_bind(struct door *d)
{
	d->bound = evhttp_bind_listener(d->http, d->listener) != NULL;
	return d->bound;
}

static void
door_close(struct door *d)
{
	if (d->listener && !d->bound)
		evconnlistener_free(d->listener);
	if (d->http)
		evhttp_free(d->http); /* frees connections, and the listener that it was bound to */
	d->listener = NULL;
	while (d->plain)
		plain_end(d->plain);
}

static enum err
open_doors(struct server *s, const char *address, struct server_urls *urls)
{
	const char *publish = s->issuer->config.publish;
	struct door *d = &s->tls_door, *plain = &s->plain_door;
	enum err e;

	urls->plain[0] = '\0';
	d->s = plain->s = s;
	if ((e = door_open(d, address, "https", EST_BODY_MAX, urls->tls, sizeof urls->tls)) != E_OK)
		return e;
	evhttp_set_bevcb(d->http, on_connection, d);
	evhttp_set_gencb(d->http, on_request, s);
	if (publish == NULL)
		return E_OK;
	if ((e = door_open(plain, publish, "http", OCSP_BODY_MAX, urls->plain, sizeof urls->plain)) != E_OK)
		return e;
	evhttp_set_bevcb(plain->http, on_plain_connection, plain);
	evhttp_set_gencb(plain->http, on_plain_request, s);
	return E_OK;
}

static enum err
set_up(struct server *s, const char *address, struct server_urls *urls)
{
	const struct timeval look = { .tv_sec = CRL_LOOK }, mail = { .tv_sec = MAIL_LOOK };
	bool ok;
	enum err e;

	if (conn_slot < 0)
		conn_slot = SSL_get_ex_new_index(0, NULL, NULL, NULL, conn_free);
	if (conn_slot < 0 || (s->base = event_base_new()) == NULL)
		return err_set(E_NOMEM, "cannot start the server");
	if ((e = open_doors(s, address, urls)) != E_OK)
		return e;
	s->crl = event_new(s->base, -1, EV_PERSIST, on_crl_time, s);
	s->mail = event_new(s->base, -1, EV_PERSIST, on_mail_time, s);
	ok = s->crl && event_add(s->crl, &look) == 0 && s->mail && event_add(s->mail, &mail) == 0 &&
	    add_signal(s, &s->term, SIGTERM) && add_signal(s, &s->intr, SIGINT) && door_bind(&s->tls_door) &&
	    (s->plain_door.http == NULL || door_bind(&s->plain_door));
	return ok ? E_OK : err_set(E_NOMEM, "cannot start the server");
}

static void
tear_down(struct server *s)
{
	s->stopping = true;
	door_close(&s->tls_door);
	door_close(&s->plain_door);
	if (s->term)
		event_free(s->term);
	if (s->intr)
		event_free(s->intr);
	if (s->crl)
		event_free(s->crl);
	if (s->mail)
		event_free(s->mail);
	if (s->base) {
		event_base_loop(s->base, EVLOOP_NONBLOCK); /* bufferevents are freed by deferred callbacks */
		event_base_free(s->base);
	}
	SSL_CTX_free(s->tls);
	ocsp_close(&s->ocsp);
}

/* Room for the connections in the table of open files. */
static void
raise_files(long connections)
{
	struct rlimit rl;
	rlim_t want = (rlim_t)connections + SPARE_FILES;

	if (getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur < want) {
		rl.rlim_cur = want < rl.rlim_max ? want : rl.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &rl) != 0)
			note(
			    "few-files", "max_connections=%ld but only %ld open files", connections, (long)rl.rlim_cur);
	}
}

/* The head of the events goes to the journal, where the ledger's writers do not write. */
static void
note_head(struct issuer *i)
{
	char text[AUDIT_HEAD_MAX];
	struct audit_head head;

	if (audit_head(i->db, &head) == E_OK)
		note("audit", "head=%s", audit_head_text(&head, text));
	else
		note("audit-failed", "%s", err_msg());
}

enum err
server_run(struct issuer *i, const char *address, const char *versions, void (*ready)(const struct server_urls *urls))
{
	struct server s = { .issuer = i };
	struct server_urls urls;
	enum err e;

	signal(SIGPIPE, SIG_IGN);
	raise_files(2 * i->config.max_connections);
	note_head(i);
	if ((e = issuer_refresh_crls(i, time(NULL), false)) == E_OK &&
	    (e = tls_context(&i->config, versions ? versions : i->config.tls, i->trust, &s.tls)) == E_OK &&
	    (e = i->config.publish ? ocsp_open(i, &s.ocsp) : E_OK) == E_OK &&
	    (e = set_up(&s, address ? address : i->config.address, &urls)) == E_OK) {
		note("listening", "%s %s", urls.tls, urls.plain);
		ready(&urls);
		if (event_base_dispatch(s.base) < 0)
			e = err_set(E_INTERNAL, "the event loop failed");
		note_head(i);
		note("stopped", "connections=%ld", open_connections(&s));
	}
	tear_down(&s);
	return e;
}
