/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_DERIVE_DERIVE_H
#define DPIV_DERIVE_DERIVE_H

#include <stdint.h>
#include <time.h>

#include "base/err.h"
#include "base/secret.h"
#include "base/text.h"
#include "derive/assure.h"
#include "derive/http.h"
#include "derive/role.h"

/*
 * Deriving credentials: PKI-AUTH with the card, then for each role a key pair on the target, its certificate from the
 * issuer, both checked and installed, and written down. Each role is all or nothing: when a step fails, what the role
 * put on the token is removed again, and when even that is not possible (a token pulled, a process killed), the next
 * run does it, since every role is written down before its key exists.
 */
struct derive_req {
	const char *to;		       /* URI of the target token */
	const char *from;	       /* URI of the card; NULL: the one PIV card */
	const char *issuer;	       /* address */
	const char *protocol;	       /* "est", "cmp" or "scep"; NULL: est */
	const char *secret;	       /* file with CMP's shared secret or SCEP's challenge, or NULL */
	const char *signer, *request;  /* CMP: see proto.h */
	const char *reference;	       /* CMP: the name of that secret, or NULL */
	const char *fingerprint;       /* SCEP: SHA-256 of the CA certificate, hex, or NULL */
	bool weak;		       /* SCEP: SHA-1 and 3DES where the issuer has nothing better */
	const struct secret *code;     /* binding code (bindcode.h, plain form with NUL) instead of a card, or NULL */
	const char *cafile;	       /* trust anchors; NULL: the system's */
	const char *label[ROLE_COUNT]; /* the issuer's names of the roles; NULL: the protocol's default */
	enum http_tls tls;
	bool test_policies;
	const char *one_certificate; /* policy of one certificate for signature and encryption; NULL: separate ones */
	enum key_source encrypt;     /* where an encryption key comes from */
	enum role role[ROLE_COUNT];
	size_t n_roles;
	bool alg_chosen;
	enum token_alg alg;
	bool again;	   /* also where a valid credential is there already */
	bool replace;	   /* a renewal may lose the old key before the new one has its certificate */
	long timeout;	   /* seconds for one exchange, 0: default */
	long wait;	   /* seconds to wait for an issuer that wants time, 0: do not */
	const char *store; /* path of the state store, NULL: default */
	token_ask_fn *ask;
	void *ask_arg;
	enum assure_level assurance; /* what a key has to carry; 0: whatever the token can */
	/* before a key is made: what one on this token could carry, and why; may be NULL */
	void (*assured)(void *arg, const char *token, const struct assure *a);
	void (*step)(void *arg, const char *text); /* what happens now; may be NULL */
	bool (*stop)(void *arg);		   /* true: stop and undo (E_CANCELED); may be NULL */
	void *ui_arg;
};

struct derive_result {
	enum role role;
	bool existed;  /* was there before, nothing was done */
	bool finished; /* begun by an earlier run that was cut short, finished now */
	char name[64], serial[64], uuid[TEXT_UUID_MAX];
	char uri[640]; /* of the key: token, id, module-path */
	time_t not_after;
	enum assure_level certified; /* by the certificate's policy; 0: says nothing of it */
	struct assure evidence;	     /* of the key; no lines: none was kept */
};

/* results has room for 2 * ROLE_COUNT; *n are filled in even when an error is returned: they stand. */
enum err derive_run(const struct derive_req *req, struct derive_result *results, size_t *n) MUST_CHECK;

/*
 * The life of a credential, named by its row in the store (store_cred_get); req->to is its token, the issuer's facts
 * are as for deriving, roles do not count. No card is needed: the old key asks.
 */
/* A new key in the place of a credential that is still valid. The old key and certificate are removed from the token
 * when the new ones are recorded, but for an encryption key, which old mail needs. E_EXPIRED: derive anew with the
 * card. */
enum err
derive_renew(const struct derive_req *req, int64_t credential, struct derive_result *results, size_t *n) MUST_CHECK;
/* Only what earlier runs left on this token: finished or removed. */
enum err derive_clear(const struct derive_req *req, struct derive_result *results, size_t *n) MUST_CHECK;
/* A new credential by the card (req->from), at req->issuer, in the place of one that may be another issuer's, may have
 * expired, or says what is no longer true of its holder. It has to be the same person's card (person.h). When it is
 * recorded, the revocation of the old one is begun, for derive_revoke() to go on with. Only a PIV card binds a derived
 * credential to another issuer (SP 800-157r1, 2.2.3). */
enum err
derive_move(const struct derive_req *req, int64_t credential, struct derive_result *results, size_t *n) MUST_CHECK;

/* The issuer is asked to revoke (reason: RFC 5280, 5.3.1), then the key is destroyed on the token, and the credential
 * is no longer active. The credential asks, or another one of the same person on the token, or the card (req->from).
 * A call that was cut short is taken up by the next. E_UNSUP: the issuer cannot be asked, with what to do instead;
 * nothing was done. */
enum {
	DERIVE_UNASKED = 1, /* the issuer is not asked, only the key is destroyed */
	DERIVE_LOST = 2 /* the token is gone: the card asks, and the key is destroyed where the token turns up again */
};
enum err derive_revoke(const struct derive_req *req, int64_t credential, int reason, unsigned how) MUST_CHECK;
/* Is there a way to ask in this protocol (NULL: est)? Whether the issuer has it is found by asking. */
bool derive_can_revoke(const char *protocol);

#endif
