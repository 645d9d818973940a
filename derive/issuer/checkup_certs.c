/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What doctor says of certificates, their keys, and CRLs. A certificate that ends soon is told of in time to get
 * another; a list without which cards are refused is a problem as soon as it is old (SP 800-157 wants revocation
 * checked, and the issuer fails closed).
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "derive/issuer/cakey.h"
#include "derive/issuer/checkup.h"
#include "derive/issuer/crl.h"
#include "derive/issuer/ledger.h"
#include "derive/issuer/ocsp.h"
#include "derive/issuer/trust.h"
#include "derive/issuer/x509io.h"

#define DAY	  86400
#define SOON_DAYS 30
#define SOON_CRL  (6 * 3600)

/* "until ..." of what; false when it is not in its time. */
static bool
say_life(struct checkup *u, const char *what, const X509 *x, const char *todo)
{
	time_t now = checkup_of(u)->now, from, to;
	char when[40];

	x509io_time_text(X509_get0_notAfter(x), when, sizeof when);
	if (!x509io_time(X509_get0_notBefore(x), &from) || !x509io_time(X509_get0_notAfter(x), &to)) {
		checkup_say(u, CHECKUP_BAD, todo, "%s has malformed dates", what);
		return false;
	}
	if (to <= now || from > now)
		checkup_say(u, CHECKUP_BAD, todo, "%s %s", what, to <= now ? "has expired" : "is not valid yet");
	else if (to - now < SOON_DAYS * DAY)
		checkup_say(u, CHECKUP_WARN, todo, "%s is good for %ld more days only", what, (long)((to - now) / DAY));
	else
		checkup_say(u, CHECKUP_OK, NULL, "%s is good until %s", what, when);
	return to > now && from <= now;
}

static bool
ra_only(const struct checkup_issuer *of)
{
	return of->config.up.protocol != NULL;
}

static void
say_issued_life(struct checkup *u)
{
	const struct checkup_issuer *of = checkup_of(u);
	time_t to;

	if (x509io_time(X509_get0_notAfter(of->ca), &to) && to < of->now + of->config.days * DAY)
		checkup_say(u, CHECKUP_WARN, "have the CA certified anew, or lower [profile] days",
		    "the CA certificate ends before a certificate issued today would");
}

/* By what this registration authority is known to the CA. */
static void
say_upstream(struct checkup *u)
{
	const struct config *c = &checkup_of(u)->config;
	struct cakey *key = NULL;
	X509 *x = NULL;

	checkup_say(u, CHECKUP_OK, NULL, "another CA issues, by %s at %s", c->up.protocol, c->up.url);
	if (x509io_read_cert(c->up.cert, &x) != E_OK)
		checkup_failed(u, "[upstream] cert must be the certificate by which the CA knows this issuer");
	else if (cakey_open_as(
		     "the registration authority's key", c->up.key, c->demo, false, X509_get0_pubkey(x), &key) != E_OK)
		checkup_failed(u, "see whether the token is there, [upstream] key names it, and its PIN is right");
	else
		(void)say_life(u, "the registration authority's certificate", x, "have the CA certify it anew");
	cakey_close(&key);
	X509_free(x);
}

void
checkup_ca(struct checkup *u)
{
	const struct checkup_issuer *of = checkup_of(u);
	const struct config *c = &of->config;
	struct cakey *key = NULL;

	if (of->ca == NULL) {
		checkup_say(u, CHECKUP_BAD, "have ca.csr certified, and put the certificate there",
		    "%s: no certificate can be read there", c->ca_cert);
		return;
	}
	if (X509_check_ca(of->ca) != 1)
		checkup_say(u, CHECKUP_BAD, "[ca] cert must be the issuing CA's", "%s is not a CA's", c->ca_cert);
	if (say_life(u, "the CA certificate", of->ca, "have the CA certified anew"))
		say_issued_life(u);
	if (ra_only(of))
		say_upstream(u);
	else if (cakey_open(c->ca_key, c->demo, false, X509_get0_pubkey(of->ca), &key) != E_OK)
		checkup_failed(u, "see whether the token is there, [ca] key names it, and its PIN is right");
	else
		checkup_say(u, CHECKUP_OK, NULL, "the CA's key is there, and is the certificate's");
	cakey_close(&key);
}

void
checkup_tls(struct checkup *u)
{
	const struct config *c = &checkup_of(u)->config;
	struct cakey *key = NULL;
	X509 *x = NULL;

	if (x509io_read_cert(c->tls_cert, &x) != E_OK ||
	    cakey_open_as("TLS key", c->tls_key, true, false, X509_get0_pubkey(x), &key) != E_OK)
		checkup_failed(u, "have tls.csr certified; certificate and key are [listen] cert and key");
	else if (say_life(u, "the TLS certificate", x, "have it made anew, then kill -HUP or systemctl reload") &&
	    !c->demo && !cakey_is_uri(c->tls_key))
		checkup_say(u, CHECKUP_WARN, "[listen] key takes a pkcs11: URI, too", "the TLS key is in a file");
	cakey_close(&key);
	X509_free(x);
}

