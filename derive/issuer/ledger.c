/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The issuer's tables. Invariants kept by the schema itself: serial numbers and UUIDs are never used twice (RFC 5280
 * 4.1.2.2; UUID unique per certificate, Common Policy CP 3.1.1.2), an event is never changed or removed, an issued
 * certificate has its DER. Schema steps are only ever added at the end.
 */
#include <stdio.h>
#include <string.h>

#include "derive/issuer/audit.h"
#include "derive/issuer/ledger.h"
#include "derive/issuer/outbox.h"

static const char schema_1[] =
    "CREATE TABLE account ("
    " id INTEGER PRIMARY KEY,"
    " subject BLOB NOT NULL,"
    " name TEXT NOT NULL,"
    " email TEXT,"
    " upn TEXT,"
    " status TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended', 'terminated')),"
    " origin TEXT NOT NULL,"
    " created INTEGER NOT NULL);"
    "CREATE INDEX account_subject ON account (subject);"
    "CREATE TABLE card ("
    " id INTEGER PRIMARY KEY,"
    " account INTEGER NOT NULL REFERENCES account,"
    " sha256 TEXT NOT NULL UNIQUE,"
    " fascn TEXT,"
    " uuid TEXT,"
    " subject TEXT NOT NULL,"
    " der BLOB NOT NULL,"
    " first_seen INTEGER NOT NULL,"
    " last_seen INTEGER NOT NULL);"
    "CREATE INDEX card_fascn ON card (fascn);"
    "CREATE INDEX card_uuid ON card (uuid);"
    "CREATE TABLE certificate ("
    " serial TEXT PRIMARY KEY,"
    " account INTEGER NOT NULL REFERENCES account,"
    " profile TEXT NOT NULL,"
    " state TEXT NOT NULL CHECK (state IN ('pending', 'issued', 'abandoned')),"
    " uuid TEXT UNIQUE,"
    " spki_sha256 TEXT NOT NULL,"
    " subject TEXT NOT NULL,"
    " card_sha256 TEXT NOT NULL,"
    " not_before INTEGER NOT NULL,"
    " not_after INTEGER NOT NULL,"
    " created INTEGER NOT NULL,"
    " der BLOB,"
    " CHECK (state <> 'issued' OR der IS NOT NULL));"
    "CREATE INDEX certificate_account ON certificate (account);"
    "CREATE INDEX certificate_spki ON certificate (spki_sha256);"
    "CREATE INDEX certificate_card ON certificate (card_sha256);"
    "CREATE TABLE revocation ("
    " serial TEXT PRIMARY KEY,"
    " at INTEGER NOT NULL,"
    " reason INTEGER NOT NULL);"
    "CREATE TABLE event ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " at INTEGER NOT NULL,"
    " what TEXT NOT NULL,"
    " code TEXT,"
    " account INTEGER,"
    " serial TEXT,"
    " card TEXT,"
    " peer TEXT,"
    " detail TEXT);"
    "CREATE TRIGGER event_kept BEFORE DELETE ON event BEGIN SELECT RAISE(ABORT, 'events are never removed'); END;"
    "CREATE TRIGGER event_fixed BEFORE UPDATE ON event BEGIN SELECT RAISE(ABORT, 'events are never changed'); END;"
    "CREATE TABLE series (name TEXT PRIMARY KEY, last INTEGER NOT NULL);";

/* Binding codes: bindstore.c. */
static const char schema_2[] = "CREATE TABLE bind_code ("
			       " id INTEGER PRIMARY KEY,"
			       " name TEXT NOT NULL UNIQUE,"
			       " account INTEGER NOT NULL REFERENCES account,"
			       " sha256 TEXT NOT NULL,"
			       " card_sha256 TEXT NOT NULL,"
			       " created INTEGER NOT NULL,"
			       " expires INTEGER NOT NULL,"
			       " tries INTEGER NOT NULL DEFAULT 0,"
			       " replaced INTEGER NOT NULL DEFAULT 0);"
			       "CREATE INDEX bind_code_account ON bind_code (account);"
			       "CREATE TABLE bind_role ("
			       " code INTEGER NOT NULL REFERENCES bind_code,"
			       " role TEXT NOT NULL,"
			       " used INTEGER,"
			       " serial TEXT,"
			       " PRIMARY KEY (code, role),"
			       " CHECK ((used IS NULL) = (serial IS NULL)));"
			       "CREATE TABLE bind_guess (peer TEXT NOT NULL, at INTEGER NOT NULL);"
			       "CREATE INDEX bind_guess_peer ON bind_guess (peer, at);";

