/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Starts 'dpiv-issuer notify', one at a time, from the file that this process itself was started from. A round bounds
 * each of its steps and ends by itself; when the server ends first, the round finishes alone.
 */
#include <errno.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "derive/issuer/mailer.h"
#include "derive/issuer/note.h"
#include "derive/issuer/outbox.h"

#define DAY 86400

extern char **environ;

static bool
still_runs(struct mailer *m)
{
	if (m->round != 0 && waitpid(m->round, NULL, WNOHANG) != 0)
		m->round = 0;
	return m->round != 0;
}

void
mailer_tick(struct mailer *m, const struct issuer *i, time_t now)
{
	char name[] = "dpiv-issuer", verb[] = "notify", dir[PATH_MAX];
	char *argv[] = { name, verb, dir, NULL };
	int rc;

	if (i->config.smtp.url == NULL || still_runs(m) || (!outbox_due(i->db, now) && now - m->last < DAY))
		return;
	memcpy(dir, i->config.dir, sizeof dir);
	m->last = now;
	rc = posix_spawn(&m->round, "/proc/self/exe", NULL, NULL, argv, environ);
	if (rc != 0) {
		m->round = 0;
		note("notices-not-sent", "%s", strerror(rc));
	}
}
