/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The card edge's use of its memory (cache.h). What is remembered is believed only as far as this:
 *
 *	- a certificate: when the card's object has the same length and begins with the same bytes up to the end of the
 *	  validity, that is with the same issuer, serial number and dates: one short APDU. Then it is parsed as if it
 *	  came from the card, and the first result of its key is checked with it (piv_proof.c);
 *	- that an object is absent: for a day, as long as the Key History object is the same, and only for listings
 *	  (piv_recall()); who asks for an object by its name gets the card's own answer;
 *	- that an object is there: for listings; its contents come from the card;
 *	- the Discovery object: not at all, since it decides which PIN is sent.
 *
 * The memory is loaded after the card was identified and saved when a transaction in which something was learnt has
 * ended. A memory that cannot be saved is given up, with a line in the log.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>

#include "base/log.h"
#include "hw/crypto.h"
#include "hw/piv_int.h"

#define AID_N 9 /* without the version */

static void
cache_drop(struct piv_card *card)
{
	if (card->cache == NULL)
		return;
	cache_clear(card->cache);
	free(card->cache);
	card->cache = NULL;
	card->unproven = 0;
}

static bool
identity(const struct piv_card *card, struct wbuf *out)
{
	const struct piv_id *id = &card->id;

	wbuf_put(out, id->atr, id->atr_len);
	wbuf_u8(out, id->derived);
	wbuf_put(out, id->aid, id->aid_len < AID_N ? id->aid_len : AID_N);
	if (id->has_guid)
		wbuf_put(out, id->guid, sizeof id->guid);
	if (id->has_fascn)
		wbuf_put(out, id->fascn, sizeof id->fascn);
	return !out->bad && (id->has_guid || id->has_fascn);
}

void
piv_cache(struct piv_card *card)
{
	WBUF_AUTO id;
	enum err e;

	wbuf_init(&id, CACHE_ID_MAX);
	cache_drop(card);
	card->history_same = false;
	if (!identity(card, &id) || (card->cache = calloc(1, sizeof *card->cache)) == NULL)
		return;
	if ((e = cache_init(card->cache, wbuf_view(&id))) == E_OK)
		e = cache_load(card->cache);
	if (e != E_OK && e != E_NOTFOUND)
		log_info("cache", "card=\"%s\" error=\"%s\"", card->name, err_msg());
	else
		log_debug("cache", "card=\"%s\" event=%s objects=%zu", card->name, e == E_OK ? "loaded" : "none",
		    card->cache->n);
	card->extended_known = card->cache->extended == CACHE_YES;
	if (card->cache->extended == CACHE_NO)
		card->extended = card->link.extended = false;
}

void
piv_cache_close(struct piv_card *card)
{
	cache_drop(card);
}

void
piv_cache_settle(struct piv_card *card)
{
	if (piv_extended_failed(card) && card->cache != NULL) {
		card->cache->extended = CACHE_NO;
		card->cache->dirty = true;
	}
	if (card->cache == NULL || !card->cache->dirty)
		return;
	card->cache->dirty = false;
	if (cache_save(card->cache) == E_OK)
		return;
	log_info("cache", "card=\"%s\" error=\"%s\"", card->name, err_msg());
	cache_drop(card);
}

/* --- what is learnt --- */

/* The retired keys that were found absent, were so beside this Key History object. */
static void
history_read(struct piv_card *card, struct span contents)
{
	struct cache *c = card->cache;
	uint8_t h[CACHE_HASH] = { 0 };
	bool has = contents.n > 0;
	size_t n = 0;

	if (has &&
	    (hw_crypto() == NULL || EVP_Q_digest(hw_crypto(), "SHA256", NULL, contents.p, contents.n, h, &n) != 1))
		return;
	card->history_same = true;
	if (c->has_history == has && memcmp(c->history, h, sizeof h) == 0)
		return;
	cache_forget_absent(c);
	c->has_history = has;
	memcpy(c->history, h, sizeof h);
	c->dirty = true;
}

void
piv_cache_saw(struct piv_card *card, uint32_t tag, enum err e, struct span contents)
{
	struct cache *c = card->cache;

	if (c == NULL || (e != E_OK && e != E_NOTFOUND))
		return;
	if (tag == PIV_OBJ_HISTORY)
		history_read(card, e == E_OK ? contents : SPAN_NONE);
	if (e == E_NOTFOUND && c->since == 0)
		c->since = (uint32_t)time(NULL);
	cache_note(c, tag, e == E_OK ? CACHE_THERE : CACHE_ABSENT, SPAN_NONE);
}

