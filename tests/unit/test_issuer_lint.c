/* SPDX-License-Identifier: BSD-2-Clause */
/* Profiles and the linter: what the profile makes passes, and each single deviation is caught by its own rule. */
#include <stdio.h>
#include <openssl/x509v3.h>

#include "derive/issuer/lint.h"
#include "derive/issuer/mkcert.h"
#include "derive/issuer/profile.h"
#include "derive/issuer/x509io.h"
#include "tests/lib/minipki.h"
#include "tests/lib/test.h"

#define DAY 86400L

static struct {
	EVP_PKEY *ca_key, *ec, *rsa2048, *rsa3072;
	X509 *ca;
	X509_NAME *name;
} p;

static const struct profile_values values = {
	.policy = "2.16.840.1.101.3.2.1.3.40",
	.base_url = "http://localhost/pki",
	.uuid = "803a8755-58bc-4416-94b0-11f247626de0",
	.upn = "pat@example.test",
	.email = "pat@example.test",
};

static int
set_up(void **state)
{
	const struct mkcert_rdn rdn[] = { { NID_countryName, "US" }, { NID_commonName, "Pat Example" }, { 0, NULL } };

	(void)state;
	p.ca_key = minipki_key("P-256");
	p.ec = minipki_key("P-256");
	p.rsa2048 = minipki_key("RSA-2048");
	p.rsa3072 = minipki_key("RSA-3072");
	p.ca = minipki_ca("CA", p.ca_key, NULL, NULL, -DAY, 2000 * DAY, NULL);
	assert_ok(mkcert_name(rdn, &p.name));
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	EVP_PKEY_free(p.ca_key);
	EVP_PKEY_free(p.ec);
	EVP_PKEY_free(p.rsa2048);
	EVP_PKEY_free(p.rsa3072);
	X509_free(p.ca);
	X509_NAME_free(p.name);
	return 0;
}

/* A certificate by the profile, changed by a mutator before it is signed, and the linter's opinion. */
typedef void mutator(X509 *x);
struct sample {
	const struct profile *profile;
	EVP_PKEY *key;
	long from, to;
	mutator *change;
	EVP_PKEY *signer; /* NULL: the CA */
	const struct profile_values *values;
	long max_days;
};

static enum err
lint(const struct sample *s)
{
	WBUF_AUTO der = { .max = 65536 }, subject = { .max = 65536 }, spki = { .max = 65536 };
	uint8_t serial[MKCERT_SERIAL] = { 0x41, 1, 2, 3 };
	const struct profile_values *v = s->values ? s->values : &values;
	time_t now = time(NULL);
	struct lint_expect want = {
		.profile = s->profile,
		.values = v,
		.ca = p.ca,
		.serial = "41010203000000000000000000000000",
		.max_days = s->max_days ? s->max_days : 1096,
	};
	X509 *x = NULL;
	enum err e;

	assert_ok(mkcert_new(serial, p.name, p.ca, s->key, now + s->from, now + s->to, &x));
	assert_ok(profile_apply(s->profile, v, x, p.ca));
	want.serial = "41010203000000000000000000000000";
	assert_ok(x509io_name_der(p.name, &subject));
	assert_ok(x509io_spki_der(s->key, &spki));
	want.subject = wbuf_view(&subject);
	want.spki = wbuf_view(&spki);
	if (s->change)
		s->change(x);
	assert_ok(mkcert_sign(x, s->signer ? s->signer : p.ca_key));
	assert_ok(x509io_cert_der(x, &der));
	e = lint_check(wbuf_view(&der), &want);
	X509_free(x);
	return e;
}

static void
profiles_pass(void **state)
{
	EVP_PKEY *const keys[] = { p.ec, p.rsa2048, p.rsa3072 };
	const struct profile *profile;
	size_t i, k;

	(void)state;
	for (i = 0; (profile = profile_at(i)) != NULL; i++)
		for (k = 0; k < 3; k++)
			assert_ok(
			    lint(&(struct sample){ .profile = profile, .key = keys[k], .from = -60, .to = 300 * DAY }));
	assert_int_equal(i, 4);
	assert_ptr_equal(profile_find(NULL), profile_find("auth"));
	assert_ptr_equal(profile_find(""), profile_find("auth"));
	assert_null(profile_find("root"));
}

/* Text that means something in libcrypto's extension syntax stays text. */
static void
foreign_text_stays_text(void **state)
{
	struct profile_values v = values;

	(void)state;
	v.upn = "pat,URI:http://evil.example,email:root@example.test";
	assert_ok(lint(
	    &(struct sample){ .profile = profile_find("auth"), .key = p.ec, .from = -60, .to = DAY, .values = &v }));
	v.upn = "";
	assert_ok(lint(
	    &(struct sample){ .profile = profile_find("auth"), .key = p.ec, .from = -60, .to = DAY, .values = &v }));
}

