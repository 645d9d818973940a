/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The last look: a certificate is parsed again from the bytes that were signed and held against the profile, by code
 * that shares nothing with the code that made it but the profile's row. A certificate that fails is abandoned; that is
 * a fault of the issuer, and the person gets an error instead of a wrong credential.
 *
 * Rules: Common Policy certificate profiles (worksheets 8, 9, 10; fields common to all) and the CP's lifetimes:
 * 1096 days at most, not beyond the CA's own end, RSA-2048 not beyond 2030 (CP 6.1.5).
 */
#include <stdio.h>
#include <string.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "derive/issuer/lint.h"
#include "derive/issuer/pivid.h"
#include "derive/issuer/x509io.h"

#define END_OF_2030 1924991999 /* 2030-12-31T23:59:59Z */
#define DAY	    86400

typedef enum err lint_rule(X509 *x, const struct lint_expect *want);

static enum err
broken(const char *rule)
{
	return err_set(E_POLICY, "the signed certificate breaks its profile: %s", rule);
}

static enum err
rule_names(X509 *x, const struct lint_expect *want)
{
	WBUF_AUTO subject = { 0 };
	char serial[X509IO_SERIAL_MAX];
	enum err e;

	wbuf_init(&subject, 65536);
	if ((e = x509io_name_der(X509_get_subject_name(x), &subject)) != E_OK)
		return e;
	if (X509_get_version(x) != 2)
		return broken("version is not 3");
	if (!want->foreign &&
	    strcmp(x509io_serial_text(X509_get0_serialNumber(x), serial, sizeof serial), want->serial) != 0)
		return broken("serial number is not the reserved one");
	if (!span_eq(wbuf_view(&subject), want->subject))
		return broken("subject is not the person's");
	if (X509_NAME_cmp(X509_get_issuer_name(x), X509_get_subject_name(want->ca)) != 0)
		return broken("issuer is not the CA");
	return E_OK;
}

static enum err
rule_signature(X509 *x, const struct lint_expect *want)
{
	int md = NID_undef, pk = NID_undef;

	if (X509_verify(x, X509_get0_pubkey(want->ca)) != 1) {
		ERR_clear_error();
		return broken("signature does not verify with the CA's key");
	}
	if (!OBJ_find_sigid_algs(X509_get_signature_nid(x), &md, &pk) || (md != NID_sha256 && md != NID_sha384))
		return broken("signature algorithm");
	return E_OK;
}

static enum err
rule_validity(X509 *x, const struct lint_expect *want)
{
	EVP_PKEY *key = X509_get0_pubkey(x);
	time_t from, to, ca_to;

	if (!x509io_time(X509_get0_notBefore(x), &from) || !x509io_time(X509_get0_notAfter(x), &to) ||
	    !x509io_time(X509_get0_notAfter(want->ca), &ca_to))
		return broken("dates cannot be read");
	if (to <= from || to - from > (time_t)want->max_days * DAY || want->max_days > 1096)
		return broken("lifetime");
	if (to > ca_to)
		return broken("it would outlive the CA");
	if (key && EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA && EVP_PKEY_get_bits(key) < 3072 && to > END_OF_2030)
		return broken("RSA-2048 beyond 2030");
	return E_OK;
}

static enum err
rule_key(X509 *x, const struct lint_expect *want)
{
	WBUF_AUTO spki = { 0 };
	EVP_PKEY *key = X509_get0_pubkey(x);
	enum err e;

	wbuf_init(&spki, 65536);
	if (key == NULL)
		return broken("key cannot be read");
	if ((e = x509io_spki_der(key, &spki)) != E_OK)
		return e;
	return span_eq(wbuf_view(&spki), want->spki) ? E_OK : broken("key is not the one that was proven");
}

/* No program has to understand what another CA adds. */
static enum err
extra_extensions(X509 *x)
{
	for (int i = 0; i < X509_get_ext_count(x); i++) {
		X509_EXTENSION *ext = X509_get_ext(x, i);
		int nid = OBJ_obj2nid(X509_EXTENSION_get_object(ext));

		if (X509_EXTENSION_get_critical(ext) && nid != NID_key_usage && nid != NID_basic_constraints)
			return broken("a critical extension that the profile does not have");
	}
	return E_OK;
}

