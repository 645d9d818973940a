/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What earlier runs left behind. A row in the journal says that a key may be on the token under this CKA_ID and
 * CKA_LABEL. Without a certificate it is removed, unless the issuer may have certified it (derive_wait.c); with one
 * (the issuer had answered) the installation is finished when the key is there and fits. Nothing is removed that does
 * not carry dpiv's own label: another program may have taken the identifier since.
 */
#include <string.h>

#include "base/log.h"
#include "derive/derive_int.h"

static bool
enrol_is_here(const struct derive *d, const struct enrolment *e)
{
	return strcmp(e->token_serial, token_serial_number(d->to)) == 0 &&
	    strcmp(e->token_label, token_label(d->to)) == 0;
}

enum err
derive_undo(struct derive *d, struct enrolment *e, const char *why)
{
	size_t all, labelled;
	enum err err;

	if (token_has_places(d->to)) {
		err = place_undo(d, e);
		return err == E_OK ? store_enrol_undone(d->store, e, why) : err;
	}
	err = token_count(d->to, e->id, e->id_len, e->label, &all, &labelled);
	if (err == E_OK && all > 0 && all == labelled)
		err = token_destroy(d->to, e->id, e->id_len);
	else if (err == E_OK && all > 0)
		log_warn("derive.undo", "token=%s objects of another program under the same identifier are left alone",
		    e->token_label);
	if (err == E_OK)
		err = keygen_undo(d, e);
	return err == E_OK ? store_enrol_undone(d->store, e, why) : err;
}

/* The old key of a renewal that is recorded, or the key that another one was wrapped for. */
enum err
derive_clear_old(struct derive *d, const struct enrolment *e)
{
	size_t all, labelled;
	enum err err = token_count(d->to, e->id, e->id_len, e->label, &all, &labelled);

	if (err == E_OK && all > 0 && all == labelled)
		err = token_destroy(d->to, e->id, e->id_len);
	return err == E_OK ? store_enrol_cleared(d->store, e) : err;
}

/* A key that decrypts is of use for as long as there is old mail. */
static bool
old_is_removed(struct derive *d, const struct enrolment *e, struct credential *old)
{
	memset(old, 0, sizeof *old);
	if (e->renews == 0 || role_decrypts(e->role) || token_has_places(d->to))
		return false;
	return store_cred_find(d->store, e->renews, old) == E_OK && enrol_is_here(d, e) &&
	    strcmp(old->token_serial, e->token_serial) == 0 && strcmp(old->token_label, e->token_label) == 0;
}

enum err
derive_record(struct derive *d, const struct enrolment *e, X509 *cert)
{
	struct enrolment row = *e; /* not owned */
	struct credential old = { .row = 0 };
	char label[64];
	enum err err;

	if (e->moves) {
		err = store_cred_find(d->store, e->renews, &old);
		if (err == E_OK)
			err = store_enrol_superseded(d->store, e, cert, &old);
	} else if (old_is_removed(d, e, &old)) {
		err = store_enrol_renewed(d->store, &row, cert, &old, derive_label(old.role, old.cert, label));
		if (err == E_OK && derive_clear_old(d, &row) != E_OK)
			log_warn("derive.old_key", "token=%s %s", e->token_label, err_msg());
	} else {
		err = store_enrol_done(d->store, e, cert);
	}
	credential_clear(&old);
	return err;
}

static enum err
key_fits(struct derive *d, const struct enrolment *e, bool *fits)
{
	EVP_PKEY *key = NULL;
	enum err err = token_pkey(d->to, e->id, e->id_len, &key);

	*fits = err == E_OK && EVP_PKEY_eq(X509_get0_pubkey(e->cert), key) == 1;
	EVP_PKEY_free(key);
	return err == E_NOTFOUND ? E_OK : err;
}

static enum err
cert_is_there(struct derive *d, const struct enrolment *e, bool *there)
{
	const struct token_key *keys;
	size_t n;
	enum err err = token_keys(d->to, &keys, &n);

	*there = false;
	for (size_t i = 0; err == E_OK && i < n; i++)
		if (keys[i].cert != NULL && X509_cmp(keys[i].cert, e->cert) == 0)
			*there = true;
	return err;
}

