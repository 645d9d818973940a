/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_HW_PIV_H
#define DPIV_HW_PIV_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/secret.h"
#include "hw/reader.h"

/*
 * The PIV card edge (SP 800-73-5 part 2): one PIV application on one card in one reader.
 *
 *	piv_open -> [piv_begin -> any calls -> piv_end]* -> piv_close
 *
 * Every call below piv_begin() may also be made outside a transaction: it then runs in one of its own. piv_begin()
 * nests. Not thread-safe: the caller serialises calls on one struct piv_card (pkcs11/ does so with the slot's lock).
 *
 * Recovery. When another program reset the card or selected another application, the status word (or PC/SC) of the
 * operation itself tells; nothing is asked beforehand. The card edge then selects the application again, makes sure
 * that it is the same card (ATR and CHUID's GUID and FASC-N), verifies the kept PIN again if there is one, and repeats
 * the operation once. A different card is E_CARDGONE for ever on this handle. Without a kept PIN the caller sees
 * E_AUTH. A PIN that the card refused is wiped and never sent again by itself.
 *
 * Errors everywhere: E_CARDGONE removed or swapped, E_BUSY held by another program, E_IO reader trouble, E_PROTO
 * malformed answer, E_SW refused with a status word that has no meaning of its own here (it is in the sentence),
 * E_UNSUP the card does not know the command or algorithm.
 */
struct piv_card;

/* Algorithm identifiers, SP 800-78-5 table 9; the last three are YubiKey's own. */
enum piv_alg {
	PIV_ALG_NONE = -1,
	PIV_ALG_3DES = 0x03,
	PIV_ALG_RSA3072 = 0x05,
	PIV_ALG_RSA1024 = 0x06,
	PIV_ALG_RSA2048 = 0x07,
	PIV_ALG_AES128 = 0x08,
	PIV_ALG_AES192 = 0x0A,
	PIV_ALG_AES256 = 0x0C,
	PIV_ALG_P256 = 0x11,
	PIV_ALG_P384 = 0x14,
	PIV_ALG_RSA4096 = 0x16,
	PIV_ALG_ED25519 = 0xE0,
	PIV_ALG_X25519 = 0xE1
};

/* Key references, SP 800-73-5 part 1, 5.1. Retired key n (1 to 20) is 0x81 + n. */
enum piv_ref {
	PIV_PIN_GLOBAL = 0x00,
	PIV_PIN_APP = 0x80,
	PIV_PUK = 0x81,
	PIV_KEY_RETIRED1 = 0x82,
	PIV_KEY_RETIRED20 = 0x95,
	PIV_KEY_9A = 0x9A, /* PIV Authentication */
	PIV_KEY_9B = 0x9B, /* administration (management) key */
	PIV_KEY_9C = 0x9C, /* Digital Signature: PIN always */
	PIV_KEY_9D = 0x9D, /* Key Management */
	PIV_KEY_9E = 0x9E, /* Card Authentication: no PIN */
	PIV_KEY_F9 = 0xF9  /* YubiKey attestation */
};

/* Data object tags, SP 800-73-5 part 1, table 3. Retired certificate n is 0x5FC10C + n. */
#define PIV_OBJ_CHUID	  0x5FC102u
#define PIV_OBJ_DISCOVERY 0x7Eu
#define PIV_OBJ_HISTORY	  0x5FC10Cu
#define PIV_OBJ_SECURITY  0x5FC106u
#define PIV_OBJ_CCC	  0x5FC107u
#define PIV_OBJ_PRINTED	  0x5FC109u
#define PIV_OBJ_ATTESTER  0x5FFF01u   /* YubiKey: F9's certificate */
#define PIV_OBJ_MAX	  (64 * 1024) /* what is read from a card at most, decompressed certificates included */

#define PIV_KEY_ROWS 24
/* Rows of the key table: everything that is fixed about a key reference. */
struct piv_key_info {
	uint8_t ref;
	uint32_t cert_tag;  /* its certificate's data object */
	const char *name;   /* "9A" */
	const char *use;    /* "PIV Authentication" */
	bool sign, decrypt; /* decrypt: key transport or key agreement */
	bool pin;	    /* a PIN is needed at all */
	bool pin_always;    /* a fresh PIN for every operation */
};
/* The i-th row (9A 9C 9D 9E, then 82..95), NULL past the end; and the row of a reference, NULL when unknown. */
const struct piv_key_info *piv_key_row(size_t i);
const struct piv_key_info *piv_key_find(uint8_t ref);

/* What identifies a card; read by piv_open(). */
struct piv_id {
	uint8_t aid[16];
	size_t aid_len;
	bool derived; /* selected by the derived AID */
	bool has_guid, has_fascn;
	uint8_t guid[16];
	uint8_t fascn[25];
	uint8_t atr[ATR_MAX];
	size_t atr_len;
};

