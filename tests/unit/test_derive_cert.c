/* SPDX-License-Identifier: BSD-2-Clause */
/* Every check of an issued certificate, by a certificate that is good but for one thing. */
#include <string.h>
#include <time.h>

#include "derive/cert.h"
#include "tests/lib/minipki.h"
#include "tests/lib/test.h"

#define DAY 86400L

static EVP_PKEY *root_key, *ca_key, *new_key, *rsa_key, *card_key, *evil_key;
static X509 *root, *ca, *card, *evil;
static STACK_OF(X509) * anchors, *others;

#define P40	  "certificatePolicies=2.16.840.1.101.3.2.1.3.40\n"
#define OWN	  "5a3c0a5e-0000-4f39-8f1b-6a7f4d3c2b10"
#define SAN(uuid) "subjectAltName=@san\n[san]\nURI.1=urn:uuid:" uuid "\n"
#define NOCA	  "basicConstraints=critical,CA:FALSE\n"
#define HEAD	  MINIPKI_KU_AUTH "extendedKeyUsage=clientAuth\n" P40 MINIPKI_AKI
#define GOOD	  HEAD SAN(OWN)
#define MAIL_SAN  "subjectAltName=email:pat@example.test\n"
#define P6	  "certificatePolicies=2.16.840.1.101.3.2.1.3.6\n"

static int
set_up(void **state)
{
	(void)state;
	root_key = minipki_key("P-256");
	ca_key = minipki_key("P-256");
	new_key = minipki_key("P-256");
	card_key = minipki_key("P-256");
	evil_key = minipki_key("P-256");
	rsa_key = minipki_key("RSA-2048");
	root = minipki_ca("Root", root_key, NULL, root_key, -DAY, 4000 * DAY, NULL);
	ca = minipki_ca("CA", ca_key, root, root_key, -DAY, 4000 * DAY, "2.5.29.32.0");
	evil = minipki_ca("CA", evil_key, NULL, evil_key, -DAY, 4000 * DAY, NULL);
	card = minipki_cert(&(struct minipki_cert){ .cn = "Pat",
	    .key = card_key,
	    .issuer = ca,
	    .issuer_key = ca_key,
	    .from = -DAY,
	    .to = DAY,
	    .ext = MINIPKI_PIV_AUTH });
	anchors = sk_X509_new_null();
	others = sk_X509_new_null();
	assert_true(sk_X509_push(anchors, root) > 0 && sk_X509_push(others, ca) > 0);
	return 0;
}

static int
tear_down(void **state)
{
	X509 *certs[] = { root, ca, card, evil };
	EVP_PKEY *keys[] = { root_key, ca_key, new_key, rsa_key, card_key, evil_key };

	(void)state;
	for (size_t i = 0; i < sizeof certs / sizeof certs[0]; i++)
		X509_free(certs[i]);
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
		EVP_PKEY_free(keys[i]);
	sk_X509_free(anchors);
	sk_X509_free(others);
	return 0;
}

static struct minipki_cert
like(const char *ext)
{
	return (struct minipki_cert){ .cn = "Pat",
		.key = new_key,
		.issuer = ca,
		.issuer_key = ca_key,
		.from = -60,
		.to = 365 * DAY,
		.ext = ext };
}

static enum err
judge_as(const struct minipki_cert *shape, enum role role, bool test_policies, STACK_OF(X509) * trust)
{
	struct cert_rules rules = { .role = role,
		.pub = role == ROLE_ENCRYPT ? rsa_key : new_key,
		.card = card,
		.anchors = trust,
		.others = others,
		.test_policies = test_policies,
		.now = time(NULL) };
	X509 *x = minipki_cert(shape);
	enum err e = cert_check(x, &rules);

	X509_free(x);
	return e;
}

static enum err
judge(const struct minipki_cert *shape)
{
	return judge_as(shape, ROLE_AUTH, false, anchors);
}

