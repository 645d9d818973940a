/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One forwarded request: its row, the judgement of the CA's answer, and the end of it in the ledger. The CA's
 * certificate is held against the profile by the same linter as one of our own; what another CA may choose for itself
 * are the serial number, the dates within the site's limit, the addresses of its CRL and the UUID, which must be new.
 * The certificate gets its serial number in the ledger in the transaction that records it; with it a binding code is
 * used up, an escrowed key is kept, and a revocation of the account that came in the meantime follows it.
 */
#include <stdio.h>
#include <string.h>
#include <openssl/err.h>

#include "derive/issuer/account.h"
#include "derive/issuer/ledger.h"
#include "derive/issuer/lint.h"
#include "derive/issuer/note.h"
#include "derive/issuer/pivid.h"
#include "derive/issuer/refuse.h"
#include "derive/issuer/upstream_run.h"
#include "derive/issuer/x509io.h"

#define BLOB_MAX (1u << 20)

/* --- the row ------------------------------------------------------------------------------------------------------ */

static void
copy(char *out, size_t cap, struct db_rows *q, int column)
{
	(void)snprintf(out, cap, "%s", db_col_text(q, column));
}

static enum err
fetch(struct issuer *i, time_t now, struct upstream_job *j)
{
	struct db_rows *q = NULL;
	bool row = false;
	enum err e = db_query(i->db, &q,
	    "SELECT ask, profile, card_sha256, account, code, policy, uuid, upn, email, peer, detail, notice, way, "
	    "csr, kept,"
	    " sent FROM upstream WHERE state = 'open' AND wanted = 1 AND due <= ?1 AND claimed <= ?1"
	    " ORDER BY created, ask LIMIT 1",
	    DB_ARGS(db_int(now)));

	if (e == E_OK)
		e = db_next(q, &row);
	if (e == E_OK && !row)
		e = err_set(E_NOTFOUND, "nothing waits for the CA");
	if (e == E_OK) {
		copy(j->ask, sizeof j->ask, q, 0);
		copy(j->profile, sizeof j->profile, q, 1);
		copy(j->card_sha256, sizeof j->card_sha256, q, 2);
		j->account = db_col_int(q, 3);
		j->code = db_col_int(q, 4);
		copy(j->policy, sizeof j->policy, q, 5);
		copy(j->uuid, sizeof j->uuid, q, 6);
		copy(j->upn, sizeof j->upn, q, 7);
		copy(j->email, sizeof j->email, q, 8);
		copy(j->peer, sizeof j->peer, q, 9);
		copy(j->detail, sizeof j->detail, q, 10);
		copy(j->notice, sizeof j->notice, q, 11);
		copy(j->way, sizeof j->way, q, 12);
		wbuf_span(&j->csr, db_col_blob(q, 13));
		wbuf_span(&j->kept, db_col_blob(q, 14));
		wbuf_span(&j->sent, db_col_blob(q, 15));
	}
	db_done(&q);
	return e;
}

static enum err
claim(struct issuer *i, time_t now, long seconds, struct upstream_job *j)
{
	enum err e = fetch(i, now, j);

	if (e == E_OK)
		e = db_run(i->db, "UPDATE upstream SET claimed = ? WHERE ask = ? AND claimed <= ?",
		    DB_ARGS(db_int(now + seconds), db_text(j->ask), db_int(now)));
	return e == E_OK && db_changed(i->db) != 1 ? err_set(E_NOTFOUND, "another process has it") : e;
}

static enum err
unpack(struct issuer *i, struct upstream_job *j)
{
	WBUF_AUTO card = { 0 };
	const unsigned char *p = j->csr.p, *c;
	enum err e;

	wbuf_init(&card, BLOB_MAX);
	if ((e = ledger_card_by_hash(i->db, j->account, j->card_sha256, &card)) != E_OK)
		return e;
	c = card.p;
	j->card = d2i_X509(NULL, &c, (long)card.n);
	j->req = j->csr.n > 0 ? d2i_X509_REQ(NULL, &p, (long)j->csr.n) : NULL;
	p = j->csr.p;
	if (j->req == NULL && j->csr.n > 0) /* the key alone: its proof of possession had another form */
		j->own_pub = d2i_PUBKEY(NULL, &p, (long)j->csr.n);
	ERR_clear_error();
	j->pub = j->req != NULL ? X509_REQ_get0_pubkey(j->req) : j->own_pub;
	j->row = profile_find(j->profile);
	if (j->card == NULL || j->pub == NULL || j->row == NULL)
		return err_crypto(E_STORE, "a request for the CA in the ledger is damaged");
	j->values = (struct profile_values){ .policy = j->policy, .uuid = j->uuid, .upn = j->upn, .email = j->email };
	return E_OK;
}

