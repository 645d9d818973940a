/* SPDX-License-Identifier: BSD-2-Clause */
/* Certification requests from strangers: what is read, and what each malformed one is told. */
#include <stdio.h>
#include <openssl/asn1t.h>
#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include "base/text.h"
#include "derive/issuer/binding.h"
#include "derive/issuer/csr.h"
#include "derive/issuer/refuse.h"
#include "tests/lib/minipki.h"
#include "tests/lib/test.h"

#define MAX 65536

static void
refused(struct span body, enum refuse why, const char *says)
{
	struct csr c;
	enum err e = csr_read(body, &c);

	if (e != E_POLICY || refuse_last() != why)
		fail_msg("E_%s %s, not %s: %s", err_name(e), refuse_code(refuse_last()), refuse_code(why), err_msg());
	assert_says(says);
	assert_null(c.req);
}

static void
refused_key(const char *alg, const char *md, enum refuse why, const char *says)
{
	EVP_PKEY *key = minipki_key(alg);
	WBUF_AUTO der = { .max = MAX };

	minipki_csr(key, NULL, md, NULL, NULL, &der);
	refused(wbuf_view(&der), why, says);
	EVP_PKEY_free(key);
}

static void
good_requests(void **state)
{
	static const struct {
		const char *alg, *md;
	} row[] = { { "P-256", "SHA256" }, { "P-384", "SHA384" }, { "RSA-2048", "SHA256" }, { "RSA-3072", "SHA512" } };

	(void)state;
	for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
		EVP_PKEY *key = minipki_key(row[i].alg);
		WBUF_AUTO der = { .max = MAX }, one = { .max = MAX }, wrapped = { .max = MAX };
		struct csr c;

		minipki_csr(key, NULL, row[i].md, "abc", "basicConstraints=CA:TRUE\n", &der);
		text_base64(wbuf_view(&der), 0, &one);
		text_base64(wbuf_view(&der), 64, &wrapped);
		assert_ok(csr_read(wbuf_view(&one), &c));
		assert_string_equal(c.challenge, "abc");
		assert_true(c.asks_extensions);
		assert_int_equal(EVP_PKEY_eq(c.key, key), 1);
		csr_clear(&c);
		assert_ok(csr_read(wbuf_view(&wrapped), &c));
		csr_clear(&c);
		assert_ok(csr_read(wbuf_view(&der), &c)); /* raw DER */
		csr_clear(&c);
		EVP_PKEY_free(key);
	}
}

static void
pss_signature(void **state)
{
	EVP_PKEY *key = minipki_key("RSA-2048");
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pctx = NULL;
	X509_REQ *req = X509_REQ_new();
	unsigned char *der = NULL;
	struct csr c;
	int n;

	(void)state;
	assert_true(X509_REQ_set_pubkey(req, key));
	assert_true(EVP_DigestSignInit(ctx, &pctx, EVP_sha256(), NULL, key) > 0);
	assert_true(EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) > 0);
	assert_true(X509_REQ_sign_ctx(req, ctx) > 0);
	n = i2d_X509_REQ(req, &der);
	assert_ok(csr_read(span_of(der, (size_t)n), &c));
	csr_clear(&c);
	OPENSSL_free(der);
	X509_REQ_free(req);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
}

static void
not_a_request(void **state)
{
	WBUF_AUTO big = { .max = 1u << 20 };

	(void)state;
	refused(SPAN_NONE, REFUSE_BAD_CSR, "no body");
	refused(span_str("hello, world!"), REFUSE_BAD_CSR, "neither base64 nor DER");
	refused(span_str("-----BEGIN CERTIFICATE REQUEST-----\nMII=\n"), REFUSE_BAD_CSR, "PEM lines");
	refused(span_str("0\x82"), REFUSE_BAD_CSR, "not a PKCS#10");
	refused(span_str("MAA="), REFUSE_BAD_CSR, "not a PKCS#10");
	wbuf_fill(&big, '0', 2 * CSR_MAX + 1);
	refused(wbuf_view(&big), REFUSE_TOO_LARGE, "larger than");
	wbuf_cut(&big, CSR_MAX + 1);
	refused(wbuf_view(&big), REFUSE_TOO_LARGE, "larger than");
}

