/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_SERVER_H
#define DPIV_ISSUER_SERVER_H

#include "derive/issuer/issuer.h"

/* Serves until SIGTERM or SIGINT. address and versions: NULL = as configured. ready(url) is called once, when
 * connections are accepted. The issuer was opened with ISSUER_KEY | ISSUER_TRUST. */
enum err
server_run(struct issuer *i, const char *address, const char *versions, void (*ready)(const char *url)) MUST_CHECK;

#endif
