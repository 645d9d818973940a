/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Forms of the page for people. All or nothing: a form that this file does not understand whole is none, so that nobody
 * can make two readers of it see different things (a name sent twice, a NUL in a value).
 */
#include <string.h>

#include "base/text.h"
#include "derive/issuer/form.h"

static bool
decode_one(struct span *in, uint8_t *out)
{
	uint8_t high, low;

	if (!span_u8(in, out))
		return false;
	if (*out == '+')
		*out = ' ';
	if (*out != '%')
		return *out >= ' ';
	if (!span_u8(in, &high) || !span_u8(in, &low) || text_hex_digit(high) < 0 || text_hex_digit(low) < 0)
		return false;
	*out = (uint8_t)(text_hex_digit(high) * 16 + text_hex_digit(low));
	return *out >= ' ' && *out != 0x7f;
}

static bool
decode(struct span in, char *out, size_t cap)
{
	size_t n = 0;
	uint8_t c;

	while (in.n > 0) {
		if (!decode_one(&in, &c) || n + 1 >= cap)
			return false;
		out[n++] = (char)c;
	}
	out[n] = '\0';
	return true;
}

/* What is before the next such byte; the byte is skipped. Without one, everything. */
static struct span
until(struct span *in, char stop)
{
	const uint8_t *at = in->n > 0 ? memchr(in->p, stop, in->n) : NULL;
	struct span out = *in;

	if (at == NULL) {
		*in = SPAN_NONE;
		return out;
	}
	(void)span_take(in, (size_t)(at - in->p), &out);
	(void)span_skip(in, 1);
	return out;
}

bool
form_read(struct span body, struct form *out)
{
	memset(out, 0, sizeof *out);
	while (body.n > 0) {
		struct span value = until(&body, '&'), name;
		char decoded[FORM_NAME];

		if (value.n == 0)
			continue;
		name = until(&value, '=');
		if (out->n >= FORM_FIELDS || !decode(name, decoded, sizeof decoded) || form_get(out, decoded) ||
		    !decode(value, out->field[out->n].value, FORM_VALUE))
			return false;
		memcpy(out->field[out->n++].name, decoded, sizeof decoded);
	}
	return true;
}

const char *
form_get(const struct form *f, const char *name)
{
	for (size_t k = 0; k < f->n; k++)
		if (strcmp(f->field[k].name, name) == 0)
			return f->field[k].value;
	return NULL;
}
