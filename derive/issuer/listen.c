/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Listening sockets (listen.h). Addresses are numeric, so that nothing is asked of a name service before the service
 * listens. What the environment says of sockets that are there already is believed only when it is meant for this
 * process (LISTEN_PID) and the descriptor is a listening socket.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "derive/issuer/listen.h"

#define BACKLOG	     128
#define FIRST_PASSED 3 /* SD_LISTEN_FDS_START */
#define PASSED_MAX   16

/* Its place among the names that are separated by colons; -1. */
static int
place_of(const char *names, const char *name)
{
	size_t n = strlen(name);

	for (int k = 0; names != NULL && k < PASSED_MAX; k++) {
		size_t m = strcspn(names, ":");

		if (m == n && strncmp(names, name, n) == 0)
			return k;
		if (names[m] == '\0')
			return -1;
		names += m + 1;
	}
	return -1;
}

static bool
prepare(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

static int
passed(const char *name)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
	int k = place_of(getenv("LISTEN_FDNAMES"), name), listens = 0;
	socklen_t n = sizeof listens;

	if (k < 0 || pid == NULL || count == NULL || strtol(pid, NULL, 10) != (long)getpid() ||
	    k >= strtol(count, NULL, 10))
		return -1;
	if (getsockopt(FIRST_PASSED + k, SOL_SOCKET, SO_ACCEPTCONN, &listens, &n) != 0 || !listens ||
	    !prepare(FIRST_PASSED + k))
		return -1;
	return FIRST_PASSED + k;
}

/* Takes the address apart: HOST:PORT or [HOST]:PORT. */
static struct addrinfo *
resolve(const char *address)
{
	const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
		.ai_socktype = SOCK_STREAM };
	const char *colon = strrchr(address, ':');
	struct addrinfo *ai = NULL;
	char host[64];
	size_t n = colon ? (size_t)(colon - address) : 0;
	bool brackets = n > 2 && address[0] == '[' && address[n - 1] == ']';

	if (n == 0 || n >= sizeof host || colon[1] == '\0' || (!brackets && memchr(address, ':', n) != NULL))
		return NULL;
	if (brackets)
		(void)snprintf(host, sizeof host, "%.*s", (int)n - 2, &address[1]);
	else
		(void)snprintf(host, sizeof host, "%.*s", (int)n, address);
	return getaddrinfo(host, &colon[1], &hints, &ai) == 0 ? ai : NULL;
}

static enum err
cannot(const char *address, int fd)
{
	int why = errno;

	if (fd >= 0)
		close(fd);
	return err_set(E_NET, "cannot listen on %s: %s", address, strerror(why));
}

static enum err
open_tcp(const char *address, int *out)
{
	struct addrinfo *ai = resolve(address);
	int fd, one = 1;
	bool ok;

	if (ai == NULL)
		return err_set(E_CONF, "%s: not a numeric address and port, like 127.0.0.1:8443", address);
	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	ok = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
	    bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0;
	if (ok)
		*out = fd;
	freeaddrinfo(ai);
	return ok ? E_OK : cannot(address, fd);
}

/* A socket that an earlier run has left there goes; anything else stays. */
static enum err
open_local(const char *path, int *out)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct stat st;
	int fd;

	if (strlen(path) >= sizeof un.sun_path)
		return err_set(E_CONF, "%s: too long for the path of a local socket", path);
	memcpy(un.sun_path, path, strlen(path));
	if (lstat(path, &st) == 0 && (!S_ISSOCK(st.st_mode) || unlink(path) != 0))
		return err_set(E_CONF, "%s: it is in the way", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&un, sizeof un) != 0 || chmod(path, 0660) != 0 ||
	    listen(fd, BACKLOG) != 0)
		return cannot(path, fd);
	*out = fd;
	return E_OK;
}

/* What is accepted inherits it (Linux). An answer is two records, and the second would wait 40 ms for the first's ACK.
 */
static void
no_delay(int listener)
{
	int one = 1;

	(void)setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* a local socket has none */
}

enum err
listen_open(const char *name, const char *address, int *fd)
{
	enum err e = E_OK;

	if ((*fd = passed(name)) < 0)
		e = address[0] == '/' ? open_local(address, fd) : open_tcp(address, fd);
	if (e == E_OK)
		no_delay(*fd);
	return e;
}

enum err
listen_name(int fd, char *out, size_t cap)
{
	struct sockaddr_storage ss = { 0 };
	struct sockaddr_un *un = (struct sockaddr_un *)&ss;
	socklen_t n = sizeof ss;
	char host[64], port[8];

	if (getsockname(fd, (struct sockaddr *)&ss, &n) != 0)
		return cannot("a socket", -1);
	if (ss.ss_family == AF_UNIX)
		(void)snprintf(out, cap, "%.*s", (int)sizeof un->sun_path, un->sun_path);
	else if (getnameinfo((struct sockaddr *)&ss, n, host, sizeof host, port, sizeof port,
		     NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return err_set(E_NET, "cannot tell the address of a socket");
	else
		(void)snprintf(out, cap, ss.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
	return E_OK;
}

/* A local socket is only looked at: to open it would take the name from who has it. */
static enum err
probe_local(const char *path, bool *answers)
{
	struct stat st;

	*answers = stat(path, &st) == 0;
	return !*answers || S_ISSOCK(st.st_mode) ? E_OK : err_set(E_CONF, "%s: it is in the way", path);
}

enum err
listen_probe(const char *address, bool *answers)
{
	struct addrinfo *ai;
	enum err e;
	int fd;

	*answers = false;
	if (address[0] == '/')
		return probe_local(address, answers);
	if ((e = open_tcp(address, &fd)) == E_OK) {
		close(fd);
		return E_OK;
	}
	if (e == E_CONF || (ai = resolve(address)) == NULL)
		return e;
	if ((fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0)) >= 0) {
		*answers = connect(fd, ai->ai_addr, ai->ai_addrlen) == 0; /* on this machine: it takes no time */
		close(fd);
	}
	freeaddrinfo(ai);
	return *answers ? E_OK : e;
}
