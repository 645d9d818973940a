/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_CLI_SETUP_NSS_H
#define DPIV_CLI_SETUP_NSS_H

#include "cli/setup.h"

/* The profiles of Thunderbird or Firefox. */
#define PROFILES_MAX 64
struct profiles {
	size_t n;
	char dir[PROFILES_MAX][PATH_MAX];
};
/* Of the client that is being set up. */
enum err profiles_find(const struct setup *s, struct profiles *all) MUST_CHECK;
/* profiles.ini in the folder base, as text, which is cut up; profiles that are there are added. */
void profiles_parse(struct profiles *all, const char *base, char *text);

/* The programs' own lock of a profile. E_BUSY: one of them has it. profile_unlock() in any case. */
struct profile_lock {
	int fd;
	bool made;
	char path[PATH_MAX];
};
enum err profile_lock(struct profile_lock *l, const char *profile, const char *client) MUST_CHECK;
void profile_unlock(struct profile_lock *l);

/* pkcs11.txt without our module: as block_cut(). */
enum err nss_modules_cut(struct span text, const char *name, struct block *what, struct wbuf *out) MUST_CHECK;

#endif
