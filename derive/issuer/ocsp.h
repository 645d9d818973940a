/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_OCSP_H
#define DPIV_ISSUER_OCSP_H

#include <time.h>

#include "base/bytes.h"
#include "derive/issuer/issuer.h"

/* The OCSP responder (RFC 6960, and RFC 5019 for GET) without the transport. Its key is a delegated signer's, never the
 * CA's. Answers come from the ledger, so that a revocation is answered at once. */
struct ocsp;

/* *out NULL: the directory has no certificate of an OCSP signer, and there is no responder. E_CONF: it is not this
 * CA's, or not for id-kp-OCSPSigning; E_EXPIRED; E_POLICY: its key is in a file and this is no demo. */
enum err ocsp_open(const struct issuer *i, struct ocsp **out) MUST_CHECK;
void ocsp_close(struct ocsp **o);

#define OCSP_BODY_MAX 8192
#define OCSP_CACHE    60 /* seconds that a cache may keep an answer to a GET */
struct ocsp_asked {
	size_t certs;
	bool nonce; /* the answer is for this request only */
};
/* out: an OCSPResponse for any request at all, its error included; empty only when memory is short. */
void
ocsp_answer(struct ocsp *o, struct db *db, struct span request, time_t now, struct ocsp_asked *asked, struct wbuf *out);
/* RFC 6960 A.1: what follows /ocsp/ of a GET, base64 in which anything may be percent-encoded. */
bool ocsp_get_decode(const char *path, struct wbuf *out);

#endif
