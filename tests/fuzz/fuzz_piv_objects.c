/* SPDX-License-Identifier: BSD-2-Clause */
/* Data objects as a card may answer them: CHUID (whole and first block), Discovery, Key History, certificate containers
 * with their decompression, the keys in certificates, metadata, the Security Object. The first byte chooses. */
#include <stdlib.h>
#include <string.h>

#include "hw/piv_int.h"
#include "hw/piv_secobj.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
chuid(struct span in)
{
	struct piv_chuid c;

	if (piv_chuid_parse(in, &c) == E_OK && (c.signature.n > in.n || strlen(c.expiry) > 8))
		abort();
	if (piv_chuid_prefix(in, &c) == E_OK && !c.has_fascn && !c.has_guid)
		abort();
}

static void
discovery(struct span in)
{
	struct piv_discovery d;

	if (piv_discovery_parse(in, &d) == E_OK && (d.aid_len == 0 || d.aid_len > sizeof d.aid))
		abort();
}

static void
history(struct span in)
{
	struct piv_history h;

	if (piv_history_parse(in, &h) == E_OK && (h.on_card + h.off_card > 20 || strlen(h.url) > 118))
		abort();
}

static void
cert(struct span in)
{
	WBUF_AUTO der;

	wbuf_init(&der, PIV_OBJ_MAX);
	if (piv_cert_parse(in, &der) != E_OK)
		return;
	if (der.n == 0 || der.n > PIV_OBJ_MAX || der.p[0] != 0x30)
		abort();
	(void)piv_alg_of_cert(wbuf_view(&der));
	(void)piv_alg_of_spki(wbuf_view(&der));
}

static void
object(struct span in)
{
	struct span contents;

	if (piv_object_parse(PIV_OBJ_CCC, in, &contents) == E_OK && (contents.n == 0 || contents.n > in.n))
		abort();
	if (piv_object_parse(PIV_OBJ_DISCOVERY, in, &contents) == E_OK)
		discovery(contents);
}

static bool
inside(struct span in, struct span v)
{
	return v.n == 0 || (v.p >= in.p && v.n <= in.n && v.p - in.p <= (ptrdiff_t)(in.n - v.n));
}

static void
metadata(struct span in)
{
	struct piv_metadata m;
	WBUF_AUTO spki;

	wbuf_init(&spki, 4096);
	if (piv_metadata_parse(in, &m) != E_OK)
		return;
	if (!inside(in, m.public_key))
		abort();
	if (piv_metadata_spki(&m, &spki) == E_OK && piv_alg_of_spki(wbuf_view(&spki)) != m.alg)
		abort();
}

/* What history_build() makes is what history_parse() reads. */
static void
history_again(struct span in)
{
	struct piv_history h, again;
	WBUF_AUTO made;

	wbuf_init(&made, 256);
	if (piv_history_parse(in, &h) != E_OK)
		return;
	piv_history_build(&h, &made);
	if (made.bad || piv_history_parse(wbuf_view(&made), &again) != E_OK || again.on_card != h.on_card ||
	    again.off_card != h.off_card)
		abort();
}

static void
security(struct span in)
{
	bool covered, same;

	if (piv_secobj_check(in, PIV_OBJ_HISTORY, in, &covered, &same) == E_OK && same && !covered)
		abort();
}

static void (*const parsers[])(
    struct span) = { chuid, discovery, history, cert, object, metadata, history_again, security };

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);
	uint8_t which;

	if (span_u8(&in, &which))
		parsers[which % (sizeof parsers / sizeof parsers[0])](in);
	return 0;
}
