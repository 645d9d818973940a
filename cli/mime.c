/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading MIME: lines, header fields, structured values, transfer encodings, multipart bodies. RFC 5322 section 2.2,
 * RFC 2045 sections 5 and 6, RFC 2046 section 5.1.1. The input is hostile: nothing here allocates but into the caller's
 * capped builder, nothing recurses, and whatever is ambiguous is an error rather than a guess, because two readers that
 * guess differently make a signed message mean two things.
 */
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "cli/mime.h"

bool
mime_line(struct span *in, struct span *line, struct span *raw)
{
	const uint8_t *nl;
	size_t n;

	*line = SPAN_NONE;
	if (in->n == 0)
		return false;
	nl = memchr(in->p, '\n', in->n);
	n = nl == NULL ? in->n : (size_t)(nl - in->p) + 1;
	(void)span_take(in, n, line);
	if (raw != NULL)
		*raw = *line;
	if (nl != NULL)
		line->n--;
	if (nl != NULL && line->n > 0 && line->p[line->n - 1] == '\r')
		line->n--;
	return true;
}

static bool
is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

/* RFC 5322, 3.6.8: printable ASCII without colon; blanks before the colon are the obsolete syntax. */
static size_t
name_len(struct span line)
{
	size_t n = 0, colon;

	while (n < line.n && line.p[n] > 32 && line.p[n] < 127 && line.p[n] != ':')
		n++;
	for (colon = n; colon < line.n && is_blank(line.p[colon]);)
		colon++;
	return colon < line.n && line.p[colon] == ':' ? n : 0;
}

bool
mime_field(struct span *head, struct mime_field *f)
{
	struct span rest = *head, line, raw;
	size_t n, skip;

	memset(f, 0, sizeof *f);
	if (!mime_line(&rest, &line, &raw) || (n = name_len(line)) == 0)
		return false;
	(void)span_sub(line, 0, n, &f->name);
	skip = (size_t)((const uint8_t *)memchr(line.p, ':', line.n) - line.p) + 1;
	while (rest.n > 0 && is_blank(rest.p[0]) && mime_line(&rest, &line, NULL))
		;
	(void)span_sub(*head, 0, head->n - rest.n, &f->raw);
	f->value = f->raw;
	(void)span_skip(&f->value, skip);
	while (f->value.n > 0 && (f->value.p[f->value.n - 1] == '\n' || f->value.p[f->value.n - 1] == '\r'))
		f->value.n--;
	while (f->value.n > 0 && is_blank(f->value.p[0]))
		(void)span_skip(&f->value, 1);
	*head = rest;
	return true;
}

bool
mime_split(struct span entity, struct span *head, struct span *body)
{
	struct span rest = entity, line, probe;
	struct mime_field f;

	*head = SPAN_NONE;
	*body = entity;
	for (;;) {
		probe = rest;
		if (!mime_line(&probe, &line, NULL))
			break; /* all header */
		if (line.n == 0) {
			(void)span_sub(entity, 0, entity.n - rest.n, head);
			*body = probe;
			return true;
		}
		if (!mime_field(&rest, &f))
			return false;
	}
	*head = entity;
	*body = SPAN_NONE;
	return entity.n > 0;
}

bool
mime_is_named(const struct mime_field *f, const char *name)
{
	size_t n = strlen(name);

	if (n > 0 && name[n - 1] == '-' ? f->name.n < n : f->name.n != n)
		return false;
	return strncasecmp((const char *)f->name.p, name, n) == 0;
}

bool
mime_find(struct span head, const char *name, struct span *value, size_t *number)
{
	struct mime_field f;
	size_t n = 0;

	*value = SPAN_NONE;
	while (mime_field(&head, &f)) {
		if (mime_is_named(&f, name) && n++ == 0)
			*value = f.value;
	}
	if (number != NULL)
		*number = n;
	return n > 0;
}

/* --- structured values ------------------------------------------------------------------------------------------- */

static bool
is_space(uint8_t c)
{
	return is_blank(c) || c == '\r' || c == '\n';
}

