/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The Security Object: hashes of the card's other objects, signed by whoever issued them (SP 800-73-5 part 1, 3.1.7;
 * ICAO 9303 part 10, 4.6.2.3). BA maps the data groups that ICAO numbers (1 to 16) to containers, BB is a CMS
 * SignedData over LDSSecurityObject ::= SEQUENCE { version, hash algorithm, SEQUENCE OF SEQUENCE { number, hash } }.
 * The hash is that of the object's contents, of what is inside 53.
 */
#include <string.h>

#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>

#include "hw/crypto.h"
#include "hw/piv_secobj.h"
#include "hw/tlv.h"

#define TAG_MAP	   0xBA
#define TAG_CMS	   0xBB
#define TAG_EDC	   0xFE
#define SEQUENCE   0x30
#define INTEGER	   0x02
#define OCTETS	   0x04
#define GROUPS_MAX 16
#define OID_LDS	   "1.3.27.1.1.1" /* as PIV cards have it */

/* Part 1, table 3: unsigned objects, and those that others sign. */
static const struct {
	uint32_t tag;
	uint16_t container;
} containers[] = {
	{ PIV_OBJ_CCC, 0xDB00 },
	{ PIV_OBJ_CHUID, 0x3000 },
	{ 0x5FC103, 0x6010 },
	{ 0x5FC108, 0x6030 },
	{ PIV_OBJ_PRINTED, 0x3001 },
	{ PIV_OBJ_DISCOVERY, 0x6050 },
	{ PIV_OBJ_HISTORY, 0x6060 },
	{ 0x5FC121, 0x1015 },
	{ 0x7F61, 0x1016 },
	{ 0x5FC122, 0x1017 },
	{ 0x5FC123, 0x1018 },
};

static uint16_t
container_of(uint32_t tag)
{
	for (size_t i = 0; i < sizeof containers / sizeof containers[0]; i++)
		if (containers[i].tag == tag)
			return containers[i].container;
	return 0;
}

enum err
piv_secobj_parse(struct span contents, struct piv_secobj *out)
{
	struct piv_secobj so = { SPAN_NONE, SPAN_NONE };

	*out = so;
	if (tlv_find(contents, TAG_MAP, &so.map) != E_OK || tlv_find(contents, TAG_CMS, &so.cms) != E_OK ||
	    so.map.n % 3 != 0 || so.map.n > 3 * GROUPS_MAX || so.cms.n == 0)
		return err_set(E_PROTO, "Security Object: malformed");
	*out = so;
	return E_OK;
}

/* The number of this container's data group; 0: it has none. */
static uint8_t
group_of(struct span map, uint16_t container)
{
	uint16_t c;
	uint8_t g;

	while (span_u8(&map, &g) && span_be16(&map, &c))
		if (c == container)
			return g;
	return 0;
}

static bool
number_taken(struct span map, uint8_t number)
{
	uint16_t c;
	uint8_t g;

	while (span_u8(&map, &g) && span_be16(&map, &c))
		if (g == number)
			return true;
	return false;
}

/* --- the signed part --- */

struct lds {
	CMS_ContentInfo *cms;
	struct span version, alg, hashes; /* alg: the contents of its SEQUENCE */
	EVP_MD *md;
};

static void
lds_free(struct lds *l)
{
	CMS_ContentInfo_free(l->cms);
	EVP_MD_free(l->md);
}

static EVP_MD *
hash_of(struct span alg)
{
	const unsigned char *p = alg.p;
	ASN1_OBJECT *oid = d2i_ASN1_OBJECT(NULL, &p, (long)alg.n);
	EVP_MD *md = oid != NULL ? EVP_MD_fetch(hw_crypto(), OBJ_nid2sn(OBJ_obj2nid(oid)), NULL) : NULL;

	ASN1_OBJECT_free(oid);
	return md;
}