/* Every truncation, every flipped byte: refused or, where the byte does not matter, read; never anything else. */
static void
damaged(void **state)
{
	EVP_PKEY *key = minipki_key("P-256");
	WBUF_AUTO der = { .max = MAX };
	struct csr c;

	(void)state;
	minipki_csr(key, NULL, "SHA256", "abc", NULL, &der);
	for (size_t n = 0; n < der.n; n++)
		assert_err(csr_read(span_of(der.p, n), &c), E_POLICY);
	for (size_t i = 0; i < der.n; i++) {
		der.p[i] ^= 0x5a;
		assert_err(csr_read(wbuf_view(&der), &c), E_POLICY); /* the signature covers all of it */
		der.p[i] ^= 0x5a;
	}
	wbuf_u8(&der, 0);
	refused(wbuf_view(&der), REFUSE_BAD_CSR, "not a PKCS#10");
	EVP_PKEY_free(key);
}

static void
signed_by_another(void **state)
{
	EVP_PKEY *key = minipki_key("P-256"), *other = minipki_key("P-256");
	WBUF_AUTO der = { .max = MAX };

	(void)state;
	minipki_csr(key, other, "SHA256", NULL, NULL, &der);
	refused(wbuf_view(&der), REFUSE_BAD_CSR, "does not verify with its own key");
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
}

static void
weak_or_foreign_keys(void **state)
{
	(void)state;
	refused_key("RSA-1024", "SHA256", REFUSE_KEY_POLICY, "1024 bits");
	refused_key("RSA-2056", "SHA256", REFUSE_KEY_POLICY, "2056 bits");
	refused_key("RSA-4096", "SHA256", REFUSE_KEY_POLICY, "4096 bits");
	refused_key("P-521", "SHA512", REFUSE_KEY_POLICY, "named curve");
	refused_key("secp256k1", "SHA256", REFUSE_KEY_POLICY, "named curve");
	refused_key("ED25519", NULL, REFUSE_KEY_POLICY, "neither RSA nor");
	refused_key("P-256", "SHA1", REFUSE_BAD_CSR, "use SHA-256");
	refused_key("RSA-2048", "SHA224", REFUSE_BAD_CSR, "use SHA-256");
}

static void
set_text(EVP_PKEY *key, const char *name, const char *value)
{
	assert_int_equal(EVP_PKEY_set_utf8_string_param(key, name, value), 1);
}

static void
odd_ec_encodings(void **state)
{
	EVP_PKEY *key = minipki_key("P-256");
	WBUF_AUTO der = { .max = MAX };

	(void)state;
	set_text(key, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "compressed");
	minipki_csr(key, NULL, "SHA256", NULL, NULL, &der);
	refused(wbuf_view(&der), REFUSE_KEY_POLICY, "uncompressed");
	wbuf_clear(&der);
	set_text(key, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "hybrid");
	minipki_csr(key, NULL, "SHA256", NULL, NULL, &der);
	refused(wbuf_view(&der), REFUSE_KEY_POLICY, "uncompressed");
	wbuf_clear(&der);
	set_text(key, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "uncompressed");
	set_text(key, OSSL_PKEY_PARAM_EC_ENCODING, "explicit");
	minipki_csr(key, NULL, "SHA256", NULL, NULL, &der);
	refused(wbuf_view(&der), REFUSE_KEY_POLICY, "named curve");
	EVP_PKEY_free(key);
}

static EVP_PKEY *
rsa_with_exponent(const char *exponent)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	EVP_PKEY *key = NULL;
	BIGNUM *e = NULL;

	assert_true(BN_hex2bn(&e, exponent) > 0);
	assert_true(EVP_PKEY_keygen_init(ctx) > 0 && EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, 2048) > 0 &&
	    EVP_PKEY_CTX_set1_rsa_keygen_pubexp(ctx, e) > 0 && EVP_PKEY_keygen(ctx, &key) > 0);
	BN_free(e);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

