/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The RecipientInfos of EnvelopedData and AuthEnvelopedData (RFC 5652, 6.1; RFC 5083, 2.1) from the beginning of a CMS
 * object, while its bytes come in: they stand before the encrypted content, so that nothing of that is needed. Outer
 * lengths may be definite or indefinite (BER, as streaming senders write it); inside a RecipientInfo they are definite.
 * Recipients that are no certificates (kekri, pwri, ori) are passed over. Nothing here recurses; what is kept is at
 * most SCAN_CMS_MAX.
 */
#include <string.h>

#include "cli/scan.h"

static const uint8_t oid_enveloped[] = { 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x07, 0x03 };
static const uint8_t oid_auth_enveloped[] = { 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x09, 0x10, 0x01, 0x17 };

#define SEQUENCE    0x30
#define SET	    0x31
#define INTEGER	    0x02
#define OCTETS	    0x04
#define OID	    0x06
#define CONTEXT(n)  (0x80 | (n))
#define EXPLICIT(n) (0xA0 | (n))

struct head {
	uint8_t tag;
	bool open; /* indefinite length */
	size_t n;
};

/* Tag and length. SCAN_END: got. */
static enum scan_state
head_get(struct span *in, struct head *h)
{
	struct span s = *in;
	uint8_t first, b;

	memset(h, 0, sizeof *h);
	if (!span_u8(&s, &h->tag) || !span_u8(&s, &first))
		return SCAN_MORE;
	if ((h->tag & 0x1F) == 0x1F)
		return SCAN_BAD;
	h->n = first;
	if (first == 0x80) {
		h->open = true;
		h->n = 0;
	} else if (first > 0x80) {
		if (first > 0x84)
			return SCAN_BAD;
		h->n = 0;
		for (unsigned i = first & 0x7F; i > 0; i--) {
			if (!span_u8(&s, &b))
				return SCAN_MORE;
			h->n = h->n << 8 | b;
		}
	}
	*in = s;
	return SCAN_END;
}

static enum scan_state
want(struct span *in, uint8_t tag, struct head *h)
{
	enum scan_state st = head_get(in, h);

	return st == SCAN_END && h->tag != tag ? SCAN_BAD : st;
}

/* A whole element with definite length. */
static enum scan_state
element(struct span *in, uint8_t *tag, struct span *value)
{
	struct span s = *in;
	struct head h;
	enum scan_state st = head_get(&s, &h);

	*tag = h.tag;
	*value = SPAN_NONE;
	if (st != SCAN_END)
		return st;
	if (h.open || h.n > SCAN_CMS_MAX)
		return SCAN_BAD;
	if (!span_take(&s, h.n, value))
		return SCAN_MORE;
	*in = s;
	return SCAN_END;
}

/* --- one RecipientInfo: all of it is there, so that "more" is a mistake in it --- */

static bool
take(struct span *in, uint8_t tag, struct span *value)
{
	uint8_t got;

	return element(in, &got, value) == SCAN_END && got == tag;
}

static bool
is_next(struct span in, uint8_t tag)
{
	return in.n > 0 && in.p[0] == tag;
}

static bool
issuer_and_serial(struct span *in, struct scan_id *id)
{
	struct span all = *in, v, name;
	uint8_t tag;

	memset(id, 0, sizeof *id);
	if (!take(in, SEQUENCE, &v) || !span_sub(all, 0, all.n - in->n, &id->identity))
		return false;
	name = v;
	if (element(&v, &tag, &id->issuer) != SCAN_END || tag != SEQUENCE)
		return false;
	(void)span_sub(name, 0, name.n - v.n, &id->issuer);
	return take(&v, INTEGER, &id->serial) && id->serial.n > 0 && v.n == 0;
}

static bool
key_id(struct span *in, uint8_t tag, struct scan_id *id)
{
	memset(id, 0, sizeof *id);
	id->is_keyid = true;
	if (!take(in, tag, &id->serial) || id->serial.n == 0)
		return false;
	id->identity = id->serial;
	return true;
}

/* KeyTransRecipientInfo: version, then issuerAndSerialNumber or [0] subjectKeyIdentifier */
static bool
ktri(struct span v, scan_id_fn *fn, void *arg)
{
	struct span skip;
	struct scan_id id;
	bool ok = take(&v, INTEGER, &skip) &&
	    (is_next(v, SEQUENCE) ? issuer_and_serial(&v, &id) : key_id(&v, CONTEXT(0), &id));

	if (ok)
		fn(arg, &id);
	return ok;
}

