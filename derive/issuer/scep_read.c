/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests of SCEP clients (RFC 8894, 3). First the signature, which is by a certificate that came along and proves no
 * more than possession of its key; then transactionID, senderNonce and messageType, each once and of its type. Keys are
 * judged by their size before they are used. Only what is signed is opened with the registration authority's key.
 *
 * An envelope is not protected against changes: whoever has seen one on its way can change it, sign it with a key of
 * their own and learn from the answers, block by block, what is inside, the code first of all. So whatever may be wrong
 * with it, the padding of the key, that of the content, the request or the request's signature, is one refusal with one
 * sentence. Only a request whose own signature verifies, which cannot come from such changes, is judged further.
 */
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>

#include "derive/issuer/note.h"
#include "derive/issuer/refuse.h"
#include "derive/issuer/scep_read.h"
#include "derive/scep_cms.h"

#define INSIDE_MAX (2 * CSR_MAX)

static enum err
bad(const char *what)
{
	return refuse(REFUSE_BAD_MESSAGE, "the SCEP message %s", what);
}

static bool
digest_ok(CMS_SignerInfo *si)
{
	int nid = scep_digest(si);

	return nid == NID_sha256 || nid == NID_sha384 || nid == NID_sha512;
}

static bool
key_ok(const X509 *x)
{
	EVP_PKEY *k = X509_get0_pubkey(x);

	return k != NULL && EVP_PKEY_get_base_id(k) == EVP_PKEY_RSA && EVP_PKEY_get_bits(k) >= 2048 &&
	    EVP_PKEY_get_bits(k) <= 4096;
}

/* The signer's certificate, which has to be there. */
static enum err
read_signer(CMS_ContentInfo *cms, CMS_SignerInfo *si, struct scep_in *out)
{
	STACK_OF(X509) *certs = CMS_get1_certs(cms);

	for (int i = 0; out->signer == NULL && i < sk_X509_num(certs); i++)
		if (CMS_SignerInfo_cert_cmp(si, sk_X509_value(certs, i)) == 0 &&
		    X509_up_ref(sk_X509_value(certs, i)) == 1)
			out->signer = sk_X509_value(certs, i);
	sk_X509_pop_free(certs, X509_free);
	ERR_clear_error();
	if (out->signer == NULL)
		return bad("comes without the certificate of who signed it");
	if (!key_ok(out->signer)) {
		ERR_clear_error();
		return bad("is signed with a key that is not RSA of 2048 to 4096 bits");
	}
	return cert_key_text(X509_get0_pubkey(out->signer), out->signer_key);
}

static enum err
read_signature(CMS_ContentInfo *cms, CMS_SignerInfo *si, struct scep_in *out)
{
	STACK_OF(X509) *one = sk_X509_new_null();
	bool ok = one != NULL && sk_X509_push(one, out->signer) > 0;

	if (ok && !digest_ok(si)) {
		sk_X509_free(one);
		return bad("is not signed with SHA-256, SHA-384 or SHA-512");
	}
	ok = ok && scep_verify(cms, one, &out->envelope);
	sk_X509_free(one);
	return ok ? E_OK : bad("has a signature that does not verify");
}

static bool
read_transaction(const ASN1_STRING *s, char out[SCEP_ID_MAX])
{
	int n = s != NULL ? ASN1_STRING_length(s) : 0;
	const unsigned char *p = n > 0 ? ASN1_STRING_get0_data(s) : NULL;

	if (n <= 0 || n >= SCEP_ID_MAX)
		return false;
	for (int i = 0; i < n; i++)
		if (p[i] < ' ' || p[i] > '~')
			return false;
	memcpy(out, p, (size_t)n);
	out[n] = '\0';
	return true;
}

