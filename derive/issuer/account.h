/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_ACCOUNT_H
#define DPIV_ISSUER_ACCOUNT_H

#include <time.h>
#include <openssl/x509.h>

#include "derive/db.h"
#include "derive/issuer/pivid.h"

/* A person as the issuer knows them. Found by a card's FASC-N identifier or UUID, else by the exact subject name. */
struct account {
	int64_t id;
	char name[512], email[256], upn[256], status[16];
	bool opened, new_card; /* by this request */
	bool unseen;	       /* entered from a list; its first card brings the subject name */
};

struct account_rules {
	bool listed;	     /* nobody is added by a request */
	bool email_from_upn; /* for accounts that a request opens */
};

/* The account of a validated card; the card is written down. E_POLICY: refuse_last(). Inside a transaction. */
enum err account_for_card(struct db *db, const struct account_rules *rules, X509 *cert, const struct pivid *id,
    time_t now, struct account *out) MUST_CHECK;
/* Whose card is it? id 0: nobody's. Nothing is written or judged. */
enum err account_find(struct db *db, X509 *cert, const struct pivid *id, struct account *out) MUST_CHECK;
/* By an administrator. email and name may be NULL: taken from the certificate. An account that the card already has
 * is brought up to date. */
enum err account_add(struct db *db, X509 *cert, const struct pivid *id, const char *email, const char *name, time_t now,
    struct account *out) MUST_CHECK;
/* From a list: name as given, email and upn unless empty, and the card that is to come: fascn_id, uuid or both. An
 * account is recognised by the card, or by the UPN. E_POLICY: it is terminated, or the card is another account's. */
struct account_entry {
	const char *name, *email, *upn;
	struct pivid card;
};
enum account_change { ACCOUNT_SAME, ACCOUNT_UPDATED, ACCOUNT_ADDED };
enum err account_enter(struct db *db, const struct account_entry *entry, time_t now, struct account *out,
    enum account_change *change) MUST_CHECK;
enum err account_get(struct db *db, int64_t id, struct account *out) MUST_CHECK;
/* E_POLICY with refuse_last() unless the account is active. */
enum err account_check_status(const struct account *a) MUST_CHECK;
enum err account_set_status(struct db *db, int64_t id, const char *status) MUST_CHECK;

#endif
