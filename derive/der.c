/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One step through DER: for the few places that unwrap or wrap a structure of libcrypto's by hand (the SignedData
 * within an EnvelopedData, which comes without its ContentInfo, RFC 5652, 6.1; a list around a PKCS #8 key, RFC 5958).
 * Lengths are read by libcrypto and checked against what is there.
 */
#include <limits.h>
#include <openssl/asn1.h>
#include <openssl/err.h>

#include "derive/der.h"

bool
der_take(struct span *in, int tag, int class, struct span *inside)
{
	const unsigned char *p = in->p;
	long len = 0;
	int found = -1, its_class = -1, kind;
	size_t head;

	*inside = SPAN_NONE;
	if (in->n == 0 || in->n > LONG_MAX)
		return false;
	kind = ASN1_get_object(&p, &len, &found, &its_class, (long)in->n);
	ERR_clear_error();
	if ((kind & 0x80) != 0 || (kind & 0x01) != 0 || len < 0 || found != tag || its_class != class)
		return false;
	head = (size_t)(p - in->p);
	return span_sub(*in, head, (size_t)len, inside) && span_skip(in, head + (size_t)len);
}

bool
der_wrap(int tag, struct span inside, struct wbuf *out)
{
	unsigned char head[16], *p = head;

	if (inside.n > INT_MAX / 2)
		return false;
	ASN1_put_object(&p, 1, (int)inside.n, tag, V_ASN1_UNIVERSAL);
	wbuf_put(out, head, (size_t)(p - head));
	wbuf_span(out, inside);
	return !out->bad;
}