static void
test_good(void **state)
{
	struct minipki_cert c = like(GOOD);

	(void)state;
	assert_ok(judge(&c));
	c = like(NOCA GOOD);
	assert_ok(judge(&c));
	/* 41, hardware, is as good */
	c = like(MINIPKI_KU_AUTH "extendedKeyUsage=clientAuth,msSmartcardLogin\n"
				 "certificatePolicies=2.16.840.1.101.3.2.1.3.41\n" MINIPKI_AKI SAN(OWN));
	assert_ok(judge(&c));
}

static const struct {
	const char *ext, *says;
} faults[] = {
	{ "extendedKeyUsage=clientAuth\n" P40 MINIPKI_AKI SAN(OWN), "no critical keyUsage" },
	{ "keyUsage=digitalSignature\nextendedKeyUsage=clientAuth\n" P40 MINIPKI_AKI SAN(OWN), "no critical keyUsage" },
	{ "keyUsage=critical,digitalSignature,nonRepudiation\nextendedKeyUsage=clientAuth\n" P40 MINIPKI_AKI SAN(OWN),
	    "keyUsage" },
	{ "keyUsage=critical,keyAgreement\nextendedKeyUsage=clientAuth\n" P40 MINIPKI_AKI SAN(OWN), "keyUsage" },
	{ MINIPKI_KU_AUTH P40 MINIPKI_AKI SAN(OWN), "extKeyUsage" },
	{ MINIPKI_KU_AUTH "extendedKeyUsage=emailProtection\n" P40 MINIPKI_AKI SAN(OWN), "clientAuth" },
	{ MINIPKI_KU_AUTH "extendedKeyUsage=clientAuth,anyExtendedKeyUsage\n" P40 MINIPKI_AKI SAN(OWN),
	    "must not have" },
	{ MINIPKI_KU_AUTH "extendedKeyUsage=clientAuth,serverAuth\n" P40 MINIPKI_AKI SAN(OWN), "must not have" },
	{ HEAD, "no UUID" },
	{ HEAD "subjectAltName=URI:urn:uuid:5a3c0a5e-0000-4f39-8f1b\n", "no UUID" },
	{ HEAD "subjectAltName=URI:urn:uuid:" OWN ",URI:urn:uuid:5a3c0a5e-1111-4f39-8f1b-6a7f4d3c2b10\n",
	    "several UUIDs" },
	{ HEAD SAN(MINIPKI_UUID), "UUID of the card" },
	{ HEAD SAN("5A3C0A5E-5C9F-4F39-8F1B-6A7F4D3C2B10"), "UUID of the card" },
	{ HEAD SAN(OWN) "otherName.1=2.16.840.1.101.3.6.6;FORMAT:HEX,OCT:" MINIPKI_FASCN "\n", "FASC-N" },
	{ MINIPKI_KU_AUTH "extendedKeyUsage=clientAuth\n" MINIPKI_AKI SAN(OWN), "policy" },
	{ MINIPKI_KU_AUTH "extendedKeyUsage=clientAuth\n" MINIPKI_POLICY(MINIPKI_PIV) MINIPKI_AKI SAN(OWN), "policy" },
	{ MINIPKI_KU_AUTH
	    "extendedKeyUsage=clientAuth\ncertificatePolicies=2.16.840.1.101.3.2.1.48.109\n" MINIPKI_AKI SAN(OWN),
	    "test policy" },
	{ "basicConstraints=critical,CA:TRUE\n" GOOD, "CA certificate" },
};

/* A policy for hardware on a key that is not known to be in any; and one without where it is demanded. */
static enum err
judge_assured(const char *ext, enum role role, enum assure_level carries, enum assure_level demands)
{
	struct minipki_cert c = like(ext);
	struct cert_rules rules = { .role = role,
		.pub = new_key,
		.card = card,
		.anchors = anchors,
		.others = others,
		.carries = carries,
		.carries_why = "hardware: no",
		.demands = demands,
		.now = time(NULL) };
	X509 *x = minipki_cert(&c);
	enum err e = cert_check(x, &rules);

	X509_free(x);
	return e;
}

#define HARD(policies)                                                                                                 \
	MINIPKI_KU_AUTH "extendedKeyUsage=clientAuth\ncertificatePolicies=" policies "\n" MINIPKI_AKI SAN(OWN)
