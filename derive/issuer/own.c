/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * People and their own certificates: see own.h. Whose a certificate is, the ledger says, by the account; a serial
 * number that does not exist and one of somebody else get the same answer. To give something up is allowed in any state
 * of the account; to bring a new card is not. The answer to a revocation leaves after the CRL that has it, so that
 * "done" is true for everybody, and a list that could not be written is written when the client asks again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jansson.h>
#include <openssl/err.h>

#include "base/text.h"
#include "derive/issuer/account.h"
#include "derive/issuer/crl.h"
#include "derive/issuer/note.h"
#include "derive/issuer/own.h"
#include "derive/issuer/pkiauth.h"
#include "derive/issuer/refuse.h"
#include "derive/issuer/upstream.h"
#include "derive/issuer/x509io.h"

#define BODY_MAX 1024

/* --- who asks ----------------------------------------------------------------------------------------------------- */

enum err
own_cert(struct issuer *i, X509 *cert, char *serial, struct ledger_found *row)
{
	WBUF_AUTO der = { 0 };
	enum err e;

	wbuf_init(&der, 1u << 20);
	x509io_serial_text(X509_get0_serialNumber(cert), serial, X509IO_SERIAL_MAX);
	e = ledger_find(i->db, serial, row);
	if (e == E_OK)
		e = x509io_cert_der(cert, &der);
	if (e == E_OK && !span_eq(wbuf_view(&der), wbuf_view(&row->der)))
		e = err_set(E_NOTFOUND, "another certificate has the serial number %s here", serial);
	return e;
}

static enum err
by_card(struct issuer *i, const struct est_request *rq, time_t now, struct pivid *id, int64_t *account)
{
	struct account a;
	enum err e = pkiauth_check(i->trust, i->config.piv_policies, rq->peer, rq->peer_chain, now, id);

	if (e == E_OK)
		e = account_find(i->db, rq->peer, id, &a);
	if (e == E_OK && a.id == 0)
		e = refuse(REFUSE_UNKNOWN_ACCOUNT, "no account for %s here", id->subject);
	*account = e == E_OK ? a.id : 0;
	return e;
}

/* The account of whoever has signed the handshake. serial: what it is about. */
static enum err
who(struct issuer *i, const struct est_request *rq, const char *serial, time_t now, struct pivid *id, int64_t *account)
{
	char own[X509IO_SERIAL_MAX];
	struct ledger_found row = { 0 };
	time_t to;
	enum err e;

	if (rq->peer == NULL)
		return refuse(REFUSE_NO_CERTIFICATE,
		    "a revocation is asked for by the credential itself or by the PIV card, in the TLS handshake, and "
		    "none was shown");
	wbuf_init(&row.der, 1u << 20);
	e = own_cert(i, rq->peer, own, &row);
	*account = row.account;
	if (e == E_NOTFOUND)
		e = by_card(i, rq, now, id, account);
	else if (e == E_OK && row.revoked && strcmp(own, serial) != 0)
		e = refuse(REFUSE_REVOKED, "the certificate %s that asks is revoked itself; use the PIV card", own);
	else if (e == E_OK && (!x509io_time(X509_get0_notAfter(rq->peer), &to) || now > to))
		e = refuse(REFUSE_EXPIRED, "the certificate %s that asks has expired; use the PIV card", own);
	wbuf_free(&row.der);
	return e;
}

/* --- revoking ----------------------------------------------------------------------------------------------------- */

enum err
own_wish_read(struct span body, struct own_wish *w)
{
	json_t *j = NULL;
	const char *serial, *reason;
	enum err e = E_OK;

	memset(w, 0, sizeof *w);
	if (body.n > BODY_MAX)
		return refuse(REFUSE_TOO_LARGE, "a request for a revocation has at most %d bytes", BODY_MAX);
	if (body.n > 0)
		j = json_loadb((const char *)body.p, body.n, JSON_REJECT_DUPLICATES, NULL);
	serial = json_string_value(json_object_get(j, "serial"));
	reason = json_object_get(j, "reason") == NULL ? "unspecified" : json_string_value(json_object_get(j, "reason"));
	w->reason = reason != NULL ? crl_reason(reason) : -1;
	if (serial == NULL || !x509io_serial_read(serial, w->serial, sizeof w->serial))
		e = refuse(REFUSE_BAD_BODY, "the request is not {\"serial\":\"HEX\",\"reason\":\"NAME\"}");
	else if (w->reason < 0)
		e = refuse(REFUSE_BAD_BODY, "that is not a reason for which a person's certificate is revoked");
	json_decref(j);
	return e;
}

static enum err
revoke(struct issuer *i, const struct est_request *rq, const struct own_wish *w, const struct pivid *id, time_t now)
{
	enum err e = ledger_revoke(i->db, w->serial, w->reason, false, now);

	return e != E_OK ? e
			 : ledger_event_add(i->db,
			       &(const struct ledger_event){ .what = "revoked",
				   .notice = "revoked",
				   .account = w->account,
				   .serial = w->serial,
				   .card = id->sha256[0] ? id->sha256 : NULL,
				   .peer = rq->from,
				   .detail = crl_reason_name(w->reason) },
			       now);
}

