/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_DERIVE_STORE_H
#define DPIV_DERIVE_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>
#include <openssl/x509.h>

#include "base/bytes.h"
#include "base/err.h"
#include "derive/role.h"

/*
 * What dpiv remembers ($XDG_STATE_HOME/dpiv/state.db): the credentials that it derived, the enrolments under way, and
 * every event, append-only. No key and no PIN is ever in it. An enrolment row is written before the key exists and
 * deleted when nothing half-done is left, so whatever a killed run left behind is found by the next one.
 */
struct store;

#define STORE_ID_MAX 64

enum enrol_step {
	ENROL_KEY,  /* the key may exist; no certificate was received */
	ENROL_CERT, /* the certificate was received and is in the row; it may or may not be on the token */
	ENROL_WAIT, /* the issuer has the request for this key and wants time: the key is kept */
	ENROL_OLD, /* a renewal is done; the objects of this identifier are those of the old key, still to be removed */
	ENROL_ASK, /* the request is on its way, and no answer was received: the issuer may have certified this key */
};

struct enrolment {
	int64_t row;
	enum role role;
	enum enrol_step step;
	char issuer[256];    /* address */
	char token_uri[512]; /* canonical */
	char token_serial[17], token_label[33];
	uint8_t id[STORE_ID_MAX]; /* CKA_ID */
	size_t id_len;
	char label[64];	     /* CKA_LABEL of key and certificate */
	X509 *cert;	     /* ENROL_CERT; owned */
	struct wbuf wrapped; /* ENROL_CERT: its key, encrypted to the key of id (keywrap.h); empty: that is its key */
	X509 *card;	     /* PIV Authentication certificate; owned */
	time_t created;
	time_t retry_at; /* ENROL_WAIT: not before */
	int64_t renews;	 /* row of the credential that it renews, 0: none */
	char *evidence;	 /* ENROL_CERT: of the key (assure.h), or NULL; owned */
	EVP_PKEY
	*pub;	    /* ENROL_WAIT, ENROL_ASK: the key, which a PIV token does not tell without a certificate; owned */
	bool moves; /* by the card: the renewed one is revoked at its issuer afterwards */
};
void enrolment_clear(struct enrolment *e);
/* The key is kept, and the issuer is asked again about it. */
static inline bool
enrolment_pends(const struct enrolment *e)
{
	return e->step == ENROL_WAIT || e->step == ENROL_ASK;
}

struct credential {
	int64_t row;
	enum role role;
	char issuer[256]; /* "" when it is not known */
	char token_uri[512];
	char token_serial[17], token_label[33];
	uint8_t id[STORE_ID_MAX];
	size_t id_len;
	X509 *cert; /* owned */
	X509 *card; /* PIV Authentication certificate that it was derived from; owned, NULL when it is not known */
	time_t created;
	char *evidence; /* what was known of the key (assure.h), or NULL; owned */
	bool active;	/* false: replaced or gone from its token */
};
void credential_clear(struct credential *c);

/* path NULL: the default file; folders are made. One process at a time may change things: store_lock(). */
enum err store_open(const char *path, struct store **out) MUST_CHECK;
/* The default file, if it is there: nothing is made. E_NOTFOUND. */
enum err store_open_existing(struct store **out) MUST_CHECK;
void store_close(struct store **s);
/* E_BUSY when another dpiv is deriving. Held until store_close(). */
enum err store_lock(struct store *s) MUST_CHECK;

enum err store_enrol_begin(struct store *s, struct enrolment *e) MUST_CHECK; /* sets e->row */
enum err store_enrol_cert(struct store *s, const struct enrolment *e, X509 *cert) MUST_CHECK;
/* The key has been moved to another place of its token. */
enum err store_enrol_moved(struct store *s, struct enrolment *e, uint8_t place) MUST_CHECK;
/* The same, with the key that came with it, still wrapped. */
enum err store_enrol_key(struct store *s, const struct enrolment *e, X509 *cert, struct span wrapped) MUST_CHECK;
/* From now on the issuer may know this key (e->pub). */
enum err store_enrol_ask(struct store *s, struct enrolment *e) MUST_CHECK;
/* The issuer wants to be asked again about this key (e->pub), not before retry_at. */
enum err store_enrol_wait(struct store *s, struct enrolment *e, time_t retry_at) MUST_CHECK;
/* The enrolment became a credential; an older one of the same role, issuer and token is no longer active. */
enum err store_enrol_done(struct store *s, const struct enrolment *e, X509 *cert) MUST_CHECK;
/* The same for a renewal, whose old key has to be removed from the token yet: the enrolment stays as ENROL_OLD with the
 * old one's identifier and label, and e becomes that. */
enum err store_enrol_renewed(
    struct store *s, struct enrolment *e, X509 *cert, const struct credential *old, const char *old_label) MUST_CHECK;
