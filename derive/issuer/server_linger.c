/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lingering (server_linger.h). The owner of the connection closes its descriptor as it pleases; a copy keeps the
 * connection, and is drained here. When there are too many, or memory or descriptors are short, the client does
 * without.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <event2/event.h>

#include "derive/issuer/server_linger.h"

#define SECONDS	  2
#define BYTES_MAX 65536
#define COUNT_MAX 64

struct lingerer {
	struct lingerer *next, **list;
	struct event *readable;
	int fd;
	time_t until; /* on the monotonic clock: bytes do not prolong it */
	long bytes;
};

static time_t
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

static void
linger_free(struct lingerer *l)
{
	struct lingerer **at = l->list;

	while (*at != NULL && *at != l)
		at = &(*at)->next;
	if (*at == l)
		*at = l->next;
	if (l->readable)
		event_free(l->readable);
	if (l->fd >= 0)
		close(l->fd);
	free(l);
}

static void
on_bytes(evutil_socket_t fd, short what, void *arg)
{
	struct lingerer *l = arg;
	unsigned char drain[4096];
	ssize_t n = (what & EV_READ) != 0 ? read(fd, drain, sizeof drain) : 0;

	if (n > 0)
		l->bytes += n;
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR) || l->bytes > BYTES_MAX || now() > l->until)
		linger_free(l);
}

void
linger_start(struct lingerer **list, struct event_base *base, int fd)
{
	const struct timeval limit = { .tv_sec = SECONDS };
	struct lingerer *l;
	size_t n = 0;

	for (l = *list; l != NULL; l = l->next)
		n++;
	if (n >= COUNT_MAX || (l = calloc(1, sizeof *l)) == NULL)
		return;
	l->list = list;
	l->until = now() + SECONDS;
	if ((l->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0)) >= 0)
		l->readable = event_new(base, l->fd, EV_READ | EV_PERSIST, on_bytes, l);
	if (l->readable == NULL || event_add(l->readable, &limit) != 0 || shutdown(fd, SHUT_WR) != 0) {
		linger_free(l);
		return;
	}
	l->next = *list;
	*list = l;
}

void
linger_end(struct lingerer **list)
{
	while (*list != NULL)
		linger_free(*list);
}
