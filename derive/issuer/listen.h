/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_LISTEN_H
#define DPIV_ISSUER_LISTEN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/*
 * Listening sockets: not blocking, close on exec. A service manager may have opened them and keeps them open while the
 * service is restarted (systemd.socket; sd_listen_fds(3) tells the protocol), so that a client which comes in between
 * waits instead of being refused.
 */

/* The socket that the service manager calls so, else a new one on a numeric address and port, like 127.0.0.1:8443 or
 * [::1]:8443 (port 0: any), or, where it begins with a slash, on a local socket with mode 0660. */
enum err listen_open(const char *name, const char *address, int *fd) MUST_CHECK;
/* HOST:PORT or the path that it is. */
enum err listen_name(int fd, char *out, size_t cap) MUST_CHECK;
/* Could it be listened on, or does somebody already (a service, or the service manager)? Neither: E_NET, E_CONF. */
enum err listen_probe(const char *address, bool *answers) MUST_CHECK;

#endif
