/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_DERIVE_CSR_H
#define DPIV_DERIVE_CSR_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/bytes.h"
#include "base/err.h"
#include "derive/proto.h"
#include "derive/role.h"

/* A certification request (RFC 2986) for a new key. */
struct csr_in {
	enum role role;
	const X509_NAME *subject;	 /* what the card says; the issuer decides */
	EVP_PKEY *pub;			 /* the new key, read back from the token */
	EVP_PKEY *key;			 /* the same as a private key: signs */
	struct span binding;		 /* channel binding, put in as challengePassword in base64; may be empty */
	const struct proto_attrs *attrs; /* what the issuer wants; may be NULL */
	struct span challenge;		 /* challengePassword where there is no binding; may be empty */
	struct span decrypt_id;		 /* AsymmetricDecryptKeyIdentifier (RFC 7030, 4.4.1.2); may be empty */
	const X509 *old;		 /* renewal: its subject and subjectAltName are repeated; may be NULL */
};

/* The DER request, signed and verified again. E_CRYPTO when signing failed: see token_failed(). */
enum err csr_build(const struct csr_in *in, struct wbuf *out) MUST_CHECK;

/* The extensions of a request alone, for protocols with a form of their own; NULL when memory is short. */
STACK_OF(X509_EXTENSION) * csr_extensions(const struct csr_in *in);

/* The algorithm to generate by: what the person chose (chosen), else what the issuer wants, else RSA-2048. E_POLICY
 * when the issuer wants something that the person did not choose or that no derived credential may have. */
enum err
csr_algorithm(const struct proto_attrs *attrs, bool chosen, enum token_alg choice, enum token_alg *out) MUST_CHECK;

#endif
