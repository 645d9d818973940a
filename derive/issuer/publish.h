/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_PUBLISH_H
#define DPIV_ISSUER_PUBLISH_H

#include "derive/issuer/est.h"
#include "derive/issuer/ocsp.h"

/*
 * What everybody may have, over plain http below the path of base_url: ca.crl, root.crl, ca.p7c, root.p7c, and OCSP at
 * ocsp (POST) and ocsp/BASE64 (GET). All of it is signed, so nothing is gained by TLS, and a client that checks the
 * certificate of a TLS server would ask in circles (RFC 5280, 8). SCEP protects its messages itself, and is at /scep
 * (scep.h). Nothing else is answered here.
 */

/* Of the request, what a plain connection has: post, path, query, media_type, body and from. o: NULL, no responder.
 * Never fails. out->body is the caller's to free. */
void publish_handle(struct issuer *i, struct ocsp *o, const struct est_request *rq, time_t now, struct est_reply *out);

#endif
