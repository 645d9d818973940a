/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Judging SCEP answers (RFC 8894, 3.2, 3.3.2, 3.5). An answer is believed in this order: it is one SignedData with one
 * signer; that signer is the CA or one of its RAs, whose certificates are known, not one that came with the answer; the
 * digest is strong enough; messageType, transactionID and recipientNonce are those of this request. Only then its
 * status counts, and only then a key is used to open the envelope, whose cipher has to be good enough as well. Any
 * attribute may be missing, doubled or of another type.
 */
#include <string.h>
#include <strings.h>

#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/pkcs7.h>
#include <openssl/x509.h>

#include "base/text.h"
#include "derive/est_reply.h"
#include "derive/scep_msg.h"

#define ANSWER_MAX (512 * 1024)
#define WORD_MAX   24

/* --- capabilities ------------------------------------------------------------------------------------------------- */

static void
caps_word(struct span w, struct scep_caps *out)
{
	const struct {
		const char *name;
		bool *flag;
	} words[] = {
		{ "POSTPKIOperation", &out->post },
		{ "AES", &out->aes },
		{ "DES3", &out->des3 },
		{ "SHA-256", &out->sha256 },
		{ "SHA-512", &out->sha512 },
		{ "SHA-1", &out->sha1 },
		{ "Renewal", &out->renewal },
	};
	char text[WORD_MAX];

	if (w.n >= sizeof text)
		return;
	text_safe(w, text, sizeof text);
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (strcasecmp(words[i].name, text) == 0)
			*words[i].flag = true;
	if (strcasecmp(text, "SCEPStandard") == 0)
		out->post = out->aes = out->sha256 = true;
}

void
scep_read_caps(struct span body, struct scep_caps *out)
{
	struct span word;

	memset(out, 0, sizeof *out);
	while (body.n > 0) {
		size_t n = 0;

		while (n < body.n && body.p[n] > ' ' && body.p[n] < 0x7f)
			n++;
		if (n > 0 && span_take(&body, n, &word))
			caps_word(word, out);
		else if (!span_skip(&body, 1))
			return;
	}
}

/* --- certificates of the CA --------------------------------------------------------------------------------------- */

enum err
scep_read_ca(struct span body, STACK_OF(X509) * *out)
{
	const unsigned char *p = body.p;
	X509 *x = body.n > 0 && body.n <= ANSWER_MAX ? d2i_X509(NULL, &p, (long)body.n) : NULL;

	*out = NULL;
	ERR_clear_error();
	if (x == NULL || p != body.p + body.n) {
		X509_free(x);
		return est_read_certs(body, out);
	}
	*out = sk_X509_new_null();
	if (*out != NULL && sk_X509_push(*out, x) > 0)
		return E_OK;
	sk_X509_free(*out);
	*out = NULL;
	X509_free(x);
	return err_set(E_NOMEM, "out of memory");
}

/* --- answers ------------------------------------------------------------------------------------------------------ */

static CMS_ContentInfo *
reply_parse(struct span der, int nid)
{
	const unsigned char *p = der.p;
	CMS_ContentInfo *cms = der.n > 0 && der.n <= ANSWER_MAX ? d2i_CMS_ContentInfo(NULL, &p, (long)der.n) : NULL;

	if (cms != NULL && p == der.p + der.n && OBJ_obj2nid(CMS_get0_type(cms)) == nid)
		return cms;
	CMS_ContentInfo_free(cms);
	ERR_clear_error();
	return NULL;
}

static const ASN1_STRING *
reply_attr(CMS_SignerInfo *si, const char *oid, int type)
{
	ASN1_OBJECT *o = OBJ_txt2obj(oid, 1);
	/* -3: exactly one attribute with exactly one value */
	const ASN1_STRING *v = o != NULL ? CMS_signed_get0_data_by_OBJ(si, o, -3, type) : NULL;

	ASN1_OBJECT_free(o);
	ERR_clear_error();
	return v;
}

static bool
string_is(const ASN1_STRING *s, const void *p, size_t n)
{
	return s != NULL && (size_t)ASN1_STRING_length(s) == n && memcmp(ASN1_STRING_get0_data(s), p, n) == 0;
}

