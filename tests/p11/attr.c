/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * C_GetAttributeValue (PKCS#11 2.40, 5.7), five cases an attribute: sensitive or unknown gives
 * CK_UNAVAILABLE_INFORMATION as the length; no buffer gives the length; room enough gives the value; too little gives
 * CK_UNAVAILABLE_INFORMATION. The errors are of attributes, not of the call: the other attributes are answered all the
 * same. And what attributes the token's own objects have (4.2 to 4.9).
 */
#include <string.h>

#include "tests/p11/conform.h"

static void
value(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_OBJECT_HANDLE o = data_new(h);
	CK_BYTE buf[64];
	CK_ATTRIBUTE a = { CKA_LABEL, buf, sizeof buf };

	memset(buf, 0xA5, sizeof buf);
	OK(F->C_GetAttributeValue(h, o, &a, 1));
	HOLDS(a.type == CKA_LABEL && a.pValue == buf && a.ulValueLen == 13);
	HOLDS(memcmp(buf, "conform label", 13) == 0 && buf[13] == 0xA5);
}

static void
length(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_OBJECT_HANDLE o = data_new(h);
	CK_ATTRIBUTE a[] = { { CKA_LABEL, NULL, 0 }, { CKA_VALUE, NULL, 999 }, { CKA_CLASS, NULL, 0 } };

	OK(F->C_GetAttributeValue(h, o, a, 3));
	HOLDS(a[0].ulValueLen == 13 && a[1].ulValueLen == 4 && a[2].ulValueLen == sizeof(CK_ULONG));
}

static void
exact(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_OBJECT_HANDLE o = data_new(h);
	CK_BYTE buf[4];
	CK_ATTRIBUTE a = { CKA_VALUE, buf, sizeof buf };

	OK(F->C_GetAttributeValue(h, o, &a, 1));
	HOLDS(a.ulValueLen == 4 && buf[3] == 0xEF);
}

static void
too_small(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_OBJECT_HANDLE o = data_new(h);
	CK_BYTE buf[8] = { 0xA5, 0xA5, 0xA5, 0xA5, 0xA5, 0xA5, 0xA5, 0xA5 };
	CK_ATTRIBUTE a = { CKA_LABEL, buf, 3 };

	WANT(F->C_GetAttributeValue(h, o, &a, 1), CKR_BUFFER_TOO_SMALL);
	HOLDS(a.ulValueLen == CK_UNAVAILABLE_INFORMATION);
	HOLDS(buf[3] == 0xA5); /* nothing beyond what was offered */
}

static void
unknown(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_OBJECT_HANDLE o = data_new(h);
	CK_BYTE buf[8];
	CK_ATTRIBUTE a = { CKA_MODULUS, buf, sizeof buf };

	WANT(F->C_GetAttributeValue(h, o, &a, 1), CKR_ATTRIBUTE_TYPE_INVALID);
	HOLDS(a.ulValueLen == CK_UNAVAILABLE_INFORMATION);
}

static void
others_answered(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_OBJECT_HANDLE o = data_new(h);
	CK_OBJECT_CLASS class = 0x77;
	CK_BYTE buf[8], app[16], small[2];
	CK_ATTRIBUTE a[] = { { 999, buf, sizeof buf }, ATTR(CKA_CLASS, class), { CKA_LABEL, small, sizeof small },
		{ CKA_APPLICATION, app, sizeof app }, { CKA_VALUE, NULL, 0 } };

	WANT(F->C_GetAttributeValue(h, o, a, 5), CKR_ATTRIBUTE_TYPE_INVALID, CKR_BUFFER_TOO_SMALL);
	HOLDS(a[0].ulValueLen == CK_UNAVAILABLE_INFORMATION && class == CKO_DATA && a[1].ulValueLen == sizeof class);
	HOLDS(a[2].ulValueLen == CK_UNAVAILABLE_INFORMATION && a[3].ulValueLen == 7 && memcmp(app, "conform", 7) == 0);
	HOLDS(a[4].ulValueLen == 4);
}

static void
arguments(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_OBJECT_HANDLE o = data_new(h);
	CK_OBJECT_CLASS class;
	CK_ATTRIBUTE a = ATTR(CKA_CLASS, class);

	WANT(F->C_GetAttributeValue(h, o, NULL, 1), CKR_ARGUMENTS_BAD, CKR_TEMPLATE_INCOMPLETE);
	WANT(F->C_GetAttributeValue(h, BAD_OBJECT, &a, 1), CKR_OBJECT_HANDLE_INVALID);
	WANT(F->C_GetAttributeValue(h, CK_INVALID_HANDLE, &a, 1), CKR_OBJECT_HANDLE_INVALID);
}

/* Reading attributes must not disturb an operation: programs look at CKA_ALWAYS_AUTHENTICATE between Init and C_Sign.
 */
static void
operation_stays(void)
{
	struct keypair k = sign_key();
	CK_MECHANISM m = MECH(k.plain);
	CK_BYTE in[32] = { 1 }, out[1024];
	CK_ULONG n = sizeof out;

	OK(F->C_SignInit(k.h, &m, k.priv));
	number(k.h, k.priv, CKA_CLASS);
	OK(F->C_Sign(k.h, in, sizeof in, out, &n));
}

static void
secret_value(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_ATTRIBUTE t = ATTR(CKA_SENSITIVE, yes);
	CK_OBJECT_HANDLE o = secret_key(h, CKK_AES, &t, 1);
	CK_BYTE buf[32];
	CK_ATTRIBUTE a = { CKA_VALUE, buf, sizeof buf };

	memset(buf, 0xA5, sizeof buf);
	WANT(F->C_GetAttributeValue(h, o, &a, 1), CKR_ATTRIBUTE_SENSITIVE);
	HOLDS(a.ulValueLen == CK_UNAVAILABLE_INFORMATION && buf[0] == 0xA5);
	a = (CK_ATTRIBUTE){ CKA_VALUE, NULL, 0 };
	WANT(F->C_GetAttributeValue(h, o, &a, 1), CKR_ATTRIBUTE_SENSITIVE);
	HOLDS(a.ulValueLen == CK_UNAVAILABLE_INFORMATION);
}

static void
secret_unextractable(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_ATTRIBUTE t[] = { ATTR(CKA_SENSITIVE, no), ATTR(CKA_EXTRACTABLE, no) };
	CK_OBJECT_HANDLE o = secret_key(h, CKK_AES, t, 2);
	CK_BYTE buf[32];
	CK_ATTRIBUTE a = { CKA_VALUE, buf, sizeof buf };

	WANT(F->C_GetAttributeValue(h, o, &a, 1), CKR_ATTRIBUTE_SENSITIVE);
}

static void
secret_facts(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_OBJECT_HANDLE o = secret_key(h, CKK_AES, NULL, 0);

	HOLDS(number(h, o, CKA_VALUE_LEN) == 16 && number(h, o, CKA_KEY_TYPE) == CKK_AES);
	HOLDS(!flag(h, o, CKA_LOCAL) && !flag(h, o, CKA_ALWAYS_SENSITIVE) && !flag(h, o, CKA_NEVER_EXTRACTABLE));
	HOLDS(number(h, o, CKA_KEY_GEN_MECHANISM) == CK_UNAVAILABLE_INFORMATION);
}

/* --- the token's own objects --- */

static CK_ULONG
token_objects(CK_SESSION_HANDLE h, CK_OBJECT_CLASS class, CK_OBJECT_HANDLE list[64])
{
	CK_ATTRIBUTE t[] = { ATTR(CKA_CLASS, class), ATTR(CKA_TOKEN, yes) };
	CK_ULONG n = 0;

	OK(F->C_FindObjectsInit(h, t, 2));
	OK(F->C_FindObjects(h, list, 64, &n));
	OK(F->C_FindObjectsFinal(h));
	if (n == 0)
		rule_na("the token has no such object");
	return n;
}

static void
has(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE o, const CK_ATTRIBUTE_TYPE *types, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		CK_ATTRIBUTE a = { types[i], NULL, 0 };
		CK_RV rv = F->C_GetAttributeValue(h, o, &a, 1);

		if (rv != CKR_OK || a.ulValueLen == CK_UNAVAILABLE_INFORMATION)
			rule_fail("attribute 0x%lx: %s", types[i], rv_name(rv));
	}
}

