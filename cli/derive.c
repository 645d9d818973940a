/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dpiv derive: options and configuration to one request, one call, results to the terminal.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/conf.h"
#include "cli/cli.h"
#include "cli/code.h"
#include "cli/issuer.h"
#include "cli/run.h"
#include "derive/derive.h"

const char help_derive[] = "usage: dpiv derive [--to URI] [--from URI] [--issuer NAME|URL] [--cafile FILE]\n"
			   "                   [--role auth,sign,encrypt] [--alg rsa2048|rsa3072|p256|p384]\n"
			   "                   [--again] [--wait SECONDS] [--timeout SECONDS]\n"
			   "                   [--code-file FILE] [--assurance aal2|aal3]\n"
			   "\n"
			   "Derives credentials from the PIV card in the reader (NIST SP 800-157): the card\n"
			   "proves to the issuer who you are, a new key is generated inside the target\n"
			   "token, the issuer certifies it, and key and certificate stay on that token. The\n"
			   "private key never leaves it. When a step fails, the token is left as it was; a\n"
			   "run that was cut short is cleared up by the next one.\n"
			   "\n"
			   "  --to URI        the token that gets the credential (RFC 7512); default: 'to'\n"
			   "                  in dpiv.conf\n"
			   "  --from URI      the PIV card; needed only when there are several\n"
			   "  --issuer WHO    the name of an [issuer NAME] section of dpiv.conf, or an https\n"
			   "                  address; default: 'issuer' in dpiv.conf\n"
			   "  --cafile FILE   PEM certificates to trust: for the issuer's TLS and for what\n"
			   "                  it issues\n"
			   "  --role ROLES    auth (to log in), sign, encrypt; mail: one certificate for both,\n"
			   "                  where the issuer has it (one_certificate in dpiv.conf);\n"
			   "                  several with commas; default: 'roles' in dpiv.conf, else auth\n"
			   "  --alg ALG       kind of key; default: what the issuer asks for, else rsa2048\n"
			   "  --again         derive anew although a valid credential is there\n"
			   "  --wait SECONDS  how long to wait for an issuer that wants time; default: not\n"
			   "                  at all. The request is kept: the same command goes on with it\n"
			   "  --timeout SECS  how long one exchange with the issuer may take; default: 60\n"
			   "  --code-file F   for a machine without a card reader: the one-time code that\n"
			   "                  'dpiv bind' gave on the machine with the card; - reads it\n"
			   "                  from standard input\n"
			   "  --assurance L   aal3: refuse, before anything is made, a token for which nothing\n"
			   "                  shows that its keys are made and kept in validated hardware\n"
			   "\n"
			   "PINs are asked for on the terminal. For scripts, name a file with the PIN in the\n"
			   "URI (pin-source).\n"
			   "\n"
			   "Examples:\n"
			   "  dpiv derive --issuer agency \\\n"
			   "      --to 'pkcs11:token=laptop?module-path=/usr/lib/softhsm/libsofthsm2.so'\n"
			   "  dpiv derive --issuer https://ca.example.test:8443 --cafile root.pem \\\n"
			   "      --role auth,sign,encrypt \\\n"
			   "      --to 'pkcs11:token=laptop?pin-source=/run/pin&module-path=/usr/lib/x.so'\n"
			   "  dpiv status        shows what you have then\n"
			   "\n"
			   "In ~/.config/dpiv/dpiv.conf, so that 'dpiv derive' alone is enough:\n"
			   "  [derive]\n"
			   "  issuer = agency\n"
			   "  to = pkcs11:token=laptop?module-path=/usr/lib/softhsm/libsofthsm2.so\n"
			   "  [issuer agency]\n"
			   "  url = https://ca.example.test:8443\n"
			   "  protocol = est                       (or cmp, scep)\n"
			   "  cafile = /etc/dpiv/agency-root.pem\n";

/* --- options ------------------------------------------------------------------------------------------------------ */

struct options {
	struct derive_req req;
	const char *issuer, *roles, *code_file;
	char *labels; /* storage of req.label */
};

