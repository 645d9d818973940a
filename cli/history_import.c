/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dpiv history import: old decryption keys out of PKCS#12 files into a token. Each key is judged first (its
 * certificate, key usage, chain, whose address); a certificate that has expired is what this is for. A run that was cut
 * short is taken up by the next one: what is on the token already is told and left alone.
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
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <openssl/crypto.h>

#include "base/conf.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/history.h"
#include "cli/history_judge.h"
#include "cli/p12.h"
#include "derive/policy.h"

#define ROUNDS	  3
#define FILES_MAX 1000

struct import_options {
	const char *to, *password_source;
	struct judge judge;
	bool json, dry_run;
};

struct importer {
	const struct import_options *o;
	struct judge judge;
	struct token *token;
	struct secret *password; /* the last one that was right: the next file may have the same */
	json_t *list;
	size_t done, had;
	enum err worst;
};

/* --- secrecy ------------------------------------------------------------------------------------------------------ */

static void
keep_to_itself(void)
{
	const struct rlimit none = { 0, 0 };
	struct rlimit lock;

	(void)setrlimit(RLIMIT_CORE, &none);
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (getrlimit(RLIMIT_MEMLOCK, &lock) == 0 && lock.rlim_cur == RLIM_INFINITY)
		(void)mlockall(MCL_CURRENT | MCL_FUTURE);
	(void)CRYPTO_secure_malloc_init(256 * 1024, 32);
}

/* --- one key ------------------------------------------------------------------------------------------------------ */

static const char *const how_names[] = {
	[TOKEN_IMPORTED] = "imported", [TOKEN_COMPLETED] = "completed", [TOKEN_HAD] = "already there"
};

static void
say(struct importer *im, const char *file, X509 *cert, const char *result, const struct token_place *place)
{
	char safe[512];
	json_t *o = cert != NULL ? history_cert(cert) : json_object();

	json_object_set_new(o, "file", json_string(text_safe(span_str(file), safe, sizeof safe)));
	json_object_set_new(o, "result", json_string(result));
	json_object_set_new(o, "id", place != NULL ? history_hex(span_of(place->id, place->id_len)) : json_null());
	json_object_set_new(o, "problem", place == NULL ? json_string(err_msg()) : json_null());
	json_array_append_new(im->list, o);
	if (im->o->json)
		return;
	if (cert == NULL || place == NULL)
		printf("%s: %s: %s\n", safe, result, err_msg());
	else
		printf("%s: %s: %s, serial %s, %.10s to %.10s (id %s)\n", safe, result,
		    json_string_value(json_object_get(o, "name")), json_string_value(json_object_get(o, "serial")),
		    json_string_value(json_object_get(o, "not_before")),
		    json_string_value(json_object_get(o, "not_after")), json_string_value(json_object_get(o, "id")));
}

static void
failed(struct importer *im, const char *file, X509 *cert, const char *result, enum err e)
{
	say(im, file, cert, result, NULL);
	if (im->worst == E_OK)
		im->worst = e;
}

static void
label_make(X509 *cert, char *out, size_t cap)
{
	struct tm from = { 0 }, to = { 0 };

	(void)ASN1_TIME_to_tm(X509_get0_notBefore(cert), &from);
	(void)ASN1_TIME_to_tm(X509_get0_notAfter(cert), &to);
	snprintf(out, cap, "Old encryption key %04d-%04d", from.tm_year + 1900, to.tm_year + 1900);
}

/* Errors after which there is no point in trying the next key. */
static bool
is_final(enum err e)
{
	static const enum err all[] = { E_CARDGONE, E_NOCARD, E_PIN, E_PINLOCKED, E_CANCELED, E_AUTH, E_READONLY,
		E_NOSPACE, E_NOMEM };

	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		if (all[i] == e)
			return true;
	}
	return false;
}

static enum err
key_bring(struct importer *im, const char *file, const struct p12 *p, size_t i)
{
	X509 *cert = p12_cert(p, i);
	struct token_place place;
	char label[64];
	enum err e = judge_key(&im->judge, p->keys[i], cert, p->certs);

	if (e != E_OK) {
		failed(im, file, cert, "left out", e);
		return E_OK;
	}
	label_make(cert, label, sizeof label);
	e = im->o->dry_run ? token_import_look(im->token, cert, &place)
			   : token_import(im->token, p->keys[i], cert, label, &place);
	if ((e == E_AUTH || e == E_READONLY) && token_is_own(im->token))
		e = err_set(e,
		    "%s: a card takes keys with its management key only: put it into a file and name that in "
		    "dpiv.conf, "
		    "[module] management_key_file",
		    token_label(im->token));
	if (e != E_OK) {
		failed(im, file, cert, "failed", e);
		return is_final(e) ? e : E_OK;
	}
	im->done++;
	im->had += place.how == TOKEN_HAD;
	say(im, file, cert, im->o->dry_run && place.how != TOKEN_HAD ? "would be imported" : how_names[place.how],
	    &place);
	return E_OK;
}

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
		failed(im, file, NULL, "failed", e);
		return e == E_CANCELED || e == E_AUTH || e == E_NOMEM ? e : E_OK;
	}
	for (size_t i = 0; e == E_OK && i < p.n_keys; i++)
		e = key_bring(im, file, &p, i);
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
		failed(im, dir, NULL, "failed", e);
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
options_read(int argc, char **argv, struct import_options *o)
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
			if (addresses_add_one(&o->judge.allowed, optarg) != E_OK)
				return cli_usage("'%s' is not an address", optarg);
			break;
		case OPT_CAFILE: o->judge.cafile = optarg; break;
		case OPT_JSON: o->json = true; break;
		case OPT_DRY: o->dry_run = true; break;
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
		e = token_open(to, cli_ask, NULL, &im->token);
	if (e == E_OK)
		e = policy_judge_import(policy, im->token);
	policy_free(&policy);
	conf_free(&conf);
	return e;
}

static int
import_end(struct importer *im)
{
	enum err e = im->worst;

	if (im->o->json)
		history_print(json_pack("{s:i, s:s, s:s, s:O}", "version", 1, "token", token_label(im->token),
		    "token_uri", token_uri(im->token), "keys", im->list));
	else
		printf("%zu of %zu keys are on '%s'%s\n", im->o->dry_run ? im->had : im->done,
		    json_array_size(im->list), token_label(im->token),
		    im->o->dry_run ? "; nothing was written (--dry-run)" : "");
	return cli_exit(e);
}

int
history_import(int argc, char **argv)
{
	struct import_options o = { 0 };
	struct importer im = { .o = &o };
	int status = options_read(argc, argv, &o);
	enum err e = E_OK;

	if (status == EXIT_DONE) {
		keep_to_itself();
		im.judge = o.judge;
		if ((im.list = json_array()) == NULL)
			e = err_set(E_NOMEM, "out of memory");
		if (e == E_OK && (e = target_open(&im)) == E_OK &&
		    (e = judge_open(&im.judge, token_uri(im.token))) == E_OK) {
			for (int i = optind; e == E_OK && i < argc; i++)
				e = path_bring(&im, argv[i]);
			status = import_end(&im);
		} else
			status = cli_fail(e);
	}
	judge_close(&im.judge);
	secret_free(&im.password);
	json_decref(im.list);
	token_close(&im.token);
	return status;
}
