/* SPDX-License-Identifier: BSD-2-Clause */
/* What a token and a key show, and the assurance that follows from it: facts in, level and reason out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "derive/assure.h"
#include "derive/attest.h"
#include "tests/lib/minipki.h"
#include "tests/lib/test.h"

#define DAY 86400L
#define ARC "1.3.6.1.4.1.41482.3."

static EVP_PKEY *root_key, *attester_key, *key, *other_key;
static X509 *root, *attester, *other_root;
static STACK_OF(X509) * roots, *other_roots;

static int
set_up(void **state)
{
	(void)state;
	root_key = minipki_key("P-256");
	attester_key = minipki_key("P-256");
	key = minipki_key("P-256");
	other_key = minipki_key("P-256");
	root = minipki_ca("Maker", root_key, NULL, root_key, -DAY, DAY, NULL);
	/* expired: what it said when it was valid stays said */
	attester = minipki_ca("Attester", attester_key, root, root_key, -2 * DAY, -DAY, NULL);
	other_root = minipki_ca("Maker", other_key, NULL, other_key, -DAY, DAY, NULL);
	roots = sk_X509_new_null();
	other_roots = sk_X509_new_null();
	assert_true(sk_X509_push(roots, root) > 0 && sk_X509_push(other_roots, other_root) > 0);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	X509_free(root);
	X509_free(attester);
	X509_free(other_root);
	EVP_PKEY_free(root_key);
	EVP_PKEY_free(attester_key);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other_key);
	sk_X509_free(roots);
	sk_X509_free(other_roots);
	return 0;
}

static X509 *
attestation(EVP_PKEY *of, EVP_PKEY *by, const char *ext)
{
	return minipki_cert(&(struct minipki_cert){ .cn = "Attestation",
	    .key = of,
	    .issuer = attester,
	    .issuer_key = by,
	    .from = -DAY,
	    .to = DAY,
	    .ext = ext });
}

#define SAYS(fw, pin) ARC "3=DER:" fw "\n" ARC "7=DER:02:04:01:02:03:04\n" ARC "8=DER:" pin ":01\n"
#define GOOD_EXT      SAYS("05:07:01", "02")

static const struct token_facts hsm = {
	.manufacturer = "Example", .model = "HSM 3", .serial = "1234", .firmware = "2.5", .login = true, .hw_slot = true
};
static const struct token_key_facts good_key = {
	.sensitive = true, .local = true, .always_sensitive = true, .never_extractable = true
};
static struct assure_rule listed[] = {
	{ .name = "x", .manufacturer = "Example*", .model = "HSM ?", .firmware = "2.*" }
};
static const struct assure_rules list = { listed, 1, NULL }, nothing = { NULL, 0, NULL };

static void
expect(const struct token_facts *t, const struct token_key_facts *k, const struct assure_rules *r,
    enum assure_level level, const char *why)
{
	struct assure a, again;
	struct wbuf w = { .max = 8192 };

	assure_judge(t, k, key, r, &a);
	if (a.level != level || strstr(assure_why(&a), why) == NULL || (why[0] == '\0') != (assure_why(&a)[0] == '\0'))
		fail_msg("level %d, \"%s\"; not %d, \"%s\"", a.level, assure_why(&a), level, why);
	assure_write(&a, &w);
	wbuf_u8(&w, '\0');
	assert_true(assure_read((const char *)w.p, &again));
	assert_int_equal(again.level, a.level);
	assert_int_equal(again.n, a.n);
	for (size_t i = 0; i < a.n; i++) {
		assert_string_equal(again.line[i].text, a.line[i].text);
		assert_int_equal(again.line[i].good, a.line[i].good);
	}
	wbuf_free(&w);
}

static void
test_listed_hardware(void **state)
{
	(void)state;
	expect(&hsm, NULL, &list, ASSURE_AAL3, "");
	expect(&hsm, &good_key, &list, ASSURE_AAL3, "");
	/* and nobody else */
	expect(&hsm, NULL, &nothing, ASSURE_AAL2, "validated model: no");
	expect(&hsm, &good_key, &nothing, ASSURE_AAL2, "lists Example HSM 3 2.5");
	expect(&hsm, &good_key, NULL, ASSURE_AAL2, "validated model: no");
}

