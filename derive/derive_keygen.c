/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An encryption key that is not made on the token: the issuer makes it (EST serverkeygen, RFC 7030, 4.4) or has kept it
 * (SP 800-157r1, App. A; Common Policy 6.2.3: encryption keys are escrowed). It comes inside of TLS and of a CMS
 * envelope (SP 800-157r1, 2.2.1) to a key pair that is made on the token for this once, is opened in this process's
 * memory, goes into the token (sensitive, not extractable), and the key pair for the way is destroyed.
 *
 * The journal names the key pair for the way as long as it may exist. Once certificate and wrapped key are in the
 * journal, which is before anything of them is on the token, a run that is cut off is finished by the next without the
 * issuer. What is recorded and what has still to be destroyed change in one transaction (store_enrol_renewed).
 *
 * Whether the token takes keys at all is tried before the issuer is asked, with a key of no use and no duration.
 *
 * On a PIV token the key pair for the way is made in the place where a new key of the token's own would be made
 * (derive_place.c), and the key that came takes its place: nothing is left to be destroyed, and from then on all is as
 * with a key of the token's own. The trial is made in that place, too.
 */
#include <string.h>
#include <stdlib.h>
#include <stdio.h>

#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "base/log.h"
#include "derive/derive_int.h"
#include "derive/keywrap.h"

#define WAY_LABEL  "dpiv key for a key's way"
#define WAY_ID_LEN 16

/* What the issuer or the person would have to change. */
static enum err
keygen_possible(const struct attempt *a)
{
	const struct derive *d = a->d;

	if (!d->proto->keys)
		return err_set(E_UNSUP,
		    "encryption keys that the issuer makes or keeps come over EST, not %s; set protocol = est or "
		    "encrypt = generate in dpiv.conf",
		    d->proto->name);
	if (d->req->encrypt == KEY_SERVERKEYGEN && d->old.cert != NULL)
		return err_set(E_UNSUP,
		    "the issuer makes the key of an encryption credential for the PIV card only; derive a new one with "
		    "it: dpiv derive --again --role encrypt");
	return E_OK;
}

/* A request that is under way with a key of the other kind cannot be gone on with. */
enum err
keygen_place(struct attempt *a)
{
	struct derive *d = a->d;
	enum err e = keygen_possible(a);

	if (e != E_OK)
		return e;
	if (a->resumed && strcmp(a->e.label, WAY_LABEL) != 0)
		return err_set(
		    E_POLICY, "the request that is under way is for a key of the token's own; begin anew with --again");
	if (a->resumed)
		return E_OK;
	snprintf(a->e.label, sizeof a->e.label, "%s", WAY_LABEL);
	if (token_has_places(d->to)) {
		if ((e = token_writable(d->to)) == E_OK && (e = place_choose(a)) == E_OK &&
		    (e = attempt_begin(a)) == E_OK)
			e = place_note(a);
		return e;
	}
	a->e.id_len = WAY_ID_LEN;
	if (RAND_bytes(a->e.id, WAY_ID_LEN) != 1)
		return err_crypto(E_CRYPTO, "no random numbers");
	return attempt_begin(a);
}

enum err
keygen_probe(struct attempt *a)
{
	const struct derive_req *r = a->d->req;
	enum token_alg alg = r->alg_chosen ? r->alg : TOKEN_RSA2048;

	if (a->resumed)
		return E_OK;
	if (token_has_places(a->d->to))
		return token_bring_probe(a->d->to, alg, a->e.id, a->e.id_len);
	return token_import_probe(a->d->to, alg);
}

enum err
keygen_attrs(struct attempt *a)
{
	return a->d->proto->attrs(a->d->conn, a->e.role, &a->attrs);
}

/* Which RSA keys a PIV token makes shows when it is asked to: many make none of 3072 bits. */
static enum err
generate_in_place(struct attempt *a)
{
	enum err e = token_can(a->d->to, TOKEN_RSA3072, TOKEN_USE_DECRYPT);

	a->alg = TOKEN_RSA3072;
	if (e == E_OK)
		e = place_generate(a, TOKEN_USE_DECRYPT);
	if (e != E_UNSUP && e != E_ARG)
		return e;
	a->alg = TOKEN_RSA2048;
	return place_generate(a, TOKEN_USE_DECRYPT);
}

/*
 * P-384 is as strong as the strongest key that it may have to carry (SP 800-57, 5.6.1); some tokens have RSA alone, and
 * on a PIV token an EC key in a place for encryption cannot sign the request.
 */
enum err
keygen_generate(struct attempt *a)
{
	struct token *t = a->d->to;
	enum err e;

	if (a->resumed)
		return E_OK;
	if (token_has_places(t)) {
		e = generate_in_place(a);
	} else {
		a->alg = token_can(t, TOKEN_P384, TOKEN_USE_DECRYPT) == E_OK ? TOKEN_P384 : TOKEN_RSA3072;
		e = token_generate(t, a->alg, TOKEN_USE_DECRYPT, a->e.label, a->e.id, a->e.id_len, &a->pub);
	}
	return e == E_OK ? token_pkey(t, a->e.id, a->e.id_len, &a->key) : e;
}

