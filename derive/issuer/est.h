/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_EST_H
#define DPIV_ISSUER_EST_H

#include <stdbool.h>
#include <openssl/x509.h>

#include "base/bytes.h"
#include "derive/issuer/issuer.h"

/* EST (RFC 7030, 8951) without the transport: a request that came over TLS, and the answer to it. */
struct est_request {
	bool post;		/* else GET */
	const char *path;	/* as it was sent: percent signs are not decoded; without query */
	const char *query;	/* as it came, or NULL */
	const char *media_type; /* Content-Type, or NULL */
	struct span body;
	X509 *peer;			  /* client certificate; its key signed the handshake. NULL: none */
	STACK_OF(X509) * peer_chain;	  /* what came with it, or NULL */
	const char *authorization;	  /* the header, or NULL */
	const char *chuid;		  /* the header of chuid.h, or NULL */
	const char *binding;		  /* binding_value() */
	const char *from;		  /* network address */
	const char *host, *origin, *site; /* headers Host, Origin, Sec-Fetch-Site, or NULL */
};

struct est_reply {
	int status;
	const char *type;	    /* Content-Type */
	struct wbuf body;	    /* initialised by est_handle, freed by the caller */
	bool base64;		    /* Content-Transfer-Encoding: base64, for old clients */
	const char *allow;	    /* Allow header of a 405, or NULL */
	long max_age;		    /* seconds that a cache may keep it; 0: not at all */
	const char *const *headers; /* more of them: name, value, ..., NULL. NULL: none */
	long retry_after;	    /* Retry-After; 0: none */
	char held[72]; /* another CA is asked: handle the request again when upstream_busy() ends; "": no */
	bool known;    /* the client has shown a good card: its connection may be patient */
};

#define EST_BODY_MAX 65536

/* Never fails: trouble becomes a 500 with a note on standard error. */
void est_handle(struct issuer *i, const struct est_request *rq, time_t now, struct est_reply *out);

#endif
