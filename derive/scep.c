/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The Simple Certificate Enrolment Protocol (RFC 8894), client side: GetCACaps, GetCACert, PKCSReq, RenewalReq and
 * CertPoll as a row of proto.h. Messages protect themselves, so plain HTTP is allowed; the CA's certificate has to be
 * known by its fingerprint or lead to a trust anchor, and a certificate that is no CA's must be an RA's (scep_ca.c).
 *
 * An answer is encrypted for the certificate that signed the request (3.1). A key of the token that decrypts RSA signs
 * the message itself, with a self-signed certificate. One that does not (an EC key, a signature key that a token keeps
 * to its purpose) leaves the message layer to a throw-away RSA key in memory, which never sees a disk: 2.3 only says
 * SHOULD for "the same subject name and key". The request inside is signed by the token's key in either case, which is
 * the proof of possession. A password recipient (3.1), the other way for such keys, is not spoken by servers.
 *
 * A renewal is signed with the old key and opened by it, so that key must decrypt. There is no revocation (2.8).
 * PENDING has no time in it; Retry-After of HTTP is taken, else a minute.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>

#include "base/file.h"
#include "base/text.h"
#include "derive/csr.h"
#include "derive/proto.h"
#include "derive/scep_ca.h"
#include "derive/scep_msg.h"

#define URL_MAX	 2048
#define POLL	 60
#define TEMP_RSA 2048
#define TYPE	 "application/x-pki-message"

struct proto_conn {
	struct http *http;
	char url[URL_MAX - 64]; /* the operation comes behind it */
	char *fingerprint;
	struct secret *secret;
	struct scep_party id;  /* of the connection: who renews */
	struct scep_party own; /* the message layer of the request under way */
	EVP_PKEY *own_for;     /* the key that own belongs to */
	STACK_OF(X509) * anchors, *ca;
	struct scep_caps caps;
	bool weak, renewed;
};

static void
party_clear(struct proto_conn *c)
{
	X509_free(c->own.cert);
	EVP_PKEY_free(c->own.key);
	EVP_PKEY_free(c->own_for);
	memset(&c->own, 0, sizeof c->own);
	c->own_for = NULL;
}

static void
scep_close(struct proto_conn **cp)
{
	struct proto_conn *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	http_close(&c->http);
	free(c->fingerprint);
	secret_free(&c->secret);
	X509_free(c->id.cert);
	EVP_PKEY_free(c->id.key);
	party_clear(c);
	sk_X509_pop_free(c->anchors, X509_free);
	sk_X509_pop_free(c->ca, X509_free);
	free(c);
}

static enum err
scep_fill(const struct proto_conf *conf, struct proto_conn *c)
{
	enum err e = E_OK;

	if (snprintf(c->url, sizeof c->url, "%s", conf->url) >= (int)sizeof c->url)
		return err_set(E_ARG, "the issuer's address is too long");
	if (conf->secret != NULL && (e = file_read_secret(conf->secret, &c->secret)) != E_OK)
		return err_up(e, "the issuer's challenge");
	if (conf->fingerprint != NULL && (c->fingerprint = strdup(conf->fingerprint)) == NULL)
		return err_set(E_NOMEM, "out of memory");
	if (conf->http.cert == NULL || conf->http.key == NULL || X509_up_ref(conf->http.cert) != 1)
		return err_set(E_ARG, "no identity");
	c->id.cert = conf->http.cert;
	c->id.key = EVP_PKEY_up_ref(conf->http.key) == 1 ? conf->http.key : NULL;
	c->anchors = conf->anchors != NULL ? X509_chain_up_ref(conf->anchors) : NULL;
	c->weak = conf->weak;
	return E_OK;
}

static enum err
scep_open(const struct proto_conf *conf, struct proto_conn **out)
{
	struct http_conf http = conf->http;
	struct proto_conn *c = calloc(1, sizeof *c);
	enum err e;

	*out = NULL;
	if (c == NULL)
		return err_set(E_NOMEM, "out of memory");
	http.plain = true;
	e = scep_fill(conf, c);
	if (e == E_OK)
		e = http_open(&http, &c->http);
	if (e != E_OK)
		scep_close(&c);
	*out = c;
	return e;
}

/* --- HTTP (4.1) --------------------------------------------------------------------------------------------------- */

