/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What dpiv setup reads of other programs: any text. A block that is put behind it and cut out again leaves the text as
 * it was; so it does in NSS's list of modules; profiles.ini is read within its bounds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/setup_nss.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
there_and_back(struct span text, const char *lines,
    enum err (*cut)(struct span text, const char *name, struct block *what, struct wbuf *out))
{
	WBUF_AUTO own = { .max = 1 << 20 }, with = { .max = 1 << 20 }, back = { .max = 1 << 20 };
	struct block was, now;

	if (cut(text, "ssh", &was, &own) != E_OK)
		return;
	block_put(wbuf_view(&own), "ssh", &was, lines, &with);
	if (cut(wbuf_view(&with), "ssh", &now, &back) != E_OK || !now.found || now.fresh != was.fresh ||
	    (was.fresh && now.folders != was.folders) || !span_eq(wbuf_view(&own), wbuf_view(&back)))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct profiles *all = calloc(1, sizeof *all);
	char *text = malloc(size + 1);

	there_and_back(span_of(data, size), "Match all\n\tPKCS11Provider /x.so\n", block_cut);
	there_and_back(span_of(data, size), "\nlibrary=/x.so\nname=dpiv\n\n", nss_modules_cut);
	(void)setup_has_word(span_of(data, size), "providers");
	if (all != NULL && text != NULL) {
		memcpy(text, data, size);
		text[size] = '\0';
		profiles_parse(all, "/", text);
	}
	free(text);
	free(all);
	return 0;
}
