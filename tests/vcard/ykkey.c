/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a YubiKey says about its keys, and takes: metadata (F7), import (FE), attestation (F9). Metadata TLVs: 01
 * algorithm, 02 PIN and touch policy, 03 origin (1 generated, 2 imported), 04 public key, 05 value is the
 * factory's, 06 tries in all and left. An attestation is a certificate for the key, signed by F9, with the firmware
 * version, serial number and policies as extensions; imported keys are not attested.
 */
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/rand.h>
#include <openssl/x509.h>

#include "tests/vcard/model.h"

#define ARC "1.3.6.1.4.1.41482.3."

static void
policies(const struct vc_key *k, uint8_t ref, uint8_t out[2])
{
	out[0] = k->pin ? k->pin : ref == 0x9E ? 1 : ref == 0x9C ? 3 : 2;
	out[1] = k->touch ? k->touch : 1;
}

static void
secret_metadata(const struct vc_secret *s, const char *factory, struct vc_out *out)
{
	struct vc_secret plain = { .set = false };
	uint8_t tries[2] = { (uint8_t)s->max, (uint8_t)s->left }, same;

	vc_secret_set(&plain, factory);
	same = memcmp(plain.v, s->v, sizeof s->v) == 0;
	vc_tlv_put(out, 0x01, "\xFF", 1);
	vc_tlv_put(out, 0x05, &same, 1);
	vc_tlv_put(out, 0x06, tries, sizeof tries);
}

static void
mgmt_metadata(const struct vcard *vc, struct vc_out *out)
{
	uint8_t same = vc->mgmt_alg == ALG_3DES;

	for (size_t i = 0; i < vc->mgmt_n; i++)
		same &= vc->mgmt[i] == i % 8 + 1;
	vc_tlv_put(out, 0x01, &vc->mgmt_alg, 1);
	vc_tlv_put(out, 0x02, "\x00\x01", 2);
	vc_tlv_put(out, 0x05, &same, 1);
}

static void
key_metadata(const struct vc_key *k, uint8_t ref, struct vc_out *out)
{
	struct vc_out public = { NULL, 0, 0, false };
	uint8_t policy[2], origin = k->imported ? 2 : 1;

	policies(k, ref, policy);
	vc_key_public(k->pkey, &public);
	vc_tlv_put(out, 0x01, &k->alg, 1);
	vc_tlv_put(out, 0x02, policy, sizeof policy);
	vc_tlv_put(out, 0x03, &origin, 1);
	vc_tlv_out(out, 0x04, &public);
	vc_out_free(&public);
}

uint16_t
vc_yk_metadata(struct vcard *vc, const struct vc_apdu *a, struct vc_out *out)
{
	const struct vc_key *k = vc_key_find(vc, a->p2);

	if (a->p1)
		return SW_P1P2;
	if (a->p2 == 0x80)
		secret_metadata(&vc->secret[VC_PIN], "123456", out);
	else if (a->p2 == 0x81)
		secret_metadata(&vc->secret[VC_PUK], "12345678", out);
	else if (a->p2 == 0x9B)
		mgmt_metadata(vc, out);
	else if (k && k->pkey)
		key_metadata(k, a->p2, out);
	else
		return SW_REFERENCE;
	return SW_OK;
}

/* ---- import ---------------------------------------------------------------------------------------------------- */

static EVP_PKEY *
from_params(const char *type, OSSL_PARAM_BLD *b)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(b);
	EVP_PKEY *key = NULL;

	if (!ctx || !params || EVP_PKEY_fromdata_init(ctx) <= 0 ||
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) <= 0)
		key = NULL;
	OSSL_PARAM_free(params);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

