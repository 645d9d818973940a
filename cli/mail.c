/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages: which header fields stay outside a signature or an envelope and which go in (RFC 8551, 3.1), and files
 * without a header made into entities. Nothing of a plaintext leaves this process but by mail_write().
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <openssl/rand.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/mail.h"
#include "cli/mime.h"

enum err
mail_read(const char *path, struct wbuf *in)
{
	wbuf_init(in, MAIL_MAX);
	return file_read(path == NULL ? "-" : path, in);
}

enum err
mail_write(const char *path, struct span data, bool secret)
{
	if (path != NULL && strcmp(path, "-") != 0)
		return file_write(path, secret ? 0600 : 0644, data);
	if (data.n > 0 && fwrite(data.p, 1, data.n, stdout) != data.n)
		return err_set(E_IO, "standard output: write failed");
	return fflush(stdout) == 0 ? E_OK : err_set(E_IO, "standard output: write failed");
}

bool
mail_head(struct span in, struct span *head, struct span *body)
{
	static const char *const usual[] = { "From", "To", "Cc", "Subject", "Date", "Message-ID", "MIME-Version",
		"Content-Type", "Received", "Return-Path", "Sender", "Reply-To" };
	struct span value;

	if (!mime_split(in, head, body))
		return false;
	for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++) {
		if (mime_find(*head, usual[i], &value, NULL))
			return true;
	}
	*body = in;
	*head = SPAN_NONE;
	return false;
}

static bool
field_is_inner(const struct mime_field *f)
{
	return mime_is_named(f, "Content-");
}

static void
put_field(const struct mime_field *f, struct wbuf *out)
{
	mime_canonical(f->raw, out);
	if (f->raw.p[f->raw.n - 1] != '\n')
		wbuf_put(out, "\r\n", 2);
}

void
mail_put_outer(struct span head, struct wbuf *out)
{
	struct mime_field f;

	while (mime_field(&head, &f)) {
		if (!field_is_inner(&f) && !mime_is_named(&f, "MIME-Version"))
			put_field(&f, out);
	}
}

static void
put(struct wbuf *out, const char *text)
{
	wbuf_span(out, span_str(text));
}

void
mail_put_pkcs7(const char *smime_type, struct span der, struct wbuf *out)
{
	put(out, "MIME-Version: 1.0\r\nContent-Type: application/pkcs7-mime; smime-type=");
	put(out, smime_type);
	put(out,
	    ";\r\n name=\"smime.p7m\"\r\nContent-Transfer-Encoding: base64\r\n"
	    "Content-Disposition: attachment; filename=\"smime.p7m\"\r\n\r\n");
	mime_put_base64(der, out);
}

/* --- header fields that are given on the command line, or missing ------------------------------------------------- */

/* RFC 2047 encoded words of at most 45 bytes of UTF-8, never cut inside a character. */
static void
put_words(const char *text, struct wbuf *out)
{
	struct span rest = span_str(text), part;

	while (rest.n > 0) {
		size_t n = rest.n < 45 ? rest.n : 45;

		while (n < rest.n && n > 1 && (rest.p[n] & 0xC0) == 0x80)
			n--;
		(void)span_take(&rest, n, &part);
		put(out, "=?utf-8?B?");
		text_base64(part, 0, out);
		put(out, rest.n > 0 ? "?=\r\n " : "?=");
	}
}

/* Folded behind commas (RFC 5322, 2.2.3), so that a list of any length makes short lines. */
static void
put_folded(struct span v, struct wbuf *out)
{
	size_t column = 0;
	uint8_t c;

	while (span_u8(&v, &c)) {
		wbuf_u8(out, c);
		if (++column > 60 && c == ',' && v.n > 1 && v.p[0] == ' ') {
			put(out, "\r\n");
			column = 0;
		}
	}
}

