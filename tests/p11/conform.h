/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_TESTS_P11_CONFORM_H
#define DPIV_TESTS_P11_CONFORM_H

/*
 * Rules of the PKCS#11 standard, each a named function that asks a module (any module) one question. A rule runs in a
 * process of its own, with the module loaded and not initialised; it ends by returning (the rule holds), by one of the
 * checks below (it does not), or by rule_na() (this token cannot be asked). Nothing of dpiv is used but the header with
 * the 3.0 types.
 */
#include <stdbool.h>
#include <stddef.h>

#include "pkcs11/cryptoki3.h"

struct rule {
	const char *name; /* FUNCTION.what: "C_Initialize.twice" */
	void (*run)(void);
};

/* The module under test, in this process. */
struct conform {
	CK_FUNCTION_LIST *f;
	CK_FUNCTION_LIST_3_0 *f3; /* NULL: none */
	CK_C_GetInterfaceList interface_list;
	CK_C_GetInterface interface;
	CK_SLOT_ID slot;    /* of the token, once started */
	const char *pin;    /* of the user; NULL: none was given */
	const char *so_pin; /* NULL: none was given */
	bool ec;	    /* sign with an elliptic-curve key, though there is an RSA one */
	bool wrong_pins;    /* wrong ones may be entered */
};
extern struct conform T;
#define F (T.f)

/* --- checks --- */

void rule_fail(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
void rule_na(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
void rule_want(const char *what, CK_RV got, const CK_RV *list, size_t n, const char *file, int line);
const char *rv_name(CK_RV rv);

/* The call returns one of these. */
#define WANT(call, ...)                                                                                                \
	rule_want(#call, (call), (const CK_RV[]){ __VA_ARGS__ },                                                       \
	    sizeof((const CK_RV[]){ __VA_ARGS__ }) / sizeof(CK_RV), __FILE__, __LINE__)
#define OK(call) WANT(call, CKR_OK)
#define HOLDS(cond)                                                                                                    \
	do {                                                                                                           \
		if (!(cond))                                                                                           \
			rule_fail("%s:%d: not so: %s", __FILE__, __LINE__, #cond);                                     \
	} while (0)

/* --- fixtures: each makes sure of what it says, or the rule does not apply --- */

#define BAD_SESSION 0xFFFFFF00UL
#define BAD_OBJECT  0xFFFFFF01UL
#define BAD_SLOT    0xFFFFFF02UL
#define BAD_MECH    (CKM_VENDOR_DEFINED | 0x7FFF01UL)

extern CK_BBOOL yes, no;
#define N_OF(a) (sizeof(a) / sizeof((a)[0]))
/* clang-format off */
#define ATTR(type, v) { type, &(v), sizeof(v) }
#define ATTR_TEXT(type, text) { type, (char[]){ text }, sizeof(text) - 1 }
/* clang-format on */
#define MECH(type) ((CK_MECHANISM){ type, NULL, 0 })

void start(void); /* C_Initialize(NULL), and the token's slot */
void stop(void);
CK_SESSION_HANDLE open_session(CK_FLAGS more); /* CKF_SERIAL_SESSION and more */
CK_SESSION_HANDLE ro(void);		       /* start, and a read-only session */
CK_SESSION_HANDLE rw(void);
CK_RV pin_login(CK_SESSION_HANDLE h, CK_USER_TYPE user, const char *pin);
void login(CK_SESSION_HANDLE h); /* as user */
void so_login(CK_SESSION_HANDLE h);
CK_STATE state_of(CK_SESSION_HANDLE h);
CK_FLAGS token_flags(void);

bool mech_can(CK_MECHANISM_TYPE type, CK_FLAGS flags);
void need_mech(CK_MECHANISM_TYPE type, CK_FLAGS flags);

/* The first match, or CK_INVALID_HANDLE. */
CK_OBJECT_HANDLE find_one(CK_SESSION_HANDLE h, CK_ATTRIBUTE *t, CK_ULONG n);
CK_ULONG count(CK_SESSION_HANDLE h, CK_ATTRIBUTE *t, CK_ULONG n);
CK_ULONG number(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE type);
bool flag(CK_SESSION_HANDLE h, CK_OBJECT_HANDLE o, CK_ATTRIBUTE_TYPE type);

/* A public session data object: label "conform label", application "conform", value DE AD BE EF; more in its template.
 */
CK_OBJECT_HANDLE data_new(CK_SESSION_HANDLE h);
CK_OBJECT_HANDLE data_with(CK_SESSION_HANDLE h, const CK_ATTRIBUTE *more, CK_ULONG n);
/* A session AES key of 128 bits with known value, for encryption and decryption. */
CK_OBJECT_HANDLE aes_key(CK_SESSION_HANDLE h);
CK_OBJECT_HANDLE secret_key(CK_SESSION_HANDLE h, CK_KEY_TYPE type, const CK_ATTRIBUTE *more, CK_ULONG n);

/* A private key and what can be done with it. */
struct keypair {
	CK_SESSION_HANDLE h;
	CK_OBJECT_HANDLE priv, pub;
	CK_MECHANISM_TYPE plain;  /* over data of 32 bytes that was hashed outside */
	CK_MECHANISM_TYPE hashed; /* with SHA-256 inside; 0: the token has none */
	CK_ULONG size;		  /* of a signature, or of a ciphertext */
};
/* Logged in; a key that signs without being asked for the PIN each time. */
struct keypair sign_key(void);
struct keypair hash_sign_key(void); /* and has a mechanism that hashes */
struct keypair decrypt_key(void);   /* RSA, CKM_RSA_PKCS */
struct keypair derive_key(void);    /* an elliptic curve's */
/* A signature over 32 bytes of 'm'. */
CK_ULONG make_signature(const struct keypair *k, CK_MECHANISM_TYPE mech, CK_BYTE *sig, CK_ULONG cap);

/* --- the rules --- */

struct rule_set {
	const struct rule *rule;
	size_t n;
};
extern const struct rule_set rules_init, rules_slot, rules_mech, rules_session, rules_login, rules_object, rules_attr,
    rules_copy, rules_find, rules_digest, rules_sign, rules_verify, rules_crypt, rules_rsa, rules_key, rules_misc,
    rules_v3;
#define RULES(name, table) const struct rule_set name = { table, N_OF(table) }

/* Rules that are asked of every function in turn: calls.c. */
size_t calls_count(void);
const char *calls_name(size_t i);
void calls_run(size_t i);

#endif
