/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_CLI_PICK_H
#define DPIV_CLI_PICK_H

#include "base/conf.h"
#include "derive/store.h"

/* Credentials by what the command line calls them. */
struct picked {
	struct credential *c; /* active ones, newest first */
	size_t n;
};

/* word: a role, a serial number (hex), the holder's name, a token's label, the issuer's address or the UUID, or several
 * of these with commas between them; NULL: every credential. E_NOTFOUND says which there are. */
enum err pick(struct store *s, const char *word, struct picked *out) MUST_CHECK;
/* Exactly one: E_USAGE with the serial numbers when word fits several. */
enum err pick_one(struct store *s, const char *word, struct picked *out) MUST_CHECK;
/* The same; also one that is not in use any more (its token was lost, another has taken its place), by its serial
 * number alone. */
enum err pick_revocable(struct store *s, const char *word, struct picked *out) MUST_CHECK;
void pick_free(struct picked *p);

/* "the auth credential of Pat Example (serial 01AB) on 'laptop'". Returns out. */
char *pick_name(const struct credential *c, char *out, size_t cap);
/* The URI to open its token with: --token when it was given; else one of dpiv.conf that names this token and a PIN
 * source, else the store's. */
void pick_token(const struct conf *conf, const struct credential *c, const char *given, char *out, size_t cap);

#endif