static enum err
lds_open(struct span der, struct lds *l)
{
	const unsigned char *p = der.p;
	ASN1_OCTET_STRING **content = NULL;
	struct span in, seq;
	bool good;

	memset(l, 0, sizeof *l);
	ERR_set_mark();
	l->cms = hw_crypto() != NULL ? CMS_ContentInfo_new_ex(hw_crypto(), NULL) : NULL;
	if (l->cms != NULL && d2i_CMS_ContentInfo(&l->cms, &p, (long)der.n) == NULL)
		l->cms = NULL;
	if (l->cms != NULL && OBJ_obj2nid(CMS_get0_type(l->cms)) == NID_pkcs7_signed)
		content = CMS_get0_content(l->cms);
	in = content != NULL && *content != NULL
	    ? span_of(ASN1_STRING_get0_data(*content), (size_t)ASN1_STRING_length(*content))
	    : SPAN_NONE;
	good = tlv_get(&in, SEQUENCE, &seq) == E_OK && tlv_get(&seq, INTEGER, &l->version) == E_OK &&
	    tlv_get(&seq, SEQUENCE, &l->alg) == E_OK && tlv_get(&seq, SEQUENCE, &l->hashes) == E_OK &&
	    (l->md = hash_of(l->alg)) != NULL;
	ERR_pop_to_mark();
	if (good)
		return E_OK;
	lds_free(l);
	memset(l, 0, sizeof *l);
	return err_set(E_PROTO, "Security Object: no hashes of data groups in it");
}

static bool
next_hash(struct span *hashes, uint8_t *group, struct span *hash)
{
	struct span entry, number;

	if (tlv_get(hashes, SEQUENCE, &entry) != E_OK || tlv_get(&entry, INTEGER, &number) != E_OK || number.n != 1 ||
	    tlv_get(&entry, OCTETS, hash) != E_OK)
		return false;
	*group = number.p[0];
	return true;
}

