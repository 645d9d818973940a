/* SPDX-License-Identifier: BSD-2-Clause */
/* What people ask the issuer about their own certificates, and what the issuer answers: both bodies. */
#include <string.h>

#include "derive/holder.h"
#include "derive/issuer/crl.h"
#include "derive/issuer/own.h"
#include "derive/issuer/x509io.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* A serial number that was taken is hexadecimal and reads as itself; a reason is one that may be asked for. */
static void
sound(const struct own_wish *w)
{
	char back[X509IO_SERIAL_MAX];

	if (w->serial[0] == '\0' || w->serial[strspn(w->serial, "0123456789ABCDEF")] != '\0' ||
	    !x509io_serial_read(w->serial, back, sizeof back) || strcmp(back, w->serial) != 0 ||
	    crl_reason(crl_reason_name(w->reason)) != w->reason)
		__builtin_trap();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct own_wish w;
	struct holdings h;

	if (own_wish_read(span_of(data, n), &w) == E_OK)
		sound(&w);
	if (holder_read(span_of(data, n), &h) == E_OK)
		holdings_clear(&h);
	return 0;
}
