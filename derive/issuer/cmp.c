/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CMP for third-party clients (cmp.h), around the message layer of libcrypto (OSSL_CMP_SRV_CTX). libcrypto verifies the
 * protection and the proof of possession, compares nonces, and builds and protects answers; who may have what is
 * decided before (cmp_who.c), and the certificate comes from the one place that issues (issue.c).
 *
 * A context of libcrypto's lives for one HTTP request. For a certConf the transaction is opened anew: libcrypto reads
 * the request again, gets the certificate of then and the nonce of then, and goes on from there. So nothing has to be
 * in this process's memory. A message whose sender is refused is answered, too: with a rejection that is signed by the
 * registration authority, without anything of it having been verified.
 */
#include <string.h>
#include <openssl/cmp.h>
#include <openssl/crypto.h>
#include <openssl/err.h>

#include "base/log.h"
#include "base/text.h"
#include "derive/issuer/cmp.h"
#include "derive/issuer/cmp_int.h"
#include "derive/issuer/cmp_trans.h"
#include "derive/issuer/crl.h"
#include "derive/issuer/ledger.h"
#include "derive/issuer/note.h"
#include "derive/issuer/refuse.h"
#include "derive/issuer/upstream.h"

#define WELL_KNOWN "/.well-known/cmp"
#define TYPE	   "application/pkixcmp"

/* --- refusals ----------------------------------------------------------------------------------------------------- */

/* RFC 9810, 5.2.3. */
static const struct {
	enum refuse why;
	int info;
} infos[] = {
	{ REFUSE_NO_CERTIFICATE, OSSL_CMP_PKIFAILUREINFO_badMessageCheck },
	{ REFUSE_CODE_WRONG, OSSL_CMP_PKIFAILUREINFO_badMessageCheck },
	{ REFUSE_CODE_MISTYPED, OSSL_CMP_PKIFAILUREINFO_badMessageCheck },
	{ REFUSE_UNTRUSTED, OSSL_CMP_PKIFAILUREINFO_signerNotTrusted },
	{ REFUSE_REVOKED, OSSL_CMP_PKIFAILUREINFO_signerNotTrusted },
	{ REFUSE_EXPIRED, OSSL_CMP_PKIFAILUREINFO_signerNotTrusted },
	{ REFUSE_NOT_YET_VALID, OSSL_CMP_PKIFAILUREINFO_signerNotTrusted },
	{ REFUSE_POLICY, OSSL_CMP_PKIFAILUREINFO_signerNotTrusted },
	{ REFUSE_STATUS, OSSL_CMP_PKIFAILUREINFO_systemUnavail },
	{ REFUSE_CA_WAITS, OSSL_CMP_PKIFAILUREINFO_systemUnavail },
	{ REFUSE_CA_SILENT, OSSL_CMP_PKIFAILUREINFO_systemUnavail },
	{ REFUSE_STALE, OSSL_CMP_PKIFAILUREINFO_badTime },
	{ REFUSE_TRANSACTION, OSSL_CMP_PKIFAILUREINFO_transactionIdInUse },
	{ REFUSE_ALGORITHM, OSSL_CMP_PKIFAILUREINFO_badAlg },
	{ REFUSE_BAD_CSR, OSSL_CMP_PKIFAILUREINFO_badCertTemplate },
	{ REFUSE_KEY_POLICY, OSSL_CMP_PKIFAILUREINFO_badCertTemplate },
	{ REFUSE_KEY_REUSED, OSSL_CMP_PKIFAILUREINFO_badCertTemplate },
	{ REFUSE_NOT_YOURS, OSSL_CMP_PKIFAILUREINFO_badCertId },
	{ REFUSE_NOT_OFFERED, OSSL_CMP_PKIFAILUREINFO_badRequest },
	{ REFUSE_COUNT, OSSL_CMP_PKIFAILUREINFO_systemFailure },
};

/* Once a message: into the log and the events, and into the answer. */
static void
set_verdict(struct cmp_msg *m, enum err e)
{
	char sentence[1024];

	if (e == E_OK || m->verdict != E_OK)
		return;
	m->verdict = e;
	m->why = est_report(m->c, e, sentence, sizeof sentence);
	(void)snprintf(m->text, sizeof m->text, "%s: %s", refuse_code(m->why), sentence);
}

