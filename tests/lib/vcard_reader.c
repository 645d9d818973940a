/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Readers over virtual cards in this process: see vcard_reader.h. One mutex guards everything, card work included; one
 * condition is signalled at every change, for begin() and wait(). A generation number per reader stands for what PC/SC
 * tells a connection: it moves with every reset and insertion, and a connection that is behind has lost its state.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/lib/vcard_reader.h"

struct conn {
	struct vreaders *v;
	size_t i;
	uint32_t generation;
	bool broken; /* failed in this transaction */
	uint8_t atr[ATR_MAX];
	size_t atr_len;
};

struct slot {
	char name[READER_NAME_MAX];
	bool plugged;
	struct vcard *card;
	uint32_t generation, event;
	const void *owner; /* connection with the transaction; the slot itself: another program */
	unsigned count, plan_at;
	enum vreaders_event plan;
	bool fired;
	vreaders_answer *answer;
	void *answer_arg;
	size_t max_data; /* 0: no limit */
	bool chokes;
	const struct vreaders_pad *pad;
	unsigned pad_uses;
	bool pad_canceled;
};

struct vreaders {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool canceled;
	unsigned patience_ms;
	size_t n;
	struct slot slot[READER_MAX];
};

static void
changed(struct vreaders *v)
{
	pthread_cond_broadcast(&v->changed);
}

static struct timespec
after(int ms)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += (long)(ms % 1000) * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	return t;
}

static bool
is_in(const struct slot *s)
{
	return s->plugged && s->card != NULL && vcard_present(s->card);
}

/* --- the operations table --- */

static void
fill(struct vreaders *v, struct reader_list *out)
{
	size_t i;

	memset(out, 0, sizeof *out);
	for (i = 0; i < v->n; i++) {
		struct reader_state *r = &out->r[out->n];

		if (!v->slot[i].plugged)
			continue;
		snprintf(r->name, sizeof r->name, "%s", v->slot[i].name);
		r->present = is_in(&v->slot[i]);
		r->event = v->slot[i].event;
		out->n++;
	}
}

static enum err
op_list(void *ctx, struct reader_list *out)
{
	struct vreaders *v = ctx;

	pthread_mutex_lock(&v->lock);
	fill(v, out);
	pthread_mutex_unlock(&v->lock);
	return E_OK;
}

static bool
differs(const struct reader_list *a, const struct reader_list *b)
{
	size_t i;

	if (a->n != b->n)
		return true;
	for (i = 0; i < a->n; i++)
		if (strcmp(a->r[i].name, b->r[i].name) != 0 || a->r[i].present != b->r[i].present ||
		    a->r[i].event != b->r[i].event)
			return true;
	return false;
}

static enum err
op_wait(void *ctx, const struct reader_list *known, int timeout_ms)
{
	struct vreaders *v = ctx;
	struct timespec until = after(timeout_ms);
	struct reader_list now;
	enum err e = E_BUSY;
	int rv = 0;

	pthread_mutex_lock(&v->lock);
	do {
		fill(v, &now);
		if (v->canceled) {
			v->canceled = false;
			e = E_CANCELED;
			break;
		}
		if (differs(known, &now)) {
			e = E_OK;
			break;
		}
		rv = timeout_ms < 0 ? pthread_cond_wait(&v->changed, &v->lock)
				    : pthread_cond_timedwait(&v->changed, &v->lock, &until);
	} while (rv == 0);
	pthread_mutex_unlock(&v->lock);
	return e;
}

static void
op_cancel(void *ctx)
{
	struct vreaders *v = ctx;

	pthread_mutex_lock(&v->lock);
	v->canceled = true;
	changed(v);
	pthread_mutex_unlock(&v->lock);
}

static enum err
op_connect(void *ctx, const char *name, void **out)
{
	struct vreaders *v = ctx;
	struct conn *c = calloc(1, sizeof *c);
	enum err e = E_NOREADER;
	size_t i;

	*out = NULL;
	if (c == NULL)
		return err_set(E_NOMEM, "out of memory");
	pthread_mutex_lock(&v->lock);
	for (i = 0; i < v->n; i++) {
		if (!v->slot[i].plugged || strcmp(v->slot[i].name, name) != 0)
			continue;
		*c = (struct conn){ .v = v, .i = i, .generation = v->slot[i].generation };
		if (is_in(&v->slot[i]))
			c->atr_len = vcard_atr(v->slot[i].card, c->atr, sizeof c->atr);
		e = is_in(&v->slot[i]) ? E_OK : E_NOCARD;
		break;
	}
	pthread_mutex_unlock(&v->lock);
	if (e != E_OK) {
		free(c);
		return err_set(e, "%s: %s", name, err_text(e));
	}
	*out = c;
	return E_OK;
}

