/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_CMP_PEEK_H
#define DPIV_ISSUER_CMP_PEEK_H

#include <stdbool.h>
#include <openssl/x509.h>

#include "base/bytes.h"

/*
 * A look into a PKIMessage (RFC 9810, 5.1) before libcrypto gets it: who speaks, with what protection, about which key.
 * libcrypto tells none of these, and they are needed to decide how a message may be verified and at what expense.
 */
enum cmp_body {
	CMP_IR = 0,
	CMP_CR = 2,
	CMP_P10CR = 4,
	CMP_KUR = 7,
	CMP_RR = 11,
	CMP_PKICONF = 19,
	CMP_GENM = 21,
	CMP_ERROR = 23,
	CMP_CERTCONF = 24,
};
#define CMP_BODY_MAX 26

struct cmp_peek {
	struct span der;
	struct span covered;		     /* header and body, which the protection is over */
	int type;			     /* of the body: enum cmp_body, or another number up to CMP_BODY_MAX */
	struct span body;		     /* what is in it */
	struct span time;		     /* contents of messageTime; these are empty when they are absent */
	struct span alg;		     /* protectionAlg, an AlgorithmIdentifier */
	struct span kid, transaction, nonce; /* senderKID, transactionID, senderNonce */
	struct span protection;		     /* the bits */
	struct span certs;		     /* extraCerts, one behind the other */
};

/* False: this is no PKIMessage, or one with more than one thing in a place for one. */
bool cmp_peek(struct span der, struct cmp_peek *out);
/* extraCerts, at most so many; the first is the signer's (RFC 9483, 3.3). NULL: none, or what is there cannot be read.
 */
STACK_OF(X509) * cmp_peek_certs(const struct cmp_peek *p, int max);
/* The SubjectPublicKeyInfo in the template of the only request of an ir, cr or kur. */
bool cmp_peek_spki(const struct cmp_peek *p, struct wbuf *out);
/* Of an rr with one RevDetails: crlEntryDetails with its head, empty when absent. */
bool cmp_peek_revocation(const struct cmp_peek *p, struct span *details);
/* iterationCount of a password-based MAC; 0: its parameters cannot be read, or it is huge. */
unsigned cmp_peek_iterations(struct span alg);
/* Is this a certConf that does not accept (RFC 9810, 5.3.18): without a certificate, or with a status that is neither
 * accepted nor grantedWithMods? */
bool cmp_peek_rejects(const struct cmp_peek *p);

#endif
