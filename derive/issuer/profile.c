/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Certificate profiles as a table, and the extensions made from a row. What comes from a person's account or card (UPN,
 * mail address) goes into libcrypto's structures, never through its text syntax, where a comma would be an instruction.
 *
 * Derived authentication: digitalSignature alone, EKU clientAuth with smart card logon and PKINIT, a UUID of its own,
 * no FASC-N. Signature: digitalSignature and nonRepudiation. Encryption: keyEncipherment for RSA, keyAgreement for EC.
 * Both in one: digitalSignature and that, without nonRepudiation.
 */
#include <stdio.h>
#include <string.h>
#include <openssl/x509v3.h>

#include "derive/issuer/mkcert.h"
#include "derive/issuer/pivid.h"
#include "derive/issuer/profile.h"

static const char *const eku_auth[] = { "1.3.6.1.5.5.7.3.2", "1.3.6.1.4.1.311.20.2.2", "1.3.6.1.5.2.3.4", NULL };
static const char *const eku_sign[] = { "1.3.6.1.5.5.7.3.4", "1.3.6.1.4.1.311.10.3.12", NULL };
static const char *const eku_encrypt[] = { "1.3.6.1.5.5.7.3.4", NULL };

static const struct profile profiles[] = {
	{
	    .name = "auth",
	    .what = "Derived PIV Authentication",
	    .uuid = true,
	    .usage_rsa = KU_DIGITAL_SIGNATURE,
	    .usage_ec = KU_DIGITAL_SIGNATURE,
	    .usage_rsa_text = "critical,digitalSignature",
	    .usage_ec_text = "critical,digitalSignature",
	    .eku = "clientAuth,msSmartcardLogin,1.3.6.1.5.2.3.4",
	    .eku_oids = eku_auth,
	},
	{
	    .name = "sign",
	    .what = "Digital Signature",
	    .mail = true,
	    .usage_rsa = KU_DIGITAL_SIGNATURE | KU_NON_REPUDIATION,
	    .usage_ec = KU_DIGITAL_SIGNATURE | KU_NON_REPUDIATION,
	    .usage_rsa_text = "critical,digitalSignature,nonRepudiation",
	    .usage_ec_text = "critical,digitalSignature,nonRepudiation",
	    .eku = "emailProtection,1.3.6.1.4.1.311.10.3.12",
	    .eku_oids = eku_sign,
	},
	{
	    .name = "encrypt",
	    .what = "Key Management",
	    .mail = true,
	    .escrow = true,
	    .usage_rsa = KU_KEY_ENCIPHERMENT,
	    .usage_ec = KU_KEY_AGREEMENT,
	    .usage_rsa_text = "critical,keyEncipherment",
	    .usage_ec_text = "critical,keyAgreement",
	    .eku = "emailProtection",
	    .eku_oids = eku_encrypt,
	},
	{
	    .name = "mail",
	    .what = "Signature and Encryption",
	    .mail = true,
	    .both = true,
	    .usage_rsa = KU_DIGITAL_SIGNATURE | KU_KEY_ENCIPHERMENT,
	    .usage_ec = KU_DIGITAL_SIGNATURE | KU_KEY_AGREEMENT,
	    .usage_rsa_text = "critical,digitalSignature,keyEncipherment",
	    .usage_ec_text = "critical,digitalSignature,keyAgreement",
	    .eku = "emailProtection",
	    .eku_oids = eku_encrypt,
	},
};

const struct profile *
profile_at(size_t i)
{
	return i < sizeof profiles / sizeof profiles[0] ? &profiles[i] : NULL;
}

const struct profile *
profile_find(const char *name)
{
	const struct profile *p;

	if (name == NULL || name[0] == '\0')
		return &profiles[0];
	for (size_t i = 0; (p = profile_at(i)) != NULL; i++)
		if (strcmp(p->name, name) == 0)
			return p;
	return NULL;
}

static bool
push(GENERAL_NAMES *names, GENERAL_NAME *g)
{
	if (g && sk_GENERAL_NAME_push(names, g))
		return true;
	GENERAL_NAME_free(g);
	return false;
}

static bool
add_ia5(GENERAL_NAMES *names, int type, const char *prefix, const char *text)
{
	GENERAL_NAME *g = GENERAL_NAME_new();
	ASN1_IA5STRING *s = ASN1_IA5STRING_new();
	char buf[300];
	int n = snprintf(buf, sizeof buf, "%s%s", prefix, text);

	if (g == NULL || s == NULL || n < 0 || (size_t)n >= sizeof buf || !ASN1_STRING_set(s, buf, n)) {
		ASN1_IA5STRING_free(s);
		GENERAL_NAME_free(g);
		return false;
	}
	GENERAL_NAME_set0_value(g, type, s);
	return push(names, g);
}

