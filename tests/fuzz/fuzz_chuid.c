/* SPDX-License-Identifier: BSD-2-Clause */
/* The CHUID that a client says its card has. */
#include <stdlib.h>

#include "derive/issuer/chuid.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct chuid c;

	if (chuid_read(span_of(data, n), &c) == E_OK &&
	    ((c.fascn.n != 0 && c.fascn.n != 25) || (c.guid.n != 0 && c.guid.n != 16) ||
		(c.expiry.n != 0 && c.expiry.n != 8) || c.content.n + c.signature.n > n))
		abort();
	chuid_clear(&c);
	return 0;
}
