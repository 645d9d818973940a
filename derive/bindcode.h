/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_DERIVE_BINDCODE_H
#define DPIV_DERIVE_BINDCODE_H

#include "base/bytes.h"
#include "base/err.h"

/*
 * The one-time binding code of a person (SP 800-157r1, App. C) as text: five groups of four symbols of Crockford's
 * base32, "7F3K-9QWD-ZX01-4MTP-HB2C". The first group only names the code at the issuer; the next 15 symbols are the
 * secret, 75 bits; the last one is a check character. Plain form: the 20 symbols alone, upper case.
 */
#define BINDCODE_NAME	4
#define BINDCODE_PLAIN	21 /* with NUL */
#define BINDCODE_TEXT	25 /* with hyphens and NUL */
#define BINDCODE_DRAWN	19 /* symbols that are chance, the name among them */
#define BINDCODE_SECRET 75 /* bits */

enum err bindcode_new(char plain[BINDCODE_PLAIN]) MUST_CHECK;
/* Of these bytes, five bits each. */
void bindcode_from(const uint8_t raw[BINDCODE_DRAWN], char plain[BINDCODE_PLAIN]);
/* The first group, where it is written alone. */
bool bindcode_read_name(struct span typed, char name[BINDCODE_NAME + 1]);
/* As a person types it: any case, O for 0, I and L for 1, blanks and hyphens anywhere. E_POLICY: not a code, or it was
 * mistyped: every single wrong symbol and every exchange of two is noticed. */
enum err bindcode_read(struct span typed, char plain[BINDCODE_PLAIN]) MUST_CHECK;
char *bindcode_show(const char plain[BINDCODE_PLAIN], char out[BINDCODE_TEXT]);

#endif
