/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * multipart/mixed, line by line (RFC 2046, 5.1): a preamble, parts between delimiter lines, an epilogue. Lines end in
 * CRLF or LF, since CGI programs send either. Of a part's headers only Content-Type counts; all of it is hostile:
 * headers and parts are counted, nothing is copied but the bounded names, and a body that ends without its last
 * delimiter is refused, since a part of a key is worse than none.
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "derive/multipart.h"

#define HEADERS_MAX 32
#define HEADER_MAX  1024

enum line { LINE_TEXT, LINE_DELIMITER, LINE_LAST };

static bool
take_line(struct span *in, struct span *line)
{
	if (!span_line(in, line))
		return false;
	while (line->n > 0 && line->p[line->n - 1] == '\r')
		line->n--;
	return true;
}

static enum line
line_kind(struct span line, const char *boundary)
{
	size_t n = strlen(boundary);

	if (!span_starts(line, "--", 2) || !span_skip(&line, 2) || !span_starts(line, boundary, n) ||
	    !span_skip(&line, n))
		return LINE_TEXT;
	while (line.n > 0 && (line.p[line.n - 1] == ' ' || line.p[line.n - 1] == '\t'))
		line.n--;
	return line.n == 0 ? LINE_DELIMITER : span_eq(line, span_str("--")) ? LINE_LAST : LINE_TEXT;
}

/* --- headers ------------------------------------------------------------------------------------------------------ */

static bool
is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

static void
skip_blanks(struct span *s)
{
	while (s->n > 0 && is_blank(s->p[0]))
		(void)span_skip(s, 1);
}

static void
lower(char *s)
{
	for (; *s != '\0'; s++)
		*s = (char)tolower((unsigned char)*s);
}

/* Up to the next ';' outside of quotes. */
static struct span
take_field(struct span *in)
{
	struct span field = SPAN_NONE;
	bool quoted = false;
	size_t n = 0;

	while (n < in->n && (quoted || in->p[n] != ';')) {
		quoted ^= in->p[n] == '"';
		n++;
	}
	(void)span_take(in, n, &field);
	(void)span_skip(in, in->n > 0 ? 1 : 0);
	skip_blanks(&field);
	while (field.n > 0 && is_blank(field.p[field.n - 1]))
		field.n--;
	return field;
}

void
multipart_param(struct span value, const char *name, char *out, size_t cap)
{
	size_t n = strlen(name);

	out[0] = '\0';
	(void)take_field(&value);
	while (value.n > 0) {
		struct span f = take_field(&value);

		if (f.n <= n || strncasecmp((const char *)f.p, name, n) != 0 || f.p[n] != '=' || !span_skip(&f, n + 1))
			continue;
		if (f.n >= 2 && f.p[0] == '"' && f.p[f.n - 1] == '"') {
			f.n--;
			(void)span_skip(&f, 1);
		}
		if (f.n < cap && memchr(f.p, 0, f.n) == NULL) {
			memcpy(out, f.p, f.n);
			out[f.n] = '\0';
		}
		return;
	}
}

static void
header_take(struct span header, struct multipart_part *part)
{
	static const char name[] = "content-type:";
	const size_t n = sizeof name - 1;

	if (header.n < n || strncasecmp((const char *)header.p, name, n) != 0 || !span_skip(&header, n))
		return;
	multipart_param(header, "smime-type", part->smime_type, sizeof part->smime_type);
	text_safe(take_field(&header), part->type, sizeof part->type);
	lower(part->type);
	lower(part->smime_type);
}

/* Headers up to the empty line; a line that begins with a blank goes on with the one before. */
static enum err
headers_read(struct span *in, struct multipart_part *part)
{
	WBUF_AUTO whole;
	struct span line;

	wbuf_init(&whole, HEADER_MAX);
	for (int i = 0; i < HEADERS_MAX && take_line(in, &line); i++) {
		if (line.n == 0 || !is_blank(line.p[0])) {
			header_take(wbuf_view(&whole), part);
			wbuf_clear(&whole);
		}
		if (line.n == 0)
			return E_OK;
		wbuf_span(&whole, line);
	}
	return err_set(E_PROTO, "a part of the reply has no end of its headers");
}

/* --- parts -------------------------------------------------------------------------------------------------------- */

/* Lines up to the next delimiter, which is taken as well. */
static enum err
body_read(struct span *in, const char *boundary, struct span *body, bool *last)
{
	struct span from = *in, line;

	while (take_line(in, &line)) {
		enum line kind = line_kind(line, boundary);

		if (kind != LINE_TEXT) {
			*last = kind == LINE_LAST;
			return span_sub(from, 0, (size_t)(line.p - from.p), body) ? E_OK : err_set(E_INTERNAL, "span");
		}
	}
	return err_set(E_PROTO, "the reply ends in the middle of a part");
}

enum err
multipart_read(struct span body, const char *boundary, struct multipart_part *parts, size_t max, size_t *n)
{
	struct span preamble;
	bool last = false;
	enum err e;

	*n = 0;
	if (boundary[0] == '\0')
		return err_set(E_PROTO, "the reply says multipart, but not how its parts are separated");
	e = body_read(&body, boundary, &preamble, &last);
	while (e == E_OK && !last) {
		struct multipart_part p = { .body = SPAN_NONE };

		if (*n == max)
			return err_set(E_PROTO, "the reply has more than %zu parts", max);
		if ((e = headers_read(&body, &p)) == E_OK && (e = body_read(&body, boundary, &p.body, &last)) == E_OK)
			parts[(*n)++] = p;
	}
	return e == E_OK && *n == 0 ? err_set(E_PROTO, "the reply has no parts") : e;
}
