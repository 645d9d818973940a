/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_VCARD_MODEL_H
#define DPIV_VCARD_MODEL_H

#include <openssl/evp.h>

#include "tests/vcard/buf.h"
#include "tests/vcard/vcard.h"

/*
 * The state of a card, shared by the files of tests/vcard. What belongs into the image (secrets, keys, objects,
 * options) survives a reset; everything under "since the last reset" does not.
 */

/* Status words, SP 800-73-5 Part 1 table 6, and the ISO/IEC 7816-4 ones around it. */
enum {
	SW_OK = 0x9000,
	SW_MORE = 0x6100,
	SW_TRIES = 0x63C0,
	SW_LENGTH = 0x6700,
	SW_NO_SM = 0x6882,
	SW_NO_CHAINING = 0x6884,
	SW_SECURITY = 0x6982,
	SW_BLOCKED = 0x6983,
	SW_CONDITIONS = 0x6985,
	SW_DATA = 0x6A80,
	SW_FUNCTION = 0x6A81,
	SW_NOT_FOUND = 0x6A82,
	SW_MEMORY = 0x6A84,
	SW_P1P2 = 0x6A86,
	SW_REFERENCE = 0x6A88,
	SW_INS = 0x6D00,
	SW_CLA = 0x6E00,
	SW_INTERNAL = 0x6F00,
};

/* Algorithm identifiers, SP 800-78-5 table 9. */
enum {
	ALG_3DES_OLD = 0x00,
	ALG_3DES = 0x03,
	ALG_RSA3072 = 0x05,
	ALG_RSA1024 = 0x06,
	ALG_RSA2048 = 0x07,
	ALG_AES128 = 0x08,
	ALG_AES192 = 0x0A,
	ALG_AES256 = 0x0C,
	ALG_P256 = 0x11,
	ALG_P384 = 0x14,
	ALG_RSA4096 = 0x16, /* YubiKey */
	ALG_ED25519 = 0xE0,
	ALG_X25519 = 0xE1,
};

enum { VC_PIN, VC_PUK, VC_GLOBAL, VC_SECRETS };

/* A PIN or PUK: 8 bytes as on the wire (padded with FF). set: the card has it. */
struct vc_secret {
	uint8_t v[8];
	bool set;
	int max, left;
	bool verified; /* since the last reset */
};

/* 9A 9C 9D 9E, 82 to 95, and F9 (attestation, YubiKey). */
#define VC_KEYS 25
struct vc_key {
	EVP_PKEY *pkey; /* NULL: empty */
	uint8_t alg;
	uint8_t pin, touch; /* YubiKey policies AA and AB; 0: the reference's own rule */
	bool imported;
};

struct vc_object {
	uint32_t tag;
	bool pin; /* GET DATA needs a PIN */
	uint8_t *p;
	size_t n; /* 0: no object, only the access rule */
};

enum { APP_NONE, APP_PIV, APP_OTHER };

struct vc_options {
	bool extended;	       /* extended-length APDUs */
	bool select_default;   /* the PIV application is selected after a reset */
	bool format_costs_try; /* a malformed PIN answers 63CX, not 6A80 */
	bool le_required;      /* a response is only sent when Le asks for it */
	bool yubikey;
	size_t max_object;  /* of one written object */
	size_t memory;	    /* of all objects */
	uint8_t version[3]; /* firmware, YubiKey */
	uint32_t serial;
};

struct vc_fault;

struct vcard {
	char *name;
	uint8_t atr[33];
	size_t atr_n;
	uint8_t aid[16];
	size_t aid_n;
	struct vc_options opt;
	struct vc_secret secret[VC_SECRETS];
	uint8_t mgmt[32];
	size_t mgmt_n;
	uint8_t mgmt_alg;
	struct vc_key key[VC_KEYS];
	struct vc_object *object;
	size_t objects;
	char *notes;	      /* the image's notes, JSON text */
	struct vcard *second; /* another application on the same card: see select.c; NULL */
	bool dirty;

	/* since the last reset */
	int app;
	bool admin;	    /* 9B authenticated */
	bool fresh;	    /* VERIFY was the very last command: what PIN-always asks for */
	uint8_t nonce[16];  /* 9B challenge or witness, plain */
	uint8_t nonce_kind; /* 80 witness, 81 challenge, 0 none; valid for the next command only */
	struct {
		bool open;
		uint8_t ins, p1, p2;
		struct vc_out data;
	} chain;
	struct vc_out pending; /* response bytes that GET RESPONSE fetches */
	size_t pending_at;

	/* the world around it */
	bool present;
	int absence;
	struct vc_fault *fault;
	size_t faults;
	vcard_hook *hook;
	void *hook_arg;
	vcard_sleep *sleep;
	void *sleep_arg;
	struct vcard_stats stats;
	FILE *log;
};

