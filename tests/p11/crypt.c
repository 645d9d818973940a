/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Encryption and decryption with a secret key (PKCS#11 2.40, 5.8, 5.9; lengths by 5.2; AES: 2.40 current mechanisms,
 * 2.8; values of NIST SP 800-38A, F.1.1 and F.2.1).
 */
#include <string.h>

#include "tests/p11/conform.h"

#define BLOCK 16

static CK_BYTE plain[4 * BLOCK] = { 0x6b, 0xc1, 0xbe, 0xe2, 0x2e, 0x40, 0x9f, 0x96, 0xe9, 0x3d, 0x7e, 0x11, 0x73, 0x93,
	0x17, 0x2a };
static CK_BYTE iv[BLOCK] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
static const CK_BYTE ecb_first[BLOCK] = { 0x3a, 0xd7, 0x7b, 0xb4, 0x0d, 0x7a, 0x36, 0x60, 0xa8, 0x9e, 0xca, 0xf3, 0x24,
	0x66, 0xef, 0x97 };
static const CK_BYTE cbc_first[BLOCK] = { 0x76, 0x49, 0xab, 0xac, 0x81, 0x19, 0xb2, 0x46, 0xce, 0xe9, 0x8e, 0x9b, 0x12,
	0xe9, 0x19, 0x7d };
static CK_BYTE out[256], back[256];
static CK_ULONG n, m;

struct aes {
	CK_SESSION_HANDLE h;
	CK_OBJECT_HANDLE key;
	CK_MECHANISM mech;
};

static struct aes
aes(CK_MECHANISM_TYPE type)
{
	struct aes a = { .h = ro() };

	need_mech(type, CKF_ENCRYPT | CKF_DECRYPT);
	a.key = aes_key(a.h);
	a.mech = (CK_MECHANISM){ type, type == CKM_AES_ECB ? NULL : iv, type == CKM_AES_ECB ? 0 : sizeof iv };
	return a;
}

static void
begin(struct aes *a, bool encrypt)
{
	if (encrypt)
		OK(F->C_EncryptInit(a->h, &a->mech, a->key));
	else
		OK(F->C_DecryptInit(a->h, &a->mech, a->key));
	memset(out, 0xA5, sizeof out);
	n = sizeof out;
}

static void
value(CK_MECHANISM_TYPE type, const CK_BYTE *first)
{
	struct aes a = aes(type);

	begin(&a, true);
	OK(F->C_Encrypt(a.h, plain, sizeof plain, out, &n));
	HOLDS(n == sizeof plain && memcmp(out, first, BLOCK) == 0);
	OK(F->C_DecryptInit(a.h, &a.mech, a.key));
	m = sizeof back;
	OK(F->C_Decrypt(a.h, out, n, back, &m));
	HOLDS(m == sizeof plain && memcmp(back, plain, m) == 0);
}

static void
ecb(void)
{
	value(CKM_AES_ECB, ecb_first);
}

static void
cbc(void)
{
	value(CKM_AES_CBC, cbc_first);
}

static void
cbc_pad(void)
{
	struct aes a = aes(CKM_AES_CBC_PAD);

	for (CK_ULONG size = 0; size <= 2 * BLOCK; size++) {
		begin(&a, true);
		OK(F->C_Encrypt(a.h, plain, size, out, &n));
		HOLDS(n == (size / BLOCK + 1) * BLOCK);
		OK(F->C_DecryptInit(a.h, &a.mech, a.key));
		m = sizeof back;
		OK(F->C_Decrypt(a.h, out, n, back, &m));
		HOLDS(m == size && memcmp(back, plain, m) == 0);
	}
}

static void
parts(CK_MECHANISM_TYPE type)
{
	struct aes a = aes(type);
	CK_BYTE whole[sizeof out];
	CK_ULONG all = 0, len;

	begin(&a, true);
	OK(F->C_Encrypt(a.h, plain, sizeof plain, whole, &n));
	len = n;
	begin(&a, true);
	for (int i = 0; i < 4; i++) {
		n = sizeof out - all;
		OK(F->C_EncryptUpdate(a.h, plain + i * BLOCK, BLOCK, out + all, &n));
		all += n;
	}
	n = sizeof out - all;
	OK(F->C_EncryptFinal(a.h, out + all, &n));
	HOLDS(all + n == len && memcmp(out, whole, len) == 0);
}

