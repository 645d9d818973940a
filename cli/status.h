/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_CLI_STATUS_H
#define DPIV_CLI_STATUS_H

#include <stdbool.h>
#include <time.h>

#include <jansson.h>

#include "base/conf.h"
#include "derive/rebuild.h"

/* Inside of dpiv status: one JSON tree (dpiv-status(1) has its members), gathered part by part. */
struct status {
	json_t *tree, *readers, *cards, *tokens, *credentials, *unfinished, *attention;
	time_t now;
	long soon_days;
	struct rebuild rebuild; /* store NULL: nothing is looked for */
	STACK_OF(X509) * seen;	/* PIV authentication certificates of cards */
};

void status_attention(struct status *s, const char *what, const char *command);
const char *status_lifetime(const struct status *s, X509 *cert); /* "ok", "expiring", "expired" */
json_t *status_time(time_t t);
json_t *status_hex(const uint8_t *p, size_t n);

/* status_token.c */
void status_readers(struct status *s);
void status_cards(struct status *s);
void status_configured(struct status *s, const struct conf *conf);
void status_token_add(struct status *s, const char *uri); /* once each */
void status_old_keys(struct status *s);			  /* when all tokens and credentials are there */

/* status_cred.c */
enum err status_credential_tokens(struct status *s, struct store *store) MUST_CHECK;
enum err status_credentials(struct status *s, struct store *store) MUST_CHECK;
enum err status_unfinished(struct status *s, struct store *store) MUST_CHECK;

/* status_rebuild.c: what the configuration says of issuers, for credentials that are found on tokens. */
enum err status_rebuild_begin(struct status *s, const struct conf *conf, struct store *store) MUST_CHECK;
/* What was found and what no token tells. */
void status_rebuild_end(struct status *s);
void status_rebuild_free(struct status *s);

/* status_text.c: the tree on standard output, for a person. */
void status_text(const json_t *tree, time_t now, bool details);

#endif