/* --- what came ---------------------------------------------------------------------------------------------------- */

/* Of a person's keys in escrow the newest that is valid; serverkeygen sends one. */
static enum err
choose(struct attempt *a, struct keygen_item **out)
{
	struct keygen_reply *k = a->issued.keys;
	time_t best = 0, now = time(NULL);

	*out = NULL;
	if (a->d->req->encrypt == KEY_SERVERKEYGEN && k->n != 1)
		return err_set(E_PROTO, "%s sent %zu keys instead of one", a->d->proto->server(a->d->conn), k->n);
	for (size_t i = 0; i < k->n; i++) {
		X509 *leaf = cert_leaf(k->item[i].certs);

		if (leaf == NULL || (a->d->req->encrypt == KEY_RECOVER && cert_not_after(leaf) <= now) ||
		    (*out != NULL && cert_not_before(leaf) <= best))
			continue;
		*out = &k->item[i];
		best = cert_not_before(leaf);
	}
	if (*out == NULL)
		return err_set(E_NOTFOUND, "%s has no encryption key of yours that is still valid",
		    a->d->proto->server(a->d->conn));
	return E_OK;
}

/* The certificate is that of the key, whatever else it says is checked next. */
enum err
keygen_open(struct attempt *a)
{
	struct derive *d = a->d;
	const struct keywrap_trust trust = { d->anchors, d->cacerts };
	struct keygen_item *it;
	EVP_PKEY *key = NULL;
	enum err e = choose(a, &it);

	if (e != E_OK)
		return e;
	wbuf_init(&a->e.wrapped, KEYWRAP_MAX);
	wbuf_span(&a->e.wrapped, wbuf_view(&it->wrapped));
	a->issued.certs = it->certs;
	it->certs = NULL;
	e = keywrap_open(wbuf_view(&a->e.wrapped), a->key, &trust, &key);
	if (e == E_CRYPTO)
		e = token_failed(d->to, e, "cannot open the key that the issuer sent");
	if (e != E_OK)
		return err_up(e, "%s", d->proto->server(d->conn));
	a->imported = key;
	if (d->req->encrypt == KEY_SERVERKEYGEN && (e = policy_judge_key(d->policy, key)) != E_OK)
		return e;
	EVP_PKEY_free(a->pub);
	a->pub = NULL;
	return EVP_PKEY_up_ref(key) == 1 ? (a->pub = key, E_OK) : err_set(E_NOMEM, "out of memory");
}

/* A key that is there already, from another way, is not ours to remove if something goes wrong later: so before. */
enum err
keygen_keep(struct attempt *a)
{
	struct token_place place;
	enum err e = token_import_look(a->d->to, a->cert, &place);

	if (e == E_OK && place.how != TOKEN_IMPORTED)
		e = err_set(E_EXISTS, "this key is on token '%s' already", token_label(a->d->to));
	if (e == E_OK)
		e = store_enrol_key(a->d->store, &a->e, a->cert, wbuf_view(&a->e.wrapped));
	if (e != E_OK)
		return e;
	a->e.step = ENROL_CERT;
	return X509_up_ref(a->cert) == 1 ? (a->e.cert = a->cert, E_OK) : err_set(E_NOMEM, "out of memory");
}

/* --- into the token ----------------------------------------------------------------------------------------------- */

/* Recorded under the identifier that it has now; the key for its way is what the journal still names, and goes. */
static enum err
settle(struct derive *d, struct enrolment *e, X509 *cert, const struct token_place *place)
{
	struct enrolment row = *e; /* not owned */
	struct credential way = { .id_len = e->id_len };
	enum err err;

	memcpy(way.id, e->id, sizeof way.id);
	memcpy(row.id, place->id, sizeof row.id);
	row.id_len = place->id_len;
	derive_label(e->role, e->card, row.label);
	memcpy(e->id, row.id, sizeof e->id);
	e->id_len = row.id_len;
	err = store_enrol_renewed(d->store, &row, cert, &way, WAY_LABEL);
	if (err == E_OK && derive_clear_old(d, &row) != E_OK)
		log_warn("derive.way_key", "token=%s %s", row.token_label, err_msg());
	return err;
}

static enum err
bring(struct derive *d, const struct enrolment *e, EVP_PKEY *key, X509 *cert, struct token_place *place)
{
	char label[64];

	return token_import(d->to, key, cert, derive_label(e->role, e->card, label), place);
}

/* On a PIV token, over the key for the way: libcrypto's idea of that ends before. */
enum err
keygen_import(struct attempt *a)
{
	if (!token_has_places(a->d->to))
		return bring(a->d, &a->e, a->imported, a->cert, &a->place);
	EVP_PKEY_free(a->key);
	a->key = NULL;
	memcpy(a->place.id, a->e.id, sizeof a->place.id);
	a->place.id_len = a->e.id_len;
	return token_bring(a->d->to, a->imported, a->e.id, a->e.id_len);
}

