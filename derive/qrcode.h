/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_DERIVE_QRCODE_H
#define DPIV_DERIVE_QRCODE_H

#include <stdbool.h>
#include <stdint.h>

/* A short text as a QR code (ISO/IEC 18004): the modules, without the white around them. */
#define QRCODE_QUIET 4	/* modules of white that a drawing needs on every side */
#define QRCODE_MAX   57 /* version 10: some 300 alphanumeric characters */

struct qrcode {
	int side;
	bool dark[QRCODE_MAX][QRCODE_MAX]; /* [y][x] */
};

/* False: too long a text, or memory is short. */
bool qrcode_make(const char *text, struct qrcode *out);

#endif
