/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Deriving into a PIV token (SP 800-157r1, appendix B), where a role has one place: 9A, 9C or 9D. A new key would take
 * the place of the old one before its certificate is there. So, in this order:
 *
 *   - a certificate that dpiv did not put there is never replaced: it may be a PIV card's;
 *   - where the token can move keys, the new key is made in the last free place of a retired key and waits there; with
 *     the certificate in hand the old key is destroyed, that of an encryption credential moved to a retired place, and
 *     the new one moved in. Each step can be cut off, and the next run goes on (place_settle);
 *   - where it cannot, an encryption key is not replaced at all, since old mail would be lost; another one is when the
 *     person wants it: with the card at hand, or --replace. The old certificate is put back when its key is still there
 *     (place_undo); else the credential is lost, and that is recorded and said.
 *
 * A key without a certificate is of no use to anybody: it is deleted where the token can, else left for the next one.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "derive/derive_int.h"

/* The certificate in a place; NULL: none. The token's own. */
static enum err
cert_in(struct derive *d, const uint8_t *id, size_t id_len, X509 **cert)
{
	const struct token_key *keys;
	size_t n;
	enum err e = token_login(d->to);

	*cert = NULL;
	if (e == E_OK)
		e = token_keys(d->to, &keys, &n);
	for (size_t i = 0; e == E_OK && *cert == NULL && i < n; i++)
		if (keys[i].cert != NULL && span_eq(span_of(keys[i].id, keys[i].id_len), span_of(id, id_len)))
			*cert = keys[i].cert;
	return e;
}

static bool
is_here(const struct derive *d, const struct credential *c)
{
	return strcmp(c->token_serial, token_serial_number(d->to)) == 0 &&
	    strcmp(c->token_label, token_label(d->to)) == 0;
}

/* Did dpiv put it there? */
static enum err
cert_is_ours(struct derive *d, X509 *cert, bool *ours)
{
	enum err e = E_OK;

	*ours = false;
	for (size_t i = 0; e == E_OK && !*ours; i++) {
		struct credential c;

		e = store_cred_get(d->store, i, &c);
		*ours = e == E_OK && is_here(d, &c) && X509_cmp(c.cert, cert) == 0;
		credential_clear(&c);
	}
	return e == E_NOTFOUND ? E_OK : e;
}

/* --- before the key ----------------------------------------------------------------------------------------------- */

static enum err
place_foreign(const struct derive *d, const struct role_info *r)
{
	return err_set(E_EXISTS,
	    "token '%s' has a certificate in its place for the %s key that dpiv did not put there: a PIV card cannot "
	    "be "
	    "the target, and nothing of another program is replaced; delete that certificate first, or take another "
	    "token",
	    token_label(d->to), r->what);
}

/* The old key has to make room at once, or not at all. */
static enum err
place_in_place(const struct derive *d, enum role role)
{
	const struct role_info *r = role_info(role);

	if (role == ROLE_ENCRYPT)
		return err_set(E_POLICY,
		    "token '%s' has one place for the encryption key and cannot move the old one to a retired place: "
		    "mail "
		    "that was encrypted to it could not be read any more; put the new key on another token",
		    token_label(d->to));
	if (d->old.row != 0 && !d->req->replace)
		return err_set(E_POLICY,
		    "token '%s' has one place for the %s key, so the old key is gone before the issuer has answered; "
		    "if that "
		    "fails, you need the PIV card to derive a new credential. Say --replace, or derive it anew with "
		    "the card "
		    "(dpiv derive --again)",
		    token_label(d->to), r->what);
	return E_OK;
}

/* Where the new key waits, in the last free place; the first one is for an old encryption key. */
static enum err
place_to_wait(struct attempt *a, X509 *there)
{
	uint8_t first = 0;
	enum err e = token_free_retired(a->d->to, NULL, &a->e.id[0]);

	if (e == E_OK && a->e.role == ROLE_ENCRYPT)
		e = token_free_retired(a->d->to, there, &first);
	if (e == E_OK && first == a->e.id[0])
		return err_set(E_NOSPACE,
		    "token '%s': only one place of retired keys is free, and two are needed to renew an encryption key",
		    token_label(a->d->to));
	return e;
}

enum err
place_choose(struct attempt *a)
{
	struct derive *d = a->d;
	const struct role_info *r = role_info(a->e.role);
	bool ours = false, movable = false;
	X509 *there;
	enum err e;

	a->e.id[0] = r->id;
	a->e.id_len = 1;
	if ((e = cert_in(d, a->e.id, 1, &there)) != E_OK || there == NULL)
		return e;
	if ((e = cert_is_ours(d, there, &ours)) != E_OK)
		return e;
	if (!ours)
		return place_foreign(d, r);
	if (X509_up_ref(there) != 1)
		return err_set(E_NOMEM, "out of memory");
	e = token_movable(d->to, a->e.id, 1, &movable);
	if (e == E_OK)
		e = movable ? place_to_wait(a, there) : place_in_place(d, a->e.role);
	X509_free(there);
	return e;
}

