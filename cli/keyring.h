/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_CLI_KEYRING_H
#define DPIV_CLI_KEYRING_H

#include <openssl/x509.h>

#include "base/err.h"
#include "derive/token.h"

/*
 * The keys of a person, over all tokens: those that the state store and dpiv.conf ([token NAME] uri) name, and those of
 * dpiv's own module; or only those that the command line names. Certificates are read without a PIN; a PIN is asked for
 * when a key is used, and for that token only.
 */
struct keyring;

/* uris NULL: all. A token that the user named must open; of the others, those that do not are passed over. */
enum err keyring_open(const char *const *uris, size_t n, struct keyring **out) MUST_CHECK;
void keyring_close(struct keyring **k);
/* "card, laptop": what was looked at; "no token" when there is none. */
const char *keyring_names(const struct keyring *k);

/* One key with a certificate, in the order of the tokens; NULL past the end. Borrowed until keyring_close(). */
struct keyring_key {
	struct token *token;
	struct token_key key; /* key.cert is never NULL */
};
const struct keyring_key *keyring_at(const struct keyring *k, size_t i);

/* Every certificate on the tokens, intermediates that are kept there included. */
STACK_OF(X509) * keyring_certs(const struct keyring *k); /* borrowed */

/* The key to sign with: valid, meant for signing mail; with an address, one that certifies it goes before the others.
 * E_EXPIRED when the only ones have expired, E_NOTFOUND when there is none. */
enum err keyring_signer(const struct keyring *k, const char *address, const struct keyring_key **out) MUST_CHECK;
/* The encryption certificate of the same person (an address in common) on the same token; NULL when there is none. */
X509 *keyring_encrypt_cert(const struct keyring *k, const struct keyring_key *signer);
enum err keyring_pkey(const struct keyring_key *k, EVP_PKEY **out) MUST_CHECK;

#endif