static void
rsa_exponents(void **state)
{
	EVP_PKEY *key = rsa_with_exponent("3");
	WBUF_AUTO der = { .max = MAX };
	struct csr c;

	(void)state;
	minipki_csr(key, NULL, "SHA256", NULL, NULL, &der);
	refused(wbuf_view(&der), REFUSE_KEY_POLICY, "exponent");
	EVP_PKEY_free(key);
	key = rsa_with_exponent("10001000000000000000F");
	wbuf_clear(&der);
	minipki_csr(key, NULL, "SHA256", NULL, NULL, &der);
	assert_ok(csr_read(wbuf_view(&der), &c));
	csr_clear(&c);
	EVP_PKEY_free(key);
}

static void
challenge_passwords(void **state)
{
	EVP_PKEY *key = minipki_key("P-256");
	X509_REQ *req = X509_REQ_new();
	unsigned char *der = NULL;
	char longest[400];
	int n;

	(void)state;
	memset(longest, 'x', sizeof longest);
	assert_true(X509_REQ_set_pubkey(req, key));
	assert_true(
	    X509_REQ_add1_attr_by_NID(req, NID_pkcs9_challengePassword, V_ASN1_OCTET_STRING, (const void *)"abc", 3));
	assert_true(X509_REQ_sign(req, key, EVP_sha256()) > 0);
	n = i2d_X509_REQ(req, &der);
	refused(span_of(der, (size_t)n), REFUSE_BAD_CSR, "not a character string");
	OPENSSL_free(der);
	X509_ATTRIBUTE_free(X509_REQ_delete_attr(req, 0));
	assert_true(
	    X509_REQ_add1_attr_by_NID(req, NID_pkcs9_challengePassword, V_ASN1_UTF8STRING, (const void *)longest, 300));
	assert_true(X509_REQ_sign(req, key, EVP_sha256()) > 0);
	der = NULL;
	n = i2d_X509_REQ(req, &der);
	refused(span_of(der, (size_t)n), REFUSE_BAD_CSR, "empty or too long");
	OPENSSL_free(der);
	X509_ATTRIBUTE_free(X509_REQ_delete_attr(req, 0));
	assert_true(
	    X509_REQ_add1_attr_by_NID(req, NID_pkcs9_challengePassword, V_ASN1_UTF8STRING, (const void *)"a\0b", 3));
	assert_true(X509_REQ_sign(req, key, EVP_sha256()) > 0);
	der = NULL;
	n = i2d_X509_REQ(req, &der);
	refused(span_of(der, (size_t)n), REFUSE_BAD_CSR, "empty or too long");
	OPENSSL_free(der);
	X509_REQ_free(req);
	EVP_PKEY_free(key);
}

static void
bindings(void **state)
{
	(void)state;
	assert_ok(binding_check("c2VjcmV0", "c2VjcmV0", true));
	assert_ok(binding_check("c2VjcmV0", "", false));
	assert_ok(binding_check("", "", false));
	assert_err(binding_check("c2VjcmV0", "", true), E_POLICY);
	assert_says("no challengePassword");
	assert_err(binding_check("c2VjcmV0", "c2VjcmV1", true), E_POLICY);
	assert_err(binding_check("c2VjcmV0", "c2VjcmV1", false), E_POLICY); /* present and wrong is always wrong */
	assert_err(binding_check("c2VjcmV0", "c2VjcmV0x", true), E_POLICY);
	assert_err(binding_check("", "c2VjcmV0", true), E_POLICY);
	assert_says("extended master secret");
	assert_int_equal(refuse_last(), REFUSE_BINDING);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_requests),
		cmocka_unit_test(pss_signature),
		cmocka_unit_test(not_a_request),
		cmocka_unit_test(damaged),
		cmocka_unit_test(signed_by_another),
		cmocka_unit_test(weak_or_foreign_keys),
		cmocka_unit_test(odd_ec_encodings),
		cmocka_unit_test(rsa_exponents),
		cmocka_unit_test(challenge_passwords),
		cmocka_unit_test(bindings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
