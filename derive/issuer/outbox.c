/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of notices: see outbox.h. Addresses are the account's at the time of sending, never a request's, and an
 * account without an address gets no row.
 */
#include <stdio.h>

#include "derive/issuer/outbox.h"

#define DAY	   86400
#define GIVE_UP	   (7 * DAY)
#define PAUSE_MOST (6 * 3600)

enum err
outbox_add(struct db *db, const struct ledger_event *ev, time_t now)
{
	return db_run(db,
	    "INSERT INTO mail (account, kind, serial, detail, created, due) SELECT a.id, ?1, ?2, ?3, ?4, ?4 FROM "
	    "account a"
	    " WHERE a.email IS NOT NULL AND a.id = COALESCE(?5, (SELECT account FROM certificate WHERE serial = ?2))",
	    DB_ARGS(db_text(ev->notice), db_text(ev->serial), db_text(ev->detail), db_int(now),
		ev->account != 0 ? db_int(ev->account) : db_null()));
}

enum err
outbox_expiring(struct db *db, long days, time_t now)
{
	return db_run(db,
	    "INSERT INTO mail (account, kind, serial, detail, created, due) SELECT c.account, 'expiring', c.serial, "
	    "c.profile,"
	    " ?1, ?1 FROM certificate c JOIN account a ON a.id = c.account WHERE a.email IS NOT NULL AND a.status = "
	    "'active'"
	    " AND c.state = 'issued' AND c.not_after > ?1 AND c.not_after <= ?2"
	    " AND NOT EXISTS (SELECT 1 FROM revocation r WHERE r.serial = c.serial)"
	    " AND NOT EXISTS (SELECT 1 FROM mail m WHERE m.serial = c.serial AND m.kind = 'expiring')"
	    " AND NOT EXISTS (SELECT 1 FROM certificate n WHERE n.account = c.account AND n.profile = c.profile AND"
	    " n.state = 'issued' AND n.not_after > c.not_after AND n.serial NOT IN (SELECT serial FROM revocation))",
	    DB_ARGS(db_int(now), db_int(now + (time_t)days * DAY)));
}

bool
outbox_due(struct db *db, time_t now)
{
	int64_t n;

	return db_number(db, &n, "SELECT id FROM mail WHERE sent IS NULL AND due <= ? LIMIT 1", DB_ARGS(db_int(now))) ==
	    E_OK;
}

/* Old news is no news: it stays in the table, as given up. */
static enum err
give_up(struct db *db, time_t now)
{
	const struct ledger_event ev = { .what = "notice-given-up",
		.detail = "a notice could not be sent for a week; 'dpiv-issuer notify' says why" };
	enum err e =
	    db_run(db, "UPDATE mail SET sent = 0 WHERE sent IS NULL AND created < ?", DB_ARGS(db_int(now - GIVE_UP)));

	return e == E_OK && db_changed(db) > 0 ? ledger_event_add(db, &ev, now) : e;
}

static enum err
next(struct db *db, time_t now, struct outbox_mail *out)
{
	struct db_rows *q = NULL;
	bool row = false;
	enum err e = db_query(db, &q,
	    "SELECT m.id, m.created, a.email, a.name, m.kind, m.serial, m.detail, c.not_after FROM mail m"
	    " JOIN account a ON a.id = m.account LEFT JOIN certificate c ON c.serial = m.serial"
	    " WHERE m.sent IS NULL AND m.due <= ? AND a.email IS NOT NULL ORDER BY m.id LIMIT 1",
	    DB_ARGS(db_int(now)));

	if (e == E_OK && (e = db_next(q, &row)) == E_OK && !row)
		e = err_set(E_NOTFOUND, "no notice is due");
	if (e == E_OK) {
		out->id = db_col_int(q, 0);
		out->created = db_col_int(q, 1);
		(void)snprintf(out->to, sizeof out->to, "%s", db_col_text(q, 2));
		(void)snprintf(out->name, sizeof out->name, "%s", db_col_text(q, 3));
		(void)snprintf(out->kind, sizeof out->kind, "%s", db_col_text(q, 4));
		(void)snprintf(out->serial, sizeof out->serial, "%s", db_col_text(q, 5));
		(void)snprintf(out->detail, sizeof out->detail, "%s", db_col_text(q, 6));
		out->not_after = db_col_int(q, 7);
	}
	db_done(&q);
	return e;
}

enum err
outbox_next(struct db *db, time_t now, struct outbox_mail *out)
{
	enum err e = db_begin(db);

	return e != E_OK || (e = db_end(db, give_up(db, now))) != E_OK ? e : next(db, now, out);
}

enum err
outbox_sent(struct db *db, const struct outbox_mail *m, time_t now)
{
	return db_run(db, "UPDATE mail SET sent = ?, why = NULL WHERE id = ?", DB_ARGS(db_int(now), db_int(m->id)));
}

enum err
outbox_failed(struct db *db, const struct outbox_mail *m, const char *why, time_t now)
{
	return db_run(db,
	    "UPDATE mail SET tries = tries + 1, due = ?1 + MIN(60 << MIN(tries, 20), ?2), why = ?3 WHERE id = ?4",
	    DB_ARGS(db_int(now), db_int(PAUSE_MOST), db_text(why), db_int(m->id)));
}
