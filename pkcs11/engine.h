/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_PKCS11_ENGINE_H
#define DPIV_PKCS11_ENGINE_H

#include <openssl/opensslconf.h>
#ifndef OPENSSL_NO_ENGINE

#include <pthread.h>
#include <stdbool.h>
#include <libp11.h>
#include <openssl/evp.h>
#include <openssl/ui.h>
#include <openssl/x509.h>
#include <p11-kit/uri.h>

#include "base/err.h"
#include "base/secret.h"

/*
 * The inside of the OpenSSL engine "dpiv". engine.c is the plumbing that OpenSSL calls, engine_token.c the open
 * tokens, engine_find.c the objects that a URI names, engine_pin.c the PIN.
 */

/* Who answers questions: the caller's UI_METHOD and its data, as OpenSSL hands them over. */
struct eng_ui {
	UI_METHOD *method;
	void *data;
};

/* One token in use. It has a libp11 context of its own, because libp11 keeps one UI for the PIN-always keys of a
 * context and says nothing about the token when it asks. */
struct eng_token {
	struct eng_token *next;
	char *module;
	PKCS11_CTX *p11;
	bool loaded;
	PKCS11_SLOT *slots, *slot; /* slot: the one among slots */
	unsigned int n;
	struct secret *pin; /* accepted by the token; NUL behind its bytes */
};

struct eng {
	pthread_mutex_t lock;	  /* held by every call below */
	char *module;		  /* MODULE_PATH, or NULL: beside the engine, else as installed */
	struct secret *pin;	  /* PIN command, or NULL */
	struct eng_ui ui;	  /* SET_USER_INTERFACE, SET_CALLBACK_DATA */
	UI_METHOD *context_ui;	  /* answers libp11 when a key wants its PIN for each use */
	struct eng_token *tokens; /* kept until the engine is destroyed: keys point into them */
	bool verbose;
};

struct eng *eng_new(void);
void eng_free(struct eng *e);
void eng_forget_pins(struct eng *e);
enum err eng_module_set(struct eng *e, const char *path) MUST_CHECK;
enum err eng_load_private(struct eng *e, const char *uri, struct eng_ui ui, EVP_PKEY **out) MUST_CHECK;
enum err eng_load_public(struct eng *e, const char *uri, EVP_PKEY **out) MUST_CHECK;
enum err eng_load_cert(struct eng *e, const char *uri, struct eng_ui ui, X509 **out) MUST_CHECK;
/* A line on standard error, when the user has said VERBOSE. */
void eng_say(const struct eng *e, const char *fmt, ...) PRINTF(2, 3);

/* The token that the URI names, opened or as opened before. */
enum err eng_token_get(struct eng *e, P11KitUri *uri, struct eng_token **out) MUST_CHECK;
void eng_token_free(struct eng_token *t);

/* Log in, if the token wants it and has not been: PIN from the URI, from the PIN command, or by asking. */
enum err eng_login(struct eng *e, struct eng_token *t, P11KitUri *uri, struct eng_ui ui) MUST_CHECK;
/* Does the URI or the configuration bring a PIN, so that nobody need be asked? */
bool eng_pin_known(const struct eng *e, P11KitUri *uri);
/* A PIN as a secret with a NUL behind it. */
struct secret *eng_pin_copy(const void *pin, size_t n);
UI_METHOD *eng_context_ui(void);

#endif
#endif
