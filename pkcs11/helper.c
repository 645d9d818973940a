/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The program that asks for a PIN: [module] pin_helper, a pinentry (its Assuan protocol) or an askpass (the question as
 * argument, the answer on its standard output).
 *
 * The module is a guest in somebody's process. So the program is started by posix_spawn, which runs none of the host's
 * code in the child and copies nothing; it gets three descriptors and no other, a clean signal mask, and of the
 * environment only what a dialog or a terminal needs. Its answers come over a socket, because writing to one that is
 * closed can be told not to raise SIGPIPE. Waiting is bounded and can be stopped; afterwards this child, and no other,
 * is waited for, or killed first. A host that ignores SIGCHLD, or reaps every child, leaves nothing to wait for, which
 * is fine too. The PIN passes through locked memory only, and nothing of it is logged.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "pkcs11/ask.h"

#define TICK_MS	   100	/* asking stop() */
#define GRACE_MS   1000 /* for the end of a program: by itself, after SIGTERM, after SIGKILL */
#define IN_MAX	   4096
#define ENV_MAX	   32
#define TIME_MAX_S 600

struct helper {
	const char *path;
	pid_t pid;  /* 0: not running */
	int fd;	    /* -1 */
	int status; /* of waitpid(), once it has ended */
	int64_t end;
	ask_stop *stop;
	void *arg;
	struct secret *in; /* what it said and was not read yet */
};

/* --- may it be run? --- */

/* A set-user-ID program must not run what its caller's configuration names. */
static bool
is_privileged(void)
{
	return geteuid() != getuid() || getegid() != getgid() || getauxval(AT_SECURE) != 0;
}

static enum err
check_program(const char *path)
{
	struct stat st;

	if (path == NULL)
		return err_set(E_UNSUP, "no pin_helper is configured");
	if (is_privileged())
		return err_set(E_UNSUP, "pin_helper: not run, because this program has more rights than its user");
	if (stat(path, &st) != 0 || !S_ISREG(st.st_mode) || access(path, X_OK) != 0)
		return err_set(E_UNSUP, "pin_helper %s: no program", path);
	if ((st.st_mode & S_IWOTH) != 0 || (st.st_uid != 0 && st.st_uid != geteuid()))
		return err_set(E_UNSUP, "pin_helper %s: others could have written it", path);
	return E_OK;
}

bool
helper_usable(const struct conf *conf)
{
	const char *path = conf_str(conf, "module", "pin_helper");

	return path != NULL && check_program(path) == E_OK;
}

/* --- its surroundings --- */

static const char *const env_passed[] = { "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "XDG_RUNTIME_DIR",
	"XDG_SESSION_TYPE", "XDG_CURRENT_DESKTOP", "DBUS_SESSION_BUS_ADDRESS", "GPG_TTY", "TERM", "HOME", "USER",
	"LOGNAME", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_MESSAGES" };

static void
env_fill(char *out[ENV_MAX])
{
	static char path[] = "PATH=/usr/local/bin:/usr/bin:/bin";
	size_t n = 0;

	out[n++] = path;
	for (size_t i = 0; environ != NULL && environ[i] != NULL && n < ENV_MAX - 1; i++)
		for (size_t k = 0; k < sizeof env_passed / sizeof env_passed[0]; k++) {
			size_t len = strlen(env_passed[k]);

			if (strncmp(environ[i], env_passed[k], len) == 0 && environ[i][len] == '=' && n < ENV_MAX - 1)
				out[n++] = environ[i];
		}
	out[n] = NULL;
}

/* Standard input and output: the socket; standard error: nowhere; all others closed. */
static bool
actions_fill(posix_spawn_file_actions_t *a, int socket, bool two_way)
{
	bool ok = posix_spawn_file_actions_adddup2(a, socket, 1) == 0;

	if (two_way)
		ok = ok && posix_spawn_file_actions_adddup2(a, 1, 0) == 0;
	else
		ok = ok && posix_spawn_file_actions_addopen(a, 0, "/dev/null", O_RDONLY, 0) == 0;
	return ok && posix_spawn_file_actions_addopen(a, 2, "/dev/null", O_WRONLY, 0) == 0 &&
	    posix_spawn_file_actions_addclosefrom_np(a, 3) == 0;
}

static bool
attr_fill(posix_spawnattr_t *attr)
{
	sigset_t none, usual;

	sigemptyset(&none);
	sigfillset(&usual);
	return posix_spawnattr_setsigmask(attr, &none) == 0 && posix_spawnattr_setsigdefault(attr, &usual) == 0 &&
	    posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF) == 0;
}

