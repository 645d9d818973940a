/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dpiv doctor: why does it not work? A table of checks, each in one of the doctor_*.c files, run in order; the findings
 * are one JSON array, shown as it is or as lines. Nothing is changed, no PIN is asked for. The names of the checks are
 * part of the contract with programs.
 */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>

#include <jansson.h>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/doctor.h"

#define SENTENCE_MAX 1024

const char help_doctor[] = "usage: dpiv doctor [--json]\n"
			   "\n"
			   "Looks for what keeps cards, readers and programs from working together, and\n"
			   "says for each thing whether it is in order, needs attention or is a problem,\n"
			   "with the command to run. Asks for no PIN and changes nothing.\n"
			   "\n"
			   "  --json   the same for programs\n"
			   "\n"
			   "Examples:\n"
			   "  dpiv doctor\n"
			   "  dpiv doctor --json | jq '.findings[] | select(.level != \"ok\")'\n"
			   "\n"
			   "Exit status 1 means that there is a problem.\n";

static const struct {
	const char *name;
	doctor_check *run;
} checks[] = {
	{ "service", doctor_service },
	{ "polkit", doctor_polkit },
	{ "readers", doctor_readers },
	{ "sharing", doctor_sharing },
	{ "p11-kit", doctor_registered },
	{ "engine", doctor_engine },
	{ "configuration", doctor_configuration },
	{ "clock", doctor_clock },
	{ "folders", doctor_folders },
};

static const char *const level_names[] = {
	[DOCTOR_OK] = "ok", [DOCTOR_ATTENTION] = "attention", [DOCTOR_PROBLEM] = "problem"
};

struct doctor {
	json_t *findings;
	const char *check; /* that runs now */
	bool problem;
};

void
doctor_say(struct doctor *d, enum doctor_level level, const char *command, const char *fmt, ...)
{
	char text[SENTENCE_MAX], safe[SENTENCE_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	text_safe(span_str(text), safe, sizeof safe);
	json_array_append_new(d->findings,
	    json_pack("{s:s, s:s, s:s, s:s?}", "check", d->check, "level", level_names[level], "what", safe, "command",
		command));
	d->problem = d->problem || level == DOCTOR_PROBLEM;
}

static void
show(const json_t *findings)
{
	size_t i;
	json_t *f;

	json_array_foreach(findings, i, f)
	{
		const char *command = json_string_value(json_object_get(f, "command"));

		printf("%-10s %s: %s\n", json_string_value(json_object_get(f, "level")),
		    json_string_value(json_object_get(f, "check")), json_string_value(json_object_get(f, "what")));
		if (command != NULL)
			printf("%-10s   %s\n", "", command);
	}
}

int
cmd_doctor(int argc, char **argv)
{
	static const struct option longopts[] = { { "json", no_argument, NULL, 'j' }, { NULL, 0, NULL, 0 } };
	struct doctor d = { .findings = json_array() };
	bool as_json = false;
	json_t *tree;
	int opt;

	while ((opt = getopt_long(argc, argv, "", longopts, NULL)) != -1) {
		if (opt != 'j')
			return json_decref(d.findings), cli_usage("the command line is not right");
		as_json = true;
	}
	if (optind != argc)
		return json_decref(d.findings), cli_usage("doctor takes no arguments");
	for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
		d.check = checks[i].name;
		cli_progress("looking at %s", d.check);
		checks[i].run(&d);
	}
	cli_progress_end();
	tree = json_pack("{s:i, s:o}", "version", 1, "findings", d.findings);
	if (as_json) {
		json_dumpf(tree, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
		putchar('\n');
	} else {
		show(d.findings);
	}
	json_decref(tree);
	return d.problem ? EXIT_FAILED : EXIT_DONE;
}
