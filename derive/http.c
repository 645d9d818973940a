/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The HTTPS client: see http.h. The only file that knows libcurl. The client's key goes into libcurl's SSL_CTX by
 * CURLOPT_SSL_CTX_FUNCTION, as an EVP_PKEY and only when the server asks for a certificate, so a card is not touched
 * for nothing; the whole chain is sent, since an issuer may know the root alone. Session resumption is off: tls-unique
 * (RFC 5929, 3) then is always the client's Finished message, and every connection proves possession of the key anew
 * (RFC 7030, 3.5). Trust is the given file alone: libcurl's built-in CA path is switched off with it.
 */
#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <curl/curl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/log.h"
#include "base/text.h"
#include "derive/http.h"
#include "derive/http_why.h"

#define HEADERS_MAX   (64 * 1024)
#define REDIRECTS_MAX 3
#define CONNECT_MAX   15L

struct http {
	CURL *curl;
	struct http_conf conf;
	char *header; /* owned: conf.header */
	char server[256];
	char curl_error[CURL_ERROR_SIZE];
	uint8_t binding[HTTP_BINDING_MAX];
	size_t binding_len;
	bool cert_asked;
	int alert; /* TLS alert that the server sent, 0 none */
	size_t header_bytes;
	bool too_much;
	struct http_reply *reply; /* of the exchange under way */
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int ctx_index = -1;

static void
global_init(void)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
		ctx_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

void
http_reply_init(struct http_reply *r)
{
	memset(r, 0, sizeof *r);
	wbuf_init(&r->body, HTTP_BODY_MAX);
	r->retry_after = -1;
}

void
http_reply_free(struct http_reply *r)
{
	wbuf_free(&r->body);
}

/* --- TLS --------------------------------------------------------------------------------------------------------- */

static void
binding_take(struct http *h, const SSL *ssl)
{
	union {
		const SSL *c;
		SSL *m;
	} cast = { ssl };
	size_t n;

	if (SSL_version(ssl) >= TLS1_3_VERSION) {
		h->binding_len = 32;
		if (SSL_export_keying_material(cast.m, h->binding, 32, "EXPORTER-Channel-Binding", 24, NULL, 0, 0) != 1)
			h->binding_len = 0;
		return;
	}
	n = SSL_session_reused(ssl) ? SSL_get_peer_finished(ssl, h->binding, sizeof h->binding)
				    : SSL_get_finished(ssl, h->binding, sizeof h->binding);
	h->binding_len = n <= sizeof h->binding ? n : 0;
}

static void
on_tls_info(const SSL *ssl, int where, int value)
{
	struct http *h = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), ctx_index);

	if (h == NULL)
		return;
	if ((where & SSL_CB_HANDSHAKE_DONE) != 0)
		binding_take(h, ssl);
	if (where == SSL_CB_READ_ALERT && (value & 0xff) != SSL_AD_CLOSE_NOTIFY)
		h->alert = value & 0xff;
}

/* The server asks for a certificate. */
static int
on_cert_wanted(SSL *ssl, void *arg)
{
	struct http *h = arg;

	h->cert_asked = true;
	if (h->conf.cert == NULL)
		return 1;
	return SSL_use_certificate(ssl, h->conf.cert) == 1 && SSL_use_PrivateKey(ssl, h->conf.key) == 1 &&
	    (h->conf.chain == NULL || SSL_set1_chain(ssl, h->conf.chain) == 1);
}

static CURLcode
on_ssl_ctx(CURL *curl, void *sslctx, void *arg)
{
	SSL_CTX *ctx = sslctx;

	(void)curl;
	SSL_CTX_set_ex_data(ctx, ctx_index, arg);
	SSL_CTX_set_info_callback(ctx, on_tls_info);
	SSL_CTX_set_cert_cb(ctx, on_cert_wanted, arg);
	return CURLE_OK;
}

/* --- libcurl's callbacks ------------------------------------------------------------------------------------------ */

static size_t
on_body(char *p, size_t size, size_t n, void *arg)
{
	struct http *h = arg;

	wbuf_put(&h->reply->body, p, size * n);
	h->too_much = h->reply->body.bad;
	return h->too_much ? 0 : size * n;
}

