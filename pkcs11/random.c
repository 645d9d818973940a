/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random numbers: libcrypto's generator in this module's library context (GET CHALLENGE of a card is no better and
 * costs an APDU for eight bytes). A seed is mixed in as additional input; it cannot make things worse.
 */
#include <openssl/err.h>
#include <openssl/rand.h>

#include "pkcs11/p11.h"
#include "pkcs11/remote.h"

CK_RV
random_generate(struct p11_session *s, CK_BYTE *out, CK_ULONG n)
{
	int ok;

	if (out == NULL && n != 0)
		return CKR_ARGUMENTS_BAD;
	if (n == 0)
		return CKR_OK;
	if (s->slot->remote != NULL && remote_random(s, out, n) == CKR_OK)
		return CKR_OK;
	ok = RAND_bytes_ex(s->slot->module->lib, out, n, 0);
	ERR_clear_error();
	return ok == 1 ? CKR_OK : CKR_FUNCTION_FAILED;
}

CK_RV
random_seed(struct p11_session *s, const CK_BYTE *seed, CK_ULONG n)
{
	EVP_RAND_CTX *rng;
	int ok;

	if (seed == NULL)
		return n == 0 ? CKR_OK : CKR_ARGUMENTS_BAD;
	if ((rng = RAND_get0_primary(s->slot->module->lib)) == NULL)
		return CKR_FUNCTION_FAILED;
	ok = EVP_RAND_reseed(rng, 0, NULL, 0, seed, n);
	ERR_clear_error();
	return ok == 1 ? CKR_OK : CKR_FUNCTION_FAILED;
}
