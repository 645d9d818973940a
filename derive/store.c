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
#include "derive/store_int.h"

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
	("ALTER TABLE enrolment ADD COLUMN retry_at INTEGER NOT NULL DEFAULT 0;"
	 "ALTER TABLE enrolment ADD COLUMN renews INTEGER NOT NULL DEFAULT 0;"),
	("CREATE TABLE revocation ("
	 " credential INTEGER PRIMARY KEY,"
	 " reason INTEGER NOT NULL,"
	 " step INTEGER NOT NULL,"
	 " created INTEGER NOT NULL);"
	 "CREATE TABLE recheck ("
	 " credential INTEGER PRIMARY KEY,"
	 " at INTEGER NOT NULL,"
	 " sure_at INTEGER NOT NULL,"
	 " cert TEXT NOT NULL,"
	 " card TEXT NOT NULL,"
	 " why TEXT NOT NULL);"),
	"ALTER TABLE enrolment ADD COLUMN pub BLOB;",
	"ALTER TABLE enrolment ADD COLUMN wrapped BLOB;",
	("ALTER TABLE enrolment ADD COLUMN evidence TEXT;"
	 "ALTER TABLE credential ADD COLUMN evidence TEXT;"),
	/* a move to another issuer; a revocation that leaves the key; a card in the place of another */
	("ALTER TABLE enrolment ADD COLUMN moves INTEGER NOT NULL DEFAULT 0;"
	 "ALTER TABLE revocation ADD COLUMN keep INTEGER NOT NULL DEFAULT 0;"
	 "CREATE TABLE card_link (credential INTEGER PRIMARY KEY, at INTEGER NOT NULL, emails TEXT NOT NULL);"),
	"CREATE TABLE notice (event TEXT NOT NULL, serial TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (event, "
	"serial));",
	/* what the holder's card said otherwise than the certificate */
	"ALTER TABLE recheck ADD COLUMN changed TEXT NOT NULL DEFAULT '';",
};

const struct db_schema store_schema = {
	.name = "state store",
	.app_id = 0x64506976,
	.steps = steps,
	.n = sizeof steps / sizeof steps[0],
	.keep = true,
	.repair = "move it away; 'dpiv status' then finds the credentials on their tokens again",
};

