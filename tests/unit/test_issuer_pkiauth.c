/* SPDX-License-Identifier: BSD-2-Clause */
/* PKI-AUTH: which certificates prove a PIV card to the issuer, and the reason that each other one gets. */
#include <stdio.h>
#include <unistd.h>
#include <openssl/x509v3.h>

#include "derive/issuer/pkiauth.h"
#include "derive/issuer/refuse.h"
#include "tests/lib/minipki.h"
#include "tests/lib/test.h"

#define DAY 86400L
#define ALL_POLICIES                                                                                                   \
	"2.16.840.1.101.3.2.1.3.6,2.16.840.1.101.3.2.1.3.7,2.16.840.1.101.3.2.1.3.13,2.16.840.1.101.3.2.1.3.17,"       \
	"2.16.840.1.101.3.2.1.3.40,2.16.840.1.101.3.2.1.3.41,2.16.840.1.101.3.2.1.48.11"

static struct {
	char dir[40], anchors[80], intermediates[80], crls[80];
	EVP_PKEY *root_key, *ca_key, *key;
	X509 *root, *ca, *good;
	X509_CRL *root_crl, *ca_crl;
	struct trust *trust;
} p;

static X509 *
leaf_by(X509 *ca, EVP_PKEY *ca_key, EVP_PKEY *key, long from, long to, const char *ext)
{
	const struct minipki_cert c = { "Pat Example", key, ca, ca_key, from, to, ext };

	return minipki_cert(&c);
}

static X509 *
leaf(const char *ext)
{
	return leaf_by(p.ca, p.ca_key, p.key, -DAY, 30 * DAY, ext);
}

static int
set_up(void **state)
{
	(void)state;
	strcpy(p.dir, "/tmp/dpiv-pkiauth.XXXXXX");
	assert_non_null(mkdtemp(p.dir));
	snprintf(p.anchors, sizeof p.anchors, "%s/root.pem", p.dir);
	snprintf(p.intermediates, sizeof p.intermediates, "%s/ca.pem", p.dir);
	snprintf(p.crls, sizeof p.crls, "%s/crls.pem", p.dir);
	p.root_key = minipki_key("P-256");
	p.ca_key = minipki_key("P-256");
	p.key = minipki_key("P-256");
	p.root = minipki_ca("Root", p.root_key, NULL, NULL, -DAY, 3000 * DAY, NULL);
	p.ca = minipki_ca("Issuing CA", p.ca_key, p.root, p.root_key, -DAY, 2000 * DAY, ALL_POLICIES);
	p.good = leaf(MINIPKI_PIV_AUTH);
	p.root_crl = minipki_crl(p.root, p.root_key, -60, DAY, NULL);
	p.ca_crl = minipki_crl(p.ca, p.ca_key, -60, DAY, NULL);
	minipki_write_certs(p.anchors, p.root, NULL);
	minipki_write_certs(p.intermediates, p.ca, NULL);
	minipki_write_crls(p.crls, p.root_crl, p.ca_crl);
	assert_ok(trust_load(p.anchors, p.intermediates, p.crls, &p.trust));
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	trust_free(&p.trust);
	X509_free(p.root);
	X509_free(p.ca);
	X509_free(p.good);
	X509_CRL_free(p.root_crl);
	X509_CRL_free(p.ca_crl);
	EVP_PKEY_free(p.root_key);
	EVP_PKEY_free(p.ca_key);
	EVP_PKEY_free(p.key);
	unlink(p.anchors);
	unlink(p.intermediates);
	unlink(p.crls);
	rmdir(p.dir);
	return 0;
}

static enum err
auth(X509 *x)
{
	struct pivid id;

	return pkiauth_check(p.trust, MINIPKI_PIV, x, NULL, time(NULL), &id);
}

/* Refused for this reason, with a sentence that a person can use. Takes x. */
static void
refused(X509 *x, enum refuse why)
{
	enum err e = auth(x);

	if (e != E_POLICY || refuse_last() != why)
		fail_msg("E_%s %s, not %s: %s", err_name(e), refuse_code(refuse_last()), refuse_code(why), err_msg());
	assert_true(strlen(err_msg()) > 20);
	X509_free(x);
}

