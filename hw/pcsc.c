/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Readers behind PC/SC (PC/SC workgroup part 5; pcsc-lite). The one file that includes winscard.h.
 *
 * - Every connection has a context of its own: libpcsclite serialises calls on one context, and a touch that one
 *   reader waits for must not hold up another reader.
 * - codes[] says once what a PC/SC code means: what to do about it, which error it is, what the human should do.
 * - A connection survives a reset (SCardReconnect), a card that was out, and a service that was restarted (both:
 *   connect anew); begin() tells by *reset that the card lost its state. Within a transaction only a reset is mended;
 *   anything else ends in an error, and the next begin() starts over.
 * - SCardBeginTransaction() waits without limit while another program holds the card, asking every 100 ms. So begin()
 *   first asks, with a limit, whether the card is free, by a call that the service refuses to all but the holder; and a
 *   process that works without pause leaves a gap now and then, for others would find no moment between two of its
 *   transactions.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <winscard.h>
#include <reader.h> /* PC/SC's attribute names */

#include "base/log.h"
#include "hw/reader.h"

#define PNP		 "\\\\?PnP?\\Notification"
#define BEGIN_LIMIT_MS	 20000 /* another program may wait for a touch (15 s) */
#define CONNECT_LIMIT_MS 3000
#define POLL_MS		 5    /* asking for a card that is held */
#define CONFIRM_MS	 1    /* asking whether it is really free */
#define NEIGHBOUR_MS	 3000 /* so long another program counts as busy with the card */
#define NO_SERVICE_MS	 1000 /* asking for a service that is not there */
#define CANCEL_LIMIT_MS	 2000
#define PAUSE_MS	 20  /* so long between two transactions: others had their chance */
#define SHORT_GAP_EACH	 400 /* for those who ask every POLL_MS, as we do */
#define SHORT_GAP_MS	 12
#define LONG_GAP_EACH	 3000 /* for those who leave it to SCardBeginTransaction() */
#define LONG_GAP_MS	 110

struct pcsc {
	pthread_mutex_t lock;
	pthread_cond_t done; /* a wait() ended, or cancel() was called */
	SCARDCONTEXT context;
	bool have, waiting, canceled;
};

struct conn {
	SCARDCONTEXT context;
	SCARDHANDLE card;
	bool have, connected; /* context, card */
	bool broken;	      /* must be connected anew */
	bool held;	      /* the transaction */
	DWORD protocol;
	char name[READER_NAME_MAX];
	uint8_t atr[ATR_MAX];
	size_t atr_len;
	int64_t ended, short_gap, long_gap; /* when */
	int64_t neighbour;		    /* when another program was last seen to hold the card */
};

/* --- what PC/SC's codes mean --- */

enum meaning { FINE, RESET, REMOVED, SERVICE, HELD, UNPLUGGED, TROUBLE };

#define HINT_SERVICE "the smart card service is not running; start it (systemctl start pcscd.socket, or pcscd as root)"