enum err
upstream_claim(struct issuer *i, time_t now, long seconds, struct upstream_job *out)
{
	enum err e;

	memset(out, 0, sizeof *out);
	wbuf_init(&out->csr, BLOB_MAX);
	wbuf_init(&out->kept, BLOB_MAX);
	wbuf_init(&out->sent, BLOB_MAX);
	if ((e = db_begin(i->db)) == E_OK)
		e = db_end(i->db, claim(i, now, seconds, out));
	if (e == E_OK)
		e = unpack(i, out);
	if (e != E_OK)
		upstream_job_clear(out);
	return e;
}

void
upstream_job_clear(struct upstream_job *j)
{
	X509_free(j->card);
	X509_REQ_free(j->req);
	EVP_PKEY_free(j->own_pub);
	wbuf_free(&j->csr);
	wbuf_free(&j->kept);
	wbuf_free(&j->sent);
	memset(j, 0, sizeof *j);
}

/* --- the answer --------------------------------------------------------------------------------------------------- */

enum err
upstream_judge(struct issuer *i, struct upstream_job *j, X509 *cert)
{
	WBUF_AUTO subject = { 0 }, spki = { 0 }, der = { 0 };
	struct lint_expect want = { .profile = j->row, .values = &j->values, .ca = i->ca, .foreign = true };
	struct pivid card;
	enum err e;

	wbuf_init(&subject, 65536);
	wbuf_init(&spki, 65536);
	wbuf_init(&der, BLOB_MAX);
	if ((e = pivid_read(j->card, &card)) != E_OK ||
	    (e = x509io_name_der(X509_get_subject_name(j->card), &subject)) != E_OK ||
	    (e = x509io_spki_der(j->pub, &spki)) != E_OK || (e = x509io_cert_der(cert, &der)) != E_OK)
		return e;
	want.subject = wbuf_view(&subject);
	want.spki = wbuf_view(&spki);
	want.max_days = i->config.days;
	want.card_uuid = card.uuid;
	e = lint_check(wbuf_view(&der), &want);
	j->wrong |= e == E_POLICY || e == E_PROTO;
	return e;
}

/* --- the end ------------------------------------------------------------------------------------------------------ */

static enum err
event(struct issuer *i, const struct upstream_job *j, const char *what, const char *serial, const char *notice,
    const char *detail, time_t now)
{
	const struct ledger_event ev = { .what = what,
		.notice = notice,
		.account = j->account,
		.serial = serial,
		.card = j->card_sha256,
		.peer = j->peer[0] ? j->peer : NULL,
		.detail = detail };

	return ledger_event_add(i->db, &ev, now);
}

/* The reserved row becomes that of the certificate. */
static enum err
rename_row(struct issuer *i, const struct upstream_job *j, X509 *cert, const char *serial, struct span der)
{
	time_t from = 0, to = 0;
	struct pivid id;
	enum err e = pivid_read(cert, &id);

	if (e != E_OK)
		return e;
	if (!x509io_time(X509_get0_notBefore(cert), &from) || !x509io_time(X509_get0_notAfter(cert), &to))
		return err_set(E_PROTO, "the certificate's dates cannot be read");
	e = db_run(i->db,
	    "UPDATE certificate SET serial = ?, uuid = ?, not_before = ?, not_after = ?, state = 'issued', der = ?"
	    " WHERE serial = ? AND state = 'pending'",
	    DB_ARGS(db_text(serial), db_text(j->row->uuid ? id.uuid : NULL), db_int(from), db_int(to), db_blob(der),
		db_text(j->ask)));
	if (e == E_OK && db_changed(i->db) != 1)
		e = err_set(E_NOTFOUND, "the request %s is not open any more", j->ask);
	return e;
}

static enum err
record(struct issuer *i, const struct upstream_job *j, X509 *cert, const char *serial, struct span der, time_t now)
{
	const struct bindstore_code code = { .id = j->code, .account = j->account };
	const struct escrow_row row = { wbuf_view(&j->kept), wbuf_view(&j->sent), j->way };
	enum err e;

	if ((e = rename_row(i, j, cert, serial, der)) != E_OK ||
	    (e = db_run(i->db, "UPDATE revocation SET serial = ? WHERE serial = ?",
		 DB_ARGS(db_text(serial), db_text(j->ask)))) != E_OK ||
	    (j->code != 0 && (e = bindstore_use(i->db, &code, j->profile, serial, now)) != E_OK) ||
	    (j->way[0] && (e = escrow_put(i, serial, j->account, &row, now)) != E_OK) ||
	    (e = db_run(i->db,
		 "UPDATE upstream SET state = 'issued', serial = ?, ended = ?, wanted = 1, kept = NULL, sent = NULL"
		 " WHERE ask = ?",
		 DB_ARGS(db_text(serial), db_int(now), db_text(j->ask)))) != E_OK)
		return e;
	return event(i, j, "issued", serial, j->notice, j->detail, now);
}

