/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The Certificate Management Protocol (RFC 9810) by libcrypto's OSSL_CMP, over dpiv's own HTTP client, so that sizes,
 * times, redirects and TLS are held to the same rules as for EST. Requests are ir, cr, p10cr, kur and rr (5.3);
 * protected by the identity's key in its token, or by a password-based MAC (5.1.3.1) with SHA-256 in both places. With
 * a signature of the card's key a request is PKI-AUTH in itself.
 *
 * An answer counts when it is protected. By the same secret; or by a signature of the configured certificate; or of one
 * that leads to a trust anchor and is a CA's or has an extended key usage for certificate management (4.5): below the
 * anchors of a credential are the certificates of every colleague as well. Plain HTTP is allowed for these reasons. A
 * certificate is judged before it is confirmed (5.3.18), so that the issuer knows when it was refused.
 *
 * Polling (5.3.22) goes on within a connection. libcrypto keeps no transaction for another process, so a later run asks
 * again, in a new transaction, for the same key.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "derive/cert.h"
#include "derive/cmp_why.h"
#include "derive/csr.h"
#include "derive/proto.h"

struct proto_conn {
	struct http *http;
	char *url, *reference, *request;
	struct secret *secret;
	X509 *cert, *signer;
	EVP_PKEY *key;
	STACK_OF(X509) * chain, *anchors;
	OSSL_CMP_CTX *ctx; /* of a transaction under way */
	bool waiting;	   /* which is being polled */
	const struct proto_request *rq;
	struct cmp_trouble trouble;
};

static void
cmp_close(struct proto_conn **cp)
{
	struct proto_conn *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	OSSL_CMP_CTX_free(c->ctx);
	http_close(&c->http);
	cmp_trouble_clear(&c->trouble);
	free(c->url);
	free(c->reference);
	free(c->request);
	secret_free(&c->secret);
	X509_free(c->cert);
	X509_free(c->signer);
	EVP_PKEY_free(c->key);
	sk_X509_pop_free(c->chain, X509_free);
	sk_X509_pop_free(c->anchors, X509_free);
	free(c);
}

/* --- transport ---------------------------------------------------------------------------------------------------- */

/* RFC 9811, 3.4 and 3.5: an answer may come with a status of failure; what is no PKIMessage is judged by the status. */
static OSSL_CMP_MSG *
cmp_read(struct proto_conn *c, const struct http_reply *r)
{
	struct span body = wbuf_view(&r->body);
	const unsigned char *p = body.p;
	OSSL_CMP_MSG *m = NULL;
	char said[240];
	enum err e;

	if (body.n > 0 && strcmp(r->type, "application/pkixcmp") == 0)
		m = d2i_OSSL_CMP_MSG(NULL, &p, (long)body.n);
	ERR_clear_error();
	if (m != NULL && p == body.p + body.n)
		return m;
	OSSL_CMP_MSG_free(m);
	http_said(r, said, sizeof said);
	if (r->status != 200)
		e = err_set(r->status == 429 || r->status == 503 ? E_PENDING : E_REMOTE,
		    "%s does not take the request (HTTP %ld)%s%s; check the issuer's address", http_server(c->http),
		    r->status, said[0] != '\0' ? ": " : "", said);
	else
		e = err_set(E_PROTO, "%s sent something else than a CMP message; is this the address of a CMP server?",
		    http_server(c->http));
	cmp_trouble_set(&c->trouble, e);
	return NULL;
}

static OSSL_CMP_MSG *
cmp_transfer(OSSL_CMP_CTX *ctx, const OSSL_CMP_MSG *req)
{
	struct proto_conn *c = OSSL_CMP_CTX_get_transfer_cb_arg(ctx);
	struct http_content post = { "application/pkixcmp", "application/pkixcmp", NULL, SPAN_NONE };
	struct http_reply r;
	unsigned char *der = NULL;
	OSSL_CMP_MSG *answer = NULL;
	int n = i2d_OSSL_CMP_MSG(req, &der);
	enum err e = n > 0 ? E_OK : err_set(E_NOMEM, "out of memory");

	http_reply_init(&r);
	if (e == E_OK && c->rq != NULL && c->rq->sending != NULL)
		e = c->rq->sending(c->rq->arg);
	if (e == E_OK) {
		post.body = span_of(der, (size_t)n);
		e = http_post(c->http, c->url, &post, &r);
	}
	if (e == E_OK)
		answer = cmp_read(c, &r);
	else
		cmp_trouble_set(&c->trouble, e);
	OPENSSL_free(der);
	http_reply_free(&r);
	return answer;
}

