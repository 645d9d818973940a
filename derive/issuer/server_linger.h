/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_SERVER_LINGER_H
#define DPIV_ISSUER_SERVER_LINGER_H

struct event_base;
struct lingerer;

/*
 * Sockets that are only read from any more, until the other side hangs up: two seconds, 64 KiB and 64 sockets at most.
 *
 * Whoever closes a socket with unread bytes resets the connection (RFC 1122, 4.2.2.13), and the reset takes away what
 * was sent last. A client of TLS 1.3 has sent its request by the time its handshake is refused: without this, whether
 * it reads the alert that says why is a matter of luck.
 */
/* Keeps the connection of fd open beyond close(fd); nothing is written to it any more. */
void linger_start(struct lingerer **list, struct event_base *base, int fd);
/* Hangs up on all of them. */
void linger_end(struct lingerer **list);

#endif
