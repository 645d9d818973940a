/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Archives: any bytes are read or refused; what was put in comes out; and one whose bytes are not all as they were
 * written is refused, wherever the difference is.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "derive/issuer/archive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static enum err
begin(void *arg, const char *name)
{
	(void)arg;
	if (name[0] == '.' || strchr(name, '/') != NULL || strlen(name) > 99)
		__builtin_trap();
	return E_OK;
}

static enum err
take(void *arg, struct span data)
{
	wbuf_span(arg, data);
	return E_OK;
}

static enum err
end(void *arg)
{
	(void)arg;
	return E_OK;
}

static enum err
read_from(FILE *f, struct wbuf *out)
{
	static const struct archive_sink sink = { begin, take, end };

	wbuf_init(out, 1u << 20);
	rewind(f);
	return archive_read(f, &sink, out);
}

static FILE *
memory(const uint8_t *data, size_t n)
{
	FILE *f = fdopen(memfd_create("fuzz", 0), "w+");

	if (f == NULL || fwrite(data, 1, n, f) != n)
		__builtin_trap();
	rewind(f);
	return f;
}

static void
there_and_back(FILE *out, const uint8_t *data, size_t n)
{
	FILE *in = memory(data, n);
	WBUF_AUTO back = { 0 };
	struct archive a;
	long size;
	int c;

	archive_begin(&a, out, 1);
	if (archive_add(&a, "issuer.conf", in) != E_OK || archive_finish(&a) != E_OK)
		__builtin_trap();
	archive_free(&a);
	if (read_from(out, &back) != E_OK || !span_eq(wbuf_view(&back), span_of(data, n)))
		__builtin_trap();
	size = ftell(out);
	fseek(out, (long)((data[0] << 8 | data[1]) % size), SEEK_SET);
	c = fgetc(out);
	fseek(out, -1, SEEK_CUR);
	fputc(c ^ (data[2] ? data[2] : 1), out);
	wbuf_free(&back);
	if (read_from(out, &back) == E_OK)
		__builtin_trap();
	fclose(in);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	WBUF_AUTO out = { 0 };
	FILE *f = memory(data, n);

	(void)read_from(f, &out);
	fclose(f);
	if (n >= 3) {
		f = memory(data, 0);
		there_and_back(f, data, n);
		fclose(f);
	}
	return 0;
}
