/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One message, line by line, as far as is needed to tell whom it is encrypted for: of header fields only those that
 * matter are kept, of multiparts only the boundaries, and of an encrypted part its beginning. It finds the part that
 * `dpiv decrypt` would (smime_find.c): the first S/MIME object, within multiparts of any kind. After that, and in
 * messages that cannot have one, lines are not looked at any more (SCAN_DONE).
 */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/scan.h"
#include "cli/smime.h"

#define HEAD_MAX (64 * 1024)
#define RAW_MAX	 (64 * 1024)

void
scan_mail_init(struct scan_mail *s, const struct scan_sink *sink)
{
	memset(s, 0, sizeof *s);
	s->sink = sink;
	wbuf_init(&s->head, HEAD_MAX);
	wbuf_init(&s->raw, RAW_MAX);
	scan_cms_init(&s->cms);
}

void
scan_mail_free(struct scan_mail *s)
{
	wbuf_free(&s->head);
	wbuf_free(&s->raw);
	scan_cms_free(&s->cms);
}

static void
entity_begin(struct scan_mail *s)
{
	wbuf_clear(&s->head);
	s->keep = false;
	s->phase = SCAN_HEAD;
}

void
scan_mail_begin(struct scan_mail *s, const char *path, uint64_t offset)
{
	memset(&s->m, 0, sizeof s->m);
	s->m.path = path;
	s->m.offset = offset;
	s->depth = 0;
	s->pem = false;
	entity_begin(s);
}

static void
body_begin(struct scan_mail *s, enum scan_coding coding)
{
	s->coding = coding;
	s->bits = 0;
	s->n_bits = 0;
	scan_cms_reset(&s->cms);
	s->phase = SCAN_BODY;
}

void
scan_mail_bare(struct scan_mail *s, enum scan_coding coding)
{
	body_begin(s, coding);
	s->pem = coding == SCAN_BASE64;
}

/* --- the header --------------------------------------------------------------------------------------------------- */

/* RFC 5322, 3.3, with the obsolete two-digit years (4.3). */
static bool
date_parse(struct span value, time_t *out)
{
	char text[80], *p;
	struct tm tm = { 0 };
	long offset;

	text_safe(value, text, sizeof text);
	p = strchr(text, ',');
	p = p == NULL ? text : p + 1;
	p = strptime(p, " %d %b %Y %H:%M", &tm);
	if (p == NULL)
		return false;
	if (*p == ':')
		p = strptime(p, ":%S", &tm);
	if (p != NULL)
		(void)strptime(p, " %z", &tm);
	if (tm.tm_year < -1800)
		tm.tm_year += tm.tm_year < -1850 ? 2000 : 1900;
	offset = tm.tm_gmtoff;
	tm.tm_gmtoff = 0;
	*out = timegm(&tm) - offset;
	return true;
}

static void
message_facts(struct scan_mail *s, struct span head)
{
	struct span v;

	if (mime_find(head, "Date", &v, NULL))
		s->m.dated = date_parse(v, &s->m.date);
	if (mime_find(head, "Message-ID", &v, NULL))
		text_safe(v, s->m.name, sizeof s->m.name);
}

static void
part_skip(struct scan_mail *s)
{
	s->phase = s->depth > 0 ? SCAN_SKIP : SCAN_DONE;
}

static void
part_cms(struct scan_mail *s, struct span head)
{
	switch (mime_cte(head)) {
	case MIME_BASE64: body_begin(s, SCAN_BASE64); break;
	case MIME_QP: body_begin(s, SCAN_QP); break;
	case MIME_UNKNOWN:
		s->m.encrypted = s->m.damaged = true;
		s->phase = SCAN_DONE;
		break;
	default: body_begin(s, SCAN_RAW); break;
	}
}

/* RFC 2046, 5.1.1: a boundary has at most 70 characters. */
static void
part_multi(struct scan_mail *s, const struct mime_type *t)
{
	char boundary[72];

	if (s->depth == MIME_DEPTH || !mime_param(t->value, "boundary", boundary, sizeof boundary) ||
	    boundary[0] == '\0') {
		part_skip(s);
		return;
	}
	s->boundary[s->depth].n =
	    (size_t)snprintf(s->boundary[s->depth].text, sizeof s->boundary[s->depth].text, "--%s", boundary);
	s->depth++;
	s->phase = SCAN_SKIP;
}

/* The empty line: what comes now? */
static void
head_end(struct scan_mail *s)
{
	struct span head = wbuf_view(&s->head);
	struct mime_type t;

	if (s->depth == 0)
		message_facts(s, head);
	if (s->head.bad || mime_type(head, &t) != E_OK)
		part_skip(s);
	else if (mime_is(&t, "multipart/"))
		part_multi(s, &t);
	else if (smime_is_type(&t))
		part_cms(s, head);
	else
		part_skip(s);
}

