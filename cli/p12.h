/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_CLI_P12_H
#define DPIV_CLI_P12_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/secret.h"

/* PKCS#12 files (RFC 7292): every private key and certificate in one, old ciphers (RC2, Triple DES) included. */
#define P12_MAX (1024 * 1024)

struct p12 {
	OSSL_LIB_CTX *lib;		  /* its own, because the old ciphers are another provider's */
	OSSL_PROVIDER *standard, *legacy; /* legacy: NULL when it is not installed */
	EVP_PKEY **keys;
	size_t n_keys;
	STACK_OF(X509) * certs;
};

/* E_PIN: the password is wrong. E_PROTO: not a PKCS#12 file, or damaged. E_UNSUP: a cipher that is not to be had. */
enum err p12_read(struct span der, const struct secret *password, struct p12 *out) MUST_CHECK;
void p12_free(struct p12 *p);
/* The certificate of key i; NULL when the file has none. Borrowed. */
X509 *p12_cert(const struct p12 *p, size_t i);

#endif
