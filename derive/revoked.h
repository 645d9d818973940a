/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_DERIVE_REVOKED_H
#define DPIV_DERIVE_REVOKED_H

#include <stdbool.h>
#include <time.h>
#include <openssl/x509.h>

#include "base/err.h"

/*
 * Is a certificate revoked? By a file of CRLs, then OCSP (RFC 6960), then the CRLs that it names (RFC 5280, 6.3). Good
 * is what a fresh, signed answer of its issuer says; whatever else happens (unreachable, stale, forged, too large,
 * not about this certificate) is unknown, with the reason. CAs that are missing between the certificate and an anchor
 * are fetched from its authorityInfoAccess (RFC 5280, 4.2.2.1).
 */
enum revoked_state { REVOKED_UNKNOWN, REVOKED_NO, REVOKED_YES };

struct revoked_conf {
	STACK_OF(X509) * anchors;  /* NULL: the system's */
	STACK_OF(X509) * others;   /* CAs on the way, untrusted; may be NULL */
	STACK_OF(X509_CRL) * crls; /* of a file; may be NULL */
	long timeout;		   /* seconds for one exchange; 0: 20 */
	const char *cafile;	   /* for https addresses; NULL: the system's */
};

struct revoked {
	enum revoked_state state;
	bool path;     /* it leads to an anchor, whatever else is known */
	time_t when;   /* of the revocation, 0: not told */
	char by[16];   /* "OCSP", "CRL", "CRL file" */
	char why[400]; /* unknown: the reasons */
};

/* Every failure is a state, not an error. */
void revoked_ask(X509 *cert, const struct revoked_conf *conf, struct revoked *out);
const char *revoked_name(enum revoked_state s); /* "good", "revoked", "unknown" */
/* PEM or DER, several; E_CONF. */
enum err revoked_read_crls(const char *path, STACK_OF(X509_CRL) * *out) MUST_CHECK;

#endif