/* Exactly these, once each: extensions that the profiles do not list are not allowed. */
static enum err
rule_extensions(X509 *x, const struct lint_expect *want)
{
	static const struct {
		int nid, critical;
	} allowed[] = {
		{ NID_key_usage, 1 },
		{ NID_ext_key_usage, 0 },
		{ NID_certificate_policies, 0 },
		{ NID_subject_key_identifier, 0 },
		{ NID_authority_key_identifier, 0 },
		{ NID_crl_distribution_points, 0 },
		{ NID_info_access, 0 },
		{ NID_subject_alt_name, 0 },
	};
	const size_t n = sizeof allowed / sizeof allowed[0];

	if (want->foreign && (X509_check_ca(x) != 0 || (X509_get_extension_flags(x) & EXFLAG_CA) != 0))
		return broken("it is a CA's");
	if (!want->foreign && X509_get_ext_count(x) != (int)n)
		return broken("number of extensions");
	for (size_t i = 0; i < n; i++) {
		int at = X509_get_ext_by_NID(x, allowed[i].nid, -1);

		if (at < 0)
			return broken("an extension is missing");
		if (X509_get_ext_by_NID(x, allowed[i].nid, at) >= 0)
			return broken("an extension is there twice");
		if (X509_EXTENSION_get_critical(X509_get_ext(x, at)) != allowed[i].critical)
			return broken("criticality of an extension");
	}
	return want->foreign ? extra_extensions(x) : E_OK;
}

static bool
eku_has(const EXTENDED_KEY_USAGE *eku, const char *want)
{
	char oid[80];

	for (int i = 0; i < sk_ASN1_OBJECT_num(eku); i++)
		if (OBJ_obj2txt(oid, sizeof oid, sk_ASN1_OBJECT_value(eku, i), 1) > 0 && strcmp(oid, want) == 0)
			return true;
	return false;
}

static enum err
rule_usage(X509 *x, const struct lint_expect *want)
{
	bool ec = EVP_PKEY_get_base_id(X509_get0_pubkey(x)) == EVP_PKEY_EC;
	uint32_t usage = ec ? want->profile->usage_ec : want->profile->usage_rsa;
	EXTENDED_KEY_USAGE *eku;
	enum err e = E_OK;
	int n = 0;

	if (X509_get_key_usage(x) != usage)
		return broken("key usage");
	eku = X509_get_ext_d2i(x, NID_ext_key_usage, NULL, NULL);
	for (; e == E_OK && want->profile->eku_oids[n]; n++) {
		if (!eku_has(eku, want->profile->eku_oids[n]))
			e = broken("extended key usage");
	}
	if (e == E_OK && sk_ASN1_OBJECT_num(eku) != n)
		e = broken("extended key usage");
	EXTENDED_KEY_USAGE_free(eku);
	return e;
}

static enum err
rule_policy(X509 *x, const struct lint_expect *want)
{
	CERTIFICATEPOLICIES *cps = X509_get_ext_d2i(x, NID_certificate_policies, NULL, NULL);
	char oid[128] = "";
	bool ok = cps && sk_POLICYINFO_num(cps) == 1;

	if (ok)
		OBJ_obj2txt(oid, sizeof oid, sk_POLICYINFO_value(cps, 0)->policyid, 1);
	ok = ok && strcmp(oid, want->values->policy) == 0 &&
	    (want->foreign || sk_POLICYINFO_value(cps, 0)->qualifiers == NULL);
	CERTIFICATEPOLICIES_free(cps);
	return ok ? E_OK : broken("certificate policies");
}

static enum err
rule_key_identifiers(X509 *x, const struct lint_expect *want)
{
	AUTHORITY_KEYID *akid = X509_get_ext_d2i(x, NID_authority_key_identifier, NULL, NULL);
	const ASN1_OCTET_STRING *ca_id = X509_get0_subject_key_id(want->ca), *own = X509_get0_subject_key_id(x);
	bool ok = akid && akid->keyid && !akid->issuer && !akid->serial && ca_id && own &&
	    ASN1_OCTET_STRING_cmp(akid->keyid, ca_id) == 0 && ASN1_STRING_length(own) == 20;

	AUTHORITY_KEYID_free(akid);
	return ok ? E_OK : broken("key identifiers");
}

/* Does this name say base_url + tail? */
static bool
is_url(const GENERAL_NAME *g, const char *base, const char *tail)
{
	char want[400];
	const ASN1_IA5STRING *s;

	if (g == NULL || g->type != GEN_URI)
		return false;
	(void)snprintf(want, sizeof want, "%s%s", base, tail);
	s = g->d.uniformResourceIdentifier;
	return span_eq(span_of(ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s)), span_str(want));
}

/* Somewhere on the web, which another CA has chosen. */
static bool
is_http(const GENERAL_NAME *g)
{
	const ASN1_IA5STRING *s = g != NULL && g->type == GEN_URI ? g->d.uniformResourceIdentifier : NULL;

	return s != NULL && span_starts(span_of(ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s)), "http://", 7);
}

