/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests on their way to another CA, as rows of the ledger. A row is open while nobody knows the end of it. It is
 * wanted when it is to be taken to the CA: at first, and again when the person asks after an attempt that failed or
 * that the CA wanted time for. So nothing is asked of the CA for people who have given up. Who takes it claims it for a
 * limited time, so a process that dies in the middle leaves it to the next one; the CA is then asked again for the same
 * key. An issued row is wanted until somebody has been given the certificate. A row that has ended in a refusal is
 * repeated to the person for a minute, and then a new one may be made.
 */
#include <stdio.h>
#include <string.h>

#include "derive/issuer/ledger.h"
#include "derive/issuer/refuse.h"
#include "derive/issuer/upstream.h"

#define REPEAT 60 /* seconds that a refusal of the CA's is repeated */

static _Thread_local char held[UPSTREAM_HELD];

bool
upstream_is(const struct issuer *i)
{
	return i->config.up.protocol != NULL;
}

static enum upstream_state
ended_state(const char *state, time_t ended, time_t now)
{
	if (now - ended >= REPEAT)
		return UPSTREAM_NONE;
	return strcmp(state, "refused") == 0 ? UPSTREAM_REFUSED
	    : strcmp(state, "wrong") == 0    ? UPSTREAM_WRONG
					     : UPSTREAM_NONE;
}

/* Columns: ask, state, wanted, due, claimed, waits, ended, why. */
static void
read_row(struct db_rows *q, time_t now, struct upstream_verdict *out)
{
	const char *state = db_col_text(q, 1);
	time_t due = (time_t)db_col_int(q, 3);

	(void)snprintf(out->ask, sizeof out->ask, "%s", db_col_text(q, 0));
	(void)snprintf(out->why, sizeof out->why, "%s", db_col_text(q, 7));
	out->after = UPSTREAM_SOON;
	if (strcmp(state, "open") != 0) {
		out->state = ended_state(state, (time_t)db_col_int(q, 6), now);
	} else if (db_col_int(q, 2) != 0 || due <= now) {
		out->state = UPSTREAM_GOES;
	} else {
		out->state = db_col_int(q, 5) != 0 ? UPSTREAM_WAITS : UPSTREAM_DOWN;
		out->after = (long)(due - now);
	}
}

#define COLUMNS "ask, state, wanted, due, claimed, waits, ended, why"

static enum err
first_row(
    struct issuer *i, const char *sql, const struct db_arg *args, size_t n, time_t now, struct upstream_verdict *out)
{
	struct db_rows *q = NULL;
	bool row = false;
	enum err e = db_query(i->db, &q, sql, args, n);

	memset(out, 0, sizeof *out);
	if (e == E_OK)
		e = db_next(q, &row);
	if (e == E_OK && row)
		read_row(q, now, out);
	db_done(&q);
	if (e == E_OK && out->state == UPSTREAM_GOES)
		e = db_run(i->db, "UPDATE upstream SET wanted = 1 WHERE ask = ? AND state = 'open'",
		    DB_ARGS(db_text(out->ask)));
	return e;
}

enum err
upstream_before(struct issuer *i, const struct upstream_ask *a, time_t now, struct upstream_verdict *out)
{
	return first_row(i,
	    "SELECT " COLUMNS " FROM upstream WHERE spki_sha256 = ? AND account = ? AND profile = ? AND card_sha256 = ?"
	    " AND state IN ('open', 'refused', 'wrong') ORDER BY created DESC, ask LIMIT 1",
	    DB_ARGS(db_text(a->spki_sha256), db_int(a->account), db_text(a->profile), db_text(a->card_sha256)), now,
	    out);
}

enum err
upstream_before_way(
    struct issuer *i, const char *way, const char *card_sha256, time_t now, struct upstream_verdict *out)
{
	return first_row(i,
	    "SELECT " COLUMNS " FROM upstream WHERE way = ? AND card_sha256 = ?"
	    " AND state IN ('open', 'refused', 'wrong') ORDER BY created DESC, ask LIMIT 1",
	    DB_ARGS(db_text(way), db_text(card_sha256)), now, out);
}

/* The code is used up with the certificate; until then it is good for one request of the role. */
static enum err
code_is_free(struct issuer *i, const struct upstream_ask *a)
{
	int64_t n = 0;
	enum err e = E_OK;

	if (a->code != NULL)
		e = db_number(i->db, &n,
		    "SELECT count(*) FROM upstream WHERE code = ? AND profile = ? AND state = 'open'",
		    DB_ARGS(db_int(a->code->id), db_text(a->profile)));
	return e == E_OK && n > 0 ? bindstore_used() : e;
}

