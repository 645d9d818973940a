/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_CLI_SCAN_H
#define DPIV_CLI_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/bytes.h"
#include "base/err.h"
#include "cli/mime.h"

/*
 * Whom the messages of a mailbox are encrypted for, read in one pass and in constant memory. Only the beginning of an
 * encrypted body is decoded, as far as its RecipientInfos reach.
 */

/* One recipient of a message. */
struct scan_id {
	bool is_keyid;	      /* a subject key identifier, in serial */
	struct span issuer;   /* Name, DER */
	struct span serial;   /* contents of the INTEGER */
	struct span identity; /* all of it, as it stands in the message: equal bytes, equal recipient */
};

/* --- the beginning of a CMS object (scan_cms.c) --- */
enum scan_state {
	SCAN_MORE,  /* give more bytes */
	SCAN_END,   /* every recipient was told */
	SCAN_OTHER, /* a CMS object that is not encrypted */
	SCAN_BAD    /* malformed */
};
#define SCAN_CMS_MAX (1024 * 1024) /* as far as RecipientInfos may reach */

typedef void scan_id_fn(void *arg, const struct scan_id *id);
struct scan_cms {
	struct wbuf der;
	size_t at; /* what is read of it */
	bool inside, open;
	size_t left; /* of the SET of RecipientInfos, when its length is known */
};
void scan_cms_init(struct scan_cms *c);
void scan_cms_free(struct scan_cms *c);
void scan_cms_reset(struct scan_cms *c);
/* The next bytes of the object. fn is called once a recipient; its spans are valid during the call. */
enum scan_state scan_cms_put(struct scan_cms *c, struct span more, scan_id_fn *fn, void *arg);

/* --- one message, line by line (scan_mail.c) --- */
struct scan_message {
	bool encrypted, damaged, dated;
	time_t date;	  /* of its Date field */
	char name[128];	  /* Message-ID, safe to show; "" without one */
	const char *path; /* where it is */
	uint64_t offset;  /* and where in there */
};

struct scan_sink {
	void *arg;
	scan_id_fn *id;					      /* a recipient of the message that is being read */
	void (*message)(void *, const struct scan_message *); /* it has ended */
	void (*progress)(void *, uint64_t bytes);	      /* now and then, with what was read since; may be NULL */
};

enum scan_phase { SCAN_HEAD, SCAN_SKIP, SCAN_BODY, SCAN_DONE };
enum scan_coding { SCAN_RAW, SCAN_BASE64, SCAN_QP };

struct scan_mail {
	const struct scan_sink *sink;
	enum scan_phase phase;
	enum scan_coding coding;
	bool pem; /* base64 between BEGIN and END lines */
	struct wbuf head, raw;
	bool keep;	/* the field that is being read is wanted */
	unsigned depth; /* of multiparts */
	struct {
		char text[80];
		size_t n;
	} boundary[MIME_DEPTH];
	struct scan_cms cms;
	uint32_t bits; /* of base64, not whole bytes yet */
	unsigned n_bits;
	struct scan_message m;
};
void scan_mail_init(struct scan_mail *s, const struct scan_sink *sink);
void scan_mail_free(struct scan_mail *s);
void scan_mail_begin(struct scan_mail *s, const char *path, uint64_t offset);
/* It is no mail but a bare CMS object: bytes, or base64 with or without PEM's lines. */
void scan_mail_bare(struct scan_mail *s, enum scan_coding coding);
/* A line with its end. A long one may come in pieces; begins: this is the first. */
void scan_mail_line(struct scan_mail *s, struct span raw, bool begins);
void scan_mail_end(struct scan_mail *s);

/* --- mailboxes (scan_box.c) --- */
/* A file (mbox, one message, a bare CMS object) or a directory of such files, all below it; what is neither is passed
 * over. E_NOTFOUND when nothing was a message. bytes (may be NULL): what was read. */
enum err scan_box(const char *path, const struct scan_sink *sink, uint64_t *bytes) MUST_CHECK;
/* How much there is to read, for progress; 0 unknown. */
uint64_t scan_box_size(const char *path);

#endif