static bool
attr_is(CMS_SignerInfo *si, const char *oid, const char *text)
{
	return string_is(reply_attr(si, oid, V_ASN1_PRINTABLESTRING), text, strlen(text));
}

static enum err
reply_digest(CMS_SignerInfo *si, bool weak)
{
	X509_ALGOR *md = NULL;
	const ASN1_OBJECT *o = NULL;
	int nid;

	CMS_SignerInfo_get0_algs(si, NULL, NULL, &md, NULL);
	if (md != NULL)
		X509_ALGOR_get0(&o, NULL, NULL, md);
	nid = o != NULL ? OBJ_obj2nid(o) : NID_undef;
	if (nid == NID_sha256 || nid == NID_sha384 || nid == NID_sha512 || (nid == NID_sha1 && weak))
		return E_OK;
	return err_set(E_POLICY,
	    "signs its answers with %s, which is too weak; if there is no other issuer, weak_algorithms = yes in "
	    "dpiv.conf "
	    "allows SHA-1",
	    nid != NID_undef ? OBJ_nid2sn(nid) : "an unknown digest");
}

/* The signature of one of the known certificates. */
static enum err
reply_verify(CMS_ContentInfo *cms, const struct scep_expect *want, struct wbuf *content, CMS_SignerInfo **out)
{
	STACK_OF(CMS_SignerInfo) *all = CMS_get0_SignerInfos(cms);
	/* without an envelope the content is absent, and the signature is over nothing */
	BIO *b = BIO_new(BIO_s_mem()), *none = CMS_is_detached(cms) == 1 ? BIO_new_mem_buf("", 0) : NULL;
	char *p = NULL;
	enum err e = E_OK;
	long n;

	*out = sk_CMS_SignerInfo_num(all) == 1 ? sk_CMS_SignerInfo_value(all, 0) : NULL;
	if (*out == NULL)
		e = err_set(E_PROTO, "sent an answer without exactly one signature");
	else if ((e = reply_digest(*out, want->weak)) == E_OK &&
	    (b == NULL ||
		CMS_verify(cms, want->signers, NULL, none, b, CMS_NOINTERN | CMS_NO_SIGNER_CERT_VERIFY | CMS_BINARY) !=
		    1))
		e = err_set(E_POLICY, "sent an answer that neither the CA nor its RA has signed");
	n = e == E_OK ? BIO_get_mem_data(b, &p) : 0;
	if (n > 0)
		wbuf_put(content, p, (size_t)n);
	BIO_free(b);
	BIO_free(none);
	ERR_clear_error();
	return e;
}

static const struct {
	const char *code, *text;
} fails[] = {
	{ "0", "badAlg: it does not know the algorithms of the request" },
	{ "1", "badMessageCheck: the signature or the envelope of the request is wrong for it" },
	{ "2", "badRequest: it does not grant this request; is the challenge right and still unused?" },
	{ "3", "badTime: the clock of the request is wrong" },
	{ "4", "badCertId: it does not know such a request or certificate" },
};

static enum err
reply_failure(CMS_SignerInfo *si)
{
	const ASN1_STRING *text = reply_attr(si, SCEP_OID_FAIL_TEXT, V_ASN1_UTF8STRING);
	const char *why = "no reason is given";
	char said[200] = "";

	for (size_t i = 0; i < sizeof fails / sizeof fails[0]; i++)
		if (attr_is(si, SCEP_OID_FAIL, fails[i].code))
			why = fails[i].text;
	if (text != NULL)
		text_safe(span_of(ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text)), said, sizeof said);
	return err_set(E_REMOTE, "refused: %s%s%s", why, said[0] != '\0' ? ": " : "", said);
}

