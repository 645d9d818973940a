/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Verifying (PKCS#11 2.40, 5.12), with the public key of the pair.
 */
#include <string.h>

#include "tests/p11/conform.h"

static CK_BYTE in[32], sig[1024];
static CK_ULONG len;

static struct keypair
signed_by(CK_MECHANISM_TYPE (*which)(const struct keypair *), struct keypair k)
{
	if (k.pub == CK_INVALID_HANDLE)
		rule_na("the token has no public key");
	need_mech(which(&k), CKF_VERIFY);
	memset(in, 'm', sizeof in);
	len = make_signature(&k, which(&k), sig, sizeof sig);
	return k;
}

static CK_MECHANISM_TYPE
plain_of(const struct keypair *k)
{
	return k->plain;
}

static CK_MECHANISM_TYPE
hashed_of(const struct keypair *k)
{
	return k->hashed;
}

static struct keypair
plain(void)
{
	return signed_by(plain_of, sign_key());
}

static struct keypair
hashed(void)
{
	return signed_by(hashed_of, hash_sign_key());
}

static void
init(const struct keypair *k, CK_MECHANISM_TYPE type)
{
	CK_MECHANISM m = MECH(type);

	OK(F->C_VerifyInit(k->h, &m, k->pub));
}

static void
good(void)
{
	struct keypair k = plain();

	init(&k, k.plain);
	OK(F->C_Verify(k.h, in, sizeof in, sig, len));
	WANT(F->C_Verify(k.h, in, sizeof in, sig, len), CKR_OPERATION_NOT_INITIALIZED);
}

static void
without_login(void)
{
	struct keypair k = plain();

	OK(F->C_Logout(k.h));
	if (flag(k.h, k.pub, CKA_PRIVATE))
		rule_na("the public key is private");
	init(&k, k.plain);
	OK(F->C_Verify(k.h, in, sizeof in, sig, len));
}

static void
wrong(void)
{
	struct keypair k = plain();

	sig[len / 2] ^= 1;
	init(&k, k.plain);
	WANT(F->C_Verify(k.h, in, sizeof in, sig, len), CKR_SIGNATURE_INVALID);
	WANT(F->C_Verify(k.h, in, sizeof in, sig, len), CKR_OPERATION_NOT_INITIALIZED);
}

static void
other_data(void)
{
	struct keypair k = plain();

	in[0] ^= 1;
	init(&k, k.plain);
	WANT(F->C_Verify(k.h, in, sizeof in, sig, len), CKR_SIGNATURE_INVALID);
}

static void
length(void)
{
	struct keypair k = plain();

	init(&k, k.plain);
	WANT(F->C_Verify(k.h, in, sizeof in, sig, 4), CKR_SIGNATURE_LEN_RANGE);
	init(&k, k.plain);
	WANT(F->C_Verify(k.h, in, sizeof in, sig, len + 1), CKR_SIGNATURE_LEN_RANGE);
	init(&k, k.plain);
	WANT(F->C_Verify(k.h, in, sizeof in, sig, 0), CKR_SIGNATURE_LEN_RANGE);
}

static void
error_ends(void)
{
	struct keypair k = plain();

	init(&k, k.plain);
	WANT(F->C_Verify(k.h, NULL, sizeof in, sig, len), CKR_ARGUMENTS_BAD);
	init(&k, k.plain);
	WANT(F->C_Verify(k.h, in, sizeof in, NULL, len), CKR_ARGUMENTS_BAD);
	init(&k, k.plain);
	OK(F->C_Verify(k.h, in, sizeof in, sig, len));
}

static void
parts(void)
{
	struct keypair k = hashed();

	init(&k, k.hashed);
	OK(F->C_VerifyUpdate(k.h, in, 5));
	OK(F->C_VerifyUpdate(k.h, in + 5, sizeof in - 5));
	OK(F->C_VerifyFinal(k.h, sig, len));
	WANT(F->C_VerifyFinal(k.h, sig, len), CKR_OPERATION_NOT_INITIALIZED);
	init(&k, k.hashed);
	OK(F->C_VerifyUpdate(k.h, in, 5));
	WANT(F->C_VerifyFinal(k.h, sig, len), CKR_SIGNATURE_INVALID);
}

static void
update_error_ends(void)
{
	struct keypair k = hashed();

	init(&k, k.hashed);
	WANT(F->C_VerifyUpdate(k.h, NULL, 5), CKR_ARGUMENTS_BAD);
	WANT(F->C_VerifyFinal(k.h, sig, len), CKR_OPERATION_NOT_INITIALIZED);
}

static void
after_update(void)
{
	struct keypair k = hashed();

	init(&k, k.hashed);
	OK(F->C_VerifyUpdate(k.h, in, 5));
	WANT(F->C_Verify(k.h, in, sizeof in, sig, len), CKR_OPERATION_ACTIVE);
}

static void
twice(void)
{
	struct keypair k = plain();
	CK_MECHANISM m = MECH(k.plain);

	init(&k, k.plain);
	WANT(F->C_VerifyInit(k.h, &m, k.pub), CKR_OPERATION_ACTIVE);
	OK(F->C_Verify(k.h, in, sizeof in, sig, len));
}

static void
init_key(void)
{
	struct keypair k = plain();
	CK_MECHANISM m = MECH(k.plain);

	WANT(F->C_VerifyInit(k.h, &m, BAD_OBJECT), CKR_KEY_HANDLE_INVALID);
	WANT(F->C_VerifyInit(k.h, &m, k.priv), CKR_KEY_FUNCTION_NOT_PERMITTED, CKR_KEY_TYPE_INCONSISTENT);
	m.mechanism = BAD_MECH;
	WANT(F->C_VerifyInit(k.h, &m, k.pub), CKR_MECHANISM_INVALID);
	init(&k, k.plain);
}

static void
init_type(void)
{
	struct keypair k = plain();
	CK_MECHANISM m = MECH(k.plain == CKM_RSA_PKCS ? CKM_ECDSA : CKM_RSA_PKCS);

	need_mech(m.mechanism, CKF_VERIFY);
	WANT(F->C_VerifyInit(k.h, &m, k.pub), CKR_KEY_TYPE_INCONSISTENT);
}

static void
not_initialized(void)
{
	CK_SESSION_HANDLE h = ro();

	WANT(F->C_Verify(h, in, sizeof in, sig, 64), CKR_OPERATION_NOT_INITIALIZED);
	WANT(F->C_VerifyUpdate(h, in, sizeof in), CKR_OPERATION_NOT_INITIALIZED);
	WANT(F->C_VerifyFinal(h, sig, 64), CKR_OPERATION_NOT_INITIALIZED);
}

static void
pss(void)
{
	struct keypair k = sign_key();
	CK_RSA_PKCS_PSS_PARAMS p = { CKM_SHA256, CKG_MGF1_SHA256, 32 };
	CK_MECHANISM m = { CKM_RSA_PKCS_PSS, &p, sizeof p };

	need_mech(CKM_RSA_PKCS_PSS, CKF_SIGN | CKF_VERIFY);
	if (k.plain != CKM_RSA_PKCS || k.pub == CK_INVALID_HANDLE)
		rule_na("the token has no RSA key pair");
	OK(F->C_SignInit(k.h, &m, k.priv));
	len = sizeof sig;
	OK(F->C_Sign(k.h, in, 32, sig, &len));
	OK(F->C_VerifyInit(k.h, &m, k.pub));
	OK(F->C_Verify(k.h, in, 32, sig, len));
	p.sLen = 20;
	OK(F->C_VerifyInit(k.h, &m, k.pub));
	WANT(F->C_Verify(k.h, in, 32, sig, len), CKR_SIGNATURE_INVALID);
}

static const struct rule table[] = {
	{ "C_VerifyInit.twice", twice },
	{ "C_VerifyInit.key", init_key },
	{ "C_VerifyInit.key_type", init_type },
	{ "C_Verify.good", good },
	{ "C_Verify.without_login", without_login },
	{ "C_Verify.wrong_signature", wrong },
	{ "C_Verify.other_data", other_data },
	{ "C_Verify.length", length },
	{ "C_Verify.error_ends", error_ends },
	{ "C_Verify.after_update", after_update },
	{ "C_Verify.not_initialized", not_initialized },
	{ "C_Verify.pss", pss },
	{ "C_VerifyUpdate.parts", parts },
	{ "C_VerifyUpdate.error_ends", update_error_ends },
};
RULES(rules_verify, table);
