/* SPDX-License-Identifier: BSD-2-Clause */
/* The configuration parser, base64, hex and the making safe of foreign text. */
#include <stdio.h>
#include <unistd.h>

#include "base/conf.h"
#include "base/file.h"
#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static char path[64];
	struct conf *c = NULL;
	char safe[200];
	WBUF_AUTO out = { .max = 65536 };

	if (path[0] == '\0')
		snprintf(path, sizeof path, "/tmp/dpiv-fuzz-conf.%ld", (long)getpid());
	(void)text_unbase64(span_of(data, n), &out);
	text_safe(span_of(data, n), safe, sizeof safe);
	/* .include and $ENV:: reach outside the input; what they name is the administrator's business. */
	FILE *f = fopen(path, "w");
	if (f == NULL)
		return 0;
	fwrite(data, 1, n, f);
	fclose(f);
	if (conf_load_file(path, &c) == E_OK)
		conf_free(&c);
	unlink(path);
	return 0;
}
