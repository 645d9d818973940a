/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * 'dpiv-issuer upstream': what waits for the CA behind this issuer, what has to be done there by hand, and, with --run,
 * the round that serve starts when there is something to do.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/secret.h"
#include "base/text.h"
#include "derive/issuer/note.h"
#include "derive/issuer/report.h"
#include "derive/issuer/upstream_run.h"
#include "derive/issuer/verbs.h"
#include "derive/issuer/x509io.h"

static enum err
show_rows(struct issuer *i, bool json, const char *what, const char *sql)
{
	struct db_rows *q = NULL;
	bool row = false, first = true;
	char when[TEXT_UTC_MAX];
	enum err e = db_query(i->db, &q, sql, DB_NO_ARGS);

	if (json)
		printf("\"%s\": [", what);
	for (; e == E_OK && (e = db_next(q, &row)) == E_OK && row; first = false) {
		text_utc((time_t)db_col_int(q, 1), when);
		if (json) {
			printf("%s{", first ? "" : ", ");
			report_string("serial", db_col_text(q, 0), false);
			report_string("since", when, false);
			report_string("state", db_col_text(q, 2), false);
			report_string("why", db_col_text(q, 3), true);
			putchar('}');
		} else {
			printf("%s%s%s  %s  %s%s%s\n", first ? what : "", first ? "\n  " : "  ", when,
			    db_col_text(q, 0), db_col_text(q, 2), db_col_text(q, 3)[0] ? ": " : "", db_col_text(q, 3));
		}
	}
	if (json)
		putchar(']');
	db_done(&q);
	return e;
}

static enum err
show_work(struct issuer *i, bool json)
{
	enum err e = upstream_collect(i, time(NULL));

	if (e != E_OK)
		return e;
	e = show_rows(i, json, json ? "requests" : "requests for the CA",
	    "SELECT ask, created, CASE WHEN wanted = 1 THEN 'on its way' WHEN waits = 1 THEN 'the CA wants time'"
	    " ELSE 'failed' END, why FROM upstream WHERE state = 'open' ORDER BY created, ask");
	if (json)
		printf(", ");
	if (e == E_OK)
		e = show_rows(i, json, json ? "revocations" : "to be revoked at the CA",
		    "SELECT serial, created, CASE WHEN tries = 0 AND why IS NULL THEN 'on its way' ELSE 'not at the CA "
		    "yet'"
		    " END, why FROM upstream_revocation WHERE done IS NULL ORDER BY created, serial");
	return e;
}

enum err
upstream_status(struct issuer *i, bool json)
{
	const struct upstream_conf *u = &i->config.up;
	enum err e = E_OK;

	if (!upstream_is(i))
		return E_OK;
	if (!json) {
		printf("%-24s %s, by %s\n", "certificates come from", u->url, u->protocol);
		return show_work(i, false);
	}
	printf("\"upstream\": {");
	report_string("protocol", u->protocol, false);
	report_string("url", u->url, false);
	e = show_work(i, true);
	printf("}, ");
	return e;
}

static enum err
show(struct issuer *i, bool json)
{
	enum err e;

	if (!upstream_is(i))
		return err_set(E_NOTFOUND, "the CA is here: there is no [upstream] in issuer.conf");
	if (json)
		putchar('{');
	e = show_work(i, json);
	if (json)
		printf("}\n");
	return e;
}

static enum err
run(const char *dir)
{
	struct issuer i;
	enum err e;

	note_on();
	secret_keep_process();
	if ((e = issuer_open(dir, ISSUER_LEDGER, &i)) != E_OK)
		return e;
	e = upstream_is(&i) ? upstream_run(&i) : err_set(E_NOTFOUND, "there is no [upstream] in issuer.conf");
	if (e != E_OK)
		note("upstream-failed", "%s", err_msg());
	issuer_close(&i);
	return e;
}

static enum err
revoked(const char *dir, const char *text)
{
	char serial[X509IO_SERIAL_MAX];
	struct issuer i;
	enum err e;

	if (!x509io_serial_read(text, serial, sizeof serial))
		return err_set(E_USAGE, "that is not a serial number in hex");
	if ((e = issuer_open(dir, ISSUER_LEDGER, &i)) != E_OK)
		return e;
	e = upstream_is(&i) ? upstream_revoke_done(&i, serial, time(NULL))
			    : err_set(E_NOTFOUND, "there is no [upstream] in issuer.conf");
	if (e == E_OK)
		printf("%s is noted as revoked at the CA\n", serial);
	issuer_close(&i);
	return e;
}

enum err
verb_upstream(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "--run") == 0)
		return run(argv[2]);
	if (argc == 4 && strcmp(argv[1], "--revoked") == 0)
		return revoked(argv[3], argv[2]);
	return report_run(argc, argv, show);
}
