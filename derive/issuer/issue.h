/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_ISSUE_H
#define DPIV_ISSUER_ISSUE_H

#include "derive/issuer/bindstore.h"
#include "derive/issuer/csr.h"
#include "derive/issuer/escrow.h"
#include "derive/issuer/issuer.h"
#include "derive/issuer/pivid.h"
#include "derive/issuer/profile.h"

struct issue_request {
	X509 *piv;		/* PKI-AUTH has succeeded with it, now or when it bound the credential that asks */
	const struct pivid *id; /* what it says */
	const struct csr *csr;	/* read and sound */
	EVP_PKEY *key;		/* to certify instead of the request's: the issuer has made it; or NULL */
	const struct escrow_row *escrow; /* that key, wrapped; or NULL */
	const struct profile *profile;
	const char *renews;		   /* serial number of the certificate that asked, or NULL: the card did */
	const struct bindstore_code *code; /* used up with the certificate, or NULL */
	const char *peer;		   /* network address, for the event */
};

/* From a proven card and a proven key to a certificate in the ledger. E_POLICY with refuse_last(). */
enum err issue_certificate(struct issuer *i, const struct issue_request *r, time_t now, X509 **out) MUST_CHECK;
/* A random UUID (RFC 4122, 4.4). */
enum err issue_uuid(char out[TEXT_UUID_MAX]) MUST_CHECK;

#endif
