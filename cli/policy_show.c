/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a policy does to one person: one tree, as JSON for programs, and on one screen for people.
 */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "base/conf_text.h"
#include "cli/policy.h"

#define WHERE_MAX 4200

/* --- the tree ----------------------------------------------------------------------------------------------------- */

static json_t *
safe_string(const char *s)
{
	char safe[600];

	return s != NULL ? json_string(text_safe(span_str(s), safe, sizeof safe)) : json_null();
}

static json_t *
list_of(const struct policy *p, enum policy_key key)
{
	char entry[POLICY_ENTRY_MAX];
	json_t *list;

	if (policy_text(p, key) == NULL)
		return json_null();
	list = json_array();
	for (size_t i = 0; policy_entry(p, key, i, entry, sizeof entry); i++)
		json_array_append_new(list, safe_string(entry));
	return list;
}

/* Every issuer of the file, and whether it may be used. */
static json_t *
issuers_of(const struct conf *conf, const struct policy *p)
{
	json_t *list = json_array();
	const char *name;
	char section[160];

	for (size_t i = 0; (name = conf_named(conf, "issuer", i)) != NULL; i++) {
		snprintf(section, sizeof section, "issuer %.100s", name);
		json_array_append_new(list,
		    json_pack("{s:o, s:o, s:o, s:o, s:o, s:b}", "name", safe_string(name), "url",
			safe_string(conf_str(conf, section, "url")), "protocol",
			safe_string(conf_str(conf, section, "protocol")), "tls",
			safe_string(conf_str(conf, section, "tls")), "cafile",
			safe_string(conf_str(conf, section, "cafile")), "allowed",
			policy_allows(p, POLICY_ISSUERS, name)));
	}
	return list;
}

/* Where each key is set. */
static json_t *
lines_of(const struct policy *p)
{
	json_t *lines = json_object();
	char where[WHERE_MAX];

	for (size_t k = 0; k < POLICY_KEYS; k++)
		if (policy_text(p, (enum policy_key)k) != NULL)
			json_object_set_new(lines, policy_key_name((enum policy_key)k),
			    safe_string(policy_where(p, (enum policy_key)k, where, sizeof where)));
	return lines;
}

json_t *
policy_tree(const struct conf *conf, const struct policy *p)
{
	static const enum policy_key lists[] = { POLICY_PROTOCOLS, POLICY_ROLES, POLICY_REQUIRED_ROLES, POLICY_SIGN,
		POLICY_ENCRYPT, POLICY_TARGETS, POLICY_ALGORITHMS, POLICY_TRUST_ROOTS };
	const char *own = policy_text(p, POLICY_OWN_ISSUERS), *one = policy_text(p, POLICY_ONE_CERTIFICATE);
	json_t *tree = json_pack("{s:b, s:o, s:b, s:o, s:o, s:o, s:I, s:o, s:b, s:o}", "policy", policy_exists(p),
	    "issuers", issuers_of(conf, p), "own_issuers",
	    policy_text(p, POLICY_ISSUERS) == NULL || (own != NULL && strcmp(own, "yes") == 0), "default_issuer",
	    safe_string(policy_default_issuer(p)), "default_roles", safe_string(policy_default_roles(p)),
	    "min_assurance", safe_string(policy_text(p, POLICY_MIN_ASSURANCE)), "renew_days",
	    (json_int_t)policy_renew_days(p), "renew_to", safe_string(policy_renew_to(p)), "notices", policy_notices(p),
	    "set_at", lines_of(p));

	for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
		json_object_set_new(tree, policy_key_name(lists[i]), list_of(p, lists[i]));
	json_object_set_new(
	    tree, "one_certificate", one != NULL ? json_boolean(conf_value_bool(one) == 1) : json_null());
	return tree;
}

/* --- for people --------------------------------------------------------------------------------------------------- */

static const char *
word(const json_t *tree, const char *key)
{
	const char *s = json_string_value(json_object_get(tree, key));

	return s != NULL ? s : "";
}

/* Words for what a list may have in it; a word without a text stands for itself. */
static const struct {
	const char *key, *entry, *text;
} words[] = {
	{ "targets", "piv", "PIV cards and tokens" },
	{ "sign", "derived", "derived from the PIV card" },
	{ "sign", "scep", "by SCEP" },
	{ "encrypt", "derived", "derived from the PIV card" },
	{ "encrypt", "scep", "by SCEP" },
	{ "encrypt", "pkcs12", "imported from PKCS#12 files" },
};

static const char *
word_for(const char *key, const char *entry)
{
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (strcmp(words[i].key, key) == 0 && strcmp(words[i].entry, entry) == 0)
			return words[i].text;
	return entry;
}

static void
print_list(const json_t *tree, const char *key, const char *separator, const char *none)
{
	const json_t *list = json_object_get(tree, key);

	if (!json_is_array(list))
		fputs(none, stdout);
	for (size_t i = 0; i < json_array_size(list); i++)
		printf("%s%s", i > 0 ? separator : "", word_for(key, json_string_value(json_array_get(list, i))));
}

