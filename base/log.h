/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_BASE_LOG_H
#define DPIV_BASE_LOG_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/err.h"

/*
 * Silent unless asked: DPIV_LOG=error|warn|info|debug|trace[:FILE] (read once, through secure_getenv; without FILE,
 * standard error). One line an event: time, pid, level, event name, key=value. No PIN, plaintext or key byte ever
 * comes here: callers pass lengths, names and status words. The APDU trace is redacted by its only caller, hw/apdu.c.
 */
enum log_level { LOG_OFF, LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_TRACE };

bool log_on(enum log_level level);
void log_at(enum log_level level, const char *event, const char *fmt, ...) PRINTF(3, 4);

/* What a silent log costs: LOG_TRACE until DPIV_LOG was looked at, by the first line. */
extern _Atomic int log_wanted;
#define LOG_LINE(level, event, ...)                                                                                    \
	do {                                                                                                           \
		if ((level) <= atomic_load_explicit(&log_wanted, memory_order_relaxed))                                \
			log_at(level, event, __VA_ARGS__);                                                             \
	} while (0)

#define log_error(event, ...) LOG_LINE(LOG_ERROR, event, __VA_ARGS__)
#define log_warn(event, ...)  LOG_LINE(LOG_WARN, event, __VA_ARGS__)
#define log_info(event, ...)  LOG_LINE(LOG_INFO, event, __VA_ARGS__)
#define log_debug(event, ...) LOG_LINE(LOG_DEBUG, event, __VA_ARGS__)
#define log_trace(event, ...) LOG_LINE(LOG_TRACE, event, __VA_ARGS__)

#endif
