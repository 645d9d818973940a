/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_CLI_RUN_H
#define DPIV_CLI_RUN_H

#include "cli/notice.h"
#include "derive/derive.h"

/* Around derive_run(), derive_renew() and derive_revoke(): the person's part of the request (ask, step, stop; timeout
 * is set before), Ctrl-C, and an end to what hangs. */
void run_begin(struct derive_req *req);
void run_end(void);
/* --wait and --timeout; E_USAGE. */
enum err run_seconds(const char *text, long *out) MUST_CHECK;
/* "auth,sign", each once, into the request; E_USAGE. */
enum err run_roles(const char *text, struct derive_req *req) MUST_CHECK;
/* derive_req's assured: one line, before anything is made. */
void run_assured(void *arg, const char *token, const struct assure *a);
/* A few lines about each credential that is there now, and a notice about those that were not before. */
void run_results(const struct derive_result *r, size_t n, const struct notices *to, enum notice what);

#endif
