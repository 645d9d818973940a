/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Digests (PKCS#11 2.40, 5.10; lengths by 5.2; values by FIPS 180-4), each rule with every hash that the token has.
 * They need no login and no read-write session.
 */
#include <stdio.h>
#include <string.h>

#include "tests/p11/conform.h"

static const struct hash {
	CK_MECHANISM_TYPE type;
	CK_ULONG size;
	const char *abc, *empty; /* FIPS 180-4 and RFC 1321 */
} hashes[] = {
	{ CKM_MD5, 16, "900150983cd24fb0d6963f7d28e17f72", "d41d8cd98f00b204e9800998ecf8427e" },
	{ CKM_SHA_1, 20, "a9993e364706816aba3e25717850c26c9cd0d89d", "da39a3ee5e6b4b0d3255bfef95601890afd80709" },
	{ CKM_SHA224, 28, "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7",
	    "d14a028c2a3a2bc9476102bb288234c415a2b01f828ea62ac5b3e42f" },
	{ CKM_SHA256, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
	    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
	{ CKM_SHA384, 48,
	    "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
	    "38b060a751ac96384cd9327eb1b1e36a21fdb71114be07434c0cc7bf63f6e1da274edebfe76f65fbd51ad2f14898b95b" },
	{ CKM_SHA512, 64,
	    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd"
	    "454d4423643ce80e2a9ac94fa54ca49f",
	    "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f"
	    "63b931bd47417a81a538327af927da3e" },
};

static CK_BYTE abc[] = { 'a', 'b', 'c' };
static CK_BYTE out[128];
static CK_ULONG n;

static void
init(CK_SESSION_HANDLE h, const struct hash *d)
{
	CK_MECHANISM m = MECH(d->type);

	OK(F->C_DigestInit(h, &m));
	memset(out, 0xA5, sizeof out);
	n = sizeof out;
}

static bool
is(const struct hash *d, const char *hex)
{
	char text[2 * sizeof out + 1] = "";

	for (CK_ULONG i = 0; i < n && i < sizeof out; i++)
		snprintf(text + 2 * i, 3, "%02x", out[i]);
	return n == d->size && strcmp(text, hex) == 0;
}

static void
each(void (*ask)(CK_SESSION_HANDLE, const struct hash *))
{
	CK_SESSION_HANDLE h = ro();
	size_t asked = 0;

	for (size_t i = 0; i < N_OF(hashes); i++)
		if (mech_can(hashes[i].type, CKF_DIGEST)) {
			ask(h, &hashes[i]);
			asked++;
		}
	if (asked == 0)
		rule_na("the token has no digests");
}

/* Rules of one hash as a function without arguments. */
#define EACH(name)                                                                                                     \
	static void ask_##name(CK_SESSION_HANDLE h, const struct hash *d);                                             \
	static void name(void)                                                                                         \
	{                                                                                                              \
		each(ask_##name);                                                                                      \
	}                                                                                                              \
	static void ask_##name(CK_SESSION_HANDLE h, const struct hash *d)

EACH(one_shot)
{
	init(h, d);
	OK(F->C_Digest(h, abc, 3, out, &n));
	HOLDS(is(d, d->abc));
}

EACH(empty)
{
	init(h, d);
	OK(F->C_Digest(h, abc, 0, out, &n));
	HOLDS(is(d, d->empty));
	init(h, d);
	OK(F->C_Digest(h, NULL, 0, out, &n));
	HOLDS(is(d, d->empty));
	init(h, d);
	OK(F->C_DigestFinal(h, out, &n)); /* no Update at all */
	HOLDS(is(d, d->empty));
}

EACH(parts)
{
	init(h, d);
	for (int i = 0; i < 3; i++)
		OK(F->C_DigestUpdate(h, abc + i, 1));
	OK(F->C_DigestUpdate(h, abc, 0));
	OK(F->C_DigestFinal(h, out, &n));
	HOLDS(is(d, d->abc));
}

EACH(ends)
{
	init(h, d);
	OK(F->C_Digest(h, abc, 3, out, &n));
	WANT(F->C_Digest(h, abc, 3, out, &n), CKR_OPERATION_NOT_INITIALIZED);
	WANT(F->C_DigestFinal(h, out, &n), CKR_OPERATION_NOT_INITIALIZED);
	init(h, d);
	OK(F->C_DigestFinal(h, out, &n));
	WANT(F->C_DigestUpdate(h, abc, 3), CKR_OPERATION_NOT_INITIALIZED);
}

EACH(query)
{
	init(h, d);
	n = 0;
	OK(F->C_Digest(h, abc, 3, NULL, &n));
	HOLDS(n == d->size);
	n = sizeof out;
	OK(F->C_Digest(h, abc, 3, out, &n));
	HOLDS(is(d, d->abc));
}

EACH(too_small)
{
	init(h, d);
	n = d->size - 1;
	WANT(F->C_Digest(h, abc, 3, out, &n), CKR_BUFFER_TOO_SMALL);
	HOLDS(n == d->size && out[0] == 0xA5);
	OK(F->C_Digest(h, abc, 3, out, &n)); /* now exactly enough */
	HOLDS(is(d, d->abc));
}

EACH(final_query)
{
	init(h, d);
	OK(F->C_DigestUpdate(h, abc, 3));
	n = 0;
	OK(F->C_DigestFinal(h, NULL, &n));
	HOLDS(n == d->size);
	n = 1;
	WANT(F->C_DigestFinal(h, out, &n), CKR_BUFFER_TOO_SMALL);
	HOLDS(n == d->size);
	OK(F->C_DigestFinal(h, out, &n));
	HOLDS(is(d, d->abc));
}

EACH(error_ends)
{
	init(h, d);
	WANT(F->C_Digest(h, abc, 3, out, NULL), CKR_ARGUMENTS_BAD);
	WANT(F->C_Digest(h, abc, 3, out, &n), CKR_OPERATION_NOT_INITIALIZED);
	init(h, d);
	WANT(F->C_Digest(h, NULL, 3, out, &n), CKR_ARGUMENTS_BAD);
	WANT(F->C_Digest(h, abc, 3, out, &n), CKR_OPERATION_NOT_INITIALIZED);
}

EACH(update_error_ends)
{
	init(h, d);
	WANT(F->C_DigestUpdate(h, NULL, 3), CKR_ARGUMENTS_BAD);
	WANT(F->C_DigestFinal(h, out, &n), CKR_OPERATION_NOT_INITIALIZED);
}

EACH(final_error_ends)
{
	init(h, d);
	OK(F->C_DigestUpdate(h, abc, 3));
	WANT(F->C_DigestFinal(h, out, NULL), CKR_ARGUMENTS_BAD);
	WANT(F->C_DigestFinal(h, out, &n), CKR_OPERATION_NOT_INITIALIZED);
}

/* C_Digest cannot finish what C_DigestUpdate began; whether that ends it, suites judge differently. */
EACH(one_shot_after_update)
{
	init(h, d);
	OK(F->C_DigestUpdate(h, abc, 1));
	WANT(F->C_Digest(h, abc, 3, out, &n), CKR_OPERATION_ACTIVE);
	n = sizeof out;
	WANT(F->C_DigestFinal(h, out, &n), CKR_OK, CKR_OPERATION_NOT_INITIALIZED);
}

/* A length asked of C_Digest says that this will be a one-shot operation. */
EACH(final_after_query)
{
	init(h, d);
	OK(F->C_Digest(h, abc, 3, NULL, &n));
	n = sizeof out;
	WANT(F->C_DigestFinal(h, out, &n), CKR_OPERATION_ACTIVE);
	WANT(F->C_Digest(h, abc, 3, out, &n), CKR_OPERATION_NOT_INITIALIZED);
}

EACH(twice)
{
	CK_MECHANISM m = MECH(d->type);

	init(h, d);
	WANT(F->C_DigestInit(h, &m), CKR_OPERATION_ACTIVE);
	OK(F->C_Digest(h, abc, 3, out, &n)); /* the first goes on */
	HOLDS(is(d, d->abc));
}

EACH(parameter)
{
	CK_MECHANISM m = { d->type, abc, sizeof abc };

	WANT(F->C_DigestInit(h, &m), CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD);
	init(h, d);
	OK(F->C_Digest(h, abc, 3, out, &n));
}

static void
unknown(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_MECHANISM m = MECH(BAD_MECH);

	WANT(F->C_DigestInit(h, &m), CKR_MECHANISM_INVALID);
	m.mechanism = 999;
	WANT(F->C_DigestInit(h, &m), CKR_MECHANISM_INVALID);
}

/* A mechanism that is there for something else. */
static void
no_digest(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_MECHANISM m = MECH(CKM_RSA_PKCS);

	WANT(F->C_DigestInit(h, &m), CKR_MECHANISM_INVALID);
}

static void
null_mechanism(void)
{
	CK_SESSION_HANDLE h = ro();

	WANT(F->C_DigestInit(h, NULL), CKR_ARGUMENTS_BAD, CKR_MECHANISM_INVALID, CKR_OPERATION_NOT_INITIALIZED);
}

static void
not_initialized(void)
{
	CK_SESSION_HANDLE h = ro();

	n = sizeof out;
	WANT(F->C_Digest(h, abc, 3, out, &n), CKR_OPERATION_NOT_INITIALIZED);
	WANT(F->C_DigestUpdate(h, abc, 3), CKR_OPERATION_NOT_INITIALIZED);
	WANT(F->C_DigestFinal(h, out, &n), CKR_OPERATION_NOT_INITIALIZED);
	WANT(F->C_DigestKey(h, BAD_OBJECT), CKR_OPERATION_NOT_INITIALIZED);
}

/* In place: input and output may be the same memory. */
static void
in_place(void)
{
	CK_SESSION_HANDLE h = ro();

	need_mech(CKM_SHA256, CKF_DIGEST);
	init(h, &hashes[3]);
	memcpy(out, abc, 3);
	OK(F->C_Digest(h, out, 3, out, &n));
	HOLDS(is(&hashes[3], hashes[3].abc));
}

static void
large(void)
{
	static CK_BYTE block[1 << 20];
	CK_SESSION_HANDLE h = ro();
	CK_BYTE first[32];

	need_mech(CKM_SHA256, CKF_DIGEST);
	init(h, &hashes[3]);
	OK(F->C_Digest(h, block, sizeof block, out, &n));
	memcpy(first, out, 32);
	init(h, &hashes[3]);
	for (int i = 0; i < 16; i++)
		OK(F->C_DigestUpdate(h, block + i * (sizeof block / 16), sizeof block / 16));
	OK(F->C_DigestFinal(h, out, &n));
	HOLDS(memcmp(first, out, 32) == 0);
}

/* --- C_DigestKey --- */

static void
key(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_OBJECT_HANDLE o = secret_key(h, CKK_GENERIC_SECRET, NULL, 0);
	CK_RV rv;

	need_mech(CKM_SHA256, CKF_DIGEST);
	init(h, &hashes[3]);
	rv = F->C_DigestKey(h, o);
	if (rv == CKR_KEY_INDIGESTIBLE || rv == CKR_FUNCTION_NOT_SUPPORTED)
		rule_na("the token does not digest keys");
	WANT(rv, CKR_OK);
	OK(F->C_DigestFinal(h, out, &n));
	HOLDS(is(&hashes[3], "d4ffb8b77f7d6b26196e9a070e983f6701a4c42dec813d4de1a535d20a7df536"));
}

static void
key_bad(void)
{
	CK_SESSION_HANDLE h = ro();

	need_mech(CKM_SHA256, CKF_DIGEST);
	init(h, &hashes[3]);
	WANT(F->C_DigestKey(h, BAD_OBJECT), CKR_KEY_HANDLE_INVALID);
}

static void
key_not_a_key(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_OBJECT_HANDLE o = data_new(h);

	need_mech(CKM_SHA256, CKF_DIGEST);
	init(h, &hashes[3]);
	WANT(F->C_DigestKey(h, o), CKR_KEY_HANDLE_INVALID, CKR_KEY_INDIGESTIBLE);
}

static const struct rule table[] = {
	{ "C_DigestInit.twice", twice },
	{ "C_DigestInit.parameter", parameter },
	{ "C_DigestInit.unknown", unknown },
	{ "C_DigestInit.not_a_digest", no_digest },
	{ "C_DigestInit.null", null_mechanism },
	{ "C_Digest.value", one_shot },
	{ "C_Digest.empty", empty },
	{ "C_Digest.ends", ends },
	{ "C_Digest.length", query },
	{ "C_Digest.too_small", too_small },
	{ "C_Digest.error_ends", error_ends },
	{ "C_Digest.after_update", one_shot_after_update },
	{ "C_Digest.not_initialized", not_initialized },
	{ "C_Digest.in_place", in_place },
	{ "C_Digest.large", large },
	{ "C_DigestUpdate.parts", parts },
	{ "C_DigestUpdate.error_ends", update_error_ends },
	{ "C_DigestFinal.lengths", final_query },
	{ "C_DigestFinal.error_ends", final_error_ends },
	{ "C_DigestFinal.after_one_shot_length", final_after_query },
	{ "C_DigestKey.value", key },
	{ "C_DigestKey.unknown", key_bad },
	{ "C_DigestKey.not_a_key", key_not_a_key },
};
RULES(rules_digest, table);
