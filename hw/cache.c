/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A card's memory and its form on disk: see cache.h. Integers are big endian:
 *
 *	"dpiv card 1\n"
 *	2  length of the identity, identity
 *	1  extended length: 0 not asked, 1 yes, 2 no
 *	4  since
 *	1  is there a Key History object; 32 its SHA-256, or zeros
 *	2  number of objects, each: 4 tag, 1 state, 4 length, contents
 *	32 SHA-256 of everything before
 */
#include <string.h>

#include <openssl/evp.h>

#include "hw/cache.h"
#include "hw/crypto.h"

#define MAGIC	   "dpiv card 1\n"
#define ABSENT_AGE (24 * 60 * 60)

static bool
hash(struct span in, uint8_t out[CACHE_HASH])
{
	size_t n = 0;

	return hw_crypto() != NULL &&
	    EVP_Q_digest(hw_crypto(), "SHA256", NULL, in.n > 0 ? in.p : out, in.n, out, &n) == 1 && n == CACHE_HASH;
}

enum err
cache_init(struct cache *c, struct span id)
{
	memset(c, 0, sizeof *c);
	if (id.n == 0 || id.n > sizeof c->id)
		return err_set(E_ARG, "cache: an identity of %zu bytes", id.n);
	memcpy(c->id, id.p, id.n);
	c->id_len = id.n;
	return E_OK;
}

void
cache_clear(struct cache *c)
{
	for (size_t i = 0; i < c->n; i++)
		wbuf_free(&c->obj[i].data);
	memset(c, 0, sizeof *c);
}

enum err
cache_name(struct span id, char out[CACHE_NAME_MAX])
{
	static const char digits[] = "0123456789abcdef";
	uint8_t h[CACHE_HASH];

	if (!hash(id, h))
		return err_set(E_CRYPTO, "cache: no SHA-256");
	for (size_t i = 0; i < 16; i++) {
		out[2 * i] = digits[h[i] >> 4];
		out[2 * i + 1] = digits[h[i] & 15];
	}
	memcpy(out + 32, ".card", 6);
	return E_OK;
}

const struct cache_object *
cache_find(const struct cache *c, uint32_t tag)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->obj[i].tag == tag)
			return &c->obj[i];
	return NULL;
}

static void
drop(struct cache *c, size_t i)
{
	wbuf_free(&c->obj[i].data);
	c->obj[i] = c->obj[--c->n];
	c->dirty = true;
}

void
cache_note(struct cache *c, uint32_t tag, enum cache_state state, struct span data)
{
	const struct cache_object *known = cache_find(c, tag);
	struct cache_object *o;

	if (known != NULL && (known->state == state || (state == CACHE_THERE && known->state == CACHE_READ)) &&
	    (state != CACHE_READ || span_eq(wbuf_view(&known->data), data)))
		return;
	for (size_t i = 0; i < c->n; i++)
		if (c->obj[i].tag == tag)
			drop(c, i--);
	if (state == CACHE_READ && (data.n == 0 || data.n > CACHE_OBJECT_MAX))
		state = CACHE_THERE;
	if (state == CACHE_UNKNOWN || c->n == CACHE_OBJECTS)
		return;
	o = &c->obj[c->n++];
	o->tag = tag;
	o->state = state;
	wbuf_init(&o->data, CACHE_OBJECT_MAX);
	c->dirty = true;
	if (state != CACHE_READ)
		return;
	wbuf_span(&o->data, data);
	if (o->data.bad)
		drop(c, c->n - 1);
}

void
cache_forget_absent(struct cache *c)
{
	for (size_t i = c->n; i > 0; i--)
		if (c->obj[i - 1].state == CACHE_ABSENT)
			drop(c, i - 1);
	c->since = 0;
}

/* --- reading --- */

static bool
take_object(struct span *in, struct cache *c)
{
	struct span data;
	uint32_t tag, n;
	uint8_t state;

	if (!span_be32(in, &tag) || !span_u8(in, &state) || !span_be32(in, &n) || n > CACHE_OBJECT_MAX ||
	    !span_take(in, n, &data) || state < CACHE_ABSENT || state > CACHE_READ ||
	    (state == CACHE_READ) != (n > 0) || cache_find(c, tag) != NULL)
		return false;
	cache_note(c, tag, (enum cache_state)state, data);
	return true;
}

static bool
take_fields(struct span *in, struct cache *c)
{
	struct span id, history;
	uint8_t extended, has_history;
	uint16_t n;

	if (!span_be16(in, &n) || !span_take(in, n, &id) || !span_eq(id, span_of(c->id, c->id_len)))
		return false;
	if (!span_u8(in, &extended) || extended > CACHE_NO || !span_be32(in, &c->since) || !span_u8(in, &has_history) ||
	    has_history > 1 || !span_take(in, CACHE_HASH, &history) || !span_be16(in, &n) || n > CACHE_OBJECTS)
		return false;
	c->extended = (enum cache_answer)extended;
	c->has_history = has_history;
	memcpy(c->history, history.p, CACHE_HASH);
	while (n-- > 0)
		if (!take_object(in, c))
			return false;
	return in->n == 0;
}

enum err
cache_parse(struct span file, uint32_t now, struct cache *c)
{
	struct span body, sum, in;
	uint8_t h[CACHE_HASH];
	struct cache fresh;
	enum err e;

	if (file.n < CACHE_HASH || file.n > CACHE_FILE_MAX || !span_sub(file, 0, file.n - CACHE_HASH, &body) ||
	    !span_sub(file, body.n, CACHE_HASH, &sum))
		return err_set(E_PROTO, "cache: a file of %zu bytes", file.n);
	if (!hash(body, h) || !span_eq(sum, span_of(h, sizeof h)) || !span_starts(body, MAGIC, sizeof MAGIC - 1))
		return err_set(E_PROTO, "cache: damaged");
	if ((e = cache_init(&fresh, span_of(c->id, c->id_len))) != E_OK)
		return e;
	in = body;
	if (!span_skip(&in, sizeof MAGIC - 1) || !take_fields(&in, &fresh)) {
		cache_clear(&fresh);
		return err_set(E_PROTO, "cache: malformed, or of another card");
	}
	if (fresh.since == 0 || fresh.since > now || now - fresh.since > ABSENT_AGE)
		cache_forget_absent(&fresh);
	fresh.dirty = false;
	cache_clear(c);
	*c = fresh;
	return E_OK;
}

/* --- writing --- */

void
cache_build(const struct cache *c, struct wbuf *out)
{
	uint8_t h[CACHE_HASH] = { 0 };

	wbuf_put(out, MAGIC, sizeof MAGIC - 1);
	wbuf_be16(out, (uint16_t)c->id_len);
	wbuf_put(out, c->id, c->id_len);
	wbuf_u8(out, (uint8_t)c->extended);
	wbuf_be32(out, c->since);
	wbuf_u8(out, c->has_history);
	wbuf_put(out, c->history, sizeof c->history);
	wbuf_be16(out, (uint16_t)c->n);
	for (size_t i = 0; i < c->n; i++) {
		wbuf_be32(out, c->obj[i].tag);
		wbuf_u8(out, (uint8_t)c->obj[i].state);
		wbuf_be32(out, (uint32_t)c->obj[i].data.n);
		wbuf_span(out, wbuf_view(&c->obj[i].data));
	}
	if (out->bad || !hash(wbuf_view(out), h))
		out->bad = true;
	wbuf_put(out, h, sizeof h);
}
