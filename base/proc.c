/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Other ends of a Unix socket: see proc.h. sock_diag names for each of the server's connected sockets, which carry its
 * path, the inode of the peer; a process that has a descriptor of that inode (/proc/PID/fd) is a client. Counting alone
 * needs only /proc/net/unix, proc(5): a line a socket, its state in the sixth column (03: connected), its path last.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/proc.h"
#include "base/text.h"

#define PCSCD_SOCKET "/run/pcscd/pcscd.comm"
#define INODES_MAX   64
#define CONNECTED    3 /* SS_CONNECTED of linux/net.h, as /proc/net/unix shows it */

struct inodes {
	size_t n;
	uint32_t v[INODES_MAX];
	bool seen[INODES_MAX]; /* some process has it */
};

const char *
proc_pcscd_socket(void)
{
	const char *env = secure_getenv("PCSCLITE_CSOCK_NAME");

	return env != NULL && env[0] == '/' ? env : PCSCD_SOCKET;
}

int
proc_connections(const char *path)
{
	char line[512], *p;
	unsigned state;
	FILE *f = fopen("/proc/net/unix", "re");
	int n = 0;

	if (f == NULL)
		return -1;
	while (fgets(line, sizeof line, f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if ((p = strchr(line, '/')) != NULL && strcmp(p, path) == 0 &&
		    sscanf(line, "%*x: %*x %*x %*x %*x %x", &state) == 1 && state == CONNECTED)
			n++;
	}
	fclose(f);
	return n;
}

/* --- sock_diag --- */

static int
diag_ask(void)
{
	struct {
		struct nlmsghdr h;
		struct unix_diag_req r;
	} ask = {
		{ .nlmsg_len = sizeof ask,
		    .nlmsg_type = SOCK_DIAG_BY_FAMILY,
		    .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		{ .sdiag_family = AF_UNIX, .udiag_states = UINT32_MAX, .udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_PEER }
	};
	struct timeval limit = { .tv_sec = 1 };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	if (fd < 0)
		return -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	if (send(fd, &ask, sizeof ask, 0) != (ssize_t)sizeof ask) {
		close(fd);
		return -1;
	}
	return fd;
}

/* One socket: when its name is path, its peer. Attributes: 16-bit length, 16-bit type, value, padded to four bytes. */
static void
diag_socket(struct span body, const char *path, struct inodes *out)
{
	struct span value;
	struct rtattr a;
	uint32_t peer = 0;
	bool named = false;

	if (!span_skip(&body, sizeof(struct unix_diag_msg)))
		return;
	while (body.n >= sizeof a) {
		memcpy(&a, body.p, sizeof a);
		if (a.rta_len < sizeof a || !span_sub(body, sizeof a, a.rta_len - sizeof a, &value))
			return;
		if (a.rta_type == UNIX_DIAG_NAME)
			named = value.n >= strlen(path) && memcmp(value.p, path, strlen(path)) == 0 &&
			    (value.n == strlen(path) || value.p[strlen(path)] == '\0');
		else if (a.rta_type == UNIX_DIAG_PEER && value.n == sizeof peer)
			memcpy(&peer, value.p, sizeof peer);
		if (!span_skip(&body, RTA_ALIGN(a.rta_len)))
			break;
	}
	if (named && peer != 0 && out->n < INODES_MAX)
		out->v[out->n++] = peer;
}

/* One datagram of the dump; false at its end. */
static bool
diag_part(struct span part, const char *path, struct inodes *out)
{
	struct nlmsghdr h;
	struct span body;

	while (part.n >= sizeof h) {
		memcpy(&h, part.p, sizeof h);
		if (h.nlmsg_type != SOCK_DIAG_BY_FAMILY || h.nlmsg_len < sizeof h ||
		    !span_sub(part, sizeof h, h.nlmsg_len - sizeof h, &body))
			return false;
		diag_socket(body, path, out);
		if (!span_skip(&part, NLMSG_ALIGN(h.nlmsg_len)))
			break;
	}
	return true;
}

static void
peers(const char *path, struct inodes *out)
{
	uint8_t part[16384];
	int fd = diag_ask();
	ssize_t n;

	*out = (struct inodes){ .n = 0 };
	if (fd < 0)
		return;
	while ((n = recv(fd, part, sizeof part, 0)) > 0 && diag_part(span_of(part, (size_t)n), path, out))
		;
	close(fd);
}

/* --- /proc/PID --- */

/* Does this process have a descriptor of one of these sockets? Marks them. */
static bool
process_has(const char *pid, struct inodes *in)
{
	char path[320], link[64];
	bool found = false;
	struct dirent *e;
	unsigned long inode;
	ssize_t n;
	DIR *d;

	snprintf(path, sizeof path, "/proc/%s/fd", pid);
	if ((d = opendir(path)) == NULL)
		return false;
	while ((e = readdir(d)) != NULL) {
		n = readlinkat(dirfd(d), e->d_name, link, sizeof link - 1);
		link[n > 0 ? n : 0] = '\0';
		if (sscanf(link, "socket:[%lu]", &inode) != 1)
			continue;
		for (size_t i = 0; i < in->n; i++)
			if (in->v[i] == inode)
				found = in->seen[i] = true;
	}
	closedir(d);
	return found;
}

static void
process_name(const char *pid, char out[PROC_NAME_MAX])
{
	char path[320], name[PROC_NAME_MAX] = "";
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "/proc/%s/comm", pid);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) >= 0) {
		n = read(fd, name, sizeof name - 1);
		name[n > 0 ? n : 0] = '\0';
		close(fd);
	}
	name[strcspn(name, "\n")] = '\0';
	text_safe(span_str(name[0] != '\0' ? name : "a program"), out, PROC_NAME_MAX);
}

