/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of CMP's transactions (cmp_trans.h). A transactionID is the client's choice of 16 random bytes (RFC 9810,
 * 5.1.1); the same name with another request is refused, the same request is a repetition after a lost answer.
 */
#include <stdio.h>
#include <string.h>

#include "derive/issuer/cmp_trans.h"
#include "derive/issuer/refuse.h"

#define ID_MAX	    64
#define REQUEST_MAX 65536

static enum err
check_id(struct span id)
{
	if (id.n == 0 || id.n > ID_MAX)
		return refuse(REFUSE_TRANSACTION, "a transactionID has 1 to %d bytes", ID_MAX);
	return E_OK;
}

enum err
cmp_trans_check(struct db *db, struct span id, struct span request, time_t now)
{
	struct cmp_trans t;
	enum err e = cmp_trans_get(db, id, now, &t);

	if (e == E_POLICY) /* none: a new one */
		e = check_id(id);
	else if (e == E_OK && !span_eq(wbuf_view(&t.request), request))
		e = refuse(REFUSE_TRANSACTION, "the transactionID has been used by another request");
	cmp_trans_clear(&t);
	return e;
}

enum err
cmp_trans_put(struct db *db, struct span id, struct span request, struct span nonce, const char *serial, time_t now)
{
	enum err e = db_begin(db);

	if (e != E_OK)
		return e;
	e = db_run(db, "DELETE FROM cmp_transaction WHERE at <= ?", DB_ARGS(db_int(now - CMP_TRANS_KEEP)));
	if (e == E_OK)
		e = db_run(db,
		    "INSERT OR REPLACE INTO cmp_transaction (id, request, nonce, serial, at) VALUES (?, ?, ?, ?, ?)",
		    DB_ARGS(db_blob(id), db_blob(request), db_blob(nonce), db_text(serial), db_int(now)));
	return db_end(db, e);
}

enum err
cmp_trans_get(struct db *db, struct span id, time_t now, struct cmp_trans *out)
{
	struct db_rows *q = NULL;
	bool row = false;
	enum err e;

	memset(out, 0, sizeof *out);
	wbuf_init(&out->request, REQUEST_MAX);
	wbuf_init(&out->nonce, ID_MAX);
	if ((e = check_id(id)) != E_OK)
		return e;
	e = db_query(db, &q, "SELECT serial, request, nonce, done FROM cmp_transaction WHERE id = ? AND at > ?",
	    DB_ARGS(db_blob(id), db_int(now - CMP_TRANS_KEEP)));
	if (e == E_OK)
		e = db_next(q, &row);
	if (e == E_OK && row) {
		(void)snprintf(out->serial, sizeof out->serial, "%s", db_col_text(q, 0));
		wbuf_span(&out->request, db_col_blob(q, 1));
		wbuf_span(&out->nonce, db_col_blob(q, 2));
		out->done = db_col_int(q, 3) != 0;
	}
	db_done(&q);
	if (e == E_OK && !row)
		return refuse(REFUSE_TRANSACTION, "there is no open transaction of this name");
	return e == E_OK && (out->request.bad || out->nonce.bad) ? err_set(E_NOMEM, "out of memory") : e;
}

enum err
cmp_trans_end(struct db *db, struct span id)
{
	return db_run(db, "UPDATE cmp_transaction SET done = 1 WHERE id = ?", DB_ARGS(db_blob(id)));
}

void
cmp_trans_clear(struct cmp_trans *t)
{
	wbuf_free(&t->request);
	wbuf_free(&t->nonce);
	memset(t, 0, sizeof *t);
}
