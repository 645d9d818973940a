/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_ARCHIVE_H
#define DPIV_ISSUER_ARCHIVE_H

#include <stdio.h>

#include "base/bytes.h"
#include "base/err.h"

/*
 * Files in one file: a tar archive in the ustar form (POSIX.1-2017, pax), whose last member, SHA256SUMS, has the
 * digests of all the others, as sha256sum(1) writes them. So it can be taken apart without dpiv, and one that was cut
 * off or changed by accident shows. Names are plain: letters, digits, '.', '_', '-', not beginning with a dot.
 */
struct archive {
	FILE *out;
	long long mtime;
	struct wbuf sums;
};

void archive_begin(struct archive *a, FILE *out, long long mtime);
/* All of in, from its beginning. */
enum err archive_add(struct archive *a, const char *name, FILE *in) MUST_CHECK;
/* The digests, the end, and on to the disk. */
enum err archive_finish(struct archive *a) MUST_CHECK;
void archive_free(struct archive *a);

/* What becomes of the members. Nothing of it may be believed before archive_read() has returned E_OK. */
struct archive_sink {
	enum err (*begin)(void *arg, const char *name);
	enum err (*data)(void *arg, struct span data);
	enum err (*end)(void *arg);
};
/* E_PROTO: not such an archive, cut off, or changed. */
enum err archive_read(FILE *in, const struct archive_sink *sink, void *arg) MUST_CHECK;

#endif
