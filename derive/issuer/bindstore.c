/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tables of binding codes. Every judgement happens under BEGIN IMMEDIATE, so that guesses which arrive together,
 * at one process or at several, are counted one after the other, and a code's role is given away once. The row of a
 * role and the certificate become final in the same transaction (issue.c): after a crash a code is either used and its
 * certificate in the ledger, or neither. Rows stay for a day after their end so that "used" and "expired" can be told
 * from "wrong"; that is only said to who knows the whole code.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "derive/issuer/bindstore.h"
#include "derive/issuer/codekey.h"
#include "derive/issuer/refuse.h"
#include "derive/issuer/x509io.h"

#define KEEP  86400
#define DRAWS 8 /* for a name that is free: 2^20 of them, few in use */

struct row {
	struct bindstore_code code;
	char sha256[65];
	uint8_t salt[CODEKEY_SALT];
	bool salted;
	time_t expires;
	int64_t tries;
	bool replaced;
};

static enum err
code_hash(int64_t account, const char *plain, char out[65])
{
	char text[96];
	int n = snprintf(text, sizeof text, "dpiv-issuer binding code 1:%lld:%s", (long long)account, plain);

	if (n < 0 || n >= (int)sizeof text)
		return err_set(E_INTERNAL, "a binding code does not fit");
	x509io_sha256_text(span_of(text, (size_t)n), out);
	OPENSSL_cleanse(text, sizeof text);
	return E_OK;
}

static void
code_name(const char *plain, char out[BINDCODE_NAME + 1])
{
	(void)snprintf(out, BINDCODE_NAME + 1, "%.*s", BINDCODE_NAME, plain);
}

static enum err
forget_old(struct db *db, time_t now)
{
	enum err e;

	e = db_run(db, "DELETE FROM bind_role WHERE code IN (SELECT id FROM bind_code WHERE expires < ?)",
	    DB_ARGS(db_int(now - KEEP)));
	return e != E_OK ? e : db_run(db, "DELETE FROM bind_code WHERE expires < ?", DB_ARGS(db_int(now - KEEP)));
}

/* The row's salt is NULL while the issuer has no key for codes. */
static enum err
draw(const struct secret *key, uint8_t salt[CODEKEY_SALT], char plain[BINDCODE_PLAIN])
{
	if (key == NULL)
		return bindcode_new(plain);
	if (RAND_bytes(salt, CODEKEY_SALT) != 1)
		return err_crypto(E_CRYPTO, "no random numbers");
	return codekey_code(key, salt, plain);
}

static enum err
add_code(struct db *db, const struct bindstore_grant *g, time_t now, char plain[BINDCODE_PLAIN])
{
	char name[BINDCODE_NAME + 1], hash[65];
	uint8_t salt[CODEKEY_SALT];
	enum err e = E_EXISTS;

	for (int i = 0; e == E_EXISTS && i < DRAWS; i++) {
		if ((e = draw(g->key, salt, plain)) != E_OK || (e = code_hash(g->account, plain, hash)) != E_OK)
			return e;
		code_name(plain, name);
		e = db_run(db,
		    "INSERT INTO bind_code (name, account, sha256, card_sha256, created, expires, salt)"
		    " VALUES (?, ?, ?, ?, ?, ?, ?)",
		    DB_ARGS(db_text(name), db_int(g->account), db_text(hash), db_text(g->card_sha256), db_int(now),
			db_int(g->expires), g->key ? db_blob(span_of(salt, sizeof salt)) : db_null()));
	}
	return e;
}

enum err
bindstore_give(struct db *db, const struct bindstore_grant *g, time_t now, char plain[BINDCODE_PLAIN])
{
	int64_t id;
	enum err e;

	if ((e = forget_old(db, now)) != E_OK ||
	    (e = db_run(db, "UPDATE bind_code SET replaced = 1 WHERE account = ?", DB_ARGS(db_int(g->account)))) !=
		E_OK ||
	    (e = add_code(db, g, now, plain)) != E_OK)
		return e;
	id = db_last_id(db);
	for (size_t i = 0; e == E_OK && g->roles[i] != NULL; i++)
		e = db_run(
		    db, "INSERT INTO bind_role (code, role) VALUES (?, ?)", DB_ARGS(db_int(id), db_text(g->roles[i])));
	return e;
}

/* --- guesses ------------------------------------------------------------------------------------------------------ */

