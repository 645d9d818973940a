/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One account as one JSON object, for 'account show': a table of queries, each of whose columns has its name in the
 * answer. Times leave as text (RFC 3339, UTC), since that is what people and programs compare; what is no text in the
 * ledger does not leave.
 */
#include <string.h>

#include "derive/issuer/show.h"

#define TIME(column) "strftime('%Y-%m-%dT%H:%M:%SZ', " column ", 'unixepoch')"

static const struct part {
	const char *name; /* of the list; NULL: the fields of the account itself */
	const char *sql;  /* ?1 the account */
	const char *fields[8];
	bool timed; /* and ?2 now */
} parts[] = {
	{ NULL, "SELECT name, email, upn, status, origin, " TIME("created") " FROM account WHERE id = ?1",
	    { "name", "email", "upn", "status", "origin", "created" }, false },
	{ "cards",
	    "SELECT sha256, fascn, uuid, subject, " TIME("first_seen") ", " TIME(
		"last_seen") " FROM card WHERE account = ?1 ORDER BY last_seen DESC, id DESC",
	    { "sha256", "fascn", "uuid", "subject", "first_seen", "last_seen" }, false },
	{ "expected", "SELECT fascn, uuid, " TIME("created") " FROM expected WHERE account = ?1 ORDER BY rowid",
	    { "fascn", "uuid", "listed" }, false },
	{ "credentials",
	    "SELECT c.serial, profile, CASE WHEN r.serial IS NOT NULL THEN 'revoked' WHEN not_after < ?2 THEN 'expired'"
	    " ELSE 'valid' END, " TIME("not_before") ", " TIME("not_after") ", " TIME(
		"r.at") ", card_sha256"
			" FROM certificate c LEFT JOIN revocation r ON r.serial = c.serial WHERE account = ?1 AND "
			"state = 'issued'"
			" ORDER BY created DESC, c.rowid DESC",
	    { "serial", "purpose", "state", "from", "to", "revoked", "card" }, true },
	/* SP 800-157r1, 2.4: bound in the week before something of the person was reported as lost (keyCompromise) */
	{ "examine",
	    "SELECT DISTINCT c.serial, c.profile, " TIME("c.created") ", l.serial, " TIME(
		"r.at") " FROM certificate c JOIN certificate l ON l.account = c.account AND l.serial <> c.serial"
			" JOIN revocation r ON r.serial = l.serial AND r.reason = 1"
			" WHERE c.account = ?1 AND c.state = 'issued' AND c.not_after >= ?2"
			" AND c.created BETWEEN r.at - 7 * 86400 AND r.at"
			" AND c.serial NOT IN (SELECT serial FROM revocation) ORDER BY c.created DESC, c.rowid DESC",
	    { "serial", "purpose", "bound", "lost", "lost_at" }, true },
	{ "events",
	    "SELECT " TIME("at") ", what, code, serial, peer, detail FROM event WHERE account = ?1"
				 " ORDER BY id DESC LIMIT 20",
	    { "at", "what", "code", "serial", "peer", "detail" }, false },
};

static enum err
put_fields(json_t *to, struct db_rows *q, const struct part *p)
{
	for (int k = 0; k < 8 && p->fields[k] != NULL; k++)
		if (json_object_set_new(to, p->fields[k],
			db_col_null(q, k) ? json_null() : json_string_nocheck(db_col_text(q, k))) != 0)
			return err_set(E_NOMEM, "out of memory");
	return E_OK;
}

/* Every row of one query: into the account itself, or into a list of its own. */
static enum err
put_part(struct db *db, json_t *account, const struct part *p, int64_t id, time_t now, size_t *n)
{
	json_t *list = p->name ? json_array() : NULL;
	struct db_rows *q = NULL;
	bool row = false;
	const struct db_arg args[] = { db_int(id), db_int(now) };
	enum err e = db_query(db, &q, p->sql, args, p->timed ? 2 : 1);

	for (*n = 0; e == E_OK && (e = db_next(q, &row)) == E_OK && row; (*n)++) {
		json_t *to = list ? json_object() : account;

		e = put_fields(to, q, p);
		if (list && json_array_append_new(list, to) != 0 && e == E_OK)
			e = err_set(E_NOMEM, "out of memory");
	}
	db_done(&q);
	if (list && json_object_set_new(account, p->name, list) != 0 && e == E_OK)
		e = err_set(E_NOMEM, "out of memory");
	return e;
}

enum err
show_account(struct db *db, int64_t id, time_t now, json_t **out)
{
	json_t *account = json_pack("{s:I}", "id", (json_int_t)id);
	enum err e = account ? E_OK : err_set(E_NOMEM, "out of memory");

	*out = NULL;
	for (size_t k = 0; e == E_OK && k < sizeof parts / sizeof parts[0]; k++) {
		size_t n;

		e = put_part(db, account, &parts[k], id, now, &n);
		if (e == E_OK && parts[k].name == NULL && n == 0)
			e = err_set(E_NOTFOUND, "no account %lld", (long long)id);
	}
	if (e == E_OK)
		*out = json_incref(account);
	json_decref(account);
	return e;
}
