/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Certificates in their containers: SP 800-73-5 part 1, table 10 and appendix A (70, 71, FE), read and written, and
 * the algorithm that a certificate's key needs on the card edge (part 1, appendix C).
 *
 * Tolerated, because cards have it: no CertInfo, no FE, compressed data with CertInfo 00, zlib instead of gzip, bytes
 * behind the certificate. Inflated data is bounded by PIV_OBJ_MAX, so that a small object cannot fill memory.
 */
#include <zlib.h>

#include "hw/piv_int.h"

#define TAG_CERT     0x70
#define TAG_CERTINFO 0x71
#define TAG_EDC	     0xFE
#define INFO_GZIP    0x01

static enum err
inflate_all(z_stream *z, struct wbuf *out)
{
	uint8_t chunk[4096];
	size_t total = 0;
	int rv;

	do {
		z->next_out = chunk;
		z->avail_out = sizeof chunk;
		rv = inflate(z, Z_NO_FLUSH);
		if (rv != Z_OK && rv != Z_STREAM_END)
			return err_set(E_PROTO, "certificate: damaged compressed data");
		total += sizeof chunk - z->avail_out;
		wbuf_put(out, chunk, sizeof chunk - z->avail_out);
		if (total > PIV_OBJ_MAX || out->bad)
			return err_set(E_PROTO, "certificate: expands to more than %d bytes", PIV_OBJ_MAX);
	} while (rv != Z_STREAM_END);
	return E_OK;
}

static enum err
unpack(struct span packed, struct wbuf *out)
{
	z_stream z = { 0 };
	enum err e;

	if (inflateInit2(&z, 15 + 32) != Z_OK) /* + 32: gzip or zlib, by its header */
		return err_set(E_NOMEM, "certificate: no memory to decompress");
	z.next_in = (Bytef *)(uintptr_t)packed.p; /* zlib's interface knows no const here */
	z.avail_in = (uInt)packed.n;
	e = inflate_all(&z, out);
	inflateEnd(&z);
	return e;
}

/* The DER element at the front, without what follows it. */
static enum err
der_element(struct span in, struct span *out)
{
	struct span rest = in, body;
	enum err e;

	*out = SPAN_NONE;
	if (in.n == 0 || in.p[0] != 0x30)
		return err_set(E_PROTO, "certificate: not DER");
	if ((e = tlv_get(&rest, 0x30, &body)) != E_OK)
		return err_up(e, "certificate");
	return span_sub(in, 0, in.n - rest.n, out) ? E_OK : E_INTERNAL;
}

static bool
is_packed(struct span cert, struct span info)
{
	return (info.n > 0 && (info.p[0] & INFO_GZIP)) || span_starts(cert, "\x1F\x8B", 2);
}

enum err
piv_cert_parse(struct span contents, struct wbuf *der)
{
	struct span cert, info, exact;
	WBUF_AUTO plain;
	enum err e;

	wbuf_init(&plain, PIV_OBJ_MAX + 4096);
	e = tlv_find(contents, TAG_CERT, &cert);
	if (e == E_NOTFOUND || (e == E_OK && cert.n == 0))
		return err_set(E_NOTFOUND, "no certificate in the container");
	if (e != E_OK)
		return err_up(e, "certificate");
	if (tlv_find(contents, TAG_CERTINFO, &info) != E_OK)
		info = SPAN_NONE;
	if (is_packed(cert, info)) {
		if ((e = unpack(cert, &plain)) != E_OK)
			return e;
		cert = wbuf_view(&plain);
	}
	if ((e = der_element(cert, &exact)) != E_OK)
		return e;
	wbuf_span(der, exact);
	return der->bad ? err_set(E_PROTO, "certificate: too long") : E_OK;
}

