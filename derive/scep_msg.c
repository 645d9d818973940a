/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Building SCEP messages (RFC 8894, 3.1 to 3.3): the PKCS #10 in an EnvelopedData for the CA, that in a SignedData of
 * the requester with messageType, transactionID and senderNonce as signed attributes; and the answer likewise, with its
 * outcome, and without an envelope when there is nothing to put into it. Signatures are PKCS #1 v1.5 with
 * the rsaEncryption identifier, which every server reads. Nothing goes out without its envelope (3.1: the challenge
 * would be readable), and an envelope needs a recipient with an RSA key.
 */
#include <stdio.h>
#include <string.h>

#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/text.h"
#include "derive/der.h"
#include "derive/scep_msg.h"

#define MESSAGE_MAX (256 * 1024)
#define HOUR	    3600
#define SELF_DAYS   60

static bool
put_bio(BIO *b, struct wbuf *out)
{
	char *p = NULL;
	long n = BIO_get_mem_data(b, &p);

	if (n > 0)
		wbuf_put(out, p, (size_t)n);
	return n > 0 && !out->bad;
}

static bool
put_cms(CMS_ContentInfo *cms, struct wbuf *out)
{
	BIO *b = BIO_new(BIO_s_mem());
	bool ok = b != NULL && i2d_CMS_bio(b, cms) == 1 && put_bio(b, out);

	BIO_free(b);
	return ok;
}

static enum err
msg_envelope(const struct scep_request *m, struct wbuf *out)
{
	STACK_OF(X509) *to = sk_X509_new_null();
	BIO *in = BIO_new_mem_buf(m->data.p, (int)m->data.n);
	CMS_ContentInfo *cms = NULL;
	bool ok = to != NULL && in != NULL && sk_X509_push(to, m->to) > 0;

	if (ok)
		cms = CMS_encrypt(to, in, m->cipher, CMS_BINARY);
	ok = cms != NULL && put_cms(cms, out);
	CMS_ContentInfo_free(cms);
	BIO_free(in);
	sk_X509_free(to);
	return ok ? E_OK : err_crypto(E_INTERNAL, "cannot encrypt for the CA's certificate");
}

static bool
msg_attr(CMS_SignerInfo *si, const char *oid, int type, const void *p, size_t n)
{
	ASN1_OBJECT *o = OBJ_txt2obj(oid, 1);
	bool ok = o != NULL && CMS_signed_add1_attr_by_OBJ(si, o, type, p, (int)n) == 1;

	ASN1_OBJECT_free(o);
	return ok;
}

static bool
msg_attrs(CMS_SignerInfo *si, const struct scep_request *m)
{
	char type[12];

	snprintf(type, sizeof type, "%d", m->type);
	return msg_attr(si, SCEP_OID_TYPE, V_ASN1_PRINTABLESTRING, type, strlen(type)) &&
	    msg_attr(si, SCEP_OID_TRANSACTION, V_ASN1_PRINTABLESTRING, m->transaction, strlen(m->transaction)) &&
	    msg_attr(si, SCEP_OID_SENDER, V_ASN1_OCTET_STRING, m->nonce, SCEP_NONCE);
}

static bool
msg_result(CMS_SignerInfo *si, const struct scep_result *r)
{
	return msg_attr(si, SCEP_OID_STATUS, V_ASN1_PRINTABLESTRING, r->status, strlen(r->status)) &&
	    msg_attr(si, SCEP_OID_RECIPIENT, V_ASN1_OCTET_STRING, r->nonce.p, r->nonce.n) &&
	    (r->fail == NULL || msg_attr(si, SCEP_OID_FAIL, V_ASN1_PRINTABLESTRING, r->fail, strlen(r->fail))) &&
	    (r->text == NULL || msg_attr(si, SCEP_OID_FAIL_TEXT, V_ASN1_UTF8STRING, r->text, strlen(r->text)));
}

