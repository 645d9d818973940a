/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dpiv setup: tells other programs where the module is, by the smallest change of their configuration, and takes it
 * back. Each client is looked at before anything is written, so that what cannot be done is found before the first file
 * is changed. Nothing secret is ever in what is written.
 */
#include <ctype.h>
#include <dlfcn.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/policy.h"
#include "cli/setup.h"
#include "derive/cert.h"

const char help_setup[] = "usage: dpiv setup [CLIENT...] [--undo] [--dry-run] [--module PATH] [--root FILE]...\n"
			  "\n"
			  "Sets up programs to use the PIV card and derived credentials: thunderbird,\n"
			  "firefox, openssl, ssh, gpgsm, p11-kit; and timer, which lets systemd run\n"
			  "'dpiv check' and 'dpiv renew' every day. Without CLIENT says which are here,\n"
			  "which are set up, and what would be done. Your own settings stay as they are;\n"
			  "running it again changes nothing.\n"
			  "\n"
			  "  --undo          take back what was put there: the files are as before\n"
			  "  --dry-run       only show what would be written\n"
			  "  --module PATH   dpiv-pkcs11.so; default: the installed one\n"
			  "  --root FILE     PEM file with CA certificates for Thunderbird, Firefox and gpgsm:\n"
			  "                  roots are trusted for mail and servers; may be repeated; default:\n"
			  "                  'trust_roots' of the policy in dpiv.conf\n"
			  "\n"
			  "Examples:\n"
			  "  dpiv setup\n"
			  "  dpiv setup thunderbird --root agency-root.pem\n"
			  "  dpiv setup ssh --dry-run\n"
			  "  dpiv setup ssh --undo\n";

enum { OPT_UNDO, OPT_DRY, OPT_MODULE, OPT_ROOT };

static const struct option longopts[] = {
	{ "undo", no_argument, NULL, OPT_UNDO },
	{ "dry-run", no_argument, NULL, OPT_DRY },
	{ "module", required_argument, NULL, OPT_MODULE },
	{ "root", required_argument, NULL, OPT_ROOT },
	{ NULL, 0, NULL, 0 },
};

static enum err
root_add(struct setup *s, const char *path)
{
	STACK_OF(X509) *list = NULL;
	enum err e = cert_read_file(path, &list);
	X509 *x;

	if (e == E_OK && s->roots == NULL && (s->roots = sk_X509_new_null()) == NULL)
		e = err_set(E_NOMEM, "out of memory");
	while (e == E_OK && (x = sk_X509_shift(list)) != NULL)
		if (sk_X509_push(s->roots, x) <= 0)
			X509_free(x);
	sk_X509_pop_free(list, X509_free);
	return e;
}

static enum err
options_parse(int argc, char **argv, struct setup *s)
{
	enum err e = E_OK;
	int opt;

	while (e == E_OK && (opt = getopt_long(argc, argv, "", longopts, NULL)) != -1) {
		switch (opt) {
		case OPT_UNDO: s->mode = SETUP_UNDO; break;
		case OPT_DRY: s->dry = true; break;
		case OPT_MODULE: s->module = optarg; break;
		case OPT_ROOT: e = root_add(s, optarg); break;
		default: return err_set(E_USAGE, "the command line is not right");
		}
	}
	return e;
}

/* Those of the policy, unless some are named. */
static enum err
roots_find(struct setup *s)
{
	char path[POLICY_ENTRY_MAX];
	struct policy *p = NULL;
	enum err e = s->roots == NULL && s->mode != SETUP_UNDO ? policy_load(&p) : E_OK;

	for (size_t i = 0; e == E_OK && p != NULL && policy_root(p, i, path, sizeof path); i++)
		e = root_add(s, path);
	policy_free(&p);
	return e;
}

/* --- where things are --------------------------------------------------------------------------------------------- */

/* It is written into files with five syntaxes, none of which has to quote these. */
static enum err
path_plain(const char *what, const char *path)
{
	char safe[256];

	for (const char *p = path; *p != '\0'; p++)
		if (!isalnum((unsigned char)*p) && strchr("/._+-,@~:", *p) == NULL)
			return err_set(E_ARG, "the path of %s has a character that configuration files take amiss: %s",
			    what, text_safe(span_str(path), safe, sizeof safe));
	return path[0] == '/' ? E_OK : err_set(E_ARG, "the path of %s must be absolute, not %s", what, path);
}

/* A program that cannot load the module says little about it: load it here once, and say why not. */
static enum err
module_check(const char *path)
{
	void *m = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	enum err e = E_OK;

	if (m == NULL)
		return err_set(E_NOTFOUND, "the module cannot be loaded: %s; say where it is with --module", dlerror());
	if (dlsym(m, "C_GetFunctionList") == NULL)
		e = err_set(E_ARG, "%s is not a PKCS#11 module", path);
	dlclose(m);
	return e;
}

