/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Encryption with the token's RSA public key and decryption with its private one (PKCS#11 2.40, 5.8, 5.9; RFC 8017).
 */
#include <string.h>

#include "tests/p11/conform.h"

static CK_BYTE text[] = "to be kept secret", enc[1024], out[1024];
static CK_ULONG n, len;

static CK_MECHANISM pkcs = { CKM_RSA_PKCS, NULL, 0 };

/* A key and a ciphertext for it. */
static struct keypair
encrypted(CK_MECHANISM *m)
{
	struct keypair k = decrypt_key();

	need_mech(m->mechanism, CKF_ENCRYPT | CKF_DECRYPT);
	if (k.pub == CK_INVALID_HANDLE)
		rule_na("the token has no public key");
	OK(F->C_EncryptInit(k.h, m, k.pub));
	len = sizeof enc;
	OK(F->C_Encrypt(k.h, text, sizeof text, enc, &len));
	HOLDS(len == k.size);
	n = sizeof out;
	return k;
}

static void
init(const struct keypair *k)
{
	OK(F->C_DecryptInit(k->h, &pkcs, k->priv));
	n = sizeof out;
}

static void
is_text(void)
{
	HOLDS(n == sizeof text && memcmp(out, text, n) == 0);
}

static void
round_trip(void)
{
	struct keypair k = encrypted(&pkcs);

	init(&k);
	OK(F->C_Decrypt(k.h, enc, len, out, &n));
	is_text();
	WANT(F->C_Decrypt(k.h, enc, len, out, &n), CKR_OPERATION_NOT_INITIALIZED);
}

static void
oaep(void)
{
	CK_RSA_PKCS_OAEP_PARAMS p = { CKM_SHA_1, CKG_MGF1_SHA1, CKZ_DATA_SPECIFIED, NULL, 0 };
	CK_MECHANISM m = { CKM_RSA_PKCS_OAEP, &p, sizeof p };
	struct keypair k = encrypted(&m);

	OK(F->C_DecryptInit(k.h, &m, k.priv));
	OK(F->C_Decrypt(k.h, enc, len, out, &n));
	is_text();
}

static void
oaep_parameters(void)
{
	struct keypair k = decrypt_key();
	CK_RSA_PKCS_OAEP_PARAMS p = { BAD_MECH, CKG_MGF1_SHA1, CKZ_DATA_SPECIFIED, NULL, 0 };
	CK_MECHANISM m = { CKM_RSA_PKCS_OAEP, NULL, 0 };

	need_mech(CKM_RSA_PKCS_OAEP, CKF_DECRYPT);
	WANT(F->C_DecryptInit(k.h, &m, k.priv), CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD);
	m.pParameter = &p;
	m.ulParameterLen = sizeof p;
	WANT(F->C_DecryptInit(k.h, &m, k.priv), CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD);
	m.ulParameterLen = 3;
	WANT(F->C_DecryptInit(k.h, &m, k.priv), CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD);
	init(&k);
}

/* The length that is told may be more than there will be. */
static void
length(void)
{
	struct keypair k = encrypted(&pkcs);

	init(&k);
	n = 0;
	OK(F->C_Decrypt(k.h, enc, len, NULL, &n));
	HOLDS(n >= sizeof text && n <= k.size);
	OK(F->C_Decrypt(k.h, enc, len, out, &n));
	is_text();
}

static void
too_small(void)
{
	struct keypair k = encrypted(&pkcs);

	init(&k);
	n = 3;
	WANT(F->C_Decrypt(k.h, enc, len, out, &n), CKR_BUFFER_TOO_SMALL);
	HOLDS(n >= sizeof text && n <= k.size);
	OK(F->C_Decrypt(k.h, enc, len, out, &n));
	is_text();
}

