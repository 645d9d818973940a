/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Private keys in clear, on their way to a card: from a template (PKCS#11 2.40, 2.1.3; 3.0, 2.3.4 to 2.3.6) and from
 * PKCS#8 as C_UnwrapKey finds it (RFC 5208, 5958; RSA RFC 8017 A.1.2, EC RFC 5915, Edwards and Montgomery RFC 8410).
 * Nothing is copied: the result points into what was given, which the caller keeps in a secret and wipes. Lengths are
 * checked against the algorithm by the card edge; here it is only said which algorithm that is.
 */
#include "hw/tlv.h"
#include "pkcs11/p11.h"

#define SEQUENCE 0x30
#define INTEGER	 0x02
#define OCTETS	 0x04

static const uint8_t f4[] = { 1, 0, 1 };

/* Unsigned, without the zeros in front. */
static struct span
trimmed(struct span v)
{
	while (v.n > 0 && v.p[0] == 0 && span_skip(&v, 1))
		;
	return v;
}

/* --- template --- */

static bool
given(const CK_ATTRIBUTE *t, CK_ULONG n, CK_ATTRIBUTE_TYPE type, struct span *out)
{
	const CK_ATTRIBUTE *a = template_find(t, n, type);

	*out = a != NULL ? trimmed(span_of(a->pValue, a->ulValueLen)) : SPAN_NONE;
	return out->n > 0;
}

/* The card computes with the five numbers of the Chinese remainder theorem and takes 65537 for granted. */
static CK_RV
rsa_checked(struct private_key *key)
{
	if (!span_eq(key->exponent, span_of(f4, sizeof f4)))
		return CKR_ATTRIBUTE_VALUE_INVALID;
	key->secret.alg = modulus_alg(8 * key->modulus.n);
	return key->secret.alg != PIV_ALG_NONE && (key->modulus.p[0] & 0x80) ? CKR_OK : CKR_ATTRIBUTE_VALUE_INVALID;
}

static CK_RV
rsa_of_template(const CK_ATTRIBUTE *t, CK_ULONG n, struct private_key *out)
{
	static const CK_ATTRIBUTE_TYPE parts[5] = { CKA_PRIME_1, CKA_PRIME_2, CKA_EXPONENT_1, CKA_EXPONENT_2,
		CKA_COEFFICIENT };

	for (size_t i = 0; i < 5; i++)
		if (!given(t, n, parts[i], &out->secret.part[i]))
			return CKR_TEMPLATE_INCOMPLETE;
	if (!given(t, n, CKA_MODULUS, &out->modulus))
		return CKR_TEMPLATE_INCOMPLETE;
	if (!given(t, n, CKA_PUBLIC_EXPONENT, &out->exponent))
		out->exponent = span_of(f4, sizeof f4);
	return rsa_checked(out);
}

CK_RV
private_of_template(const CK_ATTRIBUTE *t, CK_ULONG n, struct private_key *out)
{
	const CK_ATTRIBUTE *curve = template_find(t, n, CKA_EC_PARAMS), *value = template_find(t, n, CKA_VALUE);
	CK_KEY_TYPE type;

	*out = (struct private_key){ .secret = { .alg = PIV_ALG_NONE } };
	if (!template_ulong(t, n, CKA_KEY_TYPE, &type))
		return CKR_TEMPLATE_INCOMPLETE;
	if (type == CKK_RSA)
		return rsa_of_template(t, n, out);
	if (type != CKK_EC && type != CKK_EC_EDWARDS && type != CKK_EC_MONTGOMERY)
		return CKR_ATTRIBUTE_VALUE_INVALID;
	if (curve == NULL || value == NULL || value->ulValueLen == 0)
		return CKR_TEMPLATE_INCOMPLETE;
	out->secret.alg = curve_alg(type, span_of(curve->pValue, curve->ulValueLen));
	out->secret.part[0] = span_of(value->pValue, value->ulValueLen);
	return out->secret.alg != PIV_ALG_NONE ? CKR_OK : CKR_CURVE_NOT_SUPPORTED;
}

/* --- PKCS#8 --- */

static bool
integer(struct span *in, struct span *out)
{
	if (tlv_get(in, INTEGER, out) != E_OK || out->n == 0 || (out->p[0] & 0x80))
		return false;
	*out = trimmed(*out);
	return true;
}

static bool
rsa_of_der(struct span der, struct private_key *out)
{
	struct span seq, version, d;
	size_t i = 0;

	if (tlv_get(&der, SEQUENCE, &seq) != E_OK || tlv_get(&seq, INTEGER, &version) != E_OK ||
	    !integer(&seq, &out->modulus) || !integer(&seq, &out->exponent) || !integer(&seq, &d))
		return false;
	while (i < 5 && integer(&seq, &out->secret.part[i]))
		i++;
	return i == 5 && out->modulus.n > 0;
}

static bool
scalar_of_der(struct span der, struct span *out)
{
	struct span seq, version;

	return tlv_get(&der, SEQUENCE, &seq) == E_OK && tlv_get(&seq, INTEGER, &version) == E_OK &&
	    tlv_get(&seq, OCTETS, out) == E_OK && out->n > 0;
}

static const struct {
	struct span oid; /* with tag and length */
	CK_KEY_TYPE type;
} types[] = {
	{ { (const uint8_t *)"\x06\x09\x2A\x86\x48\x86\xF7\x0D\x01\x01\x01", 11 }, CKK_RSA },
	{ { (const uint8_t *)"\x06\x07\x2A\x86\x48\xCE\x3D\x02\x01", 9 }, CKK_EC },
	{ { (const uint8_t *)"\x06\x03\x2B\x65\x70", 5 }, CKK_EC_EDWARDS },
	{ { (const uint8_t *)"\x06\x03\x2B\x65\x6E", 5 }, CKK_EC_MONTGOMERY },
};

/* The algorithm identifier: its type, and the curve in the form of CKA_EC_PARAMS. */
static bool
type_of(struct span id, CK_KEY_TYPE *type, struct span *params)
{
	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
		if (!span_starts(id, types[i].oid.p, types[i].oid.n))
			continue;
		*type = types[i].type;
		*params = id;
		return *type != CKK_EC || span_skip(params, types[i].oid.n);
	}
	return false;
}

