/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_DERIVE_DER_H
#define DPIV_DERIVE_DER_H

#include <stdbool.h>

#include "base/bytes.h"

/* Takes one element of DER off the front when it has this tag (V_ASN1_*) and class (V_ASN1_UNIVERSAL or another): its
 * contents. What is cut short, indefinite or has another tag: false, and nothing changes. */
bool der_take(struct span *in, int tag, int class, struct span *inside);
/* Appends a constructed element of this universal tag around what is inside; false: there is no room. */
bool der_wrap(int tag, struct span inside, struct wbuf *out);

#endif
