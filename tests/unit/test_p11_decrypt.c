/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decryption and key agreement with 9D: what plain libcrypto encrypted, the module opens; what a bad ciphertext yields;
 * ECDH with and without the X9.63 KDF against libcrypto's own; unwrapping and CBC with what was derived.
 */
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>

#include "pkcs11/mech.h"
#include "tests/lib/p11_card.h"

static CK_BYTE secret[] = "content encryption key 32 bytes!";
#define SECRET_LEN (sizeof secret - 1)

static CK_SESSION_HANDLE h;
static CK_OBJECT_HANDLE kmk;
static EVP_PKEY *pub;

static void
start(const char *alg)
{
	p11_start(alg);
	h = p11_session(0);
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
	assert_int_not_equal(kmk = p11_find(h, CKO_PRIVATE_KEY, 3), 0);
	pub = p11_pubkey(h, 3);
}

static int
stop(void **state)
{
	EVP_PKEY_free(pub);
	pub = NULL;
	return p11_teardown(state);
}

static size_t
encrypt(int padding, const char *hash, const char *mgf, const char *label, CK_BYTE out[256])
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pub, NULL);
	size_t n = 256;

	assert_int_equal(EVP_PKEY_encrypt_init(ctx), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, padding), 1);
	if (hash != NULL) {
		assert_int_equal(EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_get_digestbyname(hash)), 1);
		assert_int_equal(EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_get_digestbyname(mgf)), 1);
		if (label != NULL)
			assert_int_equal(
			    EVP_PKEY_CTX_set0_rsa_oaep_label(ctx, OPENSSL_strdup(label), (int)strlen(label)), 1);
	}
	assert_int_equal(EVP_PKEY_encrypt(ctx, out, &n, secret, SECRET_LEN), 1);
	EVP_PKEY_CTX_free(ctx);
	return n;
}

static void
opens(CK_MECHANISM *m, CK_BYTE *in, size_t n)
{
	CK_BYTE out[256];
	CK_ULONG len = 0;

	p11_apdus();
	assert_rv_ok(C_DecryptInit(h, m, kmk));
	assert_rv_ok(C_Decrypt(h, in, n, NULL, &len));
	assert_true(len >= SECRET_LEN && len <= 256);
	len = 10;
	assert_rv(C_Decrypt(h, in, n, out, &len), CKR_BUFFER_TOO_SMALL);
	assert_apdus(0);
	assert_rv_ok(C_Decrypt(h, in, n, out, &len));
	assert_apdus(3);
	assert_int_equal(len, SECRET_LEN);
	assert_memory_equal(out, secret, SECRET_LEN);
	/* and in pieces */
	len = sizeof out;
	assert_rv_ok(C_DecryptInit(h, m, kmk));
	assert_rv_ok(C_DecryptUpdate(h, in, 100, out, &len));
	assert_int_equal(len, 0);
	len = sizeof out;
	assert_rv_ok(C_DecryptUpdate(h, in + 100, n - 100, out, &len));
	len = sizeof out;
	assert_rv_ok(C_DecryptFinal(h, out, &len));
	assert_int_equal(len, SECRET_LEN);
	assert_memory_equal(out, secret, SECRET_LEN);
}

static void
rsa_pkcs1(void **state)
{
	CK_MECHANISM m = { CKM_RSA_PKCS, NULL, 0 };
	CK_BYTE in[256];
	size_t n;

	(void)state;
	start("rsa2048");
	n = encrypt(RSA_PKCS1_PADDING, NULL, NULL, NULL, in);
	opens(&m, in, n);
}

