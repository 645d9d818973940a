/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The timer: two units of the user's systemd (systemd.timer(5)) and the link that enables them, which is what
 * `systemctl --user enable` would make. A machine that was off at the time makes up for it (Persistent), and not every
 * machine of an agency asks its issuer at midnight (RandomizedDelaySec). What needs a person is said by a notice.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/setup.h"
#include "cli/tool.h"

/* systemd.service(5): both verbs run. What is renewed does not expire soon any more, so that comes first. 3 (there is
 * no credential), 5 (one is revoked or has expired) and 6 (the issuer cannot be reached) are no failures of the
 * service. */
static const char service[] = "[Unit]\n"
			      "Description=Check and renew derived PIV credentials\n"
			      "Documentation=man:dpiv-setup(1)\n"
			      "[Service]\n"
			      "Type=oneshot\n"
			      "ExecStart=-%s renew\n"
			      "ExecStart=%s check\n"
			      "SuccessExitStatus=3 5 6\n";
static const char timer[] = "[Unit]\n"
			    "Description=Check and renew derived PIV credentials daily\n"
			    "Documentation=man:dpiv-setup(1)\n"
			    "[Timer]\n"
			    "OnCalendar=daily\n"
			    "RandomizedDelaySec=6h\n"
			    "Persistent=true\n"
			    "[Install]\n"
			    "WantedBy=timers.target\n";

enum err
timer_there(struct setup *s)
{
	(void)s;
	return tool_there("systemctl") ? E_OK : err_set(E_NOTFOUND, "this machine has no systemd");
}

/* A user manager that runs is told; one that does not reads the files when it starts. */
static enum err
timer_tell(struct setup *s)
{
	static const char *const reload[] = { "systemctl", "--user", "daemon-reload", NULL },
				 *const start[] = { "systemctl", "--user", "start", "dpiv-check.timer", NULL },
				 *const stop[] = { "systemctl", "--user", "stop", "dpiv-check.timer", NULL };
	WBUF_AUTO said = { .max = 65536 };
	const char *run = secure_getenv("XDG_RUNTIME_DIR");
	char socket[PATH_MAX];
	enum err e;

	if (s->mode == SETUP_LOOK || s->dry || s->differ == 0 || run == NULL ||
	    setup_path(socket, run, "systemd/private") != E_OK || access(socket, F_OK) != 0)
		return E_OK;
	e = s->mode == SETUP_UNDO ? tool_run(stop, &said) : E_OK;
	if (e == E_OK)
		e = tool_run(reload, &said);
	if (e == E_OK && s->mode == SETUP_DO)
		e = tool_run(start, &said);
	return e;
}

enum err
timer_apply(struct setup *s)
{
	char unit[PATH_MAX], clock[PATH_MAX], link[PATH_MAX], text[2 * PATH_MAX + 512];
	const struct setup_lines fu = { .path = unit, .mode = 0644, .lines = text },
				 ft = { .path = clock, .mode = 0644, .lines = timer };
	enum err e = setup_path(unit, s->config, "systemd/user/dpiv-check.service");

	if (e == E_OK)
		e = setup_path(clock, s->config, "systemd/user/dpiv-check.timer");
	if (e == E_OK)
		e = setup_path(link, s->config, "systemd/user/timers.target.wants/dpiv-check.timer");
	if (e != E_OK)
		return e;
	snprintf(text, sizeof text, service, s->self, s->self);
	if (s->mode == SETUP_UNDO)
		e = setup_link(s, link, "../dpiv-check.timer");
	if (e == E_OK)
		e = setup_file(s, s->mode == SETUP_UNDO ? &ft : &fu);
	if (e == E_OK)
		e = setup_file(s, s->mode == SETUP_UNDO ? &fu : &ft);
	if (e == E_OK && s->mode != SETUP_UNDO)
		e = setup_link(s, link, "../dpiv-check.timer");
	return e == E_OK ? timer_tell(s) : e;
}
