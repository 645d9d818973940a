/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_UPSTREAM_H
#define DPIV_ISSUER_UPSTREAM_H

#include "derive/issuer/bindstore.h"
#include "derive/issuer/csr.h"
#include "derive/issuer/escrow.h"
#include "derive/issuer/issuer.h"
#include "derive/issuer/ledger.h"
#include "derive/issuer/profile.h"

/*
 * The issuer as a registration authority: another CA issues ([upstream] in issuer.conf). What a person's request needs
 * is decided here as always, and is then a row of the ledger; a process of its own takes it to the CA
 * (upstream_run.h). Nothing is kept between requests but that row: whoever asks again about the same key gets what has
 * become of it, on any connection, from any process, after any crash.
 */
#define UPSTREAM_ASK  33
#define UPSTREAM_SOON 1 /* seconds; a request that is refused with it is worth being held */

enum upstream_state { UPSTREAM_NONE, UPSTREAM_GOES, UPSTREAM_WAITS, UPSTREAM_DOWN, UPSTREAM_REFUSED, UPSTREAM_WRONG };
struct upstream_verdict {
	enum upstream_state state;
	char ask[UPSTREAM_ASK];
	long after;
	char why[600];
};

/* Is there a CA behind this issuer? */
bool upstream_is(const struct issuer *i);

/* A request, as it goes into the ledger. */
struct upstream_ask {
	const char *ask; /* the serial number under which its certificate is reserved */
	int64_t account;
	const char *profile, *spki_sha256, *card_sha256;
	struct span csr; /* PKCS#10, or SubjectPublicKeyInfo where a template is all that the CA gets */
	const struct profile_values *values;
	const char *peer, *detail, *notice;
	const struct bindstore_code *code;
	const struct escrow_row *escrow;
};

/* Inside a transaction. What has become of an earlier request for this key: E_OK with the verdict, in which NONE means
 * that it is a new one; one that failed is taken to the CA once more. */
enum err
upstream_before(struct issuer *i, const struct upstream_ask *a, time_t now, struct upstream_verdict *out) MUST_CHECK;
/* The same by the key that a generated one is sent to. */
enum err upstream_before_way(
    struct issuer *i, const char *way, const char *card_sha256, time_t now, struct upstream_verdict *out) MUST_CHECK;
/* Inside the transaction that reserves the certificate. */
enum err
upstream_put(struct issuer *i, const struct upstream_ask *a, time_t now, struct upstream_verdict *out) MUST_CHECK;
/* The verdict as a refusal; NONE is E_OK. */
enum err upstream_say(const struct upstream_verdict *v) MUST_CHECK;

/* Inside a transaction. The event of a repeated answer, which it is not when it is the first one that a certificate of
 * another CA is given with. */
enum err upstream_repeated(struct issuer *i, const struct ledger_event *ev, time_t now) MUST_CHECK;

/* What this thread's last refusal for the CA waits for; "" when it is not worth it. */
#define UPSTREAM_HELD 72
const char *upstream_held(void);
void upstream_hold(const char *what);
/* Is it still being worked on? */
bool upstream_busy(struct issuer *i, const char *what, time_t now);
/* Outside of a transaction, for a revocation that is in the ledger: E_OK when the CA has it too, or is told by hand.
 * E_POLICY with refuse_last(): not yet. */
enum err upstream_revoked(struct issuer *i, const char *serial, time_t now) MUST_CHECK;
/* Has anything to be taken to the CA? */
bool upstream_due(struct issuer *i, time_t now);

/* --- what is wanted (upstream_wish.c) ----------------------------------------------------------------------------- */

/* May this request go to the CA as it is? Where the CA takes names from it, they are the person's; it asks for nothing
 * that the profile does not have. E_POLICY with refuse_last(). */
enum err upstream_wish_check(struct issuer *i, const struct csr *csr, X509 *piv, const struct profile *p,
    const struct profile_values *v) MUST_CHECK;
/* A request for a key that was made here, with the names of the person. */
enum err upstream_wish_csr(
    EVP_PKEY *key, X509 *piv, const struct profile *p, const struct profile_values *v, struct wbuf *out) MUST_CHECK;
/* Has a request for this issuer to bring its names? */
bool upstream_wants_names(const struct issuer *i);
/* CsrAttrs (RFC 8951, 3.2; RFC 9908): the channel binding, and the names for this person. */
enum err upstream_wish_attrs(const struct profile *p, const struct profile_values *v, struct wbuf *out) MUST_CHECK;

#endif