static void
scep_url(const struct proto_conn *c, const char *operation, char *out)
{
	snprintf(out, URL_MAX, "%s%coperation=%s", c->url, strchr(c->url, '?') != NULL ? '&' : '?', operation);
}

static enum err
scep_status(struct proto_conn *c, const struct http_reply *r, const char *what)
{
	char said[240];

	if (r->status == 200)
		return E_OK;
	http_said(r, said, sizeof said);
	return err_set(r->status == 429 || r->status == 503 ? E_PENDING : E_REMOTE,
	    "%s: %s does not take the request (HTTP %ld)%s%s; check the issuer's address", what, http_server(c->http),
	    r->status, said[0] != '\0' ? ": " : "", said);
}

/* 3.5.1: whatever is not a list of capabilities is an empty one. */
static enum err
scep_get_caps(struct proto_conn *c)
{
	char url[URL_MAX];
	struct http_reply r;
	enum err e;

	scep_url(c, "GetCACaps", url);
	http_reply_init(&r);
	e = http_get(c->http, url, "text/plain", &r);
	if (e == E_OK && r.status == 200)
		scep_read_caps(wbuf_view(&r.body), &c->caps);
	http_reply_free(&r);
	return e;
}

static enum err
scep_cacerts(struct proto_conn *c, STACK_OF(X509) * *out)
{
	char url[URL_MAX];
	struct http_reply r;
	enum err e = scep_get_caps(c);

	*out = NULL;
	scep_url(c, "GetCACert", url);
	http_reply_init(&r);
	if (e == E_OK)
		e = http_get(c->http, url, "*/*", &r);
	if (e == E_OK)
		e = scep_status(c, &r, "the issuer's certificates");
	if (e == E_OK && (e = scep_read_ca(wbuf_view(&r.body), &c->ca)) != E_OK)
		e = err_set(e, "%s does not send its certificates; is this the address of a SCEP server?",
		    http_server(c->http));
	http_reply_free(&r);
	if (e == E_OK) {
		const struct scep_trust trust = { c->ca, c->anchors, c->fingerprint, http_server(c->http),
			strncmp(c->url, "https:", 6) == 0 };

		e = scep_ca_trust(&trust);
	}
	if (e == E_OK && (*out = X509_chain_up_ref(c->ca)) == NULL)
		e = err_set(E_NOMEM, "out of memory");
	return e;
}

/* GET for servers that do not take POST: base64, with what has a meaning in a URL escaped. */
static enum err
scep_get(struct proto_conn *c, struct span msg, struct http_reply *r)
{
	static const char hex[] = "0123456789ABCDEF";
	WBUF_AUTO b64;
	WBUF_AUTO url;
	char start[URL_MAX];

	wbuf_init(&b64, HTTP_BODY_MAX);
	wbuf_init(&url, HTTP_BODY_MAX);
	scep_url(c, "PKIOperation&message=", start);
	text_base64(msg, 0, &b64);
	wbuf_put(&url, start, strlen(start));
	for (size_t i = 0; i < b64.n; i++) {
		if (strchr("+/=", b64.p[i]) == NULL) {
			wbuf_u8(&url, b64.p[i]);
			continue;
		}
		wbuf_u8(&url, '%');
		wbuf_u8(&url, (uint8_t)hex[b64.p[i] >> 4]);
		wbuf_u8(&url, (uint8_t)hex[b64.p[i] & 15]);
	}
	wbuf_u8(&url, '\0');
	if (b64.bad || url.bad)
		return err_set(E_NOMEM, "out of memory");
	return http_get(c->http, (const char *)url.p, TYPE, r);
}

static enum err
scep_send(struct proto_conn *c, struct span msg, struct http_reply *r)
{
	const struct http_content post = { TYPE, TYPE, NULL, msg };
	char url[URL_MAX];

	if (!c->caps.post)
		return scep_get(c, msg, r);
	scep_url(c, "PKIOperation", url);
	return http_post(c->http, url, &post, r);
}

/* --- the message layer -------------------------------------------------------------------------------------------- */