enum err
derive_finish(struct derive *d, struct enrolment *e)
{
	bool fits, there;
	enum err err = token_has_places(d->to) ? place_fits(d, e, &fits) : key_fits(d, e, &fits);

	if (err == E_OK && !fits)
		return derive_undo(d, e, "the key of a run that was cut short is not there");
	if (err == E_OK)
		err = cert_is_there(d, e, &there);
	if (err == E_OK && !there)
		err = token_put_cert(d->to, e->label, e->id, e->id_len, e->cert);
	if (err == E_OK)
		err = derive_record(d, e, e->cert);
	if (err == E_OK)
		derive_result_add(d, e, e->cert, false, true);
	return err;
}

static enum err
recover_one(struct derive *d, struct enrolment *e)
{
	enum err err = token_has_places(d->to) ? E_OK : token_clear_torn(d->to);

	if (err != E_OK)
		return err;
	if (e->step == ENROL_OLD)
		return derive_clear_old(d, e);
	if (e->step == ENROL_CERT && e->cert != NULL && e->wrapped.n > 0)
		return keygen_finish(d, e);
	return e->step == ENROL_CERT && e->cert != NULL ? derive_finish(d, e)
							: derive_undo(d, e, "a run was cut short");
}

enum err
derive_recover(struct derive *d)
{
	enum err err = E_OK;
	size_t i = 0;

	while (err == E_OK) {
		struct enrolment e;

		err = store_enrol_get(d->store, i, &e);
		if (err != E_OK)
			break;
		if (!enrol_is_here(d, &e) || enrolment_pends(&e)) {
			i++; /* another token's, or the issuer's turn; rows that are dealt with vanish from the list */
		} else {
			derive_step(d, "clearing up after a run that was cut short");
			err = recover_one(d, &e);
		}
		enrolment_clear(&e);
	}
	return err == E_NOTFOUND ? revoke_lost_keys(d) : err;
}

/* Does the token still hold this credential's certificate and key? */
static enum err
cred_is_there(struct derive *d, const struct credential *c, bool *there)
{
	const struct token_key *keys;
	size_t n;
	enum err err = token_login(d->to);

	*there = false;
	if (err == E_OK)
		err = token_keys(d->to, &keys, &n);
	for (size_t i = 0; err == E_OK && i < n; i++)
		if (keys[i].has_private && keys[i].cert != NULL && X509_cmp(keys[i].cert, c->cert) == 0)
			*there = true;
	return err;
}

static bool
cred_is_ours(const struct derive *d, const struct credential *c, enum role role)
{
	return c->active && c->role == role && strcmp(c->issuer, d->req->issuer) == 0 &&
	    strcmp(c->token_serial, token_serial_number(d->to)) == 0 && strcmp(c->token_label, token_label(d->to)) == 0;
}

static void
cred_result(struct derive *d, const struct credential *c)
{
	struct enrolment e = { .role = c->role, .id_len = c->id_len, .evidence = c->evidence };

	memcpy(e.id, c->id, sizeof e.id);
	derive_result_add(d, &e, c->cert, true, false);
}

enum err
derive_existing(struct derive *d, enum role role, bool *exists)
{
	enum err err = E_OK;

	*exists = false;
	for (size_t i = 0; err == E_OK && !*exists; i++) {
		struct credential c;
		bool there = false;

		err = store_cred_get(d->store, i, &c);
		if (err == E_OK && cred_is_ours(d, &c, role)) {
			err = cred_is_there(d, &c, &there);
			if (err == E_OK && !there)
				err = store_cred_lost(d->store, &c, "it is no longer on the token");
			*exists = there && cert_not_after(c.cert) > time(NULL) &&
			    (role != ROLE_AUTH || cert_assurance(c.cert, role) >= d->req->assurance);
			if (*exists)
				cred_result(d, &c);
			if (err == E_OK && !there)
				i--; /* the list has changed: it is no longer active */
		}
		credential_clear(&c);
	}
	return err == E_NOTFOUND ? E_OK : err;
}
