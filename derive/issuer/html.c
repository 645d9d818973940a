/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one place where foreign text meets markup. What is no valid UTF-8 or a control character becomes a question mark
 * first (text_safe), then the five characters that HTML gives a meaning are written as references (HTML Living
 * Standard, 13.3: in attributes & and ", in text & < >; the apostrophe for good measure). Only two conversions exist;
 * anything else in a format spoils the buffer, which is an error of the issuer and never half a page.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "derive/issuer/html.h"

#define TEXT_MAX 2048

static const char *
reference(char c)
{
	switch (c) {
	case '&': return "&amp;";
	case '<': return "&lt;";
	case '>': return "&gt;";
	case '"': return "&quot;";
	case '\'': return "&#39;";
	default: return NULL;
	}
}

static void
escape(struct wbuf *w, const char *text)
{
	char safe[TEXT_MAX];

	text_safe(span_str(text ? text : ""), safe, sizeof safe);
	for (const char *p = safe; *p; p++) {
		const char *r = reference(*p);

		if (r)
			wbuf_span(w, span_str(r));
		else
			wbuf_u8(w, (uint8_t)*p);
	}
}

void
html_put(struct wbuf *w, const char *fmt, ...)
{
	char number[16];
	va_list ap;

	va_start(ap, fmt);
	for (; *fmt; fmt++) {
		if (*fmt != '%') {
			wbuf_u8(w, (uint8_t)*fmt);
		} else if (*++fmt == 's') {
			escape(w, va_arg(ap, const char *));
		} else if (*fmt == 'd') {
			(void)snprintf(number, sizeof number, "%d", va_arg(ap, int));
			wbuf_span(w, span_str(number));
		} else {
			w->bad = true;
			break;
		}
	}
	va_end(ap);
}
