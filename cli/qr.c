/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * QR codes in a terminal: two modules a character cell, upper and lower half block, black on white by colour so that it
 * reads on dark and light terminals alike, four modules of white around it as the standard wants.
 */
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "cli/qr.h"
#include "derive/qrcode.h"

#define CELLS (25 + 2 * QRCODE_QUIET) /* version 2 holds a binding code */
#define ON    "\033[0;30;107m"
#define OFF   "\033[0m\n"

static bool
dark(const struct qrcode *qr, int x, int y)
{
	x -= QRCODE_QUIET;
	y -= QRCODE_QUIET;
	return x >= 0 && y >= 0 && x < qr->side && y < qr->side && qr->dark[y][x];
}

bool
qr_draw(const char *text, struct wbuf *out)
{
	/* neither, lower, upper, both */
	static const char *const cell[] = { " ", "\xe2\x96\x84", "\xe2\x96\x80", "\xe2\x96\x88" };
	struct qrcode qr;
	int side;

	if (!qrcode_make(text, &qr))
		return false;
	side = qr.side + 2 * QRCODE_QUIET;
	for (int y = 0; y < side; y += 2) {
		wbuf_span(out, span_str(ON));
		for (int x = 0; x < side; x++)
			wbuf_span(out, span_str(cell[2 * dark(&qr, x, y) + dark(&qr, x, y + 1)]));
		wbuf_span(out, span_str(OFF));
	}
	return !out->bad;
}

bool
qr_possible(int fd)
{
	const char *term = getenv("TERM");
	struct winsize size;

	if (term == NULL || *term == '\0' || strcmp(term, "dumb") == 0)
		return false;
	setlocale(LC_CTYPE, "");
	if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
		return false;
	return ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_col >= CELLS;
}
