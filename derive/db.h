/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_DERIVE_DB_H
#define DPIV_DERIVE_DB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

/*
 * A small, safe face of SQLite: write-ahead log, synchronous FULL (what was committed survives a power cut), foreign
 * keys on, a busy timeout, and a schema that upgrades itself. The file is created with mode 0600; folders are the
 * caller's work (file_mkdirs).
 *
 *	static const char *const steps[] = { "CREATE TABLE thing (id INTEGER PRIMARY KEY, name TEXT NOT NULL)" };
 *	static const struct db_schema schema = { .name = "state store", .app_id = 0x64706976, .steps = steps, .n = 1 };
 *
 *	e = db_open(path, &schema, &db);
 *	e = db_run(db, "INSERT INTO thing (id, name) VALUES (?, ?)", DB_ARGS(db_int(7), db_text("seven")));
 *	e = db_query(db, &q, "SELECT id, name FROM thing WHERE id > ?", DB_ARGS(db_int(3)));
 *	while (e == E_OK && (e = db_next(q, &row)) == E_OK && row)
 *		use(db_col_int(q, 0), db_col_text(q, 1));
 *	db_done(&q);
 *
 * Errors: E_STORE with the schema's name and SQLite's own words; E_EXISTS a UNIQUE or PRIMARY KEY was violated; E_BUSY
 * another process held the file for longer than the busy timeout. SQL text is always a literal: values come in by ?.
 */
struct db;
struct db_rows;

struct db_schema {
	const char *name; /* for messages: "state store" */
	int32_t app_id;	  /* never 0; a file of another program is refused */
	const char *const
	    *steps; /* step i brings version i to i + 1; may hold several statements; never edited later */
	size_t n;
	bool keep;	    /* keep the older file as PATH.vVERSION when the schema is upgraded */
	const char *repair; /* what to do about a damaged file, or NULL */
};

/* Opens or creates, brings the schema up to date: all of it or nothing. A file from a newer program, of another user or
 * that is damaged is E_STORE, and stays as it is. */
enum err db_open(const char *path, const struct db_schema *schema, struct db **out) MUST_CHECK;
void db_close(struct db **db); /* *db may be NULL */

/* Is all of it readable and as it should be? E_STORE. Takes as long as reading all of it. */
enum err db_check(struct db *db) MUST_CHECK;
/* What was committed up to now as a file of its own (mode 0600, nothing may be there), while others write. E_ARG: it is
 * not a file. */
enum err db_copy(struct db *db, const char *to) MUST_CHECK;

/* Values. Text and blobs are borrowed until the call returns (db_run) or until db_done() (db_query). */
struct db_arg {
	char type; /* 't' 'i' 'b', 0 = NULL */
	const char *text;
	int64_t num;
	struct span blob;
};
struct db_arg db_text(const char *s); /* NULL becomes SQL NULL */
struct db_arg db_int(int64_t v);
struct db_arg db_blob(struct span s); /* empty becomes a zero-length blob */
struct db_arg db_null(void);

#define DB_ARGS(...)                                                                                                   \
	(const struct db_arg[]){ __VA_ARGS__ }, sizeof((const struct db_arg[]){ __VA_ARGS__ }) / sizeof(struct db_arg)
#define DB_NO_ARGS NULL, 0

/* One statement, rows ignored. */
enum err db_run(struct db *db, const char *sql, const struct db_arg *args, size_t n) MUST_CHECK;
/* Rows changed by the last db_run(). */
int64_t db_changed(const struct db *db);
/* Row id of the last INSERT. */
int64_t db_last_id(const struct db *db);

/* A query. Columns are valid until the next db_next() or db_done(). */
enum err db_query(struct db *db, struct db_rows **out, const char *sql, const struct db_arg *args, size_t n) MUST_CHECK;
enum err db_next(struct db_rows *q, bool *row) MUST_CHECK;
const char *db_col_text(struct db_rows *q, int i); /* "" for NULL */
bool db_col_null(struct db_rows *q, int i);
int64_t db_col_int(struct db_rows *q, int i);
struct span db_col_blob(struct db_rows *q, int i);
void db_done(struct db_rows **q); /* *q may be NULL */

/* The first column of the first row as a number; E_NOTFOUND when there is no row. */
enum err db_number(struct db *db, int64_t *out, const char *sql, const struct db_arg *args, size_t n) MUST_CHECK;

/* A write transaction, taken at once (BEGIN IMMEDIATE), so that it cannot fail half-way for want of the lock. They do
 * not nest. db_end() commits when e is E_OK and rolls back otherwise; returns e, or the error of the commit. */
enum err db_begin(struct db *db) MUST_CHECK;
enum err db_end(struct db *db, enum err e) MUST_CHECK;
/* A read transaction: what is read up to db_end() is of one moment, and nobody who writes waits for it. */
enum err db_begin_read(struct db *db) MUST_CHECK;
/* Between the two. */
bool db_inside(const struct db *db);

#endif
