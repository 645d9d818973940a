/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RFC 4180, as spreadsheets write it: CRLF or LF, a byte order mark, quotation marks doubled inside quoted fields. A
 * field is one line: what is inside ends up in certificates, mails and on terminals, so control characters, a line
 * end within quotation marks among them, are refused here and never seen by others.
 */
#include <string.h>

#include "base/text.h"
#include "derive/issuer/csv.h"

static enum err
bad(const struct csv *c, const char *why)
{
	return err_set(E_PROTO, "line %zu: %s", c->line, why);
}

void
csv_open(struct csv *c, struct span text)
{
	*c = (struct csv){ .rest = text, .line = 1 };
	if (span_starts(text, "\xef\xbb\xbf", 3))
		(void)span_skip(&c->rest, 3);
}

static enum err
put(const struct csv *c, struct csv_row *row, size_t *used, uint8_t b)
{
	if (*used + 1 >= sizeof row->text)
		return bad(c, "the line is too long");
	row->text[(*used)++] = (char)b;
	return E_OK;
}

/* One field, and the comma after it. *more: there was one. */
static enum err
field(struct csv *c, struct span *in, struct csv_row *row, size_t *used, bool *more)
{
	bool quoted = false, was_quoted = false;
	size_t start = *used;
	uint8_t b;
	enum err e = E_OK;

	*more = false;
	while (e == E_OK && span_u8(in, &b)) {
		if (b < 0x20 || b == 0x7f)
			return bad(c, "there is a control character in it, or a line end within quotation marks");
		if (b == '"' && !quoted && *used == start && !was_quoted) {
			quoted = was_quoted = true;
		} else if (b == '"' && quoted) {
			if (span_starts(*in, "\"", 1) && span_skip(in, 1))
				e = put(c, row, used, b);
			else
				quoted = false;
		} else if (b == ',' && !quoted) {
			*more = true;
			break;
		} else if (b == '"' || (was_quoted && !quoted)) {
			return bad(c, "a quotation mark is out of place");
		} else {
			e = put(c, row, used, b);
		}
	}
	return e == E_OK && quoted ? bad(c, "a quotation mark has no end, or there is a line end before it") : e;
}

/* Blanks at both ends are cut off; what is no UTF-8 is refused. */
static enum err
tidy(const struct csv *c, char *text, size_t n, const char **out)
{
	char safe[CSV_TEXT];

	while (n > 0 && text[n - 1] == ' ')
		n--;
	text[n] = '\0';
	*out = text + strspn(text, " ");
	if (strcmp(text_safe(span_str(text), safe, sizeof safe), text) != 0)
		return bad(c, "there is text that is not UTF-8");
	return E_OK;
}

static enum err
record(struct csv *c, struct span in, struct csv_row *row)
{
	size_t used = 0;
	bool more = true;
	enum err e = E_OK;

	for (row->n = 0; e == E_OK && more; row->n++) {
		size_t start = used;

		if (row->n == CSV_FIELDS)
			return bad(c, "there are too many fields");
		if ((e = field(c, &in, row, &used, &more)) == E_OK)
			e = tidy(c, row->text + start, used - start, &row->field[row->n]);
		if (e == E_OK)
			e = put(c, row, &used, 0);
	}
	return e;
}

enum err
csv_next(struct csv *c, struct csv_row *row, bool *got)
{
	struct span in;
	enum err e = E_OK;

	*got = false;
	while (span_line(&c->rest, &in)) {
		if (in.n > 0 && in.p[in.n - 1] == '\r')
			in.n--;
		row->line = c->line;
		*got = in.n > 0 && (e = record(c, in, row)) == E_OK;
		c->line++;
		if (in.n > 0)
			return e;
	}
	return E_OK;
}
