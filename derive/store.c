/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state store: see store.h. Steps of the schema are never edited after a release; a new version appends one. Events
 * are append-only by trigger, so that neither dpiv nor a curious person with sqlite3 rewrites history by accident.
 * Times are seconds of the epoch. What is read back is treated as foreign: the file belongs to the user, not to dpiv.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "derive/cert.h"
#include "derive/db.h"
#include "derive/store.h"

struct store {
	struct db *db;
	int lock; /* descriptor, -1 none */
	char path[PATH_MAX];
};

static const char *const steps[] = {
	"CREATE TABLE enrolment ("
	" id INTEGER PRIMARY KEY,"
	" role TEXT NOT NULL,"
	" step INTEGER NOT NULL,"
	" issuer TEXT NOT NULL,"
	" token_uri TEXT NOT NULL,"
	" token_serial TEXT NOT NULL,"
	" token_label TEXT NOT NULL,"
	" key_id BLOB NOT NULL,"
	" label TEXT NOT NULL,"
	" card_cert BLOB NOT NULL,"
	" cert BLOB,"
	" created INTEGER NOT NULL,"
	" UNIQUE (token_serial, token_label, key_id));"
	"CREATE TABLE credential ("
	" id INTEGER PRIMARY KEY,"
	" role TEXT NOT NULL,"
	" issuer TEXT NOT NULL,"
	" token_uri TEXT NOT NULL,"
	" token_serial TEXT NOT NULL,"
	" token_label TEXT NOT NULL,"
	" key_id BLOB NOT NULL,"
	" cert BLOB NOT NULL,"
	" serial TEXT NOT NULL,"
	" subject TEXT NOT NULL,"
	" uuid TEXT,"
	" not_after INTEGER NOT NULL,"
	" card_cert BLOB NOT NULL,"
	" active INTEGER NOT NULL,"
	" created INTEGER NOT NULL);"
	"CREATE TABLE event ("
	" id INTEGER PRIMARY KEY,"
	" at INTEGER NOT NULL,"
	" what TEXT NOT NULL,"
	" detail TEXT NOT NULL);"
	"CREATE TRIGGER event_kept BEFORE DELETE ON event BEGIN SELECT RAISE(ABORT, 'events are kept'); END;"
	"CREATE TRIGGER event_fixed BEFORE UPDATE ON event BEGIN SELECT RAISE(ABORT, 'events are not changed'); END;",
	"CREATE TABLE issuer_cert (der BLOB NOT NULL PRIMARY KEY, at INTEGER NOT NULL);",
};

static const struct db_schema schema = { "state store", 0x64506976, steps, sizeof steps / sizeof steps[0] };

static enum err
store_path(char *path, size_t cap)
{
	char dir[PATH_MAX];
	enum err e = file_xdg("XDG_STATE_HOME", ".local/state", dir, sizeof dir);

	if (e == E_OK && snprintf(path, cap, "%s/state.db", dir) >= (int)cap)
		e = err_set(E_STORE, "the path of the state store is too long");
	return e;
}

static enum err
store_dir(const char *path)
{
	char dir[PATH_MAX];
	char *slash;

	snprintf(dir, sizeof dir, "%s", path);
	slash = strrchr(dir, '/');
	if (slash == NULL || slash == dir)
		return E_OK;
	*slash = '\0';
	return file_mkdirs(dir, 0700);
}

enum err
store_open(const char *path, struct store **out)
{
	struct store *s = calloc(1, sizeof *s);
	enum err e = E_OK;

	*out = NULL;
	if (s == NULL)
		return err_set(E_NOMEM, "out of memory");
	s->lock = -1;
	if (path == NULL)
		e = store_path(s->path, sizeof s->path);
	else if (snprintf(s->path, sizeof s->path, "%s", path) >= (int)sizeof s->path)
		e = err_set(E_STORE, "the path of the state store is too long");
	if (e == E_OK)
		e = store_dir(s->path);
	if (e == E_OK)
		e = db_open(s->path, &schema, &s->db);
	if (e != E_OK) {
		free(s);
		return e;
	}
	*out = s;
	return E_OK;
}