/* One fact that is otherwise. */
static const struct {
	const char *field, *value, *why;
	enum assure_level level;
} tokens[] = {
	{ "model", "HSM 30", "validated model: no", ASSURE_AAL2 },
	{ "manufacturer", "example", "validated model: no", ASSURE_AAL2 },
	{ "firmware", "1.9", "its firmware 1.9", ASSURE_AAL2 },
	{ "manufacturer", "SoftHSM project", "is software", ASSURE_AAL2 },
	{ "model", "SoftHSM v2", "is software", ASSURE_AAL2 },
	{ "model", "SW   TPM", "is software", ASSURE_AAL2 },
	{ "manufacturer", "Mozilla Foundation", "is software", ASSURE_AAL2 },
};

static void
test_tokens(void **state)
{
	struct assure_rule all[] = { { .name = "all", .manufacturer = "*", .model = "*" } };
	struct assure_rules any = { all, 1, NULL };
	struct token_facts t;

	(void)state;
	for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
		bool soft = strcmp(tokens[i].why, "is software") == 0;

		t = hsm;
		if (strcmp(tokens[i].field, "model") == 0)
			snprintf(t.model, sizeof t.model, "%s", tokens[i].value);
		else if (strcmp(tokens[i].field, "firmware") == 0)
			snprintf(t.firmware, sizeof t.firmware, "%s", tokens[i].value);
		else
			snprintf(t.manufacturer, sizeof t.manufacturer, "%s", tokens[i].value);
		/* software is software, though the list has it */
		expect(&t, NULL, soft ? &any : &list, tokens[i].level, tokens[i].why);
		expect(&t, &good_key, soft ? &any : &list, tokens[i].level, tokens[i].why);
	}
	t = hsm;
	t.hw_slot = false;
	expect(&t, &good_key, &list, ASSURE_AAL2, "has no hardware slot");
	t = hsm;
	t.login = false;
	expect(&t, &good_key, &list, ASSURE_NONE, "asks for a PIN: no");
	/* a card's name by dpiv's own module is nobody's model */
	t = hsm;
	t.own = true;
	expect(&t, &good_key, &list, ASSURE_AAL2, "validated model: no");
}

static void
test_keys(void **state)
{
	struct token_key_facts k = good_key;

	(void)state;
	k.local = false;
	expect(&hsm, &k, &list, ASSURE_AAL2, "generated on the token: no");
	k = good_key;
	k.always_sensitive = false;
	expect(&hsm, &k, &list, ASSURE_AAL2, "never was extractable: no");
	k = good_key;
	k.never_extractable = false;
	expect(&hsm, &k, &list, ASSURE_AAL2, "never was extractable: no");
	k = good_key;
	k.extractable = true;
	expect(&hsm, &k, &list, ASSURE_NONE, "not extractable: no");
	k = good_key;
	k.sensitive = false;
	expect(&hsm, &k, &list, ASSURE_NONE, "not extractable: no");
	/* a remark, no reason */
	k = good_key;
	k.decrypts_too = true;
	expect(&hsm, &k, &list, ASSURE_AAL3, "");
}

static void
attested(
    STACK_OF(X509) * by, X509 *a, const char *firmware, const char *serial, enum assure_level level, const char *why)
{
	struct assure_rule rule = { .name = "yk",
		.manufacturer = "dpiv",
		.model = "PIV",
		.firmware = firmware,
		.serial = serial,
		.roots = by };
	struct assure_rules r = { &rule, 1, NULL };
	struct token_facts t = { .manufacturer = "dpiv",
		.model = "PIV",
		.firmware = "0.0",
		.own = true,
		.login = true,
		.hw_slot = true,
		.attester = attester };
	struct token_key_facts k = good_key;

	k.attestation = a;
	expect(&t, &k, &r, level, why);
	X509_free(a);
}

