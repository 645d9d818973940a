/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The status tree for a person: what is fine takes one line, what needs attention says what to run. 80 columns; on a
 * terminal sentences are wrapped and marks have a colour (not with NO_COLOR, no-color.org), but nothing is said by
 * colour alone. Commands and URIs are never broken, since people copy them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/status.h"
#include "cli/when.h"

#define LABEL 13 /* columns of the left margin */
#define NAME  26 /* and of what a line is about */
#define WIDTH 80

struct view {
	time_t now;
	bool details, terminal, colour;
};

static const char *
str(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : "";
}

/* --- columns ------------------------------------------------------------------------------------------------------ */

/* Bytes of the first so many characters. */
static size_t
chars(const char *s, size_t n)
{
	size_t i = 0;

	while (s[i] != '\0' && (n > 0 || ((unsigned char)s[i] & 0xc0) == 0x80)) {
		n -= ((unsigned char)s[i] & 0xc0) != 0x80;
		i++;
	}
	return i;
}

static size_t
columns(const char *s)
{
	size_t n = 0;

	for (; *s != '\0'; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

/* Cut and filled to so many columns. */
static void
put_column(const char *s, size_t width)
{
	size_t n = columns(s);

	if (n <= width)
		printf("%s%*s", s, (int)(width - n), "");
	else
		printf("%.*s…", (int)chars(s, width - 1), s);
}

/* A sentence, on a terminal broken between words. */
static void
put_sentence(const struct view *v, size_t indent, const char *s)
{
	size_t at = indent;

	while (*s != '\0') {
		size_t n = strcspn(s, " ");
		size_t width = columns(s) - columns(s + n);

		if (v->terminal && at > indent && at + 1 + width > WIDTH) {
			printf("\n%*s", (int)indent, "");
			at = indent;
		} else if (at > indent) {
			putchar(' ');
			at++;
		}
		printf("%.*s", (int)n, s);
		at += width;
		s += n + (s[n] == ' ');
	}
	putchar('\n');
}

enum mark { MARK_NONE, MARK_SOON, MARK_BAD };

/* "Label        ! what                      …": the rest of the line is the caller's. */
static void
put_head(const struct view *v, const char *label, enum mark mark, const char *what)
{
	static const char *const on[] = { "", "\033[33m", "\033[31m" };

	put_column(label, LABEL);
	printf("%s%s%s", v->colour ? on[mark] : "", mark != MARK_NONE ? "! " : "  ",
	    v->colour && mark != MARK_NONE ? "\033[0m" : "");
	put_column(what, NAME - 2);
	putchar(' ');
}

static void
put_detail(const char *label, const char *value)
{
	if (value[0] != '\0')
		printf("%*s%-10s %s\n", LABEL + 2, "", label, value);
}

/* --- cards and tokens --------------------------------------------------------------------------------------------- */

static enum mark
mark_of(const char *state)
{
	return strcmp(state, "ok") == 0 || strcmp(state, "token absent") == 0 ? MARK_NONE
	    : strcmp(state, "expiring") == 0				      ? MARK_SOON
									      : MARK_BAD;
}

static const json_t *
piv_auth_of(const json_t *token)
{
	size_t i;
	json_t *k;

	json_array_foreach(json_object_get(token, "keys"), i, k)
	{
		if (json_is_true(json_object_get(k, "piv_auth")))
			return k;
	}
	return NULL;
}

static size_t
certificates_of(const json_t *token)
{
	size_t i, n = 0;
	json_t *k;

	json_array_foreach(json_object_get(token, "keys"), i, k) n += json_object_get(k, "serial") != NULL;
	return n;
}

static void
show_key(const json_t *k)
{
	if (json_object_get(k, "serial") == NULL)
		return; /* a key without certificate says nothing to a person */
	printf("%*s", LABEL + 2, "");
	put_column(str(k, "id"), 3);
	putchar(' ');
	put_column(str(k, "label"), 36);
	printf(" until %.10s%s%s\n", str(k, "not_after"), mark_of(str(k, "state")) == MARK_NONE ? "" : "  ",
	    mark_of(str(k, "state")) == MARK_NONE ? "" : str(k, "state"));
}

static void
show_token_details(const json_t *t)
{
	size_t n;
	json_t *k;

	put_detail("URI", str(t, "uri"));
	put_detail("serial", str(t, "serial"));
	json_array_foreach(json_object_get(t, "keys"), n, k) show_key(k);
}

static void
show_token(const struct view *v, const char *kind, const json_t *t)
{
	const json_t *auth = piv_auth_of(t);
	size_t n = certificates_of(t);
	char when[WHEN_MAX];

	if (!json_is_true(json_object_get(t, "present"))) {
		put_head(v, kind, MARK_NONE, str(t, "label")[0] != '\0' ? str(t, "label") : "not here");
		printf("\n%*s", LABEL + 2, "");
		put_sentence(v, LABEL + 2, str(t, "problem"));
		put_detail("URI", str(t, "uri"));
		return;
	}
	if (auth != NULL) {
		put_head(v, kind, mark_of(str(auth, "state")), str(auth, "name"));
		printf("%s\n", when_valid(str(auth, "not_after"), v->now, when));
	} else {
		put_head(v, strcmp(kind, "PIV card") == 0 ? "Token" : kind, MARK_NONE, str(t, "label"));
		printf("%zu certificate%s\n", n, n == 1 ? "" : "s");
	}
	if (v->details)
		show_token_details(t);
}

/* Readers that have a card which could be read are shown as that card. */
static void
show_readers(const struct view *v, const json_t *list)
{
	size_t i;
	json_t *r;

	json_array_foreach(list, i, r)
	{
		const char *problem = str(r, "problem");

		if (str(r, "token")[0] != '\0' && !v->details)
			continue;
		put_head(v, "Reader", problem[0] != '\0' ? MARK_SOON : MARK_NONE, str(r, "name"));
		if (str(r, "token")[0] != '\0')
			printf("'%s'\n", str(r, "token"));
		else if (problem[0] == '\0')
			puts("empty");
		else
			put_sentence(v, LABEL + NAME + 1, problem);
	}
}

static void
show_tokens(const struct view *v, const char *kind, const json_t *list)
{
	size_t i;
	json_t *t;

	json_array_foreach(list, i, t) show_token(v, kind, t);
}

/* --- credentials -------------------------------------------------------------------------------------------------- */

static bool
is_revoked(const json_t *c)
{
	return strcmp(str(json_object_get(c, "check"), "certificate"), "revoked") == 0;
}

static const char *
cred_says(const struct view *v, const json_t *c, char when[WHEN_MAX])
{
	const char *state = str(c, "state");

	if (is_revoked(c))
		return "revoked";
	if (strcmp(state, "missing") == 0)
		return "no longer on its token";
	if (strcmp(state, "revoking") == 0)
		return "being revoked";
	when_valid(str(c, "not_after"), v->now, when);
	if (strcmp(state, "token absent") == 0)
		strncat(when, "; not here", WHEN_MAX - strlen(when) - 1);
	return when;
}

static void
show_credential(const struct view *v, const char *label, const json_t *c)
{
	char what[300], when[WHEN_MAX];

	snprintf(what, sizeof what, "%s on %s", str(c, "role"), str(c, "token"));
	put_head(v, label, is_revoked(c) ? MARK_BAD : mark_of(str(c, "state")), what);
	puts(cred_says(v, c, when));
	if (!v->details)
		return;
	put_detail("name", str(c, "name"));
	put_detail("serial", str(c, "serial"));
	put_detail("assurance", str(c, "assurance"));
	put_detail("issuer", str(c, "issuer"));
	put_detail("key", str(c, "id"));
	put_detail("derived", when_text(str(c, "since"), v->now, when));
	put_detail("renewal", when_text(str(c, "renew_from"), v->now, when));
}

/* The check that is the longest ago speaks for all. */
static void
show_checked(const struct view *v, const json_t *list)
{
	const char *oldest = NULL;
	size_t i, never = 0;
	json_t *c;
	char when[WHEN_MAX];

	json_array_foreach(list, i, c)
	{
		const char *at = json_string_value(json_object_get(json_object_get(c, "check"), "at"));

		never += at == NULL;
		if (at != NULL && (oldest == NULL || strcmp(at, oldest) < 0))
			oldest = at;
	}
	if (json_array_size(list) == 0)
		return;
	put_column("Revocation", LABEL);
	if (oldest == NULL || never > 0)
		printf("  %s yet been asked about (dpiv check)\n", oldest == NULL ? "has not" : "not all have");
	else
		printf("  last asked about %s\n", when_text(oldest, v->now, when));
}

static void
show_credentials(const struct view *v, const json_t *list)
{
	size_t i;
	json_t *c;

	json_array_foreach(list, i, c) show_credential(v, i == 0 ? "Credentials" : "", c);
	show_checked(v, list);
}

static void
show_old_keys(const json_t *old)
{
	json_int_t n = json_integer_value(json_object_get(old, "keys"));

	if (n == 0)
		return;
	put_column("Old mail", LABEL);
	printf("  %lld key%s held, for %.4s to %.4s (dpiv history list)\n", (long long)n, n == 1 ? "" : "s",
	    str(old, "first"), str(old, "last"));
}

static void
show_unfinished(const struct view *v, const json_t *list)
{
	size_t i;
	json_t *u;
	char what[300], when[WHEN_MAX];

	json_array_foreach(list, i, u)
	{
		snprintf(what, sizeof what, "%s on %s", str(u, "role"), str(u, "token"));
		put_head(v, i == 0 ? "Unfinished" : "", MARK_SOON, what);
		printf("%s, since %s\n", json_is_true(json_object_get(u, "waiting")) ? "at the issuer" : "cut short",
		    when_text(str(u, "since"), v->now, when));
	}
}

/* --- what to do --------------------------------------------------------------------------------------------------- */

static void
show_attention(const struct view *v, const json_t *list)
{
	size_t i;
	json_t *a;

	if (json_array_size(list) > 0)
		printf("\n%sNeeds attention%s\n", v->colour ? "\033[1m" : "", v->colour ? "\033[0m" : "");
	json_array_foreach(list, i, a)
	{
		fputs("  ", stdout);
		put_sentence(v, 2, str(a, "what"));
		printf("    %s%s%s\n", v->colour ? "\033[1m" : "", str(a, "command"), v->colour ? "\033[0m" : "");
	}
}

static void
show_rebuilt(const struct view *v, json_int_t n)
{
	char text[256];

	if (n == 0)
		return;
	snprintf(text, sizeof text,
	    "%lld credential%s found on tokens and written down again. What no token tells: the card behind them, "
	    "requests that an issuer still has, and what happened before.",
	    (long long)n, n == 1 ? " was" : "s were");
	putchar('\n');
	put_sentence(v, 0, text);
}

static struct view
view_make(time_t now, bool details)
{
	const char *term = getenv("TERM"), *no = getenv("NO_COLOR");
	struct view v = { .now = now, .details = details, .terminal = isatty(STDOUT_FILENO) == 1 };

	v.colour = v.terminal && (no == NULL || no[0] == '\0') && term != NULL && strcmp(term, "dumb") != 0;
	return v;
}

void
status_text(const json_t *tree, time_t now, bool details)
{
	struct view v = view_make(now, details);
	const char *problem = str(tree, "card_problem");
	const json_t *credentials = json_object_get(tree, "credentials"), *todo = json_object_get(tree, "attention");

	if (problem[0] != '\0') {
		put_column("PIV card", LABEL);
		fputs("  ", stdout);
		put_sentence(&v, LABEL + 2, problem);
	}
	show_tokens(&v, "PIV card", json_object_get(tree, "cards"));
	show_readers(&v, json_object_get(tree, "readers"));
	show_tokens(&v, "Token", json_object_get(tree, "tokens"));
	show_credentials(&v, credentials);
	show_old_keys(json_object_get(tree, "old_keys"));
	show_unfinished(&v, json_object_get(tree, "unfinished"));
	show_rebuilt(&v, json_integer_value(json_object_get(tree, "rebuilt")));
	show_attention(&v, todo);
	if (json_array_size(todo) == 0 && json_array_size(credentials) > 0)
		puts("\nEverything is in order.");
}
