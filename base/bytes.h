/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_BASE_BYTES_H
#define DPIV_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The two byte types. Foreign input is read through a span and bytes are built in a wbuf; no other file adds to a
 * pointer.
 *
 * span: a borrowed, bounded range. Getters take it by pointer and advance it, or return false and change nothing
 * (outputs are cleared first).
 */
struct span {
	const uint8_t *p;
	size_t n;
};

#define SPAN_NONE ((struct span){ NULL, 0 })

struct span span_of(const void *p, size_t n);
struct span span_str(const char *s);
bool span_u8(struct span *in, uint8_t *out);
bool span_be16(struct span *in, uint16_t *out);
bool span_be32(struct span *in, uint32_t *out);
bool span_take(struct span *in, size_t n, struct span *out);
bool span_skip(struct span *in, size_t n);
bool span_eq(struct span a, struct span b);		  /* not constant time */
bool span_starts(struct span s, const void *p, size_t n); /* s begins with these n bytes */
/* The text up to the next line feed or the end, without it; both are taken off in. False at the end. */
bool span_line(struct span *in, struct span *line);
/* The n bytes at offset at; false when they are not all inside. */
bool span_sub(struct span s, size_t at, size_t n, struct span *out);

/*
 * wbuf: a growing, capped builder with sticky failure: append freely, test .bad once. After a failure the contents
 * are meaningless. Memory is wiped when it grows and when it is freed. wbuf_clear() makes it empty and good again.
 */
struct wbuf {
	uint8_t *p;
	size_t n, cap, max;
	bool bad;
};

void wbuf_init(struct wbuf *w, size_t max);
void wbuf_free(struct wbuf *w); /* wipes; w may be all zero */
void wbuf_clear(struct wbuf *w);
void wbuf_u8(struct wbuf *w, uint8_t v);
void wbuf_be16(struct wbuf *w, uint16_t v);
void wbuf_be32(struct wbuf *w, uint32_t v);
void wbuf_put(struct wbuf *w, const void *p, size_t n);
void wbuf_span(struct wbuf *w, struct span s);
void wbuf_fill(struct wbuf *w, uint8_t v, size_t n);
void wbuf_insert(struct wbuf *w, size_t at, const void *p, size_t n);
void wbuf_cut(struct wbuf *w, size_t n); /* keep the first n bytes, wipe the rest */
/* Room for n more bytes at the end, already counted as contents; NULL (and bad) when there is none. */
uint8_t *wbuf_room(struct wbuf *w, size_t n);
/* A view of the contents; empty when bad. Valid until the next change. */
struct span wbuf_view(const struct wbuf *w);

#define WBUF_AUTO __attribute__((cleanup(wbuf_free))) struct wbuf

#endif
