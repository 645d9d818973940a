/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_BINDING_H
#define DPIV_ISSUER_BINDING_H

#include <stdbool.h>
#include <openssl/ssl.h>

#include "base/err.h"

/* The value that ties a request to its TLS connection, in base64: tls-unique (RFC 5929) for TLS 1.2, the exporter of
 * RFC 9266 for TLS 1.3. Empty when the connection has none (no extended master secret). */
#define BINDING_MAX 64
enum err binding_value(SSL *ssl, char out[BINDING_MAX]) MUST_CHECK;
/* Against a challengePassword ("": absent). E_POLICY with refuse_last(). */
enum err binding_check(const char *value, const char *challenge, bool required) MUST_CHECK;

#endif
