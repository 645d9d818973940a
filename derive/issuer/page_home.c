/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What people see of themselves and may do about it (SP 800-157r1, 2.2, 2.4 and App. C; FIPS 201-3, 2.10.2). A look
 * changes nothing: the account is found and never opened by it. The binding code is in the one answer that gives it and
 * nowhere else. To give something up takes a page of its own with a box to tick, since there is no way back.
 */
#include <stdio.h>
#include <string.h>
#include <openssl/crypto.h>

#include "derive/issuer/account.h"
#include "derive/issuer/bind.h"
#include "derive/issuer/chuid.h"
#include "derive/issuer/config.h"
#include "derive/issuer/crl.h"
#include "derive/issuer/own.h"
#include "derive/issuer/page_int.h"
#include "derive/issuer/qrsvg.h"
#include "derive/issuer/refuse.h"
#include "derive/issuer/roll.h"

struct listing {
	struct wbuf *w;
	time_t now;
	bool any;
	const char *card; /* SHA-256 of the one that asks */
};

static const char *
what_is(const char *profile)
{
	const struct profile *p = profile_find(profile);

	return p ? p->what : profile;
}

static const char *
state(const struct roll_credential *c, time_t now)
{
	return c->revoked ? "revoked" : now > c->to ? "expired" : "valid";
}

static void
put_credential(struct wbuf *w, const struct roll_credential *c, time_t now)
{
	html_put(w, "<dl><dt>State</dt><dd>%s", state(c, now));
	if (c->revoked) {
		html_put(w, ", %s, ", crl_reason_name(c->reason));
		page_time(w, c->revoked_at);
	}
	html_put(w, "</dd><dt>Issued</dt><dd>");
	page_time(w, c->from);
	html_put(w, "</dd><dt>Expires</dt><dd>");
	page_time(w, c->to);
	html_put(w, "</dd><dt>Serial number</dt><dd><code>%s</code></dd></dl>\n", c->serial);
}

static enum err
list_credential(void *arg, const struct roll_credential *c)
{
	struct listing *l = arg;

	html_put(l->w, "<li><h3>%s</h3>", what_is(c->profile));
	put_credential(l->w, c, l->now);
	if (!c->revoked && l->now <= c->to)
		html_put(l->w, "<p><a href=\"" ONE "%s\">Revoke this credential<span> (%s)</span></a></p>", c->serial,
		    c->serial);
	html_put(l->w, "</li>\n");
	l->any = true;
	return E_OK;
}

static enum err
list_card(void *arg, const struct roll_card *c)
{
	struct listing *l = arg;

	html_put(l->w, "<li><dl><dt>Card</dt><dd>%s%s</dd>", c->uuid[0] ? c->uuid : c->fascn,
	    strcmp(c->sha256, l->card) == 0 ? " (this one)" : "");
	html_put(l->w, "<dt>First and last seen</dt><dd>");
	page_time(l->w, c->first);
	html_put(l->w, "; ");
	page_time(l->w, c->last);
	html_put(l->w, "</dd></dl></li>\n");
	l->any = true;
	return E_OK;
}

static enum err
list_code(void *arg, const struct roll_code *c)
{
	struct listing *l = arg;

	html_put(l->w, "<li>%s: ", what_is(c->role));
	if (c->serial[0]) {
		html_put(l->w, "the other machine has its credential, since ");
		page_time(l->w, c->used);
	} else {
		html_put(l->w, "waiting for the other machine, until ");
		page_time(l->w, c->expires);
	}
	html_put(l->w, "</li>\n");
	l->any = true;
	return E_OK;
}

/* A code stands for the check of the card that was made when it was given, and a browser cannot send the CHUID. */
static bool
code_without_chuid(const struct call *c)
{
	return c->rq->chuid == NULL && c->i->config.require_chuid;
}

/* Codes are given here at all, and to this person ("none" in the configuration is the name of no role). */
static bool
code_may(const struct call *c, const struct account *a)
{
	const struct profile *p;
	bool any = false;

	for (size_t k = 0; (p = profile_at(k)) != NULL; k++)
		any = any || bind_offered(&c->i->config, p);
	return any && (a->id != 0 ? strcmp(a->status, "active") == 0 : !c->i->config.listed);
}

static enum err
put_code_form(struct call *c, struct wbuf *w)
{
	const struct profile *p;
	bool any = false;
	enum err e;

	html_put(w,
	    "<h2 id=\"code\">Derive on another machine</h2>\n<p>A binding code lets a machine without a card "
	    "reader get a credential for you. It works once, for %d minutes. A code that you had before becomes "
	    "void.</p>\n<form method=\"post\" action=\"/code\">",
	    (int)c->i->config.bind_minutes);
	if ((e = page_token(c, "/code", w)) != E_OK)
		return e;
	html_put(w, "<fieldset><legend>What the code is good for</legend>");
	for (size_t k = 0; (p = profile_at(k)) != NULL; k++) {
		if (!bind_offered(&c->i->config, p))
			continue;
		html_put(w, "<label><input type=\"checkbox\" name=\"role-%s\" value=\"1\"%s> %s</label>", p->name,
		    any ? "" : " checked", p->what);
		any = true;
	}
	html_put(w, "</fieldset><button type=\"submit\">Get a binding code</button></form>\n");
	return E_OK;
}

