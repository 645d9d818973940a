/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_SERVER_H
#define DPIV_ISSUER_SERVER_H

#include "derive/issuer/issuer.h"

struct server_urls {
	char tls[128], plain[128]; /* plain: "" when nothing is published here */
};

/* Serves until SIGTERM or SIGINT. address and versions: NULL = as configured. ready(urls) is called once, when
 * connections are accepted. The issuer was opened with ISSUER_KEY | ISSUER_TRUST. */
enum err server_run(struct issuer *i, const char *address, const char *versions,
    void (*ready)(const struct server_urls *urls)) MUST_CHECK;

#endif
