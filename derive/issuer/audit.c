/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The chain of events (audit.h). What is hashed is, in this order: the hash of the row before (32 bytes, zero for the
 * first), then number, time, what, code, account, serial, card, peer and detail, each as one byte 0 when it is NULL,
 * and else one byte 1, its length as 32 bits big-endian, and its bytes; numbers are written in decimal. So no two rows
 * have the same form, and a reader in any language can follow.
 *
 * Rows that are older than the chain have no hash of their own. The first row that has one covers them all: its
 * predecessor is calculated from them as if they had. After it no row is without.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/evp.h>

#include "base/text.h"
#include "derive/issuer/audit.h"

/* Columns of a row in the order of its hash; the hash itself is behind them. */
#define COLUMNS "id, at, what, code, account, serial, card, peer, detail"
enum { FIELDS = 9 };
#define ROW_MAX (1u << 20)

static void
put_text(struct wbuf *w, const char *text)
{
	size_t n = text ? strlen(text) : 0;

	wbuf_u8(w, text != NULL);
	if (text == NULL)
		return;
	wbuf_be32(w, (uint32_t)n);
	wbuf_put(w, text, n);
}

static void
put_number(struct wbuf *w, int64_t v)
{
	char text[24];

	(void)snprintf(text, sizeof text, "%" PRId64, v);
	put_text(w, text);
}

/* row: what is hashed of it, without its predecessor. */
static enum err
fold(struct audit_head *h, int64_t id, const struct wbuf *row)
{
	struct span view = wbuf_view(row);
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	bool ok = md && !row->bad && EVP_DigestInit_ex(md, EVP_sha256(), NULL) &&
	    EVP_DigestUpdate(md, h->hash, AUDIT_HASH) && EVP_DigestUpdate(md, view.p, view.n) &&
	    EVP_DigestFinal_ex(md, h->hash, NULL);

	EVP_MD_CTX_free(md);
	h->id = id;
	return ok ? E_OK : err_crypto(E_CRYPTO, "cannot calculate the hash of an event");
}

/* The chain's next hash from a row of COLUMNS. */
static enum err
fold_row(struct audit_head *h, struct db_rows *q)
{
	WBUF_AUTO row = { 0 };

	wbuf_init(&row, ROW_MAX);
	for (int i = 0; i < FIELDS; i++)
		put_text(&row, db_col_null(q, i) ? NULL : db_col_text(q, i));
	return fold(h, db_col_int(q, 0), &row);
}

/* Does the row carry this hash? One that is older than the chain carries none. */
static enum err
check_row(const struct audit_head *h, struct db_rows *q, bool *chained)
{
	if (db_col_null(q, FIELDS) && !*chained)
		return E_OK;
	*chained = true;
	if (!span_eq(db_col_blob(q, FIELDS), span_of(h->hash, AUDIT_HASH)))
		return err_set(
		    E_STORE, "event %" PRId64 " is not what was written, or one before it is missing", h->id);
	return E_OK;
}

/* Every row there is, in order. */
static enum err
walk(struct db *db, const struct audit_head *kept, struct audit_head *h, bool *chained)
{
	struct db_rows *q = NULL;
	bool row, met = kept == NULL;
	enum err e = db_query(db, &q, "SELECT " COLUMNS ", hash FROM event ORDER BY id", DB_NO_ARGS);

	memset(h, 0, sizeof *h);
	*chained = false;
	while (e == E_OK && (e = db_next(q, &row)) == E_OK && row) {
		if (db_col_int(q, 0) != h->id + 1)
			e = err_set(E_STORE, "the events after %" PRId64 " and before %" PRId64 " are missing", h->id,
			    db_col_int(q, 0));
		else if ((e = fold_row(h, q)) == E_OK)
			e = check_row(h, q, chained);
		if (e == E_OK && kept && h->id == kept->id) {
			met = true;
			if (memcmp(h->hash, kept->hash, AUDIT_HASH) != 0)
				e = err_set(E_STORE,
				    "up to event %" PRId64 " the events are not those of the kept head", h->id);
		}
	}
	db_done(&q);
	if (e == E_OK && !met)
		e = err_set(E_STORE, "event %" PRId64 " of the kept head is missing", kept->id);
	return e;
}

enum err
audit_head(struct db *db, struct audit_head *h)
{
	struct db_rows *q = NULL;
	bool row = false;
	enum err e = db_query(db, &q, "SELECT id, hash FROM event_head", DB_NO_ARGS);

	memset(h, 0, sizeof *h);
	if (e == E_OK && (e = db_next(q, &row)) == E_OK && row) {
		struct span hash = db_col_blob(q, 1);

		h->id = db_col_int(q, 0);
		if (hash.n == AUDIT_HASH)
			memcpy(h->hash, hash.p, AUDIT_HASH);
		else
			e = err_set(E_STORE, "the head of the chain of events is damaged");
	}
	db_done(&q);
	return e;
}

