/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_TESTS_LEDGER_DIR_H
#define DPIV_TESTS_LEDGER_DIR_H

#include <stdint.h>

#include "derive/db.h"

/* A new issuer's ledger in a folder of its own below /tmp, for one test. */
#define LEDGER_DIR  40
#define LEDGER_PATH 60
void ledger_dir_open(char dir[LEDGER_DIR], char path[LEDGER_PATH], struct db **db);
/* 0, so that a test's tear-down can return it. */
int ledger_dir_close(const char *dir, struct db **db);
/* The one number that the statement gives. */
int64_t ledger_number(struct db *db, const char *sql);

#endif