/* From p and q: n, and d for e = 65537. */
static EVP_PKEY *
rsa_from_primes(struct vc_in part[5])
{
	static const char *const name[5] = { OSSL_PKEY_PARAM_RSA_FACTOR1, OSSL_PKEY_PARAM_RSA_FACTOR2,
		OSSL_PKEY_PARAM_RSA_EXPONENT1, OSSL_PKEY_PARAM_RSA_EXPONENT2, OSSL_PKEY_PARAM_RSA_COEFFICIENT1 };
	BN_CTX *ctx = BN_CTX_new();
	OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
	BIGNUM *v[5] = { NULL }, *n = BN_new(), *e = BN_new(), *d = BN_new(), *p1 = BN_new(), *q1 = BN_new();
	EVP_PKEY *key = NULL;
	bool ok = ctx && b && n && e && d && p1 && q1 && BN_set_word(e, 65537);

	for (int i = 0; ok && i < 5; i++)
		ok = (v[i] = BN_bin2bn(part[i].p, (int)part[i].n, NULL)) && OSSL_PARAM_BLD_push_BN(b, name[i], v[i]);
	ok = ok && BN_mul(n, v[0], v[1], ctx) && BN_sub(p1, v[0], BN_value_one()) && BN_sub(q1, v[1], BN_value_one()) &&
	    BN_mul(p1, p1, q1, ctx) && !BN_is_zero(p1) && BN_mod_inverse(d, e, p1, ctx);
	if (ok && OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_N, n) &&
	    OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_E, e) && OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_D, d))
		key = from_params("RSA", b);
	for (int i = 0; i < 5; i++)
		BN_clear_free(v[i]);
	BN_free(n);
	BN_free(e);
	BN_clear_free(d);
	BN_clear_free(p1);
	BN_clear_free(q1);
	OSSL_PARAM_BLD_free(b);
	BN_CTX_free(ctx);
	return key;
}

static EVP_PKEY *
ec_from_scalar(const struct vc_alg *alg, struct vc_in scalar)
{
	EC_GROUP *g = EC_GROUP_new_by_curve_name(EC_curve_nist2nid(alg->curve));
	EC_POINT *q = g ? EC_POINT_new(g) : NULL;
	BIGNUM *d = BN_bin2bn(scalar.p, (int)scalar.n, NULL);
	OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
	unsigned char point[1 + 2 * 48];
	size_t n = 0;
	EVP_PKEY *key = NULL;

	if (q && d && b && EC_POINT_mul(g, q, d, NULL, NULL, NULL) > 0)
		n = EC_POINT_point2oct(g, q, POINT_CONVERSION_UNCOMPRESSED, point, sizeof point, NULL);
	if (n > 1 && OSSL_PARAM_BLD_push_utf8_string(b, OSSL_PKEY_PARAM_GROUP_NAME, alg->curve, 0) > 0 &&
	    OSSL_PARAM_BLD_push_octet_string(b, OSSL_PKEY_PARAM_PUB_KEY, point, n) > 0 &&
	    OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_PRIV_KEY, d) > 0)
		key = from_params("EC", b);
	OSSL_PARAM_BLD_free(b);
	BN_clear_free(d);
	EC_POINT_free(q);
	EC_GROUP_free(g);
	return key;
}

/* 07 Ed25519's seed, 08 X25519's scalar. */
static EVP_PKEY *
from_raw(const struct vc_alg *alg, struct vc_in raw)
{
	return raw.n != 32
	    ? NULL
	    : EVP_PKEY_new_raw_private_key_ex(NULL, alg->id == ALG_ED25519 ? "ED25519" : "X25519", NULL, raw.p, raw.n);
}

static EVP_PKEY *
import_parse(const struct vc_alg *alg, struct vc_in data)
{
	struct vc_in part[5];
	uint32_t parts = alg->rsa ? 5 : 1;
	uint32_t first = alg->rsa ? 0x01 : alg->id == ALG_ED25519 ? 0x07 : alg->id == ALG_X25519 ? 0x08 : 0x06;
	size_t size = alg->rsa ? alg->bits / 16 : alg->bits / 8;

	for (uint32_t i = 0; i < parts; i++)
		if (!vc_tlv_find(data, first + i, &part[i]) || part[i].n == 0 || part[i].n > size)
			return NULL;
	if (!alg->rsa && !alg->curve)
		return from_raw(alg, part[0]);
	return alg->rsa ? rsa_from_primes(part) : ec_from_scalar(alg, part[0]);
}

uint16_t
vc_yk_import(struct vcard *vc, const struct vc_apdu *a, struct vc_out *out)
{
	const struct vc_alg *alg = vc_alg_find(a->p1);
	struct vc_key *k = vc_key_find(vc, a->p2);
	uint8_t pin, touch;
	EVP_PKEY *key;

	(void)out;
	if (!alg || !k || !vc_alg_has(vc, alg))
		return SW_P1P2;
	if (!vc->admin)
		return SW_SECURITY;
	key = vc_key_policy(a->data, &pin, &touch) ? import_parse(alg, a->data) : NULL;
	ERR_clear_error();
	if (!key || vc_alg_of(key) != alg->id) {
		EVP_PKEY_free(key);
		return SW_DATA;
	}
	vc_key_clear(k);
	*k = (struct vc_key){ .pkey = key, .alg = alg->id, .pin = pin, .touch = touch, .imported = true };
	vc->dirty = true;
	return SW_OK;
}

/* ---- attestation ------------------------------------------------------------------------------------------------ */

