/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dpiv-issuer restore. The archive goes into a new directory beside the one that it is for; there its configuration is
 * read, and its ledger looked through: the database's own check, a schema that is exactly the one of this program (a
 * trigger less would let events be changed), the chain of events. Only then do the two directories change places, in
 * one step, under a lock that a running issuer would hold. The files of private/ get a second name in the new
 * directory before that, so that at no moment there is a directory without its keys.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "derive/issuer/archive.h"
#include "derive/issuer/backup.h"
#include "derive/issuer/ledger.h"
#include "derive/issuer/verbs.h"

struct restore {
	char to[PATH_MAX];   /* the directory, without slashes at its end */
	char part[PATH_MAX]; /* that becomes it */
	FILE *out;	     /* of the member that is being written */
	bool exists;
};

static enum err
below(const char *dir, const char *name, char out[PATH_MAX])
{
	return snprintf(out, PATH_MAX, "%s/%s", dir, name) < PATH_MAX ? E_OK : err_set(E_ARG, "%s: path too long", dir);
}

static enum err
cannot(const char *path)
{
	return err_set(E_IO, "%s: %s", path, strerror(errno));
}

static enum err
member_begin(void *arg, const char *name)
{
	struct restore *r = arg;
	char path[PATH_MAX];
	enum err e;
	int fd;

	if ((e = below(r->part, name, path)) != E_OK)
		return e;
	if ((fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, strstr(name, ".db") ? 0600 : 0644)) < 0)
		return cannot(path);
	if ((r->out = fdopen(fd, "w")) == NULL) {
		close(fd);
		return cannot(path);
	}
	return E_OK;
}

static enum err
member_data(void *arg, struct span data)
{
	struct restore *r = arg;

	return fwrite(data.p, 1, data.n, r->out) == data.n ? E_OK : cannot(r->part);
}

static enum err
member_end(void *arg)
{
	struct restore *r = arg;
	bool ok = fflush(r->out) == 0 && fsync(fileno(r->out)) == 0;
	enum err e = ok ? E_OK : cannot(r->part);

	fclose(r->out);
	r->out = NULL;
	return e;
}

static enum err
unpack(struct restore *r, const char *file)
{
	static const struct archive_sink sink = { member_begin, member_data, member_end };
	FILE *in = fopen(file, "re");
	enum err e;

	if (in == NULL)
		return cannot(file);
	e = archive_read(in, &sink, r);
	fclose(in);
	if (r->out)
		fclose(r->out);
	r->out = NULL;
	return e;
}

#define SCHEMA "SELECT type || ' ' || name || ' ' || tbl_name || ' ' || coalesce(sql, '') FROM sqlite_master ORDER BY 1"

/* One ledger's tables, indices and triggers are the other's. */
static enum err
same_schema(struct db *a, struct db *b)
{
	struct db_rows *p = NULL, *q = NULL;
	bool row = true, other = true, same = true;
	enum err e = db_query(a, &p, SCHEMA, DB_NO_ARGS);

	if (e == E_OK)
		e = db_query(b, &q, SCHEMA, DB_NO_ARGS);
	while (e == E_OK && same && row && (e = db_next(p, &row)) == E_OK && (e = db_next(q, &other)) == E_OK)
		same = row == other && (!row || strcmp(db_col_text(p, 0), db_col_text(q, 0)) == 0);
	db_done(&p);
	db_done(&q);
	if (e == E_OK && !same)
		e = err_set(E_STORE, "the ledger in the backup has other tables or triggers than dpiv-issuer made");
	return e;
}

static enum err
check_schema(struct restore *r, struct db *db)
{
	char path[PATH_MAX]; /* a name that no member can have */
	struct db *fresh = NULL;
	enum err e = below(r->part, ".fresh", path);

	if (e != E_OK)
		return e;
	if ((e = ledger_open(path, &fresh)) == E_OK)
		e = same_schema(fresh, db);
	db_close(&fresh);
	unlink(path);
	return e;
}

