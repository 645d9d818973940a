/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a content signer signs: the Security Object's hashes (contents inside) and the CHUID (detached), as CMS
 * SignedData with one signer and the attribute pivSigner-DN (SP 800-73-5 part 1, 3.1.2 and 3.1.7; SP 800-78-5, table 2:
 * SHA-384 for P-384, SHA-256 for the others).
 */
#include <string.h>

#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>

#include "hw/crypto.h"
#include "hw/piv_secobj.h"
#include "hw/tlv.h"

#define OID_SIGNER    "2.16.840.1.101.3.6.5" /* pivSigner-DN */
#define OID_CHUID     "2.16.840.1.101.3.6.1" /* id-PIV-CHUIDSecurityObject */
#define TAG_LENGTH    0xEE		     /* SP 800-73-4: not signed */
#define TAG_SIGNATURE 0x3E

static bool
add_signer_name(CMS_SignerInfo *si, X509 *cert)
{
	ASN1_OBJECT *oid = OBJ_txt2obj(OID_SIGNER, 1);
	const unsigned char *der = NULL;
	size_t n = 0;
	bool ok = oid != NULL && X509_NAME_get0_der(X509_get_subject_name(cert), &der, &n) == 1 &&
	    CMS_signed_add1_attr_by_OBJ(si, oid, V_ASN1_SEQUENCE, der, (int)n) == 1;

	ASN1_OBJECT_free(oid);
	return ok;
}

enum err
piv_seal(const struct piv_sealer *by, const char *type, struct span content, bool detached, struct wbuf *out)
{
	unsigned flags =
	    CMS_BINARY | CMS_PARTIAL | CMS_NOSMIMECAP | (by->embed ? 0 : CMS_NOCERTS) | (detached ? CMS_DETACHED : 0);
	bool p384 = EVP_PKEY_is_a(by->key, "EC") && EVP_PKEY_get_bits(by->key) > 256;
	EVP_MD *md = EVP_MD_fetch(hw_crypto(), p384 ? "SHA384" : "SHA256", NULL);
	CMS_ContentInfo *cms = CMS_sign_ex(NULL, NULL, NULL, NULL, flags, hw_crypto(), NULL);
	BIO *in = BIO_new_mem_buf(content.p, (int)content.n);
	ASN1_OBJECT *oid = OBJ_txt2obj(type, 1);
	CMS_SignerInfo *si = NULL;
	unsigned char *der = NULL;
	int n = -1;

	if (md != NULL && cms != NULL && in != NULL && oid != NULL && CMS_set1_eContentType(cms, oid) == 1)
		si = CMS_add1_signer(cms, by->cert, by->key, md, flags);
	if (si != NULL && add_signer_name(si, by->cert) && CMS_final(cms, in, NULL, flags) == 1)
		n = i2d_CMS_ContentInfo(cms, &der);
	if (n > 0)
		wbuf_put(out, der, (size_t)n);
	OPENSSL_free(der);
	ASN1_OBJECT_free(oid);
	BIO_free(in);
	CMS_ContentInfo_free(cms);
	EVP_MD_free(md);
	return n > 0 ? E_OK : err_crypto(E_CRYPTO, "the content signer cannot sign");
}

/* Every element but the signature: the one that is signed, and in front of (or after) it the others. */
static enum err
chuid_parts(struct span contents, struct wbuf *tbs, struct wbuf *before, bool *signature)
{
	struct span rest = contents, v;
	uint32_t tag;
	enum err e;

	*signature = false;
	while ((e = tlv_next(&rest, &tag, &v)) == E_OK) {
		if (tag == TAG_SIGNATURE && *signature)
			return err_set(E_PROTO, "CHUID: two signatures");
		*signature = *signature || tag == TAG_SIGNATURE;
		if (tag != TAG_SIGNATURE && tag != TAG_LENGTH)
			tlv_put(tbs, tag, v.p, v.n);
		if (!*signature)
			tlv_put(before, tag, v.p, v.n);
	}
	return e == E_NOTFOUND ? E_OK : e;
}

enum err
piv_chuid_seal(struct span contents, const struct piv_sealer *by, struct wbuf *out)
{
	struct piv_sealer with = { by->cert, by->key, true };
	WBUF_AUTO tbs = { 0 };
	WBUF_AUTO cms = { 0 };
	bool signature;
	enum err e;

	wbuf_init(&tbs, 4096);
	wbuf_init(&cms, PIV_OBJ_MAX);
	if ((e = chuid_parts(contents, &tbs, out, &signature)) != E_OK)
		return e;
	if (tbs.bad || tbs.n == 0)
		return err_set(E_PROTO, "CHUID: malformed");
	if ((e = piv_seal(&with, OID_CHUID, wbuf_view(&tbs), true, &cms)) != E_OK)
		return e;
	tlv_put(out, TAG_SIGNATURE, cms.p, cms.n);
	tlv_put(out, 0xFE, NULL, 0);
	return out->bad || cms.bad ? err_set(E_NOMEM, "CHUID: too long") : E_OK;
}
