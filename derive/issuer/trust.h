/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_TRUST_H
#define DPIV_ISSUER_TRUST_H

#include <openssl/x509.h>

#include "base/err.h"

/* What PIV cards are judged by: anchors, the CAs below them, and their CRLs. */
struct trust {
	X509_STORE *anchors;
	STACK_OF(X509) * anchor_list, *intermediates;
	STACK_OF(X509_CRL) * crls; /* NULL or empty: nothing can be accepted */
	char crl_path[4096];
	struct {
		long long size, sec, nsec, inode;
	} stamp; /* of the CRL file as read */
};

/* CRLs are read by the first trust_refresh(). */
enum err trust_load(const char *anchors, const char *intermediates, const char *crls, struct trust **out) MUST_CHECK;
/* Reads the CRL file again when it changed. A file that cannot be read leaves no CRLs: fail closed. */
void trust_refresh(struct trust *t);
void trust_free(struct trust **t);

#endif
