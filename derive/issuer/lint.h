/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_LINT_H
#define DPIV_ISSUER_LINT_H

#include <openssl/x509.h>

#include "base/bytes.h"
#include "base/err.h"
#include "derive/issuer/profile.h"

/* What the signed certificate must be. */
struct lint_expect {
	const struct profile *profile;
	const struct profile_values *values;
	X509 *ca;
	struct span subject; /* DER of the name */
	struct span spki;    /* DER of the proven key */
	const char *serial;  /* the ledger's form */
	long max_days;
	/* Another CA has made it: serial number, addresses and UUID are its own, and it may have added extensions that
	 * are not critical. */
	bool foreign;
	const char *card_uuid; /* with foreign: not this one; or NULL */
};

/* Reads the certificate again from its bytes and compares. E_POLICY with the rule that is broken: then it must not
 * leave the issuer. */
enum err lint_check(struct span der, const struct lint_expect *want) MUST_CHECK;
/* RFC 4122, 4.4: a random one, in lower case. */
bool lint_uuid_v4(const char *uuid);

#endif
