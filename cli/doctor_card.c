/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dpiv doctor: from the smart card service to the card. The service is asked as any client would: by connecting to its
 * socket (which starts it where systemd listens for it). polkit is asked with its own pkcheck, about this process.
 * Readers and cards come through dpiv's PKCS#11 module, as every other program sees them; who else is connected to the
 * service comes from the kernel.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/proc.h"
#include "cli/cli.h"
#include "cli/doctor.h"
#include "derive/token.h"

#define POLICY	  "/usr/share/polkit-1/actions/org.debian.pcsc-lite.policy"
#define TEXT_MAX  512
#define START_CMD "systemctl enable --now pcscd.socket"

extern char **environ;

/* 0, or errno. */
static int
service_reached(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd, why = 0;

	if (strlen(path) >= sizeof a.sun_path)
		return ENAMETOOLONG;
	memcpy(a.sun_path, path, strlen(path));
	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0)
		return errno;
	if (connect(fd, (const struct sockaddr *)&a, sizeof a) != 0)
		why = errno;
	close(fd);
	return why;
}

void
doctor_service(struct doctor *d)
{
	const char *path = proc_pcscd_socket();
	int why = service_reached(path);

	if (why == 0)
		doctor_say(d, DOCTOR_OK, NULL, "pcscd answers at %s", path);
	else if (why == ENOENT && access("/usr/sbin/pcscd", F_OK) != 0)
		doctor_say(d, DOCTOR_PROBLEM, "apt-get install pcscd", "the smart card service pcscd is not installed");
	else if (why == ENOENT)
		doctor_say(d, DOCTOR_PROBLEM, START_CMD, "pcscd is not running: there is no %s", path);
	else if (why == ECONNREFUSED)
		doctor_say(d, DOCTOR_PROBLEM, "systemctl restart pcscd.socket",
		    "pcscd is not running: nobody listens at %s, which it left behind", path);
	else if (why == EACCES)
		doctor_say(d, DOCTOR_PROBLEM, "systemctl restart pcscd.socket",
		    "this user may not connect to pcscd at %s (%s)", path, strerror(why));
	else
		doctor_say(d, DOCTOR_PROBLEM, START_CMD, "pcscd cannot be reached at %s: %s", path, strerror(why));
}

