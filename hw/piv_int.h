/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_HW_PIV_INT_H
#define DPIV_HW_PIV_INT_H

#include "hw/apdu.h"
#include "hw/cache.h"
#include "hw/piv.h"
#include "hw/tlv.h"

/* What the files piv_*.c share. Nobody else includes this, tests of the card edge excepted. */

#define INS_VERIFY   0x20
#define INS_CHANGE   0x24
#define INS_UNBLOCK  0x2C
#define INS_GENERATE 0x47
#define INS_AUTH     0x87 /* GENERAL AUTHENTICATE */
#define INS_SELECT   0xA4
#define INS_GET	     0xCB
#define INS_PUT	     0xDB
#define INS_MOVE     0xF6 /* from here on: YubiKey */
#define INS_METADATA 0xF7
#define INS_ATTEST   0xF9
#define INS_VERSION  0xFD
#define INS_IMPORT   0xFE
#define INS_SET_9B   0xFF

#define SW_NOT_LOGGED_IN 0x6982
#define SW_BLOCKED	 0x6983
#define SW_NOT_FOUND	 0x6A82
#define SW_NO_REFERENCE	 0x6A88

#define CHUID_FIRST 80 /* FASC-N and GUID lie in the first so many bytes of a CHUID, whatever its version */
#define PIN_FIELD   8

struct piv_card {
	struct readers readers;
	char reader[READER_NAME_MAX];
	char name[READER_NAME_MAX + 32];
	struct apdu_link link;
	uint32_t event; /* of the reader, when the card was last known to be this one */
	struct piv_id id;
	bool guest;		 /* a second application: see piv_second.c */
	bool stay;		 /* ... that is not left at the end of a transaction */
	struct piv_id host, own; /* ... CHUIDs of the PIV application and of this one */
	bool aid_sure;		 /* id.aid was selected or read, not guessed from a CHUID that answered */
	bool gone;		 /* another card is in the reader: this handle is dead */
	bool any_pin;		 /* PINs may have other characters than SP 800-73-5 allows: see piv_pin.c */
	bool extended;		 /* link.extended was turned on; not for ever */
	bool extended_known;	 /* remembered: to be turned on in the next transaction */
	bool worked;		 /* a private key was used */

	unsigned depth; /* of piv_begin() */
	bool stale;	/* the application may not be current, and nobody is logged in */
	bool proven;	/* in this transaction the application answered: its refusals can be trusted */
	bool fresh;	/* in this transaction the kept PIN was verified */
	bool reset_at_end;
	uint16_t sw; /* of the last answer; 0: there was none */

	bool discovery_read;
	uint8_t primary;    /* PIN reference by the Discovery object */
	uint8_t user_ref;   /* PIN reference that was verified last */
	struct secret *pin; /* kept, padded; NULL */
	uint8_t pin_ref;

	enum piv_has has[PIV_EXTENSIONS];
	uint8_t pin_policy[PIV_KEY_ROWS]; /* by row of the key table, as metadata told; 0 unknown */

	struct cache *cache; /* NULL: none */
	bool history_same;   /* Key History was read; absent objects are remembered beside that one */
	uint32_t unproven;   /* rows of keys whose certificate was remembered, and no result has confirmed it yet */
};

/* --- piv_card.c --- */

/* One command inside a transaction; E_OK when the card answered, whatever it said (card->sw). */
enum err piv_send(struct piv_card *card, const struct apdu *a, struct wbuf *out) MUST_CHECK;

/* One operation in a transaction, restarted once when it failed only because the card lost its state. kept: the kept
 * PIN may be verified again for it. */
typedef enum err piv_step(struct piv_card *card, void *arg);
enum err piv_run(struct piv_card *card, piv_step *step, void *arg, bool kept) MUST_CHECK;

/* Inside a transaction: make sure that our application is current, on our card, restoring it if not. */
enum err piv_confirm(struct piv_card *card) MUST_CHECK;

/* --- piv_select.c --- */

/* Select the application: sets id.aid, id.derived. E_NOTPIV when the card refuses. */
enum err piv_select(struct piv_card *card) MUST_CHECK;
/* Select one of the two applications by its row; id.aid and id.derived. E_NOTPIV. */
enum err piv_select_one(struct piv_card *card, bool derived, struct piv_id *id) MUST_CHECK;
/* What the Discovery object says that the current application is: settles a guess of piv_open(). */
void piv_application_is(struct piv_card *card, struct span aid);
/* Read FASC-N and GUID from the first block of the CHUID. E_NOTFOUND when none answers; E_OK with neither is not
 * possible. */
enum err piv_identify(struct piv_card *card, struct piv_id *id) MUST_CHECK;

/* Without a CHUID: does the Discovery object name our application? E_OK with the answer; else no answer at all. */
enum err piv_discover(struct piv_card *card, bool *ours) MUST_CHECK;

/* --- piv_extended.c --- */

/* Use extended length if the ATR says that the card can, or known does, and the reader can, too. */
void piv_extended_use(struct piv_card *card, bool known);
/* True once, when it turned out that it cannot be used. */
bool piv_extended_failed(struct piv_card *card);

