/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Profiles of Thunderbird and Firefox: where they are (profiles.ini, in the home or below $XDG_CONFIG_HOME), where a
 * sandbox has them, and their lock. A profile in use is left alone, and one that is being changed cannot be opened:
 * both by the lock of the programs themselves (fcntl on .parentlock; it is the one that counts where there is a link
 * "lock" as well).
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/setup_nss.h"

#define INI_MAX (256 * 1024)

/* --- where profiles are ------------------------------------------------------------------------------------------- */

static const struct place {
	const char *client;
	bool config; /* below $XDG_CONFIG_HOME, not below $HOME */
	const char *dir;
} places[] = {
	{ "thunderbird", false, ".thunderbird" },
	{ "thunderbird", true, "thunderbird" },
	{ "firefox", false, ".mozilla/firefox" },
	{ "firefox", true, "mozilla/firefox" },
};

/* Where a sandbox keeps them: it cannot load a module from outside. */
static const struct {
	const char *client, *dir, *kind;
} sandboxes[] = {
	{ "thunderbird", "snap/thunderbird/common/.thunderbird", "snap" },
	{ "thunderbird", ".var/app/org.mozilla.Thunderbird/.thunderbird", "Flatpak" },
	{ "thunderbird", ".var/app/net.thunderbird.Thunderbird/.thunderbird", "Flatpak" },
	{ "firefox", "snap/firefox/common/.mozilla/firefox", "snap" },
	{ "firefox", ".var/app/org.mozilla.firefox/.mozilla/firefox", "Flatpak" },
	{ "firefox", ".var/app/org.mozilla.firefox/config/mozilla/firefox", "Flatpak" },
};

/* "KEY=VALUE" without blanks at the ends; NULL when the line is something else. The line is cut up in place. */
static char *
ini_value(char *line, const char *key)
{
	size_t n = strlen(key);
	char *v = line + n, *end;

	if (strncmp(line, key, n) != 0 || *v != '=')
		return NULL;
	v++;
	end = v + strlen(v);
	while (end > v && isspace((unsigned char)end[-1]))
		*--end = '\0';
	return v;
}

static void
profile_add(struct profiles *all, const char *base, const char *path, bool relative)
{
	char *dir = all->n < PROFILES_MAX ? all->dir[all->n] : NULL;

	if (path[0] == '\0' || dir == NULL)
		return;
	if (snprintf(dir, PATH_MAX, "%s%s%s", relative ? base : "", relative ? "/" : "", path) < PATH_MAX &&
	    setup_is_dir(dir))
		all->n++;
}

/* profiles.ini: [ProfileN] with Path= and IsRelative=; other sections say which one is whose default. */
void
profiles_parse(struct profiles *all, const char *base, char *text)
{
	char path[PATH_MAX] = "", *save = NULL, *v;
	bool inside = false, relative = true;

	for (char *line = strtok_r(text, "\r\n", &save); line != NULL; line = strtok_r(NULL, "\r\n", &save)) {
		if (line[0] == '[') {
			profile_add(all, base, path, relative);
			path[0] = '\0';
			relative = true;
			inside = strncmp(line, "[Profile", 8) == 0;
		} else if (inside && (v = ini_value(line, "Path")) != NULL) {
			snprintf(path, sizeof path, "%s", v);
		} else if (inside && (v = ini_value(line, "IsRelative")) != NULL) {
			relative = strcmp(v, "0") != 0;
		}
	}
	profile_add(all, base, path, relative);
}

static enum err
profiles_of(const struct setup *s, const struct place *p, struct profiles *all)
{
	WBUF_AUTO text = { .max = INI_MAX };
	char base[PATH_MAX], ini[PATH_MAX];
	enum err e = setup_path(base, p->config ? s->config : s->home, p->dir);

	if (e == E_OK)
		e = setup_path(ini, base, "profiles.ini");
	if (e != E_OK || access(ini, F_OK) != 0)
		return e;
	if ((e = file_read(ini, &text)) != E_OK)
		return e;
	wbuf_u8(&text, 0);
	if (text.bad)
		return err_set(E_PROTO, "%s is too large", ini);
	profiles_parse(all, base, (char *)text.p);
	return E_OK;
}

enum err
profiles_find(const struct setup *s, struct profiles *all)
{
	enum err e = E_OK;

	all->n = 0;
	for (size_t i = 0; e == E_OK && i < sizeof places / sizeof places[0]; i++)
		if (strcmp(places[i].client, s->client) == 0)
			e = profiles_of(s, &places[i], all);
	return e;
}

static const char *
sandbox_of(const struct setup *s)
{
	char dir[PATH_MAX];

	for (size_t i = 0; i < sizeof sandboxes / sizeof sandboxes[0]; i++)
		if (strcmp(sandboxes[i].client, s->client) == 0 && setup_path(dir, s->home, sandboxes[i].dir) == E_OK &&
		    setup_is_dir(dir))
			return sandboxes[i].kind;
	return NULL;
}

static enum err
there(struct setup *s, const char *program)
{
	struct profiles *all = calloc(1, sizeof *all);
	const char *box = sandbox_of(s);
	enum err e = all != NULL ? profiles_find(s, all) : err_set(E_NOMEM, "out of memory");

	if (e == E_OK && all->n == 0 && box != NULL)
		e = err_set(E_UNSUP,
		    "%s is here as a %s, whose sandbox keeps modules out: install the distribution's or Mozilla's own "
		    "package",
		    program, box);
	else if (e == E_OK && all->n == 0)
		e = err_set(E_NOTFOUND, "%s has no profile yet: start it once, close it, and run this again", program);
	free(all);
	return e;
}

enum err
nss_thunderbird_there(struct setup *s)
{
	return there(s, "Thunderbird");
}

enum err
nss_firefox_there(struct setup *s)
{
	return there(s, "Firefox");
}

/* --- the lock of a profile ---------------------------------------------------------------------------------------- */

enum err
profile_lock(struct profile_lock *l, const char *profile, const char *client)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	enum err e = setup_path(l->path, profile, ".parentlock");

	l->fd = -1;
	l->made = false;
	if (e != E_OK)
		return e;
	if ((l->fd = open(l->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW)) < 0 && errno == ENOENT) {
		l->fd = open(l->path, O_RDWR | O_CLOEXEC | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
		l->made = l->fd >= 0;
	}
	if (l->fd < 0)
		return err_set(E_IO, "cannot open %s: %s", l->path, strerror(errno));
	if (fcntl(l->fd, F_SETLK, &whole) == 0)
		return E_OK;
	if (errno != EAGAIN && errno != EACCES)
		return err_set(E_IO, "cannot lock %s: %s", l->path, strerror(errno));
	return err_set(E_BUSY, "%s is running with the profile %s: close it and run this again", client, profile);
}

void
profile_unlock(struct profile_lock *l)
{
	if (l->made)
		unlink(l->path);
	if (l->fd >= 0)
		close(l->fd);
}