static const struct {
	LONG rv;
	enum meaning meaning;
	enum err err;
	const char *text;
} codes[] = {
	{ SCARD_S_SUCCESS, FINE, E_OK, "success" },
	{ SCARD_W_RESET_CARD, RESET, E_IO, "another program reset the card; try again" },
	{ SCARD_W_REMOVED_CARD, REMOVED, E_CARDGONE, "the card was removed; put it back and try again" },
	{ SCARD_E_NO_SMARTCARD, REMOVED, E_CARDGONE, "there is no card in the reader; insert it and try again" },
	{ SCARD_E_READER_UNAVAILABLE, UNPLUGGED, E_CARDGONE, "the reader was unplugged; plug it in and try again" },
	{ SCARD_E_UNKNOWN_READER, UNPLUGGED, E_CARDGONE, "the reader is not connected; plug it in and try again" },
	{ SCARD_E_NO_READERS_AVAILABLE, UNPLUGGED, E_CARDGONE, "no reader is connected; plug it in and try again" },
	{ SCARD_E_NO_SERVICE, SERVICE, E_NOREADER, HINT_SERVICE },
	{ SCARD_E_SERVICE_STOPPED, SERVICE, E_NOREADER, HINT_SERVICE },
	{ SCARD_F_COMM_ERROR, SERVICE, E_NOREADER, "the smart card service broke off; try again" },
	{ SCARD_E_INVALID_HANDLE, SERVICE, E_IO, "the smart card service was restarted; try again" },
	{ SCARD_E_SHARING_VIOLATION, HELD, E_BUSY, "another program holds the card; close it or wait for it" },
	{ SCARD_E_NO_ACCESS, TROUBLE, E_NOREADER, "the smart card service does not let this user in (see polkit)" },
	{ SCARD_W_SECURITY_VIOLATION, TROUBLE, E_NOREADER,
	    "the smart card service does not let this user in (see polkit)" },
	{ SCARD_W_UNRESPONSIVE_CARD, TROUBLE, E_IO, "the card does not answer; is it in the right way round?" },
	{ SCARD_W_UNPOWERED_CARD, TROUBLE, E_IO, "the card has no power; take it out and put it back" },
	{ SCARD_W_UNSUPPORTED_CARD, TROUBLE, E_IO, "the reader cannot talk to this card" },
	{ SCARD_E_PROTO_MISMATCH, TROUBLE, E_IO, "the reader cannot talk to this card" },
	{ SCARD_E_NO_MEMORY, TROUBLE, E_NOMEM, "out of memory" },
	{ SCARD_E_TIMEOUT, TROUBLE, E_IO, "the card did not answer in time" },
	{ SCARD_E_NOT_TRANSACTED, TROUBLE, E_IO, "the card did not answer; take it out and put it back" },
	{ SCARD_E_INSUFFICIENT_BUFFER, TROUBLE, E_PROTO, "the card's answer is longer than allowed" },
};

static size_t
code_row(LONG rv)
{
	size_t i, n = sizeof codes / sizeof codes[0];

	for (i = 0; i < n && (uint32_t)codes[i].rv != (uint32_t)rv; i++)
		;
	return i;
}

static enum meaning
meaning(LONG rv)
{
	size_t i = code_row(rv);

	return i < sizeof codes / sizeof codes[0] ? codes[i].meaning : TROUBLE;
}

static enum err
failed(const char *reader, LONG rv)
{
	size_t i = code_row(rv);

	if (i == sizeof codes / sizeof codes[0])
		return err_set(E_IO, "%s: reader trouble (PC/SC code %08X)", reader, (unsigned)rv);
	return err_set(codes[i].err, "%s: %s", reader, codes[i].text);
}

/* --- time --- */

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void
nap(int ms)
{
	struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };

	while (nanosleep(&t, &t) != 0 && errno == EINTR)
		;
}

static void
cond_nap(struct pcsc *p, int ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec += (long)(ms % 1000) * 1000000;
	t.tv_sec += ms / 1000 + t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	(void)pthread_cond_timedwait(&p->done, &p->lock, &t);
}

/* --- the list --- */

static void
context_drop(struct pcsc *p)
{
	if (p->have)
		SCardReleaseContext(p->context);
	p->have = false;
}

static LONG
context_need(struct pcsc *p)
{
	LONG rv;

	if (p->have)
		return SCARD_S_SUCCESS;
	rv = SCardEstablishContext(SCARD_SCOPE_SYSTEM, NULL, NULL, &p->context);
	p->have = rv == SCARD_S_SUCCESS;
	return rv;
}

/* A multi-string of at most n bytes into names; what cannot be a reader's name is left out. */
static void
split_names(const char *multi, size_t n, struct reader_list *out)
{
	struct span rest = span_of(multi, n), name;

	memset(out, 0, sizeof *out);
	while (rest.n > 0 && rest.p[0] != '\0' && out->n < READER_MAX) {
		const uint8_t *end = memchr(rest.p, '\0', rest.n);

		if (end == NULL || !span_take(&rest, (size_t)(end - rest.p), &name) || !span_skip(&rest, 1))
			return;
		if (name.n >= READER_NAME_MAX) {
			log_warn("pcsc", "event=name-too-long bytes=%zu", name.n);
			continue;
		}
		memcpy(out->r[out->n++].name, name.p, name.n);
	}
}

