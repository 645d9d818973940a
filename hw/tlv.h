/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_HW_TLV_H
#define DPIV_HW_TLV_H

#include "base/bytes.h"
#include "base/err.h"

/*
 * BER-TLV as ISO/IEC 7816-4 and SP 800-73 use it: tags of one to three bytes held in an integer as they are written
 * (0x53, 0x5FC105, 0x7F49), definite lengths only, long-form lengths with excess bytes accepted (seen on cards).
 * Bytes 00 before, between and after elements are filler (ISO/IEC 7816-4, 5.2.2.1; seen after certificates) and
 * skipped. Values are views into the input; nothing recurses.
 */

/* Tag and length alone, advancing in to the value; the value may be longer than what is left of in. For the first
 * block of a long answer. */
enum err tlv_head(struct span *in, uint32_t *tag, size_t *len) MUST_CHECK;
/* Next element, whatever its tag. E_NOTFOUND when nothing is left, E_PROTO malformed; in is unchanged on failure. */
enum err tlv_next(struct span *in, uint32_t *tag, struct span *val) MUST_CHECK;
/* Next element, which must have this tag: E_PROTO otherwise. val is cleared first; in is unchanged on failure. */
enum err tlv_get(struct span *in, uint32_t tag, struct span *val) MUST_CHECK;
/* First element with this tag among the siblings in in, which is not advanced; E_NOTFOUND when absent. */
enum err tlv_find(struct span in, uint32_t tag, struct span *val) MUST_CHECK;
/* E_PROTO unless everything was consumed (filler aside). */
enum err tlv_end(const struct span *in) MUST_CHECK;

/* Building: open, put contents, close (which writes the length); elements nest. */
void tlv_put(struct wbuf *w, uint32_t tag, const void *p, size_t n);
void tlv_put_u8(struct wbuf *w, uint32_t tag, uint8_t v);
size_t tlv_open(struct wbuf *w, uint32_t tag);
void tlv_close(struct wbuf *w, size_t mark);

#endif
