/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The status tree for a person: what is fine takes one line, what needs attention says what to run.
 */
#include <stdio.h>
#include <string.h>

#include "cli/status.h"

static const char *
str(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : "";
}

#define CERT_LABEL "Certificate for " /* what the label of a card's certificate begins with */

static void
show_key(const json_t *k)
{
	const char *state = str(k, "state"), *label = str(k, "label");

	if (state[0] == '\0')
		return; /* a key without certificate says nothing to a person */
	if (strncmp(label, CERT_LABEL, sizeof CERT_LABEL - 1) == 0)
		label += sizeof CERT_LABEL - 1;
	printf("    %-3s %-26s %-24.24s until %.10s%s%s\n", str(k, "id"), label, str(k, "name"), str(k, "not_after"),
	    strcmp(state, "ok") == 0 ? "" : "  ", strcmp(state, "ok") == 0 ? "" : state);
}

static void
show_tokens(const json_t *list, const char *kind)
{
	size_t i, n;
	json_t *t, *k;

	json_array_foreach(list, i, t)
	{
		if (!json_is_true(json_object_get(t, "present"))) {
			printf("%-10s %s\n    %s\n", kind, str(t, "uri"), str(t, "problem"));
			continue;
		}
		printf("%-10s %s\n    %s\n", kind, str(t, "label"), str(t, "uri"));
		json_array_foreach(json_object_get(t, "keys"), n, k) show_key(k);
	}
}

/* "(checked 2026-11-24: good)": the worse of certificate and card. */
static void
show_check(const json_t *k)
{
	const char *cert = str(k, "certificate"), *card = str(k, "card");

	if (k != NULL)
		printf("  (checked %.10s: %s)", str(k, "at"),
		    strcmp(cert, "good") != 0	    ? cert
			: strcmp(card, "good") != 0 ? card
						    : "good");
}

static void
show_credentials(const json_t *list)
{
	size_t i;
	json_t *c;

	if (json_array_size(list) > 0)
		printf("Derived credentials\n");
	json_array_foreach(list, i, c)
	{
		printf("    %-8s %-28s on '%s' until %.10s  %s", str(c, "role"), str(c, "name"), str(c, "token"),
		    str(c, "not_after"), str(c, "state"));
		show_check(json_object_get(c, "check"));
		putchar('\n');
	}
}

static void
show_attention(const json_t *list)
{
	size_t i;
	json_t *a;

	if (json_array_size(list) > 0)
		printf("Needs attention\n");
	json_array_foreach(list, i, a) printf("    %s\n      -> %s\n", str(a, "what"), str(a, "command"));
}

void
status_text(const json_t *tree)
{
	const char *problem = str(tree, "card_problem");

	if (problem[0] != '\0')
		printf("%-10s %s\n", "PIV card", problem);
	show_tokens(json_object_get(tree, "cards"), "PIV card");
	show_tokens(json_object_get(tree, "tokens"), "Token");
	show_credentials(json_object_get(tree, "credentials"));
	show_attention(json_object_get(tree, "attention"));
	if (json_array_size(json_object_get(tree, "attention")) == 0 &&
	    json_array_size(json_object_get(tree, "credentials")) > 0)
		printf("Everything is in order.\n");
}