static size_t
on_header(char *p, size_t size, size_t n, void *arg)
{
	struct http *h = arg;

	(void)p;
	h->header_bytes += size * n;
	h->too_much = h->header_bytes > HEADERS_MAX;
	return h->too_much ? 0 : size * n;
}

static int
on_progress(void *arg, curl_off_t dt, curl_off_t dn, curl_off_t ut, curl_off_t un)
{
	struct http *h = arg;

	(void)dt;
	(void)dn;
	(void)ut;
	(void)un;
	return h->conf.stop != NULL && h->conf.stop(h->conf.stop_arg);
}

/* --- set-up ------------------------------------------------------------------------------------------------------- */

static long
tls_range(enum http_tls tls)
{
	switch (tls) {
	case HTTP_TLS_12: return CURL_SSLVERSION_TLSv1_2 | CURL_SSLVERSION_MAX_TLSv1_2;
	case HTTP_TLS_13: return CURL_SSLVERSION_TLSv1_3 | CURL_SSLVERSION_MAX_TLSv1_3;
	default: return CURL_SSLVERSION_TLSv1_2;
	}
}

static bool
setup(struct http *h)
{
	CURL *c = h->curl;
	CURLcode r = CURLE_OK;

#define SET(option, value)                                                                                             \
	if (r == CURLE_OK)                                                                                             \
	r = curl_easy_setopt(c, option, value)
	SET(CURLOPT_ERRORBUFFER, h->curl_error);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_PROTOCOLS_STR, h->conf.plain ? "https,http" : "https");
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_TIMEOUT, h->conf.timeout);
	SET(CURLOPT_CONNECTTIMEOUT, h->conf.timeout < CONNECT_MAX ? h->conf.timeout : CONNECT_MAX);
	SET(CURLOPT_MAXFILESIZE, h->conf.body_max > 0 ? h->conf.body_max : (long)HTTP_BODY_MAX);
	SET(CURLOPT_SSLVERSION, tls_range(h->conf.tls));
	SET(CURLOPT_SSL_SESSIONID_CACHE, 0L);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_SSL_CTX_FUNCTION, on_ssl_ctx);
	SET(CURLOPT_SSL_CTX_DATA, h);
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, h);
	SET(CURLOPT_HEADERFUNCTION, on_header);
	SET(CURLOPT_HEADERDATA, h);
	SET(CURLOPT_XFERINFOFUNCTION, on_progress);
	SET(CURLOPT_XFERINFODATA, h);
	SET(CURLOPT_NOPROGRESS, 0L);
	SET(CURLOPT_USERAGENT, "dpiv/" DPIV_VERSION);
	if (h->conf.cafile != NULL) {
		SET(CURLOPT_CAINFO, h->conf.cafile);
		SET(CURLOPT_CAPATH, NULL);
	}
#undef SET
	return r == CURLE_OK;
}

enum err
http_open(const struct http_conf *conf, struct http **out)
{
	struct http *h = calloc(1, sizeof *h);

	*out = NULL;
	pthread_once(&once, global_init);
	if (h == NULL || ctx_index < 0) {
		free(h);
		return err_set(E_NOMEM, "out of memory");
	}
	h->conf = *conf;
	if (h->conf.timeout <= 0)
		h->conf.timeout = HTTP_TIMEOUT;
	h->conf.cert = conf->cert != NULL && X509_up_ref(conf->cert) == 1 ? conf->cert : NULL;
	h->conf.key = conf->key != NULL && EVP_PKEY_up_ref(conf->key) == 1 ? conf->key : NULL;
	h->conf.header = h->header = conf->header != NULL ? strdup(conf->header) : NULL;
	h->conf.chain = conf->chain != NULL ? X509_chain_up_ref(conf->chain) : NULL;
	h->curl = curl_easy_init();
	if (h->curl == NULL || !setup(h) || (conf->header != NULL && h->header == NULL)) {
		http_close(&h);
		return err_set(E_INTERNAL, "libcurl cannot be set up");
	}
	*out = h;
	return E_OK;
}

