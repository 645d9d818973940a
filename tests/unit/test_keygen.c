/* SPDX-License-Identifier: BSD-2-Clause */
/* Keys on their way from an issuer: parts of a reply, envelopes, key packages; as they should be and as they should
 * not. */
#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/text.h"
#include "derive/keygen_reply.h"
#include "derive/keypack.h"
#include "derive/keywrap.h"
#include "tests/lib/minipki.h"
#include "tests/lib/test.h"

static EVP_PKEY *ca_key, *way, *way_rsa, *other, *made;
static X509 *ca, *stranger, *leaf;
static STACK_OF(X509) * anchors, *strangers;

static int
set_up(void **state)
{
	struct minipki_cert c = {
		.cn = "Maker", .from = -60, .to = 3600, .ext = "keyUsage=critical,digitalSignature\n"
	};

	(void)state;
	ca_key = minipki_key("P-256");
	way = minipki_key("P-384");
	way_rsa = minipki_key("RSA-3072");
	other = minipki_key("P-384");
	made = minipki_key("RSA-2048");
	ca = minipki_ca("CA", ca_key, NULL, ca_key, -60, 3600, NULL);
	stranger = minipki_ca("Stranger", other, NULL, other, -60, 3600, NULL);
	c.key = ca_key;
	c.issuer = ca;
	c.issuer_key = ca_key;
	leaf = minipki_cert(&c);
	anchors = sk_X509_new_null();
	strangers = sk_X509_new_null();
	sk_X509_push(anchors, ca);
	sk_X509_push(strangers, stranger);
	return 0;
}

static int
tear_down(void **state)
{
	EVP_PKEY *keys[] = { ca_key, way, way_rsa, other, made };

	(void)state;
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
		EVP_PKEY_free(keys[i]);
	sk_X509_pop_free(anchors, X509_free);
	sk_X509_pop_free(strangers, X509_free);
	X509_free(leaf);
	return 0;
}

/* --- multipart ---------------------------------------------------------------------------------------------------- */

static struct multipart_part parts[4];
static size_t n_parts;

static enum err
read_parts(const char *text)
{
	return multipart_read(span_str(text), "b", parts, 4, &n_parts);
}

static void
test_parts(void **state)
{
	(void)state;
	assert_ok(read_parts(
	    "preamble\r\n--bx\r\n--b\r\nContent-Type: application/PKCS7-mime;\r\n\tSMIME-type=\"Certs-only\"\r\n"
	    "X: y\r\n\r\nYWJj\r\n--b  \r\n\r\nsecond\r\n--b--\r\nepilogue"));
	assert_int_equal(n_parts, 2);
	assert_string_equal(parts[0].type, "application/pkcs7-mime");
	assert_string_equal(parts[0].smime_type, "certs-only");
	assert_bytes(parts[0].body, "YWJj\r\n");
	assert_string_equal(parts[1].type, "");
	assert_bytes(parts[1].body, "second\r\n");
	assert_ok(read_parts("--b\ncontent-type:text/plain\n\n--b--"));
	assert_bytes(parts[0].body, "");
	assert_string_equal(parts[0].type, "text/plain");
}

static void
test_no_parts(void **state)
{
	static const char *const bad[] = { "", "--b--", "--b\n\n", "--b\nA: b\n--b--", "--b\n\nx\n--b",
		"--c\n\nx\n--c--", "--b\n\n--b\n\n--b\n\n--b\n\n--b\n\n--b--" };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_err(read_parts(bad[i]), E_PROTO);
	assert_err(multipart_read(span_str("--\n\nx\n----"), "", parts, 4, &n_parts), E_PROTO);
}

static void
test_parameters(void **state)
{
	char out[8];

	(void)state;
	multipart_param(span_str("a/b; c=d; Boundary=\"x;y\"; e"), "boundary", out, sizeof out);
	assert_string_equal(out, "x;y");
	multipart_param(span_str("a/b;boundary=12345678"), "boundary", out, sizeof out);
	assert_string_equal(out, "");
	multipart_param(span_str("boundary=1"), "boundary", out, sizeof out);
	assert_string_equal(out, "");
	multipart_param(span_str("a/b; boundary="), "boundary", out, sizeof out);
	assert_string_equal(out, "");
}

