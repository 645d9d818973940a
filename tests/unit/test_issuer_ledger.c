/* SPDX-License-Identifier: BSD-2-Clause */
/* derive/db, the ledger's invariants, accounts, and the CRL that is made from them. */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <openssl/x509v3.h>

#include "base/file.h"
#include "derive/issuer/account.h"
#include "derive/issuer/audit.h"
#include "derive/issuer/crl.h"
#include "derive/issuer/ledger.h"
#include "derive/issuer/refuse.h"
#include "derive/issuer/x509io.h"
#include "tests/lib/ledger_dir.h"
#include "tests/lib/minipki.h"
#include "tests/lib/test.h"

#define DAY 86400L
#define NOW 1800000000

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
number(const char *sql)
{
	return ledger_number(db, sql);
}

static void
add_account(void)
{
	assert_ok(db_run(
	    db, "INSERT INTO account (subject, name, origin, created) VALUES (x'3000', 'Pat', 'test', 1)", DB_NO_ARGS));
}

static struct ledger_cert
row(const char *serial, const char *uuid)
{
	return (struct ledger_cert){ .serial = serial,
		.profile = "auth",
		.uuid = uuid,
		.spki_sha256 = "AA",
		.subject = "CN=Pat",
		.account = 1,
		.card_sha256 = "CC",
		.from = NOW,
		.to = NOW + DAY };
}

static void
database_file(void **state)
{
	static const char *const steps[] = { "CREATE TABLE a (x)", "CREATE TABLE b (y)" };
	struct db_schema one = { .name = "test store", .app_id = 77, .steps = steps, .n = 1 },
			 two = { .name = "test store", .app_id = 77, .steps = steps, .n = 2 },
			 other = { .name = "other store", .app_id = 78, .steps = steps, .n = 1 };
	char file[80];
	struct stat st;
	struct db *d;
	int64_t n;

	(void)state;
	snprintf(file, sizeof file, "%s/x.db", dir);
	assert_ok(db_open(file, &one, &d));
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_ok(db_run(d, "INSERT INTO a VALUES (?)", DB_ARGS(db_text("kept"))));
	db_close(&d);
	assert_ok(db_open(file, &two, &d)); /* upgraded, contents kept */
	assert_ok(db_number(d, &n, "SELECT count(*) FROM a, (SELECT count(*) FROM b)", DB_NO_ARGS));
	assert_int_equal(n, 1);
	db_close(&d);
	assert_err(db_open(file, &one, &d), E_STORE);
	assert_says("newer version");
	assert_err(db_open(file, &other, &d), E_STORE);
	assert_says("another program");
	assert_ok(
	    file_write(file, 0600, span_str("this is not a database, and it is long enough to be looked at as one")));
	assert_err(db_open(file, &two, &d), E_STORE);
	assert_err(db_open("/nonexistent/x.db", &two, &d), E_STORE);
	assert_null(d);
}

static void
database_values(void **state)
{
	struct db_rows *q;
	bool got;
	int64_t n;

	(void)state;
	assert_ok(db_run(db, "CREATE TABLE v (t TEXT, i INTEGER, b BLOB, n TEXT)", DB_NO_ARGS));
	assert_ok(db_run(db, "INSERT INTO v VALUES (?, ?, ?, ?)",
	    DB_ARGS(db_text("a'; DROP TABLE v; --"), db_int(INT64_MIN), db_blob(span_of("\0\1", 2)), db_text(NULL))));
	assert_ok(db_query(db, &q, "SELECT t, i, b, n FROM v", DB_NO_ARGS));
	assert_ok(db_next(q, &got));
	assert_true(got);
	assert_string_equal(db_col_text(q, 0), "a'; DROP TABLE v; --");
	assert_true(db_col_int(q, 1) == INT64_MIN);
	assert_bytes(db_col_blob(q, 2), "\0\1");
	assert_true(db_col_null(q, 3));
	assert_string_equal(db_col_text(q, 3), "");
	assert_ok(db_next(q, &got));
	assert_false(got);
	db_done(&q);
	assert_null(q);
	assert_err(db_number(db, &n, "SELECT i FROM v WHERE 0", DB_NO_ARGS), E_NOTFOUND);
	assert_err(db_run(db, "SELECT ?", DB_NO_ARGS), E_STORE); /* a value is missing */
	assert_err(db_run(db, "SELEKT", DB_NO_ARGS), E_STORE);
	/* rolled back */
	assert_ok(db_begin(db));
	assert_ok(db_run(db, "DELETE FROM v", DB_NO_ARGS));
	assert_err(db_end(db, E_CANCELED), E_CANCELED);
	assert_int_equal(number("SELECT count(*) FROM v"), 1);
}

