/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Command APDUs, ISO/IEC 7816-3:2006, 12.1.3: the seven cases, told apart by length alone. Lc and the bytes that
 * follow must agree exactly, or the answer is 6700; a card that reads on regardless hides a host's mistake.
 */
#include <string.h>

#include "tests/vcard/model.h"

static uint16_t
short_form(struct vc_in body, struct vc_apdu *a)
{
	uint8_t b;

	vc_in_u8(&body, &b);
	if (body.n == 0) {
		a->has_le = true;
		a->le = b ? b : 256;
		return SW_OK;
	}
	if (b == 0 || !vc_in_take(&body, b, &a->data) || body.n > 1)
		return SW_LENGTH;
	if (vc_in_u8(&body, &b)) {
		a->has_le = true;
		a->le = b ? b : 256;
	}
	return SW_OK;
}

static size_t
be16(struct vc_in *in)
{
	uint8_t hi = 0, lo = 0;

	vc_in_u8(in, &hi);
	vc_in_u8(in, &lo);
	return (size_t)hi << 8 | lo;
}

/* body begins behind the zero byte that marks the extended form. */
static uint16_t
extended_form(struct vc_in body, struct vc_apdu *a)
{
	size_t v;

	a->extended = true;
	if (body.n < 2)
		return SW_LENGTH;
	v = be16(&body);
	if (body.n == 0) {
		a->has_le = true;
		a->le = v ? v : 65536;
		return SW_OK;
	}
	if (v == 0 || !vc_in_take(&body, v, &a->data) || (body.n != 0 && body.n != 2))
		return SW_LENGTH;
	if (body.n == 2) {
		v = be16(&body);
		a->has_le = true;
		a->le = v ? v : 65536;
	}
	return SW_OK;
}

uint16_t
vc_apdu_parse(struct vc_in cmd, bool extended, struct vc_apdu *a)
{
	memset(a, 0, sizeof *a);
	if (!vc_in_u8(&cmd, &a->cla) || !vc_in_u8(&cmd, &a->ins) || !vc_in_u8(&cmd, &a->p1) || !vc_in_u8(&cmd, &a->p2))
		return SW_LENGTH;
	if (cmd.n == 0)
		return SW_OK;
	if (cmd.n > 1 && cmd.p[0] == 0) {
		struct vc_in zero;

		vc_in_take(&cmd, 1, &zero);
		return extended ? extended_form(cmd, a) : SW_LENGTH;
	}
	return short_form(cmd, a);
}
