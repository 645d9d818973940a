/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_NOTE_H
#define DPIV_ISSUER_NOTE_H

#include "base/err.h"

/* One line an event on standard error: UTC time, event name, key=value. Never a secret; foreign text goes through
 * text_safe() first. Off until note_on(), so that tests and the fuzzers stay quiet. */
void note_on(void);
void note(const char *event, const char *fmt, ...) PRINTF(2, 3);

#endif
