/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Revocations for another CA. Whoever revokes, and by whatever way, writes a row into the ledger's table of
 * revocations; here each of them is taken to the CA once (CMP: rr, RFC 9810, 5.3.9). EST has no message for it: then,
 * and when the CA says no, an administrator has to do it there, and is told by 'dpiv-issuer status' for as long as it
 * is not done. Certificates that the CA has made and that were not wanted are revoked in the same way.
 */
#include <stdio.h>
#include <string.h>
#include <openssl/x509v3.h>

#include "derive/issuer/ledger.h"
#include "derive/issuer/note.h"
#include "derive/issuer/refuse.h"
#include "derive/issuer/upstream_run.h"
#include "derive/issuer/x509io.h"

#define NEVER	  INT64_MAX
#define CLAIM	  300
#define RETRY	  60	/* seconds, times the tries */
#define RETRY_MAX 14400 /* four hours */
#define BY_HAND	  "EST has no message for it: revoke it at the CA, and then tell 'dpiv-issuer upstream --revoked'"

static bool
by_hand(const struct issuer *i)
{
	return strcmp(i->config.up.protocol, "est") == 0;
}

enum err
upstream_collect(struct issuer *i, time_t now)
{
	const bool hand = by_hand(i);

	return db_run(i->db,
	    "INSERT INTO upstream_revocation (serial, der, reason, created, due, claimed, tries, why)"
	    " SELECT r.serial, c.der, r.reason, CAST(?1 AS BIGINT), CAST(?2 AS BIGINT), 0, 0, CAST(?3 AS TEXT) FROM "
	    "revocation r JOIN certificate c"
	    " ON c.serial = r.serial WHERE c.state = 'issued' AND r.serial NOT IN (SELECT serial FROM "
	    "upstream_revocation)",
	    DB_ARGS(db_int(now), db_int(hand ? NEVER : 0), db_text(hand ? BY_HAND : NULL)));
}

enum err
upstream_revoke_add(struct issuer *i, X509 *cert, const char *why, time_t now)
{
	char serial[X509IO_SERIAL_MAX], text[700];
	WBUF_AUTO der = { 0 };
	int64_t n = 0;
	enum err e;

	wbuf_init(&der, 1u << 20);
	x509io_serial_text(X509_get0_serialNumber(cert), serial, sizeof serial);
	/* somebody else's good certificate, in place of the wanted one, is not for us to revoke */
	if ((e = x509io_cert_der(cert, &der)) != E_OK ||
	    (e = db_number(i->db, &n,
		 "SELECT (SELECT count(*) FROM certificate WHERE serial = ?1 AND state = 'issued')"
		 " + (SELECT count(*) FROM upstream_revocation WHERE serial = ?1)",
		 DB_ARGS(db_text(serial)))) != E_OK ||
	    n > 0)
		return e;
	(void)snprintf(text, sizeof text, "never taken by anybody: %s%s%s", why, by_hand(i) ? "; " : "",
	    by_hand(i) ? BY_HAND : "");
	return db_run(i->db,
	    "INSERT INTO upstream_revocation (serial, der, reason, created, due, claimed, tries, why)"
	    " VALUES (?, ?, ?, ?, ?, 0, 0, ?)",
	    DB_ARGS(db_text(serial), db_blob(wbuf_view(&der)), db_int(CRL_REASON_CESSATION_OF_OPERATION), db_int(now),
		db_int(by_hand(i) ? NEVER : 0), db_text(text)));
}

struct job {
	char serial[X509IO_SERIAL_MAX];
	int reason;
	int64_t tries;
	X509 *cert;
};

static enum err
claim(struct issuer *i, time_t now, struct job *j)
{
	struct db_rows *q = NULL;
	bool row = false;
	enum err e = db_query(i->db, &q,
	    "SELECT serial, reason, tries, der FROM upstream_revocation WHERE done IS NULL AND due <= ?1 AND claimed "
	    "<= ?1"
	    " ORDER BY created, serial LIMIT 1",
	    DB_ARGS(db_int(now)));

	if (e == E_OK)
		e = db_next(q, &row);
	if (e == E_OK && row) {
		struct span der = db_col_blob(q, 3);
		const unsigned char *p = der.p;

		(void)snprintf(j->serial, sizeof j->serial, "%s", db_col_text(q, 0));
		j->reason = (int)db_col_int(q, 1);
		j->tries = db_col_int(q, 2);
		j->cert = der.n > 0 ? d2i_X509(NULL, &p, (long)der.n) : NULL;
	}
	db_done(&q);
	if (e == E_OK && row)
		e = db_run(i->db, "UPDATE upstream_revocation SET claimed = ? WHERE serial = ? AND claimed <= ?",
		    DB_ARGS(db_int(now + CLAIM), db_text(j->serial), db_int(now)));
	if (e == E_OK && row && db_changed(i->db) != 1)
		j->serial[0] = '\0'; /* another process has it */
	return e;
}

