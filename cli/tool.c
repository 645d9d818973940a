/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Other programs that dpiv setup uses where they are there: certutil, gpgsm, systemctl. They get no terminal, so that
 * none of them asks for a password behind our back, nothing to read, and a limit of time.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/tool.h"

bool
tool_path(const char *name, char *out, size_t cap)
{
	const char *path = secure_getenv("PATH");

	for (size_t n; path != NULL && *path != '\0'; path += n + (path[n] == ':')) {
		n = strcspn(path, ":");
		if (n > 0 && snprintf(out, cap, "%.*s/%s", (int)n, path, name) < (int)cap && access(out, X_OK) == 0)
			return true;
	}
	return false;
}

bool
tool_there(const char *name)
{
	char file[1024];

	return tool_path(name, file, sizeof file);
}

extern char **environ;

static int
tool_spawn(const char *const argv[], int out, pid_t *pid)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	union {
		const char *const *in;
		char *const *out; /* POSIX: argv is not changed */
	} args = { .in = argv };
	int e = posix_spawn_file_actions_init(&files);

	if (e != 0)
		return e;
	if ((e = posix_spawnattr_init(&attr)) != 0) {
		posix_spawn_file_actions_destroy(&files);
		return e;
	}
	e = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID);
	if (e == 0)
		e = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (e == 0)
		e = posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
	if (e == 0)
		e = posix_spawn_file_actions_adddup2(&files, out, STDERR_FILENO);
	if (e == 0)
		e = posix_spawnp(pid, argv[0], &files, &attr, args.out, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return e;
}

static long
seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (long)t.tv_sec;
}

/* Reads until the program closes its output; false when that takes too long. */
static bool
tool_read(int fd, struct wbuf *out)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	long end = seconds() + TOOL_TIMEOUT;
	char part[4096];
	ssize_t n;

	for (;;) {
		long left = end - seconds();
		int k = left > 0 ? poll(&p, 1, (int)left * 1000) : 0;

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
tool_failed(const char *name, int status, struct span said)
{
	char safe[256];
	size_t n = 0;

	while (n < said.n && said.p[n] != '\n')
		n++;
	return err_set(E_IO, "%s failed (status %d): %s", name, WIFEXITED(status) ? WEXITSTATUS(status) : -1,
	    text_safe(span_of(said.p, n), safe, sizeof safe));
}

static enum err
tool_wait(const char *name, pid_t pid, int fd, struct wbuf *out)
{
	size_t from = out->n;
	bool ended = tool_read(fd, out);
	struct span said = SPAN_NONE;
	int status = 0;

	if (!ended)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!ended)
		return err_set(E_IO, "%s did not end within %d seconds", name, TOOL_TIMEOUT);
	if (status == 0)
		return E_OK;
	(void)span_sub(wbuf_view(out), from, out->n - from, &said);
	return tool_failed(name, status, said);
}

enum err
tool_run(const char *const argv[], struct wbuf *out)
{
	int pipe_fd[2], failed;
	pid_t pid;
	enum err e;

	if (!tool_there(argv[0]))
		return err_set(E_NOTFOUND, "the program %s is not there", argv[0]);
	if (pipe2(pipe_fd, O_CLOEXEC) != 0)
		return err_set(E_IO, "cannot make a pipe: %s", strerror(errno));
	failed = tool_spawn(argv, pipe_fd[1], &pid);
	close(pipe_fd[1]);
	e = failed != 0 ? err_set(E_IO, "cannot run %s: %s", argv[0], strerror(failed))
			: tool_wait(argv[0], pid, pipe_fd[0], out);
	close(pipe_fd[0]);
	return e;
}