void
piv_cache_keep(struct piv_card *card, uint32_t tag, struct span contents)
{
	if (card->cache != NULL)
		cache_note(card->cache, tag, CACHE_READ, contents);
}

static uint32_t
row_bit(const struct piv_key_info *key)
{
	for (size_t i = 0; piv_key_row(i) != NULL; i++)
		if (piv_key_row(i) == key)
			return (uint32_t)1 << i;
	return 0;
}

void
piv_cache_forget(struct piv_card *card, uint32_t tag)
{
	for (size_t i = 0; piv_key_row(i) != NULL; i++)
		if (piv_key_row(i)->cert_tag == tag)
			card->unproven &= ~((uint32_t)1 << i);
	if (card->cache != NULL)
		cache_note(card->cache, tag, CACHE_UNKNOWN, SPAN_NONE);
}

void
piv_cache_forget_key(struct piv_card *card, uint8_t ref)
{
	const struct piv_key_info *key = piv_key_find(ref);

	if (key != NULL)
		piv_cache_forget(card, key->cert_tag);
}

bool
piv_cache_is_unproven(const struct piv_card *card, const struct piv_key_info *key)
{
	return card->cache != NULL && (card->unproven & row_bit(key)) != 0;
}

void
piv_cache_proven(struct piv_card *card, const struct piv_key_info *key)
{
	card->unproven &= ~row_bit(key);
}

struct span
piv_cache_cert(const struct piv_card *card, const struct piv_key_info *key)
{
	const struct cache_object *o = card->cache != NULL ? cache_find(card->cache, key->cert_tag) : NULL;

	return o != NULL && o->state == CACHE_READ ? wbuf_view(&o->data) : SPAN_NONE;
}

/* --- what is believed --- */

enum piv_recall
piv_recall(const struct piv_card *card, uint32_t tag)
{
	const struct cache_object *o;

	if (card == NULL || card->cache == NULL)
		return PIV_UNSURE;
	o = cache_find(card->cache, tag);
	if (o == NULL || (o->state == CACHE_ABSENT && !card->history_same))
		return PIV_UNSURE;
	return o->state == CACHE_ABSENT ? PIV_ABSENT : PIV_PRESENT;
}

void
piv_recall_doubt(struct piv_card *card)
{
	if (card->cache != NULL)
		cache_forget_absent(card->cache);
}

#define COMPARE_MIN 64
#define COMPARE_ODD 200 /* of a compressed certificate: its length and tables differ when anything does */

/* As many bytes of a certificate's container as reach to the end of its validity. */
static size_t
telling_bytes(struct span contents)
{
	static const uint32_t into[] = { 0x70, 0x30, 0x30 };
	struct span in = contents, v;
	uint32_t tag;
	size_t len, n;

	for (size_t i = 0; i < sizeof into / sizeof into[0]; i++)
		if (tlv_head(&in, &tag, &len) != E_OK || tag != into[i])
			return COMPARE_ODD;
	for (tag = 0; tag != 0x02;) /* version, serial number */
		if (tlv_next(&in, &tag, &v) != E_OK)
			return COMPARE_ODD;
	for (n = 0; n < 3; n++) /* algorithm, issuer, validity */
		if (tlv_get(&in, 0x30, &v) != E_OK)
			return COMPARE_ODD;
	n = contents.n - in.n;
	return n < COMPARE_MIN ? COMPARE_MIN : n;
}

bool
piv_cache_serves(struct piv_card *card, const struct piv_key_info *key, struct wbuf *der, enum err *e)
{
	struct span contents = piv_cache_cert(card, key);
	bool same = false;

	*e = E_OK;
	if (contents.n == 0)
		return false;
	*e = piv_object_begins(card, key->cert_tag, contents, telling_bytes(contents), &same);
	if (*e == E_OK && same && piv_cert_parse(contents, der) == E_OK) {
		card->unproven |= row_bit(key);
		return true;
	}
	if (*e == E_NOTFOUND)
		piv_cache_saw(card, key->cert_tag, E_NOTFOUND, SPAN_NONE);
	else if (*e == E_OK)
		piv_cache_forget(card, key->cert_tag);
	if (*e == E_OK)
		log_info("cache", "card=\"%s\" key=%s event=changed", card->name, key->name);
	return false;
}