static enum err
digest(const struct lds *l, struct span value, struct wbuf *out)
{
	uint8_t md[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	if (EVP_Digest(value.p, value.n, md, &n, l->md, NULL) != 1)
		return err_crypto(E_CRYPTO, "Security Object: hash");
	wbuf_put(out, md, n);
	return out->bad ? err_set(E_NOMEM, "out of memory") : E_OK;
}

enum err
piv_secobj_check(struct span contents, uint32_t tag, struct span value, bool *covered, bool *same)
{
	struct piv_secobj so;
	struct span hashes, hash;
	WBUF_AUTO now = { 0 };
	struct lds l;
	uint8_t group, g;
	enum err e;

	*covered = *same = false;
	wbuf_init(&now, EVP_MAX_MD_SIZE);
	if ((e = piv_secobj_parse(contents, &so)) != E_OK || (group = group_of(so.map, container_of(tag))) == 0 ||
	    (e = lds_open(so.cms, &l)) != E_OK)
		return e;
	e = digest(&l, value, &now);
	for (hashes = l.hashes; e == E_OK && next_hash(&hashes, &g, &hash);)
		if (g == group) {
			*covered = true;
			*same = span_eq(hash, wbuf_view(&now));
		}
	lds_free(&l);
	return e;
}

/* --- anew --- */

static void
put_hash(struct wbuf *w, uint8_t group, struct span hash)
{
	size_t m = tlv_open(w, SEQUENCE);

	tlv_put_u8(w, INTEGER, group);
	tlv_put(w, OCTETS, hash.p, hash.n);
	tlv_close(w, m);
}

/* LDSSecurityObject with this group's hash, or without it when there is none. */
static void
put_lds(const struct lds *l, uint8_t group, struct span now, struct wbuf *w)
{
	size_t all = tlv_open(w, SEQUENCE), m;
	struct span hashes = l->hashes, hash;
	bool put = now.n == 0;
	uint8_t g;

	tlv_put(w, INTEGER, l->version.p, l->version.n);
	tlv_put(w, SEQUENCE, l->alg.p, l->alg.n);
	m = tlv_open(w, SEQUENCE);
	while (next_hash(&hashes, &g, &hash)) {
		if (!put && g >= group) {
			put_hash(w, group, now);
			put = true;
		}
		if (g != group)
			put_hash(w, g, hash);
	}
	if (!put)
		put_hash(w, group, now);
	tlv_close(w, m);
	tlv_close(w, all);
}

/* BA with this container's group, or without it. */
static enum err
put_map(struct span map, uint16_t container, uint8_t *group, bool keep, struct wbuf *w)
{
	uint8_t g = 1, number;
	uint16_t c;

	*group = group_of(map, container);
	while (*group == 0 && g <= GROUPS_MAX)
		if (!number_taken(map, g++))
			*group = (uint8_t)(g - 1);
	if (*group == 0)
		return err_set(E_NOSPACE, "Security Object: all sixteen data groups are taken");
	if (keep && group_of(map, container) == 0) {
		wbuf_u8(w, *group);
		wbuf_be16(w, container);
	}
	while (span_u8(&map, &number) && span_be16(&map, &c)) {
		if (c == container && !keep)
			continue;
		wbuf_u8(w, number);
		wbuf_be16(w, c);
	}
	return E_OK;
}

/* An object that there is none of yet: no group, SHA-256 (SP 800-78-5, table 3). */
static enum err
lds_new(struct piv_secobj *so, struct lds *l)
{
	static const uint8_t version[] = { 0x00 };
	static const uint8_t sha256[] = { 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01 };

	*so = (struct piv_secobj){ SPAN_NONE, SPAN_NONE };
	memset(l, 0, sizeof *l);
	l->version = span_of(version, sizeof version);
	l->alg = span_of(sha256, sizeof sha256);
	l->md = EVP_MD_fetch(hw_crypto(), "SHA256", NULL);
	return l->md != NULL ? E_OK : err_crypto(E_CRYPTO, "Security Object: hash");
}

/* Is a certificate in it? */
static bool
has_certificate(const struct lds *l)
{
	STACK_OF(X509) *certs = l->cms != NULL ? CMS_get1_certs(l->cms) : NULL;
	bool has = sk_X509_num(certs) > 0;

	sk_X509_pop_free(certs, X509_free);
	return has;
}

enum err
piv_secobj_update(struct span contents, uint32_t tag, struct span value, const struct piv_sealer *by, struct wbuf *out)
{
	WBUF_AUTO now = { 0 };
	WBUF_AUTO map = { 0 };
	WBUF_AUTO body = { 0 };
	WBUF_AUTO cms = { 0 };
	struct piv_sealer with = *by;
	struct piv_secobj so;
	struct lds l;
	uint8_t group;
	enum err e;

	wbuf_init(&now, EVP_MAX_MD_SIZE);
	wbuf_init(&map, 3 * (GROUPS_MAX + 1));
	wbuf_init(&body, 4096);
	wbuf_init(&cms, PIV_OBJ_MAX);
	if (container_of(tag) == 0)
		return err_set(E_ARG, "Security Object: no container with tag %X", (unsigned)tag);
	if (contents.n == 0)
		e = lds_new(&so, &l);
	else if ((e = piv_secobj_parse(contents, &so)) == E_OK)
		e = lds_open(so.cms, &l);
	if (e != E_OK)
		return e;
	with.embed = by->embed || contents.n == 0 || has_certificate(&l);
	if ((e = put_map(so.map, container_of(tag), &group, value.n > 0, &map)) == E_OK && value.n > 0)
		e = digest(&l, value, &now);
	if (e == E_OK) {
		put_lds(&l, group, wbuf_view(&now), &body);
		e = body.bad ? err_set(E_NOMEM, "Security Object: too long")
			     : piv_seal(&with, OID_LDS, wbuf_view(&body), false, &cms);
	}
	lds_free(&l);
	if (e != E_OK)
		return e;
	tlv_put(out, TAG_MAP, map.p, map.n);
	tlv_put(out, TAG_CMS, cms.p, cms.n);
	tlv_put(out, TAG_EDC, NULL, 0);
	return map.bad || cms.bad || out->bad ? err_set(E_NOMEM, "Security Object: too long") : E_OK;
}
