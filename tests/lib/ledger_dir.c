/* SPDX-License-Identifier: BSD-2-Clause */
/* The ledger of one test, and what is asked of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "derive/issuer/ledger.h"
#include "tests/lib/ledger_dir.h"
#include "tests/lib/test.h"

void
ledger_dir_open(char dir[LEDGER_DIR], char path[LEDGER_PATH], struct db **db)
{
	strcpy(dir, "/tmp/dpiv-ledger.XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, LEDGER_PATH, "%s/issuer.db", dir);
	assert_ok(ledger_open(path, db));
}

int
ledger_dir_close(const char *dir, struct db **db)
{
	char cmd[80];

	db_close(db);
	snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
	return system(cmd);
}

int64_t
ledger_number(struct db *db, const char *sql)
{
	int64_t n;

	assert_ok(db_number(db, &n, sql, DB_NO_ARGS));
	return n;
}
