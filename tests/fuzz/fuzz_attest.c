/* SPDX-License-Identifier: BSD-2-Clause */
/* Attestation certificates as a token gives them, and the evidence as the state store gives it back. */
#include <stdlib.h>
#include <string.h>

#include "derive/assure.h"
#include "derive/attest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* What was read is written as it was, and reads as the same again. */
static void
text(const uint8_t *data, size_t n)
{
	struct assure a, b;
	struct wbuf w = { .max = 8192 };
	char *s = malloc(n + 1);

	if (s == NULL)
		return;
	memcpy(s, data, n);
	s[n] = '\0';
	if (assure_read(s, &a)) {
		assure_write(&a, &w);
		wbuf_u8(&w, '\0');
		if (w.bad || !assure_read((const char *)w.p, &b) || a.level != b.level || a.n != b.n)
			__builtin_trap();
	}
	wbuf_free(&w);
	free(s);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const unsigned char *p = data;
	X509 *x = d2i_X509(NULL, &p, (long)n);
	struct attest a;

	if (x != NULL && attest_read(x, &a) == E_OK &&
	    (memchr(a.firmware, '\0', sizeof a.firmware) == NULL || memchr(a.serial, '\0', sizeof a.serial) == NULL))
		__builtin_trap();
	if (x != NULL && attest_verify(x, x, NULL) != E_OK && attest_trusted(x, NULL) == E_OK)
		__builtin_trap();
	X509_free(x);
	text(data, n);
	return 0;
}
