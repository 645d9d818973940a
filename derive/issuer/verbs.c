/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The verbs init, serve, account and revoke: options in, one call, a line or two for the person. Options are parsed
 * by getopt_long with a table per verb; each verb refuses what it does not know. What a change of accounts or
 * certificates means for the CRL happens here in the same breath: a revocation that is not published is none.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/secret.h"
#include "base/text.h"
#include "derive/issuer/account.h"
#include "derive/issuer/crl.h"
#include "derive/issuer/init.h"
#include "derive/issuer/ledger.h"
#include "derive/issuer/note.h"
#include "derive/issuer/notify.h"
#include "derive/issuer/roster.h"
#include "derive/issuer/server.h"
#include "derive/issuer/show.h"
#include "derive/issuer/upstream.h"
#include "derive/issuer/verbs.h"
#include "derive/issuer/x509io.h"

/* Every option of every verb; a verb names those that it takes by their letters. */
static const struct option options[] = {
	{ "demo", no_argument, NULL, 'D' },
	{ "force", no_argument, NULL, 'f' },
	{ "name", required_argument, NULL, 'n' },
	{ "host", required_argument, NULL, 'h' },
	{ "port", required_argument, NULL, 'p' },
	{ "ca-key", required_argument, NULL, 'k' },
	{ "listen", required_argument, NULL, 'l' },
	{ "tls", required_argument, NULL, 't' },
	{ "dir", required_argument, NULL, 'd' },
	{ "cert", required_argument, NULL, 'c' },
	{ "email", required_argument, NULL, 'e' },
	{ "reason", required_argument, NULL, 'r' },
	{ "foreign", no_argument, NULL, 'F' },
	{ "json", no_argument, NULL, 'j' },
	{ NULL, 0, NULL, 0 },
};

#define ROSTER_MAX (64u << 20) /* a list of a hundred thousand people has ten megabytes */

#define LETTERS 128
struct args {
	const char *value[LETTERS]; /* by letter; "" for an option without argument */
	const char *rest;	    /* the one operand, or NULL */
};

static enum err
parse(int argc, char **argv, const char *takes, struct args *out)
{
	int c;

	memset(out, 0, sizeof *out);
	optind = 1;
	opterr = 0;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c <= 0 || c >= LETTERS || c == '?' || strchr(takes, c) == NULL)
			return err_set(E_USAGE, "%s: what is %s?", argv[0], argv[optind - 1]);
		out->value[c] = optarg ? optarg : "";
	}
	if (argc - optind > 1)
		return err_set(E_USAGE, "%s: one operand only, not also %s", argv[0], argv[optind + 1]);
	out->rest = optind < argc ? argv[optind] : NULL;
	return E_OK;
}

static enum err
need(const char *value, const char *what)
{
	return value ? E_OK : err_set(E_USAGE, "%s is missing", what);
}

static enum err
number(const char *text, const char *what, long *out)
{
	char *end;

	*out = strtol(text, &end, 10);
	return *text && *end == '\0' && *out > 0 ? E_OK : err_set(E_USAGE, "%s is not a %s", text, what);
}

enum err
verb_init(int argc, char **argv)
{
	struct init_options o = { .name = "Demo Agency", .host = "localhost" };
	struct args a;
	long port = 8443;
	enum err e;

	if ((e = parse(argc, argv, "Dfnhpk", &a)) != E_OK || (e = need(a.rest, "the directory")) != E_OK ||
	    (a.value['p'] && (e = number(a.value['p'], "port", &port)) != E_OK))
		return e;
	o.dir = a.rest;
	o.demo = a.value['D'] != NULL;
	o.force = a.value['f'] != NULL;
	o.ca_key = a.value['k'];
	o.port = port > 65535 ? 0 : (int)port;
	if (a.value['n'])
		o.name = a.value['n'];
	if (a.value['h'])
		o.host = a.value['h'];
	if ((e = init_run(&o)) != E_OK)
		return e;
	if (o.demo)
		printf("%s: demo agency '%s' is ready; start it with: dpiv-issuer serve %s\n", o.dir, o.name, o.dir);
	else
		printf("%s: have ca.csr and tls.csr certified, then put root.pem, ca.pem, chain.pem (CA and root), "
		       "tls.pem,\n"
		       "root.crl and crls.pem there, look through issuer.conf, and run: dpiv-issuer status %s\n"
		       "For SCEP and CMP it also needs a registration authority, private/front.key (RSA) and front.pem "
		       "(cmcRA, by the\nissuing CA), and for binding codes over CMP private/codes.key, made by: "
		       "openssl rand -hex 32\n",
		    o.dir, o.dir);
	return E_OK;
}

