/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dpiv-issuer backup. The ledger is copied by the database's own means, so that the copy is of one moment while the
 * service writes on, and says so itself: the event "backup" is its newest. Besides go issuer.conf and whatever it
 * names that lies in the directory itself; what lies elsewhere belongs to somebody else, and is only told of. A file
 * with a private key in it is refused: a backup is carried around.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "derive/issuer/archive.h"
#include "derive/issuer/backup.h"
#include "derive/issuer/ledger.h"
#include "derive/issuer/verbs.h"

#define PLACE(field) offsetof(struct config, field)
static const size_t places[] = { PLACE(ca_cert), PLACE(ca_crl), PLACE(chain), PLACE(root_cert), PLACE(root_crl),
	PLACE(crls), PLACE(tls_cert), PLACE(ocsp_cert), PLACE(anchors), PLACE(intermediates), PLACE(piv_crls),
	PLACE(recovery_cert), PLACE(notice_cert), PLACE(ra_cert), PLACE(up.cert), PLACE(up.anchors) };
#define N_PLACES (sizeof places / sizeof places[0])

/* What it is called in the directory itself; NULL: it lies elsewhere. */
static const char *
name_inside(const struct config *c, const char *path)
{
	size_t n = strlen(c->dir);

	if (strncmp(path, c->dir, n) != 0 || path[n] != '/' || strchr(&path[n + 1], '/') != NULL)
		return NULL;
	return &path[n + 1];
}

static bool
has_key(FILE *f)
{
	char *line = NULL;
	size_t cap = 0;
	bool found = false;

	while (!found && getline(&line, &cap, f) >= 0)
		found = strstr(line, "PRIVATE KEY-----") != NULL;
	free(line);
	rewind(f);
	return found;
}

/* A file that is not there is not saved: most of them need not be. */
static enum err
add(struct archive *a, const char *name, const char *path, struct backup_said *out)
{
	FILE *f = fopen(path, "re");
	enum err e;

	if (f == NULL)
		return errno == ENOENT ? E_OK : err_set(E_IO, "%s: %s", path, strerror(errno));
	if (has_key(f))
		e = err_set(E_POLICY,
		    "%s has a private key in it, and no backup may: put the key into a file of its own", path);
	else
		e = archive_add(a, name, f);
	fclose(f);
	out->files += e == E_OK;
	return e;
}

static bool
is_first(const struct config *c, size_t k)
{
	for (size_t j = 0; j < k; j++)
		if (strcmp((const char *)c + places[j], (const char *)c + places[k]) == 0)
			return false;
	return true;
}

static enum err
add_files(struct archive *a, const struct config *c, struct backup_said *out)
{
	char conf[PATH_MAX];
	enum err e;

	if (snprintf(conf, sizeof conf, "%s/issuer.conf", c->dir) >= (int)sizeof conf)
		return err_set(E_ARG, "%s: path too long", c->dir);
	e = add(a, "issuer.conf", conf, out);
	for (size_t k = 0; e == E_OK && k < N_PLACES; k++) {
		const char *path = (const char *)c + places[k], *name = name_inside(c, path);

		if (!is_first(c, k))
			continue;
		if (name != NULL)
			e = add(a, name, path, out);
		else if (access(path, F_OK) == 0)
			out->outside[out->n_outside++] = path;
	}
	return e;
}

static enum err
add_ledger(struct archive *a, struct issuer *i, const char *copy, struct backup_said *out)
{
	struct db *db = NULL;
	FILE *f = NULL;
	enum err e;

	unlink(copy);
	if ((e = db_copy(i->db, copy)) == E_OK && (e = ledger_open(copy, &db)) == E_OK)
		e = audit_head(db, &out->head);
	db_close(&db);
	if (e == E_OK && (f = fopen(copy, "re")) == NULL)
		e = err_set(E_IO, "%s: %s", copy, strerror(errno));
	if (e == E_OK)
		e = archive_add(a, BACKUP_LEDGER, f);
	if (f)
		fclose(f);
	unlink(copy);
	return e;
}

static enum err
write_archive(struct issuer *i, FILE *f, const char *copy, time_t now, struct backup_said *out)
{
	struct archive a;
	enum err e;

	archive_begin(&a, f, now);
	if ((e = add_files(&a, &i->config, out)) == E_OK && (e = add_ledger(&a, i, copy, out)) == E_OK)
		e = archive_finish(&a);
	archive_free(&a);
	return e;
}

enum err
backup_make(struct issuer *i, const char *file, time_t now, struct backup_said *out)
{
	const struct ledger_event ev = { .what = "backup", .detail = file };
	char part[PATH_MAX], copy[PATH_MAX];
	FILE *f = NULL;
	int fd;
	enum err e;

	memset(out, 0, sizeof *out);
	if (snprintf(part, sizeof part, "%s.part", file) >= (int)sizeof part ||
	    snprintf(copy, sizeof copy, "%s.ledger", file) >= (int)sizeof copy)
		return err_set(E_ARG, "%s: path too long", file);
	if (access(file, F_OK) == 0)
		return err_set(E_EXISTS, "%s is there already, and is not overwritten", file);
	unlink(part);
	if ((fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)) < 0 || (f = fdopen(fd, "w")) == NULL) {
		if (fd >= 0)
			close(fd);
		return err_set(E_IO, "cannot write %s: %s", part, strerror(errno));
	}
	if ((e = ledger_event_add(i->db, &ev, now)) == E_OK)
		e = write_archive(i, f, copy, now, out);
	fclose(f); /* archive_finish() has looked whether it is on the disk */
	if (e == E_OK && renameat2(AT_FDCWD, part, AT_FDCWD, file, RENAME_NOREPLACE) != 0)
		e = err_set(errno == EEXIST ? E_EXISTS : E_IO, "cannot write %s: %s", file, strerror(errno));
	if (e != E_OK)
		unlink(part);
	return e;
}

enum err
verb_backup(int argc, char **argv)
{
	struct backup_said said;
	char text[AUDIT_HEAD_MAX];
	struct issuer i;
	enum err e;

	if (argc != 3 || argv[1][0] == '-' || argv[2][0] == '-')
		return err_set(E_USAGE, "backup: which directory, and into which file?");
	if ((e = issuer_open(argv[1], ISSUER_LEDGER, &i)) != E_OK)
		return e;
	if ((e = backup_make(&i, argv[2], time(NULL), &said)) == E_OK) {
		printf("%s: the ledger with %" PRId64 " events, and %zu files\nhead %s\n", argv[2], said.head.id,
		    said.files, audit_head_text(&said.head, text));
		for (size_t k = 0; k < said.n_outside; k++)
			printf("not in it: %s\n", said.outside[k]);
	}
	issuer_close(&i);
	return e;
}
