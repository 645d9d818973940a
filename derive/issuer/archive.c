/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Archives (archive.h). The reader takes exactly what the writer writes: it reads name, size and time out of a header,
 * makes that header anew and compares all of it, and compares the list of digests with one of its own making. So there
 * is no second form of anything, and no field that is read and not checked. Links, folders, paths and devices have no
 * form here at all.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <openssl/evp.h>

#include "base/text.h"
#include "derive/issuer/archive.h"

#define BLOCK	     512u
#define NAME	     100u /* with its NUL */
#define SUMS	     "SHA256SUMS"
#define SUMS_MAX     8192u
#define FILES_MAX    40u
#define CHUNK	     16384u
#define SIZE_LIMIT   077777777777 /* 8 GiB: eleven octal digits */
#define END_BLOCKS   2u
#define END_MOST     40u /* tar(1) fills up to 20 */
#define CHECKSUM_AT  148u
#define CHECKSUM_LEN 8u

struct header {
	char name[NAME];
	unsigned long long size, mtime;
};

static bool
name_ok(const char *name)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t n = strlen(name);

	return n > 0 && n < NAME && name[0] != '.' && name[strspn(name, letters)] == '\0';
}

static void
field(struct wbuf *w, const char *text, size_t width)
{
	wbuf_put(w, text, strlen(text));
	wbuf_fill(w, 0, width - strlen(text));
}

static void
octal(struct wbuf *w, unsigned long long v)
{
	char text[24];

	(void)snprintf(text, sizeof text, "%011llo", v);
	field(w, text, 12);
}

/* The header with blanks for its checksum, then with it. */
static void
header_put(struct wbuf *w, const struct header *h)
{
	size_t from = w->n;
	unsigned sum = 0;
	char text[CHECKSUM_LEN + 1];

	field(w, h->name, NAME);
	field(w, "0000600", 8);
	field(w, "0000000", 8);
	field(w, "0000000", 8);
	octal(w, h->size);
	octal(w, h->mtime);
	wbuf_fill(w, ' ', CHECKSUM_LEN);
	wbuf_put(w, "0", 1);
	wbuf_fill(w, 0, 100);
	wbuf_put(w, "ustar\00000", 8);
	wbuf_fill(w, 0, BLOCK - (w->n - from));
	if (w->bad)
		return;
	for (size_t k = 0; k < BLOCK; k++)
		sum += w->p[from + k];
	(void)snprintf(text, sizeof text, "%06o%c ", sum & 0777777u, '\0');
	memcpy(&w->p[from + CHECKSUM_AT], text, CHECKSUM_LEN);
}

static bool
octal_read(struct span *in, unsigned long long *out)
{
	uint8_t c;

	*out = 0;
	for (int k = 0; k < 11; k++) {
		if (!span_u8(in, &c) || c < '0' || c > '7')
			return false;
		*out = *out * 8 + (c - '0');
	}
	return span_u8(in, &c) && c == 0;
}

static bool
header_read(struct span block, struct header *h)
{
	struct span in = block, name;
	WBUF_AUTO again = { 0 };

	if (!span_take(&in, NAME, &name) || memchr(name.p, 0, NAME) == NULL)
		return false;
	memcpy(h->name, name.p, NAME);
	if (!name_ok(h->name) || !span_skip(&in, 24) || !octal_read(&in, &h->size) || !octal_read(&in, &h->mtime))
		return false;
	wbuf_init(&again, BLOCK);
	header_put(&again, h);
	return span_eq(wbuf_view(&again), block);
}

static void
sums_add(struct wbuf *sums, const char *name, EVP_MD_CTX *md)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	char hex[2 * EVP_MAX_MD_SIZE + 1];
	unsigned n = 0;

	if (!EVP_DigestFinal_ex(md, digest, &n)) {
		sums->bad = true;
		return;
	}
	text_hex(span_of(digest, n), hex, sizeof hex);
	for (char *p = hex; *p; p++) /* as sha256sum writes them */
		*p = *p >= 'A' && *p <= 'F' ? (char)(*p - 'A' + 'a') : *p;
	wbuf_put(sums, hex, strlen(hex));
	wbuf_put(sums, "  ", 2);
	wbuf_put(sums, name, strlen(name));
	wbuf_put(sums, "\n", 1);
}

