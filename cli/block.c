/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A block of lines between two marks in a configuration file: see block.h. The marks are comments:
 *
 *	# >>> dpiv setup ssh (new file, 1 folder) (no line end before)
 *	...
 *	# <<< dpiv setup ssh
 *
 * Whatever stands before and behind is copied as it is, line ends of any kind and bytes of any value included.
 */
#include <stdio.h>
#include <string.h>

#include "cli/block.h"

#define MARK_BEGIN  "# >>> dpiv setup "
#define MARK_END    "# <<< dpiv setup "
#define MARK_JOINED " (no line end before)"
#define MARK_FRESH  " (new file"

bool
block_line(struct span *text, struct span *line)
{
	const uint8_t *end = text->n > 0 ? memchr(text->p, '\n', text->n) : NULL;

	return text->n > 0 && span_take(text, end != NULL ? (size_t)(end - text->p) + 1 : text->n, line);
}

/* Is this the mark of this name? rest is what follows the name. */
static bool
mark_is(struct span line, const char *mark, const char *name, struct span *rest)
{
	if (!span_starts(line, mark, strlen(mark)) || !span_skip(&line, strlen(mark)) ||
	    !span_starts(line, name, strlen(name)) || !span_skip(&line, strlen(name)))
		return false;
	*rest = line;
	return line.n == 0 || line.p[0] == '\n' || line.p[0] == ' ';
}

static bool
has(struct span text, const char *word, struct span *after)
{
	while (text.n > 0) {
		if (span_starts(text, word, strlen(word))) {
			*after = text;
			return span_skip(after, strlen(word));
		}
		(void)span_skip(&text, 1);
	}
	return false;
}

/* What the first line says. */
static void
mark_read(struct span rest, struct block *what, bool *joined)
{
	struct span after;
	uint8_t digit;

	what->found = true;
	*joined = has(rest, MARK_JOINED, &after);
	if (!has(rest, MARK_FRESH, &after))
		return;
	what->fresh = true;
	if (span_starts(after, ", ", 2) && span_skip(&after, 2) && span_u8(&after, &digit) && digit >= '1' &&
	    digit <= '9')
		what->folders = digit - '0';
}

/* From behind the first line to behind the last one. */
static bool
block_skip(struct span *text, const char *name)
{
	struct span line, rest;

	while (block_line(text, &line))
		if (mark_is(line, MARK_END, name, &rest))
			return true;
	return false;
}

enum err
block_cut(struct span text, const char *name, struct block *what, struct wbuf *out)
{
	struct span line, rest;

	*what = (struct block){ .found = false };
	while (block_line(&text, &line)) {
		bool joined;

		if (!mark_is(line, MARK_BEGIN, name, &rest)) {
			wbuf_span(out, line);
			continue;
		}
		mark_read(rest, what, &joined);
		if (!block_skip(&text, name))
			return err_set(E_CONF,
			    "the line '%s%s' has no '%s%s' after it; remove by hand what dpiv had put there",
			    MARK_BEGIN, name, MARK_END, name);
		if (joined && text.n == 0 && out->n > 0 && !out->bad)
			wbuf_cut(out, out->n - 1);
	}
	return out->bad ? err_set(E_NOMEM, "the file is too large") : E_OK;
}

void
block_put(struct span text, const char *name, const struct block *what, const char *lines, struct wbuf *out)
{
	bool joined = text.n > 0 && text.p[text.n - 1] != '\n';
	char mark[160], fresh[64] = "";

	if (what->fresh && what->folders > 0)
		snprintf(fresh, sizeof fresh, MARK_FRESH ", %u folder%s)", what->folders, what->folders > 1 ? "s" : "");
	else if (what->fresh)
		snprintf(fresh, sizeof fresh, MARK_FRESH ")");
	wbuf_span(out, text);
	snprintf(
	    mark, sizeof mark, "%s" MARK_BEGIN "%s%s%s\n", joined ? "\n" : "", name, fresh, joined ? MARK_JOINED : "");
	wbuf_span(out, span_str(mark));
	wbuf_span(out, span_str(lines));
	snprintf(mark, sizeof mark, MARK_END "%s\n", name);
	wbuf_span(out, span_str(mark));
}