static void
private_key(void)
{
	static const CK_ATTRIBUTE_TYPE must[] = { CKA_CLASS, CKA_TOKEN, CKA_PRIVATE, CKA_MODIFIABLE, CKA_LABEL,
		CKA_KEY_TYPE, CKA_ID, CKA_START_DATE, CKA_END_DATE, CKA_DERIVE, CKA_LOCAL, CKA_SENSITIVE, CKA_DECRYPT,
		CKA_SIGN, CKA_EXTRACTABLE, CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE };
	CK_SESSION_HANDLE h = ro();
	CK_OBJECT_HANDLE list[64];
	CK_ULONG n;

	login(h);
	n = token_objects(h, CKO_PRIVATE_KEY, list);
	for (CK_ULONG i = 0; i < n; i++) {
		has(h, list[i], must, N_OF(must));
		HOLDS(!flag(h, list[i], CKA_NEVER_EXTRACTABLE) || !flag(h, list[i], CKA_EXTRACTABLE));
		HOLDS(!flag(h, list[i], CKA_ALWAYS_SENSITIVE) || flag(h, list[i], CKA_SENSITIVE));
	}
}

static void
private_parts(void)
{
	static const CK_ATTRIBUTE_TYPE rsa[] = { CKA_PRIVATE_EXPONENT, CKA_PRIME_1, CKA_PRIME_2, CKA_EXPONENT_1,
		CKA_EXPONENT_2, CKA_COEFFICIENT };
	static const CK_ATTRIBUTE_TYPE ec[] = { CKA_VALUE };
	CK_SESSION_HANDLE h = ro();
	CK_OBJECT_HANDLE list[64];
	CK_BYTE buf[1024];
	CK_ULONG n;

	login(h);
	n = token_objects(h, CKO_PRIVATE_KEY, list);
	for (CK_ULONG i = 0; i < n; i++) {
		bool is_rsa = number(h, list[i], CKA_KEY_TYPE) == CKK_RSA;

		for (size_t k = 0; k < (is_rsa ? N_OF(rsa) : N_OF(ec)); k++) {
			CK_ATTRIBUTE a = { is_rsa ? rsa[k] : ec[k], buf, sizeof buf };

			WANT(F->C_GetAttributeValue(h, list[i], &a, 1), CKR_ATTRIBUTE_SENSITIVE);
			HOLDS(a.ulValueLen == CK_UNAVAILABLE_INFORMATION);
		}
	}
}

