/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The CHUID, the verifier's half: SP 800-73-5 part 1, 3.1.2 and table 9, and FIPS 201-3, 4.2.1. The signature is a
 * detached CMS (RFC 5652) over all elements but itself, as they are on the card, FE 00 included; SP 800-73-4's buffer
 * length EE is left out too, though some cards have it signed. One signer, whose certificate is in the CMS, is for
 * content signing by EKU and by policy, and has a path as good as the card's own. Then the fields count: not expired,
 * and FASC-N and GUID are those of the certificate whose key has been proven, as far as that one has them
 * (first-generation certificates have no UUID).
 *
 * The signature comes first: a field that was changed is a forgery, whatever it says now.
 */
#include <stdio.h>
#include <string.h>
#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/text.h"
#include "derive/fascn.h"
#include "derive/cert.h"
#include "derive/issuer/chuid.h"
#include "derive/issuer/path.h"
#include "derive/issuer/refuse.h"
#include "derive/issuer/x509io.h"

#define OID_CHUID   "2.16.840.1.101.3.6.1"
#define OID_SIGNING "2.16.840.1.101.3.6.7"
#define OID_PIVI    "2.16.840.1.101.3.8.7" /* id-fpki-pivi-content-signing */

#define TAG_OBJECT    0x53
#define TAG_LENGTH    0xEE
#define TAG_SIGNATURE 0x3E
#define GUID_BYTES    16
#define EXPIRY_BYTES  8

/* --- the object --------------------------------------------------------------------------------------------------- */

/* One element: one byte of tag, a length in BER's definite form of at most two bytes. all: with both. */
static bool
take(struct span *in, uint8_t *tag, struct span *value, struct span *all)
{
	struct span at = *in;
	uint8_t first, low;
	uint16_t n;

	if (!span_u8(&at, tag) || (*tag & 0x1F) == 0x1F || !span_u8(&at, &first))
		return false;
	n = first;
	if (first == 0x81) {
		if (!span_u8(&at, &low))
			return false;
		n = low;
	} else if (first == 0x82) {
		if (!span_be16(&at, &n))
			return false;
	} else if (first > 0x7F) {
		return false;
	}
	return span_take(&at, n, value) && span_take(in, in->n - at.n, all);
}

static bool
only_zeros(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] != 0)
			return false;
	return true;
}

static enum err
element(struct chuid *c, uint8_t tag, struct span v)
{
	const struct {
		uint8_t tag;
		size_t n; /* 0: any */
		struct span *out;
	} known[] = {
		{ 0x30, FASCN_BYTES, &c->fascn },
		{ 0x34, GUID_BYTES, &c->guid },
		{ 0x35, EXPIRY_BYTES, &c->expiry },
		{ TAG_SIGNATURE, 0, &c->signature },
	};

	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		if (known[i].tag != tag || v.n == 0)
			continue;
		if (known[i].out->n != 0)
			return err_set(E_PROTO, "the CHUID has an element %02X twice", tag);
		if (known[i].n != 0 && v.n != known[i].n)
			return err_set(
			    E_PROTO, "the CHUID has an element %02X of %zu bytes instead of %zu", tag, v.n, known[i].n);
		*known[i].out = v;
	}
	return E_OK;
}

enum err
chuid_read(struct span object, struct chuid *out)
{
	struct span in = object, v, all;
	bool lengths = false;
	uint8_t tag;
	enum err e = E_OK;

	memset(out, 0, sizeof *out);
	wbuf_init(&out->content, CHUID_MAX);
	wbuf_init(&out->older, CHUID_MAX);
	if (span_starts(object, "\x53", 1) && take(&object, &tag, &v, &all) && only_zeros(object))
		in = v;
	while (e == E_OK && !only_zeros(in)) {
		if (!take(&in, &tag, &v, &all))
			return err_set(E_PROTO, "the CHUID is cut short or no BER-TLV");
		if (tag != TAG_SIGNATURE)
			wbuf_span(&out->older, all);
		if (tag != TAG_SIGNATURE && tag != TAG_LENGTH)
			wbuf_span(&out->content, all);
		lengths = lengths || tag == TAG_LENGTH;
		e = element(out, tag, v);
	}
	if (!lengths)
		wbuf_clear(&out->older);
	if (e == E_OK && (out->content.bad || out->older.bad))
		e = err_set(E_PROTO, "the CHUID is larger than %d bytes", CHUID_MAX);
	return e;
}