/* Installed, or beside this program as in a build. */
static enum err
module_find(struct setup *s, char storage[PATH_MAX])
{
	const char *slash = strrchr(s->self, '/');
	enum err e;

	if (s->module == NULL && access(DPIV_MODULE, R_OK) != 0 && slash != NULL &&
	    snprintf(storage, PATH_MAX, "%.*s/dpiv-pkcs11.so", (int)(slash - s->self), s->self) < PATH_MAX &&
	    access(storage, R_OK) == 0)
		s->module = storage;
	else if (s->module == NULL)
		s->module = DPIV_MODULE;
	e = path_plain("the module", s->module);
	return e == E_OK && s->mode != SETUP_UNDO ? module_check(s->module) : e;
}

static enum err
places_find(struct setup *s)
{
	const char *config = secure_getenv("XDG_CONFIG_HOME");
	ssize_t n = readlink("/proc/self/exe", s->self, sizeof s->self - 1);

	if (n <= 0)
		return err_set(E_IO, "cannot tell where this program is: /proc is not there");
	s->home = secure_getenv("HOME");
	if (s->home == NULL || s->home[0] != '/')
		return err_set(E_NOTFOUND, "HOME names no directory");
	if (config == NULL || config[0] != '/')
		return setup_path(s->config, s->home, ".config");
	return snprintf(s->config, sizeof s->config, "%s", config) < PATH_MAX
	    ? E_OK
	    : err_set(E_ARG, "the path in XDG_CONFIG_HOME is too long");
}

/* --- clients ------------------------------------------------------------------------------------------------------ */

static enum err
client_run(struct setup *s, const struct setup_client *c, enum setup_mode mode)
{
	enum setup_mode was = s->mode;
	enum err e;

	s->client = c->name;
	s->same = s->differ = 0;
	s->mode = mode;
	e = c->apply(s);
	s->mode = was;
	return e;
}

static enum err
client_do(struct setup *s, const struct setup_client *c)
{
	enum err e;

	s->client = c->name;
	if (s->mode == SETUP_UNDO)
		return client_run(s, c, SETUP_UNDO);
	if ((e = c->there(s)) != E_OK || (e = client_run(s, c, SETUP_LOOK)) != E_OK ||
	    (e = client_run(s, c, SETUP_DO)) != E_OK)
		return e;
	if (c->then != NULL && s->differ > 0 && !s->dry)
		setup_say(s, "then: %s", c->then);
	return E_OK;
}

/* One line a client. */
static void
client_list(struct setup *s, const struct setup_client *c)
{
	enum err e;

	s->client = c->name;
	if ((e = c->there(s)) == E_OK)
		e = client_run(s, c, SETUP_LOOK);
	if (e != E_OK)
		printf(
		    "%-12s %-11s %s\n", c->name, e == E_NOTFOUND || e == E_UNSUP ? "not here" : "cannot be", err_msg());
	else
		printf("%-12s %-11s %s\n", c->name,
		    s->differ == 0     ? "set up"
			: s->same == 0 ? "not set up"
				       : "partly",
		    c->line);
}

static const struct setup_client *
client_find(const char *name)
{
	for (const struct setup_client *c = setup_clients; c->name != NULL; c++)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

static int
setup_list(struct setup *s)
{
	if (s->mode == SETUP_UNDO || s->dry)
		return cli_usage("say which client");
	for (const struct setup_client *c = setup_clients; c->name != NULL; c++)
		client_list(s, c);
	return EXIT_DONE;
}

/* Each on its own; the first failure is the exit status. */
static int
setup_all(struct setup *s, int n, char **names)
{
	int status = EXIT_DONE;

	for (int i = 0; i < n; i++)
		if (client_find(names[i]) == NULL)
			return cli_usage("there is no client '%s'", names[i]);
	for (int i = 0; i < n; i++) {
		int now = cli_fail(client_do(s, client_find(names[i])));

		status = status == EXIT_DONE ? now : status;
	}
	return status;
}

int
cmd_setup(int argc, char **argv)
{
	struct setup *s = calloc(1, sizeof *s);
	char module[PATH_MAX];
	enum err e = E_OK;
	int status;

	if (s == NULL)
		return cli_fail(err_set(E_NOMEM, "out of memory"));
	s->mode = SETUP_DO;
	e = options_parse(argc, argv, s);
	if (e == E_OK)
		e = places_find(s);
	if (e == E_OK)
		e = path_plain("this program", s->self);
	if (e == E_OK)
		e = module_find(s, module);
	if (e == E_OK)
		e = roots_find(s);
	if (e != E_OK)
		status = e == E_USAGE ? cli_usage("%s", err_msg()) : cli_fail(e);
	else
		status = optind < argc ? setup_all(s, argc - optind, argv + optind) : setup_list(s);
	sk_X509_pop_free(s->roots, X509_free);
	free(s);
	return status;
}
