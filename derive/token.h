/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_DERIVE_TOKEN_H
#define DPIV_DERIVE_TOKEN_H

#include <stdbool.h>
#include <stdint.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/secret.h"

/*
 * Tokens and keys as the rest of derive/ and cli/ see them: named by RFC 7512 URIs, reached through PKCS#11 only
 * (libp11, and the raw function list where libp11 has no call). A URI without module-path means dpiv's own module.
 *
 * PINs: pin-source=file:... (or a path) and pin-value are honoured; otherwise the prompter is asked, once an action,
 * with the token, the key and the tries left in the question. A refused PIN is never sent again; with one try left the
 * prompter must say yes first.
 */
struct token;

/* A question to the person. ask() returns the PIN, E_CANCELED, or E_AUTH when there is nobody to ask. */
struct token_prompt {
	const char *token, *key; /* key: NULL, or the key that needs a PIN of its own (9C) */
	int tries;		 /* left, -1 unknown */
	bool last_try, again;	 /* again: the last PIN was wrong */
};
typedef enum err token_ask_fn(void *arg, const struct token_prompt *q, struct secret **pin);

struct token_key {
	uint8_t id[64]; /* CKA_ID */
	size_t id_len;
	char label[64];
	X509 *cert; /* owned by the token; NULL when there is none */
	bool has_private;
	bool always_auth;
};

/* The one token that the URI names. E_NOTFOUND (with what was there instead), E_ARG malformed URI. */
enum err token_open(const char *uri, token_ask_fn *ask, void *arg, struct token **out) MUST_CHECK;
void token_close(struct token **t);
/* Every present token of one module (NULL: dpiv's own) as URIs of their own; free each and the array with free(). */
enum err token_list(const char *module_path, char ***uris, size_t *n) MUST_CHECK;
const char *token_label(const struct token *t);
const char *token_module(const struct token *t);      /* path of the module */
const char *token_module_real(const struct token *t); /* the same without symbolic links */
const char *token_manufacturer(const struct token *t);
const char *token_model(const struct token *t);
bool token_is_own(const struct token *t); /* a card's, by dpiv's own module */
const char *token_serial_number(const struct token *t);
/* Canonical URI (token, serial, module-path; no PIN). Owned by the token. */
const char *token_uri(const struct token *t);

/* Certificates with their keys, as found without logging in; again after token_login() when keys are hidden before.
 * Owned by the token, valid until the next call of this function. */
enum err token_keys(struct token *t, const struct token_key **keys, size_t *n) MUST_CHECK;
/* Does the URI that token_open() was given name this key? True for every key when it has no id and no object. */
bool token_key_named(const struct token *t, const struct token_key *k);
enum err token_login(struct token *t) MUST_CHECK;
/* The private key of this CKA_ID for libcrypto, logged in if need be. The caller frees it before token_close(). PIN-
 * always keys ask once per use. */
enum err token_pkey(struct token *t, const uint8_t *id, size_t id_len, EVP_PKEY **out) MUST_CHECK;

enum token_alg { TOKEN_RSA2048, TOKEN_RSA3072, TOKEN_P256, TOKEN_P384 };
/* TOKEN_USE_BOTH: nowhere that keys have places of one use each (token_has_places()), E_UNSUP there. */
enum token_use { TOKEN_USE_SIGN, TOKEN_USE_DECRYPT, TOKEN_USE_BOTH };
/* Generate a key pair on the token: sensitive, never extractable, private, checked afterwards (CKA_LOCAL,
 * CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE); a token that will not is refused with E_POLICY and nothing is left on
 * it. */
enum err token_generate(struct token *t, enum token_alg alg, enum token_use use, const char *label, const uint8_t *id,
    size_t id_len, EVP_PKEY **pub) MUST_CHECK;
/* Has the token a place for keys of this use at all? E_UNSUP. */
enum err token_can_use(const struct token *t, enum token_use use) MUST_CHECK;
/* Has the token what it takes to make such a key and to use it so? E_UNSUP with another kind to try. */
enum err token_can(struct token *t, enum token_alg alg, enum token_use use) MUST_CHECK;
/* The same, with what a PIV token has besides: over whatever key is in the place; pin_always: a PIN for every use,
 * where the place has another rule. */
