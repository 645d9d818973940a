/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dpiv check: is every derived credential still good, and the PIV card that it was derived from? Dates, then
 * revocation. What cannot be found out is "unknown" and never "good". The result is kept in the state store, so that
 * status can show it and knows whether the card's certificate was looked at once more seven days after the derivation,
 * when a card that was already lost is known to its agency (SP 800-157, 2.1 and 2.4).
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "base/text.h"
#include "cli/check_card.h"
#include "cli/cli.h"
#include "cli/issuer.h"
#include "cli/notice.h"
#include "cli/pick.h"
#include "cli/run.h"
#include "derive/cert.h"
#include "derive/revoked.h"

const char help_check[] = "usage: dpiv check [CREDENTIAL] [--card [--from URI]] [--json] [--cafile FILE]\n"
			  "                  [--timeout SECONDS]\n"
			  "\n"
			  "Checks derived credentials: dates, and whether the issuer has revoked the\n"
			  "certificate or that of the PIV card it was derived from. Asks by OCSP, then by\n"
			  "CRL, at the addresses in the certificates. An issuer that cannot be reached, or\n"
			  "whose answer is stale or not its own, makes it 'unknown', never 'good'. Needs no\n"
			  "PIN and no card without --card. 'dpiv status' shows the result of the last check.\n"
			  "\n"
			  "  CREDENTIAL      a role (auth, sign, encrypt, mail), serial number, name, UUID or token\n"
			  "                  label; default: every credential\n"
			  "  --card          ask the issuer by the PIV card in the reader (PIN): is it a new\n"
			  "                  card of the same person, is the name or the address another?\n"
			  "  --from URI      that PIV card, where there are several\n"
			  "  --json          the same for programs\n"
			  "  --cafile FILE   PEM certificates to trust; default: those of the [issuer NAME]\n"
			  "                  section, and cafile in section [check] of dpiv.conf\n"
			  "  --timeout SECS  how long one exchange may take; default: 20\n"
			  "\n"
			  "Examples:\n"
			  "  dpiv check\n"
			  "  dpiv check auth --json\n"
			  "\n"
			  "Exit status: 0 all good; 5 something is revoked or expired; 6 something is unknown:\n"
			  "run it again later; 3 there is no credential.\n";

struct check {
	const char *word, *cafile;
	bool json, by_card;
	struct check_card card;
	long timeout;
	const struct conf *conf;
	struct store *store;
	struct revoked_conf how;
	json_t *list;
	int status;
};

static const struct option longopts[] = {
	{ "card", no_argument, NULL, 'd' },
	{ "from", required_argument, NULL, 'f' },
	{ "json", no_argument, NULL, 'j' },
	{ "cafile", required_argument, NULL, 'c' },
	{ "timeout", required_argument, NULL, 't' },
	{ NULL, 0, NULL, 0 },
};

static enum err
options_parse(int argc, char **argv, struct check *k)
{
	enum err e = E_OK;
	int opt;

	while (e == E_OK && (opt = getopt_long(argc, argv, "", longopts, NULL)) != -1) {
		switch (opt) {
		case 'd': k->by_card = true; break;
		case 'f': k->card.from = optarg; break;
		case 'j': k->json = true; break;
		case 'c': k->cafile = optarg; break;
		case 't': e = run_seconds(optarg, &k->timeout); break;
		default: return err_set(E_USAGE, "the command line is not right");
		}
	}
	if (e == E_OK && k->card.from != NULL && !k->by_card)
		return err_set(E_USAGE, "--from goes with --card");
	if (e == E_OK && optind < argc)
		k->word = argv[optind++];
	return e == E_OK && optind < argc ? err_set(E_USAGE, "unexpected argument '%s'", argv[optind]) : e;
}

/* --- what is trusted ---------------------------------------------------------------------------------------------- */

static enum err
anchors_add(struct check *k, const char *path)
{
	STACK_OF(X509) *list = NULL;
	enum err e = path != NULL ? cert_read_file(path, &list) : E_OK;
	X509 *x;

	if (k->how.anchors == NULL && list != NULL) {
		k->how.anchors = list;
		return e;
	}
	while ((x = sk_X509_shift(list)) != NULL)
		if (sk_X509_push(k->how.anchors, x) <= 0)
			X509_free(x);
	sk_X509_free(list);
	return e;
}

/* CAs that came with derived credentials. */
static enum err
others_load(struct check *k)
{
	enum err e = E_OK;
	X509 *ca;

	k->how.others = sk_X509_new_null();
	for (size_t i = 0; e == E_OK && k->how.others != NULL && i < 64; i++) {
		e = store_issuer_get(k->store, i, &ca);
		if (e == E_OK && sk_X509_push(k->how.others, ca) <= 0)
			X509_free(ca);
	}
	return e == E_NOTFOUND ? E_OK : e;
}

