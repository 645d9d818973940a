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

#include <openssl/err.h>
#include <openssl/x509.h>

#include "base/text.h"
#include "derive/est_reply.h"
#include "derive/scep_cms.h"
#include "derive/scep_msg.h"

#define WORD_MAX 24

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
	X509 *x = body.n > 0 && body.n <= SCEP_MESSAGE_MAX ? d2i_X509(NULL, &p, (long)body.n) : NULL;

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

static enum err
reply_digest(CMS_SignerInfo *si, bool weak)
{
	int nid = scep_digest(si);

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
	enum err e;

	if ((*out = scep_signer(cms)) == NULL)
		return err_set(E_PROTO, "sent an answer without exactly one signature");
	if ((e = reply_digest(*out, want->weak)) != E_OK)
		return e;
	return scep_verify(cms, want->signers, content)
	    ? E_OK
	    : err_set(E_POLICY, "sent an answer that neither the CA nor its RA has signed");
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
	const ASN1_STRING *text = scep_attr(si, SCEP_OID_FAIL_TEXT, V_ASN1_UTF8STRING);
	const char *why = "no reason is given";
	char said[200] = "";

	for (size_t i = 0; i < sizeof fails / sizeof fails[0]; i++)
		if (scep_attr_is(si, SCEP_OID_FAIL, fails[i].code))
			why = fails[i].text;
	if (text != NULL)
		text_safe(span_of(ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text)), said, sizeof said);
	return err_set(E_REMOTE, "refused: %s%s%s", why, said[0] != '\0' ? ": " : "", said);
}

static enum err
envelope_cipher(struct span der, bool weak)
{
	int nid = scep_cipher(der);

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
	CMS_ContentInfo *cms = scep_parse(der, NID_pkcs7_enveloped);
	enum err e =
	    cms != NULL ? envelope_cipher(der, want->weak) : err_set(E_PROTO, "sent an answer that is not encrypted");

	CMS_ContentInfo_free(cms);
	if (e == E_OK && (e = scep_open(der, &want->open, out)) == E_PROTO)
		return err_set(E_PROTO, "sent an answer that is not encrypted for this request");
	return e == E_CRYPTO ? err_set(e, "the key did not open the answer") : e;
}

static enum err
reply_success(struct span content, const struct scep_expect *want, STACK_OF(X509) * *certs)
{
	WBUF_AUTO plain;
	enum err e;

	wbuf_init(&plain, SCEP_MESSAGE_MAX);
	e = envelope_open(content, want, &plain);
	if (e == E_OK && est_read_certs(wbuf_view(&plain), certs) != E_OK)
		e = err_set(E_PROTO, "sent something else than a certificate");
	return e;
}

static enum err
reply_status(CMS_SignerInfo *si, struct span content, const struct scep_expect *want, STACK_OF(X509) * *certs)
{
	const ASN1_STRING *nonce = scep_attr(si, SCEP_OID_RECIPIENT, V_ASN1_OCTET_STRING);

	if (!scep_attr_is(si, SCEP_OID_TYPE, "3"))
		return err_set(E_PROTO, "sent a message of another type than an answer");
	if (!scep_attr_is(si, SCEP_OID_TRANSACTION, want->transaction))
		return err_set(E_POLICY, "answered for another transaction; nothing was taken");
	if (!scep_string_is(nonce, want->nonce, SCEP_NONCE))
		return err_set(E_POLICY, "answered to another request (an old answer sent again?); nothing was taken");
	if (scep_attr_is(si, SCEP_OID_STATUS, "0"))
		return reply_success(content, want, certs);
	if (scep_attr_is(si, SCEP_OID_STATUS, "2"))
		return reply_failure(si);
	if (scep_attr_is(si, SCEP_OID_STATUS, "3"))
		return err_set(E_PENDING, "has the request but wants more time");
	return err_set(E_PROTO, "sent an answer with an unknown status");
}

enum err
scep_read(struct span body, const struct scep_expect *want, STACK_OF(X509) * *certs)
{
	CMS_ContentInfo *cms = scep_parse(body, NID_pkcs7_signed);
	CMS_SignerInfo *si = NULL;
	WBUF_AUTO content;
	enum err e;

	*certs = NULL;
	wbuf_init(&content, SCEP_MESSAGE_MAX);
	if (cms == NULL)
		return err_set(
		    E_PROTO, "sent something else than a SCEP message; is this the address of a SCEP server?");
	e = reply_verify(cms, want, &content, &si);
	if (e == E_OK)
		e = reply_status(si, wbuf_view(&content), want, certs);
	CMS_ContentInfo_free(cms);
	return e;
}
