/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The key slots of the virtual card, the table of asymmetric algorithms, and GENERATE ASYMMETRIC KEY PAIR (SP
 * 800-73-5 Part 2, 3.3.2; SP 800-78-5 tables 9 and 10). Generating needs the management key and replaces the old
 * key at once; the certificate object is left as it is. RSA-1024 exists for retired keys only and is never
 * generated. RSA-4096, Ed25519 and X25519 are YubiKey's own.
 */
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#include "tests/vcard/model.h"

static const struct vc_alg algs[] = {
	{ ALG_RSA2048, "rsa2048", true, 2048, NULL, true, false },
	{ ALG_RSA3072, "rsa3072", true, 3072, NULL, true, false },
	{ ALG_P256, "p256", false, 256, "P-256", true, false },
	{ ALG_P384, "p384", false, 384, "P-384", true, false },
	{ ALG_RSA1024, "rsa1024", true, 1024, NULL, false, false },
	{ ALG_RSA4096, "rsa4096", true, 4096, NULL, false, true },
	{ ALG_ED25519, "ed25519", false, 256, NULL, false, true },
	{ ALG_X25519, "x25519", false, 256, NULL, false, true },
};
#define ALGS (sizeof algs / sizeof *algs)

const struct vc_alg *
vc_alg_find(uint8_t id)
{
	for (size_t i = 0; i < ALGS; i++)
		if (algs[i].id == id)
			return &algs[i];
	return NULL;
}

/* YubiKey has what is its own since firmware 5.7. */
bool
vc_alg_has(const struct vcard *vc, const struct vc_alg *alg)
{
	bool newer = vc->opt.version[0] > 5 || (vc->opt.version[0] == 5 && vc->opt.version[1] >= 7);

	return !alg->yubikey_only || (vc->opt.yubikey && newer);
}

const struct vc_alg *
vc_alg_by_name(const char *name)
{
	for (size_t i = 0; i < ALGS; i++)
		if (strcmp(algs[i].name, name) == 0)
			return &algs[i];
	return NULL;
}

static uint8_t
weierstrass_or_rsa(const EVP_PKEY *key, bool rsa, bool ec)
{
	unsigned bits = (unsigned)EVP_PKEY_get_bits(key);
	char curve[32] = "";

	if (ec && EVP_PKEY_get_group_name(key, curve, sizeof curve, NULL) <= 0)
		return 0;
	for (size_t i = 0; i < ALGS; i++)
		if (algs[i].bits == bits && (algs[i].rsa ? rsa : ec && algs[i].curve)) {
			int nid = algs[i].rsa ? 0 : EC_curve_nist2nid(algs[i].curve);

			if (algs[i].rsa || OBJ_txt2nid(curve) == nid || EC_curve_nist2nid(curve) == nid)
				return algs[i].id;
		}
	return 0;
}

uint8_t
vc_alg_of(const EVP_PKEY *key)
{
	bool rsa = EVP_PKEY_is_a(key, "RSA"), ec = EVP_PKEY_is_a(key, "EC");

	if (EVP_PKEY_is_a(key, "ED25519"))
		return ALG_ED25519;
	return EVP_PKEY_is_a(key, "X25519") ? ALG_X25519 : weierstrass_or_rsa(key, rsa, ec);
}

static const uint8_t first_refs[4] = { 0x9A, 0x9C, 0x9D, 0x9E };
#define ATTESTATION (VC_KEYS - 1)

uint8_t
vc_key_ref(size_t i)
{
	return i < 4 ? first_refs[i] : i == ATTESTATION ? 0xF9 : (uint8_t)(0x82 + i - 4);
}

struct vc_key *
vc_key_find(struct vcard *vc, uint8_t ref)
{
	for (size_t i = 0; i < VC_KEYS; i++)
		if (vc_key_ref(i) == ref)
			return i == ATTESTATION && !vc->opt.yubikey ? NULL : &vc->key[i];
	return NULL;
}

void
vc_key_clear(struct vc_key *k)
{
	EVP_PKEY_free(k->pkey);
	*k = (struct vc_key){ .pkey = NULL };
}

EVP_PKEY *
vc_key_new(const struct vc_alg *alg, struct vc_in exponent)
{
	const char *type = alg->rsa  ? "RSA"
	    : alg->id == ALG_ED25519 ? "ED25519"
	    : alg->id == ALG_X25519  ? "X25519"
				     : "EC";
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	BIGNUM *e = exponent.n ? BN_bin2bn(exponent.p, (int)exponent.n, NULL) : NULL;
	EVP_PKEY *key = NULL;
	bool ok = ctx && EVP_PKEY_keygen_init(ctx) > 0;

	if (ok && alg->rsa)
		ok = EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, (int)alg->bits) > 0 &&
		    (!e || EVP_PKEY_CTX_set1_rsa_keygen_pubexp(ctx, e) > 0);
	else if (ok && alg->curve)
		ok = EVP_PKEY_CTX_set_group_name(ctx, alg->curve) > 0;
	if (!ok || EVP_PKEY_generate(ctx, &key) <= 0)
		key = NULL;
	BN_free(e);
	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();
	return key;
}

