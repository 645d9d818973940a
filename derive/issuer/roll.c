/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Queries for the page, each with a limit, so that a long life of the ledger does not make an answer large. What the
 * issuer decides by is in ledger.c; nothing is decided by what is read here.
 */
#include <stdio.h>

#include "derive/issuer/roll.h"

#define DAY 86400

struct target {
	roll_credential_fn *credential;
	roll_card_fn *card;
	roll_code_fn *code;
	roll_account_fn *account;
	roll_event_fn *event;
	void *arg;
};

static enum err
each(enum err e, struct db_rows *q, const struct target *t, enum err (*one)(struct db_rows *, const struct target *))
{
	bool row;

	while (e == E_OK && (e = db_next(q, &row)) == E_OK && row)
		e = one(q, t);
	db_done(&q);
	return e;
}

#define CREDENTIAL                                                                                                     \
	"SELECT c.serial, c.profile, c.not_before, c.not_after, r.at, r.reason FROM certificate c"                     \
	" LEFT JOIN revocation r ON r.serial = c.serial WHERE c.account = ? AND c.state = 'issued'"

static void
read_credential(struct db_rows *q, struct roll_credential *out)
{
	(void)snprintf(out->serial, sizeof out->serial, "%s", db_col_text(q, 0));
	(void)snprintf(out->profile, sizeof out->profile, "%s", db_col_text(q, 1));
	out->from = (time_t)db_col_int(q, 2);
	out->to = (time_t)db_col_int(q, 3);
	out->revoked = !db_col_null(q, 4);
	out->revoked_at = (time_t)db_col_int(q, 4);
	out->reason = (int)db_col_int(q, 5);
}

static enum err
one_credential(struct db_rows *q, const struct target *t)
{
	struct roll_credential c;

	read_credential(q, &c);
	return t->credential(t->arg, &c);
}

enum err
roll_credentials(struct db *db, int64_t account, roll_credential_fn *fn, void *arg)
{
	struct db_rows *q = NULL;
	enum err e = db_query(db, &q, CREDENTIAL " ORDER BY c.created DESC, c.rowid DESC LIMIT ?",
	    DB_ARGS(db_int(account), db_int(ROLL_MAX)));

	return each(e, q, &(const struct target){ .credential = fn, .arg = arg }, one_credential);
}

enum err
roll_credential(struct db *db, int64_t account, const char *serial, struct roll_credential *out)
{
	struct db_rows *q = NULL;
	bool row = false;
	enum err e = db_query(db, &q, CREDENTIAL " AND c.serial = ?", DB_ARGS(db_int(account), db_text(serial)));

	if (e == E_OK)
		e = db_next(q, &row);
	if (e == E_OK && row)
		read_credential(q, out);
	else if (e == E_OK)
		e = err_set(E_NOTFOUND, "no such certificate in the account");
	db_done(&q);
	return e;
}

static enum err
one_card(struct db_rows *q, const struct target *t)
{
	const struct roll_card c = { .sha256 = db_col_text(q, 0),
		.uuid = db_col_text(q, 1),
		.fascn = db_col_text(q, 2),
		.first = (time_t)db_col_int(q, 3),
		.last = (time_t)db_col_int(q, 4) };

	return t->card(t->arg, &c);
}

enum err
roll_cards(struct db *db, int64_t account, roll_card_fn *fn, void *arg)
{
	struct db_rows *q = NULL;
	enum err e = db_query(db, &q,
	    "SELECT sha256, uuid, fascn, first_seen, last_seen FROM card WHERE account = ?"
	    " ORDER BY last_seen DESC, id DESC LIMIT ?",
	    DB_ARGS(db_int(account), db_int(ROLL_MAX)));

	return each(e, q, &(const struct target){ .card = fn, .arg = arg }, one_card);
}

static enum err
one_code(struct db_rows *q, const struct target *t)
{
	const struct roll_code c = { .role = db_col_text(q, 0),
		.used = (time_t)db_col_int(q, 1),
		.serial = db_col_text(q, 2),
		.expires = (time_t)db_col_int(q, 3) };

	return t->code(t->arg, &c);
}

