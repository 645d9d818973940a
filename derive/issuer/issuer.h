/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_ISSUER_H
#define DPIV_ISSUER_ISSUER_H

#include <dirent.h>
#include <time.h>
#include <openssl/x509.h>

#include "base/secret.h"
#include "derive/db.h"
#include "derive/issuer/cakey.h"
#include "derive/issuer/config.h"
#include "derive/issuer/ra.h"
#include "derive/issuer/trust.h"

/* An issuer directory, opened. */
struct issuer {
	DIR *held; /* locked against being replaced as a whole (issuer_hold) */
	struct config config;
	struct db *db;
	X509 *ca, *root;
	X509 *recovery;	      /* of the recovery key; NULL: no escrow */
	struct cakey *key;    /* NULL without ISSUER_KEY */
	struct ra *ra;	      /* NULL without ISSUER_KEY, or when there is none */
	struct secret *codes; /* codekey.h; the same */
	struct trust *trust;  /* NULL without ISSUER_TRUST */
};

/* Opens the directory and locks it: shared by all who use it, or alone, to replace it. E_BUSY. closedir() ends it. */
enum err issuer_hold(const char *dir, bool alone, DIR **out) MUST_CHECK;

enum issuer_parts { ISSUER_LEDGER = 0, ISSUER_KEY = 1, ISSUER_TRUST = 2 };
enum err issuer_open(const char *dir, unsigned parts, struct issuer *out) MUST_CHECK;
void issuer_close(struct issuer *i);
/* The directory of a service that runs, read anew: all but ledger and CA key, which the two share until one of the two
 * following is called. E_CONF: the CA is another one, for which the service must be started again. */
enum err issuer_open_again(const struct issuer *i, struct issuer *out) MUST_CHECK;
void issuer_drop(struct issuer *again);
void issuer_replace(struct issuer *i, struct issuer *again);
/* Makes the CRLs anew (the root's too, where its key is at hand) when force or when they are due, and crls.pem. */
enum err issuer_refresh_crls(struct issuer *i, time_t now, bool force) MUST_CHECK;

#endif