enum err
upstream_issued(struct issuer *i, struct upstream_job *j, X509 *cert, time_t now)
{
	char serial[X509IO_SERIAL_MAX];
	WBUF_AUTO der = { 0 };
	enum err e;

	wbuf_init(&der, BLOB_MAX);
	x509io_serial_text(X509_get0_serialNumber(cert), serial, sizeof serial);
	if ((e = x509io_cert_der(cert, &der)) == E_OK && (e = db_begin(i->db)) == E_OK)
		e = db_end(i->db, record(i, j, cert, serial, wbuf_view(&der), now));
	if (e == E_EXISTS)
		e = err_set(E_POLICY, "its serial number or its UUID was used before");
	else if (e == E_NOTFOUND)
		e = err_up(E_POLICY, "nobody waits for it any more");
	j->wrong |= e == E_POLICY;
	if (e == E_OK)
		note("issued", "serial=%s profile=%s account=%lld peer=%s by=%s", serial, j->profile,
		    (long long)j->account, j->peer[0] ? j->peer : "-", i->config.up.url);
	return e;
}

static enum err
end(struct issuer *i, const struct upstream_job *j, X509 *cert, const char *why, time_t now)
{
	const char *state = cert != NULL ? "wrong" : "refused";
	enum err e = db_run(i->db,
	    "UPDATE upstream SET state = ?, ended = ?, wanted = 0, why = ?, kept = NULL, sent = NULL"
	    " WHERE ask = ? AND state = 'open'",
	    DB_ARGS(db_text(state), db_int(now), db_text(why), db_text(j->ask)));

	if (e == E_OK)
		e = ledger_abandon(i->db, j->ask);
	if (e == E_NOTFOUND)
		e = E_OK;
	if (e == E_OK)
		e = event(i, j, cert != NULL ? "ca-wrong" : "ca-refused", j->ask, NULL, why, now);
	if (e == E_OK && cert != NULL)
		e = upstream_revoke_add(i, cert, why, now);
	return e;
}

enum err
upstream_ended(struct issuer *i, struct upstream_job *j, X509 *cert, time_t now)
{
	char why[600];
	enum err e;

	(void)snprintf(why, sizeof why, "%s", err_msg());
	note(cert != NULL ? "ca-wrong" : "ca-refused", "ask=%s account=%lld %s", j->ask, (long long)j->account, why);
	if ((e = db_begin(i->db)) != E_OK)
		return e;
	return db_end(i->db, end(i, j, cert, why, now));
}

enum err
upstream_later(struct issuer *i, struct upstream_job *j, bool waits, long seconds, time_t now)
{
	char why[600];

	(void)snprintf(why, sizeof why, "%s", err_msg());
	note(waits ? "ca-pending" : "ca-unavailable", "ask=%s account=%lld %s", j->ask, (long long)j->account, why);
	return db_run(i->db,
	    "UPDATE upstream SET wanted = 0, claimed = 0, due = ?, waits = ?, why = ?, tries = tries + 1"
	    " WHERE ask = ? AND state = 'open'",
	    DB_ARGS(db_int(now + seconds), db_int(waits), db_text(why), db_text(j->ask)));
}

enum err
upstream_release(struct issuer *i, const struct upstream_job *j)
{
	return db_run(i->db, "UPDATE upstream SET claimed = 0 WHERE ask = ?", DB_ARGS(db_text(j->ask)));
}

#define FORGET (31L * 86400)

static enum err
forget(struct issuer *i, time_t now)
{
	enum err e = db_run(i->db,
	    "UPDATE certificate SET state = 'abandoned' WHERE state = 'pending' AND serial IN"
	    " (SELECT ask FROM upstream WHERE state = 'open' AND wanted = 0 AND due < ?)",
	    DB_ARGS(db_int(now - FORGET)));

	return e != E_OK ? e
			 : db_run(i->db,
			       "UPDATE upstream SET state = 'lost', ended = ?, kept = NULL, sent = NULL"
			       " WHERE state = 'open' AND wanted = 0 AND due < ?",
			       DB_ARGS(db_int(now), db_int(now - FORGET)));
}

enum err
upstream_forget(struct issuer *i, time_t now)
{
	enum err e = db_begin(i->db);

	return e == E_OK ? db_end(i->db, forget(i, now)) : e;
}