#define OID "2.16.840.1.101.3.2.1."
#define SIGN(policy)                                                                                                   \
	"keyUsage=critical,digitalSignature,nonRepudiation\nextendedKeyUsage="                                         \
	"emailProtection\ncertificatePolicies=" policy "\n" MINIPKI_AKI MAIL_SAN

static void
test_assurance(void **state)
{
	(void)state;
	assert_ok(judge_assured(HARD(OID "3.41"), ROLE_AUTH, ASSURE_AAL3, ASSURE_AAL3));
	assert_ok(judge_assured(HARD(OID "3.40"), ROLE_AUTH, ASSURE_AAL3, ASSURE_NONE));
	assert_ok(judge_assured(HARD(OID "3.40"), ROLE_AUTH, ASSURE_AAL2, ASSURE_AAL2));
	assert_err(judge_assured(HARD(OID "3.41"), ROLE_AUTH, ASSURE_AAL2, ASSURE_NONE), E_POLICY);
	assert_non_null(strstr(err_msg(), "hardware: no"));
	assert_err(judge_assured(HARD(OID "3.40," OID "3.41"), ROLE_AUTH, ASSURE_AAL2, ASSURE_NONE), E_POLICY);
	assert_err(judge_assured(HARD(OID "3.40," OID "48.110"), ROLE_AUTH, ASSURE_AAL2, ASSURE_NONE), E_POLICY);
	assert_err(judge_assured(HARD(OID "3.40"), ROLE_AUTH, ASSURE_AAL3, ASSURE_AAL3), E_POLICY);
	assert_non_null(strstr(err_msg(), "AAL3 is demanded"));
	assert_ok(judge_assured(SIGN(OID "3.6"), ROLE_SIGN, ASSURE_AAL2, ASSURE_NONE));
	assert_ok(judge_assured(SIGN(OID "3.7"), ROLE_SIGN, ASSURE_AAL3, ASSURE_NONE));
	assert_err(judge_assured(SIGN(OID "3.7"), ROLE_SIGN, ASSURE_AAL2, ASSURE_NONE), E_POLICY);
	assert_err(judge_assured(SIGN(OID "3.16"), ROLE_SIGN, ASSURE_AAL2, ASSURE_NONE), E_POLICY);
}

static void
test_each_fault(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
		struct minipki_cert c = like(faults[i].ext);
		enum err e = judge(&c);

		if (e != E_POLICY || strstr(err_msg(), faults[i].says) == NULL)
			fail_msg("fault %zu: E_%s, no \"%s\" in: %s", i, err_name(e), faults[i].says, err_msg());
	}
}

static void
test_key_name_dates(void **state)
{
	struct minipki_cert c = like(GOOD);

	(void)state;
	c.key = evil_key;
	assert_err(judge(&c), E_POLICY);
	assert_says("another key");
	c = like(GOOD);
	c.cn = "Mallory";
	assert_err(judge(&c), E_POLICY);
	assert_says("'Mallory'");
	c = like(GOOD);
	c.from = -2 * DAY;
	c.to = -DAY;
	assert_err(judge(&c), E_EXPIRED);
	c = like(GOOD);
	c.from = DAY;
	assert_err(judge(&c), E_EXPIRED);
	assert_says("not valid yet");
	c = like(GOOD);
	c.to = 1200 * DAY;
	assert_err(judge(&c), E_POLICY);
	assert_says("1096");
}

static void
test_path(void **state)
{
	struct minipki_cert c = like(GOOD);
	STACK_OF(X509) *wrong = sk_X509_new_null();

	(void)state;
	c.issuer = evil;
	c.issuer_key = evil_key;
	assert_err(judge(&c), E_POLICY);
	assert_says("does not lead to a trusted issuer");
	c = like(GOOD);
	assert_true(sk_X509_push(wrong, evil) > 0);
	assert_err(judge_as(&c, ROLE_AUTH, false, wrong), E_POLICY);
	assert_says("does not lead to a trusted issuer");
	sk_X509_free(wrong);
}