static int
spawn(struct helper *h, int socket, char *const argv[], bool two_way)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	char *env[ENV_MAX];
	int rc = ENOMEM;

	env_fill(env);
	if (posix_spawn_file_actions_init(&actions) != 0)
		return rc;
	if (posix_spawnattr_init(&attr) == 0) {
		if (actions_fill(&actions, socket, two_way) && attr_fill(&attr))
			rc = posix_spawn(&h->pid, h->path, &actions, &attr, argv, env);
		posix_spawnattr_destroy(&attr);
	}
	posix_spawn_file_actions_destroy(&actions);
	if (rc != 0)
		h->pid = 0;
	return rc;
}

/* --- beginning and end --- */

static enum err
helper_start(struct helper *h, char *const argv[], bool two_way)
{
	int pair[2], rc;

	if ((h->in = secret_new(IN_MAX)) == NULL)
		return err_set(E_NOMEM, "no memory for a PIN");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		return err_set(E_IO, "pin_helper: no socket (%s)", strerror(errno));
	h->fd = pair[0];
	rc = spawn(h, pair[1], argv, two_way);
	close(pair[1]);
	return rc == 0 ? E_OK : err_set(E_IO, "pin_helper %s: %s", h->path, strerror(rc));
}

/* Has it ended, within ms? Somebody else may have waited for it already: then its status is taken for good. */
static bool
has_ended(struct helper *h, int ms)
{
	int64_t end = p11_now_ms() + ms;
	int tries = 0;
	pid_t pid;

	do {
		pid = waitpid(h->pid, &h->status, WNOHANG);
		if (pid < 0 && errno == ECHILD)
			h->status = 0;
		if (pid == h->pid || (pid < 0 && errno == ECHILD)) {
			h->pid = 0;
			return true;
		}
		poll(NULL, 0, tries < 10 ? 2 : 20);
	} while (p11_now_ms() < end && tries++ < 500);
	return false;
}

static void
helper_end(struct helper *h)
{
	if (h->fd >= 0)
		close(h->fd);
	h->fd = -1;
	secret_free(&h->in);
	if (h->pid == 0 || has_ended(h, GRACE_MS))
		return;
	kill(h->pid, SIGTERM);
	if (has_ended(h, GRACE_MS))
		return;
	kill(h->pid, SIGKILL);
	if (!has_ended(h, GRACE_MS))
		log_warn("pin-helper", "pid=%ld text=\"does not end\"", (long)h->pid);
}

/* --- talking --- */

/* More of what it says; *more false: nothing more will come. */
static enum err
helper_read(struct helper *h, bool *more)
{
	struct pollfd p = { .fd = h->fd, .events = POLLIN };
	ssize_t n;

	*more = true;
	for (;;) {
		if (h->stop(h->arg))
			return err_set(E_CANCELED, "pin_helper: canceled");
		if (p11_now_ms() >= h->end)
			return err_set(E_CANCELED, "pin_helper: no PIN was entered in time");
		if (poll(&p, 1, TICK_MS) <= 0)
			continue;
		if (h->in->n == h->in->cap)
			return err_set(E_PROTO, "pin_helper: it says too much");
		n = recv(h->fd, h->in->v + h->in->n, h->in->cap - h->in->n, MSG_DONTWAIT);
		if (n > 0) {
			h->in->n += (size_t)n;
			return E_OK;
		}
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		*more = false;
		return E_OK;
	}
}