/* The head, or what it would be when the chain has not begun. */
static enum err
head_for_next(struct db *db, struct audit_head *h)
{
	bool chained;
	enum err e = audit_head(db, h);

	return e == E_OK && h->id == 0 ? walk(db, NULL, h, &chained) : e;
}

static enum err
append(struct db *db, const struct ledger_event *ev, time_t now)
{
	WBUF_AUTO row = { 0 };
	struct audit_head h = { .id = 0 };
	struct span hash = span_of(h.hash, AUDIT_HASH);
	enum err e = head_for_next(db, &h);
	int64_t id = h.id + 1;

	if (e != E_OK)
		return e;
	wbuf_init(&row, ROW_MAX);
	put_number(&row, id);
	put_number(&row, now);
	put_text(&row, ev->what);
	put_text(&row, ev->code);
	if (ev->account)
		put_number(&row, ev->account);
	else
		put_text(&row, NULL);
	put_text(&row, ev->serial);
	put_text(&row, ev->card);
	put_text(&row, ev->peer);
	put_text(&row, ev->detail);
	if ((e = fold(&h, id, &row)) == E_OK)
		e = db_run(db, "INSERT INTO event (" COLUMNS ", hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		    DB_ARGS(db_int(id), db_int(now), db_text(ev->what), db_text(ev->code),
			ev->account ? db_int(ev->account) : db_null(), db_text(ev->serial), db_text(ev->card),
			db_text(ev->peer), db_text(ev->detail), db_blob(hash)));
	if (e == E_OK)
		e = db_run(db,
		    "INSERT INTO event_head (one, id, hash) VALUES (1, ?, ?)"
		    " ON CONFLICT (one) DO UPDATE SET id = excluded.id, hash = excluded.hash",
		    DB_ARGS(db_int(id), db_blob(hash)));
	return e;
}

enum err
audit_add(struct db *db, const struct ledger_event *ev, time_t now)
{
	enum err e;

	if (db_inside(db))
		return append(db, ev, now);
	if ((e = db_begin(db)) != E_OK)
		return e;
	return db_end(db, append(db, ev, now));
}

/* Inside a transaction: the rows and the head are of one moment. */
static enum err
verify(struct db *db, const struct audit_head *kept, struct audit_head *out)
{
	struct audit_head noted;
	bool chained;
	enum err e;

	if ((e = walk(db, kept, out, &chained)) != E_OK || (e = audit_head(db, &noted)) != E_OK)
		return e;
	if (noted.id == 0 && chained)
		return err_set(E_STORE, "the head of the chain of events is missing");
	if (noted.id > out->id)
		return err_set(
		    E_STORE, "the events after %" PRId64 " are cut off: there were %" PRId64, out->id, noted.id);
	if (noted.id != 0 && (noted.id != out->id || memcmp(noted.hash, out->hash, AUDIT_HASH) != 0))
		return err_set(E_STORE, "event %" PRId64 " is not on the chain: it was put in later", out->id);
	return E_OK;
}

enum err
audit_verify(struct db *db, const struct audit_head *kept, struct audit_head *out)
{
	enum err e;

	memset(out, 0, sizeof *out);
	if (db_inside(db))
		return verify(db, kept, out);
	if ((e = db_begin_read(db)) != E_OK)
		return e;
	return db_end(db, verify(db, kept, out));
}

char *
audit_head_text(const struct audit_head *h, char out[AUDIT_HEAD_MAX])
{
	char hex[2 * AUDIT_HASH + 1];

	(void)snprintf(
	    out, AUDIT_HEAD_MAX, "%" PRId64 ":%s", h->id, text_hex(span_of(h->hash, AUDIT_HASH), hex, sizeof hex));
	return out;
}

bool
audit_head_read(const char *text, struct audit_head *out)
{
	WBUF_AUTO hash = { 0 };
	char *end;

	memset(out, 0, sizeof *out);
	wbuf_init(&hash, AUDIT_HASH);
	if (text[0] < '1' || text[0] > '9')
		return false;
	out->id = strtoll(text, &end, 10);
	if (*end != ':' || !text_unhex(&end[1], &hash) || hash.n != AUDIT_HASH)
		return false;
	memcpy(out->hash, hash.p, AUDIT_HASH);
	return true;
}
