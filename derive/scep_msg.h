/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_DERIVE_SCEP_MSG_H
#define DPIV_DERIVE_SCEP_MSG_H

#include <stdbool.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/bytes.h"
#include "base/err.h"
#include "derive/cert.h"

/* SCEP messages (RFC 8894, 3): what goes out is built, what comes in is judged, neither knows of HTTP. */

enum { SCEP_CERT_REP = 3, SCEP_RENEWAL_REQ = 17, SCEP_PKCS_REQ = 19, SCEP_CERT_POLL = 20 };

/* What the server can (3.5.2). */
struct scep_caps {
	bool post, aes, des3, sha256, sha512, sha1, renewal;
};
void scep_read_caps(struct span body, struct scep_caps *out);

#define SCEP_NONCE	 16
#define SCEP_TRANSACTION CERT_KEY_TEXT /* hex of the hash of the key (3.2.1.1) */

/* One side of the message layer: signs what goes out, opens what comes. */
struct scep_party {
	X509 *cert;
	EVP_PKEY *key;
};

/* The outcome, of an answer (3.2.1.3, 3.2.1.4). */
struct scep_result {
	const char *status; /* SCEP_SUCCESS ... */
	const char *fail;   /* failInfo, or NULL */
	const char *text;   /* failInfoText, or NULL */
	struct span nonce;  /* senderNonce of what is answered */
};
#define SCEP_SUCCESS "0"
#define SCEP_FAILURE "2"
#define SCEP_PENDING "3"

struct scep_request {
	int type;
	struct scep_party from;
	X509 *to; /* RSA */
	const EVP_CIPHER *cipher;
	const EVP_MD *md;
	const char *transaction;
	const uint8_t *nonce;
	struct span
	    data; /* PKCS #10, issuer and subject, or certificates; empty: no envelope, and to is not looked at */
	const struct scep_result *result; /* NULL: not an answer */
};
/* E_CRYPTO: a key did not sign, see token_failed(). */
enum err scep_build(const struct scep_request *m, struct wbuf *out) MUST_CHECK;

/* A certificate of this key for itself: the signer's when there is no other (2.3). E_CRYPTO as above. */
enum err scep_self_signed(const X509_NAME *subject, EVP_PKEY *pub, EVP_PKEY *key, X509 **out) MUST_CHECK;
/* IssuerAndSubject (3.3.3). */
enum err scep_issuer_subject(const X509_NAME *issuer, const X509_NAME *subject, struct wbuf *out) MUST_CHECK;

struct scep_expect {
	const char *transaction;
	const uint8_t *nonce;
	STACK_OF(X509) * signers; /* the CA and its RAs: answers are theirs */
	struct scep_party open;
	bool weak; /* SHA-1 and Triple DES will do */
};
/* The certificates of a successful answer. E_PENDING: the server wants time. E_REMOTE: it refused, with its reason.
 * E_POLICY: the answer is not for this request, not from this server or too weak. E_CRYPTO: see above. Sentences begin
 * with what is wrong, without the server's name. */
enum err scep_read(struct span body, const struct scep_expect *want, STACK_OF(X509) * *certs) MUST_CHECK;
/* The answer to GetCACert: one certificate, or a message with several. */
enum err scep_read_ca(struct span body, STACK_OF(X509) * *out) MUST_CHECK;

/* Attributes (3.2.1), dotted. */
#define SCEP_OID_TYPE	     "2.16.840.1.113733.1.9.2"
#define SCEP_OID_STATUS	     "2.16.840.1.113733.1.9.3"
#define SCEP_OID_FAIL	     "2.16.840.1.113733.1.9.4"
#define SCEP_OID_SENDER	     "2.16.840.1.113733.1.9.5"
#define SCEP_OID_RECIPIENT   "2.16.840.1.113733.1.9.6"
#define SCEP_OID_TRANSACTION "2.16.840.1.113733.1.9.7"
#define SCEP_OID_FAIL_TEXT   "1.3.6.1.5.5.7.24.1"

#endif
