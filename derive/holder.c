/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Holders and their certificates at dpiv-issuer: revocation, which EST has no message for, and the question which
 * certificates are a card's holder's. Whether a server has these paths is found by asking: an EST server of another
 * make answers 404 (405, 501), and the person is told what to ask its people for. Answers are foreign data.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <jansson.h>
#include <openssl/ocsp.h>

#include "base/text.h"
#include "derive/bind.h"
#include "derive/card_http.h"
#include "derive/cert.h"
#include "derive/holder.h"

#define URL_MAX	 2048
#define HELD_MAX 4096

static enum err
holder_refused(struct http *h, const struct http_reply *r, const char *what)
{
	char said[240];

	http_said(r, said, sizeof said);
	if (r->status == 404 || r->status == 405 || r->status == 501)
		return err_set(E_UNSUP, "%s: %s has no such service (HTTP %ld)", what, http_server(h), r->status);
	return err_set(r->status == 429 || r->status == 503 ? E_PENDING : E_REMOTE, "%s: %s refused (HTTP %ld)%s%s",
	    what, http_server(h), r->status, said[0] != '\0' ? ": " : "; ask the issuer", said);
}

/* Any answer but 200 is an error. */
static enum err
holder_post(struct http *h, const char *issuer, const char *path, const char *body, struct http_reply *r)
{
	const struct http_content post = {
		.type = "application/json", .accept = "application/json", .body = span_str(body)
	};
	const char *what = strcmp(path, "revoke") == 0 ? "the revocation" : "the question about the credentials";
	char url[URL_MAX];
	enum err e = bind_url(issuer, path, url, sizeof url);

	if (e == E_OK)
		e = http_post(h, url, &post, r);
	if (e == E_OK && r->status != 200)
		e = holder_refused(h, r, what);
	else if (e == E_OK && !http_cert_asked(h))
		e = err_set(E_POLICY, "%s: %s did not ask who asks; its answer means nothing", what, http_server(h));
	return e;
}

static bool
serial_is(const json_t *j, const char *serial)
{
	const char *its = json_string_value(json_object_get(j, "serial"));

	return its != NULL && strcasecmp(its, serial) == 0;
}

enum err
holder_revoke(struct http *h, const char *issuer, X509 *cert, int reason)
{
	char serial[64], body[160];
	struct http_reply r;
	json_t *j = NULL;
	enum err e;

	cert_serial(cert, serial, sizeof serial);
	snprintf(body, sizeof body, "{\"serial\":\"%s\",\"reason\":\"%s\"}", serial, OCSP_crl_reason_str(reason));
	http_reply_init(&r);
	e = holder_post(h, issuer, "revoke", body, &r);
	if (e == E_OK)
		j = json_loadb((const char *)r.body.p, r.body.n, JSON_REJECT_DUPLICATES, NULL);
	if (e == E_OK && !serial_is(j, serial))
		e = err_set(E_PROTO, "the revocation: %s does not say that it revoked the certificate %s",
		    http_server(h), serial);
	json_decref(j);
	http_reply_free(&r);
	return e;
}

/* --- which are mine ----------------------------------------------------------------------------------------------- */

void
holdings_clear(struct holdings *h)
{
	X509_free(h->card);
	free(h->list);
	memset(h, 0, sizeof *h);
}

const struct holding *
holdings_find(const struct holdings *h, X509 *cert)
{
	char serial[64];

	cert_serial(cert, serial, sizeof serial);
	for (size_t i = 0; i < h->n; i++)
		if (strcasecmp(h->list[i].serial, serial) == 0)
			return &h->list[i];
	return NULL;
}

/* ["subject","email"] */
static void
read_changed(const json_t *list, char *out, size_t cap)
{
	size_t used = 0;

	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *word = json_string_value(json_array_get(list, i));
		char safe[24];

		if (word != NULL && used < cap)
			used += (size_t)snprintf(out + used, cap - used, "%s%s", used > 0 ? ", " : "",
			    text_safe(span_str(word), safe, sizeof safe));
	}
}

static bool
read_one(const json_t *j, struct holding *out)
{
	const char *serial = json_string_value(json_object_get(j, "serial"));

	if (serial == NULL || serial[0] == '\0' || strlen(serial) >= sizeof out->serial ||
	    serial[strspn(serial, "0123456789abcdefABCDEF")] != '\0')
		return false;
	snprintf(out->serial, sizeof out->serial, "%s", serial);
	read_changed(json_object_get(j, "changed"), out->changed, sizeof out->changed);
	return true;
}

enum err
holder_read(struct span body, struct holdings *out)
{
	json_t *j = json_loadb((const char *)body.p, body.n, JSON_REJECT_DUPLICATES, NULL);
	const json_t *list = json_object_get(j, "certificates");
	size_t n = json_array_size(list);
	bool good = json_is_array(list) && n <= HELD_MAX;
	enum err e = E_OK;

	memset(out, 0, sizeof *out);
	out->list = calloc(n + 1, sizeof *out->list);
	if (out->list == NULL)
		e = err_set(E_NOMEM, "out of memory");
	for (size_t i = 0; e == E_OK && good && i < n; i++)
		good = read_one(json_array_get(list, i), &out->list[out->n++]);
	if (e == E_OK && !good)
		e = err_set(E_PROTO, "the issuer's list of credentials cannot be read");
	json_decref(j);
	if (e != E_OK)
		holdings_clear(out);
	return e;
}

#define CURRENT 4 /* 9A, 9C, 9D, 9E; behind them the key history, with addresses of before */

/* What the card says is no secret, and without it the address is unknown. */
static void
card_emails(struct token *t, char *out, size_t cap)
{
	const struct token_key *keys;
	size_t n = 0;

	if (token_keys(t, &keys, &n) != E_OK)
		return;
	for (size_t i = 0; i < n; i++)
		if (keys[i].cert != NULL && keys[i].id_len == 1 && keys[i].id[0] <= CURRENT)
			cert_emails_add(keys[i].cert, out, cap);
}

enum err
holder_ask(const struct derive_req *req, struct holdings *out)
{
	struct card_http c;
	struct http_reply r;
	enum err e = E_OK;

	memset(out, 0, sizeof *out);
	if (req->protocol != NULL && strcmp(req->protocol, "est") != 0)
		return err_set(E_UNSUP, "which credentials are yours is known to dpiv-issuer only (protocol = est)");
	http_reply_init(&r);
	e = card_http_open(req, &c);
	if (e == E_OK)
		e = holder_post(c.http, req->issuer, "own", "{}", &r);
	if (e == E_CRYPTO)
		e = token_failed(c.card.token, e, "cannot authenticate with the card");
	if (e == E_OK)
		e = holder_read(wbuf_view(&r.body), out);
	if (e == E_OK)
		card_emails(c.card.token, out->emails, sizeof out->emails);
	if (c.card.cert != NULL && X509_up_ref(c.card.cert) == 1)
		out->card = c.card.cert;
	http_reply_free(&r);
	card_http_close(&c);
	return e;
}
