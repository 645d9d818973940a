/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dpiv-issuer account import: a list of people becomes accounts, in one transaction, so that a list with a mistake in
 * it changes nothing. Whoever is there already is brought up to date; nobody is removed, since a list may be of one
 * department only (account terminate is for that). A person's card need not have been seen: FASC-N or UUID of the list
 * lead it to the account when it comes, and its subject name is then the account's (account.c).
 */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "derive/issuer/account.h"
#include "derive/issuer/csv.h"
#include "derive/issuer/ledger.h"
#include "derive/issuer/roster.h"

enum column { NAME, EMAIL, UPN, FASCN, UUID, COLUMNS };
static const char *const names[COLUMNS] = { "name", "email", "upn", "fascn", "uuid" };

/* Where each column stands in a record; -1: nowhere. */
struct header {
	int at[COLUMNS];
	size_t n;
};

static enum err
read_header(const struct csv_row *row, struct header *h)
{
	for (size_t c = 0; c < COLUMNS; c++)
		h->at[c] = -1;
	h->n = row->n;
	for (size_t k = 0; k < row->n; k++) {
		size_t c = 0;

		while (c < COLUMNS && strcmp(row->field[k], names[c]) != 0)
			c++;
		if (c == COLUMNS || h->at[c] >= 0)
			return err_set(E_ARG,
			    "line %zu: the first line names each column once: name, email, upn, fascn, uuid; not "
			    "'%s'%s",
			    row->line, row->field[k], c == COLUMNS ? "" : " twice");
		h->at[c] = (int)k;
	}
	if (h->at[NAME] < 0 || (h->at[FASCN] < 0 && h->at[UUID] < 0))
		return err_set(E_ARG, "line %zu: a column 'name' and one of 'fascn' and 'uuid' are needed", row->line);
	return E_OK;
}

static const char *
value(const struct header *h, const struct csv_row *row, enum column c)
{
	return h->at[c] < 0 ? "" : row->field[h->at[c]];
}

/* Digits, dashes and blanks left out; false when something else is there or it does not fit. */
static bool
condense(const char *in, const char *allowed, char *out, size_t cap)
{
	size_t n = 0;

	for (; *in; in++) {
		if (*in == '-' || *in == ' ')
			continue;
		if (strchr(allowed, *in) == NULL || n + 1 >= cap)
			return false;
		out[n++] = *in;
	}
	out[n] = '\0';
	return true;
}

/* FASC-N identifier of SP 800-73-5 part 1, 3.1.2; one of a non-federal issuer (agency 9999) is nobody's own. */
static bool
read_fascn(const char *text, char out[sizeof((struct pivid *)0)->fascn_id])
{
	char plain[64];
	WBUF_AUTO raw = { 0 };

	if (condense(text, "0123456789", plain, sizeof plain) && strlen(plain) == 14) {
		memcpy(out, plain, 15);
	} else {
		wbuf_init(&raw, 25);
		if (!condense(text, "0123456789abcdefABCDEF", plain, sizeof plain) || strlen(plain) != 50 ||
		    !text_unhex(plain, &raw) || !pivid_fascn_id(wbuf_view(&raw), out))
			return false;
	}
	return strncmp(out, "9999", 4) != 0;
}

static bool
read_uuid(const char *text, char out[TEXT_UUID_MAX])
{
	char plain[64];
	WBUF_AUTO raw = { 0 };

	wbuf_init(&raw, 16);
	if (!condense(text, "0123456789abcdefABCDEF", plain, sizeof plain) || !text_unhex(plain, &raw) || raw.n != 16)
		return false;
	text_uuid(raw.p, out);
	return true;
}

static enum err
read_person(const struct header *h, const struct csv_row *row, struct account_entry *e)
{
	const char *fascn = value(h, row, FASCN), *uuid = value(h, row, UUID);

	memset(e, 0, sizeof *e);
	if (row->n != h->n)
		return err_set(E_ARG, "line %zu: %zu fields, where the first line has %zu", row->line, row->n, h->n);
	e->name = value(h, row, NAME);
	e->email = value(h, row, EMAIL);
	e->upn = value(h, row, UPN);
	if (e->name[0] == '\0')
		return err_set(E_ARG, "line %zu: the name is missing", row->line);
	if (e->email[0] && !pivid_email_ok(e->email))
		return err_set(E_ARG, "line %zu: %s is not a mail address", row->line, e->email);
	if (fascn[0] && !read_fascn(fascn, e->card.fascn_id))
		return err_set(E_ARG,
		    "line %zu: %s is not the FASC-N of a federal card: 14 digits (agency, system, credential), or 50 "
		    "of "
		    "hex",
		    row->line, fascn);
	if (uuid[0] && !read_uuid(uuid, e->card.uuid))
		return err_set(E_ARG, "line %zu: %s is not a UUID", row->line, uuid);
	if (!fascn[0] && !uuid[0])
		return err_set(E_ARG, "line %zu: neither fascn nor uuid: by what is the card of %s recognised?",
		    row->line, e->name);
	return E_OK;
}

static enum err
enter(struct db *db, const struct account_entry *entry, size_t line, time_t now, struct roster_count *n)
{
	struct account a;
	enum account_change change;
	struct ledger_event ev = { .detail = entry->name };
	enum err e;

	if ((e = account_enter(db, entry, now, &a, &change)) != E_OK)
		return err_up(e, "line %zu", line);
	n->added += change == ACCOUNT_ADDED;
	n->updated += change == ACCOUNT_UPDATED;
	n->same += change == ACCOUNT_SAME;
	if (change == ACCOUNT_SAME)
		return E_OK;
	ev.what = change == ACCOUNT_ADDED ? "account-added" : "account-updated";
	ev.account = a.id;
	return ledger_event_add(db, &ev, now);
}

static enum err
import(struct db *db, struct span text, time_t now, struct roster_count *out)
{
	struct account_entry entry;
	struct csv_row row;
	struct header h;
	struct csv c;
	bool got;
	enum err e;

	csv_open(&c, text);
	if ((e = csv_next(&c, &row, &got)) != E_OK || (e = got ? read_header(&row, &h) : E_OK) != E_OK)
		return e;
	if (!got)
		return err_set(E_ARG, "there is nothing in it");
	while ((e = csv_next(&c, &row, &got)) == E_OK && got)
		if ((e = read_person(&h, &row, &entry)) != E_OK || (e = enter(db, &entry, row.line, now, out)) != E_OK)
			return e;
	return e;
}

enum err
roster_import(struct db *db, struct span csv, time_t now, struct roster_count *out)
{
	enum err e;

	*out = (struct roster_count){ 0 };
	return (e = db_begin(db)) != E_OK ? e : db_end(db, import(db, csv, now, out));
}
