/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Assuan, as far as a client of pinentry needs it (libassuan manual, "Client requests" and "Server responses"; pinentry
 * manual, 4 "Pinentry's Assuan protocol"): commands with percent-escaped arguments, answers of one line each. What
 * the program says is foreign: lines are bounded, and a PIN that does not fit is none.
 */
#include <string.h>

#include "base/text.h"
#include "pkcs11/ask.h"

bool
assuan_next(struct span *in, struct span *line, bool *too_long)
{
	const uint8_t *end = in->n > 0 ? memchr(in->p, '\n', in->n) : NULL;
	struct span rest = *in;

	*line = SPAN_NONE;
	*too_long = end == NULL ? in->n > ASSUAN_LINE : (size_t)(end - in->p) > ASSUAN_LINE;
	if (end == NULL || *too_long || !span_take(&rest, (size_t)(end - in->p), line) || !span_skip(&rest, 1))
		return false;
	*in = rest;
	if (line->n > 0 && line->p[line->n - 1] == '\r')
		(void)span_sub(*line, 0, line->n - 1, line);
	return true;
}

/* A keyword, alone or before a blank, which are taken off. */
static bool
is_word(struct span *line, const char *word)
{
	size_t n = strlen(word);

	if (!span_starts(*line, word, n) || (line->n > n && line->p[n] != ' '))
		return false;
	return span_skip(line, line->n > n ? n + 1 : n);
}

static bool
unescape(struct span data, struct secret *out)
{
	uint8_t c, high, low;

	while (span_u8(&data, &c)) {
		if (c == '%') {
			if (!span_u8(&data, &high) || !span_u8(&data, &low) || text_hex_digit(high) < 0 ||
			    text_hex_digit(low) < 0)
				return false;
			c = (uint8_t)(text_hex_digit(high) << 4 | text_hex_digit(low));
		}
		if (out->n == out->cap)
			return false;
		out->v[out->n++] = c;
	}
	return true;
}

enum assuan
assuan_read(struct span line, struct secret *pin)
{
	if (is_word(&line, "OK"))
		return ASSUAN_OK;
	if (is_word(&line, "ERR"))
		return ASSUAN_ERR;
	if (span_starts(line, "D ", 2))
		return span_skip(&line, 2) && unescape(line, pin) ? ASSUAN_DATA : ASSUAN_WRONG;
	/* Comments and status lines; "S PIN_REPEATED" and its like tell nothing that is wanted here. */
	if (span_starts(line, "#", 1) || is_word(&line, "S"))
		return ASSUAN_COMMENT;
	return ASSUAN_WRONG;
}

void
assuan_write(struct wbuf *out, const char *command, const char *argument)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t start = out->n;

	wbuf_span(out, span_str(command));
	if (argument != NULL)
		wbuf_u8(out, ' ');
	for (; argument != NULL && *argument != '\0' && out->n - start < ASSUAN_LINE - 3; argument++) {
		uint8_t c = (uint8_t)*argument;

		if (c != '%' && c >= ' ') {
			wbuf_u8(out, c);
			continue;
		}
		wbuf_u8(out, '%');
		wbuf_u8(out, (uint8_t)digits[c >> 4]);
		wbuf_u8(out, (uint8_t)digits[c & 15]);
	}
	wbuf_u8(out, '\n');
}
