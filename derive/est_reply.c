/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading EST replies (RFC 7030, 4.1.3, 4.2.3, 4.5.2 with the corrections of RFC 8951). Lenient where real servers
 * differ and nothing is at stake: line ends, DER instead of base64, PEM armour. Strict in what it means: one CMS
 * SignedData without trailing bytes; attributes as RFC 9908 explains them, unknown ones passed over as it says.
 */
#include <string.h>

#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/x509v3.h>

#include "base/text.h"
#include "derive/est_reply.h"

#define DER_MAX	  (384 * 1024)
#define CERTS_MAX 64
#define ATTRS_MAX 64

/* Lines of PEM armour left out. */
static void
strip_armour(struct span in, struct wbuf *out)
{
	struct span line;

	while (span_line(&in, &line))
		if (!span_starts(line, "-----", 5))
			wbuf_span(out, line);
}

/* The body as DER. The first byte of DER here is 30, of its base64 always 'M'. */
enum err
est_read_der(struct span body, struct wbuf *der)
{
	WBUF_AUTO plain;

	wbuf_init(&plain, HTTP_BODY_MAX);
	if (body.n > 0 && body.p[0] == 0x30) {
		wbuf_span(der, body);
	} else {
		strip_armour(body, &plain);
		if (plain.bad || !text_unbase64(wbuf_view(&plain), der))
			return err_set(E_PROTO, "the reply is not base64");
	}
	return der->bad ? err_set(E_PROTO, "the reply is too long") : E_OK;
}

enum err
est_read_certs(struct span body, STACK_OF(X509) * *out)
{
	CMS_ContentInfo *cms = NULL;
	STACK_OF(X509) *certs = NULL;
	const unsigned char *p;
	WBUF_AUTO der;
	enum err e;

	*out = NULL;
	wbuf_init(&der, DER_MAX);
	e = est_read_der(body, &der);
	if (e != E_OK)
		return e;
	p = der.p;
	cms = der.n > 0 ? d2i_CMS_ContentInfo(NULL, &p, (long)der.n) : NULL;
	if (cms != NULL && p == der.p + der.n && OBJ_obj2nid(CMS_get0_type(cms)) == NID_pkcs7_signed)
		certs = CMS_get1_certs(cms);
	CMS_ContentInfo_free(cms);
	ERR_clear_error();
	if (sk_X509_num(certs) > 0 && sk_X509_num(certs) <= CERTS_MAX) {
		*out = certs;
		return E_OK;
	}
	sk_X509_pop_free(certs, X509_free);
	return err_set(E_PROTO, "the reply is not a message with certificates");
}

/* A bare object identifier: a digest or signature algorithm that is preferred, or challengePassword (RFC 9908, 3). */
static void
attrs_oid(const ASN1_OBJECT *oid, struct proto_attrs *out)
{
	int nid = OBJ_obj2nid(oid), digest = NID_undef, key = NID_undef;

	if (nid == NID_pkcs9_challengePassword)
		out->binding = true;
	else if (nid == NID_rsaEncryption || nid == NID_X9_62_id_ecPublicKey)
		out->key_type = nid;
	else if (nid == NID_sha256 || nid == NID_sha384 || nid == NID_sha512)
		out->digest = nid;
	else if (nid == NID_X9_62_prime256v1 || nid == NID_secp384r1) {
		/* older servers list the curve by itself (RFC 7030's own example) */
		out->key_type = NID_X9_62_id_ecPublicKey;
		out->curve = nid;
	} else if (nid != NID_undef && OBJ_find_sigid_algs(nid, &digest, &key) == 1)
		out->digest = digest;
}

