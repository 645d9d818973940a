/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Signatures: every mechanism of the table that signs, in one call and in pieces, verified by plain libcrypto with the
 * certificate's key, and by C_Verify; and PIN-always keys.
 */
#include <openssl/ecdsa.h>
#include <openssl/rsa.h>

#include "pkcs11/mech.h"
#include "tests/lib/p11_card.h"

#define MESSAGE	    "PIV Authentication is not for signing letters, but it can sign this."
#define MESSAGE_LEN (sizeof MESSAGE - 1)

static CK_BYTE message[] = MESSAGE;

static size_t
hash_of(const char *name, unsigned char *out)
{
	unsigned n = 0;

	assert_int_equal(EVP_Digest(MESSAGE, MESSAGE_LEN, out, &n, EVP_get_digestbyname(name), NULL), 1);
	return n;
}

/* The signature as libcrypto wants it. */
static size_t
as_der(const struct mech *row, const CK_BYTE *sig, size_t n, unsigned char *out)
{
	unsigned char *p = out;
	ECDSA_SIG *es;
	int len;

	if (row->key == CKK_RSA) {
		memcpy(out, sig, n);
		return n;
	}
	es = ECDSA_SIG_new();
	ECDSA_SIG_set0(es, BN_bin2bn(sig, (int)n / 2, NULL), BN_bin2bn(sig + n / 2, (int)n / 2, NULL));
	assert_true((len = i2d_ECDSA_SIG(es, &p)) > 0);
	ECDSA_SIG_free(es);
	return (size_t)len;
}

/* Was this made by the certificate's key over tbs (a digest, unless the mechanism is raw)? */
static void
check(EVP_PKEY *key, const struct mech *row, const char *hash, const CK_BYTE *tbs, size_t tbs_n, const CK_BYTE *sig,
    size_t n)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	unsigned char der[600];
	size_t der_n = as_der(row, sig, n, der);

	assert_int_equal(EVP_PKEY_verify_init(ctx), 1);
	if (row->scheme == SCHEME_RSA_PKCS)
		assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING), 1);
	if (row->scheme == SCHEME_RSA_RAW)
		assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING), 1);
	if (row->scheme == SCHEME_RSA_PSS)
		assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING), 1);
	if (hash != NULL && row->scheme != SCHEME_RSA_RAW)
		assert_int_equal(EVP_PKEY_CTX_set_signature_md(ctx, EVP_get_digestbyname(hash)), 1);
	if (row->scheme == SCHEME_RSA_PSS)
		assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST), 1);
	if (EVP_PKEY_verify(ctx, der, der_n, tbs, tbs_n) != 1)
		fail_msg("mechanism 0x%lx: the signature does not verify", row->type);
	EVP_PKEY_CTX_free(ctx);
}

static CK_MECHANISM
mechanism(const struct mech *row, const char *hash, CK_RSA_PKCS_PSS_PARAMS *pss)
{
	const struct mech_hash *h = mech_hash_by_name(hash);
	CK_MECHANISM m = { row->type, NULL, 0 };

	*pss = (CK_RSA_PKCS_PSS_PARAMS){ h->ckm, h->ckg, h->len };
	if (row->param == PARAM_PSS) {
		m.pParameter = pss;
		m.ulParameterLen = sizeof *pss;
	}
	return m;
}

static void
sign_in_pieces(
    CK_SESSION_HANDLE h, CK_MECHANISM *m, CK_OBJECT_HANDLE key, CK_BYTE *in, size_t n, CK_BYTE *sig, CK_ULONG *len)
{
	assert_rv_ok(C_SignInit(h, m, key));
	assert_rv_ok(C_SignUpdate(h, in, 7));
	assert_rv_ok(C_SignUpdate(h, NULL, 0));
	assert_rv_ok(C_SignUpdate(h, in + 7, n - 7));
	assert_rv_ok(C_SignFinal(h, sig, len));
}

static void
verify_by_module(CK_SESSION_HANDLE h, CK_MECHANISM *m, CK_BYTE *in, size_t n, CK_BYTE *sig, CK_ULONG len)
{
	CK_OBJECT_HANDLE pub = p11_find(h, CKO_PUBLIC_KEY, 1);

	assert_rv_ok(C_VerifyInit(h, m, pub));
	assert_rv_ok(C_Verify(h, in, n, sig, len));
	assert_rv_ok(C_VerifyInit(h, m, pub));
	assert_rv_ok(C_VerifyUpdate(h, in, 3));
	assert_rv_ok(C_VerifyUpdate(h, in + 3, n - 3));
	assert_rv_ok(C_VerifyFinal(h, sig, len));
	sig[len / 2] ^= 1;
	assert_rv_ok(C_VerifyInit(h, m, pub));
	assert_rv(C_Verify(h, in, n, sig, len), CKR_SIGNATURE_INVALID);
	assert_rv_ok(C_VerifyInit(h, m, pub));
	assert_rv(C_Verify(h, in, n, sig, len - 1), CKR_SIGNATURE_LEN_RANGE);
	sig[len / 2] ^= 1;
}

