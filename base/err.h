/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_BASE_ERR_H
#define DPIV_BASE_ERR_H

/*
 * A failure is a code for the program and one sentence for the human, both set where the failure is known:
 *
 *	return err_set(E_PIN, "%s: PIN rejected, %d tries left", token, left);
 *
 * The sentence says what failed, on which card, token or server, and what to do next. It belongs to the thread that
 * set it and lasts until that thread's next err_set(). Nothing is printed here: front ends show err_msg().
 */

#define ERR_LIST(X)                                                                                                    \
	X(OK, "success")                                                                                               \
	X(NOMEM, "out of memory")                                                                                      \
	X(ARG, "bad argument")                                                                                         \
	X(NOREADER, "no smart card reader")                                                                            \
	X(NOCARD, "no card in the reader")                                                                             \
	X(CARDGONE, "the card was removed or replaced")                                                                \
	X(NOTPIV, "not a PIV card")                                                                                    \
	X(IO, "input/output error")                                                                                    \
	X(PROTO, "malformed data")                                                                                     \
	X(SW, "the card refused the command")                                                                          \
	X(PIN, "wrong PIN")                                                                                            \
	X(PINLOCKED, "the PIN is blocked")                                                                             \
	X(PINLEN, "malformed PIN")                                                                                     \
	X(AUTH, "not logged in")                                                                                       \
	X(CANCELED, "canceled")                                                                                        \
	X(NOTFOUND, "not found")                                                                                       \
	X(EXISTS, "already exists")                                                                                    \
	X(NOSPACE, "no room left on the token")                                                                        \
	X(READONLY, "write protected")                                                                                 \
	X(UNSUP, "not supported")                                                                                      \
	X(CRYPTO, "cryptographic failure")                                                                             \
	X(POLICY, "refused by policy")                                                                                 \
	X(EXPIRED, "expired or not yet valid")                                                                         \
	X(REVOKED, "revoked")                                                                                          \
	X(NET, "network failure")                                                                                      \
	X(REMOTE, "the server refused")                                                                                \
	X(PENDING, "the server wants more time")                                                                       \
	X(STORE, "state store failure")                                                                                \
	X(BUSY, "in use by another program")                                                                           \
	X(CONF, "configuration error")                                                                                 \
	X(USAGE, "wrong usage")                                                                                        \
	X(INTERNAL, "internal error")

enum err {
#define X(name, text) E_##name,
	ERR_LIST(X)
#undef X
	    E_COUNT
};

#define MUST_CHECK   __attribute__((warn_unused_result))
#define PRINTF(a, b) __attribute__((format(printf, a, b)))

/* Record the sentence, log it at debug level, return the code. */
enum err err_set(enum err code, const char *fmt, ...) MUST_CHECK PRINTF(2, 3);

/* Put context in front of the current sentence: "est: cacerts: " + what was there. Returns code. */
enum err err_up(enum err code, const char *fmt, ...) MUST_CHECK PRINTF(2, 3);

/* As err_set(), with the reason of libcrypto's newest queued error behind the sentence; empties that queue. */
enum err err_crypto(enum err code, const char *fmt, ...) MUST_CHECK PRINTF(2, 3);

/* This thread's last sentence; "" when there was none. Never NULL. */
const char *err_msg(void);
void err_clear(void);
/* Around what may fail without anybody being told, so that the sentence of what was told before stays. */
#define ERR_MSG_MAX 768
struct err_kept {
	char text[ERR_MSG_MAX];
};
struct err_kept err_keep(void);
void err_put_back(const struct err_kept *kept);

/* "E_PIN" -> "PIN", and the code's generic text. Any value is safe. */
const char *err_name(enum err code);
const char *err_text(enum err code);

#endif
