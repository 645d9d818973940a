/* SPDX-License-Identifier: BSD-2-Clause */
/* The state store: what is written comes back; journal and credentials exclude each other; events stay; one at a time.
 */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "derive/db.h"
#include "derive/store.h"
#include "tests/lib/minipki.h"
#include "tests/lib/test.h"

struct fixture {
	char dir[64], path[128];
	struct store *s;
	X509 *cert, *card;
};

static X509 *
make_cert(const char *cn)
{
	EVP_PKEY *key = minipki_key("P-256");
	X509 *x = minipki_cert(&(struct minipki_cert){
	    .cn = cn, .key = key, .issuer_key = key, .from = -60, .to = 3600, .ext = MINIPKI_KU_AUTH MINIPKI_SAN });

	EVP_PKEY_free(key);
	return x;
}

static int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	assert_non_null(f);
	snprintf(f->dir, sizeof f->dir, "/tmp/dpiv-store.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof f->path, "%s/below/state.db", f->dir);
	assert_ok(store_open(f->path, &f->s));
	f->cert = make_cert("Pat");
	f->card = make_cert("Pat");
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;
	static const char *const names[] = { "below/state.db", "below/state.db-wal", "below/state.db-shm",
		"below/state.db.lock", "below/state.db.v2" };
	char path[160];

	store_close(&f->s);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		snprintf(path, sizeof path, "%s/%s", f->dir, names[i]);
		unlink(path);
	}
	snprintf(path, sizeof path, "%s/below", f->dir);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rmdir(f->dir), 0);
	X509_free(f->cert);
	X509_free(f->card);
	free(f);
	return 0;
}

static struct enrolment
enrolment(struct fixture *f, enum role role, uint8_t id)
{
	struct enrolment e = { .role = role,
		.issuer = "https://issuer",
		.token_uri = "pkcs11:token=x",
		.token_serial = "0001",
		.token_label = "x",
		.id = { id },
		.id_len = 1,
		.label = "dpiv auth Pat" };

	X509_up_ref(f->card);
	e.card = f->card;
	return e;
}

/* The file behind the store's back, whichever version its schema has. */
static struct db *
open_raw(struct fixture *f)
{
	static const char *const steps[16] = { "" };
	static struct db_schema any = { .name = "state store", .app_id = 0x64506976, .steps = steps };
	struct db *db = NULL;

	for (size_t n = 1; db == NULL && n <= 16; n++) {
		any.n = n;
		if (db_open(f->path, &any, &db) != E_OK)
			db = NULL;
	}
	assert_non_null(db);
	return db;
}

static void
test_journal_comes_back(void **state)
{
	struct fixture *f = *state;
	struct enrolment e = enrolment(f, ROLE_SIGN, 7), r;

	assert_ok(store_enrol_begin(f->s, &e));
	assert_true(e.row > 0);
	assert_ok(store_enrol_get(f->s, 0, &r));
	assert_int_equal(r.role, ROLE_SIGN);
	assert_int_equal(r.step, ENROL_KEY);
	assert_string_equal(r.issuer, e.issuer);
	assert_string_equal(r.token_serial, "0001");
	assert_string_equal(r.label, e.label);
	assert_bytes(span_of(r.id, r.id_len), "\x07");
	assert_int_equal(X509_cmp(r.card, f->card), 0);
	assert_null(r.cert);
	enrolment_clear(&r);
	assert_ok(store_enrol_cert(f->s, &e, f->cert));
	store_close(&f->s); /* as after a kill: from the file */
	assert_ok(store_open(f->path, &f->s));
	assert_ok(store_enrol_get(f->s, 0, &r));
	assert_int_equal(r.step, ENROL_CERT);
	assert_int_equal(X509_cmp(r.cert, f->cert), 0);
	enrolment_clear(&r);
	assert_err(store_enrol_get(f->s, 1, &r), E_NOTFOUND);
	enrolment_clear(&e);
}

static void
test_place_is_taken_once(void **state)
{
	struct fixture *f = *state;
	struct enrolment a = enrolment(f, ROLE_AUTH, 1), b = enrolment(f, ROLE_AUTH, 1);

	assert_ok(store_enrol_begin(f->s, &a));
	assert_err(store_enrol_begin(f->s, &b), E_EXISTS);
	assert_ok(store_enrol_undone(f->s, &a, "test"));
	assert_ok(store_enrol_begin(f->s, &b));
	enrolment_clear(&a);
	enrolment_clear(&b);
}