/*
 * Connect to the card in this reader and find its PIV application. Costs one APDU when the PIV application is already
 * current (its CHUID answers; only the first response block is fetched); otherwise two more, a SELECT and the CHUID,
 * and one more for a derived application. A card without a CHUID is known by its ATR alone. E_NOCARD, E_NOTPIV.
 */
enum err piv_open(const struct readers *readers, const char *reader, struct piv_card **out) MUST_CHECK;
/*
 * The derived application of a card that has a PIV application, too. One APDU when there is none, and then nothing on
 * the card has changed; otherwise the PIV application is logged out. Every transaction selects it and puts the PIV
 * application back, so that both may be open, here and in other programs. E_NOCARD, E_NOTPIV not both.
 */
enum err piv_open_second(const struct readers *readers, const char *reader, struct piv_card **out) MUST_CHECK;
void piv_close(struct piv_card **card);
/* In a forked child: free memory and wipe secrets, do not talk to the reader. */
void piv_forget(struct piv_card **card);
/*
 * Use the per-user memory of this card from now on (piv_cache.c says what is believed of it): certificates that were
 * read before then cost one short APDU, and piv_recall() has something to say. Without it nothing is kept or written.
 */
void piv_cache(struct piv_card *card);
/* Is an object on the card, as far as is remembered? For listings; whoever asks for one object asks the card. */
enum piv_recall { PIV_UNSURE, PIV_ABSENT, PIV_PRESENT };
enum piv_recall piv_recall(const struct piv_card *card, uint32_t tag); /* card may be NULL */
/* An object that should be absent is there: forget all that is remembered to be absent. */
void piv_recall_doubt(struct piv_card *card);
const struct piv_id *piv_id(const struct piv_card *card);
/* "reader: card" for messages. */
const char *piv_name(const struct piv_card *card);

enum err piv_begin(struct piv_card *card) MUST_CHECK;
void piv_end(struct piv_card *card);
/* Still there, and the same card? Talks to the reader, not to the card. */
enum err piv_present(struct piv_card *card) MUST_CHECK;

/* --- data objects (GET DATA, PUT DATA) --- */

/* The contents of the object's 53 (of 7E and 7F61: what is inside), appended to out (initialised by the caller).
 * E_NOTFOUND absent or empty; E_AUTH a PIN is needed. */
enum err piv_object_get(struct piv_card *card, uint32_t tag, struct wbuf *out) MUST_CHECK;
/* Is it there, and not empty? Reads its first block only. E_AUTH a PIN is needed. */
enum err piv_object_exists(struct piv_card *card, uint32_t tag, bool *there) MUST_CHECK;
/* Replace it whole (n == 0: delete). E_AUTH without piv_admin_auth(), E_NOSPACE. */
enum err piv_object_put(struct piv_card *card, uint32_t tag, struct span contents) MUST_CHECK;
/* The DER certificate of a key, unpacked when it is compressed. E_NOTFOUND. */
enum err piv_cert_get(struct piv_card *card, uint8_t ref, struct wbuf *der) MUST_CHECK;
/* It cannot be what it should be, says the caller. True: piv_cert_get() had it from memory, and will read it now. */
bool piv_cert_doubt(struct piv_card *card, uint8_t ref);
enum err piv_cert_put(struct piv_card *card, uint8_t ref, struct span der) MUST_CHECK;

/* --- parsed objects: pure functions over contents as piv_object_get() gives them (fuzzed) --- */

struct piv_chuid {
	bool has_fascn, has_guid, has_cardholder;
	uint8_t fascn[25], guid[16], cardholder[16];
	char expiry[9];	       /* YYYYMMDD or "" */
	struct span signature; /* CMS, a view into the input; may be empty */
};
enum err piv_chuid_parse(struct span contents, struct piv_chuid *out) MUST_CHECK;

struct piv_discovery {
	uint8_t aid[16];
	size_t aid_len;
	bool app_pin, global_pin, occ, vci, vci_no_pairing;
	bool global_primary; /* try the global PIN (reference 00) first */
};
enum err piv_discovery_parse(struct span contents, struct piv_discovery *out) MUST_CHECK;

struct piv_history {
	uint8_t on_card, off_card; /* number of retired keys with and without a certificate on the card */
	char url[119];		   /* "" when absent; printable ASCII, never used as a path */
};
enum err piv_history_parse(struct span contents, struct piv_history *out) MUST_CHECK;
/* Contents of the object that says this: C1, C2, the URL unless there are no keys, FE. */
void piv_history_build(const struct piv_history *h, struct wbuf *out);
/* The file that the URL means, which somebody else fetched: its name (SHA-256 in upper-case hex); is this it, and what
 * is in it; the certificate of a key. E_PROTO, E_POLICY another file, E_NOTFOUND. */
