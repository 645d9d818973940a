/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Thunderbird and Firefox: the module in pkcs11.txt of each profile, and trust anchors in its certificate database.
 *
 * pkcs11.txt is NSS's list of modules: paragraphs of KEY=VALUE lines between empty lines, '#' begins a comment. The
 * paragraph is written here and not by modutil, which many machines lack, which loads the module (and waits for
 * readers) to add a line, and which does not write in one step; it is what modutil writes. NSS drops comments when it
 * removes another module, so a paragraph with the name "dpiv" is recognized without its marks as well.
 *
 * Certificates are NSS's own certutil's work: trust in cert9.db is authenticated with a key in key4.db. Ours are told
 * by their nickname. A profile with a primary password refuses; that is said, not asked for.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/setup_nss.h"
#include "cli/tool.h"
#include "derive/cert.h"

#define NAME_OURS "dpiv root " /* begins the nicknames of our certificates */

/* --- pkcs11.txt --------------------------------------------------------------------------------------------------- */

static bool
line_is(struct span line, const char *text)
{
	while (line.n > 0 && (line.p[line.n - 1] == '\n' || line.p[line.n - 1] == '\r' || line.p[line.n - 1] == ' '))
		line.n--;
	return span_eq(line, span_str(text));
}

/* A paragraph: lines up to and with the empty ones. */
static bool
paragraph(struct span *text, struct span *out)
{
	struct span start = *text, line, ahead;
	size_t n = 0;
	bool ended = false;

	if (text->n == 0)
		return false;
	while (block_line(text, &line)) {
		n += line.n;
		ended = line_is(line, "");
		ahead = *text;
		if (ended && (!block_line(&ahead, &line) || !line_is(line, "")))
			break;
	}
	return span_take(&start, n, out);
}

static bool
paragraph_has(struct span p, const char *text)
{
	struct span line;

	while (block_line(&p, &line))
		if (line_is(line, text))
			return true;
	return false;
}

/* Without our block, and without a paragraph of our name whose marks NSS has dropped. */
enum err
nss_modules_cut(struct span text, const char *name, struct block *what, struct wbuf *out)
{
	WBUF_AUTO rest = { .max = text.n + 1 };
	enum err e = block_cut(text, name, what, &rest);
	struct span left = wbuf_view(&rest), p;

	while (e == E_OK && paragraph(&left, &p))
		if (!paragraph_has(p, "name=dpiv"))
			wbuf_span(out, p);
	return e == E_OK && out->bad ? err_set(E_NOMEM, "out of memory") : e;
}

/* The module under another name. */
static bool
modules_have(const struct setup *s, struct span text)
{
	char line[PATH_MAX + 16];

	snprintf(line, sizeof line, "library=%s", s->module);
	return paragraph_has(text, line);
}

static enum err
modules_file(struct setup *s, const char *profile)
{
	char path[PATH_MAX], lines[PATH_MAX + 200];
	const struct setup_lines f = { path, 0600, lines, NULL, modules_have, nss_modules_cut };
	enum err e = setup_path(path, profile, "pkcs11.txt");

	/* the empty lines end the paragraphs before and behind */
	snprintf(lines, sizeof lines, "\nlibrary=%s\nname=dpiv\n\n", s->module);
	return e == E_OK ? setup_file(s, &f) : e;
}

/* --- trust anchors ------------------------------------------------------------------------------------------------ */

static void
nickname(X509 *x, char *out, size_t cap)
{
	char name[64], serial[64];

	snprintf(
	    out, cap, NAME_OURS "%s %.16s", cert_name(x, name, sizeof name), cert_serial(x, serial, sizeof serial));
}

static enum err
certutil(const char *db, const char *const more[], struct wbuf *out)
{
	const char *argv[16] = { "certutil", "-d", db };
	size_t n = 3;

	for (size_t i = 0; more[i] != NULL && n + 1 < sizeof argv / sizeof argv[0]; i++)
		argv[n++] = more[i];
	return tool_run(argv, out);
}

/* Does a listing of certutil -L (nickname, blanks, three sets of flags) have it? */
static bool
listed(struct span list, const char *nick)
{
	struct span line;
	size_t n = strlen(nick);

	while (block_line(&list, &line))
		if (span_starts(line, nick, n) && line.n > n && line.p[n] == ' ')
			return true;
	return false;
}

static enum err
root_add(const char *db, X509 *x, const char *nick, const char *trust)
{
	char file[] = "/tmp/dpiv-root.XXXXXX";
	const char *const args[] = { "-A", "-n", nick, "-t", trust, "-a", "-i", file, NULL };
	WBUF_AUTO said = { .max = 65536 };
	int fd = mkostemp(file, O_CLOEXEC);
	FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
	enum err e = E_OK;

	if (f == NULL || PEM_write_X509(f, x) != 1)
		e = err_set(E_IO, "cannot write %s: %s", file, strerror(errno));
	if (f != NULL && fclose(f) != 0 && e == E_OK)
		e = err_set(E_IO, "cannot write %s: %s", file, strerror(errno));
	if (e == E_OK)
		e = certutil(db, args, &said);
	if (fd >= 0)
		unlink(file);
	return e;
}

/* What NSS makes a database of. */
static void
probe_remove(const char *dir)
{
	static const char *const names[] = { "cert9.db", "key4.db", "pkcs11.txt" };
	char file[PATH_MAX];

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (setup_path(file, dir, names[i]) == E_OK)
			unlink(file);
	rmdir(dir);
}

/* NSS keeps one name for a certificate, and would give the person's own, under another name, our trust. So a copy of
 * the database (it has nothing secret) is asked whether our name comes into it. */
