/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_HTML_H
#define DPIV_ISSUER_HTML_H

#include "base/bytes.h"
#include "base/err.h"

/*
 * Markup with text in it. fmt is a literal and goes out as it stands; every %s is escaped, so that no value can become
 * markup: in element content and in attributes between double quotes. %d is an int. There is no way to put a value in
 * unescaped.
 */
void html_put(struct wbuf *w, const char *fmt, ...) PRINTF(2, 3);

#endif
