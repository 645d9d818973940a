/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dpiv replay: runs a command in which dpiv's module plays a trace (DPIV_LOG=trace:FILE) instead of talking to readers.
 * All the playing is the module's; here the environment is set, and without a command it is `dpiv status` and what the
 * last lines of the trace say.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/cli.h"

#define TRACE_MAX (64 * 1024 * 1024)
#define SHOWN	  160

const char help_replay[] = "usage: dpiv replay FILE [-- COMMAND [ARGUMENT...]]\n"
			   "\n"
			   "Runs COMMAND with a recorded card instead of readers. FILE is what DPIV_LOG=trace:FILE\n"
			   "wrote; it has no PIN, no key and nothing that was signed or decrypted, so that it can be\n"
			   "sent to others. Listing and reading certificates work as they did; any PIN of the same\n"
			   "length does; an operation with a private key fails, since its result is not in the trace.\n"
			   "Without COMMAND: dpiv status, and where the trace ends.\n"
			   "\n"
			   "Examples:\n"
			   "  DPIV_LOG=trace:/tmp/trace dpiv status\n"
			   "  dpiv replay /tmp/trace\n"
			   "  dpiv replay /tmp/trace -- pkcs11-tool --module dpiv-pkcs11.so --list-objects\n";

struct summary {
	size_t lines, apdus;
	char last[SHOWN];
};

static bool
has(struct span line, const char *text)
{
	for (; line.n > 0; (void)span_skip(&line, 1))
		if (span_starts(line, text, strlen(text)))
			return true;
	return false;
}

static void
summarize(struct span text, struct summary *out)
{
	struct span line;

	while (span_line(&text, &line)) {
		out->lines++;
		if (!has(line, " event=apdu "))
			continue;
		out->apdus++;
		text_safe(line, out->last, sizeof out->last);
	}
}

static enum err
trace_check(const char *path, char full[PATH_MAX], struct summary *out)
{
	WBUF_AUTO text;
	enum err e;

	memset(out, 0, sizeof *out);
	wbuf_init(&text, TRACE_MAX);
	if ((e = file_read(path, &text)) != E_OK)
		return e;
	summarize(wbuf_view(&text), out);
	if (out->apdus == 0)
		return err_set(
		    E_NOTFOUND, "%s has no command to a card in it: was it written with DPIV_LOG=trace?", path);
	if (realpath(path, full) == NULL)
		return err_set(E_IO, "%s has no absolute path", path);
	return E_OK;
}

static int
run_status(char **argv)
{
	char self[PATH_MAX], verb[] = "status";
	char *args[] = { argv[0], verb, NULL };
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	int status = 0;
	pid_t pid;

	if (n < 0)
		return -1;
	self[n] = '\0';
	if ((pid = fork()) == 0) {
		execv(self, args);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

int
cmd_replay(int argc, char **argv)
{
	struct summary s;
	char full[PATH_MAX];
	int status;
	enum err e;

	if (argc < 2 || argv[1][0] == '-')
		return cli_usage("name the file with the trace first");
	if (argc > 2 && (strcmp(argv[2], "--") != 0 || argc == 3))
		return cli_usage("a command comes after --");
	if ((e = trace_check(argv[1], full, &s)) != E_OK)
		return cli_fail(e);
	if (setenv("DPIV_REPLAY", full, 1) != 0)
		return cli_fail(err_set(E_NOMEM, "out of memory"));
	if (argc > 3) {
		execvp(argv[3], argv + 3);
		return cli_fail(err_set(E_NOTFOUND, "%s cannot be run", argv[3]));
	}
	if ((status = run_status(argv)) < 0)
		return cli_fail(err_set(E_INTERNAL, "dpiv status cannot be run"));
	printf("The trace: %zu lines, %zu commands. It ends with\n  %s\n", s.lines, s.apdus, s.last);
	return status;
}
