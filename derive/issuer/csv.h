/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_CSV_H
#define DPIV_ISSUER_CSV_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/err.h"

/*
 * Comma-separated values (RFC 4180) in UTF-8, one record at a time.
 *
 *	csv_open(&c, text);
 *	while ((e = csv_next(&c, &row, &got)) == E_OK && got)
 *		use(row.field, row.n);
 */
#define CSV_FIELDS 16
#define CSV_TEXT   2048 /* bytes of one record */

struct csv {
	struct span rest;
	size_t line; /* of what comes next, from 1 */
};

struct csv_row {
	size_t line, n;
	const char *field[CSV_FIELDS]; /* in text; NUL-terminated, without blanks at its ends */
	char text[CSV_TEXT];
};

void csv_open(struct csv *c, struct span text);
/* The next record that is not blank; *got false: there is none. E_PROTO with the line: a quotation mark out of place, a
 * control character, invalid UTF-8, too many fields, too long. */
enum err csv_next(struct csv *c, struct csv_row *row, bool *got) MUST_CHECK;

#endif
