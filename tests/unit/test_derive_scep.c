/* SPDX-License-Identifier: BSD-2-Clause */
/* SCEP without a network: capabilities as servers write them, whose certificates are believed, what a request is made
 * of (judged by libcrypto's own calls). */
#include <openssl/cms.h>
#include <openssl/x509v3.h>

#include "base/text.h"
#include "derive/proto.h"
#include "derive/scep_ca.h"
#include "derive/scep_msg.h"
#include "tests/lib/minipki.h"
#include "tests/lib/test.h"

static void
test_caps(void **state)
{
	struct scep_caps c;

	(void)state;
	scep_read_caps(span_str("POSTPKIOperation\r\nsha-256\r\nAES\r\nRenewal\r\nSomethingElse\r\n"), &c);
	assert_true(c.post && c.sha256 && c.aes && c.renewal);
	assert_false(c.des3 || c.sha1 || c.sha512);
	scep_read_caps(span_str("SCEPStandard"), &c);
	assert_true(c.post && c.sha256 && c.aes);
	assert_false(c.renewal);
	scep_read_caps(span_str("<html>AESX SHA-2566 DES</html>"), &c);
	assert_false(c.post || c.sha256 || c.aes || c.des3 || c.renewal);
	scep_read_caps(SPAN_NONE, &c);
	assert_false(c.post || c.aes);
}

struct pki {
	EVP_PKEY *root_key, *ca_key;
	X509 *root, *ca, *ra, *colleague;
};

static struct pki
pki_new(void)
{
	struct pki p = { .root_key = minipki_key("P-256"), .ca_key = minipki_key("RSA-2048") };
	struct minipki_cert ee = { .cn = "RA", .key = p.ca_key, .from = -60, .to = 3600 };

	p.root = minipki_ca("Root", p.root_key, NULL, p.root_key, -60, 3600, NULL);
	p.ca = minipki_ca("CA", p.ca_key, p.root, p.root_key, -60, 3600, NULL);
	ee.issuer = p.ca;
	ee.issuer_key = p.ca_key;
	ee.ext = "keyUsage=critical,digitalSignature,keyEncipherment\nextendedKeyUsage=cmcRA\n" MINIPKI_AKI;
	p.ra = minipki_cert(&ee);
	ee.cn = "Colleague";
	ee.ext = "keyUsage=critical,digitalSignature,keyEncipherment\nextendedKeyUsage=clientAuth\n" MINIPKI_AKI;
	p.colleague = minipki_cert(&ee);
	return p;
}

static void
pki_free(struct pki *p)
{
	X509_free(p->root);
	X509_free(p->ca);
	X509_free(p->ra);
	X509_free(p->colleague);
	EVP_PKEY_free(p->root_key);
	EVP_PKEY_free(p->ca_key);
}

static STACK_OF(X509) * list(X509 *a, X509 *b, X509 *c)
{
	X509 *all[] = { a, b, c };
	STACK_OF(X509) *s = sk_X509_new_null();

	for (size_t i = 0; i < 3; i++)
		if (all[i] != NULL && X509_up_ref(all[i]) == 1)
			assert_true(sk_X509_push(s, all[i]) > 0);
	return s;
}

static void
test_trust(void **state)
{
	struct pki p = pki_new();
	struct scep_trust t = {
		.certs = list(p.colleague, p.ra, p.ca), .anchors = list(p.root, NULL, NULL), .server = "s"
	};
	unsigned char md[32];
	unsigned int n = 0;
	char print[100];

	(void)state;
	assert_ok(scep_ca_trust(&t)); /* by the anchor; the colleague is dropped */
	assert_int_equal(sk_X509_num(t.certs), 2);
	assert_ptr_equal(scep_ca_recipient(t.certs), p.ra);
	assert_ptr_equal(scep_ca_issuer(t.certs), p.ca);
	sk_X509_pop_free(t.certs, X509_free);

	assert_int_equal(X509_digest(p.ca, EVP_sha256(), md, &n), 1);
	text_hex(span_of(md, n), print, sizeof print);
	t.fingerprint = print;
	t.certs = list(p.colleague, p.ra, p.ca);
	assert_ok(scep_ca_trust(&t)); /* by the fingerprint */
	assert_int_equal(sk_X509_num(t.certs), 2);
	sk_X509_pop_free(t.certs, X509_free);

	print[0] = print[0] == '0' ? '1' : '0'; /* an anchor does not help against a wrong fingerprint */
	t.certs = list(p.colleague, p.ra, p.ca);
	assert_err(scep_ca_trust(&t), E_POLICY);
	assert_says("fingerprint");
	sk_X509_pop_free(t.certs, X509_free);

	t.fingerprint = NULL;
	t.by_tls = true; /* the server was authenticated */
	t.certs = list(p.colleague, p.ca, NULL);
	assert_ok(scep_ca_trust(&t));
	assert_int_equal(sk_X509_num(t.certs), 2);
	sk_X509_pop_free(t.certs, X509_free);

	t.certs = list(p.root, NULL, NULL); /* an EC key only */
	assert_err(scep_ca_trust(&t), E_UNSUP);
	sk_X509_pop_free(t.certs, X509_free);
	sk_X509_pop_free(t.anchors, X509_free);
	pki_free(&p);
}

