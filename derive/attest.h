/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_DERIVE_ATTEST_H
#define DPIV_DERIVE_ATTEST_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/err.h"

/* What a token's attestation certificate says about a key. Zero: it does not say. */
enum attest_pin { ATTEST_PIN_UNSAID, ATTEST_PIN_NEVER, ATTEST_PIN_ONCE, ATTEST_PIN_ALWAYS };
struct attest {
	char firmware[16]; /* "5.7.1" */
	char serial[24];   /* of the device, decimal */
	enum attest_pin pin;
};

/* The token's statements; E_PROTO when one of them is malformed. Nothing is verified. */
enum err attest_read(X509 *attestation, struct attest *out) MUST_CHECK;
/* Has the holder of the attester's certificate signed it, for this key (NULL: not looked at)? E_POLICY. */
enum err attest_verify(X509 *attestation, X509 *attester, EVP_PKEY *pub) MUST_CHECK;
/* Does the attester's certificate lead to one of the roots, a maker's? E_POLICY. */
enum err attest_trusted(X509 *attester, STACK_OF(X509) * roots) MUST_CHECK;

#endif
