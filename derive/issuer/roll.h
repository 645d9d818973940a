/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_ROLL_H
#define DPIV_ISSUER_ROLL_H

#include <stdbool.h>
#include <time.h>

#include "derive/db.h"
#include "derive/issuer/x509io.h"

/* The ledger as people look at it: lists for the page. Nothing here writes. Text is borrowed until fn returns. */

struct roll_credential {
	char serial[X509IO_SERIAL_MAX], profile[16];
	time_t from, to, revoked_at;
	bool revoked;
	int reason;
};
typedef enum err roll_credential_fn(void *arg, const struct roll_credential *c);
/* Everything that the account was given, newest first. */
enum err roll_credentials(struct db *db, int64_t account, roll_credential_fn *fn, void *arg) MUST_CHECK;
/* One of the account's. E_NOTFOUND. */
enum err roll_credential(struct db *db, int64_t account, const char *serial, struct roll_credential *out) MUST_CHECK;

struct roll_card {
	const char *sha256, *uuid, *fascn;
	time_t first, last;
};
typedef enum err roll_card_fn(void *arg, const struct roll_card *c);
enum err roll_cards(struct db *db, int64_t account, roll_card_fn *fn, void *arg) MUST_CHECK;

/* A role of the binding code that the account has now, and whether the other machine has used it. */
struct roll_code {
	const char *role, *serial; /* serial "": not used yet */
	time_t expires, used;
};
typedef enum err roll_code_fn(void *arg, const struct roll_code *c);
enum err roll_codes(struct db *db, int64_t account, time_t now, roll_code_fn *fn, void *arg) MUST_CHECK;

struct roll_account {
	int id, cards, active;
	const char *name, *status;
};
typedef enum err roll_account_fn(void *arg, const struct roll_account *a);
enum err roll_accounts(struct db *db, time_t now, roll_account_fn *fn, void *arg) MUST_CHECK;

struct roll_event {
	time_t at;
	const char *what, *code, *name, *serial, *peer, *detail; /* "": none */
};
typedef enum err roll_event_fn(void *arg, const struct roll_event *e);
enum err roll_events(struct db *db, roll_event_fn *fn, void *arg) MUST_CHECK; /* the newest */

/* What an administrator should look at. */
struct roll_attention {
	int64_t refused;   /* requests in the last day */
	int64_t suspended; /* accounts */
	int64_t mail;	   /* notices that were tried and not delivered */
	int64_t expiring;  /* credentials within so many days that have no successor */
};
enum err roll_attention(struct db *db, time_t now, long days, struct roll_attention *out) MUST_CHECK;

/* No more rows than this in any list. */
#define ROLL_MAX 100

#endif
