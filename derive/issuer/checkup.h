/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_CHECKUP_H
#define DPIV_ISSUER_CHECKUP_H

#include <time.h>
#include <openssl/x509.h>

#include "derive/db.h"
#include "derive/issuer/config.h"

/*
 * dpiv-issuer doctor: what is wrong, or will be soon, and what to do. Each check says one thing or several; it goes on
 * after a problem, where the other verbs stop. What a check needs and is not there (NULL) was told by another. The
 * names of the checks are for programs, and stay.
 */
enum checkup_level { CHECKUP_OK, CHECKUP_WARN, CHECKUP_BAD };

struct checkup;
typedef void checkup_fn(struct checkup *u);

/* What the checks look at. */
struct checkup_issuer {
	const char *dir; /* as it was given */
	struct config config;
	struct db *db;
	X509 *ca;
	time_t now;
};
const struct checkup_issuer *checkup_of(const struct checkup *u);

/* todo: what to do about it; NULL with CHECKUP_OK. */
void checkup_say(struct checkup *u, enum checkup_level level, const char *todo, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* The sentence of the last failure, as a problem. */
void checkup_failed(struct checkup *u, const char *todo);

/* checkup_files.c, checkup_certs.c, checkup_host.c */
checkup_fn checkup_files, checkup_ca, checkup_tls, checkup_ocsp, checkup_recovery, checkup_anchors, checkup_crls,
    checkup_own_crls, checkup_ledger, checkup_audit, checkup_mail, checkup_clock, checkup_ports;

#endif