static EVP_MD_CTX *
digest_new(void)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();

	if (md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL))
		return md;
	EVP_MD_CTX_free(md);
	return NULL;
}

/* --- writing */

void
archive_begin(struct archive *a, FILE *out, long long mtime)
{
	*a = (struct archive){ .out = out, .mtime = mtime };
	wbuf_init(&a->sums, SUMS_MAX);
}

void
archive_free(struct archive *a)
{
	wbuf_free(&a->sums);
}

static bool
put(struct archive *a, const void *p, size_t n)
{
	return fwrite(p, 1, n, a->out) == n;
}

static bool
put_header(struct archive *a, const char *name, unsigned long long size)
{
	struct header h = { .size = size, .mtime = (unsigned long long)a->mtime };
	WBUF_AUTO w = { 0 };

	(void)snprintf(h.name, sizeof h.name, "%s", name);
	wbuf_init(&w, BLOCK);
	header_put(&w, &h);
	return !w.bad && put(a, w.p, w.n);
}

static bool
put_padding(struct archive *a, unsigned long long size)
{
	static const uint8_t zeros[BLOCK];

	return size % BLOCK == 0 || put(a, zeros, BLOCK - size % BLOCK);
}

static enum err
copy(struct archive *a, const char *name, FILE *in, unsigned long long size, EVP_MD_CTX *md)
{
	uint8_t chunk[CHUNK];

	for (unsigned long long left = size; left > 0;) {
		size_t n = left < CHUNK ? (size_t)left : CHUNK;

		if (fread(chunk, 1, n, in) != n)
			return err_set(E_IO, "%s: it cannot be read, or became shorter meanwhile", name);
		if (!EVP_DigestUpdate(md, chunk, n) || !put(a, chunk, n))
			return err_set(E_IO, "cannot write: %s", strerror(errno));
		left -= n;
	}
	sums_add(&a->sums, name, md);
	return E_OK;
}

