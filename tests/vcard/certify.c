/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Certificates shaped like the Federal PKI's (Common Policy certificate profiles v2.2, worksheets 1, 3, 5 to 10). A
 * profile is a piece of OpenSSL configuration with the card's own values filled in; subject and SAN come from the
 * personalisation data. Either a given CA issues, or a throw-away root and issuing CA are made first.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/conf.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "tests/vcard/maker.h"

#define ARC "2.16.840.1.101.3.2.1.3."

/* Behind every subscriber's certificate. */
#define COMMON                                                                                                         \
	"subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid:always\n"                                             \
	"crlDistributionPoints=URI:${base}/ca.crl\n"                                                                   \
	"authorityInfoAccess=caIssuers;URI:${base}/ca.p7c,OCSP;URI:${base}/ocsp\n"
#define SAN_UUID  "URI.1=urn:uuid:${uuid}\n"
#define SAN_FASCN "otherName.1=2.16.840.1.101.3.6.6;FORMAT:HEX,OCT:${fascn}\n"
#define SAN_UPN	  "otherName.2=1.3.6.1.4.1.311.20.2.3;UTF8:${upn}\n"
#define INTERIM	  "2.16.840.1.101.3.6.9.1=ASN1:BOOLEAN:FALSE\n"
#define LOGON	  "extendedKeyUsage=clientAuth,msSmartcardLogin,1.3.6.1.5.2.3.4\n"

enum subject { PERSON, CARD, NAMED };

static const struct profile {
	const char *extensions;
	enum subject subject;
	const char *cn; /* NAMED */
	int days;	/* 0: the card's dates */
} profiles[] = {
	[PROFILE_ROOT] = { "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n"
			   "subjectKeyIdentifier=hash\n",
	    NAMED, "Throw-away Common Policy Root", 7300 },
	[PROFILE_CA] = { "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\n"
			 "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid:always\n"
			 "certificatePolicies=" ARC "6," ARC "7," ARC "8," ARC "13," ARC "17," ARC "39," ARC "40," ARC
			 "41\n"
			 "crlDistributionPoints=URI:${base}/root.crl\nauthorityInfoAccess=caIssuers;URI:${base}/"
			 "root.p7c\n",
	    NAMED, "Throw-away Issuing CA", 7000 },
	[PROFILE_AUTH] = { "keyUsage=critical,digitalSignature\n" LOGON "certificatePolicies=${policy}\n" COMMON INTERIM
			   "subjectAltName=@san\n[san]\n" SAN_FASCN SAN_UUID SAN_UPN,
	    PERSON, NULL, 0 },
	[PROFILE_DERIVED] = { "keyUsage=critical,digitalSignature\n" LOGON
			      "certificatePolicies=${policy}\n" COMMON INTERIM
			      "subjectAltName=@san\n[san]\n" SAN_UUID SAN_UPN,
	    PERSON, NULL, 0 },
	[PROFILE_SIGN] = { "keyUsage=critical,digitalSignature,nonRepudiation\n"
			   "extendedKeyUsage=emailProtection,1.3.6.1.4.1.311.10.3.12\ncertificatePolicies=" ARC
			   "7\n" COMMON "subjectAltName=email:${email}\n",
	    PERSON, NULL, 0 },
	[PROFILE_KM] = { "keyUsage=critical,${km}\nextendedKeyUsage=emailProtection\ncertificatePolicies=" ARC
			 "7\n" COMMON "subjectAltName=email:${email}\n",
	    PERSON, NULL, 0 },
	[PROFILE_CARDAUTH] = { "keyUsage=critical,digitalSignature\nextendedKeyUsage=critical,2.16.840.1.101.3.6.8\n"
			       "certificatePolicies=" ARC "17\n" COMMON
			       "subjectAltName=critical,@san\n[san]\n" SAN_FASCN SAN_UUID,
	    CARD, NULL, 0 },
	[PROFILE_CONTENT] = { "keyUsage=critical,digitalSignature\nextendedKeyUsage=critical,2.16.840.1.101.3.6.7\n"
			      "certificatePolicies=" ARC "39\n" COMMON,
	    NAMED, "Demo PIV Content Signer", 0 },
	[PROFILE_ATTEST] = { "basicConstraints=critical,CA:TRUE,pathlen:0\nsubjectKeyIdentifier=hash\n", NAMED,
	    "Virtual PIV Attestation", 0 },
};

