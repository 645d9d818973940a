/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Revocation by OCSP (RFC 6960). The signer is the issuer itself or one whom the issuer has certified for
 * id-kp-OCSPSigning (4.2.2.2), whose own certificate says that nobody need ask (id-pkix-ocsp-nocheck, 4.2.2.2.1) or is
 * good by a CRL of the same issuer: asking OCSP about it would ask the one in question. The answer is about this
 * certificate and fresh: thisUpdate not in the future, nextUpdate not past, and without nextUpdate no older than a day.
 * A nonce is sent; an answer without one is common (responses are prepared beforehand, RFC 5019) and taken, one with
 * another nonce is not.
 */
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/x509v3.h>

#include "derive/revoked_int.h"

#define AGE_MAX	   (24L * 60 * 60)
#define ANSWER_MAX (64u * 1024)

/* id is borrowed from the request. */
static OCSP_REQUEST *
request_make(struct revoked_q *q, OCSP_CERTID **id)
{
	OCSP_REQUEST *rq = OCSP_REQUEST_new();
	OCSP_CERTID *made = OCSP_cert_to_id(NULL, q->cert, q->issuer); /* SHA-1: the one that every responder knows */

	if (rq != NULL && made != NULL && OCSP_request_add0_id(rq, made) != NULL) {
		*id = made;
		if (OCSP_request_add1_nonce(rq, NULL, -1) == 1)
			return rq;
	} else {
		OCSP_CERTID_free(made);
	}
	OCSP_REQUEST_free(rq);
	return NULL;
}

static bool
answer_fresh(ASN1_GENERALIZEDTIME *from, ASN1_GENERALIZEDTIME *to)
{
	return OCSP_check_validity(from, to, REVOKED_SKEW, to == NULL ? AGE_MAX : -1) == 1;
}

static bool
answer_take(struct revoked_q *q, OCSP_BASICRESP *basic, OCSP_CERTID *id)
{
	ASN1_GENERALIZEDTIME *when = NULL, *from = NULL, *to = NULL;
	int status, reason;
	struct tm tm;

	if (OCSP_resp_find_status(basic, id, &status, &reason, &when, &from, &to) != 1) {
		revoked_because(q, "OCSP: the answer is about another certificate");
		return false;
	}
	if (!answer_fresh(from, to)) {
		revoked_because(q, "OCSP: the answer is out of date");
		return false;
	}
	if (status != V_OCSP_CERTSTATUS_GOOD && status != V_OCSP_CERTSTATUS_REVOKED) {
		revoked_because(q, "OCSP: the responder does not know the certificate");
		return false;
	}
	q->out->state = status == V_OCSP_CERTSTATUS_GOOD ? REVOKED_NO : REVOKED_YES;
	if (when != NULL && ASN1_TIME_to_tm(when, &tm) == 1)
		q->out->when = timegm(&tm);
	snprintf(q->out->by, sizeof q->out->by, "OCSP");
	return true;
}

/* By CRL alone, of the file or of where its certificate says. */
static bool
delegate_good(struct revoked_q *q, X509 *delegate)
{
	struct revoked said = { .state = REVOKED_UNKNOWN };
	struct revoked_q sub = *q;

	sub.cert = delegate;
	sub.out = &said;
	if (X509_get_ext_by_NID(delegate, NID_id_pkix_OCSP_noCheck, -1) >= 0)
		return true;
	if (!(q->conf->crls != NULL && revoked_by_crls(&sub, q->conf->crls, "CRL file")))
		(void)revoked_by_points(&sub);
	if (said.state == REVOKED_YES)
		revoked_because(q, "OCSP: the responder's own certificate has been revoked");
	else if (said.state == REVOKED_UNKNOWN)
		revoked_because(q, "OCSP: whether the responder's own certificate is revoked is unknown (%s)",
		    said.why[0] != '\0' ? said.why : "it names no CRL");
	return said.state == REVOKED_NO;
}