static LONG
names(struct pcsc *p, struct reader_list *out)
{
	char multi[READER_MAX * READER_NAME_MAX + 2] = "";
	DWORD n = sizeof multi;
	LONG rv = SCardListReaders(p->context, NULL, multi, &n);

	memset(out, 0, sizeof *out);
	if (rv == SCARD_E_NO_READERS_AVAILABLE)
		return SCARD_S_SUCCESS;
	if (rv == SCARD_S_SUCCESS)
		split_names(multi, n < sizeof multi ? n : sizeof multi, out);
	return rv;
}

/* Names and states; states[] can be handed to SCardGetStatusChange() to wait for something else. */
static LONG
snapshot_once(struct pcsc *p, struct reader_list *out, SCARD_READERSTATE states[])
{
	LONG rv;
	size_t i;

	if ((rv = context_need(p)) != SCARD_S_SUCCESS || (rv = names(p, out)) != SCARD_S_SUCCESS || out->n == 0)
		return rv;
	for (i = 0; i < out->n; i++)
		states[i] = (SCARD_READERSTATE){ .szReader = out->r[i].name };
	rv = SCardGetStatusChange(p->context, 0, states, (DWORD)out->n);
	if (rv != SCARD_S_SUCCESS && rv != SCARD_E_TIMEOUT)
		return rv;
	for (i = 0; i < out->n; i++) {
		out->r[i].present = states[i].dwEventState & SCARD_STATE_PRESENT;
		out->r[i].event = (uint32_t)(states[i].dwEventState >> 16);
		states[i].dwCurrentState = states[i].dwEventState & ~(DWORD)SCARD_STATE_CHANGED;
	}
	return SCARD_S_SUCCESS;
}

/* Again when the service was restarted since the last call, or a reader vanished between its name and its state. */
static LONG
snapshot(struct pcsc *p, struct reader_list *out, SCARD_READERSTATE states[])
{
	LONG rv = SCARD_S_SUCCESS;
	int i;

	for (i = 0; i < 3; i++) {
		rv = snapshot_once(p, out, states);
		if (meaning(rv) == SERVICE)
			context_drop(p);
		else if (meaning(rv) != UNPLUGGED)
			break;
	}
	if (rv != SCARD_S_SUCCESS)
		memset(out, 0, sizeof *out);
	return rv;
}

static enum err
pcsc_list(void *ctx, struct reader_list *out)
{
	SCARD_READERSTATE states[READER_MAX];
	struct pcsc *p = ctx;
	LONG rv;

	pthread_mutex_lock(&p->lock);
	rv = snapshot(p, out, states);
	pthread_mutex_unlock(&p->lock);
	return rv == SCARD_S_SUCCESS ? E_OK : failed("readers", rv);
}

/* --- waiting for a change --- */

static bool
same_list(const struct reader_list *a, const struct reader_list *b)
{
	size_t i;

	if (a->n != b->n)
		return false;
	for (i = 0; i < a->n; i++)
		if (strcmp(a->r[i].name, b->r[i].name) != 0 || a->r[i].present != b->r[i].present ||
		    a->r[i].event != b->r[i].event)
			return false;
	return true;
}

/* Until the service reports anything, or ms passed; ctx->lock is released meanwhile. */
static void
block(struct pcsc *p, SCARD_READERSTATE states[], size_t n, int ms)
{
	SCARDCONTEXT context = p->context;
	LONG rv;

	/* New readers; the high word is the number of readers known. */
	states[n] = (SCARD_READERSTATE){ .szReader = PNP, .dwCurrentState = (DWORD)n << 16 };
	p->waiting = true;
	pthread_mutex_unlock(&p->lock);
	rv = SCardGetStatusChange(context, ms < 0 ? INFINITE : (DWORD)ms, states, (DWORD)(n + 1));
	pthread_mutex_lock(&p->lock);
	p->waiting = false;
	pthread_cond_broadcast(&p->done);
	if (meaning(rv) == SERVICE)
		context_drop(p);
	else if (rv != SCARD_S_SUCCESS && rv != SCARD_E_TIMEOUT && rv != SCARD_E_CANCELLED)
		cond_nap(p, NO_SERVICE_MS); /* no busy loop on a code that nobody expects */
}