enum err
keygen_install(struct attempt *a)
{
	return token_has_places(a->d->to) ? attempt_install(a) : E_OK; /* token_import() did */
}

enum err
keygen_record(struct attempt *a)
{
	enum err e = attempt_keep_issuers(a);

	if (e == E_OK && token_has_places(a->d->to))
		return derive_record(a->d, &a->e, a->cert);
	return e == E_OK ? settle(a->d, &a->e, a->cert, &a->place) : e;
}

/* The next run: certificate and wrapped key are in the journal, the key for the way should be on the token. */
static enum err
reopen(struct derive *d, const struct enrolment *e, EVP_PKEY **out)
{
	EVP_PKEY *way = NULL;
	enum err err = token_has_places(d->to) && e->pub != NULL ? token_tell(d->to, e->id, e->id_len, e->pub) : E_OK;

	*out = NULL;
	if (err == E_OK)
		err = token_pkey(d->to, e->id, e->id_len, &way);
	if (err == E_OK)
		err = keywrap_open(wbuf_view(&e->wrapped), way, NULL, out);
	if (err == E_CRYPTO)
		err = token_failed(d->to, err, "cannot open the key that the issuer sent");
	if (err == E_OK && EVP_PKEY_eq(*out, X509_get0_pubkey(e->cert)) != 1)
		err = err_crypto(E_STORE, "the wrapped key in the state store does not belong to its certificate");
	EVP_PKEY_free(way);
	return err;
}

/* Which key is it that waits there: the one for the way, or the one that came? */
static enum err
finish_in_place(struct derive *d, struct enrolment *e)
{
	EVP_PKEY *key = NULL;
	bool there;
	enum err err = place_has(d, e, &there);

	if (err == E_OK && !there && (err = reopen(d, e, &key)) == E_OK)
		err = token_bring(d->to, key, e->id, e->id_len);
	EVP_PKEY_free(key);
	if (err == E_NOTFOUND || err == E_STORE || err == E_PROTO)
		return derive_undo(d, e, "what a run that was cut short had received cannot be opened any more");
	return err == E_OK ? derive_finish(d, e) : err;
}

enum err
keygen_finish(struct derive *d, struct enrolment *e)
{
	struct token_place place;
	EVP_PKEY *key = NULL;
	enum err err;

	if (token_has_places(d->to))
		return finish_in_place(d, e);
	err = token_import_look(d->to, e->cert, &place);
	if (err == E_OK && place.how != TOKEN_HAD) {
		err = reopen(d, e, &key);
		if (err == E_OK)
			err = bring(d, e, key, e->cert, &place);
	}
	EVP_PKEY_free(key);
	if (err == E_NOTFOUND || err == E_STORE || err == E_PROTO)
		return derive_undo(d, e, "what a run that was cut short had received cannot be opened any more");
	if (err == E_OK)
		err = settle(d, e, e->cert, &place);
	if (err == E_OK)
		derive_result_add(d, e, e->cert, false, true);
	return err;
}

/* --- when it fails ------------------------------------------------------------------------------------------------ */

enum err
keygen_undo(struct derive *d, const struct enrolment *e)
{
	struct token_place place;
	char label[64];
	size_t all, labelled;
	enum err err = e->cert != NULL && e->wrapped.n > 0 ? token_import_look(d->to, e->cert, &place) : E_NOTFOUND;

	if (err != E_OK)
		return err == E_NOTFOUND || err == E_EXISTS ? E_OK : err;
	err = token_count(d->to, place.id, place.id_len, derive_label(e->role, e->card, label), &all, &labelled);
	return err == E_OK && all > 0 && all == labelled ? token_destroy(d->to, place.id, place.id_len) : err;
}

enum err
keygen_blame(struct attempt *a, enum err e)
{
	char serial[64];
	char *why;
	X509 *leaf = cert_leaf(a->issued.certs);

	if (a->d->req->encrypt != KEY_SERVERKEYGEN || a->e.role != ROLE_ENCRYPT || leaf == NULL)
		return e;
	why = strdup(err_msg());
	cert_serial(leaf, serial, sizeof serial);
	log_warn("derive.issued_unused", "serial=%s", serial);
	if (a->d->proto->revoke != NULL &&
	    a->d->proto->revoke(a->d->conn, leaf, CRL_REASON_CESSATION_OF_OPERATION) == E_OK)
		e = err_set(e, "%s. The certificate %s that had been issued is revoked",
		    why != NULL ? why : err_text(e), serial);
	else
		e = err_set(e, "%s. A certificate was issued already and is of no use: ask %s to revoke serial %s",
		    why != NULL ? why : err_text(e), a->d->req->issuer, serial);
	free(why);
	return e;
}
