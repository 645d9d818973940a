/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dpiv doctor: what is installed and configured on this machine. p11-kit's module files are read here rather than by
 * p11-kit, which would load every module that is registered; only their "module:" lines matter (pkcs11.conf(5)).
 */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/opensslconf.h>

#include "base/conf.h"
#include "base/file.h"
#include "cli/cli.h"
#include "cli/doctor.h"
#include "derive/policy.h"

/* --- p11-kit --- */

/* Does a .module file of this directory name a module whose path contains this? */
static bool
names_module(const char *dir, const char *file, const char *name)
{
	char path[PATH_MAX], line[1024];
	bool found = false;
	FILE *f;

	if (snprintf(path, sizeof path, "%s/%s", dir, file) >= (int)sizeof path || (f = fopen(path, "re")) == NULL)
		return false;
	while (!found && fgets(line, sizeof line, f) != NULL)
		found = strncmp(line, "module:", 7) == 0 && strstr(line, name) != NULL;
	fclose(f);
	return found;
}

static bool
registered_in(const char *dir, const char *name)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	bool found = false;

	while (d != NULL && !found && (e = readdir(d)) != NULL)
		found = strstr(e->d_name, ".module") != NULL && names_module(dir, e->d_name, name);
	if (d != NULL)
		closedir(d);
	return found;
}

static bool
registered(const char *name)
{
	const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	char mine[PATH_MAX];

	if (xdg != NULL && xdg[0] == '/')
		snprintf(mine, sizeof mine, "%s/pkcs11/modules", xdg);
	else
		snprintf(mine, sizeof mine, "%s/.config/pkcs11/modules", home != NULL ? home : "");
	return registered_in("/usr/share/p11-kit/modules", name) || registered_in("/etc/pkcs11/modules", name) ||
	    registered_in(mine, name);
}

void
doctor_registered(struct doctor *d)
{
	bool ours = registered("dpiv-pkcs11.so"), opensc = registered("opensc-pkcs11.so");

	if (!ours)
		doctor_say(d, DOCTOR_ATTENTION,
		    "mkdir -p ~/.config/pkcs11/modules; echo 'module: " DPIV_MODULE
		    "' >~/.config/pkcs11/modules/dpiv.module",
		    "p11-kit does not know dpiv's module; GnuTLS, curl and ssh find it only by its path");
	else
		doctor_say(d, DOCTOR_OK, NULL, "dpiv's module is registered with p11-kit");
	if (ours && opensc)
		doctor_say(d, DOCTOR_ATTENTION,
		    "mkdir -p ~/.config/pkcs11/modules; echo 'enable-in:' "
		    ">~/.config/pkcs11/modules/opensc-pkcs11.module",
		    "OpenSC's module is registered too: programs see every card twice, and ask for its PIN twice");
}

/* --- the engine --- */

void
doctor_engine(struct doctor *d)
{
#ifdef OPENSSL_NO_ENGINE
	doctor_say(d, DOCTOR_OK, NULL, "this OpenSSL has no engines; use its PKCS#11 provider with dpiv's module");
#else
	const char *text = OpenSSL_version(OPENSSL_ENGINES_DIR), *from = strchr(text, '"');
	char dir[PATH_MAX] = "", path[PATH_MAX + 16];

	if (from != NULL)
		snprintf(dir, sizeof dir, "%.*s", (int)strcspn(from + 1, "\""), from + 1);
	snprintf(path, sizeof path, "%s/dpiv.so", dir);
	if (access(path, R_OK) == 0)
		doctor_say(d, DOCTOR_OK, NULL, "the OpenSSL engine is installed as %s", path);
	else
		doctor_say(d, DOCTOR_ATTENTION, "make install, as root",
		    "the OpenSSL engine is not installed: there is no %s", path);
#endif
}

/* --- configuration, clock, folders --- */

void
doctor_configuration(struct doctor *d)
{
	struct policy *policy = NULL;
	struct conf *conf = NULL;

	if (conf_load(&conf) != E_OK)
		doctor_say(
		    d, DOCTOR_PROBLEM, NULL, "%s; until that is corrected the module uses its defaults", err_msg());
	else if (policy_read(conf, NULL, &policy) != E_OK)
		doctor_say(d, DOCTOR_PROBLEM, "dpiv policy check " CONF_SYSTEM_PATH, "%s", err_msg());
	else
		doctor_say(d, DOCTOR_OK, NULL, "the configuration is valid%s",
		    policy_exists(policy) ? ", and there is a policy" : "");
	policy_free(&policy);
	conf_free(&conf);
}

void
doctor_clock(struct doctor *d)
{
	struct stat st;
	time_t now = time(NULL);

	if (stat("/proc/self/exe", &st) == 0 && now + 24 * 60 * 60 < st.st_mtime)
		doctor_say(d, DOCTOR_PROBLEM, "timedatectl set-ntp true",
		    "the clock is wrong: it shows a time before this program was built; certificates will seem not yet "
		    "valid");
	else
		doctor_say(d, DOCTOR_OK, NULL, "the clock is not behind the day this program was built");
}

static void
folder(struct doctor *d, const char *what, const char *variable, const char *fallback)
{
	char path[PATH_MAX], command[PATH_MAX + 32];
	struct stat st;

	if (file_xdg(variable, fallback, path, sizeof path) != E_OK) {
		doctor_say(d, DOCTOR_PROBLEM, NULL, "no place for the %s: %s", what, err_msg());
		return;
	}
	if (lstat(path, &st) != 0) {
		doctor_say(d, DOCTOR_OK, NULL, "the %s is not there yet (%s)", what, path);
	} else if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid()) {
		snprintf(command, sizeof command, "ls -ld '%s'", path);
		doctor_say(d, DOCTOR_PROBLEM, command, "the %s %s is not a directory of this user", what, path);
	} else if ((st.st_mode & 077) != 0) {
		snprintf(command, sizeof command, "chmod 700 '%s'", path);
		doctor_say(d, DOCTOR_PROBLEM, command, "others can get into the %s %s", what, path);
	} else if (access(path, W_OK | X_OK) != 0) {
		snprintf(command, sizeof command, "chmod 700 '%s'", path);
		doctor_say(d, DOCTOR_PROBLEM, command, "the %s %s cannot be written to", what, path);
	} else {
		doctor_say(d, DOCTOR_OK, NULL, "the %s is this user's alone (%s)", what, path);
	}
}

void
doctor_folders(struct doctor *d)
{
	folder(d, "state folder", "XDG_STATE_HOME", ".local/state");
	folder(d, "cache", "XDG_CACHE_HOME", ".cache");
}
