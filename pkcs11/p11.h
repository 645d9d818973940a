/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_PKCS11_P11_H
#define DPIV_PKCS11_P11_H

/*
 * The module's inside: types that several files share, and each file's functions under its name.
 *
 * Locks, in this order; a later one is never held while an earlier one is taken:
 *	session->own	of a slot with another module behind it: serialises one session
 *	slot->lock	serialises one slot: its card, token, objects, and the operations of its sessions
 *	module->listing	serialises the listing of readers (I/O with the PC/SC service, never with a card)
 *	module->table	short, guards the slot and session tables and the counters; never held across I/O
 * A session is found by its handle under the table lock, pinned (refs), and only then is the slot lock taken and
 * `closed` looked at again; the last to let go frees it. Handles come from one 64-bit counter and are never reused.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/bytes.h"
#include "base/conf.h"
#include "base/err.h"
#include "base/secret.h"
#include "hw/piv.h"
#include "hw/reader.h"
#include "pkcs11/cryptoki3.h"
#include "pkcs11/mech.h"
#include "pkcs11/mutex.h"

#define P11_SLOTS_MAX	128
#define P11_SECOND_ID	0x800 /* slot id of a reader's second application: this, and the reader's slot id */
#define P11_REMOTE_MAX	16
#define P11_REMOTE_ID	0x1000 /* slot ids of [token NAME] sections, in the order of the file */
#define P11_BUCKETS	256
#define P11_CREDS	24
#define P11_NICKNAME	64
#define P11_ATTESTS	25 /* F9's certificate, and one for each key */
#define P11_DATA	12
#define P11_INPUT_MAX	(1024 * 1024) /* data collected for one multi-part operation of a key that does not hash */
#define P11_OBJECTS_MAX 4096	      /* objects of one token, session objects included */
#define P11_VALUE_MAX	(64 * 1024)   /* one attribute value */

/* --- credentials and objects --- */

enum cred_state {
	CRED_UNREAD,
	CRED_ABSENT,
	CRED_THERE,
	CRED_KEY /* made by this process, and there is no certificate yet */
};

/* One key reference of the card, with its certificate once that was read. */
struct p11_cred {
	const struct piv_key_info *row;
	unsigned number; /* 1 for 9A ... 24 for 95: the CKA_ID */
	enum cred_state state;
	X509 *x509;
	EVP_PKEY *pkey;
	enum piv_alg alg; /* PIV_ALG_NONE: a certificate without a usable key */
	struct wbuf der;
	struct remote_cred *remote; /* of a token behind another module: see remote.h; row is in there */
	/* what the card's metadata told, where they were asked for: see policy.c */
	bool meta_known;
	struct piv_policy policy;
	uint8_t origin;
	bool made; /* by the card, in this process */
	/* the CKA_ID under which it was brought, for this process: see import.c */
	char nickname[P11_NICKNAME], key_nickname[P11_NICKNAME]; /* labels set by a program, for this process */
	struct wbuf subject;					 /* of the certificate to come, as a program said */
	size_t alias_n;
	uint8_t alias[64];
};

/* A data object of the card: see data.c. DATA_DOUBTED: absent, as far as is remembered. */
enum data_state { DATA_UNKNOWN, DATA_DOUBTED, DATA_ABSENT, DATA_THERE, DATA_READ };

struct p11_data_row {
	uint32_t tag;
	struct span oid; /* contents of the OBJECT IDENTIFIER */
	const char *label;
	bool pin;
};

struct p11_data {
	const struct p11_data_row *row;
	enum data_state state;
	struct wbuf value; /* DATA_READ */
};

enum p11_kind {
	KIND_CERT = 1,
	KIND_PUBLIC = 2,
	KIND_PRIVATE = 4,
	KIND_PROFILE = 8,
	KIND_STORED = 16, /* session objects: all attributes are in the store */
	KIND_DATA = 32
};

struct attr_value {
	CK_ATTRIBUTE_TYPE type;
	size_t n;
	uint8_t *p;
};

struct attr_store {
	size_t n;
	struct attr_value *v;
};

struct p11_object {
	CK_OBJECT_HANDLE handle;
	enum p11_kind kind;
	struct p11_cred *cred;	 /* KIND_CERT, KIND_PUBLIC, KIND_PRIVATE */
	struct p11_data *data;	 /* KIND_DATA */
	CK_ULONG profile;	 /* KIND_PROFILE */
	CK_SESSION_HANDLE owner; /* KIND_STORED: dies with this session */
	struct attr_store store; /* KIND_STORED, without the value of a secret key, which is here: */
	struct secret *value;
};

