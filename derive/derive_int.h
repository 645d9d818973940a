/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_DERIVE_DERIVE_INT_H
#define DPIV_DERIVE_DERIVE_INT_H

#include "derive/assure.h"
#include "derive/card.h"
#include "derive/cert.h"
#include "derive/derive.h"
#include "derive/policy.h"
#include "derive/proto.h"
#include "derive/store.h"
#include "derive/token.h"

/* One run; inside of derive*.c and renew.c. */
struct derive {
	const struct derive_req *req;
	struct store *store;
	struct token *to;
	struct card card;      /* a renewal has the certificate alone, from the store */
	struct credential old; /* a renewal or revocation: of this one; else all zero */
	int64_t credential;    /* its row */
	int reason;	       /* of a revocation */
	unsigned how;	       /* of a revocation: DERIVE_* */
	bool revokes;	       /* the present credential asks for a revocation, or the card where it cannot */
	bool moves;	       /* the card asks, for what takes the place of old */
	X509 *id_cert;	       /* who asks: the card, or the credential that is renewed; owned */
	EVP_PKEY *id_key;
	STACK_OF(X509) * anchors; /* what the cafile has; NULL: the system's anchors and the issuer's own roots */
	STACK_OF(X509) * cacerts; /* what the issuer sent, not trusted by that */
	struct policy *policy;	  /* what the administrator lets this person do; derive_judge() reads it */
	const struct proto *proto;
	struct proto_conn *conn;
	const struct recovery *recovery; /* recover.c; else NULL */
	bool lost;			 /* what was to be renewed is gone: a PIV token's place has room for one key */
	bool looked;			 /* at the evidence: */
	struct assure_rules rules;
	struct token_facts facts; /* of the target */
	struct assure assure;	  /* what a key on it could carry */
	struct derive_result *results;
	size_t *n_results;
};

void derive_step(const struct derive *d, const char *fmt, ...) PRINTF(2, 3);
enum err derive_stopped(const struct derive *d) MUST_CHECK; /* E_CANCELED when the person said so */
void derive_result_add(struct derive *d, const struct enrolment *e, X509 *cert, bool existed, bool finished);
/* CKA_LABEL of a role's objects for the person of this certificate. */
char *derive_label(enum role role, X509 *cert, char out[64]);

/* derive.c: what every kind of run has around it. The store is open and locked while run() runs. */
enum err derive_around(struct derive *d, enum err (*run)(struct derive *)) MUST_CHECK;
enum err derive_open_target(struct derive *d) MUST_CHECK;
/* The card, its PIN, and a connection that it authenticates. */
enum err derive_by_card(struct derive *d) MUST_CHECK;
/* The request, and the target when it is open, by the policy: early, before anybody is asked for anything, and once
 * more in derive_role(), which nobody gets around. */
enum err derive_judge(struct derive *d) MUST_CHECK;
/* With id_cert and id_key; the issuer's certificates are fetched. */
enum err derive_open_conn(struct derive *d) MUST_CHECK;

/* With the card, whose PIN is asked for; the target, where there is one, is logged in to before the network. */
enum err derive_by_card(struct derive *d) MUST_CHECK;

/* revoke.c: keys of credentials whose token was lost, if this is it. */
enum err revoke_lost_keys(struct derive *d) MUST_CHECK;

/* renew.c: the target is open, what is left on it dealt with, and the credential read into old. */
enum err renew_open(struct derive *d) MUST_CHECK;
/* A connection that the old credential, or the authentication credential beside it, authenticates. */
enum err renew_connect(struct derive *d) MUST_CHECK;

/* derive_recover.c: finish or undo what earlier runs left on this token; what waits for the issuer stays. */
enum err derive_recover(struct derive *d) MUST_CHECK;
/* Remove what an enrolment put on the token, and its row. Objects of somebody else under the same identifier stay. */
enum err derive_undo(struct derive *d, struct enrolment *e, const char *why) MUST_CHECK;
/* The certificate was received and its key is on the token: whatever of the installation is missing. */
enum err derive_finish(struct derive *d, struct enrolment *e) MUST_CHECK;
/* ENROL_OLD: the key that it names goes, and the row. */
enum err derive_clear_old(struct derive *d, const struct enrolment *e) MUST_CHECK;
/* The enrolment is a credential now. After a renewal the old key and certificate leave the token, but for those that
 * old mail was encrypted to; where that fails it is done by the next run. */
enum err derive_record(struct derive *d, const struct enrolment *e, X509 *cert) MUST_CHECK;
/* A valid credential of this role by this issuer, still on this token? */
enum err derive_existing(struct derive *d, enum role role, bool *exists) MUST_CHECK;

/* derive_role.c: one role from csrattrs to the record. */
enum err derive_role(struct derive *d, enum role role) MUST_CHECK;