/* The head is that of the ledger as it was saved; this event comes after it. */
static enum err
check_ledger(struct restore *r, const char *file, time_t now, struct restore_said *out)
{
	const struct ledger_event ev = { .what = "restored", .detail = file };
	struct config c = { 0 };
	struct db *db = NULL;
	char path[PATH_MAX];
	enum err e;

	if ((e = config_load(r->part, &c)) != E_OK || (e = below(r->part, BACKUP_LEDGER, path)) != E_OK)
		goto out;
	if (access(path, F_OK) != 0)
		e = err_set(E_PROTO, "%s: there is no ledger in it", file);
	else if ((e = ledger_open(path, &db)) == E_OK && (e = db_check(db)) == E_OK &&
	    (e = check_schema(r, db)) == E_OK && (e = audit_verify(db, NULL, &out->head)) == E_OK)
		e = ledger_event_add(db, &ev, now);
out:
	db_close(&db);
	config_clear(&c);
	return e;
}

static enum err
link_file(int from, int to, const char *name)
{
	struct stat st;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return cannot(name);
	if (S_ISDIR(st.st_mode))
		return err_set(E_ARG, "private/%s is a folder, which is not taken over: move it elsewhere first", name);
	return linkat(from, name, to, name, 0) == 0 ? E_OK : cannot(name);
}

/* Each file of private/ is in both directories then. */
static enum err
take_private(struct restore *r)
{
	char from[PATH_MAX], to[PATH_MAX];
	enum err e;
	DIR *d;
	int fd;

	if ((e = below(r->to, "private", from)) != E_OK || (e = below(r->part, "private", to)) != E_OK)
		return e;
	if ((d = opendir(from)) == NULL)
		return errno == ENOENT ? E_OK : cannot(from);
	fd = mkdir(to, 0700) == 0 ? open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (fd < 0)
		e = cannot(to);
	for (struct dirent *f; e == E_OK && (f = readdir(d)) != NULL;)
		if (strcmp(f->d_name, ".") != 0 && strcmp(f->d_name, "..") != 0)
			e = link_file(dirfd(d), fd, f->d_name);
	if (e == E_OK && fsync(fd) != 0)
		e = cannot(to);
	if (fd >= 0)
		close(fd);
	closedir(d);
	return e;
}

/* Only ever what this run has made: a folder of files, and private/ with second names. */
static void
discard(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *f;
	char path[PATH_MAX];

	while (d && (f = readdir(d)) != NULL) {
		if (strcmp(f->d_name, ".") == 0 || strcmp(f->d_name, "..") == 0)
			continue;
		if (strcmp(f->d_name, "private") == 0 && below(dir, "private", path) == E_OK && f->d_type == DT_DIR)
			discard(path);
		else
			(void)unlinkat(dirfd(d), f->d_name, 0);
	}
	if (d)
		closedir(d);
	(void)rmdir(dir);
}

static bool
is_empty(DIR *d)
{
	struct dirent *f;

	while ((f = readdir(d)) != NULL)
		if (strcmp(f->d_name, ".") != 0 && strcmp(f->d_name, "..") != 0)
			return false;
	return true;
}

/* Locks what is there, and says whether it may go. */
static enum err
look_at_target(struct restore *r, bool force, DIR **held)
{
	enum err e;

	*held = NULL;
	if (access(r->to, F_OK) != 0)
		return errno == ENOENT ? E_OK : cannot(r->to);
	if ((e = issuer_hold(r->to, true, held)) != E_OK)
		return e;
	r->exists = !is_empty(*held);
	if (r->exists && !force)
		return err_set(E_EXISTS,
		    "%s is not empty; --force puts the backup there, and keeps what there is beside it", r->to);
	return E_OK;
}