static OSSL_CMP_PKISI *
rejection(const struct cmp_msg *m)
{
	int info = OSSL_CMP_PKIFAILUREINFO_notAuthorized;

	for (size_t k = 0; k < sizeof infos / sizeof infos[0]; k++)
		if (infos[k].why == m->why)
			info = infos[k].info;
	return OSSL_CMP_STATUSINFO_new(OSSL_CMP_PKISTATUS_rejection, 1 << info, m->text);
}

/* --- what libcrypto asks ------------------------------------------------------------------------------------------ */

static bool
push(STACK_OF(X509) * *to, X509 *x)
{
	if (*to == NULL && (*to = sk_X509_new_null()) == NULL)
		return false;
	if (X509_up_ref(x) != 1)
		return false;
	if (sk_X509_push(*to, x) > 0)
		return true;
	X509_free(x);
	return false;
}

/* What a client needs for the path comes along; the root is for those whom a shared secret has to tell it (5.3.2). */
static bool
give(const struct cmp_msg *m, X509 **cert, STACK_OF(X509) * *chain, STACK_OF(X509) * *anchors)
{
	const struct issuer *i = m->c->i;

	if (X509_up_ref(m->cert) != 1)
		return false;
	*cert = m->cert;
	return push(chain, i->ca) && (m->secret[0] == '\0' || push(anchors, i->root));
}

static OSSL_CMP_PKISI *
on_request(OSSL_CMP_SRV_CTX *srv, const OSSL_CMP_MSG *req, int id, const OSSL_CRMF_MSG *crm, const X509_REQ *p10cr,
    X509 **cert, STACK_OF(X509) * *chain, STACK_OF(X509) * *anchors)
{
	struct cmp_msg *m = OSSL_CMP_SRV_CTX_get0_custom_ctx(srv);

	(void)req;
	(void)id;
	(void)crm;
	(void)p10cr;
	if (m->verdict == E_OK && m->cert == NULL)
		set_verdict(m, issue_certificate(m->c->i, &m->rq, m->c->now, &m->cert));
	if (m->verdict != E_OK)
		return rejection(m);
	if (give(m, cert, chain, anchors))
		return OSSL_CMP_STATUSINFO_new(OSSL_CMP_PKISTATUS_accepted, 0, NULL);
	return NULL;
}

static OSSL_CMP_PKISI *
on_revocation(OSSL_CMP_SRV_CTX *srv, const OSSL_CMP_MSG *req, const X509_NAME *issuer, const ASN1_INTEGER *serial)
{
	struct cmp_msg *m = OSSL_CMP_SRV_CTX_get0_custom_ctx(srv);

	(void)req;
	if (m->verdict == E_OK)
		set_verdict(m, cmp_revoke(m, issuer, serial));
	if (m->verdict != E_OK)
		return rejection(m);
	m->done = true;
	return OSSL_CMP_STATUSINFO_new(OSSL_CMP_PKISTATUS_accepted, 0, NULL);
}

static void
on_error(OSSL_CMP_SRV_CTX *srv, const OSSL_CMP_MSG *req, const OSSL_CMP_PKISI *status, const ASN1_INTEGER *code,
    const OSSL_CMP_PKIFREETEXT *text)
{
	const struct cmp_msg *m = OSSL_CMP_SRV_CTX_get0_custom_ctx(srv);

	(void)req;
	(void)status;
	(void)code;
	(void)text;
	note("cmp-error", "peer=%s the client has given up", m->c->rq->from ? m->c->rq->from : "-");
}

/* RFC 9810, 5.3.18: the hash is that of the certificate's own signature. */
static int
on_confirm(
    OSSL_CMP_SRV_CTX *srv, const OSSL_CMP_MSG *req, int id, const ASN1_OCTET_STRING *hash, const OSSL_CMP_PKISI *status)
{
	const struct cmp_msg *m = OSSL_CMP_SRV_CTX_get0_custom_ctx(srv);
	ASN1_OCTET_STRING *want = m->cert != NULL ? X509_digest_sig(m->cert, NULL, NULL) : NULL;
	bool same = want != NULL && hash != NULL && ASN1_OCTET_STRING_cmp(want, hash) == 0;

	(void)req;
	(void)id;
	(void)status;
	ASN1_OCTET_STRING_free(want);
	if (!same)
		ERR_raise(ERR_LIB_CMP, CMP_R_CERTHASH_UNMATCHED);
	return same;
}

