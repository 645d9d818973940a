/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_OWN_H
#define DPIV_ISSUER_OWN_H

#include "derive/issuer/est.h"
#include "derive/issuer/ledger.h"
#include "derive/issuer/pivid.h"
#include "derive/issuer/x509io.h"

/*
 * What people may do about their own certificates (SP 800-157r1, 2.4; FIPS 201-3, 2.10.2: invalidation on the holder's
 * request). EST has no revocation, so these paths are dpiv-issuer's own.
 *
 * POST /.well-known/dpiv/revoke   with Content-Type: application/json and
 *     {"serial":"4F2A91","reason":"superseded"}; no reason: unspecified. The TLS client is the PIV card (PKI-AUTH) or a
 *     derived credential of the same account. The answer, when the CRL is written, has "serial", "reason" and "at" (the
 *     time). What is revoked already is answered in the same way, with time and reason of then, so that a client that
 *     was cut off can ask again; a revoked credential can still ask about itself, and about nothing else.
 *
 * POST /.well-known/dpiv/own   with {} by the PIV card alone: which certificates are this person's. A card that the
 *     account did not have before is noted: from now on it vouches for them (SP 800-157r1, 2.3: a replaced card leaves
 *     derived credentials alone). "certificates" has objects with "serial", "role" and "changed": what the account says
 *     otherwise now ("subject", "upn", "email"), which asks for a new certificate (2.3.1).
 */

/* The ledger's row of a derived certificate, by its bytes; E_NOTFOUND: not issued here. serial has X509IO_SERIAL_MAX.
 */
enum err own_cert(struct issuer *i, X509 *cert, char *serial, struct ledger_found *row) MUST_CHECK;

/* The body of a revocation, nothing else being known of it. E_POLICY with refuse_last(). */
struct own_wish {
	char serial[X509IO_SERIAL_MAX];
	int reason;
	int64_t account; /* 0 */
	time_t at;	 /* 0 */
};
enum err own_wish_read(struct span body, struct own_wish *w) MUST_CHECK;
/* Revokes w->serial for whoever has signed the handshake, once; at and reason are then those of the first time. The CRL
 * has it when this returns. E_POLICY with refuse_last(). */
enum err own_give_up(
    struct issuer *i, const struct est_request *rq, time_t now, struct pivid *id, struct own_wish *w) MUST_CHECK;

/* The answers are appended to out. id: of the card that asked. E_POLICY with refuse_last(). */
enum err
own_revoke(struct issuer *i, const struct est_request *rq, time_t now, struct pivid *id, struct wbuf *out) MUST_CHECK;
enum err
own_list(struct issuer *i, const struct est_request *rq, time_t now, struct pivid *id, struct wbuf *out) MUST_CHECK;

#endif
