/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Deriving, from the outside in: the store and its lock, the target and what is left on it, the card and its PIN, the
 * connection that the card authenticates (PKI-AUTH, FIPS 201-3, 6.2.3.1), then role after role over that one
 * connection. Nothing is asked of a person, and no PIN is spent, before it is known that the token can be written to
 * and that a card is there.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "derive/derive_int.h"

void
derive_step(const struct derive *d, const char *fmt, ...)
{
	char text[160];
	va_list ap;

	if (d->req->step == NULL)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	d->req->step(d->req->ui_arg, text);
}

enum err
derive_stopped(const struct derive *d)
{
	if (d->req->stop != NULL && d->req->stop(d->req->ui_arg))
		return err_set(E_CANCELED, "stopped as you asked");
	return E_OK;
}

static void
result_uri(const struct derive *d, const struct enrolment *e, char *out, size_t cap)
{
	const char *uri = token_uri(d->to), *query = strchr(uri, '?');
	char hex[2 * STORE_ID_MAX + 1], id[3 * STORE_ID_MAX + 1];
	size_t path = query != NULL ? (size_t)(query - uri) : strlen(uri);

	text_hex(span_of(e->id, e->id_len), hex, sizeof hex);
	for (size_t i = 0; i < e->id_len; i++)
		snprintf(id + 3 * i, 4, "%%%.2s", hex + 2 * i);
	id[3 * e->id_len] = '\0';
	snprintf(out, cap, "%.*s;id=%s%s", (int)path, uri, id, query != NULL ? query : "");
}

void
derive_result_add(struct derive *d, const struct enrolment *e, X509 *cert, bool existed, bool finished)
{
	struct derive_result *r;

	if (*d->n_results >= 2 * (size_t)ROLE_COUNT)
		return;
	r = &d->results[(*d->n_results)++];
	memset(r, 0, sizeof *r);
	r->role = e->role;
	r->existed = existed;
	r->finished = finished;
	r->not_after = cert_not_after(cert);
	cert_name(cert, r->name, sizeof r->name);
	cert_serial(cert, r->serial, sizeof r->serial);
	cert_uuids(cert, r->uuid);
	result_uri(d, e, r->uri, sizeof r->uri);
	r->certified = cert_assurance(cert, e->role);
	if (e->evidence == NULL || !assure_read(e->evidence, &r->evidence))
		memset(&r->evidence, 0, sizeof r->evidence);
}

char *
derive_label(enum role role, X509 *cert, char out[64])
{
	char name[64];

	snprintf(out, 64, "dpiv %s %.40s", role_info(role)->name, cert_name(cert, name, sizeof name));
	return out;
}

enum err
derive_open_target(struct derive *d)
{
	const struct derive_req *r = d->req;
	enum err e = token_open(r->to, r->ask, r->ask_arg, &d->to);

	return e == E_OK ? token_writable(d->to) : e;
}

enum err
derive_judge(struct derive *d)
{
	enum err e = d->policy == NULL ? policy_load(&d->policy) : E_OK;

	if (e == E_OK)
		e = policy_judge(d->policy, d->req);
	return e == E_OK && d->to != NULL ? policy_judge_target(d->policy, d->to) : e;
}

/* Everybody has to have these: asked for now, or there already. */
static enum err
judge_required(struct derive *d)
{
	char name[32], where[256];
	enum err e = E_OK;

	for (size_t i = 0; policy_entry(d->policy, POLICY_REQUIRED_ROLES, i, name, sizeof name); i++) {
		enum role role;
		bool have = false;

		e = role_parse(name, strlen(name), &role);
		if (e == E_OK)
			role = role_in(role, d->req->one_certificate);
		for (size_t k = 0; k < d->req->n_roles; k++)
			have = have || d->req->role[k] == role;
		if (e == E_OK && !have)
			e = derive_existing(d, role, &have);
		if (e == E_OK && !have)
			e = err_set(E_POLICY, "%s: required_roles = %.100s: ask for %s as well (--role)",
			    policy_where(d->policy, POLICY_REQUIRED_ROLES, where, sizeof where),
			    policy_text(d->policy, POLICY_REQUIRED_ROLES), name);
		if (e != E_OK)
			return e;
	}
	return E_OK;
}

/* Before the card is asked for anything: may there be a new credential of this role, and has it a place? */
static enum err
judge_new(struct derive *d, enum role role)
{
	enum err e = policy_judge_role(d->policy, d->req, role);

	return e == E_OK ? token_can_use(d->to, role_info(role)->use) : e;
}