static void
put_bn(const EVP_PKEY *key, const char *param, uint32_t tag, struct vc_out *out)
{
	BIGNUM *n = NULL;
	uint8_t b[512];
	int size = EVP_PKEY_get_bn_param(key, param, &n) > 0 ? BN_num_bytes(n) : -1;

	if (size < 0 || size > (int)sizeof b)
		out->bad = true;
	else
		vc_tlv_put(out, tag, b, (size_t)BN_bn2bin(n, b));
	BN_free(n);
}

void
vc_key_public(const EVP_PKEY *key, struct vc_out *out)
{
	uint8_t point[1 + 2 * 48];
	size_t n = sizeof point;

	if (EVP_PKEY_is_a(key, "ED25519") || EVP_PKEY_is_a(key, "X25519")) {
		if (EVP_PKEY_get_raw_public_key(key, point, &n) > 0)
			vc_tlv_put(out, 0x86, point, n);
		else
			out->bad = true;
	} else if (EVP_PKEY_is_a(key, "RSA")) {
		put_bn(key, OSSL_PKEY_PARAM_RSA_N, 0x81, out);
		put_bn(key, OSSL_PKEY_PARAM_RSA_E, 0x82, out);
	} else if (EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point, &n) > 0 &&
	    n >= 1 && point[0] == 0x04) {
		vc_tlv_put(out, 0x86, point, n);
	} else {
		out->bad = true;
	}
}

bool
vc_key_policy(struct vc_in seq, uint8_t *pin, uint8_t *touch)
{
	struct vc_in v;
	uint32_t t;

	*pin = *touch = 0;
	while (vc_tlv_next(&seq, &t, &v)) {
		if (t != 0xAA && t != 0xAB)
			continue;
		if (v.n != 1 || v.p[0] > 3)
			return false;
		*(t == 0xAA ? pin : touch) = v.p[0];
	}
	return seq.n == 0;
}

/* Odd, at least 65537, below 2^256: SP 800-78-5, 3.1. */
static bool
exponent_ok(struct vc_in e)
{
	return e.n >= 3 && e.n <= 32 && e.p[0] && (e.p[e.n - 1] & 1);
}

/* AC { 80 mechanism [81 exponent] [AA AB] } */
static uint16_t
request_parse(const struct vcard *vc, struct vc_in in, const struct vc_alg **alg, struct vc_in *exponent)
{
	struct vc_in body, v, seq;
	uint32_t t;

	*exponent = (struct vc_in){ NULL, 0 };
	if (!vc_tlv_next(&in, &t, &body) || t != 0xAC || in.n || !vc_tlv_find(body, 0x80, &v) || v.n != 1)
		return SW_DATA;
	*alg = vc_alg_find(v.p[0]);
	if (!*alg || !((*alg)->generate || vc->opt.yubikey) || !vc_alg_has(vc, *alg))
		return SW_DATA;
	for (seq = body; vc_tlv_next(&seq, &t, &v);) {
		if (t == 0x81)
			*exponent = v;
		else if (t != 0x80 && !(vc->opt.yubikey && (t == 0xAA || t == 0xAB)))
			return SW_DATA;
	}
	if (exponent->n && (!(*alg)->rsa || !exponent_ok(*exponent)))
		return SW_DATA;
	return SW_OK;
}

static bool
may_generate(const struct vcard *vc, uint8_t ref)
{
	return memchr(first_refs, ref, sizeof first_refs) || (vc->opt.yubikey && ref >= 0x82 && ref <= 0x95);
}

uint16_t
vc_generate(struct vcard *vc, const struct vc_apdu *a, struct vc_out *out)
{
	struct vc_in exponent, in = a->data, body;
	struct vc_out public = { NULL, 0, 0, false };
	const struct vc_alg *alg;
	struct vc_key *k = vc_key_find(vc, a->p2);
	EVP_PKEY *new;
	uint32_t t;
	uint16_t sw;

	if (a->p1 != 0x00 || !k || !may_generate(vc, a->p2))
		return SW_P1P2;
	if (!vc->admin)
		return SW_SECURITY;
	if ((sw = request_parse(vc, a->data, &alg, &exponent)) != SW_OK)
		return sw;
	if (!(new = vc_key_new(alg, exponent)))
		return SW_INTERNAL;
	vc_key_clear(k);
	k->pkey = new;
	k->alg = alg->id;
	vc->dirty = true;
	if (vc->opt.yubikey && vc_tlv_next(&in, &t, &body))
		vc_key_policy(body, &k->pin, &k->touch);
	vc_key_public(new, &public);
	vc_tlv_out(out, 0x7F49, &public);
	vc_out_free(&public);
	return SW_OK;
}