/* --- piv_second.c: the derived application beside a PIV application, inside a transaction --- */

/* Is there one, with the PIV application beside it, which is then selected again? E_NOTPIV. */
enum err piv_second_find(struct piv_card *card) MUST_CHECK;
/* At the beginning and end of every transaction. */
enum err piv_second_enter(struct piv_card *card) MUST_CHECK;
void piv_second_leave(struct piv_card *card);
/* After a reset: enter it, if it is the same card. */
enum err piv_second_same(struct piv_card *card, bool *same) MUST_CHECK;

/* Ask a silent card, once in its life, when there is a memory to keep the answer. Inside a transaction. */
void piv_extended_probe(struct piv_card *card);
bool piv_extended_is_open(const struct piv_card *card); /* is that question open? */

/* --- piv_cache.c: all do nothing when there is none --- */

void piv_cache_close(struct piv_card *card);
/* After a transaction: remember what was learnt in it. */
void piv_cache_settle(struct piv_card *card);
/* GET DATA said E_OK or E_NOTFOUND to this tag. */
void piv_cache_saw(struct piv_card *card, uint32_t tag, enum err e, struct span contents);
/* The contents of a certificate's object. */
void piv_cache_keep(struct piv_card *card, uint32_t tag, struct span contents);
/* It was written, or its key is another one. */
void piv_cache_forget(struct piv_card *card, uint32_t tag);
void piv_cache_forget_key(struct piv_card *card, uint8_t ref); /* ... by its key reference */
/* Its certificate from memory, compared with the card. False: read it (E_OK), or there is none (E_NOTFOUND), or *e. */
bool piv_cache_serves(struct piv_card *card, const struct piv_key_info *key, struct wbuf *der, enum err *e);
/* The remembered object; empty. */
struct span piv_cache_cert(const struct piv_card *card, const struct piv_key_info *key);
bool piv_cache_is_unproven(const struct piv_card *card, const struct piv_key_info *key);
void piv_cache_proven(struct piv_card *card, const struct piv_key_info *key);

/* --- piv_proof.c --- */

/* Before and after a private-key operation. E_STORE: a wrong certificate was remembered. */
enum err
piv_proof_before(struct piv_card *card, const struct piv_key_info *key, enum piv_alg alg, enum piv_op op) MUST_CHECK;
enum err piv_proof_after(struct piv_card *card, const struct piv_key_info *key, enum piv_alg alg, struct span in,
    struct span result) MUST_CHECK;

/* --- piv_data.c, piv_sw.c --- */

/* "9A PIV Authentication"; never NULL. */
const char *piv_object_name(uint32_t tag);
int piv_alg_nid(enum piv_alg alg);
/* card->sw as an error with its sentence: "READER: what: text (6A82)". */
enum err piv_refused(const struct piv_card *card, const char *what) MUST_CHECK;
/* The tries left in 63Cx (630x on some cards); -1 when sw does not say. */
int piv_sw_tries(uint16_t sw);
bool piv_sw_is_wrong_pin(uint16_t sw);

/* --- piv_object.c, piv_chuid.c, piv_discovery.c --- */

/* Does the object have these contents, as far as the first n bytes of its answer tell? E_NOTFOUND absent. */
enum err piv_object_begins(struct piv_card *card, uint32_t tag, struct span contents, size_t n, bool *same) MUST_CHECK;
/* GET DATA's answer: 53 { contents } or the bare template. */
enum err piv_object_parse(uint32_t tag, struct span answer, struct span *contents) MUST_CHECK;
void piv_tag_list(struct wbuf *w, uint32_t tag);
/* As piv_chuid_parse(), of a CHUID whose end may be missing. */
enum err piv_chuid_prefix(struct span answer, struct piv_chuid *out) MUST_CHECK;

/* --- piv_public.c, piv_policy.c --- */

/* 81 82 or 86 as SubjectPublicKeyInfo. E_PROTO. */
enum err piv_public_spki(enum piv_alg alg, struct span body, struct wbuf *spki) MUST_CHECK;
/* AA and AB, those that are not 0. */
void piv_policy_put(struct piv_policy policy, struct wbuf *w);
/* Does the card want a fresh PIN for every use of this key, as far as is known? */
bool piv_policy_always(const struct piv_card *card, const struct piv_key_info *key);

/* --- piv_pin.c --- */

/* A PIN as the card wants it; its check of the format. E_PINLEN. Free with secret_free(). */
enum err piv_pin_field(struct piv_card *card, uint8_t ref, struct span pin, struct secret **out) MUST_CHECK;
/* What card->sw says to a PIN or PUK, with the tries left. */
enum err piv_pin_verdict(struct piv_card *card, uint8_t ref, int *left) MUST_CHECK;
/* VERIFY inside a transaction. A refused PIN that is the kept one is forgotten. */
enum err piv_verify(struct piv_card *card, uint8_t ref, const struct secret *field, int *left) MUST_CHECK;

/* --- piv_pad.c --- */

/* VERIFY inside a transaction, typed on the reader's pad. No PIN is kept any more. E_CANCELED. */
enum err piv_verify_pad(struct piv_card *card, uint8_t ref, int *left) MUST_CHECK;

#endif
