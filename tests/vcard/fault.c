/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fault script: what goes wrong, and when. One rule a line; # begins a comment; numbers are decimal, the rest
 * hex.
 *
 *	WHEN                         ACTION
 *	at N                         sw SSSS         answer the status word SSSS; the command has no effect
 *	ins II [N]                   lose-sw SSSS    the command takes effect, but SSSS is answered
 *	every                        short N         the command takes effect; N bytes of the reply arrive
 *	every ins II                 truncate N      … ; the last N bytes of its data are missing
 *	                             garbage N       … ; N bytes of nonsense arrive instead of the reply
 *	                             reply HEX       these bytes are the reply; the command has no effect
 *	                             remove [MS]     the card is pulled before the command [and put back after MS]
 *	                             remove-after [MS]  … after the command took effect, before its answer
 *	                             reset           the card loses its state before the command
 *	                             select          another program selects another applet before the command
 *	                             apdu HEX        another program's command comes first; its answer goes elsewhere
 *	                             delay MS        wait before the command (a slow touch)
 *
 * at N: before the N-th APDU, counted from the moment the rule was added; ins II N: before the N-th (first) APDU
 * with instruction II, pieces of a chain counted each; both fire once. every: always. Several rules may hit one
 * command: they apply in the order of the script.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/vcard/model.h"

enum action {
	A_SW,
	A_LOSE_SW,
	A_SHORT,
	A_TRUNCATE,
	A_GARBAGE,
	A_REPLY,
	A_REMOVE,
	A_REMOVE_AFTER,
	A_RESET,
	A_SELECT,
	A_APDU,
	A_DELAY
};
enum argument { NONE, NUMBER, MAYBE_NUMBER, STATUS, BYTES };

static const struct {
	const char *word;
	enum action action;
	enum argument argument;
} actions[] = {
	{ "sw", A_SW, STATUS },
	{ "lose-sw", A_LOSE_SW, STATUS },
	{ "short", A_SHORT, NUMBER },
	{ "truncate", A_TRUNCATE, NUMBER },
	{ "garbage", A_GARBAGE, NUMBER },
	{ "reply", A_REPLY, BYTES },
	{ "remove", A_REMOVE, MAYBE_NUMBER },
	{ "remove-after", A_REMOVE_AFTER, MAYBE_NUMBER },
	{ "reset", A_RESET, NONE },
	{ "select", A_SELECT, NONE },
	{ "apdu", A_APDU, BYTES },
	{ "delay", A_DELAY, NUMBER },
};

struct vc_fault {
	bool any_ins, every, done;
	uint8_t ins;
	unsigned long count; /* fires when it has counted down to 0 */
	enum action action;
	long number;
	uint16_t sw;
	struct vc_out bytes;
};

#define WORDS 6

static size_t
split(char *line, char *word[WORDS + 1])
{
	size_t n = 0;
	char *save = NULL;

	line[strcspn(line, "#\r\n")] = 0;
	for (char *w = strtok_r(line, " \t", &save); w && n <= WORDS; w = strtok_r(NULL, " \t", &save))
		word[n++] = w;
	return n;
}

static bool
number(const char *s, int base, long max, long *v)
{
	char *end;

	errno = 0;
	*v = strtol(s, &end, base);
	return errno == 0 && *end == 0 && end != s && *v >= 0 && *v <= max;
}

/* The words of WHEN; returns how many were used, 0 when they make no sense. */
static size_t
parse_when(char **word, size_t n, struct vc_fault *f)
{
	size_t i = 0;
	long v;

	f->count = 1;
	f->every = n > 0 && strcmp(word[0], "every") == 0;
	if (f->every)
		i++;
	if (i + 1 < n && strcmp(word[i], "at") == 0 && !f->every) {
		f->any_ins = true;
		if (!number(word[i + 1], 10, 1000000, &v) || v == 0)
			return 0;
		f->count = (unsigned long)v;
		return i + 2;
	}
	if (i + 1 < n && strcmp(word[i], "ins") == 0) {
		if (!number(word[i + 1], 16, 0xFF, &v))
			return 0;
		f->ins = (uint8_t)v;
		i += 2;
		if (i < n && !f->every && number(word[i], 10, 1000000, &v) && v > 0) {
			f->count = (unsigned long)v;
			i++;
		}
		return i;
	}
	f->any_ins = true;
	return f->every ? i : 0;
}

static bool
parse_argument(enum argument kind, const char *arg, struct vc_fault *f)
{
	long v;

	f->number = -1;
	switch (kind) {
	case NONE: return !arg;
	case MAYBE_NUMBER: return !arg || number(arg, 10, 1000000, &f->number);
	case NUMBER: return arg && number(arg, 10, 1000000, &f->number);
	case BYTES: return arg && vc_unhex(&f->bytes, arg);
	case STATUS:
		if (!arg || strlen(arg) != 4 || !number(arg, 16, 0xFFFF, &v))
			return false;
		f->sw = (uint16_t)v;
		return true;
	}
	return false;
}

static bool
parse_action(char **word, size_t n, struct vc_fault *f)
{
	for (size_t i = 0; n && i < sizeof actions / sizeof *actions; i++)
		if (strcmp(word[0], actions[i].word) == 0) {
			f->action = actions[i].action;
			return n <= 2 && parse_argument(actions[i].argument, n == 2 ? word[1] : NULL, f);
		}
	return false;
}