/* libcrypto's CMS does not tell the cipher of an envelope; its PKCS #7 of the same bytes does. */
static enum err
envelope_cipher(struct span der, bool weak)
{
	const unsigned char *p = der.p;
	PKCS7 *p7 = d2i_PKCS7(NULL, &p, (long)der.n);
	int nid = NID_undef;

	if (p7 != NULL && PKCS7_type_is_enveloped(p7) && p7->d.enveloped != NULL && p7->d.enveloped->enc_data != NULL &&
	    p7->d.enveloped->enc_data->algorithm != NULL)
		nid = OBJ_obj2nid(p7->d.enveloped->enc_data->algorithm->algorithm);
	PKCS7_free(p7);
	ERR_clear_error();
	if (nid == NID_aes_128_cbc || nid == NID_aes_192_cbc || nid == NID_aes_256_cbc ||
	    (nid == NID_des_ede3_cbc && weak))
		return E_OK;
	return err_set(E_POLICY, "encrypts its answers with %s, which dpiv does not accept%s",
	    nid != NID_undef ? OBJ_nid2sn(nid) : "an unknown cipher",
	    nid == NID_des_ede3_cbc ? " unless dpiv.conf has weak_algorithms = yes" : "");
}

static enum err
envelope_open(struct span der, const struct scep_expect *want, struct wbuf *out)
{
	CMS_ContentInfo *cms = reply_parse(der, NID_pkcs7_enveloped);
	BIO *b = BIO_new(BIO_s_mem());
	enum err e = E_OK;
	char *p = NULL;
	long n;

	if (cms == NULL || b == NULL)
		e = err_set(E_PROTO, "sent an answer that is not encrypted");
	else if ((e = envelope_cipher(der, want->weak)) == E_OK) {
		ERR_clear_error();
		if (CMS_decrypt(cms, want->open.key, want->open.cert, NULL, b, CMS_BINARY) != 1)
			e = ERR_GET_LIB(ERR_peek_error()) >= ERR_LIB_USER
			    ? err_set(E_CRYPTO, "the key did not open the answer")
			    : err_set(E_PROTO, "sent an answer that is not encrypted for this request");
	}
	n = e == E_OK ? BIO_get_mem_data(b, &p) : 0;
	if (n > 0)
		wbuf_put(out, p, (size_t)n);
	BIO_free(b);
	CMS_ContentInfo_free(cms);
	if (e != E_CRYPTO)
		ERR_clear_error();
	return e;
}

static enum err
reply_success(struct span content, const struct scep_expect *want, STACK_OF(X509) * *certs)
{
	WBUF_AUTO plain;
	enum err e;

	wbuf_init(&plain, ANSWER_MAX);
	e = envelope_open(content, want, &plain);
	if (e == E_OK && est_read_certs(wbuf_view(&plain), certs) != E_OK)
		e = err_set(E_PROTO, "sent something else than a certificate");
	return e;
}

static enum err
reply_status(CMS_SignerInfo *si, struct span content, const struct scep_expect *want, STACK_OF(X509) * *certs)
{
	const ASN1_STRING *nonce = reply_attr(si, SCEP_OID_RECIPIENT, V_ASN1_OCTET_STRING);

	if (!attr_is(si, SCEP_OID_TYPE, "3"))
		return err_set(E_PROTO, "sent a message of another type than an answer");
	if (!attr_is(si, SCEP_OID_TRANSACTION, want->transaction))
		return err_set(E_POLICY, "answered for another transaction; nothing was taken");
	if (!string_is(nonce, want->nonce, SCEP_NONCE))
		return err_set(E_POLICY, "answered to another request (an old answer sent again?); nothing was taken");
	if (attr_is(si, SCEP_OID_STATUS, "0"))
		return reply_success(content, want, certs);
	if (attr_is(si, SCEP_OID_STATUS, "2"))
		return reply_failure(si);
	if (attr_is(si, SCEP_OID_STATUS, "3"))
		return err_set(E_PENDING, "has the request but wants more time");
	return err_set(E_PROTO, "sent an answer with an unknown status");
}

enum err
scep_read(struct span body, const struct scep_expect *want, STACK_OF(X509) * *certs)
{
	CMS_ContentInfo *cms = reply_parse(body, NID_pkcs7_signed);
	CMS_SignerInfo *si = NULL;
	WBUF_AUTO content;
	enum err e;

	*certs = NULL;
	wbuf_init(&content, ANSWER_MAX);
	if (cms == NULL)
		return err_set(
		    E_PROTO, "sent something else than a SCEP message; is this the address of a SCEP server?");
	e = reply_verify(cms, want, &content, &si);
	if (e == E_OK)
		e = reply_status(si, wbuf_view(&content), want, certs);
	CMS_ContentInfo_free(cms);
	return e;
}
