/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dpiv status: gathers what there is into one JSON tree and shows that tree, as it is (--json) or as text
 * (status_text.c). No PIN is asked for and nothing is changed: certificates are read from the tokens without a login,
 * the rest comes from the state store. What needs attention is a list of its own, each with the command to run.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "base/conf.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/status.h"
#include "derive/cert.h"
#include "derive/policy.h"
#include "derive/store.h"
#include "derive/token.h"

const char help_status[] = "usage: dpiv status [--json]\n"
			   "\n"
			   "Shows the PIV card, the tokens that dpiv knows, the credentials that it derived,\n"
			   "when they expire, and what needs attention, with the command to run. Asks for no\n"
			   "PIN and changes nothing.\n"
			   "\n"
			   "  --json   the same for programs\n"
			   "\n"
			   "Examples:\n"
			   "  dpiv status\n"
			   "  dpiv status --json | jq '.attention[].command'\n"
			   "\n"
			   "Tokens are listed when dpiv.conf names them ([token NAME] with a line uri =\n"
			   "pkcs11:...) or when a credential was derived into them. Exit status 3 means: no\n"
			   "card, no token and no credential.\n";

struct status {
	json_t *tree, *cards, *tokens, *credentials, *unfinished, *attention;
	time_t now;
	long soon_days;
};

static void
attention(struct status *s, const char *what, const char *command)
{
	json_array_append_new(s->attention, json_pack("{s:s, s:s}", "what", what, "command", command));
}

static const char *
lifetime(const struct status *s, X509 *cert)
{
	if (cert_not_after(cert) <= s->now)
		return "expired";
	return cert_renew_from(cert, s->soon_days) <= s->now ? "expiring" : "ok";
}

static json_t *
json_time(time_t t)
{
	char text[32];
	struct tm tm;

	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
	return json_string(text);
}

static json_t *
json_hex(const uint8_t *p, size_t n)
{
	char hex[2 * STORE_ID_MAX + 1];

	return json_string(text_hex(span_of(p, n), hex, sizeof hex));
}

/* --- tokens ------------------------------------------------------------------------------------------------------- */

static json_t *
status_key(const struct status *s, const struct token_key *k)
{
	char name[128], serial[64];
	json_t *o = json_pack("{s:o, s:s}", "id", json_hex(k->id, k->id_len), "label", k->label);

	if (k->cert == NULL)
		return o;
	json_object_set_new(o, "name", json_string(cert_name(k->cert, name, sizeof name)));
	json_object_set_new(o, "serial", json_string(cert_serial(k->cert, serial, sizeof serial)));
	json_object_set_new(o, "not_after", json_time(cert_not_after(k->cert)));
	json_object_set_new(o, "state", json_string(lifetime(s, k->cert)));
	json_object_set_new(o, "piv_auth", json_boolean(cert_is_piv_auth(k->cert)));
	return o;
}

/* In the order of their ids: tokens list them in any. */
static void
key_insert(json_t *list, json_t *key)
{
	const char *id = json_string_value(json_object_get(key, "id"));
	size_t i = 0;

	while (i < json_array_size(list) &&
	    strcmp(json_string_value(json_object_get(json_array_get(list, i), "id")), id) <= 0)
		i++;
	json_array_insert_new(list, i, key);
}

static json_t *
status_token(const struct status *s, const char *uri)
{
	const struct token_key *keys = NULL;
	struct token *t = NULL;
	json_t *o = json_pack("{s:s, s:[]}", "uri", uri, "keys"), *list = json_object_get(o, "keys");
	size_t n = 0;
	enum err e = token_open(uri, NULL, NULL, &t);

	if (e == E_OK) {
		json_object_set_new(o, "label", json_string(token_label(t)));
		json_object_set_new(o, "serial", json_string(token_serial_number(t)));
		json_object_set_new(o, "uri", json_string(token_uri(t)));
		e = token_keys(t, &keys, &n);
	}
	for (size_t i = 0; e == E_OK && i < n; i++)
		key_insert(list, status_key(s, &keys[i]));
	json_object_set_new(o, "present", json_boolean(e == E_OK));
	if (e != E_OK)
		json_object_set_new(o, "problem", json_string(err_msg()));
	token_close(&t);
	return o;
}

