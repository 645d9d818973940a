/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The verb audit: the events for people and programs, and whether they are all there, as they were written. verify says
 * the head of the chain, to be noted where the issuer's machine cannot change it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "derive/issuer/audit.h"
#include "derive/issuer/issuer.h"
#include "derive/issuer/report.h"
#include "derive/issuer/verbs.h"

enum { AT = 1, WHAT, FIRST_DETAIL, DETAIL = 8, HASH };
static const char *const names[] = { "id", "at", "what", "code", "account", "serial", "card", "peer", "detail" };

static void
show_person(struct db_rows *q)
{
	char when[TEXT_UTC_MAX];

	printf("%" PRId64 " %s %s", db_col_int(q, 0), text_utc((time_t)db_col_int(q, AT), when), db_col_text(q, WHAT));
	for (int i = FIRST_DETAIL; i < DETAIL; i++)
		if (!db_col_null(q, i))
			printf(" %s=%s", names[i], db_col_text(q, i));
	printf("%s%s\n", db_col_null(q, DETAIL) ? "" : ": ", db_col_text(q, DETAIL));
}

/* A line an event; what the event does not have is left out. */
static void
show_program(struct db_rows *q)
{
	char hash[65];

	printf("{\"id\": %" PRId64 ", \"at\": %" PRId64 ", ", db_col_int(q, 0), db_col_int(q, AT));
	for (int i = WHAT; i <= DETAIL; i++)
		if (!db_col_null(q, i))
			report_string(names[i], db_col_text(q, i), false);
	report_string("hash", text_hex(db_col_blob(q, HASH), hash, sizeof hash), true);
	printf("}\n");
}

static enum err
show(struct issuer *i, bool json)
{
	struct db_rows *q = NULL;
	bool row;
	enum err e = db_query(i->db, &q,
	    "SELECT id, at, what, code, account, serial, card, peer, detail, hash FROM event ORDER BY id", DB_NO_ARGS);

	while (e == E_OK && (e = db_next(q, &row)) == E_OK && row)
		(json ? show_program : show_person)(q);
	db_done(&q);
	return e;
}

/* Takes --head and its value out of the arguments; NULL: it is not among them. */
static const char *
take_head(int *argc, char **argv)
{
	const char *value = NULL;
	int n = 0;

	for (int i = 0; i < *argc; i++) {
		if (strcmp(argv[i], "--head") == 0 && i + 1 < *argc)
			value = argv[++i];
		else
			argv[n++] = argv[i];
	}
	*argc = n;
	return value;
}

static enum err
verb_audit_verify(int argc, char **argv)
{
	char text[AUDIT_HEAD_MAX];
	struct audit_head kept, head;
	const char *dir, *said = take_head(&argc, argv);
	struct issuer i;
	bool json;
	enum err e;

	if ((e = report_args(argc, argv, &json, &dir)) != E_OK)
		return e;
	if (said && !audit_head_read(said, &kept))
		return err_set(E_USAGE, "--head takes what an earlier 'audit verify' said, NUMBER:HASH");
	if ((e = issuer_open(dir, ISSUER_LEDGER, &i)) != E_OK)
		return e;
	e = audit_verify(i.db, said ? &kept : NULL, &head);
	issuer_close(&i);
	if (e != E_OK)
		return e;
	audit_head_text(&head, text);
	if (json) {
		printf("{\"events\": %" PRId64 ", ", head.id);
		report_string("head", text, true);
		printf("}\n");
	} else {
		printf("%" PRId64 " events, all as they were written\nhead %s\n", head.id, text);
	}
	return E_OK;
}

enum err
verb_audit(int argc, char **argv)
{
	if (argc >= 2 && strcmp(argv[1], "show") == 0)
		return report_run(argc - 1, &argv[1], show);
	if (argc >= 2 && strcmp(argv[1], "verify") == 0)
		return verb_audit_verify(argc - 1, &argv[1]);
	return err_set(E_USAGE, "audit: show or verify?");
}
