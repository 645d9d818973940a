/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_BIND_H
#define DPIV_ISSUER_BIND_H

#include "derive/issuer/bindstore.h"
#include "derive/issuer/est.h"
#include "derive/issuer/pivid.h"
#include "derive/issuer/profile.h"

/*
 * Binding without a card reader (SP 800-157r1, App. C): a one-time code leads from the machine with the card to the one
 * that gets the credential.
 *
 * POST /.well-known/dpiv/bind   by a client whose PIV card authenticates the TLS connection (PKI-AUTH), with
 *     Content-Type: application/json and {"roles":["auth","sign"]}; no roles: auth. Answer, application/json:
 *     {"code":"7F3K-9QWD-ZX01-4MTP-HB2C","expires":"2027-01-31T12:10:00Z","seconds":600,"roles":["auth","sign"],
 *      "name":"CN=Pat Example,O=Agency,C=US"}
 *     A code that the account had before is void. (A form of a foreign web page cannot send this media type.)
 * GET  /.well-known/dpiv/card   with the code: the PIV Authentication certificate that it is bound to, DER,
 *     application/pkix-cert. It uses nothing up, so a client can tell what is wrong before it makes a key. The query
 *     may name the role that is wanted, and the key of a request whose answer may have been lost (SHA-256 of its
 *     SubjectPublicKeyInfo): role=auth&key=HEX. A code that is used for the role, or for all where none is named, is
 *     refused without the key that it was used for.
 * POST /.well-known/est/[LABEL/]simpleenroll   without a client certificate, with the code.
 *
 * The code is sent as the password of HTTP Basic (RFC 7030, 3.2.3; the user name is not looked at) and not as the
 * challengePassword, since that carries the channel binding (RFC 7030, 3.5), which such requests have like all others.
 * Each role of a code can be used once. While the code lives, the same request for the same key gets the same
 * certificate again, since its answer may have been lost, and the code still says whose it is. Refusals: code-wrong,
 * code-expired, code-used, code-role, code-tries.
 */

#define BIND_ROLES_MAX 8
/* What a code is asked for. */
struct bind_wish {
	const char *role[BIND_ROLES_MAX + 1]; /* of the profile table, ended by NULL */
	size_t n;
};
/* Codes are given for it. What is for signature and encryption both may be had where either may. */
bool bind_offered(const struct config *c, const struct profile *p);
/* E_POLICY with refuse_last(): no such role, or no codes for it here. */
enum err bind_wish_add(const struct config *c, struct bind_wish *w, const char *name) MUST_CHECK;
/* PKI-AUTH succeeded with rq->peer, which says id. The caller wipes plain. E_POLICY with refuse_last(). */
enum err bind_make(struct issuer *i, const struct est_request *rq, const struct pivid *id, const struct bind_wish *w,
    time_t now, time_t *expires, char plain[BINDCODE_PLAIN]) MUST_CHECK;
/* PKI-AUTH succeeded with rq->peer, which says id. The answer is appended to out. E_POLICY with refuse_last(). */
enum err bind_give(
    struct issuer *i, const struct est_request *rq, const struct pivid *id, time_t now, struct wbuf *out) MUST_CHECK;

/* The code of an Authorization header: "Basic" and user:password in base64 (RFC 7617). E_POLICY. */
enum err bind_basic(const char *header, char plain[BINDCODE_PLAIN]) MUST_CHECK;

/* Of GET card: what it does not have or what is too long is empty, an unknown role NULL. */
struct bind_query {
	const char *role; /* of the profile table */
	char key[65];
};
void bind_query_read(const char *query, struct bind_query *out);

/* Whoever a code speaks for. */
struct bind_person {
	struct bindstore_code code;
	X509 *card; /* owned */
	struct pivid id;
};
/* By the code in rq->authorization; the card is checked as if it were there. role NULL: any. E_POLICY with
 * refuse_last(); code.account is set then too, where one was named. */
enum err bind_person(
    struct issuer *i, const struct est_request *rq, const char *role, time_t now, struct bind_person *out) MUST_CHECK;
/* The same by a code that came in another way. */
enum err
bind_person_by(struct issuer *i, const struct bindstore_claim *claim, time_t now, struct bind_person *out) MUST_CHECK;
void bind_person_clear(struct bind_person *p);

#endif
