/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_HW_CACHE_H
#define DPIV_HW_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

/*
 * What is remembered of one card between processes: public objects, which objects are there, what the card can. One
 * file a card in $XDG_CACHE_HOME/dpiv (mode 0700, ours), named by a hash of the card's identity. A file is a hint and
 * nothing more: whoever uses an object compares it with the card first (piv_cache.c). It holds nothing secret.
 */
#define CACHE_ID_MAX	 128
#define CACHE_OBJECTS	 64
#define CACHE_OBJECT_MAX (16 * 1024)
#define CACHE_FILE_MAX	 (256 * 1024)
#define CACHE_NAME_MAX	 48
#define CACHE_HASH	 32

enum cache_state { CACHE_UNKNOWN, CACHE_ABSENT, CACHE_THERE, CACHE_READ };

struct cache_object {
	uint32_t tag;
	enum cache_state state;
	struct wbuf data; /* CACHE_READ: contents as piv_object_get() gives them */
};

enum cache_answer { CACHE_NOT_ASKED, CACHE_YES, CACHE_NO };

struct cache {
	uint8_t id[CACHE_ID_MAX];
	size_t id_len;
	enum cache_answer extended; /* extended length */
	uint32_t since;		    /* when the first of the absent objects was found absent; 0: there is none */
	bool has_history;	    /* absent objects were found so beside a Key History object with this hash: */
	uint8_t history[CACHE_HASH];
	struct cache_object obj[CACHE_OBJECTS];
	size_t n;
	bool dirty;
};

/* Empty, for this card. E_ARG when the identity is too long. */
enum err cache_init(struct cache *c, struct span id) MUST_CHECK;
void cache_clear(struct cache *c);
const struct cache_object *cache_find(const struct cache *c, uint32_t tag);
/* CACHE_THERE does not replace CACHE_READ. What does not fit is not remembered. */
void cache_note(struct cache *c, uint32_t tag, enum cache_state state, struct span data);
void cache_forget_absent(struct cache *c);

/* --- its form (fuzzed): magic, fields, SHA-256 of all that. The hash is against accidents, not against people. --- */

/* Into c, initialised for the card that the file must belong to; unchanged unless E_OK. now: absent objects that are
 * older than a day, or younger than now, are left out. */
enum err cache_parse(struct span file, uint32_t now, struct cache *c) MUST_CHECK;
void cache_build(const struct cache *c, struct wbuf *out);

/* --- cache_file.c --- */

/* E_NOTFOUND no file; E_POLICY a directory or file that somebody else owns or can get at, or a process that runs with
 * other rights than its user's; E_PROTO damaged. c is then as it was. Nothing is created. */
enum err cache_load(struct cache *c) MUST_CHECK;
/* All or nothing; makes the directory when it is missing. */
enum err cache_save(const struct cache *c) MUST_CHECK;
/* The file's name: hex of a hash. */
enum err cache_name(struct span id, char out[CACHE_NAME_MAX]) MUST_CHECK;

#endif
