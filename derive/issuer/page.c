/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The page for people: paths, frame, headers, and refusals that tell what to do. Everything is made here in one piece
 * and needs no script, no picture and nothing from elsewhere, so the content security policy allows one style sheet and
 * forms to this place and nothing else. Referrer-Policy is same-origin and not no-referrer: with that one browsers send
 * "Origin: null" with our own forms, too (Fetch, 3.2). No Strict-Transport-Security: CRLs may be fetched by plain HTTP
 * from the same host name (RFC 5280, 4.2.1.13).
 */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "derive/issuer/guard.h"
#include "derive/issuer/page_int.h"
#include "derive/issuer/refuse.h"

static const char *const page_headers[] = {
	"Content-Security-Policy",
	"default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
	"Referrer-Policy",
	"same-origin",
	"X-Frame-Options",
	"DENY",
	"Cross-Origin-Opener-Policy",
	"same-origin",
	"Cross-Origin-Resource-Policy",
	"same-origin",
	"Permissions-Policy",
	"camera=(), geolocation=(), microphone=()",
	NULL,
};

/* Contrast of text is above 7:1 (WCAG 2.2, 1.4.6; the test in a browser measures it); nothing is narrower or wider than
 * a telephone unless it scrolls in a box of its own. */
static const char style[] =
    ":root{color-scheme:light}*{box-sizing:border-box}"
    "body{margin:0;font:1rem/1.5 system-ui,sans-serif;color:#1b1b1b;background:#fff;overflow-wrap:anywhere}"
    "header,main,footer{max-width:60rem;margin:0 auto;padding:.75rem 1rem}"
    "header{border-bottom:2px solid #1a4480}footer{border-top:1px solid #71767a;margin-top:2rem}"
    "nav a{display:inline-block;padding:.5rem .75rem .5rem 0}a{color:#1a4480}"
    "h1{font-size:1.6rem;line-height:1.25;margin:.5rem 0}h2{font-size:1.25rem;margin:1.75rem 0 .5rem}"
    ".site{font-weight:700;margin:0}.skip{position:absolute;left:-100rem}"
    ".skip:focus{left:1rem;top:.5rem;background:#fff;padding:.5rem}"
    ":focus-visible{outline:3px solid #1a4480;outline-offset:2px}"
    "dl{margin:0}dt{font-weight:600;margin-top:.5rem}dd{margin:0}"
    "ul.cards{list-style:none;margin:0;padding:0}ul.cards>li{border:1px solid #71767a;border-radius:.25rem;"
    "padding:.5rem 1rem;margin:.75rem 0}"
    "fieldset{border:1px solid #71767a;margin:.5rem 0}label{display:block;padding:.5rem 0}"
    "input[type=checkbox]{width:1.25rem;height:1.25rem;vertical-align:middle}select{font:inherit;padding:.5rem}"
    "button{font:inherit;min-height:2.75rem;padding:.5rem 1.25rem;border:0;border-radius:.25rem;background:#1a4480;"
    "color:#fff;cursor:pointer}button.danger{background:#8b0a03}"
    ".note{border-left:.25rem solid #1a4480;padding:.5rem 1rem;background:#eff6fb}"
    ".bad{border-left-color:#8b0a03;background:#fff3f2}"
    ".code{font:700 1.5rem/1.4 ui-monospace,monospace}.qr{display:block;width:100%;max-width:16rem;height:auto}"
    ".wide{overflow-x:auto}table{border-collapse:collapse}th,td{text-align:left;vertical-align:top;padding:.25rem "
    ".75rem "
    ".25rem 0;border-bottom:1px solid #a9aeb1}th,td{overflow-wrap:normal}";

static enum err
op_style(struct call *c, struct est_reply *out)
{
	(void)c;
	out->status = 200;
	out->type = "text/css; charset=utf-8";
	wbuf_span(&out->body, span_str(style));
	return out->body.bad ? err_set(E_NOMEM, "out of memory") : E_OK;
}

bool
page_admin_is(const struct call *c)
{
	const char *list = c->i->config.admins;
	size_t n;

	for (const char *at; (at = config_list_next(&list, &n)) != NULL;)
		if (n == strlen(c->id.sha256) && strncasecmp(at, c->id.sha256, n) == 0)
			return true;
	return false;
}

void
page_open(struct call *c, const char *title, struct est_reply *out)
{
	struct wbuf *w = &out->body;

	out->headers = page_headers;
	out->type = "text/html; charset=utf-8";
	html_put(w,
	    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
	    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
	    "<title>%s - %s</title><link rel=\"stylesheet\" href=\"/style.css\"></head>\n"
	    "<body><a class=\"skip\" href=\"#main\">Skip to the contents</a>\n"
	    "<header><p class=\"site\">%s</p><nav aria-label=\"Pages\"><a href=\"/\">My credentials</a>",
	    title, c->i->config.name, c->i->config.name);
	if (out->known && page_admin_is(c))
		html_put(w, "<a href=\"/admin\">Administration</a>");
	html_put(w, "</nav></header>\n<main id=\"main\" tabindex=\"-1\"><h1>%s</h1>\n", title);
}