static void
good_card(void **state)
{
	struct pivid id;

	(void)state;
	assert_ok(pkiauth_check(p.trust, MINIPKI_PIV, p.good, NULL, time(NULL), &id));
	assert_string_equal(id.fascn, MINIPKI_FASCN);
	assert_string_equal(id.fascn_id, "00320001092446");
	assert_string_equal(id.uuid, MINIPKI_UUID);
	assert_string_equal(id.upn, "pat@example.test");
	assert_string_equal(id.subject, "CN=Pat Example,O=Test,C=US");
	/* first-generation cards: FASC-N alone; and anyExtendedKeyUsage beside the right ones */
	X509 *x = leaf(MINIPKI_KU_AUTH
	    "extendedKeyUsage=clientAuth,msSmartcardLogin,anyExtendedKeyUsage\n" MINIPKI_POLICY(MINIPKI_PIV) MINIPKI_AKI
	    "subjectAltName=@san\n[san]\notherName.1=2.16.840.1.101.3.6.6;FORMAT:HEX,OCT:" MINIPKI_FASCN);
	assert_ok(auth(x));
	X509_free(x);
	x = leaf(MINIPKI_KU_AUTH MINIPKI_EKU_AUTH MINIPKI_POLICY(MINIPKI_PIV) MINIPKI_AKI
	    "subjectAltName=URI:urn:uuid:" MINIPKI_UUID);
	assert_ok(auth(x));
	X509_free(x);
}

static void
good_keys(void **state)
{
	static const char *const algs[] = { "RSA-2048", "RSA-3072", "P-384" };

	(void)state;
	for (size_t i = 0; i < sizeof algs / sizeof algs[0]; i++) {
		EVP_PKEY *key = minipki_key(algs[i]);
		X509 *x = leaf_by(p.ca, p.ca_key, key, -DAY, DAY, MINIPKI_PIV_AUTH);

		assert_ok(auth(x));
		X509_free(x);
		EVP_PKEY_free(key);
	}
}

static void
no_certificate(void **state)
{
	(void)state;
	refused(NULL, REFUSE_NO_CERTIFICATE);
}

static void
dates(void **state)
{
	(void)state;
	refused(leaf_by(p.ca, p.ca_key, p.key, -30 * DAY, -DAY, MINIPKI_PIV_AUTH), REFUSE_EXPIRED);
	refused(leaf_by(p.ca, p.ca_key, p.key, DAY, 30 * DAY, MINIPKI_PIV_AUTH), REFUSE_NOT_YET_VALID);
}

static void
policies(void **state)
{
	static const char *const bad[] = {
		"2.16.840.1.101.3.2.1.3.6",			       /* some other policy of the CA */
		"2.16.840.1.101.3.2.1.3.17",			       /* 9E */
		"2.16.840.1.101.3.2.1.3.40",			       /* derived */
		"2.16.840.1.101.3.2.1.3.41",			       /* derived, hardware */
		"2.16.840.1.101.3.2.1.48.11",			       /* test arc, which is not configured */
		"2.16.840.1.101.3.2.1.3.13,2.16.840.1.101.3.2.1.3.40", /* both: still a derived one */
		"2.5.29.32.0",					       /* anyPolicy in a leaf */
	};
	char ext[1500];

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		snprintf(ext, sizeof ext,
		    MINIPKI_KU_AUTH MINIPKI_EKU_AUTH "certificatePolicies=%s\n" MINIPKI_AKI MINIPKI_SAN, bad[i]);
		refused(leaf(ext), REFUSE_POLICY);
	}
	refused(leaf(MINIPKI_KU_AUTH MINIPKI_EKU_AUTH MINIPKI_AKI MINIPKI_SAN), REFUSE_POLICY);
}

