/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dpiv history recover: the person's own encryption keys out of the issuer's escrow into a token, by the same judgement
 * and the same way as those of PKCS#12 files (history_bring.c). The PIV card shows who asks.
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/conf.h"
#include "base/secret.h"
#include "cli/history.h"
#include "cli/history_bring.h"
#include "cli/issuer.h"
#include "cli/run.h"
#include "derive/recover.h"

struct recover_options {
	struct derive_req req;
	const char *issuer;
	char *labels; /* storage of req.label */
};

enum { OPT_TO = 256, OPT_FROM, OPT_ISSUER, OPT_CAFILE, OPT_ADDRESS, OPT_TIMEOUT, OPT_JSON, OPT_DRY };

static enum err
option_take(int c, struct recover_options *o, struct bring *b)
{
	switch (c) {
	case OPT_TO: o->req.to = optarg; return E_OK;
	case OPT_FROM: o->req.from = optarg; return E_OK;
	case OPT_ISSUER: o->issuer = optarg; return E_OK;
	case OPT_CAFILE: o->req.cafile = optarg; return E_OK;
	case OPT_ADDRESS: return addresses_add_one(&b->judge.allowed, optarg);
	case OPT_TIMEOUT: return run_seconds(optarg, &o->req.timeout);
	case OPT_JSON: b->json = true; return E_OK;
	case OPT_DRY: b->dry_run = true; return E_OK;
	default: return err_set(E_USAGE, "unknown option or missing value");
	}
}

static enum err
options_read(int argc, char **argv, struct recover_options *o, struct bring *b)
{
	static const struct option options[] = { { "to", required_argument, NULL, OPT_TO },
		{ "from", required_argument, NULL, OPT_FROM }, { "issuer", required_argument, NULL, OPT_ISSUER },
		{ "cafile", required_argument, NULL, OPT_CAFILE }, { "address", required_argument, NULL, OPT_ADDRESS },
		{ "timeout", required_argument, NULL, OPT_TIMEOUT }, { "json", no_argument, NULL, OPT_JSON },
		{ "dry-run", no_argument, NULL, OPT_DRY }, { NULL, 0, NULL, 0 } };
	enum err e = E_OK;
	int c;

	while (e == E_OK && (c = getopt_long(argc, argv, "", options, NULL)) != -1)
		e = option_take(c, o, b);
	if (e == E_OK && optind < argc)
		e = err_set(E_USAGE, "unexpected argument '%s'", argv[optind]);
	return e;
}

static enum err
options_complete(const struct conf *conf, struct recover_options *o)
{
	if (o->req.to == NULL && (o->req.to = conf_str(conf, "derive", "to")) == NULL)
		return err_set(E_USAGE, "which token? Say --to URI, or set [derive] to in dpiv.conf");
	return issuer_and_roles(conf, &o->issuer, "encrypt", &o->req, &o->labels);
}

/* What came with the key: whose it is, and into the token with it. */
struct recovered {
	struct bring b;
	const char *from;
};

static enum err
recovered_one(void *arg, EVP_PKEY *key, X509 *cert, STACK_OF(X509) * others)
{
	struct recovered *r = arg;

	return bring_key(&r->b, r->from, key, cert, others);
}

static int
recover_with(struct recover_options *o, struct recovered *r)
{
	enum err e = token_open(o->req.to, cli_ask, NULL, &r->b.token);

	secret_keep_process();
	r->from = o->req.issuer;
	if (e == E_OK)
		e = bring_open(&r->b);
	if (e != E_OK)
		return cli_fail(e);
	run_begin(&o->req);
	e = recover_keys(&o->req, recovered_one, r);
	run_end();
	return e == E_OK ? bring_end(&r->b) : cli_fail(e);
}

int
history_recover(int argc, char **argv)
{
	struct recover_options o = { .issuer = NULL };
	struct recovered r = { .from = NULL };
	struct conf *conf = NULL;
	enum err e = options_read(argc, argv, &o, &r.b);
	int status;

	if (e == E_OK)
		e = conf_load(&conf);
	if (e == E_OK)
		e = options_complete(conf, &o);
	status = e == E_OK ? recover_with(&o, &r) : e == E_USAGE ? cli_usage("%s", err_msg()) : cli_fail(e);
	bring_close(&r.b);
	free(o.labels);
	conf_free(&conf);
	return status;
}
