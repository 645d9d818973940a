/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_CLI_HELD_H
#define DPIV_CLI_HELD_H

#include "cli/keyring.h"

/*
 * The decryption keys that a person holds: certificates on the tokens that are no CA's, and what is known of their
 * private keys without a PIN.
 */
enum held_state {
	HELD_YES,    /* the private key is seen */
	HELD_HIDDEN, /* the token shows private keys after a login only */
	HELD_NO	     /* there is a certificate only */
};

struct held_key {
	const struct keyring_key *k;
	enum held_state state;
	bool decrypts; /* by its key usage: keyEncipherment or keyAgreement */
};

struct held {
	struct keyring *ring;
	struct held_key *keys;
	size_t n;
};

/* login: ask for the PINs of tokens that hide their keys, so that nothing stays hidden. */
enum err held_open(const char *const *uris, size_t n, bool login, struct held *h) MUST_CHECK;
void held_close(struct held *h);
const char *held_state_name(enum held_state s); /* "yes", "unknown", "no" */

#endif
