/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_NOTIFY_H
#define DPIV_ISSUER_NOTIFY_H

#include "derive/issuer/issuer.h"

/* Adds what expires to the notices and sends what is due; *sent and *left count. A relay that does not answer ends the
 * round (E_NET); a letter that it refuses does not. E_CONF: there is no relay, or nothing to sign with. */
enum err notify_round(struct issuer *i, time_t now, size_t *sent, size_t *left) MUST_CHECK;

#endif