/* --- whose answers count ------------------------------------------------------------------------------------------ */

static int
cmp_verify(int ok, X509_STORE_CTX *sc)
{
	X509 *x = X509_STORE_CTX_get_current_cert(sc);

	if (!ok || X509_STORE_CTX_get_error_depth(sc) != 0 || x == NULL)
		return ok;
	if (X509_check_ca(x) != 0 || cert_has_eku(x, NID_cmcRA) || cert_has_eku(x, NID_cmcCA))
		return 1;
	X509_STORE_CTX_set_error(sc, X509_V_ERR_INVALID_PURPOSE);
	return 0;
}

static bool
cmp_trust(struct proto_conn *c, OSSL_CMP_CTX *ctx)
{
	X509_STORE *store = X509_STORE_new();
	bool ok = store != NULL;

	if (c->signer != NULL) {
		X509_STORE_free(store);
		return OSSL_CMP_CTX_set1_srvCert(ctx, c->signer) == 1;
	}
	for (int i = 0; ok && i < sk_X509_num(c->anchors); i++)
		ok = X509_STORE_add_cert(store, sk_X509_value(c->anchors, i)) == 1;
	if (ok && c->anchors == NULL)
		ok = X509_STORE_set_default_paths(store) == 1;
	if (ok)
		X509_STORE_set_verify_cb(store, cmp_verify);
#if OPENSSL_VERSION_NUMBER >= 0x30200000L
	ok = ok && OSSL_CMP_CTX_set0_trusted(ctx, store) == 1;
#else
	ok = ok && OSSL_CMP_CTX_set0_trustedStore(ctx, store) == 1;
#endif
	if (!ok)
		X509_STORE_free(store);
	/* an empty list would make libcrypto 3.0 forget its own, and then fail */
	return ok && (sk_X509_num(c->chain) <= 0 || OSSL_CMP_CTX_set1_untrusted(ctx, c->chain) == 1);
}

/* --- a transaction ------------------------------------------------------------------------------------------------ */

static int
cmp_confirm(OSSL_CMP_CTX *ctx, X509 *cert, int fail, const char **text)
{
	struct proto_conn *c = OSSL_CMP_CTX_get_certConf_cb_arg(ctx);
	STACK_OF(X509) *more = OSSL_CMP_CTX_get1_extraCertsIn(ctx);
	STACK_OF(X509) *pubs = OSSL_CMP_CTX_get1_caPubs(ctx);
	enum err e = E_OK;

	while (more != NULL && sk_X509_num(pubs) > 0)
		if (sk_X509_push(more, sk_X509_value(pubs, 0)) > 0)
			(void)sk_X509_shift(pubs);
		else
			X509_free(sk_X509_shift(pubs));
	if (c->rq != NULL && c->rq->accept != NULL)
		e = c->rq->accept(c->rq->arg, cert, more);
	else if (fail != 0)
		e = err_set(E_POLICY, "%s certified another key", http_server(c->http));
	cmp_trouble_set(&c->trouble, e);
	sk_X509_pop_free(more, X509_free);
	sk_X509_pop_free(pubs, X509_free);
	if (e == E_OK)
		return fail;
	*text = "not the certificate that was asked for";
	return 1 << OSSL_CMP_PKIFAILUREINFO_incorrectData;
}

static bool
cmp_protect(struct proto_conn *c, OSSL_CMP_CTX *ctx)
{
	const int digest =
	    EVP_PKEY_get_base_id(c->key) == EVP_PKEY_EC && EVP_PKEY_get_bits(c->key) > 256 ? NID_sha384 : NID_sha256;
	struct span secret = secret_view(c->secret);

	if (c->secret == NULL)
		return OSSL_CMP_CTX_set_option(ctx, OSSL_CMP_OPT_DIGEST_ALGNID, digest) == 1 &&
		    OSSL_CMP_CTX_set1_cert(ctx, c->cert) == 1 && OSSL_CMP_CTX_set1_pkey(ctx, c->key) == 1;
	return OSSL_CMP_CTX_set1_secretValue(ctx, secret.p, (int)secret.n) == 1 &&
	    OSSL_CMP_CTX_set_option(ctx, OSSL_CMP_OPT_OWF_ALGNID, NID_sha256) == 1 &&
	    OSSL_CMP_CTX_set_option(ctx, OSSL_CMP_OPT_MAC_ALGNID, NID_hmacWithSHA256) == 1 &&
	    (c->reference == NULL ||
		OSSL_CMP_CTX_set1_referenceValue(ctx, (const unsigned char *)c->reference, (int)strlen(c->reference)) ==
		    1);
}

