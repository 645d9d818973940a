/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_CLI_CODE_H
#define DPIV_CLI_CODE_H

#include "base/err.h"
#include "base/secret.h"

/* A binding code from the first line of a file, or of standard input ("-"; on a terminal it is asked for), in plain
 * form with NUL. E_POLICY: it is none, or it is mistyped. */
enum err code_read(const char *path, struct secret **out) MUST_CHECK;

#endif
