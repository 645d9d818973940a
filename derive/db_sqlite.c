/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The only file that knows SQLite. It serves the client's state store and the ledger of an issuer of one machine.
 *
 * Invariants: every value is bound, never pasted into SQL; a statement handle lives from db_query() to db_done(); a
 * schema step and its version number are committed together, under the write lock, so that two programs which start
 * at once upgrade once. Before an upgrade the file is looked over, and a copy of it is kept where the schema says so:
 * the older program can go back to that. SQLite's defensive mode is on and the schema is not trusted
 * (www.sqlite.org/security.html): a database file is foreign input too.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <sqlite3.h>

#include "derive/db_int.h"

#define BUSY_MS 10000

/* The path is asked of h, so that it is SQLite's own idea of it. */
struct file {
	struct db db;
	sqlite3 *h;
};

struct file_rows {
	struct db_rows q;
	sqlite3_stmt *st;
};

static sqlite3 *
handle(const struct db *db)
{
	return ((const struct file *)db)->h;
}

static sqlite3_stmt *
statement(const struct db_rows *q)
{
	return ((const struct file_rows *)q)->st;
}

/* What befalls the file as a whole, in words. */
static const struct {
	int rc;
	const char *says;
	bool damaged;
} file_faults[] = {
	{ SQLITE_FULL, "the disk is full; what was written before is safe: make room and run the same command again",
	    false },
	{ SQLITE_READONLY, "it cannot be written to; its folder must be on a disk that can be written to, and yours",
	    false },
	{ SQLITE_CANTOPEN, "it cannot be opened for writing; it and its folder must be yours", false },
	{ SQLITE_CORRUPT, "the file is damaged", true },
	{ SQLITE_NOTADB, "the file is damaged, or something else than a database", true },
};

static enum err
fail_file(struct db *db, int rc)
{
	const char *path = handle(db) != NULL ? sqlite3_db_filename(handle(db), "main") : NULL;
	const char *repair = db->schema->repair;
	int why = handle(db) != NULL ? sqlite3_system_errno(handle(db)) : 0;

	/* SQLite's index of the log beside the file has a code of its own for want of room */
	if (rc == SQLITE_IOERR_SHMSIZE || ((rc & 0xff) == SQLITE_IOERR && (why == ENOSPC || why == EDQUOT)))
		rc = SQLITE_FULL;
	for (size_t i = 0; path != NULL && i < sizeof file_faults / sizeof file_faults[0]; i++) {
		bool advice = file_faults[i].damaged && repair != NULL;

		if (file_faults[i].rc == (rc & 0xff))
			return err_set(E_STORE, "%s %s: %s%s%s", db->schema->name, path, file_faults[i].says,
			    advice ? "; " : "", advice ? repair : "");
	}
	return E_OK;
}

static enum err
fail(struct db *db, int rc, const char *doing)
{
	enum err e = fail_file(db, rc);

	if (e != E_OK)
		return e;
	e = E_STORE;

	if ((rc & 0xff) == SQLITE_BUSY || (rc & 0xff) == SQLITE_LOCKED)
		e = E_BUSY;
	else if (rc == SQLITE_CONSTRAINT_UNIQUE || rc == SQLITE_CONSTRAINT_PRIMARYKEY)
		e = E_EXISTS;
	return err_set(
	    e, "%s: %s: %s", db->schema->name, doing, handle(db) ? sqlite3_errmsg(handle(db)) : sqlite3_errstr(rc));
}

