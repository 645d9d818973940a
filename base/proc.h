/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_BASE_PROC_H
#define DPIV_BASE_PROC_H

#include <stddef.h>
#include <sys/types.h>

/*
 * Who is connected to a server's Unix socket, as the kernel tells it (/proc, sock_diag(7)): pcscd does not say which of
 * its clients holds a card. Best effort: of other users' processes only their number is seen. Names are made safe to
 * show.
 */
#define PROC_WHO_MAX  8
#define PROC_NAME_MAX 32

struct proc_who {
	pid_t pid;
	char name[PROC_NAME_MAX];
};

struct proc_clients {
	size_t n; /* processes in who[], this one not among them */
	struct proc_who who[PROC_WHO_MAX];
	size_t hidden; /* connections of processes that could not be seen, or did not fit */
};

/* The socket on which pcscd listens: libpcsclite's own, or PCSCLITE_CSOCK_NAME. */
const char *proc_pcscd_socket(void);
/* How many connections there are to the server at this path; -1 when that cannot be told. Cheap. */
int proc_connections(const char *path);
/* The processes at the other end. */
void proc_clients(const char *path, struct proc_clients *out);
/* "scdaemon (pid 6790)", "one of firefox (pid 12), scdaemon (pid 6790)"; "" when nobody is known. Returns out. */
char *proc_clients_text(const struct proc_clients *c, char *out, size_t cap);
/* What to do about one of them, when a program is among them that is known for holding cards; or NULL. */
struct proc_remedy {
	const char *name, *hint, *command; /* command: NULL, none */
};
const struct proc_remedy *proc_clients_remedy(const struct proc_clients *c);

#endif