/* One role's way; derive_role.c and derive_wait.c. */
struct attempt {
	struct derive *d;
	struct enrolment e;
	bool resumed; /* the key is that of an earlier run, whose request the issuer has */
	enum token_alg alg;
	struct proto_attrs attrs;
	EVP_PKEY *pub, *key;
	struct proto_issued issued;
	X509 *cert;		  /* of issued */
	EVP_PKEY *imported;	  /* a key that is not made on the token: the private one, in this process; owned */
	struct token_place place; /* where it is on the token */
	struct assure assure;	  /* of the key */
};

/* The certificate beside its key, in the role's place, and read back. */
enum err attempt_install(struct attempt *a) MUST_CHECK;
/* The row of the journal, when the identifier and label are chosen. */
enum err attempt_begin(struct attempt *a) MUST_CHECK;
/* The certificates of the issuer's CAs into the store. */
enum err attempt_keep_issuers(struct attempt *a) MUST_CHECK;

/* derive_keygen.c: the steps of a role whose key comes from the issuer */
enum err keygen_attrs(struct attempt *a) MUST_CHECK;
enum err keygen_probe(struct attempt *a) MUST_CHECK;
enum err keygen_place(struct attempt *a) MUST_CHECK;
enum err keygen_generate(struct attempt *a) MUST_CHECK;
enum err keygen_open(struct attempt *a) MUST_CHECK;
enum err keygen_keep(struct attempt *a) MUST_CHECK;
enum err keygen_import(struct attempt *a) MUST_CHECK;
enum err keygen_install(struct attempt *a) MUST_CHECK;
enum err keygen_record(struct attempt *a) MUST_CHECK;
/* ENROL_CERT with a wrapped key, by a later run. */
enum err keygen_finish(struct derive *d, struct enrolment *e) MUST_CHECK;
/* What of it is on the token goes. */
enum err keygen_undo(struct derive *d, const struct enrolment *e) MUST_CHECK;
/* After a failure with e: a certificate that was issued for nothing is revoked, or the sentence says that it should be.
 */
enum err keygen_blame(struct attempt *a, enum err e) MUST_CHECK;

/* derive_role.c: is this certificate the one that was wanted? arg is the attempt; more: what came with it. */
enum err attempt_accept(void *arg, X509 *cert, STACK_OF(X509) * more) MUST_CHECK;

/* derive_place.c: PIV tokens, where a role has one place (token_has_places()) */
/* Where the new key goes: id of the enrolment. E_EXISTS somebody else's certificate is there, E_POLICY. */
enum err place_choose(struct attempt *a) MUST_CHECK;
/* The token's Discovery object, and for the record: which application it is (SP 800-157r1, B.1.1), and which place. */
enum err place_note(struct attempt *a) MUST_CHECK;
enum err place_generate(struct attempt *a, enum token_use use) MUST_CHECK;
/* The request could not be signed: the reason that it has on a PIV token, else e. */
enum err place_unsigned(const struct attempt *a, enum err e) MUST_CHECK;
/* With the certificate in the journal: the key into the role's place, the old one out of it. Again after an
 * interruption. */
enum err place_settle(struct derive *d, struct enrolment *e) MUST_CHECK;
/* Before that: is the certificate's key on the token, in the place of e or where place_settle() puts it? Nothing is
 * changed. */
enum err place_has(struct derive *d, const struct enrolment *e, bool *yes) MUST_CHECK;
/* That done, is the key the certificate's? */
enum err place_fits(struct derive *d, struct enrolment *e, bool *fits) MUST_CHECK;
/* What an enrolment did to its place, as far as that can be undone; d->lost. */
enum err place_undo(struct derive *d, const struct enrolment *e) MUST_CHECK;
/* Zeroize, also when the certificate is gone already. */
enum err place_destroy(struct derive *d, const struct credential *c) MUST_CHECK;

/* derive_assure.c: what is known of the token, told and kept; E_POLICY when it is not enough. Of the key: a->assure,
 * and text for the store in a->e. */
enum err assure_target(struct derive *d) MUST_CHECK;
enum err assure_key(struct attempt *a) MUST_CHECK;
/* No certificate may assert more. */
void assure_rules_of_cert(const struct attempt *a, struct cert_rules *r);
void assure_clear(struct derive *d);

/* derive_wait.c: an issuer that wants time */
/* Before anybody is asked for a PIN: E_PENDING when the issuer does not want to be asked again yet and --wait does not
 * reach that far. *waits: there is a request of this role to go on with. */
enum err wait_planned(struct derive *d, enum role role, bool *waits) MUST_CHECK;
/* The key of such a request, or NULL. */
enum err wait_key(struct derive *d, enum role role, EVP_PKEY **out) MUST_CHECK;
/* Take up such a request: row, key. Nothing happens when there is none. */
enum err wait_resume(struct attempt *a) MUST_CHECK;
/* Ask for the certificate, and wait as far as --wait goes. */
enum err wait_enrol(struct attempt *a) MUST_CHECK;
/* After a failure: is the request still alive, so that key and row stay? The sentence then says when to come back. */
bool wait_keeps(struct attempt *a, enum err *e);

#endif
