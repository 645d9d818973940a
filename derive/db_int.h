/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_DERIVE_DB_INT_H
#define DPIV_DERIVE_DB_INT_H

#include "derive/db.h"

/* What a kind of database does for db.c. Its own structures begin with these. */
struct db_rows {
	struct db *db;
};

struct db_ops {
	void (*close)(struct db *);
	enum err (*query)(struct db *, struct db_rows **, const char *sql, const struct db_arg *, size_t n);
	enum err (*next)(struct db_rows *, bool *row);
	const char *(*col_text)(struct db_rows *, int); /* NULL for NULL */
	bool (*col_null)(struct db_rows *, int);
	int64_t (*col_int)(struct db_rows *, int);
	struct span (*col_blob)(struct db_rows *, int);
	void (*done)(struct db_rows *);
	int64_t (*changed)(const struct db *);
	int64_t (*last_id)(const struct db *);
	enum err (*begin)(struct db *, bool write);
	enum err (*commit)(struct db *);
	void (*rollback)(struct db *);
	bool (*inside)(const struct db *);
	enum err (*check)(struct db *);		       /* NULL: its server looks after it */
	enum err (*copy)(struct db *, const char *to); /* NULL: not a file */
};

struct db {
	const struct db_ops *ops;
	const struct db_schema *schema;
};

#endif