/* Where it comes from, and where its revocation would be found: one of each kind is enough. */
static enum err
foreign_addresses(X509 *x)
{
	AUTHORITY_INFO_ACCESS *aia = X509_get_ext_d2i(x, NID_info_access, NULL, NULL);
	CRL_DIST_POINTS *points = X509_get_ext_d2i(x, NID_crl_distribution_points, NULL, NULL);
	bool access = false, list = false;

	for (int i = 0; i < sk_ACCESS_DESCRIPTION_num(aia); i++)
		access |= is_http(sk_ACCESS_DESCRIPTION_value(aia, i)->location);
	for (int i = 0; i < sk_DIST_POINT_num(points); i++) {
		const DIST_POINT *p = sk_DIST_POINT_value(points, i);

		for (int k = 0;
		     p->distpoint && p->distpoint->type == 0 && k < sk_GENERAL_NAME_num(p->distpoint->name.fullname);
		     k++)
			list |= is_http(sk_GENERAL_NAME_value(p->distpoint->name.fullname, k));
	}
	AUTHORITY_INFO_ACCESS_free(aia);
	CRL_DIST_POINTS_free(points);
	return !access ? broken("authorityInfoAccess") : list ? E_OK : broken("cRLDistributionPoints");
}

static bool
crl_point_ok(X509 *x, const char *base)
{
	CRL_DIST_POINTS *points = X509_get_ext_d2i(x, NID_crl_distribution_points, NULL, NULL);
	const DIST_POINT *p = points && sk_DIST_POINT_num(points) == 1 ? sk_DIST_POINT_value(points, 0) : NULL;
	bool ok = p && p->reasons == NULL && p->CRLissuer == NULL && p->distpoint && p->distpoint->type == 0 &&
	    sk_GENERAL_NAME_num(p->distpoint->name.fullname) == 1 &&
	    is_url(sk_GENERAL_NAME_value(p->distpoint->name.fullname, 0), base, "/ca.crl");

	CRL_DIST_POINTS_free(points);
	return ok;
}

static enum err
rule_addresses(X509 *x, const struct lint_expect *want)
{
	AUTHORITY_INFO_ACCESS *aia = X509_get_ext_d2i(x, NID_info_access, NULL, NULL);
	const char *base = want->values->base_url;
	bool ca = false, ocsp = false;

	if (want->foreign) {
		AUTHORITY_INFO_ACCESS_free(aia);
		return foreign_addresses(x);
	}
	for (int i = 0; i < sk_ACCESS_DESCRIPTION_num(aia); i++) {
		const ACCESS_DESCRIPTION *a = sk_ACCESS_DESCRIPTION_value(aia, i);
		int method = OBJ_obj2nid(a->method);

		ca |= method == NID_ad_ca_issuers && is_url(a->location, base, "/ca.p7c");
		ocsp |= method == NID_ad_OCSP && is_url(a->location, base, "/ocsp");
	}
	AUTHORITY_INFO_ACCESS_free(aia);
	if (!ca || !ocsp)
		return broken("authorityInfoAccess");
	return crl_point_ok(x, base) ? E_OK : broken("cRLDistributionPoints");
}

static bool
same(const char *got, const char *want)
{
	return strcmp(got, want ? want : "") == 0;
}

bool
lint_uuid_v4(const char *uuid)
{
	return strlen(uuid) == 36 && uuid[14] == '4' && strchr("89ab", uuid[19]) != NULL;
}

static enum err
rule_san(X509 *x, const struct lint_expect *want)
{
	const struct profile *p = want->profile;
	const struct profile_values *v = want->values;
	GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	int n = sk_GENERAL_NAME_num(names), expected = p->mail ? 1 : 1 + (v->upn && v->upn[0]);
	struct pivid id;
	enum err e;

	GENERAL_NAMES_free(names);
	if ((e = pivid_read(x, &id)) != E_OK)
		return e;
	if (id.fascn[0])
		return broken("a FASC-N, which belongs to the card alone");
	if (n != expected)
		return broken("number of names in subjectAltName");
	if (p->uuid && ((!want->foreign && !same(id.uuid, v->uuid)) || !lint_uuid_v4(id.uuid)))
		return broken("UUID");
	if (p->uuid && want->foreign && same(id.uuid, want->card_uuid))
		return broken("the UUID is the card's");
	if (p->mail && (!same(id.email, v->email) || !pivid_email_ok(id.email)))
		return broken("rfc822Name");
	return same(id.upn, p->mail ? "" : v->upn) ? E_OK : broken("UPN");
}

static lint_rule *const rules[] = {
	rule_names,
	rule_signature,
	rule_validity,
	rule_key,
	rule_extensions,
	rule_usage,
	rule_policy,
	rule_key_identifiers,
	rule_addresses,
	rule_san,
};

enum err
lint_check(struct span der, const struct lint_expect *want)
{
	const unsigned char *p = der.p;
	X509 *x = der.n > 0 ? d2i_X509(NULL, &p, (long)der.n) : NULL;
	enum err e = E_OK;

	if (x == NULL || p != &der.p[der.n]) {
		ERR_clear_error();
		e = broken("it cannot be parsed");
	}
	for (size_t i = 0; e == E_OK && i < sizeof rules / sizeof rules[0]; i++)
		e = rules[i](x, want);
	X509_free(x);
	return e;
}
