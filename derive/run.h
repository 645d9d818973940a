/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_DERIVE_RUN_H
#define DPIV_DERIVE_RUN_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/err.h"

/* Another program, run to its end within a limit of time and in a session of its own, so that it has no terminal. */
struct run {
	const char *const *argv; /* argv[0]: a path, or looked for in PATH; ends with NULL */
	struct span input;	 /* its standard input, at most RUN_INPUT_MAX bytes; empty: /dev/null */
	int seconds;		 /* then it is killed */
	bool both;		 /* its error messages are part of the output, too */
};
#define RUN_INPUT_MAX 4096

/* Its output is appended to out, which the caller caps: more is read and dropped (out->bad). *status: its exit status,
 * or -1 when a signal ended it. E_IO: it cannot be started; E_BUSY: it did not end in time. */
enum err run_program(const struct run *r, struct wbuf *out, int *status) MUST_CHECK;

#endif
