/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_CSR_H
#define DPIV_ISSUER_CSR_H

#include <openssl/x509.h>

#include "base/bytes.h"
#include "base/err.h"

/*
 * A certification request from the network. Of everything in it only three things count: the public key, the
 * signature that proves its private half, and the challengePassword that binds it to the TLS connection. Names and
 * extensions that it asks for are never looked at (their presence is reported for the event).
 */
struct csr {
	X509_REQ *req;	     /* NULL: the key came in another way, with a proof of its own */
	EVP_PKEY *key;	     /* borrowed from req */
	char challenge[256]; /* "" when there is none */
	bool asks_extensions;
};

#define CSR_MAX 16384 /* bytes of DER */

/* body: base64 in any line length, or raw DER. E_POLICY with refuse_last() for whatever is wrong with it. */
enum err csr_read(struct span body, struct csr *out) MUST_CHECK;
/* Its bytes, appended to out. */
enum err csr_der(const struct csr *c, struct wbuf *out) MUST_CHECK;
void csr_clear(struct csr *c);
/* Is this encoded key one that libcrypto's arithmetic may be given at all? Before csr_check_key(). */
enum err csr_check_encoding(X509_PUBKEY *spki) MUST_CHECK;
/* SP 800-78-5 3.1: RSA 2048/3072 with odd exponent from 65537, P-256, P-384 by name and uncompressed. */
enum err csr_check_key(const struct csr *c) MUST_CHECK;

#endif
