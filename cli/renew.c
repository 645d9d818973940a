/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dpiv renew: a new key and certificate in the place of those that soon expire, asked for with the old key, without the
 * card (SP 800-157r1, 2.3.1). Not before the renewal window, since each renewal is a certificate at the issuer and two
 * writes of a token; the window is never more than half of a certificate's life, so that short-lived ones are not
 * renewed for ever. What an earlier run left unfinished on the token of such a credential is cleared up as well.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/x509v3.h>

#include "cli/cli.h"
#include "cli/issuer.h"
#include "cli/pick.h"
#include "cli/revoke.h"
#include "cli/run.h"
#include "derive/cert.h"
#include "derive/policy.h"

const char help_renew[] = "usage: dpiv renew [CREDENTIAL] [--all] [--force] [--replace]\n"
			  "                  [--card] [--from URI] [--move-to ISSUER] [--wait SECONDS]\n"
			  "                  [--token URI] [--cafile FILE] [--timeout SECONDS]\n"
			  "\n"
			  "Renews derived credentials that soon expire: a new key is generated on the token\n"
			  "and certified by the same issuer, who is asked with the present key. The PIV card\n"
			  "is not needed. The old key leaves the token, but for that of an encryption\n"
			  "credential, which old mail needs. What has expired cannot be renewed: derive it\n"
			  "anew with the card.\n"
			  "\n"
			  "With --card or --move-to the PIV card asks, also for what has expired: where the\n"
			  "name or address of the holder has changed, or another issuer takes over. Then the\n"
			  "old credential is revoked at its issuer.\n"
			  "\n"
			  "  CREDENTIAL      a role (auth, sign, encrypt, mail), serial number, name, UUID, token\n"
			  "                  label or issuer's address, or several of these with commas\n"
			  "                  between them; default: every credential\n"
			  "  --all           every credential, said aloud: needed for --force, --card and\n"
			  "                  --move-to without CREDENTIAL\n"
			  "  --force         also before it is time: that is 28 days before expiry, or what\n"
			  "                  renew_days in section [derive] of dpiv.conf says\n"
			  "  --replace       where a PIV token has one place for the key and cannot move it: let\n"
			  "                  the new key take the old one's place before the issuer has\n"
			  "                  answered. When that fails, you need the PIV card\n"
			  "  --wait SECONDS  how long to wait for an issuer that wants time; default: not\n"
			  "                  at all. The request is kept: the same command goes on with it\n"
			  "  --card          now, by the PIV card\n"
			  "  --from URI      the PIV card, where there are several\n"
			  "  --move-to NAME  now, by the PIV card, at another issuer: a name from dpiv.conf or\n"
			  "                  an https address; default: what renew_to in [policy] says\n"
			  "  --token URI     the URI of its token, where it needs a pin-source\n"
			  "  --cafile FILE   PEM certificates to trust; default: those of the [issuer NAME]\n"
			  "                  section with the issuer's url\n"
			  "  --timeout SECS  how long one exchange with the issuer may take; default: 60\n"
			  "\n"
			  "Examples:\n"
			  "  dpiv renew\n"
			  "  dpiv renew auth --force\n"
			  "  dpiv renew --all --wait 3600\n"
			  "  dpiv renew sign --card\n"
			  "\n"
			  "Exit status 0 also when nothing is due; 6: the issuer wants time, run it again.\n";

struct renewal {
	const char *word, *token, *cafile, *from, *move_to;
	long wait, timeout;
	bool all, force, replace, card;
	const struct conf *conf;
	const struct policy *policy;
	const struct notices *notices;
};

enum { OPT_ALL, OPT_FORCE, OPT_REPLACE, OPT_CARD, OPT_FROM, OPT_MOVE, OPT_WAIT, OPT_TOKEN, OPT_CAFILE, OPT_TIMEOUT };

static const struct option longopts[] = {
	{ "all", no_argument, NULL, OPT_ALL },
	{ "force", no_argument, NULL, OPT_FORCE },
	{ "replace", no_argument, NULL, OPT_REPLACE },
	{ "card", no_argument, NULL, OPT_CARD },
	{ "from", required_argument, NULL, OPT_FROM },
	{ "move-to", required_argument, NULL, OPT_MOVE },
	{ "wait", required_argument, NULL, OPT_WAIT },
	{ "token", required_argument, NULL, OPT_TOKEN },
	{ "cafile", required_argument, NULL, OPT_CAFILE },
	{ "timeout", required_argument, NULL, OPT_TIMEOUT },
	{ NULL, 0, NULL, 0 },
};