/* Values go into a configuration text: nothing that means something there. */
static bool
harmless(struct vc_maker *m, const char *s)
{
	if (*s && !strpbrk(s, "$\\\"'#;,\r\n=`"))
		return true;
	vc_say(m->why, "not usable in a certificate: %.100s", s);
	return false;
}

static CONF *
configuration(struct vc_maker *m, const struct profile *p)
{
	char *fascn = vc_hex(m->fascn, sizeof m->fascn), *text = NULL;
	BIO *bio = NULL;
	CONF *conf = NULL;

	if (fascn && harmless(m, m->base_url) && harmless(m, m->email) && harmless(m, m->upn) &&
	    harmless(m, m->policy) &&
	    asprintf(&text, "base=%s\nuuid=%s\nfascn=%s\nupn=%s\nemail=%s\npolicy=%s\nkm=%s\n[ext]\n%s", m->base_url,
		m->uuid_text, fascn, m->upn, m->email, m->policy, m->alg->rsa ? "keyEncipherment" : "keyAgreement",
		p->extensions) > 0)
		bio = BIO_new_mem_buf(text, -1);
	if (bio && (conf = NCONF_new(NULL)) && NCONF_load_bio(conf, bio, NULL) <= 0) {
		NCONF_free(conf);
		conf = NULL;
	}
	BIO_free(bio);
	free(text);
	free(fascn);
	return conf;
}

static bool
name_add(X509_NAME *name, const char *field, const char *value)
{
	return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, (const unsigned char *)value, -1, -1, 0) > 0;
}

/* The issuing CA's name without its common name is the agency's: subscribers live under it. */
static X509_NAME *
base_name(const struct vc_maker *m, enum vc_profile which)
{
	X509_NAME *name = NULL;
	int at;

	if (which != PROFILE_ROOT && which != PROFILE_CA && m->ca &&
	    (name = X509_NAME_dup(X509_get_subject_name(m->ca)))) {
		while ((at = X509_NAME_get_index_by_NID(name, NID_commonName, -1)) >= 0)
			X509_NAME_ENTRY_free(X509_NAME_delete_entry(name, at));
		return name;
	}
	name = X509_NAME_new();
	if (name &&
	    (!name_add(name, "C", "US") || !name_add(name, "O", "Demo Government") ||
		!name_add(name, "OU", which == PROFILE_ROOT ? "Demo PKI" : "Demo Agency"))) {
		X509_NAME_free(name);
		name = NULL;
	}
	return name;
}

static bool
subject_set(const struct vc_maker *m, enum vc_profile which, X509 *x)
{
	const struct profile *p = &profiles[which];
	X509_NAME *name = base_name(m, which);
	bool ok = name != NULL;

	if (ok && p->subject == CARD)
		ok = name_add(name, "serialNumber", m->uuid_text);
	else if (ok)
		ok = name_add(name, "CN", p->subject == PERSON ? m->name : p->cn);
	ok = ok && X509_set_subject_name(x, name) > 0;
	X509_NAME_free(name);
	return ok;
}

static bool
serial_set(struct vc_maker *m, X509 *x)
{
	BIGNUM *n = m->serial ? BN_dup(m->serial) : BN_new();
	bool ok = n &&
	    (m->serial ? BN_add_word(m->serial, 1) : BN_rand(n, 127, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY)) > 0 &&
	    BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x));

	BN_free(n);
	return ok;
}

static bool
dates_set(const struct vc_maker *m, const struct profile *p, X509 *x)
{
	if (p->days)
		return X509_gmtime_adj(X509_getm_notBefore(x), -86400L * 365) &&
		    X509_gmtime_adj(X509_getm_notAfter(x), 86400L * p->days);
	return X509_set1_notBefore(x, m->not_before) > 0 && X509_set1_notAfter(x, m->not_after) > 0;
}

