/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The FASC-N (SP 800-73-5 part 1, 3.1.2; TIG SCEPACS 2.2): forty symbols of four bits, least significant first, and an
 * odd parity bit: SS agency(4) FS system(4) FS credential(6) FS series FS issue FS person(10) category organization(4)
 * association ES LRC.
 */
#include <string.h>

#include "derive/fascn.h"

#define PERSON	  22 /* first symbol of the person identifier */
#define PERSON_ID 10

/* Symbol i, 0 to 15; -1 when its parity is wrong. */
static int
symbol(struct span fascn, size_t i)
{
	int value = 0, ones = 0;

	for (size_t k = 0; k < 5; k++) {
		size_t bit = i * 5 + k;
		int v = (fascn.p[bit / 8] >> (7 - bit % 8)) & 1;

		ones += v;
		if (k < 4)
			value |= v << k;
	}
	return ones % 2 == 1 ? value : -1;
}

bool
fascn_read(struct span fascn, char out[FASCN_SYMBOLS + 1])
{
	out[0] = '\0';
	if (fascn.n != FASCN_BYTES)
		return false;
	for (size_t i = 0; i < FASCN_SYMBOLS; i++) {
		int v = symbol(fascn, i);

		out[i] = (char)(v >= 0 && v <= 9 ? '0' + v : '.');
	}
	out[FASCN_SYMBOLS] = '\0';
	return true;
}

bool
fascn_card(struct span fascn, char out[15])
{
	char all[FASCN_SYMBOLS + 1];

	out[0] = '\0';
	if (!fascn_read(fascn, all))
		return false;
	memcpy(out, &all[1], 4);
	memcpy(&out[4], &all[6], 4);
	memcpy(&out[8], &all[11], 6);
	out[14] = '\0';
	if (strspn(out, "0123456789") == 14)
		return true;
	out[0] = '\0';
	return false;
}

bool
fascn_person(struct span fascn, char out[16])
{
	char all[FASCN_SYMBOLS + 1];

	out[0] = '\0';
	if (!fascn_read(fascn, all))
		return false;
	memcpy(out, &all[PERSON], 15);
	out[15] = '\0';
	if (strspn(out, "0123456789") == 15 && strspn(out, "0") < PERSON_ID && strspn(out, "9") < PERSON_ID)
		return true;
	out[0] = '\0';
	return false;
}
