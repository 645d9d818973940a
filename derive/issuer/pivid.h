/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_PIVID_H
#define DPIV_ISSUER_PIVID_H

#include <stdbool.h>
#include <openssl/x509v3.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/text.h"

/* The identifiers in a PIV certificate. Empty strings where there is none. */
struct pivid {
	char subject[512];	  /* for people */
	char fascn[51];		  /* 25 bytes in hex */
	char fascn_id[51];	  /* agency, system and credential code: 14 digits; the hex when it cannot be decoded */
	char uuid[TEXT_UUID_MAX]; /* of the card, lower case */
	char upn[256], email[256];
	char sha256[65]; /* of the certificate */
	bool piv;	 /* asserts the policy of PIV Authentication; PIV-I cards have others, whatever their FASC-N */
};

/* Reads what is there, without judging the certificate. E_PROTO: malformed or contradictory subjectAltName. */
enum err pivid_read(X509 *cert, struct pivid *out) MUST_CHECK;
/* The names alone, as of a certification request; the rest of out stays. false: malformed or contradictory. */
bool pivid_names(const GENERAL_NAMES *names, struct pivid *out);
/* 25 bytes -> 14 digits (SP 800-73-5 part 1, 3.1.2: FASC-N identifier); false when a symbol or parity is wrong. */
bool pivid_fascn_id(struct span fascn, char out[15]);
/* Of a federal agency's card? A FASC-N of 14 nines is shared by all others: only the UUID tells those apart. */
bool pivid_federal(const struct pivid *id);
/* Acceptable in a certificate as rfc822Name: one @, something on both sides, printable ASCII without blanks. */
bool pivid_email_ok(const char *email);

/* Otherwise unknown to libcrypto. */
#define OID_FASCN "2.16.840.1.101.3.6.6"
#define OID_UPN	  "1.3.6.1.4.1.311.20.2.3"

#endif
