/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A queue of dpiv's processes before one reader, in order of arrival: a process that works without pause would starve
 * the others, since whoever finds the card taken asks again only later (libpcsclite: after 100 ms).
 *
 * It is made of locks alone (fcntl(2), open file description locks) on the directory of pcscd's socket: all users of
 * that pcscd can open it, nothing is created, nothing is written, and the kernel takes a dead process out of the line.
 * Each reader has a range of bytes; a place is one byte, read-locked by who stands there. To join: under flock(2), the
 * byte behind the last one that is locked. It is our turn when no byte before ours is. Everybody who may read the
 * directory may lock bytes in it, so the queue is a courtesy and not a barrier: pcsc_turn.c passes those who stand in
 * it and leave the card alone, and PC/SC's own transaction decides. Without the directory there is no queue.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/log.h"
#include "base/proc.h"
#include "hw/pcsc_int.h"

#define PLACES	   ((int64_t)1 << 24) /* of one reader */
#define DOOR_TRIES 20		      /* ms; others hold it for microseconds */

static int
line_open(void)
{
	const char *path = proc_pcscd_socket(), *slash = strrchr(path, '/');
	char dir[256];
	size_t n;

	if (slash == NULL || slash == path || (n = (size_t)(slash - path)) >= sizeof dir)
		return -1;
	memcpy(dir, path, n);
	dir[n] = '\0';
	return open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* The first byte of this reader's range: FNV-1a of its name. Two readers that share one wait for each other. */
static int64_t
line_first(const char *reader)
{
	uint32_t h = 2166136261u;

	while (*reader != '\0')
		h = (h ^ (uint8_t)*reader++) * 16777619u;
	return ((int64_t)(h >> 1) + 1) * PLACES;
}

void
pcsc_line_init(struct pcsc_turn *t, const char *reader)
{
	t->line = -1;
	t->first = line_first(reader);
}

void
pcsc_line_close(struct pcsc_turn *t)
{
	if (t->line >= 0)
		close(t->line);
	t->line = -1;
	t->place = 0;
}

static bool
byte_lock(const struct pcsc_turn *t, int64_t place, short type)
{
	struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = t->first + place, .l_len = 1 };

	return fcntl(t->line, F_OFD_SETLK, &l) == 0;
}

/* A place in [from, to) where another one stands, 0 for none. */
static int64_t
occupied(const struct pcsc_turn *t, int64_t from, int64_t to)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = t->first + from, .l_len = to - from };

	if (from >= to || fcntl(t->line, F_OFD_GETLK, &l) != 0 || l.l_type == F_UNLCK)
		return 0;
	return l.l_start >= t->first + from && l.l_start < t->first + to ? l.l_start - t->first : from;
}

static bool
door_lock(int fd)
{
	int i;

	for (i = 0; i < DOOR_TRIES; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return true;
		pcsc_nap(1);
	}
	return false;
}

void
pcsc_line_join(struct pcsc_turn *t)
{
	int64_t place = 1, taken;

	if (t->place != 0 || t->no_line)
		return;
	if (t->line < 0 && (t->line = line_open()) < 0) {
		t->no_line = true;
		log_debug("queue", "reader has none: the directory of pcscd's socket cannot be opened");
		return;
	}
	if (!door_lock(t->line))
		return;
	while (place < PLACES && (taken = occupied(t, place, PLACES)) != 0)
		place = taken + 1;
	if (place < PLACES && byte_lock(t, place, F_RDLCK))
		t->place = place;
	(void)flock(t->line, LOCK_UN);
}

int64_t
pcsc_line_ahead(const struct pcsc_turn *t)
{
	return t->place != 0 ? occupied(t, 1, t->place) : 0;
}

void
pcsc_line_leave(struct pcsc_turn *t)
{
	if (t->place != 0)
		(void)byte_lock(t, t->place, F_UNLCK);
	t->place = 0;
}
