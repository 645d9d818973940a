/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_CAKEY_H
#define DPIV_ISSUER_CAKEY_H

#include <stdbool.h>
#include <openssl/evp.h>

#include "base/err.h"

/* The key of the issuing CA: on a token (pkcs11: URI with id or object), or in a PEM file where files are allowed. */
struct cakey;

/* expect: the CA's public key, which the private key must belong to; NULL while there is no certificate yet.
 * generate: make a key pair on the token when it has none of that id or label. The PIN comes from the URI's pin-source;
 * a service has nobody to ask. */
enum err cakey_open(const char *where, bool files, bool generate, EVP_PKEY *expect, struct cakey **out) MUST_CHECK;
/* The same of another key of the issuer's, called what in messages. */
enum err cakey_open_as(
    const char *what, const char *where, bool files, bool generate, EVP_PKEY *expect, struct cakey **out) MUST_CHECK;
EVP_PKEY *cakey_pkey(const struct cakey *k); /* borrowed */
void cakey_close(struct cakey **k);
bool cakey_is_uri(const char *where);

#endif