/* RecipientEncryptedKey: issuerAndSerialNumber or [0] RecipientKeyIdentifier */
static bool
rek(struct span v, scan_id_fn *fn, void *arg)
{
	struct span inner;
	struct scan_id id;
	bool ok;

	if (is_next(v, SEQUENCE))
		ok = issuer_and_serial(&v, &id);
	else
		ok = take(&v, EXPLICIT(0), &inner) && key_id(&inner, OCTETS, &id);
	if (ok)
		fn(arg, &id);
	return ok;
}

/* KeyAgreeRecipientInfo: version, originator, ukm, algorithm, RecipientEncryptedKeys */
static bool
kari(struct span v, scan_id_fn *fn, void *arg)
{
	struct span skip, keys, one;

	if (!take(&v, INTEGER, &skip) || !take(&v, EXPLICIT(0), &skip) ||
	    (is_next(v, EXPLICIT(1)) && !take(&v, EXPLICIT(1), &skip)) || !take(&v, SEQUENCE, &skip) ||
	    !take(&v, SEQUENCE, &keys))
		return false;
	while (keys.n > 0) {
		if (!take(&keys, SEQUENCE, &one) || !rek(one, fn, arg))
			return false;
	}
	return true;
}

/* --- the object --- */

/* ContentInfo and EnvelopedData up to the first RecipientInfo. */
static enum scan_state
preamble(struct span *in, struct scan_cms *c)
{
	struct span oid, skip;
	struct head h;
	uint8_t tag;
	enum scan_state st;

	if ((st = want(in, SEQUENCE, &h)) != SCAN_END || (st = element(in, &tag, &oid)) != SCAN_END)
		return st;
	if (tag != OID)
		return SCAN_BAD;
	if (!span_eq(oid, span_of(oid_enveloped, sizeof oid_enveloped)) &&
	    !span_eq(oid, span_of(oid_auth_enveloped, sizeof oid_auth_enveloped)))
		return SCAN_OTHER;
	if ((st = want(in, EXPLICIT(0), &h)) != SCAN_END || (st = want(in, SEQUENCE, &h)) != SCAN_END ||
	    (st = element(in, &tag, &skip)) != SCAN_END)
		return st;
	if (tag != INTEGER)
		return SCAN_BAD;
	/* originatorInfo: certificates of who sent it */
	if (is_next(*in, EXPLICIT(0)) && (st = element(in, &tag, &skip)) != SCAN_END)
		return st;
	if ((st = want(in, SET, &h)) != SCAN_END)
		return st;
	c->inside = true;
	c->open = h.open;
	c->left = h.n;
	return SCAN_END;
}

static enum scan_state
recipient(struct span *in, struct scan_cms *c, scan_id_fn *fn, void *arg)
{
	struct span before = *in, v;
	uint8_t tag;
	enum scan_state st = element(in, &tag, &v);
	size_t used = before.n - in->n;

	if (st != SCAN_END)
		return st;
	if (!c->open && used > c->left)
		return SCAN_BAD;
	c->left -= c->open ? 0 : used;
	if (tag == SEQUENCE)
		return ktri(v, fn, arg) ? SCAN_END : SCAN_BAD;
	if (tag == EXPLICIT(1))
		return kari(v, fn, arg) ? SCAN_END : SCAN_BAD;
	return tag >= EXPLICIT(2) && tag <= EXPLICIT(4) ? SCAN_END : SCAN_BAD;
}

static bool
at_end(struct span in, const struct scan_cms *c)
{
	return c->open ? span_starts(in, "\0\0", 2) : c->left == 0;
}

enum scan_state
scan_cms_put(struct scan_cms *c, struct span more, scan_id_fn *fn, void *arg)
{
	struct span in;
	enum scan_state st = SCAN_END;

	wbuf_span(&c->der, more);
	if (c->der.bad || !span_sub(wbuf_view(&c->der), c->at, c->der.n - c->at, &in))
		return SCAN_BAD;
	if (!c->inside && (st = preamble(&in, c)) != SCAN_END)
		return st;
	while (st == SCAN_END && !at_end(in, c))
		st = recipient(&in, c, fn, arg);
	c->at = c->der.n - in.n;
	return st;
}

void
scan_cms_init(struct scan_cms *c)
{
	memset(c, 0, sizeof *c);
	wbuf_init(&c->der, SCAN_CMS_MAX);
}

void
scan_cms_free(struct scan_cms *c)
{
	wbuf_free(&c->der);
}

void
scan_cms_reset(struct scan_cms *c)
{
	wbuf_clear(&c->der);
	c->at = c->left = 0;
	c->inside = c->open = false;
}
