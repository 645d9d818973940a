/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_SCEP_TRANS_H
#define DPIV_ISSUER_SCEP_TRANS_H

#include <stdint.h>
#include <time.h>

#include "base/err.h"
#include "derive/issuer/issuer.h"

/* Transactions of SCEP in the ledger: which key a transactionID is about. */
struct scep_trans {
	const char *id;
	int64_t account;
	const char *profile, *spki_sha256, *card_sha256, *signer;
};
/* Who asks may have a certificate: the name of the transaction becomes theirs, or is theirs for this key. E_POLICY with
 * refuse_last(): it is for another key, or long over. */
enum err scep_trans_take(struct issuer *i, const struct scep_trans *t, time_t now) MUST_CHECK;
/* The certificate of a transaction whose request this key has signed. E_POLICY with refuse_last(): there is none of
 * that name, or what keeps the certificate away, which may be time. */
enum err scep_trans_poll(
    struct issuer *i, const char *id, const char *signer, const char *profile, time_t now, X509 **out) MUST_CHECK;

#endif