static bool
add_upn(GENERAL_NAMES *names, const char *upn)
{
	GENERAL_NAME *g = GENERAL_NAME_new();
	ASN1_OBJECT *oid = OBJ_txt2obj(OID_UPN, 1);
	ASN1_UTF8STRING *s = ASN1_UTF8STRING_new();
	ASN1_TYPE *value = ASN1_TYPE_new();

	if (g == NULL || oid == NULL || s == NULL || value == NULL || !ASN1_STRING_set(s, upn, (int)strlen(upn)))
		goto fail;
	ASN1_TYPE_set(value, V_ASN1_UTF8STRING, s);
	s = NULL;
	if (!GENERAL_NAME_set0_othername(g, oid, value))
		goto fail;
	return push(names, g);
fail:
	GENERAL_NAME_free(g);
	ASN1_OBJECT_free(oid);
	ASN1_UTF8STRING_free(s);
	ASN1_TYPE_free(value);
	return false;
}

static GENERAL_NAMES *
names_of(const struct profile *p, const struct profile_values *v)
{
	GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
	bool ok = names != NULL;

	if (ok && p->uuid)
		ok = add_ia5(names, GEN_URI, "urn:uuid:", v->uuid);
	if (ok && p->mail)
		ok = add_ia5(names, GEN_EMAIL, "", v->email);
	if (ok && !p->mail && v->upn && v->upn[0])
		ok = add_upn(names, v->upn);
	if (ok)
		return names;
	GENERAL_NAMES_free(names);
	return NULL;
}

enum err
profile_names(const struct profile *p, const struct profile_values *v, X509_EXTENSION **out)
{
	GENERAL_NAMES *names = names_of(p, v);

	*out = names != NULL ? X509V3_EXT_i2d(NID_subject_alt_name, 0, names) : NULL;
	GENERAL_NAMES_free(names);
	return *out != NULL ? E_OK : err_crypto(E_CRYPTO, "cannot make the subjectAltName");
}

static enum err
add_san(const struct profile *p, const struct profile_values *v, X509 *cert)
{
	X509_EXTENSION *san;
	enum err e = profile_names(p, v, &san);

	if (e == E_OK && X509_add_ext(cert, san, -1) != 1)
		e = err_crypto(E_CRYPTO, "cannot make the subjectAltName");
	X509_EXTENSION_free(san);
	return e;
}

/* Key usages and policy, by the kind of the certificate's key. */
static enum err
add_uses(const struct profile *p, const struct profile_values *v, X509 *cert, X509 *ca)
{
	bool ec = EVP_PKEY_get_base_id(X509_get0_pubkey(cert)) == EVP_PKEY_EC;
	enum err e;

	if ((e = mkcert_ext(cert, ca, NID_key_usage, ec ? p->usage_ec_text : p->usage_rsa_text)) != E_OK ||
	    (e = mkcert_ext(cert, ca, NID_ext_key_usage, p->eku)) != E_OK)
		return e;
	return mkcert_ext(cert, ca, NID_certificate_policies, v->policy);
}

enum err
profile_wish(const struct profile *p, const struct profile_values *v, EVP_PKEY *key, STACK_OF(X509_EXTENSION) * *out)
{
	X509 *draft = X509_new();
	enum err e = E_OK;

	*out = NULL;
	if (draft == NULL || X509_set_pubkey(draft, key) != 1)
		e = err_crypto(E_NOMEM, "out of memory");
	if (e == E_OK && (e = add_uses(p, v, draft, draft)) == E_OK && (e = add_san(p, v, draft)) == E_OK) {
		*out =
		    sk_X509_EXTENSION_deep_copy(X509_get0_extensions(draft), X509_EXTENSION_dup, X509_EXTENSION_free);
		e = *out != NULL ? E_OK : err_set(E_NOMEM, "out of memory");
	}
	X509_free(draft);
	return e;
}

enum err
profile_apply(const struct profile *p, const struct profile_values *v, X509 *cert, X509 *ca)
{
	char cdp[300], aia[600];
	enum err e;

	(void)snprintf(cdp, sizeof cdp, "URI:%s/ca.crl", v->base_url);
	(void)snprintf(aia, sizeof aia, "caIssuers;URI:%s/ca.p7c,OCSP;URI:%s/ocsp", v->base_url, v->base_url);
	if ((e = add_uses(p, v, cert, ca)) != E_OK ||
	    (e = mkcert_ext(cert, ca, NID_subject_key_identifier, "hash")) != E_OK ||
	    (e = mkcert_ext(cert, ca, NID_authority_key_identifier, "keyid:always")) != E_OK ||
	    (e = mkcert_ext(cert, ca, NID_crl_distribution_points, cdp)) != E_OK ||
	    (e = mkcert_ext(cert, ca, NID_info_access, aia)) != E_OK)
		return e;
	return add_san(p, v, cert);
}
