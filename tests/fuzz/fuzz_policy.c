/* SPDX-License-Identifier: BSD-2-Clause */
/* Patterns of tokens from a policy against what tokens call themselves, and the lists of a policy. */
#include <stdlib.h>
#include <string.h>

#include "derive/policy_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static char *
text_of(const uint8_t *data, size_t n)
{
	char *text = malloc(n + 1);

	if (text == NULL)
		abort();
	if (n > 0)
		memcpy(text, data, n);
	text[n] = '\0';
	return text;
}

/* Up to the first line end the pattern, after it the token. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const uint8_t *nl = n > 0 ? memchr(data, '\n', n) : NULL;
	size_t first = nl != NULL ? (size_t)(nl - data) : n;
	char *pattern = text_of(data, first);
	char *token = text_of(data + (nl != NULL ? first + 1 : n), nl != NULL ? n - first - 1 : 0);
	struct policy_target t = { .token = token,
		.manufacturer = token,
		.model = "m",
		.serial = "",
		.module = token,
		.module_real = "/m.so" };
	char entry[POLICY_ENTRY_MAX];
	enum token_alg alg;

	/* what is no pattern matches nothing */
	if (policy_pattern_match(pattern, &t) && policy_pattern_check(pattern) != E_OK)
		abort();
	for (size_t i = 0; policy_split(pattern, i, entry, sizeof entry) && i < 20; i++) {
		if (entry[0] == '\0' || strchr(entry, ',') != NULL)
			abort();
		(void)policy_alg(entry, &alg);
	}
	for (int rule = RULE_NARROW; rule <= RULE_FREE; rule++)
		(void)policy_loosens((enum policy_rule)rule, false, pattern, token);
	free(pattern);
	free(token);
	return 0;
}
