/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Programs that are set up by lines in a file or two: OpenSSL, ssh, gpgsm, p11-kit; and the table of all clients.
 *
 * ssh takes the first value that it finds, and lines behind "Host" belong to that host: the block stands last, under
 * "Match all", so that what a person says for a host wins. OpenSSL has no configuration of the user's: a file that
 * includes the system's is made, for OPENSSL_CONF. gpgsm reaches PKCS#11 through gnupg-pkcs11-scd in the place of
 * GnuPG's own card daemon. p11-kit merges files of the same name: one module that is registered for everybody stays
 * one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/conf.h>
#include <openssl/crypto.h>
#include <openssl/opensslconf.h>
#include <openssl/x509v3.h>

#include "base/text.h"
#include "cli/setup.h"
#include "cli/tool.h"

/* --- ssh ---------------------------------------------------------------------------------------------------------- */

static enum err
ssh_there(struct setup *s)
{
	(void)s;
	return tool_there("ssh") ? E_OK : err_set(E_NOTFOUND, "ssh is not installed");
}

static enum err
ssh_apply(struct setup *s)
{
	char path[PATH_MAX], lines[PATH_MAX + 200];
	const struct setup_lines f = { .path = path, .mode = 0600, .lines = lines };
	enum err e = setup_path(path, s->home, ".ssh/config");

	snprintf(lines, sizeof lines, "Match all\n\tPKCS11Provider %s\n", s->module);
	return e == E_OK ? setup_file(s, &f) : e;
}

/* --- p11-kit ------------------------------------------------------------------------------------------------------ */

static enum err
p11kit_apply(struct setup *s)
{
	char path[PATH_MAX], lines[PATH_MAX + 200];
	const struct setup_lines f = { .path = path, .mode = 0644, .lines = lines };
	enum err e = setup_path(path, s->config, "pkcs11/modules/dpiv-pkcs11.module");

	snprintf(lines, sizeof lines, "module: %s\npriority: 10\ntrust-policy: no\ncritical: no\n", s->module);
	return e == E_OK ? setup_file(s, &f) : e;
}

/* --- OpenSSL ------------------------------------------------------------------------------------------------------ */

static enum err
openssl_there(struct setup *s)
{
	(void)s;
#ifdef OPENSSL_NO_ENGINE
	return err_set(E_UNSUP, "this OpenSSL has no engines: use a PKCS#11 provider with the module");
#else
	return E_OK;
#endif
}

/* The engine: beside the module, as in a build, or where OpenSSL looks for engines. */
static enum err
engine_path(const struct setup *s, char out[PATH_MAX])
{
	const char *slash = strrchr(s->module, '/'), *info = OPENSSL_info(OPENSSL_INFO_ENGINES_DIR);

	if (slash != NULL && snprintf(out, PATH_MAX, "%.*s/dpiv.so", (int)(slash - s->module), s->module) < PATH_MAX &&
	    access(out, R_OK) == 0)
		return E_OK;
	if (info != NULL && snprintf(out, PATH_MAX, "%s/dpiv.so", info) < PATH_MAX &&
	    (access(out, R_OK) == 0 || s->mode == SETUP_UNDO))
		return E_OK;
	return err_set(E_NOTFOUND, "the engine dpiv.so is neither beside %s nor in %s: is dpiv installed?", s->module,
	    info != NULL ? info : "OpenSSL's engines directory");
}

/* The section that initializes OpenSSL in the system's file: ours adds to it. */
static void
init_section(const char *system, char *out, size_t cap)
{
	CONF *conf = NCONF_new(NULL);
	long line;
	char *name = NULL;

	if (conf != NULL && NCONF_load(conf, system, &line) == 1)
		name = NCONF_get_string(conf, "default", "openssl_conf");
	snprintf(out, cap, "%s", name != NULL ? name : "openssl_init");
	NCONF_free(conf);
}

static enum err
openssl_apply(struct setup *s)
{
	char path[PATH_MAX], lines[4 * PATH_MAX], engine[PATH_MAX], section[128], system[PATH_MAX];
	const char *dir = strchr(OpenSSL_version(OPENSSL_DIR), '"'), *end = dir != NULL ? strrchr(dir, '"') : NULL;
	const struct setup_lines f = { .path = path, .mode = 0644, .lines = lines };
	enum err e = setup_path(path, s->config, "dpiv/openssl.cnf");

	if (e == E_OK)
		e = engine_path(s, engine);
	if (e != E_OK)
		return e;
	snprintf(system, sizeof system, "%.*s/openssl.cnf", dir != NULL ? (int)(end - dir - 1) : 0,
	    dir != NULL ? dir + 1 : "");
	init_section(system, section, sizeof section);
	snprintf(lines, sizeof lines,
	    "openssl_conf = %s\n%s%s%s[%s]\nengines = dpiv_engines\n[dpiv_engines]\ndpiv = dpiv_engine\n"
	    "[dpiv_engine]\nengine_id = dpiv\ndynamic_path = %s\nMODULE_PATH = %s\ninit = 0\n",
	    section, access(system, R_OK) == 0 ? ".include " : "", access(system, R_OK) == 0 ? system : "",
	    access(system, R_OK) == 0 ? "\n" : "", section, engine, s->module);
	return setup_file(s, &f);
}

/* --- gpgsm -------------------------------------------------------------------------------------------------------- */

#define SCD "gnupg-pkcs11-scd"