void
chuid_clear(struct chuid *c)
{
	wbuf_free(&c->content);
	wbuf_free(&c->older);
	memset(c, 0, sizeof *c);
}

/* --- the signature ------------------------------------------------------------------------------------------------ */

static CMS_ContentInfo *
cms_read(struct span der)
{
	const unsigned char *p = der.p;
	CMS_ContentInfo *cms = der.n > 0 ? d2i_CMS_ContentInfo(NULL, &p, (long)der.n) : NULL;
	char type[64] = "";

	if (cms == NULL || p != der.p + der.n || OBJ_obj2nid(CMS_get0_type(cms)) != NID_pkcs7_signed ||
	    OBJ_obj2txt(type, sizeof type, CMS_get0_eContentType(cms), 1) <= 0 || strcmp(type, OID_CHUID) != 0 ||
	    CMS_is_detached(cms) != 1) {
		CMS_ContentInfo_free(cms);
		return NULL;
	}
	return cms;
}

/* SP 800-78-5, table 2; signed attributes, as SP 800-73-5 has it. */
static bool
signer_sound(CMS_SignerInfo *si)
{
	X509_ALGOR *digest = NULL;
	int nid;

	CMS_SignerInfo_get0_algs(si, NULL, NULL, &digest, NULL);
	nid = digest != NULL ? OBJ_obj2nid(digest->algorithm) : NID_undef;
	return (nid == NID_sha256 || nid == NID_sha384 || nid == NID_sha512) && CMS_signed_get_attr_count(si) > 0;
}

static bool
verifies(CMS_ContentInfo *cms, struct span content)
{
	BIO *in = content.n > 0 ? BIO_new_mem_buf(content.p, (int)content.n) : NULL;
	bool ok = in != NULL && CMS_verify(cms, NULL, NULL, in, NULL, CMS_NO_SIGNER_CERT_VERIFY | CMS_BINARY) == 1;

	BIO_free(in);
	ERR_clear_error();
	return ok;
}

/* *signer: the certificate that has signed, not yet trusted. */
static enum err
check_signature(const struct chuid *c, X509 **signer)
{
	CMS_ContentInfo *cms = cms_read(c->signature);
	STACK_OF(CMS_SignerInfo) *infos = cms != NULL ? CMS_get0_SignerInfos(cms) : NULL;
	STACK_OF(X509) *who = NULL;
	enum err e = E_OK;

	if (sk_CMS_SignerInfo_num(infos) != 1 || !signer_sound(sk_CMS_SignerInfo_value(infos, 0)))
		e = refuse(REFUSE_CHUID_SIGNATURE, "the CHUID of the card has no signature as SP 800-73 wants it");
	else if (!verifies(cms, wbuf_view(&c->content)) && !verifies(cms, wbuf_view(&c->older)))
		e = refuse(REFUSE_CHUID_SIGNATURE, "the signature on the CHUID of the card does not verify");
	else if ((who = CMS_get0_signers(cms)) == NULL || sk_X509_num(who) != 1 ||
	    X509_up_ref(sk_X509_value(who, 0)) != 1)
		e = err_crypto(E_CRYPTO, "cannot read the signer of a CHUID");
	else
		*signer = sk_X509_value(who, 0);
	sk_X509_free(who);
	CMS_ContentInfo_free(cms);
	ERR_clear_error();
	return e;
}

/* --- the signer --------------------------------------------------------------------------------------------------- */

/* piv: of a card that says to be a PIV card, which no PIV-I content signer stands for. */
static bool
signs_content(X509 *signer, bool piv)
{
	uint32_t flags = X509_get_extension_flags(signer);

	return (cert_has_eku_oid(signer, OID_SIGNING) || (!piv && cert_has_eku_oid(signer, OID_PIVI))) &&
	    (flags & (EXFLAG_CA | EXFLAG_INVALID)) == 0 && (flags & EXFLAG_KUSAGE) != 0 &&
	    (X509_get_key_usage(signer) & KU_DIGITAL_SIGNATURE) != 0;
}

/* What is wrong with the path says which code: a help desk sends the card back, waits for a CRL, or calls a CA. */
static enum err
refuse_signer(void)
{
	enum refuse was = refuse_last();
	enum refuse why = was == REFUSE_REVOKED ? REFUSE_CHUID_REVOKED
	    : was == REFUSE_STATUS		? REFUSE_CHUID_STATUS
						: REFUSE_CHUID_SIGNER;
	char sentence[700];

	(void)snprintf(sentence, sizeof sentence, "%s", err_msg());
	return refuse(why, "the signer of the card's CHUID: %s", sentence);
}

