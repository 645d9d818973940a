/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The virtual card's bytes: bounded reading, growing writing, hexadecimal. The twin of base/bytes.c on purpose: a
 * card that borrowed the code under test would agree with its mistakes.
 *
 * Invariants: an input never reads past its n bytes; an output that once failed stays bad and empty until it is
 * cleared; outputs are wiped before their memory goes back.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "tests/vcard/buf.h"

bool
vc_in_take(struct vc_in *in, size_t n, struct vc_in *out)
{
	*out = (struct vc_in){ NULL, 0 };
	if (n > in->n)
		return false;
	*out = (struct vc_in){ in->p, n };
	in->p = n ? in->p + n : in->p;
	in->n -= n;
	return true;
}

bool
vc_in_u8(struct vc_in *in, uint8_t *v)
{
	struct vc_in one;

	*v = 0;
	if (!vc_in_take(in, 1, &one))
		return false;
	*v = one.p[0];
	return true;
}

struct vc_in
vc_out_view(const struct vc_out *o)
{
	return o->bad ? (struct vc_in){ NULL, 0 } : (struct vc_in){ o->p, o->n };
}

static bool
grow(struct vc_out *o, size_t need)
{
	size_t cap = need < 128 ? 256 : need * 2;
	uint8_t *p;

	if (need > VC_OUT_MAX || !(p = malloc(cap)))
		return false;
	if (o->n)
		memcpy(p, o->p, o->n);
	if (o->p)
		OPENSSL_cleanse(o->p, o->cap);
	free(o->p);
	o->p = p;
	o->cap = cap;
	return true;
}

uint8_t *
vc_out_room(struct vc_out *o, size_t n)
{
	uint8_t *p;

	if (o->bad || n > VC_OUT_MAX || ((o->n + n > o->cap || !o->p) && !grow(o, o->n + n))) {
		o->bad = true;
		return NULL;
	}
	p = o->p + o->n;
	o->n += n;
	return p;
}

void
vc_out_put(struct vc_out *o, const void *p, size_t n)
{
	uint8_t *to = vc_out_room(o, n);

	if (to && n)
		memcpy(to, p, n);
}

void
vc_out_u8(struct vc_out *o, uint8_t v)
{
	vc_out_put(o, &v, 1);
}

void
vc_out_clear(struct vc_out *o)
{
	if (o->p)
		OPENSSL_cleanse(o->p, o->cap);
	o->n = 0;
	o->bad = false;
}

void
vc_out_free(struct vc_out *o)
{
	vc_out_clear(o);
	free(o->p);
	*o = (struct vc_out){ NULL, 0, 0, false };
}

char *
vc_hex(const void *p, size_t n)
{
	static const char digit[] = "0123456789ABCDEF";
	const uint8_t *b = p;
	char *s = malloc(2 * n + 1);

	for (size_t i = 0; s && i < n; i++) {
		s[2 * i] = digit[b[i] >> 4];
		s[2 * i + 1] = digit[b[i] & 15];
	}
	if (s)
		s[2 * n] = 0;
	return s;
}

static int
nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool
vc_unhex(struct vc_out *o, const char *s)
{
	for (; s[0]; s += 2) {
		int hi = nibble(s[0]), lo = s[1] ? nibble(s[1]) : -1;

		if (hi < 0 || lo < 0)
			return false;
		vc_out_u8(o, (uint8_t)(hi << 4 | lo));
	}
	return !o->bad;
}
