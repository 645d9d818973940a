/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_CLI_STATUS_H
#define DPIV_CLI_STATUS_H

#include <jansson.h>

/* The tree of `dpiv status --json` on standard output, for a person. */
void status_text(const json_t *tree);

#endif
