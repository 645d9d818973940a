/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_DERIVE_PROTO_H
#define DPIV_DERIVE_PROTO_H

#include <openssl/x509.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/secret.h"
#include "derive/http.h"
#include "derive/keygen_reply.h"
#include "derive/role.h"

/*
 * An enrolment protocol: one row of functions. EST, CMP and SCEP are rows. A connection belongs to one issuer and
 * one identity: the PIV card's, or that of the credential which is renewed or revoked; it is http.cert and http.key,
 * also where a protocol signs its messages instead of the TLS handshake. Roles are enrolled over it one after the
 * other.
 */
struct proto_conf {
	const char *url;	       /* of the issuer, as configured */
	const char *label[ROLE_COUNT]; /* server-side name of the role's profile; NULL: the protocol's default */
	const char *secret;	       /* file with SCEP's challenge or CMP's shared secret; NULL: none */
	const char *reference;	       /* CMP: the name of that secret at the issuer */
	const char *signer;	       /* CMP: PEM file with the one certificate that signs answers, or NULL */
	const char *request;	       /* CMP: "ir", "cr", "p10cr"; NULL: ir with a secret, else cr */
	const char *fingerprint;       /* SCEP: SHA-256 of the CA certificate in hex, or NULL */
	bool weak;		       /* SCEP: SHA-1 and 3DES where the issuer offers nothing better */
	STACK_OF(X509) * anchors;      /* to whom signed answers must lead; borrowed while open; NULL: none known */
	const char *chuid;	       /* EST: the header line of card_chuid_header(), or NULL */
	const struct secret *code;     /* a binding code instead of an identity, in plain form with NUL, or NULL */
	struct http_conf http;
};

/* What the issuer wants in a request (RFC 7030, 4.5.2; RFC 9908). All zero: nothing. */
struct proto_attrs {
	bool binding;			 /* a channel binding as challengePassword */
	int key_type;			 /* NID_rsaEncryption, NID_X9_62_id_ecPublicKey or 0 */
	int key_bits;			 /* RSA, 0: any */
	int curve;			 /* NID of the curve, 0: any */
	int digest;			 /* NID of the digest, 0: any */
	STACK_OF(X509_EXTENSION) * exts; /* to copy into the request; may be NULL */
};
void proto_attrs_free(struct proto_attrs *a);

/* A registration authority asks for somebody else, whose request it has checked. */
struct proto_forward {
	struct span csr; /* their request (PKCS#10), which goes on as it is where the protocol has a place for it */
	STACK_OF(X509_EXTENSION) *
	    exts; /* what the certificate shall have, for a protocol that lets an authority say it */
};

/* A certificate is wanted for a key that is in a token already. */
struct proto_request {
	enum role role;
	const X509_NAME *subject; /* what the card says; the issuer decides */
	EVP_PKEY *pub, *key;	  /* the new key: public as read back from the token; and private, to sign with */
	const struct proto_forward *forward; /* then there is no private key; or NULL */
	const struct proto_attrs *attrs;
	enum key_source source; /* not KEY_GENERATE: the key above only receives another one (keywrap.h) */
	X509 *old;		/* renews this one, whose key is the connection's identity; NULL: a first certificate */
	bool asked; /* the issuer has had this request before, from this run or an earlier one, and wanted time */
	/* The request is complete and leaves now: what has to be known of it in the next run is written down. May be
	 * NULL; called again for each repetition. */
	enum err (*sending)(void *arg);
	/* Is the certificate the one that was wanted? Asked before the issuer is told that it is (CMP certConf). */
	enum err (*accept)(void *arg, X509 *cert, STACK_OF(X509) * more);
	void *arg;
};

/* What the issuer answered. */
struct proto_issued {
	STACK_OF(X509) * certs;	   /* the certificate and whatever came with it, in any order */
	struct keygen_reply *keys; /* instead, where keys were asked for: wrapped, with their certificates */
	bool judged;		   /* with E_REMOTE: the issuer has looked at the request, and said no to it */
	long retry_after;	   /* with E_PENDING: seconds, 0 when the issuer does not have the request */
};
void proto_issued_free(struct proto_issued *i);

struct proto_conn;

struct proto {
	const char *name; /* as in dpiv.conf */
	/* An RSA key must open the answer to its own request, so it is generated with the right to decrypt. */
	bool opens_answers;
	/* Can a key be asked for, which the issuer makes or has kept? */
	bool keys;
	/* Can the certificate of this role ask for its own renewal: by TLS, by a signature, by a decryption? */
	bool (*asks)(enum role role);
	enum err (*open)(const struct proto_conf *conf, struct proto_conn **out) MUST_CHECK;
	/* Certificates of the issuer: not trusted by having come from here. NULL: the protocol has no such request. */
	enum err (*cacerts)(struct proto_conn *c, STACK_OF(X509) * *out) MUST_CHECK;
	enum err (*attrs)(struct proto_conn *c, enum role role, struct proto_attrs *out) MUST_CHECK;
	/* Whose card has asked for the binding code, and is it good for this role? It is sent from now on. waits: the
	 * key of a request that was not answered, for which the code may be used already; or NULL. Function NULL: not
	 * in this protocol. */
	enum err (*card)(struct proto_conn *c, enum role role, EVP_PKEY *waits, X509 **out) MUST_CHECK;
	/* E_PENDING: call again after retry_after seconds, over this or a later connection, with asked set and the
	 * same key. E_REMOTE: refused, with its reason. E_CRYPTO: a key did not work, see token_failed(). */
	enum err (*enrol)(struct proto_conn *c, const struct proto_request *rq, struct proto_issued *out) MUST_CHECK;
	/* Ask for the revocation of a certificate, with a reason of RFC 5280, 5.3.1. E_UNSUP: this issuer has no such
	 * service. NULL: not in this protocol. */
	enum err (*revoke)(struct proto_conn *c, X509 *cert, int reason) MUST_CHECK;
	/* Has the issuer seen a proof of who asks: the identity's signature, or the secret? */
	bool (*authenticated)(struct proto_conn *c);
	const char *(*server)(struct proto_conn *c);
	void (*close)(struct proto_conn **c);
};

extern const struct proto proto_est, proto_cmp, proto_scep;
/* "est", "cmp", "scep"; NULL is est. E_CONF with the names that there are. */
enum err proto_find(const char *name, const struct proto **out) MUST_CHECK;

#endif
