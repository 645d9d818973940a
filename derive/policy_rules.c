/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The keys of a policy as a table: what a value must look like, and how the user's file may differ from the
 * administrator's. The same rules hold for the keys of an [issuer NAME] that the administrator has: who could change
 * its trust anchors or its address would have another issuer under the same name.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/conf_text.h"
#include "derive/policy_int.h"
#include "derive/proto.h"

/* --- single entries ----------------------------------------------------------------------------------------------- */

static enum err
entry_role(const struct policy *p, const char *entry)
{
	enum role role;

	enum err e = role_parse(entry, strlen(entry), &role);

	(void)p;
	if (e == E_OK && role == ROLE_MAIL)
		return err_set(
		    E_CONF, "say sign, encrypt for it; one_certificate says whether that is one certificate");
	return e;
}

static enum err
entry_protocol(const struct policy *p, const char *entry)
{
	const struct proto *proto;

	(void)p;
	return proto_find(entry, &proto);
}

static enum err
word_in(const char *entry, const char *const *words, const char *all)
{
	for (; *words != NULL; words++)
		if (strcmp(entry, *words) == 0)
			return E_OK;
	return err_set(E_CONF, "'%.64s' must be %s", entry, all);
}

static enum err
entry_sign(const struct policy *p, const char *entry)
{
	static const char *const words[] = { "derived", "scep", NULL };

	(void)p;
	return word_in(entry, words, "derived or scep: a signing key is always new");
}

static enum err
entry_encrypt(const struct policy *p, const char *entry)
{
	static const char *const words[] = { "derived", "scep", "pkcs12", NULL };

	(void)p;
	return word_in(entry, words, "derived, scep or pkcs12");
}

static enum err
entry_level(const struct policy *p, const char *entry)
{
	static const char *const words[] = { "aal2", "aal3", NULL };

	(void)p;
	return word_in(entry, words, "aal2 or aal3");
}

static enum err
entry_target(const struct policy *p, const char *entry)
{
	(void)p;
	return policy_pattern_check(entry);
}

static enum err
entry_alg(const struct policy *p, const char *entry)
{
	enum token_alg alg;

	(void)p;
	return policy_alg(entry, &alg);
}

static enum err
entry_days(const struct policy *p, const char *entry)
{
	long days;

	(void)p;
	return conf_value_number(entry, &days) && days > 0 && days <= 1096
	    ? E_OK
	    : err_set(E_CONF, "'%.20s' must be a number of days, 1 to 1096", entry);
}

static enum err
entry_path(const struct policy *p, const char *entry)
{
	(void)p;
	return entry[0] == '/' ? E_OK : err_set(E_CONF, "'%.200s' must be an absolute path", entry);
}

bool
policy_has_issuer(const struct policy *p, const char *name)
{
	char section[POLICY_ENTRY_MAX + 16];

	snprintf(section, sizeof section, "issuer %s", name);
	return conf_said(p->conf, CONF_SYSTEM, section, "url") != NULL;
}

static enum err
entry_issuer(const struct policy *p, const char *entry)
{
	return policy_has_issuer(p, entry)
	    ? E_OK
	    : err_set(E_CONF, "there is no [issuer %.64s] with a url in the administrator's file", entry);
}