static enum err
read_attrs(CMS_SignerInfo *si, struct scep_in *out)
{
	static const int types[] = { SCEP_RENEWAL_REQ, SCEP_PKCS_REQ, SCEP_CERT_POLL };
	const ASN1_STRING *nonce = scep_attr(si, SCEP_OID_SENDER, V_ASN1_OCTET_STRING);
	char text[12];

	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
		(void)snprintf(text, sizeof text, "%d", types[i]);
		if (scep_attr_is(si, SCEP_OID_TYPE, text))
			out->type = types[i];
	}
	if (out->type == 0)
		return bad("is of a type that is not answered here: only PKCSReq, RenewalReq and CertPoll are");
	if (!read_transaction(scep_attr(si, SCEP_OID_TRANSACTION, V_ASN1_PRINTABLESTRING), out->transaction))
		return bad("has no transactionID");
	out->nonce_n = nonce != NULL ? (size_t)ASN1_STRING_length(nonce) : 0;
	if (out->nonce_n == 0 || out->nonce_n > sizeof out->nonce)
		return bad("has no senderNonce");
	memcpy(out->nonce, ASN1_STRING_get0_data(nonce), out->nonce_n);
	return E_OK;
}

enum err
scep_in_read(struct span body, struct scep_in *out)
{
	CMS_ContentInfo *cms = scep_parse(body, NID_pkcs7_signed);
	CMS_SignerInfo *si = cms != NULL ? scep_signer(cms) : NULL;
	enum err e;

	memset(out, 0, sizeof *out);
	wbuf_init(&out->envelope, SCEP_MESSAGE_MAX);
	if (si == NULL)
		e = bad("is not a pkiMessage with one signature (RFC 8894, 3)");
	else if ((e = read_signer(cms, si, out)) == E_OK && (e = read_signature(cms, si, out)) == E_OK)
		e = read_attrs(si, out);
	CMS_ContentInfo_free(cms);
	ERR_clear_error();
	if (e != E_OK)
		scep_in_clear(out);
	return e;
}

void
scep_in_clear(struct scep_in *in)
{
	X509_free(in->signer);
	wbuf_free(&in->envelope);
	memset(in, 0, sizeof *in);
}

/* --- the envelope ------------------------------------------------------------------------------------------------- */

static enum err
sealed(void)
{
	return refuse(REFUSE_BAD_MESSAGE,
	    "the envelope of the SCEP message does not hold a sound certification request for the certificate that "
	    "GetCACert shows");
}

static enum err
open_envelope(const struct scep_in *in, const struct ra *ra, struct wbuf *out)
{
	const struct scep_party us = { ra->cert, cakey_pkey(ra->key) };
	struct span der = wbuf_view(&in->envelope);
	int nid = scep_cipher(der);
	enum err e;

	if (nid != NID_aes_128_cbc && nid != NID_aes_192_cbc && nid != NID_aes_256_cbc)
		return refuse(REFUSE_ALGORITHM, "the envelope of the SCEP message is encrypted with %s; use AES",
		    nid != NID_undef ? OBJ_nid2sn(nid) : "an unknown cipher");
	if ((e = scep_open(der, &us, out)) == E_CRYPTO)
		return err_crypto(E_CRYPTO, "the registration authority's key did not open a message");
	return e == E_PROTO ? sealed() : e;
}

enum err
scep_in_csr(const struct scep_in *in, const struct ra *ra, struct csr *out)
{
	WBUF_AUTO inside = { 0 };
	enum err e;

	memset(out, 0, sizeof *out);
	wbuf_init(&inside, INSIDE_MAX);
	if ((e = open_envelope(in, ra, &inside)) != E_OK)
		return e;
	e = csr_read(wbuf_view(&inside), out);
	if (inside.n > 0)
		OPENSSL_cleanse(inside.p, inside.n);
	if (e == E_POLICY && (refuse_last() == REFUSE_BAD_CSR || refuse_last() == REFUSE_TOO_LARGE)) {
		note("scep-request", "%s", err_msg());
		return sealed();
	}
	return e;
}

enum err
scep_in_poll(const struct scep_in *in, const struct ra *ra)
{
	WBUF_AUTO inside = { 0 };

	wbuf_init(&inside, INSIDE_MAX);
	return open_envelope(in, ra, &inside);
}