static void
replace(X509 *x, int nid, const char *value)
{
	int at = X509_get_ext_by_NID(x, nid, -1);

	assert_true(at >= 0);
	X509_EXTENSION_free(X509_delete_ext(x, at));
	if (value)
		assert_ok(mkcert_ext(x, p.ca, nid, value));
}

static void
no_change(X509 *x)
{
	(void)x;
}
static void
usage_sign(X509 *x)
{
	replace(x, NID_key_usage, "critical,digitalSignature,nonRepudiation");
}
static void
usage_not_critical(X509 *x)
{
	replace(x, NID_key_usage, "digitalSignature");
}
static void
usage_missing(X509 *x)
{
	replace(x, NID_key_usage, NULL);
}
static void
eku_any(X509 *x)
{
	replace(x, NID_ext_key_usage, "clientAuth,msSmartcardLogin,1.3.6.1.5.2.3.4,anyExtendedKeyUsage");
}
static void
eku_server(X509 *x)
{
	replace(x, NID_ext_key_usage, "serverAuth,msSmartcardLogin,1.3.6.1.5.2.3.4");
}
static void
eku_short(X509 *x)
{
	replace(x, NID_ext_key_usage, "clientAuth");
}
static void
policy_other(X509 *x)
{
	replace(x, NID_certificate_policies, "2.16.840.1.101.3.2.1.3.41");
}
static void
policy_two(X509 *x)
{
	replace(x, NID_certificate_policies, "2.16.840.1.101.3.2.1.3.40,2.16.840.1.101.3.2.1.3.13");
}
static void
crl_https(X509 *x)
{
	replace(x, NID_crl_distribution_points, "URI:https://localhost/pki/ca.crl");
}
static void
aia_no_ocsp(X509 *x)
{
	replace(x, NID_info_access, "caIssuers;URI:http://localhost/pki/ca.p7c");
}
static void
akid_issuer(X509 *x)
{
	replace(x, NID_authority_key_identifier, "keyid:always,issuer:always");
}
static void
extra_ca(X509 *x)
{
	assert_ok(mkcert_ext(x, p.ca, NID_basic_constraints, "critical,CA:TRUE"));
}
static void
swap_for_ca(X509 *x)
{
	replace(x, NID_info_access, NULL);
	extra_ca(x);
}
static void
san_card_uuid(X509 *x)
{
	replace(x, NID_subject_alt_name,
	    "URI:urn:uuid:" MINIPKI_UUID ",otherName:1.3.6.1.4.1.311.20.2.3;UTF8:pat@example.test");
}
static void
san_email(X509 *x)
{
	replace(x, NID_subject_alt_name, "URI:urn:uuid:803a8755-58bc-4416-94b0-11f247626de0,email:pat@example.test");
}
static void
san_upn(X509 *x)
{
	replace(x, NID_subject_alt_name,
	    "URI:urn:uuid:803a8755-58bc-4416-94b0-11f247626de0,otherName:1.3.6.1.4.1.311.20.2.3;UTF8:root@example."
	    "test");
}
static void
san_more(X509 *x)
{
	replace(x, NID_subject_alt_name,
	    "URI:urn:uuid:803a8755-58bc-4416-94b0-11f247626de0,otherName:1.3.6.1.4.1.311.20.2.3;UTF8:pat@example.test,"
	    "DNS:evil.example");
}
static void
san_fascn(X509 *x)
{
	replace(x, NID_subject_alt_name,
	    "URI:urn:uuid:803a8755-58bc-4416-94b0-11f247626de0,otherName:2.16.840.1.101.3.6.6;OCT:"
	    "1234567890123456789012345"); /* 25 bytes */
}
static void
subject_other(X509 *x)
{
	assert_true(X509_NAME_add_entry_by_txt(
	    X509_get_subject_name(x), "OU", MBSTRING_UTF8, (const unsigned char *)"x", -1, -1, 0));
}
static void
key_other(X509 *x)
{
	assert_true(X509_set_pubkey(x, p.ca_key));
}
static void
issuer_other(X509 *x)
{
	assert_true(X509_set_issuer_name(x, p.name));
}
static void
serial_other(X509 *x)
{
	assert_true(ASN1_INTEGER_set(X509_get_serialNumber(x), 7));
}
static void
version_1(X509 *x)
{
	assert_true(X509_set_version(x, 0));
}