enum err
place_note(struct attempt *a)
{
	char detail[512], objects[256];
	enum err e = token_discovery(a->d->to);

	if (e == E_OK)
		e = token_objects(a->d->to, objects, sizeof objects);
	if (e != E_OK)
		return e;
	snprintf(detail, sizeof detail, "%s on token '%s': application %s, key under CKA_ID %02X; %s",
	    role_info(a->e.role)->name, a->e.token_label, token_application(a->d->to), a->e.id[0], objects);
	return store_event(a->d->store, "application", detail);
}

enum err
place_generate(struct attempt *a, enum token_use use)
{
	const struct role_info *r = role_info(a->e.role);
	bool waits = a->e.id[0] != r->id; /* in a retired place, whose keys have another rule than 9C's */
	const struct token_new n = { .alg = a->alg,
		.use = use,
		.label = a->e.label,
		.id = a->e.id,
		.id_len = a->e.id_len,
		.over = true,
		.pin_always = waits && a->e.role == ROLE_SIGN };

	return token_make(a->d->to, &n, &a->pub);
}

enum err
place_unsigned(const struct attempt *a, enum err e)
{
	if (e != E_CRYPTO && e != E_UNSUP && e != E_POLICY && e != E_IO)
		return e;
	if (!token_has_places(a->d->to) || a->e.role != ROLE_ENCRYPT || EVP_PKEY_get_base_id(a->pub) != EVP_PKEY_EC)
		return e;
	return err_set(E_UNSUP,
	    "token '%s': its encryption key does key agreement only when it is an EC key, and cannot sign the request "
	    "for "
	    "its certificate; take --alg rsa2048",
	    token_label(a->d->to));
}

/* --- with the certificate ----------------------------------------------------------------------------------------- */

static enum token_alg
alg_of(X509 *cert)
{
	EVP_PKEY *key = X509_get0_pubkey(cert);
	int bits = EVP_PKEY_get_bits(key);

	if (EVP_PKEY_is_a(key, "EC"))
		return bits == 384 ? TOKEN_P384 : TOKEN_P256;
	return bits == 3072 ? TOKEN_RSA3072 : TOKEN_RSA2048;
}

/* What is in the role's place goes: an encryption key to where it stays readable. */
static enum err
make_room(struct derive *d, const struct enrolment *e, uint8_t place)
{
	X509 *there;
	bool ours;
	uint8_t retired;
	enum err err = cert_in(d, &place, 1, &there);

	if (err != E_OK || there == NULL || X509_cmp(there, e->cert) == 0)
		return err;
	if ((err = cert_is_ours(d, there, &ours)) != E_OK)
		return err;
	if (!ours)
		return place_foreign(d, role_info(e->role));
	if (e->role != ROLE_ENCRYPT)
		return token_zeroize(d->to, &place, 1, alg_of(there), NULL);
	if (X509_up_ref(there) != 1)
		return err_set(E_NOMEM, "out of memory");
	err = token_free_retired(d->to, there, &retired);
	X509_free(there);
	return err == E_OK ? token_move(d->to, &place, 1, retired) : err;
}

/* Is the new key in this place? A run that was cut short may have moved it there, where no certificate tells of it. */
static enum err
key_in(struct derive *d, const uint8_t *id, size_t id_len, EVP_PKEY *pub, bool *yes)
{
	bool some;
	enum err e = token_movable(d->to, id, id_len, &some);

	*yes = false;
	return e == E_OK && some ? token_proves(d->to, id, id_len, pub, yes) : e;
}

enum err
place_settle(struct derive *d, struct enrolment *e)
{
	uint8_t place = role_info(e->role)->id;
	bool there = false;
	enum err err;

	if (e->id_len != 1 || e->id[0] == place)
		return E_OK;
	if ((err = make_room(d, e, place)) != E_OK ||
	    (err = key_in(d, &place, 1, X509_get0_pubkey(e->cert), &there)) != E_OK)
		return err;
	if (!there && (err = token_discard(d->to, &place, 1)) == E_OK)
		err = token_move(d->to, e->id, e->id_len, place);
	return err == E_OK ? store_enrol_moved(d->store, e, place) : err;
}

