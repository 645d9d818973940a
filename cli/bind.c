/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dpiv bind: the card proves who asks, the issuer gives a one-time code, and the person takes it to the machine that
 * has no card reader (SP 800-157r1, App. C). On a terminal the code comes with what to do next and as a QR code;
 * elsewhere standard output gets the code alone, for a pipe. The code goes nowhere else.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <jansson.h>

#include "base/conf.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/issuer.h"
#include "cli/qr.h"
#include "cli/run.h"
#include "derive/bind.h"

const char help_bind[] = "usage: dpiv bind [--issuer NAME|URL] [--from URI] [--cafile FILE]\n"
			 "                 [--role auth,sign,encrypt] [--timeout SECONDS] [--json]\n"
			 "\n"
			 "For a machine without a card reader: proves to the issuer with the PIV card in\n"
			 "this machine who you are, and gets a one-time code. On the other machine the\n"
			 "code stands for the card, once and for a few minutes. A code that you got\n"
			 "before is void then.\n"
			 "\n"
			 "Whoever has the code can get a credential in your name: do not send it by mail\n"
			 "or chat, and read it to nobody.\n"
			 "\n"
			 "  --issuer WHO    the name of an [issuer NAME] section of dpiv.conf, or an https\n"
			 "                  address; default: 'issuer' in dpiv.conf\n"
			 "  --from URI      the PIV card; needed only when there are several\n"
			 "  --cafile FILE   PEM certificates to trust for the issuer's TLS\n"
			 "  --role ROLES    what the code may be used for: auth, sign, encrypt, mail;\n"
			 "                  default: 'roles' in dpiv.conf, else auth\n"
			 "  --timeout SECS  how long the exchange with the issuer may take; default: 60\n"
			 "  --json          code, expiry and roles as JSON\n"
			 "\n"
			 "On a terminal the code is shown with its expiry and as a QR code; otherwise the\n"
			 "output is the code alone.\n"
			 "\n"
			 "Examples:\n"
			 "  dpiv bind --issuer agency                         here, with the card\n"
			 "  dpiv derive --issuer agency --code-file - \\\n"
			 "      --to 'pkcs11:token=laptop?module-path=/usr/lib/softhsm/libsofthsm2.so'\n"
			 "                                                    there, within minutes\n";

struct options {
	struct derive_req req;
	const char *issuer, *roles;
	char *labels; /* storage of req.label */
	bool json;
};

enum { OPT_FROM, OPT_ISSUER, OPT_CAFILE, OPT_ROLE, OPT_TIMEOUT, OPT_JSON };

static const struct option longopts[] = {
	{ "from", required_argument, NULL, OPT_FROM },
	{ "issuer", required_argument, NULL, OPT_ISSUER },
	{ "cafile", required_argument, NULL, OPT_CAFILE },
	{ "role", required_argument, NULL, OPT_ROLE },
	{ "timeout", required_argument, NULL, OPT_TIMEOUT },
	{ "json", no_argument, NULL, OPT_JSON },
	{ NULL, 0, NULL, 0 },
};

static enum err
option_take(struct options *o, int opt, const char *value)
{
	switch (opt) {
	case OPT_FROM: o->req.from = value; return E_OK;
	case OPT_ISSUER: o->issuer = value; return E_OK;
	case OPT_CAFILE: o->req.cafile = value; return E_OK;
	case OPT_ROLE: o->roles = value; return E_OK;
	case OPT_JSON: o->json = true; return E_OK;
	case OPT_TIMEOUT: return run_seconds(value, &o->req.timeout);
	default: return err_set(E_USAGE, "unknown option");
	}
}

/* --- what is shown ------------------------------------------------------------------------------------------------ */

static const char *
shown(const struct bind_answer *a)
{
	return (const char *)a->text->v;
}

static void
show_json(const struct options *o, const struct bind_answer *a)
{
	json_t *roles = json_array(), *j;
	char when[TEXT_UTC_MAX];

	for (size_t i = 0; i < ROLE_COUNT; i++)
		if (a->role[i])
			json_array_append_new(roles, json_string(role_info((enum role)i)->name));
	j = json_pack("{s:i,s:s,s:s,s:I,s:o,s:s,s:s}", "version", 1, "code", shown(a), "expires",
	    text_utc(time(NULL) + a->seconds, when), "seconds", (json_int_t)a->seconds, "roles", roles, "issuer",
	    o->req.issuer, "name", a->name);
	json_dumpf(j, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	putchar('\n');
	json_decref(j);
}

static void
show_qr(const struct bind_answer *a)
{
	WBUF_AUTO picture = { 0 };

	wbuf_init(&picture, 1u << 16);
	if (qr_possible(STDOUT_FILENO) && qr_draw(shown(a), &picture)) {
		fwrite(picture.p, 1, picture.n, stdout);
		putchar('\n');
	}
}

static void
show_person(const struct options *o, const struct bind_answer *a)
{
	const time_t expires = time(NULL) + a->seconds;
	const char *comma = "";
	char when[32];
	struct tm tm;

	strftime(when, sizeof when, "%H:%M:%S", localtime_r(&expires, &tm));
	printf("A binding code for %s:\n\n    %s\n\n", a->name, shown(a));
	show_qr(a);
	printf("It works once, until %s (%ld minutes), for: ", when, (a->seconds + 59) / 60);
	for (size_t i = 0; i < ROLE_COUNT; i++)
		if (a->role[i]) {
			printf("%s%s", comma, role_info((enum role)i)->name);
			comma = ", ";
		}
	printf(
	    "\nOn the other machine:\n    dpiv derive --issuer %s --code-file - --to 'pkcs11:token=...'\n", o->issuer);
}

static int
bind_with(struct options *o)
{
	struct bind_answer a;
	enum err e;

	run_begin(&o->req);
	e = bind_ask(&o->req, &a);
	run_end();
	if (e == E_OK && o->json)
		show_json(o, &a);
	else if (e == E_OK && isatty(STDOUT_FILENO))
		show_person(o, &a);
	else if (e == E_OK)
		printf("%s\n", shown(&a));
	bind_answer_clear(&a);
	return cli_fail(e);
}

int
cmd_bind(int argc, char **argv)
{
	struct options o = { .issuer = NULL };
	struct conf *conf = NULL;
	enum err e = E_OK;
	int opt, status;

	while (e == E_OK && (opt = getopt_long(argc, argv, "", longopts, NULL)) != -1) {
		if (opt == '?')
			return cli_usage("the command line is not right");
		e = option_take(&o, opt, optarg);
	}
	if (e == E_OK && optind < argc)
		e = err_set(E_USAGE, "unexpected argument '%s'", argv[optind]);
	if (e == E_OK)
		e = conf_load(&conf);
	if (e == E_OK)
		e = issuer_and_roles(conf, &o.issuer, o.roles, &o.req, &o.labels);
	issuer_join_roles(&o.req);
	status = e == E_OK ? bind_with(&o) : e == E_USAGE ? cli_usage("%s", err_msg()) : cli_fail(e);
	free(o.labels);
	conf_free(&conf);
	return status;
}
