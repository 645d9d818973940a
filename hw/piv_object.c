/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Data objects: GET DATA and PUT DATA, SP 800-73-5 part 2, 3.1.2 and 3.3.2. An object is always read and written
 * whole. Most are 53 { contents }; Discovery and the biometric group template are their own template (7E, 7F61).
 *
 * "Empty" has many faces in the field: 6A82, 6A88, 53 00, a 53 with nothing but the error detection code FE 00. All
 * are E_NOTFOUND here.
 */
#include <string.h>

#include "hw/piv_int.h"

#define TAG_BIOMETRIC 0x7F61u
#define TAG_DATA      0x53

static bool
is_bare(uint32_t tag)
{
	return tag == PIV_OBJ_DISCOVERY || tag == TAG_BIOMETRIC;
}

void
piv_tag_list(struct wbuf *w, uint32_t tag)
{
	size_t m = tlv_open(w, 0x5C);

	if (tag > 0xFFFF)
		wbuf_u8(w, (uint8_t)(tag >> 16));
	if (tag > 0xFF)
		wbuf_u8(w, (uint8_t)(tag >> 8));
	wbuf_u8(w, (uint8_t)tag);
	tlv_close(w, m);
}

enum err
piv_object_parse(uint32_t tag, struct span answer, struct span *contents)
{
	static const uint8_t only_edc[] = { 0xFE, 0x00 };
	enum err e;

	*contents = SPAN_NONE;
	if (answer.n == 0)
		return err_set(E_NOTFOUND, "%s: empty", piv_object_name(tag));
	if ((e = tlv_get(&answer, is_bare(tag) ? tag : TAG_DATA, contents)) != E_OK || (e = tlv_end(&answer)) != E_OK) {
		*contents = SPAN_NONE;
		return err_up(e, "%s", piv_object_name(tag));
	}
	if (contents->n == 0 || span_eq(*contents, span_of(only_edc, sizeof only_edc)))
		return err_set(E_NOTFOUND, "%s: empty", piv_object_name(tag));
	return E_OK;
}

struct object_io {
	uint32_t tag;
	struct wbuf *out;
	struct span cmd, expected;
	size_t first;
	bool same;
};

/* GET DATA with its refusals; first: as in struct apdu, 0 for the whole object. */
static enum err
get_data(struct piv_card *card, const struct object_io *io, size_t first, struct wbuf *out)
{
	struct apdu a = { .ins = INS_GET, .p1 = 0x3F, .p2 = 0xFF, .data = io->cmd, .le = true, .first = first };
	enum err e;

	if ((e = piv_send(card, &a, out)) != E_OK)
		return e;
	if (card->sw == SW_NOT_FOUND || card->sw == SW_NO_REFERENCE)
		return err_set(E_NOTFOUND, "%s: %s: not on the card", card->name, piv_object_name(io->tag));
	return card->sw == SW_OK ? E_OK : piv_refused(card, piv_object_name(io->tag));
}

static enum err
get_step(struct piv_card *card, void *arg)
{
	struct object_io *io = arg;
	struct span contents;
	WBUF_AUTO out;
	enum err e;

	wbuf_init(&out, PIV_OBJ_MAX + 16);
	if ((e = get_data(card, io, 0, &out)) != E_OK)
		return e;
	e = piv_object_parse(io->tag, wbuf_view(&out), &contents);
	if (e == E_PROTO && card->link.extended) { /* cut to what the card can say at once? */
		card->link.extended = false;
		e = get_step(card, arg);
		card->link.extended = e == E_PROTO;
		return e;
	}
	if (e == E_OK || e == E_NOTFOUND)
		card->proven = true;
	if (e != E_OK)
		return err_up(e, "%s", card->name);
	wbuf_span(io->out, contents);
	if (io->out->bad)
		return err_set(E_PROTO, "%s: %s is too long", card->name, piv_object_name(io->tag));
	return E_OK;
}

enum err
piv_object_get(struct piv_card *card, uint32_t tag, struct wbuf *out)
{
	struct object_io io = { .tag = tag, .out = out };
	struct span contents = SPAN_NONE;
	size_t before = out->n;
	WBUF_AUTO list;
	enum err e;

	wbuf_init(&list, 16);
	piv_tag_list(&list, tag);
	io.cmd = wbuf_view(&list);
	e = piv_run(card, get_step, &io, true);
	(void)span_sub(wbuf_view(out), before, out->n - before, &contents);
	piv_cache_saw(card, tag, e, contents);
	return e;
}

/* An object with contents is longer than this; whatever forms of "empty" there are, are shorter. */
#define FIRST_BYTES 16

static uint8_t
first_byte(uint32_t tag)
{
	if (!is_bare(tag))
		return TAG_DATA;
	return (uint8_t)(tag > 0xFF ? tag >> 8 : tag);
}

