/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Enrolment over Secure Transport, RFC 7030 with the clarifications of RFC 8951: paths, media types, base64 in one
 * line on the way out and in any shape on the way in, text/plain refusals. The label of the path chooses the profile.
 * PKI-AUTH is done here and not in the TLS handshake, since an alert cannot tell a person why; the handshake has proven
 * possession of the key. cacerts, csrattrs and the files under /pki/ need no certificate.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "derive/issuer/bind.h"
#include "derive/issuer/binding.h"
#include "derive/issuer/chuid.h"
#include "derive/issuer/cmp.h"
#include "derive/issuer/est.h"
#include "derive/issuer/est_int.h"
#include "derive/issuer/issue.h"
#include "derive/issuer/ledger.h"
#include "derive/issuer/note.h"
#include "derive/issuer/own.h"
#include "derive/issuer/page.h"
#include "derive/issuer/pkiauth.h"
#include "derive/issuer/refuse.h"
#include "derive/issuer/renewal.h"
#include "derive/issuer/scep.h"
#include "derive/issuer/upstream.h"
#include "derive/issuer/x509io.h"

#define WELL_KNOWN "/.well-known/est/"

enum err
est_put_base64(struct span der, struct est_reply *out, const char *type)
{
	out->status = 200;
	out->type = type;
	out->base64 = true;
	text_base64(der, 0, &out->body);
	return out->body.bad ? err_set(E_NOMEM, "the answer is too large") : E_OK;
}

static enum err
put_certs(X509 *first, X509 *second, bool base64, struct est_reply *out, const char *type)
{
	STACK_OF(X509) *certs = sk_X509_new_null();
	WBUF_AUTO der = { 0 };
	enum err e;

	wbuf_init(&der, 1u << 20);
	if (certs == NULL || !sk_X509_push(certs, first) || (second && !sk_X509_push(certs, second)))
		e = err_set(E_NOMEM, "out of memory");
	else
		e = x509io_certs_only(certs, &der);
	sk_X509_free(certs);
	if (e != E_OK)
		return e;
	if (base64)
		return est_put_base64(wbuf_view(&der), out, type);
	out->status = 200;
	out->type = type;
	wbuf_span(&out->body, wbuf_view(&der));
	return out->body.bad ? err_set(E_NOMEM, "the answer is too large") : E_OK;
}

enum err
est_authenticate(struct call *c, struct est_reply *out)
{
	enum err e =
	    pkiauth_check(c->i->trust, c->i->config.piv_policies, c->rq->peer, c->rq->peer_chain, c->now, &c->id);

	out->known = e == E_OK;
	return e;
}

enum err
est_authenticate_card(struct call *c, struct est_reply *out)
{
	enum err e = est_authenticate(c, out);

	if (e == E_OK)
		e = chuid_check(c->i->trust, &c->i->config, c->rq->chuid, &c->id, c->now);
	out->known = e == E_OK;
	return e;
}

/* RFC 7030 4.1.3: the root, and what is needed to build paths to it. */
static enum err
op_cacerts(struct call *c, struct est_reply *out)
{
	X509 *ca = X509_cmp(c->i->ca, c->i->root) == 0 ? NULL : c->i->ca;

	return put_certs(c->i->root, ca, true, out, "application/pkcs7-mime");
}

bool
est_media_is(const char *type, const char *want)
{
	size_t n = strlen(want);

	return type && strncasecmp(type, want, n) == 0 && (type[n] == '\0' || type[n] == ';' || type[n] == ' ');
}

/* The card's holder on another machine, by a code. A connection that a certificate authenticates needs none. */
enum err
est_authenticate_code(struct call *c, const char *role, struct bind_person *who, struct est_reply *out)
{
	enum err e = bind_person(c->i, c->rq, role, c->now, who);

	c->id = who->id;
	c->account = who->code.account;
	out->known = e == E_OK;
	return e;
}

