/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Asking for a binding code: the same PKI-AUTH as an enrolment (FIPS 201-3, 6.2.3.1), but what comes back is a one-time
 * code for another machine (SP 800-157r1, App. C; the exchange is described in derive/issuer/bind.h). No token, no
 * store: nothing is left behind on this machine. The answer is foreign data; the code in it must read as one.
 */
#include <stdio.h>
#include <string.h>
#include <jansson.h>
#include <openssl/crypto.h>

#include "base/text.h"
#include "derive/bind.h"
#include "derive/bindcode.h"
#include "derive/card_http.h"
#include "derive/policy.h"

#define WELL	    "/.well-known/"
#define URL_MAX	    2048
#define SECONDS_MAX 86400
#define REQUEST_MAX 256

void
bind_answer_clear(struct bind_answer *a)
{
	secret_free(&a->text);
	memset(a, 0, sizeof *a);
}

enum err
bind_url(const char *issuer, const char *what, char *out, size_t cap)
{
	const char *well = strstr(issuer, WELL);
	size_t n = well != NULL ? (size_t)(well - issuer) : strlen(issuer);
	int len;

	while (n > 0 && issuer[n - 1] == '/')
		n--;
	if (strncmp(issuer, "https://", 8) != 0)
		return err_set(E_ARG, "the issuer's address must begin with https://, not '%.100s'", issuer);
	len = snprintf(out, cap, "%.*s" WELL "dpiv/%s", (int)n, issuer, what);
	return len > 0 && (size_t)len < cap ? E_OK : err_set(E_ARG, "the issuer's address is too long");
}

/* --- the answer --------------------------------------------------------------------------------------------------- */

static enum err
answer_code(const json_t *j, struct bind_answer *out)
{
	const char *code = json_string_value(json_object_get(j, "code"));
	char plain[BINDCODE_PLAIN], text[BINDCODE_TEXT];

	if (code == NULL || bindcode_read(span_str(code), plain) != E_OK)
		return err_set(E_PROTO, "there is no binding code in the issuer's answer");
	bindcode_show(plain, text);
	out->text = secret_copy(text, sizeof text);
	OPENSSL_cleanse(plain, sizeof plain);
	OPENSSL_cleanse(text, sizeof text);
	return out->text != NULL ? E_OK : err_set(E_NOMEM, "out of memory");
}

static enum err
answer_roles(const json_t *j, struct bind_answer *out)
{
	const json_t *roles = json_object_get(j, "roles");
	bool any = false;

	for (size_t i = 0; i < json_array_size(roles); i++) {
		const char *name = json_string_value(json_array_get(roles, i));
		enum role role;

		if (name == NULL || role_parse(name, strlen(name), &role) != E_OK)
			return err_set(E_PROTO, "the issuer's answer names a role that dpiv does not know");
		out->role[role] = any = true;
	}
	return any ? E_OK : err_set(E_PROTO, "the issuer's answer names no role for the code");
}

enum err
bind_read_answer(struct span body, struct bind_answer *out)
{
	json_t *j = json_loadb((const char *)body.p, body.n, 0, NULL);
	json_int_t seconds = json_integer_value(json_object_get(j, "seconds"));
	const char *name = json_string_value(json_object_get(j, "name"));
	enum err e;

	memset(out, 0, sizeof *out);
	if ((e = answer_code(j, out)) == E_OK)
		e = answer_roles(j, out);
	if (e == E_OK && (seconds <= 0 || seconds > SECONDS_MAX))
		e = err_set(E_PROTO, "the issuer's answer does not say how long the code lives");
	out->seconds = (long)seconds;
	text_safe(span_str(name != NULL ? name : ""), out->name, sizeof out->name);
	json_decref(j);
	if (e != E_OK)
		bind_answer_clear(out);
	return e;
}

/* --- the exchange ------------------------------------------------------------------------------------------------- */

static enum err
bind_refused(struct http *h, const struct http_reply *r)
{
	char said[240];

	http_said(r, said, sizeof said);
	if (said[0] != '\0')
		return err_set(E_REMOTE, "%s refused (HTTP %ld): %s", http_server(h), r->status, said);
	if (r->status == 404 || r->status == 405 || r->status == 501)
		return err_set(E_REMOTE, "%s gives no binding codes: it is not a dpiv-issuer (HTTP %ld)",
		    http_server(h), r->status);
	return err_set(E_REMOTE, "%s refused (HTTP %ld); ask the issuer", http_server(h), r->status);
}

static void
bind_request(const struct derive_req *r, char out[REQUEST_MAX])
{
	int n = snprintf(out, REQUEST_MAX, "{\"roles\":[");

	for (size_t i = 0; i < r->n_roles; i++)
		n += snprintf(
		    out + n, REQUEST_MAX - (size_t)n, "%s\"%.20s\"", i > 0 ? "," : "", role_info(r->role[i])->name);
	(void)snprintf(out + n, REQUEST_MAX - (size_t)n, "]}");
}

static enum err
bind_exchange(struct card_http *c, const struct derive_req *req, struct bind_answer *out)
{
	struct http_content post = { .type = "application/json", .accept = "application/json" };
	char url[URL_MAX], body[REQUEST_MAX];
	struct http_reply r;
	enum err e = bind_url(req->issuer, "bind", url, sizeof url);

	bind_request(req, body);
	post.body = span_str(body);
	http_reply_init(&r);
	if (e == E_OK)
		e = http_post(c->http, url, &post, &r);
	if (e == E_CRYPTO)
		e = token_failed(c->card.token, e, "cannot authenticate with the card");
	if (e == E_OK && r.status != 200)
		e = bind_refused(c->http, &r);
	else if (e == E_OK && !http_cert_asked(c->http))
		e = err_set(E_POLICY, "%s gave a code without asking for the card; it cannot know for whom",
		    http_server(c->http));
	else if (e == E_OK && (e = bind_read_answer(wbuf_view(&r.body), out)) != E_OK)
		e = err_up(e, "%s", http_server(c->http));
	if (r.body.p != NULL)
		OPENSSL_cleanse(r.body.p, r.body.n);
	http_reply_free(&r);
	return e;
}

enum err
bind_ask(const struct derive_req *req, struct bind_answer *out)
{
	struct card_http c = { .key = NULL };
	struct policy *policy = NULL;
	enum err e = policy_load(&policy);

	memset(out, 0, sizeof *out);
	if (e == E_OK)
		e = policy_judge(policy, req);
	for (size_t i = 0; e == E_OK && i < req->n_roles; i++)
		e = policy_judge_role(policy, req, req->role[i]);
	policy_free(&policy);
	if (e == E_OK && req->protocol != NULL && strcmp(req->protocol, "est") != 0)
		e = err_set(E_UNSUP, "binding codes are for dpiv-issuer, with protocol = est, not %s", req->protocol);
	if (e == E_OK)
		e = card_http_open(req, &c);
	if (e == E_OK)
		e = bind_exchange(&c, req, out);
	card_http_close(&c);
	return e;
}
