/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dpiv revoke: the end of one credential. The issuer is asked where it can be asked, else the person is told what to
 * ask for; then the key is destroyed, or noted for destruction where the token is lost. Nothing of it can be undone, so
 * nothing is done before a person has typed 'yes' or said --yes. A revocation that was cut short after the issuer had
 * heard goes on without a second question.
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
#include "cli/revoke.h"
#include "cli/run.h"
#include "derive/cert.h"

const char help_revoke[] = "usage: dpiv revoke [CREDENTIAL] [--reason REASON] [--yes] [--local] [--lost]\n"
			   "                   [--from URI] [--token URI] [--cafile FILE] [--timeout SECONDS]\n"
			   "\n"
			   "Ends a derived credential: asks the issuer to revoke the certificate, then\n"
			   "destroys the key on the token. CMP issuers and dpiv-issuer can be asked; for\n"
			   "others it says what to ask them for, and the certificate stays valid until they\n"
			   "act. Asks for confirmation. A run that was cut short is finished by the next one.\n"
			   "\n"
			   "  CREDENTIAL       a role (auth, sign, encrypt, mail), serial number, name, UUID, token\n"
			   "                   label or issuer's address, or several of these with commas\n"
			   "                   between them; needed when there are several credentials\n"
			   "  --reason REASON  unspecified (default), keyCompromise (default with --lost),\n"
			   "                   affiliationChanged, superseded, cessationOfOperation or\n"
			   "                   privilegeWithdrawn\n"
			   "  --yes            do not ask for confirmation\n"
			   "  --local          do not ask the issuer, only destroy the key\n"
			   "  --lost           the token is lost, or locked for good: the PIV card asks the\n"
			   "                   issuer. The key is destroyed if dpiv meets the token again\n"
			   "  --from URI       the PIV card, where there are several\n"
			   "  --token URI      the URI of its token, where it needs a pin-source\n"
			   "  --cafile FILE    PEM certificates to trust; default: those of the [issuer NAME]\n"
			   "                   section with the issuer's url\n"
			   "  --timeout SECS   how long one exchange with the issuer may take; default: 60\n"
			   "\n"
			   "Examples:\n"
			   "  dpiv revoke auth\n"
			   "  dpiv revoke 4F2A91 --reason keyCompromise\n"
			   "  dpiv revoke auth,laptop --lost\n"
			   "\n"
			   "Mail that was encrypted to a revoked encryption credential cannot be read any\n"
			   "more, unless the key is kept elsewhere.\n";

struct revocation {
	const char *word, *token, *from, *cafile;
	const char *why; /* NULL: nothing was said */
	int reason;
	long timeout;
	bool yes, local, lost;
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

enum { OPT_REASON, OPT_YES, OPT_LOCAL, OPT_LOST, OPT_FROM, OPT_TOKEN, OPT_CAFILE, OPT_TIMEOUT };

static const struct option longopts[] = {
	{ "reason", required_argument, NULL, OPT_REASON },
	{ "yes", no_argument, NULL, OPT_YES },
	{ "local", no_argument, NULL, OPT_LOCAL },
	{ "lost", no_argument, NULL, OPT_LOST },
	{ "from", required_argument, NULL, OPT_FROM },
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
	case OPT_LOST: r->lost = true; return E_OK;
	case OPT_FROM: r->from = value; return E_OK;
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
	const char *why;
	int reason;
	bool resumed; /* the issuer has heard: only the key is left */
	bool expired; /* needs no revocation */
	unsigned how;
};

/* What the person says; else what an earlier run has begun with; else what is usual. */
static void
plan_reason(const struct revocation *r, struct store *s, const struct credential *c, struct plan *p)
{
	bool keep;

	p->why = r->why;
	p->reason = r->reason;
	if (p->why != NULL)
		return;
	if (store_revoke_facts(s, c->row, &p->reason, &keep) != E_OK)
		p->reason = r->lost ? CRL_REASON_KEY_COMPROMISE : CRL_REASON_UNSPECIFIED;
	p->why = "unspecified";
	for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
		if (reasons[i].reason == p->reason)
			p->why = reasons[i].name;
}

static enum err
plan_make(const struct revocation *r, struct store *s, const struct credential *c, struct plan *p)
{
	enum revoke_step step;
	enum err e;

	p->req = (struct derive_req){ .cafile = r->cafile, .from = r->from, .timeout = r->timeout };
	pick_token(r->conf, c, r->token, p->uri, sizeof p->uri);
	p->req.to = p->uri;
	p->resumed = store_revoke_get(s, c->row, &step) == E_OK && step == REVOKE_DESTROY;
	p->expired = cert_not_after(c->cert) <= time(NULL);
	plan_reason(r, s, c, p);
	e = issuer_of_url(r->conf, c->issuer, &p->req, &p->labels);
	if (r->local || p->expired || !derive_can_revoke(p->req.protocol))
		p->how |= DERIVE_UNASKED;
	if (r->lost)
		p->how |= DERIVE_LOST;
	return e;
}

void
revoke_tell(const struct credential *c, const char *reason)
{
	char serial[64], name[64], *by = X509_NAME_oneline(X509_get_issuer_name(c->cert), NULL, 0), safe[256];

	printf("Ask the issuer to revoke this certificate; it stays valid until the issuer does:\n"
	       "  issuer  %s (%s)\n  serial  %s\n  holder  %s\n  reason  %s\n",
	    by != NULL ? text_safe(span_str(by), safe, sizeof safe) : "", c->issuer,
	    cert_serial(c->cert, serial, sizeof serial), cert_name(c->cert, name, sizeof name), reason);
	fflush(stdout);
	OPENSSL_free(by);
}

static void
question(const struct credential *c, const struct plan *p, char *out, size_t cap)
{
	bool unasked = (p->how & DERIVE_UNASKED) != 0, lost = (p->how & DERIVE_LOST) != 0;
	char name[256];

	snprintf(out, cap, "%s %s%s?%s This cannot be undone. Type 'yes': ", unasked ? "Give up" : "Revoke",
	    pick_name(c, name, sizeof name), lost ? ", whose token is lost" : " and destroy its key",
	    role_decrypts(c->role) ? " Mail that was encrypted to it cannot be read any more then." : "");
}

static enum err
confirm(const struct revocation *r, const struct credential *c, const struct plan *p)
{
	char text[768];
	int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);