/* libcrypto would print to standard error otherwise. */
static int
cmp_log(const char *func, const char *file, int line, OSSL_CMP_severity level, const char *msg)
{
	char safe[240];

	(void)func;
	(void)file;
	(void)line;
	log_debug("cmp", "level=%d %s", (int)level, text_safe(span_str(msg), safe, sizeof safe));
	return 1;
}

static OSSL_CMP_CTX *
cmp_begin(struct proto_conn *c)
{
	OSSL_CMP_CTX *ctx = OSSL_CMP_CTX_new(NULL, NULL);

	if (ctx != NULL && OSSL_CMP_CTX_set_log_cb(ctx, cmp_log) == 1 &&
	    OSSL_CMP_CTX_set_transfer_cb(ctx, cmp_transfer) == 1 && OSSL_CMP_CTX_set_transfer_cb_arg(ctx, c) == 1 &&
	    OSSL_CMP_CTX_set_certConf_cb(ctx, cmp_confirm) == 1 && OSSL_CMP_CTX_set_certConf_cb_arg(ctx, c) == 1 &&
	    cmp_protect(c, ctx) && cmp_trust(c, ctx))
		return ctx;
	OSSL_CMP_CTX_free(ctx);
	return NULL;
}

static bool
cmp_set_csr(OSSL_CMP_CTX *ctx, const struct csr_in *in, const struct proto_forward *forward, enum err *e)
{
	const unsigned char *p;
	X509_REQ *req = NULL;
	WBUF_AUTO der;
	bool ok;

	wbuf_init(&der, 64 * 1024);
	*e = E_OK;
	if (forward != NULL)
		wbuf_span(&der, forward->csr);
	else
		*e = csr_build(in, &der);
	p = der.p;
	if (*e == E_OK)
		req = d2i_X509_REQ(NULL, &p, (long)der.n);
	ok = req != NULL && OSSL_CMP_CTX_set1_p10CSR(ctx, req) == 1;
	X509_REQ_free(req);
	return ok;
}

/* A registration authority has verified the proof of possession, and says so (RFC 4211, 4: raVerified). */
static bool
cmp_template_ra(OSSL_CMP_CTX *ctx, const struct proto_request *rq)
{
	X509_EXTENSIONS *exts = sk_X509_EXTENSION_deep_copy(rq->forward->exts, X509_EXTENSION_dup, X509_EXTENSION_free);

	if (exts == NULL || OSSL_CMP_CTX_set0_reqExtensions(ctx, exts) != 1) {
		sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
		return false;
	}
	if (EVP_PKEY_up_ref(rq->pub) != 1)
		return false;
	if (OSSL_CMP_CTX_set0_newPkey(ctx, 0, rq->pub) != 1) {
		EVP_PKEY_free(rq->pub);
		return false;
	}
	return OSSL_CMP_CTX_set1_subjectName(ctx, rq->subject) == 1 &&
	    OSSL_CMP_CTX_set_option(ctx, OSSL_CMP_OPT_SUBJECTALTNAME_NODEFAULT, 1) == 1 &&
	    OSSL_CMP_CTX_set_option(ctx, OSSL_CMP_OPT_POPO_METHOD, OSSL_CRMF_POPO_RAVERIFIED) == 1;
}

/* What is asked for. The issuer names the person; of a renewal's old names none is repeated, since its UUID is new. */
static bool
cmp_template(OSSL_CMP_CTX *ctx, const struct proto_request *rq, int type, enum err *e)
{
	const struct csr_in in = {
		.role = rq->role, .subject = rq->subject, .pub = rq->pub, .key = rq->key, .attrs = rq->attrs
	};
	X509_EXTENSIONS *exts;

	if (type == OSSL_CMP_P10CR)
		return cmp_set_csr(ctx, &in, rq->forward, e);
	if (rq->forward != NULL)
		return cmp_template_ra(ctx, rq);
	if ((exts = csr_extensions(&in)) == NULL || OSSL_CMP_CTX_set0_reqExtensions(ctx, exts) != 1) {
		sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
		return false;
	}
	if (EVP_PKEY_up_ref(rq->key) != 1)
		return false;
	if (OSSL_CMP_CTX_set0_newPkey(ctx, 1, rq->key) != 1) {
		EVP_PKEY_free(rq->key);
		return false;
	}
	return OSSL_CMP_CTX_set1_subjectName(ctx, rq->subject) == 1 &&
	    OSSL_CMP_CTX_set_option(ctx, OSSL_CMP_OPT_SUBJECTALTNAME_NODEFAULT, 1) == 1 &&
	    (type != OSSL_CMP_KUR || OSSL_CMP_CTX_set1_oldCert(ctx, rq->old) == 1);
}

