/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_DERIVE_SCEP_CA_H
#define DPIV_DERIVE_SCEP_CA_H

#include <stdbool.h>
#include <openssl/x509.h>

#include "base/err.h"

/* The certificates that a SCEP server shows (GetCACert, RFC 8894, 4.2.1). */
struct scep_trust {
	STACK_OF(X509) * certs;	  /* what it showed; what is not believed is removed */
	STACK_OF(X509) * anchors; /* may be NULL */
	const char *fingerprint;  /* SHA-256 in hex, or NULL */
	const char *server;
	bool by_tls; /* they came over a TLS connection to the right server */
};
enum err scep_ca_trust(const struct scep_trust *t) MUST_CHECK;

/* Of the believed ones: who gets the requests, and who issues. Borrowed. */
X509 *scep_ca_recipient(STACK_OF(X509) * certs);
X509 *scep_ca_issuer(STACK_OF(X509) * certs);

#endif