/* Once; then when and why it was. */
static enum err
revoke_once(struct issuer *i, const struct est_request *rq, struct own_wish *w, const struct pivid *id, time_t now)
{
	enum err e = db_begin(i->db);

	if (e != E_OK)
		return e;
	e = ledger_revoked(i->db, w->serial, &w->at, &w->reason);
	if (e == E_NOTFOUND) {
		w->at = now;
		e = revoke(i, rq, w, id, now);
		if (e == E_OK)
			note("revoked", "serial=%s reason=%s peer=%s", w->serial, crl_reason_name(w->reason),
			    rq->from ? rq->from : "-");
	}
	return db_end(i->db, e);
}

static enum err
put_json(json_t *j, struct wbuf *out)
{
	char *dump = j != NULL ? json_dumps(j, JSON_COMPACT) : NULL;

	if (dump != NULL)
		wbuf_put(out, dump, strlen(dump));
	json_decref(j);
	free(dump);
	return dump != NULL && !out->bad ? E_OK : err_set(E_NOMEM, "out of memory");
}

enum err
own_give_up(struct issuer *i, const struct est_request *rq, time_t now, struct pivid *id, struct own_wish *w)
{
	struct ledger_found row = { 0 };
	enum err e;

	if ((e = who(i, rq, w->serial, now, id, &w->account)) != E_OK)
		return e;
	wbuf_init(&row.der, 1u << 20);
	e = ledger_find(i->db, w->serial, &row);
	if (e == E_NOTFOUND || (e == E_OK && row.account != w->account))
		e = refuse(REFUSE_NOT_YOURS, "no certificate of yours has the serial number %s", w->serial);
	wbuf_free(&row.der);
	if (e == E_OK)
		e = revoke_once(i, rq, w, id, now);
	if (e == E_OK && upstream_is(i))
		return upstream_revoked(i, w->serial, now);
	if (e == E_OK && !crl_lists(i->config.ca_crl, w->serial, now))
		e = issuer_refresh_crls(i, now, true);
	return e;
}

enum err
own_revoke(struct issuer *i, const struct est_request *rq, time_t now, struct pivid *id, struct wbuf *out)
{
	char when[TEXT_UTC_MAX];
	struct own_wish w;
	enum err e;

	if ((e = own_wish_read(rq->body, &w)) != E_OK || (e = own_give_up(i, rq, now, id, &w)) != E_OK)
		return e;
	return put_json(json_pack("{s:s,s:s,s:s}", "serial", w.serial, "reason", crl_reason_name(w.reason), "at",
			    text_utc(w.at, when)),
	    out);
}

/* --- listing ------------------------------------------------------------------------------------------------------ */

struct listing {
	const struct account *account;
	const struct pivid *card;
	X509 *piv;
	json_t *list;
};

/* What the account says otherwise than the certificate. An address or UPN that it does not have is no reason. */
static json_t *
changed(const struct listing *l, X509 *cert, const struct pivid *its)
{
	json_t *out = json_array();

	if (X509_NAME_cmp(X509_get_subject_name(cert), X509_get_subject_name(l->piv)) != 0)
		json_array_append_new(out, json_string("subject"));
	if (its->upn[0] != '\0' && l->card->upn[0] != '\0' && strcmp(its->upn, l->card->upn) != 0)
		json_array_append_new(out, json_string("upn"));
	if (its->email[0] != '\0' && l->account->email[0] != '\0' && strcmp(its->email, l->account->email) != 0)
		json_array_append_new(out, json_string("email"));
	return out;
}

static enum err
list_one(void *arg, const char *serial, const char *profile, struct span der)
{
	struct listing *l = arg;
	const unsigned char *p = der.p;
	X509 *x = der.n > 0 ? d2i_X509(NULL, &p, (long)der.n) : NULL;
	struct pivid its;
	enum err e = x != NULL ? pivid_read(x, &its) : err_set(E_STORE, "a certificate in the ledger is damaged");

	ERR_clear_error();
	if (e == E_OK)
		json_array_append_new(l->list,
		    json_pack("{s:s,s:s,s:o}", "serial", serial, "role", profile, "changed", changed(l, x, &its)));
	X509_free(x);
	return e;
}

/* The account as it is; a card that it does not have yet is written down. */
static enum err
own_account(struct issuer *i, const struct est_request *rq, time_t now, struct pivid *id, struct account *a)
{
	const struct account_rules rules = { i->config.listed, i->config.email_from_upn };
	int64_t account;
	enum err e = by_card(i, rq, now, id, &account);

	if (e == E_OK)
		e = account_for_card(i->db, &rules, rq->peer, id, now, a);
	if (e == E_OK && a->new_card)
		e = ledger_event_add(i->db,
		    &(const struct ledger_event){ .what = "card-shown",
			.account = a->id,
			.card = id->sha256,
			.peer = rq->from,
			.detail = "the account has another card" },
		    now);
	return e;
}

enum err
own_list(struct issuer *i, const struct est_request *rq, time_t now, struct pivid *id, struct wbuf *out)
{
	struct account a;
	struct listing l = { .account = &a, .card = id, .piv = rq->peer };
	enum err e;

	if (rq->peer == NULL)
		return refuse(REFUSE_NO_CERTIFICATE, "the PIV card must be shown in the TLS handshake, and none was");
	if ((e = db_begin(i->db)) != E_OK || (e = db_end(i->db, own_account(i, rq, now, id, &a))) != E_OK)
		return e;
	l.list = json_array();
	e = ledger_each_valid(i->db, a.id, now, list_one, &l);
	if (e != E_OK) {
		json_decref(l.list);
		return e;
	}
	return put_json(json_pack("{s:s,s:o}", "name", id->subject, "certificates", l.list), out);
}