/* --- token, slot, session --- */

/* How the security officer is logged in: see login_so.c, remote_login.c. */
enum so_login { SO_NONE, SO_ADMIN, SO_PUK, SO_REMOTE };

struct p11_token {
	struct piv_card *card; /* NULL while the card is out */
	struct remote *remote; /* not NULL: no card, but a token behind another module */
	struct piv_id id;
	OSSL_LIB_CTX *lib;
	uint32_t event;	  /* of the reader when the card was last seen to be the same */
	bool user;	  /* CKU_USER is logged in */
	enum so_login so; /* CKU_SO is */
	struct secret *puk;
	struct secret *fresh; /* the PIN that was just entered: see fresh.c */
	int64_t fresh_at;
	bool told_never; /* a program was told that 9C needs no PIN, because of pin_helper */
	bool admin;	 /* the user's session has proved the management key: see admin.c */
	bool tries_known;
	int64_t tries_at; /* when the card told */
	int tries;	  /* left; -1: the card does not tell (or the PIN is verified) */
	bool refused;	  /* a PIN was refused since the last good one */
	bool final_shown; /* CKF_USER_PIN_FINAL_TRY was shown since the last refusal */
	bool history_read;
	struct wbuf off_card;	  /* Key History's file: see off_card.c; empty: none */
	unsigned retired;	  /* certificates of retired keys that Key History admits to */
	bool retired_probe;	  /* it is not there, or not right */
	bool retired_told;	  /* the log has what looking for all twenty found */
	struct secret *rejection; /* see decrypt.c */
	struct p11_cred cred[P11_CREDS];
	struct p11_cred attest[P11_ATTESTS]; /* certificates only: see attest.c */
	struct p11_data data[P11_DATA];
	struct p11_object **obj; /* in the order of their handles */
	size_t n_obj, cap_obj;
};

struct p11_slot {
	CK_SLOT_ID id;
	char reader[READER_NAME_MAX];
	struct p11_module *module;
	struct remote *remote; /* a [token NAME] of dpiv.conf instead of a reader: see remote.h */
	struct p11_mutex lock;
	const char *where;		  /* entry point that holds the lock */
	_Atomic CK_SESSION_HANDLE asking; /* the session whose call waits for the user: see ask.c; 0 none */
	_Atomic bool interrupted;	  /* it is to end */
	_Atomic bool on_pad;		  /* the user is to type on the reader */
	_Atomic unsigned interrupters;	  /* threads that are just looking at these */
	struct readers readers;
	bool readers_open;
	struct p11_token *token;
	unsigned generation; /* counts the tokens that another one took the place of */
	bool second;	     /* the derived application beside the PIV application of the card in this reader */
	_Atomic bool known;  /* ... is there, as far as anybody asked */
	bool foreign;	     /* what is in the reader at foreign_event is not a PIV card */
	uint32_t foreign_event;
	_Atomic bool present;	/* as listed last */
	_Atomic uint32_t event; /* counts the changes seen in `seen` and `present` */
	/* under the table lock */
	uint32_t seen;	   /* the reader's own event number */
	uint32_t reported; /* event that C_WaitForSlotEvent knows of */
	unsigned sessions, rw_sessions;
};

enum op_kind { OP_DIGEST, OP_SIGN, OP_VERIFY, OP_ENCRYPT, OP_DECRYPT, OP_KINDS };

/* An operation of a session: active from its C_...Init to its end. See op.c. */
struct p11_op {
	bool active, updated;
	bool one; /* its length was asked of the one-call form */
	enum op_kind kind;
	const struct mech *mech;
	struct mech_params params;
	struct p11_cred *cred; /* the card's key (sign, decrypt) or its public key (verify, encrypt), or NULL */
	struct secret *key;    /* or a session secret key */
	bool always_auth;
	bool token_pads;	     /* ... RSA PKCS#1 padding */
	bool native;		     /* another module does all of it, not only the private-key operation */
	struct remote_session *link; /* another module's session in which this operation is active, or NULL */
	bool context_login;	     /* C_Login(CKU_CONTEXT_SPECIFIC) came, with: */
	struct secret *pin;
	bool promised; /* the PIN is the one of the user login: see fresh.c */
	bool pad;      /* the PIN will be typed on the reader */
	EVP_MD_CTX *md;
	EVP_CIPHER_CTX *cipher;
	size_t pending;	  /* bytes that the cipher holds back */
	struct wbuf data; /* collected input */
};

struct p11_find {
	bool active;
	CK_OBJECT_HANDLE *handle;
	size_t n, cap, next;
};