static void
put_person(struct wbuf *w, const struct call *c, const struct account *a)
{
	html_put(w, "<h2>You</h2>\n<dl><dt>Name on the card</dt><dd><bdi>%s</bdi></dd>", c->id.subject);
	if (a->id == 0) {
		html_put(w, "<dt>Account</dt><dd>none yet</dd></dl>\n<p class=\"note\">%s</p>\n",
		    c->i->config.listed
			? "You have no account here. Ask the issuer's administrator to enter you."
			: "Your account is opened when you derive your first credential or get a code.");
		return;
	}
	html_put(w, "<dt>Account</dt><dd><bdi>%s</bdi>, %s</dd><dt>Mail address</dt><dd>%s</dd></dl>\n", a->name,
	    a->status, a->email[0] ? a->email : "none");
}

static void
list_open(struct listing *l, const char *title)
{
	html_put(l->w, "<h2>%s</h2>\n<ul class=\"cards\">", title);
	l->any = false;
}

static void
list_close(struct listing *l)
{
	html_put(l->w, l->any ? "</ul>\n" : "</ul>\n<p>None.</p>\n");
}

static enum err
put_lists(struct call *c, const struct account *a, struct wbuf *w)
{
	struct listing l = { .w = w, .now = c->now, .card = c->id.sha256 };
	enum err e;

	list_open(&l, "Your derived credentials");
	e = roll_credentials(c->i->db, a->id, list_credential, &l);
	list_close(&l);
	list_open(&l, "Your cards");
	if (e == E_OK)
		e = roll_cards(c->i->db, a->id, list_card, &l);
	list_close(&l);
	list_open(&l, "Your binding code");
	if (e == E_OK)
		e = roll_codes(c->i->db, a->id, c->now, list_code, &l);
	list_close(&l);
	html_put(w, "<p><a href=\"/\">Look again</a></p>\n");
	return e;
}

enum err
page_home(struct call *c, struct est_reply *out)
{
	struct account a = { 0 };
	enum err e;

	if ((e = est_authenticate(c, out)) != E_OK || (e = account_find(c->i->db, c->rq->peer, &c->id, &a)) != E_OK)
		return e;
	out->status = 200;
	page_open(c, "My credentials", out);
	put_person(&out->body, c, &a);
	if (a.id != 0)
		e = put_lists(c, &a, &out->body);
	if (e == E_OK && code_may(c, &a) && code_without_chuid(c))
		html_put(&out->body,
		    "<h2 id=\"code\">Derive on another machine</h2>\n<p class=\"note\">A binding code lets a machine "
		    "without a card reader get a credential for you. This issuer looks at the card itself for that, "
		    "which a browser cannot show: on the machine with the card, use <code>dpiv bind</code></p>\n");
	else if (e == E_OK && code_may(c, &a))
		e = put_code_form(c, &out->body);
	return e == E_OK ? page_close(out) : e;
}

static enum err
wish_of(const struct config *c, const struct form *f, struct bind_wish *w)
{
	const struct profile *p;
	char name[FORM_NAME];
	enum err e = E_OK;

	memset(w, 0, sizeof *w);
	for (size_t k = 0; e == E_OK && (p = profile_at(k)) != NULL; k++) {
		(void)snprintf(name, sizeof name, "role-%s", p->name);
		if (form_get(f, name))
			e = bind_wish_add(c, w, p->name);
	}
	if (e == E_OK && w->n == 0)
		e = refuse(REFUSE_BAD_BODY, "nothing was ticked for which the code would be good");
	return e;
}

static enum err
put_code(struct est_reply *out, const char *plain, const struct bind_wish *w, time_t expires)
{
	char text[BINDCODE_TEXT];
	bool drawn;

	html_put(&out->body, "<p>Type this at the other machine:</p>\n<p class=\"code\"><code>%s</code></p>\n",
	    bindcode_show(plain, text));
	drawn = qrsvg_put(&out->body, text, "QR code of the binding code");
	OPENSSL_cleanse(text, sizeof text);
	if (!drawn)
		return err_set(E_NOMEM, "cannot draw the QR code");
	html_put(&out->body, "<p>Good until ");
	page_time(&out->body, expires);
	html_put(&out->body, ", once for each of:</p>\n<ul>");
	for (size_t k = 0; k < w->n; k++)
		html_put(&out->body, "<li>%s</li>", what_is(w->role[k]));
	html_put(&out->body,
	    "</ul>\n<p class=\"note\">Give it to nobody, whoever asks. It is not shown again. On the other "
	    "machine: <code>dpiv derive --code-file -</code></p>\n"
	    "<p><a href=\"/\">See whether it was used</a></p>\n");
	return E_OK;
}