/* Blanks, folds and comments; comments nest (RFC 5322, 3.2.2), here by counting. */
static void
skip_cfws(struct span *in)
{
	size_t depth = 0;

	while (in->n > 0) {
		uint8_t c = in->p[0];

		if (c == '(')
			depth++;
		else if (depth > 0 && c == '\\')
			(void)span_skip(in, 1);
		else if (depth > 0 && c == ')')
			depth--;
		else if (depth == 0 && !is_space(c))
			return;
		(void)span_skip(in, 1);
	}
}

static bool
take_quoted(struct span *in, char *out, size_t cap)
{
	size_t n = 0;
	uint8_t c;

	(void)span_skip(in, 1);
	while (span_u8(in, &c)) {
		if (c == '"') {
			out[n] = '\0';
			return true;
		}
		if (c == '\\' && !span_u8(in, &c))
			return false;
		if (c == '\r' || c == '\n')
			continue;
		if (c == '\0' || n + 1 >= cap)
			return false;
		out[n++] = (char)c;
	}
	return false;
}

/* A token (RFC 2045, 5.1), for a type with its '/'. */
static bool
take_token(struct span *in, char *out, size_t cap)
{
	size_t n = 0;

	while (in->n > 0 && in->p[0] > 32 && in->p[0] < 127 && strchr("()<>@,;:\\\"[]?=", in->p[0]) == NULL) {
		if (n + 1 >= cap)
			return false;
		out[n++] = (char)in->p[0];
		(void)span_skip(in, 1);
	}
	out[n] = '\0';
	return n > 0;
}

bool
mime_word(struct span value, char *word, size_t cap)
{
	skip_cfws(&value);
	word[0] = '\0';
	if (!take_token(&value, word, cap))
		return false;
	for (char *c = word; *c != '\0'; c++) {
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	}
	skip_cfws(&value);
	return value.n == 0 || value.p[0] == ';';
}

/* Behind the next ';' that is not in a comment or a quoted string. */
static bool
next_param(struct span *value)
{
	bool quoted = false;
	uint8_t c;

	for (;;) {
		if (!quoted)
			skip_cfws(value);
		if (!span_u8(value, &c))
			return false;
		if (quoted && c == '\\')
			(void)span_skip(value, 1);
		else if (c == '"')
			quoted = !quoted;
		else if (c == ';' && !quoted)
			return true;
	}
}

bool
mime_param(struct span value, const char *name, char *out, size_t cap)
{
	char key[64];

	out[0] = '\0';
	while (next_param(&value)) {
		skip_cfws(&value);
		if (!take_token(&value, key, sizeof key))
			continue;
		skip_cfws(&value);
		if (strcasecmp(key, name) != 0 || value.n == 0 || value.p[0] != '=')
			continue;
		(void)span_skip(&value, 1);
		skip_cfws(&value);
		if (value.n > 0 && value.p[0] == '"')
			return take_quoted(&value, out, cap);
		return take_token(&value, out, cap);
	}
	return false;
}

enum err
mime_type(struct span head, struct mime_type *t)
{
	size_t n;

	memset(t, 0, sizeof *t);
	t->given = mime_find(head, "Content-Type", &t->value, &n);
	if (n > 1)
		return err_set(E_PROTO, "the message has %zu Content-Type fields where one is allowed", n);
	if (!t->given || !mime_word(t->value, t->type, sizeof t->type) || strchr(t->type, '/') == NULL)
		memcpy(t->type, "text/plain", sizeof "text/plain");
	return E_OK;
}

bool
mime_is(const struct mime_type *t, const char *type)
{
	size_t n = strlen(type);

	return type[n - 1] == '/' ? strncmp(t->type, type, n) == 0 : strcmp(t->type, type) == 0;
}

/* --- transfer encodings ------------------------------------------------------------------------------------------ */

enum mime_cte
mime_cte(struct span head)
{
	static const struct {
		const char *name;
		enum mime_cte cte;
	} known[] = { { "7bit", MIME_7BIT }, { "8bit", MIME_8BIT }, { "binary", MIME_BINARY },
		{ "quoted-printable", MIME_QP }, { "base64", MIME_BASE64 } };
	struct span value;
	char word[32];

	if (!mime_find(head, "Content-Transfer-Encoding", &value, NULL))
		return MIME_7BIT;
	if (!mime_word(value, word, sizeof word))
		return MIME_UNKNOWN;
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		if (strcmp(word, known[i].name) == 0)
			return known[i].cte;
	}
	return MIME_UNKNOWN;
}