static void
two_writers(void **state)
{
	struct db *second;

	(void)state;
	assert_ok(ledger_open(path, &second));
	assert_ok(db_begin(db));
	assert_ok(db_run(db, "INSERT INTO series VALUES ('x', 1)", DB_NO_ARGS));
	assert_int_equal(number("SELECT last FROM series WHERE name = 'x'"), 1);
	int64_t n;
	assert_err(db_number(second, &n, "SELECT last FROM series WHERE name = 'x'", DB_NO_ARGS), E_NOTFOUND);
	assert_ok(db_end(db, E_OK));
	assert_ok(db_number(second, &n, "SELECT last FROM series WHERE name = 'x'", DB_NO_ARGS));
	db_close(&second);
}

static void
serials_and_uuids_are_used_once(void **state)
{
	struct ledger_cert a = row("41", "u1"), b = row("41", "u2"), c = row("42", "u1"), d = row("43", NULL),
			   e = row("44", NULL);

	(void)state;
	add_account();
	assert_ok(ledger_reserve(db, &a, NOW));
	assert_err(ledger_reserve(db, &b, NOW), E_EXISTS);
	assert_err(ledger_reserve(db, &c, NOW), E_EXISTS);
	assert_ok(ledger_reserve(db, &d, NOW)); /* profiles without UUID */
	assert_ok(ledger_reserve(db, &e, NOW));
	a.account = 99;
	a.serial = "45";
	a.uuid = "u9";
	assert_err(ledger_reserve(db, &a, NOW), E_STORE); /* nobody's certificate */
}

static void
issued_has_its_der(void **state)
{
	struct ledger_cert a = row("41", "u1"), b = row("42", "u2");

	(void)state;
	add_account();
	assert_ok(ledger_reserve(db, &a, NOW));
	assert_ok(ledger_reserve(db, &b, NOW));
	assert_err(db_run(db, "UPDATE certificate SET state = 'issued' WHERE serial = '41'", DB_NO_ARGS), E_STORE);
	assert_ok(ledger_issued(db, "41", span_str("der")));
	assert_err(ledger_issued(db, "41", span_str("der")), E_NOTFOUND);
	assert_err(ledger_abandon(db, "41"), E_NOTFOUND);
	assert_err(ledger_issued(db, "99", span_str("der")), E_NOTFOUND);
	/* the other one's process died */
	assert_ok(ledger_recover(db, NOW + 60));
	assert_int_equal(number("SELECT count(*) FROM certificate WHERE state = 'pending'"), 1);
	assert_ok(ledger_recover(db, NOW + 3600));
	assert_int_equal(number("SELECT count(*) FROM certificate WHERE state = 'abandoned'"), 1);
}

static void
keys_belong_to_one(void **state)
{
	struct ledger_cert a = row("41", "u1");

	(void)state;
	add_account();
	assert_ok(ledger_key_free(db, "AA", 1, "auth"));
	assert_ok(ledger_reserve(db, &a, NOW));
	assert_ok(ledger_key_free(db, "AA", 1, "auth")); /* asked for again, say after a lost answer */
	assert_err(ledger_key_free(db, "AA", 1, "sign"), E_EXISTS);
	assert_err(ledger_key_free(db, "AA", 2, "auth"), E_EXISTS);
	assert_ok(ledger_abandon(db, "41"));
	assert_ok(ledger_key_free(db, "AA", 2, "sign"));
}

