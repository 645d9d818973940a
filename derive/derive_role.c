/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One role: a table of steps over one attempt. The journal row comes before the key (step "place"), so whatever happens
 * after it can be undone, by this run or by the next: derive_undo() is the inverse of every later step.
 *
 * SP 800-157r1, 2.2.1: key pair generated in the token (R17); public key in the request, in the token and in the
 * certificate are the same (R18), compared three times: read back after generation, in the request's own signature, and
 * in the certificate read back from the token.
 */
#include <string.h>
#include <stdlib.h>
#include <stdio.h>
#include <time.h>

#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "base/log.h"
#include "derive/csr.h"
#include "derive/derive_int.h"

#define ID_RANDOM 16

/* The kind of the key that is renewed: kept, where the issuer takes it. */
static bool
old_alg(X509 *cert, enum token_alg *out)
{
	EVP_PKEY *key = X509_get0_pubkey(cert);
	int bits = EVP_PKEY_get_bits(key);

	if (EVP_PKEY_is_a(key, "RSA"))
		*out = bits == 3072 ? TOKEN_RSA3072 : TOKEN_RSA2048;
	else
		*out = bits == 384 ? TOKEN_P384 : TOKEN_P256;
	return EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "EC");
}

/* Where nobody has chosen: the first kind that the issuer takes and the token can. */
static enum err
attrs_alg(struct attempt *a)
{
	const struct derive_req *r = a->d->req;
	enum token_use use = role_info(a->e.role)->use;
	enum err e = csr_algorithm(&a->attrs, r->alg_chosen, r->alg, &a->alg);

	if (e != E_OK)
		return e;
	if (r->alg_chosen)
		return token_can(a->d->to, a->alg, use);
	for (int i = TOKEN_RSA2048; i <= TOKEN_P384; i++)
		if (csr_algorithm(&a->attrs, true, (enum token_alg)i, &a->alg) == E_OK &&
		    token_can(a->d->to, a->alg, use) == E_OK)
			return E_OK;
	e = csr_algorithm(&a->attrs, false, r->alg, &a->alg);
	return e == E_OK ? token_can(a->d->to, a->alg, use) : e;
}

static enum err
step_judge(struct attempt *a)
{
	enum err e = derive_judge(a->d);

	return e == E_OK ? policy_judge_role(a->d->policy, a->d->req, a->e.role) : e;
}

/* The policy's first choice that issuer and token take as well. */
static enum err
alg_by_policy(struct attempt *a, enum err why)
{
	enum token_alg alg;

	for (size_t i = 0; policy_alg_at(a->d->policy, i, &alg); i++)
		if (csr_algorithm(&a->attrs, true, alg, &a->alg) == E_OK &&
		    token_can(a->d->to, alg, role_info(a->e.role)->use) == E_OK)
			return E_OK;
	return err_set(why,
	    "issuer and token have no kind of key in common that the policy allows (algorithms = %.200s)",
	    policy_text(a->d->policy, POLICY_ALGORITHMS));
}

static enum err
alg_choose(struct attempt *a)
{
	const struct derive_req *r = a->d->req;
	enum token_alg old;

	if (!r->alg_chosen && a->d->old.cert != NULL && old_alg(a->d->old.cert, &old) &&
	    csr_algorithm(&a->attrs, true, old, &a->alg) == E_OK)
		return E_OK;
	return attrs_alg(a);
}

static enum err
step_attrs(struct attempt *a)
{
	enum err e = a->d->proto->attrs(a->d->conn, a->e.role, &a->attrs);

	if (e == E_OK && !a->resumed)
		e = alg_choose(a);
	if (e != E_OK || a->resumed || (e = policy_judge_alg(a->d->policy, a->alg)) == E_OK)
		return e;
	return a->d->req->alg_chosen ? e : alg_by_policy(a, e);
}

/* The role's usual identifier when it is free, else a random one. */
static enum err
place_id(struct attempt *a)
{
	size_t all, labelled;
	enum err e;

	a->e.id[0] = role_info(a->e.role)->id;
	a->e.id_len = 1;
	e = token_count(a->d->to, a->e.id, a->e.id_len, a->e.label, &all, &labelled);
	if (e != E_OK || all == 0)
		return e;
	a->e.id_len = ID_RANDOM;
	return RAND_bytes(a->e.id, ID_RANDOM) == 1 ? E_OK : err_crypto(E_CRYPTO, "no random numbers");
}

enum err
attempt_begin(struct attempt *a)
{
	struct derive *d = a->d;

	snprintf(a->e.issuer, sizeof a->e.issuer, "%s", d->req->issuer);
	snprintf(a->e.token_uri, sizeof a->e.token_uri, "%s", token_uri(d->to));
	snprintf(a->e.token_serial, sizeof a->e.token_serial, "%s", token_serial_number(d->to));
	snprintf(a->e.token_label, sizeof a->e.token_label, "%s", token_label(d->to));
	a->e.renews = d->old.row;
	a->e.moves = d->moves;
	if (X509_up_ref(d->card.cert) != 1)
		return err_set(E_NOMEM, "out of memory");
	a->e.card = d->card.cert;
	return store_enrol_begin(d->store, &a->e);
}

