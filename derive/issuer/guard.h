/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_GUARD_H
#define DPIV_ISSUER_GUARD_H

#include "derive/issuer/est.h"

/*
 * Whether a form was sent from this issuer's own page by the person who sees it (cross-site request forgery). A TLS
 * client certificate goes along with every request that any web page makes, as a cookie does, so the card alone does
 * not say that its holder wanted this.
 */
#define GUARD_TOKEN 90 /* with NUL */

/* For a form of this page: good for an hour, for the card with this SHA-256 and for posts to this path. */
enum err guard_token(struct db *db, const char *sha256, const char *path, time_t now, char out[GUARD_TOKEN]) MUST_CHECK;
/* E_POLICY, cross-site: sent by another site's page, or the token is missing, too old, of another card or form. */
enum err
guard_check(struct db *db, const struct est_request *rq, const char *sha256, const char *token, time_t now) MUST_CHECK;

#endif