/* One line of quoted-printable (RFC 2045, 6.7); true when its end is soft. Malformed '=' stays as it is. */
static bool
qp_line(struct span line, struct wbuf *out)
{
	uint8_t c;

	while (line.n > 0 && is_blank(line.p[line.n - 1]))
		line.n--;
	while (span_u8(&line, &c)) {
		int hi, lo;

		if (c == '=' && line.n == 0)
			return true;
		if (c == '=' && line.n >= 2 && (hi = text_hex_digit(line.p[0])) >= 0 &&
		    (lo = text_hex_digit(line.p[1])) >= 0) {
			c = (uint8_t)(hi << 4 | lo);
			(void)span_skip(&line, 2);
		}
		wbuf_u8(out, c);
	}
	return false;
}

static void
qp_decode(struct span body, struct wbuf *out)
{
	struct span line, raw, tail;

	while (mime_line(&body, &line, &raw)) {
		if (qp_line(line, out))
			continue;
		(void)span_sub(raw, line.n, raw.n - line.n, &tail);
		wbuf_span(out, tail);
	}
}

enum err
mime_decode(enum mime_cte cte, struct span body, struct wbuf *out)
{
	if (cte == MIME_UNKNOWN)
		return err_set(E_PROTO, "the message has an unknown Content-Transfer-Encoding");
	if (cte == MIME_BASE64 && !text_unbase64(body, out) && !out->bad)
		return err_set(E_PROTO, "the message's base64 is malformed");
	if (cte == MIME_QP)
		qp_decode(body, out);
	else if (cte != MIME_BASE64)
		wbuf_span(out, body);
	return out->bad ? err_set(E_PROTO, "the message is larger than %zu bytes", out->max) : E_OK;
}

/* --- multipart ---------------------------------------------------------------------------------------------------- */

/* 1 a delimiter, 2 the closing one, 0 an ordinary line. Blanks may follow (transport padding). */
static int
delimiter(const struct mime_parts *p, struct span line)
{
	int kind = 1;

	if (!span_starts(line, p->boundary, strlen(p->boundary)))
		return 0;
	(void)span_skip(&line, strlen(p->boundary));
	if (span_starts(line, "--", 2)) {
		kind = 2;
		(void)span_skip(&line, 2);
	}
	while (line.n > 0 && is_space(line.p[0]))
		(void)span_skip(&line, 1);
	return line.n == 0 ? kind : 0;
}

/* Everything before the next delimiter, without the line end in front of it; the kind of that delimiter. */
static int
until_delimiter(struct mime_parts *p, struct span *before)
{
	struct span start = p->rest, line;
	size_t n;
	int kind = 0;

	*before = SPAN_NONE;
	do {
		n = start.n - p->rest.n;
		if (!mime_line(&p->rest, &line, NULL))
			return 0;
	} while ((kind = delimiter(p, line)) == 0);
	if (n > 0 && start.p[n - 1] == '\n')
		n -= n > 1 && start.p[n - 2] == '\r' ? 2 : 1;
	(void)span_sub(start, 0, n, before);
	return kind;
}

enum err
mime_parts_open(const struct mime_type *t, struct span body, struct mime_parts *p)
{
	struct span preamble;
	char boundary[72];

	memset(p, 0, sizeof *p);
	if (!mime_param(t->value, "boundary", boundary, sizeof boundary) || boundary[0] == '\0')
		return err_set(E_PROTO, "the message's %s has no usable boundary", t->type);
	memcpy(p->boundary, "--", 2);
	memcpy(p->boundary + 2, boundary, strlen(boundary) + 1);
	p->rest = body;
	if (until_delimiter(p, &preamble) != 1)
		return err_set(E_PROTO, "the message's %s has no parts", t->type);
	return E_OK;
}

bool
mime_parts_next(struct mime_parts *p, struct span *part)
{
	int kind;

	*part = SPAN_NONE;
	if (p->closed || p->rest.n == 0)
		return false;
	kind = until_delimiter(p, part);
	p->closed = kind == 2;
	return kind != 0;
}