static void
test_request(void **state)
{
	static const uint8_t nonce[SCEP_NONCE] = { 7 };
	struct pki p = pki_new();
	EVP_PKEY *key = minipki_key("RSA-2048");
	struct scep_request m = { .type = SCEP_PKCS_REQ,
		.to = p.ca,
		.cipher = EVP_aes_128_cbc(),
		.md = EVP_sha256(),
		.nonce = nonce,
		.data = span_str("request") };
	char transaction[SCEP_TRANSACTION];
	BIO *content = BIO_new(BIO_s_mem()), *plain = BIO_new(BIO_s_mem());
	CMS_ContentInfo *outer, *inner;
	const unsigned char *q;
	char *text = NULL;
	WBUF_AUTO out;

	(void)state;
	wbuf_init(&out, 65536);
	assert_ok(cert_key_text(key, transaction));
	assert_int_equal(strlen(transaction), 64);
	assert_ok(scep_self_signed(X509_get_subject_name(p.ra), key, key, &m.from.cert));
	assert_int_equal(X509_verify(m.from.cert, key), 1);
	m.from.key = key;
	m.transaction = transaction;
	assert_ok(scep_build(&m, &out));
	q = out.p;
	outer = d2i_CMS_ContentInfo(NULL, &q, (long)out.n);
	assert_non_null(outer);
	assert_int_equal(CMS_verify(outer, NULL, NULL, NULL, content, CMS_NO_SIGNER_CERT_VERIFY | CMS_BINARY), 1);
	inner = d2i_CMS_bio(content, NULL);
	assert_non_null(inner);
	assert_int_equal(CMS_decrypt(inner, p.ca_key, p.ca, NULL, plain, CMS_BINARY), 1);
	assert_int_equal(BIO_get_mem_data(plain, &text), 7);
	assert_memory_equal(text, "request", 7);
	CMS_ContentInfo_free(outer);
	CMS_ContentInfo_free(inner);
	BIO_free(content);
	BIO_free(plain);
	X509_free(m.from.cert);
	EVP_PKEY_free(key);
	pki_free(&p);
}

/* The length of the sequence in one, two and three bytes. */
static void
test_issuer_subject(void **state)
{
	static const int sizes[] = { 1, 30, 60, 200 };

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		X509_NAME *n = X509_NAME_new();
		ASN1_SEQUENCE_ANY *seq;
		const unsigned char *q;
		char text[256];
		WBUF_AUTO out;

		memset(text, 'a', sizeof text);
		wbuf_init(&out, 4096);
		for (int left = sizes[i]; left > 0; left -= 60)
			assert_int_equal(X509_NAME_add_entry_by_txt(n, "OU", MBSTRING_ASC, (unsigned char *)text,
					     left < 60 ? left : 60, -1, 0),
			    1);
		assert_ok(scep_issuer_subject(n, n, &out));
		q = out.p;
		seq = d2i_ASN1_SEQUENCE_ANY(NULL, &q, (long)out.n);
		assert_non_null(seq);
		assert_ptr_equal(q, out.p + out.n);
		assert_int_equal(sk_ASN1_TYPE_num(seq), 2);
		sk_ASN1_TYPE_pop_free(seq, ASN1_TYPE_free);
		X509_NAME_free(n);
	}
}

static void
test_names(void **state)
{
	const struct proto *p;

	(void)state;
	assert_ok(proto_find(NULL, &p));
	assert_string_equal(p->name, "est");
	assert_ok(proto_find("cmp", &p));
	assert_non_null(p->revoke);
	assert_ok(proto_find("scep", &p));
	assert_null(p->revoke);
	assert_err(proto_find("acme", &p), E_CONF);
	assert_says("est, cmp or scep");
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_caps), cmocka_unit_test(test_trust),
		cmocka_unit_test(test_request), cmocka_unit_test(test_issuer_subject), cmocka_unit_test(test_names) };

	return cmocka_run_group_tests_name("derive_scep", tests, NULL, NULL);
}