static void
public_key(void)
{
	static const CK_ATTRIBUTE_TYPE must[] = { CKA_CLASS, CKA_TOKEN, CKA_PRIVATE, CKA_MODIFIABLE, CKA_LABEL,
		CKA_KEY_TYPE, CKA_ID, CKA_START_DATE, CKA_END_DATE, CKA_DERIVE, CKA_LOCAL, CKA_ENCRYPT, CKA_VERIFY };
	static const CK_ATTRIBUTE_TYPE rsa[] = { CKA_MODULUS, CKA_MODULUS_BITS, CKA_PUBLIC_EXPONENT };
	static const CK_ATTRIBUTE_TYPE ec[] = { CKA_EC_PARAMS, CKA_EC_POINT };
	CK_SESSION_HANDLE h = ro();
	CK_OBJECT_HANDLE list[64];
	CK_ULONG n = token_objects(h, CKO_PUBLIC_KEY, list);

	for (CK_ULONG i = 0; i < n; i++) {
		has(h, list[i], must, N_OF(must));
		if (number(h, list[i], CKA_KEY_TYPE) == CKK_RSA)
			has(h, list[i], rsa, N_OF(rsa));
		else
			has(h, list[i], ec, N_OF(ec));
	}
}

/* CKA_EC_POINT is a DER OCTET STRING of the point. */
static void
ec_point(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_OBJECT_CLASS class = CKO_PUBLIC_KEY;
	CK_KEY_TYPE type = CKK_EC;
	CK_ATTRIBUTE t[] = { ATTR(CKA_CLASS, class), ATTR(CKA_KEY_TYPE, type) };
	CK_OBJECT_HANDLE o = find_one(h, t, 2);
	CK_BYTE buf[256];
	CK_ATTRIBUTE a = { CKA_EC_POINT, buf, sizeof buf };

	if (o == CK_INVALID_HANDLE)
		rule_na("the token has no elliptic-curve key");
	OK(F->C_GetAttributeValue(h, o, &a, 1));
	HOLDS(a.ulValueLen > 3 && buf[0] == 0x04 && buf[1] == a.ulValueLen - 2 && buf[2] == 0x04);
}

