/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Verifying a SignedData (RFC 5652, 5.6; RFC 5280, 6; RFC 8551, 4). First the signatures over the content, all of them;
 * then, apart, what each signer's certificate is worth, so that the two never get mixed up in a message to the user.
 * Certificates are judged as of now: the signing time is only what the signer says. The content is canonical (CRLF);
 * some programs sign what stands there byte for byte, so that is tried second.
 */
#include <stdlib.h>
#include <string.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "cli/certs.h"
#include "cli/mail.h"
#include "cli/mime.h"
#include "cli/smime.h"

static enum err
bio_take(BIO *b, struct wbuf *out)
{
	char *p;
	long n = BIO_get_mem_data(b, &p);

	wbuf_put(out, p, n > 0 ? (size_t)n : 0);
	return out->bad ? err_set(E_PROTO, "the message is larger than %zu bytes", out->max) : E_OK;
}

/* Signatures only. The certificates come out of the message, never from elsewhere. */
static enum err
signatures_check(CMS_ContentInfo *cms, const struct span *content, struct wbuf *out)
{
	BIO *data = NULL, *to = BIO_new(BIO_s_mem());
	enum err e;

	if (content != NULL)
		data = BIO_new_mem_buf(content->n > 0 ? (const void *)content->p : "", (int)content->n);
	if (to == NULL || (content != NULL && data == NULL))
		e = err_set(E_NOMEM, "no memory to verify a message");
	else if (CMS_verify(cms, NULL, NULL, data, to, CMS_NO_SIGNER_CERT_VERIFY | CMS_BINARY) == 1)
		e = bio_take(to, out);
	else
		e = err_crypto(
		    E_CRYPTO, "BAD SIGNATURE: the message was changed, or the signature is not of this message");
	BIO_free(data);
	BIO_free(to);
	return e;
}

static enum err
detached_check(const struct smime_part *p, struct wbuf *out)
{
	WBUF_AUTO canonical;
	struct span view;
	enum err e;

	wbuf_init(&canonical, MAIL_MAX * 2);
	mime_canonical(p->content, &canonical);
	view = wbuf_view(&canonical);
	e = signatures_check(p->cms, &view, out);
	if (e == E_CRYPTO && !span_eq(view, p->content)) {
		wbuf_clear(out);
		e = signatures_check(p->cms, &p->content, out);
	}
	return e;
}

static void
signer_time(CMS_SignerInfo *si, struct smime_signer *s)
{
	ASN1_OBJECT *oid = OBJ_nid2obj(NID_pkcs9_signingTime);
	const ASN1_STRING *value = CMS_signed_get0_data_by_OBJ(si, oid, -3, V_ASN1_UTCTIME);
	struct tm tm;

	if (value == NULL)
		value = CMS_signed_get0_data_by_OBJ(si, oid, -3, V_ASN1_GENERALIZEDTIME);
	if (value == NULL || ASN1_TIME_to_tm(value, &tm) != 1)
		return;
	s->when = timegm(&tm);
	s->has_time = true;
}

static enum err
chain_error(int code)
{
	if (code == X509_V_ERR_CERT_HAS_EXPIRED || code == X509_V_ERR_CERT_NOT_YET_VALID)
		return E_EXPIRED;
	return code == X509_V_ERR_CERT_REVOKED ? E_REVOKED : E_POLICY;
}

static void
chain_check(X509_STORE *store, STACK_OF(X509) * others, struct smime_signer *s)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	char name[128] = "";
	int code;

	s->chain = E_POLICY;
	if (ctx == NULL || X509_STORE_CTX_init(ctx, store, s->cert, others) != 1 ||
	    X509_STORE_CTX_set_purpose(ctx, X509_PURPOSE_SMIME_SIGN) != 1) {
		snprintf(s->why, sizeof s->why, "the chain cannot be checked");
	} else if (X509_verify_cert(ctx) == 1) {
		STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(ctx);

		s->chain = E_OK;
		certs_name(sk_X509_value(chain, sk_X509_num(chain) - 1), s->anchor, sizeof s->anchor);
	} else {
		code = X509_STORE_CTX_get_error(ctx);
		s->chain = chain_error(code);
		if (X509_STORE_CTX_get_current_cert(ctx) != NULL)
			certs_name(X509_STORE_CTX_get_current_cert(ctx), name, sizeof name);
		snprintf(s->why, sizeof s->why, "%s (%s)", X509_verify_cert_error_string(code), name);
	}
	X509_STORE_CTX_free(ctx);
	ERR_clear_error();
}

/* SHA-1 and MD5 no longer bind a signature to a message (SP 800-131A). */
static void
digest_check(CMS_SignerInfo *si, struct smime_signer *s)
{
	X509_ALGOR *digest = NULL;
	const ASN1_OBJECT *oid;
	int nid;

	CMS_SignerInfo_get0_algs(si, NULL, NULL, &digest, NULL);
	X509_ALGOR_get0(&oid, NULL, NULL, digest);
	nid = OBJ_obj2nid(oid);
	if (nid != NID_sha1 && nid != NID_md5)
		return;
	s->chain = E_POLICY;
	snprintf(s->why, sizeof s->why, "the signature uses %s, which is broken", OBJ_nid2sn(nid));
}

static enum err
signers_report(CMS_ContentInfo *cms, X509_STORE *store, struct smime_report *r)
{
	STACK_OF(CMS_SignerInfo) *all = CMS_get0_SignerInfos(cms);
	STACK_OF(X509) *others = CMS_get1_certs(cms);

	r->signers = calloc((size_t)sk_CMS_SignerInfo_num(all) + 1, sizeof *r->signers);
	if (r->signers == NULL) {
		sk_X509_pop_free(others, X509_free);
		return err_set(E_NOMEM, "no memory to verify a message");
	}
	for (r->n = 0; r->n < sk_CMS_SignerInfo_num(all); r->n++) {
		CMS_SignerInfo *si = sk_CMS_SignerInfo_value(all, r->n);
		struct smime_signer *s = &r->signers[r->n];

		CMS_SignerInfo_get0_algs(si, NULL, &s->cert, NULL, NULL);
		signer_time(si, s);
		if (store != NULL)
			chain_check(store, others, s);
		digest_check(si, s);
	}
	sk_X509_pop_free(others, X509_free);
	return E_OK;
}

enum err
smime_verify(const struct smime_part *p, X509_STORE *store, struct wbuf *content, struct smime_report *r)
{
	enum err e;

	memset(r, 0, sizeof *r);
	if (!smime_is_signed(p) || sk_CMS_SignerInfo_num(CMS_get0_SignerInfos(p->cms)) < 1)
		return err_set(E_NOTFOUND, "the message is not signed");
	e = p->detached ? detached_check(p, content) : signatures_check(p->cms, NULL, content);
	if (e != E_OK)
		wbuf_clear(content);
	return e == E_OK ? signers_report(p->cms, store, r) : e;
}

void
smime_report_free(struct smime_report *r)
{
	free(r->signers);
	r->signers = NULL;
	r->n = 0;
}