#define PIV_HISTORY_NAME 65
enum err piv_history_file_name(const char *url, char name[PIV_HISTORY_NAME]) MUST_CHECK;
enum err piv_history_file_check(struct span file, const char name[PIV_HISTORY_NAME], struct span *entries) MUST_CHECK;
enum err piv_history_file_entries(struct span file, struct span *entries) MUST_CHECK;
enum err piv_history_file_find(struct span entries, uint8_t ref, struct span *cert) MUST_CHECK;
/* 70/71 container -> DER. */
enum err piv_cert_parse(struct span contents, struct wbuf *der) MUST_CHECK;
/* The algorithm that a certificate's (or SubjectPublicKeyInfo's) key needs; PIV_ALG_NONE when the card edge has none.
 */
enum piv_alg piv_alg_of_spki(struct span spki_der);
enum piv_alg piv_alg_of_cert(struct span cert_der);
/* Modulus or field length in bytes; 0 for symmetric algorithms. */
size_t piv_alg_len(enum piv_alg alg);
bool piv_alg_is_rsa(enum piv_alg alg);
bool piv_alg_is_ec(enum piv_alg alg); /* P-256, P-384 */

/* --- PINs. Format is checked before anything is sent: E_PINLEN costs no try. --- */

/* The reference that C_Login's PIN belongs to: 80, or 00 where Discovery makes the global PIN primary. Reads Discovery
 * once (one APDU). */
enum err piv_pin_primary(struct piv_card *card, uint8_t *ref) MUST_CHECK;
/* Tries left by an empty VERIFY (no try is spent): -1 unknown, 0 blocked. */
enum err piv_pin_tries(struct piv_card *card, uint8_t ref, int *left) MUST_CHECK;
/* E_PIN wrong, E_PINLOCKED; *left as above (-1 on success). keep: hold the PIN to recover with, until piv_logout() or
 * a refusal. */
enum err piv_pin_verify(struct piv_card *card, uint8_t ref, struct span pin, bool keep, int *left) MUST_CHECK;
/* Is this the PIN that was verified and kept? Constant time. False when none is kept. */
bool piv_pin_is_kept(const struct piv_card *card, struct span pin);
/* CHANGE REFERENCE DATA: PIV_PIN_APP, PIV_PIN_GLOBAL or PIV_PUK. */
enum err piv_pin_change(struct piv_card *card, uint8_t ref, struct span old, struct span new_pin, int *left) MUST_CHECK;
/* RESET RETRY COUNTER of the application PIN. */
enum err piv_pin_unblock(struct piv_card *card, struct span puk, struct span new_pin, int *left) MUST_CHECK;
/* A PIN pad (PC/SC part 10): what the reader can do with PINs typed on its own keys. */
#define PIV_PAD_VERIFY 1u
#define PIV_PAD_MODIFY 2u
unsigned piv_pad(struct piv_card *card);
/* As above, with PINs typed there, so that none is kept; E_CANCELED by a key, or because nobody typed; E_PINLEN, and no
 * try was spent, when the length is wrong or the new PIN was not repeated. unblock: puk SPAN_NONE: typed, too. */
enum err piv_pin_verify_pad(struct piv_card *card, uint8_t ref, int *left) MUST_CHECK;
enum err piv_pin_change_pad(struct piv_card *card, uint8_t ref, int *left) MUST_CHECK;
enum err piv_pin_unblock_pad(struct piv_card *card, struct span puk, int *left) MUST_CHECK;
/* From another thread, while one of these runs: end it, as far as the reader lets. */
void piv_pad_interrupt(struct piv_card *card);
/* Forget the kept PIN and tell the card (VERIFY P1=FF; a reset where the card does not know that). */
void piv_logout(struct piv_card *card);

/* --- private keys (GENERAL AUTHENTICATE) --- */

/*
 * One private-key operation. in: RSA: one block of modulus length (already padded; the answer is the raw result, also
 * modulus length); ECDSA: the digest, truncated or left-padded here to what the card wants, the answer is r||s of
 * fixed length; Ed25519: the message; ECDH: the peer's point, uncompressed and on the curve (checked here; X25519's is
 * 32 bytes), the answer is the X coordinate. pin: for PIN-always keys, VERIFY goes immediately before the operation in
 * the same transaction; SPAN_NONE otherwise. E_AUTH, E_PIN, E_PINLOCKED (with *left), E_NOTFOUND no such key.
 * E_STORE: piv_cert_get() had given a remembered certificate that is not the card's; now it gives the right one.
 */