static enum err
enroll(struct call *c, const struct bind_person *who, struct est_reply *out)
{
	struct issue_request r = { .id = &c->id, .profile = c->profile, .peer = c->rq->from };
	struct csr csr = { 0 };
	X509 *cert = NULL;
	enum err e;

	r.piv = who ? who->card : c->rq->peer;
	r.code = who ? &who->code : NULL;
	if (!est_media_is(c->rq->media_type, "application/pkcs10"))
		return refuse(REFUSE_MEDIA_TYPE, "simpleenroll takes application/pkcs10");
	if ((e = csr_read(c->rq->body, &csr)) == E_OK &&
	    (e = binding_check(c->rq->binding, csr.challenge, c->i->config.require_binding)) == E_OK) {
		r.csr = &csr;
		e = issue_certificate(c->i, &r, c->now, &cert);
	}
	if (e == E_OK) /* RFC 7030 4.2.3: the issued certificate and nothing else */
		e = put_certs(cert, NULL, true, out, "application/pkcs7-mime; smime-type=certs-only");
	X509_free(cert);
	csr_clear(&csr);
	return e;
}

static enum err
op_simpleenroll(struct call *c, struct est_reply *out)
{
	struct bind_person who = { .card = NULL };
	enum err e;

	if (c->rq->peer != NULL || c->rq->authorization == NULL)
		return (e = est_authenticate_card(c, out)) == E_OK ? enroll(c, NULL, out) : e;
	if ((e = est_authenticate_code(c, c->profile->name, &who, out)) == E_OK)
		e = enroll(c, &who, out);
	bind_person_clear(&who);
	return e;
}

/* The old derived credential asks instead of the card. */
static enum err
op_simplereenroll(struct call *c, struct est_reply *out)
{
	struct issue_request r = { .profile = c->profile, .peer = c->rq->from };
	struct renewal old = { .card = NULL };
	struct csr csr = { 0 };
	X509 *cert = NULL;
	enum err e;

	if (!est_media_is(c->rq->media_type, "application/pkcs10"))
		return refuse(REFUSE_MEDIA_TYPE, "simplereenroll takes application/pkcs10");
	if ((e = csr_read(c->rq->body, &csr)) == E_OK &&
	    (e = renewal_check(c->i, c->rq->peer, c->profile, &csr, c->now, &old)) == E_OK)
		e = binding_check(c->rq->binding, csr.challenge, c->i->config.require_binding);
	c->id = old.id;
	if (e == E_OK) {
		r.piv = old.card;
		r.id = &old.id;
		r.csr = &csr;
		r.renews = old.serial;
		e = issue_certificate(c->i, &r, c->now, &cert);
	}
	if (e == E_OK)
		e = put_certs(cert, NULL, true, out, "application/pkcs7-mime; smime-type=certs-only");
	X509_free(cert);
	csr_clear(&csr);
	renewal_clear(&old);
	return e;
}

/* bind.h. */
static enum err
op_bind(struct call *c, struct est_reply *out)
{
	enum err e;

	if ((e = est_authenticate_card(c, out)) != E_OK)
		return e;
	if (!est_media_is(c->rq->media_type, "application/json"))
		return refuse(REFUSE_MEDIA_TYPE, "a binding code is asked for with application/json");
	out->status = 200;
	out->type = "application/json";
	return bind_give(c->i, c->rq, &c->id, c->now, &out->body);
}

/* A code that is used up tells nobody whose it was, but who has the key that it was used for. */
static enum err
card_of_used(const struct call *c, const struct bindstore_code *code, const struct bind_query *q)
{
	bool theirs;
	enum err e = bindstore_is_for(c->i->db, code, q->role, q->key, &theirs);

	return e == E_OK && !theirs ? bindstore_used() : e;
}

static enum err
op_card(struct call *c, struct est_reply *out)
{
	struct bind_person who = { .card = NULL };
	struct bind_query q;
	enum err e;

	if (c->rq->authorization == NULL)
		return refuse(REFUSE_NO_CERTIFICATE, "a binding code must be sent, and none was");
	bind_query_read(c->rq->query, &q);
	e = est_authenticate_code(c, q.role, &who, out);
	if (e == E_OK && who.code.used)
		e = card_of_used(c, &who.code, &q);
	out->known = e == E_OK;
	if (e == E_OK)
		e = x509io_cert_der(who.card, &out->body);
	out->status = 200;
	out->type = "application/pkix-cert";
	bind_person_clear(&who);
	return e;
}

/* own.h. */
static enum err
op_own(struct call *c, struct est_reply *out,
    enum err (*run)(struct issuer *, const struct est_request *, time_t, struct pivid *, struct wbuf *))
{
	enum err e;

	if (!est_media_is(c->rq->media_type, "application/json"))
		return refuse(REFUSE_MEDIA_TYPE, "this is asked for with application/json");
	e = run(c->i, c->rq, c->now, &c->id, &out->body);
	out->known = e == E_OK;
	out->status = 200;
	out->type = "application/json";
	return e;
}

