/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_CLI_DOCTOR_H
#define DPIV_CLI_DOCTOR_H

#include "base/err.h"

/*
 * dpiv doctor: each check looks at one thing and reports one or more findings: a level, one sentence, and for what is
 * not in order the command to run (NULL: none). Checks know nothing about how findings are shown.
 */
enum doctor_level { DOCTOR_OK, DOCTOR_ATTENTION, DOCTOR_PROBLEM };

struct doctor;

void doctor_say(struct doctor *d, enum doctor_level level, const char *command, const char *fmt, ...) PRINTF(4, 5);

typedef void doctor_check(struct doctor *d);

/* doctor_card.c: the service, the readers, who else uses them, the cards */
doctor_check doctor_service, doctor_polkit, doctor_readers, doctor_sharing;
/* doctor_host.c: what is installed and configured on this machine */
doctor_check doctor_registered, doctor_engine, doctor_configuration, doctor_clock, doctor_folders;

#endif
