/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_CLI_MAIL_H
#define DPIV_CLI_MAIL_H

#include <stdbool.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/err.h"
#include "cli/address.h"

/*
 * A message or file on its way into and out of S/MIME. Of a message, the Content-* fields belong to the protected
 * entity and all others stay outside, where mail programs look for them (RFC 8551, 3.1). A file without mail header
 * becomes an entity of its own: text/plain when it is text, else an attachment.
 */
#define MAIL_MAX (64u * 1024 * 1024)

struct mail {
	struct wbuf outer;     /* header fields outside, CRLF, without MIME-Version and Content-* */
	struct wbuf inner;     /* the entity to protect, canonical */
	struct addresses from; /* of the header as it will be */
	struct addresses to;   /* To and Cc */
	bool has_from, has_to;
};

/* Fields for a header that lacks them; each may be NULL. */
struct mail_add {
	const char *from, *to, *subject;
};

/* The whole of a file, or standard input for "-" and NULL. */
enum err mail_read(const char *path, struct wbuf *in) MUST_CHECK;
/* only7: what is 8-bit gets a transfer encoding. name: of the file, for an attachment; may be NULL. m is initialised
 * here and freed by mail_free() also after a failure. */
enum err
mail_build(struct span in, const char *name, const struct mail_add *add, bool only7, struct mail *m) MUST_CHECK;
void mail_free(struct mail *m);

/* The mail header of a message, if it is one: has one of the fields that every mail has. */
bool mail_head(struct span in, struct span *head, struct span *body);
/* The fields of head that stay outside (all but MIME-Version and Content-*). */
void mail_put_outer(struct span head, struct wbuf *out);
/* An S/MIME body part (RFC 8551, 3.2): "application/pkcs7-mime; smime-type=…", base64. */
void mail_put_pkcs7(const char *smime_type, struct span der, struct wbuf *out);
/* What a person wants to read: the decoded text of a text part, or of the first one of a multipart; the bytes of any
 * other entity. */
enum err mail_text(struct span entity, struct wbuf *out) MUST_CHECK;

/* To a file, all or nothing, or to standard output for NULL and "-". secret: mode 0600. */
enum err mail_write(const char *path, struct span data, bool secret) MUST_CHECK;

#endif
