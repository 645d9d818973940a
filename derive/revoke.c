/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The end of a credential (SP 800-157r1, 2.4): the issuer is asked to revoke the certificate, then the key and what
 * belongs to it are destroyed on the token, in that order: the key signs the request. Both steps are in the store
 * before they are taken. Nothing is destroyed that is not this credential's: a certificate or key of somebody else
 * under the same identifier stays, and is said.
 */
#include <time.h>

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
revoke_ours(struct derive *d)
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
		if (key_has_id(&keys[i], &d->old) && keys[i].cert != NULL && X509_cmp(keys[i].cert, d->old.cert) != 0)
			fits = false;
	if (e == E_OK) {
		e = token_pkey(d->to, d->old.id, d->old.id_len, &key);
		fits = fits && (e != E_OK || EVP_PKEY_eq(X509_get0_pubkey(d->old.cert), key) == 1);
		e = e == E_NOTFOUND ? E_OK : e;
	}
	EVP_PKEY_free(key);
	/* labels of somebody else beside dpiv's; a token that names its objects itself has none of dpiv's */
	if (e == E_OK)
		e = token_count(
		    d->to, d->old.id, d->old.id_len, derive_label(d->old.role, d->old.cert, label), &all, &labelled);
	if (e == E_OK && labelled > 0 && labelled < all)
		fits = false;
	return e == E_OK && !fits ? revoke_foreign(d) : e;
}

static enum err
revoke_ask(struct derive *d)
{
	enum err e = store_revoke_begin(d->store, &d->old, d->reason);

	if (e == E_OK && d->unasked)
		return store_revoke_asked(d->store, &d->old, "the issuer was not asked");
	if (e == E_OK)
		e = renew_connect(d);
	derive_step(d, "asking the issuer to revoke");
	if (e == E_OK)
		e = d->proto->revoke(d->conn, d->old.cert, d->reason);
	return e == E_OK ? store_revoke_asked(d->store, &d->old, "the issuer was asked to revoke it") : e;
}

static enum err
revoke_run(struct derive *d)
{
	enum revoke_step step = REVOKE_ASK;
	char serial[64];
	enum err e = renew_open(d);

	if (e != E_OK)
		return e;
	e = store_revoke_get(d->store, d->old.row, &step);
	if (e == E_NOTFOUND)
		e = E_OK;
	if (e == E_OK && step == REVOKE_ASK && !d->unasked && d->proto->revoke == NULL)
		return err_set(E_UNSUP,
		    "the protocol %s has no revocation; ask the issuer (%s) to revoke serial number %s", d->proto->name,
		    d->req->issuer, cert_serial(d->old.cert, serial, sizeof serial));
	if (e == E_OK)
		e = revoke_ours(d);
	if (e == E_OK && step == REVOKE_ASK)
		e = revoke_ask(d);
	derive_step(d, "destroying the key");
	if (e == E_OK)
		e = token_has_places(d->to) ? place_destroy(d, &d->old)
					    : token_destroy(d->to, d->old.id, d->old.id_len);
	return e == E_OK ? store_revoke_done(d->store, &d->old) : e;
}

enum err
derive_revoke(const struct derive_req *req, int64_t credential, int reason, bool unasked)
{
	size_t n = 0;
	struct derive_result results[2 * ROLE_COUNT];
	struct derive d = { .req = req,
		.credential = credential,
		.reason = reason,
		.unasked = unasked,
		.results = results,
		.n_results = &n };

	return derive_around(&d, revoke_run);
}

bool
derive_can_revoke(const char *protocol)
{
	const struct proto *p;

	return proto_find(protocol, &p) == E_OK && p->revoke != NULL;
}
