/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_REPORT_H
#define DPIV_ISSUER_REPORT_H

#include <stdbool.h>

#include "base/err.h"

/* What the verbs that report have in common. */

struct issuer;
/* [--json] DIR: the directory is opened, shown and closed. */
typedef enum err report_fn(struct issuer *i, bool json);
enum err report_run(int argc, char **argv, report_fn *show) MUST_CHECK;
/* [--json] DIR. */
enum err report_args(int argc, char **argv, bool *json, const char **dir) MUST_CHECK;
/* "name": "value" on standard output, and a comma unless it is the last. */
void report_string(const char *name, const char *value, bool last);

#endif