static void
rsa_oaep(void **state)
{
	static const char *const hashes[] = { "SHA1", "SHA224", "SHA256", "SHA384", "SHA512" };
	CK_BYTE in[256], label[] = "label";
	size_t n;

	(void)state;
	start("rsa2048");
	for (size_t i = 0; i < 5; i++)
		for (size_t k = 0; k < 2; k++) {
			const struct mech_hash *hash = mech_hash_by_name(hashes[i]);
			const struct mech_hash *mgf = k == 0 ? hash : mech_hash_by_name("SHA1");
			CK_RSA_PKCS_OAEP_PARAMS p = { hash->ckm, mgf->ckg, CKZ_DATA_SPECIFIED, k ? label : NULL,
				k ? 5 : 0 };
			CK_MECHANISM m = { CKM_RSA_PKCS_OAEP, &p, sizeof p };

			n = encrypt(RSA_PKCS1_OAEP_PADDING, hash->name, mgf->name, k ? "label" : NULL, in);
			opens(&m, in, n);
		}
}

static void
rsa_raw(void **state)
{
	CK_MECHANISM m = { CKM_RSA_X_509, NULL, 0 };
	CK_BYTE in[256], out[256];
	CK_ULONG len = sizeof out;
	size_t n;

	(void)state;
	start("rsa2048");
	n = encrypt(RSA_PKCS1_PADDING, NULL, NULL, NULL, in);
	assert_rv_ok(C_DecryptInit(h, &m, kmk));
	assert_rv_ok(C_Decrypt(h, in, n, out, &len));
	assert_int_equal(len, 256);
	assert_int_equal(out[0], 0);
	assert_int_equal(out[1], 2);
	assert_memory_equal(out + 256 - SECRET_LEN, secret, SECRET_LEN);
}

/* A bad PKCS#1 v1.5 block is no error: it opens to something else, always the same. */
static void
bad_pkcs1_padding_does_not_show(void **state)
{
	CK_MECHANISM m = { CKM_RSA_PKCS, NULL, 0 };
	CK_BYTE in[256], a[256], b[256];
	CK_ULONG a_n = sizeof a, b_n = sizeof b;

	(void)state;
	start("rsa2048");
	memset(in, 0x11, sizeof in);
	assert_rv_ok(C_DecryptInit(h, &m, kmk));
	assert_rv_ok(C_Decrypt(h, in, sizeof in, a, &a_n));
	assert_rv_ok(C_DecryptInit(h, &m, kmk));
	assert_rv_ok(C_Decrypt(h, in, sizeof in, b, &b_n));
	assert_int_equal(a_n, b_n);
	assert_memory_equal(a, b, a_n);
}

static void
bad_input_ends_the_operation(void **state)
{
	CK_RSA_PKCS_OAEP_PARAMS p = { CKM_SHA_1, CKG_MGF1_SHA1, CKZ_DATA_SPECIFIED, NULL, 0 };
	CK_MECHANISM m = { CKM_RSA_PKCS, NULL, 0 }, oaep = { CKM_RSA_PKCS_OAEP, &p, sizeof p };
	CK_BYTE in[256], out[256];
	CK_ULONG n = sizeof out;

	(void)state;
	start("rsa2048");
	memset(in, 0x11, sizeof in);
	assert_rv_ok(C_DecryptInit(h, &m, kmk));
	assert_rv(C_Decrypt(h, in, 255, out, &n), CKR_ENCRYPTED_DATA_LEN_RANGE);
	n = sizeof out;
	assert_rv_ok(C_DecryptInit(h, &oaep, kmk));
	assert_rv(C_Decrypt(h, in, 256, out, &n), CKR_ENCRYPTED_DATA_INVALID);
	assert_rv(C_Decrypt(h, in, 256, out, &n), CKR_OPERATION_NOT_INITIALIZED);
}

static void
module_encrypts_to_its_own_key(void **state)
{
	CK_RSA_PKCS_OAEP_PARAMS p = { CKM_SHA256, CKG_MGF1_SHA256, CKZ_DATA_SPECIFIED, NULL, 0 };
	CK_MECHANISM ms[] = { { CKM_RSA_PKCS, NULL, 0 }, { CKM_RSA_PKCS_OAEP, &p, sizeof p } };
	CK_OBJECT_HANDLE key;
	CK_BYTE out[256];
	CK_ULONG n;

	(void)state;
	start("rsa2048");
	key = p11_find(h, CKO_PUBLIC_KEY, 3);
	for (size_t i = 0; i < 2; i++) {
		n = sizeof out;
		p11_apdus();
		assert_rv_ok(C_EncryptInit(h, &ms[i], key));
		assert_rv_ok(C_Encrypt(h, secret, SECRET_LEN, out, &n));
		assert_apdus(0);
		opens(&ms[i], out, n);
	}
}