/* The session of another module behind one of ours; see remote.c. */
struct remote_session {
	CK_SESSION_HANDLE handle;
	unsigned epoch; /* of the token when it was opened; 0: not open */
	bool spoiled;	/* an operation was left in it that it cannot be rid of */
};

struct p11_session {
	CK_SESSION_HANDLE handle;
	struct p11_slot *slot;
	struct p11_mutex own; /* with slot->remote: one call at a time, also while the slot's lock is let go */
	struct remote_session remote;
	CK_FLAGS flags;
	struct p11_session *next; /* in its bucket; under the table lock */
	_Atomic unsigned refs;	  /* one of them is the table's; taken under the table lock */
	_Atomic bool closed;
	struct p11_find find;
	struct p11_op op[OP_KINDS];
	struct p11_cred *promised; /* the next signature with this key: see fresh.c */
};

struct p11_module {
	struct p11_mutex table, listing;
	OSSL_LIB_CTX *lib;
	struct conf *conf;
	struct readers lister; /* under the listing lock */
	bool lister_open, listed;
	struct reader_list known;
	struct p11_slot *remote[P11_REMOTE_MAX]; /* from C_Initialize to C_Finalize */
	size_t n_remote;
	struct p11_slot *slot[P11_SLOTS_MAX];
	size_t n_slots; /* under the table lock, as all below */
	struct p11_session *bucket[P11_BUCKETS];
	uint64_t next_handle;
	bool waiting;
	struct readers waiter; /* of the one call that waits for events */
	bool waiter_open;
};

/* --- lifecycle.c --- */

CK_RV p11_initialize(void *args);
CK_RV p11_finalize(void *reserved);
/* Into the module without a session: pins it. Every successful enter is paired with its leave, which returns rv. */
CK_RV module_enter(struct p11_module **out);
CK_RV module_leave(struct p11_module *m, CK_RV rv);
bool module_closing(struct p11_module *m); /* C_Finalize waits for the calls that are inside */
uint64_t handle_new(struct p11_module *m); /* takes the table lock */
/* Tests and fuzzers: these readers instead of PC/SC, from the next C_Initialize on; NULL: PC/SC again. */
void p11_readers_override(const struct readers *readers);
enum err p11_readers_open(struct readers *out);
void p11_readers_close(struct readers *r);

/* --- slot.c --- */

/* List the readers anew: new ones get slots, presence and events are brought up to date. */
enum err slots_refresh(struct p11_module *m, bool grow);
/* Under the slot lock; CKR_SLOT_ID_INVALID comes before anything else. */
CK_RV slot_enter(const char *where, CK_SLOT_ID id, struct p11_slot **out);
CK_RV slot_leave(struct p11_slot *slot, CK_RV rv);
struct p11_slot *slot_find(struct p11_module *m, CK_SLOT_ID id);
/* Empty, with its lock; NULL when memory is short. */
struct p11_slot *slot_make(struct p11_module *m, CK_SLOT_ID id);
void slot_free(struct p11_slot *slot);
/* Of a second slot: the card was looked at. What a slot shows to C_GetSlotList and C_WaitForSlotEvent: */
void slot_known(struct p11_slot *slot, bool there);
bool slot_shown(const struct p11_slot *slot);
CK_RV slot_list(struct p11_module *m, CK_BBOOL present, CK_SLOT_ID *list, CK_ULONG *n);
CK_RV slot_info(struct p11_module *m, CK_SLOT_ID id, CK_SLOT_INFO *info);

/* --- event.c --- */

CK_RV event_wait(struct p11_module *m, CK_FLAGS flags, CK_SLOT_ID *slot, void *reserved);

/* --- token.c (slot lock held) --- */

/* The card of this slot, opened when it was not: CKR_TOKEN_NOT_PRESENT, CKR_TOKEN_NOT_RECOGNIZED. */
CK_RV token_attach(struct p11_slot *slot);
/* For a session: still the same card? CKR_DEVICE_REMOVED while it is out; CKR_SESSION_HANDLE_INVALID (and all sessions
 * closed) when another card is in. Talks to nobody unless the reader reported an event. */