static void
policy_must_hold_along_the_path(void **state)
{
	EVP_PKEY *key = minipki_key("P-256");
	X509 *ca = minipki_ca("Lesser CA", key, p.root, p.root_key, -DAY, 100 * DAY, "2.16.840.1.101.3.2.1.3.6");
	X509 *x = leaf_by(ca, key, p.key, -DAY, DAY, MINIPKI_PIV_AUTH);
	X509_CRL *crl = minipki_crl(ca, key, -60, DAY, NULL);
	struct trust *t;

	(void)state;
	minipki_write_certs(p.intermediates, ca, NULL);
	minipki_write_crls(p.crls, p.root_crl, crl);
	assert_ok(trust_load(p.anchors, p.intermediates, p.crls, &t));
	struct trust *keep = p.trust;
	p.trust = t;
	refused(x, REFUSE_POLICY);
	p.trust = keep;
	trust_free(&t);
	minipki_write_certs(p.intermediates, p.ca, NULL);
	minipki_write_crls(p.crls, p.root_crl, p.ca_crl);
	X509_CRL_free(crl);
	X509_free(ca);
	EVP_PKEY_free(key);
}

static void
test_arc_when_configured(void **state)
{
	X509 *x =
	    leaf(MINIPKI_KU_AUTH MINIPKI_EKU_AUTH MINIPKI_POLICY("2.16.840.1.101.3.2.1.48.11") MINIPKI_AKI MINIPKI_SAN);
	struct pivid id;

	(void)state;
	assert_ok(pkiauth_check(p.trust, MINIPKI_PIV ", 2.16.840.1.101.3.2.1.48.11", x, NULL, time(NULL), &id));
	assert_err(pkiauth_check(p.trust, "", x, NULL, time(NULL), &id), E_CONF);
	assert_err(pkiauth_check(p.trust, "not-an-oid", x, NULL, time(NULL), &id), E_CONF);
	X509_free(x);
}

static void
wrong_profile(void **state)
{
	static const char *const bad[] = {
		"keyUsage=critical,digitalSignature,nonRepudiation\n" MINIPKI_EKU_AUTH, /* 9C's usage */
		"keyUsage=critical,keyEncipherment\n" MINIPKI_EKU_AUTH,			/* 9D's */
		MINIPKI_EKU_AUTH,							/* none */
		MINIPKI_KU_AUTH "extendedKeyUsage=emailProtection\n",
		MINIPKI_KU_AUTH "extendedKeyUsage=critical,2.16.840.1.101.3.6.8\n", /* id-PIV-cardAuth */
		MINIPKI_KU_AUTH,						    /* no EKU at all */
	};
	char ext[1500];

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		snprintf(ext, sizeof ext, "%s" MINIPKI_POLICY(MINIPKI_PIV) MINIPKI_AKI MINIPKI_SAN, bad[i]);
		refused(leaf(ext), REFUSE_WRONG_PROFILE);
	}
}

static void
identifiers(void **state)
{
	static const char usual[] = MINIPKI_KU_AUTH MINIPKI_EKU_AUTH MINIPKI_POLICY(MINIPKI_PIV) MINIPKI_AKI;
	static const struct {
		const char *san;
		enum refuse why;
	} bad[] = {
		{ "", REFUSE_NO_FASCN }, /* no subjectAltName: once a crash */
		{ "subjectAltName=otherName:1.3.6.1.4.1.311.20.2.3;UTF8:pat@example.test\n", REFUSE_NO_FASCN },
		{ "subjectAltName=URI:http://example.test\n", REFUSE_NO_FASCN },
		/* all nines and no UUID: every non-federal card has that */
		{ "subjectAltName=@san\n[san]\notherName.1=2.16.840.1.101.3.6.6;FORMAT:HEX,"
		  "OCT:D4E739DA739CED39CE739DA1685A1082108CE73984119257FC\n",
		    REFUSE_NO_FASCN },
		{ "subjectAltName=URI:urn:uuid:5a3c0a5e-5c9f-4f39-8f1b-6a7f4d3c2b1\n", REFUSE_WRONG_PROFILE },
		{ "subjectAltName=URI:urn:uuid:5a3c0a5e-5c9f-4f39-8f1b-6a7f4d3c2bxx\n", REFUSE_WRONG_PROFILE },
		{ "subjectAltName=URI:urn:uuid:" MINIPKI_UUID ",URI:urn:uuid:00000000-0000-4000-8000-000000000000\n",
		    REFUSE_WRONG_PROFILE },
		{ "subjectAltName=@san\n[san]\notherName.1=2.16.840.1.101.3.6.6;FORMAT:HEX,OCT:D043\n",
		    REFUSE_WRONG_PROFILE },
		{ "subjectAltName=@san\n[san]\notherName.1=2.16.840.1.101.3.6.6;UTF8:text\n", REFUSE_WRONG_PROFILE },
		{ "subjectAltName=DER:0500\n", REFUSE_WRONG_PROFILE },
	};
	char ext[1500];

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		snprintf(ext, sizeof ext, "%s%s", usual, bad[i].san);
		refused(leaf(ext), bad[i].why);
	}
}

