/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What names a card: the UUID (GUID of the CHUID, RFC 4122 version 4) and the FASC-N (TIG SCEPACS 2.2): forty
 * symbols of four bits, least significant first, and an odd parity bit. Symbols: start, agency 4, separator, system
 * 4, separator, credential 6, separator, series 1, separator, issue 1, separator, person 10, category 1,
 * organisation 4, association 1, end, and a longitudinal check whose first four bits make every column even.
 */
#include <inttypes.h>
#include <string.h>

#include <openssl/rand.h>

#include "tests/vcard/maker.h"

/* In transmission order. */
enum { START = 0x1A, FIELD = 0x16, END = 0x1F };

static const struct {
	int digits;
	bool separator; /* before the field */
} layout[9] = { { 4, false }, { 4, true }, { 6, true }, { 1, true }, { 1, true }, { 10, true }, { 1, false },
	{ 4, false }, { 1, false } };

static uint8_t
symbol(unsigned digit)
{
	uint8_t s = 0, ones = 0;

	for (int bit = 0; bit < 4; bit++)
		if (digit >> bit & 1) {
			s |= (uint8_t)(0x10 >> bit);
			ones++;
		}
	return s | (ones & 1 ? 0 : 1);
}

struct packer {
	uint8_t *out;
	unsigned bit;
	uint8_t columns;
};

static void
pack(struct packer *p, uint8_t s)
{
	p->columns ^= s >> 1;
	for (int i = 4; i >= 0; i--, p->bit++)
		if (s >> i & 1)
			p->out[p->bit / 8] |= (uint8_t)(0x80 >> p->bit % 8);
}

void
vc_fascn_encode(const uint64_t fields[9], uint8_t out[25])
{
	struct packer p = { out, 0, 0 };
	uint8_t lrc, ones = 0;
	char text[24];

	memset(out, 0, 25);
	pack(&p, START);
	for (int f = 0; f < 9; f++) {
		if (layout[f].separator)
			pack(&p, FIELD);
		snprintf(text, sizeof text, "%0*" PRIu64, layout[f].digits, fields[f]);
		for (int i = 0; i < layout[f].digits; i++)
			pack(&p, symbol((unsigned)(text[i] - '0')));
	}
	pack(&p, END);
	lrc = (uint8_t)(p.columns << 1);
	for (int i = 1; i < 5; i++)
		ones ^= lrc >> i & 1;
	pack(&p, lrc | (ones ? 0 : 1));
}

static uint64_t
random_below(uint64_t limit)
{
	uint64_t v = 0;

	RAND_bytes((unsigned char *)&v, sizeof v);
	return v % limit;
}

bool
vc_fascn_set(struct vc_maker *m, const char *hex)
{
	uint64_t fields[9] = { 32, 1, random_below(1000000), 0, 1, random_below(10000000000), 1, 32, 2 };
	struct vc_out o = { NULL, 0, 0, false };
	bool ok;

	if (!hex) {
		vc_fascn_encode(fields, m->fascn);
		return true;
	}
	ok = vc_unhex(&o, hex) && o.n == sizeof m->fascn;
	if (ok)
		memcpy(m->fascn, o.p, o.n);
	else
		vc_say(m->why, "--fascn is not 50 hexadecimal digits: %.60s", hex);
	vc_out_free(&o);
	return ok;
}

static void
uuid_print(struct vc_maker *m)
{
	char *to = m->uuid_text;

	for (size_t i = 0; i < sizeof m->uuid; i++)
		to += snprintf(to, 4, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", m->uuid[i]);
}

bool
vc_uuid_set(struct vc_maker *m, const char *text)
{
	struct vc_out o = { NULL, 0, 0, false };
	char hex[33];
	size_t n = 0;
	bool ok;

	if (!text) {
		ok = RAND_bytes(m->uuid, sizeof m->uuid) > 0;
		m->uuid[6] = (uint8_t)((m->uuid[6] & 0x0F) | 0x40);
		m->uuid[8] = (uint8_t)((m->uuid[8] & 0x3F) | 0x80);
		uuid_print(m);
		return ok;
	}
	for (const char *s = text; *s && n < sizeof hex - 1; s++)
		if (*s != '-')
			hex[n++] = *s;
	hex[n] = 0;
	ok = strlen(text) == 36 && vc_unhex(&o, hex) && o.n == sizeof m->uuid;
	if (ok)
		memcpy(m->uuid, o.p, o.n);
	else
		vc_say(m->why, "--uuid is not a UUID: %.60s", text);
	vc_out_free(&o);
	uuid_print(m);
	return ok;
}
