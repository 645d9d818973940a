/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_DERIVE_RECOVER_H
#define DPIV_DERIVE_RECOVER_H

#include "derive/derive.h"

/* A person's encryption keys out of the issuer's escrow (derive/issuer/escrow.h). The card authenticates; of the
 * request count to (the token that the keys are for; it is not written to), from, issuer and its facts, and the
 * person's part. fn is called for each key, the newest first, with its certificate and what else came along; what it
 * says ends the run when it is not E_OK. */
typedef enum err recover_fn(void *arg, EVP_PKEY *key, X509 *cert, STACK_OF(X509) * others);
enum err recover_keys(const struct derive_req *req, recover_fn *fn, void *arg) MUST_CHECK;

#endif
