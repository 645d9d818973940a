/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_RENEWAL_H
#define DPIV_ISSUER_RENEWAL_H

#include <openssl/x509.h>

#include "derive/issuer/csr.h"
#include "derive/issuer/issuer.h"
#include "derive/issuer/pivid.h"
#include "derive/issuer/profile.h"
#include "derive/issuer/x509io.h"

/* Who asks for a new certificate with one that this issuer gave. */
struct renewal {
	char serial[X509IO_SERIAL_MAX]; /* of the presented certificate */
	int64_t account;
	X509 *card;	 /* the newest card of the account; owned */
	struct pivid id; /* what it says */
};

/* May the holder of this certificate, whose key has signed the TLS handshake or the message, have a new one of this
 * profile? E_POLICY with refuse_last(). */
enum err renewal_check(struct issuer *i, X509 *peer, const struct profile *profile, const struct csr *csr, time_t now,
    struct renewal *out) MUST_CHECK;
void renewal_clear(struct renewal *r);

#endif