void
http_close(struct http **hp)
{
	struct http *h = *hp;

	*hp = NULL;
	if (h == NULL)
		return;
	curl_easy_cleanup(h->curl);
	X509_free(h->conf.cert);
	EVP_PKEY_free(h->conf.key);
	sk_X509_pop_free(h->conf.chain, X509_free);
	free(h->header);
	free(h);
}

/* --- one exchange ------------------------------------------------------------------------------------------------- */

/* "host:port" of an https URL (of http too where that is allowed); false for anything else. */
static bool
url_origin(const struct http *h, const char *url, char *out, size_t cap)
{
	CURLU *u = curl_url();
	char *scheme = NULL, *host = NULL, *port = NULL;
	bool ok;

	ok = u != NULL && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
	    (strcasecmp(scheme, "https") == 0 || (h->conf.plain && strcasecmp(scheme, "http") == 0)) &&
	    curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
	    snprintf(out, cap, "%s:%s", host, port) < (int)cap;
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(u);
	return ok;
}

static void
reply_type(struct http_reply *r, const char *type)
{
	size_t n = type != NULL ? strcspn(type, "; \t") : 0;

	text_safe(span_of(type, n), r->type, sizeof r->type);
	for (char *p = r->type; *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	multipart_param(span_str(type != NULL ? type : ""), "boundary", r->boundary, sizeof r->boundary);
}

static void
reply_facts(struct http *h, struct http_reply *r)
{
	char *type = NULL;
	curl_off_t retry = 0;
	long connects = 1;

	curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &r->status);
	curl_easy_getinfo(h->curl, CURLINFO_CONTENT_TYPE, &type);
	curl_easy_getinfo(h->curl, CURLINFO_RETRY_AFTER, &retry);
	curl_easy_getinfo(h->curl, CURLINFO_NUM_CONNECTS, &connects);
	reply_type(r, type);
	r->retry_after = retry > 0 ? (long)retry : -1;
	r->same_connection = connects == 0;
	log_debug("http.reply", "server=%s status=%ld type=%s bytes=%zu", h->server, r->status, r->type, r->body.n);
}

static enum err
perform(struct http *h, const char *url, struct http_reply *r)
{
	struct http_failure f = { .server = h->server, .detail = h->curl_error };
	CURLcode c;

	if (!url_origin(h, url, h->server, sizeof h->server))
		return err_set(E_ARG, "'%.200s' is not an http%s address", url, h->conf.plain ? "" : "s");
	h->alert = 0;
	h->header_bytes = 0;
	h->too_much = false;
	h->curl_error[0] = '\0';
	h->reply = r;
	wbuf_clear(&r->body);
	if (curl_easy_setopt(h->curl, CURLOPT_URL, url) != CURLE_OK)
		return err_set(E_NOMEM, "out of memory");
	c = curl_easy_perform(h->curl);
	h->reply = NULL;
	ERR_clear_error();
	if (c == CURLE_OK) {
		reply_facts(h, r);
		return E_OK;
	}
	h->binding_len = 0;
	f.curl = c;
	f.alert = h->alert;
	f.too_much = h->too_much || c == CURLE_FILESIZE_EXCEEDED;
	f.cert_sent = h->cert_asked && h->conf.cert != NULL;
	f.timeout = h->conf.timeout;
	curl_easy_getinfo(h->curl, CURLINFO_SSL_VERIFYRESULT, &f.verify);
	return http_why(&f);
}

/* Scheme, host and port the same? From TLS to plain HTTP is another origin. */
static bool
url_same_origin(const struct http *h, const char *a, const char *b)
{
	char origin[256], other[256];

	return url_origin(h, a, origin, sizeof origin) && url_origin(h, b, other, sizeof other) &&
	    strcasecmp(origin, other) == 0 && (strncasecmp(a, "https:", 6) == 0) == (strncasecmp(b, "https:", 6) == 0);
}

