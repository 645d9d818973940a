/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Issuing, in three steps: decide and reserve (one transaction), sign and lint, record (one transaction). The serial
 * number is in the ledger before the signature exists and the DER before the caller sees it; what happens between is
 * either completed or abandoned. The subject is the card's, the names are the account's; the request gives the key.
 * Whoever asks again about the same key within AGAIN has not received the answer, and gets the same certificate:
 * otherwise one would be valid that nobody has.
 *
 * SP 800-157r1 2.2 (the credential is represented in the account), CP 3.1.1.2 (UUID unique per certificate), CP 6.3.2
 * and 6.1.5 (lifetime; RSA-2048 ends with 2030).
 */
#include <stdio.h>
#include <string.h>
#include <openssl/rand.h>

#include "derive/issuer/account.h"
#include "derive/issuer/escrow.h"
#include "derive/issuer/hook.h"
#include "derive/issuer/issue.h"
#include "derive/issuer/ledger.h"
#include "derive/issuer/lint.h"
#include "derive/issuer/mkcert.h"
#include "derive/issuer/note.h"
#include "derive/issuer/refuse.h"
#include "derive/issuer/upstream.h"
#include "derive/issuer/x509io.h"

#define DAY	    86400
#define BACKDATE    60 /* clocks differ a little */
#define END_OF_2030 1924991999
#define AGAIN	    (31 * DAY) /* a client keeps an unanswered request for 30 */

/* Everything that the certificate will be made of. */
struct order {
	struct account account;
	uint8_t serial[MKCERT_SERIAL];
	char serial_text[2 * MKCERT_SERIAL + 1];
	char uuid[TEXT_UUID_MAX];
	char spki_sha256[65];
	time_t from, to;
	struct profile_values values;
	struct upstream_verdict upstream; /* where another CA issues */
};

/* What is certified. */
static EVP_PKEY *
new_key(const struct issue_request *r)
{
	return r->key != NULL ? r->key : r->csr->key;
}

enum err
issue_uuid(char out[TEXT_UUID_MAX])
{
	uint8_t b[16];

	if (RAND_bytes(b, sizeof b) != 1)
		return err_crypto(E_CRYPTO, "no random numbers");
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40); /* RFC 4122 4.4: version 4 */
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
	text_uuid(b, out);
	return E_OK;
}

static enum err
lifetime(const struct issuer *i, const EVP_PKEY *key, time_t now, struct order *o)
{
	time_t ca_end;

	if (!x509io_time(X509_get0_notAfter(i->ca), &ca_end))
		return err_set(E_CONF, "the CA certificate's notAfter cannot be read");
	o->from = now - BACKDATE;
	o->to = o->from + (time_t)i->config.days * DAY;
	if (o->to > ca_end)
		o->to = ca_end;
	if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA && EVP_PKEY_get_bits(key) < 3072 && o->to > END_OF_2030)
		o->to = END_OF_2030;
	if (o->to <= now + DAY)
		return refuse(REFUSE_KEY_POLICY,
		    "a certificate for this key would end within a day; use RSA-3072, P-256 or P-384");
	return E_OK;
}

/* The new key must not be the card's, nor serve another person or purpose. */
static enum err
key_is_new(struct issuer *i, const struct issue_request *r, struct order *o)
{
	WBUF_AUTO spki = { 0 };
	enum err e;

	if (EVP_PKEY_eq(new_key(r), X509_get0_pubkey(r->piv)) == 1)
		return refuse(REFUSE_KEY_REUSED,
		    "the request is for the card's own key; generate a new key pair on the target token");
	wbuf_init(&spki, 65536);
	if ((e = x509io_spki_der(new_key(r), &spki)) != E_OK)
		return e;
	x509io_sha256_text(wbuf_view(&spki), o->spki_sha256);
	e = ledger_key_free(i->db, o->spki_sha256, o->account.id, r->profile->name);
	return e == E_EXISTS ? refuse(REFUSE_KEY_REUSED, "%s; generate a new key pair", err_msg()) : e;
}

static enum err
make_values(struct issuer *i, const struct issue_request *r, struct order *o)
{
	enum err e;

	if (r->profile->mail && !pivid_email_ok(o->account.email))
		return refuse(REFUSE_NO_EMAIL,
		    "no mail address is known for %s, and a %s certificate needs one; the issuer's administrator can "
		    "add it"
		    " (dpiv-issuer account add --email)",
		    o->account.name, r->profile->what);
	if ((e = mkcert_serial(o->serial)) != E_OK || (e = issue_uuid(o->uuid)) != E_OK)
		return e;
	text_hex(span_of(o->serial, sizeof o->serial), o->serial_text, sizeof o->serial_text);
	o->values = (struct profile_values){
		.policy = r->profile->both ? i->config.one_certificate
		    : r->profile->mail	   ? i->config.policy_mail
					   : i->config.policy_auth,
		.base_url = i->config.base_url,
		.uuid = r->profile->uuid ? o->uuid : NULL,
		.upn = o->account.upn,
		.email = o->account.email,
	};
	return E_OK;
}