static void
events_stay(void **state)
{
	const struct ledger_event ev = { .what = "refused", .code = "expired", .detail = "it's over" };

	(void)state;
	assert_ok(ledger_event_add(db, &ev, NOW));
	assert_err(db_run(db, "DELETE FROM event", DB_NO_ARGS), E_STORE);
	assert_says("never removed");
	assert_err(db_run(db, "UPDATE event SET detail = 'x'", DB_NO_ARGS), E_STORE);
	assert_says("never changed");
	assert_int_equal(number("SELECT count(*) FROM event WHERE detail = 'it''s over'"), 1);
}

static void
four_events(void)
{
	const struct ledger_event ev[] = {
		{ .what = "account-added", .account = 1, .detail = "Pat" },
		{ .what = "issued", .account = 1, .serial = "41", .card = "CC", .peer = "::1" },
		{ .what = "refused", .code = "expired", .detail = "" },
		{ .what = "revoked", .serial = "41", .detail = "superseded" },
	};

	for (size_t i = 0; i < sizeof ev / sizeof ev[0]; i++)
		assert_ok(audit_add(db, &ev[i], NOW + (time_t)i));
	assert_ok(db_run(db, "DROP TRIGGER event_kept", DB_NO_ARGS));
	assert_ok(db_run(db, "DROP TRIGGER event_fixed", DB_NO_ARGS));
}

static void
the_chain_of_events(void **state)
{
	static const struct {
		const char *sql, *says;
	} damages[] = {
		{ "UPDATE event SET detail = 'Sam' WHERE id = 1", "event 1 is not" },
		{ "UPDATE event SET detail = NULL WHERE id = 3", "event 3 is not" }, /* empty is not absent */
		{ "UPDATE event SET serial = '42', card = NULL WHERE id = 2", "event 2 is not" },
		{ "UPDATE event SET peer = NULL, detail = peer WHERE id = 2", "event 2 is not" },
		{ "UPDATE event SET at = at + 1 WHERE id = 4", "event 4 is not" },
		{ "UPDATE event SET hash = NULL WHERE id = 4", "event 4 is not" },
		{ "UPDATE event SET hash = x'00' WHERE id = 4", "event 4 is not" },
		{ "DELETE FROM event WHERE id = 1", "before 2 are missing" },
		{ "DELETE FROM event WHERE id = 3", "after 2 and before 4 are missing" },
		{ "DELETE FROM event WHERE id = 4", "after 3 are cut off: there were 4" },
		{ "DELETE FROM event", "after 0 are cut off" },
		{ "INSERT INTO event (at, what) VALUES (1, 'issued')", "event 5 is not" },
		{ "UPDATE event SET id = -1 WHERE id = 1", "missing" },
		{ "DELETE FROM event_head", "the head of the chain of events is missing" },
		{ "UPDATE event_head SET hash = x'00'", "is damaged" },
		{ "UPDATE event_head SET id = 3", "event 4 is not on the chain" },
	};
	struct audit_head head, kept;
	char text[AUDIT_HEAD_MAX];

	(void)state;
	assert_ok(audit_verify(db, NULL, &head));
	assert_int_equal(head.id, 0);
	four_events();
	assert_ok(audit_verify(db, NULL, &head));
	assert_int_equal(head.id, 4);
	assert_true(audit_head_read(audit_head_text(&head, text), &kept));
	assert_ok(audit_verify(db, &kept, &head));
	for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
		assert_ok(db_run(db, "SAVEPOINT whole", DB_NO_ARGS));
		assert_ok(db_run(db, damages[i].sql, DB_NO_ARGS));
		assert_err(audit_verify(db, NULL, &head), E_STORE);
		assert_says(damages[i].says);
		assert_ok(db_run(db, "ROLLBACK TO whole", DB_NO_ARGS));
		assert_ok(db_run(db, "RELEASE whole", DB_NO_ARGS));
	}
	assert_ok(audit_verify(db, &kept, &head));
}

