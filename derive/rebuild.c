/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finding credentials again: see rebuild.h. A certificate is a derived credential by its policy (Common Policy:
 * id-fpki-common-derived-pivAuth and -hardware), or by the label "dpiv ROLE NAME" that dpiv gives its objects together
 * with a key usage that fits; on a card of dpiv's own module, whose objects have fixed places and names, by its place
 * beside such an authentication certificate. Of several for one role by one issuer the youngest is in use; the others
 * are written down as replaced, which is what they were. The issuer is the configured one whose trust anchor leads to
 * the certificate. It is only a name to ask for renewal: whoever answers there still has to prove itself by TLS.
 */
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "derive/cert.h"
#include "derive/rebuild.h"

/* --- which certificates ------------------------------------------------------------------------------------------- */

static bool
has_derived_policy(X509 *cert)
{
	const struct role_info *auth = role_info(ROLE_AUTH);

	return cert_has_policy(cert, auth->policies, NULL) || cert_has_policy(cert, auth->test_policies, NULL);
}

static bool
usage_fits(X509 *cert, enum role role)
{
	const struct role_info *info = role_info(role);
	EVP_PKEY *pub = X509_get0_pubkey(cert);
	bool rsa = pub != NULL && EVP_PKEY_get_base_id(pub) == EVP_PKEY_RSA;

	return pub != NULL && X509_get_key_usage(cert) == (rsa ? info->usage_rsa : info->usage_ec);
}

/* "dpiv ROLE NAME" */
static bool
label_role(const char *label, enum role *role)
{
	for (size_t i = 0; i < ROLE_COUNT; i++) {
		char begin[32];
		int n = snprintf(begin, sizeof begin, "dpiv %s ", role_info((enum role)i)->name);

		if (strncmp(label, begin, (size_t)n) == 0) {
			*role = (enum role)i;
			return true;
		}
	}
	return false;
}

/* The place of the role's key on a card, where a key does not do both. */
static bool
place_role(const struct token_key *k, enum role *role)
{
	for (size_t i = 0; k->id_len == 1 && i < ROLE_MAIL; i++) {
		if (role_info((enum role)i)->id == k->id[0]) {
			*role = (enum role)i;
			return true;
		}
	}
	return false;
}

static bool
key_role(const struct token_key *k, bool own_derived, enum role *role)
{
	if (k->cert == NULL || k->id_len == 0 || (X509_get_extension_flags(k->cert) & EXFLAG_CA) != 0 ||
	    X509_check_ca(k->cert) != 0 || cert_is_piv_auth(k->cert))
		return false;
	if (has_derived_policy(k->cert)) {
		*role = ROLE_AUTH;
		return usage_fits(k->cert, ROLE_AUTH);
	}
	if (!label_role(k->label, role) && !(own_derived && place_role(k, role)))
		return false;
	return *role != ROLE_AUTH && usage_fits(k->cert, *role);
}

/* A card of dpiv's own module that is a derived one. */
static bool
token_is_derived(const struct token *t, const struct token_key *keys, size_t n)
{
	for (size_t i = 0; token_is_own(t) && i < n; i++)
		if (keys[i].cert != NULL && has_derived_policy(keys[i].cert))
			return true;
	return false;
}

/* --- whose ------------------------------------------------------------------------------------------------------- */

/* CAs that lie on the token, and those that the store has. */
static STACK_OF(X509) * others_of(struct store *s, const struct token_key *keys, size_t n)
{
	STACK_OF(X509) *list = sk_X509_new_null();
	X509 *ca;

	for (size_t i = 0; list != NULL && i < n; i++)
		if (keys[i].cert != NULL && X509_check_ca(keys[i].cert) != 0 && X509_up_ref(keys[i].cert) == 1 &&
		    sk_X509_push(list, keys[i].cert) <= 0)
			X509_free(keys[i].cert);
	for (size_t i = 0; list != NULL && i < 64 && store_issuer_get(s, i, &ca) == E_OK; i++)
		if (sk_X509_push(list, ca) <= 0)
			X509_free(ca);
	return list;
}

/* Dates do not count: also an expired credential has an issuer. */
static bool
anchors_lead(X509 *cert, STACK_OF(X509) * anchors, STACK_OF(X509) * others)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	bool ok = store != NULL && ctx != NULL && sk_X509_num(anchors) > 0;

	for (int i = 0; ok && i < sk_X509_num(anchors); i++)
		ok = X509_STORE_add_cert(store, sk_X509_value(anchors, i)) == 1;
	ok = ok && X509_STORE_CTX_init(ctx, store, cert, others) == 1 &&
	    X509_VERIFY_PARAM_set_flags(
		X509_STORE_CTX_get0_param(ctx), X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_NO_CHECK_TIME) == 1 &&
	    X509_verify_cert(ctx) == 1;
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	ERR_clear_error();
	return ok;
}

/* Of several with the same anchor the usual one, else the first. "" when nobody knows. */
static const char *
issuer_of(const struct rebuild *r, X509 *cert, STACK_OF(X509) * others, const char **how)
{
	const char *url = NULL;

	for (size_t i = 0; i < r->n_issuers; i++) {
		bool usual = r->usual != NULL && strcmp(r->usual, r->issuers[i].url) == 0;

		if ((url == NULL || usual) && anchors_lead(cert, r->issuers[i].anchors, others))
			url = r->issuers[i].url;
	}
	*how = url != NULL ? "by its anchor" : r->usual != NULL ? "assumed" : "not known";
	return url != NULL ? url : r->usual != NULL ? r->usual : "";
}

