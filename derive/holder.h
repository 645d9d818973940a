/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_DERIVE_HOLDER_H
#define DPIV_DERIVE_HOLDER_H

#include "derive/derive.h"

/* What dpiv-issuer lets people do about their own certificates (derive/issuer/own.h), the client's side. */

/* h is authenticated by the PIV card or by a credential of the same person. E_OK: it is revoked and on the CRL, by this
 * call or an earlier one. E_UNSUP: the server has no such service. E_REMOTE: refused. */
enum err holder_revoke(struct http *h, const char *issuer, X509 *cert, int reason) MUST_CHECK;

struct holding {
	char serial[64];
	char changed[64]; /* "", or what the issuer has otherwise now: "subject, email" */
};
struct holdings {
	struct holding *list;
	size_t n;
	char emails[1024]; /* those of the card's own certificates, separated by blanks; "": unknown */
	X509 *card;	   /* the PIV Authentication certificate that has asked, also after a failure; or NULL */
};
/* Which certificates of this issuer are those of the person whose card is in the reader (req->from, else the one that
 * there is)? The card's PIN is asked for. The issuer notes a card that is new to it. E_UNSUP: not a dpiv-issuer. */
enum err holder_ask(const struct derive_req *req, struct holdings *out) MUST_CHECK;
enum err holder_read(struct span body, struct holdings *out) MUST_CHECK; /* the answer alone */
void holdings_clear(struct holdings *h);
/* NULL: it is not among them. */
const struct holding *holdings_find(const struct holdings *h, X509 *cert);

#endif
