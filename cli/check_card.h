/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DPIV_CLI_CHECK_CARD_H
#define DPIV_CLI_CHECK_CARD_H

#include "base/conf.h"
#include "derive/holder.h"
#include "derive/revoked.h"
#include "derive/store.h"

/* The PIV card that is there, and what one issuer says of its holder; zero, with conf, cafile and timeout. */
struct check_card {
	const struct conf *conf;
	const char *cafile, *from;
	long timeout;
	struct holdings own; /* of the issuer that was asked last, so that one PIN is enough for its credentials */
	char issuer[256], why[400];
	enum err asked;
};

struct card_found {
	const char *state;     /* "same", "replaced", "other", "unknown" */
	bool theirs;	       /* the first two: what this card says of its holder counts */
	char changed[128];     /* what the credential says that is no longer true: a rekey is needed; or "" */
	char why[512], by[64]; /* replaced: by what the person is known */
};

/* Is this still the card behind c? A new one of the same person takes the old one's place, in the store and in c; the
 * keys stay (SP 800-157r1, 2.3.1). Only a failure of the store is an error. */
enum err check_card(struct check_card *k, struct store *s, struct credential *c, const struct revoked_conf *how,
    struct card_found *out) MUST_CHECK;
void check_card_clear(struct check_card *k);

#endif
