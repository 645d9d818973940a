/* SPDX-License-Identifier: BSD-2-Clause */
/* The issuer's foreign input: a body of simpleenroll as base64 or DER, the path, and names in a card's certificate. */
#include <string.h>
#include <openssl/err.h>
#include <openssl/x509.h>

#include "derive/issuer/binding.h"
#include "derive/issuer/csr.h"
#include "derive/issuer/est.h"
#include "derive/issuer/pivid.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
certificate(const uint8_t *data, size_t n)
{
	const unsigned char *p = data;
	X509 *x = d2i_X509(NULL, &p, (long)n);
	struct pivid id;

	if (x)
		(void)(pivid_read(x, &id) == E_OK);
	X509_free(x);
}

/* Paths that end in a file or in an operation need an issuer behind them; the first byte keeps them out. */
static void
path(const uint8_t *data, size_t n)
{
	char text[600] = "/.well-known/est/~";
	struct est_request rq = { .path = text, .binding = "" };
	struct issuer none = { 0 };
	struct est_reply r;
	size_t at = strlen(text);

	for (size_t i = 0; i < n && at < sizeof text - 1; i++)
		if (data[i])
			text[at++] = (char)data[i];
	est_handle(&none, &rq, 0, &r);
	wbuf_free(&r.body);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct csr c;

	if (n == 0)
		return 0;
	if (csr_read(span_of(data, n), &c) == E_OK) {
		(void)(binding_check("YmluZA==", c.challenge, true) == E_OK);
		csr_clear(&c);
	}
	certificate(data, n);
	path(data, n);
	ERR_clear_error();
	return 0;
}
