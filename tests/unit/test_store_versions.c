/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * State stores of every version that there ever was: tests/unit/store/N.sql is a file of version N with rows in it.
 * Each is opened by the present program, keeps what is in it, and is then what a new file would be; an upgrade that is
 * killed or runs out of disk at any of its writes leaves a file that is wholly old or wholly new; a file that cannot be
 * used is refused with a sentence, and stays as it is.
 *
 * When you append a step to the schema (derive/store.c) this test fails until there is a file of the new version:
 *
 *	build/tests/test_store_versions --write
 *
 * makes it from the file before (upgraded, with a row in each table that is empty); look at it, and check it in.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "derive/db.h"
#include "derive/store_int.h"
#include "tests/lib/test.h"

#define FIXTURE "tests/unit/store/%zu.sql"

/* --- writes that fail --------------------------------------------------------------------------------------------- */

enum cut { CUT_NONE, CUT_KILL, CUT_FULL };
static enum cut cut;
static long cut_at, writes;

/* SQLite's own calls end here, since a program's functions come before a library's. True: this one is the one. */
static bool
cut_here(int fd)
{
	if (cut == CUT_NONE || fd <= 2 || ++writes < cut_at)
		return false;
	return cut == CUT_FULL || writes == cut_at;
}

#define OVER __attribute__((visibility("default")))

OVER ssize_t pwrite64(int fd, const void *p, size_t n, off_t at);
ssize_t
pwrite64(int fd, const void *p, size_t n, off_t at)
{
	if (cut_here(fd)) {
		if (cut == CUT_KILL) {
			syscall(SYS_pwrite64, fd, p, n / 2, at); /* torn in the middle */
			raise(SIGKILL);
		}
		errno = ENOSPC;
		return -1;
	}
	return syscall(SYS_pwrite64, fd, p, n, at);
}

OVER int fdatasync(int fd);
int
fdatasync(int fd)
{
	if (cut_here(fd) && cut == CUT_KILL)
		raise(SIGKILL);
	return (int)syscall(SYS_fdatasync, fd);
}

OVER int unlink(const char *path);
int
unlink(const char *path)
{
	if (cut_here(99) && cut == CUT_KILL)
		raise(SIGKILL);
	return (int)syscall(SYS_unlink, path);
}

OVER int rename(const char *from, const char *to);
int
rename(const char *from, const char *to)
{
	if (cut_here(99) && cut == CUT_KILL)
		raise(SIGKILL);
	return (int)syscall(SYS_rename, from, to);
}

/* --- files -------------------------------------------------------------------------------------------------------- */

struct fixture {
	char dir[64], path[128];
};

static int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	assert_non_null(f);
	snprintf(f->dir, sizeof f->dir, "/tmp/dpiv-versions.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof f->path, "%s/state.db", f->dir);
	*state = f;
	return 0;
}

static void
remove_files(const struct fixture *f)
{
	static const char *const ends[] = { "", "-wal", "-shm", "-journal", ".lock" };
	char path[200];

	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
		snprintf(path, sizeof path, "%s%s", f->path, ends[i]);
		unlink(path);
		for (size_t v = 1; v <= store_schema.n; v++) {
			snprintf(path, sizeof path, "%s.v%zu%s", f->path, v, ends[i]);
			unlink(path);
			snprintf(path, sizeof path, "%s.v%zu.part%s", f->path, v, ends[i]);
			unlink(path);
		}
	}
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	remove_files(f);
	assert_int_equal(chmod(f->dir, 0700), 0);
	assert_int_equal(rmdir(f->dir), 0);
	free(f);
	return 0;
}

/* The program of that version: it knows so many steps. sql: what its last one does to a new file. */
static enum err
open_as(const char *path, size_t version, const char *sql, struct db **db)
{
	const char *steps[64] = { NULL };
	struct db_schema old = { .name = "state store", .app_id = store_schema.app_id, .steps = steps, .n = version };
	enum err e;

	assert_true(version < 64);
	for (size_t i = 0; i < version; i++)
		steps[i] = i + 1 == version ? sql : "";
	e = db_open(path, &old, db);
	return e;
}

static void
put_text(struct wbuf *w, const char *s)
{
	wbuf_put(w, s, strlen(s));
}

static void
read_text(const char *path, struct wbuf *out)
{
	assert_ok(file_read(path, out));
	wbuf_u8(out, 0);
	assert_false(out->bad);
}

