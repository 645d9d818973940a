/* SPDX-License-Identifier: BSD-2-Clause */
/* BER-TLV: any bytes, walked to a depth of three; what is read is written again and must read the same. */
#include <stdlib.h>

#include "hw/tlv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
again(uint32_t tag, struct span val)
{
	struct span in, v;
	WBUF_AUTO w;

	wbuf_init(&w, val.n + 16);
	tlv_put(&w, tag, val.p, val.n);
	if (w.bad)
		return;
	in = wbuf_view(&w);
	if (tlv_get(&in, tag, &v) != E_OK || !span_eq(v, val) || tlv_end(&in) != E_OK)
		abort();
}

static void
walk(struct span in, int depth)
{
	struct span v, found;
	size_t before;
	uint32_t tag;

	for (before = in.n; tlv_next(&in, &tag, &v) == E_OK; before = in.n) {
		if (in.n >= before || v.n > before)
			abort();
		again(tag, v);
		if (tlv_find(v, 0x53, &found) == E_OK && found.n > v.n)
			abort();
		if (depth > 0)
			walk(v, depth - 1);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	walk(span_of(data, size), 2);
	return 0;
}