enum err
roll_codes(struct db *db, int64_t account, time_t now, roll_code_fn *fn, void *arg)
{
	struct db_rows *q = NULL;
	enum err e = db_query(db, &q,
	    "SELECT r.role, r.used, r.serial, c.expires FROM bind_code c JOIN bind_role r ON r.code = c.id"
	    " WHERE c.account = ? AND c.replaced = 0 AND c.expires >= ? ORDER BY r.role LIMIT ?",
	    DB_ARGS(db_int(account), db_int(now), db_int(ROLL_MAX)));

	return each(e, q, &(const struct target){ .code = fn, .arg = arg }, one_code);
}

static enum err
one_account(struct db_rows *q, const struct target *t)
{
	const struct roll_account a = { .id = (int)db_col_int(q, 0),
		.name = db_col_text(q, 1),
		.status = db_col_text(q, 2),
		.cards = (int)db_col_int(q, 3),
		.active = (int)db_col_int(q, 4) };

	return t->account(t->arg, &a);
}

enum err
roll_accounts(struct db *db, time_t now, roll_account_fn *fn, void *arg)
{
	struct db_rows *q = NULL;
	enum err e = db_query(db, &q,
	    "SELECT id, name, status, (SELECT count(*) FROM card WHERE account = a.id),"
	    " (SELECT count(*) FROM certificate c WHERE c.account = a.id AND c.state = 'issued' AND c.not_after >= ?"
	    " AND c.serial NOT IN (SELECT serial FROM revocation))"
	    " FROM account a ORDER BY id DESC LIMIT ?",
	    DB_ARGS(db_int(now), db_int(ROLL_MAX)));

	return each(e, q, &(const struct target){ .account = fn, .arg = arg }, one_account);
}

static enum err
one_event(struct db_rows *q, const struct target *t)
{
	const struct roll_event ev = { .at = (time_t)db_col_int(q, 0),
		.what = db_col_text(q, 1),
		.code = db_col_text(q, 2),
		.name = db_col_text(q, 3),
		.serial = db_col_text(q, 4),
		.peer = db_col_text(q, 5),
		.detail = db_col_text(q, 6) };

	return t->event(t->arg, &ev);
}

enum err
roll_events(struct db *db, roll_event_fn *fn, void *arg)
{
	struct db_rows *q = NULL;
	enum err e = db_query(db, &q,
	    "SELECT e.at, e.what, e.code, a.name, e.serial, e.peer, e.detail FROM event e"
	    " LEFT JOIN account a ON a.id = e.account ORDER BY e.id DESC LIMIT ?",
	    DB_ARGS(db_int(ROLL_MAX)));

	return each(e, q, &(const struct target){ .event = fn, .arg = arg }, one_event);
}

enum err
roll_attention(struct db *db, time_t now, long days, struct roll_attention *out)
{
	enum err e = db_number(db, &out->refused, "SELECT count(*) FROM event WHERE what = 'refused' AND at >= ?",
	    DB_ARGS(db_int(now - DAY)));

	if (e == E_OK)
		e = db_number(
		    db, &out->suspended, "SELECT count(*) FROM account WHERE status = 'suspended'", DB_NO_ARGS);
	if (e == E_OK)
		e = db_number(db, &out->mail, "SELECT count(*) FROM mail WHERE sent IS NULL AND tries > 0", DB_NO_ARGS);
	if (e == E_OK) /* a later one of the same account and role is its successor */
		e = db_number(db, &out->expiring,
		    "SELECT count(*) FROM certificate c WHERE state = 'issued' AND not_after BETWEEN ? AND ?"
		    " AND serial NOT IN (SELECT serial FROM revocation) AND NOT EXISTS (SELECT 1 FROM certificate d"
		    " WHERE d.account = c.account AND d.profile = c.profile AND d.state = 'issued'"
		    " AND d.not_after > c.not_after)",
		    DB_ARGS(db_int(now), db_int(now + days * DAY)));
	return e;
}
