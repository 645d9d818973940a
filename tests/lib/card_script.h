/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_TESTS_CARD_SCRIPT_H
#define DPIV_TESTS_CARD_SCRIPT_H

#include "tests/vcard/vcard.h"

/*
 * Dialogues with a virtual card as tables. cmd: a command APDU in hex (blanks allowed), or an event: "reset",
 * "other" (another program's SELECT), "remove", "insert". want: what the response must be: exact hex, or
 * PREFIX*SUFFIX with any bytes for the star, or "" for no response at all. NULL cmd ends the table.
 */
struct step {
	const char *cmd, *want;
};
void card_play(struct vcard *, const struct step *);

/*
 * A card with fixed contents and the demo secrets: 9A 9D 83 one RSA-2048 key, 9C 82 one P-256 key, 9E P-384, 84
 * RSA-1024; Discovery, a CHUID of 300 bytes, Printed Information behind the PIN, a certificate object in 5FC105.
 * extra: JSON members that replace or add to the image ("" for none), e.g. "\"extended\": true".
 */
struct vcard *card_fixture(const char *extra);

/* One command: response bytes into out (VCARD_RESPONSE_MAX), returns the length. */
size_t card_send(struct vcard *, const char *cmd, uint8_t *out);

/* Authenticate externally with the management key: key NULL, alg 03: the demo key. Fails the test when the card
 * refuses. */
void card_admin(struct vcard *, const uint8_t *key, uint8_t alg);
/* One block of the cipher of a management key algorithm (03 08 0A 0C). */
void card_encrypt(uint8_t alg, const uint8_t *key, const uint8_t *in, uint8_t *out);
extern const uint8_t card_demo_key[24];

/* The frequent ones. */
#define SELECT_PIV   "00A4040009 A00000030800001000 00"
#define VERIFY_OK    "0020008008 313233343536FFFF"
#define VERIFY_BAD   "0020008008 363534333231FFFF"
#define VERIFY_EMPTY "00200080"
#define GET_CHUID    "00CB3FFF05 5C035FC102 00"

#endif
