/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Enrolment over Secure Transport, client side (RFC 7030, RFC 8951): cacerts, csrattrs, simpleenroll and simplereenroll
 * as a row of proto.h. PKI-AUTH (FIPS 201-3, 6.2.3.1) is the TLS client authentication with the card's key; so a server
 * that never asks for the certificate is not one that can derive, and nothing is sent to it. Requests go out in
 * 64-column lines, replies are read as they come.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "derive/bind.h"
#include "derive/cert.h"
#include "derive/csr.h"
#include "derive/est_reply.h"
#include "derive/holder.h"
#include "derive/keywrap.h"
#include "derive/proto.h"

#define URL_MAX		 2048
#define WELL		 "/.well-known/est"
#define LINE		 64
#define RETRY_BY_DEFAULT 60

struct proto_conn {
	struct http *http;
	char base[URL_MAX]; /* https://host[:port]/.well-known/est */
	char *label[ROLE_COUNT];
	const struct secret *code; /* borrowed */
	bool vouched;		   /* the issuer has said for whom the code is */
};

static void
est_close(struct proto_conn **cp)
{
	struct proto_conn *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	http_close(&c->http);
	for (size_t i = 0; i < ROLE_COUNT; i++)
		free(c->label[i]);
	free(c);
}

/* An issuer's address with or without the well-known part, with or without a slash at the end. */
static enum err
est_base(const char *url, char *out)
{
	const char *well = strstr(url, WELL);
	size_t n = well != NULL ? (size_t)(well - url) : strlen(url);

	while (n > 0 && url[n - 1] == '/')
		n--;
	if (strncmp(url, "https://", 8) != 0)
		return err_set(E_ARG, "the issuer's address must begin with https://, not '%.100s'", url);
	if (snprintf(out, URL_MAX, "%.*s%s", (int)n, url, WELL) >= URL_MAX)
		return err_set(E_ARG, "the issuer's address is too long");
	return E_OK;
}

static enum err
est_open(const struct proto_conf *conf, struct proto_conn **out)
{
	struct proto_conn *c = calloc(1, sizeof *c);
	struct http_conf http = conf->http;
	enum err e;

	*out = NULL;
	http.header = conf->chuid;
	if (c == NULL)
		return err_set(E_NOMEM, "out of memory");
	c->code = conf->code;
	e = est_base(conf->url, c->base);
	for (size_t i = 0; e == E_OK && i < ROLE_COUNT; i++) {
		const char *label = conf->label[i] != NULL ? conf->label[i] : role_info((enum role)i)->label;

		if (label != NULL && label[0] != '\0' && (c->label[i] = strdup(label)) == NULL)
			e = err_set(E_NOMEM, "out of memory");
	}
	if (e == E_OK)
		e = http_open(&http, &c->http);
	if (e != E_OK)
		est_close(&c);
	*out = c;
	return e;
}

static enum err
est_url(const struct proto_conn *c, const char *label, const char *operation, char *url)
{
	if (snprintf(url, URL_MAX, "%s%s%s/%s", c->base, label != NULL ? "/" : "", label != NULL ? label : "",
		operation) >= URL_MAX)
		return err_set(E_ARG, "the issuer's address is too long");
	return E_OK;
}

/* What a status means to the person. */
static const struct {
	long status;
	enum err e;
	const char *means;
} statuses[] = {
	{ 400, E_REMOTE, "found the request bad; tell the issuer" },
	{ 401, E_REMOTE,
	    "wants a user name and password, which dpiv does not send: it proves possession of the card; ask the "
	    "issuer for enrolment by PIV card" },
	{ 403, E_REMOTE, "refused" },
	{ 404, E_REMOTE, "has no such service; check the issuer's address and its label for this role" },
	{ 405, E_REMOTE, "does not take requests here; check the issuer's address" },
	{ 415, E_REMOTE, "does not take this kind of request; check the issuer's address" },
	{ 429, E_PENDING, "is asked too often; try again later" },
	{ 500, E_REMOTE, "has an internal error; try again later or tell the issuer" },
	{ 501, E_REMOTE, "does not offer this operation; ask the issuer" },
	{ 502, E_REMOTE, "cannot reach its own back end; try again later" },
	{ 503, E_PENDING, "is not available now; try again later" },
	{ 504, E_REMOTE, "cannot reach its own back end; try again later" },
};

static enum err
est_refused(const struct proto_conn *c, const struct http_reply *r, const char *what)
{
	const char *means = "gave an answer that dpiv does not expect; check the issuer's address";
	enum err e = E_REMOTE;
	char said[240];

	for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
		if (statuses[i].status == r->status) {
			means = statuses[i].means;
			e = statuses[i].e;
		}
	}
	http_said(r, said, sizeof said);
	return err_set(e, "%s: %s %s (HTTP %ld)%s%s", what, http_server(c->http), means, r->status,
	    said[0] != '\0' ? ": " : "", said);
}

