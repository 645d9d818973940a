/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A transactionID (RFC 8894, 3.2.1.1) stands for one key of one person. The same request again, by who has not got the
 * answer or by who has recorded it, is answered with the same certificate (issue.c), which is encrypted to its first
 * sender; the same name for another key is refused. Rows stay, so that a recording does not become a new request when
 * issue.c no longer takes it for a repetition. A name is a person's own: nobody can take another's away.
 *
 * A poll brings no request: what has become of it is in the tables of certificates and of the CA behind this issuer.
 */
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>

#include "derive/issuer/account.h"
#include "derive/issuer/ledger.h"
#include "derive/issuer/refuse.h"
#include "derive/issuer/scep_trans.h"
#include "derive/issuer/upstream.h"

#define LIFE (31 * 86400) /* as long as issue.c answers a request again */

static enum err
take(struct issuer *i, const struct scep_trans *t, time_t now)
{
	int64_t n = 0;
	enum err e;

	e = db_run(i->db,
	    "INSERT INTO scep_transaction (id, account, profile, spki_sha256, card_sha256, signer, at)"
	    " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (account, id) DO NOTHING",
	    DB_ARGS(db_text(t->id), db_int(t->account), db_text(t->profile), db_text(t->spki_sha256),
		db_text(t->card_sha256), db_text(t->signer), db_int(now)));
	if (e == E_OK) /* who has lost the key of the message layer comes with another */
		e = db_run(i->db,
		    "UPDATE scep_transaction SET signer = ?, card_sha256 = ? WHERE id = ? AND account = ? AND profile "
		    "= ?"
		    " AND spki_sha256 = ? AND at > ?",
		    DB_ARGS(db_text(t->signer), db_text(t->card_sha256), db_text(t->id), db_int(t->account),
			db_text(t->profile), db_text(t->spki_sha256), db_int(now - LIFE)));
	if (e == E_OK)
		n = db_changed(i->db);
	if (e == E_OK && n != 1)
		return refuse(REFUSE_TRANSACTION,
		    "this transactionID was used before, for another key or long ago; begin a new transaction");
	return e;
}

enum err
scep_trans_take(struct issuer *i, const struct scep_trans *t, time_t now)
{
	enum err e = db_begin(i->db);

	return e == E_OK ? db_end(i->db, take(i, t, now)) : e;
}

struct found {
	int64_t account;
	char spki_sha256[65], card_sha256[65];
};

static enum err
find(struct issuer *i, const char *id, const char *signer, const char *profile, struct found *out)
{
	struct db_rows *q = NULL;
	bool row = false;
	enum err e;

	e = db_query(i->db, &q,
	    "SELECT account, spki_sha256, card_sha256 FROM scep_transaction"
	    " WHERE signer = ? AND id = ? AND profile = ?",
	    DB_ARGS(db_text(signer), db_text(id), db_text(profile)));
	if (e == E_OK && (e = db_next(q, &row)) == E_OK && row) {
		out->account = db_col_int(q, 0);
		(void)snprintf(out->spki_sha256, sizeof out->spki_sha256, "%s", db_col_text(q, 1));
		(void)snprintf(out->card_sha256, sizeof out->card_sha256, "%s", db_col_text(q, 2));
	}
	db_done(&q);
	if (e == E_OK && !row)
		return refuse(
		    REFUSE_TRANSACTION, "there is no transaction of this name whose request this key has signed");
	return e;
}

/* *out NULL and E_OK: the CA's verdict is the answer. */
static enum err
look(struct issuer *i, const struct found *f, const char *profile, time_t now, X509 **out, struct upstream_verdict *v)
{
	const struct ledger_cert row = {
		.spki_sha256 = f->spki_sha256, .account = f->account, .profile = profile, .card_sha256 = f->card_sha256
	};
	const struct upstream_ask ask = {
		.account = f->account, .profile = profile, .spki_sha256 = f->spki_sha256, .card_sha256 = f->card_sha256
	};
	const unsigned char *p;
	WBUF_AUTO der = { 0 };
	enum err e;

	wbuf_init(&der, 1u << 20);
	if ((e = ledger_again(i->db, &row, now - LIFE, now, &der)) == E_NOTFOUND)
		return upstream_is(i) ? upstream_before(i, &ask, now, v) : E_OK;
	p = der.p;
	if (e == E_OK && (*out = d2i_X509(NULL, &p, (long)der.n)) == NULL)
		e = err_crypto(E_STORE, "a certificate in the ledger is damaged");
	return e;
}

enum err
scep_trans_poll(struct issuer *i, const char *id, const char *signer, const char *profile, time_t now, X509 **out)
{
	struct upstream_verdict v = { 0 };
	struct account a;
	struct found f;
	enum err e;

	*out = NULL;
	if ((e = find(i, id, signer, profile, &f)) != E_OK || (e = account_get(i->db, f.account, &a)) != E_OK ||
	    (e = account_check_status(&a)) != E_OK || (e = db_begin(i->db)) != E_OK)
		return e;
	if ((e = db_end(i->db, look(i, &f, profile, now, out, &v))) != E_OK || *out != NULL)
		return e;
	if ((e = upstream_say(&v)) == E_OK)
		return refuse(REFUSE_TRANSACTION, "nothing is left of this transaction; begin a new one");
	return e;
}
