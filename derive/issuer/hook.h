/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_HOOK_H
#define DPIV_ISSUER_HOOK_H

#include <stdbool.h>

#include "derive/issuer/config.h"
#include "derive/issuer/pivid.h"

/*
 * The site's own identity system: the program [accounts] hook gets one JSON object on standard input,
 *
 *	{"operation": "enrol", "purpose": "auth", "subject": "CN=...", "fascn": "...", "uuid": "...", "upn": "...",
 *	 "email": "...", "card": "SHA-256 of the PIV Authentication certificate"}
 *
 * where operation is "enrol" or "renew" and what the card does not say is "". Its exit status answers: 0 yes, 1 no,
 *with the reason for the person as first line of its output. Anything else, and no end in time, is no answer: refused,
 *to be tried again. The issuer serves nobody else meanwhile. E_POLICY with refuse_last(); E_OK when there is no hook.
 */
enum err hook_ask(const struct config *c, const struct pivid *id, const char *purpose, bool renews) MUST_CHECK;

#endif
