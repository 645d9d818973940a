/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Binding codes, between the network and their tables. What a code is good for is decided when it is given: the person
 * by the card, the roles by what was asked for and the site allows. When it is used, the account must still be active
 * and the card's path as good as on the day of a renewal; names come from account and card. The code itself is in no
 * note and no event; it leaves this file in the one answer to the card.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/err.h>

#include "base/text.h"
#include "derive/issuer/account.h"
#include "derive/issuer/bind.h"
#include "derive/issuer/ledger.h"
#include "derive/issuer/note.h"
#include "derive/issuer/pkiauth.h"
#include "derive/issuer/profile.h"
#include "derive/issuer/refuse.h"

#define BODY_MAX  1024
#define BASIC_MAX 512

/* --- giving ------------------------------------------------------------------------------------------------------- */

bool
bind_offered(const struct config *c, const struct profile *p)
{
	if (!p->both)
		return config_list_has(c->bind_roles, p->name);
	return c->one_certificate != NULL && config_list_has(c->bind_roles, "sign") &&
	    config_list_has(c->bind_roles, "encrypt");
}

enum err
bind_wish_add(const struct config *c, struct bind_wish *w, const char *name)
{
	const struct profile *p = name != NULL && name[0] != '\0' ? profile_find(name) : NULL;

	if (p == NULL || (p->both && c->one_certificate == NULL))
		return refuse(REFUSE_BAD_BODY, "a role that is asked for does not exist here");
	if (!bind_offered(c, p))
		return refuse(
		    REFUSE_CODE_ROLE, "binding codes are not given for %s here; derive it with the card", p->name);
	for (size_t k = 0; k < w->n; k++)
		if (w->role[k] == p->name)
			return E_OK;
	if (w->n >= BIND_ROLES_MAX)
		return refuse(REFUSE_BAD_BODY, "too many roles");
	w->role[w->n++] = p->name;
	return E_OK;
}

static enum err
wish_read(const struct config *c, struct span body, struct bind_wish *w)
{
	json_t *j = NULL, *roles, *role;
	size_t k;
	enum err e = E_OK;

	memset(w, 0, sizeof *w);
	if (body.n > BODY_MAX)
		return refuse(REFUSE_TOO_LARGE, "a request for a binding code has at most %d bytes", BODY_MAX);
	if (body.n > 0)
		j = json_loadb((const char *)body.p, body.n, JSON_REJECT_DUPLICATES, NULL);
	roles = json_object_get(j, "roles");
	if (body.n > 0 && (!json_is_object(j) || (roles != NULL && !json_is_array(roles))))
		e = refuse(REFUSE_BAD_BODY, "the request is not {\"roles\":[...]}");
	json_array_foreach(roles, k, role) if (e == E_OK) e = bind_wish_add(c, w, json_string_value(role));
	if (e == E_OK && w->n == 0)
		e = bind_wish_add(c, w, "auth");
	json_decref(j);
	return e;
}

static enum err
write_answer(const struct issuer *i, const char *plain, const struct bind_wish *w, const char *name, time_t expires,
    struct wbuf *out)
{
	char text[BINDCODE_TEXT], when[TEXT_UTC_MAX];
	json_t *roles = json_array(), *j;
	char *dump = NULL;

	for (size_t k = 0; k < w->n; k++)
		json_array_append_new(roles, json_string(w->role[k]));
	j = json_pack("{s:s,s:s,s:I,s:o,s:s}", "code", bindcode_show(plain, text), "expires", text_utc(expires, when),
	    "seconds", (json_int_t)i->config.bind_minutes * 60, "roles", roles, "name", name);
	if (j != NULL)
		dump = json_dumps(j, JSON_COMPACT);
	if (dump != NULL) {
		wbuf_put(out, dump, strlen(dump));
		OPENSSL_cleanse(dump, strlen(dump));
	}
	free(dump);
	json_decref(j);
	OPENSSL_cleanse(text, sizeof text);
	return dump != NULL && !out->bad ? E_OK : err_set(E_NOMEM, "out of memory");
}

/* Account, code and event, all or nothing. */
static enum err
give(struct issuer *i, const struct est_request *rq, const struct pivid *id, const struct bind_wish *w, time_t now,
    time_t expires, char plain[BINDCODE_PLAIN])
{
	const struct account_rules rules = { i->config.listed, i->config.email_from_upn };
	struct account account;
	struct bindstore_grant g = { .card_sha256 = id->sha256, .roles = w->role, .expires = expires, .key = i->codes };
	char detail[200], when[TEXT_UTC_MAX];
	int used = 0;
	enum err e;

	if ((e = account_for_card(i->db, &rules, rq->peer, id, now, &account)) != E_OK)
		return e;
	g.account = account.id;
	if ((e = bindstore_give(i->db, &g, now, plain)) != E_OK)
		return e;
	for (size_t k = 0; k < w->n; k++)
		used += snprintf(detail + used, sizeof detail - (size_t)used, "%s%.20s", k > 0 ? "," : "", w->role[k]);
	(void)snprintf(detail + used, sizeof detail - (size_t)used, " until %s", text_utc(expires, when));
	return ledger_event_add(i->db,
	    &(const struct ledger_event){ .what = "code-given",
		.notice = "code",
		.account = account.id,
		.card = id->sha256,
		.peer = rq->from,
		.detail = detail },
	    now);
}

