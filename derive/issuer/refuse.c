/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Refusals: the table of stable codes and the reason of the current thread, kept beside base/err.h's sentence in the
 * same way. One place, so that an HTTP answer, a log line and an event in the ledger always say the same.
 */
#include <stdarg.h>
#include <stdio.h>

#include "derive/issuer/refuse.h"

static const struct {
	const char *code;
	int status;
	const char *text;
} reasons[] = {
#define X(name, code, status, text) [REFUSE_##name] = { code, status, text },
	REFUSE_LIST(X)
#undef X
};
_Static_assert(sizeof reasons / sizeof reasons[0] == REFUSE_COUNT, "a row for every reason");

static _Thread_local enum refuse last;
static _Thread_local long after;

static enum err set(enum refuse why, long seconds, const char *fmt, va_list ap) PRINTF(3, 0);

static enum err
set(enum refuse why, long seconds, const char *fmt, va_list ap)
{
	char sentence[1024];

	(void)vsnprintf(sentence, sizeof sentence, fmt, ap);
	last = why;
	after = seconds;
	return err_set(E_POLICY, "%s", sentence);
}

enum err
refuse(enum refuse why, const char *fmt, ...)
{
	va_list ap;
	enum err e;

	va_start(ap, fmt);
	e = set(why, 0, fmt, ap);
	va_end(ap);
	return e;
}

enum err
refuse_later(enum refuse why, long seconds, const char *fmt, ...)
{
	va_list ap;
	enum err e;

	va_start(ap, fmt);
	e = set(why, seconds, fmt, ap);
	va_end(ap);
	return e;
}

long
refuse_after(void)
{
	return after;
}

enum refuse
refuse_last(void)
{
	return last;
}

const char *
refuse_code(enum refuse why)
{
	return why < REFUSE_COUNT ? reasons[why].code : "internal";
}

int
refuse_status(enum refuse why)
{
	return why < REFUSE_COUNT ? reasons[why].status : 500;
}

const char *
refuse_text(enum refuse why)
{
	return why < REFUSE_COUNT ? reasons[why].text : "internal error";
}
