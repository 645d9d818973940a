/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The dpiv command: the table of verbs, the mapping of errors to exit statuses, and help. A verb knows nothing about
 * main; main knows nothing about a verb but its row.
 *
 * Exit statuses are part of the contract with scripts: 0 done, 1 failed, 2 usage, 3 nothing found, 4 PIN wrong or
 * blocked, 5 refused by policy or issuer, 6 try again later.
 */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

static const char help_version[] = "usage: dpiv version\n\nPrints the version of dpiv.\n";
static const char help_help[] = "usage: dpiv help [VERB]\n\n"
				"Without VERB lists what dpiv can do; with VERB explains it, with examples.\n";

const struct cli_verb cli_verbs[] = {
	{ "status", "readers, cards, tokens and credentials, and what needs attention", cmd_status, help_status },
	{ "derive", "derive credentials from the PIV card into another token", cmd_derive, help_derive },
	{ "bind", "get a one-time code for a machine without a card reader", cmd_bind, help_bind },
	{ "check", "are the credentials and their card still good, by the issuer's word", cmd_check, help_check },
	{ "renew", "renew derived credentials that soon expire, with the present key", cmd_renew, help_renew },
	{ "revoke", "end a derived credential: revoke it and destroy its key", cmd_revoke, help_revoke },
	{ "pin", "change the PIN of a card or token, or unblock it", cmd_pin, help_pin },
	{ "sign", "sign a message or file (S/MIME)", cmd_sign, help_sign },
	{ "verify", "verify a signed message or file", cmd_verify, help_verify },
	{ "encrypt", "encrypt a message or file for recipients", cmd_encrypt, help_encrypt },
	{ "decrypt", "decrypt a message or file with whichever token can", cmd_decrypt, help_decrypt },
	{ "history", "keys for old mail: which are held, which a mailbox needs", cmd_history, help_history },
	{ "policy", "check an administrator's policy, and see what it does to whom", cmd_policy, help_policy },
	{ "setup", "set up Thunderbird, Firefox, OpenSSL, ssh, gpgsm, p11-kit and a timer", cmd_setup, help_setup },
	{ "doctor", "find out why something does not work, and what to do", cmd_doctor, help_doctor },
	{ "replay", "play a recorded trace as a card, for a command", cmd_replay, help_replay },
	{ "version", "print the version", cmd_version, help_version },
	{ "help", "explain a verb, with examples", cmd_help, help_help },
	{ NULL, NULL, NULL, NULL },
};

/* Everything that is not listed fails with status 1. */
static const struct {
	enum err e;
	enum cli_exit status;
} exits[] = {
	{ E_OK, EXIT_DONE },
	{ E_ARG, EXIT_USAGE },
	{ E_USAGE, EXIT_USAGE },
	{ E_NOREADER, EXIT_NOTHING },
	{ E_NOCARD, EXIT_NOTHING },
	{ E_NOTPIV, EXIT_NOTHING },
	{ E_NOTFOUND, EXIT_NOTHING },
	{ E_PIN, EXIT_PIN },
	{ E_PINLOCKED, EXIT_PIN },
	{ E_PINLEN, EXIT_PIN },
	{ E_AUTH, EXIT_PIN },
	{ E_POLICY, EXIT_REFUSED },
	{ E_EXPIRED, EXIT_REFUSED },
	{ E_REVOKED, EXIT_REFUSED },
	{ E_REMOTE, EXIT_REFUSED },
	{ E_PENDING, EXIT_LATER },
	{ E_BUSY, EXIT_LATER },
};

static const char *verb_name = "";

int
cli_exit(enum err e)
{
	for (size_t i = 0; i < sizeof exits / sizeof exits[0]; i++) {
		if (exits[i].e == e)
			return exits[i].status;
	}
	return EXIT_FAILED;
}

static void
prefix(void)
{
	cli_progress_end();
	fflush(stdout);
	fprintf(stderr, "dpiv%s%s: ", *verb_name ? " " : "", verb_name);
}

int
cli_fail(enum err e)
{
	if (e == E_OK)
		return EXIT_DONE;
	prefix();
	fprintf(stderr, "%s\n", err_msg()[0] != '\0' ? err_msg() : err_text(e));
	return cli_exit(e);
}

int
cli_usage(const char *fmt, ...)
{
	va_list ap;

	prefix();
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "; try 'dpiv help%s%s'\n", *verb_name ? " " : "", verb_name);
	return EXIT_USAGE;
}

void
cli_note(const char *fmt, ...)
{
	va_list ap;

	prefix();
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

static const struct cli_verb *
verb_find(const char *name)
{
	for (const struct cli_verb *v = cli_verbs; v->name != NULL; v++) {
		if (strcmp(v->name, name) == 0)
			return v;
	}
	return NULL;
}

static void
help_all(FILE *to)
{
	fprintf(to, "usage: dpiv VERB [OPTIONS]\n\n");
	for (const struct cli_verb *v = cli_verbs; v->name != NULL; v++)
		fprintf(to, "  %-9s %s\n", v->name, v->line);
	fprintf(to,
	    "\nFirst steps, with a PIV card in the reader and a token named 'laptop':\n"
	    "  dpiv status\n"
	    "  dpiv derive --issuer NAME \\\n"
	    "      --to 'pkcs11:token=laptop?module-path=/usr/lib/softhsm/libsofthsm2.so'\n"
	    "  dpiv sign --from me@example.test --to you@example.test letter.txt > signed.eml\n\n"
	    "'dpiv help VERB' explains a verb, with examples; 'man dpiv' explains the rest.\n"
	    "Exit status: 0 done, 1 failed, 2 usage, 3 nothing found, 4 PIN wrong or blocked,\n"
	    "5 refused by policy or issuer, 6 try again later.\n");
}

static void
help_verb(const struct cli_verb *v)
{
	bool small = v->run == cmd_help || v->run == cmd_version; /* explained in dpiv(1) */

	printf("%s\nMore: man dpiv%s%s\n", v->help, small ? "" : "-", small ? "" : v->name);
}

int
cmd_help(int argc, char **argv)
{
	const struct cli_verb *v;

	if (argc < 2) {
		help_all(stdout);
		return EXIT_DONE;
	}
	v = verb_find(argv[1]);
	if (v == NULL) {
		verb_name = ""; /* the list of verbs is what helps */
		return cli_usage("there is no verb '%s'", argv[1]);
	}
	help_verb(v);
	return EXIT_DONE;
}

int
cmd_version(int argc, char **argv)
{
	if (argc > 1)
		return cli_usage("unexpected argument '%s'", argv[1]);
	printf("dpiv %s\n", DPIV_VERSION);
	return EXIT_DONE;
}

/* --help or -h before "--": the question is about the verb, whatever else was said. */
static bool
wants_help(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return true;
	}
	return false;
}

/* What was printed must have arrived: a full disk is a failure. */
static int
finish(int status)
{
	cli_progress_end();
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	if (status == EXIT_DONE) {
		perror("dpiv: standard output");
		status = EXIT_FAILED;
	}
	return status;
}

int
main(int argc, char **argv)
{
	const struct cli_verb *v;

	signal(SIGPIPE, SIG_IGN);
	if (argc < 2) {
		help_all(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
		return finish(cmd_help(1, argv));
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)
		return finish(cmd_version(1, argv));
	v = verb_find(argv[1]);
	if (v == NULL)
		return cli_usage("there is no verb '%s'", argv[1]);
	verb_name = v->name;
	if (wants_help(argc - 1, argv + 1)) {
		help_verb(v);
		return finish(EXIT_DONE);
	}
	return finish(v->run(argc - 1, argv + 1));
}
