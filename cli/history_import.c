/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dpiv history import: old decryption keys out of PKCS#12 files into a token (history_bring.c).
 *
 * Keys exist in this process's memory only. It makes no core dumps and cannot be looked into by others of the same
 * user (PR_SET_DUMPABLE); where the limits allow it nothing of it is swapped. libcrypto's secure heap is used, since
 * this is a process of our own and not a host's.
 */
#include <dirent.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/conf.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/history.h"
#include "cli/history_bring.h"
#include "cli/p12.h"
#include "derive/policy.h"

#define ROUNDS	  3
#define FILES_MAX 1000

struct import_options {
	const char *to, *password_source;
};

struct importer {
	const struct import_options *o;
	struct bring b;
	struct secret *password; /* the last one that was right: the next file may have the same */
};

/* --- one file ----------------------------------------------------------------------------------------------------- */

static enum err
password_ask(const char *file, bool again, struct secret **out)
{
	char safe[200], question[240];
	enum err e;

	snprintf(question, sizeof question, "%sPassword of %s: ", again ? "Wrong password. " : "",
	    text_safe(span_str(file), safe, sizeof safe));
	e = cli_secret(question, out);
	return e == E_AUTH
	    ? err_set(e, "its password is needed, and there is no terminal to ask on: give --password-source")
	    : e;
}

/* The password that was right for another file, then --password-source, or the person. */
static enum err
file_open(struct importer *im, const char *file, struct span der, struct p12 *p)
{
	enum err e = im->password != NULL ? p12_read(der, im->password, p) : E_PIN;

	for (int round = 0; e == E_PIN && round < ROUNDS; round++) {
		SECRET_AUTO password = NULL;

		e = im->o->password_source != NULL
		    ? file_read_source("--password-source", im->o->password_source, &password)
		    : password_ask(file, round > 0, &password);
		if (e != E_OK)
			return e;
		e = p12_read(der, password, p);
		if (e == E_OK) {
			secret_free(&im->password);
			im->password = password;
			password = NULL;
		}
		if (im->o->password_source != NULL)
			break;
	}
	return e;
}

static enum err
file_bring(struct importer *im, const char *file)
{
	struct p12 p = { 0 };
	WBUF_AUTO der;
	enum err e;

	wbuf_init(&der, P12_MAX);
	if ((e = file_read(file, &der)) == E_OK && (e = file_open(im, file, wbuf_view(&der), &p)) == E_OK &&
	    p.n_keys == 0) {
		e = err_set(E_NOTFOUND, "there is no private key in it");
		p12_free(&p);
	}
	if (e != E_OK) {
		bring_failed(&im->b, file, NULL, "failed", e);
		return e == E_CANCELED || e == E_AUTH || e == E_NOMEM ? e : E_OK;
	}
	for (size_t i = 0; e == E_OK && i < p.n_keys; i++)
		e = bring_key(&im->b, file, p.keys[i], p12_cert(&p, i), p.certs);
	p12_free(&p);
	return e;
}

static int
is_p12(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return n > 4 && d->d_name[0] != '.' &&
	    (strcasecmp(d->d_name + n - 4, ".p12") == 0 || strcasecmp(d->d_name + n - 4, ".pfx") == 0);
}

static enum err
directory_bring(struct importer *im, const char *dir)
{
	struct dirent **names = NULL;
	char path[4096];
	int n = scandir(dir, &names, is_p12, alphasort);
	enum err e = E_OK;

	if (n <= 0) {
		e = err_set(E_NOTFOUND, "there is no .p12 or .pfx file in it");
		bring_failed(&im->b, dir, NULL, "failed", e);
		e = E_OK;
	}
	for (int i = 0; i < n; i++) {
		if (e == E_OK && i < FILES_MAX && snprintf(path, sizeof path, "%s/%s", dir, names[i]->d_name) < 4096)
			e = file_bring(im, path);
		free(names[i]);
	}
	free(names);
	return e;
}

static enum err
path_bring(struct importer *im, const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode) ? directory_bring(im, path) : file_bring(im, path);
}

/* --- the verb ----------------------------------------------------------------------------------------------------- */

enum { OPT_TO = 256, OPT_PASSWORD, OPT_ADDRESS, OPT_CAFILE, OPT_JSON, OPT_DRY };

static int
options_read(int argc, char **argv, struct import_options *o, struct bring *b)
{
	static const struct option options[] = { { "to", required_argument, NULL, OPT_TO },
		{ "password-source", required_argument, NULL, OPT_PASSWORD },
		{ "address", required_argument, NULL, OPT_ADDRESS }, { "cafile", required_argument, NULL, OPT_CAFILE },
		{ "json", no_argument, NULL, OPT_JSON }, { "dry-run", no_argument, NULL, OPT_DRY },
		{ NULL, 0, NULL, 0 } };
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case OPT_TO: o->to = optarg; break;
		case OPT_PASSWORD: o->password_source = optarg; break;
		case OPT_ADDRESS:
			if (addresses_add_one(&b->judge.allowed, optarg) != E_OK)
				return cli_usage("'%s' is not an address", optarg);
			break;
		case OPT_CAFILE: b->judge.cafile = optarg; break;
		case OPT_JSON: b->json = true; break;
		case OPT_DRY: b->dry_run = true; break;
		default: return cli_usage("unknown option or missing value");
		}
	}
	return optind == argc ? cli_usage("which FILE.p12?") : EXIT_DONE;
}

static enum err
target_open(struct importer *im)
{
	struct conf *conf = NULL;
	const char *to = im->o->to;
	struct policy *policy = NULL;
	enum err e = conf_load(&conf);

	if (e == E_OK)
		e = policy_read(conf, NULL, &policy);
	if (e == E_OK && to == NULL && (to = conf_str(conf, "derive", "to")) == NULL)
		e = err_set(E_USAGE, "which token? Say --to URI, or set [derive] to in dpiv.conf");
	if (e == E_OK)
		e = token_open(to, cli_ask, NULL, &im->b.token);
	if (e == E_OK)
		e = policy_judge_import(policy, im->b.token);
	policy_free(&policy);
	conf_free(&conf);
	return e;
}

int
history_import(int argc, char **argv)
{
	struct import_options o = { 0 };
	struct importer im = { .o = &o };
	int status = options_read(argc, argv, &o, &im.b);
	enum err e;

	if (status == EXIT_DONE) {
		secret_keep_process();
		if ((e = target_open(&im)) == E_OK && (e = bring_open(&im.b)) == E_OK) {
			for (int i = optind; e == E_OK && i < argc; i++)
				e = path_bring(&im, argv[i]);
			status = bring_end(&im.b);
		} else
			status = cli_fail(e);
	}
	secret_free(&im.password);
	bring_close(&im.b);
	return status;
}
