/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The end of a credential (SP 800-157r1, 2.4): the issuer is asked to revoke the certificate, then the key and what
 * belongs to it are destroyed on the token, in that order: the key signs the request. Both steps are in the store
 * before they are taken. Nothing is destroyed that is not this credential's: a certificate or key of somebody else
 * under the same identifier stays, and is said. When the token is lost the PIV card asks instead; a key that is found
 * again is destroyed by the next run that has its token.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/x509v3.h>

#include "base/log.h"
#include "derive/derive_int.h"

static enum err
revoke_foreign(const struct derive *d)
{
	return err_set(E_POLICY,
	    "token '%s' has objects of another credential under the identifier of this one; nothing was destroyed",
	    token_label(d->to));
}

static bool
key_has_id(const struct token_key *k, const struct credential *c)
{
	return span_eq(span_of(k->id, k->id_len), span_of(c->id, c->id_len));
}

/* Is what is there, as far as it is there, this credential's? */
static enum err
revoke_ours(struct derive *d, const struct credential *c)
{
	const struct token_key *keys;
	EVP_PKEY *key = NULL;
	bool fits = true;
	char label[64];
	size_t n, all, labelled;
	enum err e = token_login(d->to);

	if (e == E_OK)
		e = token_keys(d->to, &keys, &n);
	for (size_t i = 0; e == E_OK && i < n; i++)
		if (key_has_id(&keys[i], c) && keys[i].cert != NULL && X509_cmp(keys[i].cert, c->cert) != 0)
			fits = false;
	if (e == E_OK) {
		e = token_pkey(d->to, c->id, c->id_len, &key);
		fits = fits && (e != E_OK || EVP_PKEY_eq(X509_get0_pubkey(c->cert), key) == 1);
		e = e == E_NOTFOUND ? E_OK : e;
	}
	EVP_PKEY_free(key);
	/* labels of somebody else beside dpiv's; a token that names its objects itself has none of dpiv's */
	if (e == E_OK)
		e = token_count(d->to, c->id, c->id_len, derive_label(c->role, c->cert, label), &all, &labelled);
	if (e == E_OK && labelled > 0 && labelled < all)
		fits = false;
	return e == E_OK && !fits ? revoke_foreign(d) : e;
}

/* had: an earlier run has begun, and what it wrote down stays whatever happens. */
static enum err
revoke_ask(struct derive *d, bool had)
{
	enum err e = store_revoke_begin(d->store, &d->old, d->reason);

	if (e == E_OK && (d->how & DERIVE_UNASKED) != 0)
		return store_revoke_asked(d->store, &d->old, "the issuer was not asked");
	if (e == E_OK)
		e = (d->how & DERIVE_LOST) != 0 ? derive_by_card(d) : renew_connect(d);
	derive_step(d, "asking the issuer to revoke");
	if (e == E_OK)
		e = d->proto->revoke(d->conn, d->old.cert, d->reason);
	if (e == E_UNSUP && !had) {
		char *why = strdup(err_msg());

		if (store_revoke_drop(d->store, &d->old, "the issuer cannot be asked") == E_OK)
			e = err_set(E_UNSUP, "%s", why != NULL ? why : err_text(E_UNSUP));
		free(why);
	}
	return e == E_OK ? store_revoke_asked(d->store, &d->old, "the issuer was asked to revoke it") : e;
}

/* What there is of it: *had, and how far it is. */
static enum err
revoke_begun(struct derive *d, enum revoke_step *step, bool *had)
{
	char serial[64];
	enum err e = store_revoke_get(d->store, d->old.row, step);

	*had = e == E_OK;
	if (e != E_OK && e != E_NOTFOUND)
		return e;
	if (*step == REVOKE_ASK && (d->how & DERIVE_UNASKED) == 0 && d->proto->revoke == NULL)
		return err_set(E_UNSUP,
		    "the protocol %s has no revocation; ask the issuer (%s) to revoke serial number %s", d->proto->name,
		    d->req->issuer, cert_serial(d->old.cert, serial, sizeof serial));
	return E_OK;
}

static enum err
key_destroy(struct derive *d, const struct credential *c)
{
	return token_has_places(d->to) ? place_destroy(d, c) : token_destroy(d->to, c->id, c->id_len);
}

static enum err
revoke_destroy(struct derive *d, bool gone)
{
	bool keep = false;
	int reason;
	enum err e = store_revoke_facts(d->store, d->old.row, &reason, &keep);

	if (e == E_OK && !keep && !gone) {
		derive_step(d, "destroying the key");
		e = key_destroy(d, &d->old);
	}
	return e == E_OK ? store_revoke_done(d->store, &d->old) : e;
}

static enum err
revoke_run(struct derive *d)
{
	enum revoke_step step = REVOKE_ASK;
	bool had = false, gone;
	enum err e = renew_open(d);

	if (e == E_OK)
		e = revoke_begun(d, &step, &had);
	if (e == E_OK)
		e = revoke_ours(d, &d->old);
	/* what took its place may have its identifier */
	gone = e == E_POLICY && (!d->old.active || (had && d->reason == CRL_REASON_SUPERSEDED));
	if (gone)
		e = E_OK;
	if (e == E_OK && step == REVOKE_ASK)
		e = revoke_ask(d, had);
	return e == E_OK ? revoke_destroy(d, gone) : e;
}

/* --- a token that is gone ----------------------------------------------------------------------------------------- */

static enum err
lost_run(struct derive *d)
{
	enum revoke_step step = REVOKE_ASK;
	bool had = false;
	enum err e = store_cred_find(d->store, d->credential, &d->old);

	if (e == E_OK)
		e = revoke_begun(d, &step, &had);
	if (e == E_OK && step == REVOKE_ASK)
		e = revoke_ask(d, had);
	return e == E_OK ? store_revoke_lost(d->store, &d->old, "its token is lost") : e;
}

static bool
lost_is_here(const struct derive *d, const struct credential *c)
{
	return strcmp(c->token_serial, token_serial_number(d->to)) == 0 &&
	    strcmp(c->token_label, token_label(d->to)) == 0;
}

enum err
revoke_lost_keys(struct derive *d)
{
	enum err e = E_OK;
	size_t i = 0;

	while (e == E_OK) {
		struct credential c;

		e = store_lost_get(d->store, i, &c);
		if (e != E_OK)
			break;
		if (!lost_is_here(d, &c)) {
			i++; /* rows that are dealt with vanish from the list */
		} else {
			derive_step(d, "destroying a key that was lost and is revoked");
			e = revoke_ours(d, &c);
			if (e == E_OK)
				e = key_destroy(d, &c);
			else if (e == E_POLICY) {
				log_warn("derive.lost", "token=%s %s", c.token_label, err_msg());
				e = E_OK;
			}
			if (e == E_OK)
				e = store_revoke_done(d->store, &c);
		}
		credential_clear(&c);
	}
	return e == E_NOTFOUND ? E_OK : e;
}

enum err
derive_revoke(const struct derive_req *req, int64_t credential, int reason, unsigned how)
{
	size_t n = 0;
	struct derive_result results[2 * ROLE_COUNT];
	struct derive d = { .req = req,
		.credential = credential,
		.reason = reason,
		.how = how,
		.revokes = true,
		.results = results,
		.n_results = &n };

	return derive_around(&d, (how & DERIVE_LOST) != 0 ? lost_run : revoke_run);
}

bool
derive_can_revoke(const char *protocol)
{
	const struct proto *p;

	return proto_find(protocol, &p) == E_OK && p->revoke != NULL;
}