/* Who calculates everything anew is found by a head that was kept elsewhere. */
static void
a_head_that_was_kept(void **state)
{
	static const char *const bad[] = { "", "4", "4:", "4:zz", "0:00", "-1:00", "4:0011" };
	const struct ledger_event other = { .what = "account-added", .detail = "Sam" };
	struct audit_head kept, head;

	(void)state;
	four_events();
	assert_ok(audit_head(db, &kept));
	assert_int_equal(kept.id, 4);
	assert_ok(db_run(db, "DELETE FROM event", DB_NO_ARGS));
	assert_ok(db_run(db, "DELETE FROM event_head", DB_NO_ARGS));
	assert_ok(audit_verify(db, NULL, &head)); /* nothing shows in the file itself */
	assert_err(audit_verify(db, &kept, &head), E_STORE);
	assert_says("event 4 of the kept head is missing");
	for (int i = 0; i < 5; i++)
		assert_ok(audit_add(db, &other, NOW));
	assert_ok(audit_verify(db, NULL, &head));
	assert_err(audit_verify(db, &kept, &head), E_STORE);
	assert_says("up to event 4 the events are not those");
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(audit_head_read(bad[i], &kept));
}

/* Who looks the events over sees one moment, and keeps nobody from adding another. */
static void
events_are_added_while_they_are_verified(void **state)
{
	static const struct ledger_event ev = { .what = "revoked" };
	struct audit_head head;
	struct db *second;

	(void)state;
	assert_ok(ledger_open(path, &second));
	assert_ok(audit_add(db, &ev, NOW));
	assert_ok(db_begin_read(db));
	assert_ok(audit_verify(db, NULL, &head));
	assert_ok(audit_add(second, &ev, NOW));
	assert_ok(audit_verify(db, NULL, &head));
	assert_int_equal(head.id, 1);
	assert_ok(db_end(db, E_OK));
	assert_ok(audit_verify(db, NULL, &head));
	assert_int_equal(head.id, 2);
	db_close(&second);
}

/* A ledger from before the chain: its rows have no hash, and are covered by the first that has. */
static void
events_older_than_the_chain(void **state)
{
	struct audit_head head;

	(void)state;
	assert_ok(db_run(db, "INSERT INTO event (at, what) VALUES (1, 'a'), (2, 'b')", DB_NO_ARGS));
	assert_ok(audit_verify(db, NULL, &head));
	assert_int_equal(head.id, 2);
	four_events();
	assert_ok(audit_verify(db, NULL, &head));
	assert_int_equal(head.id, 6);
	assert_ok(db_run(db, "UPDATE event SET what = 'x' WHERE id = 2", DB_NO_ARGS));
	assert_err(audit_verify(db, NULL, &head), E_STORE);
	assert_says("event 3 is not what was written, or one before it");
}

static void
what_is_said_of_a_serial(void **state)
{
	struct ledger_cert a = row("41", "u1"), b = row("42", "u2"), c = row("43", "u3");
	struct ledger_status s;

	(void)state;
	add_account();
	assert_ok(ledger_reserve(db, &a, NOW));
	assert_ok(ledger_issued(db, "41", span_str("der")));
	assert_ok(ledger_reserve(db, &b, NOW));
	assert_ok(ledger_reserve(db, &c, NOW));
	assert_ok(ledger_abandon(db, "43"));
	assert_ok(ledger_status(db, "41", &s));
	assert_true(s.known && !s.revoked);
	assert_ok(ledger_status(db, "42", &s)); /* not yet anybody's */
	assert_false(s.known || s.revoked);
	assert_ok(ledger_status(db, "43", &s));
	assert_false(s.known || s.revoked);
	assert_ok(ledger_status(db, "99", &s));
	assert_false(s.known || s.revoked);
	assert_ok(ledger_revoke(db, "41", CRL_REASON_SUPERSEDED, false, NOW));
	assert_ok(ledger_revoke(db, "77", 0, true, NOW)); /* signed elsewhere */
	assert_ok(ledger_status(db, "41", &s));
	assert_true(s.known && s.revoked);
	assert_int_equal(s.reason, CRL_REASON_SUPERSEDED);
	assert_int_equal(s.at, NOW);
	assert_ok(ledger_status(db, "77", &s));
	assert_true(s.known && s.revoked);
}

