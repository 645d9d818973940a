/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SCEP, RFC 8894, from the HTTP request to the answer. Everything that is signed and has a transaction is answered by a
 * signed message, refusals included, with failInfo for programs and failInfoText ("code: sentence") for people;
 * whatever is no such message gets the text and status of EST's refusals. Answers are made with the digest and the
 * cipher that GetCACaps lists; the certificate goes to who signed the request, encrypted to that key (3.1).
 *
 * SHA-384 stands in the capabilities because some clients take AES only beside it.
 */
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/rand.h>

#include "derive/issuer/issue.h"
#include "derive/issuer/ocsp.h"
#include "derive/issuer/renewal.h"
#include "derive/issuer/scep.h"
#include "derive/issuer/scep_read.h"
#include "derive/issuer/scep_trans.h"
#include "derive/issuer/x509io.h"
#include "derive/scep_msg.h"

#define PATH	 "/scep"
#define CERT_MAX (1u << 20)

/* --- who asks ----------------------------------------------------------------------------------------------------- */

struct asker {
	struct bind_person who; /* by a code */
	struct renewal old;	/* by a credential */
	struct csr csr;
};

static void
asker_clear(struct asker *a)
{
	OPENSSL_cleanse(a->csr.challenge, sizeof a->csr.challenge);
	bind_person_clear(&a->who);
	renewal_clear(&a->old);
	csr_clear(&a->csr);
}

static enum err
ask_by_code(struct call *c, struct asker *a, struct issue_request *r)
{
	char plain[BINDCODE_PLAIN];
	const struct bindstore_claim claim = {
		.plain = plain, .role = c->profile->name, .peer = c->rq->from, .tries = c->i->config.bind_tries
	};
	enum err e;

	if (a->csr.challenge[0] == '\0')
		return refuse(REFUSE_NO_CODE,
		    "the request has no challengePassword; put a binding code there, which 'dpiv bind' gets with the "
		    "PIV card");
	if ((e = bindcode_read(span_str(a->csr.challenge), plain)) != E_OK)
		return e == E_POLICY ? refuse(REFUSE_CODE_MISTYPED, "%s", err_msg()) : e;
	e = bind_person_by(c->i, &claim, c->now, &a->who);
	OPENSSL_cleanse(plain, sizeof plain);
	c->id = a->who.id;
	c->account = a->who.code.account;
	r->id = &a->who.id;
	r->piv = a->who.card;
	r->code = &a->who.code;
	return e;
}

static enum err
ask_by_credential(struct call *c, X509 *signer, struct asker *a, struct issue_request *r)
{
	enum err e = renewal_check(c->i, signer, c->profile, &a->csr, c->now, &a->old);

	c->id = a->old.id;
	c->account = a->old.account;
	r->id = &a->old.id;
	r->piv = a->old.card;
	r->renews = a->old.serial;
	return e;
}

static enum err
enrol(struct call *c, const struct scep_in *in, X509 **out)
{
	struct asker a = { .who.card = NULL };
	struct issue_request r = { .csr = &a.csr, .profile = c->profile, .peer = c->rq->from };
	char key[CERT_KEY_TEXT];
	enum err e = scep_in_csr(in, c->i->ra, &a.csr);

	if (e == E_OK)
		e = in->type == SCEP_RENEWAL_REQ ? ask_by_credential(c, in->signer, &a, &r) : ask_by_code(c, &a, &r);
	if (e == E_OK)
		e = cert_key_text(a.csr.key, key);
	if (e == E_OK) {
		const struct scep_trans t = { in->transaction, c->account, c->profile->name, key, r.id->sha256,
			in->signer_key };

		e = scep_trans_take(c->i, &t, c->now);
	}
	if (e == E_OK)
		e = issue_certificate(c->i, &r, c->now, out);
	asker_clear(&a);
	return e;
}

