/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Statements, rows and transactions, whatever keeps them: a file (db_sqlite.c), or a server that several issuers share
 * (derive/issuer/db_pg.c). Which of them it is was decided by who opened it.
 */
#include "derive/db_int.h"

struct db_arg
db_text(const char *s)
{
	return (struct db_arg){ .type = 't', .text = s };
}

struct db_arg
db_int(int64_t v)
{
	return (struct db_arg){ .type = 'i', .num = v };
}

struct db_arg
db_blob(struct span s)
{
	return (struct db_arg){ .type = 'b', .blob = s };
}

struct db_arg
db_null(void)
{
	return (struct db_arg){ .type = 0 };
}

enum err
db_query(struct db *db, struct db_rows **out, const char *sql, const struct db_arg *args, size_t n)
{
	*out = NULL;
	return db->ops->query(db, out, sql, args, n);
}

enum err
db_next(struct db_rows *q, bool *row)
{
	return q->db->ops->next(q, row);
}

const char *
db_col_text(struct db_rows *q, int i)
{
	const char *s = q->db->ops->col_text(q, i);

	return s ? s : "";
}

bool
db_col_null(struct db_rows *q, int i)
{
	return q->db->ops->col_null(q, i);
}

int64_t
db_col_int(struct db_rows *q, int i)
{
	return q->db->ops->col_int(q, i);
}

struct span
db_col_blob(struct db_rows *q, int i)
{
	return q->db->ops->col_blob(q, i);
}

void
db_done(struct db_rows **q)
{
	if (*q == NULL)
		return;
	(*q)->db->ops->done(*q);
	*q = NULL;
}

enum err
db_run(struct db *db, const char *sql, const struct db_arg *args, size_t n)
{
	struct db_rows *q = NULL;
	bool row = true;
	enum err e = db_query(db, &q, sql, args, n);

	while (e == E_OK && row)
		e = db_next(q, &row);
	db_done(&q);
	return e;
}

int64_t
db_changed(const struct db *db)
{
	return db->ops->changed(db);
}

int64_t
db_last_id(const struct db *db)
{
	return db->ops->last_id(db);
}

enum err
db_number(struct db *db, int64_t *out, const char *sql, const struct db_arg *args, size_t n)
{
	struct db_rows *q = NULL;
	bool row = false;
	enum err e;

	*out = 0;
	if ((e = db_query(db, &q, sql, args, n)) == E_OK && (e = db_next(q, &row)) == E_OK) {
		if (row)
			*out = db_col_int(q, 0);
		else
			e = err_set(E_NOTFOUND, "%s: no such entry", db->schema->name);
	}
	db_done(&q);
	return e;
}

enum err
db_begin(struct db *db)
{
	return db->ops->begin(db, true);
}

enum err
db_begin_read(struct db *db)
{
	return db->ops->begin(db, false);
}

enum err
db_end(struct db *db, enum err e)
{
	if (e == E_OK && (e = db->ops->commit(db)) == E_OK)
		return E_OK;
	db->ops->rollback(db);
	return e;
}

bool
db_inside(const struct db *db)
{
	return db->ops->inside(db);
}

void
db_close(struct db **db)
{
	if (*db == NULL)
		return;
	(*db)->ops->close(*db);
	*db = NULL;
}

enum err
db_check(struct db *db)
{
	return db->ops->check ? db->ops->check(db) : E_OK;
}

enum err
db_copy(struct db *db, const char *to)
{
	if (db->ops->copy == NULL)
		return err_set(E_ARG, "the %s is not a file: it is copied by its server's own means", db->schema->name);
	return db->ops->copy(db, to);
}
