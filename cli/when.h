/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_CLI_WHEN_H
#define DPIV_CLI_WHEN_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

/*
 * Times in words, with the date. From the text that JSON has (2026-11-24T12:00:00Z); what is no time stays as it is.
 */
#define WHEN_MAX 96

/* "24 Nov 2026 (in 12 days)", "23 Nov 2026 (36 hours ago)" */
const char *when_text(const char *iso, time_t now, char out[WHEN_MAX]);
/* Of an expiry: "until 24 Nov 2029, in 3 years", or "expired 24 Nov 2025, 12 months ago" */
const char *when_valid(const char *iso, time_t now, char out[WHEN_MAX]);

#endif
