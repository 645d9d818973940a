/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_SHOW_H
#define DPIV_ISSUER_SHOW_H

#include <time.h>
#include <jansson.h>

#include "derive/db.h"

/*
 * Everything about one person: {"id", "name", "email", "upn", "status", "origin", "created", "cards": [...],
 * "expected": [...], "credentials": [...], "examine": [...], "events": [...]}; the newest first, events the last
 * twenty; examine: what is valid and was bound in the seven days before a loss. *out is the caller's. E_NOTFOUND.
 */
enum err show_account(struct db *db, int64_t id, time_t now, json_t **out) MUST_CHECK;

#endif