static enum err
helper_send(struct helper *h, const char *command, const char *argument)
{
	WBUF_AUTO line;

	wbuf_init(&line, ASSUAN_LINE + 64);
	assuan_write(&line, command, argument);
	if (line.bad || send(h->fd, line.p, line.n, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)line.n)
		return err_set(E_IO, "pin_helper: it does not listen");
	return E_OK;
}

/* What was read goes, what follows moves up. */
static void
consume(struct secret *in, struct span rest)
{
	size_t used = in->n - rest.n;

	memmove(in->v, rest.p, rest.n);
	explicit_bzero(in->v + rest.n, used);
	in->n = rest.n;
}

/* --- pinentry --- */

/* The answer to a command: OK or ERR, D lines before it into pin. */
static enum err
pinentry_answer(struct helper *h, struct secret *pin, bool *ok)
{
	bool more, too_long;
	enum err e;

	for (;;) {
		struct span in = secret_view(h->in), line;

		if (assuan_next(&in, &line, &too_long)) {
			enum assuan what = assuan_read(line, pin);

			consume(h->in, in);
			*ok = what == ASSUAN_OK;
			if (what == ASSUAN_OK || what == ASSUAN_ERR)
				return E_OK;
			if (what == ASSUAN_WRONG)
				return err_set(E_PROTO, "pin_helper: it does not talk as a pinentry does");
			continue;
		}
		if (too_long)
			return err_set(E_PROTO, "pin_helper: a line without end");
		if ((e = helper_read(h, &more)) != E_OK)
			return e;
		if (!more)
			return err_set(E_PROTO, "pin_helper: it ended without an answer");
	}
}

/* A pinentry may refuse an option that it does not know. */
static enum err
pinentry_tell(struct helper *h, struct secret *pin, const char *command, const char *argument)
{
	bool ok;
	enum err e;

	if (argument == NULL)
		return E_OK;
	if ((e = helper_send(h, command, argument)) != E_OK)
		return e;
	return pinentry_answer(h, pin, &ok);
}

static enum err
pinentry_option(struct helper *h, struct secret *pin, const char *name, const char *value)
{
	char option[512];

	if (value == NULL)
		return E_OK;
	snprintf(option, sizeof option, "%s=%s", name, value);
	return pinentry_tell(h, pin, "OPTION", option);
}

static enum err
pinentry_options(struct helper *h, struct secret *pin)
{
	char tty[128] = "";
	const char *name = getenv("GPG_TTY");
	enum err e;

	if (name == NULL && ttyname_r(STDIN_FILENO, tty, sizeof tty) == 0)
		name = tty;
	if ((e = pinentry_option(h, pin, "ttyname", name)) == E_OK)
		e = pinentry_option(h, pin, "ttytype", getenv("TERM"));
	if (e == E_OK)
		e = pinentry_option(h, pin, "display", getenv("DISPLAY"));
	return e;
}

static enum err
pinentry_run(struct helper *h, const struct ask *a, struct secret *pin)
{
	char seconds[32];
	bool ok = false;
	enum err e;

	snprintf(seconds, sizeof seconds, "%ld", (long)((h->end - p11_now_ms()) / 1000));
	if ((e = pinentry_answer(h, pin, &ok)) != E_OK || (e = pinentry_options(h, pin)) != E_OK ||
	    (e = pinentry_tell(h, pin, "SETTIMEOUT", seconds)) != E_OK ||
	    (e = pinentry_tell(h, pin, "SETTITLE", "PIV card")) != E_OK ||
	    (e = pinentry_tell(h, pin, "SETDESC", a->text)) != E_OK ||
	    (e = pinentry_tell(h, pin, "SETPROMPT", "PIN:")) != E_OK ||
	    (e = pinentry_tell(h, pin, "SETERROR", a->error)) != E_OK)
		return e;
	pin->n = 0;
	if ((e = helper_send(h, "GETPIN", NULL)) != E_OK || (e = pinentry_answer(h, pin, &ok)) != E_OK)
		return e;
	if (!ok || pin->n == 0)
		return err_set(E_CANCELED, "pin_helper: canceled");
	return helper_send(h, "BYE", NULL);
}