/* Root restores for the user of the service: mode and owner are those of what was there. */
static enum err
take_owner(struct restore *r, DIR *held)
{
	DIR *d = opendir(r->part);
	struct dirent *f;
	struct stat st;
	bool ok = d != NULL && fstat(dirfd(held), &st) == 0;

	while (ok && (f = readdir(d)) != NULL)
		if (strcmp(f->d_name, "..") != 0)
			ok = fchownat(dirfd(d), f->d_name, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) == 0;
	ok = ok && fchmod(dirfd(d), st.st_mode & 07777) == 0;
	if (d)
		closedir(d);
	return ok ? E_OK : cannot(r->part);
}

/* In one step. What was there gets a name that tells when. */
static enum err
swap(struct restore *r, time_t now, struct restore_said *out)
{
	if (!r->exists) /* not there, or empty */
		return rename(r->part, r->to) == 0 ? E_OK : cannot(r->to);
	if (snprintf(out->before, sizeof out->before, "%s.before-%lld", r->to, (long long)now) >=
	    (int)sizeof out->before)
		return err_set(E_ARG, "%s: path too long", r->to);
	if (renameat2(AT_FDCWD, r->part, AT_FDCWD, r->to, RENAME_EXCHANGE) != 0)
		return cannot(r->to);
	if (renameat2(AT_FDCWD, r->part, AT_FDCWD, out->before, RENAME_NOREPLACE) != 0)
		memcpy(out->before, r->part, sizeof out->before); /* it lies there, then */
	return E_OK;
}

static enum err
set_paths(struct restore *r, const char *dir)
{
	char real[PATH_MAX];
	size_t n;

	if (realpath(dir, real) != NULL) /* where a symbolic link goes */
		dir = real;
	n = strlen(dir);
	while (n > 1 && dir[n - 1] == '/')
		n--;
	if (n == 0 || n + 32 > PATH_MAX)
		return err_set(E_ARG, "%s: not a path for a directory", dir);
	(void)snprintf(r->to, sizeof r->to, "%.*s", (int)n, dir);
	memcpy(r->part, r->to, n);
	memcpy(&r->part[n], ".restore-XXXXXX", sizeof ".restore-XXXXXX");
	return E_OK;
}

enum err
restore_run(const char *file, const char *dir, bool force, time_t now, struct restore_said *out)
{
	struct restore r = { .out = NULL };
	DIR *held = NULL;
	enum err e;

	memset(out, 0, sizeof *out);
	if ((e = set_paths(&r, dir)) != E_OK || (e = look_at_target(&r, force, &held)) != E_OK)
		goto out;
	if (mkdtemp(r.part) == NULL) {
		e = cannot(r.part);
		goto out;
	}
	if ((e = unpack(&r, file)) == E_OK && (e = check_ledger(&r, file, now, out)) == E_OK &&
	    (e = r.exists ? take_private(&r) : E_OK) == E_OK && (e = held ? take_owner(&r, held) : E_OK) == E_OK)
		e = swap(&r, now, out);
	if (e != E_OK)
		discard(r.part);
out:
	if (held)
		closedir(held);
	return e;
}

static enum err
restore_args(int argc, char **argv, bool *force, const char *words[2])
{
	size_t n = 0;

	*force = false;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--force") == 0)
			*force = true;
		else if (argv[i][0] == '-' || n == 2)
			return err_set(E_USAGE, "%s: what is %s?", argv[0], argv[i]);
		else
			words[n++] = argv[i];
	}
	return n == 2 ? E_OK : err_set(E_USAGE, "restore: from which file, and to which directory?");
}

enum err
verb_restore(int argc, char **argv)
{
	struct restore_said said;
	const char *words[2];
	char text[AUDIT_HEAD_MAX];
	bool force;
	enum err e;

	if ((e = restore_args(argc, argv, &force, words)) != E_OK ||
	    (e = restore_run(words[0], words[1], force, time(NULL), &said)) != E_OK)
		return e;
	printf("%s: as it was, with %" PRId64 " events\nhead %s\n", words[1], said.head.id,
	    audit_head_text(&said.head, text));
	if (said.before[0])
		printf("what was there is now %s\n", said.before);
	return E_OK;
}