enum err
place_has(struct derive *d, const struct enrolment *e, bool *yes)
{
	EVP_PKEY *pub = X509_get0_pubkey(e->cert), *key = NULL;
	uint8_t place = role_info(e->role)->id;
	X509 *there;
	bool some;
	enum err err = cert_in(d, e->id, e->id_len, &there);

	*yes = err == E_OK && there != NULL && X509_cmp(there, e->cert) == 0;
	/* asked for by its place, a key without a certificate is looked for, too */
	if (err == E_OK && !*yes && (err = token_movable(d->to, e->id, e->id_len, &some)) == E_OK &&
	    (err = token_pkey(d->to, e->id, e->id_len, &key)) == E_OK)
		*yes = EVP_PKEY_eq(pub, key) == 1;
	EVP_PKEY_free(key);
	if (err == E_NOTFOUND)
		err = E_OK;
	return err == E_OK && !*yes && e->id[0] != place ? key_in(d, &place, 1, pub, yes) : err;
}

enum err
place_fits(struct derive *d, struct enrolment *e, bool *fits)
{
	X509 *there;
	enum err err = place_settle(d, e);

	*fits = false;
	if (err == E_NOTFOUND)
		return E_OK;
	if (err != E_OK || (err = cert_in(d, e->id, e->id_len, &there)) != E_OK)
		return err;
	*fits = there != NULL && X509_cmp(there, e->cert) == 0;
	if (there != NULL)
		return E_OK;
	err = token_tell(d->to, e->id, e->id_len, X509_get0_pubkey(e->cert));
	return err == E_OK ? token_proves(d->to, e->id, e->id_len, X509_get0_pubkey(e->cert), fits) : err;
}

/* --- back --------------------------------------------------------------------------------------------------------- */

/* The credential that was in this place; E_NOTFOUND. */
static enum err
former(struct derive *d, const struct enrolment *e, struct credential *c)
{
	enum err err = E_OK;

	for (size_t i = 0; err == E_OK; i++) {
		err = store_cred_get(d->store, i, c);
		if (err == E_OK && c->active && is_here(d, c) &&
		    span_eq(span_of(c->id, c->id_len), span_of(e->id, e->id_len)))
			return E_OK;
		credential_clear(c);
	}
	return err;
}

/* Its certificate was taken away so that a new key could be made; was it? */
static enum err
put_back(struct derive *d, const struct enrolment *e, struct credential *c)
{
	bool still = false;
	enum err err = token_tell(d->to, e->id, e->id_len, X509_get0_pubkey(c->cert));

	if (err == E_OK)
		err = token_proves(d->to, e->id, e->id_len, X509_get0_pubkey(c->cert), &still);
	if (err == E_OK && still)
		return token_put_cert(d->to, "", e->id, e->id_len, c->cert);
	if (err == E_OK)
		err = token_discard(d->to, e->id, e->id_len);
	if (err == E_OK)
		err = store_cred_lost(d->store, c, "a new key has taken its place, and got no certificate");
	d->lost = d->lost || err == E_OK;
	return err;
}

enum err
place_undo(struct derive *d, const struct enrolment *e)
{
	struct credential c;
	X509 *there;
	enum err err = cert_in(d, e->id, e->id_len, &there);

	if (err != E_OK)
		return err;
	if (there != NULL && e->cert != NULL && X509_cmp(there, e->cert) == 0)
		return token_zeroize(d->to, e->id, e->id_len, alg_of(e->cert), NULL);
	if (there != NULL)
		return E_OK; /* the old one */
	err = former(d, e, &c);
	if (err == E_NOTFOUND)
		return token_discard(d->to, e->id, e->id_len);
	if (err == E_OK)
		err = put_back(d, e, &c);
	credential_clear(&c);
	return err;
}

/* --- the end of a credential -------------------------------------------------------------------------------------- */

/* Is another enrolment's key in this place? */
static enum err
place_is_used(struct derive *d, const struct credential *c, bool *used)
{
	enum err e = E_OK;

	*used = false;
	for (size_t i = 0; e == E_OK && !*used; i++) {
		struct enrolment row;

		e = store_enrol_get(d->store, i, &row);
		*used = e == E_OK && strcmp(row.token_serial, c->token_serial) == 0 &&
		    strcmp(row.token_label, c->token_label) == 0 &&
		    span_eq(span_of(row.id, row.id_len), span_of(c->id, c->id_len));
		enrolment_clear(&row);
	}
	return e == E_NOTFOUND ? E_OK : e;
}

enum err
place_destroy(struct derive *d, const struct credential *c)
{
	bool used;
	enum err e = place_is_used(d, c, &used);

	if (e != E_OK || used) /* a new key is there already */
		return e;
	return token_zeroize(d->to, c->id, c->id_len, alg_of(c->cert), X509_get0_pubkey(c->cert));
}