static void
test_done_replaces(void **state)
{
	struct fixture *f = *state;
	struct enrolment a = enrolment(f, ROLE_AUTH, 1), b = enrolment(f, ROLE_AUTH, 9), c = enrolment(f, ROLE_SIGN, 2),
			 r;
	struct credential cred;
	X509 *newer = make_cert("Pat");
	size_t active = 0, all = 0;

	assert_ok(store_enrol_begin(f->s, &a));
	assert_ok(store_enrol_done(f->s, &a, f->cert));
	assert_err(store_enrol_get(f->s, 0, &r), E_NOTFOUND);
	assert_ok(store_enrol_begin(f->s, &c));
	assert_ok(store_enrol_done(f->s, &c, f->cert));
	assert_ok(store_enrol_begin(f->s, &b));
	assert_ok(store_enrol_done(f->s, &b, newer));
	while (store_cred_get(f->s, all, &cred) == E_OK) {
		/* the older authentication credential is the one that is no longer active, and comes last */
		assert_int_equal(cred.active, all < 2);
		active += cred.active;
		all++;
		credential_clear(&cred);
	}
	assert_int_equal(all, 3);
	assert_int_equal(active, 2);
	X509_free(newer);
	enrolment_clear(&a);
	enrolment_clear(&b);
	enrolment_clear(&c);
}

static void
test_lost(void **state)
{
	struct fixture *f = *state;
	struct enrolment e = enrolment(f, ROLE_AUTH, 1);
	struct credential c;
	char text[256];
	time_t at;

	assert_ok(store_enrol_begin(f->s, &e));
	assert_ok(store_enrol_done(f->s, &e, f->cert));
	assert_ok(store_cred_get(f->s, 0, &c));
	assert_true(c.active);
	assert_ok(store_cred_lost(f->s, &c, "gone"));
	credential_clear(&c);
	assert_ok(store_cred_get(f->s, 0, &c));
	assert_false(c.active);
	credential_clear(&c);
	assert_ok(store_event_get(f->s, 0, &at, text, sizeof text));
	assert_non_null(strstr(text, "lost"));
	assert_non_null(strstr(text, "gone"));
	enrolment_clear(&e);
}

static void
test_events_stay(void **state)
{
	struct fixture *f = *state;
	struct db *db;
	char text[256];
	time_t at;

	assert_ok(store_event(f->s, "first", "one"));
	store_close(&f->s);
	db = open_raw(f);
	assert_err(db_run(db, "DELETE FROM event", DB_NO_ARGS), E_STORE);
	assert_says("events are kept");
	assert_err(db_run(db, "UPDATE event SET what = 'x'", DB_NO_ARGS), E_STORE);
	db_close(&db);
	assert_ok(store_open(f->path, &f->s));
	assert_ok(store_event_get(f->s, 0, &at, text, sizeof text));
	assert_string_equal(text, "first: one");
	assert_err(store_event_get(f->s, 1, &at, text, sizeof text), E_NOTFOUND);
}

static void
test_one_at_a_time(void **state)
{
	struct fixture *f = *state;
	struct store *other;

	assert_ok(store_lock(f->s));
	assert_ok(store_lock(f->s));
	assert_ok(store_open(f->path, &other));
	assert_err(store_lock(other), E_BUSY);
	store_close(&f->s);
	assert_ok(store_lock(other));
	f->s = other;
}

static void
test_only_its_owner_reads(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	char dir[128];

	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 077, 0);
	snprintf(dir, sizeof dir, "%s/below", f->dir);
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 077, 0);
}