enum err
store_open_existing(struct store **out)
{
	char path[PATH_MAX];
	enum err e = store_path(path, sizeof path);

	*out = NULL;
	if (e == E_OK && access(path, R_OK) != 0)
		e = err_set(E_NOTFOUND, "there is no state store yet (%s)", path);
	return e == E_OK ? store_open(path, out) : e;
}

void
store_close(struct store **sp)
{
	struct store *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	db_close(&s->db);
	if (s->lock >= 0)
		close(s->lock);
	free(s);
}

enum err
store_lock(struct store *s)
{
	char path[PATH_MAX + 8];

	snprintf(path, sizeof path, "%s.lock", s->path);
	if (s->lock < 0)
		s->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->lock < 0)
		return err_set(E_STORE, "cannot open %s: %s", path, strerror(errno));
	if (flock(s->lock, LOCK_EX | LOCK_NB) == 0)
		return E_OK;
	return err_set(E_BUSY, "another dpiv is deriving credentials at this moment; try again when it has ended");
}

/* --- certificates as blobs ---------------------------------------------------------------------------------------- */

static enum err
cert_blob(X509 *cert, struct wbuf *out)
{
	unsigned char *der = NULL;
	int n = i2d_X509(cert, &der);

	if (n > 0)
		wbuf_put(out, der, (size_t)n);
	OPENSSL_free(der);
	return n > 0 && !out->bad ? E_OK : err_set(E_STORE, "a certificate cannot be written down");
}

static X509 *
blob_cert(struct span der)
{
	const unsigned char *p = der.p;

	return der.n > 0 ? d2i_X509(NULL, &p, (long)der.n) : NULL;
}

static void
copy_text(const char *from, char *to, size_t cap)
{
	snprintf(to, cap, "%s", from);
}

static size_t
copy_id(struct span from, uint8_t to[STORE_ID_MAX])
{
	size_t n = from.n <= STORE_ID_MAX ? from.n : 0;

	if (n > 0)
		memcpy(to, from.p, n);
	return n;
}

void
enrolment_clear(struct enrolment *e)
{
	X509_free(e->cert);
	X509_free(e->card);
	memset(e, 0, sizeof *e);
}

void
credential_clear(struct credential *c)
{
	X509_free(c->cert);
	memset(c, 0, sizeof *c);
}

/* --- issuers' certificates ---------------------------------------------------------------------------------------- */

enum err
store_issuer_add(struct store *s, X509 *ca)
{
	WBUF_AUTO der = { .max = 65536 };
	enum err e = cert_blob(ca, &der);

	return e != E_OK ? e
			 : db_run(s->db, "INSERT OR IGNORE INTO issuer_cert (der, at) VALUES (?, ?)",
			       DB_ARGS(db_blob(wbuf_view(&der)), db_int(time(NULL))));
}

enum err
store_issuer_get(struct store *s, size_t i, X509 **ca)
{
	struct db_rows *q = NULL;
	bool row = false;
	enum err e = db_query(
	    s->db, &q, "SELECT der FROM issuer_cert ORDER BY at, rowid LIMIT 1 OFFSET ?", DB_ARGS(db_int((int64_t)i)));

	*ca = NULL;
	if (e == E_OK)
		e = db_next(q, &row);
	if (e == E_OK && !row)
		e = err_set(E_NOTFOUND, "there is no such certificate");
	if (e == E_OK && (*ca = blob_cert(db_col_blob(q, 0))) == NULL)
		e = err_set(E_STORE, "a certificate in the state store is damaged");
	db_done(&q);
	return e;
}

/* --- events ------------------------------------------------------------------------------------------------------- */

enum err
store_event(struct store *s, const char *what, const char *detail)
{
	return db_run(s->db, "INSERT INTO event (at, what, detail) VALUES (?, ?, ?)",
	    DB_ARGS(db_int(time(NULL)), db_text(what), db_text(detail)));
}