static enum err
poll_for(struct call *c, const struct scep_in *in, X509 **out)
{
	enum err e = scep_in_poll(in, c->i->ra);

	return e == E_OK ? scep_trans_poll(c->i, in->transaction, in->signer_key, c->profile->name, c->now, out) : e;
}

/* --- the answer --------------------------------------------------------------------------------------------------- */

/* 3.2.1.4.1 */
static const char *
fail_info(enum refuse why)
{
	static const struct {
		enum refuse why;
		const char *code;
	} rows[] = {
		{ REFUSE_ALGORITHM, "0" },
		{ REFUSE_KEY_POLICY, "0" },
		{ REFUSE_BAD_MESSAGE, "1" },
		{ REFUSE_TRANSACTION, "4" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (rows[i].why == why)
			return rows[i].code;
	return "2"; /* badRequest */
}

static enum err
put_message(struct call *c, const struct scep_in *in, const struct scep_result *result, struct span certs,
    struct est_reply *out)
{
	uint8_t nonce[SCEP_NONCE];
	const struct scep_request m = { .type = SCEP_CERT_REP,
		.from = { c->i->ra->cert, cakey_pkey(c->i->ra->key) },
		.to = in->signer,
		.cipher = EVP_aes_128_cbc(),
		.md = EVP_sha256(),
		.transaction = in->transaction,
		.nonce = nonce,
		.data = certs,
		.result = result };

	if (RAND_bytes(nonce, sizeof nonce) != 1)
		return err_crypto(E_CRYPTO, "no random numbers");
	out->status = 200;
	out->type = "application/x-pki-message";
	return scep_build(&m, &out->body);
}

static enum err
put_cert(struct call *c, const struct scep_in *in, X509 *cert, struct est_reply *out)
{
	const struct scep_result result = { .status = SCEP_SUCCESS, .nonce = span_of(in->nonce, in->nonce_n) };
	STACK_OF(X509) *certs = sk_X509_new_null();
	WBUF_AUTO der = { 0 };
	enum err e;

	wbuf_init(&der, CERT_MAX);
	e = certs != NULL && sk_X509_push(certs, cert) > 0 ? x509io_certs_only(certs, &der)
							   : err_set(E_NOMEM, "out of memory");
	sk_X509_free(certs);
	return e == E_OK ? put_message(c, in, &result, wbuf_view(&der), out) : e;
}

/* E_POLICY was said: it is logged, and the message says it. */
static enum err
put_refusal(struct call *c, const struct scep_in *in, struct est_reply *out)
{
	struct scep_result result = { .status = SCEP_FAILURE, .nonce = span_of(in->nonce, in->nonce_n) };
	char sentence[1024], text[1200];
	long after = refuse_after();
	enum refuse why = est_report(c, E_POLICY, sentence, sizeof sentence);

	if (why == REFUSE_CA_WAITS || why == REFUSE_CA_SILENT) {
		result.status = SCEP_PENDING;
		out->retry_after = after;
	} else {
		(void)snprintf(text, sizeof text, "%s: %s", refuse_code(why), sentence);
		result.fail = fail_info(why);
		result.text = text;
	}
	return put_message(c, in, &result, SPAN_NONE, out);
}

static enum err
serve(struct call *c, struct span body, struct est_reply *out)
{
	X509 *cert = NULL;
	struct scep_in in;
	enum err e;

	if (body.n > SCEP_BODY_MAX)
		return refuse(REFUSE_TOO_LARGE, "a SCEP message has at most %d bytes", SCEP_BODY_MAX);
	if ((e = scep_in_read(body, &in)) != E_OK)
		return e;
	e = in.type == SCEP_CERT_POLL ? poll_for(c, &in, &cert) : enrol(c, &in, &cert);
	if (e == E_OK)
		e = put_cert(c, &in, cert, out);
	else if (e == E_POLICY)
		e = put_refusal(c, &in, out);
	X509_free(cert);
	scep_in_clear(&in);
	return e;
}

/* --- operations (4) ----------------------------------------------------------------------------------------------- */

static enum err
op_caps(struct call *c, const char *message, struct est_reply *out)
{
	(void)c;
	(void)message;
	out->status = 200;
	out->type = "text/plain";
	wbuf_span(&out->body, span_str("AES\nPOSTPKIOperation\nRenewal\nSHA-256\nSHA-384\nSHA-512\nSCEPStandard\n"));
	return E_OK;
}

/* 4.2.1.2: the registration authority first. */
static enum err
op_ca_certs(struct call *c, const char *message, struct est_reply *out)
{
	X509 *const chain[] = { c->i->ra->cert, c->i->ca, c->i->root };
	STACK_OF(X509) *certs = sk_X509_new_null();
	bool ok = certs != NULL;
	enum err e;

	(void)message;
	for (size_t k = 0; ok && k < sizeof chain / sizeof chain[0]; k++)
		if (k < 2 || X509_cmp(chain[k], chain[1]) != 0)
			ok = sk_X509_push(certs, chain[k]) > 0;
	e = ok ? x509io_certs_only(certs, &out->body) : err_set(E_NOMEM, "out of memory");
	sk_X509_free(certs);
	out->status = 200;
	out->type = "application/x-x509-ca-ra-cert";
	return e;
}

static enum err
op_message(struct call *c, const char *message, struct est_reply *out)
{
	WBUF_AUTO der = { 0 };

	if (c->rq->post)
		return serve(c, c->rq->body, out);
	wbuf_init(&der, SCEP_BODY_MAX);
	if (message == NULL || !ocsp_get_decode(message, &der))
		return refuse(REFUSE_BAD_MESSAGE, "a SCEP message is posted, or sent in base64 as message=");
	return serve(c, wbuf_view(&der), out);
}

/* The value behind NAME= between the ampersands, where it begins; its end is in n. NULL: there is none. */
static const char *
query_find(const char *query, const char *name, size_t *n)
{
	size_t len = strlen(name);

	for (const char *p = query; p != NULL && *p != '\0'; p += *n, p += *p == '&') {
		*n = strcspn(p, "&");
		if (*n > len && p[len] == '=' && memcmp(p, name, len) == 0) {
			*n -= len + 1;
			return &p[len + 1];
		}
	}
	return NULL;
}

static enum err
operate(struct call *c, struct est_reply *out)
{
	static const struct {
		const char *name;
		enum err (*run)(struct call *c, const char *message, struct est_reply *out);
	} ops[] = { { "GetCACaps", op_caps }, { "GetCACert", op_ca_certs }, { "PKIOperation", op_message } };
	size_t n = 0, m = 0;
	const char *op = query_find(c->rq->query, "operation", &n);
	const char *message = query_find(c->rq->query, "message", &m);

	for (size_t k = 0; op != NULL && k < sizeof ops / sizeof ops[0]; k++)
		if (strlen(ops[k].name) == n && memcmp(ops[k].name, op, n) == 0)
			return ops[k].run(c, message != NULL && message[m] == '\0' ? message : NULL, out);
	return refuse(REFUSE_NOT_FOUND, "SCEP has ?operation=GetCACaps, GetCACert and PKIOperation here");
}

bool
scep_is(const char *path)
{
	size_t n = sizeof PATH - 1;

	return strncmp(path, PATH, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

enum err
scep_run(struct call *c, struct est_reply *out)
{
	const char *label = &c->rq->path[sizeof PATH - 1];

	c->open = true;
	c->profile = profile_find(label[0] == '/' ? &label[1] : NULL);
	if (c->i->ra == NULL)
		return refuse(REFUSE_NOT_FOUND, "SCEP is not spoken here");
	if (c->profile == NULL || (c->profile->both && c->i->config.one_certificate == NULL))
		return refuse(REFUSE_NOT_FOUND, "SCEP is at " PATH " and at " PATH "/auth, sign and encrypt");
	return operate(c, out);
}