CK_RV token_check(struct p11_slot *slot);
void token_detach(struct p11_slot *slot); /* the card is gone; objects stay for the case that it comes back */
void token_free(struct p11_token **t);
void token_forget(struct p11_token *t); /* in a forked child */
void token_logout(struct p11_token *t, bool tell_card);
CK_RV token_info(struct p11_slot *slot, CK_TOKEN_INFO *info);
CK_RV token_new(struct p11_slot *slot);			       /* an empty one */
CK_FLAGS token_pin_flags(struct p11_token *t);		       /* from the tries that are left; notes what was shown */
void token_counts(struct p11_slot *slot, CK_TOKEN_INFO *info); /* of sessions */
/* enum err of a card operation -> CK_RV, with what it means for the token (removed, logged out, tries). */
CK_RV token_result(struct p11_slot *slot, enum err e);
enum err token_tries(struct p11_token *t);
/* Stable text that names the card: GUID or FASC-N, 16 characters. */
#define TOKEN_SERIAL 16
void token_serial(const struct piv_id *id, char out[TOKEN_SERIAL + 1]);
void text_pad(unsigned char *out, size_t n, const char *text); /* blank-padded, printable */
void text_clean(unsigned char *text, size_t n);		       /* another module's, made so */

/* --- session.c --- */

enum p11_need {
	NEED_SESSION, /* a session */
	NEED_TOKEN    /* and its card */
};
CK_RV p11_enter(const char *where, CK_SESSION_HANDLE h, enum p11_need need, struct p11_session **out);
CK_RV p11_leave(struct p11_session *s, CK_RV rv);
CK_RV session_open(struct p11_slot *slot, CK_FLAGS flags, CK_SESSION_HANDLE *out);
CK_RV session_close(struct p11_session *s);
void slot_sessions_close(struct p11_slot *slot); /* slot lock held */
CK_RV session_info(struct p11_session *s, CK_SESSION_INFO *info);
CK_RV session_state(struct p11_session *s, const CK_ULONG *n);
CK_RV session_cancel(struct p11_session *s, CK_FLAGS flags);
/* Before a call that ends sessions takes the slot's lock: end the waiting for the user of another thread's call. */
void session_interrupt(CK_SESSION_HANDLE h);
void slot_interrupt(CK_SLOT_ID id);
/* End the operations of all sessions that use this credential. */
void slot_ops_end(struct p11_slot *slot, const struct p11_cred *c);
/* The one signature with this key that is under way in the slot: NULL when there is none, or more. */
struct p11_op *slot_op_signing(struct p11_slot *slot, const struct p11_cred *c);
/* Forget the PINs that operations of any session wait with. */
void slot_pins_end(struct p11_slot *slot);
bool slot_has_ro_session(struct p11_slot *slot);

/* --- login.c --- */

CK_RV login(struct p11_session *s, CK_USER_TYPE user, const CK_BYTE *pin, CK_ULONG n);
/* With the PIN of the user, wherever it comes from; and for the operation that waits for it. */
CK_RV login_user(struct p11_session *s, struct span pin);
CK_RV login_context(struct p11_session *s, struct span pin);
CK_RV logout(struct p11_session *s);
/* What the card said to a PIN: remembered, and turned into a CK_RV. */
CK_RV login_outcome(struct p11_slot *slot, enum err e, int left);
/* May a PIN be tried at all? CKR_PIN_LOCKED, CKR_FUNCTION_REJECTED. */
CK_RV login_guard(struct p11_slot *slot);
/* The operation that waits for its own PIN, or NULL. */
struct p11_op *login_waiting(struct p11_session *s);
CK_RV login_set_pin(struct p11_session *s, const CK_BYTE *old, CK_ULONG old_n, const CK_BYTE *pin, CK_ULONG n);

/* May it be a new PIN? CKR_PIN_LEN_RANGE, CKR_PIN_INVALID. */
CK_RV pin_new_check(struct span pin);

/* --- fresh.c (slot lock held) --- */

/* Tests: another clock; NULL: the monotonic one again. */
void p11_clock_override(int64_t (*now)(void));
int64_t p11_now_ms(void);
/* C_Login verified this PIN of the user. And: it was used, or is none any more. */
void fresh_set(struct p11_slot *slot, struct span pin);
void fresh_end(struct p11_token *t);
/* C_GetAttributeValue of a PIN-always key's CKA_ALWAYS_AUTHENTICATE (the row a of tmpl): may the program be told
 * CK_FALSE? That is then kept. */
bool
fresh_promise(struct p11_session *s, struct p11_cred *c, const CK_ATTRIBUTE *tmpl, CK_ULONG n, const CK_ATTRIBUTE *a);
/* C_SignInit: the operation may have been promised before. */
void fresh_redeem(struct p11_session *s, struct p11_op *op);
/* C_Sign with pin_helper: may it have the PIN without asking for another? */
bool fresh_serves(struct p11_token *t, struct p11_op *op);