static void
test_test_policies(void **state)
{
	struct minipki_cert c = like(MINIPKI_KU_AUTH
	    "extendedKeyUsage=clientAuth\ncertificatePolicies=2.16.840.1.101.3.2.1.48.109\n" MINIPKI_AKI SAN(OWN));

	(void)state;
	assert_err(judge(&c), E_POLICY);
	assert_ok(judge_as(&c, ROLE_AUTH, true, anchors));
}

static void
test_mail_roles(void **state)
{
	struct minipki_cert c =
	    like("keyUsage=critical,digitalSignature,nonRepudiation\nextendedKeyUsage=emailProtection\n" P6 MINIPKI_AKI
		    MAIL_SAN);

	(void)state;
	assert_ok(judge_as(&c, ROLE_SIGN, false, anchors));
	assert_err(judge_as(&c, ROLE_AUTH, false, anchors), E_POLICY);
	c = like(
	    "keyUsage=critical,digitalSignature,nonRepudiation\nextendedKeyUsage=emailProtection\n" P6 MINIPKI_AKI);
	assert_err(judge_as(&c, ROLE_SIGN, false, anchors), E_POLICY);
	assert_says("no mail address");
	c = like("keyUsage=critical,keyEncipherment\nextendedKeyUsage=emailProtection\n" P6 MINIPKI_AKI MAIL_SAN);
	c.key = rsa_key;
	assert_ok(judge_as(&c, ROLE_ENCRYPT, false, anchors));
	c = like("keyUsage=critical,keyAgreement\nextendedKeyUsage=emailProtection\n" P6 MINIPKI_AKI MAIL_SAN);
	c.key = rsa_key;
	assert_err(judge_as(&c, ROLE_ENCRYPT, false, anchors), E_POLICY);
}

#define BOTH(usage, policy)                                                                                            \
	"keyUsage=critical," usage "\nextendedKeyUsage=emailProtection\ncertificatePolicies=" policy                   \
	"\n" MINIPKI_AKI MAIL_SAN

static enum err
judge_both(const char *ext, EVP_PKEY *key, enum role role, const char *one)
{
	struct minipki_cert c = like(ext);
	struct cert_rules rules = { .role = role,
		.pub = key,
		.card = card,
		.anchors = anchors,
		.others = others,
		.one_certificate = one,
		.test_policies = true,
		.carries = ASSURE_AAL2,
		.carries_why = "hardware: no",
		.now = time(NULL) };
	X509 *x;
	enum err e;

	c.key = key;
	x = minipki_cert(&c);
	e = cert_check(x, &rules);
	X509_free(x);
	return e;
}

/* One certificate for signature and encryption: both usages, no nonRepudiation, and the policy that was configured. */
static void
test_one_certificate(void **state)
{
	static const char own[] = "2.999.1";

	(void)state;
	assert_ok(judge_both(BOTH("digitalSignature,keyEncipherment", "2.999.1"), rsa_key, ROLE_MAIL, own));
	assert_ok(judge_both(BOTH("digitalSignature,keyAgreement", "2.999.1"), new_key, ROLE_MAIL, own));
	assert_err(judge_both(BOTH("digitalSignature,keyAgreement", "2.999.1"), rsa_key, ROLE_MAIL, own), E_POLICY);
	assert_says("keyUsage");
	assert_err(judge_both(BOTH("digitalSignature", "2.999.1"), rsa_key, ROLE_MAIL, own), E_POLICY);
	assert_err(judge_both(BOTH("keyEncipherment", "2.999.1"), rsa_key, ROLE_MAIL, own), E_POLICY);
	assert_err(
	    judge_both(BOTH("digitalSignature,nonRepudiation,keyEncipherment", "2.999.1"), rsa_key, ROLE_MAIL, own),
	    E_POLICY);
	assert_err(judge_both(BOTH("digitalSignature,keyEncipherment", "2.999.2"), rsa_key, ROLE_MAIL, own), E_POLICY);
	assert_says("policy 2.999.1");
	assert_err(judge_both(BOTH("digitalSignature,keyEncipherment", OID "3.6"), rsa_key, ROLE_MAIL, own), E_POLICY);
	assert_err(judge_both(BOTH("digitalSignature,keyEncipherment", "2.999.1"), rsa_key, ROLE_MAIL, NULL), E_POLICY);
	/* besides its own policy none that the token cannot carry */
	assert_err(
	    judge_both(BOTH("digitalSignature,keyAgreement", "2.999.1," OID "3.7"), new_key, ROLE_MAIL, own), E_POLICY);
	assert_says("a policy for keys in validated hardware");
	/* in the place of either it is not accepted, whatever its policy */
	assert_err(judge_both(BOTH("digitalSignature,keyEncipherment", OID "3.6"), rsa_key, ROLE_SIGN, own), E_POLICY);
	assert_err(
	    judge_both(BOTH("digitalSignature,keyEncipherment", OID "3.6"), rsa_key, ROLE_ENCRYPT, own), E_POLICY);
	assert_err(judge_both(BOTH("keyEncipherment", "2.999.1"), rsa_key, ROLE_ENCRYPT, own), E_POLICY);
}