enum err
scep_build(const struct scep_request *m, struct wbuf *out)
{
	CMS_ContentInfo *cms = NULL;
	CMS_SignerInfo *si = NULL;
	BIO *in = NULL;
	WBUF_AUTO inner;
	unsigned flags = CMS_BINARY;
	enum err e;
	bool ok;

	wbuf_init(&inner, MESSAGE_MAX);
	if (m->data.n > 0 && (e = msg_envelope(m, &inner)) != E_OK)
		return e;
	if (m->data.n == 0)
		flags |= CMS_DETACHED;
	ERR_clear_error();
	in = inner.n > 0 ? BIO_new_mem_buf(inner.p, (int)inner.n) : BIO_new_mem_buf("", 0);
	cms = CMS_sign(NULL, NULL, NULL, NULL, CMS_PARTIAL | flags);
	if (in != NULL && cms != NULL)
		si = CMS_add1_signer(cms, m->from.cert, m->from.key, m->md, CMS_NOSMIMECAP | CMS_BINARY);
	ok = si != NULL && msg_attrs(si, m) && (m->result == NULL || msg_result(si, m->result)) &&
	    CMS_final(cms, in, NULL, flags) == 1 && put_cms(cms, out);
	CMS_ContentInfo_free(cms);
	BIO_free(in);
	return ok ? E_OK : err_set(E_CRYPTO, "cannot sign the request"); /* the queue: token_failed() */
}

static bool
self_extension(X509 *x)
{
	X509_EXTENSION *u = X509V3_EXT_conf_nid(NULL, NULL, NID_key_usage, "critical,digitalSignature,keyEncipherment");
	bool ok = u != NULL && X509_add_ext(x, u, -1) == 1;

	X509_EXTENSION_free(u);
	return ok;
}

/* The serial number comes from the key, so that the certificate of a later run is named alike. */
static bool
self_fill(X509 *x, const X509_NAME *subject, EVP_PKEY *pub)
{
	char transaction[SCEP_TRANSACTION];
	BIGNUM *serial = NULL;
	bool ok = cert_key_text(pub, transaction) == E_OK;

	transaction[30] = '\0';
	ok = ok && BN_hex2bn(&serial, transaction) > 0 && BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(x)) != NULL;
	BN_free(serial);
	return ok && X509_set_version(x, X509_VERSION_3) == 1 && X509_set_subject_name(x, subject) == 1 &&
	    X509_set_issuer_name(x, subject) == 1 && X509_set_pubkey(x, pub) == 1 &&
	    X509_gmtime_adj(X509_getm_notBefore(x), -HOUR) != NULL &&
	    X509_time_adj_ex(X509_getm_notAfter(x), SELF_DAYS, 0, NULL) != NULL && self_extension(x);
}

enum err
scep_self_signed(const X509_NAME *subject, EVP_PKEY *pub, EVP_PKEY *key, X509 **out)
{
	X509 *x = X509_new();

	*out = NULL;
	ERR_clear_error();
	if (x == NULL || !self_fill(x, subject, pub) || X509_sign(x, key, EVP_sha256()) <= 0) {
		X509_free(x);
		return err_set(E_CRYPTO, "cannot sign with the new key"); /* the queue: token_failed() */
	}
	*out = x;
	return E_OK;
}

enum err
scep_issuer_subject(const X509_NAME *issuer, const X509_NAME *subject, struct wbuf *out)
{
	unsigned char *a = NULL, *b = NULL;
	int n = i2d_X509_NAME(issuer, &a), m = i2d_X509_NAME(subject, &b);
	WBUF_AUTO names;
	bool ok = n > 0 && m > 0;

	wbuf_init(&names, 2 * 65536);
	if (ok) {
		wbuf_put(&names, a, (size_t)n);
		wbuf_put(&names, b, (size_t)m);
		ok = !names.bad && der_wrap(V_ASN1_SEQUENCE, wbuf_view(&names), out);
	}
	OPENSSL_free(a);
	OPENSSL_free(b);
	return ok ? E_OK : err_set(E_NOMEM, "out of memory");
}
