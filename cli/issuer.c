/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An [issuer NAME] section of dpiv.conf as part of a request. A credential remembers its issuer by address; what else
 * is needed to speak to it (protocol, trust anchors, secrets) comes from the section that has this address.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/issuer.h"
#include "cli/run.h"
#include "derive/policy.h"

/* "auth=LABEL,sign=LABEL": the text is cut up in place. */
static enum err
parse_labels(char *text, struct derive_req *req)
{
	char *save = NULL;

	for (char *part = strtok_r(text, ", ", &save); part != NULL; part = strtok_r(NULL, ", ", &save)) {
		char *value = strchr(part, '=');
		enum role role;
		enum err e;

		if (value == NULL || value[1] == '\0')
			return err_set(E_CONF, "label in dpiv.conf must be like auth=LABEL,sign=LABEL, not '%s'", part);
		*value++ = '\0';
		e = role_parse(part, strlen(part), &role);
		if (e != E_OK)
			return err_up(E_CONF, "label in dpiv.conf");
		req->label[role] = value;
	}
	return E_OK;
}

static enum err
parse_tls(const char *text, enum http_tls *out)
{
	static const struct {
		const char *text;
		enum http_tls tls;
	} all[] = { { "1.2+", HTTP_TLS_12_UP }, { "1.2", HTTP_TLS_12 }, { "1.3", HTTP_TLS_13 } };

	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		if (strcmp(all[i].text, text) == 0) {
			*out = all[i].tls;
			return E_OK;
		}
	}
	return err_set(E_CONF, "tls in dpiv.conf must be 1.2, 1.3 or 1.2+, not '%s'", text);
}

/* The key that signs would be in the issuer's hands as well, or would be one that others have had. */
static enum err
check_one(const struct derive_req *req)
{
	if (req->one_certificate == NULL)
		return E_OK;
	if (req->encrypt != KEY_GENERATE)
		return err_set(E_CONF,
		    "one_certificate in dpiv.conf does not go with encrypt = serverkeygen or "
		    "recover: a key that signs is made on the token");
	return role_one_policy(req->one_certificate);
}

void
issuer_join_roles(struct derive_req *req)
{
	bool have[ROLE_COUNT] = { false };
	size_t n = 0;

	for (size_t i = 0; i < req->n_roles; i++) {
		enum role role = role_in(req->role[i], req->one_certificate);

		if (!have[role])
			req->role[n++] = role;
		have[role] = true;
	}
	req->n_roles = n;
}

enum err
issuer_section(const struct conf *conf, const char *name, struct derive_req *req, char **labels)
{
	char section[160];
	const char *label;
	enum err e;

	snprintf(section, sizeof section, "issuer %s", name);
	req->issuer = conf_str(conf, section, "url");
	if (req->issuer == NULL)
		return err_set(E_CONF,
		    "dpiv.conf has no section [issuer %s] with a url; give the issuer's https address instead", name);
	if (req->cafile == NULL)
		req->cafile = conf_str(conf, section, "cafile");
	req->protocol = conf_str(conf, section, "protocol");
	req->secret = conf_str(conf, section, "secret");
	req->reference = conf_str(conf, section, "reference");
	req->signer = conf_str(conf, section, "signer");
	req->request = conf_str(conf, section, "request");
	req->fingerprint = conf_str(conf, section, "fingerprint");
	req->weak = conf_bool(conf, section, "weak_algorithms");
	req->test_policies = conf_bool(conf, section, "test_policies");
	req->one_certificate = conf_str(conf, section, "one_certificate");
	e = key_source_parse(conf_str(conf, section, "encrypt"), &req->encrypt);
	if (e == E_OK)
		e = parse_tls(conf_str(conf, section, "tls"), &req->tls);
	if (e == E_OK)
		e = check_one(req);
	label = conf_str(conf, section, "label");
	if (e == E_OK && label != NULL) {
		*labels = strdup(label);
		e = *labels != NULL ? parse_labels(*labels, req) : err_set(E_NOMEM, "out of memory");
	}
	return e;
}

enum err
issuer_of_url(const struct conf *conf, const char *url, struct derive_req *req, char **labels)
{
	const char *name;

	for (size_t i = 0; (name = conf_named(conf, "issuer", i)) != NULL; i++) {
		char section[160];
		const char *have;

		snprintf(section, sizeof section, "issuer %s", name);
		have = conf_str(conf, section, "url");
		if (have != NULL && strcmp(have, url) == 0)
			return issuer_section(conf, name, req, labels);
	}
	req->issuer = url;
	return E_OK;
}

enum err
issuer_and_roles(const struct conf *conf, const char **issuer, const char *roles, struct derive_req *req, char **labels)
{
	struct policy *policy = NULL;
	enum err e = policy_read(conf, NULL, &policy);

	if (e == E_OK && *issuer == NULL)
		*issuer = policy_default_issuer(policy);
	if (e == E_OK && *issuer == NULL)
		e = err_set(E_USAGE, "say who issues: --issuer with a name from dpiv.conf or an https address");
	if (e == E_OK)
		e = run_roles(roles != NULL ? roles : policy_default_roles(policy), req);
	policy_free(&policy);
	if (e != E_OK)
		return e;
	return strstr(*issuer, "://") == NULL ? issuer_section(conf, *issuer, req, labels)
					      : issuer_of_url(conf, *issuer, req, labels);
}
