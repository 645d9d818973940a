/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * LD_PRELOAD: what a process writes below one directory, counted, and cut off at a chosen write. Built by the test
 * itself. The environment says what to do:
 *
 *	STATE_SHIM_DIR=DIR     only files below it count
 *	STATE_SHIM_LOG=FILE    one line for each counted call
 *	STATE_SHIM_RULE=WHAT   kill:N   SIGKILL before the N-th counted call
 *	                       full:N   from the N-th on the disk is full: what needs room fails with ENOSPC
 *
 * Counted: creating a file or folder, writing, truncating, syncing, renaming, removing.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static unsigned long calls;

static unsigned long
rule(const char *kind)
{
	const char *r = getenv("STATE_SHIM_RULE");
	size_t n = strlen(kind);

	return r != NULL && strncmp(r, kind, n) == 0 && r[n] == ':' ? strtoul(r + n + 1, NULL, 10) : 0;
}

static int
below(const char *path)
{
	const char *dir = getenv("STATE_SHIM_DIR");

	return dir != NULL && strncmp(path, dir, strlen(dir)) == 0;
}

static void *
next(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

static void
note(const char *name, const char *path)
{
	const char *log = getenv("STATE_SHIM_LOG");
	FILE *f = log != NULL ? fopen(log, "a") : NULL;

	if (f == NULL)
		return;
	fprintf(f, "%lu %s %s\n", calls, name, path);
	fclose(f);
}

/* Before a counted call: 0, or -1 with errno. */
static int
count(const char *name, const char *path, int needs_room)
{
	int was = errno;

	if (!below(path))
		return 0;
	calls++;
	note(name, path);
	if (rule("kill") == calls)
		kill(getpid(), SIGKILL);
	errno = was;
	if (!needs_room || rule("full") == 0 || calls < rule("full"))
		return 0;
	errno = ENOSPC;
	return -1;
}

static int
count_fd(const char *name, int fd, int needs_room)
{
	char link[64], path[4096];
	ssize_t n;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof path - 1);
	if (n <= 0)
		return 0;
	path[n] = '\0';
	return count(name, path, needs_room);
}

#define FD(type, name, room, params, args)                                                                             \
	type name params                                                                                               \
	{                                                                                                              \
		union {                                                                                                \
			void *p;                                                                                       \
			type(*f) params;                                                                               \
		} real = { next(#name) };                                                                              \
		return count_fd(#name, fd, room) == 0 ? real.f args : -1;                                              \
	}

FD(ssize_t, write, 1, (int fd, const void *b, size_t n), (fd, b, n))
FD(ssize_t, pwrite, 1, (int fd, const void *b, size_t n, off_t at), (fd, b, n, at))
FD(ssize_t, pwrite64, 1, (int fd, const void *b, size_t n, off_t at), (fd, b, n, at))
FD(int, ftruncate, 0, (int fd, off_t n), (fd, n))
FD(int, ftruncate64, 0, (int fd, off_t n), (fd, n))
FD(int, fsync, 0, (int fd), (fd))
FD(int, fdatasync, 0, (int fd), (fd))

#define PATH(name, room, params, args)                                                                                 \
	int name params                                                                                                \
	{                                                                                                              \
		union {                                                                                                \
			void *p;                                                                                       \
			int(*f) params;                                                                                \
		} real = { next(#name) };                                                                              \
		return count(#name, path, room) == 0 ? real.f args : -1;                                               \
	}

PATH(unlink, 0, (const char *path), (path))
PATH(mkdir, 1, (const char *path, mode_t mode), (path, mode))
PATH(rename, 1, (const char *path, const char *to), (path, to))

#define OPEN(name)                                                                                                     \
	int name(const char *path, int flags, ...)                                                                     \
	{                                                                                                              \
		union {                                                                                                \
			void *p;                                                                                       \
			int (*f)(const char *, int, ...);                                                              \
		} real = { next(#name) };                                                                              \
		mode_t mode = 0;                                                                                       \
		va_list ap;                                                                                            \
		if (flags & O_CREAT) {                                                                                 \
			va_start(ap, flags);                                                                           \
			mode = va_arg(ap, mode_t);                                                                     \
			va_end(ap);                                                                                    \
			if (access(path, F_OK) != 0 && count(#name, path, 1) != 0)                                     \
				return -1;                                                                             \
		}                                                                                                      \
		return real.f(path, flags, mode);                                                                      \
	}

OPEN(open)
OPEN(open64)
