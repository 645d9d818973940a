/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_FORWARDER_H
#define DPIV_ISSUER_FORWARDER_H

#include <sys/types.h>

#include "derive/issuer/issuer.h"

/* The server's side of a CA behind the issuer: processes that take requests there, as many as [upstream] connections
 * allows. All zero at first. */
#define FORWARDER_MAX 32
struct forwarder {
	pid_t round[FORWARDER_MAX]; /* 0: none */
};
/* Starts one where there is something to do. */
void forwarder_tick(struct forwarder *f, struct issuer *i, time_t now);

#endif
