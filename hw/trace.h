/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_HW_TRACE_H
#define DPIV_HW_TRACE_H

#include "hw/apdu.h"

/*
 * The trace (DPIV_LOG=trace): what goes to a card and comes back, one line an APDU, fit to be posted by a user and to
 *be played as a card (replay.h).
 *
 *	event=atr reader="R" atr=HEX
 *	event=apdu reader="R" cla=00 ins=CB p1=3F p2=FF lc=5 data=HEX answer=256 rsp=HEX sw=61A0
 *
 * What is not to be shown is `*`; its length stays. whole: the command that this APDU is a part of (GET RESPONSE).
 */
void trace_apdu(const struct apdu_link *link, const struct apdu *whole, const struct apdu *a, uint8_t cla,
    struct span data, struct span answer, uint16_t sw);
void trace_atr(const char *reader, struct span atr);

#endif
