/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The Card Holder Unique Identifier: SP 800-73-5 part 1, 3.1.2 and table 9; SP 800-73-4 for the elements EE, 32 and 33
 * of older cards, which are skipped. Elements are taken by tag, whatever their order; one of a wrong length is an
 * error, an empty one is absent. The signature is handed out as it is; checking it is not this room's business.
 */
#include <string.h>

#include "hw/piv_int.h"

#define TAG_FASCN      0x30
#define TAG_GUID       0x34
#define TAG_EXPIRY     0x35
#define TAG_CARDHOLDER 0x36
#define TAG_SIGNATURE  0x3E

static enum err
fixed(struct span v, const char *what, uint8_t *out, size_t n, bool *has)
{
	if (v.n == 0)
		return E_OK;
	if (v.n != n)
		return err_set(E_PROTO, "CHUID: %s of %zu bytes instead of %zu", what, v.n, n);
	memcpy(out, v.p, n);
	*has = true;
	return E_OK;
}

static void
expiry(struct span v, char out[9])
{
	size_t i;

	if (v.n != 8)
		return;
	for (i = 0; i < v.n; i++)
		if (v.p[i] < '0' || v.p[i] > '9')
			return;
	memcpy(out, v.p, 8);
	out[8] = '\0';
}

static enum err
element(uint32_t tag, struct span v, struct piv_chuid *out)
{
	switch (tag) {
	case TAG_FASCN: return fixed(v, "FASC-N", out->fascn, sizeof out->fascn, &out->has_fascn);
	case TAG_GUID: return fixed(v, "GUID", out->guid, sizeof out->guid, &out->has_guid);
	case TAG_CARDHOLDER:
		return fixed(v, "cardholder UUID", out->cardholder, sizeof out->cardholder, &out->has_cardholder);
	case TAG_EXPIRY: expiry(v, out->expiry); return E_OK;
	case TAG_SIGNATURE: out->signature = v; return E_OK;
	}
	return E_OK;
}

enum err
piv_chuid_parse(struct span contents, struct piv_chuid *out)
{
	struct span v;
	uint32_t tag;
	enum err e;

	memset(out, 0, sizeof *out);
	while ((e = tlv_next(&contents, &tag, &v)) == E_OK)
		if ((e = element(tag, v, out)) != E_OK)
			return e;
	return e == E_NOTFOUND ? E_OK : e;
}

enum err
piv_chuid_prefix(struct span answer, struct piv_chuid *out)
{
	struct span rest, v;
	uint32_t tag;
	size_t len;
	enum err e;

	memset(out, 0, sizeof *out);
	if (tlv_head(&answer, &tag, &len) != E_OK || tag != 0x53)
		return err_set(E_PROTO, "CHUID: the card answered something else");
	if (answer.n > len && !span_take(&answer, len, &answer))
		return err_set(E_INTERNAL, "CHUID");
	for (rest = answer; tlv_head(&rest, &tag, &len) == E_OK && span_take(&rest, len, &v);)
		if ((e = element(tag, v, out)) != E_OK)
			return e;
	out->signature = SPAN_NONE;
	if (!out->has_fascn && !out->has_guid)
		return err_set(E_NOTFOUND, "CHUID: neither FASC-N nor GUID");
	return E_OK;
}
