/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_CLI_TOOL_H
#define DPIV_CLI_TOOL_H

#include "base/bytes.h"
#include "base/err.h"

#define TOOL_TIMEOUT 30 /* seconds */

/* Is there such a program in PATH? */
bool tool_there(const char *name);
bool tool_path(const char *name, char *out, size_t cap);
/* Runs a program from PATH, without a terminal and without standard input, and waits for its end. What it writes on
 * both streams is appended to out. E_NOTFOUND: there is none; E_IO: it failed, with its first line; E_BUSY: it took
 * too long. */
enum err tool_run(const char *const argv[], struct wbuf *out) MUST_CHECK;

#endif
