/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_REFUSE_H
#define DPIV_ISSUER_REFUSE_H

#include "base/err.h"

/*
 * Why a request is refused: a stable code for programs and help desks, an HTTP status, and the sentence that is set
 * with it. Codes are never renamed or reused; docs and clients rely on them.
 *
 *	return refuse(REFUSE_EXPIRED, "the PIV Authentication certificate expired on %s", when);
 *
 * A function that refuses returns E_POLICY; any other error is a fault of the issuer (500).
 */
#define REFUSE_LIST(X)                                                                                                 \
	X(NO_CERTIFICATE, "no-certificate", 403, "no client certificate in the TLS handshake")                         \
	X(UNTRUSTED, "untrusted", 403, "no valid path from the certificate to a configured trust anchor")              \
	X(REVOKED, "revoked", 403, "a certificate on the path is revoked")                                             \
	X(EXPIRED, "expired", 403, "a certificate on the path has expired")                                            \
	X(NOT_YET_VALID, "not-yet-valid", 403, "a certificate on the path is not yet valid")                           \
	X(POLICY, "policy", 403, "the certificate is not a PIV Authentication certificate by its policies")            \
	X(STATUS, "status-unavailable", 403, "the revocation status of the path cannot be established")                \
	X(WRONG_PROFILE, "wrong-profile", 403, "key usage or extended key usage do not fit PIV Authentication")        \
	X(ALGORITHM, "algorithm", 403, "the card's key is of a kind that SP 800-78 does not allow")                    \
	X(NO_FASCN, "no-fascn", 403, "neither FASC-N nor card UUID in the certificate")                                \
	X(POSSESSION, "possession", 403, "the card's key did not sign the TLS handshake")                              \
	X(CHUID_MISSING, "chuid-missing", 403, "the request came without the CHUID of the card")                       \
	X(CHUID_MALFORMED, "chuid-malformed", 403, "the CHUID cannot be read")                                         \
	X(CHUID_SIGNATURE, "chuid-signature", 403, "the signature on the CHUID does not verify")                       \
	X(CHUID_SIGNER, "chuid-signer", 403, "the CHUID is not signed by a trusted PIV content signer")                \
	X(CHUID_REVOKED, "chuid-signer-revoked", 403, "the CHUID's signer, or a CA above it, is revoked")              \
	X(CHUID_STATUS, "chuid-signer-status", 403, "the revocation status of the CHUID's signer is unknown")          \
	X(CHUID_EXPIRED, "chuid-expired", 403, "the card has expired by its CHUID")                                    \
	X(CHUID_MISMATCH, "chuid-mismatch", 403, "the CHUID is that of another card")                                  \
	X(UNKNOWN_ACCOUNT, "unknown-account", 403, "no account for this person")                                       \
	X(ACCOUNT_MISMATCH, "account-mismatch", 403, "the card points to an account with another name")                \
	X(ACCOUNT_SUSPENDED, "account-suspended", 403, "the account is suspended")                                     \
	X(ACCOUNT_TERMINATED, "account-terminated", 403, "the account is terminated")                                  \
	X(ACCOUNT_FULL, "account-full", 403, "the account has as many credentials of this kind as are allowed")        \
	X(IDENTITY_REFUSED, "identity-refused", 403, "the site's identity system refuses this person")                 \
	X(IDENTITY_SILENT, "identity-unavailable", 503, "the site's identity system does not answer")                  \
	X(NO_EMAIL, "no-email", 403, "no mail address in the account")                                                 \
	X(BINDING, "binding", 403, "the request is not bound to this TLS connection")                                  \
	X(KEY_POLICY, "key-policy", 403, "the new key is of a kind that SP 800-78 does not allow")                     \
	X(KEY_REUSED, "key-reused", 403, "the new key is in use elsewhere")                                            \
	X(CODE_WRONG, "code-wrong", 403, "the binding code is wrong")                                                  \
	X(CODE_EXPIRED, "code-expired", 403, "the binding code has expired or a newer one was given")                  \
	X(CODE_USED, "code-used", 403, "the binding code was used already")                                            \
	X(CODE_ROLE, "code-role", 403, "no binding code for this role")                                                \
	X(CODE_TRIES, "code-tries", 403, "too many wrong binding codes")                                               \
	X(CODE_MISTYPED, "code-mistyped", 403, "what was sent cannot be a binding code")                               \
	X(NOT_YOURS, "not-yours", 403, "no certificate of this person has this serial number")                         \
	X(BAD_BODY, "bad-body", 400, "the request for a binding code or a revocation cannot be read")                  \
	X(BAD_CSR, "bad-csr", 400, "the certification request cannot be read or its signature is wrong")               \
	X(TOO_LARGE, "too-large", 413, "the request is too large")                                                     \
	X(MEDIA_TYPE, "media-type", 415, "the request is not application/pkcs10")                                      \
	X(METHOD, "method", 405, "wrong HTTP method")                                                                  \
	X(NOT_FOUND, "not-found", 404, "no such path")                                                                 \
	X(DECRYPT_KEY, "decrypt-key", 400, "the request does not say to which key of its own a key is sent")           \
	X(KEYGEN_ROLE, "keygen-role", 403, "the issuer makes no keys for this purpose")                                \
	X(NO_ESCROW, "no-escrow", 403, "no key of this person is kept")                                                \
	X(NOT_OFFERED, "not-offered", 501, "an EST operation that this issuer does not offer")                         \
	X(CROSS_SITE, "cross-site", 403, "a form of another site, or one that is too old")                             \
	X(NOT_ADMIN, "not-admin", 403, "not the certificate of an administrator")                                      \
	X(CA_WAITS, "ca-pending", 202, "the CA behind this issuer has the request and wants more time")                \
	X(CA_SILENT, "ca-unavailable", 503, "the CA behind this issuer cannot be reached or does not work")            \
	X(CA_REFUSED, "ca-refused", 403, "the CA behind this issuer refuses the request")                              \
	X(CA_WRONG, "ca-wrong", 502, "the CA behind this issuer answered with a certificate that was not asked for")   \
	X(BAD_MESSAGE, "bad-message", 400, "the signed message cannot be read, or its envelope not be opened")         \
	X(NO_CODE, "no-code", 403, "the request came without a binding code")                                          \
	X(STALE, "stale", 403, "the signed message is not of this moment")                                             \
	X(TRANSACTION, "transaction", 403, "the name of the transaction is taken, or there is none of that name")

enum refuse {
#define X(name, code, status, text) REFUSE_##name,
	REFUSE_LIST(X)
#undef X
	    REFUSE_COUNT
};

/* Records the reason and the sentence; always E_POLICY. */
enum err refuse(enum refuse why, const char *fmt, ...) MUST_CHECK PRINTF(2, 3);
/* The same, and after how many seconds it makes sense to ask again. */
enum err refuse_later(enum refuse why, long seconds, const char *fmt, ...) MUST_CHECK PRINTF(3, 4);
/* This thread's last reason. */
enum refuse refuse_last(void);
long refuse_after(void); /* 0: it was not said */
const char *refuse_code(enum refuse why);
int refuse_status(enum refuse why);
const char *refuse_text(enum refuse why);

#endif
