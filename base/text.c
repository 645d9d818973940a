/* SPDX-License-Identifier: BSD-2-Clause */
/* Hex, UUIDs, base64 and foreign text made safe to show: see text.h. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"

char *
text_hex(struct span in, char *out, size_t cap)
{
	static const char digit[] = "0123456789ABCDEF";
	size_t n = 0;

	for (size_t i = 0; i < in.n && n + 2 < cap; i++) {
		out[n++] = digit[in.p[i] >> 4];
		out[n++] = digit[in.p[i] & 15];
	}
	if (cap > 0)
		out[n] = '\0';
	return out;
}

int
text_hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool
text_unhex(const char *hex, struct wbuf *out)
{
	while (*hex != '\0') {
		int hi, lo;

		if (*hex == ' ') {
			hex++;
			continue;
		}
		if ((hi = text_hex_digit((uint8_t)hex[0])) < 0 || (lo = text_hex_digit((uint8_t)hex[1])) < 0)
			return false;
		wbuf_u8(out, (uint8_t)(hi << 4 | lo));
		hex += 2;
	}
	return !out->bad;
}

char *
text_uuid(const uint8_t uuid[16], char out[TEXT_UUID_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			out[n++] = '-';
		n += (size_t)snprintf(out + n, TEXT_UUID_MAX - n, "%02x", uuid[i]);
	}
	return out;
}

void
text_base64(struct span in, size_t wrap, struct wbuf *out)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t column = 0;

	while (in.n > 0) {
		struct span part;
		uint8_t b[3] = { 0 };
		char c[4];

		(void)span_take(&in, in.n < 3 ? in.n : 3, &part);
		memcpy(b, part.p, part.n);
		c[0] = alphabet[b[0] >> 2];
		c[1] = alphabet[(b[0] & 3) << 4 | b[1] >> 4];
		c[2] = '=', c[3] = '=';
		if (part.n > 1)
			c[2] = alphabet[(b[1] & 15) << 2 | b[2] >> 6];
		if (part.n > 2)
			c[3] = alphabet[b[2] & 63];
		wbuf_put(out, c, sizeof c);
		column += sizeof c;
		if (wrap != 0 && column >= wrap) {
			wbuf_put(out, "\n", 1);
			column = 0;
		}
	}
	if (column > 0 && wrap != 0)
		wbuf_put(out, "\n", 1);
}

int
text_base64_digit(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* The end of base64: what is left of the last group, and its padding. */
static bool
base64_last(uint32_t acc, unsigned have, unsigned pad, struct wbuf *out)
{
	if (have == 0)
		return pad == 0 && !out->bad;
	if (have + pad != 4 || have == 1)
		return false;
	if ((have == 2 && (acc & 15) != 0) || (have == 3 && (acc & 3) != 0))
		return false; /* bits that encode nothing: not canonical */
	acc <<= 6 * (4 - have);
	wbuf_u8(out, (uint8_t)(acc >> 16));
	if (have == 3)
		wbuf_u8(out, (uint8_t)(acc >> 8));
	return !out->bad;
}

bool
text_unbase64(struct span in, struct wbuf *out)
{
	uint32_t acc = 0;
	unsigned have = 0, pad = 0;
	uint8_t c;

	while (span_u8(&in, &c)) {
		int d;

		if (c == '\r' || c == '\n' || c == ' ' || c == '\t')
			continue;
		if (c == '=') {
			pad++;
			continue;
		}
		if (pad > 0 || (d = text_base64_digit(c)) < 0)
			return false;
		acc = acc << 6 | (uint32_t)d;
		if (++have == 4) {
			wbuf_u8(out, (uint8_t)(acc >> 16));
			wbuf_be16(out, (uint16_t)acc);
			have = 0, acc = 0;
		}
	}
	return base64_last(acc, have, pad, out);
}

/* Length of the well-formed UTF-8 sequence (RFC 3629) of a printable character at the start of s, 0 if none. */
static size_t
utf8_len(struct span s)
{
	static const struct {
		uint8_t first_lo, first_hi, second_lo, second_hi;
		size_t n;
	} form[] = { { 0x20, 0x7E, 0, 0, 1 }, { 0xC2, 0xC2, 0xA0, 0xBF, 2 }, { 0xC3, 0xDF, 0x80, 0xBF, 2 },
		{ 0xE0, 0xE0, 0xA0, 0xBF, 3 }, { 0xE1, 0xEC, 0x80, 0xBF, 3 }, { 0xED, 0xED, 0x80, 0x9F, 3 },
		{ 0xEE, 0xEF, 0x80, 0xBF, 3 }, { 0xF0, 0xF0, 0x90, 0xBF, 4 }, { 0xF1, 0xF3, 0x80, 0xBF, 4 },
		{ 0xF4, 0xF4, 0x80, 0x8F, 4 } };

	for (size_t i = 0; i < sizeof form / sizeof form[0]; i++) {
		size_t k = form[i].n;

		if (s.n < k || s.p[0] < form[i].first_lo || s.p[0] > form[i].first_hi)
			continue;
		if (k > 1 && (s.p[1] < form[i].second_lo || s.p[1] > form[i].second_hi))
			continue;
		for (size_t j = 2; j < k; j++)
			if ((s.p[j] & 0xC0) != 0x80)
				k = 0;
		return k;
	}
	return 0;
}

/* U+202A..202E, U+2066..2069 (bidirectional controls), U+2028..2029: well-formed, but they rearrange a terminal line.
 */
static bool
utf8_control(struct span s)
{
	if (!span_starts(s, "\xE2\x80", 2) && !span_starts(s, "\xE2\x81", 2))
		return false;
	return s.p[1] == 0x80 ? s.p[2] >= 0xA8 && s.p[2] <= 0xAE : s.p[2] >= 0xA6 && s.p[2] <= 0xA9;
}

char *
text_utc(time_t t, char out[TEXT_UTC_MAX])
{
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL || strftime(out, TEXT_UTC_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		out[0] = '\0';
	return out;
}

char *
text_safe(struct span in, char *out, size_t cap)
{
	size_t n = 0;

	if (cap == 0)
		return out;
	while (in.n > 0) {
		struct span s;
		size_t k = utf8_len(in);
		bool bad = k == 0 || utf8_control(in);

		(void)span_take(&in, k == 0 ? 1 : k, &s);
		if (n + (bad ? 1 : s.n) >= cap)
			break;
		if (bad) {
			out[n++] = '?';
		} else {
			memcpy(out + n, s.p, s.n);
			n += s.n;
		}
	}
	out[n] = '\0';
	return out;
}