/* --- replies ------------------------------------------------------------------------------------------------------ */

static void
add_part(struct http_reply *r, const char *type, struct span der)
{
	WBUF_AUTO head;

	wbuf_init(&head, 300);
	wbuf_span(&head, span_str("--b\r\nContent-Type: "));
	wbuf_span(&head, span_str(type));
	wbuf_span(&head, span_str("\r\n\r\n"));
	wbuf_span(&r->body, wbuf_view(&head));
	text_base64(der, 64, &r->body);
	wbuf_span(&r->body, span_str("\r\n"));
}

#define KEY   "application/pkcs7-mime; smime-type=server-generated-key"
#define CERTS "application/pkcs7-mime; smime-type=certs-only"

static void
certs_der(struct wbuf *out)
{
	CMS_ContentInfo *cms = CMS_sign(NULL, NULL, anchors, NULL, CMS_PARTIAL | CMS_DETACHED);
	unsigned char *p;
	int n;

	assert_non_null(cms);
	n = i2d_CMS_ContentInfo(cms, NULL);
	p = wbuf_room(out, (size_t)n);
	assert_int_equal(i2d_CMS_ContentInfo(cms, &p), n);
	CMS_ContentInfo_free(cms);
}

static enum err
read_reply(const char *const *types, size_t n)
{
	struct http_reply r = { .status = 200, .type = "multipart/mixed", .boundary = "b" };
	struct keygen_reply *keys = NULL;
	WBUF_AUTO certs;
	enum err e;

	wbuf_init(&certs, 65536);
	certs_der(&certs);
	wbuf_init(&r.body, HTTP_BODY_MAX);
	for (size_t i = 0; i < n; i++)
		add_part(&r, types[i], strcmp(types[i], CERTS) == 0 ? wbuf_view(&certs) : span_str("0a key"));
	wbuf_span(&r.body, span_str("--b--\r\n"));
	e = keygen_read(&r, &keys);
	if (e == E_OK)
		n_parts = keys->n;
	else
		assert_null(keys);
	keygen_free(&keys);
	wbuf_free(&r.body);
	return e;
}

#define REPLY(...)                                                                                                     \
	read_reply((const char *const[]){ __VA_ARGS__ }, sizeof(const char *const[]){ __VA_ARGS__ } / sizeof(char *))

static void
test_replies(void **state)
{
	(void)state;
	assert_ok(REPLY(KEY, CERTS));
	assert_ok(REPLY(CERTS, KEY));
	assert_int_equal(n_parts, 1);
	assert_ok(REPLY(CERTS, KEY, KEY, CERTS));
	assert_int_equal(n_parts, 2);
	assert_err(REPLY(KEY), E_PROTO);
	assert_err(REPLY(CERTS), E_PROTO);
	assert_err(REPLY(KEY, KEY), E_PROTO);
	assert_err(REPLY(KEY, CERTS, KEY), E_PROTO);
	assert_err(REPLY(KEY, CERTS, "text/html"), E_PROTO);
}

static void
test_clear_key(void **state)
{
	struct http_reply r = { .status = 200, .type = "application/pkcs8" };
	struct keygen_reply *keys;

	(void)state;
	assert_err(REPLY("application/pkcs8", CERTS), E_POLICY);
	assert_says("in the clear");
	assert_err(REPLY(KEY, CERTS, "application/pkcs8"), E_POLICY);
	assert_err(keygen_read(&r, &keys), E_POLICY);
	strcpy(r.type, "application/pkcs7-mime");
	assert_err(keygen_read(&r, &keys), E_PROTO);
}

/* --- envelopes ---------------------------------------------------------------------------------------------------- */

static void
seal(X509 *signer, EVP_PKEY *signer_key, EVP_PKEY *to, struct wbuf *out)
{
	wbuf_init(out, KEYWRAP_MAX);
	assert_ok(keywrap_seal(made, signer, signer_key, to, out));
}