struct token_new {
	enum token_alg alg;
	enum token_use use;
	const char *label;
	const uint8_t *id;
	size_t id_len;
	bool over, pin_always;
};
enum err token_make(struct token *t, const struct token_new *n, EVP_PKEY **pub) MUST_CHECK;
enum err token_put_cert(struct token *t, const char *label, const uint8_t *id, size_t id_len, X509 *cert) MUST_CHECK;
/* Destroy every object (certificate, public and private key) of this CKA_ID. Nothing there is not an error. */
enum err token_destroy(struct token *t, const uint8_t *id, size_t id_len) MUST_CHECK;
/* Destroys what has neither identifier, label nor value: half an object, that a program was killed over. For a run that
 * knows of one: an object that somebody is making at this moment may look the same. */
enum err token_clear_torn(struct token *t) MUST_CHECK;
/* After a failure of libcrypto with a token's key: the reason is in libcrypto's queue, set there by libp11. This turns
 * it into dpiv's terms (E_PIN, E_CARDGONE, E_CANCELED …; e when the token was not the cause), with what in front, and
 * empties the queue. */
enum err token_failed(struct token *t, enum err e, const char *what) MUST_CHECK;
/* Still there, and the same one? */
bool token_present(struct token *t);
/* How many objects have this CKA_ID, and how many of these this CKA_LABEL. Logs in, since keys may be hidden. */
enum err token_count(
    struct token *t, const uint8_t *id, size_t id_len, const char *label, size_t *all, size_t *labelled) MUST_CHECK;
/* Why a module (NULL: dpiv's own) has no token: E_NOREADER, E_NOCARD or E_NOTPIV with what to do. Always an error. */
enum err token_absent(const char *module_path) MUST_CHECK;
/* Every slot of a module (NULL: dpiv's own), with a token or without: e says why without, err_msg() too while fn runs.
 */
struct token_slot {
	char name[65];	/* of the reader */
	bool reader;	/* a reader, and not a token that lives elsewhere */
	bool present;	/* there is something in it */
	char label[33]; /* of the token, when e is E_OK */
	enum err e;
};
enum err token_slots(const char *module_path, void (*fn)(void *arg, const struct token_slot *s), void *arg) MUST_CHECK;
/* E_READONLY when the token cannot be written to, before anything is tried. */
enum err token_writable(struct token *t) MUST_CHECK;

/*
 * --- PIV tokens (token_place.c): an id is a place for one key and its certificate; there are no labels ---
 */
bool token_has_places(const struct token *t);
/* An empty token without identity gets one (token_chuid.c): afterwards its label, serial number and URI are others. */
enum err token_identify(struct token *t, bool *now) MUST_CHECK;
/* The application identifier in use, for the record; NULL: not a PIV token. */
const char *token_application(const struct token *t);
/* A Discovery object where there is none, and the Security Object with it; where that cannot be, token_objects() says
 * why. An error is the token's that is gone. */
enum err token_discovery(struct token *t) MUST_CHECK;
/* What else is on it, in words: Discovery, Key History, Security Object (token_objects.c). */
enum err token_objects(struct token *t, char *out, size_t cap) MUST_CHECK;
/* The key in this place, made by an earlier process, is this one: it can be used from now on. Believed until it is
 * tried. Nothing when a key can be seen there. */
enum err token_tell(struct token *t, const uint8_t *id, size_t id_len, EVP_PKEY *pub) MUST_CHECK;
/* Does it sign, or agree upon secrets, with the private half of this key? */
enum err token_proves(struct token *t, const uint8_t *id, size_t id_len, EVP_PKEY *pub, bool *yes) MUST_CHECK;
/* Can this key, which is there, be moved to another place? And move it, with its certificate; after an interruption the
 * same call goes on. */
enum err token_movable(struct token *t, const uint8_t *id, size_t id_len, bool *yes) MUST_CHECK;
enum err token_move(struct token *t, const uint8_t *id, size_t id_len, uint8_t to) MUST_CHECK;
/* A place of a retired key that is free: the first, or where this certificate is already; the last when it is NULL. */
enum err token_free_retired(struct token *t, X509 *cert, uint8_t *place) MUST_CHECK;
/* A key without a certificate is deleted where the token can; elsewhere it stays until the next one is made. */
enum err token_discard(struct token *t, const uint8_t *id, size_t id_len) MUST_CHECK;
/* Key and certificate are gone afterwards, or a throw-away key of this kind is there. was: the key, or NULL. */
enum err token_zeroize(struct token *t, const uint8_t *id, size_t id_len, enum token_alg alg, EVP_PKEY *was) MUST_CHECK;

