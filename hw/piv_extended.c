/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Extended length (ISO/IEC 7816-3, 12.1.3), which PIV does not ask for and many cards have: a certificate in one APDU
 * instead of five, an RSA operation in one instead of three.
 *
 * A card says so in its ATR; then it is used at once. One that is silent is asked, at most once in its life, after the
 * work is done, and only when the answer can be remembered (piv_cache.c): the largest certificate that is known is read
 * again in the extended form, and every byte must be the same. Whatever goes wrong with an extended command ends its
 * use, here and in the memory, and the command is repeated in the short form (apdu.c; piv_run() where the reader
 * fails).
 */
#include "base/log.h"
#include "hw/atr.h"
#include "hw/piv_int.h"

#define SHORT_MAX 256

/* The reader is asked only when the card can. */
static bool
reader_can(struct piv_card *card)
{
	size_t max = card->link.ops->max_data != NULL ? card->link.ops->max_data(card->link.conn) : 0;

	card->link.max_data = max;
	return max == 0 || max > SHORT_MAX;
}

void
piv_extended_use(struct piv_card *card, bool known)
{
	if (card->extended || !(known || atr_extended(span_of(card->id.atr, card->id.atr_len))))
		return;
	card->extended = card->link.extended = reader_can(card);
	log_debug("extended", "card=\"%s\" reader-max=%zu used=%d", card->name, card->link.max_data, card->extended);
}

bool
piv_extended_failed(struct piv_card *card)
{
	if (!card->extended || card->link.extended)
		return false;
	card->extended = false;
	log_info("extended", "card=\"%s\" event=given-up", card->name);
	return true;
}
