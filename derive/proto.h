/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_DERIVE_PROTO_H
#define DPIV_DERIVE_PROTO_H

#include <openssl/x509.h>

#include "base/bytes.h"
#include "base/err.h"
#include "derive/http.h"
#include "derive/role.h"

/*
 * An enrolment protocol: one row of functions. EST is the first; SCEP and CMP fit the same row. A connection belongs to
 * one issuer and one client identity; roles are enrolled over it one after the other.
 */
struct proto_conf {
	const char *url;	       /* of the issuer, as configured */
	const char *label[ROLE_COUNT]; /* server-side name of the role's profile; NULL: the protocol's default */
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

/* What the issuer answered. */
struct proto_issued {
	STACK_OF(X509) * certs; /* the certificate and whatever came with it, in any order */
	long retry_after;	/* with E_PENDING: seconds, never negative */
	bool same_connection;	/* the request went over the connection whose binding it carries */
};
void proto_issued_free(struct proto_issued *i);

struct proto_conn;

struct proto {
	const char *name;
	enum err (*open)(const struct proto_conf *conf, struct proto_conn **out) MUST_CHECK;
	/* Certificates of the issuer: not trusted by having come from here. */
	enum err (*cacerts)(struct proto_conn *c, STACK_OF(X509) * *out) MUST_CHECK;
	enum err (*attrs)(struct proto_conn *c, enum role role, struct proto_attrs *out) MUST_CHECK;
	/* The binding of the present connection, empty when there is none. */
	struct span (*binding)(struct proto_conn *c);
	/* The DER request. E_PENDING, E_REMOTE (refused, with its reason), … */
	enum err (*enrol)(struct proto_conn *c, enum role role, struct span csr, struct proto_issued *out) MUST_CHECK;
	/* Has the server asked for the client's certificate? */
	bool (*authenticated)(struct proto_conn *c);
	const char *(*server)(struct proto_conn *c);
	void (*close)(struct proto_conn **c);
};

extern const struct proto proto_est;

#endif
