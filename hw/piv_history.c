/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The Key History object: SP 800-73-5 part 1, 3.3.3 and table 19. The numbers are bounded by the twenty retired keys,
 * the URL by its container and by printable ASCII: it is shown and fetched, never used as a path.
 */
#include <string.h>

#include "hw/piv_int.h"

#define TAG_ON_CARD  0xC1
#define TAG_OFF_CARD 0xC2
#define TAG_URL	     0xF3
#define RETIRED_MAX  20

static enum err
count(struct span contents, uint32_t tag, uint8_t *out)
{
	struct span v;
	enum err e;

	*out = 0;
	e = tlv_find(contents, tag, &v);
	if (e == E_NOTFOUND)
		return E_OK;
	if (e != E_OK)
		return err_up(e, "Key History object");
	if (v.n != 1 || v.p[0] > RETIRED_MAX)
		return err_set(E_PROTO, "Key History object: impossible number of keys");
	*out = v.p[0];
	return E_OK;
}

static enum err
url(struct span contents, char *out, size_t cap)
{
	struct span v;
	enum err e;
	size_t i;

	e = tlv_find(contents, TAG_URL, &v);
	if (e == E_NOTFOUND)
		return E_OK;
	if (e != E_OK)
		return err_up(e, "Key History object");
	if (v.n >= cap)
		return err_set(E_PROTO, "Key History object: URL of %zu bytes", v.n);
	for (i = 0; i < v.n; i++)
		if (v.p[i] <= 0x20 || v.p[i] >= 0x7F)
			return err_set(E_PROTO, "Key History object: URL with unprintable characters");
	if (v.n > 0)
		memcpy(out, v.p, v.n);
	return E_OK;
}

enum err
piv_history_parse(struct span contents, struct piv_history *out)
{
	struct piv_history h = { 0 };
	enum err e;

	memset(out, 0, sizeof *out);
	if ((e = count(contents, TAG_ON_CARD, &h.on_card)) != E_OK ||
	    (e = count(contents, TAG_OFF_CARD, &h.off_card)) != E_OK ||
	    (e = url(contents, h.url, sizeof h.url)) != E_OK)
		return e;
	if (h.on_card + h.off_card > RETIRED_MAX)
		return err_set(E_PROTO, "Key History object: %d keys", h.on_card + h.off_card);
	*out = h;
	return E_OK;
}

void
piv_history_build(const struct piv_history *h, struct wbuf *out)
{
	struct span url_text = span_str(h->url);

	tlv_put_u8(out, TAG_ON_CARD, h->on_card);
	tlv_put_u8(out, TAG_OFF_CARD, h->off_card);
	if (url_text.n > 0 && h->on_card + h->off_card > 0)
		tlv_put(out, TAG_URL, url_text.p, url_text.n);
	tlv_put(out, 0xFE, NULL, 0);
}
