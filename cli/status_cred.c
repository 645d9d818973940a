/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dpiv status: what the state store has: credentials, each looked for on its token as that was listed, what the last
 * check of them found, and enrolments under way. What needs attention is said with the command to run.
 */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/status.h"
#include "derive/cert.h"

/* Is this certificate on the token, as it was listed? */
static bool
cred_on_token(const struct status *s, const struct credential *c)
{
	const json_t *lists[] = { s->tokens, s->cards };
	char serial[64];
	size_t i, k;
	json_t *t, *key;

	cert_serial(c->cert, serial, sizeof serial);
	for (size_t l = 0; l < 2; l++) {
		json_array_foreach(lists[l], i, t)
		{
			json_array_foreach(json_object_get(t, "keys"), k, key)
			{
				const char *have = json_string_value(json_object_get(key, "serial"));

				if (have != NULL && strcmp(have, serial) == 0)
					return true;
			}
		}
	}
	return false;
}

static bool
cred_token_present(const struct status *s, const struct credential *c)
{
	const json_t *lists[] = { s->tokens, s->cards };
	size_t i;
	json_t *t;

	for (size_t l = 0; l < 2; l++) {
		json_array_foreach(lists[l], i, t)
		{
			const char *label = json_string_value(json_object_get(t, "label"));
			const char *serial = json_string_value(json_object_get(t, "serial"));

			if (label != NULL && serial != NULL && strcmp(label, c->token_label) == 0 &&
			    strcmp(serial, c->token_serial) == 0)
				return json_is_true(json_object_get(t, "present"));
		}
	}
	return false;
}

static const struct {
	const char *state, *what;
} complaints[] = {
	{ "expired", "has expired" },
	{ "expiring", "expires soon" },
	{ "missing", "is no longer on its token" },
	{ "revoking", "is being revoked, which was cut short" },
};

static void
cred_attention(struct status *s, const struct credential *c, const char *state)
{
	char what[256], command[1024], serial[64];

	for (size_t i = 0; i < sizeof complaints / sizeof complaints[0]; i++) {
		if (strcmp(complaints[i].state, state) != 0)
			continue;
		snprintf(what, sizeof what, "the %s credential on '%s' %s", role_info(c->role)->name, c->token_label,
		    complaints[i].what);
		if (strcmp(state, "expiring") == 0)
			snprintf(command, sizeof command, "dpiv renew %s", cert_serial(c->cert, serial, sizeof serial));
		else if (strcmp(state, "revoking") == 0)
			snprintf(
			    command, sizeof command, "dpiv revoke %s", cert_serial(c->cert, serial, sizeof serial));
		else
			snprintf(command, sizeof command, "dpiv derive --again --role %s --issuer %s --to '%s'",
			    role_info(c->role)->name, c->issuer[0] != '\0' ? c->issuer : "NAME", c->token_uri);
		status_attention(s, what, command);
	}
}

#define RECHECK (7 * 24L * 60 * 60)

static void
check_attention(struct status *s, const struct credential *c, const struct store_check *k)
{
	char what[400], command[96], serial[64];
	const char *role = role_info(c->role)->name;

	if (strcmp(k->cert, "revoked") == 0) {
		snprintf(what, sizeof what, "the %s credential on '%s' has been revoked", role, c->token_label);
		status_attention(s, what, "dpiv help derive");
	}
	if (strcmp(k->card, "revoked") == 0) {
		snprintf(what, sizeof what, "the PIV card of the %s credential on '%s' has been revoked", role,
		    c->token_label);
		status_attention(s, what, "ask your agency for a new card");
	}
	if (k->changed[0] != '\0') {
		snprintf(what, sizeof what, "the %s credential on '%s': rekey needed, by the card there is another %s",
		    role, c->token_label, k->changed);
		snprintf(command, sizeof command, "dpiv renew %s --card", cert_serial(c->cert, serial, sizeof serial));
		status_attention(s, what, command);
	}
	/* the card's certificate is looked at once more when seven days have passed (SP 800-157, 2.1) */
	if (s->now > c->created + RECHECK && k->sure_at < c->created + RECHECK) {
		snprintf(what, sizeof what, "the %s credential on '%s' was not checked since it is seven days old",
		    role, c->token_label);
		status_attention(s, what, "dpiv check");
	}
}

/* What the last check found. */
static void
cred_check(struct status *s, struct store *store, const struct credential *c, json_t *o)
{
	struct store_check k;

	json_object_set_new(o, "check", json_null());
	if (store_check_get(store, c->row, &k) == E_OK)
		json_object_set_new(o, "check",
		    json_pack("{s:o, s:s, s:s, s:s, s:s}", "at", status_time(k.at), "certificate", k.cert, "card",
			k.card, "why", k.why, "changed", k.changed));
	check_attention(s, c, &k);
}

