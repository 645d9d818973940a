/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PKCS#10 (RFC 2986) from strangers. Sizes are capped before parsing; the kind and size of the key are judged from its
 * encoding before it is checked or used, so that a request cannot buy minutes of computation with a monstrous modulus
 * or home-made curve parameters; only then is the signature verified. Trailing bytes, weak digests, doubled or
 * odd challengePasswords are errors, not things to guess at.
 */
#include <string.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "base/text.h"
#include "derive/issuer/csr.h"
#include "derive/issuer/refuse.h"

static enum err
decode(struct span body, struct wbuf *der)
{
	struct span in = body;

	wbuf_init(der, CSR_MAX);
	if (in.n > 2 * CSR_MAX)
		return refuse(REFUSE_TOO_LARGE, "the certification request is larger than %d bytes", CSR_MAX);
	if (in.n == 0)
		return refuse(
		    REFUSE_BAD_CSR, "the request has no body; send a certification request (PKCS#10) in base64");
	if (span_starts(in, "0", 1)) { /* 0x30: SEQUENCE, raw DER */
		wbuf_span(der, in);
		if (der->bad)
			return refuse(REFUSE_TOO_LARGE, "the certification request is larger than %d bytes", CSR_MAX);
		return E_OK;
	}
	if (span_starts(in, "-----BEGIN", 10))
		return refuse(
		    REFUSE_BAD_CSR, "the certification request has PEM lines around it; send the base64 alone");
	if (!text_unbase64(in, der) || der->bad)
		return refuse(REFUSE_BAD_CSR, "the certification request is neither base64 nor DER");
	return E_OK;
}

/* The key as encoded: what may be handed to libcrypto's arithmetic at all. */
enum err
csr_check_encoding(X509_PUBKEY *spki)
{
	const ASN1_OBJECT *oid, *curve;
	const unsigned char *point;
	ASN1_OBJECT *alg;
	X509_ALGOR *algor;
	int n = 0, type, nid;
	const void *param;

	if (spki == NULL || !X509_PUBKEY_get0_param(&alg, &point, &n, &algor, spki))
		return refuse(REFUSE_BAD_CSR, "the certification request has no public key");
	X509_ALGOR_get0(&oid, &type, &param, algor);
	nid = OBJ_obj2nid(oid);
	if (nid == NID_rsaEncryption) {
		if (n > 600) /* RSA-4096 is 526 */
			return refuse(
			    REFUSE_KEY_POLICY, "the new RSA key is too long; use RSA-2048 or RSA-3072, P-256 or P-384");
		return E_OK;
	}
	if (nid != NID_X9_62_id_ecPublicKey)
		return refuse(REFUSE_KEY_POLICY,
		    "the new key is neither RSA nor ECDSA/ECDH; use RSA-2048 or RSA-3072, P-256 or P-384");
	curve = type == V_ASN1_OBJECT ? param : NULL;
	nid = curve ? OBJ_obj2nid(curve) : NID_undef;
	if (nid != NID_X9_62_prime256v1 && nid != NID_secp384r1)
		return refuse(REFUSE_KEY_POLICY, "the new EC key is not on a named curve P-256 or P-384");
	if (n != (nid == NID_secp384r1 ? 97 : 65) || point[0] != 0x04)
		return refuse(REFUSE_KEY_POLICY, "the new EC key is not an uncompressed point");
	return E_OK;
}

static enum err
check_signature(struct csr *c)
{
	int nid = X509_REQ_get_signature_nid(c->req), md = NID_undef, pk = NID_undef;

	/* RSA-PSS names its digest in the parameters, and OBJ_find_sigid_algs says NID_undef */
	if (!OBJ_find_sigid_algs(nid, &md, &pk) ||
	    (nid != NID_rsassaPss && md != NID_sha256 && md != NID_sha384 && md != NID_sha512))
		return refuse(REFUSE_BAD_CSR,
		    "the certification request is signed with %s; use SHA-256, SHA-384 or SHA-512",
		    nid == NID_undef ? "an unknown algorithm" : OBJ_nid2ln(nid));
	if (X509_REQ_verify(c->req, c->key) != 1) {
		ERR_clear_error();
		return refuse(
		    REFUSE_BAD_CSR, "the signature on the certification request does not verify with its own key");
	}
	return E_OK;
}

