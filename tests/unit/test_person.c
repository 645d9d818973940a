/* SPDX-License-Identifier: BSD-2-Clause */
/* Whose card is it: the FASC-N's person, the user principal name, the subject name; and what has changed. */
#include <stdio.h>
#include <string.h>

#include "derive/cert.h"
#include "derive/fascn.h"
#include "derive/person.h"
#include "tests/lib/minipki.h"
#include "tests/lib/test.h"

#define SAN_UPN(u) "subjectAltName=@san\n[san]\notherName.1=1.3.6.1.4.1.311.20.2.3;UTF8:" u "\n"
#define SAN_MAIL   "subjectAltName=email:pat@example.test\n"

static EVP_PKEY *key;

static X509 *
person(const char *cn, const char *ext)
{
	return minipki_cert(&(struct minipki_cert){ .cn = cn, .key = key, .issuer_key = key, .to = 86400, .ext = ext });
}

/* Forty symbols, each four bits with the least first and an odd parity bit. */
static void
fascn_write(const char *symbols, uint8_t out[FASCN_BYTES])
{
	memset(out, 0, FASCN_BYTES);
	for (size_t i = 0; i < FASCN_SYMBOLS; i++) {
		unsigned v = symbols[i] >= '0' && symbols[i] <= '9' ? (unsigned)(symbols[i] - '0') : 13;
		unsigned parity = 1;

		for (size_t k = 0; k < 5; k++) {
			unsigned bit = k < 4 ? (v >> k) & 1 : parity & 1;

			parity += bit;
			out[(i * 5 + k) / 8] |= (uint8_t)(bit << (7 - (i * 5 + k) % 8));
		}
	}
}

static void
test_fascn(void **state)
{
	const char *good = ".0032.0001.092446.0.1.000000123410032100";
	char card[15], who[16], all[FASCN_SYMBOLS + 1];
	uint8_t b[FASCN_BYTES];

	(void)state;
	assert_int_equal(strlen(good), FASCN_SYMBOLS);
	fascn_write(good, b);
	assert_true(fascn_card((struct span){ b, sizeof b }, card));
	assert_string_equal(card, "00320001092446");
	assert_true(fascn_person((struct span){ b, sizeof b }, who));
	assert_int_equal(strncmp(who, &good[22], 15), 0);
	assert_false(fascn_person((struct span){ b, sizeof b - 1 }, who));
	assert_string_equal(who, "");
	b[0] ^= 1;
	assert_true(fascn_read((struct span){ b, sizeof b }, all));
	assert_int_equal(all[1], '.');
	assert_false(fascn_card((struct span){ b, sizeof b }, card));
	fascn_write(".0032.0001.092446.0.1.000000000010032100", b);
	assert_false(fascn_person((struct span){ b, sizeof b }, who));
	fascn_write(".0032.0001.092446.0.1.999999999910032100", b);
	assert_false(fascn_person((struct span){ b, sizeof b }, who));
}

static void
test_same(void **state)
{
	X509 *pat = person("Pat", SAN_UPN("pat@example.test")), *pat2 = person("Pat Q", SAN_UPN("PAT@example.test"));
	X509 *kim = person("Kim", SAN_UPN("kim@example.test")), *plain = person("Pat", NULL);
	const char *by;

	(void)state;
	assert_int_equal(person_same(pat, pat2, &by), PERSON_SAME);
	assert_string_equal(by, "user principal name");
	assert_int_equal(person_same(pat, plain, &by), PERSON_SAME);
	assert_string_equal(by, "subject name");
	assert_int_equal(person_same(pat, kim, &by), PERSON_UNKNOWN);
	assert_string_equal(by, "nothing");
	X509_free(pat);
	X509_free(pat2);
	X509_free(kim);
	X509_free(plain);
}

/* A card with this person identifier of an organization, by this name; upn may be NULL. Agency and credential vary. */
static X509 *
by_fascn(const char *card, const char *who, const char *cn, const char *upn)
{
	char symbols[FASCN_SYMBOLS + 1], ext[512], hex[2 * FASCN_BYTES + 1];
	uint8_t b[FASCN_BYTES];

	assert_int_equal(strlen(card) + strlen(who), 6 + 15);
	snprintf(symbols, sizeof symbols, ".0032.0001.%s.0.1.%s100", card, who);
	assert_int_equal(strlen(symbols), FASCN_SYMBOLS);
	fascn_write(symbols, b);
	for (size_t i = 0; i < sizeof b; i++)
		snprintf(&hex[2 * i], 3, "%02X", b[i]);
	snprintf(ext, sizeof ext,
	    "subjectAltName=@san\n[san]\notherName.1=2.16.840.1.101.3.6.6;FORMAT:HEX,OCT:%s\n%s%s%s", hex,
	    upn != NULL ? "otherName.2=1.3.6.1.4.1.311.20.2.3;UTF8:" : "", upn != NULL ? upn : "",
	    upn != NULL ? "\n" : "");
	return person(cn, ext);
}