/* Does this key open what is meant for it? */
static bool
party_opens(EVP_PKEY *pub, EVP_PKEY *key)
{
	static const unsigned char text[] = "SCEP";
	unsigned char box[1024], back[1024];
	size_t n = sizeof box, m = sizeof back;
	EVP_PKEY_CTX *to = NULL, *from = NULL;
	bool ok = EVP_PKEY_get_base_id(pub) == EVP_PKEY_RSA && EVP_PKEY_get_size(pub) <= (int)sizeof box;

	if (ok) {
		to = EVP_PKEY_CTX_new(pub, NULL);
		from = EVP_PKEY_CTX_new(key, NULL);
	}
	ok = ok && to != NULL && from != NULL && EVP_PKEY_encrypt_init(to) == 1 &&
	    EVP_PKEY_encrypt(to, box, &n, text, sizeof text) == 1 && EVP_PKEY_decrypt_init(from) == 1 &&
	    EVP_PKEY_decrypt(from, back, &m, box, n) == 1 && m == sizeof text && memcmp(back, text, m) == 0;
	EVP_PKEY_CTX_free(to);
	EVP_PKEY_CTX_free(from);
	ERR_clear_error();
	return ok;
}

static enum err
party_throw_away(struct scep_party *p, const X509_NAME *subject)
{
	p->key = EVP_RSA_gen(TEMP_RSA);
	if (p->key == NULL)
		return err_crypto(E_CRYPTO, "cannot make a key for the answer");
	return scep_self_signed(subject, p->key, p->key, &p->cert);
}

static enum err
party_renewing(struct proto_conn *c)
{
	if (!party_opens(X509_get0_pubkey(c->id.cert), c->id.key))
		return err_set(E_UNSUP,
		    "SCEP renews with an RSA key that can also decrypt, and this one cannot; derive a new credential "
		    "with the PIV card (dpiv derive --again)");
	c->own.cert = X509_up_ref(c->id.cert) == 1 ? c->id.cert : NULL;
	c->own.key = EVP_PKEY_up_ref(c->id.key) == 1 ? c->id.key : NULL;
	return E_OK;
}

/* Who signs the request for this key. *fresh: with a key that nobody has seen before. */
static enum err
scep_party(struct proto_conn *c, const struct proto_request *rq, bool *fresh)
{
	enum err e;

	*fresh = false;
	if (c->own_for != NULL && EVP_PKEY_eq(c->own_for, rq->pub) == 1)
		return E_OK;
	party_clear(c);
	if (rq->old != NULL) {
		e = party_renewing(c);
	} else if (party_opens(rq->pub, rq->key)) {
		c->own.key = EVP_PKEY_up_ref(rq->key) == 1 ? rq->key : NULL;
		e = scep_self_signed(rq->subject, rq->pub, rq->key, &c->own.cert);
	} else {
		*fresh = true;
		e = party_throw_away(&c->own, rq->subject);
	}
	if (e == E_OK && EVP_PKEY_up_ref(rq->pub) == 1)
		c->own_for = rq->pub;
	return e;
}

static enum err
scep_algorithms(struct proto_conn *c, struct scep_request *m)
{
	m->cipher = c->caps.aes ? EVP_aes_128_cbc() : c->weak ? EVP_des_ede3_cbc() : NULL;
	m->md = c->caps.sha256 ? EVP_sha256() : c->caps.sha512 ? EVP_sha512() : c->weak ? EVP_sha1() : NULL;
	if (m->cipher != NULL && m->md != NULL)
		return E_OK;
	return err_set(E_POLICY,
	    "%s offers no %s; ask the issuer, or, if there is no other, allow Triple DES and SHA-1 with "
	    "weak_algorithms = "
	    "yes in dpiv.conf",
	    http_server(c->http), m->cipher == NULL ? "AES" : "SHA-256");
}

static enum err
scep_data(struct proto_conn *c, const struct proto_request *rq, int type, struct wbuf *out)
{
	const struct csr_in in = { .role = rq->role,
		.subject = rq->subject,
		.pub = rq->pub,
		.key = rq->key,
		.attrs = rq->attrs,
		.challenge = secret_view(c->secret),
		.old = rq->old };

	if (type != SCEP_CERT_POLL)
		return csr_build(&in, out);
	return scep_issuer_subject(X509_get_subject_name(scep_ca_issuer(c->ca)),
	    rq->old != NULL ? X509_get_subject_name(rq->old) : rq->subject, out);
}