static enum err
ask_pinentry(struct helper *h, const struct ask *a, struct secret *pin)
{
	char *argv[] = { strdup(h->path), NULL };
	enum err e = err_set(E_NOMEM, "no memory for a PIN");

	if (argv[0] != NULL && (e = helper_start(h, argv, true)) == E_OK)
		e = pinentry_run(h, a, pin);
	helper_end(h);
	free(argv[0]);
	return e;
}

/* --- askpass --- */

/* All that it says up to a line feed or its end, when it says that it succeeded. */
static enum err
askpass_run(struct helper *h, struct secret *pin)
{
	struct span in, line;
	bool more = true, too_long;
	enum err e;

	while (more)
		if ((e = helper_read(h, &more)) != E_OK)
			return e;
	in = secret_view(h->in);
	if (!assuan_next(&in, &line, &too_long))
		line = in;
	if (!has_ended(h, GRACE_MS) || !WIFEXITED(h->status) || WEXITSTATUS(h->status) != 0 || line.n == 0)
		return err_set(E_CANCELED, "pin_helper: canceled");
	if (line.n > pin->cap)
		return err_set(E_PROTO, "pin_helper: that is too long for a PIN");
	memcpy(pin->v, line.p, line.n);
	pin->n = line.n;
	return E_OK;
}

static enum err
ask_askpass(struct helper *h, const struct ask *a, struct secret *pin)
{
	char *argv[] = { strdup(h->path), NULL, NULL };
	size_t n = strlen(a->text) + (a->error != NULL ? strlen(a->error) : 0) + 16;
	enum err e = err_set(E_NOMEM, "no memory for a PIN");

	if ((argv[1] = malloc(n)) != NULL)
		snprintf(argv[1], n, "%s%s%s\nPIN: ", a->error != NULL ? a->error : "", a->error != NULL ? "\n" : "",
		    a->text);
	if (argv[0] != NULL && argv[1] != NULL && (e = helper_start(h, argv, false)) == E_OK)
		e = askpass_run(h, pin);
	helper_end(h);
	free(argv[0]);
	free(argv[1]);
	return e;
}

/* --- which --- */

/* As configured, else by the program's name. */
static bool
is_pinentry(const struct conf *conf, const char *path)
{
	const char *protocol = conf_str(conf, "module", "pin_helper_protocol"), *slash = strrchr(path, '/');

	if (protocol != NULL)
		return strcmp(protocol, "pinentry") == 0;
	return strstr(slash != NULL ? slash : path, "pinentry") != NULL;
}

enum err
helper_ask(const struct conf *conf, const struct ask *a, ask_stop *stop, void *arg, struct secret **pin)
{
	struct helper h = { .path = conf_str(conf, "module", "pin_helper"), .fd = -1, .stop = stop, .arg = arg };
	long seconds = conf_num(conf, "module", "pin_helper_timeout");
	enum err e;

	*pin = NULL;
	if ((e = check_program(h.path)) != E_OK)
		return e;
	if ((*pin = secret_new(ASK_PIN_MAX)) == NULL)
		return err_set(E_NOMEM, "no memory for a PIN");
	h.end = p11_now_ms() + 1000 * (seconds < 1 ? 1 : seconds > TIME_MAX_S ? TIME_MAX_S : seconds);
	e = is_pinentry(conf, h.path) ? ask_pinentry(&h, a, *pin) : ask_askpass(&h, a, *pin);
	if (e != E_OK)
		secret_free(pin);
	return e;
}