static void
test_one_policy(void **state)
{
	(void)state;
	assert_ok(role_one_policy("2.999.1"));
	assert_ok(role_one_policy("1.3.6.1.4.1.99999.1"));
	assert_err(role_one_policy(OID "3.6"), E_CONF);
	assert_says("Federal PKI");
	assert_err(role_one_policy(OID "48.8"), E_CONF);
	assert_err(role_one_policy("2.16.840.1.101.3.2.01.3.6"), E_CONF);
	assert_err(role_one_policy("2 16 840 1 101 3 2 1 3 6"), E_CONF);
	assert_err(role_one_policy("2.5.29.32.0"), E_CONF);
	assert_says("any policy");
	assert_err(role_one_policy("emailProtection"), E_CONF);
	assert_says("no object identifier");
	assert_err(role_one_policy(""), E_CONF);
	assert_int_equal(role_in(ROLE_SIGN, "2.999.1"), ROLE_MAIL);
	assert_int_equal(role_in(ROLE_ENCRYPT, NULL), ROLE_ENCRYPT);
	assert_int_equal(role_in(ROLE_AUTH, "2.999.1"), ROLE_AUTH);
}

static void
test_facts(void **state)
{
	char text[256], uuid[TEXT_UUID_MAX];
	struct minipki_cert derived = like(GOOD);
	X509 *x = minipki_cert(&derived), *out;
	STACK_OF(X509) *list = sk_X509_new_null();

	(void)state;
	assert_true(cert_is_piv_auth(card));
	assert_true(cert_has_fascn(card));
	assert_int_equal(cert_uuids(card, uuid), 1);
	assert_string_equal(uuid, MINIPKI_UUID);
	assert_string_equal(cert_name(card, text, sizeof text), "Pat");
	assert_false(cert_is_piv_auth(x));
	assert_false(cert_has_fascn(x));
	assert_string_equal(cert_email(x, text, sizeof text), "");
	assert_true(sk_X509_push(list, ca) > 0 && sk_X509_push(list, x) > 0);
	assert_ok(cert_choose(list, new_key, &out)); /* RFC 7030, 4.2.3: not necessarily the first */
	assert_ptr_equal(out, x);
	assert_err(cert_choose(list, rsa_key, &out), E_POLICY);
	assert_int_equal(cert_uuids(root, uuid), 0); /* no subjectAltName at all */
	sk_X509_free(list);
	X509_free(x);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_good), cmocka_unit_test(test_assurance),
		cmocka_unit_test(test_each_fault), cmocka_unit_test(test_key_name_dates), cmocka_unit_test(test_path),
		cmocka_unit_test(test_test_policies), cmocka_unit_test(test_mail_roles),
		cmocka_unit_test(test_one_certificate), cmocka_unit_test(test_one_policy),
		cmocka_unit_test(test_facts) };

	return cmocka_run_group_tests_name("derive_cert", tests, set_up, tear_down);
}