static void
deviations(void **state)
{
	static const struct {
		mutator *change;
		const char *says;
	} row[] = {
		{ usage_sign, "key usage" },
		{ usage_not_critical, "criticality" },
		{ usage_missing, "number of extensions" },
		{ eku_any, "extended key usage" },
		{ eku_server, "extended key usage" },
		{ eku_short, "extended key usage" },
		{ policy_other, "certificate policies" },
		{ policy_two, "certificate policies" },
		{ crl_https, "cRLDistributionPoints" },
		{ aia_no_ocsp, "authorityInfoAccess" },
		{ akid_issuer, "key identifiers" },
		{ extra_ca, "number of extensions" },
		{ swap_for_ca, "an extension is missing" },
		{ san_card_uuid, "UUID" },
		{ san_email, "UPN" },
		{ san_upn, "UPN" },
		{ san_more, "number of names" },
		{ san_fascn, "FASC-N" },
		{ subject_other, "subject" },
		{ key_other, "not the one that was proven" },
		{ issuer_other, "issuer" },
		{ serial_other, "serial number" },
		{ version_1, "version" },
	};
	struct sample s = {
		.profile = profile_find("auth"), .key = p.ec, .from = -60, .to = 100 * DAY, .change = no_change
	};

	(void)state;
	assert_ok(lint(&s));
	for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
		s.change = row[i].change;
		if (lint(&s) != E_POLICY || strstr(err_msg(), row[i].says) == NULL)
			fail_msg("deviation %zu (%s) was not caught: %s", i, row[i].says, err_msg());
	}
}

static void
lifetimes(void **state)
{
	const struct profile *auth = profile_find("auth");
	/* RSA-2048 may not be valid after 2030 (CP 6.1.5) */
	const time_t end = 1924991999, now = time(NULL);

	(void)state;
	assert_ok(lint(&(struct sample){ .profile = auth, .key = p.ec, .from = 0, .to = 1096 * DAY }));
	assert_err(lint(&(struct sample){ .profile = auth, .key = p.ec, .from = 0, .to = 1096 * DAY + 1 }), E_POLICY);
	assert_says("lifetime");
	assert_err(
	    lint(&(struct sample){ .profile = auth, .key = p.ec, .from = 0, .to = 1097 * DAY, .max_days = 2000 }),
	    E_POLICY);
	assert_err(lint(&(struct sample){ .profile = auth, .key = p.ec, .from = 0, .to = 31 * DAY, .max_days = 30 }),
	    E_POLICY);
	assert_err(lint(&(struct sample){ .profile = auth, .key = p.ec, .from = 0, .to = -DAY }), E_POLICY);
	assert_err(
	    lint(&(struct sample){ .profile = auth, .key = p.ec, .from = 1990 * DAY, .to = 2001 * DAY }), E_POLICY);
	assert_says("outlive");
	if (end - now > 0 && end + DAY - now < 2000 * DAY) {
		const long late = (long)(end - now) + DAY;

		assert_err(lint(&(struct sample){ .profile = auth, .key = p.rsa2048, .from = late - DAY, .to = late }),
		    E_POLICY);
		assert_says("RSA-2048");
		assert_ok(lint(&(struct sample){ .profile = auth, .key = p.rsa3072, .from = late - DAY, .to = late }));
	}
}

static void
signatures(void **state)
{
	const struct profile *auth = profile_find("auth");
	WBUF_AUTO der = { .max = 100 };
	const struct lint_expect want = {
		.profile = auth, .values = &values, .ca = p.ca, .serial = "41", .max_days = 1
	};

	(void)state;
	assert_err(lint(&(struct sample){ .profile = auth, .key = p.ec, .to = DAY, .signer = p.ec }), E_POLICY);
	assert_says("does not verify");
	assert_err(lint_check(SPAN_NONE, &want), E_POLICY);
	wbuf_fill(&der, 0x30, 40);
	assert_err(lint_check(wbuf_view(&der), &want), E_POLICY);
	assert_says("parsed");
}

static void
mail_profiles(void **state)
{
	struct profile_values v = values;

	(void)state;
	v.email = "not an address";
	assert_err(
	    lint(&(struct sample){ .profile = profile_find("sign"), .key = p.ec, .to = DAY, .values = &v }), E_POLICY);
	assert_says("rfc822Name");
	assert_err(lint(&(struct sample){
		       .profile = profile_find("encrypt"), .key = p.rsa2048, .to = DAY, .change = usage_sign }),
	    E_POLICY);
	assert_says("key usage");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(profiles_pass),
		cmocka_unit_test(foreign_text_stays_text),
		cmocka_unit_test(deviations),
		cmocka_unit_test(lifetimes),
		cmocka_unit_test(signatures),
		cmocka_unit_test(mail_profiles),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