static enum err
est_cacerts(struct proto_conn *c, STACK_OF(X509) * *out)
{
	char url[URL_MAX];
	struct http_reply r;
	enum err e = est_url(c, NULL, "cacerts", url);

	*out = NULL;
	http_reply_init(&r);
	if (e == E_OK)
		e = http_get(c->http, url, "application/pkcs7-mime", &r);
	if (e == E_OK && r.status != 200)
		e = est_refused(c, &r, "the issuer's certificates");
	else if (e == E_OK && (e = est_read_certs(wbuf_view(&r.body), out)) != E_OK)
		e = err_up(e, "%s does not send its certificates; is this the address of an EST server?",
		    http_server(c->http));
	http_reply_free(&r);
	return e;
}

/* RFC 7030, 4.5.2: 204 and 404 both mean that nothing is wanted; servers without the operation say 501. */
static enum err
est_attrs(struct proto_conn *c, enum role role, struct proto_attrs *out)
{
	char url[URL_MAX];
	struct http_reply r;
	enum err e = est_url(c, c->label[role], "csrattrs", url);

	memset(out, 0, sizeof *out);
	http_reply_init(&r);
	if (e == E_OK)
		e = http_get(c->http, url, "application/csrattrs", &r);
	if (e == E_OK && r.status != 204 && r.status != 404 && r.status != 501) {
		if (r.status != 200)
			e = est_refused(c, &r, "what the issuer wants in a request");
		else if ((e = est_read_attrs(wbuf_view(&r.body), out)) != E_OK)
			e = err_up(e, "%s", http_server(c->http));
	}
	http_reply_free(&r);
	return e;
}

static enum err
est_card_url(const struct proto_conn *c, enum role role, EVP_PKEY *waits, char *url)
{
	char what[128], key[CERT_KEY_TEXT] = "";
	enum err e = waits != NULL ? cert_key_text(waits, key) : E_OK;

	snprintf(what, sizeof what, "card?role=%s%s%s", role_info(role)->name, waits != NULL ? "&key=" : "", key);
	return e == E_OK ? bind_url(c->base, what, url, URL_MAX) : e;
}

/* Not EST, but dpiv-issuer's (derive/issuer/bind.h). Asked before there is a key: what is wrong with the code is known
 * then. The answer is one DER certificate. */
static enum err
est_card(struct proto_conn *c, enum role role, EVP_PKEY *waits, X509 **out)
{
	char url[URL_MAX];
	const unsigned char *in;
	struct http_reply r;
	enum err e = est_card_url(c, role, waits, url);

	*out = NULL;
	http_reply_init(&r);
	if (e == E_OK)
		e = http_basic(c->http, "dpiv", (const char *)c->code->v);
	if (e == E_OK)
		e = http_get(c->http, url, "application/pkix-cert", &r);
	if (e == E_OK && r.status == 404)
		e = err_set(
		    E_REMOTE, "%s takes no binding codes: it is not a dpiv-issuer (HTTP 404)", http_server(c->http));
	else if (e == E_OK && r.status != 200)
		e = est_refused(c, &r, "the binding code");
	in = r.body.p;
	if (e == E_OK && r.body.n > 0)
		*out = d2i_X509(NULL, &in, (long)r.body.n);
	if (e == E_OK && (*out == NULL || in != r.body.p + r.body.n))
		e = err_crypto(E_PROTO, "%s does not say for whom the code is", http_server(c->http));
	if (e != E_OK) {
		X509_free(*out);
		*out = NULL;
	}
	c->vouched = e == E_OK;
	http_reply_free(&r);
	return e;
}

static enum err
est_answer(struct proto_conn *c, const struct http_reply *r, const char *what, bool keys, struct proto_issued *out)
{
	enum err e;

	if (r->status == 202) {
		out->retry_after = r->retry_after > 0 ? r->retry_after : RETRY_BY_DEFAULT;
		return err_set(E_PENDING,
		    "%s: %s has the request but wants more time; try again in %ld seconds (HTTP 202)", what,
		    http_server(c->http), out->retry_after);
	}
	out->judged = r->status == 400 || r->status == 403;
	if (r->status != 200)
		return est_refused(c, r, what);
	if (keys) {
		e = keygen_read(r, &out->keys);
		return e == E_OK ? E_OK : err_up(e, "%s: %s", what, http_server(c->http));
	}
	e = est_read_certs(wbuf_view(&r->body), &out->certs);
	return e == E_OK
	    ? E_OK
	    : err_up(e, "%s: %s sent something else than a certificate; tell the issuer", what, http_server(c->http));
}