static CK_RV
key_of_der(CK_KEY_TYPE type, struct span params, struct span der, struct private_key *out)
{
	bool good;

	if (type == CKK_RSA)
		return rsa_of_der(der, out) ? rsa_checked(out) : CKR_WRAPPED_KEY_INVALID;
	if (type == CKK_EC)
		good = scalar_of_der(der, &out->secret.part[0]);
	else
		good = tlv_get(&der, OCTETS, &out->secret.part[0]) == E_OK && out->secret.part[0].n > 0;
	if (!good)
		return CKR_WRAPPED_KEY_INVALID;
	out->secret.alg = curve_alg(type, params);
	return out->secret.alg != PIV_ALG_NONE ? CKR_OK : CKR_CURVE_NOT_SUPPORTED;
}

CK_RV
private_of_pkcs8(struct span der, struct private_key *out)
{
	struct span seq, version, id, octets, params;
	CK_KEY_TYPE type;

	*out = (struct private_key){ .secret = { .alg = PIV_ALG_NONE } };
	if (tlv_get(&der, SEQUENCE, &seq) != E_OK || tlv_get(&seq, INTEGER, &version) != E_OK ||
	    tlv_get(&seq, SEQUENCE, &id) != E_OK || tlv_get(&seq, OCTETS, &octets) != E_OK)
		return CKR_WRAPPED_KEY_INVALID;
	if (!type_of(id, &type, &params))
		return CKR_WRAPPED_KEY_INVALID;
	return key_of_der(type, params, octets, out);
}