static enum err
insert(struct issuer *i, const struct upstream_ask *a, time_t now)
{
	const struct profile_values *v = a->values;
	const struct escrow_row *k = a->escrow;

	return db_run(i->db,
	    "INSERT INTO upstream (ask, state, account, profile, spki_sha256, card_sha256, csr, policy, uuid, upn, "
	    "email,"
	    " peer, detail, notice, code, way, kept, sent, created, wanted, due, claimed, tries, waits)"
	    " VALUES (?, 'open', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 0, 0, 0, 0)",
	    DB_ARGS(db_text(a->ask), db_int(a->account), db_text(a->profile), db_text(a->spki_sha256),
		db_text(a->card_sha256), db_blob(a->csr), db_text(v->policy), db_text(v->uuid), db_text(v->upn),
		db_text(v->email), db_text(a->peer), db_text(a->detail), db_text(a->notice),
		a->code ? db_int(a->code->id) : db_null(), db_text(k ? k->way : NULL), k ? db_blob(k->kept) : db_null(),
		k ? db_blob(k->sent) : db_null(), db_int(now)));
}

enum err
upstream_put(struct issuer *i, const struct upstream_ask *a, time_t now, struct upstream_verdict *out)
{
	const struct ledger_event ev = { .what = "forwarded",
		.account = a->account,
		.serial = a->ask,
		.card = a->card_sha256,
		.peer = a->peer,
		.detail = a->detail };
	enum err e;

	memset(out, 0, sizeof *out);
	if ((e = code_is_free(i, a)) != E_OK || (e = insert(i, a, now)) != E_OK)
		return e;
	out->state = UPSTREAM_GOES;
	out->after = UPSTREAM_SOON;
	(void)snprintf(out->ask, sizeof out->ask, "%s", a->ask);
	return ledger_event_add(i->db, &ev, now);
}

enum err
upstream_say(const struct upstream_verdict *v)
{
	upstream_hold("");
	switch (v->state) {
	case UPSTREAM_NONE: return E_OK;
	case UPSTREAM_GOES:
		upstream_hold(v->ask);
		return refuse_later(REFUSE_CA_WAITS, v->after,
		    "the request was passed on to the CA behind this issuer; ask again with the same key in a moment");
	case UPSTREAM_WAITS:
		return refuse_later(REFUSE_CA_WAITS, v->after,
		    "the CA behind this issuer has the request and wants more time; ask again with the same key in "
		    "%ld seconds",
		    v->after);
	case UPSTREAM_REFUSED:
		return refuse(REFUSE_CA_REFUSED, "the CA behind this issuer refuses the request: %s", v->why);
	case UPSTREAM_WRONG:
		return refuse(REFUSE_CA_WRONG,
		    "the CA behind this issuer answered with a certificate that was not asked for, and it was not "
		    "taken (%s); tell the issuer",
		    v->why);
	case UPSTREAM_DOWN: break;
	}
	return refuse_later(REFUSE_CA_SILENT, v->after,
	    "the CA behind this issuer cannot be used now; try again in %ld seconds, with the same key: %s", v->after,
	    v->why);
}

enum err
upstream_repeated(struct issuer *i, const struct ledger_event *ev, time_t now)
{
	enum err e = E_OK;

	if (upstream_is(i)) {
		e = db_run(i->db, "UPDATE upstream SET wanted = 0 WHERE serial = ? AND state = 'issued' AND wanted = 1",
		    DB_ARGS(db_text(ev->serial)));
		if (e == E_OK && db_changed(i->db) == 1)
			return E_OK;
	}
	return e == E_OK ? ledger_event_add(i->db, ev, now) : e;
}

const char *
upstream_held(void)
{
	return held;
}

void
upstream_hold(const char *what)
{
	(void)snprintf(held, sizeof held, "%s", what);
}

bool
upstream_busy(struct issuer *i, const char *what, time_t now)
{
	int64_t n;

	return db_number(i->db, &n,
		   "SELECT (SELECT count(*) FROM upstream WHERE ask = ?1 AND state = 'open' AND wanted = 1)"
		   " + (SELECT count(*) FROM revocation WHERE serial = ?1 AND NOT EXISTS (SELECT 1 FROM"
		   " upstream_revocation u WHERE u.serial = ?1 AND (u.done IS NOT NULL OR u.due > ?2)))",
		   DB_ARGS(db_text(what), db_int(now))) == E_OK &&
	    n > 0;
}

bool
upstream_due(struct issuer *i, time_t now)
{
	int64_t n;

	if (!upstream_is(i))
		return false;
	if (db_number(i->db, &n,
		"SELECT count(*) FROM upstream WHERE state = 'open' AND wanted = 1 AND due <= ?1 AND claimed <= ?1",
		DB_ARGS(db_int(now))) == E_OK &&
	    n > 0)
		return true;
	if (db_number(i->db, &n,
		"SELECT (SELECT count(*) FROM revocation r JOIN certificate c ON c.serial = r.serial"
		" WHERE c.state = 'issued' AND r.serial NOT IN (SELECT serial FROM upstream_revocation))"
		" + (SELECT count(*) FROM upstream_revocation WHERE done IS NULL AND due <= ?1 AND claimed <= ?1)",
		DB_ARGS(db_int(now))) != E_OK)
		return false;
	return n > 0;
}
