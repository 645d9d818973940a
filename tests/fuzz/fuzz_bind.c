/* SPDX-License-Identifier: BSD-2-Clause */
/* Binding codes from everywhere: typed, in an Authorization header, in an issuer's answer;
 * and the query that goes with one. */
#include <stdlib.h>
#include <string.h>

#include "derive/bind.h"
#include "derive/issuer/bind.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* What was read is a code, and reads as the same code again. */
static void
sound(const char *plain)
{
	char text[BINDCODE_TEXT], back[BINDCODE_PLAIN];

	if (strlen(plain) != BINDCODE_PLAIN - 1 || bindcode_read(span_str(bindcode_show(plain, text)), back) != E_OK ||
	    strcmp(back, plain) != 0)
		__builtin_trap();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char plain[BINDCODE_PLAIN];
	struct bind_answer a;
	struct bind_query q;
	char *header = malloc(n + 1);

	if (header == NULL)
		return 0;
	memcpy(header, data, n);
	header[n] = '\0';
	if (bindcode_read(span_of(data, n), plain) == E_OK)
		sound(plain);
	if (bind_basic(header, plain) == E_OK)
		sound(plain);
	bind_query_read(header, &q);
	if (strlen(q.key) >= sizeof q.key || (q.key[0] != '\0' && strstr(header, q.key) == NULL))
		__builtin_trap();
	if (bind_read_answer(span_of(data, n), &a) == E_OK) {
		if (a.seconds <= 0 || bindcode_read(span_str((const char *)a.text->v), plain) != E_OK)
			__builtin_trap();
		sound(plain);
		bind_answer_clear(&a);
	}
	free(header);
	return 0;
}