/* --- ECDH --- */

static size_t
libcrypto_ecdh(EVP_PKEY *mine, unsigned char *z)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(mine, NULL);
	size_t n = 66;

	assert_int_equal(EVP_PKEY_derive_init(ctx), 1);
	assert_int_equal(EVP_PKEY_derive_set_peer(ctx, pub), 1);
	assert_int_equal(EVP_PKEY_derive(ctx, z, &n), 1);
	EVP_PKEY_CTX_free(ctx);
	return n;
}

static size_t
point_of(EVP_PKEY *key, unsigned char *out)
{
	size_t n = 0;

	assert_int_equal(EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, out, 140, &n), 1);
	return n;
}

static void
libcrypto_x963(const char *hash, unsigned char *z, size_t z_n, char *info, unsigned char *out, size_t n)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "X963KDF", NULL);
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
	char name[16];
	OSSL_PARAM p[4];

	strcpy(name, hash);
	p[0] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, name, 0);
	p[1] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, z, z_n);
	p[2] = info != NULL ? OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, strlen(info))
			    : OSSL_PARAM_construct_end();
	p[3] = OSSL_PARAM_construct_end();
	assert_int_equal(EVP_KDF_derive(ctx, out, n, p), 1);
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
}

static CK_RV
derive(CK_ULONG kdf, char *info, CK_BYTE *point, size_t point_n, CK_KEY_TYPE type, CK_ULONG len, CK_OBJECT_HANDLE *out)
{
	CK_ECDH1_DERIVE_PARAMS p = { kdf, info != NULL ? strlen(info) : 0, (CK_BYTE *)info, point_n, point };
	CK_MECHANISM m = { CKM_ECDH1_DERIVE, &p, sizeof p };
	CK_OBJECT_CLASS class = CKO_SECRET_KEY;
	CK_BBOOL yes = CK_TRUE;
	CK_ATTRIBUTE t[] = { { CKA_CLASS, &class, sizeof class }, { CKA_KEY_TYPE, &type, sizeof type },
		{ CKA_WRAP, &yes, sizeof yes }, { CKA_VALUE_LEN, &len, sizeof len } };

	return C_DeriveKey(h, &m, kmk, t, len != 0 ? 4 : 3, out);
}

static void
has_value(CK_OBJECT_HANDLE key, const unsigned char *want, size_t n)
{
	CK_BYTE v[128];
	CK_ATTRIBUTE a = { CKA_VALUE, v, sizeof v };

	assert_rv_ok(C_GetAttributeValue(h, key, &a, 1));
	assert_int_equal(a.ulValueLen, n);
	assert_memory_equal(v, want, n);
	assert_int_equal(p11_ulong(h, key, CKA_VALUE_LEN), n);
	assert_false(p11_bool(h, key, CKA_TOKEN));
}

static void
ecdh_with(const char *alg, const char *curve)
{
	static const char *const hashes[] = { "SHA1", "SHA224", "SHA256", "SHA384", "SHA512" };
	EVP_PKEY *mine = EVP_EC_gen(curve);
	unsigned char z[66], point[150] = { 4 }, want[64];
	size_t z_n, point_n;
	CK_OBJECT_HANDLE key;
	char info[] = "shared info";

	start(alg);
	z_n = libcrypto_ecdh(mine, z);
	point_n = point_of(mine, point + 2);
	/* raw point, all of Z; the last bytes of Z; a point in a DER OCTET STRING */
	assert_rv_ok(derive(CKD_NULL, NULL, point + 2, point_n, CKK_GENERIC_SECRET, 0, &key));
	has_value(key, z, z_n);
	assert_rv_ok(derive(CKD_NULL, NULL, point + 2, point_n, CKK_AES, 16, &key));
	has_value(key, z + z_n - 16, 16);
	point[0] = 4;
	point[1] = (unsigned char)point_n;
	assert_rv_ok(derive(CKD_NULL, NULL, point, point_n + 2, CKK_GENERIC_SECRET, z_n, &key));
	has_value(key, z, z_n);
	for (size_t i = 0; i < 5; i++) {
		libcrypto_x963(hashes[i], z, z_n, i % 2 ? NULL : info, want, 32);
		assert_rv_ok(derive(
		    mech_hash_by_name(hashes[i])->ckd, i % 2 ? NULL : info, point, point_n + 2, CKK_AES, 32, &key));
		has_value(key, want, 32);
	}
	EVP_PKEY_free(mine);
}

