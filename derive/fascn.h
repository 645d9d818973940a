/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_DERIVE_FASCN_H
#define DPIV_DERIVE_FASCN_H

#include <stdbool.h>

#include "base/bytes.h"

#define FASCN_BYTES   25
#define FASCN_SYMBOLS 40

/* 25 bytes -> 40 symbols: digits, '.' for what is none (separators, sentinels, wrong parity). False: wrong length. */
bool fascn_read(struct span fascn, char out[FASCN_SYMBOLS + 1]);
/* Agency, system and credential: the 14 digits that name a card; false when they are not digits. */
bool fascn_card(struct span fascn, char out[15]);
/* Person identifier, organizational category and identifier: the 15 digits that name a person; false when they are not
 * digits, or a person identifier of zeros or nines only, which is how cards leave it out. */
bool fascn_person(struct span fascn, char out[16]);

#endif
