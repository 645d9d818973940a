/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Capabilities that cost no command: see atr.h. The ATR's historical bytes (ISO/IEC 7816-3, 8.2; 7816-4, 12.1.1) hold
 * COMPACT-TLV objects when their category indicator is 00 (then three status bytes close them) or 80; tag 7 is the
 * card capabilities, whose third byte, the third software function table (7816-4, table 119), has bit 7 for extended
 * Lc and Le fields. A reader's properties are TLV of one-byte tags and lengths: control codes big endian, values little
 * endian (PC/SC part 10, 2.2 and 2.6.14; what reader drivers really answer).
 */
#include "hw/atr.h"

#define CATEGORY_STATUS	 0x00
#define CATEGORY_PLAIN	 0x80
#define TAG_CAPABILITIES 7
#define EXTENDED_LENGTH	 0x40

/* The historical bytes: behind TA TB TC TD, as many as T0 and each TD announce. */
static bool
historical(struct span atr, struct span *out)
{
	uint8_t b, t0, i;

	if (!span_skip(&atr, 1) || !span_u8(&atr, &t0))
		return false;
	for (b = t0;;) {
		for (i = 0x10; i <= 0x40; i = (uint8_t)(i << 1))
			if ((b & i) && !span_skip(&atr, 1))
				return false;
		if ((b & 0x80) == 0)
			break;
		if (!span_u8(&atr, &b))
			return false;
	}
	return span_take(&atr, t0 & 0x0F, out);
}

bool
atr_extended(struct span atr)
{
	struct span h, v;
	uint8_t category, head;

	if (!historical(atr, &h) || !span_u8(&h, &category))
		return false;
	if (category == CATEGORY_STATUS && !(h.n >= 3 && span_sub(h, 0, h.n - 3, &h)))
		return false;
	if (category != CATEGORY_STATUS && category != CATEGORY_PLAIN)
		return false;
	while (span_u8(&h, &head) && span_take(&h, head & 0x0F, &v))
		if (head >> 4 == TAG_CAPABILITIES && v.n == 3)
			return v.p[2] & EXTENDED_LENGTH;
	return false;
}

/* The value of a tag, at most four bytes. */
static bool
property(struct span in, uint8_t tag, struct span *out)
{
	uint8_t t, n;

	while (span_u8(&in, &t) && span_u8(&in, &n) && span_take(&in, n, out))
		if (t == tag)
			return out->n > 0 && out->n <= 4;
	return false;
}

bool
reader_feature(struct span features, uint8_t tag, uint32_t *code)
{
	struct span v;

	*code = 0;
	return property(features, tag, &v) && v.n == 4 && span_be32(&v, code);
}

bool
reader_property(struct span properties, uint8_t tag, uint32_t *value)
{
	struct span v;

	*value = 0;
	if (!property(properties, tag, &v))
		return false;
	for (size_t i = 0; i < v.n; i++)
		*value |= (uint32_t)v.p[i] << (8 * i);
	return true;
}
