/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_ISSUER_CHUID_H
#define DPIV_ISSUER_CHUID_H

#include <time.h>

#include "base/bytes.h"
#include "base/err.h"
#include "derive/issuer/config.h"
#include "derive/issuer/pivid.h"
#include "derive/issuer/trust.h"

/*
 * The Card Holder Unique Identifier of the card that asks, which says more than its certificate: until when the card is
 * good, and that an agency's content signer stands for it. It comes as a header of the request itself,
 *
 *	DPIV-CHUID: base64 of the data object 5FC102 (with or without the 53 around it), in one line
 *
 * in POST to simpleenroll, serverkeygen, /.well-known/dpiv/bind and /.well-known/dpiv/recover, where the card's
 * certificate authenticates the connection. So nothing of it is kept between requests, and any node may answer. It is
 * signed, and every field is compared with the certificate whose key is proven: where it comes from does not matter.
 */
#define CHUID_HEADER "DPIV-CHUID"
#define CHUID_MAX    4096

/* By tag, in place; what is not there is empty. */
struct chuid {
	struct span fascn, guid, expiry, signature;
	struct wbuf content, older; /* what is signed; the same as SP 800-73-4's readers see it, empty without EE */
};

/* object: as it came from a card. E_PROTO. For chuid_clear() in any case. */
enum err chuid_read(struct span object, struct chuid *out) MUST_CHECK;
void chuid_clear(struct chuid *c);

/* header: or NULL, when none came; that is refused when conf requires it of this card. id: of the card's certificate,
 * which has passed PKI-AUTH. E_POLICY with refuse_last(). */
enum err chuid_check(
    struct trust *t, const struct config *conf, const char *header, const struct pivid *id, time_t now) MUST_CHECK;

#endif