static void
say_ready(const struct server_urls *urls)
{
	if (urls->plain[0])
		printf("publishing on %s\n", urls->plain);
	printf("listening on %s\n", urls->tls);
	fflush(stdout);
}

enum err
verb_serve(int argc, char **argv)
{
	struct issuer i;
	struct args a;
	enum err e;

	if ((e = parse(argc, argv, "lt", &a)) != E_OK || (e = need(a.rest, "the directory")) != E_OK)
		return e;
	if (a.value['t'] && !config_list_has("1.2,1.3,both", a.value['t']))
		return err_set(E_USAGE, "--tls takes 1.2, 1.3 or both");
	note_on();
	secret_keep_process(); /* keys of other people pass through */
	if ((e = issuer_open(a.rest, ISSUER_KEY | ISSUER_TRUST, &i)) != E_OK)
		return e;
	if ((e = ledger_recover(i.db, time(NULL))) == E_OK)
		e = server_run(&i, a.value['l'], a.value['t'], say_ready);
	issuer_close(&i);
	return e;
}

static enum err
event(struct issuer *i, const char *what, int64_t account, const char *serial, const char *detail)
{
	const struct ledger_event ev = { .what = what,
		.account = account,
		.serial = serial,
		.detail = detail,
		.notice = strcmp(what, "revoked") == 0 ? "revoked" : NULL };

	return ledger_event_add(i->db, &ev, time(NULL));
}

static enum err
account_add_to(struct issuer *i, const struct args *a)
{
	struct account account = { 0 };
	struct pivid id;
	X509 *cert = NULL;
	enum err e;

	if ((e = x509io_read_cert(a->value['c'], &cert)) != E_OK || (e = pivid_read(cert, &id)) != E_OK)
		goto out;
	if (!id.fascn[0] && !id.uuid[0]) {
		e = err_set(E_ARG, "%s: no FASC-N and no card UUID in it; give the PIV Authentication certificate (9A)",
		    a->value['c']);
		goto out;
	}
	if ((e = db_begin(i->db)) != E_OK)
		goto out;
	e = account_add(i->db, cert, &id, a->value['e'], a->value['n'], time(NULL), &account);
	if (e == E_OK)
		e = event(i, account.opened ? "account-added" : "account-updated", account.id, NULL, account.name);
	e = db_end(i->db, e);
	if (e == E_OK)
		printf("account %lld %s: %s%s%s\n", (long long)account.id, account.opened ? "added" : "updated",
		    account.name, account.email[0] ? ", " : "", account.email);
out:
	X509_free(cert);
	return e;
}

static enum err
verb_account_import(int argc, char **argv)
{
	struct roster_count n;
	struct issuer i;
	struct args a;
	WBUF_AUTO text = { 0 };
	enum err e;

	wbuf_init(&text, ROSTER_MAX);
	if ((e = parse(argc, argv, "d", &a)) != E_OK || (e = need(a.value['d'], "--dir")) != E_OK ||
	    (e = need(a.rest, "the CSV file")) != E_OK || (e = file_read(a.rest, &text)) != E_OK ||
	    (e = issuer_open(a.value['d'], ISSUER_LEDGER, &i)) != E_OK)
		return e;
	if ((e = roster_import(i.db, wbuf_view(&text), time(NULL), &n)) == E_OK)
		printf("%zu added, %zu brought up to date, %zu as they were\n", n.added, n.updated, n.same);
	else
		e = err_up(e, "%s, nothing is changed", a.rest);
	issuer_close(&i);
	return e;
}

