/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mailboxes: mbox (RFC 4155, and its dialects), single messages, bare CMS objects, and directories of these (maildir,
 * MH, a profile of Thunderbird). Files are read once, forwards, through one buffer; of a single message no more is read
 * than tells its recipients. A From_ line begins a message where it stands at the beginning or after an empty line and
 * has a time in it, or nothing (Thunderbird), so that a paragraph that begins with "From " does not.
 */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <string.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/scan.h"

#define BUFFER	   (1024 * 1024)
#define FIRST_READ (16 * 1024) /* enough for most single messages */
#define PROGRESS   (8 * 1024 * 1024)

enum kind { NOTHING, MBOX, MAIL, CMS_DER, CMS_BASE64 };

struct box {
	const struct scan_sink *sink;
	struct scan_mail mail;
	uint8_t *buffer;
	int fd;
	const char *path;
	enum kind kind;
	uint64_t at;   /* in the file, of the line that is looked at */
	uint64_t told; /* bytes since the last progress */
	uint64_t bytes, messages;
	bool in_message, after_empty, begins;
};

/* --- what is it? -------------------------------------------------------------------------------------------------- */

static bool
is_base64_line(struct span line)
{
	uint8_t c;
	size_t n = line.n;

	while (span_u8(&line, &c)) {
		if ((c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '+' && c != '/' &&
		    c != '=')
			return false;
	}
	return n >= 16;
}

static enum kind
kind_of(struct span in)
{
	struct span line, probe = in;
	struct mime_field f;

	if (span_starts(in, "\x30", 1) && in.n > 1 && in.p[1] >= 0x80)
		return CMS_DER;
	if (span_starts(in, "From ", 5))
		return MBOX;
	if (span_starts(in, "-----BEGIN ", 11) || (mime_line(&probe, &line, NULL) && is_base64_line(line)))
		return CMS_BASE64;
	return mime_field(&in, &f) ? MAIL : NOTHING;
}

/* --- messages ----------------------------------------------------------------------------------------------------- */

static void
message_end(struct box *b)
{
	if (!b->in_message)
		return;
	scan_mail_end(&b->mail);
	b->messages++;
	b->in_message = false;
}

static void
message_begin(struct box *b)
{
	message_end(b);
	scan_mail_begin(&b->mail, b->path, b->at);
	b->in_message = true;
}

static bool
is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static bool
is_from_line(struct span line)
{
	if (!span_skip(&line, 5))
		return false;
	while (line.n > 0 && line.p[0] == ' ')
		(void)span_skip(&line, 1);
	if (line.n == 0)
		return true;
	for (; line.n >= 5; (void)span_skip(&line, 1)) {
		if (line.p[2] == ':' && is_digit(line.p[0]) && is_digit(line.p[1]) && is_digit(line.p[3]) &&
		    is_digit(line.p[4]))
			return true;
	}
	return false;
}

static void
box_line(struct box *b, struct span line, struct span raw)
{
	if (b->kind == MBOX && b->begins && b->after_empty && span_starts(line, "From ", 5) && is_from_line(line)) {
		message_begin(b);
		b->after_empty = false;
		return;
	}
	if (b->in_message && b->mail.phase != SCAN_DONE)
		scan_mail_line(&b->mail, raw, b->begins);
	b->after_empty = b->begins && line.n == 0;
}

/* Do these lines end with an empty one? */
static bool
ends_empty(struct span s)
{
	size_t n = s.n - 1;

	n -= n > 0 && s.p[n - 1] == '\r';
	return n == 0 || s.p[n - 1] == '\n';
}

/* What is left of a message that is done with is searched for the next "From " only: up to there, or to the last line,
 * which may be cut. */
static void
box_skip(struct box *b, struct span *in)
{
	struct span rest = *in, lines;
	const uint8_t *nl;

	while (!span_starts(rest, "From ", 5) && rest.n > 0 && (nl = memchr(rest.p, '\n', rest.n)) != NULL)
		(void)span_skip(&rest, (size_t)(nl - rest.p) + 1);
	if (rest.n < in->n && span_take(in, in->n - rest.n, &lines)) {
		b->after_empty = ends_empty(lines);
		b->at += lines.n;
	}
}

/* All whole lines of the buffer; a line that fills it, in pieces; at the end of the file what is left of one. Returns
 * how much was used. */
static size_t
box_lines(struct box *b, struct span in, bool last)
{
	size_t n = in.n;
	struct span line, raw, before;

	for (;;) {
		bool whole;

		before = in;
		if (!mime_line(&in, &line, &raw))
			break;
		whole = raw.p[raw.n - 1] == '\n';
		if (!whole && !last && raw.n < BUFFER)
			return n - before.n;
		box_line(b, line, raw);
		b->begins = whole;
		b->at += raw.n;
		if (b->mail.phase != SCAN_DONE)
			continue;
		if (b->kind != MBOX)
			break;
		if (whole && in.n > 0)
			box_skip(b, &in);
	}
	return n - in.n;
}

/* --- files -------------------------------------------------------------------------------------------------------- */

static void
box_kind(struct box *b, struct span first)
{
	b->kind = kind_of(first);
	b->after_empty = b->begins = true;
	if (b->kind == NOTHING || b->kind == MBOX)
		return;
	message_begin(b);
	if (b->kind != MAIL)
		scan_mail_bare(&b->mail, b->kind == CMS_DER ? SCAN_RAW : SCAN_BASE64);
}

static void
box_told(struct box *b, size_t n)
{
	b->bytes += n;
	b->told += n;
	if (b->told < PROGRESS || b->sink->progress == NULL)
		return;
	b->sink->progress(b->sink->arg, b->told);
	b->told = 0;
}

static bool
box_is_done(const struct box *b)
{
	return b->kind == NOTHING || (b->kind != MBOX && b->mail.phase == SCAN_DONE);
}

static ssize_t
box_read(struct box *b, size_t have, size_t want)
{
	ssize_t n;

	do
		n = read(b->fd, b->buffer + have, want);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		box_told(b, (size_t)n);
	return n;
}

static enum err
box_stream(struct box *b)
{
	size_t have = 0, used;
	bool first = true;

	for (;;) {
		ssize_t n = box_read(b, have, first ? FIRST_READ : BUFFER - have);

		if (n < 0)
			return err_set(E_IO, "%s: %s", b->path, strerror(errno));
		have += (size_t)n;
		if (first)
			box_kind(b, span_of(b->buffer, have));
		first = false;
		used = box_lines(b, span_of(b->buffer, have), n == 0);
		if (n == 0 || box_is_done(b))
			break;
		have -= used;
		memmove(b->buffer, b->buffer + used, have);
	}
	message_end(b);
	return E_OK;
}

static enum err
box_file(struct box *b, const char *path)
{
	enum err e;

	b->path = path;
	b->at = 0;
	b->kind = NOTHING;
	b->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (b->fd < 0)
		return err_set(errno == ENOENT ? E_NOTFOUND : E_IO, "%s: %s", path, strerror(errno));
	(void)posix_fadvise(b->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	e = box_stream(b);
	close(b->fd);
	return e;
}

/* --- directories -------------------------------------------------------------------------------------------------- */

/* One unreadable file must not hide the others, but is not passed over in silence. */
static enum err
box_entry(struct box *b, const FTSENT *f)
{
	enum err e;

	if (f->fts_info == FTS_F) {
		/* mail programs rename files of a maildir at any time */
		e = box_file(b, f->fts_accpath);
		return e == E_NOTFOUND ? E_OK : e;
	}
	if (f->fts_info == FTS_DNR || f->fts_info == FTS_ERR || f->fts_info == FTS_NS)
		return err_set(E_IO, "%s: %s", f->fts_path, strerror(f->fts_errno));
	return E_OK;
}

static enum err
box_directory(struct box *b, char *path)
{
	char *roots[] = { path, NULL };
	FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	enum err e = E_OK;
	FTSENT *f;

	if (tree == NULL)
		return err_set(E_IO, "%s: %s", path, strerror(errno));
	errno = 0;
	while (e == E_OK && (f = fts_read(tree)) != NULL) {
		/* what is still being delivered is no mail yet */
		if (f->fts_info == FTS_D && strcmp(f->fts_name, "tmp") == 0)
			(void)fts_set(tree, f, FTS_SKIP);
		else
			e = box_entry(b, f);
	}
	if (e == E_OK && errno != 0 && errno != ENOENT)
		e = err_set(E_IO, "%s: %s", path, strerror(errno));
	(void)fts_close(tree);
	return e;
}

static enum err
box_any(struct box *b, const char *path)
{
	struct stat st;
	char *copy;
	enum err e;

	if (stat(path, &st) != 0)
		return err_set(errno == ENOENT ? E_NOTFOUND : E_IO, "%s: %s", path, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return box_file(b, path);
	copy = strdup(path);
	if (copy == NULL)
		return err_set(E_NOMEM, "out of memory");
	e = box_directory(b, copy);
	free(copy);
	return e;
}

enum err
scan_box(const char *path, const struct scan_sink *sink, uint64_t *bytes)
{
	struct box b = { .sink = sink, .fd = -1 };
	char safe[256];
	enum err e;

	scan_mail_init(&b.mail, sink);
	b.buffer = malloc(BUFFER);
	e = b.buffer != NULL ? box_any(&b, path) : err_set(E_NOMEM, "out of memory");
	if (e == E_OK && b.messages == 0)
		e = err_set(E_NOTFOUND, "%s: there is no message in it (mbox, maildir, mail or .p7m)",
		    text_safe(span_str(path), safe, sizeof safe));
	if (bytes != NULL)
		*bytes = b.bytes;
	free(b.buffer);
	scan_mail_free(&b.mail);
	return e;
}

uint64_t
scan_box_size(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 ? (uint64_t)st.st_size : 0;
}
