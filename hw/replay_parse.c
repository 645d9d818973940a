/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading a trace: see replay.h, and trace.h for its lines. The file is hostile: it came by mail. Lines, fields and
 * numbers are bounded; the pieces of chained commands and of answers that took GET RESPONSE are put together again, a
 * reader and process at a time, since several may write into one file.
 */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "hw/apdu.h"
#include "hw/replay.h"

#define STEPS_MAX    200000
#define ANSWER_MAX   (128 * 1024)
#define CLA_CHAIN    0x10
#define INS_MORE     0xC0 /* GET RESPONSE */
#define NUMBER_CHARS 12

/* The text between key and end, wherever that is in the line. */
static bool
field(struct span line, const char *key, uint8_t end, struct span *out)
{
	size_t n = strlen(key);
	struct span rest;
	uint8_t c;

	while (line.n > 0 && !span_starts(line, key, n))
		(void)span_skip(&line, 1);
	if (!span_skip(&line, n))
		return false;
	for (rest = line; span_u8(&rest, &c) && c != end;)
		;
	if (rest.n > 0 || (line.n > 0 && line.p[line.n - 1] == end))
		return span_sub(line, 0, line.n - rest.n - 1, out);
	*out = line;
	return end != '"';
}

static bool
number(struct span line, const char *key, int base, unsigned long max, unsigned long *out)
{
	char text[NUMBER_CHARS + 1] = "", *end;
	struct span v;

	if (!field(line, key, ' ', &v) || v.n == 0 || v.n > NUMBER_CHARS)
		return false;
	memcpy(text, v.p, v.n);
	*out = strtoul(text, &end, base);
	return *end == '\0' && text[0] != '-' && *out <= max;
}

static bool
byte(struct span line, const char *key, uint8_t *out)
{
	unsigned long v;

	if (!number(line, key, 16, 0xFF, &v))
		return false;
	*out = (uint8_t)v;
	return true;
}

/* Hex of n bytes appended to out, or `*`. */
static bool
bytes(struct span line, const char *key, size_t n, struct wbuf *out, bool *hidden)
{
	size_t before = out->n;
	WBUF_AUTO text;
	struct span v;

	wbuf_init(&text, 2 * ANSWER_MAX + 1);
	if (!field(line, key, ' ', &v))
		return false;
	if (v.n == 1 && v.p[0] == '*') {
		*hidden = true;
		return true;
	}
	wbuf_span(&text, v);
	wbuf_u8(&text, 0);
	return !text.bad && text_unhex((const char *)text.p, out) && !out->bad && out->n - before == n;
}

/* The reader of a line, a new one perhaps. */
static bool
reader_of(struct replay *r, struct span line, size_t *out)
{
	struct span name;
	size_t i;

	if (!field(line, " reader=\"", '"', &name) || name.n >= READER_NAME_MAX)
		return false;
	for (i = 0; i < r->n_readers; i++)
		if (span_eq(name, span_str(r->reader[i])))
			break;
	if (i == READER_MAX)
		return false;
	if (i == r->n_readers) {
		if (name.n > 0)
			memcpy(r->reader[i], name.p, name.n);
		r->n_readers++;
	}
	*out = i;
	return true;
}

static struct replay_step *
step_new(struct replay *r)
{
	struct replay_step *s;

	if (r->n == r->cap) {
		size_t cap = r->cap != 0 ? 2 * r->cap : 64;

		if (cap > STEPS_MAX || (s = realloc(r->step, cap * sizeof *s)) == NULL)
			return NULL;
		r->step = s;
		r->cap = cap;
	}
	s = &r->step[r->n++];
	memset(s, 0, sizeof *s);
	wbuf_init(&s->data, ANSWER_MAX);
	wbuf_init(&s->rsp, ANSWER_MAX);
	return s;
}

static struct replay_step *
step_last(struct replay *r, size_t reader, long pid)
{
	for (size_t i = r->n; i-- > 0;)
		if (r->step[i].reader == reader && r->step[i].pid == pid)
			return &r->step[i];
	return NULL;
}