static enum err
op_revoke(struct call *c, struct est_reply *out)
{
	return op_own(c, out, own_revoke);
}

static enum err
op_own_list(struct call *c, struct est_reply *out)
{
	return op_own(c, out, own_list);
}

static enum err
op_not_offered(struct call *c, struct est_reply *out)
{
	(void)c;
	(void)out;
	return refuse(
	    REFUSE_NOT_OFFERED, "this issuer offers cacerts, csrattrs, simpleenroll, simplereenroll and serverkeygen");
}

static enum err
put_crl(const char *path, struct est_reply *out)
{
	STACK_OF(X509_CRL) *crls = NULL;
	enum err e;

	if ((e = x509io_read_crls(path, &crls)) != E_OK)
		return e;
	if (sk_X509_CRL_num(crls) == 0)
		e = err_set(E_NOTFOUND, "%s: no CRL in it", path);
	else
		e = x509io_crl_der(sk_X509_CRL_value(crls, 0), &out->body);
	sk_X509_CRL_pop_free(crls, X509_CRL_free);
	out->status = 200;
	out->type = "application/pkix-crl";
	return e;
}

static enum err
op_ca_crl(struct call *c, struct est_reply *out)
{
	if (upstream_is(c->i))
		return refuse(REFUSE_NOT_FOUND, "another CA issues; its CRL is where its certificates say");
	return put_crl(c->i->config.ca_crl, out);
}

static enum err
op_root_crl(struct call *c, struct est_reply *out)
{
	return put_crl(c->i->config.root_crl, out);
}

static enum err
op_ca_p7c(struct call *c, struct est_reply *out)
{
	return put_certs(c->i->ca, NULL, false, out, "application/pkcs7-mime; smime-type=certs-only");
}

static enum err
op_root_p7c(struct call *c, struct est_reply *out)
{
	return put_certs(c->i->root, NULL, false, out, "application/pkcs7-mime; smime-type=certs-only");
}

/* One bare certificate, which telephones and browsers take. */
static enum err
op_root_cer(struct call *c, struct est_reply *out)
{
	out->status = 200;
	out->type = "application/pkix-cert";
	return x509io_cert_der(c->i->root, &out->body);
}

static const struct op {
	const char *name;
	bool post;
	est_op_fn *run;
} est_ops[] = {
	{ "cacerts", false, op_cacerts },
	{ "csrattrs", false, est_csrattrs },
	{ "simpleenroll", true, op_simpleenroll },
	{ "simplereenroll", true, op_simplereenroll },
	{ "serverkeygen", true, est_serverkeygen },
	{ "fullcmc", true, op_not_offered },
};

static const struct op file_ops[] = {
	{ "/.well-known/dpiv/bind", true, op_bind },
	{ "/.well-known/dpiv/card", false, op_card },
	{ "/.well-known/dpiv/recover", true, est_recover },
	{ "/.well-known/dpiv/revoke", true, op_revoke },
	{ "/.well-known/dpiv/own", true, op_own_list },
	{ "/pki/ca.crl", false, op_ca_crl },
	{ "/pki/root.crl", false, op_root_crl },
	{ "/pki/ca.p7c", false, op_ca_p7c },
	{ "/pki/root.p7c", false, op_root_p7c },
	{ "/pki/root.cer", false, op_root_cer },
};

static const struct op *
op_find(const struct op *ops, size_t n, const char *name)
{
	for (size_t k = 0; k < n; k++)
		if (strcmp(ops[k].name, name) == 0)
			return &ops[k];
	return NULL;
}

/* /.well-known/est[/LABEL]/OPERATION */
static const struct op *
route(struct call *c)
{
	const char *path = c->rq->path, *rest, *slash;
	char name[16];
	size_t n;

	if (strncmp(path, WELL_KNOWN, sizeof WELL_KNOWN - 1) != 0)
		return op_find(file_ops, sizeof file_ops / sizeof file_ops[0], path);
	rest = &path[sizeof WELL_KNOWN - 1];
	if ((slash = strchr(rest, '/')) != NULL) {
		n = (size_t)(slash - rest);
		if (n == 0 || n >= sizeof name)
			return NULL;
		memcpy(name, rest, n);
		name[n] = '\0';
		c->profile = profile_find(name);
		rest = &slash[1];
	} else {
		c->profile = profile_find(NULL);
	}
	if (c->profile != NULL && c->profile->both && c->i->config.one_certificate == NULL)
		return NULL;
	return c->profile ? op_find(est_ops, sizeof est_ops / sizeof est_ops[0], rest) : NULL;
}