enum err
store_event_get(struct store *s, size_t i, time_t *at, char *text, size_t cap)
{
	struct db_rows *q = NULL;
	bool row = false;
	enum err e = db_query(s->db, &q, "SELECT at, what, detail FROM event ORDER BY id DESC LIMIT 1 OFFSET ?",
	    DB_ARGS(db_int((int64_t)i)));

	if (e == E_OK)
		e = db_next(q, &row);
	if (e == E_OK && !row)
		e = err_set(E_NOTFOUND, "there is no such event");
	if (e == E_OK) {
		*at = (time_t)db_col_int(q, 0);
		snprintf(text, cap, "%s: %s", db_col_text(q, 1), db_col_text(q, 2));
	}
	db_done(&q);
	return e;
}

static enum err
event_about(struct store *s, const char *what, const struct enrolment *e, const char *more)
{
	char detail[512];

	snprintf(detail, sizeof detail, "%s on token '%s' by %s%s%s", role_info(e->role)->name, e->token_label,
	    e->issuer, more[0] != '\0' ? ": " : "", more);
	return store_event(s, what, detail);
}

/* --- enrolments --------------------------------------------------------------------------------------------------- */

static enum err
enrol_insert(struct store *s, struct enrolment *e, struct span card)
{
	enum err err = db_run(s->db,
	    "INSERT INTO enrolment (role, step, issuer, token_uri, token_serial, token_label, key_id, label, "
	    "card_cert, created)"
	    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
	    DB_ARGS(db_text(role_info(e->role)->name), db_int(ENROL_KEY), db_text(e->issuer), db_text(e->token_uri),
		db_text(e->token_serial), db_text(e->token_label), db_blob(span_of(e->id, e->id_len)),
		db_text(e->label), db_blob(card), db_int(e->created)));

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
	err = cert_blob(e->card, &card);
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
	char serial[64];
	WBUF_AUTO der;
	enum err err;

	wbuf_init(&der, 64 * 1024);
	err = cert_blob(cert, &der);
	if (err == E_OK)
		err = db_begin(s->db);
	if (err != E_OK)
		return err;
	err = db_run(s->db, "UPDATE enrolment SET step = ?, cert = ? WHERE id = ?",
	    DB_ARGS(db_int(ENROL_CERT), db_blob(wbuf_view(&der)), db_int(e->row)));
	if (err == E_OK)
		err = event_about(s, "issued", e, cert_serial(cert, serial, sizeof serial));
	return db_end(s->db, err);
}

static enum err
cred_insert(struct store *s, const struct enrolment *e, X509 *cert, struct span der, struct span card)
{
	char serial[64], subject[256], uuid[TEXT_UUID_MAX];

	cert_uuids(cert, uuid);
	return db_run(s->db,
	    "INSERT INTO credential (role, issuer, token_uri, token_serial, token_label, key_id, cert, serial, "
	    "subject, uuid,"
	    " not_after, card_cert, active, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?)",
	    DB_ARGS(db_text(role_info(e->role)->name), db_text(e->issuer), db_text(e->token_uri),
		db_text(e->token_serial), db_text(e->token_label), db_blob(span_of(e->id, e->id_len)), db_blob(der),
		db_text(cert_serial(cert, serial, sizeof serial)), db_text(cert_name(cert, subject, sizeof subject)),
		db_text(uuid[0] != '\0' ? uuid : NULL), db_int(cert_not_after(cert)), db_blob(card),
		db_int(time(NULL))));
}

/* One transaction: a credential that is recorded has no enrolment under way, and the other way round. */
static enum err
enrol_to_cred(struct store *s, const struct enrolment *e, X509 *cert, struct span der, struct span card)
{
	char serial[64];
	enum err err = db_run(s->db,
	    "UPDATE credential SET active = 0 WHERE role = ? AND issuer = ? AND token_serial = ? AND token_label = ?",
	    DB_ARGS(db_text(role_info(e->role)->name), db_text(e->issuer), db_text(e->token_serial),
		db_text(e->token_label)));

	if (err == E_OK)
		err = cred_insert(s, e, cert, der, card);
	if (err == E_OK)
		err = db_run(s->db, "DELETE FROM enrolment WHERE id = ?", DB_ARGS(db_int(e->row)));
	if (err == E_OK)
		err = event_about(s, "derived", e, cert_serial(cert, serial, sizeof serial));
	return err;
}

