/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Other programs: what dpiv setup asks, and the site's identity system that the issuer asks. Input is written before
 * the program starts, and is small enough for a pipe that nobody reads yet, so that neither can wait for the other, and
 * a program that does not read cannot send us a signal. A program that leaves a child behind with its output open is
 * waited for no longer than the limit either.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "derive/run.h"

extern char **environ;

static int
wire(posix_spawn_file_actions_t *files, const struct run *r, int in, int out)
{
	int e = r->input.n > 0 ? posix_spawn_file_actions_adddup2(files, in, STDIN_FILENO)
			       : posix_spawn_file_actions_addopen(files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);

	if (e == 0)
		e = posix_spawn_file_actions_adddup2(files, out, STDOUT_FILENO);
	if (e == 0 && r->both)
		e = posix_spawn_file_actions_adddup2(files, out, STDERR_FILENO);
	return e;
}

static int
start(const struct run *r, int in, int out, pid_t *pid)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	union {
		const char *const *in;
		char *const *out; /* POSIX: argv is not changed */
	} args = { .in = r->argv };
	int e = posix_spawn_file_actions_init(&files);

	if (e != 0)
		return e;
	if ((e = posix_spawnattr_init(&attr)) != 0) {
		posix_spawn_file_actions_destroy(&files);
		return e;
	}
	e = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID);
	if (e == 0)
		e = wire(&files, r, in, out);
	if (e == 0)
		e = posix_spawnp(pid, r->argv[0], &files, &attr, args.out, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return e;
}

static long
milliseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Reads until the program closes its output; false when that takes too long. */
static bool
read_all(int fd, int seconds, struct wbuf *out)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	long end = milliseconds() + seconds * 1000L;
	char part[4096];
	ssize_t n;

	for (;;) {
		long left = end - milliseconds();
		int k = left > 0 ? poll(&p, 1, (int)left) : 0;

		if (k == 0)
			return false;
		if (k < 0 && errno == EINTR)
			continue;
		n = read(fd, part, sizeof part);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return true;
		wbuf_put(out, part, (size_t)n);
	}
}

static enum err
finish(const struct run *r, pid_t pid, int fd, struct wbuf *out, int *status)
{
	bool ended = read_all(fd, r->seconds, out);
	int how = 0;

	if (!ended)
		kill(-pid, SIGKILL); /* its session: what it started, too */
	while (waitpid(pid, &how, 0) < 0 && errno == EINTR)
		;
	if (!ended)
		return err_set(E_BUSY, "%s did not end within %d seconds", r->argv[0], r->seconds);
	*status = WIFEXITED(how) ? WEXITSTATUS(how) : -1;
	return E_OK;
}

static enum err
input_ready(const struct run *r, const int in[2])
{
	if (r->input.n > RUN_INPUT_MAX)
		return err_set(E_INTERNAL, "too much input for %s", r->argv[0]);
	return file_write_all(in[1], r->input) ? E_OK : err_set(E_IO, "cannot write to a pipe: %s", strerror(errno));
}

static void
shut(const int fd[2])
{
	close(fd[0]);
	if (fd[1] >= 0)
		close(fd[1]);
}

enum err
run_program(const struct run *r, struct wbuf *out, int *status)
{
	int in[2], answer[2], failed;
	pid_t pid;
	enum err e;

	*status = -1;
	if (pipe2(in, O_CLOEXEC) != 0)
		return err_set(E_IO, "cannot make a pipe: %s", strerror(errno));
	if (pipe2(answer, O_CLOEXEC) != 0) {
		shut(in);
		return err_set(E_IO, "cannot make a pipe: %s", strerror(errno));
	}
	if ((e = input_ready(r, in)) == E_OK) {
		close(in[1]);
		in[1] = -1;
		failed = start(r, in[0], answer[1], &pid);
		close(answer[1]);
		answer[1] = -1;
		e = failed != 0 ? err_set(E_IO, "cannot run %s: %s", r->argv[0], strerror(failed))
				: finish(r, pid, answer[0], out, status);
	}
	shut(in);
	shut(answer);
	return e;
}
