/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_PATH_H
#define DPIV_ISSUER_PATH_H

#include <time.h>
#include <openssl/x509.h>

#include "base/err.h"
#include "derive/issuer/trust.h"

struct path_rules {
	const char *policies; /* comma-separated, one must hold along the path */
	const char *key;      /* of [piv], that names them */
	const char *what;     /* the certificate should be, for people */
};

/* Is there a path from a configured anchor to leaf, now, with one of the policies and nothing on it revoked? sent: more
 * certificates to build it of, or NULL. E_POLICY with refuse_last(); anything else is a fault of ours. */
enum err
path_check(struct trust *t, const struct path_rules *rules, X509 *leaf, STACK_OF(X509) * sent, time_t now) MUST_CHECK;

#endif
