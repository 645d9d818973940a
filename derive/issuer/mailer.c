/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Starts 'dpiv-issuer notify', one at a time (child.h): when something is due, and once a day for what expires.
 */
#include "derive/issuer/child.h"
#include "derive/issuer/mailer.h"
#include "derive/issuer/outbox.h"

#define DAY 86400

void
mailer_tick(struct mailer *m, const struct issuer *i, time_t now)
{
	if (i->config.smtp.url == NULL || child_runs(&m->round) || (!outbox_due(i->db, now) && now - m->last < DAY))
		return;
	m->last = now;
	child_start(i, "notify", NULL, &m->round);
}