/* A parsed command. le: bytes that the response may have, 0 when has_le is false. */
struct vc_apdu {
	uint8_t cla, ins, p1, p2;
	struct vc_in data;
	bool has_le, extended;
	size_t le;
};

/* apdu.c: 0x9000, or the status word of a malformed APDU. */
uint16_t vc_apdu_parse(struct vc_in, bool extended, struct vc_apdu *);

/* Command handlers: the response data in out, which counts only with 9000. */
typedef uint16_t vc_handler(struct vcard *, const struct vc_apdu *, struct vc_out *);
vc_handler vc_select, vc_get_data, vc_put_data, vc_verify, vc_change_reference, vc_reset_retry, vc_general_authenticate,
    vc_generate;
vc_handler vc_yk_move, vc_yk_metadata, vc_yk_serial, vc_yk_attest, vc_yk_retries, vc_yk_wipe, vc_yk_version,
    vc_yk_import, vc_yk_set_mgmt;

/* card.c */
struct vcard *vc_new(void);
void vc_security_clear(struct vcard *); /* on reset and when the application is deselected */
void vc_transfer_clear(struct vcard *); /* half-sent commands, half-fetched responses */
void vc_say(char *why, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void vc_wait(struct vcard *, unsigned ms);

/* select.c */
extern const uint8_t vc_aid_piv[11], vc_aid_derived[11];
bool vc_is_derived(const struct vcard *);
struct vcard *vc_current(struct vcard *); /* itself, or its second application when that is selected */

/* objects.c */
struct vc_object *vc_object_find(struct vcard *, uint32_t tag);
/* Replace or add; n may be 0 (remove). false: out of memory. */
bool vc_object_set(struct vcard *, uint32_t tag, const uint8_t *p, size_t n);
bool vc_object_known(uint32_t tag);

/* pins.c */
bool vc_pin_verified(const struct vcard *); /* any PIN that satisfies the PIV access rules */
bool vc_global_pin_usable(const struct vcard *);
/* Set from text (padded with FF). false: too long. */
bool vc_secret_set(struct vc_secret *, const char *text);

/* keys.c */
struct vc_alg {
	uint8_t id;
	const char *name; /* as in --alg */
	bool rsa;
	unsigned bits;
	const char *curve;
	bool generate, yubikey_only;
};
const struct vc_alg *vc_alg_find(uint8_t id);
bool vc_alg_has(const struct vcard *, const struct vc_alg *);
const struct vc_alg *vc_alg_by_name(const char *name);
/* The identifier of this key's algorithm; 0 when there is none. */
uint8_t vc_alg_of(const EVP_PKEY *);
struct vc_key *vc_key_find(struct vcard *, uint8_t ref); /* NULL: no such reference */
uint8_t vc_key_ref(size_t index);
EVP_PKEY *vc_key_new(const struct vc_alg *, struct vc_in exponent);
/* 81 modulus 82 exponent, or 86 point. */
void vc_key_public(const EVP_PKEY *, struct vc_out *);
void vc_key_clear(struct vc_key *);
/* AA and AB behind 80 and 81, YubiKey only. */
bool vc_key_policy(struct vc_in seq, uint8_t *pin, uint8_t *touch);

/* crypto.c: false on any failure. */
bool vc_rsa_raw(EVP_PKEY *, struct vc_in block, struct vc_out *);
bool vc_ecdsa(EVP_PKEY *, struct vc_in digest, struct vc_out *);
bool vc_ecdh(EVP_PKEY *, struct vc_in point, struct vc_out *);
bool vc_eddsa(EVP_PKEY *, struct vc_in message, struct vc_out *);
size_t vc_sym_block(uint8_t alg); /* 8 or 16; 0: not a symmetric algorithm */
size_t vc_sym_key(uint8_t alg);
bool vc_sym_encrypt(uint8_t alg, const uint8_t *key, const uint8_t *in, uint8_t *out);

/* admin.c */
uint16_t vc_admin(struct vcard *, const struct vc_apdu *, struct vc_in tmpl, struct vc_out *);

/* fault.c: what is to happen to the command that is about to run. */
struct vc_effect {
	uint16_t sw;	     /* instead of the reply; 0: none */
	bool run;	     /* the command takes effect */
	bool remove;	     /* the card is pulled when it has, and there is no answer */
	int absence;	     /* ms until it is put back, -1 never */
	int keep;	     /* bytes of the reply to keep, -1 all */
	int drop;	     /* bytes of response data to drop */
	int garbage;	     /* bytes of garbage instead of the reply, -1 none */
	struct vc_out reply; /* the whole reply, when it has bytes */
};
void vc_fault_before(struct vcard *, struct vc_in cmd, struct vc_effect *);
size_t vc_fault_after(const struct vc_effect *, uint8_t *rsp, size_t n, size_t cap);

#endif
