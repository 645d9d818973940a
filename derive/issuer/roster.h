/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_ROSTER_H
#define DPIV_ISSUER_ROSTER_H

#include <time.h>

#include "base/bytes.h"
#include "derive/db.h"

struct roster_count {
	size_t added, updated, same;
};

/*
 * People from the site's identity system, as CSV: the first line names the columns name (needed), email, upn, fascn and
 * uuid, in any order; each person has a fascn or a uuid, by which their card is recognised. fascn: agency, system and
 * credential code as 14 digits, with or without "-", or the 25 bytes in hex. All or nothing: E_ARG, E_PROTO or
 * E_POLICY name the line.
 */
enum err roster_import(struct db *db, struct span csv, time_t now, struct roster_count *out) MUST_CHECK;

#endif
