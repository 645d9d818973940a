/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Anything as a mail: header fields, addresses, parts, transfer encodings, the search for an S/MIME object in it, and
 * the rewriting to 7 bits, whose output has to be 7-bit and has to be left alone when it is rewritten again.
 */
#include <stdlib.h>
#include <openssl/err.h>

#include "cli/address.h"
#include "cli/mail.h"
#include "cli/mime.h"
#include "cli/smime.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
read_parts(struct span entity, int depth)
{
	struct span head, body, part;
	struct mime_type t;
	struct mime_parts p;
	WBUF_AUTO out;

	wbuf_init(&out, 1 << 20);
	(void)mime_split(entity, &head, &body);
	if (mime_type(head, &t) != E_OK || mime_decode(mime_cte(head), body, &out) == E_NOMEM)
		return;
	if (depth < MIME_DEPTH && mime_is(&t, "multipart/") && mime_parts_open(&t, body, &p) == E_OK) {
		while (mime_parts_next(&p, &part))
			read_parts(part, depth + 1);
	}
}

static void
rewrite(struct span in)
{
	struct mail_add none = { NULL, NULL, NULL };
	struct mail m;
	WBUF_AUTO again;

	wbuf_init(&again, 1 << 22);
	if (mail_build(in, "x", &none, true, &m) == E_OK) {
		struct span view = wbuf_view(&m.inner);

		if (!mime_is_7bit(view) || mime_put_entity(view, true, &again) != E_OK ||
		    !span_eq(wbuf_view(&again), view))
			abort();
		wbuf_clear(&again);
		if (mail_text(view, &again) == E_NOMEM)
			abort();
	}
	mail_free(&m);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);
	struct addresses a = { 0 };
	struct smime_part p;

	read_parts(in, 0);
	if (addresses_add(&a, in) == E_OK) {
		for (size_t i = 0; i < a.n; i++)
			if (!address_ok(a.v[i]))
				abort();
	}
	addresses_free(&a);
	if (smime_find(in, &p) == E_OK)
		smime_part_free(&p);
	ERR_clear_error();
	rewrite(in);
	return 0;
}
