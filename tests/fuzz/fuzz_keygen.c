/* SPDX-License-Identifier: BSD-2-Clause */
/* What an issuer sends when it is asked for a key: the parts of the reply, and the bytes of a key out of its envelope.
 * The first byte says how long the boundary is that follows it. */
#include <stdlib.h>
#include <string.h>

#include "derive/keygen_reply.h"
#include "derive/keypack.h"
#include "derive/keywrap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
reply(struct span in)
{
	struct http_reply r = { .status = 200, .type = "multipart/mixed" };
	struct keygen_reply *keys = NULL;
	struct span boundary;
	uint8_t len;

	if (!span_u8(&in, &len) || !span_take(&in, len % (MULTIPART_BOUNDARY - 1), &boundary))
		return;
	memcpy(r.boundary, boundary.p, boundary.n);
	multipart_param(in, "boundary", r.type, sizeof r.type);
	strcpy(r.type, "multipart/mixed");
	wbuf_init(&r.body, HTTP_BODY_MAX);
	wbuf_span(&r.body, in);
	if (keygen_read(&r, &keys) == E_OK && (keys->n == 0 || keys->n > KEYGEN_MAX))
		abort();
	keygen_free(&keys);
	wbuf_free(&r.body);
}

static void
opened(struct span in)
{
	static EVP_PKEY *key;
	EVP_PKEY *out = NULL;

	if (key == NULL)
		key = EVP_EC_gen("P-256");
	if (keypack_read(in, &out) == E_OK && out == NULL)
		abort();
	EVP_PKEY_free(out);
	if (keywrap_open(in, key, NULL, &out) == E_OK && out == NULL)
		abort();
	EVP_PKEY_free(out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	reply(span_of(data, n));
	opened(span_of(data, n));
	return 0;
}
