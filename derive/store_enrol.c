/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Enrolments under way: the journal of the state store. A row is written before its key exists; it is either turned
 * into a credential or deleted, each in one transaction with its event, so that at no moment both or neither are there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "derive/cert.h"
#include "derive/keywrap.h"
#include "derive/store_int.h"

void
enrolment_clear(struct enrolment *e)
{
	X509_free(e->cert);
	X509_free(e->card);
	EVP_PKEY_free(e->pub);
	wbuf_free(&e->wrapped);
	free(e->evidence);
	memset(e, 0, sizeof *e);
}

static enum err
event_about(struct store *s, const char *what, const struct enrolment *e, const char *more)
{
	char detail[512];

	snprintf(detail, sizeof detail, "%s on token '%s' by %s%s%s", role_info(e->role)->name, e->token_label,
	    e->issuer, more[0] != '\0' ? ": " : "", more);
	return store_event(s, what, detail);
}

static enum err
enrol_insert(struct store *s, struct enrolment *e, struct span card)
{
	enum err err = db_run(s->db,
	    "INSERT INTO enrolment (role, step, issuer, token_uri, token_serial, token_label, key_id, label, "
	    "card_cert, created, renews, moves)"
	    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
	    DB_ARGS(db_text(role_info(e->role)->name), db_int(ENROL_KEY), db_text(e->issuer), db_text(e->token_uri),
		db_text(e->token_serial), db_text(e->token_label), db_blob(span_of(e->id, e->id_len)),
		db_text(e->label), db_blob(card), db_int(e->created), db_int(e->renews), db_int(e->moves)));

	if (err == E_OK)
		e->row = db_last_id(s->db);
	return err;
}

enum err
store_enrol_begin(struct store *s, struct enrolment *e)
{
	WBUF_AUTO card;
	enum err err;

	wbuf_init(&card, 64 * 1024);
	e->created = time(NULL);
	err = store_cert_blob(e->card, &card);
	if (err == E_OK)
		err = db_begin(s->db);
	if (err != E_OK)
		return err;
	err = enrol_insert(s, e, wbuf_view(&card));
	if (err == E_OK)
		err = event_about(s, "enrol", e, "");
	return db_end(s->db, err);
}

enum err
store_enrol_cert(struct store *s, const struct enrolment *e, X509 *cert)
{
	return store_enrol_key(s, e, cert, SPAN_NONE);
}

enum err
store_enrol_key(struct store *s, const struct enrolment *e, X509 *cert, struct span wrapped)
{
	char serial[64];
	WBUF_AUTO der;
	enum err err;

	wbuf_init(&der, 64 * 1024);
	err = store_cert_blob(cert, &der);
	if (err == E_OK)
		err = db_begin(s->db);
	if (err != E_OK)
		return err;
	err = db_run(s->db, "UPDATE enrolment SET step = ?, cert = ?, wrapped = ?, evidence = ? WHERE id = ?",
	    DB_ARGS(db_int(ENROL_CERT), db_blob(wbuf_view(&der)), wrapped.n > 0 ? db_blob(wrapped) : db_null(),
		db_text(e->evidence), db_int(e->row)));
	if (err == E_OK)
		err = event_about(s, "issued", e, cert_serial(cert, serial, sizeof serial));
	return db_end(s->db, err);
}

enum err
store_enrol_moved(struct store *s, struct enrolment *e, uint8_t place)
{
	enum err err = db_run(s->db, "UPDATE enrolment SET key_id = ? WHERE id = ?",
	    DB_ARGS(db_blob(span_of(&place, 1)), db_int(e->row)));

	if (err != E_OK)
		return err;
	e->id[0] = place;
	e->id_len = 1;
	return E_OK;
}

/* SubjectPublicKeyInfo; nothing for none */
static enum err
pub_blob(EVP_PKEY *pub, struct wbuf *out)
{
	unsigned char *der = NULL;
	int n = pub != NULL ? i2d_PUBKEY(pub, &der) : 0;

	if (n > 0)
		wbuf_put(out, der, (size_t)n);
	OPENSSL_free(der);
	return n >= 0 && !out->bad ? E_OK : err_crypto(E_STORE, "the public key cannot be written down");
}

