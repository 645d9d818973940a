/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_CLI_ADDRESS_H
#define DPIV_CLI_ADDRESS_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/err.h"

/* Mail addresses: user@example.test, without display names, comments and routes. */
#define ADDRESS_MAX 320

struct addresses {
	char (*v)[ADDRESS_MAX];
	size_t n;
};

/* Adds every address of a From, To or Cc value (RFC 5322, 3.4), groups included. What is no address is left out. At
 * most ADDRESSES_MAX are kept (E_PROTO beyond). */
#define ADDRESSES_MAX 1000
enum err addresses_add(struct addresses *a, struct span value) MUST_CHECK;
enum err addresses_add_one(struct addresses *a, const char *address) MUST_CHECK;
bool addresses_have(const struct addresses *a, const char *address);
void addresses_free(struct addresses *a);
/* Compared without regard to case: the local part is case sensitive on paper only. */
bool address_eq(const char *a, const char *b);
/* One '@' with something on both sides, nothing that needs quoting in a message or a certificate. */
bool address_ok(const char *a);

#endif
