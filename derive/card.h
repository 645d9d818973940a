/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_DERIVE_CARD_H
#define DPIV_DERIVE_CARD_H

#include "derive/token.h"

/* The PIV card that vouches: its token, its PIV Authentication certificate and what leads to that certificate's root.
 */
struct card {
	struct token *token;
	X509 *cert; /* owned */
	uint8_t id[64];
	size_t id_len;
};

/* from: the card's URI (it may name the key), or NULL: the one PIV card that dpiv's own module sees. Nothing is sent to
 * the card but reads. E_NOREADER, E_NOCARD, E_NOTPIV, E_NOTFOUND, E_ARG (several), E_POLICY (only a derived
 * credential). */
enum err card_open(const char *from, token_ask_fn *ask, void *arg, struct card *out) MUST_CHECK;
/* The card's CHUID as one line of an HTTP header, for dpiv-issuer to judge (derive/issuer/chuid.h), with NUL; only that
 * when the token has none, which the issuer may not like. */
enum err card_chuid_header(struct card *c, struct wbuf *out) MUST_CHECK;
void card_close(struct card *c);

/* The issuers of cert, without a root, as far as pool has them: what a TLS client sends along. */
enum err card_chain(X509 *cert, STACK_OF(X509) * pool, STACK_OF(X509) * *out) MUST_CHECK;

#endif
