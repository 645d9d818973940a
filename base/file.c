/* SPDX-License-Identifier: BSD-2-Clause */
/* Files: read whole with a limit, write all or nothing: see file.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"

#define SECRET_LINE_MAX 256

static enum err
file_open(const char *path, int *fd)
{
	if (strcmp(path, "-") == 0) {
		*fd = STDIN_FILENO;
		return E_OK;
	}
	if ((*fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY)) < 0)
		return err_set(errno == ENOENT ? E_NOTFOUND : E_IO, "cannot open %s: %s", path, strerror(errno));
	return E_OK;
}

static void
file_close(int fd)
{
	if (fd > STDERR_FILENO)
		close(fd);
}

/* Like read(), but goes on after a signal. */
static ssize_t
read_some(int fd, void *p, size_t n)
{
	ssize_t got;

	while ((got = read(fd, p, n)) < 0 && errno == EINTR)
		;
	return got;
}

enum err
file_read(const char *path, struct wbuf *out)
{
	uint8_t block[16384];
	enum err e;
	ssize_t n;
	int fd;

	if ((e = file_open(path, &fd)) != E_OK)
		return e;
	while ((n = read_some(fd, block, sizeof block)) > 0 && !out->bad)
		wbuf_put(out, block, (size_t)n);
	if (n < 0)
		e = err_set(E_IO, "cannot read %s: %s", path, strerror(errno));
	else if (out->bad)
		e = err_set(E_PROTO, "%s is too large: more than %zu bytes", path, out->max);
	explicit_bzero(block, sizeof block);
	file_close(fd);
	return e;
}

enum err
file_read_secret(const char *path, struct secret **out)
{
	struct secret *s;
	uint8_t *end;
	enum err e;
	ssize_t n;
	int fd;

	*out = NULL;
	if ((e = file_open(path, &fd)) != E_OK)
		return e;
	if ((s = secret_new(SECRET_LINE_MAX)) == NULL) {
		file_close(fd);
		return err_set(E_NOMEM, "out of memory");
	}
	while (s->n < s->cap && (n = read_some(fd, s->v + s->n, s->cap - s->n)) > 0)
		s->n += (size_t)n;
	file_close(fd);
	if ((end = memchr(s->v, '\n', s->n)) != NULL)
		s->n = (size_t)(end - s->v);
	if (s->n > 0 && s->v[s->n - 1] == '\r')
		s->n--;
	if (s->n == 0) {
		secret_free(&s);
		return err_set(E_PINLEN, "%s holds no PIN: its first line is empty", path);
	}
	*out = s;
	return E_OK;
}

enum err
file_read_source(const char *what, const char *source, struct secret **out)
{
	const char *path = source;
	char safe[256];

	if (strncmp(path, "file://", 7) == 0)
		path += 7;
	else if (strncmp(path, "file:", 5) == 0)
		path += 5;
	if (path[0] != '/')
		return err_set(
		    E_ARG, "%s must be file:/PATH, not '%s'", what, text_safe(span_str(source), safe, sizeof safe));
	return file_read_secret(path, out);
}

bool
file_write_all(int fd, struct span data)
{
	while (data.n > 0) {
		ssize_t n = write(fd, data.p, data.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || !span_skip(&data, (size_t)n))
			return false;
	}
	return true;
}

/* The rename is on disk only when the directory is. */
static bool
sync_directory_of(const char *path)
{
	char dir[4096];
	char *slash;
	bool ok;
	int fd;

	if ((size_t)snprintf(dir, sizeof dir, "%s", path) >= sizeof dir)
		return false;
	if ((slash = strrchr(dir, '/')) == NULL)
		snprintf(dir, sizeof dir, ".");
	else
		slash[slash == dir ? 1 : 0] = '\0';
	if ((fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return false;
	ok = fsync(fd) == 0;
	close(fd);
	return ok;
}

enum err
file_write(const char *path, mode_t mode, struct span data)
{
	char temp[4096];
	int fd;

	if ((size_t)snprintf(temp, sizeof temp, "%s.XXXXXX", path) >= sizeof temp)
		return err_set(E_ARG, "the path %s is too long", path);
	if ((fd = mkostemp(temp, O_CLOEXEC)) < 0)
		return err_set(E_IO, "cannot write %s: %s", path, strerror(errno));
	if (!file_write_all(fd, data) || fchmod(fd, mode) != 0 || fsync(fd) != 0 || rename(temp, path) != 0) {
		int why = errno;

		unlink(temp);
		close(fd);
		return err_set(E_IO, "cannot write %s: %s", path, strerror(why));
	}
	close(fd);
	if (!sync_directory_of(path))
		return err_set(E_IO, "%s is written but its directory cannot be synced: %s", path, strerror(errno));
	return E_OK;
}

enum err
file_mkdirs(const char *path, mode_t mode)
{
	char dir[4096];
	struct stat st;

	if ((size_t)snprintf(dir, sizeof dir, "%s", path) >= sizeof dir || dir[0] == '\0')
		return err_set(E_ARG, "not a usable directory name: \"%s\"", path);
	for (char *p = dir + 1;; p++) {
		char c = *p;

		if (c != '/' && c != '\0')
			continue;
		*p = '\0';
		if (mkdir(dir, mode) != 0 && (errno != EEXIST || stat(dir, &st) != 0 || !S_ISDIR(st.st_mode)))
			return err_set(E_IO, "cannot make the directory %s: %s", dir,
			    errno == EEXIST ? "a file is in the way" : strerror(errno));
		if (c == '\0')
			return E_OK;
		*p = c;
	}
}

enum err
file_mkdirs_above(const char *path, mode_t mode)
{
	char dir[4096];
	char *slash;

	if ((size_t)snprintf(dir, sizeof dir, "%s", path) >= sizeof dir)
		return err_set(E_ARG, "the path %s is too long", path);
	slash = strrchr(dir, '/');
	if (slash == NULL || slash == dir)
		return E_OK;
	*slash = '\0';
	return file_mkdirs(dir, mode);
}

enum err
file_xdg(const char *variable, const char *fallback, char *out, size_t cap)
{
	const char *base = secure_getenv(variable), *home = secure_getenv("HOME");
	int n;

	/* XDG Base Directory Specification: a relative path in the variable is ignored. */
	if (base != NULL && base[0] == '/')
		n = snprintf(out, cap, "%s/dpiv", base);
	else if (home != NULL && home[0] == '/')
		n = snprintf(out, cap, "%s/%s/dpiv", home, fallback);
	else
		return err_set(E_NOTFOUND, "neither %s nor HOME names a directory", variable);
	if (n < 0 || (size_t)n >= cap)
		return err_set(E_ARG, "the directory in %s is too long", variable);
	return E_OK;
}
