/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_CLI_SETUP_H
#define DPIV_CLI_SETUP_H

#include <limits.h>
#include <sys/types.h>
#include <openssl/x509.h>

#include "base/bytes.h"
#include "base/err.h"
#include "cli/block.h"

/*
 * dpiv setup: other programs' configuration. A client's function goes through what has to be there, and setup_file()
 * looks, writes, takes back or shows it, whichever is asked for; so there is one description of each client.
 */
enum setup_mode { SETUP_LOOK, SETUP_DO, SETUP_UNDO };

struct setup {
	enum setup_mode mode;
	bool dry;
	const char *client; /* its name, which is in the marks */
	const char *home;
	char config[PATH_MAX];	/* $XDG_CONFIG_HOME */
	const char *module;	/* path of dpiv-pkcs11.so */
	char self[PATH_MAX];	/* path of this program */
	STACK_OF(X509) * roots; /* trust anchors to install; may be NULL */
	char made[PATH_MAX];	/* dry run: the last folder that would have been made */
	size_t same, differ;	/* files that are as wanted, and that are or were not */
};

struct setup_client {
	const char *name, *line;	    /* what it is, what is done */
	enum err (*there)(struct setup *s); /* E_NOTFOUND, E_UNSUP: not here, and why */
	enum err (*apply)(struct setup *s);
	const char *then; /* what to do afterwards; or NULL */
};

extern const struct setup_client setup_clients[]; /* ends with a NULL name */

/* Lines in a file, once. */
struct setup_lines {
	const char *path;
	mode_t mode; /* of a file that is not there yet */
	const char *lines;
	const char *taken; /* E_EXISTS when the person's own part has a line that begins with this word; or NULL */
	/* Does the person's own part have what the lines are for already? Then they are not added. Or NULL. */
	bool (*have)(const struct setup *s, struct span text);
	/* In the place of block_cut(); or NULL. */
	enum err (*cut)(struct span text, const char *name, struct block *what, struct wbuf *out);
};
enum err setup_file(struct setup *s, const struct setup_lines *f) MUST_CHECK;
/* *fresh: there is no such file, or it was made by dpiv. */
enum err setup_fresh(struct setup *s, const char *path, bool *fresh) MUST_CHECK;
/* A symbolic link, and nothing else in its place. */
enum err setup_link(struct setup *s, const char *path, const char *to) MUST_CHECK;
/* One line about what was done; nothing when only looking. */
void setup_say(const struct setup *s, const char *fmt, ...) PRINTF(2, 3);
/* a + "/" + b, E_ARG when it is too long. */
enum err setup_path(char out[PATH_MAX], const char *a, const char *b) MUST_CHECK;
bool setup_is_dir(const char *path);
/* Does a line of the text begin with this word (blanks before it, case aside)? */
bool setup_has_word(struct span text, const char *word);

enum err nss_thunderbird_there(struct setup *s) MUST_CHECK;
enum err nss_firefox_there(struct setup *s) MUST_CHECK;
enum err nss_apply(struct setup *s) MUST_CHECK;
enum err timer_there(struct setup *s) MUST_CHECK;
enum err timer_apply(struct setup *s) MUST_CHECK;

#endif
