/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_TLS_H
#define DPIV_ISSUER_TLS_H

#include <openssl/ssl.h>

#include "base/err.h"
#include "derive/issuer/config.h"
#include "derive/issuer/trust.h"

/* The listener's TLS: versions "1.2", "1.3" or "both"; asks for a client certificate, accepts a handshake without one
 * and with any (the handler judges), no resumption, no renegotiation. */
enum err tls_context(const struct config *c, const char *versions, const struct trust *trust, SSL_CTX **out) MUST_CHECK;

#endif
