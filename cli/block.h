/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_CLI_BLOCK_H
#define DPIV_CLI_BLOCK_H

#include "base/bytes.h"
#include "base/err.h"

/*
 * A marked block at the end of somebody's configuration file ('#' begins a comment), which can be cut out again so that
 * the file is what it was, byte for byte: what has to be known for that is in the block's first line.
 */
struct block {
	bool found;
	bool fresh;	  /* there was no file before */
	unsigned folders; /* nor so many of the folders above it; at most BLOCK_FOLDERS */
};
#define BLOCK_FOLDERS 9

/* The text without the blocks of this name (a word), appended to out. E_CONF: a block has lost its last line. */
enum err block_cut(struct span text, const char *name, struct block *what, struct wbuf *out) MUST_CHECK;
/* text, which has no such block, and behind it one with these lines (each with its line end), appended to out. */
void block_put(struct span text, const char *name, const struct block *what, const char *lines, struct wbuf *out);
/* The next line with its line end, if it has one; false at the end. */
bool block_line(struct span *text, struct span *line);

#endif
