/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What administrators see. They are recognised by the certificate that has just passed PKI-AUTH; an account that was
 * suspended or terminated takes that away at once, whatever the configuration still says. There is nothing to change
 * here, that is dpiv-issuer's verbs' work on the machine itself.
 */
#include <stdio.h>

#include "derive/issuer/account.h"
#include "derive/issuer/crl.h"
#include "derive/issuer/page_int.h"
#include "derive/issuer/refuse.h"
#include "derive/issuer/roll.h"
#include "derive/issuer/upstream.h"

/* A table that is too wide for a telephone scrolls in its box, which the keyboard must reach. */
static void
table_open(struct wbuf *w, const char *id, const char *title)
{
	html_put(w,
	    "<h2 id=\"%s\">%s</h2>\n<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-labelledby=\"%s\">"
	    "<table><thead><tr>",
	    id, title, id);
}

static void
table_columns(struct wbuf *w, const char *const *names)
{
	for (; *names; names++)
		html_put(w, "<th scope=\"col\">%s</th>", *names);
	html_put(w, "</tr></thead><tbody>\n");
}

static enum err
account_row(void *arg, const struct roll_account *a)
{
	html_put(arg, "<tr><th scope=\"row\">%d</th><td><bdi>%s</bdi></td><td>%s</td><td>%d</td><td>%d</td></tr>\n",
	    a->id, a->name, a->status, a->cards, a->active);
	return E_OK;
}

static enum err
event_row(void *arg, const struct roll_event *ev)
{
	html_put(arg, "<tr><td>");
	page_time(arg, ev->at);
	html_put(arg,
	    "</td><td>%s</td><td>%s</td><td><bdi>%s</bdi></td><td>%s</td><td>%s</td><td><bdi>%s</bdi></td></tr>\n",
	    ev->what, ev->code, ev->name, ev->serial, ev->peer, ev->detail);
	return E_OK;
}

static enum err
put_attention(struct call *c, struct wbuf *w)
{
	struct roll_attention at = { 0 };
	const struct {
		int64_t *n;
		const char *text;
	} rows[] = {
		{ &at.refused, "Requests refused in the last 24 hours" },
		{ &at.suspended, "Suspended accounts" },
		{ &at.mail, "Notices that could not be delivered so far" },
		{ &at.expiring, "Credentials that expire soon and have no successor" },
	};
	enum err e = roll_attention(c->i->db, c->now, c->i->config.notice_days, &at);
	bool any = false;

	html_put(w, "<h2>Needs attention</h2>\n<ul>");
	if ((any = !upstream_is(c->i) && crl_stale(c->i->config.ca_crl, c->now, 2 * c->i->config.crl_hours)))
		html_put(w, "<li>The list of revoked certificates is not up to date.</li>");
	for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++)
		if (*rows[k].n > 0) {
			html_put(w, "<li>%s: %d</li>", rows[k].text, (int)*rows[k].n);
			any = true;
		}
	html_put(w, any ? "</ul>\n" : "<li>Nothing.</li></ul>\n");
	return e;
}

enum err
page_admin(struct call *c, struct est_reply *out)
{
	static const char *const accounts[] = { "Number", "Name", "Status", "Cards", "Valid credentials", NULL };
	static const char *const events[] = { "Time", "What", "Code", "Person", "Serial number", "From", "Details",
		NULL };
	struct wbuf *w = &out->body;
	struct account own;
	enum err e = est_authenticate(c, out);

	if (e != E_OK)
		return e;
	if (!page_admin_is(c))
		return refuse(REFUSE_NOT_ADMIN, "this card is not one of an administrator");
	if ((e = account_find(c->i->db, c->rq->peer, &c->id, &own)) != E_OK ||
	    (own.id != 0 && (e = account_check_status(&own)) != E_OK))
		return e;
	out->status = 200;
	page_open(c, "Administration", out);
	e = put_attention(c, w);
	table_open(w, "accounts", "Accounts, the newest first");
	table_columns(w, accounts);
	if (e == E_OK)
		e = roll_accounts(c->i->db, c->now, account_row, w);
	html_put(w, "</tbody></table></div>\n");
	table_open(w, "events", "Events, the newest first");
	table_columns(w, events);
	if (e == E_OK)
		e = roll_events(c->i->db, event_row, w);
	html_put(w, "</tbody></table></div>\n");
	return e == E_OK ? page_close(out) : e;
}
