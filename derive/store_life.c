/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the store keeps of a credential's life: a revocation under way, and what the last check found. A revocation is
 * written down before the issuer is asked and deleted together with the credential's end, so that a run which is killed
 * in between is taken up: asked again while nobody knows that the issuer has heard, and only the key destroyed when it
 * has.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/x509v3.h>

#include "derive/store_int.h"

static void
life_detail(const struct credential *c, const char *why, char *out, size_t cap)
{
	snprintf(out, cap, "%s on token '%s' by %s: %s", role_info(c->role)->name, c->token_label, c->issuer, why);
}

/* One change and its event, together. */
static enum err
life_change(struct store *s, const struct credential *c, const char *sql, const struct db_arg *args, size_t n,
    const char *what, const char *why)
{
	char detail[1400];
	enum err e = db_begin(s->db);

	if (e != E_OK)
		return e;
	life_detail(c, why, detail, sizeof detail);
	e = db_run(s->db, sql, args, n);
	if (e == E_OK)
		e = store_event(s, what, detail);
	return db_end(s->db, e);
}

enum err
store_revoke_begin(struct store *s, const struct credential *c, int reason)
{
	return life_change(s, c,
	    "INSERT INTO revocation (credential, reason, step, created) VALUES (?, ?, ?, ?)"
	    " ON CONFLICT (credential) DO UPDATE SET reason = excluded.reason WHERE step = 0",
	    DB_ARGS(db_int(c->row), db_int(reason), db_int(REVOKE_ASK), db_int(time(NULL))), "revoking", "begun");
}

enum err
store_revoke_asked(struct store *s, const struct credential *c, const char *why)
{
	return life_change(s, c, "UPDATE revocation SET step = ? WHERE credential = ?",
	    DB_ARGS(db_int(REVOKE_DESTROY), db_int(c->row)), "revoking", why);
}

enum err
store_revoke_get(struct store *s, int64_t credential, enum revoke_step *step)
{
	int64_t n = 0;
	enum err e =
	    db_number(s->db, &n, "SELECT step FROM revocation WHERE credential = ?", DB_ARGS(db_int(credential)));

	*step = n == REVOKE_DESTROY ? REVOKE_DESTROY : REVOKE_ASK;
	return e;
}

enum err
store_revoke_done(struct store *s, const struct credential *c)
{
	char detail[512];
	bool keep;
	int reason;
	enum err e = store_revoke_facts(s, c->row, &reason, &keep);

	if (e == E_OK)
		e = db_begin(s->db);
	if (e != E_OK)
		return e;
	life_detail(c, keep ? "its key is kept, for old mail" : "its key is destroyed", detail, sizeof detail);
	e = db_run(s->db, "DELETE FROM revocation WHERE credential = ?", DB_ARGS(db_int(c->row)));
	if (e == E_OK)
		e = db_run(s->db, "UPDATE credential SET active = 0 WHERE id = ?", DB_ARGS(db_int(c->row)));
	if (e == E_OK)
		e = store_event(s, "revoked", detail);
	return db_end(s->db, e);
}

enum err
store_revoke_facts(struct store *s, int64_t credential, int *reason, bool *keep)
{
	int64_t n = 0, kept = 0;
	enum err e =
	    db_number(s->db, &n, "SELECT reason FROM revocation WHERE credential = ?", DB_ARGS(db_int(credential)));

	if (e == E_OK)
		e = db_number(
		    s->db, &kept, "SELECT keep FROM revocation WHERE credential = ?", DB_ARGS(db_int(credential)));
	*reason = (int)n;
	*keep = kept != 0;
	return e;
}

enum err
store_revoke_supersede(struct store *s, const struct credential *old)
{
	char detail[512];
	enum err e = db_run(s->db,
	    "INSERT OR REPLACE INTO revocation (credential, reason, step, created, keep) VALUES (?, ?, ?, ?, ?)",
	    DB_ARGS(db_int(old->row), db_int(CRL_REASON_SUPERSEDED), db_int(REVOKE_ASK), db_int(time(NULL)),
		db_int(role_decrypts(old->role))));

	life_detail(old, "another has taken its place", detail, sizeof detail);
	return e == E_OK ? store_event(s, "revoking", detail) : e;
}

enum err
store_revoke_drop(struct store *s, const struct credential *c, const char *why)
{
	return life_change(
	    s, c, "DELETE FROM revocation WHERE credential = ? AND step = 0", DB_ARGS(db_int(c->row)), "revoking", why);
}

enum err
store_revoke_lost(struct store *s, const struct credential *c, const char *why)
{
	enum err e = db_begin(s->db);

	if (e != E_OK)
		return e;
	e = db_run(s->db, "UPDATE revocation SET step = ?, keep = 0 WHERE credential = ?",
	    DB_ARGS(db_int(REVOKE_DESTROY), db_int(c->row)));
	if (e == E_OK)
		e = db_run(s->db, "UPDATE credential SET active = 0 WHERE id = ?", DB_ARGS(db_int(c->row)));
	if (e == E_OK) {
		char detail[1400];

		life_detail(c, why, detail, sizeof detail);
		e = store_event(s, "lost", detail);
	}
	return db_end(s->db, e);
}

enum err
store_lost_get(struct store *s, size_t i, struct credential *out)
{
	int64_t row = 0;
	enum err e = db_number(s->db, &row,
	    "SELECT r.credential FROM revocation r JOIN credential c ON c.id = r.credential"
	    " WHERE c.active = 0 AND r.step = 1 ORDER BY r.credential LIMIT 1 OFFSET ?",
	    DB_ARGS(db_int((int64_t)i)));

	memset(out, 0, sizeof *out);
	return e == E_OK ? store_cred_find(s, row, out) : e;
}

/* --- checks ------------------------------------------------------------------------------------------------------- */

enum err
store_check_put(struct store *s, const struct credential *c, const struct store_check *k)
{
	char why[900];

	snprintf(why, sizeof why, "%s, the card's certificate %s%s%s%s%s", k->cert, k->card,
	    k->why[0] != '\0' ? ": " : "", k->why, k->changed[0] != '\0' ? "; rekey needed: " : "", k->changed);
	return life_change(s, c,
	    "INSERT OR REPLACE INTO recheck (credential, at, sure_at, cert, card, why, changed) VALUES (?, ?, ?, ?, ?, "
	    "?, ?)",
	    DB_ARGS(db_int(c->row), db_int(k->at), db_int(k->sure_at), db_text(k->cert), db_text(k->card),
		db_text(k->why), db_text(k->changed)),
	    "checked", why);
}

enum err
store_check_get(struct store *s, int64_t credential, struct store_check *out)
{
	struct db_rows *q = NULL;
	bool row = false;
	enum err e =
	    db_query(s->db, &q, "SELECT at, sure_at, cert, card, why, changed FROM recheck WHERE credential = ?",
		DB_ARGS(db_int(credential)));

	memset(out, 0, sizeof *out);
	if (e == E_OK)
		e = db_next(q, &row);
	if (e == E_OK && !row)
		e = err_set(E_NOTFOUND, "it was not checked yet");
	if (e == E_OK) {
		out->at = (time_t)db_col_int(q, 0);
		out->sure_at = (time_t)db_col_int(q, 1);
		store_copy_text(db_col_text(q, 2), out->cert, sizeof out->cert);
		store_copy_text(db_col_text(q, 3), out->card, sizeof out->card);
		store_copy_text(db_col_text(q, 4), out->why, sizeof out->why);
		store_copy_text(db_col_text(q, 5), out->changed, sizeof out->changed);
	}
	db_done(&q);
	return e;
}
