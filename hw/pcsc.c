/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Readers behind PC/SC (PC/SC workgroup part 5; pcsc-lite): connections, transactions, commands. See pcsc_int.h for the
 * files beside this one.
 *
 * - Every connection has a context of its own: libpcsclite serialises calls on one context, and a touch that one
 *   reader waits for must not hold up another reader.
 * - A connection survives a reset (SCardReconnect), a card that was out, and a service that was restarted (both:
 *   connect anew); begin() tells by *reset that the card lost its state. Within a transaction only a reset is mended;
 *   anything else ends in an error, and the next begin() starts over.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <reader.h> /* part 10 */

#include "hw/pcsc_int.h"

#define BEGIN_LIMIT_MS	 20000 /* another program may wait for a touch (15 s) */
#define HURRY_MS	 200
#define CONNECT_LIMIT_MS 3000

static _Atomic int contexts;

LONG
pcsc_context_new(SCARDCONTEXT *context)
{
	LONG rv = SCardEstablishContext(SCARD_SCOPE_SYSTEM, NULL, NULL, context);

	contexts += rv == SCARD_S_SUCCESS;
	return rv;
}

void
pcsc_context_free(SCARDCONTEXT context)
{
	SCardReleaseContext(context);
	contexts--;
}

int
pcsc_contexts(void)
{
	return contexts;
}

static enum err
conn_failed(const char *reader, LONG rv)
{
	return pcsc_meaning(rv) == PCSC_HELD ? pcsc_holder(reader) : pcsc_failed(reader, rv);
}

/* --- connections --- */

static void
conn_drop(struct pcsc_conn *c)
{
	if (c->connected)
		SCardDisconnect(c->card, SCARD_LEAVE_CARD);
	if (c->have)
		pcsc_context_free(c->context);
	c->have = c->connected = c->held = false;
}

/* The ATR. SCardStatus() would wait without limit for another program's transaction to end. */
static void
conn_status(struct pcsc_conn *c)
{
	SCARD_READERSTATE s = { .szReader = c->name };
	LONG rv = SCardGetStatusChange(c->context, 0, &s, 1);

	c->atr_len = 0;
	if ((rv == SCARD_S_SUCCESS || rv == SCARD_E_TIMEOUT) && s.cbAtr <= sizeof c->atr) {
		memcpy(c->atr, s.rgbAtr, s.cbAtr);
		c->atr_len = s.cbAtr;
	}
}

/*
 * The service lets nobody connect during a transaction, and looks every 100 ms whether there is one; this wait has no
 * limit either, and there is no way to know beforehand. Who stands in line gets the moment that it needs.
 */
static LONG
card_connect(struct pcsc_conn *c)
{
	LONG rv;

	pcsc_line_join(&c->turn);
	rv = SCardConnect(
	    c->context, c->name, SCARD_SHARE_SHARED, SCARD_PROTOCOL_T0 | SCARD_PROTOCOL_T1, &c->card, &c->protocol);
	pcsc_line_leave(&c->turn);
	return rv;
}

