/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The unsigned data objects of a fresh card (SP 800-73-5 Part 1, 3.1 to 3.3 and appendix A): Card Capability
 * Container, Discovery, Key History, Printed Information, and the wrapping of certificates, plain or compressed
 * (CertInfo bit 1, RFC 1952). Each ends with an empty error detection code, FE.
 */
#include <ctype.h>
#include <string.h>

#include <openssl/rand.h>
#include <zlib.h>

#include "tests/vcard/maker.h"

bool
vc_object_put(struct vcard *vc, uint32_t tag, const struct vc_out *content)
{
	struct vc_out body = { NULL, 0, 0, false }, all = { NULL, 0, 0, false };
	bool ok;

	vc_out_put(&body, content->p, content->n);
	vc_tlv_put(&body, 0xFE, NULL, 0);
	vc_tlv_out(&all, 0x53, &body);
	ok = !content->bad && !all.bad && vc_object_set(vc, tag, all.p, all.n);
	vc_out_free(&body);
	vc_out_free(&all);
	return ok;
}

static bool
compress_into(const unsigned char *der, int n, struct vc_out *out)
{
	z_stream z = { .next_in = NULL };
	uint8_t *to;
	bool ok = deflateInit2(&z, Z_BEST_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK;
	uLong bound = ok ? deflateBound(&z, (uLong)n) : 0;

	to = ok ? vc_out_room(out, bound) : NULL;
	if (to) {
		z.next_in = (z_const Bytef *)(uintptr_t)der;
		z.avail_in = (uInt)n;
		z.next_out = to;
		z.avail_out = (uInt)bound;
		ok = deflate(&z, Z_FINISH) == Z_STREAM_END;
		out->n = z.total_out;
	}
	deflateEnd(&z);
	return ok && to;
}

bool
vc_certificate_object(struct vc_maker *m, uint32_t tag, X509 *x, bool gzip)
{
	struct vc_out cert = { NULL, 0, 0, false }, all = { NULL, 0, 0, false };
	unsigned char *der = NULL;
	int n = i2d_X509(x, &der);
	uint8_t info = gzip ? 1 : 0;
	bool ok = n > 0;

	if (ok && gzip)
		ok = compress_into(der, n, &cert);
	else if (ok)
		vc_out_put(&cert, der, (size_t)n);
	vc_tlv_out(&all, 0x70, &cert);
	vc_tlv_put(&all, 0x71, &info, 1);
	ok = ok && vc_object_put(m->vc, tag, &all);
	OPENSSL_free(der);
	vc_out_free(&cert);
	vc_out_free(&all);
	return ok;
}

static bool
capability_container(struct vc_maker *m)
{
	/* F0 card identifier, F1 F2 versions, F5 data model 10; the rest is empty */
	static const uint8_t fixed[] = { 0xF1, 1, 0x21, 0xF2, 1, 0x21, 0xF3, 0, 0xF4, 1, 0, 0xF5, 1, 0x10, 0xF6, 0,
		0xF7, 0, 0xFA, 0, 0xFB, 0, 0xFC, 0, 0xFD, 0 };
	uint8_t id[21] = { 0xA0, 0x00, 0x00, 0x01, 0x16, 0xFF, 0x02 };
	struct vc_out o = { NULL, 0, 0, false };
	bool ok;

	memcpy(id + 7, m->uuid, 14);
	vc_tlv_put(&o, 0xF0, id, sizeof id);
	vc_out_put(&o, fixed, sizeof fixed);
	ok = vc_object_put(m->vc, 0x5FC107, &o);
	vc_out_free(&o);
	return ok;
}

/* PIN usage policy 40 00: the application PIN alone. */
static bool
discovery(struct vc_maker *m)
{
	static const uint8_t policy[2] = { 0x40, 0x00 };
	struct vc_out body = { NULL, 0, 0, false }, all = { NULL, 0, 0, false };
	bool ok;

	vc_tlv_put(&body, 0x4F, m->vc->aid, m->vc->aid_n);
	vc_tlv_put(&body, 0x5F2F, policy, sizeof policy);
	vc_tlv_out(&all, 0x7E, &body);
	ok = !all.bad && vc_object_set(m->vc, 0x7E, all.p, all.n);
	vc_out_free(&body);
	vc_out_free(&all);
	return ok;
}

static bool
key_history(struct vc_maker *m)
{
	uint8_t on = (uint8_t)m->spec->retired, off = 0;
	struct vc_out o = { NULL, 0, 0, false };
	bool ok;

	vc_tlv_put(&o, 0xC1, &on, 1);
	vc_tlv_put(&o, 0xC2, &off, 1);
	ok = vc_object_put(m->vc, 0x5FC10C, &o);
	vc_out_free(&o);
	return ok;
}

static bool
printed_information(struct vc_maker *m)
{
	struct vc_out o = { NULL, 0, 0, false };
	char day[16], *c;
	struct tm t;
	bool ok = ASN1_TIME_to_tm(m->not_after, &t) > 0;

	strftime(day, sizeof day, "%Y%b%d", &t);
	for (c = day; *c; c++)
		*c = (char)toupper((unsigned char)*c);
	vc_tlv_put(&o, 0x01, m->name, strlen(m->name) < 125 ? strlen(m->name) : 125);
	vc_tlv_put(&o, 0x02, "Demo Agency", 11);
	vc_tlv_put(&o, 0x04, day, 9);
	vc_tlv_put(&o, 0x05, m->uuid_text, 8);
	vc_tlv_put(&o, 0x06, "DEMO00000000001", 15);
	ok = ok && vc_object_put(m->vc, 0x5FC109, &o);
	vc_out_free(&o);
	return ok;
}

/* Objects that only a PIN opens. The access rule is there whether or not the object is. */
static bool
protect(struct vcard *vc)
{
	static const uint32_t tags[] = { 0x5FC103, 0x5FC108, 0x5FC109, 0x5FC121 };

	for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
		if (!vc_object_find(vc, tags[i]) && !vc_object_set(vc, tags[i], NULL, 0))
			return false;
		vc_object_find(vc, tags[i])->pin = true;
	}
	return true;
}

bool
vc_fill(struct vc_maker *m)
{
	if (!discovery(m) || (!m->spec->no_history && !key_history(m)))
		return false;
	return m->spec->derived || (capability_container(m) && printed_information(m) && protect(m->vc));
}
