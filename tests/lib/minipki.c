/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Certificates, CRLs and requests for tests, by libcrypto alone. A test names what is wrong with a certificate in the
 * words of openssl.cnf; nothing here knows the issuer's profiles.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <openssl/conf.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "tests/lib/minipki.h"

#define NEED(x)                                                                                                        \
	do {                                                                                                           \
		if (!(x))                                                                                              \
			die(#x);                                                                                       \
	} while (0)

static void
die(const char *what)
{
	fprintf(stderr, "minipki: %s\n", what);
	ERR_print_errors_fp(stderr);
	abort();
}

EVP_PKEY *
minipki_key(const char *alg)
{
	EVP_PKEY *k;

	if (strncmp(alg, "RSA-", 4) == 0)
		k = EVP_RSA_gen((unsigned)atoi(&alg[4]));
	else if (strcmp(alg, "ED25519") == 0)
		k = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	else
		k = EVP_EC_gen(alg);
	NEED(k);
	return k;
}

static CONF *
parse(const char *ext)
{
	CONF *conf = NCONF_new(NULL);
	BIO *bio = BIO_new(BIO_s_mem());
	long line;

	NEED(conf && bio && BIO_printf(bio, "[ext]\n%s", ext) > 0 && NCONF_load_bio(conf, bio, &line) == 1);
	BIO_free(bio);
	return conf;
}

static void
set_serial(X509 *x)
{
	BIGNUM *bn = BN_new();

	NEED(bn && BN_rand(bn, 120, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) &&
	    BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(x)));
	BN_free(bn);
}

static const EVP_MD *
digest_for(EVP_PKEY *key)
{
	return EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 ? NULL : EVP_sha256();
}

X509 *
minipki_cert(const struct minipki_cert *c)
{
	X509 *x = X509_new();
	X509_NAME *name = X509_NAME_new();
	X509V3_CTX ctx;

	NEED(x && name && X509_set_version(x, 2));
	NEED(X509_NAME_add_entry_by_txt(name, "C", MBSTRING_UTF8, (const unsigned char *)"US", -1, -1, 0));
	NEED(X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, (const unsigned char *)"Test", -1, -1, 0));
	NEED(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)c->cn, -1, -1, 0));
	set_serial(x);
	NEED(X509_set_subject_name(x, name) &&
	    X509_set_issuer_name(x, c->issuer ? X509_get_subject_name(c->issuer) : name) && X509_set_pubkey(x, c->key));
	NEED(X509_gmtime_adj(X509_getm_notBefore(x), c->from) && X509_gmtime_adj(X509_getm_notAfter(x), c->to));
	if (c->ext) {
		CONF *conf = parse(c->ext);

		X509V3_set_ctx(&ctx, c->issuer ? c->issuer : x, x, NULL, NULL, 0);
		X509V3_set_nconf(&ctx, conf);
		NEED(X509V3_EXT_add_nconf(conf, &ctx, "ext", x));
		NCONF_free(conf);
	}
	NEED(X509_sign(x, c->issuer_key ? c->issuer_key : c->key, digest_for(c->issuer_key ? c->issuer_key : c->key)) >
	    0);
	X509_NAME_free(name);
	return x;
}

X509 *
minipki_ca(const char *cn, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key, long from, long to, const char *policies)
{
	char ext[1000];
	const struct minipki_cert c = { cn, key, issuer, issuer_key, from, to, ext };

	snprintf(ext, sizeof ext,
	    "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n%s%s%"
	    "s%s",
	    issuer ? "authorityKeyIdentifier=keyid:always\n" : "", policies ? "certificatePolicies=" : "",
	    policies ? policies : "", policies ? "\n" : "");
	return minipki_cert(&c);
}

X509_CRL *
minipki_crl(X509 *ca, EVP_PKEY *key, long from, long to, X509 *revoked)
{
	X509_CRL *crl = X509_CRL_new();
	ASN1_TIME *a = X509_gmtime_adj(NULL, from), *b = X509_gmtime_adj(NULL, to);
	X509V3_CTX ctx;
	X509_EXTENSION *akid;

	NEED(crl && a && b && X509_CRL_set_version(crl, 1) && X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca)));
	NEED(X509_CRL_set1_lastUpdate(crl, a) && X509_CRL_set1_nextUpdate(crl, b));
	if (revoked) {
		X509_REVOKED *r = X509_REVOKED_new();
		ASN1_INTEGER *serial = ASN1_INTEGER_dup(X509_get_serialNumber(revoked));

		NEED(r && serial && X509_REVOKED_set_serialNumber(r, serial) && X509_REVOKED_set_revocationDate(r, a));
		NEED(X509_CRL_add0_revoked(crl, r));
		ASN1_INTEGER_free(serial);
	}
	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, ca, NULL, NULL, crl, 0);
	akid = X509V3_EXT_nconf_nid(NULL, &ctx, NID_authority_key_identifier, "keyid:always");
	NEED(akid && X509_CRL_add_ext(crl, akid, -1));
	X509_EXTENSION_free(akid);
	NEED(X509_CRL_sign(crl, key, EVP_sha256()) > 0);
	ASN1_TIME_free(a);
	ASN1_TIME_free(b);
	return crl;
}

static void
csr_extensions(X509_REQ *req, const char *ext)
{
	CONF *conf = parse(ext);
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, NULL, NULL, req, NULL, 0);
	X509V3_set_nconf(&ctx, conf);
	NEED(X509V3_EXT_REQ_add_nconf(conf, &ctx, "ext", req));
	NCONF_free(conf);
}

void
minipki_csr(EVP_PKEY *key, EVP_PKEY *signer, const char *md, const char *challenge, const char *ext, struct wbuf *out)
{
	X509_REQ *req = X509_REQ_new();
	X509_NAME *name = X509_NAME_new();
	unsigned char *der = NULL;
	int n;

	NEED(req && name &&
	    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)"Somebody Else", -1, -1, 0));
	NEED(X509_REQ_set_subject_name(req, name) && X509_REQ_set_pubkey(req, key));
	if (challenge)
		NEED(X509_REQ_add1_attr_by_NID(req, NID_pkcs9_challengePassword, MBSTRING_UTF8,
		    (const unsigned char *)challenge, (int)strlen(challenge)));
	if (ext)
		csr_extensions(req, ext);
	NEED(X509_REQ_sign(req, signer ? signer : key, md ? EVP_get_digestbyname(md) : NULL) > 0);
	n = i2d_X509_REQ(req, &der);
	NEED(n > 0);
	wbuf_put(out, der, (size_t)n);
	OPENSSL_free(der);
	X509_NAME_free(name);
	X509_REQ_free(req);
}

void
minipki_write_certs(const char *path, X509 *a, X509 *b)
{
	FILE *f = fopen(path, "w");

	NEED(f && (!a || PEM_write_X509(f, a)) && (!b || PEM_write_X509(f, b)) && fclose(f) == 0);
}

void
minipki_write_crls(const char *path, X509_CRL *a, X509_CRL *b)
{
	FILE *f = fopen(path, "w");

	NEED(f && (!a || PEM_write_X509_CRL(f, a)) && (!b || PEM_write_X509_CRL(f, b)) && fclose(f) == 0);
}
