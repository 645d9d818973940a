/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * QR codes as inline SVG: no picture to load, no script, and sharp at every size. One path with a run of modules a
 * step; four modules of white around it, as the standard wants, on a white ground of its own so that a dark theme does
 * not turn it inside out. Presentation attributes are no style in the sense of a content security policy.
 */
#include <qrencode.h>

#include "derive/issuer/html.h"
#include "derive/issuer/qrsvg.h"

#define QUIET 4
#define DARK  1

static void
put_row(struct wbuf *w, const QRcode *qr, int y)
{
	for (int x = 0; x < qr->width; x++) {
		int from = x;

		while (x < qr->width && (qr->data[y * qr->width + x] & DARK))
			x++;
		if (x > from)
			html_put(w, "M%d %dh%dv1h-%dz", from + QUIET, y + QUIET, x - from, x - from);
	}
}

bool
qrsvg_put(struct wbuf *w, const char *text, const char *name)
{
	QRcode *qr = QRcode_encodeString(text, 0, QR_ECLEVEL_M, QR_MODE_8, 1);
	int side;

	if (qr == NULL)
		return false;
	side = qr->width + 2 * QUIET;
	html_put(w,
	    "<svg class=\"qr\" role=\"img\" aria-label=\"%s\" viewBox=\"0 0 %d %d\" shape-rendering=\"crispEdges\">"
	    "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/><path fill=\"#000\" d=\"",
	    name, side, side, side, side);
	for (int y = 0; y < qr->width; y++)
		put_row(w, qr, y);
	html_put(w, "\"/></svg>\n");
	QRcode_free(qr);
	return !w->bad;
}
