/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_SCEP_READ_H
#define DPIV_ISSUER_SCEP_READ_H

#include <openssl/x509.h>

#include "base/bytes.h"
#include "derive/cert.h"
#include "derive/issuer/csr.h"
#include "derive/issuer/ra.h"

/* A pkiMessage from the network (RFC 8894, 3). */
#define SCEP_ID_MAX    129
#define SCEP_NONCE_MAX 32
struct scep_in {
	int type;
	char transaction[SCEP_ID_MAX]; /* printable */
	uint8_t nonce[SCEP_NONCE_MAX]; /* senderNonce */
	size_t nonce_n;
	X509 *signer; /* owned. It came with the message; its key, which is RSA, has signed. No more is known of it */
	char signer_key[CERT_KEY_TEXT]; /* SHA-256 of that key */
	struct wbuf envelope;
};

/* E_POLICY with refuse_last(): there is nobody to answer to. */
enum err scep_in_read(struct span body, struct scep_in *out) MUST_CHECK;
/* The request inside. E_POLICY with refuse_last(): ALGORITHM, or BAD_MESSAGE for all that may have been changed on the
 * way, without a difference. */
enum err scep_in_csr(const struct scep_in *in, const struct ra *ra, struct csr *out) MUST_CHECK;
/* Of CertPoll, whose contents repeat names that the transaction has already: is the envelope for us? */
enum err scep_in_poll(const struct scep_in *in, const struct ra *ra) MUST_CHECK;
void scep_in_clear(struct scep_in *in);

#endif
