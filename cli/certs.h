/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_CLI_CERTS_H
#define DPIV_CLI_CERTS_H

#include <stdbool.h>
#include <stddef.h>
#include <openssl/x509.h>

#include "base/bytes.h"
#include "base/err.h"

/* Certificates as mail sees them. Texts made here are safe to print. */

/* CN, else the whole subject. Returns out. */
char *certs_name(X509 *cert, char *out, size_t cap);
char *name_text(const X509_NAME *name, char *out, size_t cap);
/* Does it certify this address (rfc822Name, or emailAddress in the subject)? */
bool certs_has_address(X509 *cert, const char *address);
/* "pat@example.test, pat@lab.test"; "" when there is none. Returns out. */
char *certs_addresses(X509 *cert, char *out, size_t cap);

enum cert_use { CERT_SIGN, CERT_ENCRYPT };
/* Do keyUsage and extendedKeyUsage allow it (RFC 8550, 4.4)? */
bool certs_may(X509 *cert, enum cert_use use);
/* Also valid now? E_OK, E_EXPIRED or E_POLICY with the reason as the sentence, which begins with the subject's name. */
enum err certs_usable(X509 *cert, enum cert_use use) MUST_CHECK;

/* Every certificate of a file (PEM, several; or DER), appended. E_NOTFOUND when there is none. */
enum err certs_load(const char *path, STACK_OF(X509) * out) MUST_CHECK;
enum err certs_parse(struct span data, STACK_OF(X509) * out) MUST_CHECK;
/* The issuers of cert among these, upwards; a self-issued certificate ends the chain and is left out. */
STACK_OF(X509) * certs_chain(X509 *cert, STACK_OF(X509) * among);

/* Trust anchors (and CRLs, which are then used) of a PEM file; NULL: mail.cafile of dpiv.conf, else the system's. */
enum err trust_open(const char *cafile, X509_STORE **out) MUST_CHECK;

#endif