static void
test_attested(void **state)
{
	(void)state;
	attested(roots, attestation(key, attester_key, GOOD_EXT), NULL, NULL, ASSURE_AAL3, "");
	attested(roots, attestation(key, attester_key, GOOD_EXT), "5.7.*", "16909060", ASSURE_AAL3, "");
	attested(roots, attestation(key, attester_key, GOOD_EXT), "5.4.*", NULL, ASSURE_AAL2, "its firmware 5.7.1");
	attested(roots, attestation(key, attester_key, GOOD_EXT), NULL, "1", ASSURE_AAL2, "its serial number");
	attested(other_roots, attestation(key, attester_key, GOOD_EXT), NULL, NULL, ASSURE_AAL2,
	    "not certified by its maker");
	attested(roots, attestation(other_key, attester_key, GOOD_EXT), NULL, NULL, ASSURE_AAL2, "for another key");
	attested(roots, attestation(key, other_key, GOOD_EXT), NULL, NULL, ASSURE_AAL2, "not signed by");
	attested(roots, NULL, NULL, NULL, ASSURE_AAL2, "does not attest this key");
	attested(roots, attestation(key, attester_key, SAYS("05:07", "02")), NULL, NULL, ASSURE_AAL2, "malformed");
	/* never a PIN: no derived credential at all, whoever attests it */
	attested(roots, attestation(key, attester_key, SAYS("05:07:01", "01")), NULL, NULL, ASSURE_NONE, "says never");
	attested(
	    other_roots, attestation(key, attester_key, SAYS("05:07:01", "01")), NULL, NULL, ASSURE_NONE, "says never");
}

/* Before there is a key the token's own certificate is all there is. */
static void
test_not_yet(void **state)
{
	struct assure_rule rule = {
		.name = "yk", .manufacturer = "dpiv", .model = "PIV", .firmware = "5.*", .roots = roots
	};
	struct assure_rules r = { &rule, 1, NULL };
	struct token_facts t = { .manufacturer = "dpiv",
		.model = "PIV",
		.firmware = "0.0",
		.own = true,
		.login = true,
		.hw_slot = true,
		.attester = attester };

	(void)state;
	expect(&t, NULL, &r, ASSURE_AAL3, "");
	rule.serial = "4711"; /* what PKCS #11 tells of a card is not its maker's number */
	expect(&t, NULL, &r, ASSURE_AAL3, "");
	rule.roots = other_roots;
	expect(&t, NULL, &r, ASSURE_AAL2, "not certified by its maker");
	rule.roots = roots;
	t.attester = NULL;
	expect(&t, NULL, &r, ASSURE_AAL2, "does not attest its keys");
}

static void
rules_file(const char *text, enum err want, size_t n)
{
	char path[] = "/tmp/dpiv-assure-XXXXXX";
	struct assure_rules r;
	int fd = mkstemp(path);
	FILE *f = fdopen(fd, "w");

	fputs(text, f);
	fclose(f);
	if (want == E_OK)
		assert_ok(assure_rules_load(path, &r));
	else
		assert_err(assure_rules_load(path, &r), want);
	assert_int_equal(r.n, n);
	assure_rules_free(&r);
	unlink(path);
}

static void
test_rules(void **state)
{
	struct assure_rules r;

	(void)state;
	rules_file("", E_OK, 0);
	rules_file("[assurance a]\nmanufacturer = Example\nmodel = HSM*\n[assurance b]\nmanufacturer = *\nmodel = X\n",
	    E_OK, 2);
	rules_file("[assurance a]\nmodel = HSM*\n", E_CONF, 0);
	rules_file("[assurance a]\nmanufacturer = Example\n", E_CONF, 0);
	rules_file("[assurance a]\nmanufacturer = E\nmodel = M\nattestation_roots = /nonexistent\n", E_CONF, 0);
	rules_file("[assurance a]\nmanufacturer = E\nmodel = M\nlevel = aal3\n", E_CONF, 0);
	assert_ok(assure_rules_load("/nonexistent/dpiv.conf", &r));
	assert_int_equal(r.n, 0);
}

static void
test_texts(void **state)
{
	static const char *const bad[] = { "", "AAL4\n", "AAL2", "AAL2\nx y\n", "AAL2\n+\n", "AAL22\n+ a\n", "3" };
	enum assure_level l;
	struct assure a;

	(void)state;
	assert_ok(assure_parse("AAL3", &l));
	assert_int_equal(l, ASSURE_AAL3);
	assert_ok(assure_parse("2", &l));
	assert_int_equal(l, ASSURE_AAL2);
	assert_err(assure_parse("high", &l), E_USAGE);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (assure_read(bad[i], &a) && strcmp(bad[i], "AAL2") != 0 && strcmp(bad[i], "3") != 0)
			fail_msg("\"%s\" was read", bad[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_listed_hardware),
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_attested),
		cmocka_unit_test(test_not_yet),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_texts),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
