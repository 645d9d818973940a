/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_DERIVE_REVOKED_INT_H
#define DPIV_DERIVE_REVOKED_INT_H

#include <openssl/x509.h>

#include "derive/http.h"
#include "derive/revoked.h"

#define REVOKED_URLS	4		    /* addresses of one kind that are tried */
#define REVOKED_CRL_MAX (32u * 1024 * 1024) /* large agencies have CRLs of several MiB */
#define REVOKED_SKEW	300
#define REVOKED_DEPTH	6 /* CAs that are fetched for one path */

/* One certificate's question; inside of revoked*.c. */
struct revoked_q {
	X509 *cert, *issuer; /* issuer: owned */
	const struct revoked_conf *conf;
	X509_STORE *store;
	STACK_OF(X509) * pool; /* untrusted CAs: conf's, and those that were fetched; owned */
	struct http *http;
	struct revoked *out;
};

/* One more reason for not knowing. */
void revoked_because(struct revoked_q *q, const char *fmt, ...) PRINTF(2, 3);

/* revoked_aia.c: true when there is something new in the pool that may have issued this one. */
bool revoked_aia(struct revoked_q *q, X509 *cert);
/* A certificate, or several in a PKCS #7, DER; for tests. */
STACK_OF(X509) * revoked_aia_parse(struct span data);

/* revoked_ocsp.c, revoked_crl.c: true when the state is known now */
bool revoked_by_ocsp(struct revoked_q *q);
bool revoked_by_crls(struct revoked_q *q, STACK_OF(X509_CRL) * crls, const char *by);
bool revoked_by_points(struct revoked_q *q);

#endif
