/* SPDX-License-Identifier: BSD-2-Clause */
/* What an issuer says about a holder's certificates, and what comes from the address of a missing CA certificate. */
#include <stdlib.h>
#include <string.h>

#include "derive/holder.h"
#include "derive/revoked_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct span in = { .p = data, .n = n };
	struct holdings h;

	if (holder_read(in, &h) == E_OK && h.list == NULL)
		abort();
	for (size_t i = 0; i < h.n; i++)
		if (strlen(h.list[i].serial) >= sizeof h.list[i].serial ||
		    strlen(h.list[i].changed) >= sizeof h.list[i].changed)
			abort();
	holdings_clear(&h);
	sk_X509_pop_free(revoked_aia_parse(in), X509_free);
	return 0;
}