/* --- login_so.c --- */

CK_RV login_so(struct p11_session *s, struct span pin);
void login_so_end(struct p11_token *t, bool tell_card);
CK_RV login_so_pad(struct p11_session *s); /* the PUK will be typed on the reader */
CK_RV login_puk_outcome(struct p11_slot *slot, enum err e);
CK_RV login_init_pin(struct p11_session *s, const CK_BYTE *pin, CK_ULONG n);
CK_RV login_set_puk(struct p11_session *s, struct span old, struct span puk);

/* --- admin.c --- */

#define ADMIN_KEY_MAX 32
CK_RV admin_of_user(struct p11_session *s);
void admin_end(struct p11_token *t, bool tell_card);
enum err admin_is_protected(struct piv_card *card, bool *yes) MUST_CHECK;
/* login_so.c: hexadecimal digits behind what out holds; false when they are no key. */
bool admin_key_hex(struct span text, struct secret *out);

/* --- login_pad.c (slot lock held) --- */

/* Is there a PIN pad that can do this (PIV_PAD_...), and is it to be used? */
bool pad_usable(struct p11_slot *slot, unsigned what);
/* Around a call that waits for the pad. */
void pad_begin(struct p11_session *s);
void pad_end(struct p11_session *s);
CK_RV pad_login(struct p11_session *s, CK_USER_TYPE user);
CK_RV pad_set_pin(struct p11_session *s);
CK_RV pad_init_pin(struct p11_session *s);

/* --- cred.c (slot lock held) --- */

void creds_init(struct p11_token *t);
void cred_clear(struct p11_cred *c);
/* Read the certificate unless that was done; CRED_ABSENT is a success. */
enum err cred_load(struct p11_slot *slot, struct p11_cred *c);
/* c->der: the certificate and, when this module can use it, its key; false when it is none. */
bool cred_parse(struct p11_slot *slot, struct p11_cred *c);
/* Does it have an object of this kind? */
bool cred_has(const struct p11_cred *c, enum p11_kind kind);
/* A key that was just made in it. */
enum err cred_made(struct p11_slot *slot, struct p11_cred *c, enum piv_alg alg, struct span spki);
const char *cred_label(const struct p11_cred *c, enum p11_kind kind, char out[64]);

/* --- attest.c (slot lock held) --- */

void attest_init(struct p11_token *t);
bool is_attestation(const struct p11_cred *c);
const char *attest_label(const struct p11_cred *c, char out[64]);
bool attest_wanted(struct p11_slot *slot, const struct p11_cred *c, const CK_ATTRIBUTE *t, CK_ULONG n);
enum err attest_load(struct p11_slot *slot, struct p11_cred *c);

/* --- policy.c (slot lock held): what a key may be used for, and when it wants its PIN --- */

CK_KEY_TYPE cred_key_type(const struct p11_cred *c);
bool cred_signs(const struct p11_cred *c);
bool cred_decrypts(const struct p11_cred *c); /* key transport or agreement */
bool cred_agrees(const struct p11_cred *c);   /* by its algorithm */
bool cred_needs_pin(const struct p11_cred *c);
bool cred_pin_always(const struct p11_cred *c);
/* Is metadata needed for one of these attributes? Then they are read, once: on a card that is known to have them, or
 * on any when they are asked for by name. */
enum err policy_ready(struct p11_slot *slot, struct p11_cred *c, const CK_ATTRIBUTE *t, CK_ULONG n);
/* From templates; CKR_ATTRIBUTE_VALUE_INVALID. */
CK_RV policy_of_template(const CK_ATTRIBUTE *t, CK_ULONG n, const struct p11_cred *c, struct piv_policy *out);
/* Can the card be told, and be trusted to have understood? */
CK_RV policy_possible(struct p11_slot *slot, struct piv_policy policy);

/* --- off_card.c (slot lock held) --- */

/* The card's Key History was read. */
void off_card_open(struct p11_slot *slot, const struct piv_history *h);
/* Is a certificate for this retired key in its file? And take it from there. */
bool off_card_has(const struct p11_token *t, const struct p11_cred *c, struct span *cert);
bool off_card_take(struct p11_slot *slot, struct p11_cred *c);

/* --- data.c (slot lock held) --- */

void data_init(struct p11_token *t);
void data_clear(struct p11_data *d, enum data_state state);
void data_forget_private(struct p11_token *t);
/* Find out whether it is there (what is remembered will do, unless it was asked for by name); and read its value:
 * afterwards it is DATA_READ or DATA_ABSENT. */
