/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_CLI_MIME_H
#define DPIV_CLI_MIME_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "base/err.h"

/*
 * MIME entities as they come: reading by spans into the caller's bytes, nothing copied, nothing trusted. Lines end in
 * CRLF or LF, as mail on disk does. Every search is linear and every nesting bounded by MIME_DEPTH.
 */
#define MIME_DEPTH 8
#define MIME_LINE  998 /* RFC 5322, 2.1.1: octets in a line, without CRLF */

/* The next line without its end; false when nothing is left. raw (may be NULL): with its end. */
bool mime_line(struct span *in, struct span *line, struct span *raw);

/* Header fields and body of an entity. The header ends at the first empty line (which belongs to neither); without one
 * all is header. False when what stands there is no header: then head is empty and body everything. */
bool mime_split(struct span entity, struct span *head, struct span *body);

struct mime_field {
	struct span name, value; /* value: still folded, without the last line end */
	struct span raw;	 /* the whole field */
};
/* The next field of a header; false at the end and at a line that is no field. */
bool mime_field(struct span *head, struct mime_field *f);
/* Is this its name? Without regard to case; a pattern that ends in '-' matches a prefix. */
bool mime_is_named(const struct mime_field *f, const char *name);
/* The first field of this name; number (may be NULL): how many there are. */
bool mime_find(struct span head, const char *name, struct span *value, size_t *number);

/* A structured value such as "multipart/signed; micalg=sha-256": word is what stands before the first ';', in lower
 * case, without comments and blanks; false when it does not fit. */
bool mime_word(struct span value, char *word, size_t cap);
/* A parameter of it, unquoted; false when it is absent, malformed or does not fit. */
bool mime_param(struct span value, const char *name, char *out, size_t cap);

/* What a header says about the body. Defaults as RFC 2045, 5.2. Two Content-Type fields are E_PROTO. */
struct mime_type {
	char type[80]; /* "text/plain" */
	struct span value;
	bool given;
};
enum err mime_type(struct span head, struct mime_type *t) MUST_CHECK;
bool mime_is(const struct mime_type *t, const char *type); /* "text/" matches every text type */

enum mime_cte { MIME_7BIT, MIME_8BIT, MIME_BINARY, MIME_QP, MIME_BASE64, MIME_UNKNOWN };
enum mime_cte mime_cte(struct span head);
/* The body's bytes with the transfer encoding taken off. E_PROTO for what cannot be undone. */
enum err mime_decode(enum mime_cte cte, struct span body, struct wbuf *out) MUST_CHECK;

/* Walks the parts of a multipart body (RFC 2046, 5.1.1). part: without the line end that belongs to the delimiter.
 * *body is left behind the delimiter; closed tells that the closing delimiter was seen. */
struct mime_parts {
	struct span rest;
	char boundary[80]; /* "--" and the boundary */
	bool closed;
};
enum err mime_parts_open(const struct mime_type *t, struct span body, struct mime_parts *p) MUST_CHECK;
bool mime_parts_next(struct mime_parts *p, struct span *part);

/* Writing. */
void mime_canonical(struct span in, struct wbuf *out); /* every line end becomes CRLF */
void mime_unix(struct span in, struct wbuf *out);      /* CRLF becomes LF */
bool mime_is_7bit(struct span in);		       /* survives any transport as it is (RFC 2045, 2.7) */
bool mime_is_text(struct span in);		       /* UTF-8 without control characters but tab, CR, LF, FF */
void mime_put_qp(struct span in, struct wbuf *out);
void mime_put_base64(struct span in, struct wbuf *out);
/* An entity in canonical form; with only7 all that is 8-bit gets a transfer encoding first (RFC 8551, 3.1.3). E_UNSUP
 * when that would change something signed. */
enum err mime_put_entity(struct span entity, bool only7, struct wbuf *out) MUST_CHECK;

#endif