/* --- what is known ------------------------------------------------------------------------------------------------ */

/* E_OK: out is the store's row of this certificate. */
static enum err
store_has_cert(struct store *s, X509 *cert, struct credential *out)
{
	enum err e;

	for (size_t i = 0; (e = store_cred_get(s, i, out)) == E_OK; i++) {
		if (X509_cmp(out->cert, cert) == 0)
			return E_OK;
		credential_clear(out);
	}
	return e;
}

/* An enrolment that is under way has this place of the token. */
static enum err
store_has_place(struct store *s, const struct token *t, const struct token_key *k, bool *has)
{
	enum err e = E_OK;

	*has = false;
	for (size_t i = 0; e == E_OK; i++) {
		struct enrolment r;

		e = store_enrol_get(s, i, &r);
		if (e == E_OK && strcmp(r.token_serial, token_serial_number(t)) == 0 &&
		    strcmp(r.token_label, token_label(t)) == 0 &&
		    span_eq(span_of(r.id, r.id_len), span_of(k->id, k->id_len)))
			*has = true;
		enrolment_clear(&r);
	}
	return e == E_NOTFOUND ? E_OK : e;
}

/* --- writing down ------------------------------------------------------------------------------------------------- */

static enum err
write_new(struct rebuild *r, struct store *s, const struct token *t, const struct token_key *k, enum role role,
    STACK_OF(X509) * others)
{
	struct enrolment e = { .role = role, .id_len = k->id_len };
	const char *how;
	enum err err;

	memcpy(e.id, k->id, k->id_len);
	snprintf(e.issuer, sizeof e.issuer, "%s", issuer_of(r, k->cert, others, &how));
	snprintf(e.token_uri, sizeof e.token_uri, "%s", token_uri(t));
	snprintf(e.token_serial, sizeof e.token_serial, "%s", token_serial_number(t));
	snprintf(e.token_label, sizeof e.token_label, "%s", token_label(t));
	err = store_cred_found(s, &e, k->cert, how);
	if (err == E_OK)
		r->found++;
	return err;
}

/* Its issuer may be known by now. */
static enum err
write_issuer(struct rebuild *r, struct store *s, const struct credential *c, STACK_OF(X509) * others)
{
	const char *how, *url = c->issuer[0] == '\0' ? issuer_of(r, c->cert, others, &how) : "";

	return url[0] != '\0' ? store_cred_issuer(s, c, url, how) : E_OK;
}

static enum err
rebuild_key(struct rebuild *r, struct store *s, const struct token *t, const struct token_key *k, enum role role,
    STACK_OF(X509) * others)
{
	struct credential c;
	bool taken = false;
	enum err e = store_has_cert(s, k->cert, &c);

	if (e == E_OK)
		e = write_issuer(r, s, &c, others);
	else if (e == E_NOTFOUND && (e = store_has_place(s, t, k, &taken)) == E_OK && !taken)
		e = write_new(r, s, t, k, role, others);
	credential_clear(&c);
	return e;
}

/* Is there anything to write? Without the lock. */
static bool
key_is_news(struct store *s, X509 *cert)
{
	struct credential c;
	enum err e = store_has_cert(s, cert, &c);
	bool news = e == E_NOTFOUND || (e == E_OK && c.issuer[0] == '\0');

	credential_clear(&c);
	return news;
}

static enum err
locked(struct store **s)
{
	enum err e = store_open(NULL, s);

	return e == E_OK ? store_lock(*s) : e;
}

enum err
rebuild_token(struct rebuild *r, struct token *t)
{
	const struct token_key *keys;
	STACK_OF(X509) *others = NULL;
	struct store *s = NULL;
	enum role role;
	size_t n;
	enum err e = token_keys(t, &keys, &n);
	bool own = e == E_OK && token_is_derived(t, keys, n);

	for (size_t i = 0; e == E_OK && i < n; i++) {
		if (!key_role(&keys[i], own, &role) || !key_is_news(r->store, keys[i].cert))
			continue;
		if (s == NULL)
			e = locked(&s);
		if (e == E_OK && others == NULL)
			others = others_of(s, keys, n);
		if (e == E_OK)
			e = rebuild_key(r, s, t, &keys[i], role, others);
	}
	sk_X509_pop_free(others, X509_free);
	store_close(&s);
	return e == E_BUSY ? E_OK : e;
}

/* --- cards -------------------------------------------------------------------------------------------------------- */

static bool
card_is_missing(const struct credential *c, X509 *card)
{
	return c->active && c->card == NULL &&
	    X509_NAME_cmp(X509_get_subject_name(c->cert), X509_get_subject_name(card)) == 0;
}

enum err
rebuild_card(struct rebuild *r, X509 *card)
{
	struct store *s = NULL;
	enum err e = E_OK;

	for (size_t i = 0; e == E_OK; i++) {
		struct credential c;

		e = store_cred_get(r->store, i, &c);
		if (e == E_OK && card_is_missing(&c, card)) {
			if (s == NULL)
				e = locked(&s);
			if (e == E_OK)
				e = store_cred_card(s, &c, card);
		}
		credential_clear(&c);
	}
	store_close(&s);
	return e == E_NOTFOUND || e == E_BUSY ? E_OK : e;
}