static enum err
pcsc_wait(void *ctx, const struct reader_list *known, int timeout_ms)
{
	SCARD_READERSTATE states[READER_MAX + 1];
	int64_t end = now_ms() + timeout_ms;
	struct reader_list now;
	struct pcsc *p = ctx;
	enum err e = E_BUSY;
	int left = -1;
	LONG rv;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		rv = snapshot(p, &now, states); /* no service: no readers */
		if (p->canceled) {
			e = E_CANCELED;
			break;
		}
		if (!same_list(known, &now)) {
			e = E_OK;
			break;
		}
		if (timeout_ms >= 0 && (left = (int)(end - now_ms())) <= 0)
			break;
		if (rv == SCARD_S_SUCCESS)
			block(p, states, now.n, left);
		else
			cond_nap(p, left >= 0 && left < NO_SERVICE_MS ? left : NO_SERVICE_MS);
	}
	p->canceled = false;
	pthread_mutex_unlock(&p->lock);
	return e;
}

/* SCardCancel() does nothing for a wait that is only just about to begin: repeat until it has ended. */
static void
pcsc_cancel(void *ctx)
{
	struct pcsc *p = ctx;
	int64_t end = now_ms() + CANCEL_LIMIT_MS;

	pthread_mutex_lock(&p->lock);
	p->canceled = true;
	pthread_cond_broadcast(&p->done);
	while (p->waiting && now_ms() < end) {
		SCardCancel(p->context);
		cond_nap(p, POLL_MS);
	}
	pthread_mutex_unlock(&p->lock);
}

/* --- connections --- */

static void
conn_drop(struct conn *c)
{
	if (c->connected)
		SCardDisconnect(c->card, SCARD_LEAVE_CARD);
	if (c->have)
		SCardReleaseContext(c->context);
	c->have = c->connected = c->held = false;
}

static void
conn_status(struct conn *c)
{
	char name[READER_NAME_MAX + 1];
	DWORD state, protocol, name_len = sizeof name, atr_len = sizeof c->atr;

	c->atr_len = 0;
	if (SCardStatus(c->card, name, &name_len, &state, &protocol, c->atr, &atr_len) == SCARD_S_SUCCESS)
		c->atr_len = atr_len <= sizeof c->atr ? atr_len : 0;
}

/* Context and card, from nothing. */
static LONG
conn_make(struct conn *c)
{
	int64_t end = now_ms() + CONNECT_LIMIT_MS;
	LONG rv;

	conn_drop(c);
	rv = SCardEstablishContext(SCARD_SCOPE_SYSTEM, NULL, NULL, &c->context);
	c->have = rv == SCARD_S_SUCCESS;
	while (rv == SCARD_S_SUCCESS) {
		rv = SCardConnect(c->context, c->name, SCARD_SHARE_SHARED, SCARD_PROTOCOL_T0 | SCARD_PROTOCOL_T1,
		    &c->card, &c->protocol);
		if (meaning(rv) != HELD || now_ms() >= end)
			break;
		nap(10 * POLL_MS);
		rv = SCARD_S_SUCCESS;
	}
	if (rv == SCARD_S_SUCCESS) {
		c->connected = true;
		c->broken = false;
		conn_status(c);
	} else {
		conn_drop(c);
	}
	return rv;
}

