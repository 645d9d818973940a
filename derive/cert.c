/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading facts out of certificates: names, UUIDs, policies (FPKI certificate profiles; RFC 5280). Certificates come
 * from tokens and servers: every extension may be missing, doubled or malformed, and then simply is not there.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/text.h"
#include "derive/cert.h"
#include "derive/fascn.h"

#define FASCN_OID "2.16.840.1.101.3.6.6"
#define UPN_OID	  "1.3.6.1.4.1.311.20.2.3"
#define URN	  "urn:uuid:"
#define URN_LEN	  9

static bool
oid_is(const ASN1_OBJECT *o, const char *oid)
{
	char text[128];

	return OBJ_obj2txt(text, sizeof text, o, 1) > 0 && strcmp(text, oid) == 0;
}

static char *
string_safe(const ASN1_STRING *s, char *out, size_t cap)
{
	unsigned char *utf8 = NULL;
	int n = s != NULL ? ASN1_STRING_to_UTF8(&utf8, s) : -1;

	out[0] = '\0';
	if (n >= 0)
		text_safe(span_of(utf8, (size_t)n), out, cap);
	OPENSSL_free(utf8);
	return out;
}

bool
cert_has_policy(X509 *cert, const char *const *oids, const char **found)
{
	CERTIFICATEPOLICIES *list = X509_get_ext_d2i(cert, NID_certificate_policies, NULL, NULL);
	const char *hit = NULL;

	for (int i = 0; i < sk_POLICYINFO_num(list); i++)
		for (size_t k = 0; oids[k] != NULL && hit == NULL; k++)
			if (oid_is(sk_POLICYINFO_value(list, i)->policyid, oids[k]))
				hit = oids[k];
	CERTIFICATEPOLICIES_free(list);
	if (found != NULL)
		*found = hit;
	return hit != NULL;
}

/* 8-4-4-4-12 hex digits. */
static bool
uuid_is_valid(const unsigned char *p)
{
	for (int i = 0; i < TEXT_UUID_MAX - 1; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? p[i] != '-' : memchr("0123456789abcdefABCDEF", p[i], 22) == NULL)
			return false;
	}
	return true;
}

unsigned
cert_uuids(X509 *cert, char first[TEXT_UUID_MAX])
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	unsigned n = 0;

	first[0] = '\0';
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		int type;
		ASN1_STRING *s = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type);
		const unsigned char *p;

		if (type != GEN_URI || ASN1_STRING_length(s) != URN_LEN + TEXT_UUID_MAX - 1)
			continue;
		p = ASN1_STRING_get0_data(s);
		if (strncasecmp((const char *)p, URN, URN_LEN) != 0 || !uuid_is_valid(p + URN_LEN))
			continue;
		if (n++ == 0) {
			memcpy(first, p + URN_LEN, TEXT_UUID_MAX - 1);
			first[TEXT_UUID_MAX - 1] = '\0';
		}
	}
	GENERAL_NAMES_free(names);
	return n;
}

/* The value of the first otherName of this type; NULL when there is none. *names is the storage. */
static const ASN1_TYPE *
other_name(X509 *cert, const char *type, GENERAL_NAMES **names)
{
	*names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	for (int i = 0; i < sk_GENERAL_NAME_num(*names); i++) {
		ASN1_OBJECT *oid = NULL;
		ASN1_TYPE *value = NULL;

		if (GENERAL_NAME_get0_otherName(sk_GENERAL_NAME_value(*names, i), &oid, &value) == 1 && oid != NULL &&
		    value != NULL && oid_is(oid, type))
			return value;
	}
	return NULL;
}

bool
cert_has_fascn(X509 *cert)
{
	GENERAL_NAMES *names;
	bool found = other_name(cert, FASCN_OID, &names) != NULL;

	GENERAL_NAMES_free(names);
	return found;
}

