/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_TESTS_VCARD_READER_H
#define DPIV_TESTS_VCARD_READER_H

#include "hw/reader.h"
#include "tests/vcard/vcard.h"

/*
 * Readers in this process, with virtual cards in them: what pcsc_open() gives, without PC/SC. Connections see what
 * PC/SC would let them see: another program's reset, a card that is out, one that was put back, a reader that is held.
 * Thread-safe. Cards belong to the caller and must outlive the readers.
 *
 *	struct vreaders *v = vreaders_new();
 *	vreaders_add(v, "Reader A", card);
 *	struct readers r = vreaders_ops(v);
 *	piv_open(&r, "Reader A", &piv);
 */
struct vreaders;

struct vreaders *vreaders_new(void);
void vreaders_free(struct vreaders *v); /* every connection must be closed */
struct readers vreaders_ops(struct vreaders *v);

/* Plug a reader in (card NULL: empty); returns its index. And pull it out: it disappears from the list. */
size_t vreaders_add(struct vreaders *v, const char *name, struct vcard *card);
void vreaders_unplug(struct vreaders *v, size_t i);

/* What happens to a reader now. */
void vreaders_remove(struct vreaders *v, size_t i);			/* take the card out */
void vreaders_insert(struct vreaders *v, size_t i, struct vcard *card); /* put this card in; NULL: the same again */
void vreaders_reset(struct vreaders *v, size_t i);			/* another program resets the card */
void vreaders_foreign(struct vreaders *v, size_t i);			/* another program selects something else */
void vreaders_hold(struct vreaders *v, size_t i, bool held);		/* another program's transaction */
/* How long begin() waits for a held reader; 200 ms unless set. */
void vreaders_patience(struct vreaders *v, unsigned ms);

/* Once, immediately before the n-th command from now (1: the next), inside whatever transaction there is. */
enum vreaders_event {
	VREADERS_NOTHING,
	VREADERS_RESET,	  /* as vreaders_reset(): the command is not executed, the connection is told */
	VREADERS_SILENT,  /* the card loses its state and nobody is told (a contact problem) */
	VREADERS_FOREIGN, /* another application is selected */
	VREADERS_REMOVE,  /* out, until vreaders_insert() */
	VREADERS_REPLUG	  /* out and in again */
};
void vreaders_plan(struct vreaders *v, size_t i, unsigned n, enum vreaders_event what);
/*
 * A PIN pad on the reader (PC/SC part 10), and somebody who types: what he types in order, after delay_ms; or the
 * reader's own status word instead, unless 0. Anything but PIV's structure (SP 800-73-5 part 2, 2.4.3) is answered with
 * 6B80. NULL: no pad.
 */
struct vreaders_pad {
	const char *typed[3];
	uint16_t sw;
	unsigned delay_ms;
};
void vreaders_pad_set(struct vreaders *v, size_t i, const struct vreaders_pad *pad);
unsigned vreaders_pad_uses(struct vreaders *v, size_t i); /* how often somebody was to type */
/* An answer other than the card's: called for every command; return true when *rsp (empty, bounded) was filled. */
typedef bool vreaders_answer(void *arg, struct span cmd, struct wbuf *rsp);
void vreaders_answer_set(struct vreaders *v, size_t i, vreaders_answer *fn, void *arg);
/* What the reader says of its limit for extended commands (0: none), and whether it fails on every one of them. */
void vreaders_extended(struct vreaders *v, size_t i, size_t max_data, bool chokes);
/* The plan has fired. */
bool vreaders_fired(struct vreaders *v, size_t i);
/* Commands that reached the reader since vreaders_count_clear(), refused or not. */
unsigned vreaders_count(struct vreaders *v, size_t i);
void vreaders_count_clear(struct vreaders *v, size_t i);

#endif
