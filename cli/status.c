/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dpiv status: gathers what there is into one JSON tree and shows that tree, as it is (--json) or as text
 * (status_text.c). No PIN is asked for and nothing is changed on a token: certificates are read without a login, the
 * rest comes from the state store, which learns of credentials that it does not have (derive/rebuild.h). What needs
 * attention is a list of its own, each with the command to run.
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

const char help_status[] = "usage: dpiv status [--details] [--json]\n"
			   "\n"
			   "Shows the PIV card, the tokens that dpiv knows, the credentials that it derived,\n"
			   "when they expire, and what needs attention, with the command to run. Asks for no\n"
			   "PIN and changes nothing on a card or token. Credentials on a token that dpiv has\n"
			   "no record of (its state was deleted, or another computer made them) are recorded.\n"
			   "\n"
			   "  --details   also each certificate, serial numbers, and the tokens' URIs\n"
			   "  --json      all of it for programs\n"
			   "\n"
			   "Examples:\n"
			   "  dpiv status\n"
			   "  dpiv status --json | jq '.attention[].command'\n"
			   "\n"
			   "Tokens are listed when dpiv.conf names them ([token NAME] with a line uri =\n"
			   "pkcs11:...) or when a credential was derived into them. Exit status 3 means: no\n"
			   "card, no token and no credential.\n";

void
status_attention(struct status *s, const char *what, const char *command)
{
	json_array_append_new(s->attention, json_pack("{s:s, s:s}", "what", what, "command", command));
}

const char *
status_lifetime(const struct status *s, X509 *cert)
{
	if (cert_not_after(cert) <= s->now)
		return "expired";
	return cert_renew_from(cert, s->soon_days) <= s->now ? "expiring" : "ok";
}

json_t *
status_time(time_t t)
{
	char text[TEXT_UTC_MAX];

	return json_string(text_utc(t, text));
}

json_t *
status_hex(const uint8_t *p, size_t n)
{
	char hex[2 * STORE_ID_MAX + 1];

	return json_string(text_hex(span_of(p, n), hex, sizeof hex));
}

/* Tokens first, so that the credentials can be looked for on them. */
static enum err
gather_tokens(struct status *s, const struct conf *conf, struct store *store)
{
	enum err e = status_rebuild_begin(s, conf, store);

	if (e != E_OK)
		return e;
	status_readers(s);
	status_cards(s);
	status_configured(s, conf);
	return status_credential_tokens(s, store);
}

static enum err
gather(struct status *s, const struct conf *conf)
{
	struct store *store = NULL;
	enum err e = store_open(NULL, &store);

	if (e == E_OK)
		e = gather_tokens(s, conf, store);
	for (int i = 0; e == E_OK && i < sk_X509_num(s->seen); i++)
		e = rebuild_card(&s->rebuild, sk_X509_value(s->seen, i));
	if (e == E_OK)
		e = status_credentials(s, store);
	if (e == E_OK)
		e = status_unfinished(s, store);
	if (e == E_OK) {
		status_rebuild_end(s);
		status_old_keys(s);
	}
	status_rebuild_free(s);
	store_close(&store);
	if (e == E_OK && json_array_size(s->credentials) == 0 && json_array_size(s->cards) > 0)
		status_attention(s, "nothing was derived from the PIV card yet", "dpiv help derive");
	return e;
}

static bool
status_init(struct status *s)
{
	s->now = time(NULL);
	s->tree = json_pack("{s:i, s:[], s:[], s:n, s:[], s:[], s:[], s:{s:i, s:n, s:n}, s:i, s:[]}", "version", 1,
	    "readers", "cards", "card_problem", "tokens", "credentials", "unfinished", "old_keys", "keys", 0, "first",
	    "last", "rebuilt", 0, "attention");
	s->readers = json_object_get(s->tree, "readers");
	s->seen = sk_X509_new_null();
	s->cards = json_object_get(s->tree, "cards");
	s->tokens = json_object_get(s->tree, "tokens");
	s->credentials = json_object_get(s->tree, "credentials");
	s->unfinished = json_object_get(s->tree, "unfinished");
	s->attention = json_object_get(s->tree, "attention");
	return s->tree != NULL && s->seen != NULL;
}

static int
status_show(struct status *s, bool as_json, bool details)
{
	size_t found = json_array_size(s->cards) + json_array_size(s->tokens) + json_array_size(s->credentials);

	if (as_json) {
		json_dumpf(s->tree, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
		putchar('\n');
	} else {
		status_text(s->tree, s->now, details);
	}
	return found > 0 ? EXIT_DONE : EXIT_NOTHING;
}

int
cmd_status(int argc, char **argv)
{
	static const struct option longopts[] = { { "json", no_argument, NULL, 'j' },
		{ "details", no_argument, NULL, 'd' }, { NULL, 0, NULL, 0 } };
	struct status s = { .tree = NULL };
	struct conf *conf = NULL;
	bool as_json = false, details = false;
	int opt, status;
	enum err e;

	while ((opt = getopt_long(argc, argv, "", longopts, NULL)) != -1) {
		if (opt != 'j' && opt != 'd')
			return cli_usage("the command line is not right");
		as_json = as_json || opt == 'j';
		details = details || opt == 'd';
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
	status = e == E_OK ? status_show(&s, as_json, details) : cli_fail(e);
	json_decref(s.tree);
	sk_X509_pop_free(s.seen, X509_free);
	conf_free(&conf);
	return status;
}