/* Encryption keys in escrow: escrow.c. recovery: SHA-256 of the recovery key's certificate. */
static const char schema_3[] = "CREATE TABLE escrow ("
			       " serial TEXT PRIMARY KEY REFERENCES certificate,"
			       " account INTEGER NOT NULL REFERENCES account,"
			       " recovery TEXT NOT NULL,"
			       " wrapped BLOB NOT NULL,"
			       " created INTEGER NOT NULL);"
			       "CREATE INDEX escrow_account ON escrow (account);";

/* Notices to people: outbox.c. */
static const char schema_4[] = "CREATE TABLE mail ("
			       " id INTEGER PRIMARY KEY AUTOINCREMENT,"
			       " account INTEGER NOT NULL REFERENCES account,"
			       " kind TEXT NOT NULL,"
			       " serial TEXT,"
			       " detail TEXT,"
			       " created INTEGER NOT NULL,"
			       " due INTEGER NOT NULL,"
			       " tries INTEGER NOT NULL DEFAULT 0,"
			       " sent INTEGER,"
			       " why TEXT);"
			       "CREATE INDEX mail_due ON mail (due) WHERE sent IS NULL;"
			       "CREATE INDEX mail_serial ON mail (serial, kind);";

/* A key that was sent, to be sent again: escrow.c. way: SHA-256 of the key that it is encrypted to. */
static const char schema_5[] = "ALTER TABLE escrow ADD COLUMN way TEXT;"
			       "ALTER TABLE escrow ADD COLUMN sent BLOB;"
			       "CREATE INDEX escrow_way ON escrow (way);";

/* The chain of events: audit.c. */
static const char schema_6[] = "ALTER TABLE event ADD COLUMN hash BLOB;"
			       "CREATE TABLE event_head ("
			       " one INTEGER PRIMARY KEY CHECK (one = 1),"
			       " id INTEGER NOT NULL,"
			       " hash BLOB NOT NULL);";

/* Cards of people on a list that have not come yet: account.c. fascn, uuid: '' is none. */
static const char schema_7[] = "CREATE TABLE expected ("
			       " account INTEGER NOT NULL REFERENCES account,"
			       " fascn TEXT NOT NULL,"
			       " uuid TEXT NOT NULL,"
			       " created INTEGER NOT NULL,"
			       " CHECK (fascn <> '' OR uuid <> ''));"
			       "CREATE INDEX expected_fascn ON expected (fascn);"
			       "CREATE INDEX expected_uuid ON expected (uuid);";

/* Keys that every process of this issuer shares: guard.c. */
static const char schema_8[] = "CREATE TABLE secret (name TEXT PRIMARY KEY, value BLOB NOT NULL);";

/* Requests that a registration authority forwards (upstream.c): ask is the serial number under which the certificate
 * is reserved until the CA has given it its own. And certificates that the CA is to revoke (upstream_revoke.c). */
static const char schema_9[] = "CREATE TABLE upstream ("
			       " ask TEXT PRIMARY KEY,"
			       " state TEXT NOT NULL CHECK (state IN ('open', 'issued', 'refused', 'wrong', 'lost')),"
			       " account INTEGER NOT NULL REFERENCES account,"
			       " profile TEXT NOT NULL,"
			       " spki_sha256 TEXT NOT NULL,"
			       " card_sha256 TEXT NOT NULL,"
			       " csr BLOB NOT NULL,"
			       " policy TEXT NOT NULL,"
			       " uuid TEXT,"
			       " upn TEXT,"
			       " email TEXT,"
			       " peer TEXT,"
			       " detail TEXT NOT NULL,"
			       " notice TEXT NOT NULL,"
			       " code INTEGER,"
			       " way TEXT,"
			       " kept BLOB,"
			       " sent BLOB,"
			       " created INTEGER NOT NULL,"
			       " wanted INTEGER NOT NULL,"
			       " due INTEGER NOT NULL,"
			       " claimed INTEGER NOT NULL,"
			       " tries INTEGER NOT NULL,"
			       " waits INTEGER NOT NULL,"
			       " ended INTEGER,"
			       " why TEXT,"
			       " serial TEXT);"
			       "CREATE INDEX upstream_spki ON upstream (spki_sha256);"
			       "CREATE INDEX upstream_way ON upstream (way);"
			       "CREATE INDEX upstream_open ON upstream (due) WHERE state = 'open';"
			       "CREATE TABLE upstream_revocation ("
			       " serial TEXT PRIMARY KEY,"
			       " der BLOB NOT NULL,"
			       " reason INTEGER NOT NULL,"
			       " created INTEGER NOT NULL,"
			       " due INTEGER NOT NULL,"
			       " claimed INTEGER NOT NULL,"
			       " tries INTEGER NOT NULL,"
			       " done INTEGER,"
			       " why TEXT);";

