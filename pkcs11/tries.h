/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_PKCS11_TRIES_H
#define DPIV_PKCS11_TRIES_H

#include "base/err.h"

/*
 * Consecutive wrong PINs at a token that does not count them itself, in a file of the user's
 * ($XDG_STATE_HOME/dpiv/tries-TOKEN), shared by all processes. A try is counted before the token sees the PIN, so that
 * killing the process gains nothing, and forgotten when the PIN was good.
 *
 * token: text that names it, letters and digits. E_STORE, and then no PIN may be tried: the file cannot be read or
 * written, is not the user's own, or is damaged.
 */
enum tries_of { TRIES_USER, TRIES_SO, TRIES_KINDS };

/* One more; E_PINLOCKED, and nothing is counted, when max were used. */
enum err tries_count(const char *token, enum tries_of who, unsigned max) MUST_CHECK;
/* It was a good one: none are used. */
enum err tries_reset(const char *token, enum tries_of who) MUST_CHECK;
/* The token did not judge it. */
enum err tries_undo(const char *token, enum tries_of who) MUST_CHECK;
enum err tries_used(const char *token, enum tries_of who, unsigned *used) MUST_CHECK;

#endif