/* *out: the certificate that was issued for this request before, or NULL. */
static enum err
issued_before(struct issuer *i, const struct issue_request *r, time_t now, struct order *o, X509 **out)
{
	const struct ledger_cert row = { .spki_sha256 = o->spki_sha256,
		.account = o->account.id,
		.profile = r->profile->name,
		.card_sha256 = r->id->sha256 };
	const struct ledger_event ev = { .what = "repeated",
		.account = o->account.id,
		.serial = o->serial_text,
		.card = r->id->sha256,
		.peer = r->peer,
		.detail = "the same key was sent again and got the same certificate" };
	const unsigned char *p;
	WBUF_AUTO der = { 0 };
	enum err e;

	wbuf_init(&der, 1u << 20);
	if ((e = ledger_again(i->db, &row, now - AGAIN, now, &der)) != E_OK)
		return e == E_NOTFOUND ? E_OK : e;
	p = der.p;
	if ((*out = d2i_X509(NULL, &p, (long)der.n)) == NULL)
		return err_crypto(E_STORE, "a certificate in the ledger is damaged");
	x509io_serial_text(X509_get0_serialNumber(*out), o->serial_text, sizeof o->serial_text);
	if (r->code && (e = bindstore_use(i->db, r->code, r->profile->name, o->serial_text, now)) != E_OK)
		return e;
	return upstream_repeated(i, &ev, now);
}

/* A credential that is renewed leaves room for the one that replaces it. */
static enum err
has_room(struct issuer *i, const struct issue_request *r, time_t now, const struct order *o)
{
	int64_t n;
	enum err e;

	if (i->config.max_credentials == 0)
		return E_OK;
	e = ledger_count_valid(i->db, o->account.id, r->profile->name, r->renews, now, &n);
	if (e == E_OK && n >= i->config.max_credentials)
		return refuse(REFUSE_ACCOUNT_FULL,
		    "%s has %lld valid credentials for %s, and %ld are allowed; revoke one that is not used any more "
		    "(dpiv revoke)",
		    o->account.name, (long long)n, r->profile->what, i->config.max_credentials);
	return e;
}

static void
describe(const struct issue_request *r, const struct order *o, char *out, size_t cap)
{
	(void)snprintf(out, cap, "%s for %s%s%s%s%s%s%s", r->profile->what, r->id->subject,
	    r->code ? "; bound by a one-time code" : "", r->renews ? "; asked for by the credential " : "",
	    r->renews ? r->renews : "", o->account.new_card ? "; first time with this card" : "",
	    r->escrow != NULL ? "; key made here and kept in escrow" : "",
	    r->csr->asks_extensions ? "; extensions asked for in the request were ignored" : "");
}

/* Another CA issues: the request goes there. */
static enum err
forward(struct issuer *i, const struct issue_request *r, time_t now, struct order *o)
{
	char detail[700];
	struct upstream_ask a = { .ask = o->serial_text,
		.account = o->account.id,
		.profile = r->profile->name,
		.spki_sha256 = o->spki_sha256,
		.card_sha256 = r->id->sha256,
		.values = &o->values,
		.peer = r->peer,
		.detail = detail,
		.notice = r->renews ? "renewed" : "bound",
		.code = r->code,
		.escrow = r->escrow };
	WBUF_AUTO csr = { 0 };
	enum err e;

	wbuf_init(&csr, CSR_MAX);
	describe(r, o, detail, sizeof detail);
	if (r->key != NULL)
		e = upstream_wish_csr(r->key, r->piv, r->profile, &o->values, &csr);
	else if ((e = upstream_wish_check(i, r->csr, r->piv, r->profile, &o->values)) == E_OK)
		e = r->csr->req != NULL ? csr_der(r->csr, &csr) : x509io_spki_der(r->csr->key, &csr);
	a.csr = wbuf_view(&csr);
	return e == E_OK ? upstream_put(i, &a, now, &o->upstream) : e;
}

/* What has become of an earlier request for the same key at the CA. */
static enum err
forwarded_before(struct issuer *i, const struct issue_request *r, time_t now, struct order *o)
{
	const struct upstream_ask a = { .account = o->account.id,
		.profile = r->profile->name,
		.spki_sha256 = o->spki_sha256,
		.card_sha256 = r->id->sha256 };

	return upstream_is(i) ? upstream_before(i, &a, now, &o->upstream) : E_OK;
}

static enum err
reserve(struct issuer *i, const struct issue_request *r, time_t now, struct order *o, X509 **out)
{
	const struct account_rules rules = { i->config.listed, i->config.email_from_upn };
	struct ledger_cert row;
	enum err e;

	if ((e = account_for_card(i->db, &rules, r->piv, r->id, now, &o->account)) != E_OK ||
	    (e = lifetime(i, new_key(r), now, o)) != E_OK || (e = key_is_new(i, r, o)) != E_OK ||
	    (e = issued_before(i, r, now, o, out)) != E_OK || *out != NULL ||
	    (e = forwarded_before(i, r, now, o)) != E_OK || o->upstream.state != UPSTREAM_NONE)
		return e;
	if (r->code != NULL && r->code->used)
		return bindstore_used();
	if ((e = has_room(i, r, now, o)) != E_OK || (e = make_values(i, r, o)) != E_OK)
		return e;
	row = (struct ledger_cert){
		.serial = o->serial_text,
		.profile = r->profile->name,
		.uuid = upstream_is(i) ? NULL : o->values.uuid, /* of the CA's making */
		.spki_sha256 = o->spki_sha256,
		.subject = r->id->subject,
		.account = o->account.id,
		.card_sha256 = r->id->sha256,
		.from = o->from,
		.to = o->to,
	};
	e = ledger_reserve(i->db, &row, now);
	return e == E_OK && upstream_is(i) ? forward(i, r, now, o) : e;
}

