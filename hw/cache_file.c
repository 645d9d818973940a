/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Card memories on disk: see cache.h. The directory and the files in it must be this user's and nobody else's business:
 * owner and mode are looked at on the open descriptors, links are not followed, everything else goes by the directory's
 * descriptor. A file is written beside its place and renamed, so that processes that do so at once leave one whole
 * file; it is not synced: one that a crash damages fails its hash. A process that runs with other rights than its
 * user's (set-user-ID) has no cache, nor has root in another user's home.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "hw/cache.h"

#define PATH_LEN 4096

/* Ours alone? */
static bool
is_ours(const struct stat *st)
{
	return st->st_uid == geteuid() && (st->st_mode & (S_IRWXG | S_IRWXO)) == 0;
}

/* May directories be made below what there is of this path? Only in what is this user's own. */
static bool
may_make(const char *path)
{
	char at[PATH_LEN];
	struct stat st;
	char *slash;

	snprintf(at, sizeof at, "%s", path);
	while ((slash = strrchr(at, '/')) != NULL && slash != at) {
		*slash = '\0';
		if (stat(at, &st) == 0)
			return S_ISDIR(st.st_mode) && st.st_uid == geteuid();
	}
	return false;
}

static enum err
directory_open(bool make, int *fd)
{
	char path[PATH_LEN];
	struct stat st;
	enum err e;

	*fd = -1;
	if (geteuid() != getuid() || getegid() != getgid())
		return err_set(E_POLICY, "no cache for a program that runs with other rights than its user's");
	if ((e = file_xdg("XDG_CACHE_HOME", ".cache", path, sizeof path)) != E_OK)
		return e;
	*fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (*fd < 0 && errno == ENOENT && make) {
		if (!may_make(path))
			return err_set(E_POLICY, "no cache: %s is not below a directory of this user", path);
		if ((e = file_mkdirs(path, 0700)) != E_OK)
			return e;
		*fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	}
	if (*fd < 0)
		return err_set(errno == ENOENT ? E_NOTFOUND : E_IO, "no cache: %s: %s", path, strerror(errno));
	if (fstat(*fd, &st) == 0 && is_ours(&st))
		return E_OK;
	close(*fd);
	*fd = -1;
	return err_set(E_POLICY, "no cache: %s is not this user's alone (mode 0700)", path);
}

static enum err
contents_read(int fd, struct wbuf *out)
{
	uint8_t block[16384];
	ssize_t n;

	while ((n = read(fd, block, sizeof block)) > 0 && !out->bad)
		wbuf_put(out, block, (size_t)n);
	if (n < 0)
		return err_set(E_IO, "cache: %s", strerror(errno));
	return out->bad ? err_set(E_PROTO, "cache: too large") : E_OK;
}

static enum err
file_open(int dir, const char *name, int *fd)
{
	struct stat st;

	*fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (*fd < 0)
		return err_set(errno == ENOENT ? E_NOTFOUND : E_POLICY, "cache: %s: %s", name, strerror(errno));
	if (fstat(*fd, &st) == 0 && S_ISREG(st.st_mode) && is_ours(&st) && st.st_nlink <= 1 &&
	    st.st_size <= CACHE_FILE_MAX)
		return E_OK;
	close(*fd);
	*fd = -1;
	return err_set(E_POLICY, "cache: %s is not a small file of this user's alone", name);
}

enum err
cache_load(struct cache *c)
{
	char name[CACHE_NAME_MAX];
	int dir = -1, fd = -1;
	WBUF_AUTO text;
	enum err e;

	wbuf_init(&text, CACHE_FILE_MAX);
	if ((e = cache_name(span_of(c->id, c->id_len), name)) == E_OK && (e = directory_open(false, &dir)) == E_OK &&
	    (e = file_open(dir, name, &fd)) == E_OK && (e = contents_read(fd, &text)) == E_OK)
		e = cache_parse(wbuf_view(&text), (uint32_t)time(NULL), c);
	if (fd >= 0)
		close(fd);
	if (dir >= 0)
		close(dir);
	return e;
}

static enum err
file_replace(int dir, const char *name, struct span data)
{
	static _Atomic unsigned turn;
	char temp[CACHE_NAME_MAX + 32];
	int fd;
	bool ok;

	snprintf(temp, sizeof temp, ".%s.%ld-%u", name, (long)getpid(), atomic_fetch_add(&turn, 1));
	(void)unlinkat(dir, temp, 0); /* of a process that had our number and was killed */
	if ((fd = openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)) < 0)
		return err_set(E_IO, "cache: %s", strerror(errno));
	ok = file_write_all(fd, data);
	if (close(fd) == 0 && ok && renameat(dir, temp, dir, name) == 0)
		return E_OK;
	(void)unlinkat(dir, temp, 0);
	return err_set(E_IO, "cache: %s cannot be written", name);
}

enum err
cache_save(const struct cache *c)
{
	char name[CACHE_NAME_MAX];
	WBUF_AUTO text;
	int dir = -1;
	enum err e;

	wbuf_init(&text, CACHE_FILE_MAX);
	cache_build(c, &text);
	if (text.bad)
		return err_set(E_NOMEM, "cache: too large");
	if ((e = cache_name(span_of(c->id, c->id_len), name)) == E_OK && (e = directory_open(true, &dir)) == E_OK)
		e = file_replace(dir, name, wbuf_view(&text));
	if (dir >= 0)
		close(dir);
	return e;
}
