/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Configuration as text: the line of a key, for a complaint about it, and the kinds of values. NCONF, which reads the
 * file, does not keep line numbers, so the line is looked up in the text again. A key that stands there twice is found
 * where it stands first.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/conf_text.h"

/* Is this line "[section]", or "key = …" with this key? */
static bool
line_is(struct span line, const char *word, bool section)
{
	size_t n = strlen(word);

	while (line.n > 0 && isspace(line.p[0]))
		(void)span_skip(&line, 1);
	if (section) {
		if (line.n == 0 || line.p[0] != '[')
			return false;
		do
			(void)span_skip(&line, 1);
		while (line.n > 0 && isspace(line.p[0]));
	}
	if (!span_starts(line, word, n))
		return false;
	(void)span_skip(&line, n);
	while (line.n > 0 && isspace(line.p[0]))
		(void)span_skip(&line, 1);
	return line.n > 0 && line.p[0] == (section ? ']' : '=');
}

size_t
conf_line(struct span text, const char *section, const char *key)
{
	bool inside = strcmp(section, "default") == 0;

	for (size_t number = 1; text.n > 0; number++) {
		const uint8_t *nl = memchr(text.p, '\n', text.n);
		struct span line;

		(void)span_take(&text, nl != NULL ? (size_t)(nl - text.p) + 1 : text.n, &line);
		if (line_is(line, section, true)) {
			if (key == NULL)
				return number;
			inside = true;
		} else if (line.n > 0 && line.p[0] == '[') {
			inside = false;
		} else if (inside && key != NULL && line_is(line, key, false)) {
			return number;
		}
	}
	return 0;
}

int
conf_value_bool(const char *v)
{
	static const struct {
		const char *word;
		int value;
	} words[] = { { "yes", 1 }, { "no", 0 }, { "true", 1 }, { "false", 0 }, { "on", 1 }, { "off", 0 }, { "1", 1 },
		{ "0", 0 } };

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (strcasecmp(words[i].word, v) == 0)
			return words[i].value;
	return -1;
}

bool
conf_value_number(const char *v, long *out)
{
	char *end;

	errno = 0;
	*out = strtol(v, &end, 10);
	return errno == 0 && end != v && *end == '\0';
}

const char *
conf_value_wrong(char type, const char *v)
{
	long n;

	switch (type) {
	case 'b': return conf_value_bool(v) < 0 ? "must be yes or no" : NULL;
	case 'n': return !conf_value_number(v, &n) ? "must be a number" : NULL;
	case 'p': return v[0] != '/' ? "must be an absolute path" : NULL;
	default: return NULL;
	}
}