static enum err
exists_step(struct piv_card *card, void *arg)
{
	struct object_io *io = arg;
	struct span contents, answer;
	WBUF_AUTO out;
	enum err e;

	wbuf_init(&out, PIV_OBJ_MAX + 16);
	if ((e = get_data(card, io, FIRST_BYTES, &out)) != E_OK)
		return e;
	answer = wbuf_view(&out);
	if (answer.n >= FIRST_BYTES && answer.p[0] == first_byte(io->tag)) {
		card->proven = true;
		return E_OK;
	}
	e = piv_object_parse(io->tag, answer, &contents);
	if (e == E_OK || e == E_NOTFOUND)
		card->proven = true;
	return e;
}

enum err
piv_object_exists(struct piv_card *card, uint32_t tag, bool *there)
{
	struct object_io io = { .tag = tag };
	WBUF_AUTO list;
	enum err e;

	wbuf_init(&list, 16);
	piv_tag_list(&list, tag);
	io.cmd = wbuf_view(&list);
	e = piv_run(card, exists_step, &io, true);
	*there = e == E_OK;
	if (tag != PIV_OBJ_HISTORY) /* its contents are what counts */
		piv_cache_saw(card, tag, e, SPAN_NONE);
	return e == E_NOTFOUND ? E_OK : e;
}

/* --- the first block against what is expected --- */

static enum err
begins_step(struct piv_card *card, void *arg)
{
	struct object_io *io = arg;
	struct span answer, expected;
	uint32_t tag;
	size_t len;
	WBUF_AUTO out;
	enum err e;

	wbuf_init(&out, PIV_OBJ_MAX + 16);
	io->same = false;
	if ((e = get_data(card, io, io->first, &out)) != E_OK)
		return e;
	answer = wbuf_view(&out);
	if (tlv_head(&answer, &tag, &len) != E_OK || tag != TAG_DATA)
		return err_set(E_PROTO, "%s: %s: malformed", card->name, piv_object_name(io->tag));
	card->proven = true;
	if (len != io->expected.n || (answer.n < len && out.n < io->first))
		return len == 0 ? err_set(E_NOTFOUND, "%s: empty", piv_object_name(io->tag)) : E_OK;
	if (answer.n > len && !span_take(&answer, len, &answer))
		return err_set(E_INTERNAL, "%s", piv_object_name(io->tag));
	io->same = span_sub(io->expected, 0, answer.n, &expected) && span_eq(expected, answer);
	return E_OK;
}

enum err
piv_object_begins(struct piv_card *card, uint32_t tag, struct span contents, size_t n, bool *same)
{
	struct object_io io = { .tag = tag, .expected = contents, .first = n + 4 };
	WBUF_AUTO list;
	enum err e;

	wbuf_init(&list, 16);
	piv_tag_list(&list, tag);
	io.cmd = wbuf_view(&list);
	e = piv_run(card, begins_step, &io, true);
	*same = e == E_OK && io.same;
	return e;
}

static enum err
put_step(struct piv_card *card, void *arg)
{
	struct object_io *io = arg;
	struct apdu a = { .ins = INS_PUT, .p1 = 0x3F, .p2 = 0xFF, .data = io->cmd };
	enum err e;

	if ((e = piv_send(card, &a, NULL)) != E_OK)
		return e;
	if (card->sw == SW_NOT_LOGGED_IN)
		return err_set(E_AUTH, "%s: writing %s needs the management key", card->name, piv_object_name(io->tag));
	return card->sw == SW_OK ? E_OK : piv_refused(card, piv_object_name(io->tag));
}

/* The identity that recovery compares with follows what we write ourselves. */
static void
chuid_written(struct piv_card *card, struct span contents)
{
	struct piv_chuid c;

	if (contents.n == 0 || piv_chuid_parse(contents, &c) != E_OK)
		memset(&c, 0, sizeof c);
	card->id.has_guid = c.has_guid;
	card->id.has_fascn = c.has_fascn;
	memcpy(card->id.guid, c.guid, sizeof c.guid);
	memcpy(card->id.fascn, c.fascn, sizeof c.fascn);
}

enum err
piv_object_put(struct piv_card *card, uint32_t tag, struct span contents)
{
	struct object_io io = { .tag = tag };
	WBUF_AUTO cmd;
	enum err e;

	wbuf_init(&cmd, PIV_OBJ_MAX + 32);
	if (!is_bare(tag))
		piv_tag_list(&cmd, tag);
	tlv_put(&cmd, is_bare(tag) ? tag : TAG_DATA, contents.p, contents.n);
	if (cmd.bad)
		return err_set(
		    E_NOSPACE, "%s: %s: %zu bytes are too many", card->name, piv_object_name(tag), contents.n);
	io.cmd = wbuf_view(&cmd);
	piv_cache_forget(card, tag); /* whatever comes of it */
	if ((e = piv_run(card, put_step, &io, false)) != E_OK)
		return e;
	if (tag == PIV_OBJ_CHUID) {
		chuid_written(card, contents);
		if (card->cache != NULL)
			piv_cache(card);
	}
	if (tag == PIV_OBJ_DISCOVERY)
		card->discovery_read = false;
	return E_OK;
}