static void
op_disconnect(void *conn)
{
	struct conn *c = conn;
	struct slot *s = &c->v->slot[c->i];

	pthread_mutex_lock(&c->v->lock);
	if (s->owner == c)
		s->owner = NULL;
	changed(c->v);
	pthread_mutex_unlock(&c->v->lock);
	free(c);
}

static enum err
op_begin(void *conn, bool *reset)
{
	struct conn *c = conn;
	struct vreaders *v = c->v;
	struct slot *s = &v->slot[c->i];
	struct timespec until = after((int)v->patience_ms);
	enum err e = E_OK;
	int rv = 0;

	*reset = false;
	pthread_mutex_lock(&v->lock);
	while (s->owner != NULL && rv == 0)
		rv = pthread_cond_timedwait(&v->changed, &v->lock, &until);
	if (!is_in(s)) {
		e = err_set(E_CARDGONE, "%s: the card is out", s->name);
	} else if (s->owner != NULL) {
		e = err_set(E_BUSY, "%s: held by another program", s->name);
	} else {
		s->owner = c;
		*reset = c->generation != s->generation || c->broken;
		c->generation = s->generation;
		c->broken = false;
		c->atr_len = vcard_atr(s->card, c->atr, sizeof c->atr);
	}
	pthread_mutex_unlock(&v->lock);
	return e;
}

static void
op_end(void *conn, bool reset_card)
{
	struct conn *c = conn;
	struct slot *s = &c->v->slot[c->i];

	pthread_mutex_lock(&c->v->lock);
	if (reset_card && is_in(s)) {
		bool behind = c->generation != s->generation;

		vcard_reset(s->card);
		s->generation++;
		if (!behind) /* whoever resets is not told */
			c->generation = s->generation;
	}
	if (s->owner == c)
		s->owner = NULL;
	changed(c->v);
	pthread_mutex_unlock(&c->v->lock);
}

static void
happen(struct slot *s, enum vreaders_event what)
{
	switch (what) {
	case VREADERS_NOTHING: return;
	case VREADERS_RESET:
		vcard_reset(s->card);
		s->generation++;
		return;
	case VREADERS_SILENT: vcard_reset(s->card); return;
	case VREADERS_FOREIGN: vcard_other_program(s->card); return;
	case VREADERS_REMOVE:
		vcard_remove(s->card);
		s->event++;
		return;
	case VREADERS_REPLUG:
		vcard_remove(s->card);
		vcard_insert(s->card);
		s->generation++;
		s->event += 2;
		return;
	}
}

static enum err
deliver(struct slot *s, struct span cmd, struct wbuf *rsp)
{
	static __thread uint8_t answer[VCARD_RESPONSE_MAX];
	size_t n;

	if (s->answer != NULL && s->answer(s->answer_arg, cmd, rsp))
		return E_OK;
	n = vcard_transmit(s->card, cmd.p, cmd.n, answer, sizeof answer);
	if (n == 0 && !vcard_present(s->card)) {
		s->event++;
		return err_set(E_CARDGONE, "%s: the card was pulled out", s->name);
	}
	wbuf_put(rsp, answer, n);
	return E_OK;
}

static enum err
op_transmit(void *conn, struct span cmd, struct wbuf *rsp, bool *reset)
{
	struct conn *c = conn;
	struct slot *s = &c->v->slot[c->i];
	enum err e;

	*reset = false;
	pthread_mutex_lock(&c->v->lock);
	if (s->owner != c) {
		e = err_set(E_INTERNAL, "%s: a command outside of a transaction", s->name);
		goto out;
	}
	s->count++;
	if (s->plan != VREADERS_NOTHING && --s->plan_at == 0 && is_in(s)) {
		happen(s, s->plan);
		s->plan = VREADERS_NOTHING;
		s->fired = true;
		changed(c->v);
	}
	if (!is_in(s)) {
		e = err_set(E_CARDGONE, "%s: the card was pulled out", s->name);
	} else if (c->generation != s->generation) {
		c->generation = s->generation;
		*reset = true;
		e = err_set(E_IO, "%s: the card was reset", s->name);
	} else if (c->broken || (s->chokes && cmd.n >= 7 && cmd.p[4] == 0)) {
		c->broken = true;
		e = err_set(E_IO, "%s: the reader failed", s->name);
	} else {
		e = deliver(s, cmd, rsp);
	}
out:
	pthread_mutex_unlock(&c->v->lock);
	return e;
}

static struct span
op_atr(void *conn)
{
	struct conn *c = conn;

	return span_of(c->atr, c->atr_len);
}