/* A row in one line; of hashes the beginning is enough to tell them apart. */
static void
print_row(json_t *row)
{
	const char *field;
	json_t *value;

	printf(" ");
	json_object_foreach(row, field, value) if (json_is_string(value) && json_string_length(value) > 0)
	    printf(" %.*s", json_string_length(value) == 64 && strcmp(field, "detail") != 0 ? 12 : -1,
		json_string_value(value));
	putchar('\n');
}

static void
print_account(json_t *account)
{
	const char *name;
	json_t *value, *row;
	size_t k;

	json_object_foreach(account, name, value) if (json_is_string(value))
	    printf("%-12s %s\n", name, json_string_value(value));
	json_object_foreach(account, name, value) json_array_foreach(value, k, row)
	{
		if (k == 0)
			printf("%s\n", name);
		print_row(row);
	}
}

static enum err
verb_account_show(int argc, char **argv)
{
	json_t *account = NULL;
	struct issuer i;
	struct args a;
	long id;
	enum err e;

	if ((e = parse(argc, argv, "dj", &a)) != E_OK || (e = need(a.value['d'], "--dir")) != E_OK ||
	    (e = need(a.rest, "the account's number")) != E_OK || (e = number(a.rest, "account number", &id)) != E_OK ||
	    (e = issuer_open(a.value['d'], ISSUER_LEDGER, &i)) != E_OK)
		return e;
	if ((e = show_account(i.db, id, time(NULL), &account)) == E_OK) {
		if (!a.value['j'])
			print_account(account);
		else if (json_dumpf(account, stdout, JSON_INDENT(1)) == 0)
			putchar('\n');
	}
	json_decref(account);
	issuer_close(&i);
	return e;
}

static enum err
verb_account_add(int argc, char **argv)
{
	struct issuer i;
	struct args a;
	enum err e;

	if ((e = parse(argc, argv, "dcen", &a)) != E_OK || (e = need(a.value['d'], "--dir")) != E_OK ||
	    (e = need(a.value['c'], "--cert")) != E_OK || (e = issuer_open(a.value['d'], ISSUER_LEDGER, &i)) != E_OK)
		return e;
	e = account_add_to(&i, &a);
	issuer_close(&i);
	return e;
}

/* suspended, active, terminated: with its consequences, in one transaction. */
static enum err
change_status(struct issuer *i, long id, const char *status, int64_t *revoked)
{
	enum err e;

	*revoked = 0;
	if ((e = db_begin(i->db)) != E_OK)
		return e;
	e = account_set_status(i->db, id, status);
	if (e == E_OK && strcmp(status, "terminated") == 0)
		e = ledger_revoke_account(i->db, id, crl_reason("cessationOfOperation"), time(NULL), revoked);
	if (e == E_OK)
		e = event(i, "account-status", id, NULL, status);
	return db_end(i->db, e);
}

static enum err
verb_account_status(int argc, char **argv, const char *status)
{
	bool ends = strcmp(status, "terminated") == 0;
	int64_t revoked;
	struct issuer i;
	struct args a;
	long id;
	enum err e;

	if ((e = parse(argc, argv, "d", &a)) != E_OK || (e = need(a.value['d'], "--dir")) != E_OK ||
	    (e = need(a.rest, "the account's number")) != E_OK || (e = number(a.rest, "account number", &id)) != E_OK ||
	    (e = issuer_open(a.value['d'], ends ? ISSUER_KEY : ISSUER_LEDGER, &i)) != E_OK)
		return e;
	e = change_status(&i, id, status, &revoked);
	if (e == E_OK && ends)
		e = issuer_refresh_crls(&i, time(NULL), true);
	if (e == E_OK && ends)
		printf("account %ld is terminated; %lld certificates revoked\n", id, (long long)revoked);
	else if (e == E_OK)
		printf("account %ld is %s\n", id, status);
	issuer_close(&i);
	return e;
}