/* One mechanism with one hash: in is what Cryptoki gets, tbs what the signature is over. */
static void
try(CK_SESSION_HANDLE h, EVP_PKEY *pub, const struct mech *row, const char *hash)
{
	CK_OBJECT_HANDLE key = p11_find(h, CKO_PRIVATE_KEY, 1);
	unsigned char digest[64];
	size_t digest_n = hash_of(hash, digest), in_n = row->hash != NULL ? MESSAGE_LEN : digest_n;
	CK_BYTE *in = row->hash != NULL ? message : digest, sig[512];
	CK_RSA_PKCS_PSS_PARAMS pss;
	CK_MECHANISM m = mechanism(row, hash, &pss);
	CK_ULONG n = sizeof sig, want = 0;
	/* without a hash of its own, PKCS#1 signs the bytes themselves */
	const char *md = row->scheme == SCHEME_RSA_PKCS && row->hash == NULL ? NULL : hash;
	unsigned char block[512] = { 0 };

	assert_rv_ok(C_SignInit(h, &m, key));
	assert_rv_ok(C_Sign(h, in, in_n, NULL, &want));
	assert_rv_ok(C_Sign(h, in, in_n, sig, &n));
	assert_int_equal(n, want);
	if (row->scheme == SCHEME_RSA_RAW) {
		memcpy(block + n - digest_n, digest, digest_n);
		check(pub, row, md, block, n, sig, n);
	} else {
		check(pub, row, md, digest, digest_n, sig, n);
	}
	verify_by_module(h, &m, in, in_n, sig, n);
	n = sizeof sig;
	sign_in_pieces(h, &m, key, in, in_n, sig, &n);
	verify_by_module(h, &m, in, in_n, sig, n);
}

static void
all_mechanisms(const char *alg, CK_KEY_TYPE type)
{
	static const char *const hashes[] = { "SHA1", "SHA224", "SHA256", "SHA384", "SHA512" };
	const struct mech *row;
	CK_SESSION_HANDLE h;
	EVP_PKEY *pub;
	unsigned tried = 0;

	p11_start(alg);
	h = p11_session(0);
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
	pub = p11_pubkey(h, 1);
	for (size_t i = 0; (row = mech_row(i)) != NULL; i++)
		for (size_t k = 0; k < 5; k++) {
			if (row->key != type || (row->flags & CKF_SIGN) == 0)
				continue;
			if (row->hash != NULL && strcmp(row->hash, hashes[k]) != 0)
				continue;
			try(h, pub, row, hashes[k]);
			tried++;
		}
	EVP_PKEY_free(pub);
	print_message("%s: %u combinations\n", alg, tried);
	assert_true(tried >= 10);
}

static void
rsa_all_mechanisms(void **state)
{
	(void)state;
	all_mechanisms("rsa2048", CKK_RSA);
}

static void
p256_all_mechanisms(void **state)
{
	(void)state;
	all_mechanisms("p256", CKK_EC);
}

static void
p384_all_mechanisms(void **state)
{
	(void)state;
	all_mechanisms("p384", CKK_EC);
}

static void
what_cannot_be_signed_costs_nothing(void **state)
{
	CK_SESSION_HANDLE h;
	CK_BYTE in[300], sig[256];
	CK_ULONG n = sizeof sig;
	CK_MECHANISM raw = { CKM_RSA_X_509, NULL, 0 };
	CK_OBJECT_HANDLE key;

	(void)state;
	memset(in, 0xFF, sizeof in);
	p11_start("rsa2048");
	h = p11_ready(CKM_RSA_PKCS);
	key = p11_find(h, CKO_PRIVATE_KEY, 1);
	p11_apdus();
	assert_rv(C_Sign(h, in, 246, sig, &n), CKR_DATA_LEN_RANGE);
	assert_rv_ok(C_SignInit(h, &raw, key));
	assert_rv(C_Sign(h, in, 257, sig, &n), CKR_DATA_LEN_RANGE);
	assert_rv_ok(C_SignInit(h, &raw, key)); /* as long as the modulus, but not below it */
	assert_rv(C_Sign(h, in, 256, sig, &n), CKR_DATA_INVALID);
	assert_apdus(0);
}

/* --- PIN-always keys --- */

static CK_OBJECT_HANDLE
start_9c(CK_SESSION_HANDLE *h)
{
	CK_MECHANISM m = { CKM_ECDSA, NULL, 0 };
	CK_OBJECT_HANDLE key;

	p11_start("p256");
	*h = p11_session(0);
	assert_rv_ok(p11_login(*h, CKU_USER, PIN));
	assert_int_not_equal(key = p11_find(*h, CKO_PRIVATE_KEY, 2), 0);
	assert_true(p11_bool(*h, key, CKA_ALWAYS_AUTHENTICATE));
	assert_rv_ok(C_SignInit(*h, &m, key));
	return key;
}

