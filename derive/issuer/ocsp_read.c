/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An OCSP request (RFC 6960, 4.1) from anybody: one DER value and nothing behind it, 1 to 16 certificates, a nonce of 1
 * to 128 octets (RFC 9654, 2.1) or none, no extension that is critical and unknown (RFC 6960, 4.4). A signature is not
 * asked for and not looked at (4.1.2). And the way in by GET (appendix A.1).
 */
#include <string.h>
#include <openssl/err.h>

#include "base/text.h"
#include "derive/issuer/ocsp.h"
#include "derive/issuer/ocsp_int.h"

#define NONCE_MAX 128

/* The nonce is an OCTET STRING in the OCTET STRING of the extension. */
static bool
nonce_ok(X509_EXTENSION *ext)
{
	const ASN1_OCTET_STRING *data = X509_EXTENSION_get_data(ext);
	const unsigned char *p = ASN1_STRING_get0_data(data);
	int whole = ASN1_STRING_length(data);
	const unsigned char *start = p;
	ASN1_OCTET_STRING *nonce = d2i_ASN1_OCTET_STRING(NULL, &p, whole);
	int n = nonce ? ASN1_STRING_length(nonce) : 0;
	bool ok = nonce && p - start == whole && n >= 1 && n <= NONCE_MAX;

	ASN1_OCTET_STRING_free(nonce);
	return ok;
}

static bool
extensions_ok(OCSP_REQUEST *rq, bool *nonce)
{
	int seen = 0;

	for (int k = 0; k < OCSP_REQUEST_get_ext_count(rq); k++) {
		X509_EXTENSION *ext = OCSP_REQUEST_get_ext(rq, k);
		bool is_nonce = OBJ_obj2nid(X509_EXTENSION_get_object(ext)) == NID_id_pkix_OCSP_Nonce;

		if (is_nonce && (++seen > 1 || !nonce_ok(ext)))
			return false;
		if (!is_nonce && X509_EXTENSION_get_critical(ext))
			return false;
	}
	*nonce = seen == 1;
	return true;
}

static bool
certs_ok(OCSP_REQUEST *rq)
{
	int n = OCSP_request_onereq_count(rq);

	if (n < 1 || n > OCSP_CERTS_MAX)
		return false;
	for (int i = 0; i < n; i++) {
		OCSP_ONEREQ *one = OCSP_request_onereq_get0(rq, i);

		for (int k = 0; k < OCSP_ONEREQ_get_ext_count(one); k++)
			if (X509_EXTENSION_get_critical(OCSP_ONEREQ_get_ext(one, k)))
				return false;
	}
	return true;
}

OCSP_REQUEST *
ocsp_read(struct span der, bool *nonce)
{
	const unsigned char *p = der.p;
	OCSP_REQUEST *rq = der.n > 0 && der.n <= OCSP_BODY_MAX ? d2i_OCSP_REQUEST(NULL, &p, (long)der.n) : NULL;

	*nonce = false;
	if (rq && ((size_t)(p - der.p) != der.n || !certs_ok(rq) || !extensions_ok(rq, nonce))) {
		OCSP_REQUEST_free(rq);
		rq = NULL;
	}
	ERR_clear_error();
	return rq;
}

bool
ocsp_get_decode(const char *path, struct wbuf *out)
{
	struct span in = span_str(path);
	WBUF_AUTO plain = { 0 };
	uint8_t c, high, low;

	wbuf_init(&plain, 2 * OCSP_BODY_MAX);
	while (span_u8(&in, &c)) {
		if (c == '%') {
			if (!span_u8(&in, &high) || !span_u8(&in, &low) || text_hex_digit(high) < 0 ||
			    text_hex_digit(low) < 0)
				return false;
			c = (uint8_t)(text_hex_digit(high) << 4 | text_hex_digit(low));
		}
		wbuf_u8(&plain, c);
	}
	return !plain.bad && text_unbase64(wbuf_view(&plain), out) && !out->bad && out->n > 0;
}