/* libcrypto would print to standard error otherwise. */
static int
on_log(const char *func, const char *file, int line, OSSL_CMP_severity level, const char *msg)
{
	char safe[240];

	(void)func;
	(void)file;
	(void)line;
	log_debug("cmp", "level=%d %s", (int)level, text_safe(span_str(msg), safe, sizeof safe));
	return 1;
}

/* --- libcrypto's context ------------------------------------------------------------------------------------------ */

static bool
speak_as_ra(OSSL_CMP_CTX *ctx, const struct ra *ra)
{
	return OSSL_CMP_CTX_set1_cert(ctx, ra->cert) == 1 && OSSL_CMP_CTX_set1_pkey(ctx, cakey_pkey(ra->key)) == 1 &&
	    OSSL_CMP_CTX_build_cert_chain(ctx, NULL, ra->chain) == 1 &&
	    OSSL_CMP_CTX_set_option(ctx, OSSL_CMP_OPT_DIGEST_ALGNID, NID_sha256) == 1 &&
	    OSSL_CMP_CTX_set_option(ctx, OSSL_CMP_OPT_OWF_ALGNID, NID_sha256) == 1 &&
	    OSSL_CMP_CTX_set_option(ctx, OSSL_CMP_OPT_MAC_ALGNID, NID_hmacWithSHA256) == 1;
}

/* With what is the message verified? Of a refused one nothing is. */
static bool
verify_by(OSSL_CMP_SRV_CTX *srv, OSSL_CMP_CTX *ctx, const struct cmp_msg *m)
{
	if (m->secret[0] != '\0')
		return OSSL_CMP_CTX_set1_secretValue(ctx, (const unsigned char *)m->secret, (int)strlen(m->secret)) ==
		    1 &&
		    OSSL_CMP_CTX_set1_referenceValue(ctx, (const unsigned char *)m->name, (int)strlen(m->name)) == 1;
	if (m->proven)
		return OSSL_CMP_CTX_set1_srvCert(ctx, sk_X509_value(m->certs, 0)) == 1;
	return m->verdict != E_OK && OSSL_CMP_SRV_CTX_set_accept_unprotected(srv, 1) == 1;
}

static OSSL_CMP_SRV_CTX *
context(struct cmp_msg *m)
{
	OSSL_CMP_SRV_CTX *srv = OSSL_CMP_SRV_CTX_new(NULL, NULL);
	OSSL_CMP_CTX *ctx = srv != NULL ? OSSL_CMP_SRV_CTX_get0_cmp_ctx(srv) : NULL;

	if (ctx != NULL && OSSL_CMP_CTX_set_log_cb(ctx, on_log) == 1 &&
	    OSSL_CMP_SRV_CTX_init(srv, m, on_request, on_revocation, NULL, on_error, on_confirm, NULL) == 1 &&
	    OSSL_CMP_SRV_CTX_set_grant_implicit_confirm(srv, 1) == 1 && speak_as_ra(ctx, m->c->i->ra) &&
	    verify_by(srv, ctx, m))
		return srv;
	OSSL_CMP_SRV_CTX_free(srv);
	return NULL;
}

/* One message through it; the answer's DER is appended to out. *type: of its body. */
static enum err
process(OSSL_CMP_SRV_CTX *srv, struct span der, struct wbuf *out, int *type)
{
	const unsigned char *p = der.p;
	OSSL_CMP_MSG *req, *rsp = NULL;
	unsigned char *answer = NULL;
	enum err e = E_OK;
	int n = 0;

	ERR_clear_error();
	req = d2i_OSSL_CMP_MSG(NULL, &p, (long)der.n);
	if (req == NULL || p != der.p + der.n)
		e = refuse(REFUSE_BAD_BODY, "the body is not a CMP message");
	else if ((rsp = OSSL_CMP_SRV_process_request(srv, req)) == NULL || (n = i2d_OSSL_CMP_MSG(rsp, &answer)) <= 0)
		e = err_crypto(E_CRYPTO, "cannot answer a CMP message");
	*type = rsp != NULL ? OSSL_CMP_MSG_get_bodytype(rsp) : -1;
	if (n > 0)
		wbuf_put(out, answer, (size_t)n);
	OPENSSL_free(answer);
	OSSL_CMP_MSG_free(req);
	OSSL_CMP_MSG_free(rsp);
	ERR_clear_error();
	return e == E_OK && out->bad ? err_set(E_NOMEM, "out of memory") : e;
}