static bool
token_known(const json_t *list, const json_t *token)
{
	const char *uri = json_string_value(json_object_get(token, "uri"));
	size_t i;
	json_t *o;

	json_array_foreach(list, i, o)
	{
		if (strcmp(json_string_value(json_object_get(o, "uri")), uri) == 0)
			return true;
	}
	return false;
}

static void
token_add(struct status *s, const char *uri)
{
	json_t *o = status_token(s, uri);

	if (token_known(s->tokens, o) || token_known(s->cards, o))
		json_decref(o);
	else
		json_array_append_new(s->tokens, o);
}

static void
card_attention(struct status *s, const json_t *card)
{
	size_t i;
	json_t *k;
	char what[256];

	json_array_foreach(json_object_get(card, "keys"), i, k)
	{
		const char *state = json_string_value(json_object_get(k, "state"));

		if (state == NULL || strcmp(state, "ok") == 0 || !json_is_true(json_object_get(k, "piv_auth")))
			continue;
		snprintf(what, sizeof what, "the PIV card's authentication certificate %s",
		    strcmp(state, "expired") == 0 ? "has expired" : "expires soon");
		attention(s, what, "ask your agency for a new card");
	}
}

static void
gather_cards(struct status *s)
{
	char **uris = NULL;
	size_t n = 0;
	enum err e = token_list(NULL, &uris, &n);

	if (e == E_OK && n == 0)
		e = token_absent(NULL);
	if (e != E_OK)
		json_object_set_new(s->tree, "card_problem", json_string(err_msg()));
	for (size_t i = 0; i < n; i++) {
		json_t *o = status_token(s, uris[i]);

		card_attention(s, o);
		json_array_append_new(s->cards, o);
		free(uris[i]);
	}
	free(uris);
}

static void
gather_configured(struct status *s, const struct conf *conf)
{
	const char *name;

	for (size_t i = 0; (name = conf_named(conf, "token", i)) != NULL; i++) {
		char section[160];
		const char *uri;

		snprintf(section, sizeof section, "token %s", name);
		uri = conf_str(conf, section, "uri");
		if (uri != NULL)
			token_add(s, uri);
	}
}

/* --- the store ---------------------------------------------------------------------------------------------------- */

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
			    role_info(c->role)->name, c->issuer, c->token_uri);
		attention(s, what, command);
	}
}

#define RECHECK (7 * 24L * 60 * 60)

static void
check_attention(struct status *s, const struct credential *c, const struct store_check *k)
{
	char what[256];
	const char *role = role_info(c->role)->name;

	if (strcmp(k->cert, "revoked") == 0) {
		snprintf(what, sizeof what, "the %s credential on '%s' has been revoked", role, c->token_label);
		attention(s, what, "dpiv help derive");
	}
	if (strcmp(k->card, "revoked") == 0) {
		snprintf(what, sizeof what, "the PIV card of the %s credential on '%s' has been revoked", role,
		    c->token_label);
		attention(s, what, "ask your agency for a new card");
	}
	/* the card's certificate is looked at once more when seven days have passed (SP 800-157, 2.1) */
	if (s->now > c->created + RECHECK && k->sure_at < c->created + RECHECK) {
		snprintf(what, sizeof what, "the %s credential on '%s' was not checked since it is seven days old",
		    role, c->token_label);
		attention(s, what, "dpiv check");
	}
}

/* What the last check found. */
static void
cred_check(struct status *s, struct store *store, const struct credential *c, json_t *o)
{
	struct store_check k;

	if (store_check_get(store, c->row, &k) == E_OK)
		json_object_set_new(o, "check",
		    json_pack("{s:o, s:s, s:s, s:s}", "at", json_time(k.at), "certificate", k.cert, "card", k.card,
			"why", k.why));
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

static void
cred_add(struct status *s, struct store *store, const struct credential *c)
{
	char name[128], serial[64], uuid[TEXT_UUID_MAX];
	const char *state = lifetime(s, c->cert);
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
	    c->token_uri, "id", json_hex(c->id, c->id_len), "serial", cert_serial(c->cert, serial, sizeof serial),
	    "uuid", uuid, "not_after", json_time(cert_not_after(c->cert)), "state", state);
	cred_assurance(c, o);
	cred_check(s, store, c, o);
	json_array_append_new(s->credentials, o);
	cred_attention(s, c, state);
}

