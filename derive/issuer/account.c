/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Identity accounts. A card is recognised by what survives its re-issue: FASC-N identifier first, card UUID next, the
 * subject name last (Common Policy CP 3.1.5: names are unique to a person). Issuer and serial number are no key:
 * re-keyed cards change them and some test cards share them.
 *
 * Where accounts are listed by an administrator, a card whose name differs from the account's is refused until the
 * administrator has looked at it; where cards open accounts by themselves, the validated card is the authority. An
 * account from a list has no subject name (a zero-length one) until its first card comes.
 */
#include <stdio.h>
#include <string.h>

#include "derive/issuer/account.h"
#include "derive/issuer/refuse.h"
#include "derive/issuer/x509io.h"

#define COLUMNS "id, name, email, upn, status, subject"

static void
copy(char *out, size_t cap, const char *s)
{
	(void)snprintf(out, cap, "%s", s);
}

/* Runs a query whose columns are COLUMNS; id 0 when there is no row. *same: the subject equals this DER. */
static enum err
fetch(struct db *db, struct account *a, struct span subject, bool *same, const char *sql, const struct db_arg *args,
    size_t n)
{
	struct db_rows *q;
	bool row = false;
	enum err e;

	if ((e = db_query(db, &q, sql, args, n)) == E_OK && (e = db_next(q, &row)) == E_OK && row) {
		a->id = db_col_int(q, 0);
		copy(a->name, sizeof a->name, db_col_text(q, 1));
		copy(a->email, sizeof a->email, db_col_text(q, 2));
		copy(a->upn, sizeof a->upn, db_col_text(q, 3));
		copy(a->status, sizeof a->status, db_col_text(q, 4));
		a->unseen = db_col_blob(q, 5).n == 0;
		*same = span_eq(db_col_blob(q, 5), subject);
	}
	db_done(&q);
	return e;
}

static enum err
find(struct db *db, const struct pivid *id, struct span subject, struct account *a, bool *same)
{
	static const char by_card[] =
	    "SELECT " COLUMNS " FROM account WHERE id = (SELECT account FROM card WHERE"
	    " (fascn = ?1 AND ?1 <> '' AND ?1 NOT LIKE '99999999999999%') OR (uuid = ?2 AND ?2 <> '')"
	    " ORDER BY fascn = ?1 DESC, id LIMIT 1)";
	static const char by_list[] =
	    "SELECT " COLUMNS " FROM account WHERE id = (SELECT account FROM expected WHERE"
	    " (fascn = ?1 AND ?1 <> '') OR (uuid = ?2 AND ?2 <> '') ORDER BY fascn = ?1 DESC, rowid LIMIT 1)";
	static const char by_name[] = "SELECT " COLUMNS " FROM account WHERE subject = ? ORDER BY id LIMIT 1";
	enum err e;

	memset(a, 0, sizeof *a);
	*same = false;
	e = fetch(db, a, subject, same, by_card, DB_ARGS(db_text(id->fascn_id), db_text(id->uuid)));
	if (e == E_OK && a->id == 0)
		e = fetch(db, a, subject, same, by_list, DB_ARGS(db_text(id->fascn_id), db_text(id->uuid)));
	if (e == E_OK && a->id == 0 && subject.n > 0)
		e = fetch(db, a, subject, same, by_name, DB_ARGS(db_blob(subject)));
	return e;
}

static enum err
note_card(struct db *db, struct account *a, X509 *cert, const struct pivid *id, time_t now)
{
	WBUF_AUTO der = { 0 };
	enum err e;

	e = db_run(db, "UPDATE card SET last_seen = ? WHERE sha256 = ? AND account = ?",
	    DB_ARGS(db_int(now), db_text(id->sha256), db_int(a->id)));
	if (e != E_OK || db_changed(db) == 1)
		return e;
	wbuf_init(&der, 1u << 20);
	if ((e = x509io_cert_der(cert, &der)) != E_OK)
		return e;
	a->new_card = true;
	return db_run(db,
	    "INSERT INTO card (account, sha256, fascn, uuid, subject, der, first_seen, last_seen)"
	    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
	    DB_ARGS(db_int(a->id), db_text(id->sha256), db_text(id->fascn_id), db_text(id->uuid), db_text(id->subject),
		db_blob(wbuf_view(&der)), db_int(now), db_int(now)));
}

