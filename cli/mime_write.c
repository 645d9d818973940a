/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing MIME so that nothing on the way can change it: canonical line ends (RFC 8551, 3.1.1), and a transfer encoding
 * for everything that is not 7-bit (RFC 8551, 3.1.3). Quoted-printable also hides what transports are known to alter:
 * blanks at the end of a line and "From " at its beginning. What is signed already is never re-encoded.
 */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/mime.h"

void
mime_canonical(struct span in, struct wbuf *out)
{
	struct span line, raw;

	while (mime_line(&in, &line, &raw)) {
		wbuf_span(out, line);
		if (raw.n > line.n)
			wbuf_put(out, "\r\n", 2);
	}
}

void
mime_unix(struct span in, struct wbuf *out)
{
	struct span line, raw;

	while (mime_line(&in, &line, &raw)) {
		wbuf_span(out, line);
		if (raw.n > line.n)
			wbuf_u8(out, '\n');
	}
}

static bool
line_is_safe(struct span line)
{
	if (line.n > MIME_LINE)
		return false;
	for (size_t i = 0; i < line.n; i++) {
		if (line.p[i] == 0 || line.p[i] >= 128 || line.p[i] == '\r')
			return false;
	}
	return true;
}

bool
mime_is_7bit(struct span in)
{
	struct span line;

	while (mime_line(&in, &line, NULL)) {
		if (!line_is_safe(line))
			return false;
	}
	return true;
}

bool
mime_is_text(struct span in)
{
	while (in.n > 0) {
		char safe[5];
		struct span one;
		size_t n = 1;

		if (in.p[0] < 32 && strchr("\t\r\n\f", in.p[0]) == NULL)
			return false;
		if (in.p[0] == 0 || in.p[0] == 127)
			return false;
		if (in.p[0] >= 128) {
			n = in.p[0] >= 0xF0 ? 4 : in.p[0] >= 0xE0 ? 3 : 2;
			if (!span_sub(in, 0, n, &one) || strcmp(text_safe(one, safe, sizeof safe), "?") == 0 ||
			    strlen(safe) != n || memcmp(safe, one.p, n) != 0)
				return false;
		}
		(void)span_skip(&in, n);
	}
	return true;
}

/* Must this byte be written as =XX? Blanks only at the end of a line; 'F' only where "From " begins one. */
static bool
qp_needs(uint8_t c, struct span rest, bool first)
{
	if (c == ' ' || c == '\t')
		return rest.n == 0;
	if (first && c == 'F')
		return span_starts(rest, "rom ", 4);
	return c < 33 || c > 126 || c == '=' || (first && c == '.');
}

static void
qp_put_line(struct span line, struct wbuf *out)
{
	size_t column = 0;
	bool first = true;
	uint8_t c;

	while (span_u8(&line, &c)) {
		bool coded = qp_needs(c, line, first);
		char hex[4];

		if (column + (coded ? 3 : 1) > 75) {
			wbuf_put(out, "=\r\n", 3);
			column = 0;
		}
		snprintf(hex, sizeof hex, "=%02X", c);
		wbuf_put(out, coded ? (const char *)hex : (const char *)&c, coded ? 3 : 1);
		column += coded ? 3 : 1;
		first = false;
	}
}

void
mime_put_qp(struct span in, struct wbuf *out)
{
	struct span line, raw;

	while (mime_line(&in, &line, &raw)) {
		qp_put_line(line, out);
		if (raw.n > line.n)
			wbuf_put(out, "\r\n", 2);
	}
}

void
mime_put_base64(struct span in, struct wbuf *out)
{
	WBUF_AUTO lines;

	wbuf_init(&lines, out->max);
	text_base64(in, 76, &lines);
	mime_canonical(wbuf_view(&lines), out);
	out->bad |= lines.bad;
}

/* --- entities ----------------------------------------------------------------------------------------------------- */

static void
put_head(struct span head, const char *cte, struct wbuf *out)
{
	struct mime_field f;

	while (mime_field(&head, &f)) {
		if (cte != NULL && mime_is_named(&f, "Content-Transfer-Encoding"))
			continue;
		mime_canonical(f.raw, out);
		if (f.raw.p[f.raw.n - 1] != '\n')
			wbuf_put(out, "\r\n", 2);
	}
	if (cte != NULL) {
		wbuf_span(out, span_str("Content-Transfer-Encoding: "));
		wbuf_span(out, span_str(cte));
		wbuf_put(out, "\r\n", 2);
	}
	wbuf_put(out, "\r\n", 2);
}

static enum err
put_leaf(struct span head, struct span body, const struct mime_type *t, struct wbuf *out)
{
	if (mime_is(t, "text/")) {
		put_head(head, "quoted-printable", out);
		mime_put_qp(body, out);
	} else if (mime_is(t, "message/")) {
		return err_set(
		    E_UNSUP, "an 8-bit %s inside cannot be re-encoded for a clear signature; use --opaque", t->type);
	} else {
		put_head(head, "base64", out);
		mime_put_base64(body, out);
	}
	return E_OK;
}

static enum err put_7bit(struct span entity, int depth, struct wbuf *out);

static enum err
put_multipart(struct span head, struct span body, const struct mime_type *t, int depth, struct wbuf *out)
{
	struct mime_parts p;
	struct span part;
	enum err e;

	if (mime_is(t, "multipart/signed"))
		return err_set(E_UNSUP, "an 8-bit part inside is signed already and must not change; use --opaque");
	if ((e = mime_parts_open(t, body, &p)) != E_OK)
		return e;
	put_head(head, "7bit", out);
	while (mime_parts_next(&p, &part)) {
		wbuf_span(out, span_str(p.boundary));
		wbuf_put(out, "\r\n", 2);
		if ((e = put_7bit(part, depth + 1, out)) != E_OK)
			return e;
		wbuf_put(out, "\r\n", 2);
	}
	wbuf_span(out, span_str(p.boundary));
	wbuf_put(out, "--\r\n", 4);
	return p.closed ? E_OK : err_set(E_PROTO, "the message's %s ends before its last part does", t->type);
}

static enum err
put_7bit(struct span entity, int depth, struct wbuf *out)
{
	struct span head, body;
	struct mime_type t;
	enum err e;

	if (mime_is_7bit(entity)) {
		mime_canonical(entity, out);
		return E_OK;
	}
	if (depth >= MIME_DEPTH)
		return err_set(E_PROTO, "the message is nested more than %d deep", MIME_DEPTH);
	(void)mime_split(entity, &head, &body);
	if (!mime_is_7bit(head))
		return err_set(E_UNSUP, "a header inside the message is not 7-bit; use --opaque");
	if ((e = mime_type(head, &t)) != E_OK)
		return e;
	if (mime_is(&t, "multipart/"))
		return put_multipart(head, body, &t, depth, out);
	return put_leaf(head, body, &t, out);
}

enum err
mime_put_entity(struct span entity, bool only7, struct wbuf *out)
{
	struct span head, body;
	enum err e = E_OK;

	(void)mime_split(entity, &head, &body);
	if (only7)
		e = put_7bit(entity, 0, out);
	else if (mime_cte(head) == MIME_BINARY) {
		put_head(head, NULL, out);
		wbuf_span(out, body);
	} else
		mime_canonical(entity, out);
	if (e == E_OK && out->bad)
		e = err_set(E_PROTO, "the message is larger than %zu bytes", out->max);
	return e;
}
