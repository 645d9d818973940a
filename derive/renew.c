/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Renewing: what a credential's own key asks for while it is valid (SP 800-157r1, 2.3.1: remote re-key
 * over a session that the present credential authenticates; never without a new key, never from an expired one). The
 * card is not needed; whether it is still good is the issuer's to check. A certificate that only signs mail or only
 * encrypts cannot authenticate a TLS client, so the authentication credential of the same issuer on the same token asks
 * for it where there is one. The new certificate is judged by the rules of a first one, against the card's certificate
 * that the store has kept. What moves to another issuer, or has to say something else than before, is bound by the card
 * like a first one (2.2.3: only a PIV card binds), and the old credential is revoked after that.
 */
#include <string.h>
#include <time.h>

#include "derive/derive_int.h"
#include "derive/person.h"

/* The authentication credential beside this one. */
static bool
renew_sibling(const struct derive *d, const struct credential *c)
{
	return c->active && c->role == ROLE_AUTH && strcmp(c->issuer, d->old.issuer) == 0 &&
	    strcmp(c->token_serial, d->old.token_serial) == 0 && strcmp(c->token_label, d->old.token_label) == 0 &&
	    cert_not_after(c->cert) > time(NULL);
}

/* Its own key, if that is still there. */
static enum err
identity_own(struct derive *d)
{
	enum err e = token_pkey(d->to, d->old.id, d->old.id_len, &d->id_key);

	if (e == E_OK && EVP_PKEY_eq(X509_get0_pubkey(d->old.cert), d->id_key) != 1) {
		EVP_PKEY_free(d->id_key);
		d->id_key = NULL;
		e = err_set(E_NOTFOUND, "the key of the credential is not on token '%s' any more", token_label(d->to));
	}
	if (e == E_OK && X509_up_ref(d->old.cert) == 1)
		d->id_cert = d->old.cert;
	return e;
}

static enum err
identity_sibling(struct derive *d)
{
	struct credential c = { .row = 0 };
	bool found = false;
	enum err e = E_OK;

	for (size_t i = 0; e == E_OK && !found; i++) {
		credential_clear(&c);
		e = store_cred_get(d->store, i, &c);
		found = e == E_OK && renew_sibling(d, &c);
	}
	if (found)
		e = token_pkey(d->to, c.id, c.id_len, &d->id_key);
	if (found && e == E_OK && X509_up_ref(c.cert) == 1)
		d->id_cert = c.cert;
	credential_clear(&c);
	return e;
}

/* The credential that asks. For a revocation E_NOTFOUND when none can. */
static enum err
renew_identity(struct derive *d)
{
	bool asks = d->proto->asks(d->old.role);
	enum err e = asks ? identity_own(d) : E_NOTFOUND;

	if (e == E_NOTFOUND && (d->revokes || !asks))
		e = identity_sibling(d);
	return e == E_NOTFOUND && !d->revokes && !asks ? identity_own(d) : e;
}

static enum err
renew_find(struct derive *d)
{
	char name[64];
	enum err e = store_cred_find(d->store, d->credential, &d->old);

	if (e != E_OK)
		return e;
	if (!d->old.active && !d->revokes)
		return err_set(E_NOTFOUND,
		    "the %s credential of %s is no longer in use; derive a new one with the PIV card (dpiv derive)",
		    role_info(d->old.role)->what, cert_name(d->old.cert, name, sizeof name));
	if (strcmp(d->old.token_serial, token_serial_number(d->to)) != 0 ||
	    strcmp(d->old.token_label, token_label(d->to)) != 0)
		return err_set(
		    E_ARG, "the credential is on token '%s', not on '%s'", d->old.token_label, token_label(d->to));
	if (!d->moves && strcmp(d->old.issuer, d->req->issuer) != 0)
		return err_set(E_ARG, "the credential was issued by %s, not by %s", d->old.issuer, d->req->issuer);
	return E_OK;
}