/* Tokens first, so that the credentials can be looked for on them. */
static enum err
gather_credentials(struct status *s, struct store *store, bool tokens)
{
	enum err e = E_OK;

	for (size_t i = 0; e == E_OK; i++) {
		struct credential c;

		e = store_cred_get(store, i, &c);
		if (e == E_OK && c.active && tokens)
			token_add(s, c.token_uri);
		else if (e == E_OK && c.active)
			cred_add(s, store, &c);
		credential_clear(&c);
	}
	return e == E_NOTFOUND ? E_OK : e;
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

static enum err
gather_unfinished(struct status *s, struct store *store)
{
	enum err e = E_OK;

	for (size_t i = 0; e == E_OK; i++) {
		struct enrolment r;
		char what[256], command[1024];

		e = store_enrol_get(store, i, &r);
		if (e == E_OK) {
			json_array_append_new(s->unfinished,
			    json_pack("{s:s, s:s, s:s, s:o, s:b}", "role", role_info(r.role)->name, "issuer", r.issuer,
				"token", r.token_label, "since", json_time(r.created), "waiting",
				r.step == ENROL_WAIT));
			unfinished_text(&r, what, sizeof what);
			if (r.renews != 0)
				snprintf(command, sizeof command, "dpiv renew");
			else
				snprintf(command, sizeof command, "dpiv derive --role %s --issuer %s --to '%s'",
				    role_info(r.role)->name, r.issuer, r.token_uri);
			attention(s, what, command);
		}
		enrolment_clear(&r);
	}
	return e == E_NOTFOUND ? E_OK : e;
}

static enum err
gather(struct status *s, const struct conf *conf)
{
	struct store *store = NULL;
	enum err e = store_open(NULL, &store);

	gather_cards(s);
	gather_configured(s, conf);
	if (e == E_OK)
		e = gather_credentials(s, store, true);
	if (e == E_OK)
		e = gather_credentials(s, store, false);
	if (e == E_OK)
		e = gather_unfinished(s, store);
	store_close(&store);
	if (e == E_OK && json_array_size(s->credentials) == 0 && json_array_size(s->cards) > 0)
		attention(s, "nothing was derived from the PIV card yet", "dpiv help derive");
	return e;
}

static bool
status_init(struct status *s)
{
	s->now = time(NULL);
	s->tree = json_pack("{s:i, s:[], s:n, s:[], s:[], s:[], s:[]}", "version", 1, "cards", "card_problem", "tokens",
	    "credentials", "unfinished", "attention");
	s->cards = json_object_get(s->tree, "cards");
	s->tokens = json_object_get(s->tree, "tokens");
	s->credentials = json_object_get(s->tree, "credentials");
	s->unfinished = json_object_get(s->tree, "unfinished");
	s->attention = json_object_get(s->tree, "attention");
	return s->tree != NULL;
}

static int
status_show(struct status *s, bool as_json)
{
	size_t found = json_array_size(s->cards) + json_array_size(s->tokens) + json_array_size(s->credentials);

	if (as_json) {
		json_dumpf(s->tree, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
		putchar('\n');
	} else {
		status_text(s->tree);
	}
	return found > 0 ? EXIT_DONE : EXIT_NOTHING;
}

int
cmd_status(int argc, char **argv)
{
	static const struct option longopts[] = { { "json", no_argument, NULL, 'j' }, { NULL, 0, NULL, 0 } };
	struct status s;
	struct conf *conf = NULL;
	bool as_json = false;
	int opt, status;
	enum err e;

	while ((opt = getopt_long(argc, argv, "", longopts, NULL)) != -1) {
		if (opt != 'j')
			return cli_usage("the command line is not right");
		as_json = true;
	}
	if (optind < argc)
		return cli_usage("unexpected argument '%s'", argv[optind]);
	e = conf_load(&conf);
	if (e == E_OK && !status_init(&s))
		e = err_set(E_NOMEM, "out of memory");
	if (e != E_OK) {
		conf_free(&conf);
		return cli_fail(e);
	}
	s.soon_days = policy_soon_days(conf);
	e = gather(&s, conf);
	status = e == E_OK ? status_show(&s, as_json) : cli_fail(e);
	json_decref(s.tree);
	conf_free(&conf);
	return status;
}
