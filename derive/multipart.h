/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_DERIVE_MULTIPART_H
#define DPIV_DERIVE_MULTIPART_H

#include "base/bytes.h"
#include "base/err.h"

/* multipart/mixed (RFC 2046, 5.1) from the network, as far as EST needs it. */
#define MULTIPART_BOUNDARY 71 /* with NUL; RFC 2046 allows 70 */
#define MULTIPART_MAX	   128

struct multipart_part {
	char type[96];	     /* media type, lower case, without parameters */
	char smime_type[64]; /* that parameter, lower case; "" */
	struct span body;    /* as it was sent */
};

/* The parts in their order. E_PROTO: malformed, no part, more than max. */
enum err
multipart_read(struct span body, const char *boundary, struct multipart_part *parts, size_t max, size_t *n) MUST_CHECK;

/* A parameter of a header's value ("multipart/mixed; boundary=x"), quoted or not; "" when there is none or it does not
 * fit. */
void multipart_param(struct span value, const char *name, char *out, size_t cap);

#endif