static enum err
enrol_pends(struct store *s, struct enrolment *e, enum enrol_step step, time_t retry_at)
{
	WBUF_AUTO pub;
	enum err err;

	wbuf_init(&pub, 16 * 1024);
	err = pub_blob(e->pub, &pub);
	if (err == E_OK)
		err = db_begin(s->db);
	if (err != E_OK)
		return err;
	err = db_run(s->db, "UPDATE enrolment SET step = ?, retry_at = ?, pub = ? WHERE id = ?",
	    DB_ARGS(db_int(step), db_int(retry_at), db_blob(wbuf_view(&pub)), db_int(e->row)));
	if (err == E_OK && step == ENROL_WAIT && e->step != ENROL_WAIT)
		err = event_about(s, "waiting", e, "the issuer has the request and wants time");
	err = db_end(s->db, err);
	if (err == E_OK) {
		e->step = step;
		e->retry_at = retry_at;
	}
	return err;
}

enum err
store_enrol_ask(struct store *s, struct enrolment *e)
{
	return enrol_pends(s, e, ENROL_ASK, 0);
}

enum err
store_enrol_wait(struct store *s, struct enrolment *e, time_t retry_at)
{
	return enrol_pends(s, e, ENROL_WAIT, retry_at);
}

enum err
store_cred_insert(struct store *s, const struct enrolment *e, X509 *cert, struct span der, struct span card,
    bool active, time_t created)
{
	char serial[64], subject[256], uuid[TEXT_UUID_MAX];

	cert_uuids(cert, uuid);
	return db_run(s->db,
	    "INSERT INTO credential (role, issuer, token_uri, token_serial, token_label, key_id, cert, serial, "
	    "subject, uuid,"
	    " not_after, card_cert, active, created, evidence) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
	    DB_ARGS(db_text(role_info(e->role)->name), db_text(e->issuer), db_text(e->token_uri),
		db_text(e->token_serial), db_text(e->token_label), db_blob(span_of(e->id, e->id_len)), db_blob(der),
		db_text(cert_serial(cert, serial, sizeof serial)), db_text(cert_name(cert, subject, sizeof subject)),
		db_text(uuid[0] != '\0' ? uuid : NULL), db_int(cert_not_after(cert)), db_blob(card), db_int(active),
		db_int(created), db_text(e->evidence)));
}

/* The row goes, or stays for the old key that a renewal leaves behind. */
static enum err
enrol_settle(struct store *s, const struct enrolment *e, const struct credential *old, const char *old_label)
{
	if (old == NULL)
		return db_run(s->db, "DELETE FROM enrolment WHERE id = ?", DB_ARGS(db_int(e->row)));
	return db_run(s->db,
	    "UPDATE enrolment SET step = ?, key_id = ?, label = ?, cert = NULL, wrapped = NULL WHERE id = ?",
	    DB_ARGS(db_int(ENROL_OLD), db_blob(span_of(old->id, old->id_len)), db_text(old_label), db_int(e->row)));
}

enum err
store_cred_replaced(struct store *s, const struct enrolment *e)
{
	return db_run(s->db,
	    "UPDATE credential SET active = 0 WHERE role = ? AND issuer = ? AND token_serial = ? AND token_label = ?"
	    " AND id <> ?",
	    DB_ARGS(db_text(role_info(e->role)->name), db_text(e->issuer), db_text(e->token_serial),
		db_text(e->token_label), db_int(e->moves ? e->renews : 0)));
}

/* A credential that is recorded has no enrolment under way, and the other way round. */
static enum err
enrol_to_cred(struct store *s, const struct enrolment *e, X509 *cert, struct span der, struct span card)
{
	char serial[64];
	enum err err = store_cred_replaced(s, e);

	if (err == E_OK)
		err = store_cred_insert(s, e, cert, der, card, true, time(NULL));
	if (err == E_OK)
		err = event_about(s,
		    e->moves		 ? "moved"
			: e->renews != 0 ? "renewed"
					 : "derived",
		    e, cert_serial(cert, serial, sizeof serial));
	return err;
}

static enum err
enrol_finish(struct store *s, const struct enrolment *e, X509 *cert, const struct credential *old, const char *label)
{
	WBUF_AUTO der;
	WBUF_AUTO card;
	enum err err;

	wbuf_init(&der, 64 * 1024);
	wbuf_init(&card, 64 * 1024);
	err = store_cert_blob(cert, &der);
	if (err == E_OK)
		err = store_cert_blob(e->card, &card);
	if (err == E_OK)
		err = db_begin(s->db);
	if (err != E_OK)
		return err;
	err = enrol_to_cred(s, e, cert, wbuf_view(&der), wbuf_view(&card));
	if (err == E_OK)
		err = enrol_settle(s, e, e->moves ? NULL : old, label);
	if (err == E_OK && e->moves)
		err = store_revoke_supersede(s, old);
	return db_end(s->db, err);
}

enum err
store_enrol_done(struct store *s, const struct enrolment *e, X509 *cert)
{
	return enrol_finish(s, e, cert, NULL, NULL);
}

