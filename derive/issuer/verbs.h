/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_VERBS_H
#define DPIV_ISSUER_VERBS_H

#include "base/err.h"

/* The verbs of the command. argv[0] is the verb. Results go to standard output; errors are returned. */
enum err verb_init(int argc, char **argv) MUST_CHECK;
enum err verb_serve(int argc, char **argv) MUST_CHECK;
enum err verb_status(int argc, char **argv) MUST_CHECK;
enum err verb_account(int argc, char **argv) MUST_CHECK;
enum err verb_revoke(int argc, char **argv) MUST_CHECK;
enum err verb_notify(int argc, char **argv) MUST_CHECK;
enum err verb_audit(int argc, char **argv) MUST_CHECK;
enum err verb_doctor(int argc, char **argv) MUST_CHECK;
enum err verb_backup(int argc, char **argv) MUST_CHECK;
enum err verb_restore(int argc, char **argv) MUST_CHECK;
enum err verb_upstream(int argc, char **argv) MUST_CHECK;
/* Of verb_account. */
enum err verb_account_list(int argc, char **argv) MUST_CHECK;

#endif
