/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_CRL_H
#define DPIV_ISSUER_CRL_H

#include <time.h>
#include <openssl/x509.h>

#include "derive/db.h"

/* Nothing is ever on the root's list of a demo agency: db NULL gives an empty list with this number. */
enum err
crl_make(X509 *ca, EVP_PKEY *key, struct db *db, int64_t number, time_t now, long hours, X509_CRL **out) MUST_CHECK;
/* Makes and writes the CA's list under the write lock of the ledger, so that an older list never replaces a newer one.
 */
enum err crl_publish(struct db *db, const char *series, X509 *ca, EVP_PKEY *key, bool with_revoked, const char *path,
    time_t now, long hours) MUST_CHECK;
/* crls.pem: both lists in one file, by rename; nothing is written when it holds them already. */
enum err crl_bundle(const char *ca_crl, const char *root_crl, const char *out) MUST_CHECK;
/* Is the list in this file missing, unreadable, or older than hours? */
bool crl_stale(const char *path, time_t now, long hours);
/* The entries of the list in this file; -1: there is none that can be read. */
int64_t crl_entries(const char *path);
/* Is this serial number on the list in this file, and is the list in its time? */
bool crl_lists(const char *path, const char *serial, time_t now);
/* Names of RFC 5280 5.3.1 as people write them: "keyCompromise" -> 1; -1 unknown. */
int crl_reason(const char *name);
const char *crl_reason_name(int reason);

#endif
