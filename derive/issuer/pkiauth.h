/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_PKIAUTH_H
#define DPIV_ISSUER_PKIAUTH_H

#include <time.h>
#include <openssl/x509.h>

#include "base/err.h"
#include "derive/issuer/pivid.h"
#include "derive/issuer/trust.h"

/*
 * PKI-AUTH (FIPS 201-3 6.2.3.1, SP 800-73-5 part 1 B.1.2), the verifier's half: is this certificate, whose key has
 * just signed the TLS handshake, the PIV Authentication certificate of a good card? leaf NULL: none was presented.
 * sent: the other certificates of the handshake, or NULL. policies: comma-separated, one must hold along the path.
 * E_POLICY with refuse_last(); anything else is a fault of ours. id is filled as far as it could be read.
 */
enum err pkiauth_check(
    struct trust *t, const char *policies, X509 *leaf, STACK_OF(X509) * sent, time_t now, struct pivid *id) MUST_CHECK;

#endif