static void
ecb_parts(void)
{
	parts(CKM_AES_ECB);
}

static void
cbc_parts(void)
{
	parts(CKM_AES_CBC);
}

static void
pad_parts(void)
{
	parts(CKM_AES_CBC_PAD);
}

static void
decrypt_parts(void)
{
	struct aes a = aes(CKM_AES_CBC_PAD);
	CK_ULONG len, all = 0;

	begin(&a, true);
	OK(F->C_Encrypt(a.h, plain, 40, out, &n));
	len = n;
	OK(F->C_DecryptInit(a.h, &a.mech, a.key));
	for (CK_ULONG i = 0; i < len; i++) { /* byte by byte */
		m = sizeof back - all;
		OK(F->C_DecryptUpdate(a.h, out + i, 1, back + all, &m));
		all += m;
	}
	m = sizeof back - all;
	OK(F->C_DecryptFinal(a.h, back + all, &m));
	HOLDS(all + m == 40 && memcmp(back, plain, 40) == 0);
}

static void
lengths(void)
{
	struct aes a = aes(CKM_AES_CBC);

	begin(&a, true);
	n = 0;
	OK(F->C_Encrypt(a.h, plain, sizeof plain, NULL, &n));
	HOLDS(n == sizeof plain);
	n = sizeof plain - 1;
	WANT(F->C_Encrypt(a.h, plain, sizeof plain, out, &n), CKR_BUFFER_TOO_SMALL);
	HOLDS(n == sizeof plain && out[0] == 0xA5);
	OK(F->C_Encrypt(a.h, plain, sizeof plain, out, &n));
	OK(F->C_DecryptInit(a.h, &a.mech, a.key));
	OK(F->C_Decrypt(a.h, out, n, NULL, &m));
	HOLDS(m >= sizeof plain);
	m = sizeof plain - 1;
	WANT(F->C_Decrypt(a.h, out, n, back, &m), CKR_BUFFER_TOO_SMALL);
	m = sizeof back;
	OK(F->C_Decrypt(a.h, out, n, back, &m));
	HOLDS(m == sizeof plain && memcmp(back, plain, m) == 0);
}

static void
update_lengths(void)
{
	struct aes a = aes(CKM_AES_CBC);

	begin(&a, true);
	n = 0;
	OK(F->C_EncryptUpdate(a.h, plain, BLOCK, NULL, &n));
	HOLDS(n >= BLOCK);
	n = BLOCK - 1;
	WANT(F->C_EncryptUpdate(a.h, plain, BLOCK, out, &n), CKR_BUFFER_TOO_SMALL);
	n = sizeof out;
	OK(F->C_EncryptUpdate(a.h, plain, BLOCK, out, &n)); /* nothing was taken in before */
	HOLDS(n == BLOCK && memcmp(out, cbc_first, BLOCK) == 0);
	n = sizeof out;
	OK(F->C_EncryptFinal(a.h, out, &n));
	HOLDS(n == 0);
}

static void
part_of_a_block(void)
{
	struct aes a = aes(CKM_AES_CBC);

	begin(&a, true);
	WANT(F->C_Encrypt(a.h, plain, BLOCK - 1, out, &n), CKR_DATA_LEN_RANGE);
	begin(&a, true); /* it ended */
	OK(F->C_EncryptUpdate(a.h, plain, BLOCK + 1, out, &n));
	n = sizeof out;
	WANT(F->C_EncryptFinal(a.h, out, &n), CKR_DATA_LEN_RANGE);
	begin(&a, false);
	WANT(F->C_Decrypt(a.h, plain, BLOCK - 1, out, &n), CKR_ENCRYPTED_DATA_LEN_RANGE);
	begin(&a, false);
	OK(F->C_DecryptUpdate(a.h, plain, BLOCK + 1, out, &n));
	n = sizeof out;
	WANT(F->C_DecryptFinal(a.h, out, &n), CKR_ENCRYPTED_DATA_LEN_RANGE);
	begin(&a, false);
}

