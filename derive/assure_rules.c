/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The administrator's list of validated models: the [assurance NAME] sections of /etc/dpiv/dpiv.conf. Only of that
 * file, whatever DPIV_CONF says: a list that the person could write would be the person's word. A section has to name a
 * manufacturer and a model, so that nothing is listed by an oversight.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "derive/assure.h"
#include "derive/cert.h"

static enum err
rule_read(const struct conf *conf, const char *name, struct assure_rule *r)
{
	char section[160];
	const char *roots;

	snprintf(section, sizeof section, "assurance %s", name);
	snprintf(r->name, sizeof r->name, "%s", name);
	r->manufacturer = conf_str(conf, section, "manufacturer");
	r->model = conf_str(conf, section, "model");
	r->firmware = conf_str(conf, section, "firmware");
	r->serial = conf_str(conf, section, "serial");
	roots = conf_str(conf, section, "attestation_roots");
	if (r->manufacturer == NULL || r->model == NULL)
		return err_set(E_CONF,
		    "[%s] needs a manufacturer and a model; dpiv status --json tells those of a token", section);
	return roots != NULL ? cert_read_file(roots, &r->roots) : E_OK;
}

static enum err
rule_add(struct assure_rules *all, const char *name)
{
	struct assure_rule *grown = realloc(all->rule, (all->n + 1) * sizeof *grown);

	if (grown == NULL)
		return err_set(E_NOMEM, "out of memory");
	all->rule = grown;
	memset(&grown[all->n], 0, sizeof *grown);
	return rule_read(all->conf, name, &grown[all->n++]);
}

enum err
assure_rules_load(const char *path, struct assure_rules *out)
{
	const char *name;
	enum err e;

	memset(out, 0, sizeof *out);
	e = conf_load_file(path != NULL ? path : CONF_SYSTEM_PATH, &out->conf);
	if (e == E_NOTFOUND)
		return E_OK;
	for (size_t i = 0; e == E_OK && (name = conf_named(out->conf, "assurance", i)) != NULL; i++)
		e = rule_add(out, name);
	if (e != E_OK)
		assure_rules_free(out);
	return e;
}

void
assure_rules_free(struct assure_rules *r)
{
	for (size_t i = 0; i < r->n; i++)
		sk_X509_pop_free(r->rule[i].roots, X509_free);
	free(r->rule);
	conf_free(&r->conf);
	memset(r, 0, sizeof *r);
}