enum err
archive_add(struct archive *a, const char *name, FILE *in)
{
	EVP_MD_CTX *md = NULL;
	struct stat st;
	enum err e;

	if (!name_ok(name) || strcmp(name, SUMS) == 0)
		return err_set(E_ARG, "%s: an archive has no such name", name);
	if (fstat(fileno(in), &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > SIZE_LIMIT)
		return err_set(E_ARG, "%s: not a file, or larger than 8 GiB", name);
	if ((md = digest_new()) == NULL)
		return err_crypto(E_NOMEM, "%s: cannot be digested", name);
	if (!put_header(a, name, (unsigned long long)st.st_size))
		e = err_set(E_IO, "cannot write: %s", strerror(errno));
	else
		e = copy(a, name, in, (unsigned long long)st.st_size, md);
	if (e == E_OK && !put_padding(a, (unsigned long long)st.st_size))
		e = err_set(E_IO, "cannot write: %s", strerror(errno));
	EVP_MD_CTX_free(md);
	return e;
}

enum err
archive_finish(struct archive *a)
{
	static const uint8_t zeros[END_BLOCKS * BLOCK];

	if (a->sums.bad)
		return err_set(E_ARG, "too many files for an archive");
	if (!put_header(a, SUMS, a->sums.n) || !put(a, a->sums.p, a->sums.n) || !put_padding(a, a->sums.n) ||
	    !put(a, zeros, sizeof zeros) || fflush(a->out) != 0 || fsync(fileno(a->out)) != 0)
		return err_set(E_IO, "cannot write: %s", strerror(errno));
	return E_OK;
}

/* --- reading */

struct reader {
	FILE *in;
	const struct archive_sink *sink;
	void *arg;
	struct wbuf sums;
	size_t files;
};

static enum err
broken(const char *why)
{
	return err_set(E_PROTO, "not a backup of dpiv-issuer, or a damaged one: %s", why);
}

static enum err
take(struct reader *r, void *to, size_t n)
{
	return fread(to, 1, n, r->in) == n ? E_OK : broken("it is cut off");
}

static bool
all_zero(const uint8_t *p, size_t n)
{
	for (size_t k = 0; k < n; k++)
		if (p[k] != 0)
			return false;
	return true;
}

static enum err
take_padding(struct reader *r, unsigned long long size)
{
	uint8_t block[BLOCK];
	size_t n = (BLOCK - size % BLOCK) % BLOCK;
	enum err e = take(r, block, n);

	return e != E_OK || all_zero(block, n) ? e : broken("something hides between the files");
}

static enum err
take_data(struct reader *r, const struct header *h, EVP_MD_CTX *md)
{
	uint8_t chunk[CHUNK];
	enum err e = E_OK;

	for (unsigned long long left = h->size; e == E_OK && left > 0;) {
		size_t n = left < CHUNK ? (size_t)left : CHUNK;

		if ((e = take(r, chunk, n)) != E_OK)
			break;
		if (!EVP_DigestUpdate(md, chunk, n))
			return err_crypto(E_NOMEM, "%s: cannot be digested", h->name);
		e = r->sink->data(r->arg, span_of(chunk, n));
		left -= n;
	}
	return e;
}

static bool
seen(const struct wbuf *sums, const char *name)
{
	struct span in = wbuf_view(sums), line, rest;

	while (span_line(&in, &line))
		if (span_sub(line, 66, line.n - 66, &rest) && span_eq(rest, span_str(name)))
			return true;
	return false;
}

static enum err
take_file(struct reader *r, const struct header *h)
{
	EVP_MD_CTX *md;
	enum err e;

	if (++r->files > FILES_MAX || seen(&r->sums, h->name))
		return broken("too many files, or two of one name");
	if ((md = digest_new()) == NULL)
		return err_crypto(E_NOMEM, "%s: cannot be digested", h->name);
	if ((e = r->sink->begin(r->arg, h->name)) == E_OK && (e = take_data(r, h, md)) == E_OK &&
	    (e = r->sink->end(r->arg)) == E_OK)
		e = take_padding(r, h->size);
	sums_add(&r->sums, h->name, md);
	EVP_MD_CTX_free(md);
	return e;
}

static enum err
take_sums(struct reader *r, const struct header *h)
{
	uint8_t text[SUMS_MAX];
	enum err e;

	if (r->sums.bad || h->size != r->sums.n)
		return broken("its digests are not those of its files");
	if ((e = take(r, text, (size_t)h->size)) != E_OK)
		return e;
	if (!span_eq(span_of(text, (size_t)h->size), wbuf_view(&r->sums)))
		return broken("its digests are not those of its files");
	return take_padding(r, h->size);
}

static enum err
take_end(struct reader *r)
{
	uint8_t block[BLOCK];
	size_t blocks = 0, n;

	while ((n = fread(block, 1, BLOCK, r->in)) > 0)
		if (n < BLOCK || !all_zero(block, BLOCK) || ++blocks > END_MOST)
			return broken("something comes after its end");
	return blocks >= END_BLOCKS ? E_OK : broken("it is cut off");
}

enum err
archive_read(FILE *in, const struct archive_sink *sink, void *arg)
{
	struct reader r = { .in = in, .sink = sink, .arg = arg };
	uint8_t block[BLOCK];
	struct header h = { .name = "" };
	enum err e;

	wbuf_init(&r.sums, SUMS_MAX);
	do {
		if ((e = take(&r, block, BLOCK)) != E_OK)
			break;
		if (!header_read(span_of(block, BLOCK), &h))
			e = broken("the head of a file is wrong");
		else
			e = strcmp(h.name, SUMS) == 0 ? take_sums(&r, &h) : take_file(&r, &h);
	} while (e == E_OK && strcmp(h.name, SUMS) != 0);
	if (e == E_OK)
		e = take_end(&r);
	wbuf_free(&r.sums);
	return e;
}
