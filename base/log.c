/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log: see log.h. One write() a line, so that lines of several threads and processes do not mix, and no stdio: the
 * module writes nothing to a host's stdout or stderr unless DPIV_LOG says so.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

#define LINE_MAX_LEN  2048
#define LINE_LONG_LEN (300 * 1024) /* an APDU of extended length in hex, twice */

static const char *const level_names[] = { "off", "error", "warn", "info", "debug", "trace" };

static pthread_once_t once = PTHREAD_ONCE_INIT;
_Atomic int log_wanted = LOG_TRACE;
static int sink = -1;

static enum log_level
level_of(const char *name, size_t n)
{
	for (size_t i = 0; i < sizeof level_names / sizeof level_names[0]; i++)
		if (strlen(level_names[i]) == n && strncmp(level_names[i], name, n) == 0)
			return (enum log_level)i;
	return LOG_OFF;
}

static void
log_setup(void)
{
	const char *s = secure_getenv("DPIV_LOG"), *colon = s != NULL ? strchr(s, ':') : NULL;
	enum log_level wanted = LOG_OFF;

	if (s != NULL)
		wanted = level_of(s, colon != NULL ? (size_t)(colon - s) : strlen(s));
	if (wanted != LOG_OFF && (colon == NULL || colon[1] == '\0'))
		sink = STDERR_FILENO;
	else if (wanted != LOG_OFF)
		sink = open(colon + 1, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	log_wanted = sink >= 0 ? wanted : LOG_OFF;
}

bool
log_on(enum log_level level)
{
	pthread_once(&once, log_setup);
	return (int)level <= log_wanted;
}

/* One line, whatever was in the texts that it is made of; there is room for the end. */
static void
line_end(char *line)
{
	size_t n = strlen(line);

	for (size_t i = 0; i < n; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7F)
			line[i] = '?';
	line[n++] = '\n';
	if (write(sink, line, n) < 0)
		return; /* nowhere to complain */
}

void
log_at(enum log_level level, const char *event, const char *fmt, ...)
{
	char line[LINE_MAX_LEN], *longer;
	struct timespec now;
	struct tm tm;
	size_t n;
	int need;
	va_list ap;

	if (!log_on(level))
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	n = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &tm);
	n += (size_t)snprintf(line + n, sizeof line - n, ".%03ldZ pid=%ld level=%s event=%s ", now.tv_nsec / 1000000,
	    (long)getpid(), level_names[level], event);
	va_start(ap, fmt);
	need = vsnprintf(line + n, sizeof line - n - 1, fmt, ap);
	va_end(ap);
	if (need < (int)(sizeof line - n - 1) || need > LINE_LONG_LEN ||
	    (longer = malloc(n + (size_t)need + 2)) == NULL) {
		line_end(line);
		return;
	}
	memcpy(longer, line, n);
	va_start(ap, fmt);
	vsnprintf(longer + n, (size_t)need + 1, fmt, ap);
	va_end(ap);
	line_end(longer);
	free(longer);
}