/* A buffer that holds the text is enough, though the key could hold more. */
static void
enough(void)
{
	struct keypair k = encrypted(&pkcs);
	CK_RV rv;

	init(&k);
	n = sizeof text;
	rv = F->C_Decrypt(k.h, enc, len, out, &n);
	WANT(rv, CKR_OK, CKR_BUFFER_TOO_SMALL);
	if (rv == CKR_BUFFER_TOO_SMALL)
		OK(F->C_Decrypt(k.h, enc, len, out, &n));
	is_text();
}

static void
wrong_length(void)
{
	struct keypair k = encrypted(&pkcs);

	init(&k);
	WANT(F->C_Decrypt(k.h, enc, len - 1, out, &n), CKR_ENCRYPTED_DATA_LEN_RANGE);
	init(&k);
	WANT(F->C_Decrypt(k.h, enc, 0, out, &n), CKR_ENCRYPTED_DATA_LEN_RANGE);
	init(&k);
	OK(F->C_Decrypt(k.h, enc, len, out, &n));
}

static void
error_ends(void)
{
	struct keypair k = encrypted(&pkcs);

	init(&k);
	WANT(F->C_Decrypt(k.h, enc, len, out, NULL), CKR_ARGUMENTS_BAD);
	WANT(F->C_Decrypt(k.h, enc, len, out, &n), CKR_OPERATION_NOT_INITIALIZED);
	init(&k);
	WANT(F->C_Decrypt(k.h, NULL, len, out, &n), CKR_ARGUMENTS_BAD);
	init(&k);
	OK(F->C_Decrypt(k.h, enc, len, out, &n));
}

/* What is too long for the key. */
static void
encrypt_too_long(void)
{
	static CK_BYTE longer[1024];
	struct keypair k = encrypted(&pkcs);

	OK(F->C_EncryptInit(k.h, &pkcs, k.pub));
	n = sizeof out;
	WANT(F->C_Encrypt(k.h, longer, k.size - 10, out, &n), CKR_DATA_LEN_RANGE);
	OK(F->C_EncryptInit(k.h, &pkcs, k.pub));
	n = sizeof out;
	OK(F->C_Encrypt(k.h, longer, k.size - 11, out, &n));
}

static void
encrypt_length(void)
{
	struct keypair k = encrypted(&pkcs);

	OK(F->C_EncryptInit(k.h, &pkcs, k.pub));
	n = 0;
	OK(F->C_Encrypt(k.h, text, sizeof text, NULL, &n));
	HOLDS(n == k.size);
	n = 1;
	WANT(F->C_Encrypt(k.h, text, sizeof text, out, &n), CKR_BUFFER_TOO_SMALL);
	HOLDS(n == k.size);
	OK(F->C_Encrypt(k.h, text, sizeof text, out, &n));
}

static void
encrypt_with_private(void)
{
	struct keypair k = decrypt_key();

	need_mech(CKM_RSA_PKCS, CKF_ENCRYPT);
	WANT(F->C_EncryptInit(k.h, &pkcs, k.priv), CKR_KEY_FUNCTION_NOT_PERMITTED, CKR_KEY_TYPE_INCONSISTENT);
	if (k.pub != CK_INVALID_HANDLE)
		WANT(F->C_DecryptInit(k.h, &pkcs, k.pub), CKR_KEY_FUNCTION_NOT_PERMITTED, CKR_KEY_TYPE_INCONSISTENT);
}

static const struct rule table[] = {
	{ "C_Encrypt.rsa_too_long", encrypt_too_long },
	{ "C_Encrypt.rsa_length", encrypt_length },
	{ "C_EncryptInit.rsa_private_key", encrypt_with_private },
	{ "C_Decrypt.rsa", round_trip },
	{ "C_Decrypt.rsa_oaep", oaep },
	{ "C_Decrypt.rsa_length", length },
	{ "C_Decrypt.rsa_too_small", too_small },
	{ "C_Decrypt.rsa_enough_room", enough },
	{ "C_Decrypt.rsa_wrong_length", wrong_length },
	{ "C_Decrypt.rsa_error_ends", error_ends },
	{ "C_DecryptInit.rsa_oaep_parameters", oaep_parameters },
};
RULES(rules_rsa, table);
