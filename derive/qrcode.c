/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * QR codes by libqrencode, which is known here alone; how one is drawn is the business of who shows it. Text that is
 * upper case goes into the alphanumeric mode, which makes small codes; error correction M bears a fingerprint on the
 * screen.
 */
#include <string.h>
#include <qrencode.h>

#include "derive/qrcode.h"

#define DARK 1

bool
qrcode_make(const char *text, struct qrcode *out)
{
	QRcode *qr = QRcode_encodeString(text, 0, QR_ECLEVEL_M, QR_MODE_8, 1);
	bool fits = qr != NULL && qr->width <= QRCODE_MAX;

	memset(out, 0, sizeof *out);
	if (fits) {
		out->side = qr->width;
		for (int y = 0; y < qr->width; y++)
			for (int x = 0; x < qr->width; x++)
				out->dark[y][x] = qr->data[y * qr->width + x] & DARK;
	}
	QRcode_free(qr);
	return fits;
}