static enum err
add_field(struct wbuf *out, const char *name, const char *value)
{
	struct span v = span_str(value);

	if (!mime_is_text(v) || strpbrk(value, "\r\n") != NULL)
		return err_set(E_USAGE, "the value for %s is not one line of text", name);
	put(out, name);
	put(out, ": ");
	if (mime_is_7bit(v))
		put_folded(v, out);
	else if (strcmp(name, "Subject") == 0)
		put_words(value, out);
	else
		return err_set(
		    E_USAGE, "%s takes ASCII only here; put a header with encoded names into the message", name);
	put(out, "\r\n");
	return E_OK;
}

static void
add_date(struct wbuf *out)
{
	time_t now = time(NULL);
	struct tm tm;
	char text[64];

	if (localtime_r(&now, &tm) == NULL || strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S %z", &tm) == 0)
		return;
	put(out, "Date: ");
	put(out, text);
	put(out, "\r\n");
}

static void
add_message_id(const struct addresses *from, struct wbuf *out)
{
	const char *at = from->n > 0 ? strchr(from->v[0], '@') : "@localhost";
	uint8_t random[16];
	char hex[33];

	if (RAND_bytes(random, sizeof random) != 1)
		return;
	put(out, "Message-ID: <");
	put(out, text_hex(span_of(random, sizeof random), hex, sizeof hex));
	put(out, at);
	put(out, ">\r\n");
}

static bool
has(struct span head, const char *name)
{
	struct span value;

	return mime_find(head, name, &value, NULL);
}

static enum err
senders_read(struct span head, struct mail *m)
{
	struct span value;
	enum err e = E_OK;

	if ((m->has_from = mime_find(head, "From", &value, NULL)))
		e = addresses_add(&m->from, value);
	if (e == E_OK && (m->has_to = mime_find(head, "To", &value, NULL)))
		e = addresses_add(&m->to, value);
	if (e == E_OK && mime_find(head, "Cc", &value, NULL))
		e = addresses_add(&m->to, value);
	return e;
}

static enum err
outer_build(struct span head, const struct mail_add *add, struct mail *m)
{
	enum err e = E_OK;

	if (add->from != NULL && !has(head, "From"))
		e = add_field(&m->outer, "From", add->from);
	if (e == E_OK && add->to != NULL && !has(head, "To"))
		e = add_field(&m->outer, "To", add->to);
	if (e == E_OK && add->subject != NULL && !has(head, "Subject"))
		e = add_field(&m->outer, "Subject", add->subject);
	if (e != E_OK)
		return e;
	mail_put_outer(head, &m->outer);
	if ((e = senders_read(wbuf_view(&m->outer), m)) != E_OK || (!m->has_from && !m->has_to))
		return e; /* without either it is a file, not a mail */
	if (!has(wbuf_view(&m->outer), "Date"))
		add_date(&m->outer);
	if (!has(wbuf_view(&m->outer), "Message-ID"))
		add_message_id(&m->from, &m->outer);
	return E_OK;
}

/* --- the entity inside -------------------------------------------------------------------------------------------- */

/* What mail transports are known to change: blanks at line ends, "From " at line starts. */
static bool
is_fragile(struct span in)
{
	struct span line;

	while (mime_line(&in, &line, NULL)) {
		if (span_starts(line, "From ", 5) || (line.n > 0 && strchr(" \t", line.p[line.n - 1]) != NULL))
			return true;
	}
	return false;
}

static void
put_text(struct span body, bool only7, struct wbuf *out)
{
	bool ascii = mime_is_7bit(body), qp = only7 && (!ascii || is_fragile(body));

	put(out, "Content-Type: text/plain; charset=");
	put(out, ascii ? "us-ascii" : "utf-8");
	put(out, "\r\nContent-Transfer-Encoding: ");
	put(out, qp ? "quoted-printable" : ascii ? "7bit" : "8bit");
	put(out, "\r\n\r\n");
	if (qp)
		mime_put_qp(body, out);
	else
		mime_canonical(body, out);
}

static void
put_file(struct span body, const char *name, struct wbuf *out)
{
	const char *slash = name == NULL ? NULL : strrchr(name, '/');
	const char *base = slash != NULL ? slash + 1 : name;

	put(out,
	    "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n"
	    "Content-Disposition: attachment");
	if (base != NULL && *base != '\0' && strpbrk(base, "\"\\") == NULL && strcmp(base, "-") != 0 &&
	    mime_is_7bit(span_str(base)) && mime_is_text(span_str(base))) {
		put(out, "; filename=\"");
		put(out, base);
		put(out, "\"");
	}
	put(out, "\r\n\r\n");
	mime_put_base64(body, out);
}

/* The Content-* fields of a message and its body: an entity as it was written. */
static enum err
inner_from_message(struct span head, struct span body, bool only7, struct wbuf *out)
{
	WBUF_AUTO entity;
	struct mime_field f;

	wbuf_init(&entity, MAIL_MAX);
	while (mime_field(&head, &f)) {
		if (field_is_inner(&f))
			put_field(&f, &entity);
	}
	put(&entity, "\r\n");
	wbuf_span(&entity, body);
	if (entity.bad)
		return err_set(E_PROTO, "the message is larger than %u bytes", MAIL_MAX);
	return mime_put_entity(wbuf_view(&entity), only7, out);
}

enum err
mail_build(struct span in, const char *name, const struct mail_add *add, bool only7, struct mail *m)
{
	struct span head, body;
	bool message = mail_head(in, &head, &body);
	enum err e;

	memset(m, 0, sizeof *m);
	wbuf_init(&m->outer, MAIL_MAX);
	wbuf_init(&m->inner, MAIL_MAX * 2);
	if ((e = outer_build(head, add, m)) != E_OK)
		return e;
	if (message && has(head, "Content-Type"))
		e = inner_from_message(head, body, only7, &m->inner);
	else if (mime_is_text(body))
		put_text(body, only7, &m->inner);
	else
		put_file(body, name, &m->inner);
	if (e == E_OK && (m->inner.bad || m->outer.bad))
		e = err_set(E_PROTO, "the message is larger than %u bytes", MAIL_MAX);
	return e;
}

void
mail_free(struct mail *m)
{
	wbuf_free(&m->outer);
	wbuf_free(&m->inner);
	addresses_free(&m->from);
	addresses_free(&m->to);
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

/* The first text part, depth first; *found says whether there was one. */
static enum err
text_find(struct span entity, int depth, bool *found, struct wbuf *out)
{
	struct span head, body, part;
	struct mime_type t;
	struct mime_parts p;
	WBUF_AUTO decoded;
	enum err e;

	wbuf_init(&decoded, MAIL_MAX);
	(void)mime_split(entity, &head, &body);
	if (depth >= MIME_DEPTH || (e = mime_type(head, &t)) != E_OK)
		return depth >= MIME_DEPTH ? E_OK : e;
	if (mime_is(&t, "multipart/")) {
		if ((e = mime_parts_open(&t, body, &p)) != E_OK)
			return e;
		while (!*found && e == E_OK && mime_parts_next(&p, &part))
			e = text_find(part, depth + 1, found, out);
		return e;
	}
	if (depth > 0 && !mime_is(&t, "text/"))
		return E_OK;
	*found = true;
	if ((e = mime_decode(mime_cte(head), body, &decoded)) != E_OK)
		return e;
	if (mime_is(&t, "text/"))
		mime_unix(wbuf_view(&decoded), out);
	else
		wbuf_span(out, wbuf_view(&decoded));
	return E_OK;
}

enum err
mail_text(struct span entity, struct wbuf *out)
{
	struct span head, body;
	bool found = false;
	enum err e;

	if (!mime_split(entity, &head, &body) || !has(head, "Content-Type")) {
		wbuf_span(out, entity); /* was no entity to begin with */
		return E_OK;
	}
	e = text_find(entity, 0, &found, out);
	return e == E_OK && !found ? err_set(E_NOTFOUND, "the message has no text part; leave --text out") : e;
}
