/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A trace as a card: see replay.h. The card's end of ISO/IEC 7816-4 5.1 to 5.3: command chaining, GET RESPONSE, short
 * and extended length, so that a session may be played by a dpiv that cuts its commands otherwise.
 *
 * A transaction holds the lock of all of it, so that steps are taken by one connection at a time.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/log.h"
#include "hw/apdu.h"
#include "hw/replay.h"

#define FILE_MAX    (64 * 1024 * 1024)
#define COMMAND_MAX (128 * 1024)
#define INS_GET	    0xCB
#define INS_SELECT  0xA4
#define INS_MORE    0xC0
#define CLA_CHAIN   0x10
#define POLL_NS	    (20 * 1000 * 1000)

struct player {
	struct replay trace;
	pthread_mutex_t lock;
	_Atomic bool canceled;
};

struct connection {
	struct player *player;
	size_t reader;
	struct wbuf command; /* chained pieces */
	struct wbuf answer;
	size_t given; /* of the answer */
	uint16_t sw;
	bool more; /* of the answer was not recorded */
};

struct command {
	uint8_t cla, ins, p1, p2;
	struct span data;
	size_t le;
};

/* --- finding a step --- */

static bool
step_matches(const struct replay_step *s, const struct connection *c, const struct command *cmd, struct span data)
{
	if (s->reader != c->reader || s->ins != cmd->ins || s->p1 != cmd->p1 || s->p2 != cmd->p2 || s->chain)
		return false;
	return s->data_hidden ? s->lc == data.n : span_eq(wbuf_view(&s->data), data);
}

/* Of two that match, is a better than b? In order, what was not given yet first; of an object, the most of it. */
static bool
step_better(const struct replay_step *a, const struct replay_step *b, uint8_t ins)
{
	if (b == NULL)
		return true;
	if (ins == INS_GET && (!a->rsp_hidden && a->whole) != (!b->rsp_hidden && b->whole))
		return !a->rsp_hidden && a->whole;
	return b->used && (!a->used || a->line > b->line);
}

static struct replay_step *
step_find(struct connection *c, const struct command *cmd, struct span data)
{
	struct replay *r = &c->player->trace;
	struct replay_step *best = NULL;

	for (size_t i = 0; i < r->n; i++)
		if (step_matches(&r->step[i], c, cmd, data) && step_better(&r->step[i], best, cmd->ins))
			best = &r->step[i];
	return best;
}

/* An object that is not shown: zeros of its length, so that it is there. */
static void
blank(const struct replay_step *s, struct wbuf *out)
{
	size_t n = s->answer + !s->whole; /* of one that was not fetched to its end, at least one more */

	wbuf_u8(out, 0x53);
	if (n < 2 + 128) {
		wbuf_u8(out, (uint8_t)(n - 2));
	} else if (n < 3 + 256) {
		wbuf_u8(out, 0x81);
		wbuf_u8(out, (uint8_t)(n - 3));
	} else {
		wbuf_u8(out, 0x82);
		wbuf_be16(out, (uint16_t)(n - 4));
	}
	if (out->n < s->answer)
		wbuf_fill(out, 0, s->answer - out->n);
}

static void
answer_set(struct connection *c, const struct command *cmd, struct span data)
{
	struct replay_step *s = step_find(c, cmd, data);
	bool object = cmd->ins == INS_GET || cmd->ins == INS_SELECT;

	wbuf_clear(&c->answer);
	c->given = 0;
	c->more = false;
	c->sw = object ? 0x6A82 : 0x6F00;
	if (s == NULL) {
		log_warn("replay", "ins=%02X p1=%02X p2=%02X lc=%zu error=\"not in the trace\" sw=%04X", cmd->ins,
		    cmd->p1, cmd->p2, data.n, c->sw);
		return;
	}
	s->used = true;
	if (s->rsp_hidden && cmd->ins == INS_GET && s->answer >= 2) {
		blank(s, &c->answer);
	} else if (s->rsp_hidden) {
		c->sw = 0x6F00;
		log_warn("replay", "line=%zu ins=%02X p2=%02X error=\"the trace does not show this answer\" sw=6F00",
		    s->line, cmd->ins, cmd->p2);
		return;
	} else {
		wbuf_span(&c->answer, wbuf_view(&s->rsp));
	}
	log_debug("replay", "line=%zu ins=%02X", s->line, cmd->ins);
	c->more = !s->whole;
	c->sw = s->whole ? s->sw : SW_OK;
}

/* --- the card's end of the wire --- */

static bool
command_parse(struct span in, struct command *cmd)
{
	uint8_t n8 = 0;
	uint16_t n16 = 0;

	*cmd = (struct command){ .data = SPAN_NONE };
	if (!span_u8(&in, &cmd->cla) || !span_u8(&in, &cmd->ins) || !span_u8(&in, &cmd->p1) || !span_u8(&in, &cmd->p2))
		return false;
	if (in.n == 0)
		return true;
	(void)span_u8(&in, &n8);
	if (n8 == 0 && in.n >= 2) { /* extended */
		(void)span_be16(&in, &n16);
		if (in.n > 0 && !span_take(&in, n16, &cmd->data))
			return false;
		if (cmd->data.n > 0 && in.n == 0)
			return true;
		if (cmd->data.n > 0 && !span_be16(&in, &n16))
			return false;
		cmd->le = n16 != 0 ? n16 : 65536;
		return in.n == 0;
	}
	if (in.n > 0 && !span_take(&in, n8, &cmd->data))
		return false;
	if (cmd->data.n > 0 && in.n == 0)
		return true;
	if (cmd->data.n > 0 && !span_u8(&in, &n8))
		return false;
	cmd->le = n8 != 0 ? n8 : 256;
	return in.n == 0;
}

