/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_DERIVE_CMP_WHY_H
#define DPIV_DERIVE_CMP_WHY_H

#include <stdbool.h>
#include <openssl/cmp.h>

#include "base/err.h"

/* The first failure of our own inside of a transaction, and its sentence. */
struct cmp_trouble {
	enum err e;  /* E_OK: none */
	char *why;   /* owned */
	bool pinned; /* one certificate is configured as the signer of answers */
};
void cmp_trouble_set(struct cmp_trouble *t, enum err e);
void cmp_trouble_clear(struct cmp_trouble *t);

/* Why a CMP transaction failed, as a sentence that names the server. E_CRYPTO: a token's key, see token_failed(). */
enum err cmp_why(const OSSL_CMP_CTX *ctx, const struct cmp_trouble *t, const char *server) MUST_CHECK;

#endif