/* Transactions of SCEP: scep_trans.c. signer: SHA-256 of the key that the answers are for. */
static const char schema_scep[] = "CREATE TABLE scep_transaction ("
				  " id TEXT NOT NULL,"
				  " account INTEGER NOT NULL REFERENCES account,"
				  " profile TEXT NOT NULL,"
				  " spki_sha256 TEXT NOT NULL,"
				  " card_sha256 TEXT NOT NULL,"
				  " signer TEXT NOT NULL,"
				  " at INTEGER NOT NULL,"
				  " PRIMARY KEY (account, id));"
				  "CREATE INDEX scep_transaction_signer ON scep_transaction (signer, id);";

/* Codes that can be made again: codekey.c. Open transactions of CMP: cmp_trans.c; nonce: that of our answer. */
static const char schema_cmp[] = "ALTER TABLE bind_code ADD COLUMN salt BLOB;"
				 "CREATE TABLE cmp_transaction ("
				 " id BLOB PRIMARY KEY,"
				 " request BLOB NOT NULL,"
				 " nonce BLOB NOT NULL,"
				 " serial TEXT NOT NULL REFERENCES certificate,"
				 " at INTEGER NOT NULL,"
				 " done INTEGER NOT NULL DEFAULT 0);"
				 "CREATE INDEX cmp_transaction_at ON cmp_transaction (at);";

static const char *const steps[] = { schema_1, schema_2, schema_3, schema_4, schema_5, schema_6, schema_7, schema_8,
	schema_9, schema_scep, schema_cmp };
static const struct db_schema schema = {
	.name = "issuer ledger",
	.app_id = 0x64706969,
	.steps = steps,
	.n = sizeof steps / sizeof steps[0],
	.repair = "restore a backup",
};

/* A request takes milliseconds from reservation to issue; what is older was interrupted. */
#define PENDING_SECONDS 600

enum err
ledger_open(const char *path, struct db **out)
{
	return db_open(path, &schema, out);
}

enum err
ledger_reserve(struct db *db, const struct ledger_cert *c, time_t now)
{
	return db_run(db,
	    "INSERT INTO certificate (serial, account, profile, state, uuid, spki_sha256, subject, card_sha256,"
	    " not_before, not_after, created) VALUES (?, ?, ?, 'pending', ?, ?, ?, ?, ?, ?, ?)",
	    DB_ARGS(db_text(c->serial), db_int(c->account), db_text(c->profile), db_text(c->uuid),
		db_text(c->spki_sha256), db_text(c->subject), db_text(c->card_sha256), db_int(c->from), db_int(c->to),
		db_int(now)));
}

static enum err
one_changed(struct db *db, const char *serial)
{
	if (db_changed(db) != 1)
		return err_set(E_NOTFOUND, "no pending certificate with serial number %s", serial);
	return E_OK;
}

enum err
ledger_issued(struct db *db, const char *serial, struct span der)
{
	enum err e =
	    db_run(db, "UPDATE certificate SET state = 'issued', der = ? WHERE serial = ? AND state = 'pending'",
		DB_ARGS(db_blob(der), db_text(serial)));

	return e != E_OK ? e : one_changed(db, serial);
}

enum err
ledger_abandon(struct db *db, const char *serial)
{
	enum err e = db_run(db, "UPDATE certificate SET state = 'abandoned' WHERE serial = ? AND state = 'pending'",
	    DB_ARGS(db_text(serial)));

	return e != E_OK ? e : one_changed(db, serial);
}

enum err
ledger_recover(struct db *db, time_t now)
{
	return db_run(db,
	    "UPDATE certificate SET state = 'abandoned' WHERE state = 'pending' AND created < ?"
	    " AND serial NOT IN (SELECT ask FROM upstream WHERE state = 'open')",
	    DB_ARGS(db_int(now - PENDING_SECONDS)));
}

enum err
ledger_key_free(struct db *db, const char *spki_sha256, int64_t account, const char *profile)
{
	int64_t n;
	enum err e;

	e = db_number(db, &n,
	    "SELECT count(*) FROM certificate WHERE spki_sha256 = ? AND state <> 'abandoned'"
	    " AND (account <> ? OR profile <> ?)",
	    DB_ARGS(db_text(spki_sha256), db_int(account), db_text(profile)));
	if (e == E_OK && n > 0)
		e = err_set(E_EXISTS, "this key is already certified for another purpose or another person");
	return e;
}

