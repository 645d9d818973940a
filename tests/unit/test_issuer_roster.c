/* SPDX-License-Identifier: BSD-2-Clause */
/* Lists of people: CSV, what becomes accounts, and the card that comes later. */
#include <stdio.h>
#include <unistd.h>

#include "derive/issuer/account.h"
#include "derive/issuer/csv.h"
#include "derive/issuer/ledger.h"
#include "derive/issuer/refuse.h"
#include "derive/issuer/roster.h"
#include "tests/lib/ledger_dir.h"
#include "tests/lib/minipki.h"
#include "tests/lib/test.h"

#define NOW  1800000000
#define HEAD "name,email,upn,fascn,uuid\n"

static char dir[LEDGER_DIR], path[LEDGER_PATH];
static struct db *db;

static int
set_up(void **state)
{
	(void)state;
	ledger_dir_open(dir, path, &db);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	return ledger_dir_close(dir, &db);
}

static int64_t
count(const char *sql)
{
	return ledger_number(db, sql);
}

static struct roster_count
import(const char *csv)
{
	struct roster_count n;

	assert_ok(roster_import(db, span_str(csv), NOW, &n));
	return n;
}

static X509 *
person(const char *cn)
{
	EVP_PKEY *key = minipki_key("P-256");
	X509 *x = minipki_cert(&(struct minipki_cert){ .cn = cn, .key = key, .from = -60, .to = 60 });

	EVP_PKEY_free(key);
	return x;
}

static void
records(void **state)
{
	static const char text[] = "\xef\xbb\xbf"
				   "a, b ,\"c, \"\"d\"\"\"\r\n"
				   "\r\n"
				   "J\xc3\xb6rg,,\"\"\n"
				   "last";
	struct csv c;
	struct csv_row r;
	bool got;

	(void)state;
	csv_open(&c, span_str(text));
	assert_ok(csv_next(&c, &r, &got));
	assert_true(got);
	assert_int_equal(r.n, 3);
	assert_string_equal(r.field[0], "a");
	assert_string_equal(r.field[1], "b");
	assert_string_equal(r.field[2], "c, \"d\"");
	assert_ok(csv_next(&c, &r, &got));
	assert_int_equal(r.line, 3);
	assert_string_equal(r.field[0], "J\xc3\xb6rg");
	assert_string_equal(r.field[1], "");
	assert_string_equal(r.field[2], "");
	assert_ok(csv_next(&c, &r, &got));
	assert_string_equal(r.field[0], "last");
	assert_ok(csv_next(&c, &r, &got));
	assert_false(got);
}

static void
bad_records(void **state)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{ "a,\"b\n", "no end" },
		{ "a,b\"c\n", "out of place" },
		{ "a,\"b\"c\n", "out of place" },
		{ "\"a\"\"\n", "no end" },
		{ "a\tb\n", "control character" },
		{ "a\x7f\n", "control character" },
		{ "\xff\n", "not UTF-8" },
		{ "\xc2\x9b\n", "not UTF-8" }, /* a control character of its own */
		{ ",,,,,,,,,,,,,,,,\n", "too many" },
	};
	char longer[CSV_TEXT + 8];
	struct csv c;
	struct csv_row r;
	bool got;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		csv_open(&c, span_str(rows[i].text));
		assert_err(csv_next(&c, &r, &got), E_PROTO);
		assert_says(rows[i].says);
		assert_false(got);
	}
	csv_open(&c, span_of("a\0b\n", 4));
	assert_err(csv_next(&c, &r, &got), E_PROTO);
	memset(longer, 'x', sizeof longer);
	csv_open(&c, span_of(longer, sizeof longer));
	assert_err(csv_next(&c, &r, &got), E_PROTO);
	assert_says("too long");
}