	if (tty >= 0)
		close(tty);
	if (r->yes || p->resumed)
		return E_OK;
	if (tty < 0)
		return err_set(E_USAGE, "there is no terminal to ask for confirmation on; say --yes");
	question(c, p, text, sizeof text);
	return cli_confirm(text) ? E_OK : err_set(E_CANCELED, "nothing was done");
}

static void
tell_lost(const struct credential *c, const struct plan *p, const char *name)
{
	if ((p->how & DERIVE_UNASKED) != 0)
		printf("Noted that the token of %s is lost.", name);
	else
		printf("The issuer was asked to revoke %s, whose token is lost.", name);
	printf(" If dpiv meets '%s' again, it destroys the key.\n", c->token_label);
}

static void
tell_done(const struct credential *c, const struct plan *p)
{
	char name[256];

	pick_name(c, name, sizeof name);
	if ((p->how & DERIVE_LOST) != 0)
		tell_lost(c, p, name);
	else if (p->expired)
		printf("The key of %s is destroyed; its certificate had expired.\n", name);
	else if ((p->how & DERIVE_UNASKED) != 0)
		printf("The key of %s is destroyed; its certificate stays valid until the issuer revokes it.\n", name);
	else
		printf("The issuer was asked to revoke %s, and its key is destroyed.\n", name);
}

static enum err
revoke_call(const struct credential *c, struct plan *p)
{
	enum err e;

	run_begin(&p->req);
	e = derive_revoke(&p->req, c->row, p->reason, p->how);
	run_end();
	return e;
}

/* The issuer has no way to be asked, which is known since it was tried. */
static enum err
revoke_unasked(const struct revocation *r, const struct credential *c, struct plan *p)
{
	enum err e;

	cli_note("%s", err_msg());
	p->how |= DERIVE_UNASKED;
	revoke_tell(c, p->why);
	e = confirm(r, c, p);
	return e == E_OK ? revoke_call(c, p) : e;
}

static enum err
revoke_one(const struct revocation *r, struct store *s, const struct credential *c)
{
	struct plan p = { .labels = NULL };
	enum err e = plan_make(r, s, c, &p);

	if (e == E_OK && p.resumed)
		cli_note("going on with the revocation that was cut short");
	else if (e == E_OK && (p.how & DERIVE_UNASKED) != 0 && !p.expired)
		revoke_tell(c, p.why);
	if (e == E_OK)
		e = confirm(r, c, &p);
	if (e == E_OK)
		e = revoke_call(c, &p);
	if (e == E_UNSUP && (p.how & DERIVE_UNASKED) == 0)
		e = revoke_unasked(r, c, &p);
	if (e == E_OK)
		tell_done(c, &p);
	free(p.labels);
	return e;
}

int
cmd_revoke(int argc, char **argv)
{
	struct revocation r = { .why = NULL };
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
		e = pick_revocable(s, r.word, &p);
	if (e == E_OK)
		e = revoke_one(&r, s, &p.c[0]);
	pick_free(&p);
	store_close(&s);
	conf_free(&conf);
	return e == E_USAGE ? cli_usage("%s", err_msg()) : cli_fail(e);
}
