/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_RA_H
#define DPIV_ISSUER_RA_H

#include <openssl/x509.h>

#include "derive/issuer/cakey.h"
#include "derive/issuer/config.h"

/*
 * The registration authority: the certificate by which SCEP and CMP speak. SCEP's requests are encrypted to it, and the
 * answers of both are signed by it, so that the CA's key does nothing but sign certificates and lists, and may be an EC
 * key or one on a token that never decrypts. It is the CA's delegate by id-kp-cmcRA (RFC 6402, 2.10; RFC 9810, 4.5).
 */
struct ra {
	X509 *cert;
	STACK_OF(X509) * chain; /* the CA's certificate: what goes with answers */
	struct cakey *key;	/* RSA */
};

/* *out is NULL when there is no certificate: SCEP and CMP are not offered then. */
enum err ra_open(const struct config *c, X509 *ca, struct ra **out) MUST_CHECK;
void ra_close(struct ra **ra);

#endif