static enum err
option_take(struct renewal *r, int opt, const char *value)
{
	switch (opt) {
	case OPT_ALL: r->all = true; return E_OK;
	case OPT_FORCE: r->force = true; return E_OK;
	case OPT_REPLACE: r->replace = true; return E_OK;
	case OPT_CARD: r->card = true; return E_OK;
	case OPT_FROM: r->from = value; return E_OK;
	case OPT_MOVE: r->move_to = value; return E_OK;
	case OPT_TOKEN: r->token = value; return E_OK;
	case OPT_CAFILE: r->cafile = value; return E_OK;
	case OPT_WAIT: return run_seconds(value, &r->wait);
	case OPT_TIMEOUT: return run_seconds(value, &r->timeout);
	default: return err_set(E_USAGE, "the command line is not right");
	}
}

static enum err
options_parse(int argc, char **argv, struct renewal *r)
{
	enum err e = E_OK;
	int opt;

	while (e == E_OK && (opt = getopt_long(argc, argv, "", longopts, NULL)) != -1)
		e = option_take(r, opt, optarg);
	if (e != E_OK)
		return e;
	if (optind < argc)
		r->word = argv[optind++];
	if (optind < argc)
		return err_set(E_USAGE, "unexpected argument '%s'", argv[optind]);
	if (r->word != NULL && r->all)
		return err_set(E_USAGE, "--all and '%s' exclude each other", r->word);
	if ((r->force || r->card || r->move_to != NULL) && r->word == NULL && !r->all)
		return err_set(E_USAGE, "--force, --card and --move-to need a credential, or --all");
	return E_OK;
}

/* What the journal has on a credential: a request that the issuer has, or leftovers on its token. */
struct journal {
	bool waits, leftovers;
};

static enum err
journal_read(struct store *s, const struct credential *c, struct journal *j)
{
	enum err e = E_OK;

	memset(j, 0, sizeof *j);
	for (size_t i = 0; e == E_OK; i++) {
		struct enrolment r;

		e = store_enrol_get(s, i, &r);
		if (e == E_OK && enrolment_pends(&r) && r.renews == c->row)
			j->waits = true;
		else if (e == E_OK && !enrolment_pends(&r) && strcmp(r.token_serial, c->token_serial) == 0 &&
		    strcmp(r.token_label, c->token_label) == 0)
			j->leftovers = true;
		enrolment_clear(&r);
	}
	return e == E_NOTFOUND ? E_OK : e;
}

/* One credential as a request. uri is storage. */
static enum err
request_make(
    const struct renewal *r, const struct credential *c, struct derive_req *req, char **labels, char *uri, size_t cap)
{
	*req = (struct derive_req){
		.cafile = r->cafile, .from = r->from, .wait = r->wait, .timeout = r->timeout, .replace = r->replace
	};
	pick_token(r->conf, c, r->token, uri, cap);
	req->to = uri;
	return issuer_of_url(r->conf, c->issuer, req, labels);
}

static enum err
renew_ask(const struct renewal *r, const struct credential *c, bool due)
{
	struct derive_result results[2 * ROLE_COUNT];
	struct derive_req req;
	char uri[1024], name[256], *labels = NULL;
	size_t n = 0;
	enum err e = request_make(r, c, &req, &labels, uri, sizeof uri);

	if (e == E_OK && due)
		cli_note("renewing %s at %s", pick_name(c, name, sizeof name), c->issuer);
	if (e == E_OK) {
		run_begin(&req);
		e = due ? derive_renew(&req, c->row, results, &n) : derive_clear(&req, results, &n);
		run_end();
	}
	run_results(results, n, r->notices, NOTICE_RENEWED);
	free(labels);
	return e;
}

/* --- by the card, and to another issuer --------------------------------------------------------------------------- */