static void
trust_clear(struct check *k)
{
	sk_X509_pop_free(k->how.anchors, X509_free);
	k->how.anchors = NULL;
}

/* For the credentials of one issuer. */
static enum err
trust_of(struct check *k, const struct credential *c)
{
	struct derive_req req = { .cafile = k->cafile };
	char *labels = NULL;
	enum err e = issuer_of_url(k->conf, c->issuer, &req, &labels);

	free(labels);
	trust_clear(k);
	k->how.cafile = req.cafile;
	if (e == E_OK)
		e = anchors_add(k, req.cafile);
	return e == E_OK ? anchors_add(k, conf_str(k->conf, "check", "cafile")) : e;
}

/* --- one certificate ---------------------------------------------------------------------------------------------- */

struct finding {
	char state[16]; /* "good", "revoked", "expired", "unknown" */
	struct revoked r;
};

static void
look(struct check *k, X509 *cert, struct finding *f)
{
	memset(f, 0, sizeof *f);
	if (cert == NULL) {
		snprintf(f->state, sizeof f->state, "unknown");
		snprintf(f->r.why, sizeof f->r.why,
		    "the state store does not know it; insert the PIV card and run 'dpiv status'");
	} else if (cert_not_after(cert) <= time(NULL)) {
		snprintf(f->state, sizeof f->state, "expired");
	} else {
		revoked_ask(cert, &k->how, &f->r);
		snprintf(f->state, sizeof f->state, "%s", revoked_name(f->r.state));
	}
}

static json_t *
finding_json(const struct finding *f)
{
	char text[TEXT_UTC_MAX], safe[512];
	json_t *o = json_pack("{s:s}", "state", f->state);

	if (f->r.by[0] != '\0')
		json_object_set_new(o, "by", json_string(f->r.by));
	if (f->r.why[0] != '\0')
		json_object_set_new(o, "why", json_string(text_safe(span_str(f->r.why), safe, sizeof safe)));
	if (f->r.when != 0 && text_utc(f->r.when, text)[0] != '\0')
		json_object_set_new(o, "revoked_at", json_string(text));
	return o;
}

static void
finding_text(const char *what, const struct finding *f)
{
	char safe[512], date[32] = "";
	struct tm tm;

	if (f->r.when != 0)
		strftime(date, sizeof date, " on %Y-%m-%d", gmtime_r(&f->r.when, &tm));
	printf("    %-18s %s%s%s%s%s\n", what, f->state, date, f->r.by[0] != '\0' ? ", says " : "", f->r.by,
	    f->r.why[0] != '\0' ? ":" : "");
	if (f->r.why[0] != '\0')
		printf("      %s\n", text_safe(span_str(f->r.why), safe, sizeof safe));
}

/* --- one credential ----------------------------------------------------------------------------------------------- */

static bool
is_bad(const struct finding *f)
{
	return strcmp(f->state, "revoked") == 0 || strcmp(f->state, "expired") == 0;
}

static void
status_count(struct check *k, const struct finding *f)
{
	if (is_bad(f))
		k->status = EXIT_REFUSED;
	else if (strcmp(f->state, "good") != 0 && k->status == EXIT_DONE)
		k->status = EXIT_LATER;
}

static enum err
remember(struct check *k, const struct credential *c, const struct finding *cert, const struct finding *card,
    const struct card_found *holder)
{
	struct store_check now, was;
	bool sure = strcmp(cert->state, "unknown") != 0 && strcmp(card->state, "unknown") != 0;
	enum err e = store_check_get(k->store, c->row, &was);

	if (e != E_OK && e != E_NOTFOUND)
		return e;
	now = (struct store_check){ .at = time(NULL), .sure_at = sure ? time(NULL) : was.sure_at };
	/* what a card of the same person has not said, a check without it does not take back */
	memcpy(now.changed, holder->theirs ? holder->changed : was.changed, sizeof now.changed);
	memcpy(now.cert, cert->state, sizeof now.cert);
	memcpy(now.card, card->state, sizeof now.card);
	text_safe(span_str(cert->r.why[0] != '\0' ? cert->r.why : card->r.why), now.why, sizeof now.why);
	return store_check_put(k->store, c, &now);
}

static void
holder_text(const struct credential *c, const struct card_found *f)
{
	const char *text = strcmp(f->state, "same") == 0 ? "the same as before"
	    : strcmp(f->state, "replaced") == 0		 ? "replaced by the one in the reader; the keys stay"
	    : strcmp(f->state, "other") == 0		 ? "another person's is in the reader; nothing was changed"
							 : "unknown; nothing was changed";
	char safe[600], serial[64];

	printf("    %-18s %s\n", "PIV card", text);
	if (f->why[0] != '\0')
		printf("      %s\n", text_safe(span_str(f->why), safe, sizeof safe));
	if (f->changed[0] != '\0')
		printf("    %-18s %s: dpiv renew %s --card\n", "rekey needed",
		    text_safe(span_str(f->changed), safe, sizeof safe), cert_serial(c->cert, serial, sizeof serial));
}

