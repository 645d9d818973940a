/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Anything as a message that is scanned for its recipients: as mail, and as the beginning of a CMS object. How it is
 * cut into pieces must not change which recipients are told.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/scan.h"
#include "cli/scan_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	size_t n, bytes;
	struct scan_table *table;
};

static void
on_id(void *arg, const struct scan_id *id)
{
	struct seen *s = arg;

	if (id->serial.n == 0 || id->identity.n == 0 || (id->is_keyid && id->issuer.n != 0))
		abort();
	s->n++;
	s->bytes += id->identity.n;
	if (s->table != NULL)
		scan_table_id(s->table, id);
}

static void
on_message(void *arg, const struct scan_message *m)
{
	struct seen *s = arg;

	if (s->table != NULL && scan_table_message(s->table, m) != -1)
		abort(); /* no key is held */
}

static void
as_mail(struct span in)
{
	static struct scan_table table;
	struct seen s = { .table = &table };
	struct scan_sink sink = { &s, on_id, on_message, NULL };
	struct scan_mail m;
	struct span line, raw;

	if (table.slots == NULL && scan_table_init(&table) != E_OK)
		abort();
	scan_mail_init(&m, &sink);
	scan_mail_begin(&m, "x", 0);
	while (mime_line(&in, &line, &raw))
		scan_mail_line(&m, raw, true);
	scan_mail_end(&m);
	scan_mail_free(&m);
	if (table.n_rows > 1000) {
		scan_table_sort(&table);
		scan_table_free(&table);
	}
}

static enum scan_state
in_pieces(struct span in, size_t piece, struct seen *s)
{
	struct scan_cms c;
	enum scan_state st = SCAN_MORE;
	struct span one;

	scan_cms_init(&c);
	while (st == SCAN_MORE && in.n > 0 && span_take(&in, piece < in.n ? piece : in.n, &one))
		st = scan_cms_put(&c, one, on_id, s);
	scan_cms_free(&c);
	return st;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);
	struct seen a = { 0 }, b = { 0 };

	as_mail(in);
	if (size > 4096)
		return 0;
	if (in_pieces(in, size, &a) != in_pieces(in, 1, &b) || a.n != b.n || a.bytes != b.bytes)
		abort();
	return 0;
}
