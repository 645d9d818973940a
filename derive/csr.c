/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Certification requests (PKCS #10, RFC 2986): the card's subject, the new public key, the channel binding as
 * challengePassword when the issuer asks for it (RFC 7030, 3.5) or SCEP's challenge, keyUsage of the role and the
 * extensions that the issuer listed (RFC 9908). The request is signed by the key in the token, which is the proof of
 * possession, and verified with the public key that was read back from the token: a token whose two halves do not
 * belong together is found out here and not by the issuer.
 */
#include <string.h>

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/x509v3.h>

#include "base/text.h"
#include "derive/csr.h"
#include "derive/keywrap.h"

/* SHA-256, or the issuer's wish; SHA-384 where the key is P-384 (SP 800-78-5, table 2). */
static const EVP_MD *
csr_digest(const struct csr_in *in)
{
	if (in->attrs != NULL && in->attrs->digest != 0)
		return EVP_get_digestbynid(in->attrs->digest);
	return EVP_PKEY_get_base_id(in->pub) == EVP_PKEY_EC && EVP_PKEY_get_bits(in->pub) > 256 ? EVP_sha384()
												: EVP_sha256();
}

static X509_EXTENSION *
csr_key_usage(uint32_t bits)
{
	ASN1_BIT_STRING *b = ASN1_BIT_STRING_new();
	X509_EXTENSION *x = NULL;

	/* KU_* are the bits of the first octet, most significant first (RFC 5280, 4.2.1.3) */
	for (int i = 0; b != NULL && i < 8; i++) {
		if ((bits & (0x80U >> i)) != 0 && ASN1_BIT_STRING_set_bit(b, i, 1) != 1) {
			ASN1_BIT_STRING_free(b);
			b = NULL;
		}
	}
	if (b != NULL)
		x = X509V3_EXT_i2d(NID_key_usage, 1, b);
	ASN1_BIT_STRING_free(b);
	return x;
}

/* The issuer decides about these; a request that repeats its wishes would only be able to contradict the profile. */
static bool
csr_ext_is_ours(const X509_EXTENSION *x, bool renewal)
{
	union {
		const X509_EXTENSION *c;
		X509_EXTENSION *m;
	} cast = { x };
	int nid = OBJ_obj2nid(X509_EXTENSION_get_object(cast.m));

	return nid == NID_key_usage || nid == NID_ext_key_usage || nid == NID_certificate_policies ||
	    nid == NID_basic_constraints || (renewal && nid == NID_subject_alt_name);
}

static bool
csr_push(STACK_OF(X509_EXTENSION) * list, X509_EXTENSION *x)
{
	if (x != NULL && sk_X509_EXTENSION_push(list, x) > 0)
		return true;
	X509_EXTENSION_free(x);
	return false;
}

/* RFC 7030, 4.2.2: Subject and SubjectAltName of a renewal are those of the current certificate. */
static bool
csr_old_names(const struct csr_in *in, STACK_OF(X509_EXTENSION) * list)
{
	int at = in->old != NULL ? X509_get_ext_by_NID(in->old, NID_subject_alt_name, -1) : -1;

	return at < 0 || csr_push(list, X509_EXTENSION_dup(X509_get_ext(in->old, at)));
}

STACK_OF(X509_EXTENSION) * csr_extensions(const struct csr_in *in)
{
	const struct role_info *r = role_info(in->role);
	STACK_OF(X509_EXTENSION) *list = sk_X509_EXTENSION_new_null();
	bool rsa = EVP_PKEY_get_base_id(in->pub) == EVP_PKEY_RSA, ok = list != NULL;

	ok = ok && csr_push(list, csr_key_usage(rsa ? r->usage_rsa : r->usage_ec)) && csr_old_names(in, list);
	for (int i = 0; ok && in->attrs != NULL && i < sk_X509_EXTENSION_num(in->attrs->exts); i++) {
		X509_EXTENSION *x = sk_X509_EXTENSION_value(in->attrs->exts, i);

		if (!csr_ext_is_ours(x, in->old != NULL))
			ok = csr_push(list, X509_EXTENSION_dup(x));
	}
	if (ok)
		return list;
	sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
	return NULL;
}

static bool
csr_put_extensions(const struct csr_in *in, X509_REQ *req)
{
	STACK_OF(X509_EXTENSION) *list = csr_extensions(in);
	bool ok = list != NULL && X509_REQ_add_extensions(req, list) == 1;

	sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
	return ok;
}

/* The channel binding, or a challenge: printable where it can be, as servers expect it (RFC 2985, 5.4.1). */
static bool
csr_password(const struct csr_in *in, X509_REQ *req)
{
	WBUF_AUTO text;
	int type = V_ASN1_PRINTABLESTRING;

	wbuf_init(&text, 256);
	if (in->binding.n > 0)
		text_base64(in->binding, 0, &text);
	else
		wbuf_span(&text, in->challenge);
	if (text.bad || text.n == 0)
		return !text.bad;
	if (ASN1_PRINTABLE_type(text.p, (int)text.n) != V_ASN1_PRINTABLESTRING)
		type = V_ASN1_UTF8STRING;
	return X509_REQ_add1_attr_by_NID(req, NID_pkcs9_challengePassword, type, text.p, (int)text.n) == 1;
}

static bool
csr_decrypt_id(const struct csr_in *in, X509_REQ *req)
{
	return in->decrypt_id.n == 0 ||
	    X509_REQ_add1_attr_by_txt(
		req, KEYWRAP_ATTRIBUTE, V_ASN1_OCTET_STRING, in->decrypt_id.p, (int)in->decrypt_id.n) == 1;
}

static bool
csr_fill(const struct csr_in *in, X509_REQ *req)
{
	union {
		const X509_NAME *c;
		X509_NAME *m;
	} name = { in->old != NULL ? X509_get_subject_name(in->old) : in->subject };

	return X509_REQ_set_version(req, X509_REQ_VERSION_1) == 1 && X509_REQ_set_subject_name(req, name.m) == 1 &&
	    X509_REQ_set_pubkey(req, in->pub) == 1 && csr_password(in, req) && csr_decrypt_id(in, req) &&
	    csr_put_extensions(in, req);
}

enum err
csr_build(const struct csr_in *in, struct wbuf *out)
{
	X509_REQ *req = X509_REQ_new();
	unsigned char *der = NULL;
	enum err e = E_OK;
	int n;

	if (req == NULL || !csr_fill(in, req))
		e = err_crypto(E_CRYPTO, "cannot build the certificate request");
	else if (X509_REQ_sign(req, in->key, csr_digest(in)) <= 0)
		e = err_set(
		    E_CRYPTO, "cannot sign the certificate request with the new key"); /* the queue: token_failed() */
	else if (X509_REQ_verify(req, in->pub) != 1)
		e = err_crypto(E_CRYPTO, "the token signs with another key than the one that it shows");
	if (e == E_OK) {
		n = i2d_X509_REQ(req, &der);
		if (n > 0)
			wbuf_put(out, der, (size_t)n);
		if (n <= 0 || out->bad)
			e = err_crypto(E_NOMEM, "cannot write the certificate request");
		OPENSSL_free(der);
	}
	X509_REQ_free(req);
	return e;
}

/* --- which algorithm ---------------------------------------------------------------------------------------------- */

/* What derived keys may be (SP 800-78-5, table 1). */
static const struct {
	enum token_alg alg;
	int type, bits, curve;
} algs[] = {
	{ TOKEN_RSA2048, NID_rsaEncryption, 2048, 0 },
	{ TOKEN_RSA3072, NID_rsaEncryption, 3072, 0 },
	{ TOKEN_P256, NID_X9_62_id_ecPublicKey, 0, NID_X9_62_prime256v1 },
	{ TOKEN_P384, NID_X9_62_id_ecPublicKey, 0, NID_secp384r1 },
};

static bool
alg_suits(size_t i, const struct proto_attrs *a)
{
	return (a->key_type == 0 || algs[i].type == a->key_type) && (a->key_bits == 0 || algs[i].bits == a->key_bits) &&
	    (a->curve == 0 || algs[i].curve == a->curve);
}

static void
alg_wanted(const struct proto_attrs *a, char *out, size_t cap)
{
	if (a->key_type == NID_rsaEncryption && a->key_bits != 0)
		BIO_snprintf(out, cap, "RSA-%d", a->key_bits);
	else if (a->key_type == NID_rsaEncryption)
		BIO_snprintf(out, cap, "RSA");
	else
		BIO_snprintf(out, cap, "EC %s", a->curve != 0 ? OBJ_nid2sn(a->curve) : "");
}

enum err
csr_algorithm(const struct proto_attrs *attrs, bool chosen, enum token_alg choice, enum token_alg *out)
{
	static const struct proto_attrs anything;
	const struct proto_attrs *a = attrs != NULL ? attrs : &anything;
	char want[64];

	for (size_t i = 0; i < sizeof algs / sizeof algs[0]; i++) {
		if (!alg_suits(i, a) || (chosen && algs[i].alg != choice))
			continue;
		*out = algs[i].alg;
		return E_OK;
	}
	alg_wanted(a, want, sizeof want);
	if (chosen)
		return err_set(E_POLICY,
		    "the issuer wants an %s key and you asked for %s; leave --alg away or choose what it wants", want,
		    alg_name(choice));
	return err_set(
	    E_POLICY, "the issuer wants an %s key, which no derived PIV credential may have (SP 800-78-5)", want);
}
