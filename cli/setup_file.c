/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One file of another program: read, changed as a whole and put back in one step, so that whoever is killed in between
 * leaves the old or the new one. A symbolic link stays one (people keep such files in version control): what it points
 * to is changed. Permissions are kept. A file of somebody else's is not touched. Folders that are made on the way are
 * counted in the block, and removed with it when nothing else has come into them.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/setup.h"

#define FILE_MAX (4 * 1024 * 1024)

/* A file before and after. */
struct change {
	char path[PATH_MAX]; /* behind symbolic links */
	bool exists, gone;   /* before; after */
	mode_t mode;
	struct wbuf old, rest, new; /* rest: what is not dpiv's */
	struct block block;
};

enum err
setup_path(char out[PATH_MAX], const char *a, const char *b)
{
	if (snprintf(out, PATH_MAX, "%s/%s", a, b) >= PATH_MAX)
		return err_set(E_ARG, "the path %s/%s is too long", a, b);
	return E_OK;
}

bool
setup_is_dir(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool
setup_has_word(struct span text, const char *word)
{
	size_t n = strlen(word);
	struct span line;

	while (block_line(&text, &line)) {
		while (line.n > 0 && (line.p[0] == ' ' || line.p[0] == '\t'))
			(void)span_skip(&line, 1);
		if (line.n > n && strncasecmp((const char *)line.p, word, n) == 0 &&
		    strchr(" \t=\"", line.p[n]) != NULL)
			return true;
	}
	return false;
}

void
setup_say(const struct setup *s, const char *fmt, ...)
{
	va_list ap;

	if (s->mode == SETUP_LOOK)
		return;
	printf("%s%s: ", s->client, s->dry ? ", dry run" : "");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

/* A dry run remembers the last folder that it would have made. */
static bool
folder_there(const struct setup *s, const char *dir)
{
	size_t n = strlen(dir);

	return setup_is_dir(dir) || (strncmp(s->made, dir, n) == 0 && (s->made[n] == '/' || s->made[n] == '\0'));
}

/* How many of the folders above a path are not there. */
static unsigned
folders_missing(struct setup *s, const char *path)
{
	char dir[PATH_MAX], parent[PATH_MAX] = "";
	unsigned n = 0;
	char *slash;

	snprintf(dir, sizeof dir, "%s", path);
	while ((slash = strrchr(dir, '/')) != NULL && slash != dir) {
		*slash = '\0';
		if (folder_there(s, dir))
			break;
		if (n++ == 0)
			snprintf(parent, sizeof parent, "%s", dir);
	}
	if (s->dry && s->mode == SETUP_DO && n > 0)
		snprintf(s->made, sizeof s->made, "%s", parent);
	return n < BLOCK_FOLDERS ? n : BLOCK_FOLDERS;
}

static enum err
change_read(struct change *c, const struct setup_lines *f)
{
	struct stat st;

	c->exists = lstat(f->path, &st) == 0;
	c->mode = f->mode;
	snprintf(c->path, sizeof c->path, "%s", f->path);
	if (!c->exists && errno != ENOENT)
		return err_set(E_IO, "cannot look at %s: %s", f->path, strerror(errno));
	if (!c->exists)
		return E_OK;
	if (realpath(f->path, c->path) == NULL || stat(c->path, &st) != 0)
		return err_set(E_IO, "cannot follow %s: %s", f->path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(E_IO, "%s is not a file", c->path);
	if (st.st_uid != geteuid())
		return err_set(E_POLICY, "%s belongs to another user; it is left alone", c->path);
	c->mode = st.st_mode & 07777;
	return file_read(c->path, &c->old);
}

/* --- the new text ------------------------------------------------------------------------------------------------- */

static enum err
change_make(struct setup *s, const struct setup_lines *f, struct change *c)
{
	enum err e = (f->cut != NULL ? f->cut : block_cut)(wbuf_view(&c->old), s->client, &c->block, &c->rest);
	struct span own = wbuf_view(&c->rest);

	if (e != E_OK)
		return err_up(e, "%s", c->path);
	if (s->mode == SETUP_UNDO || (f->have != NULL && f->have(s, own))) {
		wbuf_span(&c->new, own);
		c->gone = c->block.found && c->block.fresh && own.n == 0;
		return E_OK;
	}
	if (f->taken != NULL && setup_has_word(own, f->taken))
		return err_set(E_EXISTS, "%s has a line '%s' of your own, which stays; remove it and run this again",
		    c->path, f->taken);
	if (!c->exists) {
		c->block.fresh = true;
		c->block.folders = folders_missing(s, c->path);
	}
	block_put(own, s->client, &c->block, f->lines, &c->new);
	return c->new.bad ? err_set(E_NOMEM, "out of memory") : E_OK;
}

/* --- showing ------------------------------------------------------------------------------------------------------ */

static void
show_lines(char sign, struct span text)
{
	struct span line, cell;
	char safe[512];

	while (block_line(&text, &line)) {
		if (line.p[line.n - 1] == '\n')
			line.n--;
		printf("  %c ", sign);
		while (line.n > 0) {
			const uint8_t *tab = memchr(line.p, '\t', line.n);

			(void)span_take(&line, tab != NULL ? (size_t)(tab - line.p) : line.n, &cell);
			printf("%s%s", text_safe(cell, safe, sizeof safe), tab != NULL ? "\t" : "");
			(void)span_skip(&line, tab != NULL);
		}
		putchar('\n');
	}
}

/* What differs: the common lines at the beginning and at the end are left out. */
static void
show(const struct change *c)
{
	struct span old = wbuf_view(&c->old), new = wbuf_view(&c->new), a = old, b = new, la, lb;
	size_t end = 0, k;

	while (block_line(&a, &la) && block_line(&b, &lb) && span_eq(la, lb)) {
		old = a;
		new = b;
	}
	for (k = 1; k <= old.n && k <= new.n &&old.p[old.n - k] == new.p[new.n - k]; k++)
		if (k == old.n || k == new.n || old.p[old.n - k - 1] == '\n')
			end = k;
	old.n -= end;
	new.n -= end;
	show_lines('-', old);
	show_lines('+', new);
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

/* The folders that were made for this file, as far as they are empty. */
static void
parents_remove(const char *path, unsigned n)
{
	char dir[PATH_MAX];
	char *slash;

	snprintf(dir, sizeof dir, "%s", path);
	while (n-- > 0 && (slash = strrchr(dir, '/')) != NULL && slash != dir) {
		*slash = '\0';
		if (rmdir(dir) != 0)
			return;
	}
}

static enum err
change_write(const struct change *c)
{
	enum err e;

	if (!c->gone) {
		e = file_mkdirs_above(c->path, 0700);
		return e == E_OK ? file_write(c->path, c->mode, wbuf_view(&c->new)) : e;
	}
	if (unlink(c->path) != 0)
		return err_set(E_IO, "cannot remove %s: %s", c->path, strerror(errno));
	parents_remove(c->path, c->block.folders);
	return E_OK;
}

static enum err
change_do(struct setup *s, const struct change *c)
{
	bool same = c->gone ? !c->exists : span_eq(wbuf_view(&c->old), wbuf_view(&c->new));
	enum err e;

	same = same && (c->exists || s->mode == SETUP_UNDO);
	s->same += same;
	s->differ += !same;
	if (s->mode == SETUP_LOOK)
		return E_OK;
	if (same) {
		setup_say(s, s->mode == SETUP_UNDO ? "%s has nothing of dpiv's" : "%s is set up", c->path);
		return E_OK;
	}
	if (s->dry) {
		setup_say(s, "%s would be %s:", c->path, c->gone ? "removed" : "written");
		show(c);
		return E_OK;
	}
	if ((e = change_write(c)) != E_OK)
		return e;
	setup_say(s, "%s %s", c->path, c->gone ? "removed" : s->mode == SETUP_UNDO ? "is as before" : "written");
	return E_OK;
}

enum err
setup_file(struct setup *s, const struct setup_lines *f)
{
	struct change *c = calloc(1, sizeof *c);
	enum err e;

	if (c == NULL)
		return err_set(E_NOMEM, "out of memory");
	wbuf_init(&c->old, FILE_MAX);
	wbuf_init(&c->rest, FILE_MAX);
	wbuf_init(&c->new, 2 * FILE_MAX);
	e = change_read(c, f);
	if (e == E_OK)
		e = change_make(s, f, c);
	if (e == E_OK)
		e = change_do(s, c);
	wbuf_free(&c->old);
	wbuf_free(&c->rest);
	wbuf_free(&c->new);
	free(c);
	return e;
}

enum err
setup_fresh(struct setup *s, const char *path, bool *fresh)
{
	const struct setup_lines f = { .path = path };
	struct change *c = calloc(1, sizeof *c);
	enum err e;

	if (c == NULL)
		return err_set(E_NOMEM, "out of memory");
	wbuf_init(&c->old, FILE_MAX);
	wbuf_init(&c->rest, FILE_MAX);
	e = change_read(c, &f);
	if (e == E_OK)
		e = block_cut(wbuf_view(&c->old), s->client, &c->block, &c->rest);
	*fresh = !c->exists || c->block.fresh;
	wbuf_free(&c->old);
	wbuf_free(&c->rest);
	free(c);
	return e;
}

/* --- links -------------------------------------------------------------------------------------------------------- */

enum err
setup_link(struct setup *s, const char *path, const char *to)
{
	char now[PATH_MAX] = "";
	ssize_t n = readlink(path, now, sizeof now - 1);
	struct stat st;
	bool there = n > 0 && strcmp(now, to) == 0, want = s->mode != SETUP_UNDO;
	enum err e = E_OK;

	s->same += there == want;
	s->differ += there != want;
	if (s->mode == SETUP_LOOK || there == want)
		return E_OK;
	if (want && lstat(path, &st) == 0)
		return err_set(E_EXISTS, "%s is there already, and is something else", path);
	if (s->dry) {
		setup_say(s, "%s would be %s", path, want ? "linked" : "removed");
		return E_OK;
	}
	if (want)
		e = file_mkdirs_above(path, 0700);
	if (e == E_OK && (want ? symlink(to, path) : unlink(path)) != 0)
		return err_set(E_IO, "cannot %s %s: %s", want ? "link" : "remove", path, strerror(errno));
	if (e == E_OK && !want)
		parents_remove(path, 1);
	if (e == E_OK)
		setup_say(s, "%s %s", path, want ? "linked" : "removed");
	return e;
}
