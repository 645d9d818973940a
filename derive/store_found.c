/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Credentials that the store did not see being derived: found on their tokens, written down with what a token tells.
 * The card is not known then (an empty blob), and the issuer may not be (an empty text); both are filled in when they
 * become known. A younger certificate of the same role, issuer and token takes the place of an older one, never the
 * other way round.
 */
#include <stdio.h>
#include <time.h>

#include "derive/cert.h"
#include "derive/store_int.h"

/* Is one in use that is not older? */
static enum err
younger_exists(struct store *s, const struct enrolment *e, X509 *cert, bool *younger)
{
	enum err err = E_OK;

	*younger = false;
	for (size_t i = 0; err == E_OK; i++) {
		struct credential c;

		err = store_cred_get(s, i, &c);
		if (err == E_OK && c.active && c.role == e->role && strcmp(c.issuer, e->issuer) == 0 &&
		    strcmp(c.token_serial, e->token_serial) == 0 && strcmp(c.token_label, e->token_label) == 0 &&
		    cert_not_before(c.cert) >= cert_not_before(cert))
			*younger = true;
		credential_clear(&c);
	}
	return err == E_NOTFOUND ? E_OK : err;
}

static enum err
found_write(struct store *s, const struct enrolment *e, X509 *cert, struct span der, bool active, const char *how)
{
	char detail[512], serial[64];
	enum err err = active ? store_cred_replaced(s, e) : E_OK;

	if (err == E_OK)
		err = store_cred_insert(s, e, cert, der, SPAN_NONE, active, cert_not_before(cert));
	if (err != E_OK)
		return err;
	snprintf(detail, sizeof detail, "%s %s found on token '%s'%s; its issuer is %s%s%s", role_info(e->role)->name,
	    cert_serial(cert, serial, sizeof serial), e->token_label, active ? "" : ", no longer in use", e->issuer,
	    e->issuer[0] != '\0' ? ", " : "", how);
	return store_event(s, "rebuilt", detail);
}

enum err
store_cred_found(struct store *s, const struct enrolment *e, X509 *cert, const char *how)
{
	WBUF_AUTO der = { .max = 64 * 1024 };
	bool younger = false;
	enum err err = store_cert_blob(cert, &der);

	if (err == E_OK)
		err = db_begin(s->db);
	if (err != E_OK)
		return err;
	err = younger_exists(s, e, cert, &younger);
	if (err == E_OK)
		err = found_write(s, e, cert, wbuf_view(&der), !younger, how);
	return db_end(s->db, err);
}

enum err
store_cred_issuer(struct store *s, const struct credential *c, const char *url, const char *how)
{
	char detail[1024];
	enum err e = db_begin(s->db);

	if (e != E_OK)
		return e;
	snprintf(detail, sizeof detail, "%s on token '%s': its issuer is %s, %s", role_info(c->role)->name,
	    c->token_label, url, how);
	e = db_run(s->db, "UPDATE credential SET issuer = ? WHERE id = ? AND issuer = ''",
	    DB_ARGS(db_text(url), db_int(c->row)));
	if (e == E_OK)
		e = store_event(s, "rebuilt", detail);
	return db_end(s->db, e);
}

enum err
store_cred_card(struct store *s, const struct credential *c, X509 *card)
{
	WBUF_AUTO der = { .max = 64 * 1024 };
	char detail[512], serial[64];
	enum err e = store_cert_blob(card, &der);

	if (e == E_OK)
		e = db_begin(s->db);
	if (e != E_OK)
		return e;
	snprintf(detail, sizeof detail, "%s on token '%s': behind it stands the card with certificate %s",
	    role_info(c->role)->name, c->token_label, cert_serial(card, serial, sizeof serial));
	e = db_run(s->db, "UPDATE credential SET card_cert = ? WHERE id = ?",
	    DB_ARGS(db_blob(wbuf_view(&der)), db_int(c->row)));
	if (e == E_OK)
		e = store_event(s, "rebuilt", detail);
	return db_end(s->db, e);
}

enum err
store_cred_relink(struct store *s, const struct credential *c, X509 *card, const char *by)
{
	WBUF_AUTO der = { .max = 64 * 1024 };
	char detail[512], serial[64], old[64] = "unknown", emails[256];
	enum err e = store_cert_blob(card, &der);

	if (e == E_OK)
		e = db_begin(s->db);
	if (e != E_OK)
		return e;
	if (c->card != NULL)
		cert_serial(c->card, old, sizeof old);
	snprintf(detail, sizeof detail, "%s on token '%s': certificate %s of the card is now %s, known by the %s",
	    role_info(c->role)->name, c->token_label, old, cert_serial(card, serial, sizeof serial), by);
	e = db_run(s->db, "UPDATE credential SET card_cert = ? WHERE id = ?",
	    DB_ARGS(db_blob(wbuf_view(&der)), db_int(c->row)));
	if (e == E_OK)
		e = db_run(s->db, "INSERT OR REPLACE INTO card_link (credential, at, emails) VALUES (?, ?, ?)",
		    DB_ARGS(db_int(c->row), db_int(time(NULL)), db_text(cert_email(card, emails, sizeof emails))));
	if (e == E_OK)
		e = store_event(s, "card-replaced", detail);
	return db_end(s->db, e);
}