static enum err
done(struct issuer *i, const char *serial, const char *how, time_t now)
{
	const struct ledger_event ev = { .what = "ca-revoked", .serial = serial, .detail = how };
	enum err e = db_begin(i->db);

	if (e != E_OK)
		return e;
	e = db_run(i->db, "UPDATE upstream_revocation SET done = ? WHERE serial = ? AND done IS NULL",
	    DB_ARGS(db_int(now), db_text(serial)));
	if (e == E_OK && db_changed(i->db) != 1)
		e = err_set(E_NOTFOUND, "no revocation of %s waits for the CA", serial);
	if (e == E_OK)
		e = ledger_event_add(i->db, &ev, now);
	return db_end(i->db, e);
}

enum err
upstream_revoke_done(struct issuer *i, const char *serial, time_t now)
{
	enum err e = upstream_collect(i, now);

	return e == E_OK ? done(i, serial, "at the CA, says an administrator", now) : e;
}

static enum err
failed(struct issuer *i, const struct job *j, time_t now)
{
	long wait = RETRY * (long)(j->tries + 1);
	char why[600];

	(void)snprintf(why, sizeof why, "%s", err_msg());
	note("ca-not-revoked", "serial=%s %s", j->serial, why);
	return db_run(i->db,
	    "UPDATE upstream_revocation SET claimed = 0, due = ?, tries = tries + 1, why = ? WHERE serial = ?",
	    DB_ARGS(db_int(now + (wait < RETRY_MAX ? wait : RETRY_MAX)), db_text(why), db_text(j->serial)));
}

enum err
upstream_revoke_one(
    struct issuer *i, const struct proto *p, struct proto_conn *conn, const char *why, time_t now, bool *did)
{
	struct job j = { .cert = NULL };
	enum err e = db_begin(i->db), ca;

	if (e == E_OK)
		e = db_end(i->db, claim(i, now, &j));
	*did = e == E_OK && j.serial[0] != '\0';
	if (!*did)
		return e;
	ca = j.cert == NULL ? err_crypto(E_STORE, "a certificate in the ledger is damaged")
	    : why[0]	    ? err_set(E_NET, "%s", why)
			    : p->revoke(conn, j.cert, j.reason);
	if (ca == E_OK)
		note("ca-revoked", "serial=%s", j.serial);
	e = ca == E_OK ? done(i, j.serial, "revoked by the CA", now) : failed(i, &j, now);
	X509_free(j.cert);
	return e;
}

/* --- who asked for it waits --------------------------------------------------------------------------------------- */

enum err
upstream_revoked(struct issuer *i, const char *serial, time_t now)
{
	struct db_rows *q = NULL;
	bool row = false, is_done = false, tried = false;
	char why[400] = "";
	enum err e;

	if (by_hand(i))
		return E_OK;
	e = db_query(
	    i->db, &q, "SELECT done, due, why FROM upstream_revocation WHERE serial = ?", DB_ARGS(db_text(serial)));
	if (e == E_OK)
		e = db_next(q, &row);
	if (e == E_OK && row) {
		is_done = !db_col_null(q, 0);
		tried = db_col_int(q, 1) > (int64_t)now;
		(void)snprintf(why, sizeof why, "%s", db_col_text(q, 2));
	}
	db_done(&q);
	if (e != E_OK || is_done)
		return e;
	if (tried) {
		upstream_hold("");
		return refuse_later(REFUSE_CA_SILENT, RETRY,
		    "the revocation is recorded here, and the CA behind this issuer will be asked again; it says: %s",
		    why);
	}
	upstream_hold(serial);
	return refuse_later(REFUSE_CA_SILENT, UPSTREAM_SOON,
	    "the revocation is recorded here and on its way to the CA behind this issuer; ask again in a moment");
}