/* --- what a token and a key show of themselves (token_facts.c); strings are safe to show --- */
struct token_facts {
	char manufacturer[33], model[17], serial[17];
	char firmware[8]; /* "25.35" */
	bool own;	  /* a card's, by dpiv's own module */
	bool login;	  /* CKF_LOGIN_REQUIRED */
	bool hw_slot;	  /* CKF_HW_SLOT: says that it is hardware */
	X509 *attester;	  /* the certificate of the key that attests its others, or NULL; owned */
};
/* CKA_..., what is not known counts against it */
struct token_key_facts {
	bool sensitive, extractable, local, always_sensitive, never_extractable;
	bool decrypts_too; /* a key that was made to sign */
	X509 *attestation; /* of this key, or NULL; owned */
};
enum err token_facts(struct token *t, struct token_facts *out) MUST_CHECK;
void token_facts_clear(struct token_facts *f);
/* E_NOTFOUND: there is no private key of this CKA_ID. */
enum err token_key_facts(
    struct token *t, const uint8_t *id, size_t id_len, enum token_use use, struct token_key_facts *out) MUST_CHECK;
void token_key_facts_clear(struct token_key_facts *f);

/* The CHUID (token_chuid.c), appended to out; nothing when the token shows none. */
enum err token_chuid(struct token *t, struct wbuf *out) MUST_CHECK;

/* --- PINs (token_pin.c) --- */
struct token_pin_facts {
	int tries, puk_tries; /* left; 0 blocked, -1 unknown */
	size_t least, most;   /* length of a new PIN */
	bool digits, pad;     /* a PIV PIN; the reader asks by itself */
	const char *puk;      /* what a person calls the secret that unblocks */
};
void token_pin_facts(struct token *t, struct token_pin_facts *out);
/* Would it do as a new PIN? E_PINLEN or E_POLICY with the reason; the token is not asked. */
enum err token_pin_suits(struct token *t, struct span pin) MUST_CHECK;
/* NULL for both: the reader's PIN pad asks. E_PIN with the tries left, E_PINLOCKED. */
enum err token_pin_change(struct token *t, struct secret *old, struct secret *pin) MUST_CHECK;
enum err token_pin_unblock(struct token *t, struct secret *puk, struct secret *pin) MUST_CHECK;
/* The PIN that the URI carries or points to; NULL and E_OK when it has none. */
enum err token_uri_pin(struct token *t, struct secret **pin) MUST_CHECK;

/* A private key from outside and its certificate, into the token (token_import.c): the key sensitive and not
 * extractable, the certificate under the same CKA_ID, which is that of what is there already, else the SHA-1 of the
 * public key. What an interrupted call has left is completed. E_UNSUP: the token takes no private keys, or not this
 * kind; E_EXISTS: it has the key under another certificate, and room for one only. After a failure nothing new is left
 * on the token, or the sentence names it. */
enum token_imported {
	TOKEN_IMPORTED,
	TOKEN_COMPLETED, /* the key, or the certificate, was there */
	TOKEN_HAD	 /* both were */
};
struct token_place {
	uint8_t id[64]; /* CKA_ID */
	size_t id_len;
	enum token_imported how;
};
enum err
token_import(struct token *t, EVP_PKEY *key, X509 *cert, const char *label, struct token_place *place) MUST_CHECK;
/* Into a place of a PIV token, over the key that is there; the certificate is the caller's. */
enum err token_bring(struct token *t, EVP_PKEY *key, const uint8_t *id, size_t id_len) MUST_CHECK;
/* Can it? Tried with a key that stays there and is of no use. E_UNSUP with what to do instead. */
enum err token_bring_probe(struct token *t, enum token_alg alg, const uint8_t *id, size_t id_len) MUST_CHECK;
/* Does the token take private keys of this kind? Tried with one that is forgotten at once. E_UNSUP. */
enum err token_import_probe(struct token *t, enum token_alg alg) MUST_CHECK;
/* Only looks: how would it end? */
enum err token_import_look(struct token *t, X509 *cert, struct token_place *place) MUST_CHECK;

#endif
