/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Other programs that dpiv setup uses where they are there: certutil, gpgsm, systemctl. They get no terminal, so that
 * none of them asks for a password behind our back, nothing to read, and a limit of time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/tool.h"
#include "derive/run.h"

bool
tool_path(const char *name, char *out, size_t cap)
{
	const char *path = secure_getenv("PATH");

	for (size_t n; path != NULL && *path != '\0'; path += n + (path[n] == ':')) {
		n = strcspn(path, ":");
		if (n > 0 && snprintf(out, cap, "%.*s/%s", (int)n, path, name) < (int)cap && access(out, X_OK) == 0)
			return true;
	}
	return false;
}

bool
tool_there(const char *name)
{
	char file[1024];

	return tool_path(name, file, sizeof file);
}

static enum err
tool_failed(const char *name, int status, struct span said)
{
	struct span line;
	char safe[256];

	(void)span_line(&said, &line);
	return err_set(E_IO, "%s failed (status %d): %s", name, status, text_safe(line, safe, sizeof safe));
}

enum err
tool_run(const char *const argv[], struct wbuf *out)
{
	const struct run r = { .argv = argv, .seconds = TOOL_TIMEOUT, .both = true };
	struct span said = SPAN_NONE;
	size_t from = out->n;
	int status;
	enum err e;

	if (!tool_there(argv[0]))
		return err_set(E_NOTFOUND, "the program %s is not there", argv[0]);
	if ((e = run_program(&r, out, &status)) != E_OK || status == 0)
		return e;
	(void)span_sub(wbuf_view(out), from, out->n - from, &said);
	return tool_failed(argv[0], status, said);
}
