/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Missing CA certificates, from where the certificate below them says (authorityInfoAccess, id-ad-caIssuers; RFC 5280,
 * 4.2.2.1): over http or https a DER certificate or a certs-only PKCS #7 (FPKI: .p7c). What comes is as untrusted as
 * what a stranger sends: it goes among the candidates of the path and counts only when the path ends in an anchor that
 * was there before. Bounded: few addresses, one size, one time, few certificates, and nothing twice.
 */
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pkcs7.h>
#include <openssl/x509v3.h>

#include "derive/revoked_int.h"

#define FILE_MAX  (256u * 1024)
#define CERTS_MAX 64

static STACK_OF(X509) * p7_certs(PKCS7 *p7)
{
	STACK_OF(X509) *in = p7 != NULL && PKCS7_type_is_signed(p7) && p7->d.sign != NULL ? p7->d.sign->cert : NULL;

	return in != NULL ? X509_chain_up_ref(in) : sk_X509_new_null();
}

STACK_OF(X509) * revoked_aia_parse(struct span data)
{
	const unsigned char *p = data.p, *q = data.p;
	X509 *one = data.n > 0 && data.n <= FILE_MAX ? d2i_X509(NULL, &p, (long)data.n) : NULL;
	PKCS7 *p7 = one == NULL && data.n > 0 && data.n <= FILE_MAX ? d2i_PKCS7(NULL, &q, (long)data.n) : NULL;
	STACK_OF(X509) *list = p7_certs(p7);

	if (one != NULL && (list == NULL || sk_X509_push(list, one) <= 0))
		X509_free(one);
	PKCS7_free(p7);
	ERR_clear_error();
	return list;
}

/* Only what is a CA by its own word, has issued this certificate by name, and is not there yet. */
static bool
pool_add(struct revoked_q *q, X509 *cert, STACK_OF(X509) * from)
{
	bool added = false;

	for (int i = 0; i < sk_X509_num(from) && i < CERTS_MAX; i++) {
		X509 *x = sk_X509_value(from, i);
		bool there = false;

		if (X509_check_ca(x) != 1 || X509_check_issued(x, cert) != X509_V_OK)
			continue;
		for (int k = 0; k < sk_X509_num(q->pool); k++)
			there = there || X509_cmp(x, sk_X509_value(q->pool, k)) == 0;
		if (there || X509_up_ref(x) != 1)
			continue;
		if (sk_X509_push(q->pool, x) > 0)
			added = true;
		else
			X509_free(x);
	}
	ERR_clear_error();
	return added;
}

static bool
aia_fetch(struct revoked_q *q, X509 *cert, const char *url)
{
	STACK_OF(X509) *list = NULL;
	struct http_reply r;
	bool added = false;
	enum err e;

	http_reply_init(&r);
	r.body.max = FILE_MAX;
	e = http_get(q->http, url, "application/pkcs7-mime, application/pkix-cert", &r);
	if (e != E_OK)
		revoked_because(q, "CA certificate: %s", err_msg());
	else if (r.status != 200)
		revoked_because(q, "CA certificate: %s answers with status %ld", http_server(q->http), r.status);
	else if (sk_X509_num(list = revoked_aia_parse(wbuf_view(&r.body))) <= 0)
		revoked_because(q, "CA certificate: %s sends something else", http_server(q->http));
	else if (!(added = pool_add(q, cert, list)))
		revoked_because(q, "CA certificate: %s sends none that is missing", http_server(q->http));
	sk_X509_pop_free(list, X509_free);
	http_reply_free(&r);
	return added;
}

/* The address of one access description; NULL when it is not one to be asked. */
static const char *
aia_url(const ACCESS_DESCRIPTION *ad, char *out, size_t cap)
{
	size_t n;

	if (OBJ_obj2nid(ad->method) != NID_ad_ca_issuers || ad->location->type != GEN_URI)
		return NULL;
	n = (size_t)ASN1_STRING_length(ad->location->d.uniformResourceIdentifier);
	if (n <= 4 || n >= cap)
		return NULL;
	memcpy(out, ASN1_STRING_get0_data(ad->location->d.uniformResourceIdentifier), n);
	out[n] = '\0';
	return strlen(out) == n && strncmp(out, "http", 4) == 0 ? out : NULL; /* ldap is not followed */
}

bool
revoked_aia(struct revoked_q *q, X509 *cert)
{
	AUTHORITY_INFO_ACCESS *aia = X509_get_ext_d2i(cert, NID_info_access, NULL, NULL);
	bool added = false;
	int tried = 0;
	char text[1024];

	for (int i = 0; !added && i < sk_ACCESS_DESCRIPTION_num(aia) && tried < REVOKED_URLS; i++) {
		const char *url = aia_url(sk_ACCESS_DESCRIPTION_value(aia, i), text, sizeof text);

		if (url == NULL)
			continue;
		tried++;
		added = aia_fetch(q, cert, url);
	}
	AUTHORITY_INFO_ACCESS_free(aia);
	return added;
}
