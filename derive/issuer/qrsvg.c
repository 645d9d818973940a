/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * QR codes as inline SVG: no picture to load, no script, and sharp at every size. One path with a run of modules a
 * step; four modules of white around it, as the standard wants, on a white ground of its own so that a dark theme does
 * not turn it inside out. Presentation attributes are no style in the sense of a content security policy.
 */
#include "derive/issuer/html.h"
#include "derive/issuer/qrsvg.h"
#include "derive/qrcode.h"

static void
put_row(struct wbuf *w, const struct qrcode *qr, int y)
{
	for (int x = 0; x < qr->side; x++) {
		int from = x;

		while (x < qr->side && qr->dark[y][x])
			x++;
		if (x > from)
			html_put(w, "M%d %dh%dv1h-%dz", from + QRCODE_QUIET, y + QRCODE_QUIET, x - from, x - from);
	}
}

bool
qrsvg_put(struct wbuf *w, const char *text, const char *name)
{
	struct qrcode qr;
	int side;

	if (!qrcode_make(text, &qr))
		return false;
	side = qr.side + 2 * QRCODE_QUIET;
	html_put(w,
	    "<svg class=\"qr\" role=\"img\" aria-label=\"%s\" viewBox=\"0 0 %d %d\" shape-rendering=\"crispEdges\">"
	    "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/><path fill=\"#000\" d=\"",
	    name, side, side, side, side);
	for (int y = 0; y < qr.side; y++)
		put_row(w, &qr, y);
	html_put(w, "\"/></svg>\n");
	return !w->bad;
}
