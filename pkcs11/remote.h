/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_PKCS11_REMOTE_H
#define DPIV_PKCS11_REMOTE_H

#include <p11-kit/uri.h>

#include "hw/p11mod.h"
#include "pkcs11/p11.h"

/*
 * Tokens behind other PKCS#11 modules ([token NAME] in dpiv.conf with a module-path in its uri), each in a slot of its
 * own. Everything above the private key is what PIV slots have: sessions, objects, attributes, operations, PIN rules,
 * session keys. Different is where a key comes from (remote_cred.c), who uses it (remote_op.c), and who counts
 * PINs (remote_login.c).
 *
 * One of our sessions has at most one of the other module's, opened when it is first needed. One more of these, the
 * token's own, is for searching and logging in and lasts as long as the token is there. While the other module signs or
 * decrypts, the slot's lock is let go (the session's own lock is kept), so that threads run as they do in that module;
 * what may not change under such a call waits for `outside` to be 0.
 */

#define REMOTE_SEEN  384
#define REMOTE_ID    64
#define REMOTE_MECHS 64 /* rows of mech.c's table */

enum pin_counter { PIN_COUNTER_AUTO, PIN_COUNTER_DPIV, PIN_COUNTER_TOKEN };

struct remote {
	char name[64];
	P11KitUri *uri; /* NULL: what the configuration says is of no use */
	struct p11mod *mod;
	const CK_FUNCTION_LIST *f;
	CK_SLOT_ID id; /* in that module */
	CK_SLOT_INFO slot_info;
	_Atomic bool hardware; /* CKF_HW_SLOT of it, for those without the slot's lock */
	CK_TOKEN_INFO info;
	CK_SESSION_HANDLE session; /* with which we search and log in */
	_Atomic unsigned epoch;	   /* counts its comings and goings; sessions of an older one are gone */
	bool up;		   /* the token is there */
	bool logged_in;		   /* by us, not by another part of the program */
	unsigned outside;	   /* calls in the other module without the slot's lock */
	time_t again;		   /* monotonic: do not look for it before */
	CK_FLAGS have[REMOTE_MECHS];
	CK_OBJECT_HANDLE seen[REMOTE_SEEN]; /* objects, as credentials were made of them */
	size_t n_seen;
	unsigned pin_min, pin_tries;
	enum pin_counter counter;
};

/* What a credential has in the other module. */
struct remote_cred {
	struct piv_key_info row; /* sign, decrypt (or derive), pin, pin_always as that token says */
	char name[2 * REMOTE_ID + 1];
	uint8_t id[REMOTE_ID];
	size_t id_len;
	char label[64], key_label[64]; /* of the certificate; of its keys */
	CK_OBJECT_HANDLE cert, key;    /* 0: none, or not to be seen now */
	bool hidden;		       /* the certificate too is private */
	bool has_key;		       /* a private key was seen, now or before the logout */
	bool local, sensitive, extractable, always_sensitive, never_extractable;
	bool stays; /* while credentials are brought up to date */
};

/* --- remote.c: slots, presence, sessions --- */

/* The slots of dpiv.conf; loads nothing. */
void remotes_make(struct p11_module *m);
void remote_free(struct remote **r);
void remote_forget(struct remote *r); /* in a forked child */
/* As token_attach() and token_check(). */
CK_RV remote_attach(struct p11_slot *slot);
CK_RV remote_check(struct p11_slot *slot);
/* Is it there? Does not wait for calls that are in the slot. */
void remote_peek(struct p11_slot *slot);
CK_RV remote_info(struct p11_slot *slot, CK_TOKEN_INFO *info);
/* The other module's answer as ours, with what it means: token gone, login ended. */
CK_RV remote_rv(struct p11_slot *slot, CK_RV rv);
/* Make sure that s->remote is open. */
CK_RV remote_session_open(struct p11_session *s);
void remote_session_close(struct p11_session *s);
/* Around a call that may take long: let the slot's lock go and take it again. */
void remote_go(struct p11_session *s);
void remote_come_back(struct p11_session *s);

/* --- remote_uri.c --- */

enum err remote_uri_parse(const char *uri, P11KitUri **out) MUST_CHECK;
bool remote_uri_is_token(const struct remote *r, CK_SLOT_ID id, CK_SLOT_INFO *slot, CK_TOKEN_INFO *token);
/* Does it name objects (object=, id=, type=), and is this one of them? */
bool remote_uri_names(const struct remote *r);
bool remote_uri_fits(const struct remote *r, CK_OBJECT_CLASS class, struct span id, struct span label);

/* --- remote_cred.c --- */

/* Bring the credentials up to date with what the token shows now. */
CK_RV remote_creds(struct p11_slot *slot);
/* CKA_LABEL of the object that this is, or NULL: the labels of the PIV role that it was derived for. */
const char *remote_label(const struct p11_cred *c, enum p11_kind kind);

/* --- remote_pub.c --- */

/* NULL: none that this module can use. */
EVP_PKEY *remote_pub(const struct remote *r, OSSL_LIB_CTX *lib, CK_OBJECT_HANDLE o);

/* --- remote_mech.c --- */

void remote_mechs_read(struct remote *r);
/* What of this row the token can do, by itself or with the software's help. */
CK_FLAGS remote_mech_flags(const struct remote *r, const struct mech *row);
bool remote_mech_native(const struct remote *r, CK_MECHANISM_TYPE type, CK_FLAGS use);

/* --- remote_op.c --- */

CK_RV remote_start(struct p11_session *s, struct p11_op *op, CK_MECHANISM *m);
CK_RV remote_sign(struct p11_session *s, struct p11_op *op, const CK_BYTE *in, CK_ULONG n, CK_BYTE *out, CK_ULONG *len);
CK_RV remote_update(struct p11_session *s, struct p11_op *op, struct span in);
CK_RV remote_final(struct p11_session *s, struct p11_op *op, struct wbuf *out);
/* As piv_key_use(). */
CK_RV remote_key_use(struct p11_session *s, struct p11_op *op, enum piv_op what, struct span in, struct wbuf *out);
CK_RV remote_random(struct p11_session *s, CK_BYTE *out, CK_ULONG n);

/* --- remote_login.c --- */

CK_RV remote_login(struct p11_session *s, CK_USER_TYPE user, const CK_BYTE *pin, CK_ULONG n);
/* The PIN that the operation holds (fresh.c), told to the other module. */
CK_RV remote_login_held(struct p11_session *s, struct p11_op *op);
void remote_logout(struct p11_token *t, bool tell);
CK_RV remote_set_pin(struct p11_session *s, struct span old, struct span pin);
CK_RV remote_init_pin(struct p11_session *s, struct span pin);
enum err remote_tries(struct p11_token *t);
CK_FLAGS remote_so_flags(const struct remote *r);

#endif