static enum err
pcsc_connect(void *ctx, const char *name, void **out)
{
	struct conn *c;
	LONG rv;

	(void)ctx;
	*out = NULL;
	if ((c = calloc(1, sizeof *c)) == NULL)
		return err_set(E_NOMEM, "%s: out of memory", name);
	c->neighbour = -NEIGHBOUR_MS - 1;
	snprintf(c->name, sizeof c->name, "%s", name);
	rv = conn_make(c);
	if (rv == SCARD_S_SUCCESS) {
		*out = c;
		return E_OK;
	}
	free(c);
	if (meaning(rv) == REMOVED)
		return err_set(E_NOCARD, "%s: no card in the reader; insert it and try again", name);
	if (meaning(rv) == UNPLUGGED)
		return err_set(E_NOREADER, "%s: the reader is not connected; plug it in and try again", name);
	return failed(name, rv);
}

static void
pcsc_disconnect(void *conn)
{
	struct conn *c = conn;

	conn_drop(c);
	free(c);
}

static void
pcsc_drop(void *conn)
{
	free(conn);
}

static struct span
pcsc_atr(void *conn)
{
	const struct conn *c = conn;

	return span_of(c->atr, c->atr_len);
}

/* Back to a usable connection after rv; *reset when that worked. */
static LONG
conn_mend(struct conn *c, LONG rv, bool *reset)
{
	enum meaning m = meaning(rv);
	DWORD both = SCARD_PROTOCOL_T0 | SCARD_PROTOCOL_T1;

	if (m == RESET)
		rv = SCardReconnect(c->card, SCARD_SHARE_SHARED, both, SCARD_LEAVE_CARD, &c->protocol);
	else if (m == REMOVED || m == SERVICE || m == UNPLUGGED)
		rv = conn_make(c);
	else
		return rv;
	if (rv == SCARD_S_SUCCESS) {
		*reset = true;
		conn_status(c);
	}
	return rv;
}

/* --- transactions --- */

/* Others find no moment between two transactions of a process that never pauses: leave one. */
static void
give_way(struct conn *c)
{
	int64_t now = now_ms();

	if (now - c->ended >= PAUSE_MS) {
		c->short_gap = c->long_gap = now;
	} else if (now - c->long_gap >= LONG_GAP_EACH) {
		nap(LONG_GAP_MS);
		c->short_gap = c->long_gap = now_ms();
	} else if (now - c->short_gap >= SHORT_GAP_EACH) {
		nap(SHORT_GAP_MS);
		c->short_gap = now_ms();
	}
}

/*
 * Wait until nobody else holds the card. The service answers this question to the holder, or when there is none; what
 * the answer is, does not matter. Where others were seen lately the card must be free twice in a row: a busy neighbour
 * is between two transactions for microseconds, and whoever then asks for the card in vain waits for 100 ms.
 */
static LONG
wait_free(struct conn *c, int64_t end)
{
	int64_t start = now_ms();
	bool free_once = start - c->neighbour > NEIGHBOUR_MS || start - c->ended < POLL_MS; /* or in our own run */
	uint8_t atr[ATR_MAX];
	DWORD n;
	LONG rv;

	for (;;) {
		n = sizeof atr;
		rv = SCardGetAttrib(c->card, SCARD_ATTR_ATR_STRING, atr, &n);
		if (meaning(rv) != HELD && free_once)
			return SCARD_S_SUCCESS;
		free_once = meaning(rv) != HELD;
		if (!free_once) {
			c->neighbour = now_ms();
			if (c->neighbour >= end)
				return rv;
		}
		nap(free_once ? CONFIRM_MS : POLL_MS);
	}
}

static enum err
pcsc_begin(void *conn, bool *reset)
{
	struct conn *c = conn;
	int64_t end = now_ms() + BEGIN_LIMIT_MS;
	LONG rv = SCARD_S_SUCCESS;
	int i;

	*reset = false;
	give_way(c);
	for (i = 0; i < 3; i++) {
		if (c->broken || !c->connected)
			rv = conn_mend(c, SCARD_E_INVALID_HANDLE, reset);
		if (rv == SCARD_S_SUCCESS && (rv = wait_free(c, end)) == SCARD_S_SUCCESS)
			rv = SCardBeginTransaction(c->card);
		if (rv == SCARD_S_SUCCESS) {
			c->held = true;
			return E_OK;
		}
		if ((rv = conn_mend(c, rv, reset)) != SCARD_S_SUCCESS)
			break;
	}
	if (rv == SCARD_S_SUCCESS)
		return err_set(E_IO, "%s: the card is reset over and over", c->name);
	c->broken = c->broken || meaning(rv) != HELD;
	return failed(c->name, rv);
}

