/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a person gives a binding code: a file or standard input, never an argument, which every user of the machine
 * could see. It is shown while it is typed: it lives for minutes, works once, and a slip is noticed sooner.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <openssl/crypto.h>

#include "base/file.h"
#include "cli/code.h"
#include "derive/bindcode.h"

#define LINE_MAX_BYTES 256

static enum err
line_read(struct secret **out)
{
	char line[LINE_MAX_BYTES];
	enum err e = E_OK;

	if (isatty(STDIN_FILENO))
		fputs("Binding code: ", stderr);
	if (fgets(line, sizeof line, stdin) == NULL)
		e = err_set(E_POLICY, "there is no binding code on standard input");
	else if ((*out = secret_copy(line, strlen(line))) == NULL)
		e = err_set(E_NOMEM, "out of memory");
	OPENSSL_cleanse(line, sizeof line);
	return e;
}

static enum err
file_line(const char *path, struct secret **out)
{
	enum err e = file_read_secret(path, out);

	return e == E_PINLEN ? err_set(E_POLICY, "%s holds no binding code: its first line is empty", path) : e;
}

enum err
code_read(const char *path, struct secret **out)
{
	SECRET_AUTO line = NULL;
	char plain[BINDCODE_PLAIN];
	enum err e;

	*out = NULL;
	e = strcmp(path, "-") == 0 ? line_read(&line) : file_line(path, &line);
	if (e == E_OK)
		e = bindcode_read(secret_view(line), plain);
	if (e != E_OK)
		return e;
	*out = secret_copy(plain, sizeof plain);
	OPENSSL_cleanse(plain, sizeof plain);
	return *out != NULL ? E_OK : err_set(E_NOMEM, "out of memory");
}
