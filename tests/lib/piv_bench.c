/* SPDX-License-Identifier: BSD-2-Clause */
/* A card edge on a virtual card, and uses of its keys that check their own results: see piv_bench.h. */
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "tests/lib/piv_bench.h"

#include "hw/pad.h"

struct bench
bench_new(const struct vcard_spec *spec)
{
	struct bench b = { 0 };
	char why[VCARD_WHY] = "";

	b.card = vcard_make(spec, why);
	if (b.card == NULL)
		fail_msg("vcard_make: %s", why);
	b.v = vreaders_new();
	vreaders_add(b.v, "Reader", b.card);
	b.r = vreaders_ops(b.v);
	assert_ok(piv_open(&b.r, "Reader", &b.piv));
	vreaders_count_clear(b.v, 0);
	return b;
}

void
bench_free(struct bench *b)
{
	piv_close(&b->piv);
	vreaders_free(b->v);
	vcard_free(b->card);
}

unsigned
spent(struct bench *b)
{
	unsigned n = vreaders_count(b->v, 0);

	vreaders_count_clear(b->v, 0);
	return n;
}

EVP_PKEY *
card_key(struct bench *b, uint8_t ref, enum piv_alg *alg)
{
	const unsigned char *p;
	WBUF_AUTO der;
	EVP_PKEY *key;
	X509 *x;

	wbuf_init(&der, PIV_OBJ_MAX);
	assert_ok(piv_cert_get(b->piv, ref, &der));
	p = der.p;
	x = d2i_X509(NULL, &p, (long)der.n);
	assert_non_null(x);
	key = X509_get_pubkey(x);
	X509_free(x);
	*alg = piv_alg_of_cert(wbuf_view(&der));
	spent(b);
	return key;
}

void
login(struct bench *b)
{
	int left;

	spent(b);
	assert_ok(piv_pin_verify(b->piv, PIV_PIN_APP, PIN, true, &left));
	assert_int_equal(left, -1);
	assert_int_equal(spent(b), 1);
}

static const uint8_t digest[48] = "a digest that is as long as one of SHA-384 is !";

static void
check_rsa(EVP_PKEY_CTX *ctx, struct span sig, struct span d)
{
	assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING), 1);
	assert_int_equal(EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()), 1);
	assert_int_equal(EVP_PKEY_verify(ctx, sig.p, sig.n, d.p, d.n), 1);
}

static void
check_ec(EVP_PKEY_CTX *ctx, size_t field, struct span sig, struct span d)
{
	ECDSA_SIG *s = ECDSA_SIG_new();
	unsigned char *der = NULL;
	int n;

	assert_int_equal(sig.n, 2 * field);
	ECDSA_SIG_set0(s, BN_bin2bn(sig.p, (int)field, NULL), BN_bin2bn(sig.p + field, (int)field, NULL));
	n = i2d_ECDSA_SIG(s, &der);
	assert_int_equal(EVP_PKEY_verify(ctx, der, (size_t)n, d.p, d.n), 1);
	ECDSA_SIG_free(s);
	OPENSSL_free(der);
}

enum err
sign_with(struct bench *b, uint8_t ref, enum piv_alg alg, EVP_PKEY *key, struct span pin)
{
	struct span d = span_of(digest, piv_alg_is_rsa(alg) ? 32 : piv_alg_len(alg));
	EVP_PKEY_CTX *ctx;
	WBUF_AUTO in;
	WBUF_AUTO out;
	int left;
	enum err e;

	wbuf_init(&in, 600);
	wbuf_init(&out, 600);
	if (piv_alg_is_rsa(alg))
		assert_ok(pad_pkcs1_digest("SHA256", d, piv_alg_len(alg), &in));
	else
		wbuf_span(&in, d);
	e = piv_key_use(b->piv, ref, alg, PIV_OP_SIGN, wbuf_view(&in), pin, &left, &out);
	if (e != E_OK) {
		assert_int_equal(out.n, 0);
		return e;
	}
	ctx = EVP_PKEY_CTX_new(key, NULL);
	assert_int_equal(EVP_PKEY_verify_init(ctx), 1);
	if (piv_alg_is_rsa(alg))
		check_rsa(ctx, wbuf_view(&out), d);
	else
		check_ec(ctx, piv_alg_len(alg), wbuf_view(&out), d);
	EVP_PKEY_CTX_free(ctx);
	return E_OK;
}

static enum err
decrypt_rsa(struct bench *b, uint8_t ref, enum piv_alg alg, EVP_PKEY *key)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	uint8_t c[512];
	size_t n = sizeof c;
	WBUF_AUTO em;
	WBUF_AUTO out;
	int left;
	enum err e;

	wbuf_init(&em, 600);
	wbuf_init(&out, 600);
	assert_int_equal(EVP_PKEY_encrypt_init(ctx), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING), 1);
	assert_int_equal(EVP_PKEY_encrypt(ctx, c, &n, (const uint8_t *)"a content key", 13), 1);
	EVP_PKEY_CTX_free(ctx);
	e = piv_key_use(b->piv, ref, alg, PIV_OP_DECRYPT, span_of(c, n), SPAN_NONE, &left, &em);
	if (e != E_OK)
		return e;
	assert_int_equal(em.n, piv_alg_len(alg)); /* with its leading zero */
	assert_ok(pad_pkcs1_unpad(wbuf_view(&em), span_str("a secret of thirty-two bytes...."), span_of(c, n), &out));
	assert_bytes(wbuf_view(&out), "a content key");
	return E_OK;
}

static enum err
agree(struct bench *b, uint8_t ref, enum piv_alg alg, EVP_PKEY *key)
{
	EVP_PKEY *ours = EVP_EC_gen(alg == PIV_ALG_P256 ? "P-256" : "P-384");
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(ours, NULL);
	uint8_t point[97], z[48];
	size_t n = 0, zn = sizeof z;
	WBUF_AUTO out;
	int left;
	enum err e;

	wbuf_init(&out, 600);
	assert_int_equal(EVP_PKEY_get_octet_string_param(ours, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point, &n), 1);
	e = piv_key_use(b->piv, ref, alg, PIV_OP_DERIVE, span_of(point, n), SPAN_NONE, &left, &out);
	if (e == E_OK) {
		assert_int_equal(EVP_PKEY_derive_init(ctx), 1);
		assert_int_equal(EVP_PKEY_derive_set_peer(ctx, key), 1);
		assert_int_equal(EVP_PKEY_derive(ctx, z, &zn), 1);
		assert_int_equal(out.n, zn);
		assert_memory_equal(out.p, z, zn);
	}
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(ours);
	return e;
}

enum err
decrypt_with(struct bench *b, uint8_t ref, enum piv_alg alg, EVP_PKEY *key)
{
	return piv_alg_is_rsa(alg) ? decrypt_rsa(b, ref, alg, key) : agree(b, ref, alg, key);
}

enum err
sign(struct bench *b, uint8_t ref, struct span pin)
{
	enum piv_alg alg;
	EVP_PKEY *key = card_key(b, ref, &alg);
	enum err e = sign_with(b, ref, alg, key, pin);

	EVP_PKEY_free(key);
	return e;
}
