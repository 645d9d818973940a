/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_DERIVE_POLICY_INT_H
#define DPIV_DERIVE_POLICY_INT_H

#include "base/bytes.h"
#include "derive/policy.h"

/* Inside of the policy*.c files, and of their tests. */

#define POLICY_SECTION_MAX 160
#define POLICY_WHERE_MAX   4200

/* A value and where it stands. text NULL: nowhere. */
struct policy_value {
	const char *text;
	char section[POLICY_SECTION_MAX];
	enum conf_layer layer;
};

struct policy {
	struct conf *owned; /* conf, when policy_load() read it */
	const struct conf *conf;
	struct policy_value admin[POLICY_KEYS], user[POLICY_KEYS];
	char roles[64]; /* default_roles, as far as the user's roles go */
	bool any;
};

/* How the user's value may differ from the administrator's. */
enum policy_rule {
	RULE_NARROW, /* a list: entries may be left out */
	RULE_WIDEN,  /* a list: entries may be added */
	RULE_BOTH,   /* a list: what is in both holds */
	RULE_RAISE,  /* a number, or aal2 and aal3 */
	RULE_YES,    /* may be switched on */
	RULE_NO,     /* may be switched off */
	RULE_FIXED,  /* is the administrator's */
	RULE_OWN,    /* is the administrator's where he says it, else the user's */
	RULE_TLS,    /* 1.2+ may become 1.3 */
	RULE_FREE
};

/* policy_rules.c */
/* Does this loosen what the administrator said (NULL: nothing)? */
bool policy_loosens(enum policy_rule rule, bool algorithms, const char *admin, const char *user);
/* How a key of an [issuer NAME] of the administrator may differ; false: there is no such key. */
bool policy_issuer_rule(const char *key, enum policy_rule *out);
/* Each value by itself and all together; then the user's file against the administrator's. */
enum err policy_check_values(const struct policy *p) MUST_CHECK;
enum err policy_check_user(const struct policy *p) MUST_CHECK;
/* "1.2": a key of policy_value's, where it says so. */
char *policy_value_where(const struct policy *p, const struct policy_value *v, const char *key, char *out, size_t cap);
/* Names as in SP 800-78-5, with or without blank and hyphen. E_USAGE. */
enum err policy_alg(const char *name, enum token_alg *out) MUST_CHECK;
/* Is there an [issuer NAME] of the administrator's? */
bool policy_has_issuer(const struct policy *p, const char *name);

/* policy_group.c: the groups of one person; NULL: who runs this. */
struct policy_person {
	unsigned *gid;
	size_t n;
};
enum err policy_person(const char *user, struct policy_person *out) MUST_CHECK;
void policy_person_free(struct policy_person *p);
bool policy_person_in(const struct policy_person *p, const char *group);

/* policy_target.c */
struct policy_target {
	const char *token, *manufacturer, *model, *serial;
	const char *module, *module_real; /* as it was named, and without symbolic links */
	bool piv;			  /* reached by dpiv's own module */
};
/* Is this a pattern: "piv", or a token URI in whose values * stands for anything? E_CONF. */
enum err policy_pattern_check(const char *pattern) MUST_CHECK;
bool policy_pattern_match(const char *pattern, const struct policy_target *t);

#endif
