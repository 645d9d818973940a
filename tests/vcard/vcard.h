/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_TESTS_VCARD_H
#define DPIV_TESTS_VCARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/*
 * The virtual PIV card, in-process door. It is deliberately stricter than the cards in people's wallets, so that
 * what works here works there. It shares no code with dpiv's rooms, so that the two cannot agree on the same
 * mistake.
 *
 * A card may be used by one thread at a time. Functions that can fail take `why`, VCARD_WHY bytes (or NULL), and
 * put one sentence there. All names begin with vcard_; internal ones with vc_.
 */

#define VCARD_WHY 256

struct vcard;

/* ---- making and keeping ---------------------------------------------------------------------------------------- */

/* From a card image (JSON, format piv-image-1; all keys are listed in image.c). NULL: why. */
struct vcard *vcard_load(const char *path, char *why);
/* The card itself becomes that of another image; log, counters, faults and hooks stay. */
bool vcard_become(struct vcard *, const char *path, char *why);
struct vcard *vcard_from_json(const char *text, char *why);
/* The image as JSON text, to be freed with free(); what was generated, written, and the tries that are left. */
char *vcard_to_json(const struct vcard *);
/* Write atomically (0600). false: why. */
bool vcard_save(struct vcard *, const char *path, char *why);
/* Something that belongs into the image changed since it was loaded or saved. */
bool vcard_dirty(const struct vcard *);
void vcard_free(struct vcard *);

/*
 * A fresh, personalised card. All members may be 0 or NULL; the comments give what that means. The certificates
 * follow the Federal PKI profiles; without ca_cert they come from a throw-away root and issuing CA.
 */
struct vcard_spec {
	const char *alg;     /* rsa2048 (default), rsa3072, p256, p384: 9A 9C 9D and 9E */
	const char *ca_cert; /* PEM files of the issuing CA */
	const char *ca_key;
	const char *name;	/* Pat Example */
	const char *email;	/* pat@example.test */
	const char *upn;	/* as email */
	const char *serial;	/* decimal; first certificate serial number, the others follow; random */
	const char *uuid;	/* 8-4-4-4-12; random */
	const char *fascn;	/* 50 hex digits; agency 0032, random credential number */
	const char *not_before; /* YYYYMMDDHHMMSSZ; now */
	const char *not_after;	/* three years, or as long as the CA lives */
	const char *policy;	/* dotted OID of the 9A certificate; id-fpki-common-authentication */
	const char *base_url;	/* http://localhost/pki */
	const char *export_dir; /* directory for the certificates as PEM; not written */
	unsigned retired;	/* number of retired key-management keys, 0 to 20 */
	const char *firmware;	/* 5.4.3: which of the YubiKey extensions there are */
	bool gzip;		/* certificates compressed on the card */
	bool no_history;	/* no Key History object, even with retired keys */
	bool yubikey;		/* answers the YubiKey extensions */
	bool extended;		/* takes extended-length APDUs, and says so in its ATR */
	bool extended_silent;	/* takes them, and does not say so */
	bool derived;		/* a derived PIV application: its AID, policy 3.40 and its own UUID */
	bool with_derived;	/* both: a PIV card with a derived PIV application beside its own */
};
struct vcard *vcard_make(const struct vcard_spec *, char *why);

/* ---- the contacts ---------------------------------------------------------------------------------------------- */

/*
 * One command APDU, one response APDU. Returns the response's length; 0 when the card is not there, or when a fault
 * took it away (look at vcard_present()). cap of VCARD_RESPONSE_MAX is always enough; a response that does not fit
 * is cut.
 */
#define VCARD_RESPONSE_MAX (65536 + 2)
size_t vcard_transmit(struct vcard *, const uint8_t *cmd, size_t n, uint8_t *rsp, size_t cap);
void vcard_reset(struct vcard *);
size_t vcard_atr(const struct vcard *, uint8_t *out, size_t cap); /* at most 33 bytes */
void vcard_remove(struct vcard *);
void vcard_insert(struct vcard *); /* implies a reset */
bool vcard_present(const struct vcard *);
/* After a removal by the fault `remove MS`: how long it is to stay out, in ms; -1 until somebody puts it back. */
int vcard_absence(const struct vcard *);
/* What another program does through the same reader: selects an applet that is not PIV. */
void vcard_other_program(struct vcard *);

/* AID of the second applet on the card. It knows SELECT and nothing else. */
#define VCARD_OTHER_AID	    "\xF0\x64\x70\x69\x76\x2D\x6F\x74\x68\x65\x72"
#define VCARD_OTHER_AID_LEN 11

/* ---- faults ---------------------------------------------------------------------------------------------------- */

/* Add one rule, or a file of rules; the grammar is at the top of fault.c. Example: "ins 87 2 sw 6F00". */
bool vcard_fault_add(struct vcard *, const char *rule, char *why);
bool vcard_fault_load(struct vcard *, const char *path, char *why);
void vcard_fault_clear(struct vcard *);
/* Rules that have not fired yet (`every` rules do not count): a test may insist on 0. */
size_t vcard_fault_pending(const struct vcard *);

/* Called before each command, after the faults; it may reset, remove … the card. */
typedef void vcard_hook(void *arg, struct vcard *, const uint8_t *cmd, size_t n);
void vcard_hook_set(struct vcard *, vcard_hook *, void *arg);
/* How `delay` and touch wait; the default sleeps. A unit test may merely count. */
typedef void vcard_sleep(void *arg, unsigned ms);
void vcard_sleep_set(struct vcard *, vcard_sleep *, void *arg);

/* ---- what happened --------------------------------------------------------------------------------------------- */

struct vcard_stats {
	unsigned long apdus, bytes_in, bytes_out; /* since the last vcard_stats_clear() */
	unsigned long per_ins[256];
	unsigned long resets, selects_other;
};
const struct vcard_stats *vcard_stats(const struct vcard *);
void vcard_stats_clear(struct vcard *);
/* One line an APDU: INS, P1, P2, lengths, status word; never data. NULL: none (the default). */
void vcard_log(struct vcard *, FILE *);
const char *vcard_name(const struct vcard *);
/* Its second application, for assertions; NULL. */
struct vcard *vcard_second(struct vcard *);

/* For assertions: tries left and verified state of key reference 80, 81 or 00; -1 for another reference. */
int vcard_tries(const struct vcard *, uint8_t ref);
bool vcard_verified(const struct vcard *, uint8_t ref);

#endif