/* The sentences of scep_reply.c begin with a verb. */
static enum err
scep_named(struct proto_conn *c, enum err e)
{
	char said[512];

	snprintf(said, sizeof said, "%s", err_msg());
	return err_set(e, "%s %s", http_server(c->http), said);
}

static enum err
scep_exchange(
    struct proto_conn *c, const struct proto_request *rq, const struct scep_request *m, struct proto_issued *out)
{
	const struct scep_expect want = {
		.transaction = m->transaction, .nonce = m->nonce, .signers = c->ca, .open = m->from, .weak = c->weak
	};
	struct http_reply r;
	WBUF_AUTO msg;
	enum err e;

	wbuf_init(&msg, HTTP_BODY_MAX);
	http_reply_init(&r);
	e = scep_build(m, &msg);
	if (e == E_OK && rq->sending != NULL)
		e = rq->sending(rq->arg);
	if (e == E_OK)
		e = scep_send(c, wbuf_view(&msg), &r);
	if (e == E_OK)
		e = scep_status(c, &r, "the certificate");
	if (e == E_OK) {
		e = scep_read(wbuf_view(&r.body), &want, &out->certs);
		if (e == E_PENDING)
			out->retry_after = r.retry_after > 0 ? r.retry_after : POLL;
		if (e == E_PENDING)
			e = err_set(e, "%s has the request but wants more time; try again in %ld seconds",
			    http_server(c->http), out->retry_after);
		else if (e != E_OK && e != E_CRYPTO && e != E_NOMEM)
			e = scep_named(c, e);
	}
	http_reply_free(&r);
	return e;
}

static enum err
scep_enrol(struct proto_conn *c, const struct proto_request *rq, struct proto_issued *out)
{
	struct scep_request m = { .type = rq->old != NULL ? SCEP_RENEWAL_REQ : SCEP_PKCS_REQ };
	char transaction[SCEP_TRANSACTION];
	uint8_t nonce[SCEP_NONCE];
	WBUF_AUTO data;
	bool fresh;
	enum err e;

	memset(out, 0, sizeof *out);
	wbuf_init(&data, 64 * 1024);
	if (rq->old != NULL && !c->caps.renewal)
		return err_set(E_UNSUP,
		    "%s does not offer renewal; derive a new credential with the PIV card (dpiv derive --again)",
		    http_server(c->http));
	e = scep_algorithms(c, &m);
	if (e == E_OK)
		e = scep_party(c, rq, &fresh);
	if (e == E_OK)
		e = cert_key_text(rq->pub, transaction);
	if (e == E_OK && RAND_bytes(nonce, sizeof nonce) != 1)
		e = err_crypto(E_CRYPTO, "no random numbers");
	/* the answer to a poll is for its signer: a throw-away key of this run can only ask anew (5.2 prefers that) */
	if (e == E_OK && rq->asked && !fresh)
		m.type = SCEP_CERT_POLL;
	if (e == E_OK)
		e = scep_data(c, rq, m.type, &data);
	if (e != E_OK)
		return e;
	m.from = c->own;
	m.to = scep_ca_recipient(c->ca);
	m.transaction = transaction;
	m.nonce = nonce;
	m.data = wbuf_view(&data);
	c->renewed = rq->old != NULL;
	return scep_exchange(c, rq, &m, out);
}

/* --- the rest of the row ------------------------------------------------------------------------------------------ */

static enum err
scep_attrs(struct proto_conn *c, enum role role, struct proto_attrs *out)
{
	(void)c;
	(void)role;
	memset(out, 0, sizeof *out);
	return E_OK;
}

static bool
scep_authenticated(struct proto_conn *c)
{
	return c->secret != NULL || c->renewed || http_cert_asked(c->http);
}

static const char *
scep_server(struct proto_conn *c)
{
	return http_server(c->http);
}

static bool
scep_asks(enum role role)
{
	(void)role;
	return true; /* it is the key that matters: see scep_party() */
}

const struct proto proto_scep = {
	.name = "scep",
	.opens_answers = true,
	.asks = scep_asks,
	.open = scep_open,
	.cacerts = scep_cacerts,
	.attrs = scep_attrs,
	.enrol = scep_enrol,
	.authenticated = scep_authenticated,
	.server = scep_server,
	.close = scep_close,
};