enum err
store_enrol_superseded(struct store *s, const struct enrolment *e, X509 *cert, const struct credential *old)
{
	return enrol_finish(s, e, cert, old, NULL);
}

enum err
store_enrol_renewed(
    struct store *s, struct enrolment *e, X509 *cert, const struct credential *old, const char *old_label)
{
	enum err err = enrol_finish(s, e, cert, old, old_label);

	if (err != E_OK)
		return err;
	e->step = ENROL_OLD;
	memcpy(e->id, old->id, sizeof e->id);
	e->id_len = old->id_len;
	store_copy_text(old_label, e->label, sizeof e->label);
	return E_OK;
}

enum err
store_enrol_cleared(struct store *s, const struct enrolment *e)
{
	enum err err = db_begin(s->db);

	if (err != E_OK)
		return err;
	err = db_run(s->db, "DELETE FROM enrolment WHERE id = ?", DB_ARGS(db_int(e->row)));
	if (err == E_OK)
		err = event_about(s, "removed", e,
		    e->renews != 0 ? "the old key, after its renewal" : "the key that the new one was wrapped for");
	return db_end(s->db, err);
}

enum err
store_enrol_undone(struct store *s, const struct enrolment *e, const char *why)
{
	enum err err = db_begin(s->db);

	if (err != E_OK)
		return err;
	err = db_run(s->db, "DELETE FROM enrolment WHERE id = ?", DB_ARGS(db_int(e->row)));
	if (err == E_OK)
		err = event_about(s, "undone", e, why);
	return db_end(s->db, err);
}

static enum enrol_step
enrol_step_of(int64_t n)
{
	switch (n) {
	case ENROL_CERT: return ENROL_CERT;
	case ENROL_WAIT: return ENROL_WAIT;
	case ENROL_OLD: return ENROL_OLD;
	case ENROL_ASK: return ENROL_ASK;
	default: return ENROL_KEY;
	}
}

static EVP_PKEY *
blob_pub(struct span der)
{
	const unsigned char *p = der.p;

	return der.n > 0 ? d2i_PUBKEY(NULL, &p, (long)der.n) : NULL;
}

static enum err
enrol_read(struct db_rows *q, struct enrolment *out)
{
	const char *role = db_col_text(q, 1);

	out->row = db_col_int(q, 0);
	if (role_parse(role, strlen(role), &out->role) != E_OK)
		return err_set(E_STORE, "the state store names a role that this dpiv does not know: %.40s", role);
	out->step = enrol_step_of(db_col_int(q, 2));
	store_copy_text(db_col_text(q, 3), out->issuer, sizeof out->issuer);
	store_copy_text(db_col_text(q, 4), out->token_uri, sizeof out->token_uri);
	store_copy_text(db_col_text(q, 5), out->token_serial, sizeof out->token_serial);
	store_copy_text(db_col_text(q, 6), out->token_label, sizeof out->token_label);
	out->id_len = store_copy_id(db_col_blob(q, 7), out->id);
	store_copy_text(db_col_text(q, 8), out->label, sizeof out->label);
	out->card = store_blob_cert(db_col_blob(q, 9));
	out->cert = store_blob_cert(db_col_blob(q, 10));
	out->created = (time_t)db_col_int(q, 11);
	out->retry_at = (time_t)db_col_int(q, 12);
	out->renews = db_col_int(q, 13);
	out->pub = blob_pub(db_col_blob(q, 14));
	wbuf_init(&out->wrapped, KEYWRAP_MAX);
	wbuf_span(&out->wrapped, db_col_blob(q, 15));
	out->evidence = store_dup_text(db_col_text(q, 16));
	out->moves = db_col_int(q, 17) != 0;
	if (out->id_len == 0 || out->card == NULL)
		return err_set(E_STORE, "an enrolment in the state store is damaged");
	return E_OK;
}

enum err
store_enrol_get(struct store *s, size_t i, struct enrolment *out)
{
	struct db_rows *q = NULL;
	bool row = false;
	enum err e = db_query(s->db, &q,
	    "SELECT id, role, step, issuer, token_uri, token_serial, token_label, key_id, label, card_cert, cert, "
	    "created, retry_at, renews, pub, wrapped, evidence, moves"
	    " FROM enrolment ORDER BY id LIMIT 1 OFFSET ?",
	    DB_ARGS(db_int((int64_t)i)));

	memset(out, 0, sizeof *out);
	if (e == E_OK)
		e = db_next(q, &row);
	if (e == E_OK)
		e = row ? enrol_read(q, out) : err_set(E_NOTFOUND, "there is no such enrolment");
	db_done(&q);
	if (e != E_OK)
		enrolment_clear(out);
	return e;
}
