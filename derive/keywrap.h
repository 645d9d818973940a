/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_DERIVE_KEYWRAP_H
#define DPIV_DERIVE_KEYWRAP_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/bytes.h"
#include "base/err.h"

/*
 * A private key on its way from an issuer to a token, or into escrow (RFC 7030, 4.4.2): EnvelopedData to the receiver's
 * public key; inside of it, for the way, SignedData of whoever made the key; inside of that the key package (RFC 5958).
 */
#define KEYWRAP_MAX	  (64 * 1024)
#define KEYWRAP_ID	  20
#define KEYWRAP_ATTRIBUTE "1.2.840.113549.1.9.16.2.54" /* AsymmetricDecryptKeyIdentifier, RFC 7030, 4.4.1.2 */

/* The identifier by which the receiver's key is named in a request and in the envelope: SHA-1 of the subjectPublicKey
 * (RFC 5280, 4.2.1.2 (1)). */
enum err keywrap_id(EVP_PKEY *pub, uint8_t id[KEYWRAP_ID]) MUST_CHECK;

/* signer NULL: not signed, for an escrow of one's own. DER goes to the end of out. */
enum err keywrap_seal(EVP_PKEY *key, X509 *signer, EVP_PKEY *signer_key, EVP_PKEY *to, struct wbuf *out) MUST_CHECK;

/* Opened with the receiver's private key, a token's or not. anchors: to which the signer must lead, its certificate
 * being in the message or in others; anchors NULL: a signature is not asked for. E_PROTO, E_POLICY; E_CRYPTO when the
 * receiver's key did not open it: see token_failed(). */
struct keywrap_trust {
	STACK_OF(X509) * anchors, *others;
};
enum err keywrap_open(struct span der, EVP_PKEY *with, const struct keywrap_trust *trust, EVP_PKEY **out) MUST_CHECK;

#endif