/* --- requests ----------------------------------------------------------------------------------------------------- */

/* libcrypto found the protection or the proof of possession wrong: then nothing was issued. */
static void
note_unverified(const struct cmp_msg *m)
{
	if (m->verdict == E_OK && m->cert == NULL && !m->done)
		note("refused", "code=unverified peer=%s path=%.80s the message was not what it should be",
		    m->c->rq->from ? m->c->rq->from : "-", m->c->rq->path);
}

static enum err
remember(const struct cmp_msg *m, struct span answer)
{
	char serial[X509IO_SERIAL_MAX];
	struct cmp_peek ours;

	if (m->cert == NULL || m->verdict != E_OK)
		return E_OK;
	if (!cmp_peek(answer, &ours))
		return err_set(E_INTERNAL, "the answer cannot be read");
	x509io_serial_text(X509_get0_serialNumber(m->cert), serial, sizeof serial);
	return cmp_trans_put(m->c->i->db, m->in.transaction, m->in.der, ours.nonce, serial, m->c->now);
}

static bool
asks_for_certificate(int type)
{
	return type == CMP_IR || type == CMP_CR || type == CMP_P10CR || type == CMP_KUR;
}

static enum err
answer_request(struct cmp_msg *m, struct wbuf *out)
{
	OSSL_CMP_SRV_CTX *srv;
	enum err e = cmp_who(m);
	int type;

	if (e == E_OK && asks_for_certificate(m->in.type))
		e = cmp_may(m);
	set_verdict(m, e);
	if ((srv = context(m)) == NULL)
		return err_crypto(E_CRYPTO, "cannot answer a CMP message");
	e = process(srv, m->in.der, out, &type);
	OSSL_CMP_SRV_CTX_free(srv);
	note_unverified(m);
	return e == E_OK ? remember(m, wbuf_view(out)) : e;
}

/* --- the client's last word --------------------------------------------------------------------------------------- */

static enum err
revoke_rejected(struct cmp_msg *m, const char *serial)
{
	struct issuer *i = m->c->i;
	const struct ledger_event ev = { .what = "revoked",
		.notice = "revoked",
		.account = m->c->account,
		.serial = serial,
		.peer = m->c->rq->from,
		.detail = "the client did not accept the certificate" };
	enum err e = db_begin(i->db);

	if (e != E_OK)
		return e;
	e = ledger_revoke(i->db, serial, crl_reason("cessationOfOperation"), false, m->c->now);
	if (e == E_OK)
		e = ledger_event_add(i->db, &ev, m->c->now);
	e = db_end(i->db, e);
	if (e == E_OK)
		note("revoked", "serial=%s the client did not accept it", serial);
	if (e == E_OK)
		return upstream_is(i) ? upstream_revoked(i, serial, m->c->now)
				      : issuer_refresh_crls(i, m->c->now, true);
	return e == E_EXISTS ? E_OK : e;
}

static enum err
certificate_of(struct cmp_msg *m, const char *serial)
{
	struct ledger_found row = { 0 };
	const unsigned char *p;
	enum err e;

	wbuf_init(&row.der, 1u << 20);
	if ((e = ledger_find(m->c->i->db, serial, &row)) == E_OK) {
		p = row.der.p;
		m->c->account = row.account;
		if ((m->cert = d2i_X509(NULL, &p, (long)row.der.n)) == NULL)
			e = err_crypto(E_STORE, "a certificate in the ledger is damaged");
	}
	wbuf_free(&row.der);
	return e;
}