bool
cert_person(X509 *cert, char out[16])
{
	GENERAL_NAMES *names;
	const ASN1_TYPE *v = other_name(cert, FASCN_OID, &names);
	bool found = false;

	out[0] = '\0';
	if (v != NULL && v->type == V_ASN1_OCTET_STRING)
		found = fascn_person(span_of(ASN1_STRING_get0_data(v->value.octet_string),
					 (size_t)ASN1_STRING_length(v->value.octet_string)),
		    out);
	GENERAL_NAMES_free(names);
	return found;
}

char *
cert_upn(X509 *cert, char *out, size_t cap)
{
	GENERAL_NAMES *names;
	const ASN1_TYPE *v = other_name(cert, UPN_OID, &names);

	out[0] = '\0';
	if (v != NULL && v->type == V_ASN1_UTF8STRING)
		string_safe(v->value.utf8string, out, cap);
	GENERAL_NAMES_free(names);
	return out;
}

bool
cert_has_eku(X509 *cert, int nid)
{
	EXTENDED_KEY_USAGE *eku = X509_get_ext_d2i(cert, NID_ext_key_usage, NULL, NULL);
	bool found = false;

	for (int i = 0; i < sk_ASN1_OBJECT_num(eku) && !found; i++)
		found = OBJ_obj2nid(sk_ASN1_OBJECT_value(eku, i)) == nid;
	EXTENDED_KEY_USAGE_free(eku);
	return found;
}

bool
cert_has_eku_oid(X509 *cert, const char *oid)
{
	EXTENDED_KEY_USAGE *eku = X509_get_ext_d2i(cert, NID_ext_key_usage, NULL, NULL);
	bool found = false;

	for (int i = 0; i < sk_ASN1_OBJECT_num(eku) && !found; i++)
		found = oid_is(sk_ASN1_OBJECT_value(eku, i), oid);
	EXTENDED_KEY_USAGE_free(eku);
	return found;
}

char *
cert_name(X509 *cert, char *out, size_t cap)
{
	const X509_NAME *name = X509_get_subject_name(cert);
	int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1), next;
	char *line;

	out[0] = '\0';
	/* the last is the most specific */
	while (at >= 0 && (next = X509_NAME_get_index_by_NID(name, NID_commonName, at)) >= 0)
		at = next;
	if (at >= 0)
		string_safe(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)), out, cap);
	if (out[0] == '\0' && (line = X509_NAME_oneline(name, NULL, 0)) != NULL) {
		text_safe(span_str(line), out, cap);
		OPENSSL_free(line);
	}
	return out;
}

char *
cert_serial(X509 *cert, char *out, size_t cap)
{
	const ASN1_INTEGER *s = X509_get0_serialNumber(cert);

	return text_hex(span_of(ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s)), out, cap);
}

char *
cert_email(X509 *cert, char *out, size_t cap)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);

	out[0] = '\0';
	for (int i = 0; i < sk_GENERAL_NAME_num(names) && out[0] == '\0'; i++) {
		int type;
		ASN1_STRING *s = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type);

		if (type == GEN_EMAIL)
			string_safe(s, out, cap);
	}
	GENERAL_NAMES_free(names);
	return out;
}

enum err
cert_key_text(EVP_PKEY *pub, char out[CERT_KEY_TEXT])
{
	unsigned char md[EVP_MAX_MD_SIZE], *der = NULL;
	unsigned int len = 0;
	int n = i2d_PUBKEY(pub, &der);
	bool ok = n > 0 && EVP_Digest(der, (size_t)n, md, &len, EVP_sha256(), NULL) == 1;

	OPENSSL_free(der);
	if (!ok)
		return err_crypto(E_CRYPTO, "cannot hash the public key");
	text_hex(span_of(md, len), out, CERT_KEY_TEXT);
	return E_OK;
}

void
cert_emails_add(X509 *cert, char *list, size_t cap)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		size_t used = strlen(list);
		char one[256];
		int type;
		ASN1_STRING *s = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type);

		if (type != GEN_EMAIL)
			continue;
		string_safe(s, one, sizeof one);
		if (one[0] != '\0' && strchr(one, ' ') == NULL && used + strlen(one) + 1 < cap)
			snprintf(list + used, cap - used, "%s%s", used > 0 ? " " : "", one);
	}
	GENERAL_NAMES_free(names);
}

