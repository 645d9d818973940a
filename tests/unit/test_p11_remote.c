/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A slot with another module behind it, SoftHSM2, which this program uses directly as well: it had it initialised
 * before, takes objects away, finalises it under the slot. Also: fork, abandoned operations, key derivation, what a
 * logout ends.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/kdf.h>
#include <openssl/x509v3.h>

#include "tests/lib/p11_card.h"

#define SLOT 0x1000

static char dir[64];
static CK_FUNCTION_LIST *soft; /* SoftHSM2 itself */
static EVP_PKEY *pkey;
static const CK_BYTE id_of_key = 1;

/* --- the token --- */

static void
file_put(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	assert_non_null(f = fopen(path, "w"));
	fputs(text, f);
	fclose(f);
}

static const char *
softhsm_path(void)
{
	static const char *const paths[] = { "/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so" };

	return access(paths[0], R_OK) == 0 ? paths[0] : paths[1];
}

static void
soft_start(void)
{
	CK_C_INITIALIZE_ARGS args = { .flags = CKF_OS_LOCKING_OK };

	assert_rv_ok(soft->C_Initialize(&args));
}

static CK_SESSION_HANDLE
soft_session(void)
{
	CK_UTF8CHAR pin[] = PIN;
	CK_SLOT_ID ids[8];
	CK_ULONG n = 8;
	CK_SESSION_HANDLE h;
	CK_RV rv;

	assert_rv_ok(soft->C_GetSlotList(CK_TRUE, ids, &n));
	for (CK_ULONG i = 0; i < n; i++) {
		CK_TOKEN_INFO info;

		if (soft->C_GetTokenInfo(ids[i], &info) != CKR_OK || memcmp(info.label, "unit ", 5) != 0)
			continue;
		assert_rv_ok(soft->C_OpenSession(ids[i], CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &h));
		rv = soft->C_Login(h, CKU_USER, pin, 6);
		assert_true(rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN);
		return h;
	}
	fail_msg("no token");
	return 0;
}

static void
put_cert(CK_SESSION_HANDLE h)
{
	CK_OBJECT_CLASS class = CKO_CERTIFICATE;
	CK_CERTIFICATE_TYPE type = CKC_X_509;
	CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
	CK_BYTE id = id_of_key, subject[] = { 0x30, 0 };
	X509 *x = X509_new();
	unsigned char *der = NULL;
	CK_OBJECT_HANDLE o;

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 7);
	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, pkey);
	assert_true(X509_sign(x, pkey, EVP_sha256()) > 0);
	CK_ULONG n = (CK_ULONG)i2d_X509(x, &der);
	CK_ATTRIBUTE t[] = { { CKA_CLASS, &class, sizeof class }, { CKA_CERTIFICATE_TYPE, &type, sizeof type },
		{ CKA_TOKEN, &yes, 1 }, { CKA_PRIVATE, &no, 1 }, { CKA_ID, &id, 1 },
		{ CKA_SUBJECT, subject, sizeof subject }, { CKA_VALUE, der, n } };
	assert_rv_ok(soft->C_CreateObject(h, t, sizeof t / sizeof t[0], &o));
	OPENSSL_free(der);
	X509_free(x);
}

static void
put_key(CK_SESSION_HANDLE h)
{
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_KEY_TYPE type = CKK_EC;
	CK_BBOOL yes = CK_TRUE;
	CK_BYTE id = id_of_key, value[32], p256[] = { 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07 };
	BIGNUM *d = NULL;
	CK_OBJECT_HANDLE o;

	assert_int_equal(EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_PRIV_KEY, &d), 1);
	assert_int_equal(BN_bn2binpad(d, value, 32), 32);
	BN_free(d);
	CK_ATTRIBUTE t[] = { { CKA_CLASS, &class, sizeof class }, { CKA_KEY_TYPE, &type, sizeof type },
		{ CKA_TOKEN, &yes, 1 }, { CKA_PRIVATE, &yes, 1 }, { CKA_SENSITIVE, &yes, 1 }, { CKA_SIGN, &yes, 1 },
		{ CKA_DERIVE, &yes, 1 }, { CKA_ID, &id, 1 }, { CKA_EC_PARAMS, p256, sizeof p256 },
		{ CKA_VALUE, value, 32 } };
	assert_rv_ok(soft->C_CreateObject(h, t, sizeof t / sizeof t[0], &o));
}

