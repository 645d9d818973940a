/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RSA padding against libcrypto's own RSA: what is padded here and put through the raw private operation must verify
 * with EVP_PKEY_verify(); what EVP_PKEY_encrypt() made must come out of the raw operation and the unpadding here.
 */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>

#include "tests/lib/test.h"

#include "hw/pad.h"

#define S(literal) span_of(literal, sizeof(literal) - 1)

static EVP_PKEY *key2048, *key_odd; /* 2048 bits; 1029 bits: EM of PSS is shorter than the modulus by bits */

/* The card: the raw private operation. */
static size_t
raw(EVP_PKEY *key, struct span in, uint8_t *out, size_t cap)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	size_t n = cap;

	assert_int_equal(EVP_PKEY_decrypt_init(ctx), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING), 1);
	assert_int_equal(EVP_PKEY_decrypt(ctx, out, &n, in.p, in.n), 1);
	EVP_PKEY_CTX_free(ctx);
	return n;
}

static size_t
key_len(EVP_PKEY *key)
{
	return (size_t)EVP_PKEY_get_size(key);
}

static int
verifies(EVP_PKEY *key, int padding, const char *md, const char *mgf, int salt, struct span digest, struct span sig)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	int rv;

	assert_int_equal(EVP_PKEY_verify_init(ctx), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, padding), 1);
	if (md != NULL)
		assert_int_equal(EVP_PKEY_CTX_set_signature_md(ctx, EVP_get_digestbyname(md)), 1);
	if (padding == RSA_PKCS1_PSS_PADDING) {
		assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, salt), 1);
		assert_int_equal(EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_get_digestbyname(mgf != NULL ? mgf : md)), 1);
	}
	rv = EVP_PKEY_verify(ctx, sig.p, sig.n, digest.p, digest.n);
	EVP_PKEY_CTX_free(ctx);
	return rv;
}

static const struct {
	const char *name;
	size_t len;
} digests[] = {
	{ "SHA1", 20 },
	{ "SHA224", 28 },
	{ "SHA256", 32 },
	{ "SHA384", 48 },
	{ "SHA512", 64 },
	{ "SHA3-256", 32 },
	{ "SHA3-384", 48 },
	{ "SHA3-512", 64 },
	{ "SHA3-224", 28 },
};

static void
test_pkcs1(void **state)
{
	uint8_t digest[64] = { 0 }, sig[512];
	size_t i;

	(void)state;
	RAND_bytes(digest, sizeof digest);
	for (i = 0; i < sizeof digests / sizeof digests[0]; i++) {
		struct span d = span_of(digest, digests[i].len);
		WBUF_AUTO em;
		size_t n;

		wbuf_init(&em, 512);
		assert_ok(pad_pkcs1_digest(digests[i].name, d, key_len(key2048), &em));
		n = raw(key2048, wbuf_view(&em), sig, sizeof sig);
		assert_int_equal(verifies(key2048, RSA_PKCS1_PADDING, digests[i].name, NULL, 0, d, span_of(sig, n)), 1);
	}
}

/* CKM_RSA_PKCS signs what it is given: verified without a digest. */
static void
test_pkcs1_raw_input(void **state)
{
	uint8_t sig[512], data[256] = { 1, 2, 3 };
	WBUF_AUTO em;
	size_t n;

	(void)state;
	wbuf_init(&em, 512);
	assert_ok(pad_pkcs1(S("anything at all"), 256, &em));
	n = raw(key2048, wbuf_view(&em), sig, sizeof sig);
	assert_int_equal(verifies(key2048, RSA_PKCS1_PADDING, NULL, NULL, 0, S("anything at all"), span_of(sig, n)), 1);
	wbuf_clear(&em);
	assert_ok(pad_pkcs1(span_of(data, 245), 256, &em));
	assert_int_equal(em.n, 256);
	wbuf_clear(&em);
	assert_err(pad_pkcs1(span_of(data, 246), 256, &em), E_ARG);
	assert_err(pad_pkcs1(SPAN_NONE, 10, &em), E_ARG);
	assert_err(pad_pkcs1_digest("SHA256", span_of(data, 31), 256, &em), E_ARG);
	assert_err(pad_pkcs1_digest("MD5", span_of(data, 16), 256, &em), E_UNSUP);
}