static const struct row {
	const char *name;
	enum policy_rule rule;
	enum err (*entry)(const struct policy *p, const char *entry); /* NULL: conf.c has looked */
	bool list;
} rows[POLICY_KEYS] = {
	[POLICY_ISSUERS] = { "issuers", RULE_NARROW, entry_issuer, true },
	[POLICY_OWN_ISSUERS] = { "own_issuers", RULE_NO, NULL, false },
	[POLICY_PROTOCOLS] = { "protocols", RULE_NARROW, entry_protocol, true },
	[POLICY_ROLES] = { "roles", RULE_NARROW, entry_role, true },
	[POLICY_REQUIRED_ROLES] = { "required_roles", RULE_WIDEN, entry_role, true },
	[POLICY_DEFAULT_ROLES] = { "default_roles", RULE_FREE, entry_role, true },
	[POLICY_SIGN] = { "sign", RULE_NARROW, entry_sign, true },
	[POLICY_ENCRYPT] = { "encrypt", RULE_NARROW, entry_encrypt, true },
	[POLICY_ONE_CERTIFICATE] = { "one_certificate", RULE_OWN, NULL, false },
	[POLICY_TARGETS] = { "targets", RULE_BOTH, entry_target, true },
	[POLICY_ALGORITHMS] = { "algorithms", RULE_NARROW, entry_alg, true },
	[POLICY_MIN_ASSURANCE] = { "min_assurance", RULE_RAISE, entry_level, false },
	[POLICY_RENEW_DAYS] = { "renew_days", RULE_RAISE, entry_days, false },
	[POLICY_RENEW_TO] = { "renew_to", RULE_FIXED, entry_issuer, false },
	[POLICY_TRUST_ROOTS] = { "trust_roots", RULE_NARROW, entry_path, true },
	[POLICY_NOTICES] = { "notices", RULE_YES, NULL, false },
};

const char *
policy_key_name(enum policy_key key)
{
	return rows[key].name;
}

enum err
policy_alg(const char *name, enum token_alg *out)
{
	char plain[40];
	size_t n = 0;

	for (const char *s = name; *s != '\0' && n + 1 < sizeof plain; s++)
		if (*s != '-' && *s != ' ')
			plain[n++] = (char)tolower((unsigned char)*s);
	plain[n] = '\0';
	return alg_parse(plain, out) == E_OK
	    ? E_OK
	    : err_set(E_USAGE, "there is no algorithm '%.40s'; they are RSA-2048, RSA-3072, P-256 and P-384", name);
}

/* --- values ------------------------------------------------------------------------------------------------------- */

static enum err
value_check(const struct policy *p, const struct policy_value *v, const struct row *row)
{
	char entry[POLICY_ENTRY_MAX], where[POLICY_WHERE_MAX];
	enum err e = E_OK;
	size_t i = 0;

	if (v->text == NULL || row->entry == NULL)
		return E_OK;
	for (; e == E_OK && row->list && policy_split(v->text, i, entry, sizeof entry); i++)
		e = strlen(entry) < sizeof entry - 1 ? row->entry(p, entry) : err_set(E_CONF, "an entry is too long");
	if (e == E_OK && !row->list)
		e = row->entry(p, v->text);
	else if (e == E_OK && i == 0)
		e = err_set(E_CONF, "the list is empty, which would forbid everything");
	policy_value_where(p, v, row->name, where, sizeof where);
	return e == E_OK ? E_OK : err_up(E_CONF, "%s: %s", where, row->name);
}

static bool
list_has(const char *list, const char *entry, bool algorithms)
{
	char have[POLICY_ENTRY_MAX];
	enum token_alg a, b;

	for (size_t i = 0; policy_split(list, i, have, sizeof have); i++)
		if (strcmp(have, entry) == 0 ||
		    (algorithms && policy_alg(have, &a) == E_OK && policy_alg(entry, &b) == E_OK && a == b))
			return true;
	return false;
}

/* Is every entry of one list in the other? */
static bool
list_within(const char *list, const char *in, bool algorithms)
{
	char entry[POLICY_ENTRY_MAX];

	for (size_t i = 0; policy_split(list, i, entry, sizeof entry); i++)
		if (!list_has(in, entry, algorithms))
			return false;
	return true;
}

/* Values that contradict each other. */
static enum err
within(const struct policy *p, enum policy_key inner, enum policy_key outer)
{
	const char *list = policy_text(p, inner), *in = policy_text(p, outer);
	char a[POLICY_WHERE_MAX], b[POLICY_WHERE_MAX];

	if (list == NULL || in == NULL || list_within(list, in, false))
		return E_OK;
	if (inner == POLICY_DEFAULT_ROLES && p->user[inner].text == NULL && p->user[outer].text != NULL)
		return E_OK; /* the user leaves some of them out: policy_default_roles() does too */
	return err_set(E_CONF, "%s: %s = %.200s has what %s (%s = %.200s) does not have",
	    policy_where(p, inner, a, sizeof a), rows[inner].name, list, policy_where(p, outer, b, sizeof b),
	    rows[outer].name, in);
}