/* pkcheck's exit status: 0 allowed; -1 when it could not be run. */
static int
polkit_asked(const char *action)
{
	char me[32];
	char *argv[] = { (char[]){ "pkcheck" }, (char[]){ "--action-id" }, NULL, (char[]){ "--process" }, me, NULL };
	posix_spawn_file_actions_t quiet;
	int status = 0, rv;
	pid_t pid;

	snprintf(me, sizeof me, "%ld", (long)getpid());
	if ((argv[2] = strdup(action)) == NULL)
		return -1;
	posix_spawn_file_actions_init(&quiet);
	posix_spawn_file_actions_addopen(&quiet, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&quiet, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	rv = posix_spawnp(&pid, argv[0], &quiet, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&quiet);
	free(argv[2]);
	if (rv != 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

void
doctor_polkit(struct doctor *d)
{
	static const char *const actions[] = { "org.debian.pcsc-lite.access_pcsc", "org.debian.pcsc-lite.access_card" };
	int rv;

	if (geteuid() == 0 || access(POLICY, F_OK) != 0) {
		doctor_say(d, DOCTOR_OK, NULL, "pcscd does not ask polkit about this user");
		return;
	}
	for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
		if ((rv = polkit_asked(actions[i])) == 0)
			continue;
		if (rv < 0 || rv > 3) {
			doctor_say(d, DOCTOR_ATTENTION, NULL, "polkit cannot be asked: pkcheck does not run");
			return;
		}
		doctor_say(d, DOCTOR_PROBLEM,
		    "echo 'polkit.addRule(function(a, s) { if (a.id.indexOf(\"org.debian.pcsc-lite.\") == 0 && "
		    "s.isInGroup(\"plugdev\")) return polkit.Result.YES; });' "
		    "| sudo tee /etc/polkit-1/rules.d/50-pcscd.rules",
		    "polkit denies this session %s: by default only who sits at the machine may use readers",
		    actions[i]);
		return;
	}
	doctor_say(d, DOCTOR_OK, NULL, "polkit lets this user use readers");
}

/* --- readers and cards --- */

struct look {
	struct doctor *d;
	size_t readers;
};

static void
say_silent(struct doctor *d, const char *reader)
{
	const struct proc_remedy *r;
	struct proc_clients who;
	char text[TEXT_MAX];

	proc_clients(proc_pcscd_socket(), &who);
	r = proc_clients_remedy(&who);
	if (proc_clients_text(&who, text, sizeof text)[0] == '\0')
		doctor_say(
		    d, DOCTOR_PROBLEM, NULL, "%s: the card does not answer; take it out and put it back", reader);
	else
		doctor_say(d, DOCTOR_PROBLEM, r != NULL ? r->command : NULL,
		    "%s: the card does not answer; it may be held by %s; %s", reader, text,
		    r != NULL ? r->hint : "close that program, or take the card out and put it back");
}

static void
look_at(void *arg, const struct token_slot *s)
{
	struct look *l = arg;

	if (!s->reader)
		return;
	l->readers++;
	if (s->e == E_OK)
		doctor_say(l->d, DOCTOR_OK, NULL, "%s: '%s'", s->name, s->label);
	else if (!s->present)
		doctor_say(l->d, DOCTOR_OK, NULL, "%s: no card", s->name);
	else if (s->e == E_NOTPIV)
		doctor_say(l->d, DOCTOR_ATTENTION, NULL, "%s: not a PIV card", s->name);
	else
		say_silent(l->d, s->name);
}

void
doctor_readers(struct doctor *d)
{
	struct look l = { d, 0 };

	if (token_slots(NULL, look_at, &l) != E_OK)
		doctor_say(d, DOCTOR_PROBLEM, NULL, "dpiv's PKCS#11 module does not work: %s", err_msg());
	else if (l.readers == 0)
		doctor_say(d, DOCTOR_PROBLEM, NULL,
		    "no smart card reader: plug one in; lsusb shows whether the machine sees it");
}

/* Is scdaemon told to share? Its file is the user's. */
static bool
scdaemon_shares(void)
{
	const char *gnupg = getenv("GNUPGHOME"), *home = getenv("HOME");
	char path[PATH_MAX], line[256];
	bool found = false;
	FILE *f;

	if (gnupg != NULL)
		snprintf(path, sizeof path, "%s/scdaemon.conf", gnupg);
	else
		snprintf(path, sizeof path, "%s/.gnupg/scdaemon.conf", home != NULL ? home : "");
	if ((f = fopen(path, "re")) == NULL)
		return false;
	while (!found && fgets(line, sizeof line, f) != NULL)
		found = strncmp(line + strspn(line, " \t"), "pcsc-shared", 11) == 0;
	fclose(f);
	return found;
}

void
doctor_sharing(struct doctor *d)
{
	struct proc_clients who;
	char text[TEXT_MAX];

	proc_clients(proc_pcscd_socket(), &who);
	if (who.n == 0 && who.hidden == 0) {
		doctor_say(d, DOCTOR_OK, NULL, "no other program uses the readers now");
		return;
	}
	proc_clients_text(&who, text, sizeof text);
	if (strstr(text, "scdaemon (") != NULL && !scdaemon_shares())
		doctor_say(d, DOCTOR_ATTENTION, "echo pcsc-shared >>~/.gnupg/scdaemon.conf; gpgconf --kill scdaemon",
		    "GnuPG's scdaemon keeps cards to itself (connected now: %s)", text);
	else
		doctor_say(d, DOCTOR_OK, NULL, "also connected to pcscd: %s", text);
}