static const struct {
	const char *name;
	int type;
} requests[] = { { "ir", OSSL_CMP_IR }, { "cr", OSSL_CMP_CR }, { "p10cr", OSSL_CMP_P10CR } };

static int
cmp_type(const struct proto_conn *c, const struct proto_request *rq)
{
	if (rq->old != NULL)
		return OSSL_CMP_KUR;
	for (size_t i = 0; c->request != NULL && i < sizeof requests / sizeof requests[0]; i++)
		if (strcmp(requests[i].name, c->request) == 0)
			return requests[i].type;
	return c->secret != NULL ? OSSL_CMP_IR : OSSL_CMP_CR;
}

static enum err
cmp_collect(struct proto_conn *c, struct proto_issued *out)
{
	X509 *x = OSSL_CMP_CTX_get0_newCert(c->ctx);

	out->certs = OSSL_CMP_CTX_get1_extraCertsIn(c->ctx);
	if (out->certs == NULL)
		out->certs = sk_X509_new_null();
	if (x == NULL || out->certs == NULL || X509_up_ref(x) != 1)
		return err_set(E_NOMEM, "out of memory");
	if (sk_X509_push(out->certs, x) > 0)
		return E_OK;
	X509_free(x);
	return err_set(E_NOMEM, "out of memory");
}

static void
cmp_end(struct proto_conn *c)
{
	OSSL_CMP_CTX_free(c->ctx);
	c->ctx = NULL;
	c->waiting = false;
	c->rq = NULL;
}

static enum err
cmp_prepare(struct proto_conn *c, const struct proto_request *rq, int type)
{
	enum err e = E_OK;

	ERR_clear_error();
	cmp_trouble_clear(&c->trouble);
	c->rq = rq;
	if (c->waiting && rq->asked)
		return E_OK;
	cmp_end(c);
	c->rq = rq;
	c->ctx = cmp_begin(c);
	if (c->ctx != NULL && cmp_template(c->ctx, rq, type, &e))
		return E_OK;
	return e != E_OK ? e : err_crypto(E_CRYPTO, "cannot make the request");
}

static enum err
cmp_enrol(struct proto_conn *c, const struct proto_request *rq, struct proto_issued *out)
{
	int type = cmp_type(c, rq), after = 0, rc = 0;
	enum err e = cmp_prepare(c, rq, type);

	memset(out, 0, sizeof *out);
	if (e == E_OK) {
		rc = OSSL_CMP_try_certreq(c->ctx, type, NULL, &after);
		c->waiting = rc == -1;
	}
	if (c->waiting) {
		out->retry_after = after > 0 ? after : 1;
		e = err_set(E_PENDING, "%s has the request but wants more time; try again in %ld seconds",
		    http_server(c->http), out->retry_after);
	} else if (e == E_OK) {
		out->judged = rc != 1 && OSSL_CMP_CTX_get_status(c->ctx) == OSSL_CMP_PKISTATUS_rejection;
		e = rc == 1 ? cmp_collect(c, out) : cmp_why(c->ctx, &c->trouble, http_server(c->http));
	}
	if (!c->waiting)
		cmp_end(c);
	c->rq = NULL;
	return e;
}

/* Refused because it is revoked already: what was wanted, and what an earlier run that was cut short has brought about.
 */
static bool
cmp_is_revoked(const OSSL_CMP_CTX *ctx)
{
	int info = OSSL_CMP_CTX_get_failInfoCode(ctx);

	return OSSL_CMP_CTX_get_status(ctx) == OSSL_CMP_PKISTATUS_rejection && info >= 0 &&
	    (info & OSSL_CMP_CTX_FAILINFO_certRevoked) != 0;
}