static enum err
store_path(char *path, size_t cap)
{
	char dir[PATH_MAX];
	enum err e = file_xdg("XDG_STATE_HOME", ".local/state", dir, sizeof dir);

	if (e == E_OK && snprintf(path, cap, "%s/state.db", dir) >= (int)cap)
		e = err_set(E_STORE, "the path of the state store is too long");
	return e;
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
		e = file_mkdirs_above(s->path, 0700);
	if (e == E_OK)
		e = db_open(s->path, &store_schema, &s->db);
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
		e = err_set(E_NOTFOUND,
		    "there is no state store yet (%s); 'dpiv status' looks for credentials on the tokens", path);
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

enum err
store_cert_blob(X509 *cert, struct wbuf *out)
{
	unsigned char *der = NULL;
	int n = i2d_X509(cert, &der);

	if (n > 0)
		wbuf_put(out, der, (size_t)n);
	OPENSSL_free(der);
	return n > 0 && !out->bad ? E_OK : err_set(E_STORE, "a certificate cannot be written down");
}

X509 *
store_blob_cert(struct span der)
{
	const unsigned char *p = der.p;

	return der.n > 0 ? d2i_X509(NULL, &p, (long)der.n) : NULL;
}

void
store_copy_text(const char *from, char *to, size_t cap)
{
	snprintf(to, cap, "%s", from);
}

char *
store_dup_text(const char *from)
{
	return from != NULL && from[0] != '\0' ? strdup(from) : NULL;
}

size_t
store_copy_id(struct span from, uint8_t to[STORE_ID_MAX])
{
	size_t n = from.n <= STORE_ID_MAX ? from.n : 0;

	if (n > 0)
		memcpy(to, from.p, n);
	return n;
}

void
credential_clear(struct credential *c)
{
	X509_free(c->cert);
	X509_free(c->card);
	free(c->evidence);
	memset(c, 0, sizeof *c);
}

/* --- issuers' certificates ---------------------------------------------------------------------------------------- */

enum err
store_issuer_add(struct store *s, X509 *ca)
{
	WBUF_AUTO der = { .max = 65536 };
	enum err e = store_cert_blob(ca, &der);

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
	if (e == E_OK && (*ca = store_blob_cert(db_col_blob(q, 0))) == NULL)
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

/* --- credentials -------------------------------------------------------------------------------------------------- */

static enum err
cred_read(struct db_rows *q, struct credential *out)
{
	const char *role = db_col_text(q, 1);

	out->row = db_col_int(q, 0);
	if (role_parse(role, strlen(role), &out->role) != E_OK)
		return err_set(E_STORE, "the state store names a role that this dpiv does not know: %.40s", role);
	store_copy_text(db_col_text(q, 2), out->issuer, sizeof out->issuer);
	store_copy_text(db_col_text(q, 3), out->token_uri, sizeof out->token_uri);
	store_copy_text(db_col_text(q, 4), out->token_serial, sizeof out->token_serial);
	store_copy_text(db_col_text(q, 5), out->token_label, sizeof out->token_label);
	out->id_len = store_copy_id(db_col_blob(q, 6), out->id);
	out->cert = store_blob_cert(db_col_blob(q, 7));
	out->active = db_col_int(q, 8) != 0;
	out->created = (time_t)db_col_int(q, 9);
	out->card = store_blob_cert(db_col_blob(q, 10));
	out->evidence = store_dup_text(db_col_text(q, 11));
	if (out->cert == NULL)
		return err_set(E_STORE, "a credential in the state store is damaged");
	return E_OK;
}

#define CRED_SELECT                                                                                                    \
	"SELECT id, role, issuer, token_uri, token_serial, token_label, key_id, cert, active, created, card_cert, "    \
	"evidence"                                                                                                     \
	" FROM credential "

/* The one row of a query. */
static enum err
cred_first(struct db_rows **q, enum err e, struct credential *out)
{
	bool row = false;

	memset(out, 0, sizeof *out);
	if (e == E_OK)
		e = db_next(*q, &row);
	if (e == E_OK)
		e = row ? cred_read(*q, out) : err_set(E_NOTFOUND, "there is no such credential");
	db_done(q);
	if (e != E_OK)
		credential_clear(out);
	return e;
}

enum err
store_cred_get(struct store *s, size_t i, struct credential *out)
{
	struct db_rows *q = NULL;
	enum err e = db_query(
	    s->db, &q, CRED_SELECT "ORDER BY active DESC, id DESC LIMIT 1 OFFSET ?", DB_ARGS(db_int((int64_t)i)));

	return cred_first(&q, e, out);
}

enum err
store_cred_find(struct store *s, int64_t row, struct credential *out)
{
	struct db_rows *q = NULL;
	enum err e = db_query(s->db, &q, CRED_SELECT "WHERE id = ?", DB_ARGS(db_int(row)));

	return cred_first(&q, e, out);
}

static enum err
cred_end(struct store *s, const struct credential *c, const char *what, const char *why)
{
	char detail[512];
	enum err e = db_begin(s->db);

	if (e != E_OK)
		return e;
	snprintf(detail, sizeof detail, "%s on token '%s' by %s: %s", role_info(c->role)->name, c->token_label,
	    c->issuer, why);
	e = db_run(s->db, "UPDATE credential SET active = 0 WHERE id = ?", DB_ARGS(db_int(c->row)));
	if (e == E_OK)
		e = store_event(s, what, detail);
	return db_end(s->db, e);
}

enum err
store_cred_lost(struct store *s, const struct credential *c, const char *why)
{
	return cred_end(s, c, "lost", why);
}