enum err
bind_make(struct issuer *i, const struct est_request *rq, const struct pivid *id, const struct bind_wish *w, time_t now,
    time_t *expires, char plain[BINDCODE_PLAIN])
{
	enum err e = db_begin(i->db);

	*expires = now + (time_t)i->config.bind_minutes * 60;
	if (e == E_OK && (e = db_end(i->db, give(i, rq, id, w, now, *expires, plain))) == E_OK)
		note("code-given", "peer=%s", rq->from ? rq->from : "-");
	return e;
}

enum err
bind_give(struct issuer *i, const struct est_request *rq, const struct pivid *id, time_t now, struct wbuf *out)
{
	char plain[BINDCODE_PLAIN];
	struct bind_wish w;
	time_t expires;
	enum err e;

	if ((e = wish_read(&i->config, rq->body, &w)) != E_OK)
		return e;
	if ((e = bind_make(i, rq, id, &w, now, &expires, plain)) == E_OK)
		e = write_answer(i, plain, &w, id->subject, expires, out);
	OPENSSL_cleanse(plain, sizeof plain);
	return e;
}

/* --- using -------------------------------------------------------------------------------------------------------- */

enum err
bind_basic(const char *header, char plain[BINDCODE_PLAIN])
{
	WBUF_AUTO text = { 0 };
	const uint8_t *colon = NULL;
	struct span b64 = SPAN_NONE;
	enum err e;

	wbuf_init(&text, BASIC_MAX);
	if (strncasecmp(header, "Basic ", 6) == 0)
		b64 = span_str(&header[6]);
	if (b64.n > 0 && b64.n <= BASIC_MAX && text_unbase64(b64, &text) && !text.bad && text.n > 0)
		colon = memchr(text.p, ':', text.n);
	if (colon == NULL)
		return refuse(REFUSE_CODE_MISTYPED, "the Authorization header is not that of HTTP Basic");
	e = bindcode_read(span_of(colon + 1, text.n - (size_t)(colon + 1 - text.p)), plain);
	OPENSSL_cleanse(text.p, text.n);
	return e == E_POLICY ? refuse(REFUSE_CODE_MISTYPED, "%s", err_msg()) : e;
}

/* The value of one name between the ampersands, as it is: roles and hex need no decoding. */
static void
query_value(const char *query, const char *name, char *out, size_t cap)
{
	size_t n = strlen(name);

	out[0] = '\0';
	for (const char *p = query; *p != '\0'; p += strcspn(p, "&"), p += *p == '&') {
		size_t len = strcspn(p, "&");

		if (len > n && p[n] == '=' && memcmp(p, name, n) == 0 && len - n - 1 < cap)
			(void)snprintf(out, cap, "%.*s", (int)(len - n - 1), &p[n + 1]);
	}
}

void
bind_query_read(const char *query, struct bind_query *out)
{
	char role[16];
	const struct profile *p;

	query_value(query != NULL ? query : "", "role", role, sizeof role);
	query_value(query != NULL ? query : "", "key", out->key, sizeof out->key);
	p = role[0] != '\0' ? profile_find(role) : NULL;
	out->role = p != NULL ? p->name : NULL;
}

static enum err
read_card(struct issuer *i, time_t now, struct bind_person *p)
{
	WBUF_AUTO der = { 0 };
	const unsigned char *in;
	struct account a;
	enum err e;

	wbuf_init(&der, 1u << 20);
	if ((e = account_get(i->db, p->code.account, &a)) != E_OK || (e = account_check_status(&a)) != E_OK ||
	    (e = ledger_card_by_hash(i->db, p->code.account, p->code.card_sha256, &der)) != E_OK)
		return e;
	in = der.p;
	p->card = d2i_X509(NULL, &in, (long)der.n);
	ERR_clear_error();
	if (p->card == NULL)
		return err_set(E_STORE, "a card of account %lld in the ledger is damaged", (long long)p->code.account);
	e = pkiauth_check(i->trust, i->config.piv_policies, p->card, NULL, now, &p->id);
	return e == E_POLICY ? err_up(e, "the PIV card that asked for the code") : e;
}

enum err
bind_person_by(struct issuer *i, const struct bindstore_claim *claim, time_t now, struct bind_person *out)
{
	enum err e;

	memset(out, 0, sizeof *out);
	e = bindstore_check(i->db, claim, now, &out->code);
	return e == E_OK ? read_card(i, now, out) : e;
}

enum err
bind_person(struct issuer *i, const struct est_request *rq, const char *role, time_t now, struct bind_person *out)
{
	char plain[BINDCODE_PLAIN];
	const struct bindstore_claim claim = {
		.plain = plain, .role = role, .peer = rq->from, .tries = i->config.bind_tries
	};
	enum err e;

	memset(out, 0, sizeof *out);
	if ((e = bind_basic(rq->authorization, plain)) != E_OK)
		return e;
	e = bind_person_by(i, &claim, now, out);
	OPENSSL_cleanse(plain, sizeof plain);
	return e;
}

void
bind_person_clear(struct bind_person *p)
{
	X509_free(p->card);
	memset(p, 0, sizeof *p);
}