void
proc_clients(const char *path, struct proc_clients *out)
{
	struct inodes in;
	struct dirent *e;
	long pid;
	DIR *d;

	*out = (struct proc_clients){ .n = 0 };
	peers(path, &in);
	if (in.n == 0 || (d = opendir("/proc")) == NULL)
		return;
	while ((e = readdir(d)) != NULL) {
		if ((pid = strtol(e->d_name, NULL, 10)) <= 0 || !process_has(e->d_name, &in) || pid == getpid())
			continue;
		if (out->n == PROC_WHO_MAX) {
			out->hidden++;
			continue;
		}
		out->who[out->n].pid = (pid_t)pid;
		process_name(e->d_name, out->who[out->n++].name);
	}
	closedir(d);
	for (size_t i = 0; i < in.n; i++)
		out->hidden += !in.seen[i];
}

char *
proc_clients_text(const struct proc_clients *c, char *out, size_t cap)
{
	size_t n = 0;
	int k;

	out[0] = '\0';
	for (size_t i = 0; i < c->n && n < cap; i++) {
		k = snprintf(out + n, cap - n, "%s%s (pid %ld)",
		    i > 0		       ? ", "
			: c->n + c->hidden > 1 ? "one of "
					       : "",
		    c->who[i].name, (long)c->who[i].pid);
		n += k > 0 ? (size_t)k : 0;
	}
	if (c->hidden > 0 && n < cap)
		snprintf(out + n, cap - n, "%sa program of another user", c->n > 0 ? ", " : "");
	return out;
}

const struct proc_remedy *
proc_clients_remedy(const struct proc_clients *c)
{
	static const struct proc_remedy known[] = {
		{ "scdaemon", "'gpgconf --kill scdaemon' releases it; 'pcsc-shared' in scdaemon.conf keeps it shared",
		    "gpgconf --kill scdaemon" },
		{ "pivy-agent", "wait for it, or stop pivy-agent", NULL },
		{ "authenticator", "close Yubico Authenticator", NULL },
		{ "ykman", "wait for ykman to end", NULL },
	};

	for (size_t k = 0; k < sizeof known / sizeof known[0]; k++)
		for (size_t i = 0; i < c->n; i++)
			if (strcmp(c->who[i].name, known[k].name) == 0)
				return &known[k];
	return NULL;
}
