/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the issuer tells its operator while it runs. The lines are for a service manager's journal; the record that
 * counts is the event table in the ledger. Each line leaves in one write(2), so that lines of two processes which share
 * a log do not mix.
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "derive/issuer/note.h"

static bool on;

void
note_on(void)
{
	on = true;
}

static size_t
stamp(char *line, size_t cap, const char *event)
{
	char when[TEXT_UTC_MAX];
	int n = snprintf(line, cap, "%s dpiv-issuer[%ld] %s ", text_utc(time(NULL), when), (long)getpid(), event);

	return n < 0 || (size_t)n >= cap ? 0 : (size_t)n;
}

void
note(const char *event, const char *fmt, ...)
{
	char line[2048], text[1700];
	size_t n;
	va_list ap;

	if (!on)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	for (char *c = text; *c; c++)
		if (*c == '\n' || *c == '\r')
			*c = ' ';
	n = stamp(line, sizeof line, event);
	(void)snprintf(&line[n], sizeof line - n, "%s\n", text);
	if (write(STDERR_FILENO, line, strlen(line)) < 0)
		on = false; /* nobody can read it: the ledger keeps the events */
}
