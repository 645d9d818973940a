/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_CMP_INT_H
#define DPIV_ISSUER_CMP_INT_H

#include "derive/issuer/cmp_peek.h"
#include "derive/issuer/est_int.h"
#include "derive/issuer/issue.h"
#include "derive/issuer/renewal.h"
#include "derive/issuer/x509io.h"

/* Inside of cmp.c and cmp_who.c: one message, who sent it, what it may have. */
struct cmp_msg {
	struct call *c;
	struct cmp_peek in;
	bool again; /* was answered before; now only its transaction is opened anew, with cert */
	/* cmp_who(): one of these is the proof */
	char name[BINDCODE_NAME + 1], plain[BINDCODE_PLAIN];
	char secret[BINDCODE_TEXT]; /* in the form that fits the MAC; "": not by a code */
	STACK_OF(X509) * certs;	    /* the signer's first */
	bool own;		    /* the signer is a derived credential of this issuer */
	bool proven;		    /* the signer is fit to verify the message with */
	/* cmp_may() */
	struct csr csr;
	X509_PUBKEY *spki;
	char spki_sha256[65];
	struct bind_person person;
	struct renewal old;
	struct issue_request rq;
	/* what became of it */
	enum err verdict;
	enum refuse why;
	char text[1200]; /* code and sentence of a refusal */
	X509 *cert;
	bool done; /* what was asked for is revoked */
};

/* Whose is the protection? Nothing is verified but a MAC. E_POLICY with refuse_last(). */
enum err cmp_who(struct cmp_msg *m) MUST_CHECK;
/* May this message have a certificate for its key? Fills in rq. E_POLICY with refuse_last(). */
enum err cmp_may(struct cmp_msg *m) MUST_CHECK;
/* Revokes for the signer, who has been verified. E_POLICY with refuse_last(). */
enum err cmp_revoke(struct cmp_msg *m, const X509_NAME *issuer, const ASN1_INTEGER *serial) MUST_CHECK;
void cmp_msg_clear(struct cmp_msg *m);

#endif
