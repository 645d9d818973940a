/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Signing (PKCS#11 2.40, 5.11; lengths by 5.2), with whatever key the token has: CKM_RSA_PKCS or CKM_ECDSA, and the
 * forms that hash.
 */
#include <string.h>

#include "tests/p11/conform.h"

static CK_BYTE in[32] = { 'm' }, out[1024], big[2048];
static CK_ULONG n;

static void
init(const struct keypair *k, CK_MECHANISM_TYPE type)
{
	CK_MECHANISM m = MECH(type);

	OK(F->C_SignInit(k->h, &m, k->priv));
	n = sizeof out;
}

static void
one_shot(void)
{
	struct keypair k = sign_key();

	init(&k, k.plain);
	OK(F->C_Sign(k.h, in, sizeof in, out, &n));
	HOLDS(n == k.size);
	WANT(F->C_Sign(k.h, in, sizeof in, out, &n), CKR_OPERATION_NOT_INITIALIZED);
}

static void
read_only_session(void)
{
	struct keypair k = sign_key();

	k.h = open_session(0);
	init(&k, k.plain);
	OK(F->C_Sign(k.h, in, sizeof in, out, &n));
}

static void
length(void)
{
	struct keypair k = sign_key();

	init(&k, k.plain);
	n = 0;
	OK(F->C_Sign(k.h, in, sizeof in, NULL, &n));
	HOLDS(n == k.size);
	OK(F->C_Sign(k.h, in, sizeof in, NULL, &n)); /* as often as one likes */
	OK(F->C_Sign(k.h, in, sizeof in, out, &n));
	HOLDS(n == k.size);
}

static void
too_small(void)
{
	struct keypair k = sign_key();

	init(&k, k.plain);
	n = k.size - 1;
	memset(out, 0xA5, sizeof out);
	WANT(F->C_Sign(k.h, in, sizeof in, out, &n), CKR_BUFFER_TOO_SMALL);
	HOLDS(n == k.size && out[0] == 0xA5);
	OK(F->C_Sign(k.h, in, sizeof in, out, &n));
}

static void
error_ends(void)
{
	struct keypair k = sign_key();

	init(&k, k.plain);
	WANT(F->C_Sign(k.h, in, sizeof in, out, NULL), CKR_ARGUMENTS_BAD);
	WANT(F->C_Sign(k.h, in, sizeof in, out, &n), CKR_OPERATION_NOT_INITIALIZED);
	init(&k, k.plain); /* and the next Init works */
	WANT(F->C_Sign(k.h, NULL, sizeof in, out, &n), CKR_ARGUMENTS_BAD);
	init(&k, k.plain);
	OK(F->C_Sign(k.h, in, sizeof in, out, &n));
}

/* More than the key can take; RSA only, of ECDSA the standard says that a token may cut it off. */
static void
too_long(void)
{
	struct keypair k = sign_key();

	if (k.plain != CKM_RSA_PKCS)
		rule_na("the token has no RSA key");
	init(&k, k.plain);
	WANT(F->C_Sign(k.h, big, k.size - 10, out, &n), CKR_DATA_LEN_RANGE);
	init(&k, k.plain);
	OK(F->C_Sign(k.h, big, k.size - 11, out, &n));
}

static void
parts(void)
{
	struct keypair k = hash_sign_key();
	CK_BYTE first[1024];
	CK_ULONG len;

	init(&k, k.hashed);
	OK(F->C_SignUpdate(k.h, in, 10));
	OK(F->C_SignUpdate(k.h, in + 10, 0));
	OK(F->C_SignUpdate(k.h, in + 10, sizeof in - 10));
	OK(F->C_SignFinal(k.h, out, &n));
	HOLDS(n == k.size);
	memcpy(first, out, n);
	len = n;
	init(&k, k.hashed);
	OK(F->C_Sign(k.h, in, sizeof in, out, &n));
	if (k.plain == CKM_RSA_PKCS) /* always the same signature */
		HOLDS(n == len && memcmp(first, out, n) == 0);
}

static void
final_lengths(void)
{
	struct keypair k = hash_sign_key();

	init(&k, k.hashed);
	OK(F->C_SignUpdate(k.h, in, sizeof in));
	n = 0;
	OK(F->C_SignFinal(k.h, NULL, &n));
	HOLDS(n == k.size);
	n = 1;
	WANT(F->C_SignFinal(k.h, out, &n), CKR_BUFFER_TOO_SMALL);
	HOLDS(n == k.size);
	OK(F->C_SignFinal(k.h, out, &n));
	WANT(F->C_SignFinal(k.h, out, &n), CKR_OPERATION_NOT_INITIALIZED);
}

static void
update_error_ends(void)
{
	struct keypair k = hash_sign_key();

	init(&k, k.hashed);
	WANT(F->C_SignUpdate(k.h, NULL, 8), CKR_ARGUMENTS_BAD);
	WANT(F->C_SignFinal(k.h, out, &n), CKR_OPERATION_NOT_INITIALIZED);
	init(&k, k.hashed);
	OK(F->C_SignUpdate(k.h, in, 8));
	WANT(F->C_SignFinal(k.h, out, NULL), CKR_ARGUMENTS_BAD);
	init(&k, k.hashed);
}

static void
after_update(void)
{
	struct keypair k = hash_sign_key();

	init(&k, k.hashed);
	OK(F->C_SignUpdate(k.h, in, 8));
	WANT(F->C_Sign(k.h, in, sizeof in, out, &n), CKR_OPERATION_ACTIVE);
}

static void
twice(void)
{
	struct keypair k = sign_key();
	CK_MECHANISM m = MECH(k.plain);

	init(&k, k.plain);
	WANT(F->C_SignInit(k.h, &m, k.priv), CKR_OPERATION_ACTIVE);
	OK(F->C_Sign(k.h, in, sizeof in, out, &n));
}

static void
not_initialized(void)
{
	CK_SESSION_HANDLE h = ro();

	n = sizeof out;
	WANT(F->C_Sign(h, in, sizeof in, out, &n), CKR_OPERATION_NOT_INITIALIZED);
	WANT(F->C_SignUpdate(h, in, sizeof in), CKR_OPERATION_NOT_INITIALIZED);
	WANT(F->C_SignFinal(h, out, &n), CKR_OPERATION_NOT_INITIALIZED);
}

static void
init_key(void)
{
	struct keypair k = sign_key();
	CK_MECHANISM m = MECH(k.plain);

	WANT(F->C_SignInit(k.h, &m, BAD_OBJECT), CKR_KEY_HANDLE_INVALID);
	WANT(F->C_SignInit(k.h, &m, CK_INVALID_HANDLE), CKR_KEY_HANDLE_INVALID);
	init(&k, k.plain);
}

static void
init_not_a_key(void)
{
	struct keypair k = sign_key();
	CK_MECHANISM m = MECH(k.plain);

	WANT(F->C_SignInit(k.h, &m, data_new(k.h)), CKR_KEY_HANDLE_INVALID, CKR_KEY_TYPE_INCONSISTENT);
}

static void
init_public_key(void)
{
	struct keypair k = sign_key();
	CK_MECHANISM m = MECH(k.plain);

	if (k.pub == CK_INVALID_HANDLE)
		rule_na("the token has no public key");
	WANT(F->C_SignInit(k.h, &m, k.pub), CKR_KEY_FUNCTION_NOT_PERMITTED, CKR_KEY_TYPE_INCONSISTENT);
}

static void
init_type(void)
{
	struct keypair k = sign_key();
	CK_MECHANISM m = MECH(k.plain == CKM_RSA_PKCS ? CKM_ECDSA : CKM_RSA_PKCS);

	need_mech(m.mechanism, CKF_SIGN);
	WANT(F->C_SignInit(k.h, &m, k.priv), CKR_KEY_TYPE_INCONSISTENT);
}

static void
init_mechanism(void)
{
	struct keypair k = sign_key();
	CK_MECHANISM m = MECH(BAD_MECH);

	WANT(F->C_SignInit(k.h, &m, k.priv), CKR_MECHANISM_INVALID);
	m.mechanism = CKM_SHA256; /* is no signature */
	WANT(F->C_SignInit(k.h, &m, k.priv), CKR_MECHANISM_INVALID);
	WANT(F->C_SignInit(k.h, NULL, k.priv), CKR_ARGUMENTS_BAD, CKR_MECHANISM_INVALID, CKR_OPERATION_NOT_INITIALIZED);
	init(&k, k.plain);
}

static void
init_not_permitted(void)
{
	CK_SESSION_HANDLE h = rw();
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_ATTRIBUTE t[] = { ATTR(CKA_CLASS, class), ATTR(CKA_SIGN, no) };
	CK_OBJECT_HANDLE o;
	CK_MECHANISM m;

	login(h);
	if ((o = find_one(h, t, 2)) == CK_INVALID_HANDLE)
		rule_na("every key of the token signs");
	m = MECH(number(h, o, CKA_KEY_TYPE) == CKK_RSA ? CKM_RSA_PKCS : CKM_ECDSA);
	WANT(F->C_SignInit(h, &m, o), CKR_KEY_FUNCTION_NOT_PERMITTED);
}

/* The handle of a key from before C_Logout. */
static void
init_logged_out(void)
{
	struct keypair k = sign_key();
	CK_MECHANISM m = MECH(k.plain);

	OK(F->C_Logout(k.h));
	WANT(F->C_SignInit(k.h, &m, k.priv), CKR_KEY_HANDLE_INVALID, CKR_USER_NOT_LOGGED_IN);
}

static void
pss_parameters(void)
{
	struct keypair k = sign_key();
	CK_RSA_PKCS_PSS_PARAMS p = { CKM_SHA256, CKG_MGF1_SHA256, 32 };
	CK_MECHANISM m = { CKM_RSA_PKCS_PSS, NULL, 0 };

	need_mech(CKM_RSA_PKCS_PSS, CKF_SIGN);
	if (k.plain != CKM_RSA_PKCS)
		rule_na("the token has no RSA key");
	WANT(F->C_SignInit(k.h, &m, k.priv), CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD);
	m = (CK_MECHANISM){ CKM_RSA_PKCS_PSS, &p, sizeof p - 1 };
	WANT(F->C_SignInit(k.h, &m, k.priv), CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD);
	m.ulParameterLen = sizeof p;
	p.hashAlg = BAD_MECH;
	WANT(F->C_SignInit(k.h, &m, k.priv), CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD);
	p = (CK_RSA_PKCS_PSS_PARAMS){ CKM_SHA256, CKG_MGF1_SHA256, 100000 };
	WANT(F->C_SignInit(k.h, &m, k.priv), CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD);
	p.sLen = 32;
	OK(F->C_SignInit(k.h, &m, k.priv));
	n = sizeof out;
	OK(F->C_Sign(k.h, in, 32, out, &n));
	HOLDS(n == k.size);
}

/* PSS signs a digest: nothing of another length. */
static void
pss_length(void)
{
	struct keypair k = sign_key();
	CK_RSA_PKCS_PSS_PARAMS p = { CKM_SHA256, CKG_MGF1_SHA256, 32 };
	CK_MECHANISM m = { CKM_RSA_PKCS_PSS, &p, sizeof p };

	need_mech(CKM_RSA_PKCS_PSS, CKF_SIGN);
	if (k.plain != CKM_RSA_PKCS)
		rule_na("the token has no RSA key");
	OK(F->C_SignInit(k.h, &m, k.priv));
	n = sizeof out;
	WANT(F->C_Sign(k.h, in, 31, out, &n), CKR_DATA_LEN_RANGE);
}

/* Signing goes on beside a search, and beside a digest where the token does two things at once. */
static void
beside_others(void)
{
	struct keypair k = sign_key();
	CK_MECHANISM sha = MECH(CKM_SHA256);
	CK_ULONG len = sizeof big;
	CK_RV rv;

	need_mech(CKM_SHA256, CKF_DIGEST);
	init(&k, k.plain);
	OK(F->C_FindObjectsInit(k.h, NULL, 0));
	rv = F->C_DigestInit(k.h, &sha);
	WANT(rv, CKR_OK, CKR_OPERATION_ACTIVE);
	OK(F->C_Sign(k.h, in, sizeof in, out, &n));
	if (rv == CKR_OK)
		OK(F->C_Digest(k.h, in, sizeof in, big, &len));
	OK(F->C_FindObjectsFinal(k.h));
}

/* A key that wants its PIN each time (CKA_ALWAYS_AUTHENTICATE; 2.40, 4.9): the operation waits for it. */
static void
context_login(void)
{
	CK_SESSION_HANDLE h = rw();
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_ATTRIBUTE t[] = { ATTR(CKA_CLASS, class), ATTR(CKA_SIGN, yes), ATTR(CKA_ALWAYS_AUTHENTICATE, yes) };
	struct keypair k = { .h = h };

	login(h);
	if ((k.priv = find_one(h, t, 3)) == CK_INVALID_HANDLE)
		rule_na("no key of the token wants its PIN each time");
	k.plain = number(h, k.priv, CKA_KEY_TYPE) == CKK_RSA ? CKM_RSA_PKCS : CKM_ECDSA;
	init(&k, k.plain);
	WANT(F->C_Sign(h, in, sizeof in, out, &n), CKR_USER_NOT_LOGGED_IN);
	OK(pin_login(h, CKU_CONTEXT_SPECIFIC, T.pin));
	OK(F->C_Sign(h, in, sizeof in, out, &n));
	init(&k, k.plain); /* and again the next time */
	WANT(F->C_Sign(h, in, sizeof in, out, &n), CKR_USER_NOT_LOGGED_IN);
}

static void
context_wrong(void)
{
	CK_SESSION_HANDLE h = rw();
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_ATTRIBUTE t[] = { ATTR(CKA_CLASS, class), ATTR(CKA_SIGN, yes), ATTR(CKA_ALWAYS_AUTHENTICATE, yes) };
	struct keypair k = { .h = h };

	if (!T.wrong_pins)
		rule_na("wrong PINs are not to be entered (--wrong-pins)");
	login(h);
	if ((k.priv = find_one(h, t, 3)) == CK_INVALID_HANDLE)
		rule_na("no key of the token wants its PIN each time");
	k.plain = number(h, k.priv, CKA_KEY_TYPE) == CKK_RSA ? CKM_RSA_PKCS : CKM_ECDSA;
	init(&k, k.plain);
	WANT(pin_login(h, CKU_CONTEXT_SPECIFIC, "99887766"), CKR_PIN_INCORRECT);
	OK(pin_login(h, CKU_CONTEXT_SPECIFIC, T.pin));
	OK(F->C_Sign(h, in, sizeof in, out, &n));
}

static void
recover(void)
{
	struct keypair k = sign_key();
	CK_MECHANISM m = MECH(k.plain);
	CK_RV rv = F->C_SignRecoverInit(k.h, &m, k.priv);

	WANT(rv, CKR_OK, CKR_FUNCTION_NOT_SUPPORTED, CKR_MECHANISM_INVALID, CKR_KEY_FUNCTION_NOT_PERMITTED);
	if (rv == CKR_OK)
		OK(F->C_SignRecover(k.h, in, sizeof in, out, (n = sizeof out, &n)));
}

static const struct rule table[] = {
	{ "C_SignInit.twice", twice },
	{ "C_SignInit.unknown_key", init_key },
	{ "C_SignInit.not_a_key", init_not_a_key },
	{ "C_SignInit.public_key", init_public_key },
	{ "C_SignInit.key_type", init_type },
	{ "C_SignInit.mechanism", init_mechanism },
	{ "C_SignInit.not_permitted", init_not_permitted },
	{ "C_SignInit.logged_out", init_logged_out },
	{ "C_SignInit.pss_parameters", pss_parameters },
	{ "C_Sign.one_shot", one_shot },
	{ "C_Sign.read_only_session", read_only_session },
	{ "C_Sign.length", length },
	{ "C_Sign.too_small", too_small },
	{ "C_Sign.too_long", too_long },
	{ "C_Sign.pss_length", pss_length },
	{ "C_Sign.error_ends", error_ends },
	{ "C_Sign.after_update", after_update },
	{ "C_Sign.not_initialized", not_initialized },
	{ "C_Sign.beside_others", beside_others },
	{ "C_Sign.context_login", context_login },
	{ "C_Sign.context_wrong_pin", context_wrong },
	{ "C_SignUpdate.parts", parts },
	{ "C_SignUpdate.error_ends", update_error_ends },
	{ "C_SignFinal.lengths", final_lengths },
	{ "C_SignRecoverInit.answers", recover },
};
RULES(rules_sign, table);
