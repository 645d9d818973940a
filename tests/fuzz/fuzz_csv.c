/* SPDX-License-Identifier: BSD-2-Clause */
/* A list of people: every field that comes out is one line of UTF-8 within the record's text. */
#include <string.h>

#include "base/text.h"
#include "derive/issuer/csv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct csv_row row;
	struct csv c;
	bool got;

	csv_open(&c, span_of(data, n));
	while (csv_next(&c, &row, &got) == E_OK && got)
		for (size_t k = 0; k < row.n; k++) {
			char safe[CSV_TEXT];
			const char *f = row.field[k];

			if (f < row.text || f >= row.text + sizeof row.text ||
			    strcmp(text_safe(span_str(f), safe, sizeof safe), f) != 0)
				__builtin_trap();
		}
	return 0;
}
