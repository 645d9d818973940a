/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_CHILD_H
#define DPIV_ISSUER_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#include "derive/issuer/issuer.h"

/* Work of the server's that may take long, done by this same program in a process of its own. */

/* 'dpiv-issuer VERB [OPTION] DIR'; option may be NULL. *pid is 0, with a note on the journal, when it cannot start. */
void child_start(const struct issuer *i, const char *verb, const char *option, pid_t *pid);
/* Does it still run? *pid becomes 0 when not. */
bool child_runs(pid_t *pid);

#endif