enum {
	OPT_TO,
	OPT_FROM,
	OPT_ISSUER,
	OPT_CAFILE,
	OPT_ROLE,
	OPT_ALG,
	OPT_AGAIN,
	OPT_WAIT,
	OPT_TIMEOUT,
	OPT_CODE,
	OPT_ASSURANCE
};

static const struct option longopts[] = {
	{ "to", required_argument, NULL, OPT_TO },
	{ "from", required_argument, NULL, OPT_FROM },
	{ "issuer", required_argument, NULL, OPT_ISSUER },
	{ "cafile", required_argument, NULL, OPT_CAFILE },
	{ "role", required_argument, NULL, OPT_ROLE },
	{ "alg", required_argument, NULL, OPT_ALG },
	{ "again", no_argument, NULL, OPT_AGAIN },
	{ "wait", required_argument, NULL, OPT_WAIT },
	{ "timeout", required_argument, NULL, OPT_TIMEOUT },
	{ "code-file", required_argument, NULL, OPT_CODE },
	{ "assurance", required_argument, NULL, OPT_ASSURANCE },
	{ NULL, 0, NULL, 0 },
};

static enum err
option_take(struct options *o, int opt, const char *value)
{
	switch (opt) {
	case OPT_ASSURANCE: return assure_parse(value, &o->req.assurance);
	case OPT_CODE: o->code_file = value; return E_OK;
	case OPT_TO: o->req.to = value; return E_OK;
	case OPT_FROM: o->req.from = value; return E_OK;
	case OPT_ISSUER: o->issuer = value; return E_OK;
	case OPT_CAFILE: o->req.cafile = value; return E_OK;
	case OPT_ROLE: o->roles = value; return E_OK;
	case OPT_AGAIN: o->req.again = true; return E_OK;
	case OPT_WAIT: return run_seconds(value, &o->req.wait);
	case OPT_TIMEOUT: return run_seconds(value, &o->req.timeout);
	case OPT_ALG: o->req.alg_chosen = true; return alg_parse(value, &o->req.alg);
	default: return err_set(E_USAGE, "unknown option");
	}
}

static enum err
options_complete(const struct conf *conf, struct options *o)
{
	enum err e;

	if (o->code_file != NULL && o->req.from != NULL)
		return err_set(E_USAGE, "--code-file takes the place of a card, so it does not go with --from");
	if (o->req.to == NULL)
		o->req.to = conf_str(conf, "derive", "to");
	if (o->req.to == NULL)
		return err_set(
		    E_USAGE, "say which token gets the credential: --to 'pkcs11:token=NAME?module-path=/PATH'");
	if (o->req.assurance == 0 && assure_parse(conf_str(conf, "derive", "assurance"), &o->req.assurance) != E_OK)
		return err_up(E_CONF, "assurance in dpiv.conf");
	e = issuer_and_roles(conf, &o->issuer, o->roles, &o->req, &o->labels);
	issuer_join_roles(&o->req);
	return e;
}

/* --- results ------------------------------------------------------------------------------------------------------ */

static int
derive_with(struct options *o, const struct conf *conf)
{
	struct derive_result results[2 * ROLE_COUNT];
	SECRET_AUTO code = NULL;
	size_t n = 0;
	enum err e = o->code_file != NULL ? code_read(o->code_file, &code) : E_OK;

	if (e != E_OK)
		return cli_fail(e);
	o->req.code = code;
	if (o->req.encrypt != KEY_GENERATE)
		secret_keep_process();
	run_begin(&o->req);
	o->req.assured = run_assured;
	e = derive_run(&o->req, results, &n);
	run_end();
	run_results(results, n, &(struct notices){ .conf = conf }, NOTICE_BOUND);
	return cli_fail(e);
}

int
cmd_derive(int argc, char **argv)
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
		e = options_complete(conf, &o);
	status = e == E_OK ? derive_with(&o, conf) : e == E_USAGE ? cli_usage("%s", err_msg()) : cli_fail(e);
	free(o.labels);
	conf_free(&conf);
	return status;
}
