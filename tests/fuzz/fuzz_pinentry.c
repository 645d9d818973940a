/* SPDX-License-Identifier: BSD-2-Clause */
/* What a PIN helper says: lines of Assuan, read as the module reads them; and arguments that are escaped for it. */
#include <stdlib.h>
#include <string.h>

#include "pkcs11/ask.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
lines(struct span in)
{
	SECRET_AUTO pin = secret_new(ASK_PIN_MAX);
	struct span line;
	bool too_long;
	size_t before = in.n;

	if (pin == NULL)
		return;
	while (assuan_next(&in, &line, &too_long)) {
		if (too_long || line.n > ASSUAN_LINE || in.n >= before)
			__builtin_trap();
		before = in.n;
		(void)assuan_read(line, pin);
		if (pin->n > ASK_PIN_MAX)
			__builtin_trap();
	}
}

/* One command stays one line, and a line is what Assuan allows. */
static void
argument(const uint8_t *data, size_t n)
{
	char *text = malloc(n + 1);
	WBUF_AUTO out;

	if (text == NULL)
		return;
	memcpy(text, data, n);
	text[n] = '\0';
	wbuf_init(&out, 4096);
	assuan_write(&out, "SETDESC", text);
	if (out.bad || out.n > ASSUAN_LINE + 1 || memchr(out.p, '\n', out.n) != out.p + out.n - 1)
		__builtin_trap();
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	lines(span_of(data, n));
	if (n > 0)
		argument(data, n);
	return 0;
}
