/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A card's memory as it may lie in a file. The input is what the file says behind its magic; identity and hash are made
 * right, so that the fields are reached. What was read must be written and read again as the same.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/sha.h>

#include "hw/cache.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW 1000000

static void
seal(struct wbuf *w)
{
	uint8_t h[CACHE_HASH];

	SHA256(w->p, w->n, h);
	wbuf_put(w, h, sizeof h);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t id[] = "card";
	struct cache a, b;
	WBUF_AUTO in;
	WBUF_AUTO out;

	wbuf_init(&in, 2 * CACHE_FILE_MAX);
	wbuf_init(&out, 2 * CACHE_FILE_MAX);
	if (cache_init(&a, span_of(id, 4)) != E_OK || cache_init(&b, span_of(id, 4)) != E_OK)
		abort();
	(void)!cache_parse(span_of(data, size), NOW, &a);
	wbuf_put(&in, "dpiv card 1\n\0\4card", 18);
	wbuf_put(&in, data, size);
	seal(&in);
	if (!in.bad && cache_parse(wbuf_view(&in), NOW, &a) == E_OK) {
		cache_build(&a, &out);
		if (out.bad || cache_parse(wbuf_view(&out), NOW, &b) != E_OK || a.n != b.n)
			abort();
	}
	cache_clear(&a);
	cache_clear(&b);
	return 0;
}