static void
keys(void **state)
{
	EVP_PKEY *key = minipki_key("P-521");

	(void)state;
	refused(leaf_by(p.ca, p.ca_key, key, -DAY, DAY, MINIPKI_PIV_AUTH), REFUSE_ALGORITHM);
	EVP_PKEY_free(key);
	key = minipki_key("ED25519");
	refused(leaf_by(p.ca, p.ca_key, key, -DAY, DAY, MINIPKI_PIV_AUTH), REFUSE_ALGORITHM);
	EVP_PKEY_free(key);
	key = minipki_key("RSA-1024");
	refused(leaf_by(p.ca, p.ca_key, key, -DAY, DAY, MINIPKI_PIV_AUTH), REFUSE_ALGORITHM);
	EVP_PKEY_free(key);
}

static void
strangers(void **state)
{
	EVP_PKEY *key = minipki_key("P-256");
	X509 *root = minipki_ca("Root", key, NULL, NULL, -DAY, DAY, NULL); /* the same name, another key */
	X509 *ca = minipki_ca("Issuing CA", key, root, key, -DAY, DAY, ALL_POLICIES);
	STACK_OF(X509) *sent = sk_X509_new_null();
	struct pivid id;
	X509 *x;

	(void)state;
	refused(leaf_by(NULL, NULL, p.key, -DAY, DAY,
		    MINIPKI_KU_AUTH MINIPKI_EKU_AUTH MINIPKI_POLICY(MINIPKI_PIV) MINIPKI_SAN),
	    REFUSE_UNTRUSTED);
	x = leaf_by(ca, key, p.key, -DAY, DAY, MINIPKI_PIV_AUTH);
	/* a whole foreign chain in the handshake does not help */
	sk_X509_push(sent, ca);
	sk_X509_push(sent, root);
	assert_err(pkiauth_check(p.trust, MINIPKI_PIV, x, sent, time(NULL), &id), E_POLICY);
	assert_int_equal(refuse_last(), REFUSE_UNTRUSTED);
	refused(x, REFUSE_UNTRUSTED);
	/* neither does the true CA's name with the wrong key, without key identifiers to tell them apart */
	refused(leaf_by(p.ca, key, p.key, -DAY, DAY,
		    MINIPKI_KU_AUTH MINIPKI_EKU_AUTH MINIPKI_POLICY(MINIPKI_PIV) MINIPKI_SAN),
	    REFUSE_UNTRUSTED);
	sk_X509_free(sent);
	X509_free(ca);
	X509_free(root);
	EVP_PKEY_free(key);
}

static void
tampered(void **state)
{
	unsigned char *der = NULL;
	const unsigned char *in;
	X509 *x;
	int n;

	(void)state;
	n = i2d_X509(p.good, &der);
	assert_true(n > 0);
	der[n - 3] ^= 1; /* in the signature */
	in = der;
	x = d2i_X509(NULL, &in, n);
	assert_non_null(x);
	refused(x, REFUSE_UNTRUSTED);
	OPENSSL_free(der);
}

/* Writes new CRLs; the running trust follows by itself. */
static void
with_crls(X509_CRL *a, X509_CRL *b, enum refuse why)
{
	minipki_write_crls(p.crls, a, b);
	X509_up_ref(p.good);
	if (why == REFUSE_COUNT) {
		assert_ok(auth(p.good));
		X509_free(p.good);
	} else {
		refused(p.good, why);
	}
}

