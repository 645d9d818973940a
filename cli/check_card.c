/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dpiv check --card: a PIV card is replaced many times in a person's life, and the derived credentials stay (SP
 * 800-157r1, 2.3.1). The card proves itself to the issuer, which says whose the credentials are. The link of a
 * credential moves to a new card only when the two certificates name one person and the new one is known to be good;
 * anything else leaves it where it is. A name or address that changed needs new certificates.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/check_card.h"
#include "cli/issuer.h"
#include "cli/run.h"
#include "derive/cert.h"
#include "derive/person.h"

void
check_card_clear(struct check_card *k)
{
	holdings_clear(&k->own);
	k->issuer[0] = '\0';
}

static void
card_ask(struct check_card *k, const char *issuer)
{
	struct derive_req req = { .cafile = k->cafile, .from = k->from, .timeout = k->timeout };
	char *labels = NULL;

	if (strcmp(k->issuer, issuer) == 0)
		return;
	check_card_clear(k);
	snprintf(k->issuer, sizeof k->issuer, "%s", issuer);
	k->asked = issuer_of_url(k->conf, issuer, &req, &labels);
	run_begin(&req);
	if (k->asked == E_OK)
		k->asked = holder_ask(&req, &k->own);
	run_end();
	snprintf(k->why, sizeof k->why, "%s", k->asked != E_OK ? err_msg() : "");
	free(labels);
}

/* Another card than before, of the same person as far as the certificates tell. */
static enum err
card_replaced(const struct check_card *k, struct store *s, struct credential *c, const struct revoked_conf *how,
    struct card_found *out)
{
	struct revoked r;
	enum err e;

	revoked_ask(k->own.card, how, &r);
	if (r.state != REVOKED_NO) {
		snprintf(out->why, sizeof out->why, "the certificate of the card in the reader is %s: %s",
		    revoked_name(r.state), r.why);
		return E_OK;
	}
	e = store_cred_relink(s, c, k->own.card, out->by);
	if (e != E_OK)
		return e;
	if (X509_up_ref(k->own.card) != 1)
		return err_set(E_NOMEM, "out of memory");
	X509_free(c->card);
	c->card = k->own.card;
	out->state = "replaced";
	return E_OK;
}

static void
card_changed(const struct check_card *k, const struct credential *c, struct card_found *out)
{
	const struct holding *h = holdings_find(&k->own, c->cert);

	person_changed(c->cert, k->own.card, k->own.emails, out->changed, sizeof out->changed);
	if (out->changed[0] == '\0' && h != NULL)
		snprintf(out->changed, sizeof out->changed, "%s", h->changed);
}

enum err
check_card(
    struct check_card *k, struct store *s, struct credential *c, const struct revoked_conf *how, struct card_found *out)
{
	const char *by = "";
	enum person who;
	enum err e = E_OK;

	*out = (struct card_found){ .state = "unknown" };
	card_ask(k, c->issuer);
	if (k->own.card == NULL || c->card == NULL) {
		snprintf(out->why, sizeof out->why, "%s",
		    k->asked != E_OK ? k->why : "the state store does not know the card that was there before");
		return E_OK;
	}
	who = person_same(c->card, k->own.card, &by);
	snprintf(out->by, sizeof out->by, "%s", by);
	if (X509_cmp(c->card, k->own.card) == 0)
		out->state = "same";
	else if (who == PERSON_SAME && k->asked == E_OK)
		e = card_replaced(k, s, c, how, out);
	else if (who == PERSON_OTHER)
		out->state = "other";
	else if (k->asked != E_OK)
		snprintf(out->why, sizeof out->why, "%s", k->why);
	else
		snprintf(out->why, sizeof out->why, "nothing says that both cards are the same person's");
	out->theirs = strcmp(out->state, "same") == 0 || strcmp(out->state, "replaced") == 0;
	if (who == PERSON_SAME)
		card_changed(k, c, out);
	return e;
}
