/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dpiv revoke: the end of one credential. The issuer is asked where its protocol can be asked, else the person is told
 * what to ask for; then the key is destroyed. Nothing of it can be undone, so nothing is done before a person has typed
 * 'yes' or said --yes. A revocation that was cut short after the issuer had heard goes on without a second question.
 */
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include <openssl/x509v3.h>

#include "cli/cli.h"
#include "cli/issuer.h"
#include "cli/pick.h"
#include "cli/run.h"
#include "derive/cert.h"

const char help_revoke[] = "usage: dpiv revoke [CREDENTIAL] [--reason REASON] [--yes] [--local]\n"
			   "                   [--token URI] [--cafile FILE] [--timeout SECONDS]\n"
			   "\n"
			   "Ends a derived credential: asks the issuer to revoke the certificate, then\n"
			   "destroys the key on the token. Only CMP lets dpiv ask; with EST and SCEP it says\n"
			   "what to ask the issuer for, and the certificate stays valid until the issuer acts.\n"
			   "Asks for confirmation. A run that was cut short is finished by the next one.\n"
			   "\n"
			   "  CREDENTIAL       a role (auth, sign, encrypt), serial number, name, UUID or token\n"
			   "                   label; needed when there are several\n"
			   "  --reason REASON  unspecified (default), keyCompromise, affiliationChanged,\n"
			   "                   superseded, cessationOfOperation or privilegeWithdrawn\n"
			   "  --yes            do not ask for confirmation\n"
			   "  --local          do not ask the issuer, only destroy the key\n"
			   "  --token URI      the URI of its token, where it needs a pin-source\n"
			   "  --cafile FILE    PEM certificates to trust; default: those of the [issuer NAME]\n"
			   "                   section with the issuer's url\n"
			   "  --timeout SECS   how long one exchange with the issuer may take; default: 60\n"
			   "\n"
			   "Examples:\n"
			   "  dpiv revoke auth\n"
			   "  dpiv revoke 4F2A91 --reason keyCompromise\n"
			   "\n"
			   "Mail that was encrypted to a revoked encryption credential cannot be read any\n"
			   "more, unless the key is kept elsewhere.\n";

struct revocation {
	const char *word, *token, *cafile, *why;
	int reason;
	long timeout;
	bool yes, local;
	const struct conf *conf;
};

static const struct {
	const char *name;
	int reason;
} reasons[] = {
	{ "unspecified", CRL_REASON_UNSPECIFIED },
	{ "keyCompromise", CRL_REASON_KEY_COMPROMISE },
	{ "affiliationChanged", CRL_REASON_AFFILIATION_CHANGED },
	{ "superseded", CRL_REASON_SUPERSEDED },
	{ "cessationOfOperation", CRL_REASON_CESSATION_OF_OPERATION },
	{ "privilegeWithdrawn", CRL_REASON_PRIVILEGE_WITHDRAWN },
};

enum { OPT_REASON, OPT_YES, OPT_LOCAL, OPT_TOKEN, OPT_CAFILE, OPT_TIMEOUT };

static const struct option longopts[] = {
	{ "reason", required_argument, NULL, OPT_REASON },
	{ "yes", no_argument, NULL, OPT_YES },
	{ "local", no_argument, NULL, OPT_LOCAL },
	{ "token", required_argument, NULL, OPT_TOKEN },
	{ "cafile", required_argument, NULL, OPT_CAFILE },
	{ "timeout", required_argument, NULL, OPT_TIMEOUT },
	{ NULL, 0, NULL, 0 },
};

static enum err
reason_parse(const char *text, struct revocation *r)
{
	for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
		if (strcasecmp(reasons[i].name, text) == 0) {
			r->why = reasons[i].name;
			r->reason = reasons[i].reason;
			return E_OK;
		}
	}
	return err_set(E_USAGE, "'%s' is not a reason for a revocation", text);
}

static enum err
option_take(struct revocation *r, int opt, const char *value)
{
	switch (opt) {
	case OPT_REASON: return reason_parse(value, r);
	case OPT_YES: r->yes = true; return E_OK;
	case OPT_LOCAL: r->local = true; return E_OK;
	case OPT_TOKEN: r->token = value; return E_OK;
	case OPT_CAFILE: r->cafile = value; return E_OK;
	case OPT_TIMEOUT: return run_seconds(value, &r->timeout);
	default: return err_set(E_USAGE, "the command line is not right");
	}
}

