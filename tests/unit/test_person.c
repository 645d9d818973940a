/* SPDX-License-Identifier: BSD-2-Clause */
/* Whose card is it: the FASC-N's person, the user principal name, the subject name; and what has changed. */
#include <string.h>

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

static void
test_changed(void **state)
{
	X509 *old = person("Pat", SAN_UPN("pat@example.test")), *now = person("Kim", SAN_UPN("kim@example.test"));
	X509 *mail = person("Pat", SAN_MAIL);
	char out[128];

	(void)state;
	assert_string_equal(person_changed(old, old, "", out, sizeof out), "");
	assert_string_equal(person_changed(old, now, "", out, sizeof out), "subject, user principal name");
	assert_string_equal(person_changed(mail, mail, "a@b.c PAT@example.test", out, sizeof out), "");
	assert_string_equal(person_changed(mail, mail, "pat@example.tes", out, sizeof out), "mail address");
	X509_free(old);
	X509_free(now);
	X509_free(mail);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fascn),
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_changed),
	};
	int bad;

	key = minipki_key("P-256");
	bad = cmocka_run_group_tests_name("person", tests, NULL, NULL);
	EVP_PKEY_free(key);
	return bad;
}
