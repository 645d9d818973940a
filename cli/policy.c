/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dpiv policy: what an administrator's file does, and to whom, before it is anybody's policy. The file is read as if it
 * were the machine's; then, for the person who asks, with the user's own file over it.
 */
#include <getopt.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/policy.h"

const char help_policy[] = "usage: dpiv policy check [--user NAME] [--json] FILE\n"
			   "\n"
			   "Checks a file that is, or is to become, /etc/dpiv/dpiv.conf: unknown keys, values\n"
			   "that are wrong or contradict each other, files and groups that are not there,\n"
			   "each with its line; then shows what the policy in it does to you: which issuers,\n"
			   "which roles from where, to which tokens, with which keys. Nothing is changed.\n"
			   "\n"
			   "  --user NAME   what it does to this user, by his Unix groups\n"
			   "  --json        the same for programs\n"
			   "\n"
			   "Your own dpiv.conf is looked at as well (not with --user): where it loosens the\n"
			   "policy, both lines are shown.\n"
			   "\n"
			   "Examples:\n"
			   "  dpiv policy check /etc/dpiv/dpiv.conf\n"
			   "  dpiv policy check --user pat new.conf\n"
			   "\n"
			   "Exit status: 0 the file is right; 1 it is not; 5 your own file loosens it.\n";

bool
policy_root(const struct policy *p, size_t i, char *out, size_t cap)
{
	return policy_entry(p, POLICY_TRUST_ROOTS, i, out, cap);
}

struct inquiry {
	const char *file, *user;
	bool json;
	json_t *tree;
	struct findings f;
	enum err e; /* the first thing that was wrong */
};

static void
problem(struct inquiry *q, enum err e)
{
	json_array_append_new(q->f.problems, json_string(err_msg()));
	if (q->e == E_OK)
		q->e = e;
}

/* The file by itself. */
static void
ask_file(struct inquiry *q)
{
	struct conf *conf = NULL;
	struct policy *p = NULL;
	enum err e = access(q->file, R_OK) == 0 || strcmp(q->file, "-") == 0
	    ? conf_load_layers(NULL, q->file, &conf)
	    : err_set(E_NOTFOUND, "%.300s cannot be read", q->file);

	if (e == E_OK)
		e = policy_read(conf, q->user, &p);
	if (e != E_OK)
		problem(q, e);
	if (conf != NULL) /* also when a value is wrong: all that is wrong at once */
		policy_inspect(conf, q->file, &q->f);
	if (p != NULL)
		json_object_update_missing(q->tree, policy_tree(conf, p));
	policy_free(&p);
	conf_free(&conf);
	if (q->e == E_OK && json_array_size(q->f.problems) > 0)
		q->e = E_CONF;
}

/* With the user's own over it. */
static void
ask_user(struct inquiry *q)
{
	struct conf *conf = NULL;
	struct policy *p = NULL;
	char path[4096];
	enum err e = conf_user_path(path, sizeof path);

	if (e != E_OK || q->user != NULL || q->e != E_OK || strcmp(q->file, "-") == 0)
		return;
	e = conf_load_layers(path, q->file, &conf);
	if (e == E_OK)
		e = policy_read(conf, NULL, &p);
	if (e != E_OK)
		problem(q, e);
	policy_free(&p);
	conf_free(&conf);
}

static void
answer(struct inquiry *q)
{
	if (q->json) {
		json_dumpf(q->tree, stdout, JSON_INDENT(2));
		putchar('\n');
		return;
	}
	policy_print(q->tree);
}

static int
options_read(int argc, char **argv, struct inquiry *q)
{
	static const struct option options[] = { { "user", required_argument, NULL, 'u' },
		{ "json", no_argument, NULL, 'j' }, { NULL, 0, NULL, 0 } };
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'u': q->user = optarg; break;
		case 'j': q->json = true; break;
		default: return cli_usage("unknown option or missing value");
		}
	}
	if (optind + 1 != argc)
		return cli_usage(optind == argc ? "which FILE?" : "one FILE only");
	q->file = argv[optind];
	return EXIT_DONE;
}

static int
policy_check(int argc, char **argv)
{
	struct inquiry q = { .e = E_OK };
	const struct passwd *pw = getpwuid(getuid());
	char safe[300], who[80];
	int status = options_read(argc, argv, &q);

	if (status != EXIT_DONE)
		return status;
	text_safe(span_str(q.user != NULL ? q.user : pw != NULL ? pw->pw_name : "you"), who, sizeof who);
	q.f.problems = json_array();
	q.f.warnings = json_array();
	q.tree =
	    json_pack("{s:i, s:s, s:s, s:O, s:O}", "version", 1, "file", text_safe(span_str(q.file), safe, sizeof safe),
		"user", who, "problems", q.f.problems, "warnings", q.f.warnings);
	ask_file(&q);
	json_object_set_new(q.tree, "valid", json_boolean(q.e == E_OK));
	ask_user(&q);
	answer(&q);
	json_decref(q.tree);
	json_decref(q.f.problems);
	json_decref(q.f.warnings);
	return cli_exit(q.e);
}

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} verbs[] = {
	{ "check", policy_check },
};

int
cmd_policy(int argc, char **argv)
{
	if (argc < 2)
		return cli_usage("what? There is check");
	for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
		if (strcmp(verbs[i].name, argv[1]) == 0)
			return verbs[i].run(argc - 1, argv + 1);
	return cli_usage("there is no 'policy %s'", argv[1]);
}