enum err
piv_cert_get(struct piv_card *card, uint8_t ref, struct wbuf *der)
{
	const struct piv_key_info *key = piv_key_find(ref);
	WBUF_AUTO object;
	enum err e;

	wbuf_init(&object, PIV_OBJ_MAX);
	if (key == NULL)
		return err_set(E_ARG, "%s: key %02X has no certificate object", card->name, ref);
	if (piv_cache_serves(card, key, der, &e) || e != E_OK)
		return e;
	if ((e = piv_object_get(card, key->cert_tag, &object)) != E_OK)
		return e;
	if ((e = piv_cert_parse(wbuf_view(&object), der)) != E_OK)
		return err_up(e, "%s: %s", card->name, key->name);
	piv_cache_keep(card, key->cert_tag, wbuf_view(&object));
	return E_OK;
}

bool
piv_cert_doubt(struct piv_card *card, uint8_t ref)
{
	const struct piv_key_info *key = piv_key_find(ref);

	if (key == NULL || !piv_cache_is_unproven(card, key))
		return false;
	piv_cache_forget(card, key->cert_tag);
	return true;
}

/* --- writing --- */

static enum err
pack(struct span der, struct wbuf *out)
{
	z_stream z = { 0 };
	size_t start = out->n;
	uint8_t *room;
	uLong bound;
	int rv;

	if (deflateInit2(&z, Z_BEST_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return err_set(E_NOMEM, "certificate: no memory to compress");
	bound = deflateBound(&z, (uLong)der.n);
	room = wbuf_room(out, bound);
	if (room == NULL) {
		deflateEnd(&z);
		return err_set(E_NOMEM, "certificate: no memory to compress");
	}
	z.next_in = (Bytef *)(uintptr_t)der.p;
	z.avail_in = (uInt)der.n;
	z.next_out = room;
	z.avail_out = (uInt)bound;
	rv = deflate(&z, Z_FINISH);
	wbuf_cut(out, start + z.total_out);
	deflateEnd(&z);
	return rv == Z_STREAM_END ? E_OK : err_set(E_INTERNAL, "certificate: cannot compress");
}

static enum err
put_container(struct piv_card *card, uint32_t tag, struct span cert, uint8_t info)
{
	WBUF_AUTO w;

	wbuf_init(&w, PIV_OBJ_MAX);
	tlv_put(&w, TAG_CERT, cert.p, cert.n);
	tlv_put_u8(&w, TAG_CERTINFO, info);
	tlv_put(&w, TAG_EDC, NULL, 0);
	if (w.bad)
		return err_set(E_NOSPACE, "%s: certificate of %zu bytes is too long", card->name, cert.n);
	return piv_object_put(card, tag, wbuf_view(&w));
}

/* Not all cards write an object all or nothing: what counts is what can be read. */
static enum err
read_back(struct piv_card *card, uint8_t ref, struct span der)
{
	WBUF_AUTO now;
	enum err e;

	wbuf_init(&now, PIV_OBJ_MAX);
	if ((e = piv_cert_get(card, ref, &now)) != E_OK)
		return err_up(e, "reading the new certificate back");
	if (!span_eq(wbuf_view(&now), der))
		return err_set(E_IO, "%s: the card did not keep the certificate as it was written", card->name);
	return E_OK;
}

enum err
piv_cert_put(struct piv_card *card, uint8_t ref, struct span der)
{
	const struct piv_key_info *key = piv_key_find(ref);
	struct span exact;
	WBUF_AUTO packed;
	enum err e;

	wbuf_init(&packed, PIV_OBJ_MAX);
	if (key == NULL)
		return err_set(E_ARG, "%s: key %02X has no certificate object", card->name, ref);
	if (der.n == 0)
		return piv_object_put(card, key->cert_tag, SPAN_NONE);
	if ((e = der_element(der, &exact)) != E_OK || exact.n != der.n)
		return err_set(E_ARG, "%s: not one DER certificate", card->name);
	e = put_container(card, key->cert_tag, der, 0);
	if (e == E_NOSPACE && (e = pack(der, &packed)) == E_OK)
		e = put_container(card, key->cert_tag, wbuf_view(&packed), INFO_GZIP);
	return e == E_OK ? read_back(card, ref, der) : e;
}
