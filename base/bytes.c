/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bounded reader and capped builder: see bytes.h. This is the one file that moves a pointer through foreign bytes.
 * Sizes are compared by subtraction from what is known to be there, so that no sum can wrap.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define WBUF_MIN 64

struct span
span_of(const void *p, size_t n)
{
	return (struct span){ p, p != NULL ? n : 0 };
}

struct span
span_str(const char *s)
{
	return span_of(s, s != NULL ? strlen(s) : 0);
}

bool
span_take(struct span *in, size_t n, struct span *out)
{
	*out = SPAN_NONE;
	if (n > in->n)
		return false;
	*out = (struct span){ in->p, n };
	if (n > 0)
		in->p += n;
	in->n -= n;
	return true;
}

bool
span_skip(struct span *in, size_t n)
{
	struct span skipped;

	return span_take(in, n, &skipped);
}

bool
span_u8(struct span *in, uint8_t *out)
{
	struct span s;

	*out = 0;
	if (!span_take(in, 1, &s))
		return false;
	*out = s.p[0];
	return true;
}

bool
span_be16(struct span *in, uint16_t *out)
{
	struct span s;

	*out = 0;
	if (!span_take(in, 2, &s))
		return false;
	*out = (uint16_t)(s.p[0] << 8 | s.p[1]);
	return true;
}

bool
span_be32(struct span *in, uint32_t *out)
{
	struct span s;

	*out = 0;
	if (!span_take(in, 4, &s))
		return false;
	*out = (uint32_t)s.p[0] << 24 | (uint32_t)s.p[1] << 16 | (uint32_t)s.p[2] << 8 | s.p[3];
	return true;
}

bool
span_eq(struct span a, struct span b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool
span_starts(struct span s, const void *p, size_t n)
{
	return s.n >= n && (n == 0 || memcmp(s.p, p, n) == 0);
}

bool
span_sub(struct span s, size_t at, size_t n, struct span *out)
{
	*out = SPAN_NONE;
	return span_skip(&s, at) && span_take(&s, n, out);
}

bool
span_line(struct span *in, struct span *line)
{
	size_t n = 0;

	*line = SPAN_NONE;
	if (in->n == 0)
		return false;
	while (n < in->n && in->p[n] != '\n')
		n++;
	return span_take(in, n, line) && (in->n == 0 || span_skip(in, 1));
}

void
wbuf_init(struct wbuf *w, size_t max)
{
	*w = (struct wbuf){ .max = max };
}

void
wbuf_free(struct wbuf *w)
{
	if (w->p != NULL) {
		explicit_bzero(w->p, w->cap);
		free(w->p);
	}
	*w = (struct wbuf){ 0 };
}

void
wbuf_clear(struct wbuf *w)
{
	if (w->p != NULL)
		explicit_bzero(w->p, w->n);
	w->n = 0;
	w->bad = false;
}

/* Make room for n more bytes. realloc() would leave the old bytes behind unwiped. */
static bool
wbuf_grow(struct wbuf *w, size_t n)
{
	size_t cap = w->cap > WBUF_MIN ? w->cap : WBUF_MIN;
	uint8_t *p;

	if (w->bad || w->n > w->max || n > w->max - w->n) {
		w->bad = true;
		return false;
	}
	if (n <= w->cap - w->n)
		return true;
	while (cap < w->n + n)
		cap = cap > w->max / 2 ? w->max : cap * 2;
	if ((p = malloc(cap)) == NULL) {
		w->bad = true;
		return false;
	}
	if (w->p != NULL) {
		memcpy(p, w->p, w->n);
		explicit_bzero(w->p, w->cap);
		free(w->p);
	}
	w->p = p;
	w->cap = cap;
	return true;
}

uint8_t *
wbuf_room(struct wbuf *w, size_t n)
{
	uint8_t *p;

	if (!wbuf_grow(w, n) || w->p == NULL)
		return NULL;
	p = w->p + w->n;
	w->n += n;
	return p;
}

void
wbuf_put(struct wbuf *w, const void *p, size_t n)
{
	uint8_t *to;

	if (n > 0 && (to = wbuf_room(w, n)) != NULL)
		memcpy(to, p, n);
}

void
wbuf_span(struct wbuf *w, struct span s)
{
	wbuf_put(w, s.p, s.n);
}

void
wbuf_u8(struct wbuf *w, uint8_t v)
{
	wbuf_put(w, &v, 1);
}

void
wbuf_be16(struct wbuf *w, uint16_t v)
{
	const uint8_t b[] = { (uint8_t)(v >> 8), (uint8_t)v };

	wbuf_put(w, b, sizeof b);
}

void
wbuf_be32(struct wbuf *w, uint32_t v)
{
	wbuf_be16(w, (uint16_t)(v >> 16));
	wbuf_be16(w, (uint16_t)v);
}

void
wbuf_fill(struct wbuf *w, uint8_t v, size_t n)
{
	uint8_t *to;

	if (n > 0 && (to = wbuf_room(w, n)) != NULL)
		memset(to, v, n);
}

void
wbuf_insert(struct wbuf *w, size_t at, const void *p, size_t n)
{
	size_t old = w->n;

	if (at > old || n == 0) {
		w->bad |= at > old;
		return;
	}
	if (wbuf_room(w, n) == NULL)
		return;
	memmove(w->p + at + n, w->p + at, old - at);
	memcpy(w->p + at, p, n);
}

void
wbuf_cut(struct wbuf *w, size_t n)
{
	if (n >= w->n)
		return;
	explicit_bzero(w->p + n, w->n - n);
	w->n = n;
}

struct span
wbuf_view(const struct wbuf *w)
{
	return w->bad ? SPAN_NONE : span_of(w->p, w->n);
}