static void
revocations(void **state)
{
	struct ledger_cert a = row("41", "u1"), b = row("42", "u2");
	EVP_PKEY *key = minipki_key("P-256");
	X509 *ca = minipki_ca("CA", key, NULL, NULL, -DAY, DAY, NULL);
	X509_REVOKED *r;
	X509_CRL *crl;
	ASN1_INTEGER *serial = ASN1_INTEGER_new();
	int64_t n;

	(void)state;
	add_account();
	assert_ok(ledger_reserve(db, &a, NOW));
	assert_ok(ledger_reserve(db, &b, NOW));
	assert_err(ledger_revoke(db, "77", 0, false, NOW), E_NOTFOUND);
	assert_ok(ledger_revoke(db, "77", 0, true, NOW)); /* signed elsewhere */
	assert_ok(ledger_revoke(db, "41", CRL_REASON_KEY_COMPROMISE, false, NOW));
	assert_err(ledger_revoke(db, "41", 0, false, NOW), E_EXISTS);
	assert_ok(ledger_revoke_account(db, 1, CRL_REASON_CESSATION_OF_OPERATION, NOW, &n));
	assert_int_equal(n, 1);
	assert_ok(crl_make(ca, key, db, 7, NOW, 30, &crl));
	assert_int_equal(X509_CRL_verify(crl, key), 1);
	assert_int_equal(sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl)), 3);
	ASN1_INTEGER_set(serial, 0x41);
	assert_int_equal(X509_CRL_get0_by_serial(crl, &r, serial), 1);
	ASN1_ENUMERATED *reason = X509_REVOKED_get_ext_d2i(r, NID_crl_reason, NULL, NULL);
	assert_int_equal(ASN1_ENUMERATED_get(reason), CRL_REASON_KEY_COMPROMISE);
	ASN1_ENUMERATED_free(reason);
	ASN1_INTEGER_set(serial, 0x77);
	assert_int_equal(X509_CRL_get0_by_serial(crl, &r, serial), 1);
	assert_int_equal(X509_REVOKED_get_ext_count(r), 0); /* unspecified is left out */
	ASN1_INTEGER_set(serial, 0x78);
	assert_int_equal(X509_CRL_get0_by_serial(crl, &r, serial), 0);
	ASN1_INTEGER_free(serial);
	X509_CRL_free(crl);
	X509_free(ca);
	EVP_PKEY_free(key);
}