static void
people(void **state)
{
	struct roster_count n = import("uuid,fascn,name,email\n"
				       "5A3C0A5E-5c9f-4f39-8f1b-6a7f4d3c2b10,0032-0001-092446,Pat,pat@example.test\n"
				       ",00320001092447,Sam,\n");

	(void)state;
	assert_int_equal(n.added, 2);
	assert_int_equal(count("SELECT count(*) FROM expected WHERE uuid = '5a3c0a5e-5c9f-4f39-8f1b-6a7f4d3c2b10'"
			       " AND fascn = '00320001092446'"),
	    1);
	assert_int_equal(count("SELECT count(*) FROM event WHERE what = 'account-added' AND account = 2"), 1);
	n = import("name,uuid,email,upn\n"
		   "Pat,5a3c0a5e5c9f4f398f1b6a7f4d3c2b10,pat@example.test,\n"); /* FASC-N unsaid: the same card */
	assert_int_equal(n.same, 1);
	n = import("name,fascn,email,upn\nSam,00320001092447,sam@example.test,9446@mil\n");
	assert_int_equal(n.updated, 1);
	n = import("name,fascn,email,upn\nSam,00320001092447,sam@example.test,9446@mil\n");
	assert_int_equal(n.same, 1);
	n = import(
	    "name,fascn,email,upn\nSam,00320001092448,sam@example.test,9446@mil\n"); /* a second card, by the UPN */
	assert_int_equal(n.updated, 1);
	assert_int_equal(count("SELECT count(*) FROM account"), 2);
	assert_int_equal(count("SELECT count(*) FROM expected WHERE account = 2"), 2);
}

static void
mistakes(void **state)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{ "", "nothing in it" },
		{ "Pat,pat@example.test\n", "line 1: the first line names" },
		{ "name,name,uuid\n", "twice" },
		{ "name,email\n", "'fascn' and 'uuid'" },
		{ HEAD "Pat\n", "line 2: 1 fields, where the first line has 5" },
		{ HEAD ",p@example.test,,00320001092446,\n", "name is missing" },
		{ HEAD "Pat,nobody,,00320001092446,\n", "nobody is not a mail address" },
		{ HEAD "Pat,,,12,\n", "12 is not the FASC-N" },
		{ HEAD "Pat,,,99990000000001,\n", "not the FASC-N of a federal card" },
		{ HEAD "Pat,,,,5a3c\n", "not a UUID" },
		{ HEAD "Pat,,p,,\n", "by what is the card of Pat recognised" },
		{ HEAD "Sam,,,00320001092447,\nPat,,,,5a3c\n", "line 3:" },
	};
	struct roster_count n;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		assert_int_not_equal(roster_import(db, span_str(rows[i].text), NOW, &n), E_OK);
		assert_says(rows[i].says);
		assert_int_equal(count("SELECT count(*) FROM account"), 0);
	}
}

static void
card_comes(void **state)
{
	const struct account_rules listed = { .listed = true };
	struct pivid id = { .subject = "CN=PAT EXAMPLE", .fascn_id = "00320001092446", .sha256 = "AA" },
		     other = { .subject = "CN=SAM", .fascn_id = "00320001092447", .sha256 = "BB" };
	X509 *pat = person("PAT EXAMPLE"), *renamed = person("PAT MARRIED");
	struct account a;

	(void)state;
	(void)import(HEAD "Pat Example,pat@example.test,,00320001092446,\n");
	assert_err(account_for_card(db, &listed, pat, &other, NOW, &a), E_POLICY);
	assert_int_equal(refuse_last(), REFUSE_UNKNOWN_ACCOUNT);
	assert_ok(account_for_card(db, &listed, pat, &id, NOW, &a));
	assert_int_equal(a.id, 1);
	assert_string_equal(a.name, "Pat Example");
	assert_string_equal(a.email, "pat@example.test");
	assert_true(a.new_card);
	/* the first card's name is the account's from then on */
	strcpy(id.sha256, "CC");
	assert_err(account_for_card(db, &listed, renamed, &id, NOW, &a), E_POLICY);
	assert_int_equal(refuse_last(), REFUSE_ACCOUNT_MISMATCH);
	assert_ok(account_for_card(db, &listed, pat, &id, NOW, &a));
	X509_free(pat);
	X509_free(renamed);
}

static void
terminated(void **state)
{
	struct roster_count n;

	(void)state;
	(void)import(HEAD "Pat,,,00320001092446,\n");
	assert_ok(account_set_status(db, 1, "terminated"));
	assert_err(
	    roster_import(db, span_str(HEAD "Sam,,,00320001092447,\nPat,,,00320001092446,\n"), NOW, &n), E_POLICY);
	assert_says("line 3: the account of Pat is terminated");
	assert_int_equal(count("SELECT count(*) FROM account"), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records),
		cmocka_unit_test(bad_records),
		cmocka_unit_test_setup_teardown(people, set_up, tear_down),
		cmocka_unit_test_setup_teardown(mistakes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(card_comes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(terminated, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