static void
bad_padding(void)
{
	struct aes a = aes(CKM_AES_CBC_PAD);

	begin(&a, false);
	WANT(F->C_Decrypt(a.h, plain, sizeof plain, out, &n), CKR_ENCRYPTED_DATA_INVALID, CKR_ENCRYPTED_DATA_LEN_RANGE,
	    CKR_FUNCTION_FAILED);
	begin(&a, false);
	WANT(F->C_Decrypt(a.h, plain, 0, out, &n), CKR_ENCRYPTED_DATA_LEN_RANGE, CKR_ENCRYPTED_DATA_INVALID);
}

static void
encrypt_error_ends(void)
{
	struct aes a = aes(CKM_AES_CBC);

	begin(&a, true);
	WANT(F->C_Encrypt(a.h, plain, BLOCK, out, NULL), CKR_ARGUMENTS_BAD);
	WANT(F->C_Encrypt(a.h, plain, BLOCK, out, &n), CKR_OPERATION_NOT_INITIALIZED);
	begin(&a, true);
	WANT(F->C_Encrypt(a.h, NULL, BLOCK, out, &n), CKR_ARGUMENTS_BAD);
	begin(&a, true);
	WANT(F->C_EncryptUpdate(a.h, NULL, BLOCK, out, &n), CKR_ARGUMENTS_BAD);
	begin(&a, true);
	WANT(F->C_EncryptUpdate(a.h, plain, BLOCK, out, NULL), CKR_ARGUMENTS_BAD);
	begin(&a, true);
	WANT(F->C_EncryptFinal(a.h, out, NULL), CKR_ARGUMENTS_BAD);
	begin(&a, true);
}

static void
decrypt_error_ends(void)
{
	struct aes a = aes(CKM_AES_CBC);

	begin(&a, false);
	WANT(F->C_Decrypt(a.h, plain, BLOCK, out, NULL), CKR_ARGUMENTS_BAD);
	WANT(F->C_Decrypt(a.h, plain, BLOCK, out, &n), CKR_OPERATION_NOT_INITIALIZED);
	begin(&a, false);
	WANT(F->C_Decrypt(a.h, NULL, BLOCK, out, &n), CKR_ARGUMENTS_BAD);
	begin(&a, false);
	WANT(F->C_DecryptUpdate(a.h, NULL, BLOCK, out, &n), CKR_ARGUMENTS_BAD);
	begin(&a, false);
	WANT(F->C_DecryptFinal(a.h, out, NULL), CKR_ARGUMENTS_BAD);
	begin(&a, false);
}

static void
after_update(void)
{
	struct aes a = aes(CKM_AES_CBC);

	begin(&a, true);
	OK(F->C_EncryptUpdate(a.h, plain, BLOCK, out, &n));
	n = sizeof out;
	WANT(F->C_Encrypt(a.h, plain, BLOCK, out, &n), CKR_OPERATION_ACTIVE);
	a.h = open_session(0);
	begin(&a, false);
	OK(F->C_DecryptUpdate(a.h, plain, BLOCK, out, &n));
	n = sizeof out;
	WANT(F->C_Decrypt(a.h, plain, BLOCK, out, &n), CKR_OPERATION_ACTIVE);
}

/* A length asked of C_Encrypt says that this will be a one-shot operation. */
static void
update_after_length(void)
{
	struct aes a = aes(CKM_AES_CBC);

	begin(&a, true);
	n = 0;
	OK(F->C_Encrypt(a.h, plain, BLOCK, NULL, &n));
	n = sizeof out;
	WANT(F->C_EncryptUpdate(a.h, plain, BLOCK, out, &n), CKR_OPERATION_ACTIVE);
}

/* Final at once: nothing went in, nothing comes out. */
static void
final_at_once(void)
{
	struct aes a = aes(CKM_AES_CBC);

	begin(&a, true);
	OK(F->C_EncryptFinal(a.h, out, &n));
	HOLDS(n == 0);
	begin(&a, false);
	OK(F->C_DecryptFinal(a.h, out, &n));
	HOLDS(n == 0);
}

