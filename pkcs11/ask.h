/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_PKCS11_ASK_H
#define DPIV_PKCS11_ASK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/conf.h"
#include "base/secret.h"
#include "pkcs11/p11.h"

/* Asking the user for a PIN through a program of the configuration ([module] pin_helper): pinentry or an askpass. */

#define ASK_PIN_MAX 64 /* bytes that a helper may answer */

/* --- helper.c: the program --- */

struct ask {
	const char *text;  /* UTF-8, several lines */
	const char *error; /* what was wrong with the last answer, or NULL */
};

/* Is the caller to give up? Asked ten times a second. */
typedef bool ask_stop(void *arg);

/* Is there one, and may this process run it? */
bool helper_usable(const struct conf *conf);
/* The answer: E_CANCELED by the user, by stop(), or because time ran out; E_UNSUP when there is no helper, or this
 * process must not run one; E_IO, E_PROTO it failed. */
enum err
helper_ask(const struct conf *conf, const struct ask *a, ask_stop *stop, void *arg, struct secret **pin) MUST_CHECK;

/* --- pinentry.c: Assuan, the language of pinentry --- */

enum assuan { ASSUAN_OK, ASSUAN_ERR, ASSUAN_DATA, ASSUAN_COMMENT, ASSUAN_WRONG };
#define ASSUAN_LINE 1000 /* libassuan's limit, without the line feed */

/* The next whole line of *in; false when there is none yet. *too_long: there never will be. */
bool assuan_next(struct span *in, struct span *line, bool *too_long);
/* What a line says; the data of a D line, unescaped, is appended to pin. */
enum assuan assuan_read(struct span line, struct secret *pin);
/* A command with its argument, escaped and cut to what a line may hold, with the line feed. */
void assuan_write(struct wbuf *out, const char *command, const char *argument);

/* --- ask.c: what for (slot lock held) --- */

/* Around a call that waits for the user, in whichever way. */
void ask_begin(struct p11_session *s);
void ask_end(struct p11_session *s);
/* Without the slot's lock: end the waiting of session h's call, or, with h 0, of anybody's. */
void ask_interrupt(struct p11_slot *slot, CK_SESSION_HANDLE h);
/* For the operation, instead of a context-specific login that did not come: CKR_USER_NOT_LOGGED_IN without helper. */
CK_RV ask_for_operation(struct p11_session *s, struct p11_op *op);
/* For a login that ended. */
CK_RV ask_for_login(struct p11_session *s);

#endif
