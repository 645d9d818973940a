/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_BASE_CONF_H
#define DPIV_BASE_CONF_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/*
 * dpiv.conf: OpenSSL's configuration syntax ([section], key = value). /etc/dpiv/dpiv.conf and then
 * $XDG_CONFIG_HOME/dpiv/dpiv.conf (~/.config), the later file winning key by key. DPIV_CONF names a file that is read
 * instead of both; but when the one in /etc has a policy, that one is read all the same, and DPIV_CONF's has the place
 * of the user's. What the policy makes of it is not decided here (derive/policy.h).
 * All keys are rows of conf_keys[] in conf.c; an unknown section, key or a malformed value is an error that names the
 * file and the line. A missing file is not an error. Sections that carry a name are written [issuer NAME], [token
 * NAME]. Where there is a [policy] beside [policy NAME], the second has the keys of the first too.
 */
#define CONF_SYSTEM_PATH "/etc/dpiv/dpiv.conf"
enum conf_layer { CONF_USER, CONF_SYSTEM, CONF_LAYERS };
struct conf;

enum err conf_load(struct conf **out) MUST_CHECK;
/* One file alone, with its own diagnostics. */
enum err conf_load_file(const char *path, struct conf **out) MUST_CHECK;
/* The user's file: DPIV_CONF, or in XDG_CONFIG_HOME. */
enum err conf_user_path(char *out, size_t cap) MUST_CHECK;
/* These two in their places; NULL or a missing file: nothing. */
enum err conf_load_layers(const char *user, const char *system, struct conf **out) MUST_CHECK;
/* Another program's own file, checked against that program's table (dpiv-issuer). */
struct conf_key {
	const char *section; /* "module", or "issuer *" for every [issuer NAME] */
	const char *key;
	char type;	     /* 's' text, 'b' yes/no, 'n' number, 'p' absolute path, 'l' comma-separated list */
	const char *initial; /* default, or NULL */
	const char *help;
};
enum err conf_load_table(const char *path, const struct conf_key *table, size_t n, struct conf **out) MUST_CHECK;
void conf_free(struct conf **c);

/* Values; the table's default when unset (NULL, false, 0 when there is none). c may be NULL: defaults only. Asking for
 * a key that no row describes is a programming error and yields NULL. */
const char *conf_str(const struct conf *c, const char *section, const char *key);
bool conf_bool(const struct conf *c, const char *section, const char *key);
long conf_num(const struct conf *c, const char *section, const char *key);

/* What one of the files says itself; NULL: nothing. */
const char *conf_said(const struct conf *c, enum conf_layer layer, const char *section, const char *key);
bool conf_has(const struct conf *c, enum conf_layer layer, const char *section);
/* "/etc/dpiv/dpiv.conf:12", where it says so; key NULL: where the section begins. Returns out. */
char *
conf_where(const struct conf *c, enum conf_layer layer, const char *section, const char *key, char *out, size_t cap);

/* Names of the sections "kind NAME" in the order of the file: returns the i-th name, or NULL past the end. */
const char *conf_named(const struct conf *c, const char *kind, size_t i);

/* The table of dpiv.conf, for documentation and tests. */
const struct conf_key *conf_table(size_t *n);

#endif
