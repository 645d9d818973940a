/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The room's own libcrypto context: hw/ runs inside other people's processes, whose default context may be configured
 * in any way (other providers, FIPS properties) and is none of our business. Kept until the process ends: objects of
 * several threads may still refer to it.
 */
#include <pthread.h>

#include <openssl/provider.h>

#include "hw/crypto.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static OSSL_LIB_CTX *context;

static void
make(void)
{
	OSSL_LIB_CTX *c = OSSL_LIB_CTX_new();

	if (c != NULL && OSSL_PROVIDER_load(c, "default") == NULL) {
		OSSL_LIB_CTX_free(c);
		c = NULL;
	}
	context = c;
}

OSSL_LIB_CTX *
hw_crypto(void)
{
	if (pthread_once(&once, make) != 0)
		return NULL;
	return context;
}

EVP_PKEY *
crypto_public_key(OSSL_LIB_CTX *lib, const char *type, OSSL_PARAM_BLD *b)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(lib, type, NULL);
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(b);
	EVP_PKEY *key = NULL;

	if (ctx == NULL || params == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		key = NULL;
	OSSL_PARAM_free(params);
	EVP_PKEY_CTX_free(ctx);
	return key;
}