enum err
verb_account(int argc, char **argv)
{
	static const struct {
		const char *word;
		enum err (*run)(int argc, char **argv);
	} words[] = { { "add", verb_account_add }, { "import", verb_account_import }, { "list", verb_account_list },
		{ "show", verb_account_show } };
	static const struct {
		const char *word, *status;
	} changes[] = { { "suspend", "suspended" }, { "resume", "active" }, { "terminate", "terminated" } };

	if (argc < 2)
		return err_set(E_USAGE, "account: add, import, list, show, suspend, resume or terminate?");
	for (size_t k = 0; k < sizeof words / sizeof words[0]; k++)
		if (strcmp(argv[1], words[k].word) == 0)
			return words[k].run(argc - 1, &argv[1]);
	for (size_t k = 0; k < sizeof changes / sizeof changes[0]; k++)
		if (strcmp(argv[1], changes[k].word) == 0)
			return verb_account_status(argc - 1, &argv[1], changes[k].status);
	return err_set(E_USAGE, "account: what is %s?", argv[1]);
}

static enum err
serial_from_cert(struct issuer *i, const char *path, char *out, size_t cap)
{
	X509 *x = NULL;
	enum err e;

	if ((e = x509io_read_cert(path, &x)) != E_OK)
		return e;
	if (X509_verify(x, X509_get0_pubkey(i->ca)) != 1)
		e = err_crypto(E_ARG, "%s: not signed by this issuer's CA", path);
	else
		x509io_serial_text(X509_get0_serialNumber(x), out, cap);
	X509_free(x);
	return e;
}

static enum err
revoke(struct issuer *i, const struct args *a, int reason)
{
	char serial[X509IO_SERIAL_MAX];
	enum err e;

	if (a->value['c'])
		e = serial_from_cert(i, a->value['c'], serial, sizeof serial);
	else
		e = x509io_serial_read(a->rest, serial, sizeof serial)
		    ? E_OK
		    : err_set(E_USAGE, "that is not a serial number in hex");
	if (e == E_OK && upstream_is(i) && a->value['F'])
		e = err_set(E_USAGE, "--foreign: another CA issues; revoke there what it issued for others");
	if (e != E_OK || (e = db_begin(i->db)) != E_OK)
		return e;
	e = ledger_revoke(i->db, serial, reason, (a->value['F'] || a->value['c']) && !upstream_is(i), time(NULL));
	if (e == E_OK)
		e = event(i, "revoked", 0, serial, crl_reason_name(reason));
	e = db_end(i->db, e);
	if (e == E_EXISTS) { /* perhaps by a run that was cut off before it made the list */
		e = issuer_refresh_crls(i, time(NULL), false);
		return e == E_OK ? err_set(E_EXISTS, "serial number %s is revoked already, and is on the CRL", serial)
				 : e;
	}
	if (e == E_NOTFOUND)
		return err_up(e, "--foreign revokes what the CA signed elsewhere");
	if (e == E_OK && (e = issuer_refresh_crls(i, time(NULL), true)) == E_OK)
		printf("%s is revoked (%s); %s\n", serial, crl_reason_name(reason),
		    upstream_is(i) ? "'status' says when the CA has it" : "the CRL is published");
	return e;
}

enum err
verb_notify(int argc, char **argv)
{
	size_t sent, left;
	struct issuer i;
	struct args a;
	enum err e;

	if ((e = parse(argc, argv, "", &a)) != E_OK || (e = need(a.rest, "the directory")) != E_OK ||
	    (e = issuer_open(a.rest, ISSUER_LEDGER, &i)) != E_OK)
		return e;
	note_on();
	e = notify_round(&i, time(NULL), &sent, &left);
	if (e == E_OK)
		printf("%zu sent, %zu not\n", sent, left);
	issuer_close(&i);
	return e;
}

enum err
verb_revoke(int argc, char **argv)
{
	struct issuer i;
	struct args a;
	int reason;
	enum err e;

	if ((e = parse(argc, argv, "drcF", &a)) != E_OK || (e = need(a.value['d'], "--dir")) != E_OK ||
	    (e = need(a.value['c'] ? a.value['c'] : a.rest, "the serial number")) != E_OK)
		return e;
	reason = crl_reason(a.value['r'] ? a.value['r'] : "unspecified");
	if (reason < 0 || (a.value['c'] && a.rest))
		return err_set(E_USAGE, "revoke: %s?", reason < 0 ? a.value['r'] : "a serial number and --cert");
	if ((e = issuer_open(a.value['d'], ISSUER_KEY, &i)) != E_OK)
		return e;
	e = revoke(&i, &a, reason);
	issuer_close(&i);
	return e;
}
