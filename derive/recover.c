/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Recovery of escrowed keys: PKI-AUTH with the card (FIPS 201-3, 6.2.3.1), a request with a key pair that is made for
 * this once, and the keys, each wrapped to it (keywrap.h). Here that key pair lives in this process's memory and not on
 * a token: a recovery can be asked for again, so there is nothing that has to outlive an interruption, and a card that
 * takes keys has no place to spare for one that lives for a second. In memory the keys are for the moment before they
 * go into the token, as those of history import are.
 */
#include "derive/derive_int.h"
#include "derive/keywrap.h"
#include "derive/recover.h"

struct recovery {
	recover_fn *fn;
	void *arg;
};

static enum err
ask(struct derive *d, EVP_PKEY *way, struct proto_issued *out)
{
	struct proto_attrs attrs = { .binding = false };
	struct proto_request rq = { .role = ROLE_ENCRYPT,
		.subject = X509_get_subject_name(d->card.cert),
		.pub = way,
		.key = way,
		.attrs = &attrs,
		.source = KEY_RECOVER };
	enum err e = d->proto->attrs(d->conn, ROLE_ENCRYPT, &attrs);

	derive_step(d, "asking for the keys");
	if (e == E_OK)
		e = d->proto->enrol(d->conn, &rq, out);
	proto_attrs_free(&attrs);
	if (e == E_OK && !d->proto->authenticated(d->conn))
		e = err_set(E_POLICY, "%s gave keys without asking for the card; it cannot know whose they are",
		    d->proto->server(d->conn));
	return e;
}

static enum err
open_one(struct derive *d, EVP_PKEY *way, struct keygen_item *it, const struct recovery *r)
{
	const struct keywrap_trust trust = { d->anchors, d->cacerts };
	X509 *leaf = cert_leaf(it->certs);
	EVP_PKEY *key = NULL;
	enum err e = keywrap_open(wbuf_view(&it->wrapped), way, &trust, &key);

	if (e == E_CRYPTO)
		e = err_crypto(E_PROTO, "a key was sent that is encrypted for somebody else");
	if (e == E_OK && (leaf == NULL || EVP_PKEY_eq(X509_get0_pubkey(leaf), key) != 1))
		e = err_crypto(E_PROTO, "a key was sent with a certificate that is not its own");
	if (e != E_OK)
		e = err_up(e, "%s", d->proto->server(d->conn));
	else
		e = r->fn(r->arg, key, leaf, it->certs);
	EVP_PKEY_free(key);
	return e;
}

static enum err
recover_run(struct derive *d)
{
	struct proto_issued issued = { .certs = NULL };
	EVP_PKEY *way = NULL;
	enum err e;

	if (!d->proto->keys)
		return err_set(E_UNSUP, "keys are recovered from a dpiv-issuer, over EST, not %s", d->proto->name);
	derive_step(d, "looking at the token");
	if ((e = derive_open_target(d)) == E_OK && (e = derive_judge(d)) == E_OK)
		e = derive_by_card(d);
	if (e == E_OK && (way = EVP_EC_gen("P-384")) == NULL)
		e = err_crypto(E_CRYPTO, "cannot generate a key");
	if (e == E_OK)
		e = ask(d, way, &issued);
	for (size_t i = 0; e == E_OK && issued.keys != NULL && i < issued.keys->n; i++)
		if ((e = derive_stopped(d)) == E_OK)
			e = open_one(d, way, &issued.keys->item[i], d->recovery);
	proto_issued_free(&issued);
	EVP_PKEY_free(way);
	return e;
}

enum err
recover_keys(const struct derive_req *req, recover_fn *fn, void *arg)
{
	const struct recovery r = { fn, arg };
	struct derive_result none;
	size_t n = 0;
	struct derive d = { .req = req, .results = &none, .n_results = &n, .recovery = &r };

	return derive_around(&d, recover_run);
}