enum err
page_code(struct call *c, struct est_reply *out)
{
	char plain[BINDCODE_PLAIN];
	struct bind_wish w;
	struct form f;
	time_t expires;
	enum err e;

	if ((e = page_form(c, &f, out)) != E_OK ||
	    (e = chuid_check(c->i->trust, &c->i->config, c->rq->chuid, &c->id, c->now)) != E_OK ||
	    (e = wish_of(&c->i->config, &f, &w)) != E_OK ||
	    (e = bind_make(c->i, c->rq, &c->id, &w, c->now, &expires, plain)) != E_OK)
		return e;
	out->status = 200;
	page_open(c, "Your binding code", out);
	e = put_code(out, plain, &w, expires);
	OPENSSL_cleanse(plain, sizeof plain);
	return e == E_OK ? page_close(out) : e;
}

/* --- one credential ----------------------------------------------------------------------------------------------- */

static enum err
the_one(struct call *c, struct roll_credential *out)
{
	char serial[X509IO_SERIAL_MAX];
	struct account a;
	enum err e;

	if (!x509io_serial_read(&c->rq->path[sizeof ONE - 1], serial, sizeof serial))
		return refuse(REFUSE_NOT_FOUND, "that is no serial number");
	if ((e = account_find(c->i->db, c->rq->peer, &c->id, &a)) != E_OK)
		return e;
	e = a.id == 0 ? E_NOTFOUND : roll_credential(c->i->db, a.id, serial, out);
	return e == E_NOTFOUND ? refuse(REFUSE_NOT_YOURS, "no certificate of yours has the serial number %s", serial)
			       : e;
}

static enum err
put_revoke_form(struct call *c, struct wbuf *w)
{
	static const struct {
		const char *reason, *text;
	} rows[] = {
		{ "unspecified", "I do not want to say" },
		{ "keyCompromise", "the machine was lost, or somebody else may have the key" },
		{ "superseded", "I have another credential instead" },
		{ "cessationOfOperation", "I no longer need it" },
	};
	enum err e;

	html_put(w, "<h2>Revoke it</h2>\n<form method=\"post\" action=\"%s\">", c->rq->path);
	if ((e = page_token(c, c->rq->path, w)) != E_OK)
		return e;
	html_put(w, "<label for=\"reason\">Why</label><select id=\"reason\" name=\"reason\">");
	for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++)
		html_put(w, "<option value=\"%s\">%s</option>", rows[k].reason, rows[k].text);
	html_put(w,
	    "</select>\n<label><input type=\"checkbox\" name=\"sure\" value=\"1\" required> "
	    "I know that this cannot be undone</label>\n"
	    "<button class=\"danger\" type=\"submit\">Revoke this credential</button></form>\n");
	return E_OK;
}

enum err
page_credential(struct call *c, struct est_reply *out)
{
	struct roll_credential one;
	enum err e;

	if ((e = est_authenticate(c, out)) != E_OK || (e = the_one(c, &one)) != E_OK)
		return e;
	out->status = 200;
	page_open(c, what_is(one.profile), out);
	put_credential(&out->body, &one, c->now);
	if (!one.revoked && c->now <= one.to)
		e = put_revoke_form(c, &out->body);
	return e == E_OK ? page_close(out) : e;
}

enum err
page_revoke(struct call *c, struct est_reply *out)
{
	struct roll_credential one;
	struct own_wish w = { .serial = "" };
	struct form f;
	const char *reason;
	enum err e;

	if ((e = page_form(c, &f, out)) != E_OK || (e = the_one(c, &one)) != E_OK)
		return e;
	if (form_get(&f, "sure") == NULL)
		return refuse(REFUSE_BAD_BODY, "the box that says that this cannot be undone was not ticked");
	reason = form_get(&f, "reason");
	if ((w.reason = reason ? crl_reason(reason) : -1) < 0)
		return refuse(REFUSE_BAD_BODY, "that is not a reason for which a person's certificate is revoked");
	memcpy(w.serial, one.serial, sizeof w.serial);
	if ((e = own_give_up(c->i, c->rq, c->now, &c->id, &w)) != E_OK)
		return e;
	out->status = 200;
	page_open(c, "Revoked", out);
	html_put(&out->body,
	    "<p role=\"status\">The credential <code>%s</code> is revoked, and the list of revoked "
	    "certificates has it.</p><p><a href=\"/\">My credentials</a></p>\n",
	    w.serial);
	return page_close(out);
}
