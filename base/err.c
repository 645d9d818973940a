/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Errors: see err.h. The sentence is kept per thread, in a fixed buffer: setting an error allocates nothing, so that
 * "out of memory" can be said too. A sentence that does not fit is cut, never dropped.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>

#include "base/err.h"
#include "base/log.h"

static _Thread_local char message[ERR_MSG_MAX];

static const struct {
	const char *name, *text;
} err_table[] = {
#define X(name, text) { #name, text },
	ERR_LIST(X)
#undef X
};
_Static_assert(sizeof err_table / sizeof err_table[0] == E_COUNT, "one row a code");

enum err
err_set(enum err code, const char *fmt, ...)
{
	char text[ERR_MSG_MAX]; /* not message itself: the arguments may be err_msg() */
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	memcpy(message, text, sizeof message);
	log_debug("error", "code=%s text=\"%s\"", err_name(code), message);
	return code;
}

enum err
err_up(enum err code, const char *fmt, ...)
{
	char text[ERR_MSG_MAX];
	va_list ap;
	size_t n;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	n = strlen(text);
	if (snprintf(text + n, sizeof text - n, ": %s", message[0] != '\0' ? message : err_text(code)) < 0)
		return code;
	memcpy(message, text, sizeof message);
	return code;
}

enum err
err_crypto(enum err code, const char *fmt, ...)
{
	unsigned long last = ERR_peek_last_error();
	const char *reason = last != 0 ? ERR_reason_error_string(last) : NULL;
	char text[ERR_MSG_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	ERR_clear_error();
	if (reason == NULL)
		return err_set(code, "%s", text);
	return err_set(code, "%s (%s)", text, reason);
}

const char *
err_msg(void)
{
	return message;
}

void
err_clear(void)
{
	message[0] = '\0';
}

struct err_kept
err_keep(void)
{
	struct err_kept kept;

	memcpy(kept.text, message, sizeof kept.text);
	return kept;
}

void
err_put_back(const struct err_kept *kept)
{
	memcpy(message, kept->text, sizeof message);
}

const char *
err_name(enum err code)
{
	return (unsigned)code < E_COUNT ? err_table[code].name : "UNKNOWN";
}

const char *
err_text(enum err code)
{
	return (unsigned)code < E_COUNT ? err_table[code].text : "unknown error";
}