enum err
page_close(struct est_reply *out)
{
	html_put(&out->body,
	    "</main>\n<footer><p>Trusted roots: <a href=\"/pki/root.cer\">root certificate</a>, "
	    "<a href=\"/pki/root.p7c\">the same as PKCS #7</a>, <a href=\"/pki/ca.p7c\">issuing CA</a>."
	    "</p></footer></body></html>\n");
	return out->body.bad ? err_set(E_NOMEM, "the page is too large") : E_OK;
}

void
page_time(struct wbuf *w, time_t t)
{
	char machine[TEXT_UTC_MAX], people[48];
	struct tm tm;

	(void)gmtime_r(&t, &tm);
	(void)strftime(people, sizeof people, "%d %B %Y, %H:%M UTC", &tm);
	html_put(w, "<time datetime=\"%s\">%s</time>", text_utc(t, machine), people);
}

enum err
page_form(struct call *c, struct form *f, struct est_reply *out)
{
	enum err e = est_authenticate(c, out);

	if (e != E_OK)
		return e;
	if (!est_media_is(c->rq->media_type, "application/x-www-form-urlencoded"))
		return refuse(REFUSE_MEDIA_TYPE, "this path takes a form of the page");
	if (!form_read(c->rq->body, f))
		return refuse(REFUSE_BAD_BODY, "the form cannot be read");
	return guard_check(c->i->db, c->rq, c->id.sha256, form_get(f, "token"), c->now);
}

enum err
page_token(struct call *c, const char *path, struct wbuf *w)
{
	char token[GUARD_TOKEN];
	enum err e = guard_token(c->i->db, c->id.sha256, path, c->now, token);

	if (e == E_OK)
		html_put(w, "<input type=\"hidden\" name=\"token\" value=\"%s\">", token);
	return e;
}

/* What a person can do about a refusal; the rest is between them and the help desk, with the code. */
static const char *
advice(const char *code)
{
	static const struct {
		const char *code, *text;
	} rows[] = {
		{ "no-certificate",
		    "Put your PIV card into the reader, close every window of the browser, open this page again and "
		    "choose the certificate for PIV Authentication." },
		{ "policy",
		    "Close every window of the browser, open this page again and choose the certificate for PIV "
		    "Authentication, not the one for signatures." },
		{ "wrong-profile",
		    "Close every window of the browser, open this page again and choose the certificate for PIV "
		    "Authentication, not the one for signatures." },
		{ "cross-site", "Nothing was done. Open the page \"My credentials\" and start again from there." },
		{ "unknown-account", "Ask the issuer's administrator to enter you." },
		{ "not-found", "Start at the page \"My credentials\"." },
	};

	for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++)
		if (strcmp(rows[k].code, code) == 0)
			return rows[k].text;
	return "If you do not know why, tell the help desk the code.";
}

void
page_refused(struct call *c, const char *code, const char *sentence, struct est_reply *out)
{
	page_open(c, "This is not possible", out);
	html_put(&out->body,
	    "<div class=\"note bad\" role=\"alert\"><p><bdi>%s</bdi>.</p><p>%s</p><p>Code: <code>%s</code></p></div>\n",
	    sentence, advice(code), code);
	if (page_close(out) != E_OK)
		out->status = 500;
}

static const struct page {
	const char *path;
	est_op_fn *get, *post;
} pages[] = {
	{ "/", page_home, NULL },
	{ "/code", NULL, page_code },
	{ "/admin", page_admin, NULL },
	{ "/style.css", op_style, NULL },
	{ ONE, page_credential, page_revoke },
};

static const struct page *
find(const char *path)
{
	for (size_t k = 0; k < sizeof pages / sizeof pages[0]; k++)
		if (strcmp(pages[k].path, ONE) == 0 ? strncmp(path, ONE, sizeof ONE - 1) == 0
						    : strcmp(path, pages[k].path) == 0)
			return &pages[k];
	return NULL;
}

bool
page_is(const char *path)
{
	return find(path) != NULL;
}

enum err
page_run(struct call *c, struct est_reply *out)
{
	const struct page *p = find(c->rq->path);
	est_op_fn *run = p == NULL ? NULL : c->rq->post ? p->post : p->get;

	if (p == NULL)
		return refuse(REFUSE_NOT_FOUND, "no such page");
	if (run == NULL) {
		out->allow = p->post ? "POST" : "GET";
		return refuse(REFUSE_METHOD, "this page wants %s", out->allow);
	}
	out->headers = page_headers;
	return run(c, out);
}
