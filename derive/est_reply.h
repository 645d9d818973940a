/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_DERIVE_EST_REPLY_H
#define DPIV_DERIVE_EST_REPLY_H

#include "derive/proto.h"

/* The bodies of EST replies, as the server sent them: base64 with or without line ends, or DER. All input is hostile.
 */

/* The body as DER, appended to der, whose max counts. E_PROTO. */
enum err est_read_der(struct span body, struct wbuf *der) MUST_CHECK;
/* A certs-only CMS message (RFC 5272, 4.1); at least one certificate. E_PROTO. */
enum err est_read_certs(struct span body, STACK_OF(X509) * *out) MUST_CHECK;
/* CsrAttrs (RFC 8951, 3.2; RFC 9908); an empty body or list means nothing is wanted. out is zeroed first. */
enum err est_read_attrs(struct span body, struct proto_attrs *out) MUST_CHECK;

#endif