static void
without_context_login_the_operation_waits(void **state)
{
	CK_MECHANISM m = { CKM_ECDSA, NULL, 0 };
	CK_BYTE digest[32] = { 9 }, sig[64];
	CK_ULONG n = sizeof sig;
	CK_SESSION_HANDLE h;
	CK_OBJECT_HANDLE key;

	(void)state;
	key = start_9c(&h);
	p11_apdus();
	assert_rv(C_Sign(h, digest, sizeof digest, sig, &n), CKR_USER_NOT_LOGGED_IN);
	assert_rv(C_SignInit(h, &m, key), CKR_OPERATION_ACTIVE);
	assert_apdus(0);
	/* Clients read attributes between C_SignInit and C_Sign; of this one see test_p11_pins.c. */
	assert_true(p11_bool(h, key, CKA_SIGN));
	assert_rv_ok(p11_login(h, CKU_CONTEXT_SPECIFIC, PIN));
	assert_rv(p11_login(h, CKU_CONTEXT_SPECIFIC, PIN), CKR_USER_ALREADY_LOGGED_IN);
	assert_rv_ok(C_Sign(h, digest, sizeof digest, sig, &n));
	/* For one operation only. */
	assert_rv_ok(C_SignInit(h, &m, key));
	assert_rv(C_Sign(h, digest, sizeof digest, sig, &n), CKR_USER_NOT_LOGGED_IN);
}

static void
context_login_without_operation(void **state)
{
	CK_SESSION_HANDLE h;

	(void)state;
	p11_start("p256");
	h = p11_session(0);
	assert_rv(p11_login(h, CKU_CONTEXT_SPECIFIC, PIN), CKR_OPERATION_NOT_INITIALIZED);
	h = p11_ready(CKM_ECDSA); /* 9A does not want one */
	assert_rv(p11_login(h, CKU_CONTEXT_SPECIFIC, PIN), CKR_OPERATION_NOT_INITIALIZED);
}

static void
wrong_context_pin_shows_at_login(void **state)
{
	CK_BYTE digest[32] = { 9 }, sig[64];
	CK_ULONG n = sizeof sig;
	CK_SESSION_HANDLE h;

	(void)state;
	start_9c(&h);
	assert_rv(p11_login(h, CKU_CONTEXT_SPECIFIC, PIN_BAD), CKR_PIN_INCORRECT);
	assert_int_equal(vcard_tries(p11_inserted(), 0x80), 2);
	assert_rv(C_Sign(h, digest, sizeof digest, sig, &n), CKR_USER_NOT_LOGGED_IN);
	assert_rv_ok(p11_login(h, CKU_CONTEXT_SPECIFIC, PIN)); /* the operation is still there */
	assert_rv_ok(C_Sign(h, digest, sizeof digest, sig, &n));
	assert_int_equal(vcard_tries(p11_inserted(), 0x80), 3);
}

/* Another program's command between C_Login and C_Sign consumes a PIN-always login: not this one. */
static void
nothing_in_between_harms_9c(void **state)
{
	CK_BYTE digest[32] = { 9 }, sig[64];
	CK_ULONG n = sizeof sig;
	CK_SESSION_HANDLE h;

	(void)state;
	start_9c(&h);
	assert_rv_ok(p11_login(h, CKU_CONTEXT_SPECIFIC, PIN));
	vreaders_foreign(p11_readers(), 0);
	vreaders_reset(p11_readers(), 0);
	assert_int_not_equal(p11_find(h, CKO_CERTIFICATE, 3), 0);
	assert_rv_ok(C_Sign(h, digest, sizeof digest, sig, &n));
}

static void
a_reset_by_others_does_not_show(void **state)
{
	CK_BYTE digest[32] = { 9 }, sig[64];
	CK_ULONG n = sizeof sig;
	CK_SESSION_HANDLE h;

	(void)state;
	p11_start("p256");
	h = p11_ready(CKM_ECDSA);
	vreaders_reset(p11_readers(), 0);
	assert_rv_ok(C_Sign(h, digest, sizeof digest, sig, &n));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(rsa_all_mechanisms, p11_teardown),
		cmocka_unit_test_teardown(p256_all_mechanisms, p11_teardown),
		cmocka_unit_test_teardown(p384_all_mechanisms, p11_teardown),
		cmocka_unit_test_teardown(what_cannot_be_signed_costs_nothing, p11_teardown),
		cmocka_unit_test_teardown(without_context_login_the_operation_waits, p11_teardown),
		cmocka_unit_test_teardown(context_login_without_operation, p11_teardown),
		cmocka_unit_test_teardown(wrong_context_pin_shows_at_login, p11_teardown),
		cmocka_unit_test_teardown(nothing_in_between_harms_9c, p11_teardown),
		cmocka_unit_test_teardown(a_reset_by_others_does_not_show, p11_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
