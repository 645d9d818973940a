/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_HW_CRYPTO_H
#define DPIV_HW_CRYPTO_H

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

/* The library context of this room, made on first use and kept: the module is a guest and neither uses nor changes the
 * host's. NULL when memory is short (which libcrypto's functions would take for the host's: check). */
OSSL_LIB_CTX *hw_crypto(void);
/* A public key ("RSA", "EC") of these parameters; NULL when they make none. */
EVP_PKEY *crypto_public_key(OSSL_LIB_CTX *lib, const char *type, OSSL_PARAM_BLD *b);

#endif
