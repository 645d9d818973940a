/* SPDX-License-Identifier: BSD-2-Clause */
/* RFC 7512 URIs from the command line, the configuration and the state store; what tokens call themselves. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "derive/token_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* A token that is called like the input; its own URI must name it again. */
static void
round_trip(const uint8_t *data, size_t n)
{
	char path[] = "/usr/lib/m.so", label[33];
	struct token_module m = { .path = path };
	CK_TOKEN_INFO ti;
	struct token_ref ref;
	char *uri;

	memset(&ti, ' ', sizeof ti);
	memcpy(ti.label, data, n < sizeof ti.label ? n : sizeof ti.label);
	find_text(ti.label, sizeof ti.label, label, sizeof label);
	if (ref_format(&m, &ti, &uri) != E_OK)
		return;
	if (ref_parse(uri, &ref) != E_OK || ref.module_path == NULL || strcmp(ref.module_path, path) != 0)
		__builtin_trap();
	ref_free(&ref);
	free(uri);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct token_key k = { .id = { 1 }, .id_len = 1, .label = "x" };
	struct token t = { .m = NULL };
	char *text = malloc(n + 1);

	if (text == NULL)
		return 0;
	if (n > 0)
		memcpy(text, data, n);
	text[n] = '\0';
	if (ref_parse(text, &t.ref) == E_OK) {
		(void)ref_has_pin(&t.ref);
		(void)token_key_named(&t, &k);
		ref_free(&t.ref);
	}
	free(text);
	round_trip(data, n);
	return 0;
}