/* An issuer that is allowed, by a protocol that is not. */
static enum err
issuers_speak(const struct policy *p)
{
	char name[POLICY_ENTRY_MAX], section[POLICY_ENTRY_MAX + 16], where[POLICY_WHERE_MAX];

	for (size_t i = 0; policy_entry(p, POLICY_ISSUERS, i, name, sizeof name); i++) {
		snprintf(section, sizeof section, "issuer %s", name);
		if (!policy_allows(p, POLICY_PROTOCOLS, conf_str(p->conf, section, "protocol")))
			return err_set(E_CONF,
			    "%s: issuers has %.64s, whose protocol %s is not among protocols = %.100s",
			    policy_where(p, POLICY_ISSUERS, where, sizeof where), name,
			    conf_str(p->conf, section, "protocol"), policy_text(p, POLICY_PROTOCOLS));
	}
	return E_OK;
}

enum err
policy_check_values(const struct policy *p)
{
	enum err e = E_OK;

	for (size_t k = 0; e == E_OK && k < POLICY_KEYS; k++)
		e = value_check(p, &p->admin[k], &rows[k]);
	for (size_t k = 0; e == E_OK && k < POLICY_KEYS; k++)
		e = value_check(p, &p->user[k], &rows[k]);
	if (e == E_OK)
		e = within(p, POLICY_REQUIRED_ROLES, POLICY_ROLES);
	if (e == E_OK)
		e = within(p, POLICY_DEFAULT_ROLES, POLICY_ROLES);
	if (e == E_OK)
		e = within(p, POLICY_RENEW_TO, POLICY_ISSUERS);
	return e == E_OK ? issuers_speak(p) : e;
}

/* --- the user's file against the administrator's ------------------------------------------------------------------ */

static bool
lowers(const char *admin, const char *user)
{
	long a, b;

	if (conf_value_number(admin, &a) && conf_value_number(user, &b))
		return b < a;
	return strcmp(user, admin) < 0; /* aal2, aal3 */
}

bool
policy_loosens(enum policy_rule rule, bool algorithms, const char *admin, const char *user)
{
	if (user == NULL || (admin == NULL && rule != RULE_FIXED && rule != RULE_NO && rule != RULE_TLS))
		return false;
	switch (rule) {
	case RULE_NARROW: return !list_within(user, admin, algorithms);
	case RULE_WIDEN: return !list_within(admin, user, algorithms);
	case RULE_RAISE: return lowers(admin, user);
	case RULE_YES: return conf_value_bool(admin) == 1 && conf_value_bool(user) != 1;
	case RULE_NO: return conf_value_bool(user) != 0 && (admin == NULL || conf_value_bool(admin) != 1);
	case RULE_FIXED: return admin == NULL || strcmp(admin, user) != 0;
	case RULE_OWN: return strcmp(admin, user) != 0;
	case RULE_TLS:
		return admin == NULL || strcmp(admin, "1.2+") == 0
		    ? strcmp(user, "1.2+") != 0 && strcmp(user, "1.3") != 0
		    : strcmp(admin, user) != 0;
	default: return false;
	}
}

static const char *const rule_texts[] = {
	[RULE_NARROW] = "entries can only be left out",
	[RULE_WIDEN] = "entries can only be added",
	[RULE_RAISE] = "it can only be raised",
	[RULE_YES] = "it can only be switched on",
	[RULE_NO] = "it can only be switched off",
	[RULE_FIXED] = "it is the administrator's alone",
	[RULE_OWN] = "it is the administrator's",
	[RULE_TLS] = "it can only become 1.3",
	[RULE_BOTH] = "",
	[RULE_FREE] = "",
};