/* The attestation certificate in 5FFF01: 53 { 70 … }. */
static X509 *
attestor(struct vcard *vc)
{
	const struct vc_object *o = vc_object_find(vc, 0x5FFF01);
	struct vc_in in = { o ? o->p : NULL, o ? o->n : 0 }, body, cert;
	uint32_t t;
	const unsigned char *p;

	if (!o || !vc_tlv_next(&in, &t, &body) || !vc_tlv_find(body, 0x70, &cert))
		return NULL;
	p = cert.p;
	return d2i_X509(NULL, &p, (long)cert.n);
}

static bool
add_extension(X509 *x, const char *oid, const void *p, size_t n)
{
	ASN1_OBJECT *o = OBJ_txt2obj(oid, 1);
	ASN1_OCTET_STRING *s = ASN1_OCTET_STRING_new();
	X509_EXTENSION *e = NULL;
	bool ok = o && s && ASN1_OCTET_STRING_set(s, p, (int)n) > 0 &&
	    (e = X509_EXTENSION_create_by_OBJ(NULL, o, 0, s)) && X509_add_ext(x, e, -1) > 0;

	X509_EXTENSION_free(e);
	ASN1_OCTET_STRING_free(s);
	ASN1_OBJECT_free(o);
	return ok;
}

static bool
add_facts(const struct vcard *vc, const struct vc_key *k, uint8_t ref, X509 *x)
{
	uint8_t policy[2],
	    serial[7] = { 0x02, 5, 0, (uint8_t)(vc->opt.serial >> 24), (uint8_t)(vc->opt.serial >> 16),
		    (uint8_t)(vc->opt.serial >> 8), (uint8_t)vc->opt.serial };
	size_t skip = 0;

	/* INTEGER in its shortest form */
	while (skip < 4 && serial[2 + skip] == 0 && serial[3 + skip] < 0x80)
		skip++;
	memmove(serial + 2, serial + 2 + skip, 5 - skip);
	serial[1] = (uint8_t)(5 - skip);
	policies(k, ref, policy);
	return add_extension(x, ARC "3", vc->opt.version, sizeof vc->opt.version) &&
	    add_extension(x, ARC "7", serial, 2u + serial[1]) && add_extension(x, ARC "8", policy, sizeof policy);
}

static X509 *
attest(struct vcard *vc, const struct vc_key *k, uint8_t ref, X509 *by, EVP_PKEY *key)
{
	X509 *x = X509_new();
	X509_NAME *name = X509_NAME_new(), *from = X509_NAME_dup(X509_get_subject_name(by));
	char cn[40];
	uint8_t serial[16];
	BIGNUM *n = RAND_bytes(serial, sizeof serial) > 0 ? BN_bin2bn(serial, sizeof serial, NULL) : NULL;
	bool ok;

	snprintf(cn, sizeof cn, "YubiKey PIV Attestation %02x", ref);
	ok = x && name && from && n && X509_set_version(x, X509_VERSION_3) > 0 &&
	    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0) > 0 &&
	    BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)) && X509_set_subject_name(x, name) > 0 &&
	    X509_set_issuer_name(x, from) > 0 && X509_set1_notBefore(x, X509_get0_notBefore(by)) > 0 &&
	    X509_set1_notAfter(x, X509_get0_notAfter(by)) > 0 && X509_set_pubkey(x, k->pkey) > 0 &&
	    add_facts(vc, k, ref, x) && X509_sign(x, key, EVP_sha256()) > 0;
	BN_free(n);
	X509_NAME_free(name);
	X509_NAME_free(from);
	if (!ok) {
		X509_free(x);
		x = NULL;
	}
	return x;
}

uint16_t
vc_yk_attest(struct vcard *vc, const struct vc_apdu *a, struct vc_out *out)
{
	const struct vc_key *k = vc_key_find(vc, a->p1), *f9 = vc_key_find(vc, 0xF9);
	X509 *by, *x = NULL;
	unsigned char *der = NULL;
	int n = -1;

	if (!k || a->p2 || a->p1 == 0xF9)
		return SW_P1P2;
	if (!k->pkey || k->imported)
		return SW_DATA;
	by = f9 && f9->pkey ? attestor(vc) : NULL;
	if (by && (x = attest(vc, k, a->p1, by, f9->pkey)))
		n = i2d_X509(x, &der);
	if (n > 0)
		vc_out_put(out, der, (size_t)n);
	OPENSSL_free(der);
	X509_free(x);
	X509_free(by);
	ERR_clear_error();
	return n > 0 ? SW_OK : SW_REFERENCE;
}