static void
op_forget(void *conn)
{
	free(conn);
}

static size_t
op_max_data(void *conn)
{
	struct conn *c = conn;
	size_t max = c->v->slot[c->i].max_data;

	return max != 0 ? max : 65536;
}

/* --- the PIN pad --- */

#define PAD_VERIFY 0x06
#define PAD_MODIFY 0x07

static uint32_t
op_features(void *conn)
{
	struct conn *c = conn;

	return c->v->slot[c->i].pad != NULL ? 1u << PAD_VERIFY | 1u << PAD_MODIFY : 0;
}

static uint32_t
number(const uint8_t *p, size_t n)
{
	uint16_t two;
	uint32_t four;

	memcpy(&two, p, sizeof two);
	if (n == 2)
		return two;
	memcpy(&four, p, sizeof four);
	return four;
}

/* A PIN of the right length, as typed, into its eight bytes. */
static bool
type(uint8_t *field, const char *pin)
{
	size_t n = pin != NULL ? strlen(pin) : 0;

	if (n < 6 || n > 8)
		return false;
	memset(field, 0xFF, 8);
	memcpy(field, pin, n);
	return true;
}

static uint16_t
typed_verify(const struct vreaders_pad *pad, struct span in, uint8_t cmd[32], size_t *n)
{
	static const uint8_t want[] = { 0x82, 0x08, 0x00 };
	const uint8_t *p = in.p;

	if (in.n != 19 + 13 || p[0] == 0 || memcmp(p + 2, want, 3) != 0 || number(p + 5, 2) != 0x0608 || p[7] != 2 ||
	    number(p + 15, 4) != 13 || p[23] != 8)
		return 0x6B80;
	memcpy(cmd, p + 19, *n = 13);
	return type(cmd + 5, pad->typed[0]) ? 0 : 0x6403;
}

static uint16_t
typed_modify(const struct vreaders_pad *pad, struct span in, uint8_t cmd[32], size_t *n)
{
	static const uint8_t want[] = { 0x82, 0x08, 0x00, 0x00, 0x08 };
	const uint8_t *p = in.p;
	const char *const *next = pad->typed;

	if (in.n != 24 + 21 || p[0] == 0 || memcmp(p + 2, want, 5) != 0 || number(p + 7, 2) != 0x0608 || p[10] != 2 ||
	    (p[9] != 1 && p[9] != 3) || number(p + 20, 4) != 21 || p[28] != 16)
		return 0x6B80;
	memcpy(cmd, p + 24, *n = 21);
	if (p[9] == 3 && !type(cmd + 5, *next++))
		return 0x6403;
	if (!type(cmd + 13, next[0]))
		return 0x6403;
	return next[1] != NULL && strcmp(next[0], next[1]) == 0 ? 0 : 0x6402;
}

/* Somebody types, or presses the cancel key; the other readers go on meanwhile. */
static uint16_t
typing(struct vreaders *v, struct slot *s)
{
	struct timespec until = after((int)s->pad->delay_ms);
	int rv = 0;

	s->pad_canceled = false;
	s->pad_uses++;
	while (s->pad->delay_ms > 0 && !s->pad_canceled && is_in(s) && rv == 0)
		rv = pthread_cond_timedwait(&v->changed, &v->lock, &until);
	return s->pad_canceled ? 0x6401 : s->pad->sw;
}

static enum err
op_control(void *conn, unsigned feature, struct span in, struct wbuf *rsp, bool *reset)
{
	struct conn *c = conn;
	struct slot *s = &c->v->slot[c->i];
	uint8_t cmd[32];
	size_t n = 0;
	uint16_t sw;
	enum err e = E_OK;

	*reset = false;
	pthread_mutex_lock(&c->v->lock);
	if (s->owner != c || s->pad == NULL) {
		e = err_set(E_INTERNAL, "%s: a PIN pad outside of a transaction", s->name);
		goto out;
	}
	if ((sw = typing(c->v, s)) == 0)
		sw = feature == PAD_VERIFY ? typed_verify(s->pad, in, cmd, &n) : typed_modify(s->pad, in, cmd, &n);
	if (!is_in(s)) {
		e = err_set(E_CARDGONE, "%s: the card was pulled out", s->name);
	} else if (sw != 0) {
		wbuf_be16(rsp, sw);
	} else {
		s->count++;
		e = deliver(s, span_of(cmd, n), rsp);
	}
out:
	pthread_mutex_unlock(&c->v->lock);
	return e;
}