/* What the certificate asserts and what was known of the key when it was made. */
static void
cred_assurance(const struct credential *c, json_t *o)
{
	enum assure_level level = cert_assurance(c->cert, c->role);
	json_t *list = json_array();
	struct assure a;

	if (c->evidence != NULL && assure_read(c->evidence, &a)) {
		json_object_set_new(o, "carries", json_string(assure_name(a.level)));
		for (size_t i = 0; i < a.n; i++)
			json_array_append_new(
			    list, json_pack("{s:s, s:b}", "fact", a.line[i].text, "good", a.line[i].good ? 1 : 0));
		json_object_set(o, "evidence", list);
	}
	if (level != ASSURE_NONE)
		json_object_set_new(o, "assurance", json_string(assure_name(level)));
	json_decref(list);
}

/* The card behind it. */
static json_t *
cred_card(X509 *card)
{
	char name[128], serial[64];

	if (card == NULL)
		return json_null();
	return json_pack("{s:s, s:s, s:o}", "name", cert_name(card, name, sizeof name), "serial",
	    cert_serial(card, serial, sizeof serial), "not_after", status_time(cert_not_after(card)));
}

static void
cred_add(struct status *s, struct store *store, const struct credential *c)
{
	char name[128], serial[64], uuid[TEXT_UUID_MAX];
	const char *state = status_lifetime(s, c->cert);
	enum revoke_step step;
	json_t *o;

	if (!cred_token_present(s, c))
		state = strcmp(state, "ok") == 0 ? "token absent" : state;
	else if (!cred_on_token(s, c))
		state = "missing";
	if (store_revoke_get(store, c->row, &step) == E_OK)
		state = "revoking";
	cert_uuids(c->cert, uuid);
	o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:s, s:s, s:o, s:s}", "role", role_info(c->role)->name, "name",
	    cert_name(c->cert, name, sizeof name), "issuer", c->issuer, "token", c->token_label, "token_uri",
	    c->token_uri, "id", status_hex(c->id, c->id_len), "serial", cert_serial(c->cert, serial, sizeof serial),
	    "uuid", uuid, "not_after", status_time(cert_not_after(c->cert)), "state", state);
	json_object_set_new(o, "issuer", c->issuer[0] != '\0' ? json_string(c->issuer) : json_null());
	json_object_set_new(o, "since", status_time(c->created));
	json_object_set_new(o, "renew_from", status_time(cert_renew_from(c->cert, s->soon_days)));
	json_object_set_new(o, "card", cred_card(c->card));
	cred_assurance(c, o);
	cred_check(s, store, c, o);
	json_array_append_new(s->credentials, o);
	cred_attention(s, c, state);
}

static enum err
credentials_each(
    struct status *s, struct store *store, void (*fn)(struct status *, struct store *, const struct credential *))
{
	enum err e = E_OK;

	for (size_t i = 0; e == E_OK; i++) {
		struct credential c;

		e = store_cred_get(store, i, &c);
		if (e == E_OK && c.active)
			fn(s, store, &c);
		credential_clear(&c);
	}
	return e == E_NOTFOUND ? E_OK : e;
}

static void
cred_token(struct status *s, struct store *store, const struct credential *c)
{
	(void)store;
	status_token_add(s, c->token_uri);
}

enum err
status_credential_tokens(struct status *s, struct store *store)
{
	return credentials_each(s, store, cred_token);
}

enum err
status_credentials(struct status *s, struct store *store)
{
	return credentials_each(s, store, cred_add);
}

static void
unfinished_text(const struct enrolment *r, char *out, size_t cap)
{
	char when[32];
	struct tm tm;

	if (r->step == ENROL_ASK) {
		snprintf(out, cap,
		    "the issuer was asked for the %s credential on '%s', and its answer was not received",
		    role_info(r->role)->name, r->token_label);
		return;
	}
	if (r->step != ENROL_WAIT) {
		snprintf(out, cap, "deriving the %s credential on '%s' was cut short", role_info(r->role)->name,
		    r->token_label);
		return;
	}
	strftime(when, sizeof when, "%Y-%m-%d %H:%M", localtime_r(&r->retry_at, &tm));
	snprintf(out, cap, "the issuer has the request for the %s credential on '%s'; ask again after %s",
	    role_info(r->role)->name, r->token_label, when);
}

enum err
status_unfinished(struct status *s, struct store *store)
{
	enum err e = E_OK;

	for (size_t i = 0; e == E_OK; i++) {
		struct enrolment r;
		char what[256], command[1024];

		e = store_enrol_get(store, i, &r);
		if (e == E_OK) {
			json_array_append_new(s->unfinished,
			    json_pack("{s:s, s:s, s:s, s:o, s:b}", "role", role_info(r.role)->name, "issuer", r.issuer,
				"token", r.token_label, "since", status_time(r.created), "waiting",
				r.step == ENROL_WAIT));
			unfinished_text(&r, what, sizeof what);
			if (r.renews != 0)
				snprintf(command, sizeof command, "dpiv renew");
			else
				snprintf(command, sizeof command, "dpiv derive --role %s --issuer %s --to '%s'",
				    role_info(r.role)->name, r.issuer, r.token_uri);
			status_attention(s, what, command);
		}
		enrolment_clear(&r);
	}
	return e == E_NOTFOUND ? E_OK : e;
}
