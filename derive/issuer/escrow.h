/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_ESCROW_H
#define DPIV_ISSUER_ESCROW_H

#include "derive/issuer/issuer.h"

/*
 * Encryption keys that the issuer has made, kept so that their owner's mail can be read later (Common Policy 6.2.3).
 * Each is wrapped (keywrap.h, not signed) to the recovery key, whose private half is not needed for keeping, only for a
 * release, and lives on a PKCS#11 token of its own where the site wants that.
 *
 * POST /.well-known/dpiv/recover   by a client whose PIV card authenticates the TLS connection (PKI-AUTH), with a
 *     certification request (application/pkcs10) as for serverkeygen: its public key, which
 * AsymmetricDecryptKeyIdentifier names, receives the keys. Answer, multipart/mixed: for each of the person's keys, the
 * newest first, the two parts of a serverkeygen reply (RFC 7030, 4.4.2).
 */

/* Does the issuer keep keys at all? It then has i->recovery, the certificate. */
enum err escrow_open(struct issuer *i) MUST_CHECK;
/* Who may be trusted to be the source of a key in a message. */
enum err escrow_wrap(const struct issuer *i, EVP_PKEY *key, struct wbuf *out) MUST_CHECK;
/* A key that was made: as it is kept, and as it was sent, to the key of the request. */
struct escrow_row {
	struct span kept, sent;
	const char *way; /* SHA-256 of that key's SubjectPublicKeyInfo */
};
/* In the transaction that records the certificate. */
enum err
escrow_put(struct issuer *i, const char *serial, int64_t account, const struct escrow_row *row, time_t now) MUST_CHECK;
/* The same request again, by the same card, not earlier than since: whoever asks has not received the answer, and what
 * was sent before is sent again. E_NOTFOUND; certificate and message go to the ends of the buffers. */
enum err escrow_again(struct issuer *i, const char *way, const char *card_sha256, time_t since, struct wbuf *cert,
    struct wbuf *sent) MUST_CHECK;

/* Every key of the account, the newest first, at most ESCROW_MAX. */
#define ESCROW_MAX 40
typedef enum err escrow_fn(void *arg, const char *serial, X509 *cert, EVP_PKEY *key);
enum err escrow_each(struct issuer *i, int64_t account, escrow_fn *fn, void *arg) MUST_CHECK;

#endif