/* Its binding is that of the present connection (RFC 7030, 3.5). */
static enum err
est_csr(struct proto_conn *c, const struct proto_request *rq, struct wbuf *csr)
{
	struct csr_in in = { .role = rq->role,
		.subject = rq->subject,
		.pub = rq->pub,
		.key = rq->key,
		.attrs = rq->attrs,
		.old = rq->old };
	uint8_t id[KEYWRAP_ID];
	enum err e = E_OK;

	if (rq->forward != NULL) {
		wbuf_span(csr, rq->forward->csr);
		return csr->bad ? err_set(E_NOMEM, "out of memory") : E_OK;
	}
	if (rq->attrs != NULL && rq->attrs->binding)
		in.binding = http_binding(c->http);
	if (rq->source != KEY_GENERATE) {
		e = keywrap_id(rq->pub, id);
		in.decrypt_id = span_of(id, sizeof id);
	}
	return e == E_OK ? csr_build(&in, csr) : e;
}

/* The request in 64-column lines. */
static enum err
est_body(struct proto_conn *c, const struct proto_request *rq, struct wbuf *body)
{
	WBUF_AUTO csr;
	enum err e;

	wbuf_init(&csr, 64 * 1024);
	if ((e = est_csr(c, rq, &csr)) != E_OK)
		return e;
	text_base64(wbuf_view(&csr), LINE, body);
	wbuf_u8(body, '\n');
	return body->bad ? err_set(E_NOMEM, "out of memory") : E_OK;
}

/* A recovery is not EST, but dpiv-issuer's (derive/issuer/escrow.h). */
static enum err
est_enrol_url(const struct proto_conn *c, const struct proto_request *rq, char *url)
{
	if (rq->source == KEY_RECOVER)
		return bind_url(c->base, "recover", url, URL_MAX);
	return est_url(c, c->label[rq->role],
	    rq->source == KEY_SERVERKEYGEN ? "serverkeygen"
		: rq->old != NULL	   ? "simplereenroll"
					   : "simpleenroll",
	    url);
}

static enum err
est_enrol_once(struct proto_conn *c, const struct proto_request *rq, struct proto_issued *out, bool *stale)
{
	char url[URL_MAX], what[64];
	struct http_reply r;
	WBUF_AUTO body;
	bool keys = rq->source != KEY_GENERATE;
	enum err e = est_enrol_url(c, rq, url);

	*stale = false;
	snprintf(what, sizeof what, "the %s %s", role_info(rq->role)->what, keys ? "key" : "certificate");
	wbuf_init(&body, HTTP_BODY_MAX);
	http_reply_init(&r);
	if (e == E_OK)
		e = est_body(c, rq, &body);
	if (e == E_OK && rq->sending != NULL)
		e = rq->sending(rq->arg);
	if (e == E_OK) {
		/* RFC 8951, 3.1: the transfer encoding means nothing in HTTP, but an older server wants to see it */
		const struct http_content post = { "application/pkcs10",
			keys ? "multipart/mixed" : "application/pkcs7-mime", "Content-Transfer-Encoding: base64",
			wbuf_view(&body) };

		e = http_post(c->http, url, &post, &r);
	}
	if (e == E_OK) {
		e = est_answer(c, &r, what, keys, out);
		*stale = e == E_REMOTE && rq->attrs != NULL && rq->attrs->binding && !r.same_connection;
	}
	http_reply_free(&r);
	return e;
}

/* When the server closed the connection before, the request went over a new one with a stale binding: it is signed
 * anew, once. A request that is repeated after 202 is signed anew as well, for the same reason. */
static enum err
est_enrol(struct proto_conn *c, const struct proto_request *rq, struct proto_issued *out)
{
	bool stale;
	enum err e;

	memset(out, 0, sizeof *out);
	e = est_enrol_once(c, rq, out, &stale);
	return e != E_OK && stale ? est_enrol_once(c, rq, out, &stale) : e;
}

static bool
est_authenticated(struct proto_conn *c)
{
	return c->vouched || http_cert_asked(c->http);
}

static const char *
est_server(struct proto_conn *c)
{
	return http_server(c->http);
}

/* Not EST, but dpiv-issuer's (derive/issuer/own.h). */
static enum err
est_revoke(struct proto_conn *c, X509 *cert, int reason)
{
	return holder_revoke(c->http, c->base, cert, reason);
}

/* The others are not for clientAuth. */
static bool
est_asks(enum role role)
{
	return role == ROLE_AUTH;
}

const struct proto proto_est = {
	.name = "est",
	.keys = true,
	.asks = est_asks,
	.open = est_open,
	.cacerts = est_cacerts,
	.attrs = est_attrs,
	.card = est_card,
	.enrol = est_enrol,
	.revoke = est_revoke,
	.authenticated = est_authenticated,
	.server = est_server,
	.close = est_close,
};