static void
revocation(void **state)
{
	X509_CRL *revoked = minipki_crl(p.ca, p.ca_key, -60, DAY, p.good);
	X509_CRL *ca_revoked = minipki_crl(p.root, p.root_key, -60, DAY, p.ca);
	X509_CRL *stale = minipki_crl(p.ca, p.ca_key, -2 * DAY, -DAY, NULL);
	X509_CRL *early = minipki_crl(p.ca, p.ca_key, DAY, 2 * DAY, NULL);
	X509_CRL *forged = minipki_crl(p.ca, p.key, -60, DAY, NULL);

	(void)state;
	with_crls(p.root_crl, revoked, REFUSE_REVOKED);
	with_crls(ca_revoked, p.ca_crl, REFUSE_REVOKED);
	with_crls(p.root_crl, stale, REFUSE_STATUS);
	with_crls(p.root_crl, early, REFUSE_STATUS);
	with_crls(p.root_crl, forged, REFUSE_STATUS);
	with_crls(p.root_crl, NULL, REFUSE_STATUS);
	with_crls(NULL, p.ca_crl, REFUSE_STATUS);
	with_crls(NULL, NULL, REFUSE_STATUS);
	unlink(p.crls);
	X509_up_ref(p.good);
	refused(p.good, REFUSE_STATUS);
	with_crls(p.root_crl, p.ca_crl, REFUSE_COUNT);
	X509_CRL_free(revoked);
	X509_CRL_free(ca_revoked);
	X509_CRL_free(stale);
	X509_CRL_free(early);
	X509_CRL_free(forged);
}

/* Expired or revoked is said also where no CRL is to be had: the person must know what to do first. */
static void
most_telling_reason(void **state)
{
	(void)state;
	minipki_write_crls(p.crls, NULL, NULL);
	refused(leaf_by(p.ca, p.ca_key, p.key, -30 * DAY, -DAY, MINIPKI_PIV_AUTH), REFUSE_EXPIRED);
	minipki_write_crls(p.crls, p.root_crl, p.ca_crl);
}

static void
expired_ca(void **state)
{
	EVP_PKEY *key = minipki_key("P-256");
	X509 *ca = minipki_ca("Old CA", key, p.root, p.root_key, -100 * DAY, -DAY, ALL_POLICIES);
	X509_CRL *crl = minipki_crl(ca, key, -60, DAY, NULL);
	STACK_OF(X509) *sent = sk_X509_new_null();
	X509 *x = leaf_by(ca, key, p.key, -DAY, DAY, MINIPKI_PIV_AUTH);
	struct pivid id;

	(void)state;
	minipki_write_crls(p.crls, p.root_crl, crl);
	sk_X509_push(sent, ca);
	assert_err(pkiauth_check(p.trust, MINIPKI_PIV, x, sent, time(NULL), &id), E_POLICY);
	assert_int_equal(refuse_last(), REFUSE_EXPIRED);
	assert_says("Old CA");
	minipki_write_crls(p.crls, p.root_crl, p.ca_crl);
	sk_X509_free(sent);
	X509_free(x);
	X509_free(ca);
	X509_CRL_free(crl);
	EVP_PKEY_free(key);
}

static void
codes_are_stable(void **state)
{
	(void)state;
	for (int i = 0; i < REFUSE_COUNT; i++) {
		if (i == REFUSE_CA_WAITS)
			assert_int_equal(refuse_status((enum refuse)i), 202);
		else
			assert_in_range(refuse_status((enum refuse)i), 400, 599);
		assert_true(strlen(refuse_text((enum refuse)i)) > 10);
		for (int k = 0; k < i; k++)
			assert_string_not_equal(refuse_code((enum refuse)i), refuse_code((enum refuse)k));
	}
	assert_string_equal(refuse_code(REFUSE_COUNT), "internal");
	assert_int_equal(refuse_status(REFUSE_COUNT), 500);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_card),
		cmocka_unit_test(good_keys),
		cmocka_unit_test(no_certificate),
		cmocka_unit_test(dates),
		cmocka_unit_test(policies),
		cmocka_unit_test(policy_must_hold_along_the_path),
		cmocka_unit_test(test_arc_when_configured),
		cmocka_unit_test(wrong_profile),
		cmocka_unit_test(identifiers),
		cmocka_unit_test(keys),
		cmocka_unit_test(strangers),
		cmocka_unit_test(tampered),
		cmocka_unit_test(revocation),
		cmocka_unit_test(most_telling_reason),
		cmocka_unit_test(expired_ca),
		cmocka_unit_test(codes_are_stable),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
