/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_OCSP_INT_H
#define DPIV_ISSUER_OCSP_INT_H

#include <stdbool.h>
#include <openssl/ocsp.h>

#include "base/bytes.h"

#define OCSP_CERTS_MAX 16

/* ocsp_read.c: a request that keeps all bounds and asks for nothing that cannot be done; NULL: it does not. */
OCSP_REQUEST *ocsp_read(struct span der, bool *nonce);

#endif
