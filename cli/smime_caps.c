/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SMIMECapabilities (RFC 8551, 2.5.2): a list in order of preference, in a signature or in a certificate (RFC 4262).
 * dpiv's own list names what it and the usual mail programs decrypt, strongest first; AES-256-GCM comes last, since a
 * person's other programs may not know AuthEnvelopedData, and a sender is to take the first that it can.
 */
#include <string.h>
#include <openssl/asn1t.h>
#include <openssl/objects.h>

#include "cli/smime.h"

static void
caps_read(STACK_OF(X509_ALGOR) * list, struct smime_caps *c)
{
	for (int i = 0; i < sk_X509_ALGOR_num(list); i++) {
		const ASN1_OBJECT *oid;
		int nid;

		X509_ALGOR_get0(&oid, NULL, NULL, sk_X509_ALGOR_value(list, i));
		nid = OBJ_obj2nid(oid);
		if (nid == NID_aes_256_gcm && !c->aes256_cbc && !c->aes128_cbc)
			c->prefers_gcm = true;
		c->aes256_cbc |= nid == NID_aes_256_cbc;
		c->aes128_cbc |= nid == NID_aes_128_cbc;
	}
	c->known = true;
}

static void
caps_parse(const unsigned char *der, long n, struct smime_caps *c)
{
	STACK_OF(X509_ALGOR) *list = d2i_X509_ALGORS(NULL, &der, n);

	if (list != NULL)
		caps_read(list, c);
	sk_X509_ALGOR_pop_free(list, X509_ALGOR_free);
}

void
smime_caps_signer(const struct smime_part *p, int i, struct smime_caps *c)
{
	STACK_OF(CMS_SignerInfo) *all = CMS_get0_SignerInfos(p->cms);
	CMS_SignerInfo *si = sk_CMS_SignerInfo_value(all, i);
	const ASN1_STRING *value;

	memset(c, 0, sizeof *c);
	if (si == NULL)
		return;
	value = CMS_signed_get0_data_by_OBJ(si, OBJ_nid2obj(NID_SMIMECapabilities), -3, V_ASN1_SEQUENCE);
	if (value != NULL)
		caps_parse(ASN1_STRING_get0_data(value), ASN1_STRING_length(value), c);
}

void
smime_caps_cert(X509 *cert, struct smime_caps *c)
{
	int at = X509_get_ext_by_NID(cert, NID_SMIMECapabilities, -1);
	const ASN1_OCTET_STRING *value;

	memset(c, 0, sizeof *c);
	if (at < 0)
		return;
	value = X509_EXTENSION_get_data(X509_get_ext(cert, at));
	caps_parse(ASN1_STRING_get0_data(value), ASN1_STRING_length(value), c);
}

STACK_OF(X509_ALGOR) * smime_caps_own(void)
{
	static const int nids[] = { NID_aes_256_cbc, NID_aes_128_cbc, NID_aes_256_gcm };
	STACK_OF(X509_ALGOR) *list = NULL;

	for (size_t i = 0; i < sizeof nids / sizeof nids[0]; i++) {
		if (CMS_add_simple_smimecap(&list, nids[i], -1) != 1) {
			sk_X509_ALGOR_pop_free(list, X509_ALGOR_free);
			return NULL;
		}
	}
	return list;
}
