/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_UPSTREAM_RUN_H
#define DPIV_ISSUER_UPSTREAM_RUN_H

#include "derive/issuer/upstream.h"
#include "derive/proto.h"

/* Takes to the CA what waits for it, until nothing has come for a moment. Every failure is in the ledger; E_OK but for
 * the ledger's own. */
enum err upstream_run(struct issuer *i) MUST_CHECK;

/* --- one request (upstream_end.c) --------------------------------------------------------------------------------- */

/* A row of the ledger that this process has claimed, with what its answer is judged by. */
struct upstream_job {
	char ask[UPSTREAM_ASK], profile[16], card_sha256[65];
	int64_t account, code; /* code 0: none */
	char policy[128], uuid[40], upn[256], email[256];
	char peer[64], detail[800], notice[24], way[65];
	struct wbuf csr, kept, sent;
	const struct profile *row;
	struct profile_values values;
	X509 *card;
	X509_REQ *req;
	EVP_PKEY *pub, *own_pub; /* own_pub: when there is no request around it */
	bool wrong;		 /* an answer came and was not what was wanted */
};
/* The oldest that is due; E_NOTFOUND. */
enum err upstream_claim(struct issuer *i, time_t now, long seconds, struct upstream_job *out) MUST_CHECK;
void upstream_job_clear(struct upstream_job *j);
/* Is this the certificate that was wanted? E_POLICY, and then j->wrong. */
enum err upstream_judge(struct issuer *i, struct upstream_job *j, X509 *cert) MUST_CHECK;
/* What became of it. The certificate goes into the ledger; E_POLICY with j->wrong: there is something against it. */
enum err upstream_issued(struct issuer *i, struct upstream_job *j, X509 *cert, time_t now) MUST_CHECK;
/* The CA has said no (err_msg() says why); cert: instead, it has given this, which has to be revoked, or NULL. */
enum err upstream_ended(struct issuer *i, struct upstream_job *j, X509 *cert, time_t now) MUST_CHECK;
/* To be asked again: the CA wants time (waits), or it could not be asked. */
enum err upstream_later(struct issuer *i, struct upstream_job *j, bool waits, long seconds, time_t now) MUST_CHECK;

/* It is left to another process. */
enum err upstream_release(struct issuer *i, const struct upstream_job *j) MUST_CHECK;
/* Nobody has asked for these any more, for longer than a client keeps a request. */
enum err upstream_forget(struct issuer *i, time_t now) MUST_CHECK;

/* --- revocations (upstream_revoke.c) ------------------------------------------------------------------------------ */

/* What is revoked here becomes work for the CA. */
enum err upstream_collect(struct issuer *i, time_t now) MUST_CHECK;
/* One of them, if one is due: *did. why, unless it is empty: there is no connection. */
enum err upstream_revoke_one(struct issuer *i, const struct proto *p, struct proto_conn *conn, const char *why,
    time_t now, bool *did) MUST_CHECK;
/* A certificate that nobody has taken; in a transaction. */
enum err upstream_revoke_add(struct issuer *i, X509 *cert, const char *why, time_t now) MUST_CHECK;
/* What 'dpiv-issuer status' says: lines, or members of an object (upstream_verb.c). */
enum err upstream_status(struct issuer *i, bool json) MUST_CHECK;
/* An administrator has it done at the CA. E_NOTFOUND. */
enum err upstream_revoke_done(struct issuer *i, const char *serial, time_t now) MUST_CHECK;

#endif