/* An address that a guesser cannot change for nothing: of IPv6 the first 64 bits. */
static void
peer_net(const char *peer, char out[INET6_ADDRSTRLEN])
{
	struct in6_addr a;

	(void)snprintf(out, INET6_ADDRSTRLEN, "%s", peer != NULL ? peer : "");
	if (inet_pton(AF_INET6, out, &a) != 1 || IN6_IS_ADDR_V4MAPPED(&a))
		return;
	memset(&a.s6_addr[8], 0, 8);
	(void)inet_ntop(AF_INET6, &a, out, INET6_ADDRSTRLEN);
}

static enum err
guess_count(struct db *db, const char *net, time_t now, int64_t *n)
{
	return db_number(db, n, "SELECT count(*) FROM bind_guess WHERE peer = ? AND at > ?",
	    DB_ARGS(db_text(net), db_int(now - BINDSTORE_WINDOW)));
}

static enum err
guess_add(struct db *db, const char *net, int64_t code, time_t now)
{
	enum err e = db_run(db, "DELETE FROM bind_guess WHERE at <= ?", DB_ARGS(db_int(now - BINDSTORE_WINDOW)));

	if (e == E_OK)
		e = db_run(db, "INSERT INTO bind_guess (peer, at) VALUES (?, ?)", DB_ARGS(db_text(net), db_int(now)));
	if (e == E_OK && code != 0)
		e = db_run(db, "UPDATE bind_code SET tries = tries + 1 WHERE id = ?", DB_ARGS(db_int(code)));
	return e;
}

/* id 0: no code of this name. */
static enum err
fetch(struct db *db, const char *name, struct row *out)
{
	struct db_rows *q;
	bool row = false;
	enum err e;

	memset(out, 0, sizeof *out);
	e = db_query(db, &q,
	    "SELECT id, account, card_sha256, sha256, expires, tries, replaced, salt FROM bind_code WHERE name = ?",
	    DB_ARGS(db_text(name)));
	if (e == E_OK && (e = db_next(q, &row)) == E_OK && row) {
		out->code.id = db_col_int(q, 0);
		out->code.account = db_col_int(q, 1);
		(void)snprintf(out->code.card_sha256, sizeof out->code.card_sha256, "%s", db_col_text(q, 2));
		(void)snprintf(out->sha256, sizeof out->sha256, "%s", db_col_text(q, 3));
		out->expires = (time_t)db_col_int(q, 4);
		out->tries = db_col_int(q, 5);
		out->replaced = db_col_int(q, 6) != 0;
		if ((out->salted = db_col_blob(q, 7).n == sizeof out->salt))
			memcpy(out->salt, db_col_blob(q, 7).p, sizeof out->salt);
	}
	db_done(&q);
	return e;
}

static enum err
too_many(void)
{
	return refuse(REFUSE_CODE_TRIES,
	    "too many wrong binding codes; get a new code with 'dpiv bind' on the machine with the card, and try it "
	    "from "
	    "here in an hour");
}

enum err
bindstore_used(void)
{
	return refuse(REFUSE_CODE_USED,
	    "this binding code was used already; if not by you, tell the issuer at once. Get a new code with "
	    "'dpiv bind'");
}

/* The whole code is known to who asks: now the reasons may be told. */
static enum err
judge_state(struct db *db, const struct bindstore_claim *c, struct row *r, time_t now)
{
	int64_t given, left;
	enum err e;

	e = db_number(db, &given, "SELECT count(*) FROM bind_role WHERE code = ?1 AND (?2 IS NULL OR role = ?2)",
	    DB_ARGS(db_int(r->code.id), db_text(c->role)));
	if (e == E_OK)
		e = db_number(db, &left,
		    "SELECT count(*) FROM bind_role WHERE code = ?1 AND (?2 IS NULL OR role = ?2) AND used IS NULL",
		    DB_ARGS(db_int(r->code.id), db_text(c->role)));
	if (e != E_OK)
		return e;
	if (given == 0)
		return refuse(REFUSE_CODE_ROLE,
		    "this binding code was not given for %s; get one with 'dpiv bind --role %s'", c->role, c->role);
	r->code.used = left == 0;
	if (left == 0 && (r->replaced || now > r->expires))
		return bindstore_used();
	if (r->replaced)
		return refuse(
		    REFUSE_CODE_EXPIRED, "a newer binding code has taken the place of this one; use the newer one");
	if (now > r->expires)
		return refuse(REFUSE_CODE_EXPIRED, "this binding code has expired; get a new one with 'dpiv bind'");
	return E_OK;
}

