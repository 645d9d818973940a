/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_DERIVE_KEYGEN_REPLY_H
#define DPIV_DERIVE_KEYGEN_REPLY_H

#include <openssl/x509.h>

#include "derive/http.h"

/* Keys that an issuer has made or kept, each wrapped (keywrap.h) and with its certificate: the answer to EST's
 * serverkeygen (RFC 7030, 4.4.2), and to dpiv-issuer's recovery, which has several. */
#define KEYGEN_MAX 50

struct keygen_item {
	struct wbuf wrapped; /* EnvelopedData, DER */
	STACK_OF(X509) * certs;
};

struct keygen_reply {
	struct keygen_item item[KEYGEN_MAX];
	size_t n;
};

/* E_POLICY: a private key in the clear, which is not looked at; E_PROTO. *out is the caller's, NULL after a failure. */
enum err keygen_read(const struct http_reply *r, struct keygen_reply **out) MUST_CHECK;
void keygen_free(struct keygen_reply **r);

#endif
