/* SPDX-License-Identifier: BSD-2-Clause */
/* EST replies as servers really send them and as none should; requests; which algorithm; roles. */
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/text.h"
#include "derive/csr.h"
#include "derive/est_reply.h"
#include "tests/lib/minipki.h"
#include "tests/lib/test.h"

static EVP_PKEY *key, *rsa;
static X509 *one, *two;
static unsigned char *p7;
static int p7_len;

static int
set_up(void **state)
{
	PKCS7 *p = PKCS7_new();

	(void)state;
	key = minipki_key("P-256");
	rsa = minipki_key("RSA-2048");
	one = minipki_ca("One", key, NULL, key, -60, 3600, NULL);
	two = minipki_ca("Two", key, NULL, key, -60, 3600, NULL);
	assert_true(PKCS7_set_type(p, NID_pkcs7_signed) == 1 && PKCS7_content_new(p, NID_pkcs7_data) == 1);
	assert_true(PKCS7_add_certificate(p, one) == 1 && PKCS7_add_certificate(p, two) == 1);
	p7_len = i2d_PKCS7(p, &p7);
	assert_true(p7_len > 0);
	PKCS7_free(p);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	EVP_PKEY_free(key);
	EVP_PKEY_free(rsa);
	X509_free(one);
	X509_free(two);
	OPENSSL_free(p7);
	return 0;
}

static void
expect_two(struct span body)
{
	STACK_OF(X509) * certs;

	assert_ok(est_read_certs(body, &certs));
	assert_int_equal(sk_X509_num(certs), 2);
	sk_X509_pop_free(certs, X509_free);
}

static void
test_certs_in_every_dress(void **state)
{
	WBUF_AUTO b64 = { .max = 65536 };
	WBUF_AUTO crlf = { .max = 65536 };
	WBUF_AUTO pem = { .max = 65536 };

	(void)state;
	text_base64(span_of(p7, (size_t)p7_len), 0, &b64);
	expect_two(wbuf_view(&b64)); /* one line, as it should be */
	wbuf_clear(&b64);
	text_base64(span_of(p7, (size_t)p7_len), 64, &b64);
	expect_two(wbuf_view(&b64));
	for (size_t i = 0; i < b64.n; i++) {
		if (b64.p[i] == '\n')
			wbuf_u8(&crlf, '\r');
		wbuf_u8(&crlf, b64.p[i]);
	}
	expect_two(wbuf_view(&crlf));
	wbuf_span(&pem, span_str("-----BEGIN PKCS7-----\n"));
	wbuf_span(&pem, wbuf_view(&b64));
	wbuf_span(&pem, span_str("\n-----END PKCS7-----\n"));
	expect_two(wbuf_view(&pem));
	expect_two(span_of(p7, (size_t)p7_len)); /* DER */
}

static void
test_certs_refused(void **state)
{
	static const char *const bad[] = { "", "<html>", "MII",
		"====", "MAA=", "MCMGCSqGSIb3DQEHAqAWMBQCAQExADALBgkqhkiG9w0BBwExAA==" };
	STACK_OF(X509) * certs;
	WBUF_AUTO w = { .max = 65536 };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_err(est_read_certs(span_str(bad[i]), &certs), E_PROTO);
		assert_null(certs);
	}
	wbuf_put(&w, p7, (size_t)p7_len);
	wbuf_u8(&w, 0);
	assert_err(est_read_certs(wbuf_view(&w), &certs), E_PROTO); /* trailing byte */
	for (int n = 0; n < p7_len; n += 7)
		assert_err(est_read_certs(span_of(p7, (size_t)n), &certs), E_PROTO);
	assert_int_equal(ERR_peek_error(), 0); /* the queue is left clean */
}

static enum err
attrs(const char *hex, struct proto_attrs *out)
{
	WBUF_AUTO der = { .max = 4096 };

	assert_true(text_unhex(hex, &der));
	return est_read_attrs(wbuf_view(&der), out);
}

static void
test_attrs(void **state)
{
	struct proto_attrs a;

	(void)state;
	assert_ok(est_read_attrs(span_str(""), &a)); /* nothing wanted */
	assert_false(a.binding);
	assert_ok(attrs("3000", &a));
	/* SEQUENCE { challengePassword, Attribute { ecPublicKey, SET { secp384r1 } }, ecdsa-with-SHA384 } */
	assert_ok(
	    attrs("3029 06092A864886F70D010907 301206072A8648CE3D0201310706052B81040022 06082A8648CE3D040303", &a));
	assert_true(a.binding);
	assert_int_equal(a.key_type, NID_X9_62_id_ecPublicKey);
	assert_int_equal(a.curve, NID_secp384r1);
	assert_int_equal(a.digest, NID_sha384);
	proto_attrs_free(&a);
	/* Attribute { rsaEncryption, SET { INTEGER 3072 } } */
	assert_ok(attrs("3013 3011 06092A864886F70D010101 3104 02020C00", &a));
	assert_int_equal(a.key_type, NID_rsaEncryption);
	assert_int_equal(a.key_bits, 3072);
	proto_attrs_free(&a);
	/* unknown OID: passed over */
	assert_ok(attrs("3005 06032A0304", &a));
	assert_int_equal(a.key_type, 0);
}