static int
group_setup(void **state)
{
	char text[512];
	CK_C_GetFunctionList get;
	CK_SESSION_HANDLE h;
	void *so;

	(void)state;
	snprintf(dir, sizeof dir, "/tmp/dpiv-unit.XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(text, sizeof text, "%s/tokens", dir);
	assert_int_equal(mkdir(text, 0700), 0);
	snprintf(text, sizeof text, "directories.tokendir = %s/tokens\nobjectstore.backend = file\nlog.level = ERROR\n",
	    dir);
	file_put("softhsm2.conf", text);
	snprintf(text, sizeof text, "[token unit]\nuri = pkcs11:token=unit?module-path=%s\n", softhsm_path());
	file_put("dpiv.conf", text);
	snprintf(text, sizeof text, "%s/softhsm2.conf", dir);
	setenv("SOFTHSM2_CONF", text, 1);
	snprintf(text, sizeof text, "%s/dpiv.conf", dir);
	setenv("DPIV_CONF", text, 1);
	setenv("XDG_STATE_HOME", dir, 1);
	assert_int_equal(
	    system("softhsm2-util --init-token --free --label unit --so-pin 12345678 --pin " PIN " >/dev/null"), 0);
	assert_non_null(so = dlopen(softhsm_path(), RTLD_NOW | RTLD_LOCAL));
	*(void **)&get = dlsym(so, "C_GetFunctionList");
	assert_rv_ok(get(&soft));
	pkey = EVP_EC_gen("P-256");
	soft_start();
	h = soft_session();
	put_key(h);
	put_cert(h);
	assert_rv_ok(soft->C_Finalize(NULL));
	return 0;
}

static int
group_teardown(void **state)
{
	char command[128];

	(void)state;
	EVP_PKEY_free(pkey);
	snprintf(command, sizeof command, "rm -rf %s", dir);
	return system(command);
}

static int
stop(void **state)
{
	(void)state;
	(void)C_Finalize(NULL);
	(void)soft->C_Finalize(NULL);
	return 0;
}

static CK_SESSION_HANDLE
start(bool login)
{
	CK_C_INITIALIZE_ARGS args = { .flags = CKF_OS_LOCKING_OK };
	CK_SESSION_HANDLE h;

	assert_rv_ok(C_Initialize(&args));
	assert_rv_ok(C_OpenSession(SLOT, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &h));
	if (login)
		assert_rv_ok(p11_login(h, CKU_USER, PIN));
	return h;
}

static CK_RV
sign(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE key)
{
	CK_MECHANISM m = { CKM_ECDSA_SHA256, NULL, 0 };
	CK_BYTE data[3] = "ab", sig[64];
	CK_ULONG n = sizeof sig;
	CK_RV rv = C_SignInit(h, &m, key);

	if (rv == CKR_OK)
		rv = C_Sign(h, data, 2, sig, &n);
	if (rv == CKR_OK)
		assert_int_equal(n, 64);
	return rv;
}

/* --- tests --- */

static void
a_login_shows_and_a_logout_ends(void **state)
{
	CK_SESSION_HANDLE h = start(false);
	CK_OBJECT_HANDLE key;

	(void)state;
	assert_int_not_equal(p11_find(h, CKO_CERTIFICATE, 1), 0);
	assert_int_not_equal(p11_find(h, CKO_PUBLIC_KEY, 1), 0);
	assert_int_equal(p11_find(h, CKO_PRIVATE_KEY, 1), 0);
	assert_rv(p11_login(h, CKU_USER, PIN_BAD), CKR_PIN_INCORRECT);
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
	assert_rv(p11_login(h, CKU_USER, PIN), CKR_USER_ALREADY_LOGGED_IN);
	assert_int_not_equal(key = p11_find(h, CKO_PRIVATE_KEY, 1), 0);
	assert_true(p11_bool(h, key, CKA_SENSITIVE));
	assert_true(p11_bool(h, key, CKA_DERIVE));
	assert_rv_ok(sign(h, key));
	assert_rv_ok(C_Logout(h));
	assert_rv(sign(h, key), CKR_KEY_HANDLE_INVALID);
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
	assert_int_not_equal(p11_find(h, CKO_PRIVATE_KEY, 1), key);
	assert_rv_ok(sign(h, p11_find(h, CKO_PRIVATE_KEY, 1)));
}

static void
parts_and_verification(void **state)
{
	CK_SESSION_HANDLE h = start(true);
	CK_MECHANISM m = { CKM_ECDSA_SHA256, NULL, 0 };
	CK_BYTE data[] = "abc", sig[64];
	CK_ULONG n = 0;

	(void)state;
	assert_rv_ok(C_SignInit(h, &m, p11_find(h, CKO_PRIVATE_KEY, 1)));
	assert_rv_ok(C_Sign(h, data, 3, NULL, &n));
	assert_int_equal(n, 64);
	n = 10;
	assert_rv(C_Sign(h, data, 3, sig, &n), CKR_BUFFER_TOO_SMALL);
	n = sizeof sig;
	assert_rv_ok(C_SignUpdate(h, data, 1));
	assert_rv_ok(C_SignUpdate(h, data + 1, 2));
	assert_rv_ok(C_SignFinal(h, sig, &n));
	assert_rv_ok(C_VerifyInit(h, &m, p11_find(h, CKO_PUBLIC_KEY, 1)));
	assert_rv_ok(C_Verify(h, data, 3, sig, 64));
	sig[40] ^= 1;
	assert_rv_ok(C_VerifyInit(h, &m, p11_find(h, CKO_PUBLIC_KEY, 1)));
	assert_rv(C_Verify(h, data, 3, sig, 64), CKR_SIGNATURE_INVALID);
}

static void
an_abandoned_operation_is_no_hindrance(void **state)
{
	CK_SESSION_HANDLE h = start(true);
	CK_OBJECT_HANDLE key = p11_find(h, CKO_PRIVATE_KEY, 1);
	CK_MECHANISM m = { CKM_ECDSA, NULL, 0 };

	(void)state;
	assert_rv_ok(C_SignInit(h, &m, key));
	assert_rv(C_SignInit(h, &m, key), CKR_OPERATION_ACTIVE);
	assert_rv_ok(C_SignInit(h, NULL, key));
	assert_rv_ok(sign(h, key));
	assert_rv_ok(C_SignInit(h, &m, key));
	assert_rv_ok(C_CloseSession(h));
}

/* X9.63 KDF with SHA-256 over ECDH with key and peer. */
static void
expected_key(EVP_PKEY *peer, uint8_t out[16])
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pkey, NULL);
	uint8_t z[32];
	size_t n = sizeof z;
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "X963KDF", NULL);
	EVP_KDF_CTX *k = EVP_KDF_CTX_new(kdf);
	char hash[] = "SHA256";
	OSSL_PARAM p[] = { OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, hash, 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, z, sizeof z), OSSL_PARAM_construct_end() };

	assert_int_equal(EVP_PKEY_derive_init(ctx), 1);
	assert_int_equal(EVP_PKEY_derive_set_peer(ctx, peer), 1);
	assert_int_equal(EVP_PKEY_derive(ctx, z, &n), 1);
	assert_int_equal(EVP_KDF_derive(k, out, 16, p), 1);
	EVP_KDF_CTX_free(k);
	EVP_KDF_free(kdf);
	EVP_PKEY_CTX_free(ctx);
}

