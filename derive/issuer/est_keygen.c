/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Keys that the issuer makes (EST serverkeygen, RFC 7030, 4.4) and keys that it gives back (escrow.h). Encryption keys
 * alone: what signs or logs in is made where it stays (SP 800-157r1, 2.2.1; Common Policy 6.2.3). A key goes out only
 * encrypted to the public key of the request, which proves possession of it by its signature and names it by
 * AsymmetricDecryptKeyIdentifier, and signed with the server's key. The issuer's plain copy lives in libcrypto's secure
 * heap for the length of the request. The escrowed copy is in the same transaction as the certificate, and a release is
 * in the ledger before its answer leaves.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "derive/issuer/account.h"
#include "derive/issuer/binding.h"
#include "derive/issuer/escrow.h"
#include "derive/issuer/est_int.h"
#include "derive/issuer/issue.h"
#include "derive/issuer/ledger.h"
#include "derive/issuer/note.h"
#include "derive/issuer/refuse.h"
#include "derive/issuer/upstream.h"
#include "derive/issuer/x509io.h"
#include "derive/keywrap.h"

#define BOUNDARY "dpiv-key-and-certificate" /* base64 has no hyphen */

/* The server's own certificate: it has the key in its hands, and dpiv's clients know by whose root it is vouched for.
 */
struct signer {
	X509 *cert;
	struct cakey *key;
};

static enum err
signer_open(const struct issuer *i, struct signer *s)
{
	enum err e = x509io_read_cert(i->config.tls_cert, &s->cert);

	if (e != E_OK)
		return e;
	return cakey_open_as(
	    "key of the TLS server", i->config.tls_key, true, false, X509_get0_pubkey(s->cert), &s->key);
}

static void
signer_close(struct signer *s)
{
	X509_free(s->cert);
	cakey_close(&s->key);
}

/* --- the request -------------------------------------------------------------------------------------------------- */

/* Exactly one attribute with one OCTET STRING, which names the request's own key. */
static bool
names_own_key(const struct csr *csr)
{
	ASN1_OBJECT *oid = OBJ_txt2obj(KEYWRAP_ATTRIBUTE, 1);
	int at = oid != NULL ? X509_REQ_get_attr_by_OBJ(csr->req, oid, -1) : -1;
	bool once = at >= 0 && X509_REQ_get_attr_by_OBJ(csr->req, oid, at) < 0;
	X509_ATTRIBUTE *a = once ? X509_REQ_get_attr(csr->req, at) : NULL;
	ASN1_TYPE *v = a != NULL && X509_ATTRIBUTE_count(a) == 1 ? X509_ATTRIBUTE_get0_type(a, 0) : NULL;
	uint8_t id[KEYWRAP_ID];

	ASN1_OBJECT_free(oid);
	if (v == NULL || v->type != V_ASN1_OCTET_STRING || keywrap_id(csr->key, id) != E_OK)
		return false;
	return span_eq(
	    span_of(ASN1_STRING_get0_data(v->value.octet_string), (size_t)ASN1_STRING_length(v->value.octet_string)),
	    span_of(id, sizeof id));
}

static enum err
request_read(struct call *c, struct csr *csr)
{
	enum err e;

	if (!est_media_is(c->rq->media_type, "application/pkcs10"))
		return refuse(REFUSE_MEDIA_TYPE, "a key is asked for with application/pkcs10");
	if ((e = csr_read(c->rq->body, csr)) != E_OK ||
	    (e = binding_check(c->rq->binding, csr->challenge, c->i->config.require_binding)) != E_OK)
		return e;
	if (!names_own_key(csr))
		return refuse(REFUSE_DECRYPT_KEY,
		    "a key is sent encrypted only: AsymmetricDecryptKeyIdentifier in the request must be the SHA-1 of "
		    "the request's own public key (RFC 7030, 4.4.1.2)");
	return E_OK;
}

static enum err
offered(const struct call *c)
{
	if (c->i->recovery == NULL)
		return refuse(REFUSE_NOT_OFFERED, "this issuer makes no keys for others and keeps none");
	return E_OK;
}