static void
crl_numbers_and_age(void **state)
{
	EVP_PKEY *key = minipki_key("P-256");
	X509 *ca = minipki_ca("CA", key, NULL, NULL, -DAY, DAY, NULL);
	STACK_OF(X509_CRL) * crls;
	char file[80];

	(void)state;
	snprintf(file, sizeof file, "%s/ca.crl", dir);
	assert_true(crl_stale(file, NOW, 18));
	for (long want = 1; want <= 3; want++) {
		assert_ok(crl_publish(db, "crl", ca, key, true, file, NOW, 30));
		assert_ok(x509io_read_crls(file, &crls));
		ASN1_INTEGER *got = X509_CRL_get_ext_d2i(sk_X509_CRL_value(crls, 0), NID_crl_number, NULL, NULL);
		assert_int_equal(ASN1_INTEGER_get(got), want);
		ASN1_INTEGER_free(got);
		sk_X509_CRL_pop_free(crls, X509_CRL_free);
	}
	assert_int_equal(crl_entries(file), 0);
	assert_int_equal(crl_entries(dir), -1);
	/* a number that left the building and was not committed is not used again */
	assert_ok(db_run(db, "UPDATE series SET last = 1 WHERE name = 'crl'", DB_NO_ARGS));
	assert_ok(crl_publish(db, "crl", ca, key, true, file, NOW, 30));
	assert_int_equal(number("SELECT last FROM series WHERE name = 'crl'"), 4);
	assert_false(crl_stale(file, NOW + 17 * 3600, 18));
	assert_true(crl_stale(file, NOW + 18 * 3600, 18));
	assert_true(crl_stale(file, NOW + 31 * 3600, 48)); /* past nextUpdate */
	assert_true(crl_stale(file, NOW - 3600, 18));	   /* from the future */
	assert_int_equal(crl_reason("keyCompromise"), 1);
	assert_int_equal(crl_reason("nonsense"), -1);
	X509_free(ca);
	EVP_PKEY_free(key);
}

static X509 *
card(const char *cn, EVP_PKEY *key, const char *san)
{
	char ext[400];
	const struct minipki_cert c = { cn, key, NULL, NULL, -DAY, DAY, ext };

	snprintf(ext, sizeof ext, "subjectAltName=@san\n[san]\n%s", san);
	return minipki_cert(&c);
}

#define FASCN_LINE "otherName.1=2.16.840.1.101.3.6.6;FORMAT:HEX,OCT:" MINIPKI_FASCN "\n"

static enum err
visit(X509 *x, const struct account_rules *rules, struct account *a)
{
	struct pivid id;

	assert_ok(pivid_read(x, &id));
	return account_for_card(db, rules, x, &id, NOW, a);
}

static void
accounts_that_cards_open(void **state)
{
	const struct account_rules rules = { .listed = false, .email_from_upn = true }, no_upn = { .listed = false };
	EVP_PKEY *key = minipki_key("P-256");
	X509 *first = card("Pat", key, FASCN_LINE "otherName.2=1.3.6.1.4.1.311.20.2.3;UTF8:pat@example.test\n");
	X509 *rekeyed = card("Pat Married", key, FASCN_LINE); /* same FASC-N, new certificate and name */
	X509 *same_name = card("Pat", key, "URI=urn:uuid:" MINIPKI_UUID "\n");
	X509 *stranger = card("Sam", key,
	    "URI=urn:uuid:11111111-1111-4111-8111-111111111111\n"
	    "email=sam@example.test\notherName.2=1.3.6.1.4.1.311.20.2.3;UTF8:s@x.test\n");
	struct account a, b;

	(void)state;
	assert_ok(visit(first, &rules, &a));
	assert_true(a.opened && a.new_card);
	assert_string_equal(a.email, "pat@example.test");
	assert_ok(visit(first, &rules, &b));
	assert_int_equal(b.id, a.id);
	assert_false(b.opened || b.new_card);
	assert_ok(visit(rekeyed, &rules, &b));
	assert_int_equal(b.id, a.id);
	assert_true(b.new_card);
	assert_ok(visit(same_name, &rules, &b));
	assert_int_equal(b.id, a.id);
	assert_ok(visit(stranger, &no_upn, &b));
	assert_int_not_equal(b.id, a.id);
	assert_string_equal(b.email, "sam@example.test");
	assert_int_equal(number("SELECT count(*) FROM card"), 4);
	X509_free(first);
	X509_free(rekeyed);
	X509_free(same_name);
	X509_free(stranger);
	EVP_PKEY_free(key);
}