/* *verdict is what the person is told; the result, whether the judging itself worked. */
static enum err
judge(struct db *db, const struct bindstore_claim *c, time_t now, struct row *r, enum err *verdict)
{
	char net[INET6_ADDRSTRLEN], name[BINDCODE_NAME + 1], hash[65];
	int64_t guesses;
	enum err e;

	peer_net(c->peer, net);
	code_name(c->plain, name);
	if ((e = guess_count(db, net, now, &guesses)) != E_OK || (e = fetch(db, name, r)) != E_OK ||
	    (e = code_hash(r->code.account, c->plain, hash)) != E_OK)
		return e;
	if (guesses >= c->tries || r->tries >= c->tries) {
		*verdict = too_many();
		return E_OK;
	}
	if (r->code.id == 0 || CRYPTO_memcmp(hash, r->sha256, sizeof hash) != 0) {
		*verdict = refuse(REFUSE_CODE_WRONG,
		    "the binding code is wrong; compare it with what 'dpiv bind' showed, or get a new one there");
		return guess_add(db, net, r->code.id, now);
	}
	*verdict = judge_state(db, c, r, now);
	return *verdict == E_OK || *verdict == E_POLICY ? E_OK : *verdict;
}

enum err
bindstore_check(struct db *db, const struct bindstore_claim *c, time_t now, struct bindstore_code *out)
{
	enum err e, verdict = E_OK;
	struct row r = { 0 };

	if ((e = db_begin(db)) == E_OK)
		e = db_end(db, judge(db, c, now, &r, &verdict)); /* a counted guess is committed */
	*out = r.code;
	return e != E_OK ? e : verdict;
}

/* The key of a request for a key is another than that of its certificate, and in the escrow's row. */
enum err
bindstore_is_for(struct db *db, const struct bindstore_code *code, const char *role, const char *key_sha256, bool *yes)
{
	int64_t n = 0;
	enum err e = db_number(db, &n,
	    "SELECT count(*) FROM bind_role r JOIN certificate c ON c.serial = r.serial"
	    " LEFT JOIN escrow e ON e.serial = c.serial WHERE r.code = ?1 AND coalesce(e.way, c.spki_sha256) = ?2"
	    " AND (?3 IS NULL OR r.role = ?3)"
	    " AND c.state = 'issued' AND c.serial NOT IN (SELECT serial FROM revocation)",
	    DB_ARGS(db_int(code->id), db_text(key_sha256), db_text(role)));

	*yes = e == E_OK && n > 0;
	return e;
}

enum err
bindstore_use(struct db *db, const struct bindstore_code *code, const char *role, const char *serial, time_t now)
{
	enum err e = db_run(db,
	    "UPDATE bind_role SET used = coalesce(used, ?1), serial = ?2 WHERE code = ?3 AND role = ?4"
	    " AND (used IS NULL OR serial = ?2)"
	    " AND EXISTS (SELECT 1 FROM bind_code WHERE id = ?3 AND account = ?5 AND replaced = 0)",
	    DB_ARGS(db_int(now), db_text(serial), db_int(code->id), db_text(role), db_int(code->account)));

	if (e == E_OK && db_changed(db) != 1)
		e = refuse(REFUSE_CODE_USED,
		    "this binding code was used by another request a moment ago; if not by you, tell the issuer at "
		    "once");
	return e;
}

enum err
bindstore_secret(struct db *db, const struct secret *key, const char *name, char plain[BINDCODE_PLAIN])
{
	struct row r = { .salted = false };
	char hash[65];
	enum err e = fetch(db, name, &r);

	if (e == E_OK && (key == NULL || !r.salted))
		e = E_NOTFOUND;
	if (e == E_OK && (e = codekey_code(key, r.salt, plain)) == E_OK)
		e = code_hash(r.code.account, plain, hash);
	if (e == E_OK && CRYPTO_memcmp(hash, r.sha256, sizeof hash) != 0) /* the key is another one now */
		e = E_NOTFOUND;
	if (e != E_OK)
		OPENSSL_cleanse(plain, BINDCODE_PLAIN);
	return e == E_NOTFOUND ? err_set(e, "there is no secret of that name") : e;
}
