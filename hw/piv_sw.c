/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Status words as errors: SP 800-73-5 part 1, 5.6, ISO/IEC 7816-4 tables 5 and 6, and what cards in the field add. One
 * row a status word; a mask of FF00 makes a row stand for the whole class. The first row that fits counts.
 */
#include "hw/piv_int.h"

static const struct {
	uint16_t sw, mask;
	enum err err;
	const char *text;
} rows[] = {
	{ 0x63C0, 0xFFF0, E_PIN, "wrong PIN" },
	{ 0x6300, 0xFFF0, E_PIN, "verification failed" },
	{ 0x6581, 0xFFFF, E_IO, "the card's memory failed" },
	{ 0x6700, 0xFFFF, E_SW, "the card does not accept this length" },
	{ 0x6881, 0xFFFF, E_UNSUP, "the card has no logical channels" },
	{ 0x6882, 0xFFFF, E_UNSUP, "the card has no secure messaging" },
	{ 0x6884, 0xFFFF, E_UNSUP, "the card does not take chained commands" },
	{ 0x6982, 0xFFFF, E_AUTH, "not logged in" },
	{ 0x6983, 0xFFFF, E_PINLOCKED, "blocked" },
	{ 0x6985, 0xFFFF, E_AUTH, "the card's conditions of use are not satisfied" },
	{ 0x6987, 0xFFFF, E_UNSUP, "the card wants secure messaging" },
	{ 0x6988, 0xFFFF, E_UNSUP, "the card wants secure messaging" },
	{ 0x6A80, 0xFFFF, E_SW, "the card does not accept this data" },
	{ 0x6A81, 0xFFFF, E_UNSUP, "the card does not support this, or not over this interface" },
	{ 0x6A82, 0xFFFF, E_NOTFOUND, "not on the card" },
	{ 0x6A84, 0xFFFF, E_NOSPACE, "no room left on the card" },
	{ 0x6A86, 0xFFFF, E_UNSUP, "the card does not have this key or algorithm" },
	{ 0x6A88, 0xFFFF, E_NOTFOUND, "not on the card" },
	{ 0x6B00, 0xFFFF, E_UNSUP, "the card does not have this key or slot" },
	{ 0x6D00, 0xFFFF, E_UNSUP, "the card does not know this command" },
	{ 0x6E00, 0xFFFF, E_UNSUP, "the card does not know this class of commands" },
	{ 0x6F00, 0xFFFF, E_SW, "the card failed without a reason" },
	{ 0x0000, 0x0000, E_SW, "the card refused" },
};

enum err
piv_refused(const struct piv_card *card, const char *what)
{
	size_t i = 0;

	while ((card->sw & rows[i].mask) != rows[i].sw) /* the last row fits everything */
		i++;
	return err_set(rows[i].err, "%s: %s: %s (status %04X)", card->name, what, rows[i].text, card->sw);
}

bool
piv_sw_is_wrong_pin(uint16_t sw)
{
	return sw >> 8 == 0x63;
}

int
piv_sw_tries(uint16_t sw)
{
	if (sw == SW_BLOCKED)
		return 0;
	if ((sw & 0xFFF0) == 0x63C0)
		return sw & 0x0F;
	if ((sw & 0xFFF0) == 0x6300 && sw != 0x6300) /* some cards leave the C out */
		return sw & 0x0F;
	return -1;
}
