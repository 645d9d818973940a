/* SPDX-License-Identifier: BSD-2-Clause */
/* Forms that a browser, or somebody who is none, sends to the issuer's page; and their values as text in a page. */
#include <stdlib.h>
#include <string.h>

#include "derive/issuer/form.h"
#include "derive/issuer/html.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	WBUF_AUTO w = { 0 };
	struct form f;

	if (!form_read(span_of(data, n), &f))
		return 0;
	wbuf_init(&w, 1u << 16);
	for (size_t k = 0; k < f.n; k++) {
		if (form_get(&f, f.field[k].name) != f.field[k].value)
			__builtin_trap(); /* a name twice */
		html_put(&w, "%s", f.field[k].value);
	}
	for (size_t k = 0; k < w.n; k++)
		if (strchr("<>\"'", w.p[k]) != NULL)
			__builtin_trap();
	return 0;
}