static void
test_attrs_refused(void **state)
{
	static const char *const bad[] = { "3001", "020100", "300000", "3003020105", "3004 3002 0500",
		"3013 3011 06092A864886F70D010101 3104 0202FF00", "3011 300F 06092A864886F70D01090E 3102 0500" };
	struct proto_attrs a;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (attrs(bad[i], &a) != E_PROTO)
			fail_msg("not refused: %s", bad[i]);
}

static X509_REQ *
build(const struct csr_in *in)
{
	const unsigned char *p;
	WBUF_AUTO der = { .max = 65536 };
	X509_REQ *req;

	assert_ok(csr_build(in, &der));
	p = der.p;
	req = d2i_X509_REQ(NULL, &p, (long)der.n);
	assert_non_null(req);
	assert_int_equal(X509_REQ_verify(req, in->pub), 1);
	return req;
}

static void
test_csr(void **state)
{
	struct csr_in in = { .role = ROLE_ENCRYPT,
		.subject = X509_get_subject_name(one),
		.pub = rsa,
		.key = rsa,
		.binding = span_str("123456789012") };
	STACK_OF(X509_EXTENSION) * exts;
	X509_REQ *req = build(&in);
	ASN1_BIT_STRING *ku;
	int at;

	(void)state;
	assert_int_equal(X509_NAME_cmp(X509_REQ_get_subject_name(req), in.subject), 0);
	at = X509_REQ_get_attr_by_NID(req, NID_pkcs9_challengePassword, -1);
	assert_true(at >= 0);
	/* base64 of the raw value, RFC 7030 3.5 */
	ASN1_STRING *s = X509_ATTRIBUTE_get0_data(X509_REQ_get_attr(req, at), 0, V_ASN1_PRINTABLESTRING, NULL);
	assert_non_null(s);
	assert_bytes(span_of(ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s)), "MTIzNDU2Nzg5MDEy");
	exts = X509_REQ_get_extensions(req);
	ku = X509V3_get_d2i(exts, NID_key_usage, NULL, NULL);
	assert_non_null(ku);
	assert_int_equal(ASN1_BIT_STRING_get_bit(ku, 2), 1); /* keyEncipherment */
	assert_int_equal(ASN1_BIT_STRING_get_bit(ku, 0), 0);
	ASN1_BIT_STRING_free(ku);
	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
	X509_REQ_free(req);
	in.binding = SPAN_NONE;
	in.role = ROLE_AUTH;
	in.pub = in.key = key;
	req = build(&in);
	assert_int_equal(X509_REQ_get_attr_by_NID(req, NID_pkcs9_challengePassword, -1), -1);
	X509_REQ_free(req);
}

static void
test_csr_halves_that_do_not_match(void **state)
{
	struct csr_in in = { .role = ROLE_AUTH, .subject = X509_get_subject_name(one), .pub = key, .key = rsa };
	WBUF_AUTO der = { .max = 65536 };

	(void)state;
	assert_err(csr_build(&in, &der), E_CRYPTO);
	assert_says("another key");
}

static void
test_algorithm(void **state)
{
	struct proto_attrs a = { .key_type = 0 };
	enum token_alg alg;

	(void)state;
	assert_ok(csr_algorithm(NULL, false, TOKEN_P256, &alg));
	assert_int_equal(alg, TOKEN_RSA2048);
	assert_ok(csr_algorithm(&a, true, TOKEN_P384, &alg));
	assert_int_equal(alg, TOKEN_P384);
	a.key_type = NID_X9_62_id_ecPublicKey;
	assert_ok(csr_algorithm(&a, false, TOKEN_RSA2048, &alg));
	assert_int_equal(alg, TOKEN_P256);
	a.curve = NID_secp384r1;
	assert_ok(csr_algorithm(&a, false, TOKEN_RSA2048, &alg));
	assert_int_equal(alg, TOKEN_P384);
	assert_err(csr_algorithm(&a, true, TOKEN_RSA2048, &alg), E_POLICY);
	assert_says("--alg");
	a = (struct proto_attrs){ .key_type = NID_rsaEncryption, .key_bits = 1024 };
	assert_err(csr_algorithm(&a, false, TOKEN_RSA2048, &alg), E_POLICY);
	assert_says("RSA-1024");
}

static void
test_roles(void **state)
{
	enum role role;
	enum token_alg alg;

	(void)state;
	for (size_t i = 0; i < ROLE_COUNT; i++) {
		const struct role_info *r = role_info((enum role)i);

		assert_ok(role_parse(r->name, strlen(r->name), &role));
		assert_int_equal(role, i);
		/* that of one certificate for both is the issuer's own */
		assert_true((r->policies[0] == NULL) == (i == ROLE_MAIL));
	}
	assert_err(role_parse("king", 4, &role), E_USAGE);
	assert_err(role_parse("aut", 3, &role), E_USAGE);
	assert_ok(alg_parse("p384", &alg));
	assert_string_equal(alg_name(alg), "p384");
	assert_err(alg_parse("rsa1024", &alg), E_USAGE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_certs_in_every_dress),
		cmocka_unit_test(test_certs_refused), cmocka_unit_test(test_attrs),
		cmocka_unit_test(test_attrs_refused), cmocka_unit_test(test_csr),
		cmocka_unit_test(test_csr_halves_that_do_not_match), cmocka_unit_test(test_algorithm),
		cmocka_unit_test(test_roles) };

	return cmocka_run_group_tests_name("derive_est", tests, set_up, tear_down);
}