/* --- the answer --------------------------------------------------------------------------------------------------- */

static void
put_text(struct wbuf *w, const char *text)
{
	wbuf_span(w, span_str(text));
}

static void
put_part(struct wbuf *w, const char *kind, struct span der)
{
	put_text(w, "--" BOUNDARY "\r\nContent-Type: application/pkcs7-mime; smime-type=");
	put_text(w, kind);
	put_text(w, "\r\nContent-Transfer-Encoding: base64\r\n\r\n");
	text_base64(der, 0, w);
	put_text(w, "\r\n");
}

static enum err
put_certificate(struct wbuf *w, X509 *cert)
{
	STACK_OF(X509) *one = sk_X509_new_null();
	WBUF_AUTO der = { 0 };
	enum err e;

	wbuf_init(&der, 65536);
	e = one != NULL && sk_X509_push(one, cert) > 0 ? x509io_certs_only(one, &der)
						       : err_set(E_NOMEM, "out of memory");
	sk_X509_free(one);
	if (e == E_OK)
		put_part(w, "certs-only", wbuf_view(&der));
	return e;
}

static enum err
answer_end(struct est_reply *out)
{
	put_text(&out->body, "--" BOUNDARY "--\r\n");
	out->status = 200;
	out->type = "multipart/mixed; boundary=" BOUNDARY;
	return out->body.bad ? err_set(E_NOMEM, "the answer is too large") : E_OK;
}

/* --- serverkeygen ------------------------------------------------------------------------------------------------- */

static EVP_PKEY *
key_make(const char *algorithm)
{
	if (strcmp(algorithm, "p256") == 0)
		return EVP_EC_gen("P-256");
	if (strcmp(algorithm, "p384") == 0)
		return EVP_EC_gen("P-384");
	return EVP_RSA_gen(strcmp(algorithm, "rsa3072") == 0 ? 3072U : 2048U);
}

/* In the ledger; a code is used up as by the first answer. */
static enum err
key_repeated(struct call *c, const struct issue_request *r, const X509 *cert, const struct account *a)
{
	char serial[X509IO_SERIAL_MAX];
	const struct ledger_event ev = { .what = "repeated",
		.account = a->id,
		.serial = serial,
		.card = c->id.sha256,
		.peer = c->rq->from,
		.detail = "the same request for a key was sent again and got the same answer" };
	enum err e = E_OK;

	x509io_serial_text(X509_get0_serialNumber(cert), serial, sizeof serial);
	if (r->code != NULL)
		e = bindstore_use(c->i->db, r->code, c->profile->name, serial, c->now);
	if (e == E_OK)
		e = upstream_repeated(c->i, &ev, c->now);
	if (e == E_OK)
		note("repeated", "serial=%s profile=%s account=%lld", serial, c->profile->name, (long long)a->id);
	return e;
}

#define AGAIN (31L * 86400) /* a client keeps an unanswered request for 30 days */

/* Whoever sends the same key again has not received the answer. *done: this is the answer. */
static enum err
key_repeat(struct call *c, const struct issue_request *r, const char *way, struct est_reply *out, bool *done)
{
	const struct account_rules rules = { c->i->config.listed, c->i->config.email_from_upn };
	WBUF_AUTO der = { 0 };
	WBUF_AUTO sent = { 0 };
	struct account a;
	const unsigned char *p;
	X509 *cert;
	enum err e;

	*done = false;
	wbuf_init(&der, 65536);
	wbuf_init(&sent, KEYWRAP_MAX);
	if ((e = escrow_again(c->i, way, c->id.sha256, c->now - AGAIN, &der, &sent)) != E_OK)
		return e == E_NOTFOUND ? E_OK : e;
	if ((e = account_for_card(c->i->db, &rules, r->piv, &c->id, c->now, &a)) != E_OK)
		return e;
	p = der.p;
	if ((cert = d2i_X509(NULL, &p, (long)der.n)) == NULL)
		return err_crypto(E_STORE, "a certificate in the ledger is damaged");
	put_part(&out->body, "server-generated-key", wbuf_view(&sent));
	e = key_repeated(c, r, cert, &a);
	if (e == E_OK)
		e = put_certificate(&out->body, cert);
	X509_free(cert);
	*done = e == E_OK;
	return e;
}