static enum err
create(struct db *db, struct account *a, struct span subject, const char *origin, time_t now)
{
	enum err e =
	    db_run(db, "INSERT INTO account (subject, name, email, upn, origin, created) VALUES (?, ?, ?, ?, ?, ?)",
		DB_ARGS(db_blob(subject), db_text(a->name), db_text(a->email[0] ? a->email : NULL),
		    db_text(a->upn[0] ? a->upn : NULL), db_text(origin), db_int(now)));

	if (e == E_OK) {
		a->id = db_last_id(db);
		a->opened = true;
		copy(a->status, sizeof a->status, "active");
	}
	return e;
}

/* A card brought this request: what it says fills an account that it opens, and the gaps of one that it opened. */
static void
fill_from_card(struct account *a, const struct account_rules *rules, const struct pivid *id)
{
	copy(a->name, sizeof a->name, id->subject);
	if (a->upn[0] == '\0')
		copy(a->upn, sizeof a->upn, id->upn);
	if (a->email[0] == '\0' && id->email[0])
		copy(a->email, sizeof a->email, id->email);
	if (a->email[0] == '\0' && rules->email_from_upn && pivid_email_ok(id->upn))
		copy(a->email, sizeof a->email, id->upn);
}

enum err
account_check_status(const struct account *a)
{
	if (strcmp(a->status, "suspended") == 0)
		return refuse(REFUSE_ACCOUNT_SUSPENDED,
		    "the account of %s is suspended; ask the issuer's administrator", a->name);
	if (strcmp(a->status, "active") != 0)
		return refuse(REFUSE_ACCOUNT_TERMINATED, "the account of %s is terminated", a->name);
	return E_OK;
}

static enum err
for_card(struct db *db, const struct account_rules *rules, const struct pivid *id, struct span subject, time_t now,
    struct account *a)
{
	bool same;
	enum err e;

	if ((e = find(db, id, subject, a, &same)) != E_OK)
		return e;
	if (a->id == 0 && rules->listed)
		return refuse(REFUSE_UNKNOWN_ACCOUNT, "no account for %s here; the issuer's administrator can add one",
		    id->subject);
	if (a->id == 0) {
		fill_from_card(a, rules, id);
		return create(db, a, subject, "card", now);
	}
	if ((e = account_check_status(a)) != E_OK)
		return e;
	if (a->unseen)
		return db_run(
		    db, "UPDATE account SET subject = ? WHERE id = ?", DB_ARGS(db_blob(subject), db_int(a->id)));
	if (!same && rules->listed)
		return refuse(REFUSE_ACCOUNT_MISMATCH,
		    "this card belongs to the account of %s, but names %s; the issuer's administrator must confirm the "
		    "new name",
		    a->name, id->subject);
	if (a->upn[0] == '\0')
		copy(a->upn, sizeof a->upn, id->upn);
	return E_OK;
}

enum err
account_for_card(struct db *db, const struct account_rules *rules, X509 *cert, const struct pivid *id, time_t now,
    struct account *out)
{
	WBUF_AUTO subject = { 0 };
	enum err e;

	memset(out, 0, sizeof *out);
	wbuf_init(&subject, 65536);
	if ((e = x509io_name_der(X509_get_subject_name(cert), &subject)) != E_OK ||
	    (e = for_card(db, rules, id, wbuf_view(&subject), now, out)) != E_OK)
		return e;
	return note_card(db, out, cert, id, now);
}

enum err
account_find(struct db *db, X509 *cert, const struct pivid *id, struct account *out)
{
	WBUF_AUTO subject = { 0 };
	bool same;
	enum err e;

	memset(out, 0, sizeof *out);
	wbuf_init(&subject, 65536);
	e = x509io_name_der(X509_get_subject_name(cert), &subject);
	return e == E_OK ? find(db, id, wbuf_view(&subject), out, &same) : e;
}

enum err
account_add(struct db *db, X509 *cert, const struct pivid *id, const char *email, const char *name, time_t now,
    struct account *out)
{
	const struct account_rules rules = { .listed = true };
	WBUF_AUTO subject = { 0 };
	bool same;
	enum err e;

	wbuf_init(&subject, 65536);
	if (email && !pivid_email_ok(email))
		return err_set(E_ARG, "%s is not a mail address", email);
	if ((e = x509io_name_der(X509_get_subject_name(cert), &subject)) != E_OK ||
	    (e = find(db, id, wbuf_view(&subject), out, &same)) != E_OK)
		return e;
	fill_from_card(out, &rules, id);
	if (email)
		copy(out->email, sizeof out->email, email);
	if (name)
		copy(out->name, sizeof out->name, name);
	if (out->id == 0)
		e = create(db, out, wbuf_view(&subject), "administrator", now);
	else
		e = db_run(db, "UPDATE account SET subject = ?, name = ?, email = ?, upn = ? WHERE id = ?",
		    DB_ARGS(db_blob(wbuf_view(&subject)), db_text(out->name),
			db_text(out->email[0] ? out->email : NULL), db_text(out->upn[0] ? out->upn : NULL),
			db_int(out->id)));
	return e != E_OK ? e : note_card(db, out, cert, id, now);
}