static enum err
make(struct issuer *i, const struct issue_request *r, const struct order *o, X509 **out, struct wbuf *der)
{
	WBUF_AUTO subject = { 0 }, spki = { 0 };
	X509_NAME *name = X509_get_subject_name(r->piv);
	struct lint_expect want;
	enum err e;

	wbuf_init(&subject, 65536);
	wbuf_init(&spki, 65536);
	if ((e = mkcert_new(o->serial, name, i->ca, new_key(r), o->from, o->to, out)) != E_OK ||
	    (e = profile_apply(r->profile, &o->values, *out, i->ca)) != E_OK ||
	    (e = mkcert_sign(*out, cakey_pkey(i->key))) != E_OK || (e = x509io_cert_der(*out, der)) != E_OK ||
	    (e = x509io_name_der(name, &subject)) != E_OK || (e = x509io_spki_der(new_key(r), &spki)) != E_OK)
		return e;
	want = (struct lint_expect){
		.profile = r->profile,
		.values = &o->values,
		.ca = i->ca,
		.subject = wbuf_view(&subject),
		.spki = wbuf_view(&spki),
		.serial = o->serial_text,
		.max_days = i->config.days,
	};
	e = lint_check(wbuf_view(der), &want);
	/* a broken profile is this issuer's fault, not the person's */
	return e == E_POLICY ? err_up(E_INTERNAL, "linter") : e;
}

static enum err
record(struct issuer *i, const struct issue_request *r, const struct order *o, struct span der, time_t now)
{
	char detail[700];
	const struct ledger_event ev = {
		.what = "issued",
		.notice = r->renews ? "renewed" : "bound",
		.account = o->account.id,
		.serial = o->serial_text,
		.card = r->id->sha256,
		.peer = r->peer,
		.detail = detail,
	};
	enum err e;

	describe(r, o, detail, sizeof detail);
	if ((e = ledger_issued(i->db, o->serial_text, der)) != E_OK)
		return e;
	if (r->code && r->code->account != o->account.id)
		return err_set(E_INTERNAL, "a binding code of account %lld led to account %lld",
		    (long long)r->code->account, (long long)o->account.id);
	if (r->code && (e = bindstore_use(i->db, r->code, r->profile->name, o->serial_text, now)) != E_OK)
		return e;
	if (r->escrow != NULL && (e = escrow_put(i, o->serial_text, o->account.id, r->escrow, now)) != E_OK)
		return e;
	return ledger_event_add(i->db, &ev, now);
}

/* The certificate goes nowhere. The row is closed if the ledger still works; ledger_recover() does it otherwise. */
static enum err
give_up(struct issuer *i, const struct order *o, enum err e, X509 **out)
{
	char why[512];

	(void)snprintf(why, sizeof why, "%s", err_msg());
	X509_free(*out);
	*out = NULL;
	note("not-issued", "serial=%s %s", o->serial_text, why);
	if (ledger_abandon(i->db, o->serial_text) != E_OK)
		note("not-abandoned", "serial=%s %s", o->serial_text, err_msg());
	return err_set(e, "%s", why);
}

enum err
issue_certificate(struct issuer *i, const struct issue_request *r, time_t now, X509 **out)
{
	struct order o = { 0 };
	WBUF_AUTO der = { 0 };
	enum err e;

	*out = NULL;
	wbuf_init(&der, 1u << 20);
	if ((e = hook_ask(&i->config, r->id, r->profile->name, r->renews != NULL)) == E_OK &&
	    (e = db_begin(i->db)) == E_OK)
		e = db_end(i->db, reserve(i, r, now, &o, out));
	if (e != E_OK) {
		X509_free(*out);
		*out = NULL;
		return e;
	}
	if (*out != NULL) {
		note("repeated", "serial=%s profile=%s account=%lld peer=%s", o.serial_text, r->profile->name,
		    (long long)o.account.id, r->peer ? r->peer : "-");
		return E_OK;
	}
	if (o.upstream.state != UPSTREAM_NONE)
		return upstream_say(&o.upstream);
	if ((e = make(i, r, &o, out, &der)) != E_OK)
		return give_up(i, &o, e, out);
	if ((e = db_begin(i->db)) != E_OK || (e = db_end(i->db, record(i, r, &o, wbuf_view(&der), now))) != E_OK)
		return give_up(i, &o, e, out);
	note("issued", "serial=%s profile=%s account=%lld peer=%s", o.serial_text, r->profile->name,
	    (long long)o.account.id, r->peer ? r->peer : "-");
	return E_OK;
}