/* Can it be renewed? Its card's certificate is what the new one is judged by. */
static enum err
renew_may(struct derive *d)
{
	enum revoke_step step;

	if (store_revoke_get(d->store, d->old.row, &step) == E_OK)
		return err_set(E_POLICY, "it is being revoked; 'dpiv revoke' goes on with that");
	if (d->old.issuer[0] == '\0')
		return err_set(E_STORE,
		    "the state store does not know who issued it (it was rebuilt from the token); add an [issuer NAME] "
		    "section with url and cafile to dpiv.conf and run 'dpiv status'");
	if (d->old.card == NULL)
		return err_set(E_STORE,
		    "the state store does not know from which card this credential was derived (it was rebuilt from "
		    "the "
		    "token); insert the PIV card and run 'dpiv status', which reads it without a PIN");
	if (cert_not_after(d->old.cert) <= time(NULL))
		return err_set(E_EXPIRED,
		    "the certificate has expired, and only one that is valid can be renewed; derive a new credential "
		    "with the PIV card (dpiv derive --again)");
	return X509_up_ref(d->old.card) == 1 ? (d->card.cert = d->old.card, E_OK) : err_set(E_NOMEM, "out of memory");
}

enum err
renew_open(struct derive *d)
{
	enum err e;

	derive_step(d, "looking at the token");
	e = derive_open_target(d);
	if (e == E_OK)
		e = derive_recover(d);
	return e == E_OK ? renew_find(d) : e;
}

enum err
renew_connect(struct derive *d)
{
	enum err e = token_login(d->to);

	if (e == E_OK)
		e = renew_identity(d);
	if (e == E_NOTFOUND && d->revokes)
		return derive_by_card(d);
	derive_step(d, "authenticating to the issuer with the present credential");
	return e == E_OK ? derive_open_conn(d) : e;
}

/* An earlier run was cut short after the issuer had answered, and this one has finished it. */
static bool
renew_finished(const struct derive *d)
{
	for (size_t i = 0; i < *d->n_results; i++)
		if (d->results[i].finished && d->results[i].role == d->old.role)
			return true;
	return false;
}

static enum err
renew_run(struct derive *d)
{
	bool waits;
	enum err e = renew_open(d);

	if (e == E_NOTFOUND && renew_finished(d))
		return E_OK;
	if (e == E_OK)
		e = renew_may(d);
	if (e == E_OK)
		e = derive_judge(d);
	if (e == E_OK)
		e = assure_target(d);
	if (e == E_OK)
		e = wait_planned(d, d->old.role, &waits);
	if (e == E_OK)
		e = renew_connect(d);
	return e == E_OK ? derive_role(d, d->old.role) : e;
}

/* Somebody else's card would certify somebody else, and then end this credential. */
static enum err
move_person(struct derive *d)
{
	char mine[64], theirs[64];

	if (person_same(d->old.card, d->card.cert, NULL) == PERSON_SAME)
		return E_OK;
	return err_set(E_POLICY,
	    "the card in the reader is that of %s, and nothing shows that this is the person of the credential (%s); "
	    "derive a new credential with it (dpiv derive), and end the old one with 'dpiv revoke'",
	    cert_name(d->card.cert, theirs, sizeof theirs), cert_name(d->old.cert, mine, sizeof mine));
}

static enum err
move_run(struct derive *d)
{
	enum revoke_step step;
	bool waits;
	enum err e = renew_open(d);

	if (e == E_OK && renew_finished(d))
		return E_OK;
	if (e == E_OK && store_revoke_get(d->store, d->old.row, &step) == E_OK)
		e = err_set(E_POLICY, "it is being revoked; 'dpiv revoke' goes on with that");
	if (e == E_OK && d->old.card == NULL)
		e = err_set(E_STORE, "the state store has lost the card's certificate of this credential");
	if (e == E_OK)
		e = derive_judge(d);
	if (e == E_OK)
		e = wait_planned(d, d->old.role, &waits);
	if (e == E_OK)
		e = derive_by_card(d);
	if (e == E_OK)
		e = move_person(d);
	return e == E_OK ? derive_role(d, d->old.role) : e;
}

static enum err
clear_run(struct derive *d)
{
	enum err e = derive_open_target(d);

	return e == E_OK ? derive_recover(d) : e;
}

enum err
derive_renew(const struct derive_req *req, int64_t credential, struct derive_result *results, size_t *n)
{
	struct derive d = { .req = req, .credential = credential, .results = results, .n_results = n };

	*n = 0;
	return derive_around(&d, renew_run);
}

enum err
derive_move(const struct derive_req *req, int64_t credential, struct derive_result *results, size_t *n)
{
	struct derive d = { .req = req, .credential = credential, .moves = true, .results = results, .n_results = n };

	*n = 0;
	return derive_around(&d, move_run);
}

enum err
derive_clear(const struct derive_req *req, struct derive_result *results, size_t *n)
{
	struct derive d = { .req = req, .results = results, .n_results = n };

	*n = 0;
	return derive_around(&d, clear_run);
}