/* The context as it was after the answer. */
static enum err
reopen(struct cmp_msg *m, const struct cmp_trans *t, OSSL_CMP_SRV_CTX **out)
{
	ASN1_OCTET_STRING *nonce = ASN1_OCTET_STRING_new();
	WBUF_AUTO ignored = { 0 };
	enum err e;
	int type;

	*out = NULL;
	wbuf_init(&ignored, EST_BODY_MAX);
	m->again = true;
	if (!cmp_peek(wbuf_view(&t->request), &m->in) || nonce == NULL ||
	    !ASN1_OCTET_STRING_set(nonce, t->nonce.p, (int)t->nonce.n))
		e = err_set(E_STORE, "a transaction in the ledger is damaged");
	else if ((e = certificate_of(m, t->serial)) == E_OK && (e = cmp_who(m)) == E_OK &&
	    ((*out = context(m)) == NULL || process(*out, m->in.der, &ignored, &type) != E_OK ||
		OSSL_CMP_CTX_set1_senderNonce(OSSL_CMP_SRV_CTX_get0_cmp_ctx(*out), nonce) != 1))
		e = err_crypto(E_CRYPTO, "cannot go on with a transaction");
	ASN1_OCTET_STRING_free(nonce);
	return e;
}

static enum err
confirm(struct call *c, const struct cmp_peek *said, const struct cmp_trans *t, struct wbuf *out)
{
	struct cmp_msg m = { .c = c };
	OSSL_CMP_SRV_CTX *srv = NULL;
	enum err e = reopen(&m, t, &srv);
	int type = -1;

	if (e == E_OK)
		e = process(srv, said->der, out, &type);
	if (e == E_OK && type == CMP_PKICONF && !t->done) {
		if (cmp_peek_rejects(said))
			e = revoke_rejected(&m, t->serial);
		if (e == E_OK)
			e = cmp_trans_end(c->i->db, said->transaction);
	}
	OSSL_CMP_SRV_CTX_free(srv);
	cmp_msg_clear(&m);
	return e;
}

static enum err
answer_confirm(struct call *c, const struct cmp_peek *said, struct wbuf *out)
{
	struct cmp_trans t;
	enum err e = cmp_trans_get(c->i->db, said->transaction, c->now, &t);

	if (e == E_OK)
		e = confirm(c, said, &t, out);
	cmp_trans_clear(&t);
	return e;
}

/* --- HTTP --------------------------------------------------------------------------------------------------------- */

bool
cmp_is(const char *path)
{
	const size_t n = sizeof WELL_KNOWN - 1;

	return strncmp(path, WELL_KNOWN, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

/* RFC 9811, 3.3: [/p/LABEL][/OPERATION]; what is asked for, the message says. */
static const struct profile *
profile_of(const char *path)
{
	const char *rest = &path[sizeof WELL_KNOWN - 1];
	char name[16];
	size_t n;

	if (strncmp(rest, "/p/", 3) != 0)
		return profile_find(NULL);
	rest += 3;
	n = strcspn(rest, "/");
	if (n == 0 || n >= sizeof name)
		return NULL;
	memcpy(name, rest, n);
	name[n] = '\0';
	return profile_find(name);
}

enum err
cmp_run(struct call *c, struct est_reply *out)
{
	struct cmp_msg m = { .c = c };
	enum err e;

	c->profile = profile_of(c->rq->path);
	if (c->i->ra == NULL)
		return refuse(REFUSE_NOT_OFFERED, "this issuer does not speak CMP");
	if (c->profile == NULL)
		return refuse(REFUSE_NOT_FOUND, "no such path; CMP is at " WELL_KNOWN "[/p/{auth,sign,encrypt}]");
	if (!c->rq->post) {
		out->allow = "POST";
		return refuse(REFUSE_METHOD, "CMP wants POST");
	}
	if (!est_media_is(c->rq->media_type, TYPE))
		return refuse(REFUSE_MEDIA_TYPE, "CMP takes " TYPE);
	if (!cmp_peek(c->rq->body, &m.in))
		return refuse(REFUSE_BAD_BODY, "the body is not a CMP message");
	e = m.in.type == CMP_CERTCONF ? answer_confirm(c, &m.in, &out->body) : answer_request(&m, &out->body);
	out->status = 200;
	out->type = TYPE;
	out->known = (m.cert != NULL || m.done) && m.verdict == E_OK;
	if (m.verdict == E_POLICY)
		(void)snprintf(out->held, sizeof out->held, "%s", est_held(m.why));
	cmp_msg_clear(&m);
	return e;
}
