/* SPDX-License-Identifier: BSD-2-Clause */
/* Key History's file: whoever fetched it. */
#include "hw/piv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span entries, cert;
	unsigned ref;

	if (piv_history_file_entries(span_of(data, size), &entries) != E_OK)
		return 0;
	for (ref = PIV_KEY_RETIRED1; ref <= PIV_KEY_RETIRED20; ref++)
		if (piv_history_file_find(entries, (uint8_t)ref, &cert) == E_OK && cert.n > 0 && cert.p[0] != 0x30)
			__builtin_trap();
	return 0;
}
