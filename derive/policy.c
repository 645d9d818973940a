/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The policy that holds for one person: the sections of the administrator's file that are for him, key by key, the
 * first that says something, and the user's own [policy]. Here values are found; policy_rules.c says which are right
 * and which loosen, policy_judge.c what follows from them.
 *
 * dpiv is a program of the person who runs it, so this guides honest people and stops mistakes; what must hold against
 * everybody, the issuer has to enforce.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/conf_text.h"
#include "derive/policy_int.h"

bool
policy_split(const char *text, size_t i, char *out, size_t cap)
{
	for (; text != NULL && *text != '\0'; text += *text == ',') {
		const char *from = text + strspn(text, " \t,");
		size_t n = strcspn(from, ","), len = n;

		while (len > 0 && (from[len - 1] == ' ' || from[len - 1] == '\t'))
			len--;
		text = from + n;
		if (len > 0 && i-- == 0) {
			snprintf(out, cap, "%.*s", (int)len, from);
			return true;
		}
	}
	return false;
}

static void
value_take(const struct policy *p, struct policy_value *v, enum conf_layer layer, const char *section, const char *key)
{
	if (v->text == NULL && (v->text = conf_said(p->conf, layer, section, key)) != NULL) {
		v->layer = layer;
		snprintf(v->section, sizeof v->section, "%s", section);
	}
}

static void
section_take(struct policy *p, struct policy_value *values, enum conf_layer layer, const char *section)
{
	for (size_t k = 0; k < POLICY_KEYS; k++)
		value_take(p, &values[k], layer, section, policy_key_name((enum policy_key)k));
	p->any = p->any || conf_has(p->conf, layer, section);
}

static bool
groups_have(const char *groups, const struct policy_person *person)
{
	char group[POLICY_ENTRY_MAX];

	for (size_t i = 0; policy_split(groups, i, group, sizeof group); i++)
		if (policy_person_in(person, group))
			return true;
	return false;
}

/* One [policy NAME]. */
static enum err
section_for(struct policy *p, const char *name, const struct policy_person *person)
{
	char section[POLICY_SECTION_MAX], where[POLICY_WHERE_MAX];
	const char *groups;

	if (snprintf(section, sizeof section, "policy %s", name) >= (int)sizeof section)
		return err_set(E_CONF, "the name of a [policy NAME] is too long");
	if (conf_has(p->conf, CONF_USER, section))
		return err_set(E_CONF, "%s: [%s] can only stand in " CONF_SYSTEM_PATH "; a user's file has [policy]",
		    conf_where(p->conf, CONF_USER, section, NULL, where, sizeof where), section);
	groups = conf_said(p->conf, CONF_SYSTEM, section, "groups");
	if (groups == NULL)
		return err_set(E_CONF, "%s: [%s] needs groups = NAME,...: whom it is for",
		    conf_where(p->conf, CONF_SYSTEM, section, NULL, where, sizeof where), section);
	if (groups_have(groups, person))
		section_take(p, p->admin, CONF_SYSTEM, section);
	return E_OK;
}

static enum err
values_find(struct policy *p, const char *user)
{
	struct policy_person person = { .n = 0 };
	const char *name;
	/* a directory may be slow to answer: it is asked only when it matters */
	enum err e = user != NULL || conf_named(p->conf, "policy", 0) != NULL ? policy_person(user, &person) : E_OK;

	for (size_t i = 0; e == E_OK && (name = conf_named(p->conf, "policy", i)) != NULL; i++)
		e = section_for(p, name, &person);
	policy_person_free(&person);
	if (e == E_OK)
		section_take(p, p->admin, CONF_SYSTEM, "policy");
	if (e == E_OK)
		section_take(p, p->user, CONF_USER, "policy");
	return e;
}

/* The user may have left out some of the roles that are derived when nobody says which. */
static void
roles_find(struct policy *p)
{
	char role[POLICY_ENTRY_MAX];
	size_t n = 0;

	for (size_t i = 0; policy_entry(p, POLICY_DEFAULT_ROLES, i, role, sizeof role); i++)
		if (policy_allows(p, POLICY_ROLES, role) && n + strlen(role) + 2 < sizeof p->roles)
			n += (size_t)snprintf(p->roles + n, sizeof p->roles - n, "%s%s", n > 0 ? "," : "", role);
}

enum err
policy_read(const struct conf *conf, const char *user, struct policy **out)
{
	struct policy *p = calloc(1, sizeof *p);
	enum err e;

	*out = NULL;
	if (p == NULL)
		return err_set(E_NOMEM, "out of memory");
	p->conf = conf;
	e = values_find(p, user);
	if (e == E_OK)
		e = policy_check_values(p);
	if (e == E_OK && p->any)
		e = policy_check_user(p);
	if (e == E_OK)
		roles_find(p);
	if (e == E_OK)
		*out = p;
	else
		policy_free(&p);
	return e;
}