enum err
ledger_find(struct db *db, const char *serial, struct ledger_found *out)
{
	struct db_rows *q = NULL;
	bool row = false;
	enum err e = db_query(db, &q,
	    "SELECT account, profile, der, EXISTS (SELECT 1 FROM revocation r WHERE r.serial = c.serial)"
	    " FROM certificate c WHERE serial = ? AND state = 'issued'",
	    DB_ARGS(db_text(serial)));

	if (e == E_OK)
		e = db_next(q, &row);
	if (e == E_OK && !row)
		e = err_set(E_NOTFOUND, "no certificate with serial number %s in the ledger", serial);
	if (e == E_OK) {
		out->account = db_col_int(q, 0);
		(void)snprintf(out->profile, sizeof out->profile, "%s", db_col_text(q, 1));
		wbuf_span(&out->der, db_col_blob(q, 2));
		out->revoked = db_col_int(q, 3) != 0;
	}
	db_done(&q);
	return e;
}

static enum err
first_blob(struct db *db, struct wbuf *out, const char *sql, const struct db_arg *args, size_t n)
{
	struct db_rows *q = NULL;
	bool row = false;
	enum err e = db_query(db, &q, sql, args, n);

	if (e == E_OK)
		e = db_next(q, &row);
	if (e == E_OK && !row)
		e = err_set(E_NOTFOUND, "nothing of that kind in the ledger");
	if (e == E_OK)
		wbuf_span(out, db_col_blob(q, 0));
	db_done(&q);
	return e == E_OK && out->bad ? err_set(E_NOMEM, "out of memory") : e;
}

enum err
ledger_newest(struct db *db, int64_t account, const char *profile, time_t now, struct wbuf *der)
{
	return first_blob(db, der,
	    "SELECT der FROM certificate WHERE account = ? AND profile = ? AND state = 'issued' AND not_after >= ?"
	    " AND serial NOT IN (SELECT serial FROM revocation) ORDER BY created DESC, rowid DESC LIMIT 1",
	    DB_ARGS(db_int(account), db_text(profile), db_int(now)));
}

enum err
ledger_again(struct db *db, const struct ledger_cert *c, time_t since, time_t now, struct wbuf *der)
{
	return first_blob(db, der,
	    "SELECT der FROM certificate WHERE spki_sha256 = ? AND account = ? AND profile = ? AND card_sha256 = ?"
	    " AND state = 'issued' AND created >= ? AND not_after >= ?"
	    " AND serial NOT IN (SELECT serial FROM revocation) ORDER BY created DESC, rowid DESC LIMIT 1",
	    DB_ARGS(db_text(c->spki_sha256), db_int(c->account), db_text(c->profile), db_text(c->card_sha256),
		db_int(since), db_int(now)));
}

enum err
ledger_card(struct db *db, int64_t account, struct wbuf *der)
{
	return first_blob(db, der, "SELECT der FROM card WHERE account = ? ORDER BY last_seen DESC, id DESC LIMIT 1",
	    DB_ARGS(db_int(account)));
}

enum err
ledger_card_by_hash(struct db *db, int64_t account, const char *sha256, struct wbuf *der)
{
	return first_blob(db, der, "SELECT der FROM card WHERE account = ? AND sha256 = ?",
	    DB_ARGS(db_int(account), db_text(sha256)));
}

enum err
ledger_revoke(struct db *db, const char *serial, int reason, bool foreign, time_t now)
{
	int64_t n;
	enum err e;

	e = db_number(db, &n, "SELECT count(*) FROM certificate WHERE serial = ?", DB_ARGS(db_text(serial)));
	if (e == E_OK && n == 0 && !foreign)
		e = err_set(E_NOTFOUND, "no certificate with serial number %s in the ledger", serial);
	if (e == E_OK)
		e = db_run(db, "INSERT INTO revocation (serial, at, reason) VALUES (?, ?, ?)",
		    DB_ARGS(db_text(serial), db_int(now), db_int(reason)));
	if (e == E_EXISTS)
		e = err_set(E_EXISTS, "serial number %s is revoked already", serial);
	return e;
}

