/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_DERIVE_CERT_H
#define DPIV_DERIVE_CERT_H

#include <time.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/err.h"
#include "base/text.h"
#include "derive/assure.h"
#include "derive/role.h"

/* What an issued certificate has to satisfy before it goes onto the token. */
struct cert_rules {
	enum role role;
	EVP_PKEY *pub;			   /* the key that was asked for */
	X509 *card;			   /* PIV Authentication certificate that it was derived from */
	STACK_OF(X509) * anchors, *others; /* trusted; and untrusted, for the path. anchors NULL: the system's */
	bool test_policies;		   /* the test arc counts as well */
	const char *one_certificate;	   /* the policy of ROLE_MAIL, which the issuer's configuration has */
	enum assure_level carries;	   /* what the key can carry, so that a policy may assert; 0: not known */
	const char *carries_why;	   /* not more */
	enum assure_level demands;	   /* ASSURE_AAL3: the policy must assert it */
	time_t now;
};

/* Of several certificates the one for this key; E_POLICY when none is. Borrowed. */
enum err cert_choose(STACK_OF(X509) * certs, EVP_PKEY *pub, X509 **out) MUST_CHECK;

/* The one that is not a CA's; NULL when there is none, or more than one. Borrowed. */
X509 *cert_leaf(STACK_OF(X509) * certs);

/* E_POLICY or E_EXPIRED with the precise reason. */
enum err cert_check(X509 *cert, const struct cert_rules *rules) MUST_CHECK;

/* Facts of a certificate, for selection, the store and status. */
bool cert_has_policy(X509 *cert, const char *const *oids, const char **found); /* found may be NULL */
unsigned cert_uuids(X509 *cert, char first[TEXT_UUID_MAX]); /* urn:uuid names in the subjectAltName; "" when none */
bool cert_has_fascn(X509 *cert);
bool cert_person(X509 *cert, char out[16]);	   /* by the FASC-N: fascn_person() */
char *cert_upn(X509 *cert, char *out, size_t cap); /* user principal name, "" when none */
bool cert_has_eku(X509 *cert, int nid);
bool cert_has_eku_oid(X509 *cert, const char *oid); /* one that libcrypto has no number for */
/* The common name, safe to show; the whole subject when there is none. */
char *cert_name(X509 *cert, char *out, size_t cap);
char *cert_serial(X509 *cert, char *out, size_t cap); /* hex */
char *cert_email(X509 *cert, char *out, size_t cap);  /* first rfc822Name, "" when none */
#define CERT_KEY_TEXT 65
/* SHA-256 of a SubjectPublicKeyInfo, in hex. */
enum err cert_key_text(EVP_PKEY *pub, char out[CERT_KEY_TEXT]) MUST_CHECK;
/* Every rfc822Name that fits is added to a list of words. */
void cert_emails_add(X509 *cert, char *list, size_t cap);
time_t cert_not_after(X509 *cert);
time_t cert_not_before(X509 *cert);
/* From when on it is renewed: so many days before it expires, and not before half of its life is over. */
time_t cert_renew_from(X509 *cert, long days);
/* The assurance that a derived authentication certificate's policy asserts, 2 or 3; 0: none. Test policies count. */
enum assure_level cert_assurance(X509 *cert, enum role role);
/* Is it a PIV Authentication certificate (policy 3.13, or 48.11 of the test arc; not a derived one)? */
bool cert_is_piv_auth(X509 *cert);
/* PEM file -> certificates; E_CONF when it has none. */
enum err cert_read_file(const char *path, STACK_OF(X509) * *out) MUST_CHECK;

#endif
