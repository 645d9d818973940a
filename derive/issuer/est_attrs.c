/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * csrattrs (RFC 7030, 4.5; RFC 8951, 3.2): challengePassword, which asks for the channel binding, announced also where
 * it is not required: who can, binds, and what is there is checked (RFC 7030, 3.5). Where another CA issues and takes
 * the names from the request, whoever has shown a card or a binding code gets theirs, to be put into it (RFC
 * 9908, 3.2).
 */
#include <stdio.h>

#include "derive/issuer/account.h"
#include "derive/issuer/est_int.h"
#include "derive/issuer/issue.h"
#include "derive/issuer/upstream.h"

/* The account as a request of this card would have it. Nothing is written. */
static enum err
card_account(struct call *c, struct account *a)
{
	const struct account_rules rules = { c->i->config.listed, c->i->config.email_from_upn };
	enum err e = db_begin(c->i->db);

	if (e != E_OK)
		return e;
	e = account_for_card(c->i->db, &rules, c->rq->peer, &c->id, c->now, a);
	return db_end(c->i->db, e == E_OK ? E_CANCELED : e) == E_CANCELED ? E_OK : e;
}

static enum err
code_account(struct call *c, struct account *a, struct est_reply *out)
{
	struct bind_person who = { .card = NULL };
	enum err e = est_authenticate_code(c, c->profile->name, &who, out);

	if (e == E_OK)
		e = account_get(c->i->db, who.code.account, a);
	bind_person_clear(&who);
	return e;
}

/* *known: the person is, and out has their attributes. */
static enum err
names(struct call *c, struct est_reply *out, struct wbuf *attrs, bool *known)
{
	char uuid[TEXT_UUID_MAX];
	struct profile_values v = { .uuid = uuid };
	struct account a;
	enum err e = E_OK;

	*known = false;
	if (c->rq->peer == NULL && c->rq->authorization == NULL)
		return E_OK;
	if (c->rq->peer != NULL)
		e = est_authenticate(c, out); /* so that a waiting client is recognised, in any case */
	if (!upstream_wants_names(c->i) || e != E_OK)
		return e;
	e = c->rq->peer != NULL ? card_account(c, &a) : code_account(c, &a, out);
	if (e != E_OK || (e = issue_uuid(uuid)) != E_OK)
		return e;
	v.upn = a.upn;
	v.email = a.email;
	if (c->profile->mail && !pivid_email_ok(a.email))
		return E_OK; /* the enrolment says what is missing */
	*known = true;
	return upstream_wish_attrs(c->profile, &v, attrs);
}

enum err
est_csrattrs(struct call *c, struct est_reply *out)
{
	static const uint8_t plain[] = { 0x30, 0x0b, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x07 };
	WBUF_AUTO attrs = { 0 };
	bool known;
	enum err e;

	wbuf_init(&attrs, 65536);
	e = names(c, out, &attrs, &known);
	if (e != E_OK && e != E_POLICY)
		return e;
	return est_put_base64(
	    e == E_OK && known ? wbuf_view(&attrs) : span_of(plain, sizeof plain), out, "application/csrattrs");
}