static void
key_agreement_with_a_kdf_in_software(void **state)
{
	CK_SESSION_HANDLE h = start(true);
	EVP_PKEY *peer = EVP_EC_gen("P-256");
	CK_BYTE point[65];
	CK_ECDH1_DERIVE_PARAMS p = { .kdf = CKD_SHA256_KDF, .ulPublicDataLen = sizeof point, .pPublicData = point };
	CK_MECHANISM m = { CKM_ECDH1_DERIVE, &p, sizeof p };
	CK_OBJECT_CLASS class = CKO_SECRET_KEY;
	CK_KEY_TYPE type = CKK_AES;
	CK_ULONG length = 16;
	CK_ATTRIBUTE t[] = { { CKA_CLASS, &class, sizeof class }, { CKA_KEY_TYPE, &type, sizeof type },
		{ CKA_VALUE_LEN, &length, sizeof length } };
	uint8_t want[16], got[16];
	CK_ATTRIBUTE value = { CKA_VALUE, got, sizeof got };
	CK_OBJECT_HANDLE key;
	size_t n;

	(void)state;
	expected_key(peer, want);
	assert_int_equal(EVP_PKEY_get_octet_string_param(peer, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point, &n), 1);
	assert_rv_ok(C_DeriveKey(h, &m, p11_find(h, CKO_PRIVATE_KEY, 1), t, 3, &key));
	assert_rv_ok(C_GetAttributeValue(h, key, &value, 1));
	assert_memory_equal(got, want, sizeof want);
	point[64] ^= 1; /* not on the curve */
	assert_rv(C_DeriveKey(h, &m, p11_find(h, CKO_PRIVATE_KEY, 1), t, 3, &key), CKR_MECHANISM_PARAM_INVALID);
	EVP_PKEY_free(peer);
}

