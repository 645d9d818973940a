/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Times in words: see when.h. The largest unit of which there are at least two is the one that people think in: 36
 * hours, 13 days, 23 months. Dates are of the local time zone, months by their English names whatever the locale.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/when.h"

#define HOUR  3600L
#define DAY   (24 * HOUR)
#define MONTH (30 * DAY + 10 * HOUR)
#define YEAR  (365 * DAY + 6 * HOUR)

static const struct {
	long from, unit;
	const char *name;
} units[] = {
	{ 2 * YEAR, YEAR, "years" },
	{ 60 * DAY, MONTH, "months" },
	{ 2 * DAY, DAY, "days" },
	{ 2 * HOUR, HOUR, "hours" },
	{ 120, 60, "minutes" },
};

static bool
when_parse(const char *iso, time_t *out)
{
	struct tm tm = { .tm_isdst = 0 };
	int n = 0;

	if (sscanf(iso, "%4d-%2d-%2dT%2d:%2d:%2dZ%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min,
		&tm.tm_sec, &n) != 6 ||
	    iso[n] != '\0')
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	*out = timegm(&tm);
	return true;
}

static void
when_date(time_t t, char *out, size_t cap)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	struct tm tm;

	if (localtime_r(&t, &tm) == NULL || tm.tm_mon < 0 || tm.tm_mon > 11)
		snprintf(out, cap, "?");
	else
		snprintf(out, cap, "%d %.3s %d", tm.tm_mday, months + (ptrdiff_t)3 * tm.tm_mon, tm.tm_year + 1900);
}

/* "in 3 years", "12 days ago", "just now" */
static void
when_far(time_t t, time_t now, char *out, size_t cap)
{
	long far = labs((long)(t - now));

	for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
		if (far < units[i].from)
			continue;
		snprintf(out, cap, t >= now ? "in %ld %s" : "%ld %s ago", (far + units[i].unit / 2) / units[i].unit,
		    units[i].name);
		return;
	}
	snprintf(out, cap, t >= now ? "in a minute" : "just now");
}

const char *
when_text(const char *iso, time_t now, char out[WHEN_MAX])
{
	char date[32], far[40];
	time_t t;

	if (!when_parse(iso, &t)) {
		snprintf(out, WHEN_MAX, "%s", iso);
		return out;
	}
	when_date(t, date, sizeof date);
	when_far(t, now, far, sizeof far);
	snprintf(out, WHEN_MAX, "%s (%s)", date, far);
	return out;
}

const char *
when_valid(const char *iso, time_t now, char out[WHEN_MAX])
{
	char date[32], far[40];
	time_t t;

	if (!when_parse(iso, &t)) {
		snprintf(out, WHEN_MAX, "%s", iso);
		return out;
	}
	when_date(t, date, sizeof date);
	when_far(t, now, far, sizeof far);
	snprintf(out, WHEN_MAX, "%s %s, %s", t > now ? "until" : "expired", date, far);
	return out;
}