static enum err
options_parse(int argc, char **argv, struct revocation *r)
{
	enum err e = E_OK;
	int opt;

	while (e == E_OK && (opt = getopt_long(argc, argv, "", longopts, NULL)) != -1)
		e = option_take(r, opt, optarg);
	if (e != E_OK)
		return e;
	if (optind < argc)
		r->word = argv[optind++];
	return optind < argc ? err_set(E_USAGE, "unexpected argument '%s'", argv[optind]) : E_OK;
}

/* --- one credential ----------------------------------------------------------------------------------------------- */

struct plan {
	struct derive_req req;
	char uri[1024], *labels;
	bool resumed; /* the issuer has heard: only the key is left */
	bool expired; /* needs no revocation */
	bool unasked;
};

static enum err
plan_make(const struct revocation *r, struct store *s, const struct credential *c, struct plan *p)
{
	enum revoke_step step;
	enum err e;

	p->req = (struct derive_req){ .cafile = r->cafile, .timeout = r->timeout };
	pick_token(r->conf, c, r->token, p->uri, sizeof p->uri);
	p->req.to = p->uri;
	p->resumed = store_revoke_get(s, c->row, &step) == E_OK && step == REVOKE_DESTROY;
	p->expired = cert_not_after(c->cert) <= time(NULL);
	e = issuer_of_url(r->conf, c->issuer, &p->req, &p->labels);
	p->unasked = r->local || p->expired || !derive_can_revoke(p->req.protocol);
	return e;
}

/* What the person has to do, since dpiv does not. */
static void
tell_to_ask(const struct revocation *r, const struct credential *c)
{
	char serial[64], name[64], *by = X509_NAME_oneline(X509_get_issuer_name(c->cert), NULL, 0), safe[256];

	printf("Ask the issuer to revoke this certificate; it stays valid until the issuer does:\n"
	       "  issuer  %s (%s)\n  serial  %s\n  holder  %s\n  reason  %s\n",
	    by != NULL ? text_safe(span_str(by), safe, sizeof safe) : "", c->issuer,
	    cert_serial(c->cert, serial, sizeof serial), cert_name(c->cert, name, sizeof name), r->why);
	fflush(stdout);
	OPENSSL_free(by);
}

static enum err
confirm(const struct revocation *r, const struct credential *c, const struct plan *p)
{
	char text[768], name[256];
	int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);

	if (tty >= 0)
		close(tty);
	if (r->yes || p->resumed)
		return E_OK;
	if (tty < 0)
		return err_set(E_USAGE, "there is no terminal to ask for confirmation on; say --yes");
	snprintf(text, sizeof text,
	    "%s %s and destroy its key?%s This cannot be undone. Type 'yes': ", p->unasked ? "Give up" : "Revoke",
	    pick_name(c, name, sizeof name),
	    c->role == ROLE_ENCRYPT ? " Mail that was encrypted to it cannot be read any more then." : "");
	return cli_confirm(text) ? E_OK : err_set(E_CANCELED, "nothing was done");
}

static void
tell_done(const struct credential *c, const struct plan *p)
{
	char name[256];

	pick_name(c, name, sizeof name);
	if (p->expired)
		printf("The key of %s is destroyed; its certificate had expired.\n", name);
	else if (p->unasked)
		printf("The key of %s is destroyed; its certificate stays valid until the issuer revokes it.\n", name);
	else
		printf("The issuer was asked to revoke %s, and its key is destroyed.\n", name);
}

static enum err
revoke_one(const struct revocation *r, struct store *s, const struct credential *c)
{
	struct plan p = { .labels = NULL };
	enum err e = plan_make(r, s, c, &p);

	if (e == E_OK && p.resumed)
		cli_note("going on with the revocation that was cut short");
	else if (e == E_OK && p.unasked && !p.expired)
		tell_to_ask(r, c);
	if (e == E_OK)
		e = confirm(r, c, &p);
	if (e == E_OK) {
		run_begin(&p.req);
		e = derive_revoke(&p.req, c->row, r->reason, p.unasked);
		run_end();
	}
	if (e == E_OK)
		tell_done(c, &p);
	free(p.labels);
	return e;
}

int
cmd_revoke(int argc, char **argv)
{
	struct revocation r = { .why = "unspecified" };
	struct conf *conf = NULL;
	struct store *s = NULL;
	struct picked p = { .n = 0 };
	enum err e = options_parse(argc, argv, &r);

	if (e == E_OK)
		e = conf_load(&conf);
	r.conf = conf;
	if (e == E_OK)
		e = store_open_existing(&s);
	if (e == E_OK)
		e = pick_one(s, r.word, &p);
	if (e == E_OK)
		e = revoke_one(&r, s, &p.c[0]);
	pick_free(&p);
	store_close(&s);
	conf_free(&conf);
	return e == E_USAGE ? cli_usage("%s", err_msg()) : cli_fail(e);
}