static bool
is_wanted(struct span line)
{
	static const char *const names[] = { "Content-Type", "Content-Transfer-Encoding", "Date", "Message-ID" };
	struct span rest = line;
	struct mime_field f;

	if (line.n == 0 || strchr("CcDdMm", line.p[0]) == NULL || !mime_field(&rest, &f))
		return false;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (mime_is_named(&f, names[i]))
			return true;
	}
	return false;
}

static bool
is_empty(struct span raw)
{
	return span_eq(raw, span_str("\n")) || span_eq(raw, span_str("\r\n"));
}

static void
head_line(struct scan_mail *s, struct span raw, bool begins)
{
	if (begins && is_empty(raw)) {
		head_end(s);
		return;
	}
	if (begins && raw.n > 0 && raw.p[0] != ' ' && raw.p[0] != '\t')
		s->keep = is_wanted(raw);
	if (s->keep)
		wbuf_span(&s->head, raw);
}

/* --- the encrypted part ------------------------------------------------------------------------------------------- */

/* RFC 2045, 6.8: other characters are ignored there, but they are no mail that anybody sends; '=' ends it. */
static bool
base64_put(struct scan_mail *s, struct span in)
{
	uint8_t c;

	while (span_u8(&in, &c)) {
		int v = text_base64_digit(c);

		if (c == '\r' || c == '\n' || c == ' ' || c == '\t' || c == '=')
			continue;
		if (v < 0)
			return false;
		s->bits = (s->bits << 6 | (uint32_t)v) & 0xFFFFFF;
		s->n_bits += 6;
		if (s->n_bits >= 8) {
			s->n_bits -= 8;
			wbuf_u8(&s->raw, (uint8_t)(s->bits >> s->n_bits));
		}
	}
	return true;
}

static bool
decode(struct scan_mail *s, struct span raw)
{
	wbuf_clear(&s->raw);
	if (s->coding == SCAN_BASE64)
		return base64_put(s, raw);
	if (s->coding == SCAN_QP)
		return mime_decode(MIME_QP, raw, &s->raw) == E_OK;
	return true;
}

static void
on_id(void *arg, const struct scan_id *id)
{
	const struct scan_mail *s = arg;

	s->sink->id(s->sink->arg, id);
}

/* Long lines (binary) come in pieces of any size: what the decoder takes at once is bounded here. */
static void
body_piece(struct scan_mail *s, struct span raw)
{
	enum scan_state st = SCAN_BAD;

	if (decode(s, raw) && !s->raw.bad)
		st = scan_cms_put(&s->cms, s->coding == SCAN_RAW ? raw : wbuf_view(&s->raw), on_id, s);
	if (st == SCAN_MORE)
		return;
	s->m.encrypted = st != SCAN_OTHER;
	s->m.damaged = st == SCAN_BAD;
	s->phase = SCAN_DONE;
}

static void
body_line(struct scan_mail *s, struct span raw)
{
	struct span piece;

	if (s->pem && span_starts(raw, "-----", 5))
		return;
	while (raw.n > 0 && s->phase == SCAN_BODY) {
		if (!span_take(&raw, raw.n < 4096 ? raw.n : 4096, &piece))
			return;
		body_piece(s, piece);
	}
}

/* --- lines -------------------------------------------------------------------------------------------------------- */

/* Does the line end the part that is being read? A boundary of an outer multipart ends the inner ones. */
static bool
boundary_line(struct scan_mail *s, struct span raw)
{
	if (!span_starts(raw, "--", 2))
		return false;
	for (unsigned i = s->depth; i-- > 0;) {
		struct span rest = raw;

		if (!span_starts(raw, s->boundary[i].text, s->boundary[i].n))
			continue;
		(void)span_skip(&rest, s->boundary[i].n);
		if (span_starts(rest, "--", 2)) {
			s->depth = i;
			part_skip(s);
			return true;
		}
		while (rest.n > 0 && strchr(" \t\r\n", rest.p[0]) != NULL && rest.p[0] != '\0')
			(void)span_skip(&rest, 1);
		if (rest.n > 0)
			continue;
		s->depth = i + 1;
		entity_begin(s);
		return true;
	}
	return false;
}

/* The encrypted part ended before its recipients did. */
static void
body_cut(struct scan_mail *s)
{
	s->m.encrypted = s->m.damaged = true;
	s->phase = SCAN_DONE;
}

void
scan_mail_line(struct scan_mail *s, struct span raw, bool begins)
{
	bool was_body = s->phase == SCAN_BODY;

	if (s->phase == SCAN_DONE)
		return;
	if (s->depth > 0 && begins && boundary_line(s, raw)) {
		if (was_body)
			body_cut(s);
		return;
	}
	if (s->phase == SCAN_HEAD)
		head_line(s, raw, begins);
	else if (s->phase == SCAN_BODY)
		body_line(s, raw);
}

void
scan_mail_end(struct scan_mail *s)
{
	if (s->phase == SCAN_HEAD && s->depth == 0)
		message_facts(s, wbuf_view(&s->head));
	if (s->phase == SCAN_BODY)
		body_cut(s);
	s->sink->message(s->sink->arg, &s->m);
}