/* RFC 7030, 3.2.1: redirects within the origin need no consent; others are refused. */
static enum err
follow(struct http *h, const char *url, struct http_reply *r)
{
	char safe[256];
	char *next = NULL, *at = strdup(url);
	enum err e = at != NULL ? E_OK : err_set(E_NOMEM, "out of memory");

	for (int i = 0; e == E_OK; i++) {
		e = perform(h, at, r);
		if (e != E_OK || r->status < 300 || r->status > 399)
			break;
		curl_easy_getinfo(h->curl, CURLINFO_REDIRECT_URL, &next);
		if (next == NULL)
			break;
		text_safe(span_str(next), safe, sizeof safe);
		if (i >= REDIRECTS_MAX)
			e = err_set(E_REMOTE, "%s redirects in a circle (now to %s); tell the issuer", h->server, safe);
		else if (!url_same_origin(h, at, next))
			e = err_set(E_POLICY,
			    "%s redirects to %s, which is another server; if that is right, use its address "
			    "as the issuer's",
			    h->server, safe);
		free(at);
		at = strdup(next);
		if (e == E_OK && at == NULL)
			e = err_set(E_NOMEM, "out of memory");
	}
	free(at);
	return e;
}

static enum err
exchange(struct http *h, const char *url, const char *const *headers, size_t n, struct http_reply *r)
{
	struct curl_slist *list = NULL;
	enum err e = E_OK;

	for (size_t i = 0; i < n && e == E_OK; i++) {
		struct curl_slist *longer = curl_slist_append(list, headers[i]);

		if (longer == NULL)
			e = err_set(E_NOMEM, "out of memory");
		else
			list = longer;
	}
	curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, list);
	if (e == E_OK)
		e = follow(h, url, r);
	curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, NULL);
	curl_slist_free_all(list);
	return e;
}

enum err
http_get(struct http *h, const char *url, const char *accept, struct http_reply *r)
{
	char line[128];
	const char *headers[] = { line };

	snprintf(line, sizeof line, "Accept: %s", accept);
	curl_easy_setopt(h->curl, CURLOPT_HTTPGET, 1L);
	return exchange(h, url, headers, 1, r);
}

enum err
http_post(struct http *h, const char *url, const struct http_content *content, struct http_reply *r)
{
	char accepts[128], types[128];
	const char *headers[5] = { accepts, types, "Expect:" };
	size_t n = 3;
	enum err e;

	snprintf(accepts, sizeof accepts, "Accept: %s", content->accept);
	snprintf(types, sizeof types, "Content-Type: %s", content->type);
	curl_easy_setopt(h->curl, CURLOPT_POST, 1L);
	curl_easy_setopt(h->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)content->body.n);
	curl_easy_setopt(h->curl, CURLOPT_POSTFIELDS, content->body.p);
	if (content->more != NULL)
		headers[n++] = content->more;
	if (h->header != NULL)
		headers[n++] = h->header;
	/* a 307 or 308 within the origin keeps the method */
	e = exchange(h, url, headers, n, r);
	curl_easy_setopt(h->curl, CURLOPT_POSTFIELDS, NULL);
	curl_easy_setopt(h->curl, CURLOPT_HTTPGET, 1L);
	return e;
}

enum err
http_basic(struct http *h, const char *user, const char *password)
{
	if (curl_easy_setopt(h->curl, CURLOPT_HTTPAUTH, CURLAUTH_BASIC) != CURLE_OK ||
	    curl_easy_setopt(h->curl, CURLOPT_USERNAME, user) != CURLE_OK ||
	    curl_easy_setopt(h->curl, CURLOPT_PASSWORD, password) != CURLE_OK)
		return err_set(E_NOMEM, "out of memory");
	return E_OK;
}

struct span
http_binding(const struct http *h)
{
	return span_of(h->binding, h->binding_len);
}

bool
http_cert_asked(const struct http *h)
{
	return h->cert_asked;
}

const char *
http_server(const struct http *h)
{
	return h->server;
}

char *
http_said(const struct http_reply *r, char *out, size_t cap)
{
	struct span line = wbuf_view(&r->body);

	out[0] = '\0';
	if (strcmp(r->type, "text/plain") != 0)
		return out;
	for (size_t i = 0; i < line.n; i++)
		if (line.p[i] == '\n' || line.p[i] == '\r')
			line.n = i;
	return text_safe(line, out, cap);
}