enum err
ledger_revoked(struct db *db, const char *serial, time_t *at, int *reason)
{
	struct db_rows *q = NULL;
	bool row = false;
	enum err e = db_query(db, &q, "SELECT at, reason FROM revocation WHERE serial = ?", DB_ARGS(db_text(serial)));

	if (e == E_OK)
		e = db_next(q, &row);
	if (e == E_OK && !row)
		e = err_set(E_NOTFOUND, "serial number %s is not revoked", serial);
	if (e == E_OK) {
		*at = (time_t)db_col_int(q, 0);
		*reason = (int)db_col_int(q, 1);
	}
	db_done(&q);
	return e;
}

enum err
ledger_status(struct db *db, const char *serial, struct ledger_status *out)
{
	struct db_rows *q = NULL;
	bool row = false;
	enum err e;

	memset(out, 0, sizeof *out);
	e = ledger_revoked(db, serial, &out->at, &out->reason);
	if (e != E_NOTFOUND) {
		out->known = out->revoked = e == E_OK;
		return e;
	}
	e = db_query(
	    db, &q, "SELECT 1 FROM certificate WHERE serial = ? AND state = 'issued'", DB_ARGS(db_text(serial)));
	if (e == E_OK)
		e = db_next(q, &row);
	out->known = row;
	db_done(&q);
	return e;
}

enum err
ledger_revoke_account(struct db *db, int64_t account, int reason, time_t now, int64_t *count)
{
	enum err e;

	/* pending ones too: they may be signed at this moment */
	e = db_run(db,
	    "INSERT INTO revocation (serial, at, reason) SELECT serial, ?, ? FROM certificate"
	    " WHERE account = ? AND state <> 'abandoned' AND serial NOT IN (SELECT serial FROM revocation)",
	    DB_ARGS(db_int(now), db_int(reason), db_int(account)));
	*count = e == E_OK ? db_changed(db) : 0;
	return e;
}

enum err
ledger_each_revoked(struct db *db, ledger_revoked_fn *fn, void *arg)
{
	struct db_rows *q;
	bool row;
	enum err e;

	e = db_query(db, &q, "SELECT serial, at, reason FROM revocation ORDER BY at, serial", DB_NO_ARGS);
	while (e == E_OK && (e = db_next(q, &row)) == E_OK && row)
		e = fn(arg, db_col_text(q, 0), (time_t)db_col_int(q, 1), (int)db_col_int(q, 2));
	db_done(&q);
	return e;
}

enum err
ledger_count_valid(struct db *db, int64_t account, const char *profile, const char *but, time_t now, int64_t *out)
{
	return db_number(db, out,
	    "SELECT count(*) FROM certificate WHERE account = ? AND profile = ? AND serial <> ? AND state <> "
	    "'abandoned'"
	    " AND not_after >= ? AND serial NOT IN (SELECT serial FROM revocation)"
	    " AND serial NOT IN (SELECT ask FROM upstream WHERE state = 'open' AND wanted = 0 AND waits = 0)",
	    DB_ARGS(db_int(account), db_text(profile), db_text(but ? but : ""), db_int(now)));
}

enum err
ledger_each_valid(struct db *db, int64_t account, time_t now, ledger_valid_fn *fn, void *arg)
{
	struct db_rows *q;
	bool row;
	enum err e;

	e = db_query(db, &q,
	    "SELECT serial, profile, der FROM certificate WHERE account = ? AND state = 'issued' AND not_after >= ?"
	    " AND serial NOT IN (SELECT serial FROM revocation) ORDER BY created, rowid",
	    DB_ARGS(db_int(account), db_int(now)));
	while (e == E_OK && (e = db_next(q, &row)) == E_OK && row)
		e = fn(arg, db_col_text(q, 0), db_col_text(q, 1), db_col_blob(q, 2));
	db_done(&q);
	return e;
}

enum err
ledger_count_revoked(struct db *db, int64_t *out)
{
	return db_number(db, out, "SELECT count(*) FROM revocation", DB_NO_ARGS);
}

enum err
ledger_next(struct db *db, const char *series, int64_t above, int64_t *out)
{
	enum err e;

	*out = 0;
	e = db_run(db,
	    "INSERT INTO series (name, last) VALUES (?1, ?2 + 1)"
	    " ON CONFLICT (name) DO UPDATE SET last = max(last, ?2) + 1",
	    DB_ARGS(db_text(series), db_int(above)));
	if (e == E_OK)
		e = db_number(db, out, "SELECT last FROM series WHERE name = ?", DB_ARGS(db_text(series)));
	return e;
}

enum err
ledger_event_add(struct db *db, const struct ledger_event *ev, time_t now)
{
	enum err e = audit_add(db, ev, now);

	return e == E_OK && ev->notice != NULL ? outbox_add(db, ev, now) : e;
}