static enum err
gpgsm_there(struct setup *s)
{
	(void)s;
	if (!tool_there("gpgsm"))
		return err_set(E_NOTFOUND, "gpgsm is not installed");
	return tool_there(SCD) ? E_OK
			       : err_set(E_NOTFOUND, SCD " is not installed, through which gpgsm reaches the module");
}

/* trustlist.txt: SHA-1 of the certificate, S for S/MIME. A new one would hide the system's: include-default. */
static void
trust_lines(const struct setup *s, bool fresh, struct wbuf *out)
{
	if (fresh)
		wbuf_span(out, span_str("include-default\n"));
	for (int i = 0; i < sk_X509_num(s->roots); i++) {
		uint8_t md[EVP_MAX_MD_SIZE];
		unsigned n = 0;
		char hex[2 * EVP_MAX_MD_SIZE + 1];

		if ((X509_get_extension_flags(sk_X509_value(s->roots, i)) & EXFLAG_SS) == 0)
			continue;
		if (X509_digest(sk_X509_value(s->roots, i), EVP_sha1(), md, &n) != 1) {
			out->bad = true;
			return;
		}
		wbuf_span(out, span_str(text_hex(span_of(md, n), hex, sizeof hex)));
		wbuf_span(out, span_str(" S relax\n"));
	}
	wbuf_u8(out, 0);
}

static enum err
gpgsm_trust(struct setup *s, const char *dir)
{
	WBUF_AUTO lines = { .max = 65536 };
	char path[PATH_MAX];
	struct setup_lines f = { .path = path, .mode = 0600 };
	enum err e = setup_path(path, dir, "trustlist.txt");
	bool fresh = false;

	if (e != E_OK || (s->mode != SETUP_UNDO && sk_X509_num(s->roots) <= 0))
		return e;
	if ((e = setup_fresh(s, path, &fresh)) != E_OK)
		return e;
	trust_lines(s, fresh, &lines);
	if (lines.bad)
		return err_set(E_NOMEM, "out of memory");
	f.lines = (const char *)lines.p;
	return setup_file(s, &f);
}

static enum err
gpgsm_apply(struct setup *s)
{
	const char *home = secure_getenv("GNUPGHOME");
	char dir[PATH_MAX], agent[PATH_MAX], scd[PATH_MAX], program[PATH_MAX], lines[PATH_MAX + 200],
	    names[PATH_MAX + 200];
	const struct setup_lines fa = { .path = agent, .mode = 0600, .lines = lines, .taken = "scdaemon-program" };
	const struct setup_lines fs = { .path = scd, .mode = 0600, .lines = names, .taken = "providers" };
	enum err e = home != NULL ? E_OK : setup_path(dir, s->home, ".gnupg");

	if (home != NULL)
		snprintf(dir, sizeof dir, "%s", home);
	if (e == E_OK)
		e = setup_path(agent, dir, "gpg-agent.conf");
	if (e == E_OK)
		e = setup_path(scd, dir, SCD ".conf");
	if (e == E_OK && !tool_path(SCD, program, sizeof program) && s->mode != SETUP_UNDO)
		e = err_set(E_NOTFOUND, SCD " is not installed");
	if (e != E_OK)
		return e;
	snprintf(lines, sizeof lines, "scdaemon-program %s\n", program);
	snprintf(names, sizeof names, "providers dpiv\nprovider-dpiv-library %s\n", s->module);
	/* taken back in the other order: the folder was made for the first */
	e = s->mode == SETUP_UNDO ? gpgsm_trust(s, dir) : setup_file(s, &fs);
	if (e == E_OK)
		e = setup_file(s, &fa);
	if (e == E_OK)
		e = s->mode == SETUP_UNDO ? setup_file(s, &fs) : gpgsm_trust(s, dir);
	return e;
}

/* --- all clients -------------------------------------------------------------------------------------------------- */

static enum err
always_there(struct setup *s)
{
	(void)s;
	return E_OK;
}

const struct setup_client setup_clients[] = {
	{ "thunderbird", "the module and trusted roots in every profile", nss_thunderbird_there, nss_apply,
	    "choose the certificates in Account Settings, End-to-End Encryption" },
	{ "firefox", "the module and trusted roots in every profile", nss_firefox_there, nss_apply, NULL },
	{ "openssl", "a configuration file with the engine, for OPENSSL_CONF", openssl_there, openssl_apply,
	    "export OPENSSL_CONF=~/.config/dpiv/openssl.cnf; then openssl takes -engine dpiv" },
	{ "ssh", "PKCS11Provider at the end of ~/.ssh/config", ssh_there, ssh_apply,
	    "ssh-keygen -D MODULE lists the keys for authorized_keys; for ssh-add -s, ssh-agent takes modules below "
	    "/usr/lib and /usr/local/lib only, or those of its option -P" },
	{ "gpgsm", "gnupg-pkcs11-scd in the place of scdaemon, trusted roots", gpgsm_there, gpgsm_apply,
	    "gpgconf --kill all; gpgsm --import the CA certificates; gpgsm --learn-card" },
	{ "p11-kit", "the module for GnuTLS and all that asks p11-kit", always_there, p11kit_apply, NULL },
	{ "timer", "dpiv check and dpiv renew every day, by systemd", timer_there, timer_apply, NULL },
	{ NULL, NULL, NULL, NULL, NULL },
};