static void
accounts_that_are_listed(void **state)
{
	const struct account_rules rules = { .listed = true };
	EVP_PKEY *key = minipki_key("P-256");
	X509 *first = card("Pat", key, FASCN_LINE), *renamed = card("Pat Married", key, FASCN_LINE);
	struct pivid id;
	struct account a;

	(void)state;
	assert_err(visit(first, &rules, &a), E_POLICY);
	assert_int_equal(refuse_last(), REFUSE_UNKNOWN_ACCOUNT);
	assert_ok(pivid_read(first, &id));
	assert_err(account_add(db, first, &id, "not an address", NULL, NOW, &a), E_ARG);
	assert_ok(account_add(db, first, &id, "pat@example.test", "Pat", NOW, &a));
	assert_ok(visit(first, &rules, &a));
	assert_string_equal(a.email, "pat@example.test");
	assert_err(visit(renamed, &rules, &a), E_POLICY);
	assert_int_equal(refuse_last(), REFUSE_ACCOUNT_MISMATCH);
	assert_ok(pivid_read(renamed, &id));
	assert_ok(account_add(db, renamed, &id, NULL, NULL, NOW, &a)); /* the administrator has looked at it */
	assert_ok(visit(renamed, &rules, &a));
	assert_string_equal(a.email, "pat@example.test");
	assert_ok(account_set_status(db, a.id, "suspended"));
	assert_err(visit(renamed, &rules, &a), E_POLICY);
	assert_int_equal(refuse_last(), REFUSE_ACCOUNT_SUSPENDED);
	assert_ok(account_set_status(db, a.id, "active"));
	assert_ok(visit(renamed, &rules, &a));
	assert_ok(account_set_status(db, a.id, "terminated"));
	assert_err(visit(renamed, &rules, &a), E_POLICY);
	assert_int_equal(refuse_last(), REFUSE_ACCOUNT_TERMINATED);
	assert_err(account_set_status(db, 1, "active"), E_NOTFOUND); /* for good */
	assert_err(account_set_status(db, 99, "active"), E_NOTFOUND);
	X509_free(first);
	X509_free(renamed);
	EVP_PKEY_free(key);
}

static void
mail_addresses(void **state)
{
	static const char *const good[] = { "pat@example.test", "a.b+c@x", "o'neil@example.test" };
	static const char *const bad[] = { "", "@", "pat", "pat@", "@example.test", "a@b@c", "a b@c", "a\n@b", "<a@b>",
		"a,b@c", "\xc3\xa4@b" };

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		assert_true(pivid_email_ok(good[i]));
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(pivid_email_ok(bad[i]));
}

static void
fascn_identifiers(void **state)
{
	/* SP 800-73: agency 32, system 1, credential 92446; and the all-nines example */
	static const unsigned char fascn[] = { 0xD0, 0x43, 0x94, 0x58, 0x21, 0x0C, 0x2C, 0x19, 0xA0, 0x84, 0x6D, 0x83,
		0x68, 0x5A, 0x10, 0x82, 0x10, 0x8C, 0xE7, 0x39, 0x84, 0x10, 0x8C, 0xA3, 0xFC };
	unsigned char wrong[25];
	char id[15];

	(void)state;
	assert_true(pivid_fascn_id(span_of(fascn, 25), id));
	assert_string_equal(id, "00320001092446");
	assert_false(pivid_fascn_id(span_of(fascn, 24), id));
	memcpy(wrong, fascn, 25);
	wrong[1] ^= 0x40; /* parity */
	assert_false(pivid_fascn_id(span_of(wrong, 25), id));
	assert_string_equal(id, "");
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(database_file),
		T(database_values),
		T(two_writers),
		T(serials_and_uuids_are_used_once),
		T(issued_has_its_der),
		T(keys_belong_to_one),
		T(events_stay),
		T(the_chain_of_events),
		T(a_head_that_was_kept),
		T(events_are_added_while_they_are_verified),
		T(events_older_than_the_chain),
		T(what_is_said_of_a_serial),
		T(revocations),
		T(crl_numbers_and_age),
		T(accounts_that_cards_open),
		T(accounts_that_are_listed),
		T(mail_addresses),
		T(fascn_identifiers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
