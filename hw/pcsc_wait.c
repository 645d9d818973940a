/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The readers that the PC/SC service knows, and waiting for a change among them (SCardGetStatusChange; pcsc-lite, which
 * reports new readers under a name of its own). What the service says is not believed: names are cut at their end and
 * at READER_NAME_MAX. A service that was restarted gets a new context; one that is not there has no readers, and is
 * asked again once a second.
 */
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "hw/pcsc_int.h"

#define PNP		"\\\\?PnP?\\Notification"
#define NO_SERVICE_MS	1000 /* asking for a service that is not there */
#define CANCEL_LIMIT_MS 2000

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

void
pcsc_context_drop(struct pcsc *p)
{
	if (p->have)
		pcsc_context_free(p->context);
	p->have = false;
}

static LONG
context_need(struct pcsc *p)
{
	LONG rv;

	if (p->have)
		return SCARD_S_SUCCESS;
	rv = pcsc_context_new(&p->context);
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
		if (pcsc_meaning(rv) == PCSC_SERVICE)
			pcsc_context_drop(p);
		else if (pcsc_meaning(rv) != PCSC_UNPLUGGED)
			break;
	}
	if (rv != SCARD_S_SUCCESS)
		memset(out, 0, sizeof *out);
	return rv;
}

enum err
pcsc_list(void *ctx, struct reader_list *out)
{
	SCARD_READERSTATE states[READER_MAX];
	struct pcsc *p = ctx;
	LONG rv;

	pthread_mutex_lock(&p->lock);
	rv = snapshot(p, out, states);
	pthread_mutex_unlock(&p->lock);
	return rv == SCARD_S_SUCCESS ? E_OK : pcsc_failed("readers", rv);
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
	if (pcsc_meaning(rv) == PCSC_SERVICE)
		pcsc_context_drop(p);
	else if (rv != SCARD_S_SUCCESS && rv != SCARD_E_TIMEOUT && rv != SCARD_E_CANCELLED)
		cond_nap(p, NO_SERVICE_MS); /* no busy loop on a code that nobody expects */
}

enum err
pcsc_wait(void *ctx, const struct reader_list *known, int timeout_ms)
{
	SCARD_READERSTATE states[READER_MAX + 1];
	int64_t end = pcsc_now() + timeout_ms;
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
		if (timeout_ms >= 0 && (left = (int)(end - pcsc_now())) <= 0)
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
void
pcsc_cancel(void *ctx)
{
	struct pcsc *p = ctx;
	int64_t end = pcsc_now() + CANCEL_LIMIT_MS;

	pthread_mutex_lock(&p->lock);
	p->canceled = true;
	pthread_cond_broadcast(&p->done);
	while (p->waiting && pcsc_now() < end) {
		SCardCancel(p->context);
		cond_nap(p, PCSC_POLL_MS);
	}
	pthread_mutex_unlock(&p->lock);
}
