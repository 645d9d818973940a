/* SPDX-License-Identifier: BSD-2-Clause */
/* A private key as C_UnwrapKey may find it: whatever it is, the parts lie inside what was given. */
#include <stdlib.h>

#include "pkcs11/p11.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
inside(struct span in, struct span v)
{
	if (v.n > in.n || (v.n > 0 && (v.p < in.p || v.p + v.n > in.p + in.n)))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t f4[] = { 1, 0, 1 };
	struct span in = span_of(data, size);
	struct private_key key;

	if (private_of_pkcs8(in, &key) != CKR_OK)
		return 0;
	if (key.secret.alg == PIV_ALG_NONE || key.secret.part[0].n == 0)
		abort();
	for (size_t i = 0; i < 5; i++)
		inside(in, key.secret.part[i]);
	inside(in, key.modulus);
	if (piv_alg_is_rsa(key.secret.alg) && !span_eq(key.exponent, span_of(f4, sizeof f4)))
		abort();
	return 0;
}