/* A file of that version from its fixture. */
static void
make_file(const struct fixture *f, size_t version)
{
	WBUF_AUTO sql = { .max = 1 << 20 };
	struct db *db = NULL;
	char name[64];

	snprintf(name, sizeof name, FIXTURE, version);
	if (access(name, R_OK) != 0)
		fail_msg(
		    "there is no %s: run build/tests/test_store_versions --write, look at it and check it in", name);
	read_text(name, &sql);
	remove_files(f);
	assert_ok(open_as(f->path, version, (const char *)wbuf_view(&sql).p, &db));
	db_close(&db);
}

/* --- what is in a file -------------------------------------------------------------------------------------------- */

#define COLUMNS                                                                                                        \
	"SELECT m.name, group_concat('quote(' || p.name || ')', ' || '','' || ') FROM sqlite_master m, "               \
	"pragma_table_info(m.name) p WHERE m.type = 'table' GROUP BY m.name ORDER BY m.name"

/* Every row of every table, the columns as the file had them when the queries were made: a query a table. */
struct contents {
	size_t n;
	char query[32][2048];
};

static void
contents_plan(struct db *db, struct contents *c)
{
	struct db_rows *q = NULL;
	bool row = true;

	c->n = 0;
	assert_ok(db_query(db, &q, COLUMNS, DB_NO_ARGS));
	while (db_next(q, &row) == E_OK && row) {
		assert_true(c->n < 32);
		assert_true(snprintf(c->query[c->n++], 2048, "SELECT %s || char(10) FROM %s ORDER BY 1",
				db_col_text(q, 1), db_col_text(q, 0)) < 2048);
	}
	db_done(&q);
	assert_true(c->n > 0);
}

static void
contents_read(struct db *db, const struct contents *c, struct wbuf *out)
{
	for (size_t i = 0; i < c->n; i++) {
		struct db_rows *q = NULL;
		bool row = true;

		assert_ok(db_query(db, &q, c->query[i], DB_NO_ARGS));
		while (db_next(q, &row) == E_OK && row)
			put_text(out, db_col_text(q, 0));
		db_done(&q);
	}
	wbuf_u8(out, 0);
	assert_false(out->bad);
}

/* A file of an old version, with what is in it. */
static void
old_file(const struct fixture *f, size_t version, struct contents *c, struct wbuf *rows)
{
	struct db *db = NULL;

	make_file(f, version);
	assert_ok(open_as(f->path, version, "", &db));
	contents_plan(db, c);
	contents_read(db, c, rows);
	db_close(&db);
	assert_true(rows->n > 1000);
}

static void
assert_same_rows(const char *path, size_t version, const struct contents *c, const struct wbuf *rows)
{
	WBUF_AUTO now = { .max = 1 << 20 };
	struct db *db = NULL;

	assert_ok(open_as(path, version, "", &db));
	contents_read(db, c, &now);
	db_close(&db);
	assert_string_equal((const char *)wbuf_view(&now).p, (const char *)wbuf_view(rows).p);
}

static void
schema_text(const char *path, struct wbuf *out)
{
	struct db *db = NULL;
	struct db_rows *q = NULL;
	bool row = true;

	assert_ok(open_as(path, store_schema.n, "", &db));
	assert_ok(
	    db_query(db, &q, "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name", DB_NO_ARGS));
	while (db_next(q, &row) == E_OK && row) {
		put_text(out, db_col_text(q, 1));
		put_text(out, "\n");
	}
	db_done(&q);
	db_close(&db);
	wbuf_u8(out, 0);
}

/* --- what the verbs ask ------------------------------------------------------------------------------------------- */

static void
use_credentials(struct store *s, size_t *active, size_t *all)
{
	struct credential c;
	struct store_check check;
	enum revoke_step step;
	enum err e;

	for (*all = *active = 0; (e = store_cred_get(s, *all, &c)) == E_OK; ++*all) {
		*active += c.active;
		assert_non_null(c.card);
		e = store_check_get(s, c.row, &check);
		assert_true(e == E_OK || e == E_NOTFOUND);
		e = store_revoke_get(s, c.row, &step);
		assert_true(e == E_OK || e == E_NOTFOUND);
		credential_clear(&c);
	}
	assert_err(e, E_NOTFOUND);
}