static enum err
root_known(const char *profile, X509 *x, const char *nick, bool *known)
{
	WBUF_AUTO copy = { .max = 256 * 1024 * 1024 }, list = { .max = 1024 * 1024 };
	const char *const show[] = { "-L", NULL };
	char dir[] = "/tmp/dpiv-nss.XXXXXX", db[64], file[PATH_MAX];
	enum err e = setup_path(file, profile, "cert9.db");

	*known = false;
	if (e != E_OK || access(file, F_OK) != 0)
		return e;
	if (mkdtemp(dir) == NULL)
		return err_set(E_IO, "cannot make a folder in /tmp: %s", strerror(errno));
	e = file_read(file, &copy);
	snprintf(db, sizeof db, "sql:%s", dir);
	if (e == E_OK && (e = setup_path(file, dir, "cert9.db")) == E_OK)
		e = file_write(file, 0600, wbuf_view(&copy));
	if (e == E_OK)
		e = root_add(db, x, nick, ",,");
	if (e == E_OK)
		e = certutil(db, show, &list);
	*known = e == E_OK && !listed(wbuf_view(&list), nick);
	probe_remove(dir);
	return e;
}

/* One certificate that is to be there: a root is trusted, what it has issued is only known. */
static enum err
root_one(struct setup *s, const char *profile, const char *db, struct span list, X509 *x)
{
	bool root = (X509_get_extension_flags(x) & EXFLAG_SS) != 0, known = false;
	char nick[160];
	enum err e = E_OK;

	nickname(x, nick, sizeof nick);
	if (!listed(list, nick))
		e = root_known(profile, x, nick, &known);
	if (e != E_OK)
		return e;
	if (known || listed(list, nick)) {
		s->same++;
		setup_say(s, "the certificate '%s' is there%s", nick, known ? ", as one of your own, which stays" : "");
		return E_OK;
	}
	s->differ++;
	if (s->mode == SETUP_LOOK)
		return E_OK;
	if (!s->dry)
		e = root_add(db, x, nick, root ? "C,C," : ",,");
	if (e == E_OK)
		setup_say(s, "the certificate '%s' %s%s", nick, s->dry ? "would be " : "is ",
		    root ? "trusted for mail and servers" : "added");
	return e == E_OK ? e
			 : err_up(e,
			       "the certificate '%s' could not be added (is there a primary password? Then import it "
			       "in the program's settings)",
			       nick);
}

/* Every certificate of ours out again. */
static enum err
roots_remove(struct setup *s, const char *db, struct span list)
{
	WBUF_AUTO said = { .max = 65536 };
	enum err e = E_OK;
	struct span line;

	while (e == E_OK && block_line(&list, &line)) {
		char nick[160];
		const char *const args[] = { "-D", "-n", nick, NULL };
		size_t n = line.n;

		if (!span_starts(line, NAME_OURS, strlen(NAME_OURS)))
			continue;
		while (n > 0 && isspace(line.p[n - 1]))
			n--;
		while (n > 0 && !isspace(line.p[n - 1])) /* the flags */
			n--;
		while (n > 0 && isspace(line.p[n - 1]))
			n--;
		snprintf(nick, sizeof nick, "%.*s", (int)n, (const char *)line.p);
		s->differ++;
		if (s->mode == SETUP_LOOK)
			continue;
		if (!s->dry)
			e = certutil(db, args, &said);
		if (e == E_OK)
			setup_say(s, "the certificate '%s' %s", nick, s->dry ? "would be removed" : "is removed");
	}
	return e;
}

static enum err
roots_file(struct setup *s, const char *profile)
{
	WBUF_AUTO list = { .max = 1024 * 1024 };
	const char *const args[] = { "-L", NULL };
	char db[PATH_MAX + 8], file[PATH_MAX];
	enum err e = setup_path(file, profile, "cert9.db");

	snprintf(db, sizeof db, "sql:%s", profile);
	if (e != E_OK || (s->mode != SETUP_UNDO && sk_X509_num(s->roots) <= 0))
		return e;
	if (s->mode == SETUP_UNDO && (access(file, F_OK) != 0 || !tool_there("certutil")))
		return E_OK;
	if (!tool_there("certutil"))
		return err_set(
		    E_NOTFOUND, "certutil is needed to install trusted certificates (Debian: libnss3-tools)");
	if (access(file, F_OK) == 0)
		e = certutil(db, args, &list);
	if (e == E_OK && s->mode == SETUP_UNDO)
		return roots_remove(s, db, wbuf_view(&list));
	for (int i = 0; e == E_OK && i < sk_X509_num(s->roots); i++)
		e = root_one(s, profile, db, wbuf_view(&list), sk_X509_value(s->roots, i));
	return e;
}

/* --- a profile ---------------------------------------------------------------------------------------------------- */

/* certutil loads the modules of the profile: ours is not among them while it works. */
static enum err
profile_do(struct setup *s, const char *profile)
{
	bool undo = s->mode == SETUP_UNDO;
	enum err e = undo ? modules_file(s, profile) : roots_file(s, profile);

	if (e == E_OK)
		e = undo ? roots_file(s, profile) : modules_file(s, profile);
	return e;
}

static enum err
profile_apply(struct setup *s, const char *profile)
{
	struct profile_lock l;
	enum err e;

	if (s->mode == SETUP_LOOK || s->dry)
		return profile_do(s, profile);
	e = profile_lock(&l, profile, s->client);
	if (e == E_OK)
		e = profile_do(s, profile);
	profile_unlock(&l);
	return e;
}

enum err
nss_apply(struct setup *s)
{
	struct profiles *all = calloc(1, sizeof *all);
	enum err e = all != NULL ? profiles_find(s, all) : err_set(E_NOMEM, "out of memory");

	for (size_t i = 0; e == E_OK && i < all->n; i++)
		e = profile_apply(s, all->dir[i]);
	free(all);
	return e;
}