/* As much as was asked for, and how much is left. */
static void
answer_give(struct connection *c, size_t le, struct wbuf *rsp)
{
	struct span part;
	size_t left = c->answer.n - c->given, n = left < le ? left : le;
	uint16_t sw = c->sw;

	if (span_sub(wbuf_view(&c->answer), c->given, n, &part))
		wbuf_span(rsp, part);
	c->given += n;
	left -= n;
	if (left > 0 || c->more)
		sw = (uint16_t)(0x6100 | (left > 0 && left < 256 ? left : 0));
	wbuf_be16(rsp, sw);
}

static void
more_give(struct connection *c, size_t le, struct wbuf *rsp)
{
	if (c->given < c->answer.n) {
		answer_give(c, le, rsp);
		return;
	}
	if (c->more)
		log_warn("replay", "error=\"the trace does not have the rest of this answer\" sw=6F00");
	wbuf_be16(rsp, 0x6F00);
}

static enum err
replay_transmit(void *conn, struct span in, struct wbuf *rsp, bool *reset)
{
	struct connection *c = conn;
	struct command cmd;

	*reset = false;
	if (!command_parse(in, &cmd))
		wbuf_be16(rsp, 0x6700);
	else if (cmd.ins == INS_MORE)
		more_give(c, cmd.le, rsp);
	else {
		wbuf_span(&c->command, cmd.data);
		if (c->command.bad)
			wbuf_clear(&c->command);
		if ((cmd.cla & CLA_CHAIN) != 0) {
			wbuf_be16(rsp, SW_OK);
		} else {
			answer_set(c, &cmd, wbuf_view(&c->command));
			wbuf_clear(&c->command);
			answer_give(c, cmd.le, rsp);
		}
	}
	return rsp->bad ? err_set(E_NOMEM, "out of memory") : E_OK;
}

/* --- the other reader operations --- */

static enum err
replay_list(void *ctx, struct reader_list *out)
{
	const struct player *p = ctx;

	memset(out, 0, sizeof *out);
	for (size_t i = 0; i < p->trace.n_readers; i++) {
		memcpy(out->r[i].name, p->trace.reader[i], READER_NAME_MAX);
		out->r[i].present = true;
		out->r[i].event = 1;
	}
	out->n = p->trace.n_readers;
	return E_OK;
}

/* Nothing ever changes. */
static enum err
replay_wait(void *ctx, const struct reader_list *known, int timeout_ms)
{
	const struct timespec nap = { .tv_nsec = POLL_NS };
	struct player *p = ctx;

	(void)known;
	for (int64_t ns = 0; timeout_ms < 0 || ns < (int64_t)timeout_ms * 1000000; ns += POLL_NS) {
		if (atomic_exchange(&p->canceled, false))
			return err_set(E_CANCELED, "canceled");
		nanosleep(&nap, NULL);
	}
	return err_set(E_BUSY, "nothing happened");
}

static void
replay_cancel(void *ctx)
{
	struct player *p = ctx;

	atomic_store(&p->canceled, true);
}

static enum err
replay_connect(void *ctx, const char *name, void **conn)
{
	struct player *p = ctx;
	struct connection *c;
	size_t i = 0;

	while (i < p->trace.n_readers && strcmp(p->trace.reader[i], name) != 0)
		i++;
	if (i == p->trace.n_readers)
		return err_set(E_NOREADER, "%s: not in the trace", name);
	if ((c = calloc(1, sizeof *c)) == NULL)
		return err_set(E_NOMEM, "out of memory");
	c->player = p;
	c->reader = i;
	wbuf_init(&c->command, COMMAND_MAX);
	wbuf_init(&c->answer, COMMAND_MAX);
	*conn = c;
	return E_OK;
}

static void
replay_disconnect(void *conn)
{
	struct connection *c = conn;

	wbuf_free(&c->command);
	wbuf_free(&c->answer);
	free(c);
}

static enum err
replay_begin(void *conn, bool *reset)
{
	struct connection *c = conn;

	*reset = false;
	pthread_mutex_lock(&c->player->lock);
	return E_OK;
}

static void
replay_end(void *conn, bool reset_card)
{
	struct connection *c = conn;

	(void)reset_card;
	pthread_mutex_unlock(&c->player->lock);
}

static struct span
replay_atr(void *conn)
{
	const struct connection *c = conn;

	return span_of(c->player->trace.atr[c->reader], c->player->trace.atr_n[c->reader]);
}

static const struct reader_ops ops = { .list = replay_list,
	.wait = replay_wait,
	.cancel = replay_cancel,
	.connect = replay_connect,
	.disconnect = replay_disconnect,
	.begin = replay_begin,
	.end = replay_end,
	.transmit = replay_transmit,
	.atr = replay_atr,
	.forget = replay_disconnect };

enum err
replay_open(const char *path, struct readers *out)
{
	WBUF_AUTO text;
	struct player *p;
	enum err e;

	*out = (struct readers){ NULL, NULL };
	wbuf_init(&text, FILE_MAX);
	if ((e = file_read(path, &text)) != E_OK)
		return e;
	if ((p = calloc(1, sizeof *p)) == NULL)
		return err_set(E_NOMEM, "out of memory");
	pthread_mutex_init(&p->lock, NULL);
	*out = (struct readers){ &ops, p };
	if ((e = replay_parse(wbuf_view(&text), &p->trace)) != E_OK) {
		replay_close(out);
		return err_up(e, "%s", path);
	}
	return E_OK;
}

void
replay_close(struct readers *r)
{
	struct player *p = r->ctx;

	if (p != NULL) {
		replay_clear(&p->trace);
		pthread_mutex_destroy(&p->lock);
		free(p);
	}
	*r = (struct readers){ NULL, NULL };
}
