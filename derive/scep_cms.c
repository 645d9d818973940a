/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SCEP's messages as CMS (RFC 8894, 3; RFC 5652): taken apart for who judges them, on either side. All of it is
 * foreign: attributes may be missing, doubled or of another type, the content absent, an envelope anything at all.
 * libcrypto parses; whatever follows the structure is an error.
 *
 * scep_open() names the certificate that the envelope is to be for, since libcrypto then hides whether it was the
 * padding of the encrypted key or the content that was wrong (RFC 3218).
 */
#include <string.h>

#include <openssl/err.h>
#include <openssl/pkcs7.h>

#include "derive/scep_cms.h"

CMS_ContentInfo *
scep_parse(struct span der, int nid)
{
	const unsigned char *p = der.p;
	CMS_ContentInfo *cms =
	    der.n > 0 && der.n <= SCEP_MESSAGE_MAX ? d2i_CMS_ContentInfo(NULL, &p, (long)der.n) : NULL;

	if (cms != NULL && p == der.p + der.n && OBJ_obj2nid(CMS_get0_type(cms)) == nid)
		return cms;
	CMS_ContentInfo_free(cms);
	ERR_clear_error();
	return NULL;
}

CMS_SignerInfo *
scep_signer(CMS_ContentInfo *cms)
{
	STACK_OF(CMS_SignerInfo) *all = CMS_get0_SignerInfos(cms);

	return sk_CMS_SignerInfo_num(all) == 1 ? sk_CMS_SignerInfo_value(all, 0) : NULL;
}

int
scep_digest(CMS_SignerInfo *si)
{
	X509_ALGOR *md = NULL;
	const ASN1_OBJECT *o = NULL;

	CMS_SignerInfo_get0_algs(si, NULL, NULL, &md, NULL);
	if (md != NULL)
		X509_ALGOR_get0(&o, NULL, NULL, md);
	return o != NULL ? OBJ_obj2nid(o) : NID_undef;
}

const ASN1_STRING *
scep_attr(CMS_SignerInfo *si, const char *oid, int type)
{
	ASN1_OBJECT *o = OBJ_txt2obj(oid, 1);
	/* -3: exactly one attribute with exactly one value */
	const ASN1_STRING *v = o != NULL ? CMS_signed_get0_data_by_OBJ(si, o, -3, type) : NULL;

	ASN1_OBJECT_free(o);
	ERR_clear_error();
	return v;
}

bool
scep_string_is(const ASN1_STRING *s, const void *p, size_t n)
{
	return s != NULL && (size_t)ASN1_STRING_length(s) == n && memcmp(ASN1_STRING_get0_data(s), p, n) == 0;
}

bool
scep_attr_is(CMS_SignerInfo *si, const char *oid, const char *text)
{
	return scep_string_is(scep_attr(si, oid, V_ASN1_PRINTABLESTRING), text, strlen(text));
}

static void
take(BIO *from, struct wbuf *out)
{
	char *p = NULL;
	long n = BIO_get_mem_data(from, &p);

	if (n > 0)
		wbuf_put(out, p, (size_t)n);
}

bool
scep_verify(CMS_ContentInfo *cms, STACK_OF(X509) * signers, struct wbuf *content)
{
	const unsigned flags = CMS_NOINTERN | CMS_NO_SIGNER_CERT_VERIFY | CMS_BINARY;
	/* without an envelope the content is absent, and the signature is over nothing */
	BIO *b = BIO_new(BIO_s_mem()), *none = CMS_is_detached(cms) == 1 ? BIO_new_mem_buf("", 0) : NULL;
	bool ok = b != NULL && CMS_verify(cms, signers, NULL, none, b, flags) == 1;

	if (ok)
		take(b, content);
	BIO_free(b);
	BIO_free(none);
	ERR_clear_error();
	return ok && !content->bad;
}

/* libcrypto's CMS does not tell the cipher of an envelope; its PKCS #7 of the same bytes does. */
int
scep_cipher(struct span der)
{
	const unsigned char *p = der.p;
	PKCS7 *p7 = der.n > 0 && der.n <= SCEP_MESSAGE_MAX ? d2i_PKCS7(NULL, &p, (long)der.n) : NULL;
	int nid = NID_undef;

	if (p7 != NULL && PKCS7_type_is_enveloped(p7) && p7->d.enveloped != NULL && p7->d.enveloped->enc_data != NULL &&
	    p7->d.enveloped->enc_data->algorithm != NULL)
		nid = OBJ_obj2nid(p7->d.enveloped->enc_data->algorithm->algorithm);
	PKCS7_free(p7);
	ERR_clear_error();
	return nid;
}

enum err
scep_open(struct span der, const struct scep_party *who, struct wbuf *out)
{
	CMS_ContentInfo *cms = scep_parse(der, NID_pkcs7_enveloped);
	BIO *b = BIO_new(BIO_s_mem());
	enum err e = cms != NULL && b != NULL ? E_OK : E_PROTO;

	ERR_clear_error();
	if (e == E_OK && CMS_decrypt(cms, who->key, who->cert, NULL, b, CMS_BINARY) != 1)
		e = ERR_GET_LIB(ERR_peek_error()) >= ERR_LIB_USER ? E_CRYPTO : E_PROTO;
	if (e == E_OK)
		take(b, out);
	BIO_free(b);
	CMS_ContentInfo_free(cms);
	if (e != E_CRYPTO)
		ERR_clear_error();
	return e == E_OK && out->bad ? E_PROTO : e;
}
