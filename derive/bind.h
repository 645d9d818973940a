/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_DERIVE_BIND_H
#define DPIV_DERIVE_BIND_H

#include "base/secret.h"
#include "derive/derive.h"

/* Binding for a machine without a card reader (SP 800-157r1, App. C): the card's side of it. The other side is
 * derive_run() with derive_req.code. */
struct bind_answer {
	struct secret *text;   /* the code as it is shown, NUL-terminated; BINDCODE_TEXT bytes */
	long seconds;	       /* that it lives from now */
	char name[256];	       /* whom the issuer took the card for */
	bool role[ROLE_COUNT]; /* for what it was given */
};
void bind_answer_clear(struct bind_answer *a);

/* Of the request: from, issuer, protocol, cafile, tls, timeout, roles, and the person's part. The card authenticates
 * to the issuer, which gives a code. */
enum err bind_ask(const struct derive_req *req, struct bind_answer *out) MUST_CHECK;

/* An issuer's answer, from the network. E_PROTO. */
enum err bind_read_answer(struct span body, struct bind_answer *out) MUST_CHECK;
/* https://host[:port]/.well-known/dpiv/WHAT of an issuer's address, with or without a well-known part of its own. */
enum err bind_url(const char *issuer, const char *what, char *out, size_t cap) MUST_CHECK;

#endif
