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
#include "derive/issuer/forwarder.h"
#include "derive/issuer/mailer.h"
#include "derive/issuer/note.h"
#include "derive/issuer/publish.h"
#include "derive/issuer/scep.h"
#include "derive/issuer/server.h"
#include "derive/issuer/server_door.h"
#include "derive/issuer/server_hold.h"
#include "derive/issuer/server_watch.h"
#include "derive/issuer/tls.h"
#include "derive/issuer/upstream.h"

#define MAIL_LOOK   10	   /* seconds between looks whether notices are due */
#define CRL_LOOK    300	   /* seconds between looks whether a CRL is due */
#define CA_LOOK	    2	   /* seconds between looks whether something has to be taken to another CA */
#define LAST_CALL   100000 /* microseconds in which those are let in who wait when the end comes */
#define REST	    1	   /* seconds that a connection may be idle when the end comes */
#define SPARE_FILES 64

struct server {
	struct issuer *issuer;
	struct event_base *base;
	struct door tls_door, plain_door;
	struct event *signals[3], *crl, *mail, *last_call, *rest, *ca;
	struct mailer mailer;
	struct forwarder forwarder;
	struct hold hold;
	struct watch watch;
	const char *versions; /* of TLS, instead of those configured; or NULL */
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

	if (s->tls_door.shut && open_connections(s) == 0)
		loop_exit(s, 0);
}

static void
header(struct evhttp_request *req, const char *name, const char *value)
{
	evhttp_add_header(evhttp_request_get_output_headers(req), name, value);
}

static void
send_reply(struct server *s, struct door *d, struct evhttp_request *req, const struct est_reply *r)
{
	struct evbuffer *body = evbuffer_new();
	struct span view = wbuf_view(&r->body);
	char cache[80] = "no-store", later[24];

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
		if (r->retry_after > 0) {
			(void)snprintf(later, sizeof later, "%ld", r->retry_after);
			header(req, "Retry-After", later);
		}
		for (const char *const *h = r->headers; h && h[0] && h[1]; h = &h[2])
			header(req, h[0], h[1]);
		if (s->stopping)
			header(req, "Connection", "close");
		door_answered(d, req);
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
		.query = uri ? evhttp_uri_get_query(uri) : NULL,
		.media_type = evhttp_find_header(evhttp_request_get_input_headers(req), "Content-Type"),
		.body = span_of(evbuffer_pullup(in, -1), evbuffer_get_length(in)),
		.from = from };
}

/* may_wait: it has not waited yet for another CA. */
static void
handle(struct server *s, struct evhttp_request *req, SSL *ssl, bool may_wait)
{
	const struct evkeyvalq *had = evhttp_request_get_input_headers(req);
	struct est_request rq = request_of(req);
	struct est_reply reply;
	char binding[BINDING_MAX];
	double since = watch_now();

	if (binding_value(ssl, binding) != E_OK)
		binding[0] = '\0';
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
		door_patient(&s->tls_door, req, s->issuer->config.max_lifetime);
	if (reply.held[0])
		forwarder_tick(&s->forwarder, s->issuer, time(NULL));
	if (!reply.held[0] || !may_wait || !hold_take(&s->hold, req, reply.held)) {
		watch_count(&s->watch, rq.path, reply.status, since);
		send_reply(s, &s->tls_door, req, &reply);
	}
	wbuf_free(&reply.body);
	X509_free(rq.peer);
	ERR_clear_error();
}

static void
on_tls_request(struct server *s, struct evhttp_request *req, bool may_wait)
{
	struct evhttp_connection *evcon = evhttp_request_get_connection(req);
	struct bufferevent *bev = evcon ? evhttp_connection_get_bufferevent(evcon) : NULL;
	SSL *ssl = bev ? bufferevent_openssl_get_ssl(bev) : NULL;

	if (ssl == NULL || !SSL_is_init_finished(ssl)) {
		evhttp_send_error(req, 403, "TLS required");
		return;
	}
	handle(s, req, ssl, may_wait);
}

static void
on_request(struct evhttp_request *req, void *arg)
{
	on_tls_request(arg, req, true);
}

static void
on_waited(struct evhttp_request *req, void *arg)
{
	on_tls_request(arg, req, false);
}

static void
on_plain_request(struct evhttp_request *req, void *arg)
{
	struct server *s = arg;
	const struct est_request rq = request_of(req);
	struct est_reply reply;
	double since = watch_now();

	publish_handle(s->issuer, s->ocsp, &rq, time(NULL), &reply);
	watch_count(&s->watch, rq.path, reply.status, since);
	send_reply(s, &s->plain_door, req, &reply);
	wbuf_free(&reply.body);
	ERR_clear_error();
}

static void
shut_doors(struct server *s)
{
	door_shut(&s->tls_door);
	door_shut(&s->plain_door);
}

/* Nobody more; who is in gets an answer, for as long as [listen] farewell says. */
static void
on_last_call(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval rest = { .tv_sec = REST };
	struct server *s = arg;

	(void)fd;
	(void)what;
	shut_doors(s);
	evtimer_add(s->rest, &rest);
	loop_exit(s, open_connections(s) > 0 ? (int)s->issuer->config.farewell : 0);
}

static void
on_rest(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval rest = { .tv_sec = REST };
	struct server *s = arg;

	(void)fd;
	(void)what;
	door_rest(&s->tls_door);
	door_rest(&s->plain_door);
	evtimer_add(s->rest, &rest);
}