enum err data_look(struct p11_slot *slot, struct p11_data *d, bool named);
enum err data_load(struct p11_slot *slot, struct p11_data *d);
struct p11_data *data_by_tag(struct p11_token *t, uint32_t tag);
bool data_has_oid(const struct p11_data *d, struct span oid);
void data_put_oid(const struct p11_data *d, struct wbuf *out); /* DER */
/* By CKA_OBJECT_ID, else CKA_APPLICATION or CKA_LABEL: NULL, none of the card's. */
struct p11_data *data_of_template(struct p11_token *t, const CK_ATTRIBUTE *tmpl, CK_ULONG n);

/* --- object.c (slot lock held) --- */

struct p11_object *object_find(struct p11_session *s, CK_OBJECT_HANDLE h); /* NULL: none, or not visible */
struct p11_object *object_of_cred(struct p11_slot *slot, struct p11_cred *c, enum p11_kind kind);
struct p11_object *object_of_data(struct p11_slot *slot, struct p11_data *d);
struct p11_object *object_new(struct p11_slot *slot, enum p11_kind kind);
void objects_drop(struct p11_token *t, bool (*which)(const struct p11_object *, const void *), const void *arg);
void objects_drop_session(struct p11_token *t, CK_SESSION_HANDLE owner);
void objects_drop_private(struct p11_token *t);
void objects_free(struct p11_token *t);
void object_discard(struct p11_token *t, struct p11_object *o);
bool object_is_private(const struct p11_object *o);
bool object_is_visible(const struct p11_token *t, const struct p11_object *o);
CK_RV object_get(struct p11_session *s, CK_OBJECT_HANDLE h, CK_ATTRIBUTE *tmpl, CK_ULONG n);
CK_RV object_set(struct p11_session *s, CK_OBJECT_HANDLE h, CK_ATTRIBUTE *tmpl, CK_ULONG n);
/* modify.c */
CK_RV object_copy(struct p11_session *s, CK_OBJECT_HANDLE h, CK_ATTRIBUTE *tmpl, CK_ULONG n, CK_OBJECT_HANDLE *out);
/* A data object's value is at hand. */
CK_RV object_value_ready(struct p11_slot *slot, struct p11_object *o);
CK_RV object_destroy(struct p11_session *s, CK_OBJECT_HANDLE h);
CK_RV object_size(struct p11_session *s, CK_OBJECT_HANDLE h, CK_ULONG *size);

/* --- attr.c --- */

/* One attribute's value appended to out: CKR_ATTRIBUTE_TYPE_INVALID, CKR_ATTRIBUTE_SENSITIVE, CKR_HOST_MEMORY. */
CK_RV attr_get(const struct p11_token *t, const struct p11_object *o, CK_ATTRIBUTE_TYPE type, struct wbuf *out);
/* Does the object have this attribute with this value? */
bool attr_matches(const struct p11_token *t, const struct p11_object *o, const CK_ATTRIBUTE *a);
/* Is the attribute known without reading the certificate? */
bool attr_is_static(CK_ATTRIBUTE_TYPE type, enum p11_kind kind);
/* Template access: false when absent or of the wrong length; the rows of a template were checked by template_ok(). */
bool template_ok(const CK_ATTRIBUTE *t, CK_ULONG n);
const CK_ATTRIBUTE *template_find(const CK_ATTRIBUTE *t, CK_ULONG n, CK_ATTRIBUTE_TYPE type);
bool template_ulong(const CK_ATTRIBUTE *t, CK_ULONG n, CK_ATTRIBUTE_TYPE type, CK_ULONG *out);
bool template_bool(const CK_ATTRIBUTE *t, CK_ULONG n, CK_ATTRIBUTE_TYPE type, bool initial);

/* --- store.c: session objects --- */

bool store_set(struct attr_store *st, CK_ATTRIBUTE_TYPE type, const void *p, size_t n);
bool store_set_ulong(struct attr_store *st, CK_ATTRIBUTE_TYPE type, CK_ULONG v);
bool store_set_bool(struct attr_store *st, CK_ATTRIBUTE_TYPE type, bool v);
const struct attr_value *store_find(const struct attr_store *st, CK_ATTRIBUTE_TYPE type);
bool store_bool(const struct attr_store *st, CK_ATTRIBUTE_TYPE type);
CK_ULONG store_ulong(const struct attr_store *st, CK_ATTRIBUTE_TYPE type);
void store_free(struct attr_store *st);

/* --- create.c: making session objects --- */

/* The length that a template for a secret key asks for, natural when it does not: CKR_TEMPLATE_INCONSISTENT and others.
 */