/* Is there anything to be done? A credential that is valid and there is left alone unless --again. */
static enum err
plan_roles(struct derive *d, bool todo[ROLE_COUNT], bool *any)
{
	enum err e = E_OK;

	*any = false;
	for (size_t i = 0; e == E_OK && i < d->req->n_roles; i++) {
		bool exists = false, waits = false;

		e = wait_planned(d, d->req->role[i], &waits);
		if (e == E_OK && !d->req->again && !waits)
			e = derive_existing(d, d->req->role[i], &exists);
		if (e == E_OK && !exists)
			e = judge_new(d, d->req->role[i]);
		todo[i] = !exists;
		*any = *any || !exists;
	}
	return e;
}

/* Before the card is asked for anything: the state store has to know the token again. */
static enum err
open_places(struct derive *d)
{
	bool now = false;
	enum err e = token_login(d->to);

	if (e == E_OK)
		e = token_identify(d->to, &now);
	if (e == E_OK && now)
		derive_step(d, "the token had no identity, and is '%s' from now on", token_label(d->to));
	return e;
}

/* PIN now, so that nobody types while a server waits for the handshake. */
static enum err
open_card(struct derive *d)
{
	const struct derive_req *r = d->req;
	enum err e = card_open(r->from, r->ask, r->ask_arg, &d->card);

	if (e != E_OK)
		return e;
	if (d->to != NULL && strcmp(token_serial_number(d->card.token), token_serial_number(d->to)) == 0 &&
	    strcmp(token_label(d->card.token), token_label(d->to)) == 0)
		return err_set(E_ARG, "the PIV card itself cannot be the target; name another token with --to");
	e = token_login(d->card.token);
	return e == E_OK ? token_pkey(d->card.token, d->card.id, d->card.id_len, &d->id_key) : e;
}

/* The configuration's part of it. */
static struct proto_conf
conn_conf(const struct derive *d)
{
	const struct derive_req *r = d->req;
	struct proto_conf conf = { .url = r->issuer,
		.secret = r->secret,
		.reference = r->reference,
		.signer = r->signer,
		.request = r->request,
		.fingerprint = r->fingerprint,
		.weak = r->weak,
		.anchors = d->anchors,
		.code = r->code,
		.http = { .cafile = r->cafile,
		    .tls = r->tls,
		    .timeout = r->timeout,
		    .cert = d->id_cert,
		    .key = d->id_key,
		    .stop = r->stop,
		    .stop_arg = r->ui_arg } };

	memcpy(conf.label, r->label, sizeof conf.label);
	return conf;
}

/*
 * Without a file of anchors the server was authenticated by the system's roots, and the roots that it sends become the
 * anchors of what it issues (RFC 7030, 4.1.1: explicit TA database by the implicit one).
 */
static enum err
take_cacerts(struct derive *d)
{
	enum err e = d->proto->cacerts != NULL ? d->proto->cacerts(d->conn, &d->cacerts) : E_OK;

	if (e != E_OK || d->anchors != NULL)
		return e;
	d->anchors = sk_X509_new_null();
	for (int i = 0; d->anchors != NULL && i < sk_X509_num(d->cacerts); i++) {
		X509 *x = sk_X509_value(d->cacerts, i);

		if (X509_NAME_cmp(X509_get_subject_name(x), X509_get_issuer_name(x)) == 0 && X509_up_ref(x) == 1 &&
		    sk_X509_push(d->anchors, x) <= 0)
			X509_free(x);
	}
	return sk_X509_num(d->anchors) > 0
	    ? E_OK
	    : err_set(E_POLICY, "%s does not say by which root it issues; get its CA certificate and use --cafile",
		  d->proto->server(d->conn));
}

enum err
derive_open_conn(struct derive *d)
{
	WBUF_AUTO chuid = { 0 };
	struct proto_conf conf;
	STACK_OF(X509) *chain = NULL;
	enum err e = d->req->cafile != NULL ? cert_read_file(d->req->cafile, &d->anchors) : E_OK;

	if (e == E_OK)
		e = d->id_cert != NULL ? card_chain(d->id_cert, d->anchors, &chain) : E_OK;
	if (e == E_OK && d->card.token != NULL)
		e = card_chuid_header(&d->card, &chuid);
	if (e == E_OK) {
		conf = conn_conf(d);
		conf.chuid = chuid.n > 1 ? (const char *)chuid.p : NULL;
		conf.http.chain = chain;
		e = d->proto->open(&conf, &d->conn);
	}
	sk_X509_pop_free(chain, X509_free);
	return e == E_OK ? take_cacerts(d) : e;
}