static void
test_damaged_rows(void **state)
{
	struct fixture *f = *state;
	struct enrolment e = enrolment(f, ROLE_AUTH, 1), r;
	struct db *db;

	assert_ok(store_enrol_begin(f->s, &e));
	store_close(&f->s);
	db = open_raw(f);
	assert_ok(db_run(db, "UPDATE enrolment SET card_cert = X'3000'", DB_NO_ARGS));
	db_close(&db);
	assert_ok(store_open(f->path, &f->s));
	assert_err(store_enrol_get(f->s, 0, &r), E_STORE);
	store_close(&f->s);
	db = open_raw(f);
	assert_ok(db_run(db, "UPDATE enrolment SET role = 'king'", DB_NO_ARGS));
	db_close(&db);
	assert_ok(store_open(f->path, &f->s));
	assert_err(store_enrol_get(f->s, 0, &r), E_STORE);
	assert_says("king");
	enrolment_clear(&e);
}

static void
test_waiting_survives(void **state)
{
	struct fixture *f = *state;
	struct enrolment e = enrolment(f, ROLE_AUTH, 1), r;

	assert_ok(store_enrol_begin(f->s, &e));
	assert_ok(store_enrol_wait(f->s, &e, 1800000000));
	assert_ok(store_enrol_wait(f->s, &e, 1800000060)); /* asked again, told to wait again */
	store_close(&f->s);
	assert_ok(store_open(f->path, &f->s));
	assert_ok(store_enrol_get(f->s, 0, &r));
	assert_int_equal(r.step, ENROL_WAIT);
	assert_int_equal(r.retry_at, 1800000060);
	assert_int_equal(r.renews, 0);
	enrolment_clear(&r);
	enrolment_clear(&e);
}

/* A renewal: the old credential ends with the same transaction that begins the new one, and its key stays in the
 * journal until it is gone from the token. */
static void
test_renewal(void **state)
{
	struct fixture *f = *state;
	struct enrolment a = enrolment(f, ROLE_AUTH, 1), b = enrolment(f, ROLE_AUTH, 9), r;
	struct credential old, c;

	assert_ok(store_enrol_begin(f->s, &a));
	assert_ok(store_enrol_done(f->s, &a, f->cert));
	assert_ok(store_cred_get(f->s, 0, &old));
	assert_int_equal(X509_cmp(old.card, f->card), 0);
	b.renews = old.row;
	assert_ok(store_enrol_begin(f->s, &b));
	assert_ok(store_enrol_renewed(f->s, &b, f->card, &old, "dpiv auth old"));
	assert_ok(store_enrol_get(f->s, 0, &r));
	assert_int_equal(r.step, ENROL_OLD);
	assert_int_equal(r.renews, old.row);
	assert_bytes(span_of(r.id, r.id_len), "\x01");
	assert_string_equal(r.label, "dpiv auth old");
	assert_ok(store_cred_get(f->s, 0, &c));
	assert_true(c.active);
	assert_bytes(span_of(c.id, c.id_len), "\x09");
	credential_clear(&c);
	assert_ok(store_cred_find(f->s, old.row, &c));
	assert_false(c.active);
	credential_clear(&c);
	assert_ok(store_enrol_cleared(f->s, &r));
	enrolment_clear(&r);
	assert_err(store_enrol_get(f->s, 0, &r), E_NOTFOUND);
	assert_err(store_cred_find(f->s, 99, &c), E_NOTFOUND);
	credential_clear(&old);
	enrolment_clear(&a);
	enrolment_clear(&b);
}

/* A file of the version before this, with a row in it. */
static void
test_older_file(void **state)
{
	struct fixture *f = *state;
	struct enrolment e = enrolment(f, ROLE_AUTH, 1), r;
	struct db *db;

	assert_ok(store_enrol_begin(f->s, &e));
	store_close(&f->s);
	db = open_raw(f);
	assert_ok(db_run(db, "ALTER TABLE enrolment DROP COLUMN retry_at", DB_NO_ARGS));
	assert_ok(db_run(db, "ALTER TABLE enrolment DROP COLUMN renews", DB_NO_ARGS));
	assert_ok(db_run(db, "ALTER TABLE enrolment DROP COLUMN pub", DB_NO_ARGS));
	assert_ok(db_run(db, "ALTER TABLE enrolment DROP COLUMN wrapped", DB_NO_ARGS));
	assert_ok(db_run(db, "ALTER TABLE enrolment DROP COLUMN evidence", DB_NO_ARGS));
	assert_ok(db_run(db, "ALTER TABLE credential DROP COLUMN evidence", DB_NO_ARGS));
	assert_ok(db_run(db, "ALTER TABLE enrolment DROP COLUMN moves", DB_NO_ARGS));
	assert_ok(db_run(db, "DROP TABLE revocation", DB_NO_ARGS));
	assert_ok(db_run(db, "DROP TABLE recheck", DB_NO_ARGS));
	assert_ok(db_run(db, "DROP TABLE card_link", DB_NO_ARGS));
	assert_ok(db_run(db, "DROP TABLE notice", DB_NO_ARGS));
	assert_ok(db_run(db, "PRAGMA user_version = 2", DB_NO_ARGS));
	db_close(&db);
	assert_ok(store_open(f->path, &f->s));
	assert_ok(store_enrol_get(f->s, 0, &r));
	assert_int_equal(r.step, ENROL_KEY);
	assert_int_equal(r.retry_at, 0);
	enrolment_clear(&r);
	enrolment_clear(&e);
}

