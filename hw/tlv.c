/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BER-TLV, ISO/IEC 7816-4:2020 5.2.2, as far as SP 800-73-5 needs it.
 *
 * Reading: a tag has at most three bytes and a length at most five, so that neither can wrap; a value is only handed
 * out when it lies inside the input. A getter that fails leaves its input where it was. Nothing here recurses: the
 * caller walks one level at a time, which bounds the depth by its own code.
 * Writing: the length goes in when the element is closed, in the shortest form, as DER would have it.
 */
#include "hw/tlv.h"

static void
skip_filler(struct span *in)
{
	while (in->n > 0 && in->p[0] == 0x00)
		if (!span_skip(in, 1))
			return;
}

static bool
read_tag(struct span *in, uint32_t *tag)
{
	uint8_t b;
	int i;

	if (!span_u8(in, &b))
		return false;
	*tag = b;
	if ((b & 0x1F) != 0x1F)
		return true;
	for (i = 0; i < 2; i++) {
		if (!span_u8(in, &b))
			return false;
		*tag = *tag << 8 | b;
		if ((b & 0x80) == 0)
			return true;
	}
	return false; /* a fourth byte: no such tag in PIV */
}

static bool
read_length(struct span *in, size_t *len)
{
	uint8_t b, more;

	if (!span_u8(in, &b))
		return false;
	*len = b;
	if (b < 0x80)
		return true;
	if (b == 0x80 || b > 0x84) /* indefinite, or absurd */
		return false;
	*len = 0;
	for (more = b & 0x7F; more > 0; more--) {
		if (!span_u8(in, &b))
			return false;
		*len = *len << 8 | b;
	}
	return true;
}

enum err
tlv_head(struct span *in, uint32_t *tag, size_t *len)
{
	struct span s = *in;

	*tag = 0;
	*len = 0;
	skip_filler(&s);
	if (s.n == 0)
		return E_NOTFOUND;
	if (!read_tag(&s, tag) || !read_length(&s, len)) {
		*tag = 0;
		*len = 0;
		return err_set(E_PROTO, "card data: malformed TLV header");
	}
	*in = s;
	return E_OK;
}

enum err
tlv_next(struct span *in, uint32_t *tag, struct span *val)
{
	struct span s = *in;
	uint32_t t;
	size_t len;
	enum err e;

	*val = SPAN_NONE;
	*tag = 0;
	if ((e = tlv_head(&s, &t, &len)) != E_OK)
		return e;
	if (!span_take(&s, len, val))
		return err_set(E_PROTO, "card data: element %X says %zu bytes, only %zu are there", t, len, s.n);
	*tag = t;
	*in = s;
	return E_OK;
}

enum err
tlv_get(struct span *in, uint32_t tag, struct span *val)
{
	struct span s = *in, v;
	uint32_t t;
	enum err e;

	*val = SPAN_NONE;
	e = tlv_next(&s, &t, &v);
	if (e == E_NOTFOUND)
		return err_set(E_PROTO, "card data: element %X is missing", tag);
	if (e != E_OK)
		return e;
	if (t != tag)
		return err_set(E_PROTO, "card data: element %X where %X belongs", t, tag);
	*val = v;
	*in = s;
	return E_OK;
}

enum err
tlv_find(struct span in, uint32_t tag, struct span *val)
{
	struct span v;
	uint32_t t;
	enum err e;

	*val = SPAN_NONE;
	while ((e = tlv_next(&in, &t, &v)) == E_OK)
		if (t == tag) {
			*val = v;
			return E_OK;
		}
	return e;
}

enum err
tlv_end(const struct span *in)
{
	struct span s = *in;

	skip_filler(&s);
	if (s.n > 0)
		return err_set(E_PROTO, "card data: %zu bytes too many", s.n);
	return E_OK;
}

/* --- building --- */

static void
put_tag(struct wbuf *w, uint32_t tag)
{
	if (tag > 0xFFFF)
		wbuf_u8(w, (uint8_t)(tag >> 16));
	if (tag > 0xFF)
		wbuf_u8(w, (uint8_t)(tag >> 8));
	wbuf_u8(w, (uint8_t)tag);
}

/* The length field for n, shortest form. */
static size_t
length_field(size_t n, uint8_t out[5])
{
	size_t bytes = n < 0x80 ? 0 : n <= 0xFF ? 1 : n <= 0xFFFF ? 2 : n <= 0xFFFFFF ? 3 : 4, i;

	if (bytes == 0) {
		out[0] = (uint8_t)n;
		return 1;
	}
	out[0] = (uint8_t)(0x80 | bytes);
	for (i = bytes; i > 0; i--, n >>= 8)
		out[i] = (uint8_t)n;
	return 1 + bytes;
}

void
tlv_put(struct wbuf *w, uint32_t tag, const void *p, size_t n)
{
	uint8_t len[5];

	put_tag(w, tag);
	wbuf_put(w, len, length_field(n, len));
	wbuf_put(w, p, n);
}

void
tlv_put_u8(struct wbuf *w, uint32_t tag, uint8_t v)
{
	tlv_put(w, tag, &v, 1);
}

size_t
tlv_open(struct wbuf *w, uint32_t tag)
{
	put_tag(w, tag);
	return w->n;
}

void
tlv_close(struct wbuf *w, size_t mark)
{
	uint8_t len[5];

	if (w->bad || mark > w->n) {
		w->bad = true;
		return;
	}
	wbuf_insert(w, mark, len, length_field(w->n - mark, len));
}