static enum err
step_place(struct attempt *a)
{
	enum err e;

	if (a->resumed)
		return E_OK;
	derive_label(a->e.role, a->d->card.cert, a->e.label);
	e = token_writable(a->d->to);
	if (e == E_OK)
		e = token_has_places(a->d->to) ? place_choose(a) : place_id(a);
	if (e == E_OK)
		e = attempt_begin(a);
	return e == E_OK && token_has_places(a->d->to) ? place_note(a) : e;
}

static enum err
step_generate(struct attempt *a)
{
	struct derive *d = a->d;
	enum token_use use = role_info(a->e.role)->use;
	enum err e;

	if (a->resumed)
		return E_OK;
	if (d->proto->opens_answers && (a->alg == TOKEN_RSA2048 || a->alg == TOKEN_RSA3072))
		use = TOKEN_USE_DECRYPT;
	if (token_has_places(d->to))
		e = place_generate(a, use);
	else
		e = token_generate(d->to, a->alg, use, a->e.label, a->e.id, a->e.id_len, &a->pub);
	return e == E_OK ? token_pkey(d->to, a->e.id, a->e.id_len, &a->key) : e;
}

/* The issuer's certificates and what came with the answer: for the path, trusted by neither. */
static STACK_OF(X509) * path_pool(struct attempt *a, STACK_OF(X509) * more)
{
	STACK_OF(X509) *all = a->d->cacerts != NULL ? X509_chain_up_ref(a->d->cacerts) : sk_X509_new_null();

	for (int i = 0; all != NULL && i < sk_X509_num(more); i++)
		if (X509_up_ref(sk_X509_value(more, i)) == 1 && sk_X509_push(all, sk_X509_value(more, i)) <= 0)
			X509_free(sk_X509_value(more, i));
	return all;
}

enum err
attempt_accept(void *arg, X509 *cert, STACK_OF(X509) * more)
{
	struct attempt *a = arg;
	struct derive *d = a->d;
	struct cert_rules rules = { .role = a->e.role,
		.pub = a->pub,
		.card = d->card.cert,
		.anchors = d->anchors,
		.test_policies = d->req->test_policies,
		.one_certificate = d->req->one_certificate,
		.now = time(NULL) };
	char serial[64];
	enum err e;

	rules.others = path_pool(a, more);
	assure_rules_of_cert(a, &rules);
	e = rules.others != NULL ? cert_check(cert, &rules) : err_set(E_NOMEM, "out of memory");
	sk_X509_pop_free(rules.others, X509_free);
	if (e != E_OK)
		log_warn("derive.refused", "serial=%s", cert_serial(cert, serial, sizeof serial));
	return e == E_OK ? E_OK : err_up(e, "%s", d->proto->server(d->conn));
}

static enum err
step_check(struct attempt *a)
{
	struct derive *d = a->d;
	enum err e;

	if (!d->proto->authenticated(d->conn))
		return err_set(E_POLICY,
		    "%s issued a certificate without asking for the %s; such an issuer cannot know whom it "
		    "certifies, nothing was installed",
		    d->proto->server(d->conn), d->old.cert != NULL && !d->moves ? "old one" : "card's");
	e = cert_choose(a->issued.certs, a->pub, &a->cert);
	return e == E_OK ? attempt_accept(a, a->cert, a->issued.certs) : err_up(e, "%s", d->proto->server(d->conn));
}

static enum err
step_keep(struct attempt *a)
{
	enum err e = store_enrol_cert(a->d->store, &a->e, a->cert);

	if (e != E_OK)
		return e;
	a->e.step = ENROL_CERT;
	if (X509_up_ref(a->cert) == 1)
		a->e.cert = a->cert;
	return E_OK;
}

/* R18: what was written is read back. */
enum err
attempt_install(struct attempt *a)
{
	struct derive *d = a->d;
	const struct token_key *keys;
	size_t n = 0;
	enum err e = token_has_places(d->to) ? place_settle(d, &a->e) : E_OK;

	if (e == E_OK)
		e = token_put_cert(d->to, a->e.label, a->e.id, a->e.id_len, a->cert);
	if (e == E_OK)
		e = token_keys(d->to, &keys, &n);
	for (size_t i = 0; e == E_OK && i < n; i++)
		if (keys[i].has_private && keys[i].cert != NULL && X509_cmp(keys[i].cert, a->cert) == 0 &&
		    span_eq(span_of(keys[i].id, keys[i].id_len), span_of(a->e.id, a->e.id_len)))
			return E_OK;
	return e != E_OK
	    ? e
	    : err_set(E_IO, "token '%s' does not give back the certificate that was put on it", token_label(d->to));
}