enum err
policy_check_section(const struct conf *conf, const char *name)
{
	struct policy p = { .conf = conf };
	char section[POLICY_SECTION_MAX];

	snprintf(section, sizeof section, "policy %s", name);
	section_take(&p, p.admin, CONF_SYSTEM, section);
	section_take(&p, p.admin, CONF_SYSTEM, "policy");
	return policy_check_values(&p);
}

enum err
policy_load(struct policy **out)
{
	struct conf *conf = NULL;
	enum err e = conf_load(&conf);

	*out = NULL;
	if (e == E_OK)
		e = policy_read(conf, NULL, out);
	if (e == E_OK)
		(*out)->owned = conf;
	else
		conf_free(&conf);
	return e;
}

void
policy_free(struct policy **p)
{
	if (*p == NULL)
		return;
	conf_free(&(*p)->owned);
	free(*p);
	*p = NULL;
}

/* --- what holds --------------------------------------------------------------------------------------------------- */

bool
policy_exists(const struct policy *p)
{
	return p != NULL && p->any;
}

static const struct policy_value *
value_of(const struct policy *p, enum policy_key key)
{
	static const struct policy_value none;

	if (p == NULL)
		return &none;
	return p->user[key].text != NULL ? &p->user[key] : &p->admin[key];
}

const char *
policy_text(const struct policy *p, enum policy_key key)
{
	return value_of(p, key)->text;
}

char *
policy_value_where(const struct policy *p, const struct policy_value *v, const char *key, char *out, size_t cap)
{
	out[0] = '\0';
	return v->text != NULL ? conf_where(p->conf, v->layer, v->section, key, out, cap) : out;
}

char *
policy_where(const struct policy *p, enum policy_key key, char *out, size_t cap)
{
	return policy_value_where(p, value_of(p, key), policy_key_name(key), out, cap);
}

bool
policy_entry(const struct policy *p, enum policy_key key, size_t i, char *out, size_t cap)
{
	return policy_split(policy_text(p, key), i, out, cap);
}

bool
policy_allows(const struct policy *p, enum policy_key key, const char *what)
{
	char entry[POLICY_ENTRY_MAX];

	if (policy_text(p, key) == NULL)
		return true;
	for (size_t i = 0; policy_entry(p, key, i, entry, sizeof entry); i++)
		if (strcmp(entry, what) == 0)
			return true;
	return false;
}

long
policy_renew_days(const struct policy *p)
{
	const char *text = policy_text(p, POLICY_RENEW_DAYS);
	long days = conf_num(p != NULL ? p->conf : NULL, "derive", "renew_days"), least = 0;

	return text != NULL && conf_value_number(text, &least) && least > days ? least : days;
}

long
policy_soon_days(const struct conf *conf)
{
	struct policy *p = NULL;
	long days = policy_read(conf, NULL, &p) == E_OK ? policy_renew_days(p) : conf_num(conf, "derive", "renew_days");

	policy_free(&p);
	return days;
}

const char *
policy_renew_to(const struct policy *p)
{
	return policy_text(p, POLICY_RENEW_TO);
}

const char *
policy_default_roles(const struct policy *p)
{
	const struct conf *conf = p != NULL ? p->conf : NULL;
	const char *said = conf_said(conf, CONF_USER, "derive", "roles");

	if (said == NULL)
		said = p != NULL && p->roles[0] != '\0' ? p->roles : policy_text(p, POLICY_REQUIRED_ROLES);
	return said != NULL ? said : conf_str(conf, "derive", "roles");
}

const char *
policy_default_issuer(const struct policy *p)
{
	const char *said = conf_str(p != NULL ? p->conf : NULL, "derive", "issuer"), *name = NULL;
	char first[POLICY_ENTRY_MAX];

	if (said != NULL || !policy_entry(p, POLICY_ISSUERS, 0, first, sizeof first))
		return said;
	for (size_t i = 0; (name = conf_named(p->conf, "issuer", i)) != NULL; i++)
		if (strcmp(name, first) == 0)
			break;
	return name;
}

bool
policy_notices(const struct policy *p)
{
	const char *text = policy_text(p, POLICY_NOTICES);

	return text == NULL || conf_value_bool(text) != 0;
}

int
policy_min_assurance(const struct policy *p)
{
	const char *text = policy_text(p, POLICY_MIN_ASSURANCE);

	return text == NULL ? 0 : strcmp(text, "aal3") == 0 ? 3 : 2;
}