/* What was known of a key goes with it, from the enrolment that was cut short to the credential. */
static void
test_evidence(void **state)
{
	struct fixture *f = *state;
	struct enrolment a = enrolment(f, ROLE_AUTH, 1), r;
	struct credential c;

	a.evidence = strdup("AAL2\n- hardware: no\n");
	assert_ok(store_enrol_begin(f->s, &a));
	assert_ok(store_enrol_cert(f->s, &a, f->cert));
	assert_ok(store_enrol_get(f->s, 0, &r));
	assert_string_equal(r.evidence, a.evidence);
	assert_ok(store_enrol_done(f->s, &r, f->cert));
	assert_ok(store_cred_get(f->s, 0, &c));
	assert_string_equal(c.evidence, a.evidence);
	credential_clear(&c);
	enrolment_clear(&r);
	enrolment_clear(&a);
}

/* A revocation goes one way: asked is not forgotten by a second begin, and its end is the credential's. */
static void
test_revocation(void **state)
{
	struct fixture *f = *state;
	struct enrolment a = enrolment(f, ROLE_AUTH, 1);
	struct store_check k = { .at = 5, .sure_at = 4, .cert = "good", .card = "unknown", .why = "because" }, got;
	struct credential c;
	enum revoke_step step;

	assert_ok(store_enrol_begin(f->s, &a));
	assert_ok(store_enrol_done(f->s, &a, f->cert));
	assert_ok(store_cred_get(f->s, 0, &c));
	assert_err(store_revoke_get(f->s, c.row, &step), E_NOTFOUND);
	assert_err(store_check_get(f->s, c.row, &got), E_NOTFOUND);
	assert_ok(store_revoke_begin(f->s, &c, 1));
	assert_ok(store_revoke_begin(f->s, &c, 4));
	assert_ok(store_revoke_get(f->s, c.row, &step));
	assert_int_equal(step, REVOKE_ASK);
	assert_ok(store_revoke_asked(f->s, &c, "asked"));
	assert_ok(store_revoke_begin(f->s, &c, 1));
	assert_ok(store_revoke_get(f->s, c.row, &step));
	assert_int_equal(step, REVOKE_DESTROY);
	assert_ok(store_check_put(f->s, &c, &k));
	k.at = 6;
	assert_ok(store_check_put(f->s, &c, &k));
	assert_ok(store_check_get(f->s, c.row, &got));
	assert_int_equal(got.at, 6);
	assert_string_equal(got.card, "unknown");
	assert_string_equal(got.why, "because");
	assert_ok(store_revoke_done(f->s, &c));
	assert_err(store_revoke_get(f->s, c.row, &step), E_NOTFOUND);
	credential_clear(&c);
	assert_ok(store_cred_get(f->s, 0, &c));
	assert_false(c.active);
	credential_clear(&c);
	enrolment_clear(&a);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = { T(test_journal_comes_back), T(test_place_is_taken_once),
		T(test_done_replaces), T(test_lost), T(test_events_stay), T(test_one_at_a_time),
		T(test_only_its_owner_reads), T(test_damaged_rows), T(test_waiting_survives), T(test_renewal),
		T(test_older_file), T(test_evidence), T(test_revocation) };

	return cmocka_run_group_tests_name("derive_store", tests, NULL, NULL);
}