static enum err
check_signer(struct trust *t, const struct config *conf, X509 *signer, bool piv, time_t now)
{
	const struct path_rules rules = { conf->signer_policies, "signer_policies",
		"a PIV content signer (2.16.840.1.101.3.2.1.3.39)" };
	char name[512];
	enum err e = path_check(t, &rules, signer, NULL, now);

	if (e == E_POLICY)
		return refuse_signer();
	if (e == E_OK && !signs_content(signer, piv))
		e = refuse(REFUSE_CHUID_SIGNER, "the card's CHUID is signed by %s, which is no PIV content signer",
		    x509io_name_text(X509_get_subject_name(signer), name, sizeof name));
	return e;
}

/* --- the fields --------------------------------------------------------------------------------------------------- */

/* The card is good to the end of its last day, in UTC. */
static enum err
check_expiry(const struct chuid *c, time_t now)
{
	char today[EXPIRY_BYTES + 1], day[EXPIRY_BYTES + 1];
	struct tm tm;

	if (c->expiry.n != EXPIRY_BYTES)
		return refuse(REFUSE_CHUID_MALFORMED, "the CHUID of the card has no expiration date");
	memcpy(day, c->expiry.p, EXPIRY_BYTES);
	day[EXPIRY_BYTES] = '\0';
	if (strspn(day, "0123456789") != EXPIRY_BYTES)
		return refuse(REFUSE_CHUID_MALFORMED, "the expiration date in the CHUID of the card is none");
	if (gmtime_r(&now, &tm) == NULL || strftime(today, sizeof today, "%Y%m%d", &tm) != EXPIRY_BYTES)
		return err_set(E_INTERNAL, "what day is it?");
	if (strcmp(day, today) < 0)
		return refuse(
		    REFUSE_CHUID_EXPIRED, "the card expired on %.4s-%.2s-%.2s, by its CHUID", day, &day[4], &day[6]);
	return E_OK;
}

static enum err
check_match(const struct chuid *c, const struct pivid *id)
{
	char hex[2 * FASCN_BYTES + 1], uuid[TEXT_UUID_MAX];

	text_hex(c->fascn, hex, sizeof hex);
	if (id->fascn[0] != '\0' && strcmp(id->fascn, hex) != 0)
		return refuse(REFUSE_CHUID_MISMATCH,
		    "the CHUID is of another card: its FASC-N is %s and that of the certificate %s",
		    c->fascn.n > 0 ? hex : "missing", id->fascn);
	if (id->uuid[0] == '\0')
		return E_OK;
	if (c->guid.n != GUID_BYTES)
		return refuse(
		    REFUSE_CHUID_MISMATCH, "the CHUID has no GUID, and the certificate has the UUID %s", id->uuid);
	text_uuid(c->guid.p, uuid);
	if (strcmp(id->uuid, uuid) != 0)
		return refuse(REFUSE_CHUID_MISMATCH,
		    "the CHUID is of another card: its GUID is %s and the UUID of the certificate %s", uuid, id->uuid);
	return E_OK;
}

static enum err
check_object(struct trust *t, const struct config *conf, struct span object, const struct pivid *id, time_t now)
{
	struct chuid c;
	X509 *signer = NULL;
	enum err e = chuid_read(object, &c);

	if (e == E_PROTO)
		e = refuse(REFUSE_CHUID_MALFORMED, "%s", err_msg());
	if (e == E_OK)
		e = check_signature(&c, &signer);
	if (e == E_OK)
		e = check_signer(t, conf, signer, id->piv, now);
	if (e == E_OK)
		e = check_expiry(&c, now);
	if (e == E_OK)
		e = check_match(&c, id);
	X509_free(signer);
	chuid_clear(&c);
	return e;
}

enum err
chuid_check(struct trust *t, const struct config *conf, const char *header, const struct pivid *id, time_t now)
{
	WBUF_AUTO object = { 0 };

	if (header == NULL) {
		if (!conf->require_chuid)
			return E_OK;
		return refuse(REFUSE_CHUID_MISSING,
		    "the CHUID of the card must come with the request (" CHUID_HEADER "), and did not");
	}
	wbuf_init(&object, CHUID_MAX);
	if (!text_unbase64(span_str(header), &object) || object.bad || object.n == 0)
		return refuse(REFUSE_CHUID_MALFORMED, "the header " CHUID_HEADER " is not base64 of a CHUID");
	return check_object(t, conf, wbuf_view(&object), id, now);
}