void
checkup_ocsp(struct checkup *u)
{
	const struct checkup_issuer *of = checkup_of(u);
	struct issuer i = { .config = of->config, .ca = of->ca };
	struct ocsp *o = NULL;
	X509 *x = NULL;

	if (ra_only(of)) {
		checkup_say(u, CHECKUP_OK, NULL, "OCSP is the CA's, not answered here");
		return;
	}
	if (access(of->config.ocsp_cert, F_OK) != 0) {
		checkup_say(u, of->config.publish ? CHECKUP_WARN : CHECKUP_OK,
		    of->config.publish ? "have an OCSP signer certified by this CA: [ocsp] cert and key" : NULL,
		    "OCSP is not answered here");
		return;
	}
	if (of->ca == NULL)
		return;
	if (ocsp_open(&i, &o) != E_OK || x509io_read_cert(of->config.ocsp_cert, &x) != E_OK)
		checkup_failed(u, "have an OCSP signer certified by this CA, and put its key where [ocsp] key says");
	else
		(void)say_life(u, "the OCSP signer", x,
		    "have it made anew in time, then kill -HUP or systemctl reload: without it nobody can ask");
	ocsp_close(&o);
	X509_free(x);
}

void
checkup_recovery(struct checkup *u)
{
	const struct config *c = &checkup_of(u)->config;
	X509 *x = NULL;

	if (access(c->recovery_cert, F_OK) != 0)
		checkup_say(u, CHECKUP_OK, NULL, "no encryption keys are made here");
	else if (x509io_read_cert(c->recovery_cert, &x) != E_OK)
		checkup_failed(u, "[escrow] cert must be a certificate in PEM");
	else
		(void)say_life(
		    u, "the certificate of the recovery key", x, "make a new one; keep the old key for the old");
	X509_free(x);
}

void
checkup_anchors(struct checkup *u)
{
	const struct checkup_issuer *of = checkup_of(u);
	struct trust *t = NULL;
	int old = 0, n;

	if (trust_load(of->config.anchors, of->config.intermediates, of->config.piv_crls, &t) != E_OK) {
		checkup_failed(u, "[piv] anchors and intermediates must be certificates in PEM");
		return;
	}
	n = sk_X509_num(t->anchor_list);
	for (int k = 0; k < n; k++)
		old += X509_cmp_current_time(X509_get0_notAfter(sk_X509_value(t->anchor_list, k))) <= 0;
	if (n == 0 || n == old)
		checkup_say(u, CHECKUP_BAD, "put the roots of your cards into [piv] anchors",
		    "%s: no trust anchor that is good", of->config.anchors);
	else if (old > 0)
		checkup_say(u, CHECKUP_WARN, "take them out", "%d of %d trust anchors have expired", old, n);
	else
		checkup_say(
		    u, CHECKUP_OK, NULL, "%d trust anchors, %d CAs below them", n, sk_X509_num(t->intermediates));
	trust_free(&t);
}

/* One list: how it stands, by what it says itself. */
static enum checkup_level
list_level(const struct checkup_issuer *of, const X509_CRL *crl)
{
	time_t next;

	if (!x509io_time(X509_CRL_get0_nextUpdate(crl), &next) || next <= of->now)
		return CHECKUP_BAD;
	return next - of->now < SOON_CRL ? CHECKUP_WARN : CHECKUP_OK;
}

static void
say_lists(struct checkup *u, const char *path, const char *todo)
{
	static const char *const words[] = { "good until", "good only until", "out of date since" };
	STACK_OF(X509_CRL) *crls = NULL;
	char who[300], when[40];
	int n;

	if (x509io_read_crls(path, &crls) != E_OK || sk_X509_CRL_num(crls) == 0)
		checkup_say(u, CHECKUP_BAD, todo, "%s: no CRL can be read there", path);
	n = crls ? sk_X509_CRL_num(crls) : 0;
	for (int k = 0; k < n; k++) {
		const X509_CRL *crl = sk_X509_CRL_value(crls, k);
		enum checkup_level level = list_level(checkup_of(u), crl);

		checkup_say(u, level, level == CHECKUP_OK ? NULL : todo, "the CRL of %s is %s %s",
		    x509io_name_text(X509_CRL_get_issuer(crl), who, sizeof who), words[level],
		    x509io_time_text(X509_CRL_get0_nextUpdate(crl), when, sizeof when));
	}
	sk_X509_CRL_pop_free(crls, X509_CRL_free);
}

void
checkup_crls(struct checkup *u)
{
	const struct config *c = &checkup_of(u)->config;

	say_lists(u, c->piv_crls, "fetch it anew, at least daily: without it every card of that CA is refused");
}

void
checkup_own_crls(struct checkup *u)
{
	const struct checkup_issuer *of = checkup_of(u);
	int64_t revoked;

	if (ra_only(of))
		return;
	say_lists(u, of->config.ca_crl, "'dpiv-issuer serve' makes a new one when it starts, and in time");
	if (of->db != NULL && ledger_count_revoked(of->db, &revoked) == E_OK &&
	    crl_entries(of->config.ca_crl) != revoked)
		checkup_say(u, CHECKUP_BAD, "'dpiv-issuer serve' publishes it when it starts",
		    "%lld certificates are revoked, but %lld are on the CRL", (long long)revoked,
		    (long long)crl_entries(of->config.ca_crl));
}
