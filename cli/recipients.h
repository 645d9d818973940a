/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_CLI_RECIPIENTS_H
#define DPIV_CLI_RECIPIENTS_H

#include <stddef.h>
#include <openssl/x509.h>

#include "base/err.h"
#include "cli/smime.h"

/*
 * Whom a message is encrypted to. Certificates are collected from files, directories, signed messages (whose signature
 * must be right: they also tell what their sender can decrypt) and the tokens; then each address gets its best one, or
 * a reason why there is none.
 */
struct recipients;

enum err recipients_new(struct recipients **out) MUST_CHECK;
void recipients_free(struct recipients **p);

/* To look in: a file (PEM, DER, a signed message) or a directory of such files (others in it are passed over). */
enum err recipients_look_in(struct recipients *r, const char *path) MUST_CHECK;
enum err recipients_look_at(struct recipients *r, STACK_OF(X509) * certs) MUST_CHECK;
/* With trust anchors, a certificate that does not lead to one is not usable. Borrowed. */
void recipients_trust(struct recipients *r, X509_STORE *store);

/* A recipient: every certificate of a file that is meant for encryption, or an address. What is not usable is written
 * down and told by recipients_missing(). */
enum err recipients_add_file(struct recipients *r, const char *path) MUST_CHECK;
enum err recipients_add_cert(struct recipients *r, X509 *cert, const char *who) MUST_CHECK;
enum err recipients_add_address(struct recipients *r, const char *address) MUST_CHECK;

size_t recipients_missing(const struct recipients *r);
const char *recipients_missing_at(const struct recipients *r, size_t i); /* "bob@example.test: no certificate found" */
STACK_OF(X509) * recipients_certs(const struct recipients *r);		 /* each once; borrowed */
/* The strongest that all of them can decrypt: AES-256-CBC; AES-256-GCM when each prefers it; AES-128-CBC when one says
 * that it has no other. */
enum smime_cipher recipients_cipher(const struct recipients *r);

#endif