static enum err
cmp_revoke(struct proto_conn *c, X509 *cert, int reason)
{
	enum err e = E_OK;

	cmp_end(c);
	ERR_clear_error();
	cmp_trouble_clear(&c->trouble);
	c->ctx = cmp_begin(c);
	if (c->ctx == NULL || OSSL_CMP_CTX_set1_oldCert(c->ctx, cert) != 1 ||
	    OSSL_CMP_CTX_set_option(c->ctx, OSSL_CMP_OPT_REVOCATION_REASON, reason) != 1)
		e = err_crypto(E_CRYPTO, "cannot make the request");
	else if (OSSL_CMP_exec_RR_ses(c->ctx) != 1 && !cmp_is_revoked(c->ctx))
		e = cmp_why(c->ctx, &c->trouble, http_server(c->http));
	cmp_end(c);
	return e;
}

/* --- the row ------------------------------------------------------------------------------------------------------ */

static enum err
cmp_read_files(const struct proto_conf *conf, struct proto_conn *c)
{
	STACK_OF(X509) *list = NULL;
	enum err e = E_OK;

	if (conf->secret != NULL && (e = file_read_secret(conf->secret, &c->secret)) != E_OK)
		return err_up(e, "the issuer's shared secret");
	if (conf->signer != NULL) {
		if ((e = cert_read_file(conf->signer, &list)) != E_OK)
			return e;
		c->signer = sk_X509_shift(list);
		c->trouble.pinned = true;
		sk_X509_pop_free(list, X509_free);
	}
	return E_OK;
}

static bool
cmp_copy(const char *from, char **to)
{
	return from == NULL || (*to = strdup(from)) != NULL;
}

static enum err
cmp_check(const struct proto_conf *conf)
{
	bool known = conf->request == NULL;

	for (size_t i = 0; !known && i < sizeof requests / sizeof requests[0]; i++)
		known = strcmp(requests[i].name, conf->request) == 0;
	if (!known)
		return err_set(E_CONF, "request in dpiv.conf must be ir, cr or p10cr, not '%.40s'", conf->request);
	if (conf->http.cert == NULL || conf->http.key == NULL)
		return err_set(E_ARG, "no identity");
	return E_OK;
}

static enum err
cmp_open(const struct proto_conf *conf, struct proto_conn **out)
{
	struct http_conf http = conf->http;
	struct proto_conn *c = calloc(1, sizeof *c);
	enum err e;

	*out = NULL;
	if (c == NULL)
		return err_set(E_NOMEM, "out of memory");
	http.plain = true;
	e = cmp_check(conf);
	if (e == E_OK)
		e = cmp_read_files(conf, c);
	if (e == E_OK &&
	    (!cmp_copy(conf->url, &c->url) || !cmp_copy(conf->reference, &c->reference) ||
		!cmp_copy(conf->request, &c->request) || X509_up_ref(conf->http.cert) != 1))
		e = err_set(E_NOMEM, "out of memory");
	if (e == E_OK) {
		c->cert = conf->http.cert;
		c->key = EVP_PKEY_up_ref(conf->http.key) == 1 ? conf->http.key : NULL;
		c->chain = conf->http.chain != NULL ? X509_chain_up_ref(conf->http.chain) : NULL;
		c->anchors = conf->anchors != NULL ? X509_chain_up_ref(conf->anchors) : NULL;
		e = http_open(&http, &c->http);
	}
	if (e != E_OK)
		cmp_close(&c);
	*out = c;
	return e;
}

/* The protocol's own way to ask is not spoken by all servers; what is wanted is known from the configuration. */
static enum err
cmp_attrs(struct proto_conn *c, enum role role, struct proto_attrs *out)
{
	(void)c;
	(void)role;
	memset(out, 0, sizeof *out);
	return E_OK;
}

static bool
cmp_authenticated(struct proto_conn *c)
{
	(void)c;
	return true; /* nothing is sent without protection */
}

static const char *
cmp_server(struct proto_conn *c)
{
	return http_server(c->http);
}

static bool
cmp_asks(enum role role)
{
	return role != ROLE_ENCRYPT;
}

const struct proto proto_cmp = {
	.name = "cmp",
	.asks = cmp_asks,
	.open = cmp_open,
	.attrs = cmp_attrs,
	.enrol = cmp_enrol,
	.revoke = cmp_revoke,
	.authenticated = cmp_authenticated,
	.server = cmp_server,
	.close = cmp_close,
};
