/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is wrong with an administrator's file that reading it does not tell: trust anchors that are not there or hold no
 * certificate, groups that do not exist, addresses that are none, sections that are for other people than the one who
 * asks, and that somebody else could write into the file. All of it at once, each with its line.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <openssl/x509v3.h>

#include "cli/policy.h"
#include "derive/cert.h"

#define SECTION_MAX 160
#define WHERE_MAX   4200

struct inspection {
	const struct conf *conf;
	struct findings *f;
};

static void say(json_t *list, const char *fmt, ...) PRINTF(2, 3);

static void
say(json_t *list, const char *fmt, ...)
{
	char text[WHERE_MAX + 800];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	for (size_t i = 0; i < json_array_size(list); i++)
		if (strcmp(json_string_value(json_array_get(list, i)), text) == 0)
			return;
	json_array_append_new(list, json_string(text));
}

/* Of a file with certificates: that it has some, which are still valid. */
static void
look_at_certs(const struct inspection *in, const char *section, const char *key, const char *path)
{
	char where[WHERE_MAX], name[64];
	STACK_OF(X509) *certs = NULL;
	enum err e = cert_read_file(path, &certs);

	conf_where(in->conf, CONF_SYSTEM, section, key, where, sizeof where);
	if (e != E_OK)
		say(in->f->problems, "%s: %s: %s", where, key, err_msg());
	for (int i = 0; i < sk_X509_num(certs); i++) {
		X509 *x = sk_X509_value(certs, i);

		if (cert_not_after(x) <= time(NULL))
			say(in->f->warnings, "%s: %s: the certificate of '%s' in %.300s has expired", where, key,
			    cert_name(x, name, sizeof name), path);
		else if (X509_check_ca(x) == 0 && strcmp(key, "signer") != 0)
			say(in->f->warnings, "%s: %s: '%s' in %.300s is not a CA", where, key,
			    cert_name(x, name, sizeof name), path);
	}
	sk_X509_pop_free(certs, X509_free);
}

static void
look_at_url(const struct inspection *in, const char *section)
{
	const char *url = conf_said(in->conf, CONF_SYSTEM, section, "url");
	bool est = strcmp(conf_str(in->conf, section, "protocol"), "est") == 0;
	char where[WHERE_MAX];

	conf_where(in->conf, CONF_SYSTEM, section, url != NULL ? "url" : NULL, where, sizeof where);
	if (url == NULL)
		say(in->f->problems, "%s: [%s] has no url", where, section);
	else if (strncmp(url, "https://", 8) != 0 && (est || strncmp(url, "http://", 7) != 0))
		say(in->f->problems, "%s: url: the address must begin with https://%s, not '%.100s'", where,
		    est ? "" : " or http://", url);
}

static void
look_at_issuer(const struct inspection *in, const char *name)
{
	static const char *const keys[] = { "cafile", "signer" };
	static const char *const words[][2] = { { "protocol", "est cmp scep" }, { "tls", "1.2 1.3 1.2+" } };
	char section[SECTION_MAX], where[WHERE_MAX], padded[80], all[40];

	snprintf(section, sizeof section, "issuer %.100s", name);
	if (!conf_has(in->conf, CONF_SYSTEM, section))
		return;
	look_at_url(in, section);
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
		if (conf_said(in->conf, CONF_SYSTEM, section, keys[i]) != NULL)
			look_at_certs(in, section, keys[i], conf_said(in->conf, CONF_SYSTEM, section, keys[i]));
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		const char *value = conf_str(in->conf, section, words[i][0]);

		snprintf(padded, sizeof padded, " %.60s ", value);
		snprintf(all, sizeof all, " %s ", words[i][1]);
		if (strstr(all, padded) == NULL)
			say(in->f->problems, "%s: %s must be one of%s, not '%.40s'",
			    conf_where(in->conf, CONF_SYSTEM, section, words[i][0], where, sizeof where), words[i][0],
			    all, value);
	}
}

static void
look_at_roots(const struct inspection *in, const char *section)
{
	const char *roots = conf_said(in->conf, CONF_SYSTEM, section, "trust_roots");
	char path[POLICY_ENTRY_MAX];

	for (size_t i = 0; policy_split(roots, i, path, sizeof path); i++)
		look_at_certs(in, section, "trust_roots", path);
}

static void
look_at_policy(const struct inspection *in, const char *name)
{
	char section[SECTION_MAX], where[WHERE_MAX], group[POLICY_ENTRY_MAX];
	const char *groups;

	snprintf(section, sizeof section, "policy %.100s", name);
	if (!conf_has(in->conf, CONF_SYSTEM, section))
		return;
	look_at_roots(in, section);
	groups = conf_said(in->conf, CONF_SYSTEM, section, "groups");
	for (size_t i = 0; policy_split(groups, i, group, sizeof group); i++)
		if (!policy_group_exists(group))
			say(in->f->warnings, "%s: groups: there is no group '%.64s' on this machine",
			    conf_where(in->conf, CONF_SYSTEM, section, "groups", where, sizeof where), group);
	if (policy_check_section(in->conf, name) != E_OK)
		say(in->f->problems, "%s", err_msg());
}

static void
look_at_file(const struct inspection *in, const char *file)
{
	struct stat st;

	if (stat(file, &st) != 0 || !S_ISREG(st.st_mode))
		return;
	if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		say(in->f->warnings, "%.300s: others than its owner can write into it (chmod 644)", file);
	if (strcmp(file, CONF_SYSTEM_PATH) == 0 && st.st_uid != 0)
		say(in->f->warnings, "%.300s: it does not belong to root", file);
	if (strcmp(file, CONF_SYSTEM_PATH) == 0 && (st.st_mode & S_IROTH) == 0)
		say(in->f->problems, "%.300s: users cannot read it (chmod 644)", file);
}

void
policy_inspect(const struct conf *conf, const char *file, struct findings *f)
{
	const struct inspection in = { .conf = conf, .f = f };
	const char *name;

	look_at_file(&in, file);
	for (size_t i = 0; (name = conf_named(conf, "issuer", i)) != NULL; i++)
		look_at_issuer(&in, name);
	look_at_roots(&in, "policy");
	for (size_t i = 0; (name = conf_named(conf, "policy", i)) != NULL; i++)
		look_at_policy(&in, name);
}