CK_RV secret_key_length(const CK_ATTRIBUTE *t, CK_ULONG n, size_t natural, size_t *length);
/* A session secret key with this value; the template was checked by secret_key_length(). */
CK_RV
secret_key_new(struct p11_session *s, const CK_ATTRIBUTE *t, CK_ULONG n, struct span value, CK_OBJECT_HANDLE *out);
/* The same, when the mechanism knows the type; local: generated here. */
CK_RV secret_key_new_typed(struct p11_session *s, CK_KEY_TYPE type, bool local, const CK_ATTRIBUTE *t, CK_ULONG n,
    struct span value, CK_OBJECT_HANDLE *out);
CK_RV object_create(struct p11_session *s, CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *out);

/* --- move.c (slot lock held): keys of cards that can move them, and that tell of their keys --- */

/* Is there a key in a place without a certificate? Then it has objects from now on. */
enum err key_without_certificate(struct p11_slot *slot, struct p11_cred *c) MUST_CHECK;
/* Can the card move keys? Asked once, harmlessly. */
CK_RV move_ready(struct p11_session *s);
/* C_SetAttributeValue(CKA_ID) of a private key: to the place of that id, with its certificate. */
CK_RV move_key(struct p11_session *s, struct p11_object *o, const CK_ATTRIBUTE *id);

/* --- curve.c --- */

/* PIV_ALG_NONE: none that the card edge has. */
enum piv_alg curve_alg(CK_KEY_TYPE type, struct span params);
enum piv_alg modulus_alg(CK_ULONG bits);
struct span curve_params(enum piv_alg alg); /* CKA_EC_PARAMS; empty for RSA */

/* --- write.c, keygen.c, import.c, pkcs8.c, history.c: on the card, with the management key --- */

#define PIV_FIRST_KEYS 4 /* 9A 9C 9D 9E, before the retired ones */

/* May this session write? CKR_SESSION_READ_ONLY, CKR_USER_NOT_LOGGED_IN. A user may, where the management key is at
 * hand (admin.c). */
CK_RV write_check(struct p11_session *s);
/* Several writes that belong together, in one transaction. */
CK_RV write_begin(struct p11_slot *slot);
void write_end(struct p11_slot *slot);
/* After a certificate came or went: Key History as it has to be. */
CK_RV history_follow(struct p11_slot *slot, const struct p11_cred *c);
/* A private key in clear, from a template or from PKCS#8; what it points into is the caller's, in a secret. */
struct private_key {
	struct piv_private secret;
	struct span modulus, exponent; /* RSA */
};
CK_RV private_of_template(const CK_ATTRIBUTE *t, CK_ULONG n, struct private_key *out);
/* A pure function (fuzzed). */
CK_RV private_of_pkcs8(struct span der, struct private_key *out);
/* Into the place that CKA_ID names, else into the first retired one that is free. */
CK_RV import_private(
    struct p11_session *s, const struct private_key *key, const CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *out);
/* The public half of a key that is on the card: nothing is written. */
CK_RV import_public(struct p11_session *s, const CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *out);
/* The key that CKA_ID names. */
CK_RV cred_of_template(struct p11_token *t, const CK_ATTRIBUTE *tmpl, CK_ULONG n, struct p11_cred **out);
/* Forget it, its objects and the operations that use it. */
void cred_changed(struct p11_slot *slot, struct p11_cred *c);
/* C_CreateObject with CKA_TOKEN; write_check() was done. */
CK_RV write_certificate(struct p11_session *s, const CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *out);
/* One of the card's data objects, with what depends on it; empty: emptied. */
CK_RV data_put(struct p11_slot *slot, struct p11_data *d, struct span value);
/* secobj.c: a CHUID without a signature, with one where there is a content signer. */
CK_RV chuid_sealed(struct p11_slot *slot, struct span value, struct wbuf *out);
/* After that, the Security Object. */
CK_RV secobj_follow(struct p11_slot *slot, const struct p11_data *d, struct span value);
CK_RV write_data(struct p11_session *s, const CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *out);
/* Another value for a certificate or data object, which keeps its handle. */
CK_RV write_value(struct p11_session *s, struct p11_object *o, struct span value);
CK_RV write_destroy(struct p11_session *s, struct p11_object *o);
CK_RV generate_key_pair(struct p11_session *s, CK_MECHANISM *m, CK_ATTRIBUTE *pub, CK_ULONG pub_n, CK_ATTRIBUTE *priv,
    CK_ULONG priv_n, CK_OBJECT_HANDLE *out_pub, CK_OBJECT_HANDLE *out_priv);

