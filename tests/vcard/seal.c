/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The two signed objects of a card.
 *
 * CHUID (SP 800-73-5 Part 1, 3.1.2): FASC-N, GUID and expiration date, then 3E with a detached CMS signature over
 * all other elements, FE 00 included; it carries the content signer's certificate and the pivSigner-DN attribute.
 *
 * Security Object (3.1.7): BA maps data groups to containers, BB is a CMS with ICAO's LDSSecurityObject of the
 * SHA-256 of each container's content. A card leaves out the signer's certificate, which the CHUID has; a derived
 * application has no CHUID and includes it (SP 800-157r1, B.1.2).
 */
#include <string.h>

#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/sha.h>

#include "tests/vcard/maker.h"

#define OID_CHUID     "2.16.840.1.101.3.6.1"
#define OID_SIGNER_DN "2.16.840.1.101.3.6.5"
#define OID_LDS	      "1.3.27.1.1.1"

static bool
add_signer_dn(const struct vc_maker *m, CMS_SignerInfo *si)
{
	const unsigned char *der;
	size_t n;
	ASN1_OBJECT *oid = OBJ_txt2obj(OID_SIGNER_DN, 1);
	bool ok = oid && X509_NAME_get0_der(X509_get_subject_name(m->signer), &der, &n) > 0 &&
	    CMS_signed_add1_attr_by_OBJ(si, oid, V_ASN1_SEQUENCE, der, (int)n) > 0;

	ASN1_OBJECT_free(oid);
	return ok;
}

static const EVP_MD *
signer_digest(const struct vc_maker *m)
{
	return EVP_PKEY_is_a(m->signer_key, "EC") && EVP_PKEY_get_bits(m->signer_key) > 256 ? EVP_sha384()
											    : EVP_sha256();
}

/* CMS SignedData over content, DER appended to out. */
static bool
cms_sign(const struct vc_maker *m, const char *type, struct vc_in content, unsigned flags, struct vc_out *out)
{
	unsigned all = flags | CMS_BINARY | CMS_PARTIAL | CMS_NOSMIMECAP;
	BIO *in = BIO_new_mem_buf(content.p, (int)content.n);
	CMS_ContentInfo *cms = CMS_sign(NULL, NULL, NULL, NULL, all);
	ASN1_OBJECT *oid = OBJ_txt2obj(type, 1);
	CMS_SignerInfo *si = NULL;
	unsigned char *der = NULL;
	int n = -1;

	if (in && cms && oid && CMS_set1_eContentType(cms, oid) > 0)
		si = CMS_add1_signer(cms, m->signer, m->signer_key, signer_digest(m), all);
	if (si && add_signer_dn(m, si) && CMS_final(cms, in, NULL, all) > 0)
		n = i2d_CMS_ContentInfo(cms, &der);
	if (n > 0)
		vc_out_put(out, der, (size_t)n);
	else
		vc_say(m->why, "CMS signature: %.200s", ERR_reason_error_string(ERR_peek_last_error()));
	ERR_clear_error();
	OPENSSL_free(der);
	ASN1_OBJECT_free(oid);
	CMS_ContentInfo_free(cms);
	BIO_free(in);
	return n > 0 && !out->bad;
}

/* The card's last day as YYYYMMDD. */
static bool
expiry(const struct vc_maker *m, char day[16])
{
	struct tm t;

	if (ASN1_TIME_to_tm(m->not_after, &t) <= 0)
		return false;
	strftime(day, 16, "%Y%m%d", &t);
	return true;
}

bool
vc_chuid(struct vc_maker *m)
{
	struct vc_out plain = { NULL, 0, 0, false }, seal = { NULL, 0, 0, false }, all = { NULL, 0, 0, false };
	char day[16];
	bool ok = expiry(m, day);

	vc_tlv_put(&all, 0x30, m->fascn, sizeof m->fascn);
	vc_tlv_put(&all, 0x34, m->uuid, sizeof m->uuid);
	vc_tlv_put(&all, 0x35, day, 8);
	vc_out_put(&plain, all.p, all.n);
	vc_tlv_put(&plain, 0xFE, NULL, 0);
	ok = ok && cms_sign(m, OID_CHUID, vc_out_view(&plain), CMS_DETACHED, &seal);
	vc_tlv_out(&all, 0x3E, &seal);
	ok = ok && vc_object_put(m->vc, 0x5FC102, &all);
	vc_out_free(&plain);
	vc_out_free(&seal);
	vc_out_free(&all);
	return ok;
}

/* Containers without a signature of their own (and the CHUID), SP 800-73-5 Part 1 table 3. */
static const struct {
	uint32_t tag;
	uint16_t container;
} groups[] = { { 0x5FC107, 0xDB00 }, { 0x5FC102, 0x3000 }, { 0x5FC109, 0x3001 }, { 0x7E, 0x6050 },
	{ 0x5FC10C, 0x6060 } };

static void
add_group(struct vcard *vc, size_t i, struct vc_out *map, struct vc_out *hashes)
{
	const struct vc_object *o = vc_object_find(vc, groups[i].tag);
	struct vc_in in = { o ? o->p : NULL, o ? o->n : 0 }, content;
	struct vc_out entry = { NULL, 0, 0, false };
	uint8_t number = (uint8_t)(i + 1), hash[SHA256_DIGEST_LENGTH];
	uint8_t line[3] = { number, (uint8_t)(groups[i].container >> 8), (uint8_t)groups[i].container };
	uint32_t tag;

	if (!o || !vc_tlv_next(&in, &tag, &content))
		return;
	SHA256(content.p, content.n, hash);
	vc_out_put(map, line, sizeof line);
	vc_tlv_put(&entry, 0x02, &number, 1);
	vc_tlv_put(&entry, 0x04, hash, sizeof hash);
	vc_tlv_out(hashes, 0x30, &entry);
	vc_out_free(&entry);
}

bool
vc_security_object(struct vc_maker *m)
{
	static const uint8_t head[] = { 0x02, 0x01, 0x00, 0x30, 0x0D, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03,
		0x04, 0x02, 0x01, 0x05, 0x00 }; /* version 0, SHA-256 */
	struct vc_out map = { NULL, 0, 0, false }, hashes = { NULL, 0, 0, false }, lds = { NULL, 0, 0, false };
	struct vc_out der = { NULL, 0, 0, false }, seal = { NULL, 0, 0, false }, all = { NULL, 0, 0, false };
	bool ok;

	for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
		add_group(m->vc, i, &map, &hashes);
	vc_out_put(&lds, head, sizeof head);
	vc_tlv_out(&lds, 0x30, &hashes);
	vc_tlv_out(&der, 0x30, &lds);
	ok = cms_sign(m, OID_LDS, vc_out_view(&der), m->spec->derived ? 0 : CMS_NOCERTS, &seal);
	vc_tlv_out(&all, 0xBA, &map);
	vc_tlv_out(&all, 0xBB, &seal);
	ok = ok && vc_object_put(m->vc, 0x5FC106, &all);
	for (struct vc_out *const *o = (struct vc_out *const[]){ &map, &hashes, &lds, &der, &seal, &all, NULL }; *o;
	     o++)
		vc_out_free(*o);
	return ok;
}