static void
pss_one(EVP_PKEY *key, const char *md, const char *mgf, size_t hash, size_t salt)
{
	uint8_t digest[64] = { 0 }, sig[512];
	struct span d = span_of(digest, hash);
	WBUF_AUTO em;
	size_t n;

	RAND_bytes(digest, sizeof digest);
	wbuf_init(&em, 512);
	assert_ok(pad_pss(md, mgf, salt, d, (size_t)EVP_PKEY_get_bits(key), &em));
	assert_true(em.n == key_len(key) || em.n + 1 == key_len(key));
	n = raw(key, wbuf_view(&em), sig, sizeof sig);
	assert_int_equal(verifies(key, RSA_PKCS1_PSS_PADDING, md, mgf, (int)salt, d, span_of(sig, n)), 1);
	digest[0] ^= 1;
	assert_int_not_equal(verifies(key, RSA_PKCS1_PSS_PADDING, md, mgf, (int)salt, d, span_of(sig, n)), 1);
}

static void
test_pss(void **state)
{
	size_t i, salt;

	(void)state;
	for (i = 0; i < 5; i++) {
		size_t hash = digests[i].len;
		size_t salts[] = { 0, 1, hash, 256 - hash - 2 };

		for (salt = 0; salt < 4; salt++)
			pss_one(key2048, digests[i].name, NULL, hash, salts[salt]);
	}
	pss_one(key2048, "SHA256", "SHA1", 32, 32);
	pss_one(key2048, "SHA384", "SHA512", 48, 20);
	for (i = 0; i < 8; i++) /* the cleared bits matter one time in two */
		pss_one(key_odd, "SHA256", NULL, 32, 32);
}

/* RSA-1025: the encoded message is a whole byte shorter than the modulus. */
static void
test_pss_byte_shorter(void **state)
{
	EVP_PKEY *key = EVP_RSA_gen(1025);
	uint8_t digest[32] = { 7 };
	WBUF_AUTO em;

	(void)state;
	wbuf_init(&em, 512);
	assert_ok(pad_pss("SHA256", NULL, 32, span_of(digest, 32), 1025, &em));
	assert_int_equal(em.n, 129);
	assert_int_equal(em.p[0], 0);
	pss_one(key, "SHA256", NULL, 32, 32);
	EVP_PKEY_free(key);
}

static void
test_pss_refusals(void **state)
{
	uint8_t digest[64] = { 0 };
	WBUF_AUTO em;

	(void)state;
	wbuf_init(&em, 512);
	assert_err(pad_pss("SHA256", NULL, 256 - 32 - 1, span_of(digest, 32), 2048, &em), E_ARG);
	assert_err(pad_pss("SHA256", NULL, SIZE_MAX, span_of(digest, 32), 2048, &em), E_ARG);
	assert_err(pad_pss("SHA256", NULL, 32, span_of(digest, 31), 2048, &em), E_ARG);
	assert_err(pad_pss("SHA256", NULL, 32, span_of(digest, 32), 256, &em), E_ARG);
	assert_err(pad_pss("SHA256", NULL, 32, span_of(digest, 32), 0, &em), E_ARG);
	assert_err(pad_pss("NOSUCH", NULL, 32, span_of(digest, 32), 2048, &em), E_UNSUP);
	assert_err(pad_pss("SHA256", "NOSUCH", 32, span_of(digest, 32), 2048, &em), E_UNSUP);
}