/* The same for a move: the old credential stays active, with its revocation begun (superseded), which leaves an
 * encryption key. */
enum err
store_enrol_superseded(struct store *s, const struct enrolment *e, X509 *cert, const struct credential *old) MUST_CHECK;
/* ENROL_OLD is dealt with. */
enum err store_enrol_cleared(struct store *s, const struct enrolment *e) MUST_CHECK;
/* Undone: nothing is left on the token. why goes to the events. */
enum err store_enrol_undone(struct store *s, const struct enrolment *e, const char *why) MUST_CHECK;
/* The i-th enrolment under way; E_NOTFOUND past the end. */
enum err store_enrol_get(struct store *s, size_t i, struct enrolment *out) MUST_CHECK;

/* The i-th credential (active ones first, newest first); E_NOTFOUND past the end. */
enum err store_cred_get(struct store *s, size_t i, struct credential *out) MUST_CHECK;
/* By its row; E_NOTFOUND. */
enum err store_cred_find(struct store *s, int64_t row, struct credential *out) MUST_CHECK;
enum err store_cred_lost(struct store *s, const struct credential *c, const char *why) MUST_CHECK;

/* Found on its token, not derived by this store (rebuild.h): e has role, issuer ("" when nobody knows), token and id.
 * how: what makes that the issuer, for the events. */
enum err store_cred_found(struct store *s, const struct enrolment *e, X509 *cert, const char *how) MUST_CHECK;
enum err store_cred_issuer(struct store *s, const struct credential *c, const char *url, const char *how) MUST_CHECK;
enum err store_cred_card(struct store *s, const struct credential *c, X509 *card) MUST_CHECK;
/* A new card of the same person (known by what) in the place of the one that it was derived from. */
enum err store_cred_relink(struct store *s, const struct credential *c, X509 *card, const char *by) MUST_CHECK;

/* A revocation under way: the issuer has to be asked, then the key destroyed. */
enum revoke_step { REVOKE_ASK, REVOKE_DESTROY };
enum err store_revoke_begin(struct store *s, const struct credential *c, int reason) MUST_CHECK;
/* The issuer has heard, or (why) was not asked on purpose. */
enum err store_revoke_asked(struct store *s, const struct credential *c, const char *why) MUST_CHECK;
/* E_NOTFOUND when none is under way. */
enum err store_revoke_get(struct store *s, int64_t credential, enum revoke_step *step) MUST_CHECK;
/* Over: the credential is no longer active. */
enum err store_revoke_done(struct store *s, const struct credential *c) MUST_CHECK;
/* What it was begun with; keep: the key stays. E_NOTFOUND. */
enum err store_revoke_facts(struct store *s, int64_t credential, int *reason, bool *keep) MUST_CHECK;
/* The issuer cannot be asked: as if it had not begun. */
enum err store_revoke_drop(struct store *s, const struct credential *c, const char *why) MUST_CHECK;
/* The token is gone: no longer active, and the key to be destroyed where the token turns up again. */
enum err store_revoke_lost(struct store *s, const struct credential *c, const char *why) MUST_CHECK;
/* The i-th credential of that kind; E_NOTFOUND past the end. */
enum err store_lost_get(struct store *s, size_t i, struct credential *out) MUST_CHECK;

/* What the last check of a credential found. */
struct store_check {
	time_t at;		 /* of the check */
	time_t sure_at;		 /* when both states were last known for certain; 0: never */
	char cert[16], card[16]; /* "good", "revoked", "expired", "unknown" */
	char why[512];
	char changed[128]; /* what the card said otherwise than the certificate, so that a rekey is needed; or "" */
};
enum err store_check_put(struct store *s, const struct credential *c, const struct store_check *k) MUST_CHECK;
enum err store_check_get(struct store *s, int64_t credential, struct store_check *out) MUST_CHECK;

/* Certificates of the CAs that came with derived credentials, for signers to send along; each is kept once. */
enum err store_issuer_add(struct store *s, X509 *ca) MUST_CHECK;
/* The i-th; E_NOTFOUND past the end. *ca is the caller's. */
enum err store_issuer_get(struct store *s, size_t i, X509 **ca) MUST_CHECK;

/* Was the person shown this event of this credential (serial number of its certificate)? E_NOTFOUND: no. */
enum err store_notice_find(struct store *s, const char *event, const char *serial) MUST_CHECK;
enum err store_notice_add(struct store *s, const char *event, const char *serial) MUST_CHECK;

enum err store_event(struct store *s, const char *what, const char *detail) MUST_CHECK;
/* The i-th newest event's time and text; E_NOTFOUND past the end. */
enum err store_event_get(struct store *s, size_t i, time_t *at, char *text, size_t cap) MUST_CHECK;

#endif