static void
test_there_and_back(void **state)
{
	const struct keywrap_trust trust = { anchors, NULL };
	EVP_PKEY *ways[] = { way, way_rsa }, *kinds[] = { made, other }, *out;

	(void)state;
	for (int w = 0; w < 2; w++) {
		for (int k = 0; k < 2; k++) {
			WBUF_AUTO der;

			wbuf_init(&der, KEYWRAP_MAX);
			assert_ok(keywrap_seal(kinds[k], leaf, ca_key, ways[w], &der));
			assert_ok(keywrap_open(wbuf_view(&der), ways[w], &trust, &out));
			assert_int_equal(EVP_PKEY_eq(out, kinds[k]), 1);
			EVP_PKEY_free(out);
			assert_ok(keywrap_open(wbuf_view(&der), ways[w], NULL, &out));
			EVP_PKEY_free(out);
		}
	}
}

static void
test_whom_to_trust(void **state)
{
	const struct keywrap_trust trust = { anchors, NULL }, wrong = { strangers, NULL };
	WBUF_AUTO der;
	WBUF_AUTO bare;
	EVP_PKEY *out;

	(void)state;
	seal(leaf, ca_key, way, &der);
	assert_err(keywrap_open(wbuf_view(&der), way, &wrong, &out), E_POLICY);
	assert_null(out);
	seal(NULL, NULL, way, &bare);
	assert_err(keywrap_open(wbuf_view(&bare), way, &trust, &out), E_POLICY);
	assert_says("not signed");
	assert_ok(keywrap_open(wbuf_view(&bare), way, NULL, &out));
	EVP_PKEY_free(out);
}

static void
test_damage(void **state)
{
	const struct keywrap_trust trust = { anchors, NULL };
	WBUF_AUTO der;
	EVP_PKEY *out;

	(void)state;
	seal(leaf, ca_key, way, &der);
	assert_err(keywrap_open(wbuf_view(&der), other, &trust, &out), E_CRYPTO);
	ERR_clear_error();
	for (size_t at = 0; at < der.n; at += 7) {
		der.p[at] ^= 1;
		if (keywrap_open(wbuf_view(&der), way, &trust, &out) == E_OK) {
			/* some bytes are nobody's, such as the version */
			assert_int_equal(EVP_PKEY_eq(out, made), 1);
			EVP_PKEY_free(out);
		}
		ERR_clear_error();
		der.p[at] ^= 1;
	}
	assert_err(keywrap_open(span_of(der.p, der.n - 1), way, &trust, &out), E_PROTO);
	wbuf_u8(&der, 0);
	assert_err(keywrap_open(wbuf_view(&der), way, &trust, &out), E_PROTO);
	assert_err(keywrap_open(SPAN_NONE, way, &trust, &out), E_PROTO);
}

static void
test_packages(void **state)
{
	struct secret *package, *bare, *ed;
	EVP_PKEY *out, *ed_key = minipki_key("ED25519");

	(void)state;
	assert_ok(keypack_write(made, &package));
	assert_ok(keypack_pkcs8(made, &bare));
	assert_ok(keypack_pkcs8(ed_key, &ed));
	assert_ok(keypack_read(secret_view(package), &out));
	assert_int_equal(EVP_PKEY_eq(out, made), 1);
	EVP_PKEY_free(out);
	assert_ok(keypack_read(secret_view(bare), &out));
	EVP_PKEY_free(out);
	assert_err(keypack_read(secret_view(ed), &out), E_PROTO);
	assert_err(keypack_read(span_of(package->v, package->n - 1), &out), E_PROTO);
	assert_err(keypack_read(span_str("\x30\x00"), &out), E_PROTO);
	assert_err(keypack_read(SPAN_NONE, &out), E_PROTO);
	secret_free(&package);
	secret_free(&bare);
	secret_free(&ed);
	EVP_PKEY_free(ed_key);
}

/* The identifier is that of RFC 5280, which libcrypto computes as well. */
static void
test_identifier(void **state)
{
	uint8_t id[KEYWRAP_ID];
	const ASN1_OCTET_STRING *ski = X509_get0_subject_key_id(ca);

	(void)state;
	assert_ok(keywrap_id(ca_key, id));
	assert_int_equal(ASN1_STRING_length(ski), KEYWRAP_ID);
	assert_memory_equal(ASN1_STRING_get0_data(ski), id, KEYWRAP_ID);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_no_parts),
		cmocka_unit_test(test_parameters),
		cmocka_unit_test(test_replies),
		cmocka_unit_test(test_clear_key),
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_whom_to_trust),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_packages),
		cmocka_unit_test(test_identifier),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