/* A failure that is really a card or token pulled out. */
static enum err
blame(struct derive *d, enum err e)
{
	if (e == E_OK || e == E_PIN || e == E_PINLOCKED || e == E_CANCELED)
		return e;
	if (d->card.token != NULL && !token_present(d->card.token))
		return err_set(E_CARDGONE,
		    "the PIV card '%s' was taken out in the middle; put it back and run the same command again",
		    token_label(d->card.token));
	if (d->to != NULL && !token_present(d->to))
		return err_set(E_CARDGONE,
		    "the token '%s' was taken out in the middle; put it back and run the same command again: "
		    "what is unfinished on it is cleared up then",
		    token_label(d->to));
	return e;
}

enum err
derive_by_card(struct derive *d)
{
	enum err e;

	derive_step(d, "looking at the PIV card");
	e = open_card(d);
	if (e == E_OK && d->recovery == NULL && d->to != NULL)
		e = open_places(d);
	derive_step(d, "authenticating to the issuer with the card");
	if (e == E_OK && X509_up_ref(d->card.cert) == 1)
		d->id_cert = d->card.cert;
	return e == E_OK ? derive_open_conn(d) : e;
}

/* Of each role, before a key is made: the code may be good for another one only. */
static enum err
code_card(struct derive *d, enum role role)
{
	EVP_PKEY *waits = NULL;
	enum err e = wait_key(d, role, &waits);

	X509_free(d->card.cert);
	d->card.cert = NULL;
	if (e == E_OK)
		e = d->proto->card(d->conn, role, waits, &d->card.cert);
	EVP_PKEY_free(waits);
	return e;
}

/* The card has spoken on another machine (SP 800-157r1, App. C); the issuer says which it was. */
static enum err
by_code(struct derive *d, const bool todo[ROLE_COUNT])
{
	enum err e;

	if (d->proto->card == NULL)
		return err_set(
		    E_UNSUP, "binding codes are for dpiv-issuer, with protocol = est, not %s", d->proto->name);
	e = open_places(d);
	derive_step(d, "showing the binding code to the issuer");
	if (e == E_OK)
		e = derive_open_conn(d);
	for (size_t i = 0; e == E_OK && i < d->req->n_roles; i++)
		if (todo[i])
			e = code_card(d, d->req->role[i]);
	return e;
}

static enum err
run(struct derive *d)
{
	bool todo[ROLE_COUNT] = { false }, any = false;
	enum err e;

	derive_step(d, "looking at the token");
	e = derive_judge(d);
	if (e == E_OK)
		e = derive_open_target(d);
	if (e == E_OK)
		e = derive_judge(d);
	if (e == E_OK)
		e = derive_recover(d);
	if (e == E_OK)
		e = judge_required(d);
	if (e == E_OK)
		e = plan_roles(d, todo, &any);
	if (e == E_OK && any)
		e = assure_target(d);
	if (e != E_OK || !any)
		return e;
	e = d->req->code != NULL ? by_code(d, todo) : derive_by_card(d);
	for (size_t i = 0; e == E_OK && i < d->req->n_roles; i++)
		if (todo[i])
			e = derive_role(d, d->req->role[i]);
	return e;
}

enum err
derive_around(struct derive *d, enum err (*run_fn)(struct derive *))
{
	enum err e = proto_find(d->req->protocol, &d->proto);

	if (e == E_OK)
		e = store_open(d->req->store, &d->store);
	if (e == E_OK)
		e = store_lock(d->store);
	if (e == E_OK)
		e = blame(d, run_fn(d));
	if (d->conn != NULL)
		d->proto->close(&d->conn);
	EVP_PKEY_free(d->id_key);
	X509_free(d->id_cert);
	card_close(&d->card);
	credential_clear(&d->old);
	assure_clear(d);
	token_close(&d->to);
	sk_X509_pop_free(d->anchors, X509_free);
	sk_X509_pop_free(d->cacerts, X509_free);
	store_close(&d->store);
	policy_free(&d->policy);
	return e;
}

enum err
derive_run(const struct derive_req *req, struct derive_result *results, size_t *n)
{
	struct derive d = { .req = req, .results = results, .n_results = n };

	*n = 0;
	return derive_around(&d, run);
}