static void
a_module_that_others_use_is_not_finalised(void **state)
{
	CK_SESSION_HANDLE h, own;
	CK_INFO info;

	(void)state;
	soft_start();
	h = start(true);
	assert_rv_ok(sign(h, p11_find(h, CKO_PRIVATE_KEY, 1)));
	assert_rv_ok(C_Finalize(NULL));
	assert_rv_ok(soft->C_GetInfo(&info));
	own = soft_session();
	assert_rv_ok(soft->C_CloseSession(own));
}

static void
a_login_by_others_is_not_ended(void **state)
{
	CK_SESSION_HANDLE own, h;
	CK_SESSION_INFO info;

	(void)state;
	soft_start();
	own = soft_session();
	h = start(false);
	assert_rv(p11_login(h, CKU_USER, PIN), CKR_USER_ALREADY_LOGGED_IN);
	assert_rv_ok(sign(h, p11_find(h, CKO_PRIVATE_KEY, 1)));
	assert_rv_ok(C_CloseSession(h));
	assert_rv_ok(soft->C_GetSessionInfo(own, &info));
	assert_int_equal(info.state, CKS_RW_USER_FUNCTIONS);
}

static void
objects_that_come_and_go(void **state)
{
	CK_SESSION_HANDLE own, h;
	CK_OBJECT_CLASS class = CKO_CERTIFICATE;
	CK_ATTRIBUTE t = { CKA_CLASS, &class, sizeof class };
	CK_OBJECT_HANDLE cert, key;
	CK_ULONG n = 0;

	(void)state;
	soft_start();
	own = soft_session();
	h = start(false);
	(void)p11_login(h, CKU_USER, PIN);
	key = p11_find(h, CKO_PRIVATE_KEY, 1);
	assert_rv_ok(soft->C_FindObjectsInit(own, &t, 1));
	assert_rv_ok(soft->C_FindObjects(own, &cert, 1, &n));
	assert_rv_ok(soft->C_FindObjectsFinal(own));
	assert_rv_ok(soft->C_DestroyObject(own, cert));
	assert_int_equal(p11_find(h, CKO_CERTIFICATE, 1), 0);
	assert_rv(sign(h, key), CKR_KEY_HANDLE_INVALID);
	put_cert(own);
	assert_int_not_equal(p11_find(h, CKO_CERTIFICATE, 1), 0);
	assert_rv_ok(sign(h, p11_find(h, CKO_PRIVATE_KEY, 1)));
}

