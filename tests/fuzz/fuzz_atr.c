/* SPDX-License-Identifier: BSD-2-Clause */
/* What card and reader say of themselves before the first command: ATR, and PC/SC part 10's lists. */
#include "hw/atr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);
	uint32_t v;

	(void)atr_extended(in);
	(void)reader_feature(in, 0x12, &v);
	(void)reader_property(in, 10, &v);
	return 0;
}