/* Twice: at once. */
static void
on_stop(evutil_socket_t sig, short what, void *arg)
{
	const struct timeval call = { .tv_usec = LAST_CALL };
	struct server *s = arg;

	(void)what;
	note("stopping", "signal=%d connections=%ld", (int)sig, open_connections(s));
	if (s->stopping) {
		shut_doors(s);
		loop_exit(s, 0);
		return;
	}
	s->stopping = true;
	evtimer_add(s->last_call, &call);
}

/* All of the new, or the old goes on. Connections that are open keep the certificate that they were shown. */
static enum err
reload(struct server *s)
{
	struct issuer *i = s->issuer;
	struct issuer new;
	struct ocsp *ocsp = NULL;
	SSL_CTX *tls = NULL;
	enum err e;

	if ((e = issuer_open_again(i, &new)) != E_OK)
		return e;
	if ((e = tls_context(&new.config, s->versions ? s->versions : new.config.tls, new.trust, &tls)) == E_OK)
		e = new.config.publish && !upstream_is(&new) ? ocsp_open(&new, &ocsp) : E_OK;
	if (e != E_OK) {
		SSL_CTX_free(tls);
		issuer_drop(&new);
		return e;
	}
	issuer_replace(i, &new);
	ocsp_close(&s->ocsp);
	SSL_CTX_free(s->tls);
	s->ocsp = ocsp;
	s->tls = s->tls_door.tls = tls;
	s->tls_door.timeout = s->plain_door.timeout = i->config.timeout;
	s->tls_door.max_connections = s->plain_door.max_connections = i->config.max_connections;
	return E_OK;
}

static void
on_hangup(evutil_socket_t sig, short what, void *arg)
{
	struct server *s = arg;

	(void)sig;
	(void)what;
	if (s->stopping)
		return;
	if (reload(s) == E_OK)
		note("reloaded", "%s", s->issuer->config.dir);
	else
		note("not-reloaded", "%s; the old configuration goes on", err_msg());
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

static void
on_ca_time(evutil_socket_t fd, short what, void *arg)
{
	struct server *s = arg;

	(void)fd;
	(void)what;
	forwarder_tick(&s->forwarder, s->issuer, time(NULL));
}

static bool
add_signals(struct server *s)
{
	static const struct {
		int sig;
		event_callback_fn fn;
	} rows[] = { { SIGTERM, on_stop }, { SIGINT, on_stop }, { SIGHUP, on_hangup } };

	for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++) {
		s->signals[k] = evsignal_new(s->base, rows[k].sig, rows[k].fn, s);
		if (s->signals[k] == NULL || evsignal_add(s->signals[k], NULL) != 0)
			return false;
	}
	return true;
}

static struct door
door_of(struct server *s, const char *name, SSL_CTX *tls, void (*request)(struct evhttp_request *, void *))
{
	return (struct door){ .name = name,
		.base = s->base,
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
	s->tls_door = door_of(s, "est", s->tls, on_request);
	s->plain_door = door_of(s, "publish", NULL, on_plain_request);
	e = door_open(&s->tls_door, address, EST_BODY_MAX, urls->tls, sizeof urls->tls);
	if (e == E_OK && publish)
		e = door_open(&s->plain_door, publish, SCEP_BODY_MAX, urls->plain, sizeof urls->plain);
	s->watch.doors[0] = &s->tls_door;
	s->watch.doors[1] = &s->plain_door;
	return e == E_OK ? watch_open(&s->watch, s->base, s->issuer) : e;
}

static enum err
set_up(struct server *s, const char *address, struct server_urls *urls)
{
	const struct timeval look = { .tv_sec = CRL_LOOK }, mail = { .tv_sec = MAIL_LOOK }, ca = { .tv_sec = CA_LOOK };
	bool ok;
	enum err e;

	if ((s->base = event_base_new()) == NULL)
		return err_set(E_NOMEM, "cannot start the server");
	if ((e = open_doors(s, address, urls)) != E_OK)
		return e;
	s->crl = event_new(s->base, -1, EV_PERSIST, on_crl_time, s);
	s->mail = event_new(s->base, -1, EV_PERSIST, on_mail_time, s);
	s->last_call = evtimer_new(s->base, on_last_call, s);
	s->rest = evtimer_new(s->base, on_rest, s);
	s->ca = event_new(s->base, -1, EV_PERSIST, on_ca_time, s);
	s->hold = (struct hold){ .base = s->base, .issuer = s->issuer, .again = on_waited, .owner = s };
	ok = s->ca && event_add(s->ca, &ca) == 0 && s->crl && event_add(s->crl, &look) == 0 && s->mail &&
	    event_add(s->mail, &mail) == 0 && s->last_call && s->rest && add_signals(s);
	return ok ? E_OK : err_set(E_NOMEM, "cannot start the server");
}

static void
tear_down(struct server *s)
{
	struct event *const events[] = { s->signals[0], s->signals[1], s->signals[2], s->crl, s->mail, s->last_call,
		s->rest, s->ca };

	hold_end(&s->hold);
	door_close(&s->tls_door);
	door_close(&s->plain_door);
	door_close(&s->watch.door);
	for (size_t k = 0; k < sizeof events / sizeof events[0]; k++)
		if (events[k])
			event_free(events[k]);
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
	struct server s = { .issuer = i, .versions = versions };
	struct server_urls urls;
	enum err e;

	signal(SIGPIPE, SIG_IGN);
	raise_files(2 * i->config.max_connections);
	note_head(i);
	if ((e = issuer_refresh_crls(i, time(NULL), false)) == E_OK &&
	    (e = tls_context(&i->config, versions ? versions : i->config.tls, i->trust, &s.tls)) == E_OK &&
	    (e = i->config.publish && !upstream_is(i) ? ocsp_open(i, &s.ocsp) : E_OK) == E_OK &&
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