/* Where a credential goes, as a name or an address; NULL: back to where it came from. */
static const char *
move_target(const struct renewal *r, const struct credential *c)
{
	const char *to = r->move_to != NULL ? r->move_to : policy_renew_to(r->policy), *url;
	char section[160];

	if (to == NULL)
		return NULL;
	snprintf(section, sizeof section, "issuer %s", to);
	url = strstr(to, "://") != NULL ? to : conf_str(r->conf, section, "url");
	return url != NULL && strcmp(url, c->issuer) == 0 ? NULL : to;
}

/* The old one, whose place is taken: its issuer is asked, or the person told; then its key goes. */
static enum err
move_end(const struct renewal *r, const struct credential *c)
{
	struct derive_req req;
	char uri[1024], serial[64], *labels = NULL;
	unsigned how = cert_not_after(c->cert) <= time(NULL) ? DERIVE_UNASKED : 0;
	enum err e = request_make(r, c, &req, &labels, uri, sizeof uri);

	if (e == E_OK && !derive_can_revoke(req.protocol) && how == 0)
		e = err_set(E_UNSUP, "the issuer cannot be asked");
	run_begin(&req);
	if (e == E_OK)
		e = derive_revoke(&req, c->row, CRL_REASON_SUPERSEDED, how);
	if (e == E_UNSUP) {
		cli_progress_end();
		revoke_tell(c, "superseded");
		e = derive_revoke(&req, c->row, CRL_REASON_SUPERSEDED, DERIVE_UNASKED);
	}
	run_end();
	free(labels);
	return e == E_OK ? E_OK
			 : err_up(e, "the old credential is not revoked yet; 'dpiv revoke %s' goes on with that",
			       cert_serial(c->cert, serial, sizeof serial));
}

static enum err
move_ask(const struct renewal *r, const struct credential *c, const char *to)
{
	struct derive_result results[2 * ROLE_COUNT];
	struct derive_req req;
	char uri[1024], name[256], *labels = NULL;
	size_t n = 0;
	enum err e = request_make(r, c, &req, &labels, uri, sizeof uri);

	if (e == E_OK && to != NULL) {
		free(labels);
		labels = NULL;
		req = (struct derive_req){ .to = uri,
			.cafile = r->cafile,
			.from = r->from,
			.wait = r->wait,
			.timeout = r->timeout,
			.replace = r->replace };
		e = strstr(to, "://") == NULL ? issuer_section(r->conf, to, &req, &labels)
					      : issuer_of_url(r->conf, to, &req, &labels);
	}
	if (e == E_OK) {
		cli_note("renewing %s by the PIV card at %s", pick_name(c, name, sizeof name), req.issuer);
		run_begin(&req);
		e = derive_move(&req, c->row, results, &n);
		run_end();
	}
	run_results(results, n, r->notices, NOTICE_RENEWED);
	free(labels);
	return e == E_OK ? move_end(r, c) : e;
}

/* Has another taken its place, and nothing but its end is left to be done? */
static bool
move_begun(struct store *s, const struct credential *c)
{
	int reason;
	bool keep;

	return store_revoke_facts(s, c->row, &reason, &keep) == E_OK && reason == CRL_REASON_SUPERSEDED;
}

/* --- one credential ----------------------------------------------------------------------------------------------- */

static void
renew_not_yet(const struct credential *c, time_t from)
{
	char name[256], date[32], when[32];
	time_t end = cert_not_after(c->cert);
	struct tm tm;

	strftime(date, sizeof date, "%Y-%m-%d", gmtime_r(&end, &tm));
	strftime(when, sizeof when, "%Y-%m-%d", gmtime_r(&from, &tm));
	printf("%s is valid until %s; it is time to renew it from %s\n", pick_name(c, name, sizeof name), date, when);
}

static enum err
renew_one(const struct renewal *r, struct store *s, const struct credential *c)
{
	struct journal j;
	const char *to = move_target(r, c);
	time_t from = cert_renew_from(c->cert, policy_renew_days(r->policy));
	bool moves = r->card || to != NULL, due = r->force || r->card || r->move_to != NULL || from <= time(NULL);
	enum err e = journal_read(s, c, &j);

	due = due || j.waits;
	if (e == E_OK && move_begun(s, c))
		return move_end(r, c);
	if (e == E_OK && due && moves)
		return move_ask(r, c, to);
	if (e == E_OK && (due || j.leftovers))
		e = renew_ask(r, c, due);
	if (e == E_OK && j.leftovers && move_begun(s, c))
		return move_end(r, c);
	if (e == E_OK && !due)
		renew_not_yet(c, from);
	return e;
}