/* One key of one section in both files. at: the administrator's section, when it has another name. */
static enum err
key_check(const struct policy *p, const char *section, const char *key, enum policy_rule rule,
    const struct policy_value *admin)
{
	const char *user = conf_said(p->conf, CONF_USER, section, key);
	char a[POLICY_WHERE_MAX], u[POLICY_WHERE_MAX];

	if (!policy_loosens(rule, strcmp(key, "algorithms") == 0, admin->text, user))
		return E_OK;
	conf_where(p->conf, CONF_USER, section, key, u, sizeof u);
	if (admin->text != NULL)
		return err_set(E_POLICY, "%s: %s = %.200s loosens %s: %s = %.200s; %s", u, key, user,
		    policy_value_where(p, admin, key, a, sizeof a), key, admin->text, rule_texts[rule]);
	return err_set(E_POLICY, "%s: %s = %.200s loosens %s, which has no %s there; %s", u, key, user,
	    conf_where(p->conf, CONF_SYSTEM, section, NULL, a, sizeof a), key, rule_texts[rule]);
}

static const struct {
	const char *key;
	enum policy_rule rule;
} issuer_rules[] = {
	{ "url", RULE_FIXED },
	{ "protocol", RULE_FIXED },
	{ "cafile", RULE_FIXED },
	{ "signer", RULE_FIXED },
	{ "fingerprint", RULE_FIXED },
	{ "request", RULE_FIXED },
	{ "label", RULE_FIXED },
	{ "encrypt", RULE_FIXED },
	{ "one_certificate", RULE_FIXED },
	{ "secret", RULE_OWN },
	{ "reference", RULE_OWN },
	{ "tls", RULE_TLS },
	{ "weak_algorithms", RULE_NO },
	{ "test_policies", RULE_NO },
};

bool
policy_issuer_rule(const char *key, enum policy_rule *out)
{
	for (size_t i = 0; i < sizeof issuer_rules / sizeof issuer_rules[0]; i++) {
		if (strcmp(issuer_rules[i].key, key) == 0) {
			*out = issuer_rules[i].rule;
			return true;
		}
	}
	return false;
}

static enum err
issuer_check(const struct policy *p, const char *name)
{
	char section[POLICY_SECTION_MAX];
	enum err e = E_OK;

	if (snprintf(section, sizeof section, "issuer %s", name) >= (int)sizeof section)
		return err_set(E_CONF, "the name of an [issuer NAME] is too long");
	if (!conf_has(p->conf, CONF_SYSTEM, section))
		return E_OK;
	for (size_t i = 0; e == E_OK && i < sizeof issuer_rules / sizeof issuer_rules[0]; i++) {
		const char *key = issuer_rules[i].key;
		struct policy_value admin = { .text = conf_said(p->conf, CONF_SYSTEM, section, key),
			.layer = CONF_SYSTEM };

		snprintf(admin.section, sizeof admin.section, "%s", section);
		e = key_check(p, section, key, issuer_rules[i].rule, &admin);
	}
	return e;
}

/* own_issuers is no where there is a list and nothing else is said. */
static enum policy_rule
rule_of(const struct policy *p, enum policy_key key)
{
	return key == POLICY_OWN_ISSUERS && p->admin[POLICY_ISSUERS].text == NULL &&
		p->admin[POLICY_OWN_ISSUERS].text == NULL
	    ? RULE_FREE
	    : rows[key].rule;
}

enum err
policy_check_user(const struct policy *p)
{
	const char *name;
	enum err e = E_OK;

	for (size_t k = 0; e == E_OK && k < POLICY_KEYS; k++)
		e = key_check(p, "policy", rows[k].name, rule_of(p, (enum policy_key)k), &p->admin[k]);
	for (size_t i = 0; e == E_OK && (name = conf_named(p->conf, "issuer", i)) != NULL; i++)
		e = issuer_check(p, name);
	return e == E_OK ? key_check(p, "derive", "renew_days", RULE_RAISE, &p->admin[POLICY_RENEW_DAYS]) : e;
}
