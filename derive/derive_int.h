/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_DERIVE_DERIVE_INT_H
#define DPIV_DERIVE_DERIVE_INT_H

#include "derive/card.h"
#include "derive/cert.h"
#include "derive/derive.h"
#include "derive/proto.h"
#include "derive/store.h"
#include "derive/token.h"

/* One run; inside of derive*.c. */
struct derive {
	const struct derive_req *req;
	struct store *store;
	struct token *to;
	struct card card;
	EVP_PKEY *card_key;
	STACK_OF(X509) * anchors; /* what the cafile has; NULL: the system's anchors and the issuer's own roots */
	STACK_OF(X509) * cacerts; /* what the issuer sent, not trusted by that */
	const struct proto *proto;
	struct proto_conn *conn;
	struct derive_result *results;
	size_t *n_results;
};

void derive_step(const struct derive *d, const char *fmt, ...) PRINTF(2, 3);
enum err derive_stopped(const struct derive *d) MUST_CHECK; /* E_CANCELED when the person said so */
void derive_result_add(struct derive *d, const struct enrolment *e, X509 *cert, bool existed, bool finished);

/* derive_recover.c: finish or undo what earlier runs left on this token. */
enum err derive_recover(struct derive *d) MUST_CHECK;
/* Remove what an enrolment put on the token, and its row. Objects of somebody else under the same identifier stay. */
enum err derive_undo(struct derive *d, struct enrolment *e, const char *why) MUST_CHECK;
/* A valid credential of this role by this issuer, still on this token? */
enum err derive_existing(struct derive *d, enum role role, bool *exists) MUST_CHECK;

/* derive_role.c: one role from csrattrs to the record. */
enum err derive_role(struct derive *d, enum role role) MUST_CHECK;

#endif