static void
pcsc_end(void *conn, bool reset_card)
{
	struct conn *c = conn;

	if (c->held && c->connected)
		SCardEndTransaction(c->card, reset_card ? SCARD_RESET_CARD : SCARD_LEAVE_CARD);
	c->held = false;
	c->ended = now_ms();
}

/* --- commands --- */

/* T=0 has no Le behind data, and always a fifth byte (ISO/IEC 7816-3, 12.2). */
static void
shape_t0(struct span cmd, struct wbuf *out)
{
	wbuf_span(out, cmd);
	if (cmd.n == 4)
		wbuf_u8(out, 0);
	else if (cmd.n > 5 && cmd.p[4] != 0 && cmd.n == (size_t)6 + cmd.p[4])
		wbuf_cut(out, cmd.n - 1);
}

static LONG
send(struct conn *c, struct span cmd, struct wbuf *rsp)
{
	DWORD n = (DWORD)(rsp->max - rsp->n);
	size_t before = rsp->n;
	uint8_t *room = wbuf_room(rsp, n);
	LONG rv;

	if (room == NULL)
		return SCARD_E_NO_MEMORY;
	rv = SCardTransmit(c->card, c->protocol == SCARD_PROTOCOL_T0 ? SCARD_PCI_T0 : SCARD_PCI_T1, cmd.p, (DWORD)cmd.n,
	    NULL, room, &n);
	wbuf_cut(rsp, before + (rv == SCARD_S_SUCCESS ? n : 0));
	return rv;
}

static enum err
pcsc_transmit(void *conn, struct span cmd, struct wbuf *rsp, bool *reset)
{
	struct conn *c = conn;
	WBUF_AUTO shaped;
	LONG rv;

	*reset = false;
	wbuf_init(&shaped, cmd.n + 1);
	if (!c->held || c->broken)
		return err_set(E_IO, "%s: the connection to the card was lost; try again", c->name);
	if (c->protocol == SCARD_PROTOCOL_T0) {
		shape_t0(cmd, &shaped);
		cmd = wbuf_view(&shaped);
	}
	if ((rv = send(c, cmd, rsp)) == SCARD_S_SUCCESS)
		return E_OK;
	if (meaning(rv) == RESET && conn_mend(c, rv, reset) == SCARD_S_SUCCESS)
		return failed(c->name, rv);
	c->broken = true; /* whether the card got the command, nobody knows: connect anew */
	return failed(c->name, rv);
}

/* --- opening --- */

static const struct reader_ops ops = { pcsc_list, pcsc_wait, pcsc_cancel, pcsc_connect, pcsc_disconnect, pcsc_begin,
	pcsc_end, pcsc_transmit, pcsc_atr, pcsc_drop };

enum err
pcsc_open(struct readers *out)
{
	struct pcsc *p = calloc(1, sizeof *p);
	pthread_condattr_t attr;

	*out = (struct readers){ 0 };
	if (p == NULL)
		return err_set(E_NOMEM, "out of memory");
	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&p->done, &attr);
	pthread_condattr_destroy(&attr);
	*out = (struct readers){ &ops, p };
	return E_OK;
}

void
pcsc_close(struct readers *r)
{
	struct pcsc *p = r->ctx;

	if (p != NULL) {
		context_drop(p);
		pthread_cond_destroy(&p->done);
		pthread_mutex_destroy(&p->lock);
		free(p);
	}
	*r = (struct readers){ 0 };
}

void
pcsc_forget(struct readers *r)
{
	free(r->ctx); /* the lock may be held by a thread that the child does not have */
	*r = (struct readers){ 0 };
}