static enum err
read_challenge(struct csr *c)
{
	int at = X509_REQ_get_attr_by_NID(c->req, NID_pkcs9_challengePassword, -1);
	const ASN1_TYPE *value;
	X509_ATTRIBUTE *attr;
	const ASN1_STRING *s;
	int n;

	c->asks_extensions = X509_REQ_get_attr_by_NID(c->req, NID_ext_req, -1) >= 0 ||
	    X509_REQ_get_attr_by_NID(c->req, NID_ms_ext_req, -1) >= 0;
	if (at < 0)
		return E_OK;
	attr = X509_REQ_get_attr(c->req, at);
	if (X509_REQ_get_attr_by_NID(c->req, NID_pkcs9_challengePassword, at) >= 0 || X509_ATTRIBUTE_count(attr) != 1)
		return refuse(REFUSE_BAD_CSR, "the certification request has more than one challengePassword");
	value = X509_ATTRIBUTE_get0_type(attr, 0);
	if (value == NULL ||
	    (value->type != V_ASN1_PRINTABLESTRING && value->type != V_ASN1_UTF8STRING &&
		value->type != V_ASN1_IA5STRING && value->type != V_ASN1_T61STRING))
		return refuse(REFUSE_BAD_CSR, "the challengePassword is not a character string");
	s = value->value.asn1_string;
	n = ASN1_STRING_length(s);
	if (n <= 0 || (size_t)n >= sizeof c->challenge || memchr(ASN1_STRING_get0_data(s), 0, (size_t)n))
		return refuse(REFUSE_BAD_CSR, "the challengePassword is empty or too long");
	memcpy(c->challenge, ASN1_STRING_get0_data(s), (size_t)n);
	c->challenge[n] = '\0';
	return E_OK;
}

static enum err
read_request(struct span der, struct csr *c)
{
	const unsigned char *p = der.p;
	enum err e;

	c->req = d2i_X509_REQ(NULL, &p, (long)der.n);
	if (c->req == NULL || p != &der.p[der.n]) {
		ERR_clear_error();
		return refuse(REFUSE_BAD_CSR, "the certification request is not a PKCS#10 structure");
	}
	if ((e = csr_check_encoding(X509_REQ_get_X509_PUBKEY(c->req))) != E_OK)
		return e;
	if ((c->key = X509_REQ_get0_pubkey(c->req)) == NULL) {
		ERR_clear_error();
		return refuse(REFUSE_BAD_CSR, "the public key in the certification request is malformed");
	}
	if ((e = csr_check_key(c)) != E_OK || (e = check_signature(c)) != E_OK)
		return e;
	return read_challenge(c);
}

enum err
csr_read(struct span body, struct csr *out)
{
	WBUF_AUTO der = { 0 };
	enum err e;

	memset(out, 0, sizeof *out);
	if ((e = decode(body, &der)) == E_OK)
		e = read_request(wbuf_view(&der), out);
	if (e != E_OK)
		csr_clear(out);
	return e;
}

enum err
csr_der(const struct csr *c, struct wbuf *out)
{
	unsigned char *der = NULL;
	int n = i2d_X509_REQ(c->req, &der);

	if (n > 0)
		wbuf_put(out, der, (size_t)n);
	OPENSSL_free(der);
	return n > 0 && !out->bad ? E_OK : err_crypto(E_CRYPTO, "cannot write a certification request");
}

void
csr_clear(struct csr *c)
{
	X509_REQ_free(c->req);
	memset(c, 0, sizeof *c);
}

static enum err
check_rsa(const EVP_PKEY *key)
{
	int bits = EVP_PKEY_get_bits(key);
	BIGNUM *exponent = NULL;
	bool ok;

	if (bits != 2048 && bits != 3072)
		return refuse(
		    REFUSE_KEY_POLICY, "the new RSA key has %d bits; use RSA-2048 or RSA-3072, P-256 or P-384", bits);
	/* 78-5 3.1: odd, at least 65537, below 2^256 */
	ok = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &exponent) && BN_is_odd(exponent) &&
	    BN_num_bits(exponent) >= 17 && BN_num_bits(exponent) <= 256;
	BN_free(exponent);
	return ok ? E_OK : refuse(REFUSE_KEY_POLICY, "the new RSA key has an unacceptable public exponent");
}

enum err
csr_check_key(const struct csr *c)
{
	EVP_PKEY_CTX *ctx;
	bool sound;
	enum err e;

	if (EVP_PKEY_get_base_id(c->key) == EVP_PKEY_RSA && (e = check_rsa(c->key)) != E_OK)
		return e;
	ctx = EVP_PKEY_CTX_new(c->key, NULL);
	sound = ctx && EVP_PKEY_public_check(ctx) == 1;
	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();
	return sound ? E_OK : refuse(REFUSE_KEY_POLICY, "the new public key is not a sound key");
}
