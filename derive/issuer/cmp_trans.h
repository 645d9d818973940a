/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_CMP_TRANS_H
#define DPIV_ISSUER_CMP_TRANS_H

#include <time.h>

#include "base/bytes.h"
#include "base/err.h"
#include "derive/db.h"
#include "derive/issuer/x509io.h"

/*
 * Open transactions of CMP: between the answer with a certificate and the client's word that it has it (certConf, RFC
 * 9810, 5.3.18). They are in the ledger and not in memory, so that a restart or another issuer process at the same
 * ledger can go on: the request as it came, and the nonce of our answer, which the client has to repeat.
 */
#define CMP_TRANS_KEEP 3600 /* seconds that a transaction is remembered; longer than a signed message is fresh */

struct cmp_trans {
	char serial[X509IO_SERIAL_MAX];
	struct wbuf request, nonce;
	bool done;
};

/* Is this name free, or taken by the very same request? E_POLICY with refuse_last(): taken by another. */
enum err cmp_trans_check(struct db *db, struct span id, struct span request, time_t now) MUST_CHECK;
enum err cmp_trans_put(
    struct db *db, struct span id, struct span request, struct span nonce, const char *serial, time_t now) MUST_CHECK;
/* out is for cmp_trans_clear() in any case. E_POLICY with refuse_last(): there is none. */
enum err cmp_trans_get(struct db *db, struct span id, time_t now, struct cmp_trans *out) MUST_CHECK;
/* The client has said what it has to say. */
enum err cmp_trans_end(struct db *db, struct span id) MUST_CHECK;
void cmp_trans_clear(struct cmp_trans *t);

#endif
