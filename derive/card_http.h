/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_DERIVE_CARD_HTTP_H
#define DPIV_DERIVE_CARD_HTTP_H

#include "derive/card.h"
#include "derive/derive.h"

/* An HTTPS client that the PIV card authenticates (PKI-AUTH), with what belongs to it. */
struct card_http {
	struct card card;
	EVP_PKEY *key;
	STACK_OF(X509) * anchors, *chain;
	struct http *http;
};

/* By req's from, cafile, tls, timeout, ask and stop. The card's PIN is asked for. Close it also after a failure. */
enum err card_http_open(const struct derive_req *req, struct card_http *out) MUST_CHECK;
void card_http_close(struct card_http *c);

#endif