static bool
extensions_add(struct vc_maker *m, const struct profile *p, X509 *issuer, X509 *x)
{
	CONF *conf = configuration(m, p);
	X509V3_CTX ctx;
	bool ok = conf != NULL;

	if (ok) {
		X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
		X509V3_set_nconf(&ctx, conf);
		ok = X509V3_EXT_add_nconf(conf, &ctx, "ext", x) > 0;
	}
	NCONF_free(conf);
	return ok;
}

/* SP 800-78-5 table 2: P-384 signs SHA-384, everything else here SHA-256. */
static const EVP_MD *
digest_for(const EVP_PKEY *key)
{
	return EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_bits(key) > 256 ? EVP_sha384() : EVP_sha256();
}

static X509 *
certify(struct vc_maker *m, enum vc_profile which, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key)
{
	X509 *x = X509_new();
	X509_NAME *from;

	if (x && X509_set_version(x, X509_VERSION_3) > 0 && serial_set(m, x) && subject_set(m, which, x)) {
		from = X509_NAME_dup(X509_get_subject_name(issuer ? issuer : x));
		if (from && X509_set_issuer_name(x, from) > 0 && dates_set(m, &profiles[which], x) &&
		    X509_set_pubkey(x, key) > 0 && extensions_add(m, &profiles[which], issuer ? issuer : x, x) &&
		    X509_sign(x, issuer_key, digest_for(issuer_key)) > 0) {
			X509_NAME_free(from);
			return x;
		}
		X509_NAME_free(from);
	}
	if (m->why && !*m->why)
		vc_say(m->why, "certificate: %.200s", ERR_reason_error_string(ERR_peek_last_error()));
	ERR_clear_error();
	X509_free(x);
	return NULL;
}

X509 *
vc_certify(struct vc_maker *m, enum vc_profile which, EVP_PKEY *key)
{
	return certify(m, which, key, m->ca, m->ca_key);
}

X509 *
vc_certify_self(struct vc_maker *m, enum vc_profile which, EVP_PKEY *key)
{
	return certify(m, which, key, NULL, key);
}

static bool
throw_away_ca(struct vc_maker *m)
{
	struct vc_in none = { NULL, 0 };
	EVP_PKEY *root_key = vc_key_new(vc_alg_find(ALG_RSA3072), none);

	m->ca_key = vc_key_new(vc_alg_find(ALG_RSA2048), none);
	if (root_key && m->ca_key && (m->root = certify(m, PROFILE_ROOT, root_key, NULL, root_key)))
		m->ca = certify(m, PROFILE_CA, m->ca_key, m->root, root_key);
	EVP_PKEY_free(root_key);
	return m->ca != NULL;
}

bool
vc_ca_open(struct vc_maker *m)
{
	BIO *cert, *key;

	if (!m->spec->ca_cert && !m->spec->ca_key)
		return throw_away_ca(m);
	cert = m->spec->ca_cert ? BIO_new_file(m->spec->ca_cert, "r") : NULL;
	key = m->spec->ca_key ? BIO_new_file(m->spec->ca_key, "r") : NULL;
	if (cert && key) {
		m->ca = PEM_read_bio_X509(cert, NULL, NULL, NULL);
		m->ca_key = PEM_read_bio_PrivateKey(key, NULL, NULL, NULL);
	}
	BIO_free(cert);
	BIO_free(key);
	ERR_clear_error();
	if (m->ca && m->ca_key && X509_check_private_key(m->ca, m->ca_key) > 0)
		return true;
	ERR_clear_error();
	vc_say(m->why, "--ca-cert %.100s and --ca-key %.100s are not a certificate and its private key in PEM",
	    m->spec->ca_cert ? m->spec->ca_cert : "(missing)", m->spec->ca_key ? m->spec->ca_key : "(missing)");
	return false;
}