static void
op_interrupt(void *conn)
{
	struct conn *c = conn;

	pthread_mutex_lock(&c->v->lock);
	c->v->slot[c->i].pad_canceled = true;
	changed(c->v);
	pthread_mutex_unlock(&c->v->lock);
}

static const struct reader_ops ops = { op_list, op_wait, op_cancel, op_connect, op_disconnect, op_begin, op_end,
	op_transmit, op_atr, op_forget, op_max_data, op_features, op_control, op_interrupt, NULL };

/* --- the caller's side --- */

struct vreaders *
vreaders_new(void)
{
	struct vreaders *v = calloc(1, sizeof *v);

	if (v == NULL)
		abort();
	pthread_mutex_init(&v->lock, NULL);
	pthread_cond_init(&v->changed, NULL);
	v->patience_ms = 200;
	return v;
}

void
vreaders_free(struct vreaders *v)
{
	if (v == NULL)
		return;
	pthread_cond_destroy(&v->changed);
	pthread_mutex_destroy(&v->lock);
	free(v);
}

struct readers
vreaders_ops(struct vreaders *v)
{
	return (struct readers){ &ops, v };
}

size_t
vreaders_add(struct vreaders *v, const char *name, struct vcard *card)
{
	size_t i;

	pthread_mutex_lock(&v->lock);
	i = v->n++;
	if (i >= READER_MAX)
		abort();
	v->slot[i] = (struct slot){ .plugged = true, .card = card };
	snprintf(v->slot[i].name, sizeof v->slot[i].name, "%s", name);
	changed(v);
	pthread_mutex_unlock(&v->lock);
	return i;
}

void
vreaders_unplug(struct vreaders *v, size_t i)
{
	pthread_mutex_lock(&v->lock);
	v->slot[i].plugged = false;
	changed(v);
	pthread_mutex_unlock(&v->lock);
}

static void
now(struct vreaders *v, size_t i, enum vreaders_event what)
{
	pthread_mutex_lock(&v->lock);
	happen(&v->slot[i], what);
	changed(v);
	pthread_mutex_unlock(&v->lock);
}

void
vreaders_remove(struct vreaders *v, size_t i)
{
	now(v, i, VREADERS_REMOVE);
}

void
vreaders_insert(struct vreaders *v, size_t i, struct vcard *card)
{
	struct slot *s = &v->slot[i];

	pthread_mutex_lock(&v->lock);
	if (card != NULL)
		s->card = card;
	vcard_insert(s->card);
	s->generation++;
	s->event++;
	changed(v);
	pthread_mutex_unlock(&v->lock);
}

void
vreaders_reset(struct vreaders *v, size_t i)
{
	now(v, i, VREADERS_RESET);
}

void
vreaders_foreign(struct vreaders *v, size_t i)
{
	now(v, i, VREADERS_FOREIGN);
}

void
vreaders_hold(struct vreaders *v, size_t i, bool held)
{
	pthread_mutex_lock(&v->lock);
	v->slot[i].owner = held ? &v->slot[i] : NULL;
	changed(v);
	pthread_mutex_unlock(&v->lock);
}

void
vreaders_patience(struct vreaders *v, unsigned ms)
{
	v->patience_ms = ms;
}

void
vreaders_plan(struct vreaders *v, size_t i, unsigned n, enum vreaders_event what)
{
	pthread_mutex_lock(&v->lock);
	v->slot[i].plan = what;
	v->slot[i].plan_at = n;
	v->slot[i].fired = false;
	pthread_mutex_unlock(&v->lock);
}

void
vreaders_pad_set(struct vreaders *v, size_t i, const struct vreaders_pad *pad)
{
	pthread_mutex_lock(&v->lock);
	v->slot[i].pad = pad;
	pthread_mutex_unlock(&v->lock);
}

unsigned
vreaders_pad_uses(struct vreaders *v, size_t i)
{
	unsigned n;

	pthread_mutex_lock(&v->lock);
	n = v->slot[i].pad_uses;
	pthread_mutex_unlock(&v->lock);
	return n;
}

void
vreaders_answer_set(struct vreaders *v, size_t i, vreaders_answer *fn, void *arg)
{
	v->slot[i].answer = fn;
	v->slot[i].answer_arg = arg;
}

void
vreaders_extended(struct vreaders *v, size_t i, size_t max_data, bool chokes)
{
	v->slot[i].max_data = max_data;
	v->slot[i].chokes = chokes;
}

bool
vreaders_fired(struct vreaders *v, size_t i)
{
	return v->slot[i].fired;
}

unsigned
vreaders_count(struct vreaders *v, size_t i)
{
	return v->slot[i].count;
}

void
vreaders_count_clear(struct vreaders *v, size_t i)
{
	v->slot[i].count = 0;
}
