/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_DERIVE_KEYPACK_H
#define DPIV_DERIVE_KEYPACK_H

#include <openssl/evp.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/secret.h"

/* A private key as bytes, in locked memory only. */

/* PKCS #8 PrivateKeyInfo. */
enum err keypack_pkcs8(EVP_PKEY *key, struct secret **out) MUST_CHECK;
/* AsymmetricKeyPackage (RFC 5958, 2) with this one key: id-ct-KP-aKeyPackage. */
enum err keypack_write(EVP_PKEY *key, struct secret **out) MUST_CHECK;
/* Such a package with one key, or a PrivateKeyInfo by itself. RSA and elliptic curves only. E_PROTO. */
enum err keypack_read(struct span der, EVP_PKEY **out) MUST_CHECK;

#endif
