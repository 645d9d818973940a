/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BER-TLV for the virtual card (ISO/IEC 7816-4:2013, 5.2.2). Strict on what a host sends: definite lengths in the
 * shortest form only, tags of one to three bytes, no padding between TLVs, no tag twice where one is meant. A host
 * that is accepted here is accepted by any card.
 */
#include "tests/vcard/buf.h"

static bool
tag_get(struct vc_in *in, uint32_t *tag)
{
	uint8_t b;

	if (!vc_in_u8(in, &b) || b == 0 || b == 0xFF)
		return false;
	*tag = b;
	if ((b & 0x1F) != 0x1F)
		return true;
	do {
		if (*tag > 0xFFFF || !vc_in_u8(in, &b))
			return false;
		*tag = *tag << 8 | b;
	} while (b & 0x80);
	return true;
}

static bool
length_get(struct vc_in *in, size_t *n)
{
	uint8_t b, more;

	if (!vc_in_u8(in, &b))
		return false;
	*n = b;
	if (b < 0x80)
		return true;
	if (b < 0x81 || b > 0x83)
		return false;
	*n = 0;
	for (more = b & 0x7F; more; more--) {
		if (!vc_in_u8(in, &b))
			return false;
		*n = *n << 8 | b;
	}
	return true;
}

/* Bytes that a length takes in its shortest form. */
static size_t
length_size(size_t n)
{
	return n < 0x80 ? 1 : n < 0x100 ? 2 : n < 0x10000 ? 3 : 4;
}

bool
vc_tlv_next(struct vc_in *in, uint32_t *tag, struct vc_in *val)
{
	struct vc_in at = *in, mark;
	size_t n;

	*val = (struct vc_in){ NULL, 0 };
	*tag = 0;
	if (!tag_get(&at, tag))
		return false;
	mark = at;
	if (!length_get(&at, &n) || mark.n - at.n != length_size(n) || !vc_in_take(&at, n, val))
		return false;
	*in = at;
	return true;
}

bool
vc_tlv_find(struct vc_in seq, uint32_t tag, struct vc_in *val)
{
	struct vc_in v, hit = { NULL, 0 };
	bool found = false;
	uint32_t t;

	while (vc_tlv_next(&seq, &t, &v)) {
		if (t != tag)
			continue;
		if (found)
			return false;
		found = true;
		hit = v;
	}
	*val = hit;
	return found && seq.n == 0;
}

void
vc_tlv_put(struct vc_out *o, uint32_t tag, const void *p, size_t n)
{
	size_t size = length_size(n);

	for (int shift = 24; shift >= 0; shift -= 8)
		if (tag >> shift)
			vc_out_u8(o, (uint8_t)(tag >> shift));
	if (size > 1)
		vc_out_u8(o, (uint8_t)(0x80 | (size - 1)));
	for (size_t i = size > 1 ? size - 1 : 1; i; i--)
		vc_out_u8(o, (uint8_t)(n >> 8 * (i - 1)));
	vc_out_put(o, p, n);
}

void
vc_tlv_out(struct vc_out *o, uint32_t tag, const struct vc_out *val)
{
	if (val->bad)
		o->bad = true;
	else
		vc_tlv_put(o, tag, val->p, val->n);
}