static void
certificate(void)
{
	static const CK_ATTRIBUTE_TYPE must[] = { CKA_CLASS, CKA_TOKEN, CKA_PRIVATE, CKA_MODIFIABLE, CKA_LABEL,
		CKA_CERTIFICATE_TYPE, CKA_TRUSTED, CKA_START_DATE, CKA_END_DATE, CKA_SUBJECT, CKA_ID, CKA_ISSUER,
		CKA_SERIAL_NUMBER, CKA_VALUE };
	CK_SESSION_HANDLE h = ro();
	CK_OBJECT_HANDLE list[64];
	CK_ULONG n = token_objects(h, CKO_CERTIFICATE, list);

	for (CK_ULONG i = 0; i < n; i++) {
		has(h, list[i], must, N_OF(must));
		HOLDS(number(h, list[i], CKA_CERTIFICATE_TYPE) == CKC_X_509);
	}
}

/* Attributes of dates are empty or YYYYMMDD. */
static void
dates(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_OBJECT_HANDLE list[64];
	CK_ULONG n = token_objects(h, CKO_CERTIFICATE, list);
	CK_BYTE buf[32];

	for (CK_ULONG i = 0; i < n; i++) {
		CK_ATTRIBUTE a = { CKA_END_DATE, buf, sizeof buf };

		OK(F->C_GetAttributeValue(h, list[i], &a, 1));
		HOLDS(a.ulValueLen == 0 || a.ulValueLen == sizeof(CK_DATE));
		for (CK_ULONG k = 0; k < a.ulValueLen; k++)
			HOLDS(buf[k] >= '0' && buf[k] <= '9');
	}
}

/* CKA_ID joins the certificate, the public and the private key of a pair. */
static void
ids(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_OBJECT_CLASS public = CKO_PUBLIC_KEY, cert = CKO_CERTIFICATE;
	CK_OBJECT_HANDLE list[64];
	CK_BYTE id[64];
	CK_ULONG n, met = 0;

	login(h);
	n = token_objects(h, CKO_PRIVATE_KEY, list);
	for (CK_ULONG i = 0; i < n; i++) {
		CK_ATTRIBUTE t[] = { { CKA_ID, id, sizeof id }, ATTR(CKA_CLASS, public) };

		OK(F->C_GetAttributeValue(h, list[i], t, 1));
		HOLDS(t[0].ulValueLen > 0);
		met += count(h, t, 2) == 1;
		t[1] = (CK_ATTRIBUTE)ATTR(CKA_CLASS, cert);
		HOLDS(count(h, t, 2) <= 1);
	}
	HOLDS(met > 0);
}

/* The token's objects cannot be changed in a read-only session. */
static void
set_in_read_only(void)
{
	CK_SESSION_HANDLE h = ro();
	CK_OBJECT_HANDLE list[64];
	CK_ATTRIBUTE t = ATTR_TEXT(CKA_LABEL, "new name");

	token_objects(h, CKO_PUBLIC_KEY, list);
	WANT(F->C_SetAttributeValue(h, list[0], &t, 1), CKR_SESSION_READ_ONLY, CKR_TOKEN_WRITE_PROTECTED,
	    CKR_ACTION_PROHIBITED);
	HOLDS(count(h, &t, 1) == 0);
}

static const struct rule table[] = {
	{ "C_GetAttributeValue.value", value },
	{ "C_GetAttributeValue.length", length },
	{ "C_GetAttributeValue.exact_room", exact },
	{ "C_GetAttributeValue.too_small", too_small },
	{ "C_GetAttributeValue.unknown", unknown },
	{ "C_GetAttributeValue.others_are_answered", others_answered },
	{ "C_GetAttributeValue.arguments", arguments },
	{ "C_GetAttributeValue.operation_stays", operation_stays },
	{ "C_GetAttributeValue.sensitive", secret_value },
	{ "C_GetAttributeValue.unextractable", secret_unextractable },
	{ "C_GetAttributeValue.secret_key", secret_facts },
	{ "C_GetAttributeValue.private_key", private_key },
	{ "C_GetAttributeValue.private_parts", private_parts },
	{ "C_GetAttributeValue.public_key", public_key },
	{ "C_GetAttributeValue.ec_point", ec_point },
	{ "C_GetAttributeValue.certificate", certificate },
	{ "C_GetAttributeValue.dates", dates },
	{ "C_GetAttributeValue.ids", ids },
	{ "C_SetAttributeValue.token_in_read_only", set_in_read_only },
};
RULES(rules_attr, table);