static void
a_module_that_others_finalise_comes_back(void **state)
{
	CK_SESSION_HANDLE h;
	CK_OBJECT_HANDLE key;

	(void)state;
	soft_start();
	h = start(true);
	key = p11_find(h, CKO_PRIVATE_KEY, 1);
	assert_rv_ok(soft->C_Finalize(NULL));
	assert_rv(sign(h, key), CKR_DEVICE_REMOVED);
	assert_rv_ok(p11_login(h, CKU_USER, PIN));
	assert_rv_ok(sign(h, p11_find(h, CKO_PRIVATE_KEY, 1)));
}

/* In the child: what the parent had is gone, its login too. */
static int
child(CK_SESSION_HANDLE old)
{
	CK_SESSION_INFO info;
	CK_SESSION_HANDLE h;

	if (C_GetSessionInfo(old, &info) != CKR_CRYPTOKI_NOT_INITIALIZED || C_Initialize(NULL) != CKR_OK)
		return 1;
	if (C_OpenSession(SLOT, CKF_SERIAL_SESSION, NULL, NULL, &h) != CKR_OK)
		return 2;
	if (C_GetSessionInfo(h, &info) != CKR_OK || info.state != CKS_RO_PUBLIC_SESSION)
		return 3;
	if (p11_find(h, CKO_PRIVATE_KEY, 1) != 0 || p11_login(h, CKU_USER, PIN_BAD) != CKR_PIN_INCORRECT)
		return 4;
	if (p11_login(h, CKU_USER, PIN) != CKR_OK || sign(h, p11_find(h, CKO_PRIVATE_KEY, 1)) != CKR_OK)
		return 5;
	return C_Finalize(NULL) == CKR_OK ? 0 : 6;
}

static void
a_forked_child_logs_in_by_itself(void **state)
{
	CK_SESSION_HANDLE h = start(true);
	CK_OBJECT_HANDLE key = p11_find(h, CKO_PRIVATE_KEY, 1);
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(child(h));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_rv_ok(sign(h, key));
}

static void
software_is_no_hardware(void **state)
{
	CK_MECHANISM_INFO m;
	CK_SLOT_INFO slot;

	(void)state;
	(void)start(false);
	assert_rv_ok(C_GetSlotInfo(SLOT, &slot));
	assert_true((slot.flags & CKF_TOKEN_PRESENT) != 0);
	assert_true((slot.flags & CKF_HW_SLOT) == 0);
	assert_rv_ok(C_GetMechanismInfo(SLOT, CKM_ECDSA, &m));
	assert_true((m.flags & CKF_SIGN) != 0 && (m.flags & CKF_HW) == 0);
	assert_rv(C_GetMechanismInfo(SLOT, CKM_EC_KEY_PAIR_GEN, &m), CKR_MECHANISM_INVALID);
}

static void
nothing_is_written(void **state)
{
	CK_SESSION_HANDLE h = start(true);
	CK_OBJECT_CLASS class = CKO_DATA;
	CK_BBOOL yes = CK_TRUE;
	CK_BYTE value[] = "x";
	CK_ATTRIBUTE t[] = { { CKA_CLASS, &class, sizeof class }, { CKA_VALUE, value, 1 }, { CKA_TOKEN, &yes, 1 } };
	CK_OBJECT_HANDLE o;

	(void)state;
	assert_rv(C_CreateObject(h, t, 3, &o), CKR_TOKEN_WRITE_PROTECTED);
	assert_rv_ok(C_CreateObject(h, t, 2, &o)); /* a session object */
	assert_rv_ok(C_DestroyObject(h, o));
	assert_rv(C_DestroyObject(h, p11_find(h, CKO_CERTIFICATE, 1)), CKR_ACTION_PROHIBITED);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_teardown(f, stop)
	const struct CMUnitTest tests[] = {
		TEST(a_login_shows_and_a_logout_ends),
		TEST(parts_and_verification),
		TEST(an_abandoned_operation_is_no_hindrance),
		TEST(key_agreement_with_a_kdf_in_software),
		TEST(a_module_that_others_use_is_not_finalised),
		TEST(a_login_by_others_is_not_ended),
		TEST(objects_that_come_and_go),
		TEST(a_module_that_others_finalise_comes_back),
		TEST(a_forked_child_logs_in_by_itself),
		TEST(software_is_no_hardware),
		TEST(nothing_is_written),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