static enum err
exec(struct db *db, const char *sql, const char *doing)
{
	int rc = sqlite3_exec(handle(db), sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? E_OK : fail(db, sqlite3_extended_errcode(handle(db)), doing);
}

static int
bind(sqlite3_stmt *st, int i, const struct db_arg *a)
{
	switch (a->type) {
	case 't': return sqlite3_bind_text(st, i, a->text, -1, SQLITE_STATIC);
	case 'i': return sqlite3_bind_int64(st, i, a->num);
	case 'b':
		if (a->blob.n == 0)
			return sqlite3_bind_zeroblob(st, i, 0);
		return sqlite3_bind_blob64(st, i, a->blob.p, a->blob.n, SQLITE_STATIC);
	default: return sqlite3_bind_null(st, i);
	}
}

static void
rows_free(struct db_rows *q)
{
	sqlite3_finalize(statement(q));
	free(q);
}

static enum err
file_query(struct db *db, struct db_rows **out, const char *sql, const struct db_arg *args, size_t n)
{
	struct file_rows *q;
	int rc;

	if ((q = calloc(1, sizeof *q)) == NULL)
		return err_set(E_NOMEM, "%s: out of memory", db->schema->name);
	q->q.db = db;
	rc = sqlite3_prepare_v2(handle(db), sql, -1, &q->st, NULL);
	if (rc == SQLITE_OK && (size_t)sqlite3_bind_parameter_count(q->st) != n)
		rc = SQLITE_MISUSE;
	for (size_t i = 0; rc == SQLITE_OK && i < n; i++)
		rc = bind(q->st, (int)i + 1, &args[i]);
	if (rc != SQLITE_OK) {
		enum err e = fail(db, rc, "prepare");

		rows_free(&q->q);
		return e;
	}
	*out = &q->q;
	return E_OK;
}

static enum err
file_next(struct db_rows *q, bool *row)
{
	int rc = sqlite3_step(statement(q));

	*row = rc == SQLITE_ROW;
	if (rc == SQLITE_ROW || rc == SQLITE_DONE)
		return E_OK;
	return fail(q->db, sqlite3_extended_errcode(handle(q->db)), "step");
}

static const char *
col_text(struct db_rows *q, int i)
{
	return (const char *)sqlite3_column_text(statement(q), i);
}

static bool
col_null(struct db_rows *q, int i)
{
	return sqlite3_column_type(statement(q), i) == SQLITE_NULL;
}

static int64_t
col_int(struct db_rows *q, int i)
{
	return sqlite3_column_int64(statement(q), i);
}

static struct span
col_blob(struct db_rows *q, int i)
{
	const void *p = sqlite3_column_blob(statement(q), i);
	int n = sqlite3_column_bytes(statement(q), i);

	return p && n > 0 ? span_of(p, (size_t)n) : SPAN_NONE;
}

static int64_t
changed(const struct db *db)
{
	return sqlite3_changes(handle(db));
}

static int64_t
last_id(const struct db *db)
{
	return sqlite3_last_insert_rowid(handle(db));
}

static enum err
begin(struct db *db, bool write)
{
	return exec(db, write ? "BEGIN IMMEDIATE" : "BEGIN DEFERRED", "begin");
}

static enum err
commit(struct db *db)
{
	return exec(db, "COMMIT", "commit");
}

static bool
inside(const struct db *db)
{
	return sqlite3_get_autocommit(handle(db)) == 0;
}

static void
rollback(struct db *db)
{
	if (inside(db))
		sqlite3_exec(handle(db), "ROLLBACK", NULL, NULL, NULL);
}

/* One schema step and its number, together. */
static enum err
upgrade_one(struct db *db, size_t from)
{
	char sql[64];
	enum err e;

	if ((e = exec(db, db->schema->steps[from], "schema upgrade")) != E_OK)
		return e;
	sqlite3_snprintf(sizeof sql, sql, "PRAGMA user_version = %d", (int)from + 1);
	return exec(db, sql, "schema version");
}

static enum err
claim(struct db *db)
{
	int64_t id, tables;
	char sql[64];
	enum err e;

	if ((e = db_number(db, &id, "PRAGMA application_id", DB_NO_ARGS)) != E_OK)
		return e;
	if (id == db->schema->app_id)
		return E_OK;
	if ((e = db_number(db, &tables, "SELECT count(*) FROM sqlite_master", DB_NO_ARGS)) != E_OK)
		return e;
	if (id != 0 || tables != 0)
		return err_set(E_STORE, "%s: the file is a database of another program", db->schema->name);
	sqlite3_snprintf(sizeof sql, sql, "PRAGMA application_id = %d", (int)db->schema->app_id);
	return exec(db, sql, "application id");
}

/* SQLite would create the file by the umask: make it private first. */
static enum err
create_private(const char *path, const struct db_schema *schema)
{
	struct stat st;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
	enum err e = E_OK;

	if (fd < 0)
		return err_set(E_STORE, "%s %s: %s", schema->name, path,
		    errno == EROFS	  ? "its disk cannot be written to"
			: errno == EACCES ? "you may not write to it; it and its folder must be yours"
					  : strerror(errno));
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		e = err_set(E_STORE, "%s %s: it is not a file", schema->name, path);
	else if (st.st_uid != geteuid() && geteuid() != 0)
		e = err_set(E_STORE, "%s %s: it belongs to another user (uid %ld); chown it, or move it away",
		    schema->name, path, (long)st.st_uid);
	else if ((st.st_mode & 077) != 0 && fchmod(fd, 0600) != 0)
		e = err_set(E_STORE, "%s %s: others can read it, and that cannot be changed: %s", schema->name, path,
		    strerror(errno));
	close(fd);
	return e;
}

static enum err
ask_integrity(struct db *db, const char *sql)
{
	struct db_rows *q = NULL;
	bool row = false;
	enum err e = db_query(db, &q, sql, DB_NO_ARGS);

	if (e == E_OK)
		e = db_next(q, &row);
	if (e == E_OK && (!row || strcmp(db_col_text(q, 0), "ok") != 0))
		e = fail_file(db, SQLITE_CORRUPT);
	db_done(&q);
	return e;
}

/* Is all of it readable? Asked before something is built on it. */
static enum err
look_over(struct db *db)
{
	return ask_integrity(db, "PRAGMA quick_check(1)");
}

static enum err
check(struct db *db)
{
	return ask_integrity(db, "PRAGMA integrity_check(1)");
}

static int
copy_into(const char *from, const char *to)
{
	sqlite3 *a = NULL, *b = NULL;
	sqlite3_backup *job = NULL;
	int rc = sqlite3_open_v2(from, &a, SQLITE_OPEN_READWRITE, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_open_v2(to, &b, SQLITE_OPEN_READWRITE, NULL);
	if (rc == SQLITE_OK && (job = sqlite3_backup_init(b, "main", a, "main")) == NULL)
		rc = sqlite3_errcode(b);
	if (rc == SQLITE_OK && (rc = sqlite3_backup_step(job, -1)) == SQLITE_DONE)
		rc = SQLITE_OK;
	if (job != NULL && sqlite3_backup_finish(job) != SQLITE_OK && rc == SQLITE_OK)
		rc = SQLITE_IOERR;
	sqlite3_close_v2(b);
	sqlite3_close_v2(a);
	return rc;
}

static enum err
copy(struct db *db, const char *to)
{
	enum err e = create_private(to, db->schema);
	int rc;

	if (e != E_OK)
		return e;
	if ((rc = copy_into(sqlite3_db_filename(handle(db), "main"), to)) == SQLITE_OK)
		return E_OK;
	unlink(to);
	e = fail_file(db, rc);
	return e != E_OK ? e : err_set(E_STORE, "%s: %s: %s", db->schema->name, to, sqlite3_errstr(rc));
}

/* The file as it is, beside itself as PATH.vVERSION; whole or not at all. */
static enum err
keep_copy(struct db *db, int64_t version)
{
	const char *path = sqlite3_db_filename(handle(db), "main");
	char to[PATH_MAX], part[PATH_MAX];
	enum err e;

	if (snprintf(to, sizeof to, "%s.v%d", path, (int)version) >= (int)sizeof to ||
	    snprintf(part, sizeof part, "%s.part", to) >= (int)sizeof part)
		return err_set(E_STORE, "%s: the path is too long", db->schema->name);
	unlink(part);
	e = copy(db, part);
	if (e == E_OK && rename(part, to) != 0)
		e = err_set(E_STORE, "%s: %s: %s", db->schema->name, to, strerror(errno));
	if (e == E_OK)
		return E_OK;
	unlink(part);
	return err_up(e, "no copy of the older version could be kept, so it was not upgraded");
}

static enum err
too_new(struct db *db, int64_t have)
{
	const char *path = sqlite3_db_filename(handle(db), "main");

	return err_set(E_STORE,
	    "%s %s: a newer version of dpiv has written it (version %lld of the schema, this dpiv knows %zu); nothing "
	    "was changed: install that dpiv again, or move the file away",
	    db->schema->name, path, (long long)have, db->schema->n);
}

/* Under the write lock. */
static enum err
upgrade_steps(struct db *db)
{
	int64_t have = 0;
	enum err e = claim(db);

	if (e == E_OK)
		e = db_number(db, &have, "PRAGMA user_version", DB_NO_ARGS);
	if (e == E_OK && (have < 0 || (uint64_t)have > db->schema->n))
		return too_new(db, have);
	if (e == E_OK && have > 0 && (size_t)have < db->schema->n)
		e = look_over(db);
	if (e == E_OK && have > 0 && (size_t)have < db->schema->n && db->schema->keep)
		e = keep_copy(db, have);
	for (; e == E_OK && (size_t)have < db->schema->n; have++)
		e = upgrade_one(db, (size_t)have);
	return e;
}

/* Nobody waits for the write lock to learn that nothing is to be done. */
static bool
is_current(struct db *db)
{
	int64_t id = 0, have = 0;

	return db_number(db, &id, "PRAGMA application_id", DB_NO_ARGS) == E_OK && id == db->schema->app_id &&
	    db_number(db, &have, "PRAGMA user_version", DB_NO_ARGS) == E_OK && have >= 0 &&
	    (uint64_t)have == db->schema->n;
}

static enum err
upgrade(struct db *db)
{
	enum err e;

	if (is_current(db))
		return E_OK;
	e = begin(db, true);
	return e == E_OK ? db_end(db, upgrade_steps(db)) : e;
}

static enum err
settings(struct db *db)
{
	static const char sql[] =
	    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
	    "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY";

	sqlite3_extended_result_codes(handle(db), 1);
	sqlite3_busy_timeout(handle(db), BUSY_MS);
	sqlite3_db_config(handle(db), SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_limit(handle(db), SQLITE_LIMIT_ATTACHED, 0);
	return exec(db, sql, "open");
}

static void
file_close(struct db *db)
{
	sqlite3_close_v2(handle(db));
	free(db);
}

static const struct db_ops ops = {
	.close = file_close,
	.query = file_query,
	.next = file_next,
	.col_text = col_text,
	.col_null = col_null,
	.col_int = col_int,
	.col_blob = col_blob,
	.done = rows_free,
	.changed = changed,
	.last_id = last_id,
	.begin = begin,
	.commit = commit,
	.rollback = rollback,
	.inside = inside,
	.check = check,
	.copy = copy,
};

enum err
db_open(const char *path, const struct db_schema *schema, struct db **out)
{
	struct file *f;
	enum err e;
	int rc;

	*out = NULL;
	if ((e = create_private(path, schema)) != E_OK)
		return e;
	if ((f = calloc(1, sizeof *f)) == NULL)
		return err_set(E_NOMEM, "%s: out of memory", schema->name);
	f->db = (struct db){ &ops, schema };
	rc = sqlite3_open_v2(path, &f->h, SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX, NULL);
	e = rc == SQLITE_OK ? settings(&f->db) : fail(&f->db, rc, path);
	if (e == E_OK)
		e = upgrade(&f->db);
	if (e != E_OK) {
		file_close(&f->db);
		return strstr(err_msg(), path) != NULL ? e : err_up(e, "%s", path);
	}
	*out = &f->db;
	return E_OK;
}