/* --- find.c --- */

CK_RV find_init(struct p11_session *s, CK_ATTRIBUTE *tmpl, CK_ULONG n);
CK_RV find_next(struct p11_session *s, CK_OBJECT_HANDLE *out, CK_ULONG max, CK_ULONG *n);
CK_RV find_final(struct p11_session *s);
void find_end(struct p11_find *f);

/* --- op.c: what all operations share --- */

enum op_phase { OP_ONE, OP_UPDATE, OP_FINAL };
CK_RV op_init(struct p11_session *s, enum op_kind kind, CK_MECHANISM *m, CK_OBJECT_HANDLE key);
CK_RV op_run(struct p11_session *s, enum op_kind kind, enum op_phase phase, const CK_BYTE *in, CK_ULONG n, CK_BYTE *out,
    CK_ULONG *len);
CK_RV
op_verify(struct p11_session *s, enum op_phase phase, const CK_BYTE *in, CK_ULONG n, const CK_BYTE *sig, CK_ULONG len);
void op_end(struct p11_op *op);
/* One private-key operation on the card, with the operation's own PIN when the key wants one each time. */
CK_RV op_card(struct p11_session *s, struct p11_op *op, enum piv_op what, struct span in, struct wbuf *out);
/* A key for an operation: CKR_KEY_HANDLE_INVALID, or CKR_USER_NOT_LOGGED_IN for one that cannot be seen now. */
CK_RV key_find(struct p11_session *s, CK_OBJECT_HANDLE h, struct p11_object **out);
/* Feed a hash, or collect. */
CK_RV op_collect(struct p11_op *op, struct span in);
CK_RV op_digest(struct p11_op *op, struct wbuf *out);
CK_RV op_start_hash(struct p11_module *m, struct p11_op *op, const char *name);

/* --- sign.c, verify.c, decrypt.c, encrypt.c, digest.c, cipher.c: rows of op.c's table --- */

CK_RV sign_final(struct p11_session *s, struct p11_op *op, struct wbuf *out);
/* Can the scheme take so many bytes that were hashed outside? */
bool sign_length_ok(const struct p11_op *op, size_t n);
CK_RV verify_final(struct p11_session *s, struct p11_op *op, struct span sig);
CK_RV decrypt_final(struct p11_session *s, struct p11_op *op, struct wbuf *out);
CK_RV encrypt_final(struct p11_session *s, struct p11_op *op, struct wbuf *out);
CK_RV digest_key(struct p11_session *s, CK_OBJECT_HANDLE h);

CK_RV cipher_start(struct p11_module *m, struct p11_op *op);
CK_RV cipher_update(struct p11_op *op, struct span in, struct wbuf *out);
CK_RV cipher_final(struct p11_op *op, struct wbuf *out);
size_t cipher_bound(const struct p11_op *op, enum op_phase phase, size_t n);
/* RFC 3394 in one call. */
CK_RV cipher_wrap(struct p11_module *m, struct span kek, struct span iv, struct span in, struct wbuf *out);
CK_RV cipher_unwrap(struct p11_module *m, struct span kek, struct span iv, struct span in, struct wbuf *out);
/* A wrapped key: CBC with padding, RFC 3394, RFC 5649. CKR_WRAPPED_KEY_INVALID. */
CK_RV cipher_open(struct p11_module *m, enum mech_scheme scheme, struct span kek, struct span iv, struct span in,
    struct secret **out);

/* --- derive.c, unwrap.c --- */

CK_RV derive_key(struct p11_session *s, CK_MECHANISM *m, CK_OBJECT_HANDLE base, CK_ATTRIBUTE *tmpl, CK_ULONG n,
    CK_OBJECT_HANDLE *out);
CK_RV unwrap_key(struct p11_session *s, CK_MECHANISM *m, CK_OBJECT_HANDLE key, const CK_BYTE *in, CK_ULONG in_n,
    CK_ATTRIBUTE *tmpl, CK_ULONG n, CK_OBJECT_HANDLE *out);
CK_RV generate_key(struct p11_session *s, CK_MECHANISM *m, CK_ATTRIBUTE *tmpl, CK_ULONG n, CK_OBJECT_HANDLE *out);

/* --- random.c --- */

CK_RV random_generate(struct p11_session *s, CK_BYTE *out, CK_ULONG n);
CK_RV random_seed(struct p11_session *s, const CK_BYTE *seed, CK_ULONG n);

/* --- p11_err.c --- */

CK_RV p11_rv(enum err e);

#endif
