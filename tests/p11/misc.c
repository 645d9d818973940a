/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random numbers (PKCS#11 2.40, 5.15), dual functions (5.13) and the parallel functions of old (5.16).
 */
#include <string.h>

#include "tests/p11/conform.h"

static CK_BYTE in[32], out[256];

static void
need_rng(void)
{
	if ((token_flags() & CKF_RNG) == 0)
		rule_na("the token has no random numbers");
}

static void
random_differs(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_BYTE a[32] = { 0 }, b[32] = { 0 }, zero[32] = { 0 };

	need_rng();
	OK(F->C_GenerateRandom(h, a, sizeof a));
	OK(F->C_GenerateRandom(h, b, sizeof b));
	HOLDS(memcmp(a, b, sizeof a) != 0 && memcmp(a, zero, sizeof a) != 0);
}

static void
random_lengths(void)
{
	CK_SESSION_HANDLE h = ro();
	static CK_BYTE big[100000];

	need_rng();
	memset(out, 0xA5, sizeof out);
	OK(F->C_GenerateRandom(h, out, 1));
	HOLDS(out[1] == 0xA5);
	OK(F->C_GenerateRandom(h, out, 0));
	OK(F->C_GenerateRandom(h, big, sizeof big));
	HOLDS(big[sizeof big - 1] != 0 || big[sizeof big - 2] != 0 || big[sizeof big - 3] != 0);
}

static void
random_null(void)
{
	CK_SESSION_HANDLE h = ro();

	need_rng();
	WANT(F->C_GenerateRandom(h, NULL, 16), CKR_ARGUMENTS_BAD);
}

static void
seed(void)
{
	CK_SESSION_HANDLE h = ro();

	need_rng();
	WANT(F->C_SeedRandom(h, in, sizeof in), CKR_OK, CKR_RANDOM_SEED_NOT_SUPPORTED);
	OK(F->C_GenerateRandom(h, out, 16));
}

static void
seed_null(void)
{
	CK_SESSION_HANDLE h = ro();

	need_rng();
	WANT(F->C_SeedRandom(h, NULL, 16), CKR_ARGUMENTS_BAD, CKR_RANDOM_SEED_NOT_SUPPORTED);
}

/* --- dual functions --- */

/* Each works on two operations: without them there is nothing to update. A token says by a flag that it has them. */
static void
dual_idle(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_ULONG n = sizeof out;

	WANT(F->C_DigestEncryptUpdate(h, in, 16, out, &n), CKR_OPERATION_NOT_INITIALIZED, CKR_FUNCTION_NOT_SUPPORTED);
	WANT(F->C_DecryptDigestUpdate(h, in, 16, out, &n), CKR_OPERATION_NOT_INITIALIZED, CKR_FUNCTION_NOT_SUPPORTED);
	WANT(F->C_SignEncryptUpdate(h, in, 16, out, &n), CKR_OPERATION_NOT_INITIALIZED, CKR_FUNCTION_NOT_SUPPORTED);
	WANT(F->C_DecryptVerifyUpdate(h, in, 16, out, &n), CKR_OPERATION_NOT_INITIALIZED, CKR_FUNCTION_NOT_SUPPORTED);
}

static void
dual_flag(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_ULONG n = sizeof out;

	if ((token_flags() & CKF_DUAL_CRYPTO_OPERATIONS) == 0)
		rule_na("the token has no dual operations");
	WANT(F->C_DigestEncryptUpdate(h, in, 16, out, &n), CKR_OPERATION_NOT_INITIALIZED);
}

static void
dual_digest_encrypt(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_MECHANISM sha = MECH(CKM_SHA256), ecb = MECH(CKM_AES_ECB);
	CK_ULONG n = sizeof out;
	CK_RV rv;

	need_mech(CKM_SHA256, CKF_DIGEST);
	need_mech(CKM_AES_ECB, CKF_ENCRYPT);
	OK(F->C_DigestInit(h, &sha));
	rv = F->C_EncryptInit(h, &ecb, aes_key(h));
	if (rv == CKR_OPERATION_ACTIVE)
		rule_na("the token does one thing at a time");
	WANT(rv, CKR_OK);
	rv = F->C_DigestEncryptUpdate(h, in, 16, out, &n);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		rule_na("the token has no dual operations");
	WANT(rv, CKR_OK);
	HOLDS(n == 16);
	n = sizeof out;
	OK(F->C_EncryptFinal(h, out, &n));
	n = sizeof out;
	OK(F->C_DigestFinal(h, out, &n));
	HOLDS(n == 32);
}

/* --- parallel functions --- */

static void
status(void)
{
	CK_SESSION_HANDLE h = ro();

	WANT(F->C_GetFunctionStatus(h), CKR_FUNCTION_NOT_PARALLEL);
}

static void
cancel(void)
{
	CK_SESSION_HANDLE h = ro();

	WANT(F->C_CancelFunction(h), CKR_FUNCTION_NOT_PARALLEL);
}

static const struct rule table[] = {
	{ "C_GenerateRandom.differs", random_differs },
	{ "C_GenerateRandom.lengths", random_lengths },
	{ "C_GenerateRandom.null", random_null },
	{ "C_SeedRandom.seed", seed },
	{ "C_SeedRandom.null", seed_null },
	{ "C_DigestEncryptUpdate.without_operations", dual_idle },
	{ "C_DigestEncryptUpdate.flag", dual_flag },
	{ "C_DigestEncryptUpdate.works", dual_digest_encrypt },
	{ "C_GetFunctionStatus.not_parallel", status },
	{ "C_CancelFunction.not_parallel", cancel },
};
RULES(rules_misc, table);
