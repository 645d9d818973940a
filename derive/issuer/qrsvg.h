/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_QRSVG_H
#define DPIV_ISSUER_QRSVG_H

#include <stdbool.h>

#include "base/bytes.h"

/* The text as a QR code (ISO/IEC 18004): an svg element to stand in a page, with this name for who cannot see it.
 * False: memory is short. */
bool qrsvg_put(struct wbuf *w, const char *text, const char *name);

#endif
