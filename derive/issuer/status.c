/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The verbs that report: status and account list, for people and, with --json, for programs. JSON is written here by
 * one small function for strings (RFC 8259 section 7); the values are the ledger's, which are UTF-8 or made safe.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "derive/issuer/audit.h"
#include "derive/issuer/issuer.h"
#include "derive/issuer/report.h"
#include "derive/issuer/upstream_run.h"
#include "derive/issuer/verbs.h"
#include "derive/issuer/x509io.h"

void
report_string(const char *name, const char *value, bool last)
{
	printf("\"%s\": \"", name);
	for (const unsigned char *p = (const unsigned char *)value; *p; p++) {
		if (*p == '"' || *p == '\\')
			printf("\\%c", *p);
		else if (*p < 0x20 || *p == 0x7f)
			printf("\\u%04x", *p);
		else
			putchar(*p);
	}
	printf("\"%s", last ? "" : ", ");
}

enum err
report_args(int argc, char **argv, bool *json, const char **dir)
{
	*json = false;
	*dir = NULL;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			*json = true;
		else if (argv[i][0] == '-' || *dir)
			return err_set(E_USAGE, "%s: what is %s?", argv[0], argv[i]);
		else
			*dir = argv[i];
	}
	return *dir ? E_OK : err_set(E_USAGE, "the directory is missing");
}

static const struct count {
	const char *name, *label, *sql;
} counts[] = {
	{ "accounts", "accounts", "SELECT count(*) FROM account WHERE status = 'active'" },
	{ "accounts_stopped", "suspended or terminated", "SELECT count(*) FROM account WHERE status <> 'active'" },
	{ "cards", "cards seen", "SELECT count(*) FROM card" },
	{ "issued", "certificates issued", "SELECT count(*) FROM certificate WHERE state = 'issued'" },
	{ "revoked", "revoked", "SELECT count(*) FROM revocation" },
	{ "refusals", "requests refused", "SELECT count(*) FROM event WHERE what = 'refused'" },
};

static enum err
show_counts(struct issuer *i, bool json)
{
	enum err e = E_OK;

	for (size_t k = 0; e == E_OK && k < sizeof counts / sizeof counts[0]; k++) {
		int64_t n;

		if ((e = db_number(i->db, &n, counts[k].sql, DB_NO_ARGS)) != E_OK)
			break;
		if (json)
			printf("\"%s\": %" PRId64 ", ", counts[k].name, n);
		else
			printf("%-24s %" PRId64 "\n", counts[k].label, n);
	}
	return e;
}

/* "good until ..." or what is wrong with the list. */
static void
crl_state(const char *path, char *out, size_t cap)
{
	STACK_OF(X509_CRL) *crls = NULL;
	char when[40];
	time_t to;

	if (x509io_read_crls(path, &crls) != E_OK || sk_X509_CRL_num(crls) == 0) {
		(void)snprintf(out, cap, "missing");
	} else {
		const ASN1_TIME *next = X509_CRL_get0_nextUpdate(sk_X509_CRL_value(crls, 0));
		bool late = !x509io_time(next, &to) || to < time(NULL);

		(void)snprintf(out, cap, "%s %s", late ? "out of date since" : "good until",
		    x509io_time_text(next, when, sizeof when));
	}
	sk_X509_CRL_pop_free(crls, X509_CRL_free);
}

static enum err
show_refusals(struct issuer *i)
{
	struct db_rows *q;
	bool row, first = true;
	char when[40];
	enum err e;

	e = db_query(i->db, &q, "SELECT at, code, detail FROM event WHERE what = 'refused' ORDER BY id DESC LIMIT 5",
	    DB_NO_ARGS);
	while (e == E_OK && (e = db_next(q, &row)) == E_OK && row) {
		time_t at = (time_t)db_col_int(q, 0);
		struct tm tm;

		gmtime_r(&at, &tm);
		strftime(when, sizeof when, "%Y-%m-%d %H:%M UTC", &tm);
		printf(
		    "%s%s  %s: %s\n", first ? "last refusals\n  " : "  ", when, db_col_text(q, 1), db_col_text(q, 2));
		first = false;
	}
	db_done(&q);
	return e;
}

/* When the OCSP signer's certificate ends; "none": there is no responder. */
static void
ocsp_state(const char *path, char *out, size_t cap)
{
	X509 *x = NULL;

	if (access(path, F_OK) != 0)
		(void)snprintf(out, cap, "none");
	else if (x509io_read_cert(path, &x) != E_OK)
		(void)snprintf(out, cap, "cannot be read");
	else
		x509io_time_text(X509_get0_notAfter(x), out, cap);
	X509_free(x);
}