static enum err
attrs_key(X509_ATTRIBUTE *a, int nid, struct proto_attrs *out)
{
	ASN1_TYPE *v = X509_ATTRIBUTE_count(a) > 0 ? X509_ATTRIBUTE_get0_type(a, 0) : NULL;

	out->key_type = nid;
	if (v == NULL)
		return E_OK;
	if (nid == NID_rsaEncryption && ASN1_TYPE_get(v) == V_ASN1_INTEGER) {
		int64_t bits = 0;

		if (ASN1_INTEGER_get_int64(&bits, v->value.integer) != 1 || bits < 0 || bits > 65536)
			return err_set(E_PROTO, "the issuer asks for an RSA key of an impossible size");
		out->key_bits = (int)bits;
	}
	if (nid == NID_X9_62_id_ecPublicKey && ASN1_TYPE_get(v) == V_ASN1_OBJECT)
		out->curve = OBJ_obj2nid(v->value.object);
	return E_OK;
}

static enum err
attrs_exts(X509_ATTRIBUTE *a, struct proto_attrs *out)
{
	ASN1_TYPE *v = X509_ATTRIBUTE_count(a) == 1 ? X509_ATTRIBUTE_get0_type(a, 0) : NULL;
	const unsigned char *p;

	if (out->exts != NULL || v == NULL || ASN1_TYPE_get(v) != V_ASN1_SEQUENCE)
		return err_set(E_PROTO, "the issuer asks for extensions in a form that is not understood");
	p = ASN1_STRING_get0_data(v->value.sequence);
	out->exts = d2i_X509_EXTENSIONS(NULL, &p, ASN1_STRING_length(v->value.sequence));
	return out->exts != NULL ? E_OK : err_set(E_PROTO, "the issuer asks for extensions that do not parse");
}

static enum err
attrs_attribute(const ASN1_STRING *der, struct proto_attrs *out)
{
	const unsigned char *p = ASN1_STRING_get0_data(der);
	X509_ATTRIBUTE *a = d2i_X509_ATTRIBUTE(NULL, &p, ASN1_STRING_length(der));
	int nid = a != NULL ? OBJ_obj2nid(X509_ATTRIBUTE_get0_object(a)) : NID_undef;
	enum err e = E_OK;

	if (a == NULL)
		return err_set(E_PROTO, "the issuer's list of request attributes does not parse");
	if (nid == NID_ext_req)
		e = attrs_exts(a, out);
	else if (nid == NID_rsaEncryption || nid == NID_X9_62_id_ecPublicKey)
		e = attrs_key(a, nid, out);
	else if (nid == NID_pkcs9_challengePassword)
		out->binding = true;
	X509_ATTRIBUTE_free(a);
	return e;
}

static enum err
attrs_list(ASN1_SEQUENCE_ANY *list, struct proto_attrs *out)
{
	enum err e = E_OK;

	if (sk_ASN1_TYPE_num(list) > ATTRS_MAX)
		return err_set(E_PROTO, "the issuer's list of request attributes is too long");
	for (int i = 0; e == E_OK && i < sk_ASN1_TYPE_num(list); i++) {
		ASN1_TYPE *v = sk_ASN1_TYPE_value(list, i);

		if (ASN1_TYPE_get(v) == V_ASN1_OBJECT)
			attrs_oid(v->value.object, out);
		else if (ASN1_TYPE_get(v) == V_ASN1_SEQUENCE)
			e = attrs_attribute(v->value.sequence, out);
		else
			e = err_set(E_PROTO, "the issuer's list of request attributes is malformed");
	}
	return e;
}

enum err
est_read_attrs(struct span body, struct proto_attrs *out)
{
	ASN1_SEQUENCE_ANY *list = NULL;
	const unsigned char *p;
	WBUF_AUTO der;
	enum err e;

	memset(out, 0, sizeof *out);
	wbuf_init(&der, DER_MAX);
	e = est_read_der(body, &der);
	if (e != E_OK || der.n == 0)
		return e;
	p = der.p;
	list = d2i_ASN1_SEQUENCE_ANY(NULL, &p, (long)der.n);
	if (list == NULL || p != der.p + der.n)
		e = err_set(E_PROTO, "the issuer's list of request attributes does not parse");
	else
		e = attrs_list(list, out);
	sk_ASN1_TYPE_pop_free(list, ASN1_TYPE_free);
	ERR_clear_error();
	if (e != E_OK)
		proto_attrs_free(out);
	return e;
}