/* Signers send their CAs' certificates along: keep those that the issuer named. */
static enum err
keep_issuers(struct attempt *a, STACK_OF(X509) * certs)
{
	enum err e = E_OK;

	for (int i = 0; e == E_OK && i < sk_X509_num(certs); i++)
		if (X509_check_ca(sk_X509_value(certs, i)) == 1)
			e = store_issuer_add(a->d->store, sk_X509_value(certs, i));
	return e;
}

enum err
attempt_keep_issuers(struct attempt *a)
{
	enum err e = keep_issuers(a, a->d->cacerts);

	return e == E_OK ? keep_issuers(a, a->issued.certs) : e;
}

static enum err
step_record(struct attempt *a)
{
	enum err e = attempt_keep_issuers(a);

	return e != E_OK ? e : derive_record(a->d, &a->e, a->cert);
}

struct step {
	const char *text;
	enum err (*run)(struct attempt *);
};

static const struct step made_here[] = {
	{ "looking at the policy", step_judge },
	{ "looking for a request under way", wait_resume },
	{ "asking what the issuer wants", step_attrs },
	{ "finding a place on the token", step_place },
	{ "generating the key in the token", step_generate },
	{ "looking at what is known of the key", assure_key },
	{ "requesting the certificate", wait_enrol },
	{ "checking the certificate", step_check },
	{ "noting the certificate", step_keep },
	{ "installing the certificate", attempt_install },
	{ "recording the credential", step_record },
	{ NULL, NULL },
};

static const struct step made_there[] = {
	{ "looking at the policy", step_judge },
	{ "looking for a request under way", wait_resume },
	{ "finding a place on the token", keygen_place },
	{ "trying whether the token takes keys", keygen_probe },
	{ "asking what the issuer wants", keygen_attrs },
	{ "generating a key to receive the key with", keygen_generate },
	{ "requesting key and certificate", wait_enrol },
	{ "opening the key", keygen_open },
	{ "checking the certificate", step_check },
	{ "noting certificate and wrapped key", keygen_keep },
	{ "bringing the key to the token", keygen_import },
	{ "looking at what is known of the key", assure_key },
	{ "installing the certificate", keygen_install },
	{ "recording the credential", keygen_record },
	{ NULL, NULL },
};

static void
attempt_clear(struct attempt *a)
{
	EVP_PKEY_free(a->key);
	EVP_PKEY_free(a->pub);
	EVP_PKEY_free(a->imported);
	proto_issued_free(&a->issued);
	proto_attrs_free(&a->attrs);
	enrolment_clear(&a->e);
}

/* A certificate that is not wanted, or has no place: nobody shall have it. The failure is that of the caller. */
static void
attempt_take_back(struct attempt *a)
{
	const struct derive *d = a->d;
	char serial[64];

	if (a->cert == NULL || a->imported != NULL || d->proto->revoke == NULL) /* keygen_blame() */
		return;
	cert_serial(a->cert, serial, sizeof serial);
	if (d->proto->revoke(d->conn, a->cert, CRL_REASON_CESSATION_OF_OPERATION) != E_OK)
		log_warn("derive.not_revoked", "serial=%s %s", serial, err_msg());
	else if (store_event(d->store, "revoked", serial) != E_OK)
		log_warn("derive.event", "%s", err_msg());
}

/* The sentence stays that of the failure; when undoing fails too, it says what is left. */
static enum err
attempt_undo(struct attempt *a, enum err e)
{
	char *why;

	if (a->e.row == 0 || wait_keeps(a, &e))
		return e;
	e = keygen_blame(a, e);
	why = strdup(err_msg());
	attempt_take_back(a);
	EVP_PKEY_free(a->key);
	a->key = NULL;
	if (derive_undo(a->d, &a->e, why != NULL ? why : err_text(e)) == E_OK)
		e = err_set(e, "%s%s", why != NULL ? why : err_text(e),
		    a->d->lost
			? "; the old key had made room for the new one: derive a new credential with the PIV card"
			: "");
	else
		e = err_set(e,
		    "%s. An unfinished key may be left on token '%s': run 'dpiv derive' again with the token there, "
		    "and "
		    "it is removed",
		    why != NULL ? why : err_text(e), a->e.token_label);
	free(why);
	return e;
}

enum err
derive_role(struct derive *d, enum role role)
{
	const struct step *steps = role == ROLE_ENCRYPT && d->req->encrypt != KEY_GENERATE ? made_there : made_here;
	struct attempt a = { .d = d, .e = { .role = role } };
	enum err e = E_OK;

	for (const struct step *s = steps; e == E_OK && s->run != NULL; s++) {
		derive_step(d, "%s: %s", role_info(role)->name, s->text);
		log_info("derive.step", "role=%s step=\"%s\"", role_info(role)->name, s->text);
		e = derive_stopped(d);
		if (e == E_OK)
			e = s->run(&a);
	}
	if (e == E_OK)
		derive_result_add(d, &a.e, a.cert, false, false);
	else
		e = attempt_undo(&a, e);
	attempt_clear(&a);
	return e;
}