/* The issuer among the untrusted ones, so that its delegate's path is found. */
static bool
answer_signed(struct revoked_q *q, OCSP_BASICRESP *basic)
{
	STACK_OF(X509) *certs = sk_X509_dup(q->pool);
	X509 *signer = NULL;
	bool ok = certs != NULL && sk_X509_push(certs, q->issuer) > 0 &&
	    OCSP_basic_verify(basic, certs, q->store, OCSP_NOEXPLICIT) == 1 &&
	    OCSP_resp_get0_signer(basic, &signer, certs) == 1;

	if (!ok)
		revoked_because(q, "OCSP: the answer is not signed by the issuer, nor by whom it has authorised");
	else if (X509_cmp(signer, q->issuer) != 0)
		ok = delegate_good(q, signer);
	sk_X509_free(certs);
	ERR_clear_error();
	return ok;
}

static bool
answer_judge(struct revoked_q *q, OCSP_REQUEST *rq, OCSP_CERTID *id, struct span der)
{
	const unsigned char *p = der.p;
	OCSP_RESPONSE *r = der.n > 0 && der.n <= ANSWER_MAX ? d2i_OCSP_RESPONSE(NULL, &p, (long)der.n) : NULL;
	OCSP_BASICRESP *basic = NULL;
	bool known = false;

	if (r == NULL)
		revoked_because(q, "OCSP: %s sends something else", http_server(q->http));
	else if (OCSP_response_status(r) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
		revoked_because(
		    q, "OCSP: %s says %s", http_server(q->http), OCSP_response_status_str(OCSP_response_status(r)));
	else if ((basic = OCSP_response_get1_basic(r)) == NULL)
		revoked_because(q, "OCSP: %s answers in an unknown form", http_server(q->http));
	else if (OCSP_check_nonce(rq, basic) == 0)
		revoked_because(q, "OCSP: the answer is to another question");
	else if (answer_signed(q, basic))
		known = answer_take(q, basic, id);
	OCSP_BASICRESP_free(basic);
	OCSP_RESPONSE_free(r);
	ERR_clear_error();
	return known;
}

static bool
ocsp_ask(struct revoked_q *q, const char *url, OCSP_REQUEST *rq, OCSP_CERTID *id)
{
	struct http_content content = { .type = "application/ocsp-request", .accept = "application/ocsp-response" };
	unsigned char *der = NULL;
	int n = i2d_OCSP_REQUEST(rq, &der);
	struct http_reply r;
	bool known = false;
	enum err e;

	if (n <= 0)
		return false;
	content.body = span_of(der, (size_t)n);
	http_reply_init(&r);
	r.body.max = ANSWER_MAX;
	e = http_post(q->http, url, &content, &r);
	if (e != E_OK)
		revoked_because(q, "OCSP: %s", err_msg());
	else if (r.status != 200)
		revoked_because(q, "OCSP: %s answers with status %ld", http_server(q->http), r.status);
	else
		known = answer_judge(q, rq, id, wbuf_view(&r.body));
	http_reply_free(&r);
	OPENSSL_free(der);
	return known;
}

bool
revoked_by_ocsp(struct revoked_q *q)
{
	STACK_OF(OPENSSL_STRING) *urls = X509_get1_ocsp(q->cert);
	OCSP_CERTID *id = NULL;
	OCSP_REQUEST *rq = urls != NULL ? request_make(q, &id) : NULL;
	bool known = false;

	for (int i = 0; rq != NULL && !known && i < sk_OPENSSL_STRING_num(urls) && i < REVOKED_URLS; i++) {
		const char *url = sk_OPENSSL_STRING_value(urls, i);

		if (strncmp(url, "http", 4) == 0)
			known = ocsp_ask(q, url, rq, id);
	}
	OCSP_REQUEST_free(rq);
	X509_email_free(urls);
	return known;
}
