/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_CODEKEY_H
#define DPIV_ISSUER_CODEKEY_H

#include "base/secret.h"
#include "derive/bindcode.h"

/*
 * Binding codes as shared secrets. A code that is sent (HTTP Basic, SCEP's challengePassword) is compared with its hash
 * in the ledger. CMP's password-based MAC (RFC 9810, 5.1.3.1) only proves that a secret is known, so the issuer has to
 * have it at hand; yet no code may stand in the ledger, of which there are copies and backups, and the hash would be
 * just as good to a thief if it were the secret. So a code is not drawn but made: HMAC-SHA256 of a salt in the code's
 * row under a key that is in a file outside the ledger. Either alone says nothing about a code, and a person has one
 * code for all protocols: CMP's reference is its first group, and its secret is the whole code as it was shown.
 *
 * An eavesdropper can try codes against a MAC at home; there are 75 bits to be found within minutes.
 */
#define CODEKEY_SALT 16

/* *out is NULL when there is no such file. E_CONF: it is no key. */
enum err codekey_open(const char *path, struct secret **out) MUST_CHECK;
/* A new file, 0600. */
enum err codekey_make(const char *path) MUST_CHECK;
enum err
codekey_code(const struct secret *key, const uint8_t salt[CODEKEY_SALT], char plain[BINDCODE_PLAIN]) MUST_CHECK;

#endif