bool
vcard_fault_add(struct vcard *vc, const char *rule, char *why)
{
	struct vc_fault f = { .ins = 0 }, *list;
	char *line = strdup(rule), *word[WORDS + 1];
	size_t n = line ? split(line, word) : 0, used = parse_when(word, n, &f);
	bool ok = line && (n == 0 || (used && parse_action(word + used, n - used, &f)));

	free(line);
	if (n == 0 && ok)
		return true;
	list = ok ? reallocarray(vc->fault, vc->faults + 1, sizeof f) : NULL;
	if (!list) {
		vc_out_free(&f.bytes);
		vc_say(why, "fault rule not understood: %s", rule);
		return false;
	}
	vc->fault = list;
	list[vc->faults++] = f;
	return true;
}

bool
vcard_fault_load(struct vcard *vc, const char *path, char *why)
{
	FILE *in = fopen(path, "re");
	char line[4096], detail[VCARD_WHY];
	unsigned n = 0;
	bool ok = in != NULL;

	if (!in)
		vc_say(why, "%s: %s", path, strerror(errno));
	while (ok && fgets(line, sizeof line, in)) {
		n++;
		line[strcspn(line, "\r\n")] = 0;
		if (!(ok = vcard_fault_add(vc, line, detail)))
			vc_say(why, "%s:%u: %.200s", path, n, detail);
	}
	if (in)
		fclose(in);
	return ok;
}

void
vcard_fault_clear(struct vcard *vc)
{
	for (size_t i = 0; i < vc->faults; i++)
		vc_out_free(&vc->fault[i].bytes);
	free(vc->fault);
	vc->fault = NULL;
	vc->faults = 0;
}

size_t
vcard_fault_pending(const struct vcard *vc)
{
	size_t n = 0;

	for (size_t i = 0; i < vc->faults; i++)
		n += !vc->fault[i].every && !vc->fault[i].done;
	return n;
}

/* Does this rule fire now? */
static bool
hits(struct vc_fault *f, struct vc_in cmd)
{
	if (f->done || (!f->any_ins && (cmd.n < 2 || cmd.p[1] != f->ins)))
		return false;
	if (f->every)
		return true;
	if (--f->count)
		return false;
	f->done = true;
	return true;
}

/* Another program's command, without log, counters or further faults. */
static void
foreign_apdu(struct vcard *vc, struct vc_in cmd)
{
	struct vc_fault *fault = vc->fault;
	size_t faults = vc->faults;
	struct vcard_stats stats = vc->stats;
	vcard_hook *hook = vc->hook;
	FILE *log = vc->log;
	uint8_t rsp[2];

	vc->fault = NULL;
	vc->faults = 0;
	vc->hook = NULL;
	vc->log = NULL;
	vcard_transmit(vc, cmd.p, cmd.n, rsp, sizeof rsp);
	vc->fault = fault;
	vc->faults = faults;
	vc->stats = stats;
	vc->hook = hook;
	vc->log = log;
}

static void
removed(struct vcard *vc, const struct vc_fault *f, struct vc_effect *e, bool after)
{
	e->remove = true;
	e->absence = (int)f->number;
	if (!after)
		vc->present = false;
}

static void
apply(struct vcard *vc, const struct vc_fault *f, struct vc_effect *e)
{
	switch (f->action) {
	case A_SW:
		e->run = false;
		e->sw = f->sw;
		break;
	case A_LOSE_SW: e->sw = f->sw; break;
	case A_SHORT: e->keep = (int)f->number; break;
	case A_TRUNCATE: e->drop = (int)f->number; break;
	case A_GARBAGE: e->garbage = (int)f->number; break;
	case A_REPLY:
		e->run = false;
		e->sw = SW_INTERNAL;
		vc_out_put(&e->reply, f->bytes.p, f->bytes.n);
		break;
	case A_REMOVE: removed(vc, f, e, false); break;
	case A_REMOVE_AFTER: removed(vc, f, e, true); break;
	case A_RESET: vcard_reset(vc); break;
	case A_SELECT: vcard_other_program(vc); break;
	case A_APDU: foreign_apdu(vc, vc_out_view(&f->bytes)); break;
	case A_DELAY: vc_wait(vc, (unsigned)f->number); break;
	}
}

void
vc_fault_before(struct vcard *vc, struct vc_in cmd, struct vc_effect *e)
{
	*e = (struct vc_effect){ .run = true, .absence = -1, .keep = -1, .garbage = -1 };
	for (size_t i = 0; i < vc->faults; i++)
		if (hits(&vc->fault[i], cmd))
			apply(vc, &vc->fault[i], e);
}

/* Change the reply of n bytes in rsp; returns its new length. */
size_t
vc_fault_after(const struct vc_effect *e, uint8_t *rsp, size_t n, size_t cap)
{
	size_t data = n >= 2 ? n - 2 : 0;

	if (e->reply.n) {
		n = e->reply.n < cap ? e->reply.n : cap;
		memcpy(rsp, e->reply.p, n);
	}
	if (e->garbage >= 0) {
		n = (size_t)e->garbage < cap ? (size_t)e->garbage : cap;
		for (size_t i = 0; i < n; i++)
			rsp[i] = (uint8_t)(i * 73 + 0x5A);
	}
	if (e->drop && data) {
		size_t drop = (size_t)e->drop < data ? (size_t)e->drop : data;

		memmove(rsp + data - drop, rsp + data, 2);
		n -= drop;
	}
	return e->keep >= 0 && (size_t)e->keep < n ? (size_t)e->keep : n;
}

void
vcard_hook_set(struct vcard *vc, vcard_hook *hook, void *arg)
{
	vc->hook = hook;
	vc->hook_arg = arg;
}

void
vcard_sleep_set(struct vcard *vc, vcard_sleep *sleep, void *arg)
{
	vc->sleep = sleep;
	vc->sleep_arg = arg;
}