/* A key whose token was lost is destroyed when the token is there again. */
static void
lost_sweep(const struct renewal *r, struct store *s)
{
	struct credential c;
	size_t i = 0;

	while (store_lost_get(s, i, &c) == E_OK) {
		struct token *t = NULL;
		char uri[1024];
		bool here;

		pick_token(r->conf, &c, r->token, uri, sizeof uri);
		here = token_open(uri, NULL, NULL, &t) == E_OK && strcmp(token_serial_number(t), c.token_serial) == 0;
		token_close(&t);
		if (here && renew_ask(r, &c, false) == E_OK) {
			cli_note("the lost token '%s' is there again; its revoked key was destroyed", c.token_label);
		} else {
			if (here)
				cli_note("the lost token '%s' is there again: %s", c.token_label, err_msg());
			i++;
		}
		credential_clear(&c);
	}
}

/* One that authenticates asks for those that do not, so it goes last when the old ones are revoked. */
static void
auth_last(struct picked *p)
{
	size_t n = p->n;

	for (size_t i = 0; i < n; i++) {
		struct credential c = p->c[i];

		if (c.role != ROLE_AUTH)
			continue;
		memmove(&p->c[i], &p->c[i + 1], (p->n - i - 1) * sizeof c);
		p->c[p->n - 1] = c;
		i--;
		n--;
	}
}

/* Does it take a person: for a PIN, for a token or card that is not there, for what an issuer or a policy refuses? */
static bool
needs_person(enum err e)
{
	static const enum err list[] = { E_AUTH, E_PIN, E_PINLOCKED, E_PINLEN, E_NOREADER, E_NOCARD, E_NOTPIV,
		E_NOTFOUND, E_POLICY, E_REVOKED, E_REMOTE };

	for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
		if (list[i] == e)
			return true;
	return false;
}

static void
tell_failure(const struct renewal *r, const struct credential *c, enum err e)
{
	time_t until = cert_not_after(c->cert);
	char serial[64];

	cert_serial(c->cert, serial, sizeof serial);
	if (e == E_EXPIRED && until <= time(NULL))
		notice_tell(r->notices, NOTICE_EXPIRED, c->role, serial, until);
	else if (needs_person(e))
		notice_tell(r->notices, NOTICE_RENEW_PERSON, c->role, serial, until);
}

/* Each on its own: one that fails does not keep the others from being renewed. The first failure is the exit status. */
static int
renew_all(const struct renewal *r, struct store *s, const struct picked *p)
{
	int status = EXIT_DONE;

	for (size_t i = 0; i < p->n; i++) {
		enum err e = renew_one(r, s, &p->c[i]);
		int now = cli_fail(e);

		if (status == EXIT_DONE)
			status = now;
		if (e == E_CANCELED)
			break;
		tell_failure(r, &p->c[i], e);
	}
	return status;
}

int
cmd_renew(int argc, char **argv)
{
	struct renewal r = { .word = NULL };
	struct conf *conf = NULL;
	struct policy *policy = NULL;
	struct store *s = NULL;
	struct picked p = { .n = 0 };
	int status;
	enum err e = options_parse(argc, argv, &r);

	if (e == E_OK)
		e = conf_load(&conf);
	if (e == E_OK)
		e = policy_read(conf, NULL, &policy);
	r.conf = conf;
	r.policy = policy;
	r.notices = &(struct notices){ .conf = conf, .policy = policy };
	if (e == E_OK)
		e = store_open_existing(&s);
	if (e == E_OK && r.word == NULL)
		lost_sweep(&r, s);
	if (e == E_OK)
		e = pick(s, r.word, &p);
	auth_last(&p);
	if (e == E_OK)
		status = renew_all(&r, s, &p);
	else
		status = e == E_USAGE ? cli_usage("%s", err_msg()) : cli_fail(e);
	pick_free(&p);
	store_close(&s);
	policy_free(&policy);
	conf_free(&conf);
	return status;
}