static void
test_raw(void **state)
{
	uint8_t mod[4] = { 0xC0, 0, 0, 1 };
	WBUF_AUTO out;

	(void)state;
	wbuf_init(&out, 16);
	assert_ok(pad_raw(S("\x05"), span_of(mod, 4), &out));
	assert_bytes(wbuf_view(&out), "\x00\x00\x00\x05");
	assert_err(pad_raw(S("\xC0\x00\x00\x01"), span_of(mod, 4), &out), E_ARG);
	assert_err(pad_raw(S("\x00\xC0\x00\x00\x00"), span_of(mod, 4), &out), E_ARG);
	wbuf_clear(&out);
	assert_ok(pad_raw(S("\xC0\x00\x00\x00"), span_of(mod, 4), &out));
	assert_int_equal(out.n, 4);
}

/* --- removing --- */

static size_t
encrypt(EVP_PKEY *key, int padding, const char *md, const char *mgf, const char *label, struct span in, uint8_t *out)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	size_t n = 512;

	assert_int_equal(EVP_PKEY_encrypt_init(ctx), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, padding), 1);
	if (md != NULL) {
		assert_int_equal(EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_get_digestbyname(md)), 1);
		assert_int_equal(EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_get_digestbyname(mgf)), 1);
	}
	if (label != NULL)
		assert_int_equal(EVP_PKEY_CTX_set0_rsa_oaep_label(ctx, OPENSSL_strdup(label), (int)strlen(label)), 1);
	assert_int_equal(EVP_PKEY_encrypt(ctx, out, &n, in.p, in.n), 1);
	EVP_PKEY_CTX_free(ctx);
	return n;
}

static uint8_t secret[32] = "thirty-two bytes of a secret, OK";

static void
test_unpad_pkcs1(void **state)
{
	static const size_t sizes[] = { 0, 1, 16, 48, 100, 244, 245 };
	uint8_t message[245], c[512], em[512];
	size_t i, n, k;

	(void)state;
	RAND_bytes(message, sizeof message);
	for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		struct span m = span_of(message, sizes[i]);
		WBUF_AUTO out;

		wbuf_init(&out, 512);
		n = encrypt(key2048, RSA_PKCS1_PADDING, NULL, NULL, NULL, m, c);
		k = raw(key2048, span_of(c, n), em, sizeof em);
		assert_ok(pad_pkcs1_unpad(span_of(em, k), span_of(secret, 32), span_of(c, n), &out));
		assert_true(span_eq(wbuf_view(&out), m));
	}
}

/* Each way of being wrong gives bytes instead of an error, the same ones each time, others for another ciphertext. */
static void
test_unpad_implicit_rejection(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
	} damage[] = { { 0, 1 }, { 1, 1 }, { 1, 0 }, { 2, 0 }, { 9, 0 }, { 300, 0 } };
	uint8_t em[256], c[256] = { 1 }, first[256];
	size_t i, j, n = 0;

	(void)state;
	for (i = 0; i < sizeof damage / sizeof damage[0]; i++) {
		WBUF_AUTO a;
		WBUF_AUTO b;

		wbuf_init(&a, 512);
		wbuf_init(&b, 512);
		memset(em, 0xAA, sizeof em);
		em[0] = 0;
		em[1] = 2;
		em[200] = 0;
		if (damage[i].at < sizeof em)
			em[damage[i].at] = damage[i].value;
		else
			em[200] = 0xAA; /* no separator at all */
		err_clear();
		assert_ok(pad_pkcs1_unpad(span_of(em, 256), span_of(secret, 32), span_of(c, 256), &a));
		assert_string_equal(err_msg(), "");
		assert_true(a.n <= 245);
		if (i == 0) {
			n = a.n;
			memcpy(first, a.p, n);
		}
		/* the damage does not show: the same bytes for the same ciphertext */
		assert_int_equal(a.n, n);
		assert_memory_equal(a.p, first, n);
		c[255] = (uint8_t)(i + 1);
		assert_ok(pad_pkcs1_unpad(span_of(em, 256), span_of(secret, 32), span_of(c, 256), &b));
		assert_false(span_eq(wbuf_view(&a), wbuf_view(&b)));
		c[255] = 0;
	}
	/* lengths are spread over what is possible */
	for (i = j = 0; i < 200; i++) {
		WBUF_AUTO a;

		wbuf_init(&a, 512);
		c[3] = (uint8_t)i;
		assert_ok(pad_pkcs1_unpad(span_of(em, 256), span_of(secret, 32), span_of(c, 256), &a));
		assert_true(a.n <= 245);
		j += a.n > 122;
	}
	assert_true(j > 40 && j < 160);
}