static void
not_initialized(void)
{
	CK_SESSION_HANDLE h = ro();

	n = sizeof out;
	WANT(F->C_Encrypt(h, plain, BLOCK, out, &n), CKR_OPERATION_NOT_INITIALIZED);
	WANT(F->C_EncryptUpdate(h, plain, BLOCK, out, &n), CKR_OPERATION_NOT_INITIALIZED);
	WANT(F->C_EncryptFinal(h, out, &n), CKR_OPERATION_NOT_INITIALIZED);
	WANT(F->C_Decrypt(h, plain, BLOCK, out, &n), CKR_OPERATION_NOT_INITIALIZED);
	WANT(F->C_DecryptUpdate(h, plain, BLOCK, out, &n), CKR_OPERATION_NOT_INITIALIZED);
	WANT(F->C_DecryptFinal(h, out, &n), CKR_OPERATION_NOT_INITIALIZED);
}

static void
init_twice(void)
{
	struct aes a = aes(CKM_AES_CBC);

	begin(&a, true);
	WANT(F->C_EncryptInit(a.h, &a.mech, a.key), CKR_OPERATION_ACTIVE);
	OK(F->C_Encrypt(a.h, plain, BLOCK, out, &n));
	OK(F->C_DecryptInit(a.h, &a.mech, a.key));
	WANT(F->C_DecryptInit(a.h, &a.mech, a.key), CKR_OPERATION_ACTIVE);
	OK(F->C_Decrypt(a.h, out, n, out, &n)); /* in place */
	HOLDS(n == BLOCK && memcmp(out, plain, BLOCK) == 0);
}

static void
init_wrong(void)
{
	struct aes a = aes(CKM_AES_CBC);
	CK_MECHANISM bad = MECH(999), rsa = MECH(CKM_RSA_PKCS), none = MECH(CKM_AES_CBC), odd = { CKM_AES_CBC, iv, 15 };

	WANT(F->C_EncryptInit(a.h, &bad, a.key), CKR_MECHANISM_INVALID);
	WANT(F->C_DecryptInit(a.h, &bad, a.key), CKR_MECHANISM_INVALID);
	WANT(F->C_EncryptInit(a.h, &a.mech, BAD_OBJECT), CKR_KEY_HANDLE_INVALID);
	WANT(F->C_DecryptInit(a.h, &a.mech, BAD_OBJECT), CKR_KEY_HANDLE_INVALID);
	WANT(F->C_EncryptInit(a.h, NULL, a.key), CKR_ARGUMENTS_BAD, CKR_MECHANISM_INVALID,
	    CKR_OPERATION_NOT_INITIALIZED);
	WANT(F->C_DecryptInit(a.h, NULL, a.key), CKR_ARGUMENTS_BAD, CKR_MECHANISM_INVALID,
	    CKR_OPERATION_NOT_INITIALIZED);
	if (mech_can(CKM_RSA_PKCS, CKF_ENCRYPT))
		WANT(F->C_EncryptInit(a.h, &rsa, a.key), CKR_KEY_TYPE_INCONSISTENT);
	if (mech_can(CKM_RSA_PKCS, CKF_DECRYPT))
		WANT(F->C_DecryptInit(a.h, &rsa, a.key), CKR_KEY_TYPE_INCONSISTENT);
	WANT(F->C_EncryptInit(a.h, &none, a.key), CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD);
	WANT(F->C_DecryptInit(a.h, &odd, a.key), CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD);
	begin(&a, true);
}

static void
init_not_permitted(void)
{
	struct aes a = aes(CKM_AES_CBC);
	CK_ATTRIBUTE t[] = { ATTR(CKA_ENCRYPT, no), ATTR(CKA_DECRYPT, no) };

	a.key = secret_key(a.h, CKK_AES, t, 2);
	WANT(F->C_EncryptInit(a.h, &a.mech, a.key), CKR_KEY_FUNCTION_NOT_PERMITTED);
	WANT(F->C_DecryptInit(a.h, &a.mech, a.key), CKR_KEY_FUNCTION_NOT_PERMITTED);
}

