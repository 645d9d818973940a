/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_VCARD_BUF_H
#define DPIV_VCARD_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The card's own byte types: a bounded input and a growing output whose failure sticks. */
struct vc_in {
	const uint8_t *p;
	size_t n;
};
struct vc_out {
	uint8_t *p;
	size_t n, cap;
	bool bad;
};

#define VC_OUT_MAX 65536

bool vc_in_take(struct vc_in *, size_t n, struct vc_in *out);
bool vc_in_u8(struct vc_in *, uint8_t *);
struct vc_in vc_out_view(const struct vc_out *);
void vc_out_put(struct vc_out *, const void *p, size_t n);
void vc_out_u8(struct vc_out *, uint8_t);
/* Room for n bytes, counted as contents; NULL and bad when there is none. */
uint8_t *vc_out_room(struct vc_out *, size_t n);
void vc_out_clear(struct vc_out *); /* empty and good; wiped */
void vc_out_free(struct vc_out *);

/*
 * BER-TLV as a careful card reads it: tags of up to three bytes, definite lengths in the shortest form. Next
 * advances and returns false, changing nothing, at the end or at the first fault.
 */
bool vc_tlv_next(struct vc_in *, uint32_t *tag, struct vc_in *val);
/* The one TLV with this tag in a sequence of well-formed, distinct TLVs. */
bool vc_tlv_find(struct vc_in seq, uint32_t tag, struct vc_in *val);
void vc_tlv_put(struct vc_out *, uint32_t tag, const void *p, size_t n);
void vc_tlv_out(struct vc_out *, uint32_t tag, const struct vc_out *val);

/* Hexadecimal, upper case; NULL when out of memory. To be freed. */
char *vc_hex(const void *p, size_t n);
/* false unless s is an even number of hexadecimal digits; at most VC_OUT_MAX bytes are appended. */
bool vc_unhex(struct vc_out *, const char *s);

#endif
