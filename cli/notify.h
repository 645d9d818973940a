/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_CLI_NOTIFY_H
#define DPIV_CLI_NOTIFY_H

#include <stdbool.h>

#include "base/err.h"

/* A notice on the person's desktop. urgent: it stays until it is closed. E_NOTFOUND: there is no session bus, or nobody
 * on it who shows notices; E_IO. Returns within a few seconds. */
enum err notify_send(const char *summary, const char *body, bool urgent) MUST_CHECK;

#endif
