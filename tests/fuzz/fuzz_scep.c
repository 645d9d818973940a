/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a SCEP server sends, and CMP messages as far as libcrypto parses them. The first byte chooses: capabilities, CA
 * certificates, an answer as it comes, an answer that a CA has signed around the given attributes and contents (so that
 * what lies behind the signature is reached), a CMP message.
 */
#include <string.h>

#include <openssl/cmp.h>
#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#include "base/err.h"
#include "derive/scep_ca.h"
#include "derive/scep_msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const uint8_t nonce[SCEP_NONCE] = { 1 };
static const char transaction[] = "AB";
static EVP_PKEY *key;
static X509 *cert;
static STACK_OF(X509) * signers;

static void
fixture(void)
{
	X509_NAME *name;

	if (key != NULL)
		return;
	key = EVP_RSA_gen(1024); /* speed */
	name = X509_NAME_new();
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"CA", -1, -1, 0);
	if (scep_self_signed(name, key, key, &cert) != E_OK)
		__builtin_trap();
	X509_NAME_free(name);
	signers = sk_X509_new_null();
	sk_X509_push(signers, cert);
}

static void
read_answer(struct span body)
{
	const struct scep_expect want = {
		.transaction = transaction, .nonce = nonce, .signers = signers, .open = { cert, key }, .weak = true
	};
	STACK_OF(X509) *certs = NULL;

	(void)!scep_read(body, &want, &certs);
	sk_X509_pop_free(certs, X509_free);
}

static void
attr(CMS_SignerInfo *si, const char *oid, int type, struct span v)
{
	ASN1_OBJECT *o = OBJ_txt2obj(oid, 1);

	(void)CMS_signed_add1_attr_by_OBJ(si, o, type, v.p, (int)v.n);
	ASN1_OBJECT_free(o);
}

/* Two bytes of choices, then the content. */
static void
signed_answer(struct span in)
{
	static const char *const statuses[] = { "0", "2", "3", "9" };
	BIO *content, *out = BIO_new(BIO_s_mem());
	CMS_ContentInfo *cms = CMS_sign(NULL, NULL, NULL, NULL, CMS_PARTIAL | CMS_BINARY);
	CMS_SignerInfo *si = CMS_add1_signer(cms, cert, key, EVP_sha256(), CMS_NOSMIMECAP | CMS_BINARY);
	uint8_t a = 0, b = 0;
	char *p = NULL;
	long n;

	(void)(span_u8(&in, &a) && span_u8(&in, &b));
	if ((a & 1) == 0)
		attr(si, SCEP_OID_TYPE, V_ASN1_PRINTABLESTRING, span_str("3"));
	if ((a & 2) == 0)
		attr(si, SCEP_OID_TRANSACTION, (a & 4) != 0 ? V_ASN1_UTF8STRING : V_ASN1_PRINTABLESTRING,
		    span_str(transaction));
	if ((a & 8) == 0)
		attr(si, SCEP_OID_RECIPIENT, V_ASN1_OCTET_STRING, span_of(nonce, sizeof nonce));
	if ((a & 16) == 0)
		attr(si, SCEP_OID_STATUS, V_ASN1_PRINTABLESTRING, span_str(statuses[b & 3]));
	if ((a & 32) == 0)
		attr(si, SCEP_OID_FAIL_TEXT, V_ASN1_UTF8STRING, in);
	content = BIO_new_mem_buf(in.p, (int)in.n);
	if (CMS_final(cms, content, NULL, CMS_BINARY) == 1 && i2d_CMS_bio(out, cms) == 1 &&
	    (n = BIO_get_mem_data(out, &p)) > 0)
		read_answer(span_of(p, (size_t)n));
	CMS_ContentInfo_free(cms);
	BIO_free(content);
	BIO_free(out);
	ERR_clear_error();
}

static void
ca(struct span body)
{
	STACK_OF(X509) *certs = NULL;
	struct scep_trust t = { .fingerprint = "00", .server = "x" };

	if (scep_read_ca(body, &certs) != E_OK)
		return;
	t.certs = certs;
	(void)scep_ca_recipient(certs);
	if (scep_ca_recipient(certs) != NULL)
		(void)scep_ca_issuer(certs);
	if (scep_ca_trust(&t) == E_OK)
		__builtin_trap(); /* there is nothing to trust */
	sk_X509_pop_free(certs, X509_free);
}

static void
cmp(struct span body)
{
	const unsigned char *p = body.p;
	OSSL_CMP_MSG *m = d2i_OSSL_CMP_MSG(NULL, &p, (long)body.n);

	if (m != NULL)
		(void)OSSL_CMP_MSG_get_bodytype(m);
	OSSL_CMP_MSG_free(m);
	ERR_clear_error();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct span in = span_of(data, n);
	struct scep_caps caps;
	uint8_t which = 0;

	fixture();
	if (!span_u8(&in, &which))
		return 0;
	switch (which % 5) {
	case 0: scep_read_caps(in, &caps); break;
	case 1: ca(in); break;
	case 2: read_answer(in); break;
	case 3: signed_answer(in); break;
	default: cmp(in); break;
	}
	return 0;
}
