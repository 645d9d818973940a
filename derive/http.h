/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_DERIVE_HTTP_H
#define DPIV_DERIVE_HTTP_H

#include <stdbool.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/bytes.h"
#include "base/err.h"
#include "derive/multipart.h"

/*
 * An HTTPS client for enrolment: TLS 1.2 and 1.3, client authentication with any EVP_PKEY (a token's), one server,
 * bounded in time and size, connections reused. Redirects are followed within the origin only, at most three. Every
 * failure is a sentence that names the server, what it said and what to do. Without TLS only where the caller's
 * protocol protects its messages by itself (plain).
 */
struct http;

enum http_tls { HTTP_TLS_12_UP, HTTP_TLS_12, HTTP_TLS_13 };

struct http_conf {
	const char *cafile; /* PEM trust anchors for the server; NULL: the system's */
	enum http_tls tls;
	bool plain;    /* http:// addresses too */
	long timeout;  /* seconds for one exchange; 0: HTTP_TIMEOUT */
	long body_max; /* 0: HTTP_BODY_MAX; a reply's body.max counts as well */
	/* client authentication, all or none; references are taken. chain: may be NULL, the leaf not in it */
	X509 *cert;
	EVP_PKEY *key;
	STACK_OF(X509) * chain;
	const char *header; /* one more header line for what is posted, or NULL; copied */
	/* asked during an exchange: true stops it with E_CANCELED; may be NULL */
	bool (*stop)(void *arg);
	void *stop_arg;
};

#define HTTP_TIMEOUT	 60
#define HTTP_BODY_MAX	 (512 * 1024)
#define HTTP_BINDING_MAX 64

struct http_reply {
	long status;
	char type[96];			   /* media type, lower case, without parameters; "" */
	char boundary[MULTIPART_BOUNDARY]; /* of a multipart reply; "" */
	long retry_after;		   /* seconds from now, -1 when the server did not say */
	struct wbuf body;		   /* http_reply_init() before, http_reply_free() after */
	bool same_connection;		   /* the exchange went over the connection of the one before */
};

void http_reply_init(struct http_reply *r);
void http_reply_free(struct http_reply *r);

enum err http_open(const struct http_conf *conf, struct http **out) MUST_CHECK;
void http_close(struct http **h);

/* url must be https, unless plain. Any status is a success here: the caller judges reply->status. E_NET, E_REMOTE (the
 * server refused our certificate), E_POLICY (its certificate is not trusted, or it redirects elsewhere), E_PROTO,
 * E_CANCELED. */
enum err http_get(struct http *h, const char *url, const char *accept, struct http_reply *r) MUST_CHECK;
/* What is posted: more is one more header line, or NULL. */
struct http_content {
	const char *type, *accept, *more;
	struct span body;
};
enum err
http_post(struct http *h, const char *url, const struct http_content *content, struct http_reply *r) MUST_CHECK;

/* HTTP Basic (RFC 7617) with every exchange from now on; only this server gets it. */
enum err http_basic(struct http *h, const char *user, const char *password) MUST_CHECK;
/* The channel binding of the current connection (RFC 5929 tls-unique for TLS 1.2, RFC 9266 tls-exporter for 1.3);
 * empty when there is no connection yet. */
struct span http_binding(const struct http *h);
/* Did the server ask for a client certificate in the handshake? */
bool http_cert_asked(const struct http *h);
/* "host:port" of the last exchange, for messages. */
const char *http_server(const struct http *h);
/* What the server said, bounded and safe to show: the first line of a text body, else "". */
char *http_said(const struct http_reply *r, char *out, size_t cap);

#endif