enum err
store_enrol_done(struct store *s, const struct enrolment *e, X509 *cert)
{
	WBUF_AUTO der;
	WBUF_AUTO card;
	enum err err;

	wbuf_init(&der, 64 * 1024);
	wbuf_init(&card, 64 * 1024);
	err = cert_blob(cert, &der);
	if (err == E_OK)
		err = cert_blob(e->card, &card);
	if (err == E_OK)
		err = db_begin(s->db);
	if (err != E_OK)
		return err;
	return db_end(s->db, enrol_to_cred(s, e, cert, wbuf_view(&der), wbuf_view(&card)));
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

static enum err
enrol_read(struct db_rows *q, struct enrolment *out)
{
	const char *role = db_col_text(q, 1);

	out->row = db_col_int(q, 0);
	if (role_parse(role, strlen(role), &out->role) != E_OK)
		return err_set(E_STORE, "the state store names a role that this dpiv does not know: %.40s", role);
	out->step = db_col_int(q, 2) == ENROL_CERT ? ENROL_CERT : ENROL_KEY;
	copy_text(db_col_text(q, 3), out->issuer, sizeof out->issuer);
	copy_text(db_col_text(q, 4), out->token_uri, sizeof out->token_uri);
	copy_text(db_col_text(q, 5), out->token_serial, sizeof out->token_serial);
	copy_text(db_col_text(q, 6), out->token_label, sizeof out->token_label);
	out->id_len = copy_id(db_col_blob(q, 7), out->id);
	copy_text(db_col_text(q, 8), out->label, sizeof out->label);
	out->card = blob_cert(db_col_blob(q, 9));
	out->cert = blob_cert(db_col_blob(q, 10));
	out->created = (time_t)db_col_int(q, 11);
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
	    "created"
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

/* --- credentials -------------------------------------------------------------------------------------------------- */

static enum err
cred_read(struct db_rows *q, struct credential *out)
{
	const char *role = db_col_text(q, 1);

	out->row = db_col_int(q, 0);
	if (role_parse(role, strlen(role), &out->role) != E_OK)
		return err_set(E_STORE, "the state store names a role that this dpiv does not know: %.40s", role);
	copy_text(db_col_text(q, 2), out->issuer, sizeof out->issuer);
	copy_text(db_col_text(q, 3), out->token_uri, sizeof out->token_uri);
	copy_text(db_col_text(q, 4), out->token_serial, sizeof out->token_serial);
	copy_text(db_col_text(q, 5), out->token_label, sizeof out->token_label);
	out->id_len = copy_id(db_col_blob(q, 6), out->id);
	out->cert = blob_cert(db_col_blob(q, 7));
	out->active = db_col_int(q, 8) != 0;
	out->created = (time_t)db_col_int(q, 9);
	if (out->cert == NULL)
		return err_set(E_STORE, "a credential in the state store is damaged");
	return E_OK;
}

enum err
store_cred_get(struct store *s, size_t i, struct credential *out)
{
	struct db_rows *q = NULL;
	bool row = false;
	enum err e = db_query(s->db, &q,
	    "SELECT id, role, issuer, token_uri, token_serial, token_label, key_id, cert, active, created"
	    " FROM credential ORDER BY active DESC, id DESC LIMIT 1 OFFSET ?",
	    DB_ARGS(db_int((int64_t)i)));

	memset(out, 0, sizeof *out);
	if (e == E_OK)
		e = db_next(q, &row);
	if (e == E_OK)
		e = row ? cred_read(q, out) : err_set(E_NOTFOUND, "there is no such credential");
	db_done(&q);
	if (e != E_OK)
		credential_clear(out);
	return e;
}

enum err
store_cred_lost(struct store *s, const struct credential *c, const char *why)
{
	char detail[512];
	enum err e = db_begin(s->db);

	if (e != E_OK)
		return e;
	snprintf(detail, sizeof detail, "%s on token '%s' by %s: %s", role_info(c->role)->name, c->token_label,
	    c->issuer, why);
	e = db_run(s->db, "UPDATE credential SET active = 0 WHERE id = ?", DB_ARGS(db_int(c->row)));
	if (e == E_OK)
		e = store_event(s, "lost", detail);
	return db_end(s->db, e);
}
