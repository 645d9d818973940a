/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Patterns of tokens: an RFC 7512 URI with token, manufacturer, model, serial and module-path, in whose values a *
 * stands for any number of characters (%2A for a star). Every attribute that the pattern names must match; one that it
 * does not know is an error and not a wider match. "piv" is every card or token that dpiv's own module reaches. Commas
 * separate patterns in dpiv.conf, so that one in a value is %2C.
 */
#include <string.h>

#include "base/text.h"
#include "derive/policy_int.h"

#define SCHEME "pkcs11:"

/* One character of a pattern: its value, or STAR; BAD when it is malformed. */
enum { STAR = 256, BAD = -1 };

static int
pattern_char(struct span *in)
{
	struct span c;
	int hi, lo;

	if (!span_take(in, 1, &c))
		return BAD;
	if (c.p[0] == '*')
		return STAR;
	if (c.p[0] != '%')
		return c.p[0];
	if (!span_take(in, 2, &c))
		return BAD;
	hi = text_hex_digit(c.p[0]);
	lo = text_hex_digit(c.p[1]);
	return hi < 0 || lo < 0 ? BAD : hi << 4 | lo;
}

/* As in a shell: after a star the shortest match is tried, and made longer from there. */
static bool
glob(struct span pattern, struct span text)
{
	struct span star = { 0 }, from = { 0 };
	bool starred = false;

	for (;;) {
		struct span here = pattern;
		int c = here.n > 0 ? pattern_char(&here) : BAD;

		if (pattern.n == 0 && text.n == 0)
			return true;
		if (c == STAR) {
			starred = true;
			star = pattern = here;
			from = text;
		} else if (c != BAD && text.n > 0 && text.p[0] == c) {
			pattern = here;
			(void)span_skip(&text, 1);
		} else {
			if (!starred || !span_skip(&from, 1))
				return false;
			pattern = star;
			text = from;
		}
	}
}

/* The next "name=value" of a URI; false: there are no more. where: the separator before it. */
static bool
attribute_next(struct span *in, struct span *name, struct span *value)
{
	const char *stop = memchr(in->p, '?', in->n) != NULL ? ";?" : ";&";
	struct span part, eq;
	size_t n = 0;

	if (in->n == 0)
		return false;
	while (n < in->n && strchr(stop, in->p[n]) == NULL)
		n++;
	(void)span_take(in, n, &part);
	(void)span_skip(in, 1);
	eq = part;
	while (eq.n > 0 && eq.p[0] != '=')
		(void)span_skip(&eq, 1);
	(void)span_take(&part, part.n - eq.n, name);
	(void)span_skip(&eq, 1);
	*value = eq;
	return true;
}

/* The attributes of a pattern that is not "piv"; false: it is none. */
static bool
attributes_of(const char *pattern, struct span *out)
{
	*out = span_str(pattern);
	if (!span_starts(*out, SCHEME, sizeof SCHEME - 1) || !span_skip(out, sizeof SCHEME - 1))
		return false;
	if (span_starts(*out, "?", 1))
		(void)span_skip(out, 1);
	return true;
}

/* What of the token an attribute is compared with; NULL: there is no such attribute. */
static const char *const *
attribute_of(struct span name, const struct policy_target *t)
{
	const struct {
		const char *name;
		const char *const *value;
	} all[] = {
		{ "token", &t->token },
		{ "manufacturer", &t->manufacturer },
		{ "model", &t->model },
		{ "serial", &t->serial },
		{ "module-path", &t->module },
	};

	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
		if (span_eq(name, span_str(all[i].name)))
			return all[i].value;
	return NULL;
}

enum err
policy_pattern_check(const char *pattern)
{
	static const struct policy_target none;
	struct span in, name, value;
	char safe[80];

	if (strcmp(pattern, "piv") == 0)
		return E_OK;
	if (!attributes_of(pattern, &in))
		return err_set(
		    E_CONF, "'%s' must be piv, or begin with pkcs11:", text_safe(span_str(pattern), safe, sizeof safe));
	if (in.n == 0)
		return err_set(E_CONF, "pkcs11: alone would be every token; leave targets away for that");
	while (attribute_next(&in, &name, &value)) {
		if (attribute_of(name, &none) == NULL)
			return err_set(E_CONF,
			    "'%s' is not token, manufacturer, model, serial or module-path, which tell tokens apart",
			    text_safe(name, safe, sizeof safe));
		if (value.n == 0)
			return err_set(E_CONF, "'%s' has no value", text_safe(name, safe, sizeof safe));
		while (value.n > 0)
			if (pattern_char(&value) == BAD)
				return err_set(E_CONF, "after %% come two hexadecimal digits");
	}
	return E_OK;
}

/* By either name. One with ".." in it could lead anywhere from where the pattern says. */
static bool
module_matches(struct span value, const struct policy_target *t)
{
	return (strstr(t->module, "/..") == NULL && glob(value, span_str(t->module))) ||
	    (t->module_real != NULL && glob(value, span_str(t->module_real)));
}

bool
policy_pattern_match(const char *pattern, const struct policy_target *t)
{
	struct span in, name, value;

	if (strcmp(pattern, "piv") == 0)
		return t->piv;
	if (policy_pattern_check(pattern) != E_OK || !attributes_of(pattern, &in))
		return false;
	while (attribute_next(&in, &name, &value)) {
		const char *const *have = attribute_of(name, t);

		if (have == NULL || *have == NULL)
			return false;
		if (have == &t->module ? !module_matches(value, t) : !glob(value, span_str(*have)))
			return false;
	}
	return true;
}
