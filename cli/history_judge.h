/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_CLI_HISTORY_JUDGE_H
#define DPIV_CLI_HISTORY_JUDGE_H

#include <openssl/x509.h>

#include "base/err.h"
#include "cli/address.h"
#include "cli/keyring.h"

/*
 * May a key from outside come in? Its certificate must be its own, be meant for decrypting, lead to a trust anchor
 * where some are configured, and certify an address of the person: one that a certificate on a token has, or that was
 * given. Dates do not matter.
 */
struct judge {
	struct addresses allowed; /* given by --address; freed by judge_close() */
	const char *cafile;	  /* or NULL: mail.cafile of dpiv.conf, if it is set */
	struct keyring *rings[2]; /* every token, and the target */
	X509_STORE *store;	  /* NULL: no anchors, no check */
};
enum err judge_open(struct judge *j, const char *to) MUST_CHECK;
void judge_close(struct judge *j);
/* E_POLICY with the reason. cert may be NULL. others: further certificates of the file, for the chain. */
enum err judge_key(struct judge *j, EVP_PKEY *key, X509 *cert, STACK_OF(X509) * others) MUST_CHECK;

#endif
