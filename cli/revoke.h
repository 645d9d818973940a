/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_CLI_REVOKE_H
#define DPIV_CLI_REVOKE_H

#include "derive/store.h"

/* On standard output: what to ask an issuer for that dpiv cannot ask. */
void revoke_tell(const struct credential *c, const char *reason);

#endif