static time_t
time_of(const ASN1_TIME *t)
{
	struct tm tm = { 0 };

	return t != NULL && ASN1_TIME_to_tm(t, &tm) == 1 ? timegm(&tm) : 0;
}

time_t
cert_not_after(X509 *cert)
{
	return time_of(X509_get0_notAfter(cert));
}

time_t
cert_not_before(X509 *cert)
{
	return time_of(X509_get0_notBefore(cert));
}

#define DAY (24L * 60 * 60)

time_t
cert_renew_from(X509 *cert, long days)
{
	time_t from = cert_not_before(cert), to = cert_not_after(cert);
	time_t half = (to - from) / 2, window = (time_t)(days > 0 ? days : 0) * DAY;

	return to - (window < half ? window : half);
}

bool
cert_is_piv_auth(X509 *cert)
{
	static const char *const piv[] = { "2.16.840.1.101.3.2.1.3.13", "2.16.840.1.101.3.2.1.48.11", NULL };
	static const char *const derived[] = { "2.16.840.1.101.3.2.1.3.40", "2.16.840.1.101.3.2.1.3.41",
		"2.16.840.1.101.3.2.1.48.109", "2.16.840.1.101.3.2.1.48.110", NULL };

	/* SP 800-157r1, 2.2.3: a derived credential never binds another one */
	return cert_has_policy(cert, piv, NULL) && !cert_has_policy(cert, derived, NULL);
}

enum err
cert_choose(STACK_OF(X509) * certs, EVP_PKEY *pub, X509 **out)
{
	*out = NULL;
	for (int i = 0; i < sk_X509_num(certs) && *out == NULL; i++) {
		EVP_PKEY *k = X509_get0_pubkey(sk_X509_value(certs, i));

		if (k != NULL && EVP_PKEY_eq(k, pub) == 1)
			*out = sk_X509_value(certs, i);
	}
	ERR_clear_error();
	if (*out != NULL)
		return E_OK;
	return err_set(E_POLICY,
	    "the issuer certified another key than the one that was asked for; nothing was installed, tell "
	    "the issuer");
}

enum err
cert_read_file(const char *path, STACK_OF(X509) * *out)
{
	BIO *in = BIO_new_file(path, "r");
	STACK_OF(X509) *list = sk_X509_new_null();
	X509 *x;

	*out = NULL;
	while (in != NULL && list != NULL && (x = PEM_read_bio_X509(in, NULL, NULL, NULL)) != NULL) {
		if (sk_X509_push(list, x) <= 0) {
			X509_free(x);
			break;
		}
	}
	BIO_free(in);
	ERR_clear_error();
	if (sk_X509_num(list) > 0) {
		*out = list;
		return E_OK;
	}
	sk_X509_free(list);
	return err_set(E_CONF, "there is no PEM certificate in %.200s", path);
}

X509 *
cert_leaf(STACK_OF(X509) * certs)
{
	X509 *leaf = NULL;

	for (int i = 0; i < sk_X509_num(certs); i++) {
		X509 *x = sk_X509_value(certs, i);

		if (X509_check_ca(x) != 0)
			continue;
		if (leaf != NULL)
			return NULL;
		leaf = x;
	}
	return leaf;
}

enum assure_level
cert_assurance(X509 *cert, enum role role)
{
	const struct role_info *r = role_info(role);

	if (role != ROLE_AUTH)
		return ASSURE_NONE;
	if (cert_has_policy(cert, r->hard, NULL) || cert_has_policy(cert, r->test_hard, NULL))
		return ASSURE_AAL3;
	return cert_has_policy(cert, r->policies, NULL) || cert_has_policy(cert, r->test_policies, NULL) ? ASSURE_AAL2
													 : ASSURE_NONE;
}
