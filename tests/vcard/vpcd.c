/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The vpcd door: the card as vsmartcard's virtual reader sees it. vpcd listens, the card connects. Every message is
 * a big-endian 16-bit length and that many bytes; one byte from the reader is a control (00 power off, 01 power on,
 * 02 reset, 04 ATR wanted), anything longer a command APDU, and its answer the response APDU. A closed connection
 * is a removed card.
 *
 * vpcd writes length and payload separately under Nagle's algorithm: without TCP_QUICKACK, which the kernel forgets
 * and so is set again before each read, and TCP_NODELAY every APDU would cost 40 ms.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/vcard/door.h"

enum { POWER_OFF = 0, POWER_ON = 1, RESET = 2, GET_ATR = 4 };

#define RETRY_MS 100

struct door {
	struct vcard *vc;
	const struct vc_door *conf;
	int reader, control; /* file descriptors, -1 when closed */
	bool powered;
	int64_t back_at; /* when a pulled card comes back, in ms; -1 never by itself */
};

static volatile sig_atomic_t stop;

static void
on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void
quick(int fd)
{
	int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof one);
}

static int
reader_connect(const struct vc_door *conf)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list, *a;
	int fd = -1;

	if (getaddrinfo(conf->host, conf->port, &hints, &list) != 0)
		return -1;
	for (a = list; a && fd < 0; a = a->ai_next) {
		fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
		if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
			close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(list);
	if (fd >= 0)
		quick(fd);
	return fd;
}

static bool
read_all(int fd, uint8_t *p, size_t n)
{
	while (n) {
		ssize_t r;

		quick(fd);
		r = read(fd, p, n);
		if (r < 0 && errno == EINTR && !stop)
			continue;
		if (r <= 0)
			return false;
		p += r;
		n -= (size_t)r;
	}
	return true;
}

static bool
send_message(int fd, const uint8_t *p, size_t n)
{
	uint8_t msg[2 + 65535];
	size_t at = 0, all = n + 2;

	if (n > 65535)
		return false;
	msg[0] = (uint8_t)(n >> 8);
	msg[1] = (uint8_t)n;
	memcpy(msg + 2, p, n);
	while (at < all) {
		ssize_t w = send(fd, msg + at, all - at, MSG_NOSIGNAL);

		if (w < 0 && errno == EINTR && !stop)
			continue;
		if (w <= 0)
			return false;
		at += (size_t)w;
	}
	return true;
}

static void
disconnect(struct door *d)
{
	if (d->reader >= 0)
		close(d->reader);
	d->reader = -1;
	d->powered = false;
}

/* The card was pulled by a fault or by the control socket. */
static void
pulled(struct door *d)
{
	int absence = vcard_absence(d->vc);

	disconnect(d);
	d->back_at = absence < 0 ? -1 : now_ms() + absence;
}

static bool
control_byte(struct door *d, uint8_t what)
{
	uint8_t atr[33];

	switch (what) {
	case POWER_OFF: d->powered = false; return true;
	case POWER_ON:
	case RESET:
		vcard_reset(d->vc);
		d->powered = true;
		return true;
	case GET_ATR: return send_message(d->reader, atr, vcard_atr(d->vc, atr, sizeof atr));
	default: return true;
	}
}

/* What the command and its answer take on the wire of a contact reader: 3 ms, and 11.5 bytes a ms. */
static void
wire(size_t bytes)
{
	long us = 3000 + (long)bytes * 1000 * 2 / 23;
	struct timespec t = { us / 1000000, us % 1000000 * 1000 };

	while (nanosleep(&t, &t) != 0 && errno == EINTR && !stop)
		;
}

static bool
command(struct door *d, const uint8_t *cmd, size_t n)
{
	uint8_t *rsp = malloc(VCARD_RESPONSE_MAX);
	char why[VCARD_WHY];
	size_t out = rsp ? vcard_transmit(d->vc, cmd, n, rsp, VCARD_RESPONSE_MAX) : 0;
	bool ok = true;

	if (d->conf->wire)
		wire(n + out);

	if (d->conf->save && vcard_dirty(d->vc) && !vcard_save(d->vc, d->conf->image, why))
		fprintf(stderr, "dpiv-vcard: %s\n", why);
	if (!vcard_present(d->vc))
		pulled(d);
	else
		ok = rsp && send_message(d->reader, rsp, out);
	free(rsp);
	return ok;
}

static bool
message(struct door *d)
{
	uint8_t head[2], *body;
	size_t n;
	bool ok;

	if (!read_all(d->reader, head, 2))
		return false;
	n = (size_t)head[0] << 8 | head[1];
	body = malloc(n + 1);
	ok = body && read_all(d->reader, body, n);
	if (ok && n == 1)
		ok = control_byte(d, body[0]);
	else if (ok && n > 1)
		ok = command(d, body, n);
	free(body);
	return ok;
}

static void
control(struct door *d)
{
	switch (vc_control_answer(d->control, d->vc, d->powered)) {
	case CONTROL_INSERT: d->back_at = -1; break;
	case CONTROL_REMOVE: pulled(d); break;
	case CONTROL_NONE: break;
	}
}

/* One round: wait for the reader or the control socket, or until it is time to connect again. */
static void
turn(struct door *d)
{
	struct pollfd p[2] = { { d->reader, POLLIN, 0 }, { d->control, POLLIN, 0 } };

	if (!vcard_present(d->vc) && d->back_at >= 0 && now_ms() >= d->back_at) {
		vcard_insert(d->vc);
		d->back_at = -1;
	}
	if (d->reader < 0 && vcard_present(d->vc))
		p[0].fd = d->reader = reader_connect(d->conf);
	if (poll(p, 2, d->reader < 0 ? RETRY_MS : -1) <= 0)
		return;
	if (p[1].revents)
		control(d);
	if (p[0].revents && d->reader == p[0].fd && !message(d))
		disconnect(d);
}

int
vc_door_serve(struct vcard *vc, const struct vc_door *conf)
{
	struct door d = { .vc = vc, .conf = conf, .reader = -1, .control = -1, .back_at = -1 };
	struct sigaction sa = { .sa_handler = on_signal };

	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	if (conf->control && (d.control = vc_control_listen(conf->control)) < 0) {
		fprintf(stderr, "dpiv-vcard: %s: %s\n", conf->control, strerror(errno));
		return 1;
	}
	while (!stop)
		turn(&d);
	disconnect(&d);
	if (d.control >= 0) {
		close(d.control);
		unlink(conf->control);
	}
	return 0;
}