/* Context and card, from nothing. */
static LONG
conn_make(struct pcsc_conn *c)
{
	int64_t end = pcsc_now() + CONNECT_LIMIT_MS;
	LONG rv;

	conn_drop(c);
	c->features_known = false;
	rv = pcsc_context_new(&c->context);
	c->have = rv == SCARD_S_SUCCESS;
	while (rv == SCARD_S_SUCCESS) {
		rv = card_connect(c);
		if (pcsc_meaning(rv) != PCSC_HELD || pcsc_now() >= end)
			break;
		pcsc_nap(10 * PCSC_POLL_MS);
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
	struct pcsc_conn *c;
	LONG rv;

	(void)ctx;
	*out = NULL;
	if ((c = calloc(1, sizeof *c)) == NULL)
		return err_set(E_NOMEM, "%s: out of memory", name);
	pcsc_turn_init(&c->turn, name);
	snprintf(c->name, sizeof c->name, "%s", name);
	rv = conn_make(c);
	if (rv == SCARD_S_SUCCESS) {
		*out = c;
		return E_OK;
	}
	pcsc_line_close(&c->turn);
	free(c);
	if (pcsc_meaning(rv) == PCSC_REMOVED)
		return err_set(E_NOCARD, "%s: no card in the reader; insert it and try again", name);
	if (pcsc_meaning(rv) == PCSC_UNPLUGGED)
		return err_set(E_NOREADER, "%s: the reader is not connected; plug it in and try again", name);
	return conn_failed(name, rv);
}

static void
pcsc_disconnect(void *conn)
{
	struct pcsc_conn *c = conn;

	conn_drop(c);
	pcsc_line_close(&c->turn);
	free(c);
}

static void
pcsc_drop(void *conn)
{
	struct pcsc_conn *c = conn;

	contexts -= c->have;
	pcsc_line_close(&c->turn);
	free(c);
}

static struct span
pcsc_atr(void *conn)
{
	const struct pcsc_conn *c = conn;

	return span_of(c->atr, c->atr_len);
}

LONG
pcsc_conn_mend(struct pcsc_conn *c, LONG rv, int64_t end, bool *reset)
{
	enum pcsc_meaning m = pcsc_meaning(rv);
	LONG held;
	DWORD both = SCARD_PROTOCOL_T0 | SCARD_PROTOCOL_T1;

	/* SCardReconnect() waits without limit for another program's transaction to end. */
	if (m == PCSC_RESET && !c->held && (held = pcsc_turn_take(c, end)) != SCARD_S_SUCCESS)
		return held;
	if (m == PCSC_RESET)
		rv = SCardReconnect(c->card, SCARD_SHARE_SHARED, both, SCARD_LEAVE_CARD, &c->protocol);
	else if (m == PCSC_REMOVED || m == PCSC_SERVICE || m == PCSC_UNPLUGGED)
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

static enum err
pcsc_begin(void *conn, bool *reset)
{
	struct pcsc_conn *c = conn;
	int64_t end = pcsc_now() + (c->hurry ? HURRY_MS : BEGIN_LIMIT_MS);
	LONG rv = SCARD_S_SUCCESS;
	int i;

	*reset = false;
	for (i = 0; i < 3; i++) {
		if (c->broken || !c->connected)
			rv = pcsc_conn_mend(c, SCARD_E_INVALID_HANDLE, end, reset);
		if (rv == SCARD_S_SUCCESS && (rv = pcsc_turn_take(c, end)) == SCARD_S_SUCCESS)
			rv = SCardBeginTransaction(c->card);
		if (rv == SCARD_S_SUCCESS) {
			c->held = true;
			return E_OK;
		}
		if ((rv = pcsc_conn_mend(c, rv, end, reset)) != SCARD_S_SUCCESS)
			break;
	}
	pcsc_turn_end(&c->turn);
	if (rv == SCARD_S_SUCCESS)
		return err_set(E_IO, "%s: the card is reset over and over", c->name);
	c->broken = c->broken || pcsc_meaning(rv) != PCSC_HELD;
	return conn_failed(c->name, rv);
}

static void
pcsc_end(void *conn, bool reset_card)
{
	struct pcsc_conn *c = conn;

	if (c->held && c->connected)
		SCardEndTransaction(c->card, reset_card ? SCARD_RESET_CARD : SCARD_LEAVE_CARD);
	c->held = false;
	pcsc_turn_end(&c->turn);
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
send(struct pcsc_conn *c, struct span cmd, struct wbuf *rsp)
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
	struct pcsc_conn *c = conn;
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
	if (pcsc_meaning(rv) == PCSC_RESET && pcsc_conn_mend(c, rv, pcsc_now(), reset) == SCARD_S_SUCCESS)
		return pcsc_failed(c->name, rv);
	c->broken = true; /* whether the card got the command, nobody knows: connect anew */
	return pcsc_failed(c->name, rv);
}

static void
pcsc_hurry(void *conn)
{
	struct pcsc_conn *c = conn;

	c->hurry = true;
}

/* --- opening --- */

static const struct reader_ops ops = { pcsc_list, pcsc_wait, pcsc_cancel, pcsc_connect, pcsc_disconnect, pcsc_begin,
	pcsc_end, pcsc_transmit, pcsc_atr, pcsc_drop, pcsc_max_data, pcsc_features, pcsc_control, pcsc_interrupt,
	pcsc_hurry };

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
		pcsc_context_drop(p);
		pthread_cond_destroy(&p->done);
		pthread_mutex_destroy(&p->lock);
		free(p);
	}
	*r = (struct readers){ 0 };
}

void
pcsc_forget(struct readers *r)
{
	const struct pcsc *p = r->ctx;

	contexts -= p != NULL && p->have;
	free(r->ctx); /* the lock may be held by a thread that the child does not have */
	*r = (struct readers){ 0 };
}
