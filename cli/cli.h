/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_CLI_CLI_H
#define DPIV_CLI_CLI_H

#include "base/err.h"
#include "base/secret.h"
#include "derive/token.h"

/*
 * The dpiv command: one table of verbs (cli_verbs in main.c), one file a verb. A verb's function gets its own name as
 * argv[0] and its arguments after it, so that getopt_long() can be used at once; it returns an exit status. Its help
 * text, help_VERB, is shown by `dpiv help VERB` and by `dpiv VERB --help` (main.c does that): first line the usage,
 * then what it does, the options, and examples that work.
 */
struct cli_verb {
	const char *name, *line; /* what `dpiv help` lists */
	int (*run)(int argc, char **argv);
	const char *help;
};

extern const struct cli_verb cli_verbs[]; /* ends with a NULL name */

/* Exit statuses; cli_exit() maps every enum err to one of them. */
enum cli_exit {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_NOTHING = 3, /* nothing found */
	EXIT_PIN = 4,	  /* PIN wrong, blocked, or nobody to ask */
	EXIT_REFUSED = 5, /* by policy or by the issuer */
	EXIT_LATER = 6	  /* try again later */
};

int cmd_status(int argc, char **argv);
int cmd_derive(int argc, char **argv);
int cmd_bind(int argc, char **argv);
int cmd_renew(int argc, char **argv);
int cmd_revoke(int argc, char **argv);
int cmd_pin(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_sign(int argc, char **argv);
int cmd_verify(int argc, char **argv);
int cmd_encrypt(int argc, char **argv);
int cmd_decrypt(int argc, char **argv);
int cmd_history(int argc, char **argv);
int cmd_policy(int argc, char **argv);
int cmd_setup(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_replay(int argc, char **argv);
int cmd_version(int argc, char **argv);
int cmd_help(int argc, char **argv);

extern const char help_doctor[], help_status[], help_derive[], help_sign[], help_verify[], help_encrypt[],
    help_decrypt[], help_history[], help_bind[], help_policy[];
extern const char help_replay[], help_renew[], help_revoke[], help_pin[], help_check[], help_setup[];

int cli_exit(enum err e);
/* "dpiv VERB: <err_msg()>" on standard error; returns cli_exit(e). The usual end of a verb: return cli_fail(e); prints
 * nothing for E_OK. */
int cli_fail(enum err e);
/* "dpiv VERB: ..." and where to read more, on standard error; returns EXIT_USAGE. */
int cli_usage(const char *fmt, ...) PRINTF(1, 2);
/* "dpiv VERB: ..." on standard error: a remark that is not a failure. */
void cli_note(const char *fmt, ...) PRINTF(1, 2);

/* token_ask_fn for a terminal: /dev/tty, without echo; E_AUTH when there is none. */
enum err cli_ask(void *arg, const struct token_prompt *q, struct secret **pin);
/* Any other secret, asked on the terminal without echo; E_AUTH when there is none. */
enum err cli_secret(const char *question, struct secret **out);
/* A yes/no question on the terminal; false as well when there is none. */
bool cli_confirm(const char *question);

/* One line on standard error that the next one replaces; only on a terminal. */
void cli_progress(const char *fmt, ...) PRINTF(1, 2);
void cli_progress_end(void);

#endif