/* Both wrappings come before the certificate: what fails, fails before anything is issued. */
static enum err
key_issue(struct call *c, struct issue_request *r, const char *way, struct est_reply *out)
{
	struct escrow_row row = { .way = way };
	struct signer s = { NULL, NULL };
	WBUF_AUTO kept = { 0 };
	WBUF_AUTO sent = { 0 };
	X509 *cert = NULL;
	enum err e;

	wbuf_init(&kept, KEYWRAP_MAX);
	wbuf_init(&sent, KEYWRAP_MAX);
	if ((e = signer_open(c->i, &s)) == E_OK && (e = escrow_wrap(c->i, r->key, &kept)) == E_OK &&
	    (e = keywrap_seal(r->key, s.cert, cakey_pkey(s.key), r->csr->key, &sent)) == E_OK) {
		row.kept = wbuf_view(&kept);
		row.sent = wbuf_view(&sent);
		r->escrow = &row;
		e = issue_certificate(c->i, r, c->now, &cert);
	}
	if (e == E_OK) {
		put_part(&out->body, "server-generated-key", wbuf_view(&sent));
		e = put_certificate(&out->body, cert);
	}
	signer_close(&s);
	X509_free(cert);
	r->escrow = NULL;
	return e;
}

static enum err
way_sha256(const struct csr *csr, char out[65])
{
	WBUF_AUTO spki = { 0 };
	enum err e;

	wbuf_init(&spki, 65536);
	if ((e = x509io_spki_der(csr->key, &spki)) == E_OK)
		x509io_sha256_text(wbuf_view(&spki), out);
	return e;
}

/* In one transaction: was it sent before, or is it on its way to another CA? */
static enum err
key_before(struct call *c, struct issue_request *r, const char *way, struct est_reply *out, bool *done)
{
	struct upstream_verdict v = { .state = UPSTREAM_NONE };
	enum err e = db_begin(c->i->db);

	if (e != E_OK)
		return e;
	e = key_repeat(c, r, way, out, done);
	if (e == E_OK && !*done && upstream_is(c->i))
		e = upstream_before_way(c->i, way, c->id.sha256, c->now, &v);
	e = db_end(c->i->db, e);
	return e == E_OK ? upstream_say(&v) : e;
}

static enum err
make_or_repeat(struct call *c, struct issue_request *r, struct est_reply *out)
{
	char way[65];
	bool done = false;
	enum err e = way_sha256(r->csr, way);

	if (e == E_OK)
		e = key_before(c, r, way, out, &done);
	if (e == E_OK && !done && r->code != NULL && r->code->used)
		e = bindstore_used();
	if (e == E_OK && !done) {
		r->key = key_make(c->i->config.escrow_algorithm);
		e = r->key != NULL ? key_issue(c, r, way, out) : err_crypto(E_CRYPTO, "cannot generate a key");
	}
	return e == E_OK ? answer_end(out) : e;
}

static enum err
serverkeygen(struct call *c, const struct bind_person *who, struct est_reply *out)
{
	struct issue_request r = { .id = &c->id, .profile = c->profile, .peer = c->rq->from };
	struct csr csr = { 0 };
	enum err e;

	r.piv = who ? who->card : c->rq->peer;
	r.code = who ? &who->code : NULL;
	r.csr = &csr;
	if ((e = request_read(c, &csr)) == E_OK)
		e = make_or_repeat(c, &r, out);
	EVP_PKEY_free(r.key);
	csr_clear(&csr);
	return e;
}

