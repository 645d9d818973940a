/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The counter file: see tries.h (SP 800-157r1, 3.1.4; SP 800-63B-4, 3.2.2: at most ten consecutive failures). One line
 * of fixed length, changed in place under a lock of the file and synced before the PIN goes out. Whatever is not
 * exactly such a line, or not the user's own file, closes the token rather than opening it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "pkcs11/tries.h"

#define LINE	"dpiv-tries 1 user=%02u so=%02u\n"
#define LINE_N	27
#define MOST	99
#define WAIT_MS 3000

struct counter {
	char path[4200];
	int fd;
	unsigned used[TRIES_KINDS];
};

/* Other processes hold it for as long as it takes to write a line. */
static enum err
counter_lock(const struct counter *c)
{
	struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	const struct timespec pause = { .tv_nsec = 5 * 1000 * 1000 };

	for (int ms = 0; ms < WAIT_MS; ms += 5) {
		if (fcntl(c->fd, F_OFD_SETLK, &all) == 0)
			return E_OK;
		if (errno != EAGAIN && errno != EACCES && errno != EINTR)
			break;
		nanosleep(&pause, NULL);
	}
	return err_set(E_STORE, "%s cannot be locked: %s", c->path, strerror(errno));
}

static enum err
counter_parse(struct counter *c)
{
	char line[LINE_N + 2], again[LINE_N + 2];
	ssize_t n = pread(c->fd, line, sizeof line - 1, 0);

	c->used[TRIES_USER] = c->used[TRIES_SO] = 0;
	if (n == 0)
		return E_OK; /* just made */
	line[n > 0 ? n : 0] = '\0';
	if (n == LINE_N && sscanf(line, LINE, &c->used[TRIES_USER], &c->used[TRIES_SO]) == 2 &&
	    c->used[TRIES_USER] <= MOST && c->used[TRIES_SO] <= MOST) {
		snprintf(again, sizeof again, LINE, c->used[TRIES_USER], c->used[TRIES_SO]);
		if (strcmp(line, again) == 0)
			return E_OK;
	}
	return err_set(E_STORE, "%s is damaged; while it is, no PIN is tried", c->path);
}

static enum err
counter_open(const char *token, struct counter *c)
{
	char dir[4000];
	struct stat st;
	enum err e;

	c->fd = -1;
	if ((e = file_xdg("XDG_STATE_HOME", ".local/state", dir, sizeof dir)) != E_OK ||
	    (e = file_mkdirs(dir, 0700)) != E_OK)
		return err_up(E_STORE, "no place to count wrong PINs");
	snprintf(c->path, sizeof c->path, "%s/tries-%s", dir, token);
	c->fd = open(c->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0600);
	if (c->fd < 0)
		return err_set(E_STORE, "%s cannot be opened: %s", c->path, strerror(errno));
	if (fstat(c->fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) != 0)
		return err_set(E_STORE, "%s is not a file of this user alone", c->path);
	if ((e = counter_lock(c)) != E_OK)
		return e;
	return counter_parse(c);
}

static enum err
counter_write(struct counter *c)
{
	char line[LINE_N + 2];

	snprintf(line, sizeof line, LINE, c->used[TRIES_USER] % 100, c->used[TRIES_SO] % 100);
	if (pwrite(c->fd, line, LINE_N, 0) != LINE_N || fdatasync(c->fd) != 0)
		return err_set(E_STORE, "%s cannot be written: %s", c->path, strerror(errno));
	return E_OK;
}

static void
counter_close(struct counter *c)
{
	if (c->fd >= 0)
		close(c->fd);
}

enum err
tries_count(const char *token, enum tries_of who, unsigned max)
{
	struct counter c;
	enum err e = counter_open(token, &c);

	if (e == E_OK && c.used[who] >= max)
		e = err_set(E_PINLOCKED, "the PIN is locked after %u wrong ones", c.used[who]);
	if (e == E_OK) {
		c.used[who]++;
		e = counter_write(&c);
	}
	counter_close(&c);
	return e;
}

enum err
tries_reset(const char *token, enum tries_of who)
{
	struct counter c;
	enum err e = counter_open(token, &c);

	if (e == E_OK && c.used[who] != 0) {
		c.used[who] = 0;
		e = counter_write(&c);
	}
	counter_close(&c);
	return e;
}

enum err
tries_undo(const char *token, enum tries_of who)
{
	struct counter c;
	enum err e = counter_open(token, &c);

	if (e == E_OK && c.used[who] != 0) {
		c.used[who]--;
		e = counter_write(&c);
	}
	counter_close(&c);
	return e;
}

enum err
tries_used(const char *token, enum tries_of who, unsigned *used)
{
	struct counter c;
	enum err e = counter_open(token, &c);

	*used = e == E_OK ? c.used[who] : 0;
	counter_close(&c);
	return e;
}
