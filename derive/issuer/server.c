/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The server: one thread, one event loop, two doors (server_door.h). TLS is EST's, and what a request means is est.c's.
 * The other is plain http, for what everybody may have (publish.h). Besides, notices and CRLs have their times, and
 * signals end it all. libevent is known here and in server_door.c only.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <openssl/err.h>

#include "derive/issuer/audit.h"
#include "derive/issuer/binding.h"
#include "derive/issuer/chuid.h"
#include "derive/issuer/est.h"
#include "derive/issuer/mailer.h"
#include "derive/issuer/note.h"
#include "derive/issuer/publish.h"
#include "derive/issuer/server.h"
#include "derive/issuer/server_door.h"
#include "derive/issuer/tls.h"

#define MAIL_LOOK   10	/* seconds between looks whether notices are due */
#define CRL_LOOK    300 /* seconds between looks whether a CRL is due */
#define FAREWELL    1	/* seconds that open connections get at the end */
#define SPARE_FILES 64

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
on_end(void *arg)
{
	struct server *s = arg;

	if (s->stopping && open_connections(s) == 0)
		loop_exit(s, 0);
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
		for (const char *const *h = r->headers; h && h[0] && h[1]; h = &h[2])
			header(req, h[0], h[1]);
		evhttp_send_reply(req, r->status, NULL, body);
	}
	if (body)
		evbuffer_free(body);
}

/* What a request has on either door. The path is as it came: base64 has a slash, too. */
static struct est_request
request_of(struct evhttp_request *req)
{
	struct evbuffer *in = evhttp_request_get_input_buffer(req);
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req);
	const char *path = uri ? evhttp_uri_get_path(uri) : NULL;
	struct evhttp_connection *evcon = evhttp_request_get_connection(req);
	char *from = NULL;
	uint16_t port;

	if (evcon)
		evhttp_connection_get_peer(evcon, &from, &port);
	return (struct est_request){ .post = evhttp_request_get_command(req) == EVHTTP_REQ_POST,
		.path = path ? path : "",
		.media_type = evhttp_find_header(evhttp_request_get_input_headers(req), "Content-Type"),
		.body = span_of(evbuffer_pullup(in, -1), evbuffer_get_length(in)),
		.from = from };
}

static void
handle(struct server *s, struct evhttp_request *req, SSL *ssl)
{
	const struct evkeyvalq *had = evhttp_request_get_input_headers(req);
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req);
	struct est_request rq = request_of(req);
	struct est_reply reply;
	char binding[BINDING_MAX];

	if (binding_value(ssl, binding) != E_OK)
		binding[0] = '\0';
	rq.query = uri ? evhttp_uri_get_query(uri) : NULL;
	rq.authorization = evhttp_find_header(had, "Authorization");
	rq.chuid = evhttp_find_header(had, CHUID_HEADER);
	rq.host = evhttp_find_header(had, "Host");
	rq.origin = evhttp_find_header(had, "Origin");
	rq.site = evhttp_find_header(had, "Sec-Fetch-Site");
	rq.peer = SSL_get1_peer_certificate(ssl);
	rq.peer_chain = SSL_get_peer_cert_chain(ssl);
	rq.binding = binding;
	est_handle(s->issuer, &rq, time(NULL), &reply);
	if (reply.known) /* may be generating a key on its token before it comes back on this connection */
		door_patient(req, ssl, s->issuer->config.max_lifetime);
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
	handle(arg, req, ssl);
}

static void
on_plain_request(struct evhttp_request *req, void *arg)
{
	struct server *s = arg;
	const struct est_request rq = request_of(req);
	struct est_reply reply;

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
	door_shut(&s->tls_door);
	door_shut(&s->plain_door);
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

static bool
add_signal(struct server *s, struct event **ev, int sig)
{
	*ev = evsignal_new(s->base, sig, on_stop, s);
	return *ev && evsignal_add(*ev, NULL) == 0;
}

static struct door
door_of(struct server *s, SSL_CTX *tls, void (*request)(struct evhttp_request *, void *))
{
	return (struct door){ .base = s->base,
		.tls = tls,
		.max_connections = s->issuer->config.max_connections,
		.timeout = s->issuer->config.timeout,
		.request = request,
		.ended = on_end,
		.owner = s };
}

static enum err
open_doors(struct server *s, const char *address, struct server_urls *urls)
{
	const char *publish = s->issuer->config.publish;
	enum err e;

	urls->plain[0] = '\0';
	s->tls_door = door_of(s, s->tls, on_request);
	s->plain_door = door_of(s, NULL, on_plain_request);
	e = door_open(&s->tls_door, address, EST_BODY_MAX, urls->tls, sizeof urls->tls);
	if (e == E_OK && publish)
		e = door_open(&s->plain_door, publish, OCSP_BODY_MAX, urls->plain, sizeof urls->plain);
	return e;
}

static enum err
set_up(struct server *s, const char *address, struct server_urls *urls)
{
	const struct timeval look = { .tv_sec = CRL_LOOK }, mail = { .tv_sec = MAIL_LOOK };
	bool ok;
	enum err e;

	if ((s->base = event_base_new()) == NULL)
		return err_set(E_NOMEM, "cannot start the server");
	if ((e = open_doors(s, address, urls)) != E_OK)
		return e;
	s->crl = event_new(s->base, -1, EV_PERSIST, on_crl_time, s);
	s->mail = event_new(s->base, -1, EV_PERSIST, on_mail_time, s);
	ok = s->crl && event_add(s->crl, &look) == 0 && s->mail && event_add(s->mail, &mail) == 0 &&
	    add_signal(s, &s->term, SIGTERM) && add_signal(s, &s->intr, SIGINT);
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
