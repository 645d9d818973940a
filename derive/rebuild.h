/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_DERIVE_REBUILD_H
#define DPIV_DERIVE_REBUILD_H

#include "derive/store.h"
#include "derive/token.h"

/*
 * The state store from the tokens: credentials that are on a token and that the store does not have (it was deleted, or
 * the token was used on another computer) are written down again. No PIN is asked for and nothing is written to a
 * token. What no token tells: the card that vouched, requests that an issuer still has, and what happened before.
 */
struct rebuild_issuer {
	const char *url;
	STACK_OF(X509) * anchors; /* NULL: none are known */
};

struct rebuild {
	struct store *store;
	struct rebuild_issuer *issuers;
	size_t n_issuers;
	const char *usual; /* who issued what none of the anchors tells; NULL: nobody knows */
	size_t found;	   /* written down so far */
};

/* The token is open. While another dpiv derives nothing is written: the next time will do. */
enum err rebuild_token(struct rebuild *r, struct token *t) MUST_CHECK;
/* A card that was seen: it stands behind those credentials of its holder (by subject) whose card is not known. */
enum err rebuild_card(struct rebuild *r, X509 *card) MUST_CHECK;

#endif