static void
ecdh_p256(void **state)
{
	(void)state;
	ecdh_with("p256", "P-256");
}

static void
ecdh_p384(void **state)
{
	(void)state;
	ecdh_with("p384", "P-384");
}

static void
bad_points_and_lengths(void **state)
{
	EVP_PKEY *mine = EVP_EC_gen("P-256"), *other = EVP_EC_gen("P-384");
	unsigned char point[140];
	CK_OBJECT_HANDLE key;
	size_t n;

	(void)state;
	start("p256");
	n = point_of(mine, point);
	p11_apdus();
	assert_rv(derive(CKD_NULL, NULL, point, n - 1, CKK_GENERIC_SECRET, 0, &key), CKR_MECHANISM_PARAM_INVALID);
	assert_rv(derive(CKD_NULL, NULL, point, n, CKK_GENERIC_SECRET, 33, &key), CKR_TEMPLATE_INCONSISTENT);
	assert_rv(derive(CKD_NULL, NULL, point, n, CKK_AES, 17, &key), CKR_TEMPLATE_INCONSISTENT);
	assert_rv(derive(77, NULL, point, n, CKK_AES, 16, &key), CKR_MECHANISM_PARAM_INVALID);
	point[n - 1] ^= 1; /* off the curve */
	assert_rv(derive(CKD_NULL, NULL, point, n, CKK_GENERIC_SECRET, 0, &key), CKR_MECHANISM_PARAM_INVALID);
	n = point_of(other, point);
	assert_rv(derive(CKD_NULL, NULL, point, n, CKK_GENERIC_SECRET, 0, &key), CKR_MECHANISM_PARAM_INVALID);
	assert_apdus(0);
	EVP_PKEY_free(mine);
	EVP_PKEY_free(other);
}

/* --- session keys: what NSS does to open elliptic-curve mail --- */