/* The person identifier: 10 digits, then category, organization and association. */
#define PAT  "000000123410032"
#define KIM  "000000567810032"
#define ELSE "000000567820047" /* another organization's number */
#define NONE "000000000010032"

static void
test_identifier(void **state)
{
	static const struct {
		const char *a_who, *a_cn, *a_upn, *b_who, *b_cn, *b_upn;
		enum person want;
		const char *by;
	} rows[] = {
		/* the same number under two names, and with two principal names */
		{ PAT, "Pat", NULL, PAT, "Pat Newname", NULL, PERSON_SAME, "person identifier" },
		{ PAT, "Pat", "pat@a.test", PAT, "Kim", "kim@a.test", PERSON_SAME, "person identifier" },
		/* another's */
		{ PAT, "Pat", NULL, KIM, "Kim", NULL, PERSON_OTHER, "nothing" },
		{ PAT, "Pat", "pat@a.test", KIM, "Kim", "kim@a.test", PERSON_OTHER, "nothing" },
		/* contradictions: another number, but one name or one principal name */
		{ PAT, "Pat", NULL, KIM, "Pat", NULL, PERSON_UNKNOWN, "subject name" },
		{ PAT, "Pat", "pat@a.test", KIM, "Kim", "PAT@a.test", PERSON_UNKNOWN, "user principal name" },
		/* numbers of two organizations say nothing of each other, nor does one that is left out */
		{ PAT, "Pat", NULL, ELSE, "Kim", NULL, PERSON_UNKNOWN, "nothing" },
		{ PAT, "Pat", NULL, ELSE, "Pat", NULL, PERSON_SAME, "subject name" },
		{ NONE, "Pat", NULL, NONE, "Kim", NULL, PERSON_UNKNOWN, "nothing" },
		{ PAT, "Pat", "pat@a.test", NONE, "Kim", "pat@a.test", PERSON_SAME, "user principal name" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		X509 *a = by_fascn("092446", rows[i].a_who, rows[i].a_cn, rows[i].a_upn);
		X509 *b = by_fascn("092447", rows[i].b_who, rows[i].b_cn, rows[i].b_upn);

		for (int turn = 0; turn < 2; turn++) {
			const char *by = "";
			enum person got = turn == 0 ? person_same(a, b, &by) : person_same(b, a, &by);

			if (got != rows[i].want || strcmp(by, rows[i].by) != 0)
				fail_msg("row %zu: %d by %s", i, (int)got, by);
		}
		X509_free(a);
		X509_free(b);
	}
}

static void
test_addresses(void **state)
{
	X509 *two = person("Pat", "subjectAltName=email:pat@example.test,email:p@example.test\n"),
	     *none = person("Pat", NULL);
	char list[64] = "", small[20] = "";

	(void)state;
	cert_emails_add(none, list, sizeof list);
	assert_string_equal(list, "");
	cert_emails_add(two, list, sizeof list);
	cert_emails_add(two, list, sizeof list);
	assert_string_equal(list, "pat@example.test p@example.test pat@example.test p@example.test");
	cert_emails_add(two, small, sizeof small); /* what does not fit is left out as a whole */
	assert_string_equal(small, "pat@example.test");
	X509_free(two);
	X509_free(none);
}

static void
test_changed(void **state)
{
	X509 *old = person("Pat", SAN_UPN("pat@example.test")), *now = person("Kim", SAN_UPN("kim@example.test"));
	X509 *mail = person("Pat", SAN_MAIL), *upn = person("Pat", SAN_UPN("PAT@example.test"));
	char out[128];

	(void)state;
	assert_string_equal(person_changed(old, old, "", out, sizeof out), "");
	assert_string_equal(person_changed(old, now, "", out, sizeof out), "subject, user principal name");
	assert_string_equal(person_changed(mail, mail, "a@b.c PAT@example.test", out, sizeof out), "");
	assert_string_equal(person_changed(mail, mail, "pat@example.tes", out, sizeof out), "mail address");
	/* an address that the issuer took from the card's principal name: a rekey would not end it */
	assert_string_equal(person_changed(mail, upn, "p@example.test", out, sizeof out), "");
	assert_string_equal(person_changed(mail, now, "p@example.test", out, sizeof out), "subject, mail address");
	X509_free(old);
	X509_free(now);
	X509_free(mail);
	X509_free(upn);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fascn),
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_identifier),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_changed),
	};
	int bad;

	key = minipki_key("P-256");
	bad = cmocka_run_group_tests_name("person", tests, NULL, NULL);
	EVP_PKEY_free(key);
	return bad;
}
