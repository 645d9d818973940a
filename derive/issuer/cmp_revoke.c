/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rr, a request for a revocation (RFC 9810, 5.3.9), by the credential that is given up, by another one of the same
 * account that is good, or by the PIV card: by the rules of own.h, with the signer of the message in the place of the
 * TLS client. libcrypto calls this when it has verified the signature. A code is for getting something and gives
 * nothing up.
 */
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "derive/issuer/cmp_int.h"
#include "derive/issuer/crl.h"
#include "derive/issuer/own.h"
#include "derive/issuer/refuse.h"

/* The reason of the only RevDetails; 0, unspecified, when none is given. -1: it cannot be read, or is not for people.
 */
static int
reason_of(struct span details)
{
	const unsigned char *p = details.p;
	X509_EXTENSIONS *list;
	ASN1_ENUMERATED *reason;
	int n = 0, critical = 0;

	if (details.n == 0)
		return 0;
	list = d2i_X509_EXTENSIONS(NULL, &p, (long)details.n);
	reason = list != NULL ? X509V3_get_d2i(list, NID_crl_reason, &critical, NULL) : NULL;
	if (list == NULL || p != details.p + details.n || (reason == NULL && critical != -1))
		n = -1;
	else if (reason != NULL)
		n = (int)ASN1_ENUMERATED_get(reason);
	ASN1_ENUMERATED_free(reason);
	sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
	ERR_clear_error();
	return n == 0 || (n > 0 && n <= 10 && crl_reason(crl_reason_name(n)) == n) ? n : -1;
}

enum err
cmp_revoke(struct cmp_msg *m, const X509_NAME *issuer, const ASN1_INTEGER *serial)
{
	struct call *c = m->c;
	struct est_request as = *c->rq;
	struct own_wish w = { .account = 0 };
	struct span details;
	enum err e;

	if (!m->proven)
		return refuse(REFUSE_NO_CERTIFICATE,
		    "a revocation is signed by the credential itself or by the PIV card; a code cannot ask for it");
	if (issuer == NULL || serial == NULL || X509_NAME_cmp(issuer, X509_get_subject_name(c->i->ca)) != 0)
		return refuse(REFUSE_NOT_YOURS, "the certificate that the request names is not of this CA");
	if (!cmp_peek_revocation(&m->in, &details) || (w.reason = reason_of(details)) < 0)
		return refuse(REFUSE_BAD_BODY, "that is not a reason for which a person's certificate is revoked");
	x509io_serial_text(serial, w.serial, sizeof w.serial);
	as.peer = sk_X509_value(m->certs, 0);
	as.peer_chain = m->certs;
	e = own_give_up(c->i, &as, c->now, &c->id, &w);
	if (w.account != 0)
		c->account = w.account;
	return e;
}
