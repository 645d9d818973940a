/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_EST_INT_H
#define DPIV_ISSUER_EST_INT_H

#include "derive/issuer/bind.h"
#include "derive/issuer/est.h"
#include "derive/issuer/profile.h"
#include "derive/issuer/refuse.h"

/* Inside of est.c and the files of its operations. One request on its way. */
struct call {
	struct issuer *i;
	const struct est_request *rq;
	const struct profile *profile; /* by the path's label */
	time_t now;
	struct pivid id; /* of the presented card, as far as it was read */
	int64_t account; /* that a binding code or an old credential named, or 0 */
	bool open;	 /* anybody may ask: refusals of who is not recognised are not recorded */
};

typedef enum err est_op_fn(struct call *c, struct est_reply *out);

/* PKI-AUTH of the connection's certificate. E_POLICY. */
enum err est_authenticate(struct call *c, struct est_reply *out) MUST_CHECK;
/* And of the card's CHUID (chuid.h): for whatever gives something away. */
enum err est_authenticate_card(struct call *c, struct est_reply *out) MUST_CHECK;
/* The card's holder on another machine, by a code. who is for bind_person_clear(). */
enum err
est_authenticate_code(struct call *c, const char *role, struct bind_person *who, struct est_reply *out) MUST_CHECK;
bool est_media_is(const char *type, const char *want);

/* The log and the events are told that this call ends with e; sentence: what the person is told. */
enum refuse est_report(struct call *c, enum err e, char *sentence, size_t cap);
/* What a refusal that another CA has to do with waits for (est_reply.held); "" when it is not worth it. */
const char *est_held(enum refuse why);
/* A 200 of this type. */
enum err est_put_base64(struct span der, struct est_reply *out, const char *type) MUST_CHECK;

/* est_attrs.c */
est_op_fn est_csrattrs;
/* est_keygen.c */
est_op_fn est_serverkeygen, est_recover;

#endif