static void
key_destroyed(void)
{
	struct aes a = aes(CKM_AES_CBC);

	begin(&a, true);
	OK(F->C_DestroyObject(a.h, a.key));
	WANT(F->C_Encrypt(a.h, plain, BLOCK, out, &n), CKR_OK, CKR_KEY_HANDLE_INVALID, CKR_OPERATION_NOT_INITIALIZED,
	    CKR_OBJECT_HANDLE_INVALID);
	WANT(F->C_EncryptInit(a.h, &a.mech, a.key), CKR_KEY_HANDLE_INVALID);
}

/* RFC 3394, 4.1 */
static void
key_wrap(void)
{
	static CK_BYTE kek[16] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
	static CK_BYTE data[16] = { 0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd,
		0xee, 0xff };
	static const CK_BYTE wrapped[24] = { 0x1f, 0xa6, 0x8b, 0x0a, 0x81, 0x12, 0xb4, 0x47, 0xae, 0xf3, 0x4b, 0xd8,
		0xfb, 0x5a, 0x7b, 0x82, 0x9d, 0x3e, 0x86, 0x23, 0x71, 0xd2, 0xcf, 0xe5 };
	CK_SESSION_HANDLE h = ro();
	CK_OBJECT_CLASS class = CKO_SECRET_KEY;
	CK_KEY_TYPE type = CKK_AES;
	CK_ATTRIBUTE t[] = { ATTR(CKA_CLASS, class), ATTR(CKA_KEY_TYPE, type), ATTR(CKA_PRIVATE, no),
		ATTR(CKA_VALUE, kek), ATTR(CKA_ENCRYPT, yes), ATTR(CKA_DECRYPT, yes) };
	CK_MECHANISM w = MECH(CKM_AES_KEY_WRAP);
	CK_OBJECT_HANDLE key;

	need_mech(CKM_AES_KEY_WRAP, CKF_ENCRYPT | CKF_DECRYPT);
	OK(F->C_CreateObject(h, t, 6, &key));
	OK(F->C_EncryptInit(h, &w, key));
	n = sizeof out;
	OK(F->C_Encrypt(h, data, sizeof data, out, &n));
	HOLDS(n == sizeof wrapped && memcmp(out, wrapped, n) == 0);
	OK(F->C_DecryptInit(h, &w, key));
	m = sizeof back;
	OK(F->C_Decrypt(h, out, n, back, &m));
	HOLDS(m == sizeof data && memcmp(back, data, m) == 0);
	out[3] ^= 1;
	OK(F->C_DecryptInit(h, &w, key));
	m = sizeof back;
	WANT(F->C_Decrypt(h, out, n, back, &m), CKR_ENCRYPTED_DATA_INVALID, CKR_WRAPPED_KEY_INVALID);
}

static const struct rule table[] = {
	{ "C_EncryptInit.twice", init_twice },
	{ "C_EncryptInit.wrong", init_wrong },
	{ "C_EncryptInit.not_permitted", init_not_permitted },
	{ "C_Encrypt.aes_ecb", ecb },
	{ "C_Encrypt.aes_cbc", cbc },
	{ "C_Encrypt.aes_cbc_pad", cbc_pad },
	{ "C_Encrypt.aes_key_wrap", key_wrap },
	{ "C_Encrypt.lengths", lengths },
	{ "C_Encrypt.part_of_a_block", part_of_a_block },
	{ "C_Encrypt.error_ends", encrypt_error_ends },
	{ "C_Encrypt.after_update", after_update },
	{ "C_Encrypt.not_initialized", not_initialized },
	{ "C_Encrypt.key_destroyed", key_destroyed },
	{ "C_EncryptUpdate.aes_ecb", ecb_parts },
	{ "C_EncryptUpdate.aes_cbc", cbc_parts },
	{ "C_EncryptUpdate.aes_cbc_pad", pad_parts },
	{ "C_EncryptUpdate.lengths", update_lengths },
	{ "C_EncryptUpdate.after_one_shot_length", update_after_length },
	{ "C_EncryptFinal.at_once", final_at_once },
	{ "C_Decrypt.bad_padding", bad_padding },
	{ "C_Decrypt.error_ends", decrypt_error_ends },
	{ "C_DecryptUpdate.byte_by_byte", decrypt_parts },
};
RULES(rules_crypt, table);