enum err
est_serverkeygen(struct call *c, struct est_reply *out)
{
	struct bind_person who = { .card = NULL };
	enum err e;

	if ((e = offered(c)) != E_OK)
		return e;
	if (!c->profile->escrow)
		return refuse(REFUSE_KEYGEN_ROLE,
		    "a key for %s is made on the token where it stays; only encryption keys are made here",
		    c->profile->what);
	if (c->rq->peer != NULL || c->rq->authorization == NULL)
		return (e = est_authenticate_card(c, out)) == E_OK ? serverkeygen(c, NULL, out) : e;
	if ((e = est_authenticate_code(c, c->profile->name, &who, out)) == E_OK)
		e = serverkeygen(c, &who, out);
	bind_person_clear(&who);
	return e;
}

/* --- recovery ----------------------------------------------------------------------------------------------------- */

struct release {
	struct call *c;
	struct signer by;
	EVP_PKEY *to;
	struct wbuf *body;
	size_t n;
	char serials[ESCROW_MAX][X509IO_SERIAL_MAX];
};

static enum err
release_one(void *arg, const char *serial, X509 *cert, EVP_PKEY *key)
{
	struct release *r = arg;
	WBUF_AUTO sent = { 0 };
	enum err e;

	wbuf_init(&sent, KEYWRAP_MAX);
	if (r->n == ESCROW_MAX)
		return E_OK;
	if ((e = keywrap_seal(key, r->by.cert, cakey_pkey(r->by.key), r->to, &sent)) != E_OK)
		return e;
	put_part(r->body, "server-generated-key", wbuf_view(&sent));
	(void)snprintf(r->serials[r->n++], X509IO_SERIAL_MAX, "%s", serial);
	return put_certificate(r->body, cert);
}

static enum err
release_account(struct call *c, struct account *out)
{
	const struct account_rules rules = { c->i->config.listed, c->i->config.email_from_upn };
	enum err e = db_begin(c->i->db);

	if (e != E_OK)
		return e;
	return db_end(c->i->db, account_for_card(c->i->db, &rules, c->rq->peer, &c->id, c->now, out));
}

/* Every release is in the ledger before it leaves. */
static enum err
release_record(const struct release *r, const struct account *a)
{
	struct call *c = r->c;
	enum err e = db_begin(c->i->db);

	if (e != E_OK)
		return e;
	for (size_t k = 0; e == E_OK && k < r->n; k++) {
		const struct ledger_event ev = { .what = "escrow-released",
			.notice = "recovered",
			.account = a->id,
			.serial = r->serials[k],
			.card = c->id.sha256,
			.peer = c->rq->from,
			.detail = "to the person, who has shown the PIV card" };

		e = ledger_event_add(c->i->db, &ev, c->now);
	}
	e = db_end(c->i->db, e);
	if (e == E_OK)
		note("escrow-released", "account=%lld keys=%zu peer=%s", (long long)a->id, r->n,
		    c->rq->from ? c->rq->from : "-");
	return e;
}

static enum err
release(struct call *c, EVP_PKEY *to, struct est_reply *out)
{
	struct release *r = calloc(1, sizeof *r);
	struct account a;
	enum err e;

	if (r == NULL)
		return err_set(E_NOMEM, "out of memory");
	*r = (struct release){ .c = c, .to = to, .body = &out->body };
	if ((e = release_account(c, &a)) == E_OK && (e = signer_open(c->i, &r->by)) == E_OK)
		e = escrow_each(c->i, a.id, release_one, r);
	if (e == E_OK && r->n == 0)
		e = refuse(REFUSE_NO_ESCROW, "no encryption key of %s is kept here", a.name);
	if (e == E_OK && (e = release_record(r, &a)) == E_OK)
		e = answer_end(out);
	signer_close(&r->by);
	free(r);
	return e;
}

enum err
est_recover(struct call *c, struct est_reply *out)
{
	struct csr csr = { 0 };
	enum err e;

	if ((e = offered(c)) == E_OK && (e = est_authenticate_card(c, out)) == E_OK &&
	    (e = request_read(c, &csr)) == E_OK)
		e = release(c, csr.key, out);
	csr_clear(&csr);
	return e;
}
