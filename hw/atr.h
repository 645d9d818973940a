/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_HW_ATR_H
#define DPIV_HW_ATR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

/* What is told before the first command is sent: by the card in its ATR, by the reader in its properties. Pure
 * functions over foreign bytes (fuzzed); what cannot be parsed tells nothing. */

/* Does the ATR's card capabilities object say "extended Lc and Le fields"? */
bool atr_extended(struct span atr);
/* PC/SC part 10, 2.2: the control code of a feature; false when the reader has not got it. */
bool reader_feature(struct span features, uint8_t tag, uint32_t *code);
/* PC/SC part 10, 2.6.14: a number in the answer of FEATURE_GET_TLV_PROPERTIES; false when the reader is silent. */
bool reader_property(struct span properties, uint8_t tag, uint32_t *value);

#endif
