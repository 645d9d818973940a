/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dpiv-issuer doctor (checkup.h): a table of checks, run in order over one issuer directory. The findings are one JSON
 * array, shown as it is or as lines. Nothing is changed, but that opening a ledger brings its schema up to date, as
 * every verb does. Exit status 1 means that there is a problem.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "base/text.h"
#include "derive/issuer/checkup.h"
#include "derive/issuer/ledger.h"
#include "derive/issuer/report.h"
#include "derive/issuer/verbs.h"
#include "derive/issuer/x509io.h"

#define SENTENCE 1200

static const struct {
	const char *name;
	checkup_fn *run;
} checks[] = {
	{ "files", checkup_files },
	{ "ca", checkup_ca },
	{ "tls", checkup_tls },
	{ "ocsp", checkup_ocsp },
	{ "recovery", checkup_recovery },
	{ "anchors", checkup_anchors },
	{ "crls", checkup_crls },
	{ "own-crls", checkup_own_crls },
	{ "ledger", checkup_ledger },
	{ "audit", checkup_audit },
	{ "mail", checkup_mail },
	{ "clock", checkup_clock },
	{ "ports", checkup_ports },
};

static const char *const levels[] = { [CHECKUP_OK] = "ok", [CHECKUP_WARN] = "warn", [CHECKUP_BAD] = "bad" };

struct checkup {
	struct checkup_issuer of;
	json_t *findings;
	const char *check; /* that runs now */
	bool bad;
};

const struct checkup_issuer *
checkup_of(const struct checkup *u)
{
	return &u->of;
}

void
checkup_say(struct checkup *u, enum checkup_level level, const char *todo, const char *fmt, ...)
{
	char text[SENTENCE], safe[SENTENCE];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	text_safe(span_str(text), safe, sizeof safe);
	json_array_append_new(u->findings,
	    json_pack("{s:s, s:s, s:s, s:s*}", "check", u->check, "level", levels[level], "what", safe, "todo", todo));
	u->bad = u->bad || level == CHECKUP_BAD;
}

void
checkup_failed(struct checkup *u, const char *todo)
{
	checkup_say(u, CHECKUP_BAD, todo, "%s", err_msg());
}

/* What cannot be opened is told by the check whose matter it is. */
static enum err
look_at_all(struct checkup *u)
{
	struct config *c = &u->of.config;
	enum err e;

	u->check = "configuration";
	if ((e = config_load(u->of.dir, c)) == E_NOTFOUND) /* there is no issuer */
		return e;
	if (e != E_OK) {
		checkup_failed(u, "correct issuer.conf: man dpiv-issuer has every key");
		return E_OK;
	}
	if (c->demo)
		checkup_say(u, CHECKUP_WARN, "for people, make an issuer without --demo",
		    "demo = yes: keys lie in files, and whoever reads them can be this CA");
	else
		checkup_say(u, CHECKUP_OK, NULL, "%s/issuer.conf is in order", c->dir);
	if (x509io_read_cert(c->ca_cert, &u->of.ca) != E_OK)
		u->of.ca = NULL;
	u->check = "ledger";
	if (ledger_open(c->db, &u->of.db) != E_OK)
		checkup_failed(u, "dpiv-issuer restore brings back a backup");
	for (size_t k = 0; k < sizeof checks / sizeof checks[0]; k++) {
		u->check = checks[k].name;
		checks[k].run(u);
	}
	return E_OK;
}

static void
show(const json_t *findings)
{
	size_t k;
	json_t *f;

	json_array_foreach(findings, k, f)
	{
		const char *todo = json_string_value(json_object_get(f, "todo"));

		printf("%-5s %-13s %s\n", json_string_value(json_object_get(f, "level")),
		    json_string_value(json_object_get(f, "check")), json_string_value(json_object_get(f, "what")));
		if (todo)
			printf("      %-13s -> %s\n", "", todo);
	}
}

enum err
verb_doctor(int argc, char **argv)
{
	struct checkup u = { .of = { .now = time(NULL) } };
	bool json;
	enum err e;

	if ((e = report_args(argc, argv, &json, &u.of.dir)) != E_OK)
		return e;
	if ((u.findings = json_array()) == NULL)
		return err_set(E_NOMEM, "out of memory");
	e = look_at_all(&u);
	if (e == E_OK && !json)
		show(u.findings);
	else if (e == E_OK && json_dumpf(u.findings, stdout, JSON_INDENT(1)) == 0)
		putchar('\n');
	db_close(&u.of.db);
	X509_free(u.of.ca);
	config_clear(&u.of.config);
	json_decref(u.findings);
	return e == E_OK && u.bad ? err_set(E_CONF, "something is wrong with %s", u.of.dir) : e;
}