static enum err
show(struct issuer *i, bool json)
{
	const struct config *c = &i->config;
	char ca[512], end[40], ca_crl[80], root_crl[80], ocsp[40], text[AUDIT_HEAD_MAX];
	struct audit_head head;
	enum err e;

	x509io_name_text(X509_get_subject_name(i->ca), ca, sizeof ca);
	x509io_time_text(X509_get0_notAfter(i->ca), end, sizeof end);
	crl_state(c->ca_crl, ca_crl, sizeof ca_crl);
	crl_state(c->root_crl, root_crl, sizeof root_crl);
	ocsp_state(c->ocsp_cert, ocsp, sizeof ocsp);
	if ((e = audit_head(i->db, &head)) != E_OK)
		return e;
	audit_head_text(&head, text);
	if (json) {
		putchar('{');
		report_string("name", c->name, false);
		report_string("ca", ca, false);
		report_string("ca_until", end, false);
		report_string("ca_crl", ca_crl, false);
		report_string("root_crl", root_crl, false);
		report_string("ocsp_until", ocsp, false);
		report_string("audit_head", text, false);
		report_string("address", c->address, false);
		if ((e = show_counts(i, true)) == E_OK && (e = upstream_status(i, true)) == E_OK)
			printf("\"demo\": %s, \"accounts_listed\": %s}\n", c->demo ? "true" : "false",
			    c->listed ? "true" : "false");
		return e;
	}
	printf("%s%s\n", c->name, c->demo ? " (demo: test material only)" : "");
	printf("%-24s %s, until %s\n", "issuing CA", ca, end);
	if (!upstream_is(i))
		printf("%-24s %s\n%-24s %s\n", "its CRL", ca_crl, "the root's CRL", root_crl);
	printf("%-24s %s\n%-24s %s\n", "OCSP signer until", ocsp, "head of the events", text);
	printf("%-24s https://%s, TLS %s\n", "address", c->address, c->tls);
	printf("%-24s %s\n", "accounts come by", c->listed ? "account add" : "any valid card");
	if ((e = show_counts(i, false)) != E_OK || (e = upstream_status(i, false)) != E_OK)
		return e;
	return show_refusals(i);
}

enum err
report_run(int argc, char **argv, report_fn *run)
{
	struct issuer i;
	const char *dir;
	bool json;
	enum err e;

	if ((e = report_args(argc, argv, &json, &dir)) != E_OK || (e = issuer_open(dir, ISSUER_LEDGER, &i)) != E_OK)
		return e;
	e = run(&i, json);
	issuer_close(&i);
	return e;
}

enum err
verb_status(int argc, char **argv)
{
	return report_run(argc, argv, show);
}

static void
show_account(struct db_rows *q, bool json, bool first)
{
	if (!json) {
		printf("%4" PRId64 "  %-10s  %2" PRId64 " cards  %3" PRId64 " certificates  %s%s%s\n", db_col_int(q, 0),
		    db_col_text(q, 3), db_col_int(q, 4), db_col_int(q, 5), db_col_text(q, 1),
		    db_col_text(q, 2)[0] ? ", " : "", db_col_text(q, 2));
		return;
	}
	printf("%s{\"id\": %" PRId64 ", ", first ? "" : ",\n ", db_col_int(q, 0));
	report_string("name", db_col_text(q, 1), false);
	report_string("email", db_col_text(q, 2), false);
	report_string("status", db_col_text(q, 3), false);
	printf("\"cards\": %" PRId64 ", \"certificates\": %" PRId64 "}", db_col_int(q, 4), db_col_int(q, 5));
}

static enum err
show_accounts(struct issuer *i, bool json)
{
	struct db_rows *q = NULL;
	bool row, first = true;
	enum err e = db_query(i->db, &q,
	    "SELECT id, name, email, status, (SELECT count(*) FROM card WHERE account = account.id),"
	    " (SELECT count(*) FROM certificate c WHERE c.account = account.id AND c.state = 'issued')"
	    " FROM account ORDER BY id",
	    DB_NO_ARGS);

	if (json)
		putchar('[');
	for (; e == E_OK && (e = db_next(q, &row)) == E_OK && row; first = false)
		show_account(q, json, first);
	if (json)
		printf("]\n");
	db_done(&q);
	return e;
}

enum err
verb_account_list(int argc, char **argv)
{
	return report_run(argc, argv, show_accounts);
}