/* " (line 12)" after what is set somewhere. */
static void
print_line(const json_t *tree, const char *key)
{
	const char *where = json_string_value(json_object_get(json_object_get(tree, "set_at"), key));
	const char *colon = where != NULL ? strrchr(where, ':') : NULL;

	if (colon != NULL)
		printf("  [line %s]", colon + 1);
	putchar('\n');
}

static void
print_row(const json_t *tree, const char *head, const char *key, const char *separator, const char *none)
{
	printf("  %-11s ", head);
	print_list(tree, key, separator, none);
	print_line(tree, key);
}

static void
print_issuers(const json_t *tree)
{
	const json_t *all = json_object_get(tree, "issuers");
	const char *head = "issuers";

	for (size_t i = 0; i < json_array_size(all); i++) {
		const json_t *o = json_array_get(all, i);

		if (!json_is_true(json_object_get(o, "allowed")))
			continue;
		printf("  %-11s %s: %s by %s, TLS %s, trusted by %s\n", head, word(o, "name"), word(o, "url"),
		    word(o, "protocol"), word(o, "tls"),
		    *word(o, "cafile") != '\0' ? word(o, "cafile") : "the system's anchors");
		head = "";
	}
	printf("  %-11s %s", head,
	    json_is_true(json_object_get(tree, "own_issuers")) ? "any other that the user names" : "no other one");
	print_line(tree, "issuers");
}

static void
print_roles(const json_t *tree)
{
	const json_t *one = json_object_get(tree, "one_certificate");

	print_row(tree, "roles", "roles", ", ", "auth, sign, encrypt");
	if (json_is_array(json_object_get(tree, "required_roles")))
		print_row(tree, "  required", "required_roles", ", ", "");
	printf("  %-11s %s", "  default", word(tree, "default_roles"));
	print_line(tree, "default_roles");
	print_row(tree, "signing", "sign", ", or ", "derived from the PIV card, or by SCEP");
	print_row(tree, "encryption", "encrypt", ", or ",
	    "derived from the PIV card, by SCEP, or imported from PKCS#12 files");
	printf("  %-11s %s", "for both",
	    json_is_null(one)	    ? "one certificate or separate ones, as the issuer has it"
		: json_is_true(one) ? "one certificate"
				    : "separate certificates");
	print_line(tree, "one_certificate");
}

static void
print_keys(const json_t *tree)
{
	const char *to = word(tree, "renew_to"), *least = word(tree, "min_assurance");

	print_row(tree, "tokens", "targets", "\n              ", "any");
	print_row(tree, "new keys", "algorithms", ", ", "what the issuer takes");
	printf("  %-11s %s", "assurance",
	    strcmp(least, "aal3") == 0 ? "AAL3"
		: *least != '\0'       ? "AAL2 at least"
				       : "whatever the token carries");
	print_line(tree, "min_assurance");
	printf("  %-11s %lld days before expiry, %s%s", "renewal",
	    (long long)json_integer_value(json_object_get(tree, "renew_days")),
	    *to != '\0' ? "moving to issuer " : "at the issuer they came from", to);
	print_line(tree, *to != '\0' ? "renew_to" : "renew_days");
	print_row(tree, "roots", "trust_roots", ", ", "none for programs");
	printf("  %-11s %s", "notices", json_is_true(json_object_get(tree, "notices")) ? "on" : "off");
	print_line(tree, "notices");
}

static void
print_free(const json_t *tree)
{
	printf("\nStill the user's choice, in ~/.config/dpiv/dpiv.conf or on the command line:\n"
	       "  which of these issuers, roles, tokens and kinds of keys; fewer of them; renewal\n"
	       "  earlier; TLS 1.3 only%s.\n",
	    json_is_true(json_object_get(tree, "own_issuers")) ? "; other issuers, with trust anchors of their own"
							       : "");
}

static void
print_all(const json_t *list, const char *what)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		printf("%s %s\n", what, json_string_value(json_array_get(list, i)));
}

void
policy_print(const json_t *tree)
{
	const json_t *problems = json_object_get(tree, "problems");

	print_all(problems, "wrong:  ");
	print_all(json_object_get(tree, "warnings"), "look at:");
	if (json_array_size(problems) > 0)
		printf("%s %s\n", word(tree, "file"),
		    json_is_true(json_object_get(tree, "valid")) ? "is valid, but your own file does not go with it"
								 : "is not right");
	if (json_array_size(problems) > 0 || json_object_get(tree, "policy") == NULL)
		return;
	if (!json_is_true(json_object_get(tree, "policy"))) {
		printf("%s is valid. There is no policy in it for %s, who may do everything.\n", word(tree, "file"),
		    word(tree, "user"));
		return;
	}
	printf("%s is valid. What it does to %s:\n\n", word(tree, "file"), word(tree, "user"));
	print_issuers(tree);
	print_roles(tree);
	print_keys(tree);
	print_free(tree);
}
