/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_LEDGER_H
#define DPIV_ISSUER_LEDGER_H

#include <stdbool.h>
#include <time.h>

#include "base/bytes.h"
#include "base/err.h"
#include "derive/db.h"

/*
 * What the issuer knows: accounts, cards, certificates, revocations, events. A certificate's row exists before it is
 * signed and holds the DER before the person gets it, so that one which left the building is always here. Events are
 * only ever added. Times are seconds since 1970; serial numbers upper-case hex.
 */
enum err ledger_open(const char *path, struct db **out) MUST_CHECK;

struct ledger_cert {
	const char *serial, *profile, *uuid; /* uuid: NULL when the profile has none */
	const char *spki_sha256, *subject;
	int64_t account;
	const char *card_sha256; /* of the PIV Authentication certificate that bound it */
	time_t from, to;
};
/* State pending. E_EXISTS: serial or UUID was used before. */
enum err ledger_reserve(struct db *db, const struct ledger_cert *c, time_t now) MUST_CHECK;
enum err ledger_issued(struct db *db, const char *serial, struct span der) MUST_CHECK;
enum err ledger_abandon(struct db *db, const char *serial) MUST_CHECK;
/* Pending rows of a process that died: abandoned. */
enum err ledger_recover(struct db *db, time_t now) MUST_CHECK;
/* An issued certificate. der is initialised and freed by the caller. E_NOTFOUND. */
struct ledger_found {
	int64_t account;
	char profile[16];
	bool revoked;
	struct wbuf der;
};
enum err ledger_find(struct db *db, const char *serial, struct ledger_found *out) MUST_CHECK;
/* The newest issued certificate of this account and profile that is in its time and not revoked. E_NOTFOUND. */
enum err ledger_newest(struct db *db, int64_t account, const char *profile, time_t now, struct wbuf *der) MUST_CHECK;
/* This card of the account. */
enum err ledger_card_by_hash(struct db *db, int64_t account, const char *sha256, struct wbuf *der) MUST_CHECK;
/* The account's card that was seen last. */
enum err ledger_card(struct db *db, int64_t account, struct wbuf *der) MUST_CHECK;
/* The certificate that was issued for this key, account, profile and card since then, if it is still good. E_NOTFOUND.
 */
enum err
ledger_again(struct db *db, const struct ledger_cert *c, time_t since, time_t now, struct wbuf *der) MUST_CHECK;
/* E_EXISTS: this key is certified for another account or another profile. */
enum err ledger_key_free(struct db *db, const char *spki_sha256, int64_t account, const char *profile) MUST_CHECK;

/* foreign: a certificate under the CA's key that is not in the table is accepted too. E_NOTFOUND, E_EXISTS. */
enum err ledger_revoke(struct db *db, const char *serial, int reason, bool foreign, time_t now) MUST_CHECK;
/* Every certificate of the account that is not yet revoked. */
enum err ledger_revoke_account(struct db *db, int64_t account, int reason, time_t now, int64_t *count) MUST_CHECK;
/* When and why it was revoked; E_NOTFOUND: it is not. */
enum err ledger_revoked(struct db *db, const char *serial, time_t *at, int *reason) MUST_CHECK;
/* What is to be said about a serial number of this CA's. Revoked ones are known even when they were signed elsewhere.
 */
struct ledger_status {
	bool known, revoked;
	time_t at;
	int reason;
};
enum err ledger_status(struct db *db, const char *serial, struct ledger_status *out) MUST_CHECK;
/* How many of this profile the account has that are in their time and not revoked, but for this serial number (NULL:
 * for none). */
enum err ledger_count_valid(
    struct db *db, int64_t account, const char *profile, const char *but, time_t now, int64_t *out) MUST_CHECK;
/* Each issued certificate of the account that is in its time and not revoked. */
typedef enum err ledger_valid_fn(void *arg, const char *serial, const char *profile, struct span der);
enum err ledger_each_valid(struct db *db, int64_t account, time_t now, ledger_valid_fn *fn, void *arg) MUST_CHECK;
typedef enum err ledger_revoked_fn(void *arg, const char *serial, time_t at, int reason);
enum err ledger_each_revoked(struct db *db, ledger_revoked_fn *fn, void *arg) MUST_CHECK;
/* How many serial numbers are revoked. */
enum err ledger_count_revoked(struct db *db, int64_t *out) MUST_CHECK;
/* The next number of this series, starting with 1, and above what left the building already (0: nothing); inside a
 * transaction. */
enum err ledger_next(struct db *db, const char *series, int64_t above, int64_t *out) MUST_CHECK;

struct ledger_event {
	const char *what;   /* "issued", "refused", "revoked", "account-opened" ... */
	const char *code;   /* of a refusal, or NULL */
	int64_t account;    /* 0: none */
	const char *serial; /* or NULL */
	const char *card;   /* SHA-256 of the presented certificate, or NULL */
	const char *peer;   /* network address, or NULL */
	const char *detail; /* a sentence */
	const char *notice; /* the person is told, by this kind of letter (letter.h); NULL: not */
};
enum err ledger_event_add(struct db *db, const struct ledger_event *ev, time_t now) MUST_CHECK;

#endif