static void
unwrap_and_decrypt(void **state)
{
	static const CK_BYTE cek[16] = "0123456789abcdef";
	unsigned char kek[16], wrapped[64], body[64], plain[64], point[140];
	CK_OBJECT_CLASS class = CKO_SECRET_KEY;
	CK_KEY_TYPE aes = CKK_AES;
	CK_ATTRIBUTE t[] = { { CKA_CLASS, &class, sizeof class }, { CKA_KEY_TYPE, &aes, sizeof aes } };
	CK_MECHANISM wrap = { CKM_AES_KEY_WRAP, NULL, 0 };
	CK_BYTE iv[16] = { 1, 2, 3 };
	CK_MECHANISM cbc = { CKM_AES_CBC_PAD, iv, sizeof iv };
	EVP_PKEY *mine = EVP_EC_gen("P-256");
	CK_OBJECT_HANDLE key, content;
	CK_ULONG n;
	size_t point_n, done;

	(void)state;
	start("p256");
	point_n = point_of(mine, point);
	assert_rv_ok(derive(CKD_SHA256_KDF, NULL, point, point_n, CKK_AES, 16, &key));
	{
		CK_ATTRIBUTE v = { CKA_VALUE, kek, sizeof kek };

		assert_rv_ok(C_GetAttributeValue(h, key, &v, 1));
	}
	/* wrap in the module as well: RFC 3394 makes 8 more bytes */
	n = sizeof wrapped;
	assert_rv_ok(C_EncryptInit(h, &wrap, key));
	assert_rv_ok(C_Encrypt(h, (CK_BYTE *)(uintptr_t)cek, 16, wrapped, &n));
	assert_int_equal(n, 24);
	assert_rv_ok(C_UnwrapKey(h, &wrap, key, wrapped, n, t, 2, &content));
	has_value(content, cek, 16);
	/* C_Decrypt of the same */
	n = sizeof plain;
	assert_rv_ok(C_DecryptInit(h, &wrap, key));
	assert_rv_ok(C_Decrypt(h, wrapped, 24, plain, &n));
	assert_int_equal(n, 16);
	assert_memory_equal(plain, cek, 16);
	wrapped[3] ^= 1;
	assert_rv(C_UnwrapKey(h, &wrap, key, wrapped, 24, t, 2, &content), CKR_WRAPPED_KEY_INVALID);
	assert_rv(C_UnwrapKey(h, &wrap, key, wrapped, 23, t, 2, &content), CKR_WRAPPED_KEY_LEN_RANGE);
	/* CBC in pieces */
	wrapped[3] ^= 1;
	assert_rv_ok(C_UnwrapKey(h, &wrap, key, wrapped, 24, t, 2, &content));
	n = sizeof body;
	assert_rv_ok(C_EncryptInit(h, &cbc, content));
	assert_rv_ok(C_Encrypt(h, secret, SECRET_LEN, body, &n));
	assert_int_equal(n, 48);
	assert_rv_ok(C_DecryptInit(h, &cbc, content));
	done = 0;
	for (size_t i = 0; i < 48; i += 12) {
		n = sizeof plain - done;
		assert_rv_ok(C_DecryptUpdate(h, body + i, 12, plain + done, &n));
		done += n;
	}
	n = sizeof plain - done;
	assert_rv_ok(C_DecryptFinal(h, plain + done, &n));
	assert_int_equal(done + n, SECRET_LEN);
	assert_memory_equal(plain, secret, SECRET_LEN);
	EVP_PKEY_free(mine);
}

static void
sensitive_means_sensitive(void **state)
{
	CK_OBJECT_CLASS class = CKO_SECRET_KEY;
	CK_KEY_TYPE aes = CKK_AES;
	CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
	CK_BYTE value[16] = { 1 }, out[16];
	CK_ATTRIBUTE t[] = { { CKA_CLASS, &class, sizeof class }, { CKA_KEY_TYPE, &aes, sizeof aes },
		{ CKA_VALUE, value, sizeof value }, { CKA_SENSITIVE, &yes, 1 }, { CKA_EXTRACTABLE, &no, 1 } };
	CK_ATTRIBUTE a = { CKA_VALUE, out, sizeof out };
	CK_OBJECT_HANDLE key;

	(void)state;
	start("p256");
	assert_rv_ok(C_CreateObject(h, t, 5, &key));
	assert_rv(C_GetAttributeValue(h, key, &a, 1), CKR_ATTRIBUTE_SENSITIVE);
	assert_int_equal(a.ulValueLen, CK_UNAVAILABLE_INFORMATION);
	t[3].pValue = &no;
	assert_rv_ok(C_CreateObject(h, t, 5, &key)); /* not extractable suffices */
	a.ulValueLen = sizeof out;
	assert_rv(C_GetAttributeValue(h, key, &a, 1), CKR_ATTRIBUTE_SENSITIVE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(rsa_pkcs1, stop),
		cmocka_unit_test_teardown(rsa_oaep, stop),
		cmocka_unit_test_teardown(rsa_raw, stop),
		cmocka_unit_test_teardown(bad_pkcs1_padding_does_not_show, stop),
		cmocka_unit_test_teardown(bad_input_ends_the_operation, stop),
		cmocka_unit_test_teardown(module_encrypts_to_its_own_key, stop),
		cmocka_unit_test_teardown(ecdh_p256, stop),
		cmocka_unit_test_teardown(ecdh_p384, stop),
		cmocka_unit_test_teardown(bad_points_and_lengths, stop),
		cmocka_unit_test_teardown(unwrap_and_decrypt, stop),
		cmocka_unit_test_teardown(sensitive_means_sensitive, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