static void
test_unpad_arguments(void **state)
{
	uint8_t em[256] = { 0, 2 };
	WBUF_AUTO out;

	(void)state;
	wbuf_init(&out, 512);
	assert_err(pad_pkcs1_unpad(span_of(em, 10), span_of(secret, 32), SPAN_NONE, &out), E_ARG);
	assert_err(pad_pkcs1_unpad(span_of(em, 256), span_of(secret, 16), SPAN_NONE, &out), E_ARG);
	assert_err(pad_oaep_unpad(span_of(em, 5), "SHA1", NULL, SPAN_NONE, &out), E_ARG);
	assert_err(pad_oaep_unpad(span_of(em, 256), "NOSUCH", NULL, SPAN_NONE, &out), E_UNSUP);
}

static void
test_unpad_oaep(void **state)
{
	static const struct {
		const char *md, *mgf, *label;
	} rows[] = { { "SHA1", "SHA1", NULL }, { "SHA256", "SHA256", NULL }, { "SHA384", "SHA1", NULL },
		{ "SHA512", "SHA256", "a label" } };
	uint8_t c[512], em[512];
	size_t i, n, k;

	(void)state;
	for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct span label = span_str(rows[i].label);
		char sentence[256];
		WBUF_AUTO out;

		wbuf_init(&out, 512);
		n = encrypt(
		    key2048, RSA_PKCS1_OAEP_PADDING, rows[i].md, rows[i].mgf, rows[i].label, S("sixteen byte key"), c);
		k = raw(key2048, span_of(c, n), em, sizeof em);
		assert_ok(pad_oaep_unpad(span_of(em, k), rows[i].md, rows[i].mgf, label, &out));
		assert_bytes(wbuf_view(&out), "sixteen byte key");
		/* two ways of being wrong, one answer */
		em[100] ^= 1;
		assert_err(pad_oaep_unpad(span_of(em, k), rows[i].md, rows[i].mgf, label, &out), E_CRYPTO);
		strcpy(sentence, err_msg());
		em[100] ^= 1;
		em[0] = 1; /* Manger */
		assert_err(pad_oaep_unpad(span_of(em, k), rows[i].md, rows[i].mgf, label, &out), E_CRYPTO);
		assert_string_equal(sentence, err_msg());
		em[0] = 0;
		assert_err(pad_oaep_unpad(span_of(em, k), rows[i].md, rows[i].mgf, S("other"), &out), E_CRYPTO);
		assert_string_equal(sentence, err_msg());
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pkcs1),
		cmocka_unit_test(test_pkcs1_raw_input),
		cmocka_unit_test(test_pss),
		cmocka_unit_test(test_pss_byte_shorter),
		cmocka_unit_test(test_pss_refusals),
		cmocka_unit_test(test_raw),
		cmocka_unit_test(test_unpad_pkcs1),
		cmocka_unit_test(test_unpad_implicit_rejection),
		cmocka_unit_test(test_unpad_arguments),
		cmocka_unit_test(test_unpad_oaep),
	};
	int rv;

	key2048 = EVP_RSA_gen(2048);
	key_odd = EVP_RSA_gen(1029);
	rv = cmocka_run_group_tests(tests, NULL, NULL);
	EVP_PKEY_free(key2048);
	EVP_PKEY_free(key_odd);
	return rv;
}
