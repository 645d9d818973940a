/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_DERIVE_TOKEN_INT_H
#define DPIV_DERIVE_TOKEN_INT_H

#include <libp11.h>
#include <openssl/ui.h>
#include <p11-kit/pkcs11.h>

#include "derive/token.h"

/*
 * Inside of the token_*.c files; nobody else includes this. A module is loaded and initialised once however many tokens
 * of it are open, and finalised with the last of them. libp11 closes all sessions of a slot when it lets a slot go, so
 * its contexts live as long as the module.
 */
struct token_module {
	char *path; /* as first given */
	char *real; /* resolved: two spellings of one file are one module */
	bool own;   /* dpiv's own module: not named in URIs */
	unsigned refs;
	void *dl;
	CK_FUNCTION_LIST *f;
	bool initialized; /* by us: we finalise */
	struct token_p11 *p11;
	struct token_module *next;
};

/* A libp11 context that belongs to one token: its user interface callback must know whose PIN is wanted. */
struct token_p11 {
	PKCS11_CTX *ctx;
	PKCS11_SLOT *slots;
	unsigned int n;
	struct token_p11 *next;
};

/* A parsed URI. */
struct token_ref {
	void *uri;		 /* P11KitUri */
	const char *module_path; /* NULL: dpiv's own */
	bool names_key;		 /* has id, object or type */
};

struct token {
	struct token_module *m;
	struct token_ref ref;
	CK_SLOT_ID slot;
	CK_TOKEN_INFO info;
	char label[33], serial[17], manufacturer[33], model[17];
	char *uri;
	token_ask_fn *ask;
	void *arg;
	CK_SESSION_HANDLE session; /* CK_INVALID_HANDLE: none */
	bool logged_in;
	bool pin_refused;      /* pin-source or pin-value was refused: never sent again */
	struct token_p11 *p11; /* owned by the module */
	PKCS11_TOKEN *p11_token;
	UI_METHOD *ui;
	struct token_key *keys;
	size_t n_keys;
	char no_discovery[96]; /* why it has got no Discovery object */
};

/* token_module.c */
enum err module_open(const char *path, struct token_module **out) MUST_CHECK; /* NULL: dpiv's own */
void module_close(struct token_module **m);

/* token_uri.c */
enum err ref_parse(const char *uri, struct token_ref *ref) MUST_CHECK;
void ref_free(struct token_ref *ref);
bool ref_matches(const struct token_ref *ref, const struct token_module *m, CK_SLOT_ID slot, const CK_SLOT_INFO *si,
    const CK_TOKEN_INFO *ti);
/* The PIN that the URI carries or points to; NULL and E_OK when it has none. */
enum err ref_pin(const struct token_ref *ref, struct secret **pin) MUST_CHECK;
bool ref_has_pin(const struct token_ref *ref);
enum err ref_format(const struct token_module *m, const CK_TOKEN_INFO *ti, char **out) MUST_CHECK;

/* token_find.c: call fn for every present, initialised token of the module until it returns false. */
typedef bool find_fn(void *arg, CK_SLOT_ID slot, const CK_SLOT_INFO *si, const CK_TOKEN_INFO *ti);
enum err find_tokens(struct token_module *m, find_fn *fn, void *arg) MUST_CHECK;
/* Those in slots that have a token only when they are asked, too: dpiv's for the second application of a card. */
enum err find_all_tokens(struct token_module *m, find_fn *fn, void *arg) MUST_CHECK;
/* A blank-padded Cryptoki text as a string that is safe to show. */
char *find_text(const CK_UTF8CHAR *p, size_t n, char *out, size_t cap);

/* token_rv.c */
enum err rv_err(CK_RV rv);
const char *rv_name(CK_RV rv, char buf[24]);
enum err rv_set(const struct token *t, CK_RV rv, const char *what) MUST_CHECK;

/* token_tmpl.c: templates; more than TMPL_MAX attributes are left out */
#define TMPL_MAX 24
struct tmpl {
	CK_ATTRIBUTE a[TMPL_MAX];
	CK_ULONG n;
};
void tmpl_add(struct tmpl *t, CK_ATTRIBUTE_TYPE type, const void *p, size_t n);
void tmpl_bool(struct tmpl *t, CK_ATTRIBUTE_TYPE type, bool v);

/* token_raw.c: objects by the raw function list, over the token's one session */
enum err raw_session(struct token *t, bool write) MUST_CHECK;
void raw_close(struct token *t);
enum err raw_find(struct token *t, CK_ATTRIBUTE *tmpl, CK_ULONG n, CK_OBJECT_HANDLE **out, size_t *count) MUST_CHECK;
/* The attribute appended to out; E_NOTFOUND when the object has none or hides it. */
enum err raw_get(struct token *t, CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE a, struct wbuf *out) MUST_CHECK;
/* Is it the token that failed, and not the object that has no such attribute? */
bool raw_failed(enum err e);
/* false as well when the attribute is missing */
bool raw_bool(struct token *t, CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE a);

/* token_login.c */
/* For a key that wants a PIN of its own: pin-source, else the prompter. */
enum err login_key_pin(struct token *t, const char *key, struct secret **pin) MUST_CHECK;
int login_tries(struct token *t);
enum err login_refresh(struct token *t) MUST_CHECK; /* CK_TOKEN_INFO again */

/* token_objects.c: is there such a data object? Its value is appended. */
enum err object_read(struct token *t, struct span oid, struct wbuf *value, bool *there) MUST_CHECK;

/* token_pkey.c: libp11 goes on to show a key under the id that it had; so it looks anew. Keys from before stay good,
 * and ask for no PIN. */
void pkey_forget(struct token *t);

/* token_place.c: rv_set(), with what a PIV token needs to be written on */
enum err place_rv(const struct token *t, CK_RV rv, const char *what) MUST_CHECK;

/* token_keys.c */
void keys_free(struct token *t);

/* token_pub.c: public key objects as libcrypto's */
enum err pub_read(struct token *t, CK_OBJECT_HANDLE o, EVP_PKEY **out) MUST_CHECK;

/* token_private.c: one private key object. E_UNSUP when the token has no way for it. */
struct private_key {
	EVP_PKEY *key;
	const char *label;
	const uint8_t *id;
	size_t id_len;
	bool fleeting; /* not CKA_TOKEN: gone with the session */
};
enum err private_put(struct token *t, const struct private_key *k, CK_OBJECT_HANDLE *o) MUST_CHECK;
enum err private_put_public(struct token *t, const struct private_key *k, CK_OBJECT_HANDLE *o) MUST_CHECK;

#endif
