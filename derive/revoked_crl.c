/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Revocation by CRL (RFC 5280, 5 and 6.3). libcrypto judges the list: issuer, signature, key usage, dates, scope; a
 * list without nextUpdate is not fresh by any rule and does not count (FPKI Common Policy, 4.9.7, demands it).
 */
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "base/file.h"
#include "derive/revoked_int.h"

static void
crl_revoked(struct revoked_q *q, STACK_OF(X509_CRL) * crls)
{
	q->out->state = REVOKED_YES;
	for (int i = 0; i < sk_X509_CRL_num(crls); i++) {
		X509_REVOKED *r = NULL;
		struct tm tm;

		if (X509_CRL_get0_by_cert(sk_X509_CRL_value(crls, i), &r, q->cert) == 1 && r != NULL &&
		    ASN1_TIME_to_tm(X509_REVOKED_get0_revocationDate(r), &tm) == 1)
			q->out->when = timegm(&tm);
	}
}

static bool
crl_has_dates(STACK_OF(X509_CRL) * crls)
{
	for (int i = 0; i < sk_X509_CRL_num(crls); i++)
		if (X509_CRL_get0_nextUpdate(sk_X509_CRL_value(crls, i)) == NULL)
			return false;
	return true;
}

bool
revoked_by_crls(struct revoked_q *q, STACK_OF(X509_CRL) * crls, const char *by)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	int why = X509_V_ERR_UNSPECIFIED;

	if (!crl_has_dates(crls)) {
		revoked_because(q, "%s: it does not say how long it holds", by);
		X509_STORE_CTX_free(ctx);
		return false;
	}
	if (ctx != NULL && X509_STORE_CTX_init(ctx, q->store, q->cert, q->pool) == 1) {
		X509_STORE_CTX_set0_crls(ctx, crls);
		X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_EXTENDED_CRL_SUPPORT);
		why = X509_verify_cert(ctx) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(ctx);
		if (why == X509_V_ERR_CERT_REVOKED && X509_STORE_CTX_get_error_depth(ctx) != 0)
			why = X509_V_ERR_UNSPECIFIED;
	}
	X509_STORE_CTX_free(ctx);
	ERR_clear_error();
	if (why == X509_V_OK)
		q->out->state = REVOKED_NO;
	else if (why == X509_V_ERR_CERT_REVOKED)
		crl_revoked(q, crls);
	else
		revoked_because(q, "%s: %s", by, X509_verify_cert_error_string(why));
	if (q->out->state == REVOKED_UNKNOWN)
		return false;
	snprintf(q->out->by, sizeof q->out->by, "%s", by);
	return true;
}

/* DER, or PEM one after the other. */
static STACK_OF(X509_CRL) * crls_parse(struct span data)
{
	STACK_OF(X509_CRL) *list = sk_X509_CRL_new_null();
	const unsigned char *p = data.p;
	X509_CRL *crl = data.n > 0 ? d2i_X509_CRL(NULL, &p, (long)data.n) : NULL;
	BIO *b = crl == NULL && data.n > 0 ? BIO_new_mem_buf(data.p, (int)data.n) : NULL;

	if (b != NULL)
		crl = PEM_read_bio_X509_CRL(b, NULL, NULL, NULL);
	while (crl != NULL && list != NULL && sk_X509_CRL_push(list, crl) > 0)
		crl = b != NULL ? PEM_read_bio_X509_CRL(b, NULL, NULL, NULL) : NULL;
	X509_CRL_free(crl);
	BIO_free(b);
	ERR_clear_error();
	return list;
}

enum err
revoked_read_crls(const char *path, STACK_OF(X509_CRL) * *out)
{
	WBUF_AUTO data;
	enum err e;

	wbuf_init(&data, REVOKED_CRL_MAX);
	*out = NULL;
	e = file_read(path, &data);
	if (e != E_OK)
		return e;
	*out = crls_parse(wbuf_view(&data));
	if (sk_X509_CRL_num(*out) > 0)
		return E_OK;
	sk_X509_CRL_pop_free(*out, X509_CRL_free);
	*out = NULL;
	return err_set(E_CONF, "%s has no CRL", path);
}

static bool
point_ask(struct revoked_q *q, const char *url)
{
	STACK_OF(X509_CRL) *crls = NULL;
	struct http_reply r;
	bool known = false;
	enum err e;

	http_reply_init(&r);
	r.body.max = REVOKED_CRL_MAX;
	e = http_get(q->http, url, "application/pkix-crl", &r);
	if (e != E_OK)
		revoked_because(q, "CRL: %s", err_msg());
	else if (r.status != 200)
		revoked_because(q, "CRL: %s answers with status %ld", http_server(q->http), r.status);
	else if (sk_X509_CRL_num(crls = crls_parse(wbuf_view(&r.body))) <= 0)
		revoked_because(q, "CRL: %s sends something else", http_server(q->http));
	else
		known = revoked_by_crls(q, crls, "CRL");
	sk_X509_CRL_pop_free(crls, X509_CRL_free);
	http_reply_free(&r);
	return known;
}

/* The addresses of one distribution point. */
static bool
point_try(struct revoked_q *q, const DIST_POINT *dp, int *tried)
{
	GENERAL_NAMES *names = dp->distpoint != NULL && dp->distpoint->type == 0 ? dp->distpoint->name.fullname : NULL;

	for (int i = 0; i < sk_GENERAL_NAME_num(names) && *tried < REVOKED_URLS; i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
		char url[1024];
		int n;

		if (g->type != GEN_URI)
			continue;
		n = ASN1_STRING_length(g->d.uniformResourceIdentifier);
		if (n <= 4 || (size_t)n >= sizeof url)
			continue;
		memcpy(url, ASN1_STRING_get0_data(g->d.uniformResourceIdentifier), (size_t)n);
		url[n] = '\0';
		if (strlen(url) != (size_t)n || strncmp(url, "http", 4) != 0)
			continue; /* ldap is not followed */
		++*tried;
		if (point_ask(q, url))
			return true;
	}
	return false;
}

bool
revoked_by_points(struct revoked_q *q)
{
	CRL_DIST_POINTS *points = X509_get_ext_d2i(q->cert, NID_crl_distribution_points, NULL, NULL);
	bool known = false;
	int tried = 0;

	for (int i = 0; !known && i < sk_DIST_POINT_num(points); i++)
		known = point_try(q, sk_DIST_POINT_value(points, i), &tried);
	CRL_DIST_POINTS_free(points);
	return known;
}
