/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Processes of the server's: started from the file that the server itself was started from, so that a program that is
 * replaced while it runs does not meet a newer one's ledger. Each bounds its own steps and ends by itself; when the
 * server ends first, it finishes alone.
 */
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "derive/issuer/child.h"
#include "derive/issuer/note.h"

extern char **environ;

bool
child_runs(pid_t *pid)
{
	if (*pid != 0 && waitpid(*pid, NULL, WNOHANG) != 0)
		*pid = 0;
	return *pid != 0;
}

void
child_start(const struct issuer *i, const char *verb, const char *option, pid_t *pid)
{
	char name[] = "dpiv-issuer", word[32], flag[32], dir[PATH_MAX];
	char *argv[] = { name, word, dir, NULL, NULL };
	int rc;

	(void)snprintf(word, sizeof word, "%s", verb);
	memcpy(dir, i->config.dir, sizeof dir);
	if (option != NULL) {
		(void)snprintf(flag, sizeof flag, "%s", option);
		argv[2] = flag;
		argv[3] = dir;
	}
	rc = posix_spawn(pid, "/proc/self/exe", NULL, NULL, argv, environ);
	if (rc != 0) {
		*pid = 0;
		note("child-not-started", "%s: %s", verb, strerror(rc));
	}
}
