/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_BASE_SECRET_H
#define DPIV_BASE_SECRET_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

/*
 * Memory for PINs and keys: a mapping of its own, locked (best effort), left out of core dumps, wiped in a forked
 * child and when freed. Never part of a larger heap object, never printed, never logged.
 */
struct secret {
	size_t n;   /* bytes in use */
	size_t cap; /* bytes that fit */
	uint8_t v[];
};

/* An empty secret with room for cap bytes (1 MiB at most); NULL when memory is short. */
struct secret *secret_new(size_t cap);
/* A secret holding a copy of these bytes. */
struct secret *secret_copy(const void *p, size_t n);
/* Behind what it holds; false, and nothing changes, when it does not fit. */
bool secret_put(struct secret *s, const void *p, size_t n);
/* Wipes, unmaps, clears the pointer. *s may be NULL. */
void secret_free(struct secret **s);
struct span secret_view(const struct secret *s); /* empty for NULL */
/* Equal contents? Constant time in the contents; NULL equals nothing. */
bool secret_eq(const struct secret *a, const struct secret *b);

/* For a program of dpiv's own, never for the module in somebody else's: no core dumps, no look into it by others of the
 * same user, nothing swapped where the limits allow it, and a secure heap for libcrypto. */
void secret_keep_process(void);

#define SECRET_AUTO __attribute__((cleanup(secret_free))) struct secret *

#endif