#define PIV_EDDSA_MAX 2048 /* Ed25519 signs messages, not digests, and the card has to hold them */
enum piv_op { PIV_OP_SIGN, PIV_OP_DECRYPT, PIV_OP_DERIVE };
enum err piv_key_use(struct piv_card *card, uint8_t ref, enum piv_alg alg, enum piv_op op, struct span in,
    struct span pin, int *left, struct wbuf *out) MUST_CHECK;

/* For a PIN-always key, the PIN being typed on the reader's pad immediately before. */
enum err piv_key_use_pad(struct piv_card *card, uint8_t ref, enum piv_alg alg, enum piv_op op, struct span in,
    int *left, struct wbuf *out) MUST_CHECK;

/* --- administration --- */

/* Authenticate with the management key: mutual where the card offers it, else external. alg NONE: find out (metadata,
 * then by key length). E_AUTH wrong key. */
enum err piv_admin_auth(struct piv_card *card, enum piv_alg alg, struct span key) MUST_CHECK;
/* The end of that: PIV has no command for it, so the card is reset when the transaction ends. */
void piv_admin_end(struct piv_card *card);
/* When a key wants PIN and touch: YubiKey's numbers. 0: the card's own rule for the key. */
enum piv_pin_policy { PIV_PIN_DEFAULT, PIV_PIN_NEVER, PIV_PIN_ONCE, PIV_PIN_ALWAYS, PIV_PIN_MATCH_ONCE, PIV_PIN_MATCH };
enum piv_touch_policy { PIV_TOUCH_DEFAULT, PIV_TOUCH_NEVER, PIV_TOUCH_ALWAYS, PIV_TOUCH_CACHED };
struct piv_policy {
	uint8_t pin, touch;
};
/* GENERATE ASYMMETRIC KEY PAIR; the new public key as SubjectPublicKeyInfo DER. May take a minute. */
enum err piv_key_generate(
    struct piv_card *card, uint8_t ref, enum piv_alg alg, struct piv_policy policy, struct wbuf *spki) MUST_CHECK;

/*
 * --- beyond the standard: commands of YubiKeys, and of other makers who have them ---
 *
 * Whether a card has one is learned by using it, never from a version or a name: a card that does not know the command
 * (6D00) says E_UNSUP, which is remembered, so that it is asked once at most.
 */
enum piv_has { PIV_UNKNOWN, PIV_HAS, PIV_HAS_NOT };
enum piv_extension { PIV_EXT_METADATA, PIV_EXT_ATTEST, PIV_EXT_IMPORT, PIV_EXT_MOVE, PIV_EXT_SET_9B, PIV_EXTENSIONS };
enum piv_has piv_has(const struct piv_card *card, enum piv_extension what);

#define PIV_METADATA_MAX 2048
struct piv_metadata {
	enum piv_alg alg; /* PIV_ALG_NONE: not told */
	struct piv_policy policy;
	uint8_t origin;		/* 1 made on the card, 2 imported, 0 not told */
	struct span public_key; /* 81 82 or 86, a view into the answer; may be empty */
};
/* A pure function (fuzzed). */
enum err piv_metadata_parse(struct span answer, struct piv_metadata *out) MUST_CHECK;
/* Of a key, or of 9B. E_NOTFOUND there is none. answer: initialised by the caller with PIV_METADATA_MAX. */
enum err piv_metadata_get(struct piv_card *card, uint8_t ref, struct wbuf *answer, struct piv_metadata *out) MUST_CHECK;
/* The public key that metadata tell, as SubjectPublicKeyInfo. */
enum err piv_metadata_spki(const struct piv_metadata *m, struct wbuf *spki) MUST_CHECK;
/* What metadata said of a key on an earlier connection to the same card. */
void piv_policy_note(struct piv_card *card, uint8_t ref, uint8_t pin_policy);

/* The card's statement, signed with F9, that it made this key: one DER certificate. E_NOTFOUND. */
enum err piv_attest(struct piv_card *card, uint8_t ref, struct wbuf *der) MUST_CHECK;

/* The secret numbers of a private key: RSA p q dp dq qinv, or in part[0] a curve's scalar or seed. */
struct piv_private {
	enum piv_alg alg;
	struct span part[5];
};
enum err
piv_key_import(struct piv_card *card, uint8_t ref, const struct piv_private *key, struct piv_policy policy) MUST_CHECK;
/* To another reference, where no key may be; certificates stay where they are. E_NOTFOUND there is none. */
enum err piv_key_move(struct piv_card *card, uint8_t from, uint8_t to) MUST_CHECK;
/* E_NOTFOUND there is none. */
enum err piv_key_delete(struct piv_card *card, uint8_t ref) MUST_CHECK;
/* A new management key; weak and wrong-length ones are E_ARG here. */
enum err piv_admin_set(struct piv_card *card, enum piv_alg alg, struct span key) MUST_CHECK;

#endif
