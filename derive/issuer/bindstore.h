/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_BINDSTORE_H
#define DPIV_ISSUER_BINDSTORE_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/err.h"
#include "base/secret.h"
#include "derive/bindcode.h"
#include "derive/db.h"

/*
 * Binding codes in the ledger (SP 800-157r1, App. C). A code belongs to one account and to the card that asked for it,
 * lives for minutes, and serves each of its roles once: after that it still says whose it is while it lives, so that
 * who has not received the answer can ask for the same certificate again. Only its SHA-256 together with the account is
 * kept. An account has one code: a new one takes the place of the old one. Wrong guesses are counted against the code
 * that they name and against the network address that they come from, in the transaction that judges them.
 */
struct bindstore_grant {
	int64_t account;
	const char *card_sha256;
	const char *const *roles; /* profile names, ended by NULL */
	time_t expires;
	const struct secret *key; /* codekey.h; NULL: the code can be compared and no more */
};
/* Inside a transaction. */
enum err
bindstore_give(struct db *db, const struct bindstore_grant *g, time_t now, char plain[BINDCODE_PLAIN]) MUST_CHECK;

struct bindstore_claim {
	const char *plain; /* the code */
	const char *role;  /* wanted now, or NULL: any that is left */
	const char *peer;  /* network address */
	long tries;	   /* wrong guesses that are allowed, per code and per address */
};
struct bindstore_code {
	int64_t id, account; /* account is set for a refusal too, where the code named one */
	char card_sha256[65];
	bool used; /* the role, or all of them: nothing new may be issued */
};
/* Its own transaction. E_POLICY with refuse_last(). Nothing is used up. */
enum err
bindstore_check(struct db *db, const struct bindstore_claim *c, time_t now, struct bindstore_code *out) MUST_CHECK;
/* The code of this name, made again from the row and the issuer's key: for a protocol that proves knowledge of a secret
 * instead of sending it. Nothing is judged or counted here: give a proof that failed to bindstore_check() with a wrong
 * code of the same name. The caller wipes plain. E_NOTFOUND. */
enum err
bindstore_secret(struct db *db, const struct secret *key, const char *name, char plain[BINDCODE_PLAIN]) MUST_CHECK;
/* The code was used for this role (NULL: any) and key (SHA-256 of its SubjectPublicKeyInfo), and the certificate is
 * valid. */
enum err bindstore_is_for(
    struct db *db, const struct bindstore_code *code, const char *role, const char *key_sha256, bool *yes) MUST_CHECK;
/* What is said to who wants something new of a used one: always E_POLICY. */
enum err bindstore_used(void) MUST_CHECK;
/* Inside the transaction that records or repeats the certificate of this serial number, which may be the one that the
 * role was used for. E_POLICY: it was used for another. */
enum err bindstore_use(
    struct db *db, const struct bindstore_code *code, const char *role, const char *serial, time_t now) MUST_CHECK;

/* How long a wrong guess counts against an address. */
#define BINDSTORE_WINDOW 3600

#endif