static enum err
dispatch(struct call *c, struct est_reply *out)
{
	const struct op *op = route(c);

	if (op == NULL && page_is(c->rq->path))
		return page_run(c, out);
	if (op == NULL && scep_is(c->rq->path))
		return scep_run(c, out);
	if (op == NULL && cmp_is(c->rq->path))
		return cmp_run(c, out);
	if (op == NULL)
		return refuse(REFUSE_NOT_FOUND,
		    "no such path; EST is at " WELL_KNOWN "{cacerts,csrattrs,simpleenroll,simplereenroll,serverkeygen},"
		    " with auth, sign, encrypt or mail (where it is set up) before the operation");
	if (op->post != c->rq->post) {
		out->allow = op->post ? "POST" : "GET";
		return refuse(REFUSE_METHOD, "%s wants %s", op->name, out->allow);
	}
	return op->run(c, out);
}

/* Refusals of people's requests are recorded; strays (wrong path, no certificate) are only noted. */
static void
record_refusal(struct call *c, enum refuse why, const char *sentence)
{
	const struct ledger_event ev = {
		.what = "refused",
		.code = refuse_code(why),
		.account = c->account,
		.card = c->id.sha256[0] ? c->id.sha256 : NULL,
		.peer = c->rq->from,
		.detail = sentence,
	};

	if ((refuse_status(why) != 403 && why != REFUSE_BAD_CSR && why != REFUSE_IDENTITY_SILENT) ||
	    why == REFUSE_NO_CERTIFICATE || why == REFUSE_NO_CODE || why == REFUSE_CODE_TRIES ||
	    why == REFUSE_CODE_MISTYPED || (c->open && c->account == 0))
		return; /* anyone can cause these without end */
	if (ledger_event_add(c->i->db, &ev, c->now) != E_OK)
		note("event-lost", "%s", err_msg());
}

const char *
est_held(enum refuse why)
{
	return why == REFUSE_CA_WAITS || why == REFUSE_CA_SILENT ? upstream_held() : "";
}

enum refuse
est_report(struct call *c, enum err e, char *sentence, size_t cap)
{
	enum refuse why = e == E_POLICY ? refuse_last() : REFUSE_COUNT;
	const char *from = c->rq->from ? c->rq->from : "-";
	char path[81];

	text_safe(span_str(c->rq->path), path, sizeof path);
	text_safe(span_str(e == E_POLICY ? err_msg() : "the issuer has a problem of its own; its log says more"),
	    sentence, cap);
	if (e == E_POLICY) {
		note(est_held(why)[0] ? "waiting" : "refused", "code=%s peer=%s path=%s %s", refuse_code(why), from,
		    path, sentence);
		record_refusal(c, why, sentence);
	} else {
		note("failed", "peer=%s path=%s %s: %s", from, path, err_name(e), err_msg());
	}
	return why;
}

static void
explain(struct call *c, enum err e, struct est_reply *out)
{
	char sentence[1024], line[1200];
	enum refuse why = est_report(c, e, sentence, sizeof sentence);

	wbuf_clear(&out->body);
	out->status = refuse_status(why);
	out->retry_after = e == E_POLICY ? refuse_after() : 0;
	(void)snprintf(out->held, sizeof out->held, "%s", est_held(why));
	out->type = "text/plain; charset=utf-8";
	out->base64 = false;
	if (page_is(c->rq->path)) {
		page_refused(c, refuse_code(why), sentence, out);
		return;
	}
	(void)snprintf(line, sizeof line, "dpiv-issuer: %s: %s\n", refuse_code(why), sentence);
	wbuf_put(&out->body, line, strlen(line));
}

void
est_handle(struct issuer *i, const struct est_request *rq, time_t now, struct est_reply *out)
{
	struct call c = { .i = i, .rq = rq, .now = now };
	enum err e;

	memset(out, 0, sizeof *out);
	wbuf_init(&out->body, X509IO_FILE_MAX);
	if ((e = dispatch(&c, out)) != E_OK)
		explain(&c, e, out);
}