static void
holder_count(struct check *k, const struct card_found *f)
{
	if (f->changed[0] != '\0' || strcmp(f->state, "other") == 0)
		k->status = EXIT_REFUSED;
	else if (strcmp(f->state, "unknown") == 0 && k->status == EXIT_DONE)
		k->status = EXIT_LATER;
}

static void
report(struct check *k, const struct credential *c, const struct finding *cert, const struct finding *card,
    const struct card_found *holder)
{
	char name[256], serial[64];
	json_t *o;

	if (k->json) {
		json_array_append_new(k->list,
		    o = json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "role", role_info(c->role)->name, "serial",
			cert_serial(c->cert, serial, sizeof serial), "token", c->token_label, "issuer", c->issuer,
			"certificate", finding_json(cert), "card", finding_json(card)));
		if (k->by_card)
			json_object_set_new(o, "holder",
			    json_pack("{s:s, s:s, s:s}", "state", holder->state, "changed", holder->changed, "why",
				holder->why));
		return;
	}
	printf("%s\n", pick_name(c, name, sizeof name));
	finding_text("certificate", cert);
	finding_text("PIV card's own", card);
	if (k->by_card)
		holder_text(c, holder);
	fflush(stdout);
}

/* The worst of what was found. */
static void
tell(const struct check *k, const struct credential *c, const struct finding *cert, const struct finding *card)
{
	const struct notices n = { .conf = k->conf, .store = k->store };
	time_t until = cert_not_after(c->cert), soon = cert_renew_from(c->cert, policy_soon_days(k->conf));
	char serial[64];

	cert_serial(c->cert, serial, sizeof serial);
	if (strcmp(cert->state, "revoked") == 0)
		notice_tell(&n, NOTICE_REVOKED, c->role, serial, until);
	else if (strcmp(cert->state, "expired") == 0)
		notice_tell(&n, NOTICE_EXPIRED, c->role, serial, until);
	else if (is_bad(card))
		notice_tell(&n, NOTICE_CARD, c->role, serial, until);
	else if (soon <= time(NULL))
		notice_tell(&n, NOTICE_EXPIRING, c->role, serial, until);
}

static enum err
check_one(struct check *k, struct credential *c)
{
	struct finding cert, card;
	struct card_found holder = { .state = "" };
	char name[256];
	enum err e = trust_of(k, c);

	if (e == E_OK && k->by_card)
		e = check_card(&k->card, k->store, c, &k->how, &holder);
	if (e != E_OK)
		return e;
	cli_progress("checking %s …", pick_name(c, name, sizeof name));
	look(k, c->cert, &cert);
	look(k, c->card, &card);
	cli_progress_end();
	status_count(k, &cert);
	status_count(k, &card);
	if (k->by_card)
		holder_count(k, &holder);
	report(k, c, &cert, &card, &holder);
	e = remember(k, c, &cert, &card, &holder);
	if (e == E_OK)
		tell(k, c, &cert, &card);
	return e;
}

static enum err
check_all(struct check *k)
{
	const char *crls = conf_str(k->conf, "check", "crls");
	struct picked p = { .n = 0 };
	enum err e = pick(k->store, k->word, &p);

	k->how.timeout = k->timeout;
	k->card.conf = k->conf;
	k->card.cafile = k->cafile;
	k->card.timeout = k->timeout;
	if (e == E_OK)
		e = others_load(k);
	if (e == E_OK && crls != NULL)
		e = revoked_read_crls(crls, &k->how.crls);
	for (size_t i = 0; e == E_OK && i < p.n; i++)
		e = check_one(k, &p.c[i]);
	pick_free(&p);
	return e;
}

int
cmd_check(int argc, char **argv)
{
	struct check k = { .status = EXIT_DONE };
	struct conf *conf = NULL;
	json_t *tree = json_pack("{s:i, s:[]}", "version", 1, "credentials");
	enum err e = options_parse(argc, argv, &k);

	k.list = json_object_get(tree, "credentials");
	if (e == E_OK)
		e = conf_load(&conf);
	k.conf = conf;
	if (e == E_OK)
		e = store_open_existing(&k.store);
	if (e == E_OK)
		e = check_all(&k);
	if (e == E_OK && k.json) {
		json_dumpf(tree, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
		putchar('\n');
	}
	check_card_clear(&k.card);
	trust_clear(&k);
	sk_X509_pop_free(k.how.others, X509_free);
	sk_X509_CRL_pop_free(k.how.crls, X509_CRL_free);
	store_close(&k.store);
	json_decref(tree);
	conf_free(&conf);
	if (e == E_USAGE)
		return cli_usage("%s", err_msg());
	return e == E_OK ? k.status : cli_fail(e);
}
