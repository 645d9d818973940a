/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_CLI_QR_H
#define DPIV_CLI_QR_H

#include <stdbool.h>

#include "base/bytes.h"

/* Text of letters, digits and hyphens as a QR code in half blocks, appended to out; false when it does not fit. */
bool qr_draw(const char *text, struct wbuf *out);
/* Can this terminal show one: UTF-8, colours, wide and high enough? */
bool qr_possible(int fd);

#endif
