/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Extended length (ISO/IEC 7816-3, 12.1.3), which PIV does not ask for and many cards have: a certificate in one APDU
 * instead of five, an RSA operation in one instead of three.
 *
 * A card says so in its ATR; then it is used at once. One that is silent is asked, at most once in its life, after the
 * work is done, and only when the answer can be remembered (piv_cache.c): the largest certificate that is known is read
 * again in the extended form, and every byte must be the same. Whatever goes wrong with an extended command ends its
 * use, here and in the memory, and the command is repeated in the short form (apdu.c; piv_run() where the reader
 * fails).
 */
#include "base/log.h"
#include "hw/atr.h"
#include "hw/piv_int.h"

#define SHORT_MAX 256

/* The reader is asked only when the card can. */
static bool
reader_can(struct piv_card *card)
{
	size_t max = card->link.ops->max_data != NULL ? card->link.ops->max_data(card->link.conn) : 0;

	card->link.max_data = max;
	return max == 0 || max > SHORT_MAX;
}

void
piv_extended_use(struct piv_card *card, bool known)
{
	if (card->extended || !(known || atr_extended(span_of(card->id.atr, card->id.atr_len))))
		return;
	card->extended = card->link.extended = reader_can(card);
	log_debug("extended", "card=\"%s\" reader-max=%zu used=%d", card->name, card->link.max_data, card->extended);
}

bool
piv_extended_failed(struct piv_card *card)
{
	if (!card->extended || card->link.extended)
		return false;
	card->extended = false;
	log_info("extended", "card=\"%s\" event=given-up", card->name);
	return true;
}

/* The largest certificate that is known to the last byte. */
static const struct cache_object *
known_object(const struct piv_card *card)
{
	const struct cache_object *best = NULL;

	for (size_t i = 0; i < card->cache->n; i++) {
		const struct cache_object *o = &card->cache->obj[i];

		if (o->state == CACHE_READ && o->data.n > SHORT_MAX && (best == NULL || o->data.n > best->data.n))
			best = o;
	}
	return best;
}

bool
piv_extended_is_open(const struct piv_card *card)
{
	return card->cache != NULL && card->cache->extended == CACHE_NOT_ASKED && card->worked && !card->gone &&
	    !card->extended && !atr_extended(span_of(card->id.atr, card->id.atr_len)) && known_object(card) != NULL;
}

/* "No" is remembered before the question is put: a reader that it hangs is never asked again. */
void
piv_extended_probe(struct piv_card *card)
{
	struct apdu a = { .ins = INS_GET, .p1 = 0x3F, .p2 = 0xFF, .le = true, .probe = true };
	const struct cache_object *o;
	struct span contents;
	WBUF_AUTO list;
	WBUF_AUTO out;
	uint16_t sw;

	wbuf_init(&list, 16);
	wbuf_init(&out, PIV_OBJ_MAX + 16);
	if (!piv_extended_is_open(card) || !reader_can(card))
		return;
	card->cache->extended = CACHE_NO;
	card->cache->dirty = true;
	if (cache_save(card->cache) != E_OK)
		return;
	o = known_object(card);
	piv_tag_list(&list, o->tag);
	a.data = wbuf_view(&list);
	card->link.extended = true;
	if (apdu_send(&card->link, &a, &out, &sw) == E_OK && sw == SW_OK && card->link.extended &&
	    piv_object_parse(o->tag, wbuf_view(&out), &contents) == E_OK && span_eq(contents, wbuf_view(&o->data)))
		card->cache->extended = CACHE_YES;
	card->extended = card->link.extended = card->cache->extended == CACHE_YES;
	card->link.unheard = false;
	log_info("extended", "card=\"%s\" event=asked answer=%s", card->name, card->extended ? "yes" : "no");
}
