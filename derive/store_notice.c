/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which notices a person was shown: an event of a credential, by the serial number of its certificate, once.
 */
#include <time.h>

#include "derive/store_int.h"

enum err
store_notice_find(struct store *s, const char *event, const char *serial)
{
	int64_t at;

	return db_number(s->db, &at, "SELECT at FROM notice WHERE event = ? AND serial = ?",
	    DB_ARGS(db_text(event), db_text(serial)));
}

enum err
store_notice_add(struct store *s, const char *event, const char *serial)
{
	return db_run(s->db, "INSERT OR IGNORE INTO notice (event, serial, at) VALUES (?, ?, ?)",
	    DB_ARGS(db_text(event), db_text(serial), db_int(time(NULL))));
}
