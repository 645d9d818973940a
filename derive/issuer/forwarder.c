/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Starts 'dpiv-issuer upstream --run' (upstream_run.h). A round goes on for as long as there are requests and a little
 * longer, so the cost of a process, of the login at a token and of a TLS handshake is not paid for each of them.
 */
#include "derive/issuer/child.h"
#include "derive/issuer/forwarder.h"
#include "derive/issuer/upstream.h"

void
forwarder_tick(struct forwarder *f, struct issuer *i, time_t now)
{
	pid_t *free_place = NULL;

	if (!upstream_is(i))
		return;
	for (long k = 0; k < i->config.up.connections && k < FORWARDER_MAX; k++)
		if (!child_runs(&f->round[k]) && free_place == NULL)
			free_place = &f->round[k];
	if (free_place != NULL && upstream_due(i, now))
		child_start(i, "upstream", "--run", free_place);
}