/* The step that this line continues, or a new one. */
static struct replay_step *
step_for(struct replay *r, size_t reader, long pid, uint8_t cla, const uint8_t head[3])
{
	struct replay_step *s = step_last(r, reader, pid);

	if (head[0] == INS_MORE)
		return s != NULL && !s->whole ? s : NULL;
	if (s != NULL && s->chain && s->ins == head[0] && s->p1 == head[1] && s->p2 == head[2]) {
		s->chain = (cla & CLA_CHAIN) != 0;
		return s;
	}
	if ((s = step_new(r)) == NULL)
		return NULL;
	s->reader = reader;
	s->pid = pid;
	s->ins = head[0];
	s->p1 = head[1];
	s->p2 = head[2];
	s->chain = (cla & CLA_CHAIN) != 0;
	return s;
}

static bool
apdu_line(struct replay *r, struct span line, size_t at)
{
	unsigned long pid, lc, answer, sw;
	struct replay_step *s;
	uint8_t cla, head[3];
	size_t reader;

	if (!number(line, " pid=", 10, 0x7FFFFFFF, &pid) || !reader_of(r, line, &reader) ||
	    !byte(line, " cla=", &cla) || !byte(line, " ins=", &head[0]) || !byte(line, " p1=", &head[1]) ||
	    !byte(line, " p2=", &head[2]) || !number(line, " lc=", 10, ANSWER_MAX, &lc) ||
	    !number(line, " answer=", 10, ANSWER_MAX, &answer) || !number(line, " sw=", 16, 0xFFFF, &sw))
		return false;
	if ((s = step_for(r, reader, (long)pid, cla, head)) == NULL)
		return head[0] == INS_MORE; /* the trace begins in the middle of an answer */
	if (s->line == 0)
		s->line = at;
	if (!bytes(line, " data=", lc, &s->data, &s->data_hidden) ||
	    !bytes(line, " rsp=", answer, &s->rsp, &s->rsp_hidden))
		return false;
	s->lc += lc;
	s->answer += answer;
	s->sw = (uint16_t)sw;
	s->whole = sw >> 8 != 0x61;
	if (sw >> 8 == 0x6C && head[0] != INS_MORE) { /* nothing was executed: it comes again */
		wbuf_free(&s->data);
		wbuf_free(&s->rsp);
		r->n--;
	}
	return true;
}

static bool
atr_line(struct replay *r, struct span line)
{
	bool hidden = false;
	struct span hex;
	size_t reader;
	WBUF_AUTO atr;

	wbuf_init(&atr, ATR_MAX);
	if (!reader_of(r, line, &reader) || !field(line, " atr=", ' ', &hex) ||
	    !bytes(line, " atr=", hex.n / 2, &atr, &hidden) || hidden)
		return false;
	r->atr_n[reader] = atr.n;
	if (atr.n > 0)
		memcpy(r->atr[reader], atr.p, atr.n);
	return true;
}

enum err
replay_parse(struct span text, struct replay *out)
{
	struct span line, what;
	size_t at = 0;

	memset(out, 0, sizeof *out);
	while (span_line(&text, &line)) {
		bool good = true;

		at++;
		if (!field(line, " event=", ' ', &what))
			continue;
		if (span_eq(what, span_str("apdu")))
			good = apdu_line(out, line, at);
		else if (span_eq(what, span_str("atr")))
			good = atr_line(out, line);
		if (!good) {
			replay_clear(out);
			return err_set(E_PROTO, "line %zu of the trace is damaged", at);
		}
	}
	if (out->n == 0)
		return err_set(E_NOTFOUND, "there is no command to a card in it: was it written with DPIV_LOG=trace?");
	return E_OK;
}

void
replay_clear(struct replay *r)
{
	for (size_t i = 0; i < r->n; i++) {
		wbuf_free(&r->step[i].data);
		wbuf_free(&r->step[i].rsp);
	}
	free(r->step);
	memset(r, 0, sizeof *r);
}