/* Everything is read, and what a derivation, a check and a revocation write is written. */
static void
use_store(struct store *s, size_t version)
{
	struct enrolment r,
	    new = { .role = ROLE_AUTH,
		    .issuer = "https://new",
		    .token_uri = "pkcs11:token=new",
		    .token_serial = "01",
		    .token_label = "new",
		    .id = { 1 },
		    .id_len = 1,
		    .label = "new" };
	struct store_check k = { .at = 5, .cert = "good", .card = "good" };
	struct credential c;
	size_t active, all, n = 0;
	char text[256];
	time_t at;

	use_credentials(s, &active, &all);
	assert_int_equal(all, 3);
	assert_int_equal(active, 2);
	for (n = 0; store_enrol_get(s, n, &r) == E_OK; n++)
		enrolment_clear(&r);
	assert_int_equal(n, version < 3 ? 2 : 3);
	for (n = 0; store_event_get(s, n, &at, text, sizeof text) == E_OK;)
		n++;
	assert_int_equal(n, 5);
	assert_ok(store_cred_get(s, 0, &c));
	new.card = c.card;
	assert_ok(store_enrol_begin(s, &new));
	assert_ok(store_enrol_wait(s, &new, 1));
	assert_ok(store_enrol_done(s, &new, c.cert));
	assert_ok(store_check_put(s, &c, &k));
	assert_ok(store_issuer_add(s, c.card));
	assert_ok(store_revoke_begin(s, &c, 4));
	assert_ok(store_revoke_done(s, &c));
	credential_clear(&c);
}

/* --- tests -------------------------------------------------------------------------------------------------------- */

static void
test_each_version_opens(void **state)
{
	struct fixture *f = *state;
	WBUF_AUTO fresh = { .max = 1 << 20 };
	struct store *s = NULL;

	assert_ok(store_open(f->path, &s));
	store_close(&s);
	schema_text(f->path, &fresh);
	for (size_t v = 1; v <= store_schema.n; v++) {
		WBUF_AUTO rows = { .max = 1 << 20 };
		WBUF_AUTO schema = { .max = 1 << 20 };
		struct contents c;
		char kept[160];

		old_file(f, v, &c, &rows);
		assert_ok(store_open(f->path, &s));
		store_close(&s);
		assert_same_rows(f->path, store_schema.n, &c, &rows);
		schema_text(f->path, &schema); /* a step that is edited later shows here */
		assert_string_equal((const char *)wbuf_view(&schema).p, (const char *)wbuf_view(&fresh).p);
		snprintf(kept, sizeof kept, "%s.v%zu", f->path, v);
		assert_int_equal(access(kept, F_OK), v < store_schema.n ? 0 : -1);
		if (v < store_schema.n)
			assert_same_rows(kept, v, &c, &rows); /* the older program can go back to it */
		assert_ok(store_open(f->path, &s));
		use_store(s, v);
		store_close(&s);
	}
}

/* An upgrade in a process of its own, which ends at its n-th write or has no room from there on. True: it came through.
 */
static bool
upgrade_cut(const struct fixture *f, enum cut how, long n, int *status)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct store *s = NULL;
		enum err e;

		cut = how, cut_at = n, writes = 0;
		e = store_open(f->path, &s);
		cut = CUT_NONE;
		_exit(e == E_OK ? (writes >= n ? 2 : 0) : strstr(err_msg(), "disk is full") != NULL ? 3 : 4);
	}
	assert_int_equal(waitpid(pid, status, 0), pid);
	return WIFEXITED(*status) && WEXITSTATUS(*status) == 0;
}

/* After the cut: the old program finds everything, or the file is new; and the new one finds everything. */
static void
assert_usable(const struct fixture *f, size_t version, const struct contents *c, const struct wbuf *rows)
{
	struct db *db = NULL;
	struct store *s = NULL;
	enum err e = open_as(f->path, version, "", &db);

	db_close(&db);
	if (e == E_OK)
		assert_same_rows(f->path, version, c, rows);
	else
		assert_says("newer version");
	assert_ok(store_open(f->path, &s));
	store_close(&s);
	assert_same_rows(f->path, store_schema.n, c, rows);
}

static long
sweep(const struct fixture *f, enum cut how)
{
	long total = 0;

	for (size_t v = 1; v < store_schema.n; v++) {
		bool through = false;

		for (long n = 1; !through; n++) {
			WBUF_AUTO rows = { .max = 1 << 20 };
			struct contents c;
			int status;

			assert_true(n < 1000);
			old_file(f, v, &c, &rows);
			through = upgrade_cut(f, how, n, &status);
			if (how == CUT_FULL && WEXITSTATUS(status) == 4)
				fail_msg("the disk was full at write %ld, and nothing said so", n);
			assert_usable(f, v, &c, &rows);
			total += !through;
		}
	}
	return total;
}