/* The account that an entry is of; id 0: a new one's. */
static enum err
find_entry(struct db *db, const struct account_entry *entry, struct account *a)
{
	bool same;
	enum err e = find(db, &entry->card, SPAN_NONE, a, &same);

	if (e == E_OK && a->id == 0 && entry->upn[0])
		e = fetch(db, a, SPAN_NONE, &same, "SELECT " COLUMNS " FROM account WHERE upn = ? ORDER BY id LIMIT 1",
		    DB_ARGS(db_text(entry->upn)));
	return e;
}

/* The entry's card leads here from now on. *news: it did not. */
static enum err
expect_card(struct db *db, int64_t account, const struct pivid *card, time_t now, bool *news)
{
	int64_t known;
	enum err e = db_number(db, &known,
	    "SELECT (SELECT count(*) FROM expected WHERE account = ?1 AND ?2 IN ('', fascn) AND ?3 IN ('', uuid))"
	    " + (SELECT count(*) FROM card WHERE account = ?1 AND ?2 IN ('', fascn) AND ?3 IN ('', uuid))",
	    DB_ARGS(db_int(account), db_text(card->fascn_id), db_text(card->uuid)));

	*news = e == E_OK && known == 0;
	if (!*news)
		return e;
	return db_run(db, "INSERT INTO expected (account, fascn, uuid, created) VALUES (?, ?, ?, ?)",
	    DB_ARGS(db_int(account), db_text(card->fascn_id), db_text(card->uuid), db_int(now)));
}

/* What the list says and the account does not. */
static enum err
take_entry(struct db *db, const struct account_entry *entry, struct account *a, bool *news)
{
	*news = strcmp(a->name, entry->name) != 0 || (entry->email[0] && strcmp(a->email, entry->email) != 0) ||
	    (entry->upn[0] && strcmp(a->upn, entry->upn) != 0);
	copy(a->name, sizeof a->name, entry->name);
	if (entry->email[0])
		copy(a->email, sizeof a->email, entry->email);
	if (entry->upn[0])
		copy(a->upn, sizeof a->upn, entry->upn);
	if (!*news)
		return E_OK;
	return db_run(db, "UPDATE account SET name = ?, email = ?, upn = ? WHERE id = ?",
	    DB_ARGS(db_text(a->name), db_text(a->email[0] ? a->email : NULL), db_text(a->upn[0] ? a->upn : NULL),
		db_int(a->id)));
}

enum err
account_enter(
    struct db *db, const struct account_entry *entry, time_t now, struct account *out, enum account_change *change)
{
	bool added, said = false, card = false;
	enum err e;

	if ((e = find_entry(db, entry, out)) != E_OK)
		return e;
	added = out->id == 0;
	if (!added && strcmp(out->status, "terminated") == 0)
		return refuse(REFUSE_ACCOUNT_TERMINATED, "the account of %s is terminated, for good", out->name);
	if (added) {
		copy(out->name, sizeof out->name, entry->name);
		copy(out->email, sizeof out->email, entry->email);
		copy(out->upn, sizeof out->upn, entry->upn);
		e = create(db, out, SPAN_NONE, "list", now);
	} else {
		e = take_entry(db, entry, out, &said);
	}
	if (e == E_OK)
		e = expect_card(db, out->id, &entry->card, now, &card);
	*change = added ? ACCOUNT_ADDED : said || card ? ACCOUNT_UPDATED : ACCOUNT_SAME;
	return e;
}

enum err
account_get(struct db *db, int64_t id, struct account *out)
{
	bool same;
	enum err e;

	memset(out, 0, sizeof *out);
	e = fetch(db, out, SPAN_NONE, &same, "SELECT " COLUMNS " FROM account WHERE id = ?", DB_ARGS(db_int(id)));
	if (e == E_OK && out->id == 0)
		e = err_set(E_NOTFOUND, "no account %lld", (long long)id);
	return e;
}

enum err
account_set_status(struct db *db, int64_t id, const char *status)
{
	enum err e =
	    db_run(db, "UPDATE account SET status = ? WHERE id = ? AND (status <> 'terminated' OR ?1 = 'terminated')",
		DB_ARGS(db_text(status), db_int(id)));

	if (e == E_OK && db_changed(db) != 1)
		e = err_set(E_NOTFOUND, "no account %lld, or it is terminated for good", (long long)id);
	return e;
}
