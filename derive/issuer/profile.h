/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_PROFILE_H
#define DPIV_ISSUER_PROFILE_H

#include <stdbool.h>
#include <openssl/x509.h>

#include "base/err.h"

/* Certificate profiles: the Common Policy certificate profiles' worksheets 10 (Derived PIV Authentication), 8 (digital
 * signature) and 9 (key management), one row each, and one for signature and encryption both, which is in no worksheet
 * and exists only where issuer.conf has a policy of the site's own for it. */
struct profile {
	const char *name;	      /* EST label and role */
	const char *what;	      /* for people */
	bool mail;		      /* policy_mail instead of policy_auth; rfc822Name in the SAN */
	bool both;		      /* one_certificate instead of policy_mail */
	bool escrow;		      /* the key may be made and kept by the issuer */
	bool uuid;		      /* a fresh UUID of its own in the SAN */
	uint32_t usage_rsa, usage_ec; /* KU_* */
	const char *usage_rsa_text, *usage_ec_text;
	const char *eku;	     /* libcrypto's text form */
	const char *const *eku_oids; /* the same as object identifiers, ended by NULL: the linter's view */
};

/* NULL: no such profile. "" and NULL name the default, auth. */
const struct profile *profile_find(const char *name);
const struct profile *profile_at(size_t i); /* NULL past the end */

/* The values that vary from certificate to certificate. */
struct profile_values {
	const char *policy, *base_url;
	const char *uuid, *upn, *email; /* "" or NULL: none */
};
/* What the holder's key and names ask for, without what the CA adds of its own: key usages, policy, names. */
enum err profile_wish(
    const struct profile *p, const struct profile_values *v, EVP_PKEY *key, STACK_OF(X509_EXTENSION) * *out) MUST_CHECK;
/* The subjectAltName alone. */
enum err profile_names(const struct profile *p, const struct profile_values *v, X509_EXTENSION **out) MUST_CHECK;
/* Adds every extension of the profile. */
enum err profile_apply(const struct profile *p, const struct profile_values *v, X509 *cert, X509 *ca) MUST_CHECK;

#endif
