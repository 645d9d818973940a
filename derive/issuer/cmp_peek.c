/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The outer structure of CMP messages (RFC 9810, appendix F), by der.h and nothing else: bounded, no allocation but for
 * certificates and the key that is asked for. Only what the issuer needs is looked at; what is left is libcrypto's,
 * which parses the whole message again.
 */
#include <string.h>
#include <openssl/asn1.h>
#include <openssl/err.h>

#include "derive/der.h"
#include "derive/issuer/cmp_peek.h"

#define GENERAL_NAMES 9
#define TEMPLATE_KEY  6

static bool
take(struct span *in, int tag, struct span *inside)
{
	return der_take(in, tag, V_ASN1_UNIVERSAL, inside);
}

static bool
context(struct span *in, int tag, struct span *inside)
{
	return der_take(in, tag, V_ASN1_CONTEXT_SPECIFIC, inside);
}

/* [tag] EXPLICIT, with one element of this kind; absent is fine. *wrapped: the element with its own head. */
static bool
optional(struct span *in, int tag, int kind, struct span *inside, struct span *wrapped)
{
	struct span outer;

	*inside = *wrapped = SPAN_NONE;
	if (!context(in, tag, &outer))
		return true;
	*wrapped = outer;
	return take(&outer, kind, inside) && outer.n == 0;
}

static bool
general_name(struct span *in)
{
	struct span ignored;

	for (int tag = 0; tag < GENERAL_NAMES; tag++)
		if (context(in, tag, &ignored))
			return true;
	return false;
}

static bool
read_header(struct span h, struct cmp_peek *out)
{
	struct span x, raw;

	return take(&h, V_ASN1_INTEGER, &x) && general_name(&h) && general_name(&h) &&
	    optional(&h, 0, V_ASN1_GENERALIZEDTIME, &out->time, &raw) &&
	    optional(&h, 1, V_ASN1_SEQUENCE, &x, &out->alg) && optional(&h, 2, V_ASN1_OCTET_STRING, &out->kid, &raw) &&
	    optional(&h, 3, V_ASN1_OCTET_STRING, &x, &raw) &&
	    optional(&h, 4, V_ASN1_OCTET_STRING, &out->transaction, &raw) &&
	    optional(&h, 5, V_ASN1_OCTET_STRING, &out->nonce, &raw);
}

static bool
read_body(struct span *in, struct cmp_peek *out)
{
	for (out->type = 0; out->type <= CMP_BODY_MAX; out->type++)
		if (context(in, out->type, &out->body))
			return true;
	return false;
}

static bool
read_protection(struct span *in, struct cmp_peek *out)
{
	struct span raw;
	uint8_t unused = 0;

	if (!optional(in, 0, V_ASN1_BIT_STRING, &out->protection, &raw))
		return false;
	return raw.n == 0 || (span_u8(&out->protection, &unused) && unused == 0);
}

bool
cmp_peek(struct span der, struct cmp_peek *out)
{
	struct span in = der, all, header, rest;

	memset(out, 0, sizeof *out);
	out->der = der;
	if (!take(&in, V_ASN1_SEQUENCE, &all) || in.n != 0)
		return false;
	rest = all;
	if (!take(&rest, V_ASN1_SEQUENCE, &header) || !read_header(header, out) || !read_body(&rest, out))
		return false;
	out->covered = span_of(all.p, all.n - rest.n);
	return read_protection(&rest, out) && optional(&rest, 1, V_ASN1_SEQUENCE, &out->certs, &in) && rest.n == 0;
}

STACK_OF(X509) * cmp_peek_certs(const struct cmp_peek *p, int max)
{
	STACK_OF(X509) *certs = p->certs.n > 0 ? sk_X509_new_null() : NULL;
	const unsigned char *at = p->certs.p, *end = certs != NULL ? p->certs.p + p->certs.n : at;
	X509 *x = NULL;

	while (certs != NULL && at < end && sk_X509_num(certs) < max && (x = d2i_X509(NULL, &at, end - at)) != NULL)
		if (!sk_X509_push(certs, x)) {
			X509_free(x);
			x = NULL;
			break;
		}
	ERR_clear_error();
	if (x != NULL)
		return certs;
	sk_X509_pop_free(certs, X509_free);
	return NULL;
}

/* CertReqMessages: [SEQUENCE OF] CertReqMsg { CertRequest { id, CertTemplate { ... [6] key ... } ... } ... } */
bool
cmp_peek_spki(const struct cmp_peek *p, struct wbuf *out)
{
	struct span in = p->body, list, msg, request, id, template, key = SPAN_NONE, x;

	if (!take(&in, V_ASN1_SEQUENCE, &list) || in.n != 0 || !take(&list, V_ASN1_SEQUENCE, &msg) || list.n != 0 ||
	    !take(&msg, V_ASN1_SEQUENCE, &request) || !take(&request, V_ASN1_INTEGER, &id) ||
	    !take(&request, V_ASN1_SEQUENCE, &template))
		return false;
	for (int tag = 0; tag <= TEMPLATE_KEY; tag++)
		if (context(&template, tag, &x) && tag == TEMPLATE_KEY)
			key = x;
	return key.n > 0 && der_wrap(V_ASN1_SEQUENCE, key, out);
}

/* RevReqContent: SEQUENCE OF RevDetails { CertTemplate, Extensions OPTIONAL } */
bool
cmp_peek_revocation(const struct cmp_peek *p, struct span *details)
{
	struct span in = p->body, list, one, x;

	*details = SPAN_NONE;
	if (p->type != CMP_RR || !take(&in, V_ASN1_SEQUENCE, &list) || in.n != 0 ||
	    !take(&list, V_ASN1_SEQUENCE, &one) || list.n != 0 || !take(&one, V_ASN1_SEQUENCE, &x))
		return false;
	*details = one;
	return one.n == 0 || (take(&one, V_ASN1_SEQUENCE, &x) && one.n == 0);
}

unsigned
cmp_peek_iterations(struct span alg)
{
	struct span in = alg, all, x, params, count;
	unsigned n = 0;
	uint8_t byte;

	if (!take(&in, V_ASN1_SEQUENCE, &all) || !take(&all, V_ASN1_OBJECT, &x) ||
	    !take(&all, V_ASN1_SEQUENCE, &params) || !take(&params, V_ASN1_OCTET_STRING, &x) ||
	    !take(&params, V_ASN1_SEQUENCE, &x) || !take(&params, V_ASN1_INTEGER, &count) || count.n == 0 ||
	    count.n > 4 || (count.p[0] & 0x80) != 0)
		return 0;
	while (span_u8(&count, &byte))
		n = n << 8 | byte;
	return n;
}

bool
cmp_peek_rejects(const struct cmp_peek *p)
{
	struct span in = p->body, list, status, x, info, number;

	if (p->type != CMP_CERTCONF || !take(&in, V_ASN1_SEQUENCE, &list))
		return false;
	if (list.n == 0)
		return true;
	return take(&list, V_ASN1_SEQUENCE, &status) && take(&status, V_ASN1_OCTET_STRING, &x) &&
	    take(&status, V_ASN1_INTEGER, &x) && take(&status, V_ASN1_SEQUENCE, &info) &&
	    take(&info, V_ASN1_INTEGER, &number) && !(number.n == 1 && number.p[0] <= 1);
}