static void
test_killed_at_each_write(void **state)
{
	long n = sweep(*state, CUT_KILL);

	print_message("killed at %ld writes, all survived\n", n);
	assert_true(n > 20);
}

static void
test_disk_full_at_each_write(void **state)
{
	long n = sweep(*state, CUT_FULL);

	print_message("no room at %ld writes, all survived\n", n);
	assert_true(n > 20);
}

static void
assert_refused(const struct fixture *f, const char *says)
{
	WBUF_AUTO before = { .max = 1 << 20 };
	WBUF_AUTO after = { .max = 1 << 20 };
	struct store *s = NULL;

	read_text(f->path, &before);
	assert_err(store_open(f->path, &s), E_STORE);
	assert_says(says);
	assert_says(f->path);
	read_text(f->path, &after);
	assert_true(span_eq(wbuf_view(&before), wbuf_view(&after)));
}

static void
test_newer_is_refused(void **state)
{
	struct fixture *f = *state;
	struct db *db = NULL;

	make_file(f, store_schema.n);
	assert_ok(open_as(f->path, store_schema.n + 1, "CREATE TABLE later (x)", &db));
	db_close(&db);
	assert_refused(f, "a newer version of dpiv has written it");
	assert_says("install that dpiv again");
}

static void
spoil(const struct fixture *f, off_t at, const char *with, off_t length)
{
	int fd = open(f->path, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	if (with != NULL)
		assert_int_equal(pwrite(fd, with, strlen(with), at), strlen(with));
	if (length >= 0)
		assert_int_equal(ftruncate(fd, length), 0);
	close(fd);
}

static void
test_damaged_is_refused(void **state)
{
	struct fixture *f = *state;
	struct store *s = NULL;

	make_file(f, 1);
	spoil(f, 0, NULL, 6000);
	assert_refused(f, "damaged");
	assert_says("dpiv status");
	make_file(f, 1);
	spoil(f, 0, "this is a text, not a database", -1);
	assert_refused(f, "damaged");
	make_file(f, 1);
	spoil(f, 4096, "\r\xff\xff\xff\xff\xff\xff\xff", -1); /* the root of a table */
	assert_refused(f, "damaged");
	assert_int_equal(truncate(f->path, 0), 0); /* an empty file is a new one */
	assert_ok(store_open(f->path, &s));
	store_close(&s);
}

/* As somebody who is not root, since root may do everything. */
static void
assert_refused_to(const struct fixture *f, uid_t uid, const char *says)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct store *s = NULL;

		if (geteuid() == 0 && (setegid(65534) != 0 || seteuid(uid) != 0))
			_exit(9);
		_exit(store_open(f->path, &s) != E_STORE ? 1 : strstr(err_msg(), says) == NULL ? 2 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void
test_not_ours_is_refused(void **state)
{
	struct fixture *f = *state;
	struct store *s = NULL;
	struct stat st;
	uid_t me = geteuid() == 0 ? 65534 : geteuid();

	make_file(f, store_schema.n);
	assert_int_equal(chmod(f->path, 0644), 0); /* too open: closed again */
	assert_ok(store_open(f->path, &s));
	store_close(&s);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	if (geteuid() == 0) {
		assert_int_equal(chmod(f->dir, 0777), 0);
		assert_refused_to(f, 65534, "must be yours");
		assert_int_equal(chmod(f->path, 0666), 0);
		assert_refused_to(f, 65534, "belongs to another user");
		assert_int_equal(chown(f->path, me, (gid_t)-1), 0);
		assert_int_equal(chown(f->dir, me, (gid_t)-1), 0);
	}
	assert_int_equal(chmod(f->path, 0400), 0);
	assert_refused_to(f, me, "may not write");
	assert_int_equal(chmod(f->path, 0600), 0);
	assert_int_equal(chmod(f->dir, 0500), 0); /* no room for SQLite's own files beside it */
	assert_refused_to(f, me, "folder");
	remove_files(f);
	assert_int_equal(mkdir(f->path, 0700), 0);
	assert_err(store_open(f->path, &s), E_STORE);
	assert_int_equal(rmdir(f->path), 0);
}

static void
test_two_at_once(void **state)
{
	struct fixture *f = *state;
	WBUF_AUTO rows = { .max = 1 << 20 };
	struct contents c;
	pid_t pid[4];
	int status;

	old_file(f, 1, &c, &rows);
	for (size_t i = 0; i < 4; i++) {
		if ((pid[i] = fork()) == 0)
			_exit(store_open(f->path, &(struct store *){ NULL }) == E_OK ? 0 : 1);
	}
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
		assert_int_equal(status, 0);
	}
	assert_same_rows(f->path, store_schema.n, &c, &rows);
}

/* --- a file of the next version ----------------------------------------------------------------------------------- */

/* A row for a table that has none: each column gets what its type asks for. */
static void
fill_table(struct db *db, const char *table)
{
	struct db_rows *q = NULL;
	bool row = true;
	int64_t n = 0;
	char sql[2048], values[1024] = "";

	snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", table);
	assert_ok(db_number(db, &n, sql, DB_NO_ARGS));
	if (n > 0)
		return;
	assert_ok(db_query(db, &q, "SELECT type FROM pragma_table_info(?) ORDER BY cid", DB_ARGS(db_text(table))));
	while (db_next(q, &row) == E_OK && row)
		snprintf(values + strlen(values), sizeof values - strlen(values), "%s%s", values[0] != '\0' ? ", " : "",
		    strcmp(db_col_text(q, 0), "INTEGER") == 0	 ? "1"
			: strcmp(db_col_text(q, 0), "BLOB") == 0 ? "X'3000'"
								 : "'text'");
	db_done(&q);
	snprintf(sql, sizeof sql, "INSERT INTO %s VALUES (%s)", table, values);
	assert_ok(db_run(db, sql, DB_NO_ARGS));
}

static void
put_rows(struct db *db, FILE *out, const char *table)
{
	struct db_rows *q = NULL;
	bool row = true;
	char sql[4096], query[2048];

	assert_ok(
	    db_query(db, &q, "SELECT group_concat('quote(' || name || ')', ' || '','' || ') FROM pragma_table_info(?)",
		DB_ARGS(db_text(table))));
	assert_ok(db_next(q, &row));
	snprintf(query, sizeof query, "%s", db_col_text(q, 0));
	db_done(&q);
	snprintf(sql, sizeof sql, "SELECT %s FROM %s ORDER BY rowid", query, table);
	assert_ok(db_query(db, &q, sql, DB_NO_ARGS));
	while (db_next(q, &row) == E_OK && row)
		fprintf(out, "INSERT INTO %s VALUES(%s);\n", table, db_col_text(q, 0));
	db_done(&q);
}

static void
write_fixture(void **state)
{
	struct fixture *f = *state;
	struct db *db = NULL;
	struct db_rows *q = NULL;
	struct store *s = NULL;
	bool row = true;
	char name[64];
	FILE *out;

	make_file(f, store_schema.n - 1);
	assert_ok(store_open(f->path, &s));
	store_close(&s);
	snprintf(name, sizeof name, FIXTURE, store_schema.n);
	out = fopen(name, "wx");
	if (out == NULL)
		fail_msg("%s: %s", name, strerror(errno));
	assert_ok(open_as(f->path, store_schema.n, "", &db));
	assert_ok(db_query(db, &q,
	    "SELECT name, sql, type = 'table' FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid", DB_NO_ARGS));
	while (db_next(q, &row) == E_OK && row) {
		char table[128];

		fprintf(out, "%s;\n", db_col_text(q, 1));
		snprintf(table, sizeof table, "%s", db_col_text(q, 0));
		if (db_col_int(q, 2) == 0)
			continue;
		fill_table(db, table);
		put_rows(db, out, table);
	}
	db_done(&q);
	db_close(&db);
	assert_int_equal(fclose(out), 0);
	print_message("%s is written\n", name);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { T(test_each_version_opens), T(test_killed_at_each_write),
		T(test_disk_full_at_each_write), T(test_newer_is_refused), T(test_damaged_is_refused),
		T(test_not_ours_is_refused), T(test_two_at_once) };
	const struct CMUnitTest writing[] = { T(write_fixture) };

	if (argc == 2 && strcmp(argv[1], "--write") == 0)
		return cmocka_run_group_tests_name("a file of this version", writing, NULL, NULL);
	return cmocka_run_group_tests_name("store_versions", tests, NULL, NULL);
}
